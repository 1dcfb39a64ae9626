"""What holds for every generator: randomness, resumption, samples, files, losses, refusals."""

import csv
from dataclasses import replace

import pytest
import torch
from methods import METHODS, Interrupted, fit, fitted, known, same, sample, seeded
from refused import refused

from novelweights.generators import GENERATORS, make_generator, method_named
from novelweights.generators.generator import FittedGenerator, WeightGenerator
from novelweights.generators.parts.gap import HasLoss, final_gap
from novelweights.generators.store import load_fitted, save_fitted
from novelweights.reproduce.reported import NOISE
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, Records
from novelweights.weights.provenance import Provenance

every_method = pytest.mark.parametrize("method", METHODS)
VARIED = {
    "hyperdiffusion": {"ema_decay": 0.9, "dropout": 0.1, "noise": 0.01},
    "g-pt": {"dropout": 0.1, "noise": 0.02, "permute": False},
    "hyper-representations": {"dropout": 0.1, "noise": 0.01, "erasing": 0.5, "permutations": 0},
    "p-diff": {"batch_statistics": "frozen"},
}
STOPS = {"p-diff": (7, 20, 33)}  # in the autoencoder's training, at its end, in the diffusion's
SAMPLING = {
    "g-pt": {"prompt": 0.5, "sampling_steps": 5, "recursions": 2},
    "hyper-representations": {"bandwidth": 0.1, "shared_draws": False, "top_share": 1.0},
}
OTHER = Population(
    torch.zeros(2, 6),
    WeightLayout((("other.weight", (3, 2)),)),
    Records.of(["a", "a"], split="x", step=[0, 1], scores={"test_loss": [1.0, 1.0]}),
)
"""Checkpoints of a network that no method here was fitted to."""


@every_method
def test_the_seed_decides_everything_and_the_global_stream_nothing(method):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    again = fit(method)
    assert torch.equal(torch.get_rng_state(), before)
    assert same(again, fitted(method))
    assert not same(fit(method, seed=5), again)
    made = sample(method, again).weights
    assert torch.equal(made, sample(method, fitted(method)).weights)
    assert not torch.equal(made, sample(method, again, seed=3).weights)


@pytest.mark.integration
@pytest.mark.parametrize("changes", [{}, VARIED], ids=["plain", "varied"])
@every_method
def test_an_interrupted_and_watched_fit_ends_with_the_same_bits(method, changes, tmp_path):
    changes, heldout = changes.get(method, {}), known(method, 9, "heldout")
    plain = fit(method, **changes)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    assert same(plain, fit(method, folder=whole, watch=heldout, **changes))
    for stop in STOPS.get(method, (13,)):
        with pytest.raises(Interrupted):
            fit(method, folder=cut, watch=heldout, stop=stop, **changes)
    resumed = fit(method, folder=cut, watch=heldout, **changes)
    assert same(plain, resumed)
    assert torch.equal(sample(method, plain).weights, sample(method, resumed).weights)
    for path in whole.glob("*.csv"):
        assert path.read_bytes() == (cut / path.name).read_bytes(), path.name


@every_method
def test_an_unfinished_fit_goes_on_with_the_same_settings_and_checkpoints_only(method, tmp_path):
    with pytest.raises(Interrupted):
        fit(method, folder=tmp_path, stop=9)
    refuses = refused("other-settings", tmp_path)
    with refuses:
        fit(method, folder=tmp_path, batch_size=9)
    with refused("other-settings", tmp_path):
        fit(method, folder=tmp_path, seed=2)
    with refused("other-settings", tmp_path):
        fit(method, known(method, 1), folder=tmp_path)
    assert same(fit(method, folder=tmp_path, **SAMPLING.get(method, {})), fitted(method))


@every_method
def test_the_gap_is_watched_and_measured_alike(method, tmp_path):
    training, heldout = known(method), known(method, 9, "heldout")
    watched = fit(method, folder=tmp_path, watch=heldout)
    with (tmp_path / "gap.csv").open() as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    assert isinstance(watched, HasLoss)
    gap = final_gap(watched, training, heldout)
    assert len(rows) == 20 * len(gap.levels)
    assert gap.timesteps == watched.timesteps == (1 if "hyper-rep" in method else 50)
    for row, level in zip(rows[-len(gap.levels) :], gap.levels, strict=True):
        assert row["step"] == 20
        assert row["timestep"] == level.timestep
        # the same losses, with 9 and with 6 digits
        assert row["loss_train"] == pytest.approx(level.loss_train, rel=1e-5)
        assert row["loss_heldout"] == pytest.approx(level.loss_heldout, rel=1e-5)
        assert (row["n_train"], row["n_heldout"]) == (gap.n_train, gap.n_heldout)


@every_method
def test_held_out_checkpoints_that_do_not_fit_are_refused_before_training(method, tmp_path):
    heldout = known(method, 9, "heldout")
    broken = heldout.weights.clone()
    broken[1, 2] = torch.nan
    with refused("other-network"):
        fit(method, folder=tmp_path, watch=OTHER)
    with refused("not-finite", "row 1"):
        fit(method, folder=tmp_path, watch=replace(heldout, weights=broken))
    assert not list(tmp_path.iterdir())


@every_method
def test_other_networks_and_nan_are_refused_once_it_is_fitted(method):
    training, generator = known(method), fitted(method)
    spoiled = replace(training, weights=training.weights * torch.nan)
    uses = [lambda population: generator.loss(population, timesteps=(0,), rng=seeded(1))]
    for name in ("reconstruct", "as_reference"):
        through = getattr(generator, name, None)
        if through is not None and through(training) is not training:
            uses.append(through)
    for use in uses:
        with refused("other-network"):
            use(OTHER)
        with refused("not-finite"):
            use(spoiled)


@pytest.mark.parametrize("method", GENERATORS)
def test_samples_are_a_population_of_the_same_networks(method):
    generator = fitted(method)
    training, steps = known(method), []
    made = sample(method, generator, progress=lambda *now: steps.append(now))
    assert isinstance(generator.settings, WeightGenerator)
    assert isinstance(generator, FittedGenerator)
    assert made.layout == training.layout
    assert set(made.records.split) == {"generated"}
    assert len(set(made.records.run)) == len(made) == 5
    assert made.info.recipe == generator.settings.recipe
    assert made.info.settings.items() >= vars(generator.settings).items()
    assert made.info.symmetry == training.info.symmetry
    if method in METHODS:
        assert steps == sorted(set(steps))
        assert steps[-1][0] == steps[-1][1]
        assert sample(method, generator, 0).weights.shape == (0, training.layout.size)
    assert (generator.as_reference(training) is training) is (method != "hyper-representations")
    if not GENERATORS[method].is_conditional:
        with refused("wrong-option", "--start"):
            generator.sample(1, rng=seeded(1), start=training)


def test_samples_of_one_generator_that_another_learned_from_are_of_the_second():
    first = replace(known("noise").info, provenance=Provenance("g-pt"))
    second = make_generator("noise").fit(replace(known("noise"), info=first), rng=seeded(0))
    assert second.sample(1, rng=seeded(1)).info.provenance is None


@pytest.mark.parametrize("method", GENERATORS)
def test_a_saved_generator_samples_the_same(method, tmp_path):
    generator, training = fitted(method), known(method)
    save_fitted(generator, tmp_path, method=method, settings=generator.settings, training=training)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".csv", ".safetensors"}
    before = torch.get_rng_state()
    loaded, name = load_fitted(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
    assert name == method
    assert loaded.settings == generator.settings
    one, other = (sample(method, each) for each in (generator, loaded))
    assert torch.equal(one.weights, other.weights)
    assert one.layout == other.layout
    assert one.info == other.info
    if method == "g-pt":
        assert loaded.loss_range == generator.loss_range == pytest.approx((0.8, 2.04))
    for through in ("as_reference", "reconstruct"):
        if hasattr(generator, through):
            pair = (getattr(each, through)(training).weights for each in (generator, loaded))
            assert torch.equal(*pair)


def test_equal_fits_are_equal_files(tmp_path):
    for method in METHODS:
        files = []
        for name, generator in (("one", fitted(method)), ("other", fit(method))):
            folder = tmp_path / f"{method} {name}"
            folder.mkdir()
            generator.save(folder)
            files.append({path.name: path.read_bytes() for path in folder.iterdir()})
        assert files[0] == files[1]


@pytest.mark.parametrize(
    ("method", "wrong"),
    [
        *[("hyperdiffusion", {name: 0}) for name in ("steps", "batch_size", "layers", "heads")],
        ("hyperdiffusion", {"width": 30, "heads": 4}),
        ("hyperdiffusion", {"sampling_steps": 101, "timesteps": 100}),
        ("hyperdiffusion", {"sampling_steps": 0}),
        ("hyperdiffusion", {"decay_steps": 0}),
        ("hyperdiffusion", {"precision": "fp8"}),
        ("g-pt", {"noise": -1.0}),
        ("g-pt", {"recursions": 0}),
        ("g-pt", {"prompt": float("nan")}),
        ("g-pt", {"gradient_clip": float("inf")}),
        ("g-pt", {"ema_decay": 1.0}),
        ("g-pt", {"tokens": "weights"}),
        ("g-pt", {"schedule": "step"}),
        ("g-pt", {"learning_rate": float("nan")}),
        ("hyper-representations", {"latent": 0}),
        ("hyper-representations", {"bandwidth": -1.0}),
        ("hyper-representations", {"contrast_weight": 1.0}),
        ("hyper-representations", {"temperature": 0.0}),
        ("hyper-representations", {"top_share": 0.0}),
        ("hyper-representations", {"erasing": 2.0}),
        ("hyper-representations", {"batch_size": 1}),
        ("hyper-representations", {"schedule": "warm"}),
        *[("p-diff", {f"{part}_steps": 0}) for part in ("autoencoder", "diffusion")],
        *[("p-diff", {f"{part}_width": 0}) for part in ("autoencoder", "denoiser")],
        ("p-diff", {"timesteps": 0}),
        ("p-diff", {"latent": 0}),
        ("p-diff", {"batch_size": 1}),
        ("p-diff", {"autoencoder_learning_rate": -1.0}),
        ("p-diff", {"diffusion_learning_rate": float("nan")}),
        ("p-diff", {"weight_decay": -1.0}),
        ("p-diff", {"input_noise": -1.0}),
        ("p-diff", {"latent_noise": float("inf")}),
        ("p-diff", {"batch_statistics": "none"}),
        ("p-diff", {"precision": "fp8"}),
        ("noise", {"std": -0.1}),
        ("average", {"of": 0}),
    ],
)
def test_impossible_settings_are_refused_at_once(method, wrong):
    with refused("wrong-option", *list(wrong)[:1]):
        make_generator(method, **wrong)


def test_generators_are_made_by_name():
    assert make_generator("average", of=4).of == 4
    assert make_generator("hyperdiffusion", "paper") == GENERATORS["hyperdiffusion"].scales["paper"]
    assert make_generator("hyperdiffusion", steps=7).steps == 7
    for name, method in GENERATORS.items():
        assert method_named(name).summary
        for scale in method.scales:
            assert isinstance(make_generator(name, scale), WeightGenerator)


def test_unknown_names_get_the_closest_match():
    for name, given, close in (
        ("hyperdifusion", {}, "'hyperdiffusion'"),
        ("hyperdiffusion", {"scale": "labtop"}, "'laptop'"),
        ("noise", {"sdt": 1.0, "of": 2}, "of, sdt"),
        ("xyzzy", {}, ", ".join(sorted(GENERATORS))),
    ):
        with refused("unknown-name", close):
            make_generator(name, **given)


# -- variants -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["hyper-representations", "g-pt", "hyperdiffusion"])
@pytest.mark.parametrize("scale", ["paper", "laptop"])
def test_each_variant_changes_what_its_name_says(method, scale):
    def changed(variant):
        varied = make_generator(method, scale, variant=variant)
        return {name: value for name, value in vars(varied).items() if value != plain[name]}

    plain = vars(make_generator(method, scale))
    assert changed("third-of-epochs") == {"steps": round(plain["steps"] / 3)}
    assert changed("half-of-epochs") == {"steps": round(plain["steps"] / 2)}
    for variant, factor in (("wider", 1), ("narrower", -1)):
        found = changed(variant)
        assert set(found) == {"width", "heads"} | ({"hidden"} & set(plain))
        assert all(factor * found[name] > factor * plain[name] for name in found)
        assert found["width"] / found["heads"] == plain["width"] / plain["heads"]
    assert changed("deeper")["layers"] > plain["layers"] > changed("shallower")["layers"]
    assert changed("dropout-10") == {"dropout": 0.1}
    assert changed("dropout-20") == {"dropout": 0.2}
    assert changed("noise") == {"noise": NOISE[method][0].std}


def test_settings_of_ones_own_are_set_after_a_variant():
    assert make_generator("g-pt", "smoke", variant="wider", heads=4).heads == 4


def test_what_cannot_be_varied_is_refused():
    with refused("wrong-option"):
        make_generator("g-pt", "smoke", variant="shallower")
    with refused("unknown-name"):
        make_generator("g-pt", "smoke", variant="wide")
    with refused("unknown-name"):
        make_generator("average", variant="wider")
