"""Which shares of the peaks do published training runs show? The fit of `train_calibration`, and its errors on runs left out."""
from __future__ import annotations

import math
from functools import cache

import numpy as np

from .calibrate import NORMAL_80
from .fit_kernels import limits
from .refit import entry
from .tables import table
from .train_calibration import SHARES, SPREAD, factors, keys, product_share, seconds
from .train_parts import step_parts
from .train_runs import quantity, step_of

EXACT, LOOSE, MIXED = 0.06, 0.12, 0.4  # error of a step with all of its layout stated, with some of it derived, and with experts

STATED = ("tensor", "pipeline", "interleave", "micro_batch", "recompute", "sequences", "zero")
ORDER = ("step_seconds", "tokens_per_second_per_chip", "flops_per_second_per_chip", "mfu")


@cache
def cases() -> tuple:
    """One row of each published run that states its number format: row, run, parts over measured seconds, factors' names."""
    rows = [r for r in table("training_steps") if r["dtype"] and r["quantity"] in ORDER]
    best = {r["run"]: r for r in sorted(rows, key=lambda r: -ORDER.index(r["quantity"]))}  # the last one stays
    found = []
    for row in sorted(best.values(), key=lambda r: r["id"]):
        run = step_of(row)
        time = quantity(row, run, row["value"])
        parts = {kind: part / time for kind, part in step_parts(*run, row["network"]).items()}
        found.append((row, run, parts, *keys(run[0], run[1], row["software"] or row["source"][0])))
    return tuple(found)


def _system(among) -> tuple:
    """Arrays of the fit: parts, product rates, error of each row, names of constants, and which row has which factor."""
    parts = {kind: np.array([case[2][kind] for case in among]) for kind in among[0][2]}
    rates = np.array([product_share(case[1][1].name) for case in among])
    error = np.array([MIXED if case[1][0].moe_layers else EXACT if None not in [case[0][f] for f in STATED] else LOOSE for case in among])
    names = [*SHARES, *sorted({key for case in among for key in case[3] + case[4]})]
    has = [np.array([[name in case[side] for name in names] for case in among], float) for side in (3, 4)]
    return parts, rates, error, names, has


def fit(among=None) -> dict:
    """Constants of the model from runs (all of `cases()` if None): {name: (value, spread of its logarithm)}.

    Robust least squares of the logarithms; a factor that few runs speak for stays near 1.
    """
    from scipy.optimize import least_squares

    parts, rates, error, names, (quick, whole) = _system(list(among or cases()))
    start = np.array([math.log(SHARES[n][0]) if n in SHARES else 0.0 for n in names])
    spread = np.array([SHARES[n][1] if n in SHARES else SPREAD[n.split(":")[0]] for n in names])

    def residuals(c):
        share = dict(zip(SHARES, np.exp(c)))
        off = np.log(seconds(parts, share, rates * np.exp(quick @ c), np.exp(whole @ c))) / error
        return np.concatenate([3 * np.arctan(off / 3), (c - start) / spread])

    best = least_squares(residuals, start)
    loose = np.sqrt(np.diag(np.linalg.inv(best.jac.T @ best.jac)))
    return {name: (math.exp(c), s) for name, c, s in zip(names, best.x, loose)}


def residual(case, value: dict) -> float:
    """Logarithm of predicted over measured seconds of one case under constants {name: value}."""
    rate = product_share(case[1][1].name) * factors(case[3], value)
    return math.log(seconds(case[2], value, rate, factors(case[4], value)))


@cache
def left_out(group, of: str = "") -> list[tuple]:
    """(case, logarithm of predicted over measured) with every group of runs predicted by a fit without it.

    Parameters
    ----------
    group : callable
        Case -> the group it belongs to: `by_source`, `by_chip`, `by_model`, or any other.
    of : str
        Only groups whose name starts so.
    """
    found = []
    for name in sorted({group(case) for case in cases() if str(group(case)).startswith(of)}):
        value = {key: v for key, (v, _) in fit([case for case in cases() if group(case) != name]).items()}
        found += [(case, residual(case, value)) for case in cases() if group(case) == name]
    return found


def by_source(case) -> str:
    """The publication of a case."""
    return case[0]["source"][0]


def by_chip(case) -> str:
    """The chip of a case."""
    return case[1][1].name


def by_model(case) -> str:
    """Publication and model of a case."""
    return f"{case[0]['source'][0]} {case[0]['model']}"


def _intervals() -> dict:
    """Limits of left-out dense runs of software that is in the fit and that is not, and of runs with experts."""
    tenth, source = left_out(lambda case: int(case[0]["run"][1:]) % 10), left_out(by_source)
    split = {"known": (tenth, 0), "unseen": (source, 0), "experts": (source, 1)}
    kept = {name: [(case, e) for case, e in errors if bool(case[1][0].moe_layers) == mixed] for name, (errors, mixed) in split.items()}
    return {f"interval:{name}": limits([math.exp(-e) for _, e in some], [by_source(case) for case, _ in some]) for name, some in kept.items()}


def _entry(name: str, value: float, low: float, high: float, of: list) -> dict:
    kind, _, owner = name.partition(":")
    basis, constant = {"interval": (owner, "measured_over_predicted")}.get(kind, (kind, "factor") if ":" in name else ("all", name))
    return entry("training", basis, "" if kind == "interval" else owner, "all", constant, (value, low, high), len(of),
                 ";".join(sorted({row["source"][0] for row in of})), max(row["as_of"] for row in of))


def fit_rows() -> list[dict]:
    """Rows for data/efficiencies.csv: each constant with its 80 % limits, and the limits of measured over predicted."""
    every = [case[0] for case in cases()]
    rows = []
    for name, (value, spread) in fit().items():
        of = [case[0] for case in cases() if name in case[3] + case[4]] or every
        rows.append(_entry(name, value, value * math.exp(-NORMAL_80 * spread), value * math.exp(NORMAL_80 * spread), of))
    return rows + [_entry(name, 1.0, low, high, every) for name, (low, high) in _intervals().items()]
