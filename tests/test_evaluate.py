from pathlib import Path

import torch

from novelweights.evaluate import audit_to_folder
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, PopulationInfo, Records
from novelweights.weights.symmetry import NeuronSymmetry


def test_network_with_two_hidden_layers_is_compared_by_plain_l2_to_the_page(tmp_path: Path) -> None:
    layout = WeightLayout((("a", (3, 4)), ("b", (3, 3)), ("c", (2, 3))))
    symmetry = NeuronSymmetry({"a": ("g", None), "b": ("h", "g"), "c": (None, "h")})
    info = PopulationInfo(symmetry=symmetry)

    def runs(name: str, n: int, seed: int) -> Population:
        weights = torch.randn(n, layout.size, generator=torch.Generator().manual_seed(seed))
        records = Records.of([f"{name}-{i}" for i in range(n)], split=name)
        return Population(weights, layout, records, info)

    train = runs("train", 8, 0)
    verdicts = audit_to_folder(
        tmp_path / "run",
        train,
        train.with_weights(train.weights.clone(), split="generated"),
        heldout=runs("heldout", 25, 1),
        task=None,
        symmetry=symmetry,
        command="test",
        inputs={},
    )
    assert verdicts.counts()["replica"] == 8
    assert "No symmetry was declared" in (tmp_path / "run" / "report.html").read_text()
