import subprocess
import sys

import numpy as np
import torch

from novelweights.seeding import Draws, numpy_rng_for, rng_for, seed_for


def test_a_seed_is_the_same_on_every_machine():
    # by hand: the first 8 bytes of sha256(b"7\x1fsample\x1f3"), little-endian, halved
    assert seed_for(7, "sample", 3) == 2087761227517376720
    code = "from novelweights.seeding import seed_for; print(seed_for(7, 'sample', 3))"
    printed = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "1"},
    )
    assert int(printed.stdout) == seed_for(7, "sample", 3)


def test_root_labels_and_their_order_and_number_all_count():
    seeds = [
        seed_for(0),
        seed_for(1),
        seed_for(0, "a"),
        seed_for(0, "b"),
        seed_for(0, "a", "b"),
        seed_for(0, "b", "a"),
        seed_for(0, "ab"),
        seed_for(0, "a", 1),
        seed_for(0, "a1"),
        seed_for(0, 1, 2),
        seed_for(0, 12),
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_seeds_fill_the_whole_range():
    seeds = torch.tensor([seed_for(0, "run", i) for i in range(2000)])
    assert (seeds > 2**62).double().mean().sub(0.5).abs() < 0.05
    assert (seeds % 2).double().mean().sub(0.5).abs() < 0.05


def test_streams_repeat_and_differ_by_label():
    assert torch.equal(
        torch.randn(5, generator=rng_for(0, "a")), torch.randn(5, generator=rng_for(0, "a"))
    )
    assert not torch.equal(
        torch.randn(5, generator=rng_for(0, "a")), torch.randn(5, generator=rng_for(0, "b"))
    )
    assert numpy_rng_for(0, "a").random() == numpy_rng_for(0, "a").random()
    assert numpy_rng_for(0, "a").random() != numpy_rng_for(0, "b").random()


def test_drawing_leaves_the_global_stream_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    torch.randn(5, generator=rng_for(0, "a"))
    assert torch.equal(torch.get_rng_state(), before)


def test_raw_draws_are_the_same_everywhere():
    assert Draws("test").below(1000, 5).tolist() == [855, 367, 102, 37, 9]
    assert Draws("test").chosen(3, 10).tolist() == [0, 2, 8]
    assert Draws("other").below(1000, 5).tolist() != Draws("test").below(1000, 5).tolist()


def test_every_number_below_its_limit_is_as_likely():
    counts = np.bincount(Draws("test").below(7, 70_000), minlength=7)
    assert np.abs(counts - 10_000).max() < 400  # about four deviations
    limits = np.array([1, 5, 1000])
    assert all((Draws(str(i)).below(limits, 3) < limits).all() for i in range(20))


def test_chosen_numbers_differ_and_ascend():
    numbers = Draws("test").chosen(600, 1000)
    assert (np.diff(numbers) > 0).all()
    assert numbers[0] >= 0
    assert numbers[-1] < 1000
    assert Draws("test").chosen(10, 10).tolist() == list(range(10))
