"""Heatmaps of samples above their nearest training checkpoints, with planted sources."""

import numpy as np
import pytest
import torch
from planted import seeded

from novelweights.auditing.prepare import AuditInputs
from novelweights.files import write_json
from novelweights.networks.mlp import OneHiddenMLP
from novelweights.report.style import finish
from novelweights.reproduce import heatmaps
from novelweights.reproduce.drawing import TITLES, styled
from novelweights.reproduce.exhibits import figure_02, figure_11, figure_12
from novelweights.reproduce.heatmaps import heatmaps_of, read_heatmaps
from novelweights.reproduce.nodes import plain
from novelweights.reproduce.plan import plan_of
from novelweights.reproduce.runs import Runs
from novelweights.reproduce.showing import PERCENTILES
from novelweights.weights.population import Population, Records, sampled_records
from novelweights.weights.symmetry import random_transform

NETWORK = OneHiddenMLP(12, 5, 3)
N_RUNS, N_SAMPLES = 14, 12
SOURCES = torch.arange(N_SAMPLES) + 1
NOISE = 0.001 * (1 + torch.arange(N_SAMPLES))
"""Of the first sample least: their order by distance."""


def training(steps: int = 1) -> Population:
    weights = torch.randn(N_RUNS * steps, NETWORK.layout.size, generator=seeded(0))
    runs = [f"train-{row // steps:05d}" for row in range(N_RUNS * steps)]
    step = [10 * (row % steps + 1) for row in range(N_RUNS * steps)]
    return Population(weights, NETWORK.layout, Records.of(runs, split="train", step=step))


def made(folder, monkeypatch, method: str, train: Population, weights, **given):
    """Both kinds of panels of one method for these samples."""
    generated = Population(weights, NETWORK.layout, sampled_records(len(weights)))
    inputs = AuditInputs(train=train, generated=generated, symmetry=NETWORK.symmetry, **given)
    monkeypatch.setattr(heatmaps, "audit_inputs", lambda at: inputs)
    folder.mkdir()
    heatmaps_of(method)(folder, {}, lambda stage, done, of: None)
    return {kind: read_heatmaps(folder, kind) for kind in ("random", "percentiles")}


def noised(weights):
    noise = torch.randn(weights.shape, generator=seeded(1))
    return weights + NOISE[:, None] * noise / noise.norm(dim=1, keepdim=True)


def test_samples_stand_above_the_checkpoints_that_they_are_made_of(tmp_path, monkeypatch):
    train = training()
    samples = noised(train.weights[SOURCES])
    found = made(tmp_path / "of", monkeypatch, "hyperdiffusion", train, samples)
    about, panels = found["random"]
    assert (about["training"], about["generated"], len(panels)) == (N_RUNS, N_SAMPLES, 11)
    assert len({panel["names"][0] for panel in panels}) == 11
    expected = np.linalg.norm(samples[:, None].double() - train.weights.double(), axis=2)
    for panel in panels:
        row = int(panel["names"][0].removeprefix("sample-"))
        order = np.argsort(expected[row])[:3]
        assert panel["names"][1:] == [f"train-{i:05d}, step 10" for i in order]
        assert panel["distances"] == pytest.approx(expected[row][order])
        shown = torch.cat([samples[row][None], train.weights[order]])[:, about["parameters"]]
        assert np.array(panel["values"]) == pytest.approx(shown.numpy())
    assert len(set(about["parameters"])) == min(64, NETWORK.layout.size)


def test_percentiles_go_from_the_nearest_sample_to_the_farthest(tmp_path, monkeypatch):
    train = training()
    samples = noised(train.weights[SOURCES])
    _, panels = made(tmp_path / "of", monkeypatch, "p-diff", train, samples)["percentiles"]
    first = [panel["distances"][0] for panel in panels]
    assert first == sorted(first)
    rows = [int(panel["names"][0].removeprefix("sample-")) for panel in panels]
    assert rows == [round(p / 100 * (N_SAMPLES - 1)) for p in PERCENTILES]


def test_only_g_pt_finds_a_reordered_copy_and_shows_its_source_reordered(tmp_path, monkeypatch):
    train = training()
    copies = random_transform(
        train.weights[SOURCES], NETWORK.layout, NETWORK.symmetry, rng=seeded(2)
    )
    for method, is_found in (("g-pt", True), ("hyperdiffusion", False)):
        _, panels = made(tmp_path / method, monkeypatch, method, train, copies)["random"]
        for panel in panels:
            row = int(panel["names"][0].removeprefix("sample-"))
            sample, nearest, *_ = np.array(panel["values"])
            named = panel["names"][1] == f"train-{int(SOURCES[row]):05d}, step 10"
            is_copy = panel["distances"][0] < 1e-5
            assert (named and is_copy and bool((sample == nearest).all())) or not is_found
        assert all(panel["distances"][0] < 1e-5 for panel in panels) == is_found


def test_hyper_representations_are_compared_with_reconstructions_of_all_epochs(
    tmp_path, monkeypatch
):
    train = training(steps=2)
    decoded = train.with_weights(0.5 * train.weights, split="train")
    early = noised(decoded.weights[0 : 2 * N_SAMPLES : 2])
    for method, far in (("hyper-representations", False), ("p-diff", True)):
        found = made(tmp_path / method, monkeypatch, method, train, early, reconstructions=decoded)
        about, panels = found["random"]
        assert about["training"] == (N_RUNS if far else 2 * N_RUNS)
        assert all((panel["distances"][0] > 1) == far for panel in panels)
        assert all(panel["names"][1].endswith("step 20" if far else "step 10") for panel in panels)


def test_figures_draw_three_eight_and_five_samples_from_their_tables(tmp_path, monkeypatch):
    plan = plan_of("smoke")
    train = training()
    samples = noised(train.weights[SOURCES])
    for method in TITLES:
        node = plan.methods[method].heatmaps
        made(tmp_path / node.folder, monkeypatch, method, train, samples)
        inputs = {role: needed.key for role, needed in node.inputs.items()}
        described = {"settings": plain(node.settings), "inputs": inputs}
        write_json(tmp_path / f"{node.folder}.json", described)

    tables = {}
    for figure, n in ((figure_02, 3), (figure_11, 8), (figure_12, 5)):
        table = figure.numbers(Runs(tmp_path), plan)
        assert len(table.rows) == len(TITLES) * n * 4
        table.write(tmp_path, "figure")
        tables[figure] = table = type(table).read(tmp_path / "figure.json")
        with styled():
            drawn = figure.picture(table)
            assert finish(drawn, table.title).png[:4] == b"\x89PNG"
        shown = [ax.images[0].get_array().shape for ax in drawn.axes if ax.images]
        assert shown.count((4, min(64, NETWORK.layout.size))) == len(TITLES) * n
        assert figure.claims(table) == []
        assert figure.needs(plan) == [runs.heatmaps for runs in plan.methods.values()]
    two, eleven = (
        set(zip(tables[figure].rows["method"], tables[figure].rows["label"], strict=True))
        for figure in (figure_02, figure_11)
    )
    assert not two & eleven
