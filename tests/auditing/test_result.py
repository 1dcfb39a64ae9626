import json
from dataclasses import fields

import numpy as np
import pytest
from invented import invented_result

from novelweights.auditing.result import AuditResult


def assert_same(one, other):
    for field in fields(one):
        mine, yours = getattr(one, field.name), getattr(other, field.name)
        if isinstance(mine, np.ndarray):
            assert mine.dtype == yours.dtype
            np.testing.assert_allclose(mine, yours, rtol=1e-8)
        else:
            assert mine == yours, field.name


@pytest.mark.parametrize("options", [{}, {"heldout": False}, {"task": False}])
def test_a_result_survives_json(options):
    result = invented_result(**options)
    text = json.dumps(result.to_json(), allow_nan=False)
    again = AuditResult.from_json(json.loads(text))
    assert_same(result.generated, again.generated)
    assert_same(result.training, again.training)
    assert (again.heldout is None) is (result.heldout is None)
    if result.heldout is not None and again.heldout is not None:
        assert_same(result.heldout, again.heldout)
    for name in ("quantities", "distance", "quality", "novelty", "warnings", "about"):
        assert getattr(again, name) == getattr(result, name), name
    assert again.p_values.keys() == result.p_values.keys()
    assert json.dumps(again.to_json()) == text


def test_another_schema_version_and_missing_parts_are_refused():
    data = invented_result().to_json()
    with pytest.raises(ValueError, match="schema version 99"):
        AuditResult.from_json({**data, "schema_version": 99})
    for key in data:
        with pytest.raises((KeyError, TypeError, ValueError)):
            AuditResult.from_json({k: v for k, v in data.items() if k != key})


def test_numbers_are_found_by_their_key():
    result = invented_result()
    assert result.quantity("copied_share").label == "copied_share"
    with pytest.raises(KeyError, match="nonsense"):
        result.quantity("nonsense")


def test_the_table_has_one_row_per_generated_checkpoint():
    result = invented_result(n=4)
    table = result.table()
    assert len(table) == 4
    assert table["name"].tolist() == result.generated.names
    assert table["distance"].tolist() == result.generated.distance.tolist()
    nearest = result.generated.neighbor_rows[:, 0]
    assert table["nearest_run"].tolist() == [result.training.names[row] for row in nearest]
    assert set(table) >= {"quality", "novelty", "overlap", "hull_ratio", "p_distance_near"}
    assert not set(invented_result(task=False).table()) & {"quality", "novelty", "overlap"}
