"""Bytes per value of each data type, and the one place where numbers become text."""
import math

from .checks import BadValue, nearest, scalar

#: Bytes per value of each data type that has a name here.
DTYPE_BYTES = {
    "fp64": 8.0, "fp32": 4.0, "tf32": 4.0, "bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "int8": 1.0,
    "fp6": 0.75, "fp4": 0.5, "int4": 0.5,
    "mxfp8": 8.25 / 8, "mxfp6": 6.25 / 8, "mxfp4": 4.25 / 8,  # one 8-bit scale for 32 values (OCP MX 1.0)
    "nvfp4": 4.5 / 8,  # one 8-bit scale for 16 values
}
PREFIXES = {-12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E", 21: "Z", 24: "Y"}
SCALED = ("s", "B", "B/s", "FLOP", "FLOP/s", "FLOP/token", "B/token", "W", "J", "J/token", "params", "tokens")


def dtype_bytes(dtype, argument: str = "dtype") -> float:
    """Bytes that one stored value takes.

    Parameters
    ----------
    dtype : str or float
        A name from `DTYPE_BYTES`, or the bytes per value themselves (0.625 for int4 with scales).
    argument : str
        The caller's argument name, for the message.

    Raises
    ------
    BadValue
        If the name is unknown or the number is not positive.

    Examples
    --------
    >>> dtype_bytes("bf16"), dtype_bytes("mxfp4")
    (2.0, 0.53125)
    """
    if not isinstance(dtype, str):
        return scalar(argument, dtype)
    if dtype not in DTYPE_BYTES:
        raise BadValue(f"{argument}={dtype!r} is no data type known here; nearest: {nearest(dtype, DTYPE_BYTES)}")
    return DTYPE_BYTES[dtype]


def _digits(value: float, digits: int) -> str:
    """`value` with `digits` significant digits, thousands separated, no exponent."""
    rounded = float(f"{value:.{digits}g}")
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded)))) if rounded else 0
    return f"{rounded:,.{decimals}f}"


def fmt(value: float, unit: str = "", digits: int = 3) -> str:
    """Format one number for a reader.

    Parameters
    ----------
    value : float
        In SI base units; a fraction for unit "%".
    unit : str
        "%", "$", "$/Mtok", "" or any other unit; those in `SCALED` get an SI prefix.
    digits : int
        Significant digits; whole numbers of four digits or more are shown whole.

    Returns
    -------
    str
        For example ``fmt(0.00675, "s") == "6.75 ms"``.

    Examples
    --------
    >>> fmt(0.00675, "s"), fmt(3.35e12, "B/s"), fmt(0.415, "%"), fmt(1234, "$")
    ('6.75 ms', '3.35 TB/s', '41.5 %', '$1,234')
    """
    try:
        value = float(value)
    except (TypeError, ValueError):
        raise BadValue(f"value={value!r}: one number is needed") from None
    if not math.isfinite(value):
        return f"{value} {unit}".strip()
    if unit == "%":
        return _digits(100 * value, digits) + " %"
    if unit.startswith("$"):
        sign = "-" if value < 0 else ""
        return f"{sign}${_digits(abs(value), max(digits, _whole_digits(value)))}{unit[1:]}"
    if unit in SCALED and value:
        power = min(max(3 * math.floor(math.log10(abs(float(f"{value:.{digits}g}"))) / 3), -12), 24)
        return f"{_digits(value / 10.0**power, digits)} {PREFIXES[power]}{unit}"
    return f"{_digits(value, max(digits, _whole_digits(value)))} {unit}".strip()


def _whole_digits(value: float) -> int:
    return min(15, math.floor(math.log10(abs(value))) + 1) if abs(value) >= 1 else 0
