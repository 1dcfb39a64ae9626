"""Audits of checkpoints in several forms and of parts of networks, from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import done, fails
from safetensors.torch import save_file

from novelweights.networks.mlp import OneHiddenMLP
from novelweights.seeding import rng_for

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
