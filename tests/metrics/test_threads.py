import threading
import time

import pytest
import torch

from novelweights.metrics.threads import map_small


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
