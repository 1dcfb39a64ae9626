import inspect
import threading
import time

import numpy as np
import pytest
import torch
from numba import prange

from novelweights.metrics.threads import compiled_loop, map_small


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_results_come_in_order_from_several_threads(three_threads):
    seen = set()

    def slow_first(i):
        seen.add(threading.get_ident())
        time.sleep(0.02 if i == 0 else 0.005)
        return i * i

    assert map_small(slow_first, range(12)) == [i * i for i in range(12)]
    assert 1 < len(seen) <= 3


def test_each_piece_runs_on_one_thread_and_the_setting_comes_back(three_threads):
    assert set(map_small(lambda _: torch.get_num_threads(), range(6))) == {1}
    assert torch.get_num_threads() == 3


def test_an_error_reaches_the_caller_and_the_setting_comes_back(three_threads):
    with pytest.raises(ZeroDivisionError):
        map_small(lambda i: 1 / i, [1, 0, 2])
    assert torch.get_num_threads() == 3


def test_it_may_be_nested(three_threads):
    def inner(i):
        return sum(map_small(lambda j: i * j, range(4)))

    assert map_small(inner, range(5)) == [6 * i for i in range(5)]
    assert torch.get_num_threads() == 3


def test_nothing_to_do_is_fine():
    assert map_small(lambda i: i, []) == []


def doubled(x):
    for i in prange(len(x)):
        x[i] *= 2


def test_a_loop_gives_the_same_on_one_thread_and_on_all():
    run, x = compiled_loop(doubled), np.ones(9)
    run(x, in_parallel=False)
    run(x, in_parallel=True)
    assert (x == 4).all()


def test_the_cache_keeps_both_compilations_of_a_loop_apart():
    """Else each process would run both as whichever an earlier process compiled first."""
    run, x = compiled_loop(doubled), np.ones(9)
    compiled = [cell.cell_contents for cell in inspect.unwrap(run).__closure__]
    for in_parallel in (False, True):
        run(x, in_parallel=in_parallel)
    names = {each._cache._impl.filename_base for each in compiled}
    assert len(compiled) == len(names) == 2
