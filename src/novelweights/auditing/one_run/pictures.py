"""What the pictures of a one-run audit need: values of single parameters, rows of weights, t-SNE.

Source: paper, figures 7, 8 (right), 15, 16 and 17. Bounded in size.
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from sklearn.manifold import TSNE
from torch import Tensor

from novelweights.auditing.controls.baselines import mixtures, n_baseline, noised
from novelweights.auditing.one_run.from_scratch import same_parts
from novelweights.auditing.result import TSNE_GROUPS, AuditResult
from novelweights.seeding import numpy_rng_for
from novelweights.weights.population import Population, last_of_each_run

N_ENTRIES = 50
"""Entries of the first parameter whose distributions are drawn. Source: paper, figure 17."""
N_VALUES = 300
"""Checkpoints of a kind behind a distribution. Source: paper (all 300 of training)."""
N_ROWS, N_PARAMETERS = 20, 64
"""Checkpoints of a kind, and weights of each. Source: paper, figure 15."""
N_POINTS, PERPLEXITY, TSNE_SEED = 100, 30, 42
"""Source: paper, figure 8, and its code (defaults of scikit-learn otherwise)."""
MIN_POINTS = 4
"""Fewer points are no map."""


def one_run_pictures(
    result: AuditResult,
    train: Population,
    generated: Population,
    *,
    heldout: Population | None,
    from_scratch: Population | None,
    noise_from: Population | None,
    seed: int,
) -> dict[str, np.ndarray]:
    """Arrays for `plot_data.npz`, all drawn at random but for the map.

    Args:
        result: The audit of these populations, all of the training layout but `from_scratch`.
        heldout: All checkpoints of the held-out runs.
        noise_from: What the noise baseline adds noise to; None: `train`.
    """
    rng = numpy_rng_for(seed, "pictures", "one run")
    rows = {"training": train.learned, "generated": generated.learned}
    if from_scratch is not None:
        rows["from_scratch"] = same_parts(from_scratch, train.layout).learned
    if heldout is not None:
        rows["heldout"] = heldout.select(last_of_each_run(heldout.records)).learned
    layout = train.layout.learned
    name = layout.shapes[0][0]
    first = layout.slices[name]
    entries = first.start + rng.permutation(first.stop - first.start)[:N_ENTRIES]
    parameters = np.sort(rng.permutation(layout.size)[:N_PARAMETERS])
    arrays = {"entry_parameters": entries, "row_parameters": parameters}
    for kind in ("training", "generated"):
        arrays[f"entry_{kind}"] = _some(rows[kind], N_VALUES, rng, entries)
    for kind, weights in rows.items():
        arrays[f"row_{kind}"] = _some(weights, N_ROWS, rng, parameters)
    n = n_baseline(len(generated))
    rows |= mixtures(train.learned, layout, n, seed=seed)
    std = next((q.value for q in result.quantities if q.key == "noise_std"), None)
    if std is not None:
        rows["noise"] = noised(noise_from or train, n, std, seed=seed).learned
    return arrays | _map({kind: rows[kind] for kind in TSNE_GROUPS if kind in rows}, rng)


def _some(
    weights: Float[Tensor, "n d"],
    n: int,
    rng: np.random.Generator,
    columns: np.ndarray | None = None,
) -> Float[np.ndarray, "rows columns"]:
    """At most n checkpoints, in their order, and some of their weights."""
    picked = weights[torch.from_numpy(np.sort(rng.permutation(len(weights))[:n]))]
    picked = picked if columns is None else picked[:, torch.from_numpy(columns)]
    return picked.float().numpy()


def _map(rows: Mapping[str, Tensor], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """t-SNE of raw weights. Source: paper, figure 8 (right)."""
    picked = {kind: _some(weights, N_POINTS, rng) for kind, weights in rows.items()}
    groups = [TSNE_GROUPS.index(kind) for kind, some in picked.items() for _ in some]
    if len(groups) < MIN_POINTS:
        return {}
    perplexity = min(PERPLEXITY, (len(groups) - 1) // 3)
    tsne = TSNE(perplexity=perplexity, random_state=TSNE_SEED)
    points = tsne.fit_transform(np.concatenate(list(picked.values())))
    return {"tsne_points": points.astype(np.float32), "tsne_groups": np.array(groups)}
