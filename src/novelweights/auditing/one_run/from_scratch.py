"""Networks trained from scratch: how far independent training leads, beside any audit.

They may be whole networks where training checkpoints are parts of one: the parts are taken by
name. What they do cannot be computed then (the rest of the network differs), so their quality is
what their records tell. Source: paper, appendix D.1.
"""

from dataclasses import replace

import numpy as np
import torch

from novelweights.auditing.judge.statistics import median
from novelweights.auditing.measure.estimates import of_rows
from novelweights.auditing.measure.measurements import NearestIndex, measure
from novelweights.auditing.result import Measurements, Quantity
from novelweights.errors import InputError, count, first_few
from novelweights.seeding import numpy_rng_for
from novelweights.tasks.task import Measure
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, last_of_each_run

LABEL = "from scratch"
ROLE = "from-scratch"
ACCURACY = "test_accuracy"
"""The score of a record that is the quality of a classifier, in percent."""


def same_parts(networks: Population, layout: WeightLayout) -> Population:
    """Those parameters of networks that a layout names, in its order; the last step of each run.

    Args:
        networks: Trained from scratch; their layout may name more.
        layout: Of the training checkpoints.

    Raises:
        InputError: A parameter of the layout is missing or has another shape.
    """
    shapes = dict(networks.layout.shapes)
    faults = [
        f"{name} is {'missing' if name not in shapes else f'{shapes[name]}, not {shape}'}"
        for name, shape in layout.shapes
        if shapes.get(name) != shape
    ]
    if faults:
        raise InputError(
            f"{ROLE}: expected networks with the {len(layout.shapes)} parameters of the training "
            f"checkpoints, but {first_few(faults)}; give networks of the same "
            "architecture (they may hold further parameters)",
            "other-network",
        )
    last = networks if len(networks) == 0 else networks.select(last_of_each_run(networks.records))
    parts = [last.weights[:, last.layout.slices[name]] for name, _ in layout.shapes]
    return replace(last, weights=torch.cat(parts, dim=1), layout=layout)


def measured_from_scratch(
    networks: Population, reference: NearestIndex, quality: Measure | None
) -> Measurements:
    """Distances to training, and the quality that the records tell, if that is what is measured.

    Raises:
        InputError: One of them is a training checkpoint.
    """
    measurements = measure(
        LABEL, networks, replace(reference, task=None, behavior=None), only_near=True
    )
    if len(same := np.flatnonzero(measurements.raw_distance == 0)):
        raise InputError(
            f"{ROLE}: {count(len(same), 'network')} equal training checkpoints (first: "
            f"{networks.records.run[same[0]]}); expected independently trained ones. Remove them",
            "leak",
        )
    scores = networks.records.scores.get(ACCURACY)
    is_accuracy = quality is not None and (quality.name, quality.unit) == ("accuracy", "%")
    if scores is None or not is_accuracy or not np.isfinite(scores).all():
        return measurements
    return replace(measurements, quality=np.asarray(scores, dtype=np.float64))


def from_scratch_quantities(
    measurements: Measurements, quality: Measure | None, *, seed: int
) -> list[Quantity]:
    """Their median distance to training, and their mean quality where it is known."""
    rng = numpy_rng_for(seed, "bootstrap", LABEL)
    numbers = [
        of_rows(measurements.distance, rng, median).quantity(
            "median_distance_from_scratch",
            "Median distance, from scratch to training",
            "Median over networks trained from scratch of the declared distance to the nearest "
            "training checkpoint. Weight units; bootstrap over these networks.",
        )
    ]
    if quality is not None and measurements.quality is not None:
        numbers.append(
            of_rows(measurements.quality, rng).quantity(
                "mean_quality_from_scratch",
                f"Mean {quality.name}, from scratch",
                f"Mean {quality.name} of networks trained from scratch, as their records tell it.",
                unit=quality.unit,
            )
        )
    return numbers
