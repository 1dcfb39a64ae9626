"""Figure 6: measured beside noise, and drawn from its table alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from novelweights.auditing.controls.baselines import noised
from novelweights.auditing.prepare import AuditInputs
from novelweights.reproduce import trading_off
from novelweights.reproduce.exhibits import figure_06
from novelweights.reproduce.reported import NOISE
from novelweights.reproduce.table import Table
from novelweights.reproduce.trading_off import MATCHED, beside_noise, noise_at, read_trade_off
from tests.planted import Zoo, copies, seeded

N = 12


@pytest.fixture
def measured(digits_zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Slightly noised copies, beside noise of no and of a large amplitude."""
    zoo = digits_zoo
    samples = zoo.population(copies(zoo, N, noise=0.2, rng=seeded(0)))
    given = AuditInputs(
        train=zoo.training,
        generated=samples,
        heldout=zoo.heldout,
        task=zoo.task,
        symmetry=zoo.network.symmetry,
    )
    monkeypatch.setattr(trading_off, "audit_inputs", lambda at, with_task: given)
    beside_noise([0.0, 0.5])(tmp_path, {}, lambda stage, done, total: None)
    return read_trade_off(tmp_path)


def test_without_noise_checkpoints_make_the_mistakes_of_training_checkpoints(
    measured: dict[str, Any],
) -> None:
    assert measured["points"][noise_at(0)]["novelty"] == [1.0] * N


def test_matched_noise_is_as_new_as_the_samples(measured: dict[str, Any]) -> None:
    made, noise = (np.median(measured["points"][k]["novelty"]) for k in ("generated", MATCHED))
    assert noise == pytest.approx(made, rel=0.02)
    assert 0 < measured["noise_std"][MATCHED] < 0.5


def test_noised_checkpoints_are_judged_as_the_task_judges_them(
    measured: dict[str, Any], digits_zoo: Zoo
) -> None:
    task = digits_zoo.task
    behavior = task.behave(noised(digits_zoo.training, N, 0.5, seed=0))
    wrong = (behavior != task.data.test_y).double()  # (n, examples)
    known = (task.behave(digits_zoo.training) != task.data.test_y).double()
    both = wrong @ known.T
    either = wrong.sum(1)[:, None] + known.sum(1) - both
    found = measured["points"][noise_at(1)]
    assert found["novelty"] == pytest.approx((both / either).amax(dim=1).tolist())
    assert found["quality"] == pytest.approx((100 * (1 - wrong.mean(dim=1))).tolist())


def test_a_training_checkpoint_is_not_compared_with_itself(measured: dict[str, Any]) -> None:
    assert max(measured["points"]["training"]["novelty"]) < 1


def test_amplitudes_of_g_pt_are_of_weights_times_its_scale() -> None:
    assert [level.std for level in NOISE["g-pt"]] == pytest.approx([0.01195, 0.02389], abs=1e-5)
    assert all(len(levels) == 2 for levels in NOISE.values())


def test_it_is_drawn_from_its_table_alone_and_claims_nothing() -> None:
    kinds = list(figure_06.LOOKS)
    rng = torch.Generator().manual_seed(0)
    columns = {name: torch.rand(len(kinds) * N, generator=rng).numpy() for name in ("novelty",)}
    rows = pd.DataFrame(
        {"method": "p-diff", "kind": np.repeat(kinds, N), "quality": 50.0, **columns}
    )
    measure = {"name": "accuracy", "unit": "%", "higher": True}
    stds = {noise_at(0): 0.06, noise_at(1): 0.12, MATCHED: None}
    about = {"p-diff": {"quality": measure, "novelty": measure, "noise_std": stds}}
    table = Table(figure_06.TITLE, rows, about)
    upper, lower = figure_06.picture(table).axes
    assert len(upper.collections) == len(lower.collections) == len(kinds)
    assert "\u03c3 = 0.06, 0.12, none" in upper.get_xlabel()
    assert not figure_06.claims(table)
