"""What is run at each scale, and what pictures say of it."""

import pytest
from refused import refused

from novelweights.reproduce.exhibits import EXHIBITS
from novelweights.reproduce.plan import plan_of
from novelweights.reproduce.reproducing import possible
from novelweights.reproduce.settings import SETTINGS


@pytest.mark.parametrize("scale", ["smoke", "laptop", "paper"])
def test_every_exhibit_can_be_made_at_the_scales_of_all_methods(scale):
    assert possible(plan_of(scale)) == list(EXHIBITS)


def test_other_data_are_run_of_two_methods():
    plan = plan_of("laptop-other-data")
    made = possible(plan)
    assert {"figure-3", "figure-4", "table-2", "exhibit-a"} < set(made)
    assert not {"figure-7", "figure-8", "table-1", "table-4"} & set(made)
    assert EXHIBITS["table-2"].needs(plan)
    with refused("wrong-option"):
        EXHIBITS["table-4"].needs(plan)


@pytest.mark.parametrize("scale", list(SETTINGS))
def test_every_scale_has_a_caption(scale):
    plan = plan_of(scale)
    for name in possible(plan):
        assert plan.caption(EXHIBITS[name].needs(plan)).startswith(f"Scale {scale}. ")


def test_the_caption_says_scale_data_and_runs():
    plan = plan_of("laptop-other-data")
    caption = plan.caption(EXHIBITS["figure-4"].needs(plan))
    assert caption == (
        "Scale laptop-other-data. Hyper-Representations: CIFAR-10 (JPEG copy), 60 training runs; "
        "G.pt: scikit-learn's digits, 570 training runs."
    )
