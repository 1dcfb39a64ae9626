import numpy as np
import pytest
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from novelweights.data.images import load_data
from novelweights.metrics.alignment import Alignment, aligned_to, pair_distances
from novelweights.metrics.neighbors import nearest
from novelweights.metrics.relatives import (
    LINKED,
    frame_share,
    related_groups,
    reordered_twins,
    run_spacing,
    shares_initialization,
)
from novelweights.networks.mlp import DIGITS_MLP, OneHiddenMLP
from novelweights.seeding import rng_for
from novelweights.weights.symmetry import random_transform
from novelweights.zoos.training import Recipe, train_trajectories

ALIGNMENT = Alignment(DIGITS_MLP.layout, DIGITS_MLP.symmetry)
RECIPE = Recipe(epochs=12, batch_size=64)


@pytest.fixture(scope="module")
def trained():
    """40 real runs, each at five late epochs: (runs, epochs, d)."""
    data = load_data("digits")
    per_epoch = RECIPE.steps(len(data.train_y)) // RECIPE.epochs
    steps = torch.tensor([[per_epoch * epoch for epoch in (6, 8, 10, 11, 12)]] * 40)
    return train_trajectories(DIGITS_MLP, data, RECIPE, range(40), steps).weights


@pytest.fixture(scope="module")
def from_one_start():
    """40 real runs from one initialization, each on examples weighted at random."""
    return train_from_one_start(40, steps=120)[-1]


def train_from_one_start(n, *, steps, save_from=0):
    """Every step of n runs of plain SGD that start alike; (steps saved, n, d)."""
    data, rng = load_data("digits"), rng_for(0, "one start")
    x, y = data.train_x, data.train_y
    weights = DIGITS_MLP.initial(rng).repeat(n, 1)
    saved = []
    for step in range(steps):
        weights = weights.detach().requires_grad_()
        logits = DIGITS_MLP.forward(weights, x)
        loss = torch.nn.functional.cross_entropy(
            logits.transpose(1, 2), y.expand(n, -1), reduction="none"
        )
        chosen = (torch.rand(loss.shape, generator=rng) < 0.05).float()  # a minibatch of its own
        (gradient,) = torch.autograd.grad((loss * chosen).sum() / (0.05 * len(x)), weights)
        weights = weights - 0.5 * gradient
        if step >= save_from:
            saved.append(weights.detach())
    return torch.stack(saved)


def groups(weights, scale=None):
    return related_groups(weights, scale=run_spacing(weights) if scale is None else scale)


def test_single_linkage_is_scipys(rng):
    centers = 4 * torch.randn(9, 30, generator=rng)
    weights = centers[torch.randint(9, (300,), generator=rng)]
    weights = (
        10 + weights + 1.5 * torch.rand(300, 1, generator=rng) * torch.randn(300, 30, generator=rng)
    )
    tree = linkage(weights.double().numpy(), "single")
    counts = set()
    for scale in np.quantile(tree[:, 2], [0.1, 0.5, 0.9, 0.99]) / LINKED:
        ours = related_groups(weights, scale=scale * (1 + 1e-9))
        theirs = fcluster(tree, LINKED * scale * (1 + 1e-9), "distance")
        assert len(set(zip(ours, theirs, strict=True))) == len(set(ours)) == len(set(theirs))
        counts.add(len(set(ours)))
        assert list(dict.fromkeys(ours)) == list(range(len(set(ours))))  # in order of appearance
    assert len(counts) == 4


def test_distances_at_the_very_limit_are_decided_directly():
    below, above = 0.39999998, 0.40000004  # neighbors in float32 of the limit, 0.4
    far = 1e6  # so that the products lose the digits that decide
    weights = torch.tensor([[0, far], [below, far], [0, -far], [above, -far]])
    assert list(related_groups(weights, scale=0.4 / LINKED)) == [0, 0, 1, 2]


def test_order_of_rows_changes_no_group(trained, rng):
    weights = trained[:10].flatten(0, 1)
    order = torch.randperm(len(weights), generator=rng)
    one, other = groups(weights), groups(weights[order])
    assert len(set(zip(one[order.numpy()], other, strict=True))) == len(set(one)) == 10


def test_fresh_runs_are_not_linked(trained):
    fresh = trained[:, -1]
    assert len(set(groups(fresh))) == len(fresh)
    for n in (2, 5, 12):
        assert len(set(groups(fresh[:n]))) == n


def test_epochs_of_many_runs_are_one_group_per_run(trained):
    found = groups(trained.flatten(0, 1))
    np.testing.assert_array_equal(found, np.repeat(np.arange(40), 5))


def test_the_scale_of_held_out_runs_gives_the_same_groups(trained):
    scale = float(np.median(nearest(trained[20:, -1], trained[:20, -1]).distances))
    found = groups(trained[:20].flatten(0, 1), scale)
    np.testing.assert_array_equal(found, np.repeat(np.arange(20), 5))
    aligned = nearest(trained[20:, -1], trained[:20, -1], alignment=ALIGNMENT).distances
    found = groups(trained[:20, 1:].flatten(0, 1), float(np.median(aligned)))
    np.testing.assert_array_equal(found, np.repeat(np.arange(20), 4))


def test_one_long_trajectory_is_one_run():
    data = load_data("digits")
    for rate in (0.01, 0.1):
        recipe = Recipe(epochs=20, batch_size=64, learning_rate=rate)
        last = recipe.steps(len(data.train_y))
        for first, end in ((220, 20), (50, 0), (100, 0)):
            steps = torch.arange(last - first, last - end).reshape(1, -1)
            chain = train_trajectories(DIGITS_MLP, data, recipe, [0], steps).weights[0]
            assert len(set(groups(chain))) == 1


def test_runs_from_one_initialization_are_not_linked(from_one_start):
    for n in (40, 12, 5):
        assert len(set(groups(from_one_start[:n]))) == n


def test_runs_that_moved_very_unequally_far_from_one_start_are_not_linked(rng):
    base = 3 * torch.randn(500, generator=rng)
    lengths = 0.3 + torch.rand(100, 1, generator=rng)
    moved = base + lengths * torch.randn(100, 500, generator=rng)
    assert len(set(groups(moved))) == 100


def test_steps_of_runs_from_one_initialization_are_never_mixed():
    chains = train_from_one_start(12, steps=124, save_from=120).transpose(0, 1)  # (runs, 4, d)
    found = groups(chains.flatten(0, 1))
    pairs = set(zip(found, np.repeat(np.arange(12), 4), strict=True))
    assert 12 <= len(pairs) == len(set(found)) < 48


def test_initializations_are_small_but_no_relatives(trained, rng):
    starts = torch.stack([DIGITS_MLP.initial(rng) for _ in range(10)])
    weights = torch.cat([0.3 * starts, trained[:10, -1]])
    assert len(set(groups(weights, run_spacing(trained[:, -1])))) == 20


def test_copies_are_one_group(trained, rng):
    fresh = trained[:10, -1]
    noised = fresh[:4] + 1e-4 * torch.randn(4, fresh.shape[1], generator=rng)
    found = groups(torch.cat([fresh, fresh[:3], noised]))
    assert list(found) == [*range(10), 0, 1, 2, 0, 1, 2, 3]
    assert list(groups(fresh[:1].repeat(5, 1))) == [0] * 5
    assert run_spacing(fresh[:1].repeat(5, 1)) == 0
    assert list(related_groups(torch.zeros(0, 7), scale=1.0)) == []


def test_the_spacing_of_fresh_runs_is_their_median_nearest_distance(trained):
    fresh = trained[:, -1].double()
    distances = torch.cdist(fresh, fresh, compute_mode="donot_use_mm_for_euclid_dist")
    nearest = distances.fill_diagonal_(torch.inf).min(dim=1).values
    assert run_spacing(trained[:, -1]) == pytest.approx(float(nearest.quantile(0.5)), rel=1e-6)
    # steps of the runs change little
    assert run_spacing(trained.flatten(0, 1)) == pytest.approx(
        float(nearest.quantile(0.5)), rel=0.15
    )


def test_bad_scales_and_weights_are_refused():
    weights = torch.zeros(2, 3)
    for scale in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="scale"):
            related_groups(weights, scale=scale)
    with pytest.raises(ValueError, match="2 checkpoints"):
        run_spacing(weights[:1])
    for broken in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite"):
            related_groups(torch.full((2, 3), broken), scale=1.0)
        with pytest.raises(ValueError, match="finite"):
            run_spacing(torch.full((2, 3), broken))


def test_fresh_runs_share_no_initialization(trained, rng):
    fresh = trained[:, -1]
    found = frame_share(fresh, ALIGNMENT, rng=rng)
    assert found is not None
    assert found[0] == pytest.approx(0, abs=0.15)
    for n in (40, 12, 6):
        assert shares_initialization(fresh[:n], ALIGNMENT, rng=rng) is False


def test_runs_from_one_initialization_share_it(from_one_start, rng):
    for n in (40, 12, 5):
        assert shares_initialization(from_one_start[:n], ALIGNMENT, rng=rng) is True


def test_runs_aligned_beforehand_lie_in_one_frame(trained, rng):
    fresh = trained[:, -1]
    aligned = torch.cat([aligned_to(fresh[0], row[None], ALIGNMENT) for row in fresh])
    assert shares_initialization(aligned, ALIGNMENT, rng=rng) is True


def test_a_base_with_small_independent_moves_is_one_frame(rng):
    network = OneHiddenMLP(20, 6, 4, "tanh")
    alignment = Alignment(network.layout, network.symmetry)
    moves = 0.05 * torch.randn(150, network.layout.size, generator=rng)
    assert shares_initialization(network.initial(rng) + moves, alignment, rng=rng) is True


def test_what_cannot_be_told_is_none(trained, rng):
    fresh = trained[:, -1]
    assert shares_initialization(fresh, None, rng=rng) is None
    assert shares_initialization(fresh[:1], ALIGNMENT, rng=rng) is None
    alike = torch.zeros(5, fresh.shape[1])  # no order of neurons makes a difference
    assert shares_initialization(alike, ALIGNMENT, rng=rng) is None
    two = OneHiddenMLP(3, 2, 2)  # two neurons are in the best order by chance every other time
    answers = [
        shares_initialization(
            torch.randn(2, two.layout.size, generator=rng),
            Alignment(two.layout, two.symmetry),
            rng=rng,
        )
        for _ in range(30)
    ]
    assert answers.count(True) == 0
    assert None in answers


@pytest.mark.integration
def test_chance_rarely_looks_like_a_shared_initialization(rng):
    network = OneHiddenMLP(6, 3, 2)
    alignment = Alignment(network.layout, network.symmetry)
    answers = [
        shares_initialization(
            torch.randn(3, network.layout.size, generator=rng), alignment, rng=rng
        )
        for _ in range(100)
    ]
    assert answers.count(True) <= 12  # about 1 in 20


def test_reordered_twins_are_found_and_nobody_else():
    network = OneHiddenMLP(12, 5, 4, "tanh")
    alignment = Alignment(network.layout, network.symmetry)
    rng = torch.Generator().manual_seed(0)
    weights = torch.randn(30, network.layout.size, generator=rng)
    moved = random_transform(weights[:7], network.layout, network.symmetry, rng=rng)
    moved = moved + 0.01 * torch.randn(moved.shape, generator=rng) / network.layout.size**0.5
    groups = reordered_twins(torch.cat([weights, moved]), alignment, radius=0.05)
    assert groups.tolist() == [*range(30), *range(7)]
    assert len(set(reordered_twins(weights, alignment, radius=0.05))) == 30
    apart = reordered_twins(torch.cat([weights, moved]), alignment, radius=0.001)
    assert len(set(apart)) == 37


def test_the_bound_that_picks_pairs_misses_none():
    """Whatever the radius, groups are those of all aligned distances."""
    network = OneHiddenMLP(6, 4, 3, "tanh")
    alignment = Alignment(network.layout, network.symmetry)
    weights = torch.randn(25, network.layout.size, generator=torch.Generator().manual_seed(1))
    i, j = np.triu_indices(25, 1)
    distances = pair_distances(
        weights[torch.from_numpy(i)], weights[torch.from_numpy(j)], alignment=alignment
    )
    for radius in np.quantile(distances, [0.01, 0.05, 0.1]):
        near = distances <= radius
        graph = coo_array((np.ones(near.sum()), (i[near], j[near])), shape=(25, 25))
        expected = connected_components(graph, directed=False)[1]
        found = reordered_twins(weights, alignment, radius=float(radius))
        assert (found[:, None] == found).tolist() == (expected[:, None] == expected).tolist()
