"""The zoos of occupancy fields: HyperDiffusion's, each field fitted to one shape."""

from novelweights.shapes.shapenet import PUBLISHED
from novelweights.tasks import FIELDS
from novelweights.zoos.field_fitting import FieldRecipe
from novelweights.zoos.neural_fields import NeuralFields

_LAPTOP = FieldRecipe(epochs=60, steps_per_epoch=24, patience=2, stop_after=10)
_PUBLISHED = (PUBLISHED["train"], PUBLISHED["validation"], 100_000)
_ZOOS = {
    "airplanes-field": (_LAPTOP, (200, 100, 25_000), "fitted to procedural airplanes"),
    "airplanes-wide-field": (
        *(FieldRecipe(), _PUBLISHED),
        "fitted to procedural airplanes, HyperDiffusion's numbers and recipe; for many cores",
    ),
    "real-airplanes-field": (
        *(_LAPTOP, (21, 6, 25_000)),
        "the recipe of airplanes-field, fitted to 27 real airplanes; needs `novelweights data "
        "fetch real-airplanes` (7 MB) and novelweights[meshes]",
    ),
    "flightgear-airplanes-field": (
        *(_LAPTOP, (66, 22, 25_000)),
        "the recipe of airplanes-field, fitted to 88 real airplanes; needs `novelweights data "
        "fetch flightgear-airplanes` (287 MB) and novelweights[meshes]",
    ),
    "shapenet-airplane-field": (
        *(FieldRecipe(), _PUBLISHED),
        "fitted to ShapeNet's airplanes, HyperDiffusion's recipe; for many cores; needs ShapeNet "
        "and HyperDiffusion's lists in the cache folder and novelweights[meshes]",
    ),
}
FIELD_ZOOS = tuple(
    NeuralFields(
        name=name,
        network=FIELDS[name].network,
        shapes=FIELDS[name].shapes,
        recipe=recipe,
        task_name=name,
        description=f"occupancy fields of width {FIELDS[name].network.width}, {text}",
        runs=runs,
        heldout_runs=heldout_runs,
        n_near=points,  # near the surface, and as many in the cube
        n_uniform=points,
    )
    for name, (recipe, (runs, heldout_runs, points), text) in _ZOOS.items()
)
