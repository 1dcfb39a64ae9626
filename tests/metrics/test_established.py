import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import mannwhitneyu
from sklearn.cluster import KMeans

from novelweights.metrics.established import data_copying_test, established_measures


def draw(n, d, *, seed):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def numpy_rng(seed=0):
    return np.random.default_rng(seed)


def brute_force(train, generated):
    """Ratio, calibrated L2 and authenticity, one generated checkpoint after the other."""
    to_train = cdist(generated.double().numpy(), train.double().numpy())
    within = cdist(train.double().numpy(), train.double().numpy())
    np.fill_diagonal(within, np.inf)
    ratio, calibrated, authentic = [], [], []
    for row in to_train:
        ordered = sorted(row)
        ratio.append(ordered[0] / ordered[1])
        calibrated.append(ordered[0] / (0.5 * np.mean(ordered[:50])))
        authentic.append(ordered[0] > min(within[list(row).index(ordered[0])]))
    return np.array(ratio), np.array(calibrated), np.array(authentic)


@pytest.mark.parametrize("m", [2, 40, 80])
@pytest.mark.parametrize("noise", [0.1, 0.6, 1.5])
def test_measures_of_a_checkpoint_are_those_of_brute_force(m, noise):
    train = draw(m, 5, seed=0)
    generated = train[torch.arange(30) % m] + noise * draw(30, 5, seed=1)
    found = established_measures(train, None, generated, rng=numpy_rng())
    ratio, calibrated, authentic = brute_force(train, generated)
    np.testing.assert_allclose(found.ratio, ratio, rtol=1e-12)
    np.testing.assert_allclose(found.calibrated_l2, calibrated, rtol=1e-12)
    np.testing.assert_array_equal(found.authentic, authentic)
    flags = found.flags()
    assert list(flags) == ["ratio_rule", "calibrated_l2", "not_authentic"]
    np.testing.assert_array_equal(flags["ratio_rule"], ratio < 1 / 3)
    np.testing.assert_array_equal(flags["calibrated_l2"], calibrated < 1)
    np.testing.assert_array_equal(flags["not_authentic"], ~authentic)
    assert found.shares() == {name: flagged.mean() for name, flagged in flags.items()}


def clusters(n_in_each, d, *, seed, apart=20):
    """Points around three centers; 20 apart, none lies between two."""
    which = torch.arange(3).repeat_interleave(torch.tensor(n_in_each))
    return apart / 2**0.5 * torch.eye(3, d)[which] + draw(len(which), d, seed=seed), which.numpy()


def on_principal_components(train, *populations):
    center = train.mean(axis=0)
    axes = np.linalg.svd(train - center, full_matrices=False)[2][:64]
    return [(weights - center) @ axes.T for weights in (train, *populations)]


def direct_c_t(train, heldout, generated, cells):
    """C_T by counting pairs, given cells."""
    scores, shares = [], []
    for i in range(3):
        t, h, g = (w[cell == i] for w, cell in zip((train, heldout, generated), cells, strict=True))
        if len(g) <= 20:
            continue
        near, null = cdist(g, t).min(axis=1), cdist(h, t).min(axis=1)
        u = sum((a > b) + 0.5 * (a == b) for a in near for b in null)
        assert u == mannwhitneyu(near, null, alternative="less").statistic
        spread = np.sqrt(len(g) * len(h) * (len(g) + len(h) + 1) / 12)
        scores.append((u - len(g) * len(h) / 2 + 0.5) / spread)
        shares.append(len(h) / len(heldout))
    mean = np.average(scores, weights=shares)
    return mean, mean * np.sum(shares) / np.linalg.norm(shares)


@pytest.mark.parametrize("d", [4, 100])
@pytest.mark.parametrize("n_generated", [(30, 40, 50), (21, 40, 50), (20, 40, 50), (0, 20, 30)])
def test_c_t_is_that_of_counting_pairs_in_every_cell(d, n_generated):
    train, t_cells = clusters((40, 25, 35), d, seed=0)
    heldout, h_cells = clusters((20, 30, 10), d, seed=1)
    generated, g_cells = clusters(n_generated, d, seed=2)
    generated = train[0] + 0.97 * (generated - train[0])
    found = data_copying_test(train, heldout, generated, rng=numpy_rng())
    t, h, g = (w.double().numpy() for w in (train, heldout, generated))
    if d > 64:
        t, h, g = on_principal_components(t, h, g)
    published, corrected = direct_c_t(t, h, g, (t_cells, h_cells, g_cells))
    assert found.missing is None
    assert found.published == pytest.approx(published, rel=1e-6)
    assert found.corrected == pytest.approx(corrected, rel=1e-6)


def test_cells_are_those_of_k_means_on_training():
    train, heldout, generated = (clusters((n,) * 3, 3, seed=n, apart=4)[0] for n in (60, 40, 50))
    t, h, g = (w.double().numpy() for w in (train, heldout, generated))
    kmeans = KMeans(3, n_init=50, random_state=1)  # pyright: ignore[reportArgumentType]
    kmeans.fit(t)
    cells = [kmeans.predict(w) for w in (t, h, g)]
    assert min(np.bincount(cells[2])) < 50  # some lie between two cells
    found = data_copying_test(train, heldout, generated, rng=numpy_rng())
    published, corrected = direct_c_t(t, h, g, cells)
    assert found.published == pytest.approx(published, rel=1e-9)
    assert found.corrected == pytest.approx(corrected, rel=1e-9)


@pytest.mark.integration
def test_c_t_has_unit_variance_under_the_null_only_when_corrected():
    train, _ = clusters((20, 20, 20), 3, seed=0)
    values = []
    for i in range(250):
        heldout, _ = clusters((40, 40, 40), 3, seed=2 * i + 1)
        generated, _ = clusters((40, 40, 40), 3, seed=2 * i + 2)
        found = data_copying_test(train, heldout, generated, rng=numpy_rng(i))
        values.append((found.published, found.corrected))
    published, corrected = np.array(values).T
    assert published.std() == pytest.approx(1 / np.sqrt(3), abs=0.1)  # Source: facts A.1, .58
    assert corrected.std() == pytest.approx(1, abs=0.17)
    assert abs(corrected.mean()) < 0.25
    assert (corrected < -1.645).mean() == pytest.approx(0.05, abs=0.04)
    assert (published < -1.645).mean() < 0.01


@pytest.fixture(scope="module")
def gaussian_zoo():
    """The i.i.d. Gaussian zoo of facts A.9: 300 training and held-out checkpoints."""
    return draw(300, 2464, seed=0), draw(300, 2464, seed=1)


def planted(train, kind):
    """200 checkpoints of known origin."""
    noise = draw(200, train.shape[1], seed=2)
    copies = train[torch.arange(200)]
    if kind == "reordered copy":
        order = torch.randperm(train.shape[1], generator=torch.Generator().manual_seed(3))
        return copies[:, order]
    return {
        "fresh draw": noise,
        "exact copy": copies,
        "copy + 0.2 sigma": copies + 0.2 * noise,
        "copy + 0.5 sigma": copies + 0.5 * noise,
        "midpoint of 2": (copies + train[(torch.arange(200) + 57) % 300]) / 2,
        "mean of 16": train[(torch.arange(200)[:, None] + 17 * torch.arange(16)) % 300].mean(dim=1),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "distance_ratio", "ratio_rule", "calibrated_l2", "not_authentic"),
    [
        ("fresh draw", 0.996, 0, 0, 0.17),
        ("exact copy", 0, 1, 1, 1),
        ("copy + 0.2 sigma", 0.145, 1, 1, 1),
        ("copy + 0.5 sigma", 0.345, 0.01, 1, 1),
        ("midpoint of 2", 0.990, 0.01, 0.01, 1),
        ("mean of 16", 0.993, 0, 0, 1),
        ("reordered copy", 0.996, 0, 0, 0.14),
    ],
)
def test_planted_origins_are_flagged_or_missed_as_simulated(
    gaussian_zoo, kind, distance_ratio, ratio_rule, calibrated_l2, not_authentic
):
    """Source: facts A.9; the shares have the tolerance of 200 checkpoints and another zoo."""
    train, _ = gaussian_zoo
    found = established_measures(train, None, planted(train, kind), rng=numpy_rng())
    shares = found.shares()
    assert found.ratio.mean() == pytest.approx(distance_ratio, abs=0.01)
    assert shares["ratio_rule"] == pytest.approx(ratio_rule, abs=0.03)
    assert shares["calibrated_l2"] == pytest.approx(calibrated_l2, abs=0.03)
    assert shares["not_authentic"] == pytest.approx(not_authentic, abs=0.09)


@pytest.mark.parametrize("kind", ["copy + 0.2 sigma", "copy + 0.5 sigma", "midpoint of 2"])
def test_copies_and_averages_are_closer_to_training(gaussian_zoo, kind):
    train, heldout = gaussian_zoo
    found = established_measures(train, heldout, planted(train, kind), rng=numpy_rng())
    assert found.closer is not None
    assert found.closer.share == found.closer.equal_sizes == 1
    assert found.closer.score == found.closer.score_equal_sizes == 0
    assert found.data_copying.corrected is not None
    assert found.data_copying.corrected < -3


def test_fresh_draws_are_as_close_to_heldout_checkpoints(gaussian_zoo):
    train, heldout = gaussian_zoo
    found = established_measures(train, heldout, planted(train, "fresh draw"), rng=numpy_rng())
    assert found.closer is not None
    assert found.closer.share == pytest.approx(0.5, abs=0.1)
    assert found.closer.score > 0.8
    assert found.closer.note is None
    assert found.data_copying.corrected is not None
    assert abs(found.data_copying.corrected) < 3


@pytest.mark.parametrize("d", [5, 200])
def test_c_t_is_far_below_zero_for_copies_and_averages_near_it_for_fresh_draws(d):
    train, heldout, fresh = (clusters((n,) * 3, d, seed=n)[0] for n in (50, 60, 70))
    own, other = torch.arange(210) % 150, (torch.arange(210) + 1) % 150
    kinds = {
        "copies": train[own],
        "noisy copies": train[own] + 0.1 * draw(210, d, seed=3),
        "midpoints": (train[own] + train[other]) / 2,
        "fresh": fresh,
        "wide": fresh + 2 * draw(210, d, seed=4),
    }
    published, corrected = {}, {}
    for kind, generated in kinds.items():
        published[kind], corrected[kind], missing = data_copying_test(
            train, heldout, generated, rng=numpy_rng()
        )
        assert missing is None
    for kind in ("copies", "noisy copies", "midpoints"):
        assert corrected[kind] < published[kind] < -3
    assert abs(corrected["fresh"]) < 3
    assert corrected["wide"] > published["wide"] > 3


def direct_share(train, heldout, generated):
    to_train, to_heldout = (
        cdist(generated.double().numpy(), w.double().numpy()).min(axis=1) for w in (train, heldout)
    )
    return np.mean(to_train < to_heldout)


def test_few_heldout_checkpoints_make_fresh_draws_look_closer_unless_sizes_are_equal():
    train, heldout, generated = draw(500, 3, seed=0), draw(100, 3, seed=1), draw(400, 3, seed=2)
    found = established_measures(train, heldout, generated, rng=numpy_rng()).closer
    assert found is not None
    assert found.share == direct_share(train, heldout, generated)
    assert found.share == pytest.approx(5 / 6, abs=0.06)
    assert found.score == pytest.approx(2 * (1 - found.share))
    assert found.equal_sizes == pytest.approx(1 / 2, abs=0.1)
    assert found.note == (
        "100 held-out for 500 training checkpoints: "
        "the larger population is closer more often, copies or not"
    )
    swapped = established_measures(heldout, train, generated, rng=numpy_rng()).closer
    assert swapped is not None
    assert swapped.share == pytest.approx(1 / 6, abs=0.06)
    assert swapped.score == 1
    assert swapped.equal_sizes == pytest.approx(1 / 2, abs=0.1)
    assert swapped.note is None


@pytest.mark.parametrize(("h", "warned"), [(4, True), (5, False), (10, False)])
def test_fewer_heldout_than_half_the_training_checkpoints_are_warned_of(h, warned):
    weights = draw(10, 3, seed=0)
    found = established_measures(weights, weights[:h], weights, rng=numpy_rng()).closer
    assert found is not None
    assert (found.note is not None) == warned


def test_a_checkpoint_as_near_to_both_populations_is_not_closer_to_training():
    train = draw(10, 3, seed=0)
    found = established_measures(train, train.clone(), train, rng=numpy_rng()).closer
    assert found is not None
    assert found.share == found.equal_sizes == 0


def test_copies_of_duplicated_checkpoints_are_copies_to_every_measure():
    once = draw(20, 6, seed=0)
    train = torch.cat([once, once])
    found = established_measures(train, None, once, rng=numpy_rng())
    assert (found.ratio == 0).all()
    assert (found.calibrated_l2 == 0).all()
    assert set(found.shares().values()) == {1.0}
    near = established_measures(train, None, once + 1e-3, rng=numpy_rng())
    np.testing.assert_allclose(near.ratio, 1)  # the known blind spot of the ratio rule
    assert near.shares() == {"ratio_rule": 0, "calibrated_l2": 1, "not_authentic": 0}


def test_copies_are_no_nearer_than_heldout_copies_of_the_same_checkpoints():
    train, _ = clusters((30, 30, 30), 3, seed=0)
    found = data_copying_test(train, train.clone(), train.clone(), rng=numpy_rng())
    assert found.published == pytest.approx(0.5 / np.sqrt(30 * 30 * 61 / 12))  # continuity alone


def test_training_checkpoints_that_are_all_equal_give_numbers_and_no_c_t():
    train = draw(1, 4, seed=0).expand(60, 4).contiguous()
    generated = torch.cat([train[:30], draw(30, 4, seed=1)])
    found = established_measures(train, draw(60, 4, seed=2), generated, rng=numpy_rng())
    for flagged in (found.flags()["ratio_rule"], found.flags()["calibrated_l2"], ~found.authentic):
        assert flagged.tolist() == [True] * 30 + [False] * 30
    assert found.data_copying == (None, None, "3 cells need as many different training checkpoints")


def test_without_heldout_checkpoints_measures_that_need_them_are_missing():
    weights = draw(30, 4, seed=0)
    found = established_measures(weights, None, weights, rng=numpy_rng())
    assert found.data_copying == (None, None, "no held-out checkpoints")
    assert found.closer is None


def test_one_generated_checkpoint_and_two_training_ones_are_enough():
    train = torch.tensor([[0.0, 0.0], [4.0, 0.0]])
    heldout = torch.tensor([[1.0, 5.0]])
    found = established_measures(train, heldout, torch.tensor([[1.0, 0.0]]), rng=numpy_rng())
    assert found.ratio.tolist() == pytest.approx([1 / 3])
    assert found.calibrated_l2.tolist() == pytest.approx([1 / (0.5 * 2)])
    assert found.authentic.tolist() == [False]  # 1 away, its nearest is 4 from the other
    assert found.closer is not None
    assert found.closer.share == 1
    assert found.data_copying.missing == "3 cells need as many different training checkpoints"


def test_cells_too_empty_for_c_t_are_a_reason_not_an_error():
    train, _ = clusters((20, 20, 20), 3, seed=0)
    full, _ = clusters((30, 30, 30), 3, seed=1)
    twenty, _ = clusters((20, 20, 20), 3, seed=2)
    lacking, _ = clusters((30, 0, 30), 3, seed=3)
    few = data_copying_test(train, full, twenty, rng=numpy_rng())
    assert few == (None, None, "no cell with more than 20 of 60 generated checkpoints")
    one = data_copying_test(train, full, twenty[:1], rng=numpy_rng())
    assert one == (None, None, "no cell with more than 20 of 1 generated checkpoints")
    empty = data_copying_test(train, lacking, full, rng=numpy_rng())
    assert empty == (None, None, "1 of 3 cells without held-out checkpoints")
    assert data_copying_test(train, full, lacking, rng=numpy_rng()).missing is None


def test_the_same_seed_gives_the_same_numbers_and_row_order_changes_none_of_a_checkpoint():
    train, heldout, generated = (draw(n, 80, seed=n) for n in (120, 50, 90))
    first, again = (
        established_measures(train, heldout, generated, rng=numpy_rng()) for _ in range(2)
    )
    assert first.data_copying == again.data_copying
    assert first.closer == again.closer
    order = torch.randperm(120, generator=torch.Generator().manual_seed(0))
    shuffled = established_measures(train[order], heldout, generated, rng=numpy_rng())
    np.testing.assert_array_equal(shuffled.ratio, first.ratio)
    np.testing.assert_allclose(shuffled.calibrated_l2, first.calibrated_l2, rtol=1e-12)
    np.testing.assert_array_equal(shuffled.authentic, first.authentic)


def test_too_few_checkpoints_and_nan_are_mistakes():
    weights = draw(40, 4, seed=0)
    for populations in (
        (weights[:1], weights, weights),
        (weights, weights[:0], weights),
        (weights, weights, weights[:0]),
    ):
        with pytest.raises(ValueError, match="expected at least 2 training"):
            established_measures(*populations, rng=numpy_rng())
    broken = weights.clone()
    broken[3, 1] = float("nan")
    for i in range(3):
        populations = [weights, weights, weights]
        populations[i] = broken
        with pytest.raises(ValueError, match="finite"):
            established_measures(*populations, rng=numpy_rng())
        with pytest.raises(ValueError, match="finite"):
            data_copying_test(*populations, rng=numpy_rng())
