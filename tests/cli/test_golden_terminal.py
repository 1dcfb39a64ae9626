"""The wording of commands, in one place: all other tests assert codes, numbers and files.

After a change of wording, look at the difference and write the file anew:
`GOLDEN=write pytest tests/cli/test_golden_terminal.py`.
"""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import torch
from commands import run
from folders import write_states

from novelweights import api
from novelweights.auditing import stages
from novelweights.networks.mlp import OneHiddenMLP
from novelweights.seeding import rng_for

GOLDEN = Path(__file__).with_name("golden_terminal.txt")
NETWORK = OneHiddenMLP(6, 5, 3)
COMMANDS = (
    "audit --train train --heldout heldout --generated made.npy -o run",
    "lint damaged --heldout heldout",
    "audit --train train --generated nowhere -o other",
)


def test_commands_print_what_they_printed(tmp_path: Path, monkeypatch, quick):
    """Copies of networks are audited, each role in a form of its own."""
    monkeypatch.chdir(tmp_path)
    # pages and controls have tests of their own
    monkeypatch.setattr(api, "build_report", lambda folder: None)
    monkeypatch.setattr(stages, "measured_controls", lambda *given: {})
    trained, others = (
        torch.stack([NETWORK.initial(rng_for(0, label, i)) for i in range(24)])
        for label in ("train", "heldout")
    )
    for name, weights in (("train", trained), ("heldout", others), ("damaged", trained)):
        write_states(tmp_path / name, NETWORK.layout, weights, "seed{i}_step900.pt")
    Path("damaged/seed0_step900.pt").write_bytes(b"broken")
    shutil.copy("damaged/seed1_step900.pt", "damaged/seed30_step900.pt")
    state = torch.load("damaged/seed2_step900.pt", weights_only=True)
    torch.save({name: v.half() for name, v in state.items()}, "damaged/seed2_step900.pt")
    np.save("made.npy", trained[:8].numpy())
    text = ""
    for command in COMMANDS:
        result = run(*command.split())
        errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        text += "\n".join([f"$ novelweights {command}", *result.stdout.splitlines(), *errors])
        text += f"\n[exit code {result.exit_code}]\n\n"
    if os.environ.get("GOLDEN") == "write":
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")
    assert json.loads(Path("run/manifest.json").read_text())["inputs"]["generated"]["rows"] == 8
