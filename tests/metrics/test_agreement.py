import pytest
import torch

from novelweights.metrics import agreement
from novelweights.metrics.agreement import (
    error_iou,
    expected_iou,
    max_similarity,
    prediction_overlap,
)


def sets(errors):
    return [set(row.nonzero().flatten().tolist()) for row in errors]


def brute_force(errors, training_errors):
    return torch.tensor(
        [
            [len(a & b) / len(a | b) if a | b else 1.0 for b in sets(training_errors)]
            for a in sets(errors)
        ],
        dtype=torch.float64,
    )


@pytest.fixture
def errors():
    draw = torch.rand(9, 40, generator=torch.Generator().manual_seed(0)) < 0.2
    draw[3] = False
    draw[4] = draw[0]
    return draw


@pytest.mark.parametrize("block", [2, 1024])
def test_iou_equals_counting_sets(errors, monkeypatch, block):
    monkeypatch.setattr(agreement, "BLOCK_ROWS", block)
    assert torch.equal(error_iou(errors[:5], errors), brute_force(errors[:5], errors))
    assert torch.equal(
        max_similarity(errors[:5], errors[5:]), brute_force(errors[:5], errors[5:]).amax(dim=1)
    )


def test_equal_error_sets_have_iou_one_even_if_empty(errors):
    iou = error_iou(errors, errors)
    assert torch.equal(iou.diagonal(), torch.ones(9, dtype=torch.float64))
    assert iou[0, 4] == 1
    assert error_iou(errors[3:4], errors)[0].tolist() == [0, 0, 0, 1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("block", [2, 1024])
def test_excluded_pairs_do_not_count(errors, monkeypatch, block):
    monkeypatch.setattr(agreement, "BLOCK_ROWS", block)
    itself = torch.eye(9, dtype=torch.bool)
    expected = brute_force(errors, errors).masked_fill(itself, 0).amax(dim=1)
    assert torch.equal(max_similarity(errors, errors, exclude=itself), expected)
    assert max_similarity(errors, errors).eq(1).all()


def test_nothing_to_compare_with_is_a_mistake(errors):
    with pytest.raises(ValueError, match="not excluded"):
        max_similarity(errors, errors[:0])
    exclude = torch.zeros(9, 9, dtype=torch.bool)
    exclude[2] = True
    with pytest.raises(ValueError, match="not excluded"):
        max_similarity(errors, errors, exclude=exclude)


def test_expected_iou_is_what_independent_mistakes_give():
    rng = torch.Generator().manual_seed(0)
    rates = torch.tensor([0.1, 0.3], dtype=torch.float64)
    draws = torch.rand(2, 200_000, generator=rng) < rates[:, None]
    measured = error_iou(draws[:1], draws[1:])[0, 0]
    assert expected_iou(rates[0], rates[1]).item() == pytest.approx(0.03 / 0.37)
    assert measured.item() == pytest.approx(0.03 / 0.37, abs=3e-3)
    none = torch.zeros(1)
    assert expected_iou(none, none).item() == 1
    assert expected_iou(none, none + 0.5).item() == 0


def test_prediction_overlap_compares_row_by_row():
    predictions = torch.tensor([[1, 2, 3, 4], [0, 0, 0, 0]], dtype=torch.uint8)
    reference = torch.tensor([[1, 2, 3, 5], [0, 0, 0, 0]], dtype=torch.uint8)
    assert prediction_overlap(predictions, reference).tolist() == [0.75, 1.0]
