"""Prefill and decode apart, and one matrix product, against sums worked by hand."""
import numpy as np
import pytest
import siliconomics as si
from numpy.testing import assert_allclose

M, C = "Llama 2 70B", "H100 SXM"


def test_chip_seconds_balance():
    split = si.disaggregate(M, C, prompt=2000, output=500, prefill_chips=4, decode_chips=8, batch=64, network_bandwidth=50e9)
    first, step = si.prefill(M, C, 4, 2000), si.decode(M, C, 8, 64, 2250)
    prompt_time = first.seconds + first.attention_seconds
    assert_allclose([split.prefill_seconds, split.decode_seconds], [prompt_time, 500 * step.seconds], rtol=1e-12)
    assert_allclose(split.prefill_per_decode_chip, prompt_time * 4 / (500 * step.seconds * 8 / 64), rtol=1e-12)
    assert_allclose([split.kv_bytes, split.transfer_seconds], [2000 * 327_680, 2000 * 327_680 / 50e9], rtol=1e-12)
    busy = split.prefill_per_decode_chip / (1 + split.prefill_per_decode_chip)  # share of chips that prefill
    assert_allclose(split.requests_per_second_per_chip, busy / (prompt_time * 4), rtol=1e-12)


def test_arrays_and_another_decode_chip():
    split = si.disaggregate(M, C, [500, 1000.0], 100, decode_chip="MI300X", batch=8)
    assert split.prefill_per_decode_chip.shape == (2,) and np.isnan(split.transfer_seconds).all()
    assert_allclose(split.decode_seconds, 100 * si.decode(M, "MI300X", 1, 8, [550, 1050.0]).seconds)


@pytest.mark.parametrize("bad", [{"prompt": 0}, {"output": -1}, {"batch": 0}, {"decode_chips": float("nan")}, {"stack": "fast"}], ids=str)
def test_bad_input(bad):
    with pytest.raises(ValueError):
        si.disaggregate(M, C, **{"prompt": 10, "output": 10, **bad})


@pytest.mark.parametrize("m, n, k, seconds", [
    (8192, 8192, 8192, 2 * 8192**3 / 989.4e12),  # intensity 2,731: compute-bound
    (1, 8192, 8192, (2 * 8192 + 8192**2) * 2 / 3.35e12),  # a matrix and a vector: memory-bound
], ids=["square", "vector"])
def test_matmul(m, n, k, seconds):
    assert_allclose(si.matmul_seconds(m, n, k, C), seconds, rtol=1e-12)
    assert_allclose(si.matmul_seconds(m, n, k, C, chips=8), seconds / 8, rtol=1e-12)


def test_matmul_storage_and_errors():
    assert_allclose(si.matmul_seconds(1, 4096, 4096, C, storage="int4"), si.matmul_seconds(1, 4096, 4096, C) / 4, rtol=1e-12)
    with pytest.raises(ValueError, match="m=0"):
        si.matmul_seconds(0, 1, 1, C)
