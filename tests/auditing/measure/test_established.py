"""Established measures as quantities of an audit."""

import numpy as np
import pytest
from planted import audit
from scipy.stats import binomtest
from tiny import NETWORK, drawn, named

from novelweights.auditing.judge.verdict import judge
from novelweights.auditing.measure.established import GROUP, established_quantities
from novelweights.metrics.established import CloserShare, DataCopying, EstablishedMeasures

pytestmark = pytest.mark.usefixtures("quick")

FLAGS = ("ratio_rule", "calibrated_l2", "not_authentic")
TESTS = ("data_copying_published", "data_copying_corrected")
CLOSER = ("closer_share", "closer_share_equal")


def found(n=10, flagged=(2, 5, 7), **options):
    """Measures by which so many of n checkpoints are copies."""
    few, some, more = (np.arange(n) < count for count in flagged)
    given = {
        "data_copying": DataCopying(-1.5, -2.6, None),
        "closer": CloserShare(0.7, 0.6, None),
        **options,
    }
    return EstablishedMeasures(
        ratio=np.where(few, 0.1, 0.9),
        calibrated_l2=np.where(some, 0.5, 1.5),
        authentic=~more,
        **given,
    )


def by_key(use):
    quantities = established_quantities(use)
    assert all(quantity.group == GROUP and quantity.definition for quantity in quantities)
    return {quantity.key: quantity for quantity in quantities}


def test_shares_have_exact_limits_and_say_what_they_are():
    quantities = by_key(found())
    assert tuple(quantities) == (*FLAGS, *TESTS, *CLOSER)
    for key, count in zip(FLAGS, (2, 5, 7), strict=True):
        quantity = quantities[key]
        limits = binomtest(count, 10).proportion_ci(0.95, "exact")
        assert (quantity.value, quantity.n, quantity.level) == (count / 10, 10, 0.95)
        assert (quantity.lower, quantity.upper) == pytest.approx((limits.low, limits.high))
        assert "nothing aligned" in quantity.definition


@pytest.mark.parametrize("count", [0, 10])
def test_none_or_all_flagged_have_limits_too(count):
    for quantity in list(by_key(found(flagged=(count,) * 3)).values())[:3]:
        assert quantity.value == count / 10
        assert 0 <= quantity.lower <= quantity.value <= quantity.upper <= 1
        assert quantity.upper - quantity.lower == pytest.approx(0.3085, abs=1e-4)


def test_c_t_and_the_dcr_share_are_passed_on():
    quantities = by_key(found())
    assert [quantities[key].value for key in TESTS + CLOSER] == [-1.5, -2.6, 0.7, 0.6]


def test_what_is_missing_says_why():
    quantities = by_key(found(data_copying=DataCopying(None, None, "no cell"), closer=None))
    assert not set(CLOSER) & set(quantities)
    for key in TESTS:
        assert quantities[key].value is None
        assert quantities[key].definition.endswith("Not available: no cell.")
    warned = by_key(found(closer=CloserShare(0.7, 0.6, "few held-out runs")))
    assert "few held-out runs" in warned["closer_share"].definition


def test_an_audit_reports_them_and_judges_without_them():
    train, heldout = named(drawn(24, 1), "train"), named(drawn(24, 2), "heldout")
    copies = named(train.weights.clone(), "generated")
    result = audit(train, copies, heldout=heldout, symmetry=NETWORK.symmetry, n_controls=0)
    for key in FLAGS + CLOSER[:1]:
        assert result.quantity(key).value == 1, key
    assert result.quantity("data_copying_published").group == GROUP
    others = tuple(quantity for quantity in result.quantities if quantity.group != GROUP)
    assert len(others) == len(result.quantities) - 7
    without = type(result)(**{**vars(result), "quantities": others})
    assert judge(without) == judge(result)
    alone = audit(train, copies, n_controls=0)
    assert alone.quantity("ratio_rule").value == 1
    assert alone.quantity("data_copying_published").value is None
    with pytest.raises(KeyError):
        alone.quantity("closer_share")
