"""How long does a training step take on real software? A few shares of the peaks, fitted to published runs.

``python -m siliconomics.refit`` refits them from data/training_steps.csv and rewrites their rows of
data/efficiencies.csv. A step is arithmetic, memory traffic, exposed and hidden communication (`train_parts`) over fitted shares,
times a factor for the software: its own, else that of its kind, else 1 with a wider interval.
"""
import math
from functools import cache

import numpy as np

from .calibrate import family
from .catalog import Chip, chip as find_chip
from .tables import table
from .train_parts import step_parts
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
LINEAGE = {  # kinds of software by the first of these that its name holds; an unseen one has the mean of its kind
    "no comm overlap": "unhidden", "ZeRO-3": "ZeRO-3 2021", "NeMo": "3D", "Megatron-Core": "3D", "Meta": "3D", "Megatron": "3D before 2023",
    "MaxText": "XLA", "FSDP": "FSDP", "torchtitan": "FSDP", "Composer": "FSDP"}


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


def keys(model: Transformer, chip: Chip, software: str | None) -> tuple[list, list]:
    """Names of the factors on the arithmetic's rate and on the whole time."""
    kin = "TPU" if chip.vendor == "Google" else family(chip) or chip.name
    lineage = next((kind for part, kind in LINEAGE.items() if part in (software or "")), None)
    whole = [f"lineage:{lineage}"] * bool(lineage) + [f"software:{software}"] * bool(software)
    return [f"family:{kin}", f"chip:{chip.name}"], whole + ["experts:"] * bool(model.moe_layers)


def factors(keys: list, value: dict) -> float:
    return math.prod(value.get(key, 1.0) for key in keys)


def name(row: dict) -> str:
    """The name that `_entry` took apart."""
    named = {"measured_over_predicted": f"interval:{row['basis']}", "factor": f"{row['basis']}:{row['group'] or ''}"}
    return named.get(row["constant"], row["constant"])


@cache
def constants() -> dict:
    """{name: (value, low, high)} as stored in efficiencies.csv."""
    return {name(row): tuple(row[c] for c in ("value", "low", "high")) for row in table("efficiencies") if row["component"] == "training"}


def calibrated_seconds(model: Transformer, chip: Chip, at: Layout, sequence: float, zero: int, recompute: str, dtype: str, flash: bool,
                       fabric: float | None = None, software: str | None = None) -> tuple[float, float, float]:
    """(seconds, low, high) of a step: the fitted model and its 80 % interval from runs that the fit had not seen."""
    value = {name: v for name, (v, _, _) in constants().items()}
    rates, whole = keys(model, chip, software)
    parts = step_parts(model, chip, at, sequence, zero, recompute, dtype, flash, fabric)
    time = float(seconds(parts, value, product_share(chip.name) * factors(rates, value), factors(whole, value)))
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
    time, low, high = calibrated_seconds(*run, row["network"], row["software"])
    return quantity(row, run, time), *sorted((quantity(row, run, low), quantity(row, run, high)))
