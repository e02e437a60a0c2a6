"""FLOPs, bytes and dollars of AI silicon: a small roofline and decode-cost core with sourced data.

Everything is in SI units: bytes, FLOP, seconds, watts, dollars. Peaks are dense, bandwidths one direction.
"""
from __future__ import annotations

from importlib import import_module

from .catalog import Chip, chip, chip_facts, chips, model, models
from .checks import BadValue, MissingDtype, UnknownName
from .decode import Decode, Prefill, decode, max_batch, mbu, prefill, usd_per_mtok
from .measurements import measured, measured_mbu
from .roofline import attainable, critical_batch, memory_floor
from .training import Run, hfu, mfu, train_run
from .transformer import Transformer
from .units import DTYPE_BYTES, dtype_bytes, fmt

__version__ = "0.1.0"

LAZY = {  # imported on first use: they need pandas or altair, which the core does not
    "verdict": "claims", "Verdict": "claims", "claim_table": "claims", "check": "exercises", "tornado": "charts", "Table": "charts", "charts": None,
}


def __getattr__(name: str):
    if name not in LAZY:
        raise AttributeError(f"module 'siliconomics' has no attribute {name!r}")
    if LAZY[name] is None:
        return import_module(f".{name}", __name__)
    return getattr(import_module(f".{LAZY[name]}", __name__), name)


__all__ = [
    "Chip", "Transformer", "Decode", "Prefill", "Run", "Table", "Verdict", "BadValue", "MissingDtype", "UnknownName", "DTYPE_BYTES",
    "attainable", "charts", "check", "chip", "chip_facts", "chips", "claim_table", "critical_batch", "decode", "dtype_bytes", "fmt", "hfu",
    "max_batch", "mbu", "measured", "measured_mbu", "memory_floor", "mfu", "model", "models", "prefill", "tornado", "train_run", "usd_per_mtok", "verdict",
]
