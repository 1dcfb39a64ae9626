import json

import pytest
import torch

from novelweights.errors import InputError
from novelweights.generators import make_generator
from novelweights.generators.parts.gap import final_gap
from novelweights.generators.parts.transformer import parameter_count
from novelweights.generators.store import load_fitted, save_fitted, with_provenance
from novelweights.weights.provenance import GapPoint, Provenance

METHODS = {
    "hyperdiffusion": {"scale": "smoke", "steps": 3, "width": 16},
    "noise": {"std": 0.3},
    "average": {"of": 2},
    "gaussian": {},
}


@pytest.fixture
def model_folder(tmp_path, make_population):
    """Fits a method and saves it; returns the folder and what was fitted."""

    def make(method):
        training = make_population(6)
        settings = make_generator(method, **METHODS[method])
        fitted = settings.fit(training, rng=torch.Generator().manual_seed(1))
        folder = tmp_path / method
        folder.mkdir()
        save_fitted(fitted, folder, method=method, settings=settings, training=training)
        return folder, fitted

    return make


@pytest.mark.parametrize("method", METHODS)
def test_a_loaded_generator_samples_the_same(model_folder, method):
    folder, fitted = model_folder(method)
    loaded, name = load_fitted(folder)
    assert name == method
    one, other = (
        generator.sample(5, rng=torch.Generator().manual_seed(2)) for generator in (fitted, loaded)
    )
    assert torch.equal(one.weights, other.weights)
    assert one.layout == other.layout
    for part in ("recipe", "architecture", "symmetry", "task"):
        assert getattr(one.info, part) == getattr(other.info, part), part
    assert dict(one.info.settings) == dict(other.info.settings)


def test_no_pickle_is_written(model_folder):
    for method in METHODS:
        folder, _ = model_folder(method)
        assert {path.suffix for path in folder.iterdir()} == {".json", ".csv", ".safetensors"}


@pytest.mark.parametrize("method", ["hyperdiffusion", "noise"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "text"])
def test_damaged_weights_are_named(model_folder, method, damage):
    folder, _ = model_folder(method)
    [path] = folder.glob("*.safetensors")
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "cut": data[:-5], "text": b"hello"}[damage])
    with pytest.raises(InputError, match=rf"{method}: the fitted generator cannot be read"):
        load_fitted(folder)


def test_missing_and_wrong_descriptions_are_named(model_folder, tmp_path):
    folder, _ = model_folder("hyperdiffusion")
    path = folder / "generator.json"
    described = json.loads(path.read_text())

    def broken(**changes):
        path.write_text(json.dumps({**described, **changes}))
        with pytest.raises(InputError) as caught:
            load_fitted(folder)
        return str(caught.value)

    assert "'magic', which is not installed" in broken(method="magic")
    assert "schema version 2" in broken(schema_version=2)
    assert "cannot be read" in broken(settings={**described["settings"], "width": 32})
    assert "cannot be read" in broken(settings={**described["settings"], "fancy": 1})
    assert "cannot be read" in broken(settings=None)
    assert "sampling steps" in broken(settings={**described["settings"], "sampling_steps": 0})
    for key in described:
        path.write_text(json.dumps({k: v for k, v in described.items() if k != key}))
        if key in ("training", "parameters", "values_in_training", "gap"):  # told, not needed
            continue
        with pytest.raises(InputError):
            load_fitted(folder)
    for text in ("", "[]", "null"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"generator\.json"):
            load_fitted(folder)
    path.write_text(json.dumps(described))
    load_fitted(folder)
    (folder / "layout.csv").write_text("parameter,shape\n")
    with pytest.raises(InputError, match=r"layout\.csv"):
        load_fitted(folder)
    (folder / "layout.csv").unlink()
    with pytest.raises(InputError, match=r"layout\.csv: expected this file"):
        load_fitted(folder)
    with pytest.raises(InputError, match="expected the folder of a fitted generator"):
        load_fitted(tmp_path)


def test_samples_tell_what_is_known_of_their_generator(model_folder, make_population):
    folder, fitted = model_folder("noise")
    sampled = fitted.sample(2, rng=torch.Generator().manual_seed(2))
    labelled = with_provenance(sampled, folder)
    assert labelled.info.settings == {"std": 0.3}
    assert labelled.info.provenance == Provenance("noise", values_in_training=6 * 39)
    assert torch.equal(labelled.weights, sampled.weights)
    folder, fitted = model_folder("hyperdiffusion")
    described = json.loads((folder / "generator.json").read_text())
    assert described["parameters"] == parameter_count(fitted.network)
    gap = final_gap(fitted, make_population(6), make_population(5, seed=1))
    described["gap"] = gap.to_json()
    (folder / "generator.json").write_text(json.dumps(described))
    assert with_provenance(sampled, folder).info.provenance.gap == gap
    header = "step,timestep,loss_train,loss_heldout,n_train,n_heldout\n"
    (folder / "gap.csv").write_text(header + "1,5,0.123456789,2,6,5\n2,5,nan,1,6,5\n")
    history = with_provenance(sampled, folder).info.provenance.gap.history
    assert history == (GapPoint(1, 5, 0.123457, 2.0),)
    (folder / "gap.csv").write_text("step,loss\n1,2\n")
    with pytest.raises(InputError, match=r"gap\.csv: expected columns step, timestep"):
        with_provenance(sampled, folder)


def test_samples_tell_whether_their_generator_has_a_lossy_codec(model_folder, make_population):
    folder, fitted = model_folder("noise")
    sampled = fitted.sample(2, rng=torch.Generator().manual_seed(2))

    class WithCodec(type(fitted)):
        def as_reference(self, population):
            return population.with_weights(0.9 * population.weights, split="reconstruction")

    lossy = WithCodec(**vars(fitted))
    for given, has_codec in ((lossy, True), (fitted, False), (None, False)):
        labelled = with_provenance(sampled, folder, fitted=given)
        assert labelled.info.provenance.has_codec is has_codec


def test_a_model_folder_from_before_the_gap_still_samples(model_folder):
    folder, fitted = model_folder("gaussian")
    described = json.loads((folder / "generator.json").read_text())
    for key in ("parameters", "values_in_training", "gap"):
        del described[key]
    (folder / "generator.json").write_text(json.dumps(described))
    load_fitted(folder)
    sampled = fitted.sample(2, rng=torch.Generator().manual_seed(2))
    assert with_provenance(sampled, folder).info.provenance == Provenance("gaussian")
