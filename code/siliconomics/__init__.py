"""FLOPs, bytes and dollars of AI silicon: a small roofline and decode-cost core with sourced data.

Everything is in SI units: bytes, FLOP, seconds, watts, dollars. Peaks are dense, bandwidths one direction.
"""
from importlib import import_module

from .catalog import Chip, chip, chip_facts, chips, model, models
from .chain import chokepoints, concentration, export_class, graph, joint_survival, load_chain, load_eto, min_cut, performance_density, remove, tpp
from .checks import BadValue, MissingDtype, UnknownName
from .decode import Decode, Prefill, Split, decode, disaggregate, max_batch, mbu, prefill, speculative, usd_per_mtok
from .fab import (Chiplet, PackageCost, bill_of_materials, chiplet_cost, defect_density, die_cost, die_yield, dies_per_wafer, harvested_yield,
                  package_needs, packages_per_wafer, supply, wafers_needed)
from .fleet import (break_even, break_even_utilisation, carbon, checkpoint_interval, depreciation, energy_cost, goodput, littles_law, mtbf,
                    npv, payback, price_to_match, queue_wait, rent, site_energy, site_power, system_mtbf, tco)
from .markets import gini, h100_equivalents, hhi, lives, lorenz, owned, shares, shipments
from .measurements import achieved, benchmarked, measured, measured_mbu, reported, timed
from .network import (all_gather_seconds, all_reduce_seconds, all_to_all_seconds, bus_bandwidth, fibre_round_trip,
                      hierarchical_all_reduce_seconds, local_sgd_overhead, torus_all_to_all_seconds, torus_bisection, torus_hops,
                      tree_crossover_bytes)
from .roofline import attainable, critical_batch, matmul_seconds, memory_floor
from .scaling import (Fit, doubling_time, fit_parametric, growth_fit, growth_gap, growth_per_year, kaplan_loss, kaplan_optimal, lifetime_flops, lifetime_optimal, loss,
                      optimal, scaling_fit, tokens_for)
from .sweep import best, pareto, sweep
from .systolic import systolic_arrival, systolic_tiles, systolic_utilisation
from .tables import Source, source, table
from .training import Run, Step, bubble_fraction, hfu, mfu, train_run, train_step
from .transformer import Load, Transformer
from .units import DTYPE_BYTES, dtype_bytes, fmt

__version__ = "0.1.0"

LAZY = {  # imported on first use: they need pandas, altair or the measured constants, which the core does not
    "verdict": "claims", "Verdict": "claims", "claim_table": "claims", "settled": "claims", "check": "exercises", "tornado": "charts", "Table": "charts", "charts": None,
    "serve": "serving", "Serving": "serving", "predict": "predictions", "validated": "predictions", "efficiency": "calibrate",
    "forward_parts": "forward", "Shard": "forward", "served": "fit_serving", "built_up": "fit_serving", "calibrate": None,
    "measure_machine": "measure", "measure_sweep": "machine_kernels", "Machine": "measure", "measure_decode": "measure", "MeasuredDecode": "measure", "seconds_of": "machine_kernels", "count_flops": "machine_kernels",
}


def __getattr__(name: str):
    if name not in LAZY:
        raise AttributeError(f"module 'siliconomics' has no attribute {name!r}")
    module = import_module(f".{LAZY[name] or name}", __name__)
    return getattr(module, name) if LAZY[name] else module


__all__ = sorted({"DTYPE_BYTES", *LAZY} | {
    name for name, thing in globals().items() if getattr(thing, "__module__", "").startswith("siliconomics.") and name[0] != "_"})
