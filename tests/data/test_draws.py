import numpy as np

from novelweights.data.draws import Draws

TEST_STREAM = [855, 367, 102, 37, 9]
TEST_CHOICE = [0, 2, 8]


def test_numbers_are_the_same_everywhere():
    assert Draws("test").below(1000, 5).tolist() == TEST_STREAM
    assert Draws("test").chosen(3, 10).tolist() == TEST_CHOICE
    assert Draws("other").below(1000, 5).tolist() != TEST_STREAM


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
