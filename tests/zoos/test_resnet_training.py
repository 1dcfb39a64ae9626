"""Training a ResNet-18 from scratch: each step, what is kept, and states that do not fit."""

from dataclasses import replace

import pytest
import torch
from refused import refused
from torch.nn import functional as F
from toy_pixels import BASE, NETWORK, toy

from novelweights.networks.resnet import ResNet18
from novelweights.seeding import rng_for
from novelweights.tasks.classification import loss_and_accuracy
from novelweights.tasks.evaluation_images import evaluation_images
from novelweights.zoos import resnet_training
from novelweights.zoos.resnet_training import AdamWRecipe, augmented, train_network

DATA = toy()
TEST = evaluation_images(NETWORK, DATA)


def trained(folder, recipe=BASE, *, data=DATA, seed=3, keep_best=False, tell=lambda steps: None):
    return train_network(
        NETWORK,
        data,
        TEST,
        recipe,
        seed,
        keep_best=keep_best,
        state_file=folder / "state.pt",
        tell=tell,
    )


def scripted(monkeypatch, accuracies):
    """Test accuracies as they are wanted, epoch after epoch."""
    left = iter(accuracies)
    monkeypatch.setattr(
        resnet_training,
        "loss_and_accuracy",
        lambda *_: (torch.zeros(1), torch.tensor([next(left)])),
    )


def by_hand(recipe, seed):
    """The same training with AdamW written out; the whole state at the end of each epoch."""
    module = NETWORK.module()
    initial = NETWORK.layout.unflatten(NETWORK.initial(rng_for(seed, "initialization")))
    module.load_state_dict(initial, strict=False)
    parameters, step, ends = list(module.parameters()), 0, []
    means = [torch.zeros_like(p) for p in parameters]
    squares = [torch.zeros_like(p) for p in parameters]
    rates = {1: [recipe.learning_rate], 2: [recipe.learning_rate, recipe.learning_rate / 2]}
    for epoch, rate in enumerate(rates[recipe.epochs]):
        rng = rng_for(seed, "epoch", epoch)
        order = torch.randperm(len(DATA.train), generator=rng)
        for start in range(0, len(order), recipe.batch_size):
            rows = order[start : start + recipe.batch_size]
            images = augmented(DATA, rows, recipe.augmentation, 32, rng)
            loss = F.cross_entropy(module.train()(images), torch.from_numpy(DATA.train_y)[rows])
            gradients, step = torch.autograd.grad(loss, parameters), step + 1
            with torch.no_grad():
                for p, g, m, v in zip(parameters, gradients, means, squares, strict=True):
                    p -= rate * recipe.weight_decay * p
                    m += 0.1 * (g - m)
                    v += 0.001 * (g**2 - v)
                    root = (v / (1 - 0.999**step)).sqrt() + 1e-8
                    p -= rate * m / (1 - 0.9**step) / root
        state = module.state_dict()
        ends.append(torch.cat([state[name].flatten() for name, _ in NETWORK.layout.shapes]))
    return ends


def test_steps_are_those_of_adamw_written_out(tmp_path):
    recipe = replace(BASE, batch_size=64, weight_decay=0.1)  # 64, 64 and 32 images
    found = trained(tmp_path, recipe)
    first, last = by_hand(recipe, 3)

    def share_apart(weights):  # a gradient that is all rounding has no sign, so few weights differ
        return ((weights - last).abs() > recipe.learning_rate / 25).double().mean()

    assert share_apart(found.weights) < 0.01
    assert share_apart(first) > 0.5
    assert share_apart(by_hand(replace(recipe, weight_decay=0.0), 3)[1]) > 0.25
    assert found.epoch == 2


@pytest.mark.parametrize(
    ("keep_best", "epoch", "accuracy"), [(True, 2, 30.0), (False, 4, 20.0)], ids=["best", "last"]
)
def test_the_first_best_epoch_is_kept_or_the_last(
    tmp_path, monkeypatch, keep_best, epoch, accuracy
):
    recipe, ends = replace(BASE, epochs=4, batch_size=160), []
    scripted(monkeypatch, [10.0, 30.0, 30.0, 20.0])

    def after_each_epoch(steps):
        if (tmp_path / "state.pt").exists():
            model = torch.load(tmp_path / "state.pt", weights_only=True)["model"]
            ends.append(model["fc.weight"].clone())

    found = trained(tmp_path, recipe, keep_best=keep_best, tell=after_each_epoch)
    after_each_epoch(0)  # told within each epoch, so the last is not there yet
    assert (found.epoch, found.accuracy) == (epoch, accuracy)
    assert len(ends) == 4
    kept = NETWORK.layout.unflatten(found.weights)["fc.weight"]
    assert [torch.equal(kept, end) for end in ends] == [i == epoch for i in (1, 2, 3, 4)]


def test_the_best_epoch_outlives_a_kill(tmp_path, monkeypatch):
    recipe = replace(BASE, epochs=4, batch_size=160)
    scripted(monkeypatch, [10.0, 30.0, 20.0, 25.0])
    told = []

    def killed(steps):
        told.append(steps)
        if sum(told) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, recipe, keep_best=True, tell=killed)
    scripted(monkeypatch, [25.0])
    told.clear()
    found = trained(tmp_path, recipe, keep_best=True, tell=told.append)
    assert (found.epoch, found.accuracy) == (2, 30.0)
    assert told == [3, 1]  # three epochs of one step were done, one is left


def test_a_training_that_had_ended_is_read(tmp_path):
    whole = trained(tmp_path)
    told = []
    again = trained(tmp_path, tell=told.append)
    assert torch.equal(whole.weights, again.weights)
    assert told == [8]


def test_loss_falls_on_what_can_be_learned(tmp_path):
    initial = NETWORK.initial(rng_for(3, "initialization"))
    found = trained(tmp_path, replace(BASE, epochs=5, augmentation="crop and RandAugment"))
    both = torch.stack([initial, found.weights])
    loss, accuracy = loss_and_accuracy(NETWORK, both, TEST.test_x, TEST.test_y)
    assert loss[1] < loss[0] - 0.2
    assert accuracy[1] > 40  # chance is 25
    assert accuracy[1].item() == found.accuracy


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 4},
        {"keep_best": True},
        {"recipe": replace(BASE, weight_decay=0.0)},
        {"recipe": replace(BASE, epochs=3)},
        {"data": replace(DATA, sha256="other")},
    ],
    ids=str,
)
def test_a_state_of_another_training_is_refused(tmp_path, other):
    short = replace(BASE, batch_size=160)
    trained(tmp_path, short)
    before = (tmp_path / "state.pt").read_bytes()
    recipe = replace(other.pop("recipe", short), batch_size=160)
    with refused("other-settings", "state.pt"):
        trained(tmp_path, recipe, **other)
    assert (tmp_path / "state.pt").read_bytes() == before


def test_a_damaged_state_is_told(tmp_path):
    short = replace(BASE, epochs=1, batch_size=160)
    trained(tmp_path, short)
    path = tmp_path / "state.pt"
    whole = path.read_bytes()
    state = torch.load(path, weights_only=True)
    damaged = [b"", b"no state", whole[: len(whole) // 2]]
    for wrong in (
        {},
        [state],
        {**state, "model": {}},
        {**state, "optimizer": {}},
        {**state, "best": (1,)},
        {**state, "epochs": "one"},
        {**state, "model": ResNet18},  # a pickle that would run code
    ):
        torch.save(wrong, path)
        damaged.append(path.read_bytes())
    for content in damaged:
        path.write_bytes(content)
        with refused("damaged", "state.pt"):
            trained(tmp_path, short)


def test_a_training_that_diverges_is_told(tmp_path):
    with refused("not-finite", "epoch 1", "1e+30"):
        trained(tmp_path, replace(BASE, learning_rate=1e30))
    assert not (tmp_path / "state.pt").exists()


def test_images_of_one_channel_and_of_another_size():
    gray = replace(
        DATA, train=DATA.train[..., :1], test=DATA.test[..., :1], mean=(0.4,), std=(0.2,)
    )
    for augmentation in resnet_training.AUGMENTATIONS:
        rng = rng_for(0)
        images, others = (augmented(gray, torch.arange(3), augmentation, 48, rng) for _ in range(2))
        assert images.shape == (3, 1, 48, 48)
        assert (images != others).flatten(1).any(dim=1).all()  # drawn anew


def test_rand_augment_works_on_bytes_after_the_crop():
    rows = torch.arange(20)
    changed = augmented(DATA, rows, "crop and RandAugment", 32, rng_for(0))
    levels = 255 * (changed * DATA.std[0] + DATA.mean[0])
    assert (levels - levels.round()).abs().max() < 1e-3
    assert levels.min() > -1e-3
    assert levels.max() < 255.001
    cropped = augmented(DATA, rows, "crop", 32, rng_for(0))
    levels = 255 * (cropped * DATA.std[0] + DATA.mean[0])
    assert (levels - levels.round()).abs().max() > 0.1
    assert torch.equal(cropped, augmented(DATA, rows, "crop", 32, rng_for(0)))
    assert not torch.allclose(cropped, changed, atol=0.1)


def test_impossible_recipes_are_refused():
    with pytest.raises(ValueError, match="augmentation 'flip' is none of"):
        AdamWRecipe(augmentation="flip")


def test_widths_at_which_convolutions_damage_memory_are_not_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", True)
    with pytest.raises(ValueError, match="a width that is a multiple of 8, got 2"):
        trained(tmp_path)
    assert not (tmp_path / "state.pt").exists()
