"""Who has the compute? Shares, concentration, inequality, H100-equivalents."""
from datetime import date, timedelta

import numpy as np

from .catalog import chip as find_chip
from .checks import BadValue, choice, known, number, plain, refuse
from .tables import frame, table
from .units import DTYPE_BYTES


def _amounts(name: str, values) -> np.ndarray:
    """Amounts >= 0 along the last axis, not all zero."""
    values = np.atleast_1d(number(name, values, zero=True))
    if (values.sum(axis=-1) == 0).any():
        raise BadValue(f"{name} sums to 0: at least one amount > 0 is needed")
    return values


def shares(units):
    """Each amount over the sum of all.

    Parameters
    ----------
    units : array_like or dict
        Amounts >= 0, along the last axis.

    Returns
    -------
    ndarray or dict
        Fractions that sum to 1; a dict with the same keys for a dict.

    Raises
    ------
    BadValue

    Examples
    --------
    >>> shares({"a": 3, "b": 1})
    {'a': 0.75, 'b': 0.25}
    """
    if isinstance(units, dict):
        return dict(zip(units, shares(list(units.values())).tolist()))
    units = _amounts("units", units)
    return units / units.sum(axis=-1, keepdims=True)


def hhi(shares, normalise: bool = True):
    """Herfindahl-Hirschman index: the sum of the squared percentages, 10,000 for a monopoly.

    Parameters
    ----------
    shares : array_like
        Percentages or any amounts >= 0, along the last axis.
    normalise : bool
        Scale them to 100 % first. False squares them as given: they must be percentages, and what published tables
        of rounded shares (83 + 13 + 5 = 101) were computed from.

    Returns
    -------
    float or ndarray

    Raises
    ------
    BadValue

    References
    ----------
    Hirschman (1964), The Paternity of an Index.

    Examples
    --------
    >>> hhi([83, 13, 5], normalise=False), round(hhi([83, 13, 5]))
    (7083.0, 6943)
    """
    given = _amounts("shares", shares)
    total = given.sum(axis=-1, keepdims=True)
    if normalise:
        return plain(((100 * given / total) ** 2).sum(axis=-1))
    wrong = (total <= 1.5) | (total > 150)  # fractions or counts, not rounded percentages
    refuse("sum of shares", total, wrong, "percentages are needed with normalise=False")
    return plain((given**2).sum(axis=-1))


def gini(values):
    """Gini coefficient of a whole population (not the sample form with n/(n - 1)).

    Parameters
    ----------
    values : array_like
        Amounts >= 0, along the last axis.

    Returns
    -------
    float or ndarray
        0 for equal amounts, 1 - 1/n if one of n has all.

    Raises
    ------
    BadValue

    References
    ----------
    Gini (1912), Variabilità e mutabilità; sum over sorted x of (2i - n - 1) x_i, over n sum(x).

    Examples
    --------
    >>> gini([1, 1, 1, 1]), gini([0, 0, 0, 1])
    (0.0, 0.75)
    """
    values = np.sort(_amounts("values", values), axis=-1)
    n = values.shape[-1]
    return plain(((2 * np.arange(1, n + 1) - n - 1) * values).sum(axis=-1) / (n * values.sum(axis=-1)))


def lorenz(values) -> tuple[np.ndarray, np.ndarray]:
    """Lorenz curve: what share of the total the poorest share of the owners holds.

    Parameters
    ----------
    values : array_like
        Amounts >= 0, along the last axis.

    Returns
    -------
    tuple of ndarray
        Population share and cumulative share, each of n + 1 points from 0 to 1.

    Raises
    ------
    BadValue

    References
    ----------
    Lorenz (1905), Methods of Measuring the Concentration of Wealth.

    Examples
    --------
    >>> owners, held = lorenz([1, 3])
    >>> held.tolist()
    [0.0, 0.25, 1.0]
    """
    values = np.sort(_amounts("values", values), axis=-1)
    held = np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(values, axis=-1)], axis=-1)
    return np.linspace(0.0, 1.0, held.shape[-1]), held / held[..., -1:]


METRICS = {"flops": lambda chip, dtype: chip.peak[dtype], "bandwidth": lambda chip, dtype: chip.bandwidth,
           "tpp": lambda chip, dtype: max(rate * DTYPE_BYTES[d] for d, rate in chip.peak.items())}


def h100_equivalents(units, chip, metric: str = "flops", dtype: str = "bf16"):
    """How many H100 SXM hold as much of one metric as `units` of a chip.

    Parameters
    ----------
    units : float or array_like
    chip : str or Chip
    metric : {"flops", "bandwidth", "tpp"}
        Dense peak of `dtype`, memory bandwidth, or the largest product of peak and bits over all data types.
    dtype : str
        For "flops": a data type that both chips have. Epoch AI counts 8-bit peaks.

    Returns
    -------
    float or ndarray

    Raises
    ------
    BadValue, UnknownName, MissingDtype

    Examples
    --------
    >>> round(h100_equivalents(1, "A100 SXM 80GB"), 4)
    0.3153
    """
    rate = METRICS[choice("metric", metric, METRICS)]
    ratio = rate(find_chip(chip), dtype) / rate(find_chip("H100 SXM"), dtype)
    return plain(number("units", units, zero=True) * ratio)


def shipments():
    """Epoch AI's estimates of chips shipped, one row a chip and quarter.

    Returns
    -------
    pandas.DataFrame
        maker, chip, start and end of the quarter, units with their 5 and 95 % limits, h100e (Epoch's H100-equivalents,
        by 8-bit peak) with theirs, and the source.
    """
    return frame(table("shipments"))


def owned(date: str, column: str = "h100e") -> dict:
    """What each owner had bought by the end of a quarter, of all makers together: Epoch AI's medians.

    Parameters
    ----------
    date : str
        The last day of a quarter from 2022 on, "2025-12-31".
    column : {"h100e", "h100e_p05", "h100e_p95", "units", "units_p05", "units_p95"}
        H100-equivalents by 8-bit peak, or chips, or the 5 and 95 % limits; a missing one counts as 0.

    Returns
    -------
    dict
        Owner -> amount, the largest first. "China": sold there openly, without Huawei's chips; "Other": not named; xAI at year ends.
        Sums of medians, or of limits, are no medians or limits.

    Raises
    ------
    UnknownName
        If there is no such date or column.

    Examples
    --------
    >>> max(owned("2025-12-31").items(), key=lambda pair: pair[1])
    ('Google', 5049814)
    """
    rows = table("owners")
    known("date", date, {row["date"] for row in rows})
    known("column", column, [name for name in rows[0] if name.startswith(("h100e", "units"))])
    totals = {}
    for row in rows:
        if row["date"] == date:
            totals[row["owner"]] = totals.get(row["owner"], 0) + (row[column] or 0)
    return dict(sorted(totals.items(), key=lambda pair: -pair[1]))


def lives(room: float = 1.2, until: str = "9999-12-31") -> dict[str, int | None]:
    """Days until an open model was beaten by a later one of about its size.

    Parameters
    ----------
    room : float
        The later model may have so many times the parameters.
    until : str
        Models released after this day are unknown.

    Returns
    -------
    dict
        Model -> days to the first later model with a higher MMLU score; None for one not beaten.

    Examples
    --------
    >>> lives()["Llama 2 13B"]
    71
    """
    known_models = [row for row in table("open_models") if row["release"] <= until]
    return {old["model"]: min((date.fromisoformat(new["release"]) - date.fromisoformat(old["release"]) for new in known_models
                               if new["release"] > old["release"] and new["mmlu"] > old["mmlu"] and new["params"] <= room * old["params"]),
                              default=timedelta()).days or None for old in known_models}
