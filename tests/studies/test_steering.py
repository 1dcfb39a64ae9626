"""Steering by prompts: planted generators that follow, order, ignore or invert what is asked."""

import json
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from refused import refused
from scipy.stats import spearmanr
from sklearn.metrics import r2_score
from torch import Tensor

from novelweights.auditing.result import Quantity
from novelweights.generators import make_generator
from novelweights.generators.gpt import SCALES
from novelweights.studies.steering.page import write_steering
from novelweights.studies.steering.prompting import (
    LossTask,
    Prompted,
    prompt_grid,
    require_prompted,
    steer,
)
from novelweights.studies.steering.summary import Answer, Steering, SteeringCriteria, summarize
from novelweights.tasks.task import Measure
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, PopulationInfo, Records, sampled_records

LAYOUT = WeightLayout((("a", (2,)),))  # the first weight is the loss, the second nothing
SEEN = (0.1, 2.5)


@pytest.fixture(autouse=True)
def _fewer_draws(monkeypatch):
    monkeypatch.setattr("novelweights.auditing.judge.statistics.DRAWS", 200)


class Told:
    """A task whose loss is the first weight."""

    name = "told"
    quality = Measure("accuracy", "%", higher_is_better=True)
    novelty = Measure("nothing", "", higher_is_better=False)

    def behave(self, population: Population) -> Tensor:
        return population.weights

    def score(self, behavior: Tensor) -> Tensor:
        return 100 - 10 * behavior[:, 0]

    def novelty_against(
        self, behavior: Tensor, reference: Tensor, *, exclude: Tensor | None = None
    ) -> Tensor:
        raise NotImplementedError

    def loss(self, population: Population) -> Tensor:
        return population.weights[:, 0].double()


class Planted:
    """Samples of which the loss is a function of the prompt and a random number."""

    settings = SimpleNamespace(metric="test_loss")
    layout = LAYOUT
    info = PopulationInfo(task="told")
    loss_range = SEEN

    def __init__(self, rule: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.rule = rule
        self.calls: list[Any] = []

    def sample(
        self, n: int, *, rng, start=None, progress=None, measure=None, prompts=None
    ) -> Population:
        begun = start.weights[torch.arange(n) % len(start), 1]
        self.calls.append((n, prompts, measure))
        for step in range(2):
            progress(step + 1, 2)
        weights = torch.stack([self.rule(prompts, torch.randn(n, generator=rng)), begun], dim=1)
        return Population(weights.float(), LAYOUT, sampled_records(n))


RULES = {
    "exact": lambda prompt, noise: prompt.clamp(min=0.1),
    "noisy": lambda prompt, noise: prompt.clamp(min=0.1) * torch.exp(0.3 * noise),
    "flattened": lambda prompt, noise: 0.4 * prompt.clamp(min=0.1) ** 0.2,
    "ignores": lambda prompt, noise: 0.5 * torch.exp(0.3 * noise),
    "constant": lambda prompt, noise: torch.full_like(prompt, 0.5),
    "inverts": lambda prompt, noise: 0.25 / prompt.clamp(min=0.1),
}


def starts(n: int = 8) -> Population:
    weights = torch.stack([torch.linspace(2.2, 2.5, n), torch.arange(n).float()], dim=1)
    scores = {"test_loss": weights[:, 0].double().tolist()}
    records = Records.of([f"start-{i}" for i in range(n)], split="start", scores=scores)
    return Population(weights, LAYOUT, records)


def steered(
    rule: str | Planted = "exact",
    *,
    n_starts: int = 8,
    prompts: int | np.ndarray = 12,
    seed: int = 0,
    start: Population | None = None,
    task: Any = None,
    progress: Callable[[int, int], None] | None = None,
) -> Steering:
    return steer(
        Planted(RULES[rule]) if isinstance(rule, str) else rule,
        start or starts(max(n_starts, 8)),
        task or Told(),
        prompts=prompt_grid(*SEEN, prompts) if isinstance(prompts, int) else prompts,
        n_starts=n_starts,
        progress=progress,
        rng=torch.Generator().manual_seed(seed),
    )


def summed_up(steering: Steering, **criteria: Any):
    return summarize(steering, rng=np.random.default_rng(0), criteria=SteeringCriteria(**criteria))


def interval(quantity: Quantity) -> tuple[float | None, ...]:
    return quantity.value, quantity.lower, quantity.upper


def test_prompts_are_evenly_spaced_in_the_logarithm_with_the_published_one_before_them():
    prompts = prompt_grid(0.1, 10.0, 5)
    assert prompts.tolist() == pytest.approx([0, 0.1, 10**-0.5, 1, 10**0.5, 10])
    assert (prompts[1], prompts[-1]) == (0.1, 10)
    with refused("wrong-option", 2, 1):
        prompt_grid(0.1, 10.0, 1)
    with refused("wrong-option", "1,000", "100,000"):
        prompt_grid(0.1, 10.0, 100_000)
    for least, greatest in ((0.0, 1.0), (1.0, 1.0), (1.0, float("inf"))):
        with refused("unsuited", f"{least:g}", f"{greatest:g}"):
            prompt_grid(least, greatest, 3)


@pytest.mark.parametrize(
    ("rule", "answer", "says"),
    [
        ("exact", Answer.STEERS, "100% [100%, 100%]"),
        ("noisy", Answer.STEERS, "32 starts"),
        ("flattened", Answer.ORDERS, "100% [100%, 100%]"),
        ("ignores", Answer.IGNORES, "32 starts"),
        ("constant", Answer.IGNORES, "50% [50%, 50%]"),
        ("inverts", Answer.IGNORES, "0% [0%, 0%]"),
    ],
)
def test_planted_generators_get_the_answer_they_deserve(rule, answer, says):
    # 32 starts: with few, that nothing steers is not shown either
    summary = summed_up(steered(rule, n_starts=32))
    assert summary.answers["answer"] is answer
    assert says in summary.sentence


def test_an_exact_generator_has_the_best_value_of_every_number():
    summary = summed_up(steered("exact"))
    for key in ("ordered_share", "spearman", "alignment_log", "alignment"):
        assert interval(summary[key]) == pytest.approx((1.0, 1.0, 1.0))
    assert summary["miss"].value == pytest.approx(0, abs=1e-6)
    assert summary["loss_at_zero"].value == pytest.approx(0.1)
    assert summary["accuracy_at_zero"].value == pytest.approx(99)
    assert summed_up(steered("inverts"))["spearman"].value == pytest.approx(-1)


def test_alignment_is_zero_where_every_loss_is_the_mean_prompt():
    steering = steered("exact")
    prompts = np.unique(steering.prompt)[1:]
    for key, mean in (("alignment", prompts.mean()), ("alignment_log", np.sqrt(0.1 * 2.5))):
        always = replace(steering, achieved=np.full(len(steering.prompt), mean))
        assert interval(summed_up(always)[key]) == pytest.approx((0, 0, 0), abs=1e-9)
        far = replace(steering, achieved=np.full(len(steering.prompt), 10 * mean))
        assert summed_up(far)[key].value < -1


def test_numbers_equal_those_of_scipy_sklearn_and_a_loop_over_pairs():
    steering = steered("noisy", n_starts=5, prompts=4)
    summary = summed_up(steering)
    asked = steering.prompt > 0
    prompt, achieved = steering.prompt[asked], steering.achieved[asked]
    pairs = [
        achieved[i] < achieved[j]
        for i in range(len(prompt))
        for j in range(len(prompt))
        if prompt[i] < prompt[j] and steering.start[asked][i] == steering.start[asked][j]
    ]
    of_each_start = [  # what should be predicted is the prompt, as in G.pt
        (prompt[start], achieved[start]) for start in (steering.start[asked] == i for i in range(5))
    ]
    expected = {
        "ordered_share": np.mean(pairs),
        "spearman": spearmanr(prompt, achieved).statistic,
        "alignment_log": np.mean([r2_score(np.log(p), np.log(a)) for p, a in of_each_start]),
        "alignment": np.mean([r2_score(p, a) for p, a in of_each_start]),
        "miss": np.median(abs(achieved - prompt)),
        "loss_at_zero": steering.achieved[~asked].mean(),
        "accuracy_at_zero": steering.accuracy[~asked].mean(),
    }
    assert len(pairs) == 5 * 6
    assert {e.key: e.value for e in summary.quantities.values()} == pytest.approx(expected)
    assert [e.n for e in summary.quantities.values()] == [20] * 5 + [5] * 2
    for e in summary.quantities.values():
        assert None not in (e.lower, e.value, e.upper)
        assert e.lower <= e.value <= e.upper


@pytest.mark.integration
def test_intervals_hold_the_truth_about_as_often_as_they_say():
    drawn = [summed_up(steered("noisy", n_starts=8, seed=seed)) for seed in range(30)]
    truth = summed_up(steered("noisy", n_starts=1000))
    for key in ("ordered_share", "alignment_log", "loss_at_zero"):
        found = [summary[key] for summary in drawn]
        assert sum(e.lower <= truth[key].value <= e.upper for e in found) >= 26


def test_starts_are_resampled_not_samples():
    steering = steered("ignores", n_starts=8)
    same = replace(steering, achieved=steering.start + 1.0)  # each start has its own loss
    flipped = np.where(steering.start % 2, steering.prompt, 3 - steering.prompt) + 1
    split = summed_up(replace(steering, achieved=flipped))
    assert interval(summed_up(same)["ordered_share"]) == (0.5, 0.5, 0.5)
    share = split["ordered_share"]  # half of the starts follow, half invert: a wide interval
    assert share.value == 0.5
    assert share.lower < 0.2
    assert share.upper > 0.8
    assert split.answers["answer"] is Answer.OPEN


def test_too_few_starts_show_nothing():
    few = summed_up(steered("exact", n_starts=4))
    assert few.answers["answer"] is Answer.OPEN
    assert "4 starts" in few.sentence
    assert f"{SteeringCriteria().min_starts}" in few.sentence
    one = summed_up(steered("exact", n_starts=1))
    assert one.answers["answer"] is Answer.OPEN
    assert "1 start," in one.sentence
    assert (one["spearman"].lower, one["spearman"].level) == (None, None)


def test_thresholds_decide():
    steering = steered("noisy")
    assert summed_up(steering, alignment=0.99).answers["answer"] is Answer.ORDERS
    assert summed_up(steering, no_order=0.99).answers["answer"] is Answer.OPEN
    assert summed_up(steering, little_order=0.99).answers["answer"] is Answer.IGNORES
    assert summed_up(steering, min_starts=9).answers["answer"] is Answer.OPEN


def test_what_does_not_exist_is_none_and_never_nan():
    steering = steered("constant")
    summary = summed_up(replace(steering, achieved=np.full(len(steering.prompt), 0.5)))
    assert summary["spearman"].value is None
    assert summary["spearman"].lower is None
    assert summary.answers["answer"] is Answer.IGNORES
    keep = steering.prompt > 0
    columns = ("prompt", "start", "start_loss", "achieved", "accuracy")
    without = replace(steering, **{name: getattr(steering, name)[keep] for name in columns})
    assert summed_up(without)["loss_at_zero"].value is None
    json.dumps(summed_up(without).to_json(), allow_nan=False)


def test_every_start_is_asked_for_every_prompt_in_few_calls(monkeypatch):
    fitted, heard = Planted(RULES["exact"]), []
    monkeypatch.setattr("novelweights.studies.steering.prompting.SAMPLES_AT_ONCE", 20)
    task = Told()
    steering = steered(
        fitted, start=starts(9), task=task, prompts=6, progress=lambda *now: heard.append(now)
    )
    assert [n for n, _, _ in fitted.calls] == [16, 16, 16, 8]
    assert all(measure == task.loss for _, _, measure in fitted.calls)
    assert heard == [(i, 8) for i in range(1, 9)]
    assert steering.achieved == pytest.approx(np.maximum(steering.prompt, 0.1))
    assert set(steering.start) == set(range(8))
    assert steering.start_loss == pytest.approx(2.2 + 0.3 * steering.start / 8)
    assert steering.seen.tolist() == [False] * 8 + [True] * 48


def test_too_many_samples_are_refused_before_any_is_made():
    fitted = Planted(RULES["exact"])
    with refused("wrong-option", "20,000", "1,001", 20):
        steered(fitted, n_starts=20, prompts=1000)
    assert fitted.calls == []


def test_as_many_prompts_as_are_taken_are_summed_up(monkeypatch):
    monkeypatch.setattr("novelweights.auditing.judge.statistics.DRAWS", 3)
    summary = summed_up(steered("exact", n_starts=8, prompts=1000))
    assert summary["ordered_share"].value == 1


def test_fewer_starts_than_asked_for_are_all_used():
    assert len(steered(start=starts(3), prompts=2, n_starts=16).prompt) == 9


def test_starts_of_which_the_loss_is_another_are_refused():
    right = starts()
    wrong = {"test_loss": right.records.scores["test_loss"] * np.where(np.arange(8) == 3, 1.5, 1)}
    with refused("wrong-records", "test_loss", "row 3", "told"):
        steered(start=replace(right, records=replace(right.records, scores=wrong)), prompts=2)
    with refused("wrong-records", "test_loss"):
        steered(start=replace(right, records=replace(right.records, scores={})))
    other = WeightLayout((("b", (2,)),))
    with refused("other-network", "start"):
        steered(start=replace(right, layout=other))
    with refused("not-finite", "NaN"):
        steered(Planted(lambda prompt, noise: prompt / 0 * 0))
    with refused("unsuited", "told"):
        steered(task=SimpleNamespace(**{k: getattr(Told(), k) for k in dir(Told) if k in TASK}))
    endless = Told()
    endless.loss = lambda population: (
        population.weights[:, 0].double() if len(population) == 8 else torch.full((24,), np.inf)
    )
    with refused("not-finite", "24 of 24"):
        steered(task=endless, prompts=2)
    with pytest.raises(ValueError, match="two prompts"):
        steered(prompts=np.array([0.0, 1.0]))


TASK = ("name", "quality", "novelty", "behave", "score", "novelty_against")


def test_only_generators_with_prompts_are_taken(make_population):
    assert isinstance(Told(), LossTask)
    assert isinstance(Planted(RULES["exact"]), Prompted)
    baseline = make_generator("noise").fit(make_population(3), rng=torch.Generator())
    with refused("unsuited", "noise", "g-pt"):
        require_prompted(baseline, "noise")
    many = make_population(6)
    runs = Records.of(
        ["a", "a", "b", "b", "c", "c"],
        split="train",
        step=[0, 1] * 3,
        scores={"test_loss": [2.0, 0.5, 2.1, 0.4, 2.2, 0.3]},
    )
    fitted = replace(SCALES["smoke"], steps=1).fit(
        replace(many, records=runs), rng=torch.Generator().manual_seed(0)
    )
    assert require_prompted(fitted, "g-pt") is fitted
    assert fitted.loss_range == pytest.approx((0.3, 2.2))


def test_an_incomplete_grid_is_refused():
    steering = steered("exact")
    for broken in ({"start": np.zeros(104, dtype=np.int64)}, {"prompt": np.zeros(104)}):
        with pytest.raises(ValueError, match="every start"):
            replace(steering, **broken)
    with pytest.raises(ValueError, match="below"):
        replace(steering, prompt=steering.prompt - 1)


def test_files_hold_every_sample_and_the_summary(tmp_path):
    steering = steered("noisy", prompts=3)
    summary = summed_up(steering)
    write_steering(tmp_path, steering, summary, {"method": "planted", "seed": 0})
    data = json.loads((tmp_path / "steering.json").read_text())
    assert data["schema_version"] == 1
    assert data["about"] == {"method": "planted", "seed": 0}
    assert data["loss_range"] == [0.1, 2.5]
    assert data["summary"]["answer"] == "steers"
    assert data["summary"]["criteria"]["no_order"] == 0.5
    quantities = {entry["key"]: entry for entry in data["summary"]["quantities"]}
    assert quantities["spearman"]["value"] == pytest.approx(summary["spearman"].value, rel=1e-5)
    table = pd.read_csv(tmp_path / "steering.csv")
    assert len(table) == len(data["rows"]) == 8 * 4
    assert table["prompt"][:4].tolist() == pytest.approx([0, 0.1, 0.5, 2.5])
    assert table["seen"][:4].tolist() == [False, True, True, True]
    assert [row["achieved"] for row in data["rows"]] == pytest.approx(
        table["achieved"].tolist(), rel=1e-5
    )
    assert (tmp_path / "steering.json").stat().st_size < 12_000
