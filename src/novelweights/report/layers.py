"""Each layer's nearest training run: one color from top to bottom is a copy, two are a mosaic.

Layers of held-out runs have nearest runs too, and different ones; so colors are pale unless every
layer is beyond all held-out runs.
"""

from collections import Counter

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from novelweights.auditing.result import AuditResult
from novelweights.report.style import PANEL, RUN_COLORS, nearest_first
from novelweights.report.tables import short

MAX_SAMPLES = 60
MAX_LABELS = 30
OTHERS = ("#B4B8BC", "#6B7075", "#DADDE0", "#3F4347")
"""Runs without a color of their own: other shades where they differ within a checkpoint."""
PALE = 0.72  # how far toward white


def has_layers(result: AuditResult) -> bool:
    """Whether this audit looked at layers one by one."""
    return bool(result.layers) and result.generated.layer_rows is not None


def draw_layers(result: AuditResult) -> tuple[Figure, str]:
    """Generated checkpoints as columns, layers as rows, colored by the nearest training run."""
    if result.generated.layer_rows is None or not result.layers:
        raise ValueError("a map of layers needs the nearest training checkpoint of every layer")
    shown = nearest_first(result)[:MAX_SAMPLES]
    names = np.array(result.training_names, dtype=object)[result.generated.layer_rows[shown]]
    counts = Counter(names.ravel().tolist())
    frequent = sorted((-n, name) for name, n in counts.items() if n > 1)[: len(RUN_COLORS)]
    colors = {name: color for (_, name), color in zip(frequent, RUN_COLORS, strict=False)}
    beyond = _beyond(result)[shown]
    n_layers = len(result.layers)
    figure = Figure(figsize=(2 * PANEL, min(0.3 * n_layers, 9) + 1.25))
    ax = figure.add_subplot()
    ax.imshow(_cells(names, colors, beyond), aspect="auto", interpolation="none")
    for x in range(1, len(shown)):
        ax.axvline(x - 0.5, color="white", linewidth=1.2)
    step = -(-n_layers // MAX_LABELS)
    ax.set_yticks(range(0, n_layers, step), [short(layer, 28) for layer in result.layers[::step]])
    ax.set_xticks([0, len(shown) - 1] if len(shown) > 1 else [0])
    ax.set_xticklabels([str(tick + 1) for tick in ax.get_xticks().astype(int)])
    ax.set_xlabel("generated checkpoints, nearest to training first")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    looks = [Patch(color=color, label=short(name)) for name, color in colors.items()]
    if len(counts) > len(colors):
        looks.append(Patch(color=OTHERS[0], label="other runs"))
    figure.legend(handles=looks, loc="outside lower left", ncols=5, fontsize=8)
    same = np.array([len(set(row)) == 1 for row in names])
    return figure, (
        f"Map of {n_layers} layers of {len(shown)} generated checkpoints by nearest training run. "
        f"All layers beyond held-out runs: {beyond.sum()}; of these {(same & beyond).sum()} have "
        f"one run in all layers, {(~same & beyond).sum()} have several."
    )


def _beyond(result: AuditResult) -> Bool[np.ndarray, " n"]:
    """Where every layer is nearer to training than all held-out runs'; all, if not ranked."""
    p_values = result.p_values.get("layers_all_near")
    if p_values is None:
        return np.ones(len(result.generated), dtype=bool)
    null = result.heldout if result.heldout is not None else result.training
    return p_values <= 1 / (len(null) + 1) + 1e-9


def _cells(
    names: np.ndarray, colors: dict[str, str], beyond: Bool[np.ndarray, " n"]
) -> Float[np.ndarray, "layers n 3"]:
    cells = np.ones((names.shape[1], names.shape[0], 3))
    for x, column in enumerate(names):
        others = [name for name in dict.fromkeys(column) if name not in colors]
        shades = {name: OTHERS[i % len(OTHERS)] for i, name in enumerate(others)}
        for y, name in enumerate(column):
            color = np.array(to_rgb(colors.get(name) or shades[name]))
            cells[y, x] = color if beyond[x] else color + PALE * (1 - color)
    return cells
