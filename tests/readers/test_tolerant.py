import torch
from folders import write_states
from refused import refused

from novelweights.auditing.lint.checks import lint_folder
from novelweights.readers import read_checkpoints
from novelweights.readers.source import Reading
from novelweights.readers.tolerant import examine
from novelweights.weights.writer import save_population

NAME = "train-{i}.pt"


def test_a_sound_folder_is_read_as_the_strict_reader_does(tiny_population, tmp_path):
    write_states(tmp_path / "states", tiny_population.layout, tiny_population.weights, NAME)
    save_population(tiny_population, tmp_path / "population")
    for folder in (tmp_path / "states", tmp_path / "population"):
        examined, strict = examine(folder), read_checkpoints(folder)
        assert examined.population is not None
        assert torch.equal(examined.population.weights, strict.weights)
        assert examined.population.layout == strict.layout
        assert list(examined.population.records.run) == list(strict.records.run)
        assert {**examined.damaged, **examined.unsafe, **examined.foreign} == {}
    assert examine(tmp_path / "states").dtypes["float32"][0] == "train-0.pt"


def test_the_most_common_architecture_is_kept_and_its_order_of_names_does_not_matter(
    tiny_population, tmp_path
):
    folder = tmp_path / "states"
    write_states(folder, tiny_population.layout, tiny_population.weights, NAME)
    torch.save({"w": torch.ones(2), "b": torch.tensor([float("nan")])}, folder / "a.pt")
    state = torch.load(folder / "train-3.pt", weights_only=True)
    torch.save(dict(reversed(state.items())), folder / "train-3.pt")
    examined = examine(folder)
    assert examined.population is not None
    assert torch.equal(examined.population.weights, tiny_population.weights)
    assert examined.names == tuple(f"train-{i}.pt" for i in range(6))
    assert examined.foreign == {"a.pt": "hidden.weight is missing"}
    assert examined.broken_foreign == ("a.pt",)


def test_faults_of_all_files_are_refused_with_their_reasons(tiny_population, tmp_path):
    folder = tmp_path / "states"
    write_states(folder, tiny_population.layout, tiny_population.weights, NAME)
    torch.save(torch.nn.Linear(2, 2), folder / "train-0.pt")
    (folder / "train-1.pt").write_bytes(b"n")
    torch.save([1, 2], folder / "train-2.pt")
    (folder / "train-3.pt").write_bytes(b"")
    examined = examine(folder)
    assert list(examined.unsafe) == ["train-0.pt"]
    assert list(examined.damaged) == ["train-1.pt", "train-2.pt", "train-3.pt"]
    assert examined.population is not None
    assert len(examined.population) == 2


def test_a_population_json_of_another_kind_is_a_fault(tmp_path):
    (tmp_path / "population.json").write_text("[1]")
    examined = examine(tmp_path)
    assert examined.population is None
    assert list(examined.damaged) == [tmp_path.name]
    (tmp_path / "population.json").write_text("no json")
    with refused("damaged", "population.json"):
        examine(tmp_path)


def test_what_of_a_file_is_left_out_is_told_with_the_files_that_hold_it(tmp_path):
    state = {"w": torch.ones(2, 3), "b": torch.ones(2)}
    for i in range(3):
        torch.save({"model": state} | ({"ema": state | {}} if i == 1 else {}), tmp_path / f"{i}.pt")
    examined = examine(tmp_path)
    told = {text: names for text, names in examined.told.items() if "ema" in text}
    assert list(told.values()) == [("1.pt",)]
    assert next(iter(examined.told.values())) == ()
    assert any(finding.code == "left-out" for finding in lint_folder(tmp_path).findings)


def test_a_wrong_table_beside_the_files_is_told_and_one_that_is_asked_for_refused(tmp_path):
    for i in range(3):
        torch.save({"w": torch.ones(2, 3), "b": torch.ones(2)}, tmp_path / f"{i}.pt")
    (tmp_path / "records.csv").write_text("file,run,step\n0,a,-1\n1,a,2\n2,a,3\n")
    examined = examine(tmp_path)
    assert examined.population is not None
    assert list(examined.population.records.run) == ["0", "1", "2"]
    assert any("records.csv" in text for text in examined.told)
    with refused("wrong-records", "records.csv"):
        examine(tmp_path, Reading(records=tmp_path / "records.csv"))
