"""Honest networks of many kinds and recipes are accused no more often than by chance.

Small sizes; `python -m benchmarks.accusations` is the study.
"""

from pathlib import Path

import pytest

from benchmarks.accusations import Cell, Sizes, judged, render
from benchmarks.honest_families import FAMILIES
from novelweights.auditing.judge.statistics import share_beyond
from novelweights.auditing.measures import ACCUSING
from novelweights.files import read_json

ROOT = Path(__file__).parents[2]
SIZES = Sizes(training=24, heldout=30, fresh=20, other=10)
RECIPES = ("untrained", "untrained, a tenth as large", "stopped after a quarter", "times 0.8")


@pytest.mark.integration
@pytest.mark.parametrize(
    ("family", "shared_start"), [*zip(FAMILIES, [True, False] * 4, strict=False)]
)
def test_honest_networks_are_not_accused(family, shared_start):
    same, *others = judged(family, SIZES, shared_start=shared_start, recipes=RECIPES)
    chance = share_beyond(same.accused, same.n, SIZES.heldout, r=len(ACCUSING))
    assert chance.p_value > 0.001, same
    accused = sum(cell.accused for cell in others)
    chance = share_beyond(accused, sum(cell.n for cell in others), SIZES.heldout, r=len(ACCUSING))
    assert chance.p_value > 0.001, others


def test_the_page_is_that_of_the_kept_results():
    study = read_json(ROOT / "results" / "laptop" / "accusations" / "accusations.json")
    text = render([Cell(**cell) for cell in study["cells"]], Sizes(**study["sizes"]))
    assert text == (ROOT / "docs" / "accusations.md").read_text(encoding="utf-8")
