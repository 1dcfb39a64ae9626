"""The registry of generators: one line per method, and those of installed packages."""

from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from typing import Any

from novelweights import plugins
from novelweights.errors import InputError, look_up, unknown_name
from novelweights.generators import gpt, hyper_representations, hyperdiffusion, p_diff
from novelweights.generators.baselines import (
    AddNoise,
    AverageWeights,
    FittedBaseline,
    ParameterGaussian,
)
from novelweights.generators.generator import FittedGenerator, HasSamplers, WeightGenerator
from novelweights.generators.gpt import FittedGPt
from novelweights.generators.hyper_representations import FittedHyperRepresentations
from novelweights.generators.hyperdiffusion import FittedHyperDiffusion
from novelweights.generators.p_diff import FittedPDiff
from novelweights.generators.variants import Variant, variants


@dataclass(frozen=True)
class Method:
    """How a generator is made by name and read back from disk."""

    fitted: Any
    """The fitted class; its `load` reads what `save` wrote."""
    scales: Mapping[str, Any]
    """Settings by scale; the first is used unless another is named."""
    summary: str
    is_conditional: bool = False
    """Learns from several checkpoints of each run, and begins sampling from given ones."""
    samplers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Ways to sample one fitted generator, as changes of its settings; the first is the published.
    Empty: there is one."""
    variants: Mapping[str, Variant] = field(default_factory=dict)
    """Changes of its settings by name, to be compared with them."""


GENERATORS: dict[str, Method] = {
    "hyperdiffusion": Method(
        FittedHyperDiffusion,
        {name: hyperdiffusion.SCALES[name] for name in ("laptop", "demo", "smoke", "paper")},
        "unconditional diffusion over weights (HyperDiffusion)",
        variants=variants(heads=(5 / 4, 3 / 4), layers=(3 / 2, 2 / 3), noise=0.02),
    ),
    "g-pt": Method(
        FittedGPt,
        {name: gpt.SCALES[name] for name in ("laptop", "smoke", "paper")},
        "diffusion of trained weights from initial ones, prompted with a loss (G.pt)",
        is_conditional=True,
        variants=variants(heads=(5 / 4, 3 / 4), layers=(5 / 3, 1 / 2), noise=0.05 / 4.185),
    ),
    "hyper-representations": Method(
        FittedHyperRepresentations,
        {name: hyper_representations.SCALES[name] for name in ("laptop", "smoke", "paper")},
        "autoencoder of weights and a density of its latents (Hyper-Representations)",
        samplers={"shared": {"shared_draws": True}, "independent": {"shared_draws": False}},
        variants=variants(heads=(4 / 3, 2 / 3), layers=(2.0, 1 / 2), noise=0.02),
    ),
    "p-diff": Method(
        FittedPDiff,
        {name: p_diff.SCALES[name] for name in ("laptop", "smoke", "paper")},
        "latent diffusion over parts of networks (P-diff)",
    ),
    "noise": Method(
        FittedBaseline, {"paper": AddNoise()}, "training checkpoints plus Gaussian noise"
    ),
    "average": Method(
        FittedBaseline, {"paper": AverageWeights()}, "means of random training checkpoints"
    ),
    "gaussian": Method(
        FittedBaseline, {"paper": ParameterGaussian()}, "an independent Gaussian per parameter"
    ),
}


def method_named(name: str) -> Method:
    """The method of that name, ours or of an installed package.

    Raises:
        InputError: There is none, the closest name is suggested; or its package cannot be loaded.
    """
    if name in GENERATORS:
        return GENERATORS[name]
    added = plugins.installed(plugins.GENERATORS, GENERATORS)
    if name not in added:
        raise unknown_name("generator", name, [*GENERATORS, *added])
    return added[name].made(Method, fault=_fault)


def method_names() -> list[str]:
    """All names of methods, ours first; those of packages whether they can be loaded or not."""
    return [*GENERATORS, *plugins.installed(plugins.GENERATORS, GENERATORS)]


def added_methods() -> plugins.Loaded:
    """The methods of installed packages, and those that cannot be loaded."""
    return plugins.load_all(plugins.GENERATORS, Method, builtin=GENERATORS, fault=_fault)


def _fault(method: Method) -> str:
    """What is wrong with a method that somebody else has written; "" for nothing."""
    if not method.scales:
        return "its Method has no scales; expected one or more, such as {'default': Settings()}"
    for scale, settings in method.scales.items():
        if not is_dataclass(settings) or not isinstance(settings, WeightGenerator):
            return f"its scale {scale} is {settings!r}; expected a dataclass object with fit"
    if len({type(settings) for settings in method.scales.values()}) > 1:
        return "its scales are of different classes; expected settings of one class"
    if not hasattr(method.fitted, "load"):
        return f"its fitted class {method.fitted!r} has no load, which reads what save wrote"
    return ""


def make_generator(
    name: str, scale: str | None = None, *, variant: str | None = None, **settings: Any
) -> WeightGenerator:
    """A generator by name, with some settings changed.

    Args:
        name: A key of `GENERATORS`, or the name of an installed package's method.
        scale: A key of the method's scales; None is the first.
        variant: A key of the method's variants; the settings given here are set after it.

    Raises:
        InputError: Unknown name, scale, variant or setting.
    """
    method = method_named(name)
    scale = scale or next(iter(method.scales))
    if scale not in method.scales:
        raise unknown_name(f"scale of {name}", scale, method.scales)
    base = method.scales[scale]
    if variant is not None:
        base = look_up(f"variant of {name}", variant, method.variants).of(base)
    unknown = sorted(set(settings) - set(base.__dataclass_fields__))
    if unknown:
        raise InputError(f"{name} has no setting {', '.join(unknown)}", "unknown-name")
    return replace(base, **settings)


def sampled_by(fitted: FittedGenerator, method: str, sampler: str) -> FittedGenerator:
    """A fitted generator that is sampled in the way of that name.

    Raises:
        InputError: The method is sampled in one way only, or in none of that name.
    """
    samplers = method_named(method).samplers
    if not samplers or not isinstance(fitted, HasSamplers):
        raise InputError(
            f"--sampler {sampler}: {method} is sampled in one way only; leave the flag out",
            "wrong-option",
        )
    if sampler not in samplers:
        raise unknown_name(f"sampler of {method}", sampler, samplers)
    return fitted.sampling(**samplers[sampler])
