"""An audit of low-rank adapters compares what they add to a network."""

import json

import pandas as pd
import pytest
import torch
from commands import done
from safetensors.torch import save_file

NAMES = {
    letter: f"base_model.model.layers.0.self_attn.q_proj.lora_{letter}.weight" for letter in "AB"
}


@pytest.mark.usefixtures("quick", "few_controls")
def test_adapters_whose_factors_were_turned_are_replicas_of_the_right_runs(tmp_path, rng):
    def save(role, number, a, b):
        place = tmp_path / role / f"task{number:02d}"
        place.mkdir(parents=True)
        state = {NAMES["A"]: a.contiguous(), NAMES["B"]: b.contiguous()}
        save_file(state, place / "adapter_model.safetensors")
        if role != "copies":
            (place / "adapter_config.json").write_text(json.dumps({"r": 2, "lora_alpha": 8}))

    shapes = (2, 6), (5, 2)
    drawn = [[torch.randn(shape, generator=rng) for shape in shapes] for _ in range(30)]
    for number, factors in enumerate(drawn):
        save("train" if number < 10 else "held", number, *factors)
    for number in (7, 3):
        a, b = drawn[number]
        between = torch.randn(2, 2, generator=rng)
        save("copies", number, torch.linalg.solve(between, a), b @ between)
    roles = ("--train", tmp_path / "train", "--heldout", tmp_path / "held")
    told = done("audit", *roles, "--generated", tmp_path / "copies", "-o", tmp_path / "run")
    rows = pd.read_csv(tmp_path / "run" / "checkpoints.csv")
    assert rows["verdict"].tolist() == ["replica"] * 2
    assert rows["nearest_run"].tolist() == ["task03", "task07"]
    assert told.count("products B A") == 3
    assert "left out" not in told
