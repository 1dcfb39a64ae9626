"""Training networks that do not work as a task: nothing is said of behavior."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import audit, seeded
from refused import noted
from tiny import NETWORK, drawn, named, task

from novelweights.auditing.judge.criteria import DEFAULT_CRITERIA
from novelweights.auditing.judge.failed_training import chance_level, why_inaccurate
from novelweights.auditing.judge.verdict import judge
from novelweights.data.images import ImageData
from novelweights.tasks.classification import Classification
from novelweights.weights.population import Population


def why(median: float, n: int, chance: float | None, recorded: float | None = None) -> bool:
    said = None if recorded is None else np.array([recorded, np.nan, recorded])
    accuracies = np.array([median - 1, median, median + 1], dtype=np.float64)
    level = None if chance is None else float(chance)
    return bool(why_inaccurate(accuracies, n, level, said, DEFAULT_CRITERIA))


@pytest.mark.parametrize(
    ("case", "fails"),
    [
        ((10, 100, 10), True),
        ((17, 100, 10), True),  # P(at least 17 of 100 by chance) is .021
        ((19, 100, 10), False),  # of 19, .005
        ((11, 10_000, 10), False),
        ((50, 10, 10), False),
        ((5, 100, 10), True),
        ((39, 1000, 10, 98), True),  # the networks with statistics of another
        ((60, 1000, 10, 98), False),  # another test set, perhaps
        ((39, 1000, None, 98), True),
        ((39, 1000, None), False),
        ((30, 10, None, 65), False),  # 3 of 10 are no evidence against 65%
        ((100, 100, 10, 100), False),
    ],
)
def test_the_rule(case, fails):
    assert why(*case) is fails


def trained(n: int, seed: int) -> torch.Tensor:
    """Networks near one that works."""
    return drawn(1, 101) + 0.3 * drawn(n, seed)


def relabelled(labels: torch.Tensor) -> Classification:
    data = task(200).data
    return Classification(
        "relabelled", NETWORK, ImageData(**{**vars(data), "test_y": labels, "train_y": labels})
    )


def test_chance_is_the_most_frequent_class():
    labels = torch.tensor([0] * 120 + [1] * 50 + [2] * 30)
    assert chance_level(relabelled(labels)) == 60


def test_training_networks_are_not_run_twice(quick, monkeypatch):
    train, heldout = named(trained(12, 1), "train"), named(trained(30, 2), "heldout")
    seen = []

    def behave(self: Classification, population: Population) -> torch.Tensor:
        seen.append(population.records.run[0])
        return originally(self, population)

    originally = Classification.behave
    monkeypatch.setattr(Classification, "behave", behave)
    audit(train, named(trained(6, 3), "generated"), heldout=heldout, task=task(200), n_controls=0)
    assert seen.count(train.records.run[0]) == 1


@pytest.mark.parametrize("given", ["right", "shuffled", "recorded"])
def test_an_audit_judges_behavior_only_of_networks_that_work(quick, given):
    train, heldout = named(trained(12, 1), "train"), named(trained(30, 2), "heldout")
    generated = named(torch.cat([trained(6, 3), 9 * drawn(6, 4)]), "generated")
    judged_by = task(200)
    if given == "shuffled":  # other labels, as where classes are in another order
        order = torch.randperm(200, generator=seeded(5))
        judged_by = relabelled(judged_by.data.test_y[order])
    if given == "recorded":
        best = {"test_accuracy": np.full(12, 100.0)}
        train = replace(train, records=replace(train.records, scores=best))
        wrong = task(200).data.test_y.clone()
        wrong[::2] = (wrong[::2] + 1) % 3
        wrong[1::5] = (wrong[1::5] + 1) % 3
        judged_by = relabelled(wrong)
    result = audit(train, generated, heldout=heldout, task=judged_by, n_controls=0)
    [*texts] = noted(result.warnings, "failed-training", judged_by.name)
    origins = {str(one.origin) for one in judge(result).checkpoints}
    if given == "right":
        assert not texts
        assert result.quality is not None
        assert "broken" in origins
    else:
        assert len(texts) == 1
        assert result.warnings[0].code == "failed-training"
        assert result.quality is None
        assert result.generated.quality is None
        assert result.about["failed_task"] == judged_by.name
        assert not noted(result.warnings, "no-task")
        assert not origins & {"broken", "novel"}
        assert all(one.works is None for one in judge(result).checkpoints)
