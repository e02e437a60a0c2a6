"""Bytes per value, and the one place where numbers become text."""
import math

import pytest
import siliconomics as si
from hypothesis import given
from hypothesis import strategies as st

BYTES = {"fp64": 8, "fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2, "fp8": 1, "int8": 1, "fp6": 0.75, "fp4": 0.5, "int4": 0.5,
         "mxfp8": (32 * 8 + 8) / 32 / 8, "mxfp6": (32 * 6 + 8) / 32 / 8, "mxfp4": (32 * 4 + 8) / 32 / 8, "nvfp4": (16 * 4 + 8) / 16 / 8}


@pytest.mark.parametrize("dtype", BYTES)
def test_bytes_per_value_with_block_scales(dtype):
    assert si.dtype_bytes(dtype) == BYTES[dtype]


def test_every_dtype_is_checked_here():
    assert set(si.DTYPE_BYTES) == set(BYTES)


def test_bytes_may_be_given_as_a_number():
    assert si.dtype_bytes(0.625) == 0.625 and si.dtype_bytes(3) == 3.0


SHOWN = [
    ((0.00675, "s"), "6.75 ms"), ((6.748e-3, "s"), "6.75 ms"), ((20.59e-3, "s"), "20.6 ms"), ((1.5e-7, "s"), "150 ns"), ((90.0, "s"), "90.0 s"),
    ((0.9996, "s"), "1.00 s"), ((999.6e-6, "s"), "1.00 ms"), ((1e-15, "s"), "0.00100 ps"), ((0.0, "s"), "0 s"),
    ((989.4e12, "FLOP/s"), "989 TFLOP/s"), ((3.35e12, "B/s"), "3.35 TB/s"), ((327_680, "B"), "328 kB"), ((1e30, "FLOP"), "1,000,000 YFLOP"),
    ((0.165, "%"), "16.5 %"), ((0.9996, "%"), "100 %"), ((0.00236, "%"), "0.236 %"), ((1.2, "%"), "120 %"), ((0.0, "%"), "0 %"),
    ((0.469, "$/Mtok"), "$0.469/Mtok"), ((1234.5, "$"), "$1,234"), ((1.75e6, "$"), "$1,750,000"), ((-2.0, "$"), "-$2.00"), ((2.0, "$"), "$2.00"),
    ((9481.4, "tokens/s"), "9,481 tokens/s"), ((17.48, "tokens/s"), "17.5 tokens/s"), ((295.34,), "295"), ((0.0,), "0"), ((-0.00675, "s"), "-6.75 ms"),
    ((float("nan"), "$"), "nan $"), ((float("inf"), "s"), "inf s"), ((3.14159, "", 5), "3.1416"),
]


@pytest.mark.parametrize("arguments, text", SHOWN, ids=[text for _, text in SHOWN])
def test_number_as_text(arguments, text):
    assert si.fmt(*arguments) == text


@pytest.mark.parametrize("power", range(-12, 27, 3))
@pytest.mark.parametrize("unit", ["s", "B", "FLOP/s", "W"])
def test_every_prefix_at_its_edge(unit, power):
    prefix = {-12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E", 21: "Z", 24: "Y"}[power]
    assert si.fmt(float(f"1e{power}"), unit) == f"1.00 {prefix}{unit}"
    assert si.fmt(float(f"999e{power}"), unit) == f"999 {prefix}{unit}"


PREFIX = {"p": 1e-12, "n": 1e-9, "µ": 1e-6, "m": 1e-3, "": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18, "Z": 1e21, "Y": 1e24}


@given(st.floats(1e-12, 9e26), st.sampled_from([1, -1]), st.integers(2, 8))
def test_text_reads_back_as_the_number(size, sign, digits):
    number, unit = si.fmt(sign * size, "B", digits).split(" ")
    back = float(number.replace(",", "")) * PREFIX[unit.removesuffix("B")]
    assert math.isclose(back, sign * size, rel_tol=0.6 * 10.0 ** (1 - digits))


@given(st.floats(1e-6, 1e12))
def test_dollars_and_plain_numbers_read_back(size):
    for text in (si.fmt(size, "$")[1:], si.fmt(size), si.fmt(size, "tokens/s").split(" ")[0]):
        assert math.isclose(float(text.replace(",", "")), size, rel_tol=0.006)
        assert "e" not in text
