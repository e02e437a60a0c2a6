"""Speculative decoding against Leviathan et al. (2023) and the batch at which it stops to pay."""
import numpy as np
import pytest
import siliconomics as si
from numpy.testing import assert_allclose


@pytest.mark.parametrize("acceptance, drafted, cost, tokens, speedup", [
    (0.8, 5, 0.05, sum(0.8**i for i in range(6)), 2.9514), (1.0, 4, 0.0, 5.0, 5.0), (0.5, 0, 0.3, 1.0, 1.0)],
    ids=["F19 | Leviathan 2023, eq. 1 and theorem 3.8", "every draft accepted", "no draft is plain decoding"])
def test_one_user(acceptance, drafted, cost, tokens, speedup):
    got = si.speculative(acceptance, drafted, cost)
    assert_allclose(got, (tokens, speedup), rtol=1e-4)


def test_gain_fades_with_the_batch():
    """a = .8, g = 4, c = .1, B* = 295: 2.40x alone, 1.31x at 128, slower from the critical batch on."""
    _, speedup = si.speculative(0.8, 4, 0.1, batch=np.array([1, 32, 128, 295, 1000]), critical_batch=295)
    assert_allclose(speedup, [2.4011, 2.4011, 1.3083, 0.6225, 0.6225], rtol=2e-4)


@pytest.mark.parametrize("arguments", [(1.1, 4, 0.1), (0, 4, 0.1), (0.8, -1, 0.1), (0.8, 4, float("nan")), (0.8, 4, 0.1, 0), (0.8, 4, 0.1, 1, -5)], ids=str)
def test_bad_input(arguments):
    with pytest.raises(ValueError):
        si.speculative(*arguments)
