"""The model folder: damage is named, and samples carry what it says of their generator."""

import json
from dataclasses import replace

import pytest
from methods import fitted, known, sample
from refused import refused

from novelweights.generators.parts.gap import final_gap
from novelweights.generators.store import load_fitted, save_fitted, with_provenance
from novelweights.weights.provenance import GapPoint, Provenance

NOT_NEEDED = ("training", "parameters", "values_in_training", "gap")
"""Parts of generator.json that are described only."""


@pytest.fixture
def model_folder(tmp_path):
    """A method's model folder; `changed` rewrites its description."""

    def make(method):
        folder, generator = tmp_path / method, fitted(method)
        folder.mkdir()
        save_fitted(
            generator, folder, method=method, settings=generator.settings, training=known(method)
        )
        return folder

    return make


def described(folder):
    return json.loads((folder / "generator.json").read_text())


def describe(folder, description):
    (folder / "generator.json").write_text(json.dumps(description))


@pytest.mark.parametrize("method", ["p-diff", "noise"])
def test_damaged_weights_are_named(model_folder, method):
    folder = model_folder(method)
    for path in folder.glob("*.safetensors"):
        data = path.read_bytes()
        for content in (None, b"", data[:-5], b"hello"):
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content)
            with refused("damaged", folder):
                load_fitted(folder)
        path.write_bytes(data)
    load_fitted(folder)


def test_missing_and_wrong_descriptions_are_named(model_folder, tmp_path):
    folder = model_folder("hyperdiffusion")
    original = described(folder)
    settings = original["settings"]
    for changes, code, *names in (
        ({"method": "magic"}, "not-installed", "'magic'"),
        ({"schema_version": 2}, "wrong-version", "version 2"),
        ({"settings": {**settings, "width": 16}}, "damaged"),
        ({"settings": {**settings, "fancy": 1}}, "damaged", "fancy"),
        ({"settings": None}, "damaged"),
        ({"settings": {**settings, "sampling_steps": 0}}, "wrong-option", "sampling_steps"),
    ):
        describe(folder, {**original, **changes})
        with refused(code, *names):
            load_fitted(folder)
    missing = {"schema_version": "wrong-version", "method": "not-installed"}
    for key in original:
        describe(folder, {k: v for k, v in original.items() if k != key})
        if key in NOT_NEEDED:
            load_fitted(folder)
        else:
            with refused(missing.get(key, "damaged")):
                load_fitted(folder)
    for text, code in (("", "damaged"), ("[]", "wrong-version"), ("null", "wrong-version")):
        (folder / "generator.json").write_text(text)
        with refused(code, "generator.json"):
            load_fitted(folder)
    describe(folder, original)
    load_fitted(folder)
    (folder / "layout.csv").write_text("parameter,shape\n")
    with refused("wrong-content", "layout.csv"):
        load_fitted(folder)
    (folder / "layout.csv").unlink()
    with refused("not-found", "layout.csv"):
        load_fitted(folder)
    with refused("not-found", "generator.json"):
        load_fitted(tmp_path)


def test_samples_carry_what_is_known_of_their_generator(model_folder):
    samples, folder = sample("noise", fitted("noise")), model_folder("noise")
    labelled = with_provenance(samples, folder)
    assert labelled.info.settings == samples.info.settings
    assert labelled.info.provenance == Provenance("noise", values_in_training=20 * 39)
    assert labelled.weights is samples.weights
    generator, folder = fitted("hyperdiffusion"), model_folder("hyperdiffusion")
    assert described(folder)["parameters"] == generator.parameters
    gap = final_gap(generator, known("hyperdiffusion"), known("hyperdiffusion", 9))
    describe(folder, {**described(folder), "gap": gap.to_json()})
    assert with_provenance(samples, folder).info.provenance.gap == gap
    header = "step,timestep,loss_train,loss_heldout,n_train,n_heldout\n"
    (folder / "gap.csv").write_text(header + "1,2,0.123456789,2,6,5\n2,2,nan,1,6,5\n")
    history = with_provenance(samples, folder).info.provenance.gap.history
    assert history == (GapPoint(1, 2, 0.123457, 2.0),)
    (folder / "gap.csv").write_text("step,loss\n1,2\n")
    with refused("damaged", "gap.csv", "timestep"):
        with_provenance(samples, folder)


def test_samples_say_whether_their_generator_has_a_lossy_codec(model_folder):
    for method in ("noise", "hyper-representations"):
        folder, samples = model_folder(method), sample(method, fitted(method))
        for given in (fitted(method), None):
            labelled = with_provenance(samples, folder, fitted=given, sampler="shared")
            assert labelled.info.provenance.has_codec is (method != "noise")
            assert labelled.info.provenance.sampler == "shared"


def test_a_model_folder_from_before_the_gap_still_samples(model_folder):
    folder = model_folder("gaussian")
    describe(folder, {k: v for k, v in described(folder).items() if k not in NOT_NEEDED})
    samples = sample("gaussian", load_fitted(folder)[0])
    assert with_provenance(samples, folder).info.provenance == Provenance("gaussian")
    assert replace(samples.info, provenance=None) == samples.info
