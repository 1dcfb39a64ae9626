"""The runs of one scale as nodes, which exhibits name: `plan.methods["g-pt"].audit`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from novelweights.errors import InputError, count, look_up
from novelweights.generators import make_generator, method_named
from novelweights.reproduce.averaging import recomputed
from novelweights.reproduce.comparing import distances
from novelweights.reproduce.drawing import DATA_TITLES, TITLES
from novelweights.reproduce.draws import Draws, draws_of
from novelweights.reproduce.heatmaps import heatmaps_of
from novelweights.reproduce.nodes import Node, in_order
from novelweights.reproduce.outputs import outputs_of
from novelweights.reproduce.overlapping import overlaps
from novelweights.reproduce.reconstructing import reconstructions
from novelweights.reproduce.reported import NOISE
from novelweights.reproduce.settings import OTHER_DATA, SETTINGS, VARIED, Setting
from novelweights.reproduce.stages import (
    audit_node,
    changed,
    measured_node,
    model_node,
    samples_node,
    zoo_node,
)
from novelweights.reproduce.trading_off import beside_noise
from novelweights.reproduce.variants import variants_of
from novelweights.tasks import PART_TASKS
from novelweights.zoos import find_zoo
from novelweights.zoos.building import Zoo


@dataclass(frozen=True, eq=False)
class MethodRuns:
    """The runs of one method."""

    method: str
    zoo: Node
    model: Node
    samples: Node
    audit: Node
    distances: Node
    """Of samples, training checkpoints and held-out runs, see `comparing.distances`."""
    overlaps: Node
    """Of their predictions, see `overlapping.overlaps`; for classifiers."""
    heatmaps: Node
    """Weights of samples and of their nearest training checkpoints, see `heatmaps.py`."""
    outputs: Node
    """What samples and their nearest training checkpoints do, see `outputs`."""
    trade_off: Node
    """Quality and novelty beside noise, see `trading_off`."""
    reconstructions: Node
    """Of networks and of their moved copies by a lossy codec, see `reconstructing`."""
    recomputed: Node | None = None
    """With running statistics of their own, see `averaging`; where parts are generated."""
    scratch: Node | None = None
    other_audits: Mapping[str, Node] = field(default_factory=dict)
    """Of the method's further samplers, by name."""
    draws: Sequence[Draws] = ()
    """Of every sampler, fit and seed, where the method has several samplers."""


@dataclass(frozen=True, eq=False)
class Plan:
    """All runs of one scale."""

    scale: str
    methods: Mapping[str, MethodRuns]
    variants: Mapping[str, Mapping[str, Node]]
    """By method, then by name: how good and how near samples are, see `variants.ratings`."""

    @property
    def audits(self) -> list[Node]:
        """The audit of every method."""
        return [runs.audit for runs in self.methods.values()]

    def of(self, method: str) -> MethodRuns:
        """The runs of one method.

        Raises:
            InputError: It is not run at this scale.
        """
        if method not in self.methods:
            raise _not_run(method, self.scale, self.methods)
        return self.methods[method]

    def variants_of(self, method: str) -> Mapping[str, Node]:
        """The ratings of a method's variants.

        Raises:
            InputError: None is fitted at this scale.
        """
        if method not in self.variants:
            raise _not_run(f"variants of {method}", self.scale, self.variants)
        return self.variants[method]

    def caption(self, nodes: Sequence[Node]) -> str:
        """Scale, data and numbers of training runs of what some nodes are made of."""
        told = list[str]()
        for node in in_order(nodes):
            method = node.name.removesuffix("-zoo")
            if method in TITLES:
                zoo, counts = node.settings["zoo"], node.settings
                runs, steps = counts.get("runs", zoo.runs), counts.get("checkpoints")
                n = count(runs, "training run")
                n = f"{steps} checkpoints of {n}" if runs == 1 else n
                told.append(f"{TITLES[method]}: {shown_data(zoo)}, {n}")
        return f"Scale {self.scale}. {'; '.join(told)}."


def shown_data(zoo: Zoo) -> str:
    """What a zoo's networks are trained on, as pictures name it."""
    return DATA_TITLES[getattr(zoo, "data_name", zoo.name)]


def _not_run(method: str, scale: str, known: Collection[str]) -> InputError:
    return InputError(
        f"--scale {scale}: expected {method}, got {', '.join(known) or 'none'}; take another scale",
        "wrong-option",
    )


def plan_of(scale: str) -> Plan:
    """The runs of one scale.

    Raises:
        InputError: Unknown scale.
    """
    settings = look_up("scale", scale, SETTINGS)
    return Plan(
        scale,
        {method: _runs(method, scale, of) for method, of in settings.items()},
        {method: variants_of(method, scale, of) for method, of in VARIED.get(scale, {}).items()},
    )


def _runs(method: str, scale: str, of: Setting) -> MethodRuns:
    """Nodes of one method."""
    recipe = changed(find_zoo(of.zoo), **of.recipe)
    generator = changed(make_generator(method, scale.removesuffix(OTHER_DATA)), **of.generator)
    of_zoo, of_model, of_samples, of_audit = of.costs
    zoo = zoo_node(f"{method}-zoo", recipe, cost=of_zoo, **of.counts)
    model = model_node(f"{method}-model", method, generator, zoo, cost=of_model)
    scratch = None
    if of.scratch:
        whole = changed(
            find_zoo(of.zoo.removesuffix("-bn")),
            **({"recipe": of.recipe["base"]} if "base" in of.recipe else {}),
        )
        scratch = zoo_node(f"{method}-scratch", whole, cost=of.scratch_cost, runs=of.scratch)

    def audited(sampler: str | None) -> tuple[Node, Node]:
        end = "" if sampler is None else f"-{sampler}"
        samples = samples_node(
            f"{method}-samples{end}", model, of.samples, sampler=sampler, cost=of_samples
        )
        return samples, audit_node(
            f"{method}-audit{end}",
            samples,
            scratch=scratch,
            controls=of.controls,
            page=of.pages,
            cost=of_audit,
        )

    first, *others = method_named(method).samplers or (None,)
    samples, audit = audited(first)
    sampled = {"zoo": zoo, "model": model, "samples": samples}
    amplitudes = [level.std for level in NOISE[method]]
    return MethodRuns(
        method=method,
        zoo=zoo,
        model=model,
        samples=samples,
        audit=audit,
        distances=measured_node(f"{method}-distances", distances, sampled),
        overlaps=measured_node(f"{method}-overlaps", overlaps, sampled),
        heatmaps=measured_node(f"{method}-heatmaps", heatmaps_of(method), sampled, method=method),
        outputs=measured_node(
            f"{method}-outputs", outputs_of(method), sampled, cost=(2, 1), method=method
        ),
        trade_off=measured_node(
            f"{method}-trade-off",
            beside_noise(amplitudes),
            sampled,
            cost=(of_audit[0] / 2, 0.1),
            amplitudes=amplitudes,
        ),
        recomputed=measured_node(f"{method}-recomputed", recomputed, sampled, cost=(10, 0.1))
        if recipe.task_name in PART_TASKS
        else None,
        reconstructions=measured_node(
            f"{method}-reconstructions", reconstructions, {"zoo": zoo, "model": model}
        ),
        scratch=scratch,
        other_audits={name: audited(name)[1] for name in others},
        draws=draws_of(method, model, of) if others else (),
    )
