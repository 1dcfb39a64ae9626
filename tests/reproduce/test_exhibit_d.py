"""Measures in common use beside the verdict, of a planted audit."""

from collections.abc import Mapping
from dataclasses import replace

from invented import invented_result
from planted_tables import planted, texts

from novelweights.auditing.judge.criteria import Verdict
from novelweights.auditing.result import Quantity
from novelweights.reproduce.exhibits import exhibit_d


def rows_of(counts: Mapping[Verdict, int]):
    quantities = (
        Quantity("ratio_rule", "", 0.25, 8, "", 0.1, 0.5, 0.95, "share", "established"),
        Quantity("data_copying_published", "", -3.5, 8, "", group="established"),
        Quantity("closer_share", "", None, 8, "", unit="share", group="established"),
        Quantity("minimum_matching_distance_generated", "", 0.036, 8, ""),
        Quantity("copied_share", "", 1.0, 8, "", unit="share"),
    )
    return list(exhibit_d._rows(replace(invented_result(), quantities=quantities), counts))


def test_rows_are_the_measures_that_the_audit_has_and_the_share_of_each_verdict():
    rows = rows_of({Verdict.REPLICA: 6, Verdict.NOVEL: 2})
    values = {row["key"]: row["value"] for row in rows}
    assert values["ratio_rule"] == 0.25
    assert values["data_copying_published"] == -3.5
    assert "copied_share" not in values
    assert values["replica"] == 0.75
    assert values["novel"] == 0.25
    assert values["broken"] == 0


def test_picture_shows_the_measures_beside_the_verdict():
    rows = [{"method": "g-pt", **row} for row in rows_of({Verdict.REPLICA: 6, Verdict.NOVEL: 2})]
    said = texts(exhibit_d, planted(rows, {"g-pt": {"generated": 8, "population": "replica"}}))
    for text in ("25% (10 to 50)", "-3.5", "0.036", "75%", "G.pt\nn = 8 samples", "replica"):
        assert text in said
    assert "\u2013" in said  # what could not be had
