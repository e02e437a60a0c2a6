"""Measurements, published ones and the book's own, one row each, with their times in seconds."""
from __future__ import annotations

from .catalog import chip as find_chip
from .checks import BadValue
from .decode import mbu
from .tables import table

SECONDS = {
    "tokens_per_second_per_user": lambda row: 1.0 / row["value"],
    "tokens_per_second": lambda row: row["batch"] / row["value"],
    "seconds_per_token": lambda row: row["value"],
}


def measured(**where) -> list[dict]:
    """Rows of measurements.csv that match every condition, each with `seconds` per decode step added.

    Parameters
    ----------
    **where
        Column = value, or a tuple of values of which one must match.

    Returns
    -------
    list of dict
        In the file's order.

    Raises
    ------
    BadValue
        If a column does not exist.

    Examples
    --------
    >>> rows = measured(model="Llama 2 7B", software="gpt-fast", weights="bf16")
    >>> [f"{row['seconds'] * 1e3:.2f} ms" for row in rows][:1]
    ['9.53 ms']
    """
    return [{**row, "seconds": SECONDS[row["quantity"]](row)} for row in _matching("measurements", where)]


def _matching(name: str, where: dict) -> list[dict]:
    rows = table(name)
    for column in where:
        if column not in rows[0]:
            raise BadValue(f"{name} have no column {column!r}; they have {', '.join(rows[0])}")
    wanted = {c: v if isinstance(v, tuple) else (v,) for c, v in where.items()}
    return [row for row in rows if all(row[c] in v for c, v in wanted.items())]


def measured_mbu(row: dict) -> tuple[float, float, float]:
    """MBU of one decode row of `measured`, with the interval that its unknowns leave.

    The source rarely says which bytes it counts. Low: the embedding look-up left out and only the prompt in the
    cache. Central: all parameters and the mean context. High: all parameters and the whole context.

    Returns
    -------
    tuple of float
        (low, central, high), fractions.

    Examples
    --------
    >>> row = measured(id="DE001")[0]
    >>> [f"{share:.1%}" for share in measured_mbu(row)]
    ['68.0%', '69.6%', '69.9%']
    """
    def at(context: float, embedding: bool = True) -> float:
        return mbu(row["seconds"], row["model"], row["chip"], row["chips"], row["batch"], context,
                   row["weight_bytes"], row["kv"], embedding)

    prompt, output = row["prompt"] or 0.0, row["output"] or 0.0
    return at(min(prompt, row["context"]), embedding=False), at(row["context"]), at(max(prompt + output, row["context"]))


def timed(**where) -> list[dict]:
    """Rows of gpu_timings.csv, the book's own measurements, that match every condition.

    Parameters
    ----------
    **where
        Column = value, or a tuple of values of which one must match. `test` is launch, memory, gemm, attention, decode, prefill or
        energy; `cold` is 1 where buffers rotate past the cache, `graph` where the kernels run from a captured graph.

    Returns
    -------
    list of dict
        In the file's order; `bytes_per_second`, `flops_per_second`, `mbu` and `mfu` are added, from the fewest bytes and FLOPs of the
        work and the data sheet's bandwidth and dense peak, None where a row counts none.

    Raises
    ------
    BadValue
        If a column does not exist.

    Examples
    --------
    >>> best = max(row["mbu"] for row in timed(chip="H100 SXM", test="memory", kernel="read", cold=1))
    >>> f"{best:.0%}"
    '92%'
    """
    return [row | rates(row) for row in _matching("gpu_timings", where)]


def rates(row: dict) -> dict:
    """What `timed` adds to a row of gpu_timings.csv."""
    chip, seconds = find_chip(row["chip"]), row["seconds"]
    moved, done = (row[c] / seconds if row[c] else None for c in ("bytes", "flops"))
    return {"bytes_per_second": moved, "mbu": moved and moved / chip.bandwidth, "flops_per_second": done,
            "mfu": done and row["dtype"] in chip.peak and done / chip.peak[row["dtype"]] or None}
