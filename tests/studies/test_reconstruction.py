"""Reconstruction by planted codecs: some that must be found invariant, some that must not."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from refused import refused
from scipy.stats import t
from torch import Tensor

from novelweights.auditing.result import Quantity
from novelweights.generators import make_generator
from novelweights.generators.generator import FittedGenerator
from novelweights.metrics.agreement import error_iou
from novelweights.networks.mlp import OneHiddenMLP
from novelweights.studies.reconstruction.measure import (
    ErrorTask,
    paired_error_iou,
    reconstruct,
    some_runs,
)
from novelweights.studies.reconstruction.pairs import (
    TRAINING,
    Kind,
    Reconstructed,
    change,
    table_of,
)
from novelweights.studies.reconstruction.summary import (
    NUMBERS,
    Answer,
    Criteria,
    Effect,
    summarize,
)
from novelweights.studies.study import Summary, write_study
from novelweights.tasks.task import Measure
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, PopulationInfo, Records
from novelweights.weights.symmetry import NeuronSymmetry, random_transform, transform

NETWORK = OneHiddenMLP(5, 4, 3, "tanh")
RELU = OneHiddenMLP(5, 4, 3, "relu")  # not odd: no signs to flip
OWN = Kind.RECONSTRUCTION


@pytest.fixture(autouse=True)
def _fewer_draws(monkeypatch):
    monkeypatch.setattr("novelweights.auditing.judge.statistics.DRAWS", 200)


class Tiny:
    """Classifies random inputs; the labels are those of a network near which all others lie."""

    name = "tiny"
    quality = Measure("accuracy", "%", higher_is_better=True)
    novelty = Measure("maximum similarity", "", higher_is_better=False)

    def __init__(self, network: OneHiddenMLP = NETWORK) -> None:
        self.network = network
        self.x = torch.randn(400, 5, generator=torch.Generator().manual_seed(1))
        self.labels = self.predict(teacher(network)[None])[0]

    def predict(self, weights: Tensor) -> Tensor:
        return self.network.forward(weights, self.x).argmax(dim=2).to(torch.uint8)

    def behave(self, population: Population) -> Tensor:
        return self.predict(population.in_order_of(self.network.layout).weights)

    def errors(self, behavior: Tensor) -> Tensor:
        return behavior != self.labels

    def score(self, behavior: Tensor) -> Tensor:
        return 100 * (behavior == self.labels).double().mean(dim=1)

    def novelty_against(
        self, behavior: Tensor, reference: Tensor, *, exclude: Tensor | None = None
    ) -> Tensor:
        raise NotImplementedError


@dataclass
class Codec:
    """A fitted generator that gives a population back as a function of its weights."""

    through: Callable[[Tensor], Tensor]

    def as_reference(self, population: Population) -> Population:
        return population.with_weights(self.through(population.weights), split="reconstruction")

    def sample(self, n: int, *, rng, start=None, progress=None) -> Population:
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        raise NotImplementedError


def teacher(network: OneHiddenMLP) -> Tensor:
    rng = torch.Generator().manual_seed(7)
    return 1.5 * torch.randn(network.layout.size, generator=rng)


def networks(
    n: int, *, network: OneHiddenMLP = NETWORK, seed: int = 0, split: str = "train"
) -> Population:
    """Noisy forms of the teacher, each with its neurons in an order and with signs of its own."""
    rng = torch.Generator().manual_seed(seed)
    noise = 0.3 * torch.randn(n, network.layout.size, generator=rng)
    weights = random_transform(teacher(network) + noise, network.layout, network.symmetry, rng=rng)
    records = Records.of([f"{split}-{i}" for i in range(n)], split=split)
    info = PopulationInfo("planted", {}, network.name, network.symmetry, "tiny")
    return Population(weights, network.layout, records, info)


def sorted_by_bias(weights: Tensor) -> Tensor:
    bias = NETWORK.layout.unflatten(weights)["hidden.bias"]
    return transform(weights, NETWORK.layout, NETWORK.symmetry, {"h": bias.argsort(dim=1)})


def positive_bias(weights: Tensor) -> Tensor:
    bias = NETWORK.layout.unflatten(weights)["hidden.bias"]
    signs = torch.where(bias < 0, -1.0, 1.0)
    return transform(weights, NETWORK.layout, NETWORK.symmetry, {}, {"h": signs})


def by_place(weights: Tensor) -> Tensor:
    """An error that depends on where a weight stands."""
    rng = torch.Generator().manual_seed(3)
    return weights + 0.8 * torch.randn(weights.shape[1], generator=rng)


CODECS: dict[str, Callable[[Tensor], Tensor]] = {
    "rounds": lambda w: (w * 1e6).round() / 1e6,
    "sorts": lambda w: by_place(sorted_by_bias(w)),
    "canonical": lambda w: by_place(sorted_by_bias(positive_bias(w))),
    "by place": by_place,
    "constant": lambda w: teacher(NETWORK).expand(len(w), -1) + 1,
}


def measured(
    codec: str | Callable[[Tensor], Tensor] = "by place",
    n: int = 24,
    *,
    fitted: FittedGenerator | None = None,
    heldout: int | Population = 0,
    network: OneHiddenMLP = NETWORK,
    seed: int = 0,
    **changed: Any,
) -> Reconstructed:
    given = {
        "training": networks(n, network=network),
        "task": Tiny(network),
        "symmetry": network.symmetry,
        "heldout": heldout or None,
    } | changed
    if isinstance(heldout, int) and heldout:
        given["heldout"] = networks(heldout, seed=5, split="heldout")
    return reconstruct(
        fitted or Codec(CODECS[codec] if isinstance(codec, str) else codec),
        given.pop("training"),
        given.pop("task"),
        method="planted",
        rng=torch.Generator().manual_seed(seed),
        **given,
    )


def summed_up(found: Reconstructed, **criteria: Any) -> Summary:
    return summarize(found, rng=np.random.default_rng(0), criteria=Criteria(**criteria))


def permuted(summary: Summary) -> Answer:
    return summary.answers["answers"]["permuted"]


def interval(quantity: Quantity) -> tuple[float | None, ...]:
    return quantity.value, quantity.lower, quantity.upper


@pytest.mark.parametrize(
    ("codec", "order", "signs"),
    [
        ("rounds", Answer.INVARIANT, Answer.INVARIANT),
        ("canonical", Answer.INVARIANT, Answer.INVARIANT),
        ("sorts", Answer.INVARIANT, Answer.VARIES),
        ("by place", Answer.VARIES, Answer.VARIES),
        ("constant", Answer.SAME, Answer.SAME),
    ],
)
def test_planted_codecs_get_the_answer_they_deserve(codec, order, signs):
    summary = summed_up(measured(codec))
    assert summary.answers["answers"] == {"permuted": order, "sign_flipped": signs}
    assert ("[1, 1]" in summary.sentence) == (order is not Answer.VARIES)
    assert "24 training runs" in summary.sentence


def test_an_identity_up_to_rounding_has_the_best_value_of_every_number():
    summary = summed_up(measured("rounds"))
    for move in ("permuted", "sign_flipped"):
        for name, best in (("accuracy_difference", 0), ("error_similarity", 1)):
            assert interval(summary[f"{name}_{move}"]) == (best, best, best)
        assert summary[f"prediction_overlap_{move}"].value == 1
        assert summary[f"kept_{move}"].value == pytest.approx(1, abs=1e-3)
    assert summary["error_similarity_reconstruction"].value == 1
    assert interval(summary["accuracy_change"]) == (0, 0, 0)
    assert summary["relative_squared_error"].value == pytest.approx(0, abs=1e-9)
    assert summary["distance_reconstruction"].value < 1e-4
    assert summary.answers["effect"] is Effect.OPEN
    assert "0 [0, 0] points" in summary.sentence


def test_a_codec_that_loses_lowers_accuracy_and_one_that_mends_raises_it():
    lost = summed_up(measured("by place"))
    assert lost.answers["effect"] is Effect.LOWERS
    assert f"{lost['accuracy_reconstruction'].value:.1f}%" in lost.sentence
    assert lost["accuracy_change"].upper < 0
    mended = summed_up(measured(lambda w: teacher(NETWORK).expand(len(w), -1).clone()))
    assert mended.answers["effect"] is Effect.RAISES
    assert mended["accuracy_reconstruction"].value == 100
    assert permuted(mended) is Answer.SAME


def test_numbers_equal_those_of_a_loop():
    found = measured("by place", n=10, heldout=6)
    task, training = Tiny(), networks(10)
    back = by_place(training.weights)
    predicted = [task.predict(w) for w in (training.weights, back)]
    wrong = [p != task.labels for p in predicted]
    own = found[OWN, TRAINING]
    assert [*own.run] == [*own.other] == [f"train-{i}" for i in range(10)]
    for i in range(10):
        a, b = ({*torch.nonzero(w[i])[:, 0].tolist()} for w in wrong)
        assert own.error_similarity[i] == pytest.approx(len(a & b) / len(a | b))
        assert own.accuracy[i] == pytest.approx(100 - 100 * len(a) / 400)
        assert own.prediction_overlap[i] == (predicted[0][i] == predicted[1][i]).double().mean()
        assert own.distance[i] == pytest.approx(
            np.linalg.norm((training.weights[i] - back[i]).numpy())
        )
    summary, rows = summed_up(found), training.weights.double()
    lost = (back.double() - rows).square().sum()
    spread = (rows - rows.mean(dim=0)).square().sum()
    assert summary["relative_squared_error"].value == pytest.approx(float(lost / spread))
    held = networks(6, seed=5, split="heldout").weights.double()
    lost = (by_place(held.float()).double() - held).square().sum()
    spread = (held - rows.mean(dim=0)).square().sum()  # the training mean
    assert summary["relative_squared_error_heldout"].value == pytest.approx(float(lost / spread))
    assert summary["distance_reconstruction"].value == pytest.approx(np.median(own.distance))


def test_every_run_stands_in_one_pair_of_different_networks():
    found = measured("by place", n=11)
    pairs, after = (found[kind, TRAINING] for kind in (Kind.ORIGINALS, Kind.RECONSTRUCTIONS))
    assert len({*pairs.run, *pairs.other}) == 2 * len(pairs) == 10
    assert pairs[["run", "other"]].equals(after[["run", "other"]])
    names = [f"train-{i}" for i in range(11)]
    weights = networks(11).weights
    one, other = (weights[[names.index(run) for run in who]] for who in (pairs.run, pairs.other))
    assert pairs.distance.tolist() == pytest.approx((one - other).norm(dim=1).numpy(), rel=1e-5)
    errors = [Tiny().errors(Tiny().predict(w)) for w in (one, other)]
    assert pairs.error_similarity.tolist() == pytest.approx(error_iou(*errors).diagonal().numpy())


def test_paired_similarity_is_the_diagonal_of_that_of_all_pairs(rng):
    errors = torch.rand(2, 6, 30, generator=rng) < 0.3
    errors[:, 0] = False
    found = paired_error_iou(errors[0], errors[1])
    assert found.tolist() == error_iou(errors[0], errors[1]).diagonal().tolist()
    assert found[0] == 1


def test_intervals_of_means_are_those_of_student_about():
    found = measured("by place", n=24)
    difference = change(found[OWN, TRAINING])
    half = t.ppf(0.975, 23) * difference.std(ddof=1) / np.sqrt(24)
    estimate = summed_up(found)["accuracy_change"]
    assert estimate.lower == pytest.approx(difference.mean() - half, abs=0.25 * half)
    assert estimate.upper == pytest.approx(difference.mean() + half, abs=0.25 * half)
    assert (estimate.n, estimate.level, estimate.unit) == (24, 0.95, "points")


def test_heldout_runs_get_the_same_numbers_and_decide_nothing():
    found = measured("by place", n=12, heldout=9)
    summary = summed_up(found)
    keys = [*summary.quantities]
    names = [name for numbers in NUMBERS.values() for name in numbers]
    assert sorted(keys) == sorted([*names, *(f"{name}_heldout" for name in names)])
    assert len(set(keys)) == len(keys)
    assert summary["error_similarity_permuted_heldout"].n == 9
    assert summary["error_similarity_between_originals_heldout"].n == 4
    alone = summed_up(measured("by place", n=12))
    assert alone.answers == summary.answers
    assert alone["accuracy_change"].value == summary["accuracy_change"].value


def test_networks_without_odd_activation_are_not_flipped():
    found = measured("by place", network=RELU)
    assert (Kind.FLIPPED, TRAINING) not in found
    summary = summed_up(found)
    assert summary.answers["answers"] == {"permuted": Answer.VARIES}


def test_a_declared_symmetry_that_changes_the_function_is_refused():
    wrong = replace(RELU.symmetry, sign_groups=frozenset({"h"}))
    with refused("wrong-symmetry", "sign-flipped", "99.9%"):
        measured("by place", network=RELU, symmetry=wrong)
    half = NeuronSymmetry({**NETWORK.symmetry.axes, "hidden.bias": (None,)})
    with refused("wrong-symmetry", "permuted", "99.9%"):
        measured("by place", symmetry=half)


def test_input_that_cannot_be_judged_ends_in_one_line():
    def is_refused(code: str, *named: object, codec: Any = "by place", **changed: Any) -> None:
        with refused(code, *named):
            measured(codec, n=4, **changed)

    for codec in (lambda w: w, lambda w: w.clone()):
        is_refused("unsuited", "planted", codec=codec)
    is_refused("not-traceable", symmetry=None)
    other = NeuronSymmetry({"other": (None,)})
    is_refused("other-network", symmetry=other)
    nothing = NeuronSymmetry({name: (None,) * len(s) for name, s in NETWORK.layout.shapes})
    is_refused("unsuited", symmetry=nothing)
    is_refused("unsuited", "tiny", task=type("Blind", (), {k: getattr(Tiny(), k) for k in TASK})())
    broken = networks(4)
    broken.weights[2, 3] = float("nan")
    with refused("not-finite", "row 2"):
        measured("by place", training=broken)
    with refused("not-finite", "training"):
        measured(lambda w: w / 0, n=4)
    with refused("other-network", "heldout"):
        measured(n=4, heldout=replace(networks(4), layout=WeightLayout((("other", (39,)),))))


TASK = ("name", "quality", "novelty", "behave", "score", "novelty_against")


def test_one_run_or_few_show_nothing():
    one = summed_up(measured("by place", n=1))
    assert permuted(one) is Answer.OPEN
    assert interval(one["error_similarity_permuted"])[1:] == (None, None)
    assert one["error_similarity_between_originals"].value is None
    assert one["relative_squared_error"].value is None
    assert "1 training run," in one.sentence
    json.dumps(one.to_json(), allow_nan=False)
    few = summed_up(measured("by place", n=7))
    assert (permuted(few), few.answers["effect"]) == (Answer.OPEN, Effect.OPEN)
    assert permuted(summed_up(measured("by place", n=7), min_runs=7)) is Answer.VARIES


def test_the_threshold_decides():
    found = measured("by place", n=12)
    similarity = summed_up(found)["error_similarity_permuted"]
    middle = (similarity.lower + similarity.upper) / 2
    assert permuted(summed_up(found, same=middle)) is Answer.OPEN
    assert permuted(summed_up(found, same=similarity.lower)) in (
        Answer.INVARIANT,
        Answer.SAME,
    )


def test_some_runs_are_last_checkpoints_drawn_at_random(rng):
    population = networks(12)
    records = Records.of([f"r{i // 2}" for i in range(12)], split="train", step=[1, 2] * 6)
    population = replace(population, records=records)
    assert list(some_runs(population, 10, rng=rng).records.run) == [f"r{i}" for i in range(6)]
    few = some_runs(population, 3, rng=rng)
    assert len(set(few.records.run)) == 3
    assert set(few.records.step) == {2}
    assert list(few.records.run) == sorted(few.records.run)
    drawn = {tuple(some_runs(population, 3, rng=rng).records.run) for _ in range(10)}
    assert len(drawn) > 1


def test_equal_seeds_give_equal_pairs_and_progress_is_told():
    heard = []
    one = measured("by place", n=6, heldout=4)
    same = measured(
        "by place", n=6, heldout=4, progress=lambda done, total: heard.append((done, total))
    )
    pd.testing.assert_frame_equal(table_of(one), table_of(same))
    assert heard == [(n, 60) for n in (*range(6, 37, 6), *range(40, 61, 4))]
    other = measured("by place", n=6, heldout=4, seed=1)
    assert not table_of(one).equals(table_of(other))


def test_parameters_may_lie_in_another_order():
    training = networks(8)
    swapped = WeightLayout(tuple(reversed(NETWORK.layout.shapes)))
    expected = table_of(measured(CODECS["rounds"], training=training))

    class Sorted(Codec):
        def as_reference(self, population: Population) -> Population:
            return super().as_reference(population.in_order_of(NETWORK.layout))

    found = measured(fitted=Sorted(CODECS["rounds"]), training=training.in_order_of(swapped))
    pd.testing.assert_frame_equal(table_of(found), expected)


def test_hyper_representations_of_tiny_networks_are_measured():
    training = networks(8)
    scores = {"test_accuracy": np.linspace(50, 60, 8)}
    training = replace(training, records=replace(training.records, scores=scores))
    generator = make_generator("hyper-representations", "smoke", steps=2)
    fitted = generator.fit(training, rng=torch.Generator().manual_seed(0))
    found = measured(fitted=fitted, training=training, symmetry=training.info.symmetry)
    assert len(table_of(found)) == 8 + 8 + 8 + 4 + 4
    assert isinstance(Tiny(), ErrorTask)


def test_files_hold_every_pair_and_the_summary(tmp_path):
    found = measured("by place", n=8, heldout=4)
    summary = summed_up(found)
    paper = {"setting": "CNNs", "numbers": {"x": {"text": "6%", "source": "figure 9"}}}
    about = {"method": "planted"}
    write_study(tmp_path, "reconstruction", summary, table_of(found), about, paper=paper)
    data = json.loads((tmp_path / "reconstruction.json").read_text())
    assert data["schema_version"] == 1
    assert data["about"] == {"method": "planted"}
    assert data["paper"] == paper
    assert data["summary"]["answers"] == {
        "permuted": "not invariant",
        "sign_flipped": "not invariant",
    }
    assert data["summary"]["criteria"] == {"min_runs": 8, "same": 0.99}
    quantities = {entry["key"]: entry for entry in data["summary"]["quantities"]}
    assert {"n", "lower", "upper", "definition"} <= set(quantities["accuracy_change"])
    assert quantities["accuracy_change"]["value"] == pytest.approx(
        summary["accuracy_change"].value, rel=1e-5
    )
    table = pd.read_csv(tmp_path / "reconstruction.csv")
    assert len(table) == len(data["rows"]) == 3 * 8 + 2 * 4 + 3 * 4 + 2 * 2
    assert list(table.columns) == list(data["rows"][0])
    assert set(table["kind"]) == set(map(str, Kind))
    assert [row["distance"] for row in data["rows"]] == pytest.approx(
        table["distance"].tolist(), rel=1e-5
    )
