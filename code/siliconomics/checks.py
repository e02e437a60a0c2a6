"""Input checks: every error names the argument, the value and what would be right."""
import difflib
from functools import cache, partial

import numpy as np

LARGEST = 1e60  # products of a few inputs between these stay inside float64
SMALLEST = 1e-60


class BadValue(ValueError):
    """An argument outside its domain."""


class UnknownName(KeyError):
    """A name that the catalogue does not hold; the message lists the nearest ones."""

    def __str__(self) -> str:
        return str(self.args[0])


class MissingDtype(UnknownName, ValueError):
    """A chip was asked for a peak in a data type that it lacks."""


def _array(name: str, value, domain: str) -> np.ndarray:
    try:
        array = np.asarray(value)
        if array.dtype == object and all(isinstance(v, int) for v in array.flat):  # Python ints beyond 64 bits
            array = array.astype(float)
    except (ValueError, OverflowError):
        raise BadValue(f"{name}={value!r}: {domain}, or a regular array of them, is needed") from None
    if array.dtype.kind not in "iuf":
        raise BadValue(f"{name}={value!r}: {domain} is needed")
    if array.size == 0:
        raise BadValue(f"{name} is empty: {domain}, or an array of them, is needed")
    return array.astype(float)


def refuse(name: str, array: np.ndarray, wrong: np.ndarray, why: str) -> np.ndarray:
    """Raise BadValue, showing the first element of `array` where `wrong` holds, or return the array."""
    if wrong.any():
        raise BadValue(f"{name}={array[wrong].flat[0]:g}: {why}")
    return array


def number(name: str, value, *, zero: bool = False, least: float = 0.0) -> np.ndarray:
    """Return `value` as a float array after checking it.

    Parameters
    ----------
    name : str
        The argument's name, for the message.
    value : float or array_like
        Finite numbers; no strings, no bools, not empty.
    zero : bool
        Whether zero is allowed; negative numbers never are.
    least : float
        Smallest value allowed besides that.

    Raises
    ------
    BadValue
        If any element lies outside the domain.
    """
    low = least or (0.0 if zero else SMALLEST)
    if type(value) in (int, float) and (low <= value <= LARGEST or (value == 0 and zero)) and (value == 0 or value >= SMALLEST):
        return np.float64(value)  # the common case; an np.float64 behaves like a 0-d array
    domain = f"a number >= {least:g}" if zero or least else "a number > 0"
    array = _array(name, value, domain)
    wrong = ~np.isfinite(array) | (array < low) | (array > LARGEST) | ((array < SMALLEST) & (array != 0))
    return refuse(name, array, wrong, f"{domain} is needed (and between {SMALLEST:g} and {LARGEST:g})")


def scalar(name: str, value, **domain) -> float:
    """Like `number`, for one value."""
    array = number(name, value, **domain)
    if array.ndim:
        raise BadValue(f"{name}={value!r}: one number is needed, not an array")
    return float(array)


def fraction(name: str, value) -> np.ndarray:
    """Like `number`, but above 0 and at most 1."""
    array = number(name, value)
    return refuse(name, array, array > 1, "a fraction in (0, 1] is needed (0.4 for 40 %)")


def optional(name: str, value) -> np.ndarray:
    """Like `number`, but zero and None are allowed; None becomes NaN."""
    return np.float64(np.nan) if value is None else number(name, value, zero=True)


def whole(name: str, value, *, least: int = 0) -> int:
    """Return `value` as an int; reject bools, strings and anything fractional or below `least`."""
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not is_number or not np.isfinite(value) or value != int(value) or value < least:
        raise BadValue(f"{name}={value!r}: a whole number >= {least} is needed")
    return int(value)


def flag(name: str, value) -> bool:
    """Return `value` if it is a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise BadValue(f"{name}={value!r}: True or False is needed")
    return bool(value)


def choice(name: str, value, allowed) -> str:
    """Return `value` if it is one of `allowed`."""
    if not isinstance(value, str) or value not in allowed:
        raise BadValue(f"{name}={value!r}: one of {', '.join(map(repr, allowed))} is needed")
    return value


def known(name: str, value, names) -> str:
    """Return `value` if it is one of `names`; else raise UnknownName with the nearest."""
    if not isinstance(value, str):
        raise BadValue(f"{name}={value!r}: a text is needed")
    if value not in names:
        raise UnknownName(f"{name}={value!r} does not exist; nearest: {nearest(value, names)}")
    return value


def broadcast(**arrays) -> list[np.ndarray]:
    """Broadcast named arrays against each other; the error shows each shape."""
    if set(map(type, arrays.values())) == {np.float64}:
        return list(arrays.values())
    try:
        return list(np.broadcast_arrays(*arrays.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {np.shape(a)}" for name, a in arrays.items())
        raise BadValue(f"shapes do not broadcast: {shapes}") from None


def numbers(given: dict, positive: str = "", zero: str = "", one: str = "", fractions: str = "", optional: str = "") -> list[np.ndarray]:
    """Check arguments of the calling function and broadcast them against each other.

    Parameters
    ----------
    given : dict
        The caller's `locals()`.
    positive, zero, one, fractions, optional : str
        Names of arguments above 0, of those that may be 0, of those of at least 1, of those above 0 and at most 1, and of
        those that may be 0 or None, which becomes NaN.

    Returns
    -------
    list of ndarray
        One array for each name, in the order in which the call names them.

    Raises
    ------
    BadValue
        If an element lies outside its domain, or if the shapes do not broadcast.
    """
    checks = _checks(positive, zero, one, fractions, optional)
    values = [check(name, given[name]) for name, check in checks]
    return values if set(map(type, values)) == {np.float64} else broadcast(**dict(zip(dict(checks), values)))


@cache
def _checks(*groups: str) -> list[tuple]:
    kinds = number, partial(number, zero=True), partial(number, least=1.0), fraction, optional
    return [(name, check) for names, check in zip(groups, kinds) for name in names.split()]


def plain(value):
    """Turn a 0-d array into the Python scalar it holds; leave other arrays alone."""
    value = value if isinstance(value, np.generic) else np.asarray(value)
    return value.item() if value.ndim == 0 else value


def nearest(name: str, names, n: int = 3) -> str:
    """The `n` of `names` nearest to `name`, for an error message."""
    folded = {k.lower(): k for k in names}
    hits = difflib.get_close_matches(str(name).lower(), folded, n=n, cutoff=0.0)
    return ", ".join(repr(folded[h]) for h in hits)
