"""Numbers printed in the paper, each with its place there.

They are text, as printed, and stand beside numbers of ours. A `PaperEffect` is a number too: what a
claim amounts to, which the rule of `outcomes.py` holds ours against. Nothing else is computed.
Source: B. Zeng, Y. Yin, Z. Xu, Z. Liu, "Generative Modeling of
Weights: Generalization or Memorization?".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from novelweights.report.summary import PaperResult, Printed

REPORTED: Mapping[str, PaperResult] = {
    "g-pt": PaperResult(
        "MNIST, 10,228 runs",
        {
            "mean_quality_generated": Printed("94.0%", "table 1"),
            "mean_quality_training": Printed("94.4%", "table 1; 94.5% in table 2"),
            "mean_distance_generated": Printed("2.25", "table 1"),
            "mean_distance_training": Printed("3.64", "table 1"),
            "prediction_overlap_generated": Printed("98.2%", "table 2"),
            "prediction_overlap_training": Printed("97.9%", "table 2"),
            "parameters": Printed("378M", "table 1"),
            "values_in_training": Printed("81M", "appendix H"),
        },
    ),
    "hyper-representations": PaperResult(
        "SVHN CNNs, 2,896 checkpoints",
        {
            "mean_quality_generated": Printed("57.5%", "table 1"),
            "mean_quality_training": Printed("51.3%", "table 2: reconstructions"),
            "mean_quality_originals": Printed("65.2%", "table 1"),
            "mean_distance_generated": Printed("8.11", "table 1"),
            "mean_distance_training": Printed("50.0", "table 1"),
            "prediction_overlap_generated": Printed("98.5%", "table 2"),
            "prediction_overlap_training": Printed("75.6%", "table 2"),
            "parameters": Printed("223M", "table 1"),
            "values_in_training": Printed("7.1M", "appendix H"),
            "accuracy_original": Printed("65.2%", "table 1"),
            "accuracy_reconstruction": Printed("51.3%", "table 2"),
            "accuracy_difference_permuted": Printed("6.01%", "section 4.2, figure 9"),
            "accuracy_difference_sign_flipped": Printed("5.82%", "section 4.2, figure 9"),
            "accuracy_difference_between_originals": Printed("12.72%", "section 4.2, figure 9"),
            "error_similarity_permuted": Printed("0.62", "section 4.2, figure 9"),
            "error_similarity_sign_flipped": Printed("0.19", "section 4.2, figure 9"),
        },
        counts_all_checkpoints=True,
        unknown_settings=(
            "heads",
            "dropout",
            "contrast_weight",
            "projection_hidden",
            "projection_outputs",
            "projection_layers",
            "permutations",
            "steps",
            "batch_size",
            "learning_rate",
            "weight_decay",
            "warmup_steps",
            "schedule",
            "gradient_clip",
            "precision",
        ),
        recovered_settings=("width", "hidden", "layers", "latent"),
    ),
    "hyperdiffusion": PaperResult(
        "ShapeNet airplanes, 2,749 fields",
        {
            "mean_distance_generated": Printed("7.03", "table 1"),
            "mean_distance_training": Printed("109.5", "table 1"),
            "minimum_matching_distance_generated": Printed("0.036", "table 1"),
            "minimum_matching_distance_training": Printed("0.026", "table 1"),
            "parameters": Printed("1.4B", "table 1"),
            "values_in_training": Printed("101M", "appendix H"),
        },
    ),
    "p-diff": PaperResult(
        "CIFAR-100 ResNet-18 pre-trained on ImageNet, 300 steps of one run",
        {
            "mean_quality_training": Printed("76.8% \u00b1 0.2%", "appendix D.1; 76.9% in table 2"),
            "mean_quality_from_scratch": Printed("75.4% \u00b1 0.3%", "appendix D.1"),
            "prediction_overlap_generated": Printed("93.5%", "table 2"),
            "prediction_overlap_training": Printed("91.4%", "table 2"),
            "pairs_training": Printed("6.9", "table 4"),
            "pairs_training_generated": Printed("6.3", "table 4"),
            "pairs_from_scratch": Printed("46.1", "table 4"),
            "nearest_training": Printed("0.3", "table 4"),
            "nearest_generated": Printed("5.4", "table 4"),
            "nearest_from_scratch": Printed("44.1", "table 4"),
            "parameters": Printed("9.6M", "appendix H"),
            "values_in_training": Printed("0.6M", "appendix H"),
        },
        parameters_note="which counts the denoiser three times; 4,662,178 are unique",
    ),
}
"""By the name of the method."""


@dataclass(frozen=True)
class PaperEffect:
    """What a claim of the paper amounts to."""

    text: str
    """The numbers, as printed, and where."""
    effect: float
    """On the scale of the claim."""


NEARER: Mapping[str, PaperEffect] = {
    "hyper-representations": PaperEffect("8.11 against 50.0 (table 1)", 1 - 8.11 / 50.0),
    "g-pt": PaperEffect("2.25 against 3.64 (table 1)", 1 - 2.25 / 3.64),
    "hyperdiffusion": PaperEffect("7.03 against 109.5 (table 1)", 1 - 7.03 / 109.5),
}
"""Mean distance to the nearest training checkpoint, of samples and of training checkpoints: by
which share the former is smaller."""


@dataclass(frozen=True)
class PaperVariant:
    """A row of table 1 for one method, as printed."""

    parameters: str
    quality: str
    """Accuracy in percent."""
    distance: str
    """Mean L2 distance of samples to the nearest training checkpoint."""


VARIANTS: Mapping[str, Mapping[str, PaperVariant]] = {
    "hyper-representations": {
        "default": PaperVariant("223M", "57.5", "8.11"),
        "third-of-epochs": PaperVariant("223M", "33.8", "7.86"),
        "half-of-epochs": PaperVariant("223M", "47.1", "7.97"),
        "wider": PaperVariant("359M", "50.1", "8.06"),
        "deeper": PaperVariant("362M", "55.9", "8.09"),
        "narrower": PaperVariant("118M", "44.1", "7.93"),
        "shallower": PaperVariant("154M", "42.2", "7.93"),
        "dropout-10": PaperVariant("223M", "53.9", "7.76"),
        "dropout-20": PaperVariant("223M", "44.7", "7.26"),
        "noise": PaperVariant("223M", "57.8", "8.14"),
    },
    "g-pt": {
        "default": PaperVariant("378M", "94.0", "2.25"),
        "third-of-epochs": PaperVariant("378M", "94.0", "2.40"),
        "half-of-epochs": PaperVariant("378M", "94.0", "2.25"),
        "wider": PaperVariant("579M", "93.6", "2.12"),
        "deeper": PaperVariant("605M", "93.9", "2.08"),
        "narrower": PaperVariant("220M", "93.6", "2.51"),
        "shallower": PaperVariant("208M", "86.6", "3.70"),
        "dropout-10": PaperVariant("378M", "93.7", "2.27"),
        "dropout-20": PaperVariant("378M", "92.5", "3.13"),
        "noise": PaperVariant("378M", "92.9", "2.37"),
    },
}
"""Table 1 by method and variant."""
VARIANTS_TRAINING: Mapping[str, PaperVariant] = {
    "hyper-representations": PaperVariant("\u2013", "65.2", "50.0"),
    "g-pt": PaperVariant("\u2013", "94.4", "3.64"),
}
"""The first row of table 1: training checkpoints."""


def still_nearer(method: str, variants: Sequence[str]) -> PaperEffect:
    """By which share the mean distance of samples of some variants lies below training's."""
    far = VARIANTS_TRAINING[method].distance
    near = [VARIANTS[method][variant].distance for variant in variants]
    mean = sum(map(float, near)) / len(near)
    return PaperEffect(f"{', '.join(near)} against {far} (table 1)", 1 - mean / float(far))


def little_changed(method: str) -> PaperEffect:
    """How much more samples of the default are nearer than training checkpoints than the variants
    change their distance, as a share of training's."""
    training = float(VARIANTS_TRAINING[method].distance)
    default, *others = (float(variant.distance) for variant in VARIANTS[method].values())
    change = sum(abs(other - default) for other in others) / len(others)
    text = f"{default:g} against {training:g}, changed by {change:.2f} on average (table 1)"
    return PaperEffect(text, (training - default - change) / training)


OVERLAPPING: Mapping[str, PaperEffect] = {
    "hyper-representations": PaperEffect("98.5% against 75.6% (table 2)", 98.5 - 75.6),
    "g-pt": PaperEffect("98.2% against 97.9% (table 2)", 98.2 - 97.9),
    "p-diff": PaperEffect("93.5% against 91.4% (table 2)", 93.5 - 91.4),
}
"""Mean prediction overlap with the nearest training checkpoint, of samples and of training
checkpoints: by how many percentage points the former is larger."""
OVERLAPPING_ACCURACY: Mapping[str, str] = {
    "hyper-representations": "51.3%",
    "g-pt": "94.5%",
    "p-diff": "76.9%",
}
"""Mean accuracy of training models in table 2; of Hyper-Representations: of reconstructions."""


@dataclass(frozen=True)
class PaperNoise:
    """An amplitude of the noise-addition baseline."""

    text: str
    """As the paper gives it, and where."""
    std: float
    """In weight units."""


G_PT_SCALE = 4.185
"""G.pt's weights are multiplied by this. Source: released code."""
NOISE: Mapping[str, tuple[PaperNoise, ...]] = {
    "hyper-representations": (
        PaperNoise("0.02 (figure 6)", 0.02),
        PaperNoise("0.04 (figure 6)", 0.04),
    ),
    "g-pt": (
        PaperNoise("0.05 of weights times 4.185 (figure 6)", 0.05 / G_PT_SCALE),
        PaperNoise("0.1 of weights times 4.185 (figure 6)", 0.1 / G_PT_SCALE),
    ),
    "hyperdiffusion": (
        PaperNoise("0.02 (figure 6)", 0.02),
        PaperNoise("0.04 (figure 6)", 0.04),
    ),
    "p-diff": (PaperNoise("0.06 (figure 6)", 0.06), PaperNoise("0.12 (figure 6)", 0.12)),
}
"""Gaussian noise on training checkpoints, the lower amplitude first; G.pt's is added to weights of
its own scale. Source: paper, figure 6, and released code."""
RECONSTRUCTED = PaperEffect("65.2% (table 1) and 51.3% reconstructed (table 2)", 65.2 - 51.3)
"""Mean accuracy of Hyper-Representations' training networks: by how many points reconstruction
lowers it."""
MOVED_ACCURACY: Mapping[str, PaperEffect] = {
    "permuted": PaperEffect("6.01 points (section 4.2, figure 9)", 6.01),
    "sign-flipped": PaperEffect("5.82 points (section 4.2, figure 9)", 5.82),
}
"""By how many points the accuracy of reconstructions of moved networks differs; 0 if invariant."""
MOVED_SIMILARITY: Mapping[str, PaperEffect] = {
    "permuted": PaperEffect("0.62 (section 4.2, figure 9)", 1 - 0.62),
    "sign-flipped": PaperEffect("0.19 (section 4.2, figure 9)", 1 - 0.19),
}
"""By how much the error similarity of reconstructions of moved networks lies below 1."""
BETWEEN_ORIGINALS = 12.72
"""Points by which the accuracy of different originals differs. Source: section 4.2, figure 9."""

FROM_SCRATCH_RECIPE: Mapping[str, str] = {
    "optimizer": "AdamW",
    "learning rate": "5e-4",
    "weight decay": "5e-4",
    "optimizer momentum": "0.9, 0.999",
    "batch size": "128",
    "learning rate schedule": "cosine decay",
    "training epochs": "300",
    "augmentation": "RandomResizedCrop & RandAug (9, 0.5)",
    "networks": "20",
    "network": "ResNet-18",
    "data": "CIFAR-100",
}
"""Of networks trained from scratch beside P-diff's. Source: paper, table 3 and appendix D.1."""
NARROWER: Mapping[str, PaperEffect] = {
    "pairs_training": PaperEffect("6.9 against 46.1 (table 4)", 1 - 6.9 / 46.1),
    "pairs_training_generated": PaperEffect("6.3 against 46.1 (table 4)", 1 - 6.3 / 46.1),
    "nearest_training": PaperEffect("0.3 against 44.1 (table 4)", 1 - 0.3 / 44.1),
    "nearest_generated": PaperEffect("5.4 against 44.1 (table 4)", 1 - 5.4 / 44.1),
}
"""Mean distances of P-diff's checkpoints, by their keys in an audit, and of networks trained from
scratch among one another: by which share the former is smaller."""
APART = PaperEffect("0.3 against 5.4 (table 4)", 1 - 0.3 / 5.4)
"""Mean distance of P-diff's training and of its generated checkpoints to the nearest training
checkpoint: by which share the former is smaller."""
