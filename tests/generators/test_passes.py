import pytest
import torch

from novelweights.generators.parts.passes import rows_of_batch


@pytest.mark.parametrize(("n", "size"), [(300, 50), (7, 3), (4, 10), (1, 2), (5, 5)])
def test_batches_are_whole_passes_one_after_another(n, size):
    batches = [rows_of_batch(i, n, size, seed=3) for i in range(3 * n)]
    assert {len(batch) for batch in batches} == {size}
    passes = torch.cat(batches).split(n)  # 3 n size rows are 3 size passes
    assert len(passes) == 3 * size
    for rows in passes:
        assert sorted(rows.tolist()) == list(range(n))


def test_orders_differ_between_passes_and_seeds_and_are_the_same_again():
    first, second = (rows_of_batch(i, 50, 50, seed=3) for i in range(2))
    assert not torch.equal(first, second)
    assert not torch.equal(first, rows_of_batch(0, 50, 50, seed=4))
    assert torch.equal(second, rows_of_batch(1, 50, 50, seed=3))
