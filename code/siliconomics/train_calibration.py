"""How long does a training step take on real software? A few shares of the peaks, fitted to published runs.

``python -m siliconomics.calibrate`` refits them from data/training_steps.csv and rewrites their rows of
data/efficiencies.csv. A step is arithmetic, memory traffic, exposed and hidden communication (`train_parts`) over fitted shares,
times a factor for the software: its own, else that of its kind, else 1 with a wider interval.
"""
from __future__ import annotations

import math
from functools import cache

import numpy as np

from .catalog import Chip
from .catalog import chip as find_chip
from .tables import table
from .train_parts import named, step_parts
from .train_runs import quantity, step_of
from .training import Layout
from .transformer import Transformer

SHARES = {  # constant: (expected value, spread of its logarithm); expected from single kernels and collectives, not from training
    "gemm": (1.0, 0.15),  # of the chip's measured product rate: what large 16-bit matrix products keep of it in training
    "narrow": (0.86, 0.20),  # the same for 8- and 4-bit products, of the same share of their own peak
    "attention": (0.57, 0.30),  # the same for fused attention; the masked half is not counted
    "memory": (0.75, 0.10),  # of the memory bandwidth: operands of products, element-wise work, optimizer
    "tensor": (0.75, 0.10),  # of the link: collectives of tensor parallelism, exposed
    "network": (0.70, 0.30),  # of link or network: gradients and gathered weights (hidden if they can be), hand-overs (exposed)
    "launch": (2e-5, 0.5),  # seconds of a layer's pass that are no work
}
SPREAD = {"family": 0.08, "chip": 0.04, "lineage": 0.15, "software": 0.15, "experts": 0.7}  # of the factors, in logarithm
FAMILY = {"A100": "Ampere", "H100": "Hopper", "H200": "Hopper", "B200": "Blackwell", "GB200": "Blackwell"}
LINEAGE = {  # kinds of software by the first of these that its name holds; an unseen one has the mean of its kind
    "no comm overlap": "unhidden", "ZeRO-3": "ZeRO-3 2021", "NeMo": "3D", "Megatron-Core": "3D", "Meta": "3D", "Megatron": "3D before 2023",
    "MaxText": "XLA", "FSDP": "FSDP", "torchtitan": "FSDP", "Composer": "FSDP"}
EXACT, LOOSE, MIXED = 0.06, 0.12, 0.4  # error of a step with all of its layout stated, with some of it derived, and with experts


@cache
def product_share(chip: str) -> float:
    """Measured share of the 16-bit peak that large matrix products reach: the chip's, else its namesakes', else all chips' mean."""
    known = {r["chip"]: r["value"] / find_chip(r["chip"]).peak["bf16"] for r in table("device_peaks")
             if (r["quantity"], r["dtype"]) == ("matmul_flops", "bf16")}
    kin = [share for name, share in known.items() if name.split()[0] == chip.split()[0]]
    return known.get(chip) or float(np.mean(kin or list(known.values())))


def seconds(parts: dict, share: dict, rate=1.0, software=1.0):
    """Seconds of a step from its parts at full rates, never below arithmetic at peak; works on arrays of steps as well."""
    arithmetic = parts["gemm"] / share["gemm"] + parts["narrow"] / share["narrow"] + parts["attention"] / share["attention"]
    busy = (arithmetic / rate + parts["memory"] / share["memory"] + parts["tensor"] / share["tensor"]
            + parts["launch"] * share["launch"])
    time = np.maximum(busy, parts["hidden"] / share["network"]) + parts["exposed"] / share["network"]
    return np.maximum(time * software, parts["gemm"] + parts["narrow"] + parts["attention"])


def _keys(model: Transformer, chip: Chip, software: str | None) -> tuple[list, list]:
    """Names of the factors on the arithmetic's rate and on the whole time."""
    family = "TPU" if chip.vendor == "Google" else named(FAMILY, chip, chip.name)
    lineage = next((kind for part, kind in LINEAGE.items() if part in (software or "")), None)
    whole = [f"lineage:{lineage}"] * bool(lineage) + [f"software:{software}"] * bool(software)
    return [f"family:{family}", f"chip:{chip.name}"], whole + ["experts:"] * bool(model.moe_layers)


# --- fit ----------------------------------------------------------------------------------------------------------------

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
        parts = {kind: part / time for kind, part in step_parts(*run).items()}
        found.append((row, run, parts, *_keys(run[0], run[1], row["software"] or row["source"][0])))
    return tuple(found)


def _factors(keys: list, value: dict) -> float:
    return math.prod(value.get(key, 1.0) for key in keys)


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
    rate = product_share(case[1][1].name) * _factors(case[3], value)
    return math.log(seconds(case[2], value, rate, _factors(case[4], value)))


def left_out(group) -> list[tuple]:
    """(case, logarithm of predicted over measured) with every group of runs predicted by a fit without it.

    Parameters
    ----------
    group : callable
        Case -> the group it belongs to: `by_source`, `by_chip`, `by_model`, or any other.
    """
    found = []
    for name in sorted({group(case) for case in cases()}):
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


def limits(errors) -> tuple[float, float]:
    """80 % interval of measured over predicted, from logarithms of predicted over measured."""
    high, low = np.quantile(errors, [0.1, 0.9])
    return math.exp(-low), math.exp(-high)


# --- use ----------------------------------------------------------------------------------------------------------------

def _intervals() -> dict:
    """Limits of left-out dense runs of software that is in the fit and that is not, and of runs with experts."""
    tenth, source = left_out(lambda case: int(case[0]["run"][1:]) % 10), left_out(by_source)
    split = {"known": (tenth, 0), "unseen": (source, 0), "experts": (source, 1)}
    kept = {name: [e for case, e in errors if bool(case[1][0].moe_layers) == mixed] for name, (errors, mixed) in split.items()}
    return {f"interval:{name}": limits(errors) for name, errors in kept.items()}


def _entry(name: str, value: float, low: float, high: float, of: list) -> dict:
    kind, _, owner = name.partition(":")
    basis, constant = {"interval": (owner, "measured_over_predicted")}.get(kind, (kind, "factor") if ":" in name else ("all", name))
    return {"component": "training", "basis": basis, "group": "" if kind == "interval" else owner, "dtype": "all", "constant": constant,
            "value": f"{value:.4g}", "low": f"{low:.4g}", "high": f"{high:.4g}", "rows": len(of),
            "source": ";".join(sorted({row["source"][0] for row in of})), "as_of": max(row["as_of"] for row in of), "confidence": "derived"}


def fit_rows() -> list[dict]:
    """Rows for data/efficiencies.csv: each constant with its 80 % limits, and the limits of measured over predicted."""
    every = [case[0] for case in cases()]
    rows = []
    for name, (value, spread) in fit().items():
        of = [case[0] for case in cases() if name in case[3] + case[4]] or every
        rows.append(_entry(name, value, value * math.exp(-1.2816 * spread), value * math.exp(1.2816 * spread), of))
    return rows + [_entry(name, 1.0, low, high, every) for name, (low, high) in _intervals().items()]


def _name(row: dict) -> str:
    """The name that `_entry` took apart."""
    named = {"measured_over_predicted": f"interval:{row['basis']}", "factor": f"{row['basis']}:{row['group'] or ''}"}
    return named.get(row["constant"], row["constant"])


@cache
def constants() -> dict:
    """{name: (value, low, high)} as stored in efficiencies.csv, fitted afresh where nothing is stored."""
    try:
        rows = [row for row in table("efficiencies") if row["component"] == "training"]
    except (KeyError, FileNotFoundError):
        rows = []
    return {_name(row): tuple(float(row[c]) for c in ("value", "low", "high")) for row in rows or fit_rows()}


def calibrated_seconds(model: Transformer, chip: Chip, at: Layout, sequence: float, zero: int, recompute: str, dtype: str, flash: bool,
                       fabric: float | None = None, software: str | None = None) -> tuple[float, float, float]:
    """(seconds, low, high) of a step: the fitted model and its 80 % interval from runs that the fit had not seen."""
    value = {name: v for name, (v, _, _) in constants().items()}
    rates, whole = _keys(model, chip, software)
    parts = step_parts(model, chip, at, sequence, zero, recompute, dtype, flash, fabric)
    time = float(seconds(parts, value, product_share(chip.name) * _factors(rates, value), _factors(whole, value)))
    kind = "experts" if model.moe_layers else "known" if f"software:{software}" in value else "unseen"
    _, low, high = constants()[f"interval:{kind}"]
    return time, time * low, time * high


def predict_training(row: dict) -> tuple[float, float, float]:
    """(predicted, low, high) of the quantity that a row of training_steps.csv measured.

    Parameters
    ----------
    row : dict
        In the columns of the table; None is unknown and derived (see `train_runs.step_of`).

    Returns
    -------
    tuple of float
        Seconds, tokens/s or FLOP/s a chip, or a fraction of peak in the convention of the row.
    """
    run = step_of(row)
    time, low, high = calibrated_seconds(*run, software=row["software"])
    return quantity(row, run, time), *sorted((quantity(row, run, low), quantity(row, run, high)))
