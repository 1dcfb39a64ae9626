"""What is run at each scale, and what pictures say of it."""

import pytest
from refused import refused

from novelweights.reproduce.exhibits import EXHIBITS
from novelweights.reproduce.plan import plan_of
from novelweights.reproduce.reproducing import possible


@pytest.mark.parametrize("scale", ["smoke", "laptop", "paper"])
def test_every_exhibit_can_be_made_at_the_scales_of_all_methods(scale):
    assert possible(plan_of(scale)) == list(EXHIBITS)


def test_other_data_are_run_of_two_methods():
    plan = plan_of("laptop-beside")
    made = possible(plan)
    assert {"figure-3", "figure-4", "table-2", "exhibit-a"} < set(made)
    assert not {"figure-7", "figure-8", "table-1", "table-4"} & set(made)
    assert EXHIBITS["table-2"].needs(plan)
    with refused("wrong-option"):
        EXHIBITS["table-4"].needs(plan)


def test_the_caption_says_scale_data_and_runs():
    plan = plan_of("laptop-beside")
    caption = plan.caption(EXHIBITS["figure-4"].needs(plan))
    assert caption == (
        "Scale laptop-beside. Hyper-Representations: CIFAR-10 (JPEG copy), 60 training runs; "
        "G.pt: scikit-learn's digits, 570 training runs."
    )
