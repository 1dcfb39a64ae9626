"""The measures that are compared with held-out runs, and the tests made of them: one table.

A new measure of nearness is one entry of `MEASURES` and one function that fills its column of
`Measurements`; its p-values, their columns in checkpoints.csv and their words on the page follow.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple


@dataclass(frozen=True)
class Nearness:
    """One way to lie near the training checkpoints."""

    label: str
    """For people."""
    column: str
    """Of `Measurements`."""
    near: int
    """+1 where large values are near training, -1 where small ones are."""
    test: str = ""
    """The test that it is a part of, by its name in `COMBINED`."""
    at_norm: bool = False
    """Whether held-out runs are compared at the checkpoint's norm, since shrinking changes it."""
    has_far: bool = False
    """Whether a checkpoint may be too far as well."""
    has_raw: bool = False
    """Whether it is measured again with nothing aligned."""

    @property
    def is_raw(self) -> bool:
        """Whether nothing is aligned."""
        return self.column.startswith("raw_")


MEASURES = {
    "distance": Nearness("distance", "distance", -1, has_far=True),
    "matched_distance": Nearness("distance at equal norm", "distance", -1, "direction", True),
    "cosine": Nearness("cosine", "cosine", 1, "direction", has_far=True),
    "recentred": Nearness("recentred cosine", "recentred_cosine", 1),
    "hull": Nearness("hull", "hull_ratio", -1, "mixture", True, has_far=True, has_raw=True),
    "hull_distance": Nearness(
        "distance to the hull", "hull_distance", -1, "mixture", True, has_raw=True
    ),
    "unmatched_hull": Nearness(
        "hull at any norm", "hull_ratio", -1, "unmatched_mixture", has_raw=True
    ),
    "unmatched_hull_distance": Nearness(
        "distance to the hull at any norm", "hull_distance", -1, "unmatched_mixture", has_raw=True
    ),
    "sparse": Nearness("sparse mixture", "sparse_ratio", -1, "mixture", has_raw=True),
    "canonical": Nearness("distance in canonical form", "canonical_distance", -1),
    "neurons_any": Nearness("one neuron", "neurons_any", -1),
    "neurons_mean": Nearness("neurons, mean", "neurons_mean", -1),
    "neurons_all": Nearness("all neurons", "neurons_all", -1),
    "pca": Nearness(
        "principal components", "pca_residual", -1, "mixture", has_far=True, has_raw=True
    ),
}
"""Aligned by the declared symmetry; see `ALL_MEASURES`."""


def _with_raw() -> dict[str, Nearness]:
    measures = {}
    for name, one in MEASURES.items():
        measures[name] = one
        if one.has_raw:
            label, column = f"{one.label}, nothing aligned", f"raw_{one.column}"
            measures[f"raw_{name}"] = replace(one, label=label, column=column, has_far=False)
    return measures


ALL_MEASURES = _with_raw()
"""`MEASURES`, each followed by itself with nothing aligned where that is another measure."""

COMBINED = ("direction", "mixture", "unmatched_mixture")
"""Tests of several measures, of which the most extreme counts. The hull without regard to the norm
accuses nobody, since shrunk honest runs lie near it too, but who lies there is not called novel."""
LARGE = "mixture"
"""The test that is made again of the measures with a large effect alone, `large_mixture`. That
accuses: honest networks of another recipe lie a little nearer to mixtures than all held-out runs,
mixtures a lot."""


class Share(NamedTuple):
    """The population's share of checkpoints that a test finds, beyond chance."""

    key: str
    label: str
    """What is counted; {runs}: the held-out ones, or what stands in."""
    text: str
    """Which generated checkpoints these are."""


@dataclass(frozen=True)
class Test:
    """A p-value of every generated checkpoint, and what it counts for."""

    __test__ = False  # no test of pytest

    label: str
    """For people: what is compared with held-out runs, and which side is extreme."""
    accuses: str = ""
    """How the page names it, if alone it may call a checkpoint a copy or a mixture."""
    is_shown: bool = False
    """Whether it stands on the page; all stand in checkpoints.csv."""
    is_of_novel: bool = False
    """Whether it must be that of a held-out run before a checkpoint is called novel."""
    share: Share | None = None


TESTS = {
    "distance_near": Test(
        "distance, near",
        is_shown=True,
        is_of_novel=True,
        share=Share(
            "copied_share",
            "Nearer to a training checkpoint than all {runs}",
            "nearer to a training checkpoint than all {runs}",
        ),
    ),
    "direction_near": Test(
        "direction, near",
        accuses="direction",
        is_shown=True,
        is_of_novel=True,
        share=Share(
            "aligned_share",
            "More aligned with a training checkpoint than all {runs}",
            "more aligned with a training checkpoint (scale-free nearness) or nearer to one at "
            "equal norm than all {runs}",
        ),
    ),
    "mixture_near": Test(
        "mixture, near",
        is_shown=True,
        is_of_novel=True,
        share=Share(
            "mixed_share",
            "Nearer to mixtures of training checkpoints than all {runs}",
            "better explained by training checkpoints together than all {runs}: by "
            "distance to their convex hull at equal norm, by 16 of them, or by their principal "
            "components, aligned or as they are (mixtures; copies lie there too)",
        ),
    ),
    "large_mixture_near": Test("mixture by a large effect, near", accuses="mixture"),
    "recentred_near": Test(
        "recentred cosine, near",
        is_shown=True,
        share=Share(
            "recentred_share",
            "More aligned than all {runs}, less what samples have in common",
            "more aligned with a training checkpoint than all {runs}, both less the mean of the "
            "others of their kind",
        ),
    ),
    "layers_all_near": Test(
        "all layers, near",
        is_shown=True,
        share=Share(
            "mosaic_share",
            "Every layer more aligned with training than in all {runs}",
            "in every layer by itself more aligned with a training checkpoint than {runs}",
        ),
    ),
    "layers_any_near": Test("one layer, near", is_shown=True, is_of_novel=True),
    "quality_low": Test("quality, low", is_shown=True),
    "similarity_high": Test("similarity, high", is_shown=True, is_of_novel=True),
    "similarity_low": Test("similarity, low", is_of_novel=True),
    "neurons_any_near": Test("one neuron, near", is_of_novel=True),
    "neurons_mean_near": Test("neurons, mean, near", is_shown=True, is_of_novel=True),
    "neurons_all_near": Test("all neurons, near", is_of_novel=True),
    "twin_near": Test("nearest other sample, near"),
    "unmatched_mixture_near": Test("hull at any norm, any of four, near", is_of_novel=True),
    "layers_any_distance_near": Test("one layer, distance, near"),
    "layers_all_distance_near": Test("all layers, distance, near"),
} | {
    f"{name}_far": Test(f"{one.label}, far", is_of_novel=True)
    for name, one in MEASURES.items()
    if one.has_far
}
"""By the name of the p-value. Those of single measures on the near side that are not here only
stand in checkpoints.csv."""

ACCUSING = {test.accuses: name for name, test in TESTS.items() if test.accuses}
"""The tests that accuse; a held-out run has at most one chance in (held-out runs + 1) for each."""
SHARES = {name: test.share for name, test in TESTS.items() if test.share is not None}
OF_NOVEL = tuple(name for name, test in TESTS.items() if test.is_of_novel)
SHOWN = tuple(name for name, test in TESTS.items() if test.is_shown)


def label_of(p_value: str) -> str:
    """What a p-value compares with held-out runs, for people."""
    if p_value in TESTS:
        return TESTS[p_value].label
    measure = ALL_MEASURES.get(p_value.removesuffix("_near"))
    return p_value.replace("_", " ") if measure is None else f"{measure.label}, near"
