import shutil
from dataclasses import replace

import pytest
import torch
from folders import contents
from refused import refused

from novelweights.weights.population import Records
from novelweights.weights.store import SHARED_FILE, open_population
from novelweights.weights.writer import PopulationWriter, save_population

BLOCK = 3
REST = {"conv.weight": torch.arange(24.0).reshape(2, 3, 4)}


def writer_for(population, folder, **options):
    """Files of 4 rows, so that blocks of 3 straddle them."""
    options = {"shard_bytes": 4 * 4 * population.layout.size, **options}
    options = {"shared": population.shared, **options}
    return PopulationWriter(folder, population.layout, population.info, len(population), **options)


def append_rest(writer, population, *, blocks=99):
    for _ in range(blocks):
        if writer.rows_done == len(population):
            break
        part = population.select(slice(writer.rows_done, writer.rows_done + BLOCK))
        writer.append(part.weights, part.records)


@pytest.fixture(params=[None, REST], ids=["whole networks", "parts"])
def population(request, make_population):
    return replace(make_population(10), shared=request.param)


def with_other_rest(population):
    return replace(population, shared=None if population.shared else REST)


@pytest.fixture
def undisturbed(population, tmp_path):
    with writer_for(population, tmp_path / "whole") as writer:
        append_rest(writer, population)
        return contents(writer.finish())


@pytest.mark.parametrize("blocks", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("torn", [False, True])
def test_a_killed_build_ends_with_the_same_bytes(population, undisturbed, tmp_path, blocks, torn):
    folder = tmp_path / "killed"
    with writer_for(population, folder) as writer:
        append_rest(writer, population, blocks=blocks)
    assert not folder.exists()
    partial = tmp_path / "killed.partial"
    if torn:  # killed inside the next block, after some of its bytes and before the journal
        for path in [*partial.glob("*.safetensors"), partial / "records.csv"]:
            with path.open("ab") as file:
                file.write(b"half a block")
    with writer_for(population, folder, resume=True) as writer:
        assert writer.rows_done == min(BLOCK * blocks, 10)
        append_rest(writer, population)
        writer.finish()
    assert contents(folder) == undisturbed
    assert not partial.exists()
    assert torch.equal(open_population(folder).load().weights, population.weights)


def test_a_build_that_had_not_begun_leaves_no_rest_to_another(population, tmp_path):
    writer_for(population, tmp_path / "zoo", shard_bytes=1 << 30)
    folder = save_population(replace(population, shared=None), tmp_path / "zoo")
    assert SHARED_FILE not in contents(folder)


def test_it_may_be_killed_again_and_again(population, undisturbed, tmp_path):
    for _ in range(5):
        with writer_for(population, tmp_path / "zoo", resume=True) as writer:
            append_rest(writer, population, blocks=1)
    assert contents(writer.finish()) == undisturbed


def test_resume_without_anything_unfinished_begins(population, undisturbed, tmp_path):
    with writer_for(population, tmp_path / "zoo", resume=True) as writer:
        append_rest(writer, population)
        assert contents(writer.finish()) == undisturbed


def test_an_unfinished_build_is_not_thrown_away_unasked(population, tmp_path):
    with writer_for(population, tmp_path / "zoo") as writer:
        append_rest(writer, population, blocks=2)
    before = contents(tmp_path / "zoo.partial")
    with refused("unfinished", "6 of 10"):
        writer_for(population, tmp_path / "zoo")
    assert contents(tmp_path / "zoo.partial") == before


def test_other_settings_do_not_continue_it(population, make_population, tmp_path):
    with writer_for(population, tmp_path / "zoo") as writer:
        append_rest(writer, population, blocks=2)
    before = contents(tmp_path / "zoo.partial")
    others = [
        (replace(population, info=replace(population.info, settings={"seed": 1})), {}),
        (make_population(11), {}),
        (with_other_rest(population), {}),
        (replace(population, shared={"other": torch.ones(2)}), {}),
        (population, {"shard_bytes": 8 * 4 * population.layout.size}),
    ]
    for other, options in others:
        with refused("other-settings"):
            writer_for(other, tmp_path / "zoo", resume=True, **options)
    assert contents(tmp_path / "zoo.partial") == before


def test_a_damaged_unfinished_build_is_named(population, tmp_path):
    for name in ("records.csv", "weights-00002-of-00003.safetensors"):
        with writer_for(population, tmp_path / "zoo") as writer:
            append_rest(writer, population, blocks=2)
        path = tmp_path / "zoo.partial" / name
        path.write_bytes(path.read_bytes()[:-1])
        with refused("damaged", name):
            writer_for(population, tmp_path / "zoo", resume=True)
        path.unlink()
        with refused("damaged", name):
            writer_for(population, tmp_path / "zoo", resume=True)
        shutil.rmtree(tmp_path / "zoo.partial")


def test_a_finished_folder_is_replaced_only_if_asked_and_only_at_the_end(
    population, make_population, tmp_path
):
    folder = save_population(population, tmp_path / "zoo")
    before = contents(folder)
    other = replace(make_population(10, seed=1), shared=with_other_rest(population).shared)
    with refused("exists"):
        save_population(other, folder)
    with writer_for(other, folder, overwrite=True) as writer:
        append_rest(writer, other)
        assert contents(folder) == before
        writer.finish()
    loaded = open_population(folder).load()
    assert torch.equal(loaded.weights, other.weights)
    assert (loaded.shared is None) == (other.shared is None)
    assert (SHARED_FILE in contents(folder)) == (other.shared is not None)
    assert [path.name for path in tmp_path.iterdir()] == ["zoo"]


def test_a_foreign_folder_is_never_replaced(population, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with refused("exists", "thesis.tex"):
        save_population(population, tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


def test_an_empty_population_is_refused(make_population, tmp_path):
    with refused("too-few"):
        save_population(make_population(0), tmp_path / "zoo")
    assert list(tmp_path.iterdir()) == []


def test_rows_that_do_not_fit_are_mistakes(population, tmp_path):
    with writer_for(population, tmp_path / "zoo") as writer:
        with pytest.raises(ValueError, match="0 of 10 rows were written"):
            writer.finish()
        append_rest(writer, population, blocks=3)
        with pytest.raises(ValueError, match="does not fit"):
            writer.append(population.weights[:2], population.records.select(slice(0, 2)))
        with pytest.raises(ValueError, match="does not fit"):
            writer.append(population.weights[:1, :-1], population.records.select(slice(0, 1)))
        with pytest.raises(ValueError, match="scores"):
            writer.append(population.weights[:1], Records.of(["r"], split="train"))
        append_rest(writer, population)
        writer.finish()


def test_a_build_that_was_killed_when_all_was_written_is_put_in_place(
    tiny_population, tmp_path, monkeypatch
):
    whole, n_all = save_population(tiny_population, tmp_path / "whole"), len(tiny_population)

    def writer(folder, n_rows=n_all):
        return PopulationWriter(
            folder, tiny_population.layout, tiny_population.info, n_rows, resume=True
        )

    with monkeypatch.context() as patch, writer(tmp_path / "p") as first:
        first.append(tiny_population.weights, tiny_population.records)
        patch.setattr("novelweights.weights.writer.put_in_place", lambda *_: None)
        first.finish()
    (tmp_path / "p.partial" / ".progress.json.x1.tmp").write_text("half")
    with refused("other-settings"):
        writer(tmp_path / "p", n_rows=3)
    with writer(tmp_path / "p") as again:
        assert again.rows_done == len(tiny_population)
        again.finish()
    names = {path.name for path in (tmp_path / "p").iterdir()}
    assert names == {path.name for path in whole.iterdir()}
    assert all((tmp_path / "p" / n).read_bytes() == (whole / n).read_bytes() for n in names)
