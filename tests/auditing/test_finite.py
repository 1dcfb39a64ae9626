"""Generated checkpoints that hold no numbers are broken, and the others are judged."""

import csv
import json
from pathlib import Path

import pytest
import torch
from planted import seeded
from refused import noted, refused
from tiny import drawn, named

import novelweights as nw

TRAIN, HELDOUT = named(drawn(8, 1), "train"), named(drawn(20, 2), "heldout")
pytestmark = pytest.mark.usefixtures("quick", "few_controls")
BAD = {"NaN": float("nan"), "infinite": float("inf"), "overflowing": 1e30}


def samples(n: int, *bad: int, value: float = float("nan")) -> nw.Population:
    weights = drawn(n, 3)
    for row in bad:
        weights[row, int(torch.randint(weights.shape[1], (), generator=seeded(row)))] = value
    return named(weights, "generated")


@pytest.mark.parametrize("kind", BAD)
def test_one_that_is_not_finite_is_broken_and_the_others_are_judged(kind: str):
    made = samples(6, 2, value=BAD[kind])
    audited = nw.audit(TRAIN, made, heldout=HELDOUT, symmetry=None)
    assert audited.verdicts.counts()["broken"] == 1
    assert sum(audited.verdicts.counts().values()) == 6
    assert noted(audited.result.warnings, "not-finite-samples", "1 of 6", made.records.run[2])
    alone = nw.audit(TRAIN, made.select([0, 1, 3, 4, 5]), heldout=HELDOUT, symmetry=None)
    assert audited.result.generated.distance.tolist() == alone.result.generated.distance.tolist()


@pytest.mark.integration
@pytest.mark.parametrize("kind", BAD)
def test_one_that_is_not_finite_is_in_table_and_numbers(tmp_path: Path, kind: str):
    made = samples(6, 2, value=BAD[kind])
    nw.audit(TRAIN, made, heldout=HELDOUT, symmetry=None).write(tmp_path / "run")
    with (tmp_path / "run" / "checkpoints.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["row"] for row in rows] == ["0", "1", "3", "4", "5", "2"]
    assert [row["verdict"] for row in rows].index("broken") == 5
    assert rows[0]["nearest_row"].isdecimal()
    told = json.loads((tmp_path / "run" / "audit.json").read_text())
    assert told["about"]["not_finite"] == {"2": made.records.run[2]}
    assert told["verdict"]["counts"]["broken"] == 1


def test_where_most_are_not_finite_the_population_is_broken():
    audited = nw.audit(TRAIN, samples(30, *range(28)), heldout=HELDOUT, symmetry=None)
    assert audited.verdicts.counts()["broken"] == 28


def test_where_none_is_finite_or_in_other_roles_they_are_refused():
    with refused("not-finite", "2"):
        nw.audit(TRAIN, samples(2, 0, 1), heldout=HELDOUT)
    for roles in ({"train": samples(8, 3)}, {"heldout": samples(20, 3)}):
        with refused("not-finite", *roles):
            nw.audit(**{"train": TRAIN, "generated": samples(4), "heldout": HELDOUT, **roles})
