import itertools
from pathlib import Path

import pytest
from refused import refused

from novelweights.readers.run_names import (
    records_by_name,
    records_by_pattern,
    records_by_table,
)


def rows(records) -> list[tuple[str, int]]:
    return list(zip(map(str, records.run), map(int, records.step), strict=True))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["model_0", "model_1"], [("model_0", 0), ("model_1", 0)]),
        (["checkpoint_1", "checkpoint_2"], [("checkpoint_1", 0), ("checkpoint_2", 0)]),
        (["seed1_step10", "seed2_step20"], [("seed1", 10), ("seed2", 20)]),
        (["a-iter=5", "a-iter=50"], [("a", 5), ("a", 50)]),
        (["a/checkpoint-500", "b/checkpoint-1000"], [("a", 500), ("b", 1000)]),
        (["epoch_1", "epoch_2"], [("run", 1), ("run", 2)]),
        (["r/ep000_it00000", "r/ep000_it00400"], [("r", 0), ("r", 400)]),
        (["r_ep0_it9", "r_ep1_it3", "r_ep0_it2"], [("r", 1), ("r", 2), ("r", 0)]),
        (["a/epoch_1", "a/epoch_2", "a/last"], [("a", 1), ("a", 2), ("a", 3)]),
        (["a/init", "a/step_7"], [("a", 0), ("a", 7)]),
        (["x/1", "x/2", "y/1", "y/2"], [("x", 1), ("x", 2), ("y", 1), ("y", 2)]),
        (["x/1", "y/1"], [("x/1", 0), ("y/1", 0)]),
        (
            ["v0/checkpoints/epoch=3-val_loss=0.21", "v0/checkpoints/epoch=4-val_loss=0.2"],
            [("v0", 3), ("v0", 4)],
        ),
        (["s3_step4_lr0.01"], [("s3_step4_lr0.01", 0)]),
        (
            ["v0/checkpoints/epoch=9-step=31", "v0/checkpoints/epoch=19-step=62-v1"],
            [("v0", 31), ("v0", 62)],
        ),
        (
            ["t=0_2022/checkpoint_000025/saved", "t=0_2022/checkpoint_000050/saved"],
            [("t=0_2022", 25), ("t=0_2022", 50)],
        ),
        (["a/epoch_1", "a/model_last-v2"], [("a", 1), ("a", 2)]),
        (["a_epoch_1", "a_last", "b-v1"], None),
        (["a/model", "b/model"], [("a/model", 0), ("b/model", 0)]),
        (["unit8", "audit5"], [("unit8", 0), ("audit5", 0)]),
    ],
    ids=itertools.count(),
)
def test_common_names_tell_runs_and_steps(names: list[str], expected: list | None) -> None:
    if expected is None:
        with refused("wrong-records", names[-1]):
            records_by_name(names)
        return
    records, note = records_by_name(names)
    assert rows(records) == expected
    assert note.startswith("steps of") == any(step for _, step in expected)


def test_steps_that_are_not_at_the_end_of_names_are_doubted_aloud() -> None:
    _, note = records_by_name(["epoch_5_seed_3", "epoch_6_seed_3"])
    assert "names such as epoch_5_seed_3" in note
    assert "no independent evidence" in note
    _, note = records_by_name(["model_0", "model_1"])
    assert "no steps" in note


def test_two_checkpoints_with_one_row_of_a_table_are_refused(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("file,run,step\nmodel,r,1\n")
    with refused("other-rows", "a/model", "b/model"):
        records_by_table(tmp_path / "r.csv", ["a/model", "b/model"])


def test_rows_of_a_matrix_are_named_by_number(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("row,run\n0,a\n1,b\n")
    records, _ = records_by_table(tmp_path / "r.csv", ["00000", "00001"])
    assert list(records.run) == ["a", "b"]


def test_a_name_without_a_step_among_others_with_one_is_refused() -> None:
    with refused("wrong-records", "a/best"):
        records_by_name(["a/epoch_1", "a/best"])


def test_a_pattern_tells_run_step_split_and_scores() -> None:
    names = ["train/s1-40-0.93", "heldout/s2-50-9.5e-1"]
    records, note = records_by_pattern(names, "{split}/{run}-{step}-{test_accuracy}")
    assert rows(records) == [("s1", 40), ("s2", 50)]
    assert list(records.split) == ["train", "heldout"]
    assert list(records.scores["test_accuracy"]) == [0.93, 0.95]
    assert "pattern" in note
    one, _ = records_by_pattern(["x9", "y7"], "*{step}")
    assert rows(one) == [("run", 9), ("run", 7)]


@pytest.mark.parametrize(
    ("pattern", "code", "named"),
    [
        ("run_step", "wrong-option", "run_step"),
        ("{run}{run}", "wrong-option", "{run}{run}"),
        ("{run}_{step}", "wrong-records", "2 of 2"),
        ("*_{epoch}", "wrong-option", "{epoch}"),
        ("*_{seed}", "wrong-option", "{seed}"),
    ],
)
def test_a_pattern_that_does_not_fit_is_refused(pattern: str, code: str, named: str) -> None:
    with refused(code, named):
        records_by_pattern(["a", "b"], pattern)


def test_a_table_names_files_by_path_or_last_part_with_or_without_ending(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text(
        "file,run,step,split,loss\nx/a.pt,r1,5,train,0.5\nb,r2,6,,\nelse.pt,r3,7,train,1\n"
    )
    records, note = records_by_table(table, ["x/a", "y/b"])
    assert rows(records) == [("r1", 5), ("r2", 6)]
    assert list(records.split) == ["train", "unknown"]
    assert records.scores["loss"][0] == 0.5
    assert records.scores["loss"][1] != records.scores["loss"][1]
    assert "1 of its rows are of others" in note


def test_many_names_are_looked_up_at_once(tmp_path: Path) -> None:
    names = [f"run{i:05d}" for i in range(20_000)]
    text = "file,run\n" + "".join(f"{name}.pt,r\n" for name in names)
    (tmp_path / "t.csv").write_text(text)
    assert len(records_by_table(tmp_path / "t.csv", names)[0]) == 20_000
