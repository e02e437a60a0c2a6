"""Measurements, published ones and the book's own, one row each, with their times in seconds."""
from .catalog import chip as find_chip
from .checks import BadValue
from .decode import mbu
from .tables import table
from .training import mfu

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


RATES = {  # tokens a second and chip of a row of training_steps.csv
    "tokens_per_second_per_chip": lambda row: row["value"],
    "step_seconds": lambda row: row["sequences"] * row["sequence"] / row["value"] / row["chips"],
}
MANY = 64  # chips from which a published benchmark counts as a run


def reported(**where) -> list[dict]:
    """Rows of reported_runs.csv that match every condition, each with its MFU derived again.

    Parameters
    ----------
    **where
        Column = value, or a tuple of values of which one must match.

    Returns
    -------
    list of dict
        In the file's order. Added are the MFU from tokens a second, by 6N alone (`step`), with half (`causal`) and all (`full`) of the
        attention FLOPs, and from tokens over all chip-hours by 6N (`whole`); None where the source lacks what it takes.

    Raises
    ------
    BadValue
        If a column does not exist.

    Examples
    --------
    >>> palm, = reported(run="PaLM 540B")
    >>> [f"{palm[name]:.1%}" for name in ("step", "full", "whole")]
    ['45.7%', '46.2%', '30.4%']
    """
    return [row | derived(row) for row in _matching("reported_runs", where)]


def benchmarked() -> list[dict]:
    """Rows of training_steps.csv on 64 chips or more whose run prints an MFU too, in the columns of `reported`."""
    printed = {(row["run"], row["quantity"]): row["value"] for row in table("training_steps")}
    named = {row["name"] for row in table("models")}
    first = {row["run"]: row for row in reversed(table("training_steps")) if row["quantity"] in RATES and row["model"] in named
             and (row["chips"] or 0) >= MANY and (row["run"], "mfu") in printed}
    rows = [row | {"tokens_per_second_per_chip": RATES[row["quantity"]](row), "chip_hours": None, "mfu": printed[run, "mfu"],
                   "hfu": printed.get((run, "hfu"))} for run, row in sorted(first.items())]
    return [row | derived(row) for row in rows]


def derived(row: dict) -> dict:
    """What `reported` adds to a row."""
    def of(rate, context=None, causal=False):
        return rate and mfu(rate, row["model"], row["chip"], 1, context, row["dtype"], causal)

    step, hours = row["tokens_per_second_per_chip"], row["chip_hours"]
    return {"step": of(step), "causal": of(step, row["sequence"], True), "full": of(step, row["sequence"]),
            "whole": of(hours and row["tokens"] / hours / 3600)}


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


def achieved(chip: str, work: str, date: str) -> float:
    """What a published run did of a work, for each of its chips: the larger if achieved.csv has two of that date.

    Raises
    ------
    BadValue
        If it has none.

    Examples
    --------
    >>> round(achieved("MI300X", "Llama 2 70B offline", "2025-09"))
    3475
    """
    rows = _matching("achieved", {"chip": chip, "work": work, "date": date})
    if not rows:
        raise BadValue(f"chip={chip!r}, work={work!r}, date={date!r}: achieved.csv has no such run")
    return max(row["value"] / row["chips"] for row in rows)


def timed(**where) -> list[dict]:
    """Rows of gpu_timings.csv, the book's own measurements, that match every condition.

    Parameters
    ----------
    **where
        Column = value, or a tuple of values of which one must match. `test` is launch, memory, gemm, attention, decode, check
        (a draft of `new_tokens`), prefill or energy; `cold` is 1 where buffers rotate past the cache, `graph` where the kernels run from a captured graph.

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
