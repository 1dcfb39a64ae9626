"""What the pictures of a report need beyond the numbers: a few weights, a few decisions or shapes.

Bounded in size and written to `plot_data.npz`, so that a report can be drawn again without the
checkpoints. Source: paper, figures 2 and 5; further ones of audits of one run are in
`one_run_pictures.py`, of fields in `shape_pictures.py`.
"""

import numpy as np
import torch

from novelweights.auditing.judge.criteria import DEFAULT_CRITERIA
from novelweights.auditing.measure.shape_pictures import shape_pictures
from novelweights.auditing.one_run.pictures import one_run_pictures
from novelweights.auditing.result import AuditResult
from novelweights.metrics.alignment import aligned_to, alignment_of_learned
from novelweights.seeding import numpy_rng_for
from novelweights.tasks.classification import Classification
from novelweights.tasks.decision_regions import MAX_INPUTS, decision_regions, principal_plane
from novelweights.tasks.shapes import FieldShapes
from novelweights.tasks.task import Task
from novelweights.weights.population import Population
from novelweights.weights.symmetry import NeuronSymmetry

N_SAMPLES, N_PARAMETERS = 3, 64


def pictures(
    result: AuditResult,
    train: Population,
    generated: Population,
    *,
    heldout: Population | None = None,
    from_scratch: Population | None = None,
    noise_from: Population | None = None,
    task: Task | None = None,
    symmetry: NeuronSymmetry | None = None,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Arrays for `plot_data.npz`.

    Args:
        train: The training checkpoints, as given to the audit (or what stood in for them).
        heldout: The held-out runs, as given to the audit (or what stood in for them).
        task: Decision regions are drawn for classifiers of at most `MAX_INPUTS` inputs; of more,
            `inputs_without_regions` holds their number. Shapes are drawn for fields.
        symmetry: Training checkpoints are drawn aligned to their sample.
        seed: Chooses the samples and the parameters.
    """
    if result.training_rows is not None:
        train = train.select(result.training_rows)
    generated = generated.in_order_of(train.layout)
    rng = numpy_rng_for(seed, "pictures")
    order = rng.permutation(len(generated))
    rows = np.sort(order[:N_SAMPLES])
    neighbors = result.generated.neighbor_rows[rows]  # (s, k)
    layout = train.layout.learned
    parameters = np.sort(rng.permutation(layout.size)[:N_PARAMETERS])
    arrays: dict[str, np.ndarray] = {}
    if neighbors.shape[1] == 3:
        alignment = alignment_of_learned(train.layout, symmetry)
        values = []
        for row, near in zip(rows, neighbors, strict=True):
            sample = generated.learned[int(row)]
            others = train.learned[torch.from_numpy(near)]
            if alignment is not None:
                others = aligned_to(sample, others, alignment)
            panel = torch.cat([sample[None], others])
            values.append(panel.numpy()[:, parameters])
        arrays["heatmap_parameters"] = parameters
        arrays["heatmap_values"] = np.stack(values).astype(np.float32)
        arrays["heatmap_rows"] = rows
    if isinstance(task, Classification):
        inputs = task.network.inputs
        if inputs <= MAX_INPUTS:
            plane = principal_plane(task.data.test_x)
            pairs = [
                decision_regions(task, population.select(chosen), plane)
                for population, chosen in ((generated, rows), (train, neighbors[:, 0]))
            ]
            arrays["regions"] = np.stack(pairs, axis=1)  # (s, 2, resolution, resolution)
            arrays["region_rows"] = rows
        else:
            arrays["inputs_without_regions"] = np.array(inputs)  # for the page to say
    if isinstance(task, FieldShapes):
        arrays |= shape_pictures(result, task, train, generated, order, N_SAMPLES)
    if result.n_runs is not None and result.n_runs < DEFAULT_CRITERIA.min_runs:
        layout = train.layout
        arrays |= one_run_pictures(
            result,
            train,
            generated,
            heldout=None if heldout is None else heldout.in_order_of(layout),
            from_scratch=from_scratch,
            noise_from=None if noise_from is None else noise_from.in_order_of(layout),
            seed=seed,
        )
    return arrays
