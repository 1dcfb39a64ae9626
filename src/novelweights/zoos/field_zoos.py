"""The zoos of occupancy fields: HyperDiffusion's, each field fitted to one shape."""

from novelweights.shapes.shapenet import PUBLISHED
from novelweights.tasks import FIELDS
from novelweights.zoos.field_fitting import FieldRecipe
from novelweights.zoos.neural_fields import NeuralFields


def _field_zoo(
    name: str, recipe: FieldRecipe, description: str, *, runs: int, heldout_runs: int, points: int
) -> NeuralFields:
    """A zoo with `points` near the surface and as many in the cube."""
    return NeuralFields(
        name=name,
        network=FIELDS[name].network,
        shapes=FIELDS[name].shapes,
        recipe=recipe,
        task_name=name,
        description=f"occupancy fields of width {FIELDS[name].network.width}, {description}",
        runs=runs,
        heldout_runs=heldout_runs,
        n_near=points,
        n_uniform=points,
    )


_LAPTOP_FIELD = FieldRecipe(epochs=60, steps_per_epoch=24, patience=2, stop_after=10)
_PUBLISHED_COUNTS = {
    "runs": PUBLISHED["train"],
    "heldout_runs": PUBLISHED["validation"],
    "points": 100_000,
}
FIELD_ZOOS = (
    _field_zoo(
        "airplanes-field",
        _LAPTOP_FIELD,
        "fitted to procedural airplanes",
        runs=200,
        heldout_runs=100,
        points=25_000,
    ),
    _field_zoo(
        "airplanes-wide-field",
        FieldRecipe(),
        "fitted to procedural airplanes, HyperDiffusion's numbers and recipe; for many cores",
        **_PUBLISHED_COUNTS,
    ),
    _field_zoo(
        "real-airplanes-field",
        _LAPTOP_FIELD,
        "the recipe of airplanes-field, fitted to 27 real airplanes; needs `novelweights data "
        "fetch real-airplanes` (7 MB) and novelweights[meshes]",
        runs=21,
        heldout_runs=6,
        points=25_000,
    ),
    _field_zoo(
        "flightgear-airplanes-field",
        _LAPTOP_FIELD,
        "the recipe of airplanes-field, fitted to 88 real airplanes; needs `novelweights data "
        "fetch flightgear-airplanes` (287 MB) and novelweights[meshes]",
        runs=66,
        heldout_runs=22,
        points=25_000,
    ),
    _field_zoo(
        "shapenet-airplane-field",
        FieldRecipe(),
        "fitted to ShapeNet's airplanes, HyperDiffusion's recipe; for many cores; needs ShapeNet "
        "and HyperDiffusion's lists in the cache folder and novelweights[meshes]",
        **_PUBLISHED_COUNTS,
    ),
)
