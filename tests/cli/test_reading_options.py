"""Audits of checkpoints in several forms and of parts of networks, from the command line."""

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import done, fails
from safetensors.torch import save_file
from typer.main import get_command

from novelweights import load
from novelweights.cli.main import Group, app
from novelweights.networks.mlp import OneHiddenMLP
from novelweights.readers.source import Reading
from novelweights.seeding import rng_for
from novelweights.weights.store import open_population

NETWORK = OneHiddenMLP(6, 5, 3)
N = 24


def rows(label: str, n: int = N) -> torch.Tensor:
    return torch.stack([NETWORK.initial(rng_for(0, label, i)) for i in range(n)])


def write(folder: Path, weights: torch.Tensor, name: str, before: str = "") -> Path:
    folder.mkdir()
    for i, row in enumerate(weights):
        state = NETWORK.layout.unflatten(row)
        state = {before + key: value.clone() for key, value in state.items()}
        if name.endswith(".pt"):
            torch.save({"state_dict": state, "epoch": 3}, folder / name.format(i=i))
        else:
            save_file(state, folder / name.format(i=i))
    return folder


def test_parts_of_networks_are_audited_by_the_parameters_that_are_named(tmp_path: Path) -> None:
    base, last = rows("base", 1)[0], NETWORK.layout.slices["out.weight"]
    trained, fresh = (base.repeat(N, 1) for _ in range(2))
    trained[:, last], fresh[:, last] = rows("train")[:, last], rows("fresh")[:, last]
    train = write(tmp_path / "train", trained, "{i}.pt", before="module.")
    heldout = write(tmp_path / "heldout", fresh, "{i}.pt")
    (tmp_path / "made").mkdir()
    for i in range(6):
        part = NETWORK.layout.unflatten(trained[i])["out.weight"].clone()
        save_file({"out.weight": part}, tmp_path / "made" / f"{i}.safetensors")
    words = ("audit", "--train", train, "--heldout", heldout, "--generated", tmp_path / "made")
    said = done(*words, "--include", "out.weight", "-o", tmp_path / "run")
    assert "1 of 4 parameters: out.weight" in said
    assert "verdict: replica" in said
    command = json.loads((tmp_path / "run" / "manifest.json").read_text())["command"]
    assert "--include 'out.weight'" in command
    fails(*words, "-o", tmp_path / "whole", code="other-network", named="hidden")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--records", "none.csv"], "not-found"),
        (["--pattern", "{step}{step}"], "wrong-option"),
        (["--layout", "none.csv"], "not-found"),
        (["--max-bytes", "10"], "too-large"),
        (["--seed", "1"], "not-found"),  # safetensors sorts names: no layout for a matrix
    ],
)
def test_options_that_do_not_fit_are_told_in_one_line(
    tmp_path: Path, words: list[str], code: str
) -> None:
    train = write(tmp_path / "train", rows("train", 4), "{i}.safetensors")
    np.save(tmp_path / "g.npy", rows("train", 2).numpy())
    audit = ("audit", "--train", train, "--generated", tmp_path / "g.npy", "-o", tmp_path / "run")
    fails(*audit, *words, code=code)
    assert not (tmp_path / "run").exists()


@pytest.mark.integration
def test_a_network_is_chosen_by_its_key_in_every_command_that_reads(tmp_path: Path) -> None:
    for role in ("train", "generated"):
        (tmp_path / role).mkdir()
        for i, row in enumerate(rows(role)):
            state = NETWORK.layout.unflatten(row)
            both = {"G": state, "G_ema": {name: 2 * value for name, value in state.items()}}
            torch.save(both, tmp_path / role / f"{i:02d}.pt")
    train, generated = tmp_path / "train", tmp_path / "generated"
    for n, (words, by_key) in enumerate(
        [
            (("audit", "--train", train, "--generated", generated), True),
            (("import", "auto", train), True),
            (("plan", "--train", train), False),
            (("lint", train), False),
        ]
    ):
        output = ("-o", tmp_path / f"out{n}") if by_key else ()
        if words[0] == "lint":
            assert "G_ema" in done(*words, code=1)
        else:
            fails(*words, *output, code="wrong-content", named="G_ema")
        done(*words, *output, "--key", "G_ema")
    imported = open_population(tmp_path / "out1").load()
    assert torch.equal(imported.in_order_of(NETWORK.layout).weights, 2 * rows("train"))
    command = json.loads((tmp_path / "out0" / "manifest.json").read_text())["command"]
    assert "--key 'G_ema'" in command
    read = load(train, reading=Reading(key="G"))
    assert torch.equal(read.in_order_of(NETWORK.layout).weights, rows("train"))


@pytest.mark.parametrize(
    ("command", "without"),
    [("audit", set()), ("plan", set()), ("lint", {"shared"}), ("import", {"format"})],
)
def test_the_commands_that_read_take_the_same_options(command: str, without: set[str]) -> None:
    known_otherwise = {"columns", "as_factors", "scaling"}  # by the network, by training
    taken = {field.name for field in fields(Reading)} - known_otherwise - without
    options = {word for param in listed_options(command) for word in param}
    assert {f"--{name.replace('_', '-')}" for name in taken} <= options
    assert not {f"--{name}" for name in without} & options


def listed_options(command: str) -> list[list[str]]:
    group = get_command(app)
    assert isinstance(group, Group)
    return [param.opts for param in group.commands[command].params]


def test_lint_takes_runs_and_steps_as_an_audit_does(tmp_path: Path) -> None:
    train = write(tmp_path / "train", rows("train", 6), "a{i}-odd.pt")
    assert "6 runs" in done("lint", train)
    assert "1 run" in done("lint", train, "--pattern", "a{step}-odd")
    fails("lint", train, "--pattern", "b{step}", code="wrong-records")


def test_lint_looks_at_the_chosen_parameters(tmp_path: Path) -> None:
    train = write(tmp_path / "train", rows("train", 6), "{i}.pt")
    assert "15 weights" in done("lint", train, "--include", "out.weight")
    assert "--include" in done("lint", train, "--include", "none*", code=1)
