"""What is run of each method at each scale; the exhibits are made of these runs.

smoke is for tests: seconds of training, nothing shows. laptop is real data on two cores, with the
paper's ratio of generator parameters to values in the training checkpoints as far as it can be had;
laptop-other-data is the same on other data, of two methods.
paper is the published setting, for a GPU. Source: paper, appendix A; DESIGN section 6.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from novelweights.reproduce.nodes import Cost


@dataclass(frozen=True)
class Setting:
    """What is run of one method at one scale."""

    zoo: str
    """A name in `ls zoos`."""
    counts: Mapping[str, int]
    """Of runs, heldout_runs, checkpoints of each, start_runs; the zoo's own where left out."""
    samples: int
    costs: tuple[Cost, Cost, Cost, Cost]
    """Of zoo, model, samples and audit."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """Changes of the zoo's fields."""
    generator: Mapping[str, Any] = field(default_factory=dict)
    """Changes of the method's settings of that scale."""
    controls: int | None = None
    """Checkpoints of each of the audit's controls; None: the usual number."""
    pages: bool = True
    """Whether audits write their pages."""
    scratch: int = 0
    """Networks from scratch beside it."""
    scratch_cost: Cost = (0.0, 0.0)
    fits: int = 1
    """Fits of the generator, each with a seed of its own, where ways to sample are compared."""


_SECONDS: Cost = (0.1, 1.0)
_ALL_SECONDS = _SECONDS, _SECONDS, _SECONDS, _SECONDS

_SHORT = {"layers": 2, "steps": 6}  # of which a variant has fewer
SMOKE = {
    "hyper-representations": Setting(
        "mnist-5k-cnn",
        {"runs": 10, "heldout_runs": 20, "checkpoints": 2},
        samples=8,
        costs=_ALL_SECONDS,
        controls=2,
        pages=False,
        recipe={"recipe": {"epochs": 2, "batch_size": 250}},
        generator=_SHORT,
        fits=2,
    ),
    "g-pt": Setting(
        "digits-mlp-steps",
        {"runs": 12, "heldout_runs": 20, "checkpoints": 4, "start_runs": 8},
        samples=8,
        costs=_ALL_SECONDS,
        controls=2,
        pages=False,
        recipe={"recipe": {"epochs": 4}},
        generator=_SHORT,
    ),
    "hyperdiffusion": Setting(
        "airplanes-field",
        {"runs": 6, "heldout_runs": 4},
        samples=4,
        costs=_ALL_SECONDS,
        controls=2,
        pages=False,
        recipe={"recipe": {"epochs": 6}, "n_near": 2_000, "n_uniform": 2_000},
    ),
    "p-diff": Setting(
        "photo-patch-10-resnet18-bn",
        {"runs": 1, "heldout_runs": 2, "checkpoints": 16},
        samples=8,
        costs=_ALL_SECONDS,
        controls=2,
        pages=False,
        recipe={"base": {"epochs": 1}},
        scratch=2,
        scratch_cost=_SECONDS,
    ),
}
_LARGE = {  # 22.7 million parameters, 30.7 per value
    "width": 384,
    "hidden": 384,
    "heads": 6,
    "learning_rate": 1e-3,
    "precision": "bf16",
    "steps": 12_000,
}
LAPTOP = {
    "hyper-representations": Setting(
        "mnist-5k-cnn",
        {"runs": 60, "heldout_runs": 100, "checkpoints": 5},
        samples=200,
        costs=((2, 4), (45, 95), (0.1, 2), (1, 9)),
        generator=_LARGE,
        fits=2,
    ),
    "g-pt": Setting(
        "mnist-mlp-steps",
        {"runs": 256, "heldout_runs": 200, "checkpoints": 24, "start_runs": 200},
        samples=200,
        costs=((11, 355), (65, 37), (5, 7), (3, 5)),
        generator={  # 9.5 million parameters, 4.7 per value; 6,000 pairs of each run
            "tokens": "parameters",
            "chunk": 1000,
            "weight_scale": 4.185,
            "learning_rate": 1e-3,
        },
    ),
    "hyperdiffusion": Setting(
        "airplanes-field",
        {"runs": 200, "heldout_runs": 100},
        samples=1_500,
        costs=((25, 13), (45, 30), (4, 65), (60, 30)),
    ),
    "p-diff": Setting(
        "cifar-10-jpeg-resnet18-bn",
        {"runs": 1, "heldout_runs": 8, "checkpoints": 300},
        samples=200,
        costs=((60, 12), (20, 20), (1, 1), (20, 10)),
        scratch=3,
        scratch_cost=(160, 9),
    ),
}
OTHER_DATA = "-other-data"
LAPTOP_OTHER_DATA = {  # of methods whose exhibits on other data tell more
    "hyper-representations": Setting(
        "cifar-10-jpeg-cnn",
        {"runs": 60, "heldout_runs": 60, "checkpoints": 5},
        samples=200,
        costs=((20, 4), (45, 95), (0.1, 2), (1, 9)),
        generator=_LARGE,
    ),
    "g-pt": Setting(
        "digits-wide-mlp-steps",
        {"runs": 570, "heldout_runs": 200, "checkpoints": 24, "start_runs": 200},
        samples=200,
        costs=((2, 160), (40, 20), (3, 2), (2, 5)),
        generator={  # 4.7 million parameters, 4.7 per value
            "tokens": "parameters",
            "chunk": 200,
            "weight_scale": 0.0,
            "learning_rate": 1e-3,
        },
    ),
}
PAPER = {
    "hyper-representations": Setting(
        "svhn-cnn",
        {"runs": 580, "heldout_runs": 100, "checkpoints": 5},
        samples=200,
        costs=((90, 34), (2_000, 1_800), (1, 2), (10, 30)),
    ),
    "g-pt": Setting(
        "mnist-mlp-steps",
        {"runs": 10_228, "heldout_runs": 500, "checkpoints": 200, "start_runs": 128},
        samples=128,
        costs=((180, 68_000), (4_000, 1_600), (10, 4), (60, 300)),
    ),
    "hyperdiffusion": Setting(
        "shapenet-airplane-field",
        {"runs": 2_749, "heldout_runs": 202},
        samples=666,
        costs=((900, 440), (9_000, 5_700), (60, 100), (300, 300)),
    ),
    "p-diff": Setting(
        "cifar-100-resnet18-bn",
        {"runs": 1, "heldout_runs": 8, "checkpoints": 300},
        samples=200,
        costs=((120, 50), (30, 20), (1, 2), (60, 30)),
        scratch=20,
        scratch_cost=(9_000, 900),
    ),
}
SETTINGS = {
    "smoke": SMOKE,
    "laptop": LAPTOP,
    f"laptop{OTHER_DATA}": LAPTOP_OTHER_DATA,
    "paper": PAPER,
}

VARIED = {
    "smoke": {method: SMOKE[method] for method in ("hyper-representations", "g-pt")},
    "laptop": {  # smaller populations than above, of which a fit of minutes comes to memorize
        "hyper-representations": Setting(
            "mnist-5k-cnn",
            {"runs": 60, "heldout_runs": 100, "checkpoints": 5},
            samples=200,
            costs=((2, 4), (5, 30), (0.1, 2), (0.2, 0.1)),
            generator={"steps": 2_400},
        ),
        "g-pt": Setting(
            "digits-mlp-steps",
            {"runs": 150, "heldout_runs": 200, "checkpoints": 24, "start_runs": 200},
            samples=200,
            costs=((1, 30), (4, 3), (0.5, 1), (0.2, 0.1)),
            generator={
                "width": 80,
                "tokens": "parameters",
                "chunk": 80,
                "weight_scale": 0.0,
                "learning_rate": 1e-3,
                "steps": 6_400,
            },
        ),
    },
    "paper": {method: PAPER[method] for method in ("hyper-representations", "g-pt")},
}
"""What table 1 compares; every fit of a method is as long as that of its default, but for the two
variants that are shorter."""
