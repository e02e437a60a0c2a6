"""One function for each claim that can be computed. Its default arguments are the claim's inputs.

Chapters and ledger call `verdict(id)`; nothing else computes a claim. A reader changes an input by keyword:
``si.verdict("B07", chip="H100 SXM")``.
"""
from __future__ import annotations

import inspect
from dataclasses import dataclass
from datetime import date

import numpy as np

from . import kernels
from .catalog import chip as find_chip
from .catalog import model as find_model
from .checks import BadValue, known
from .decode import decode
from .fleet import rent
from .kernels import plain as formula
from .markets import shares
from .measurements import measured, measured_mbu
from .roofline import critical_batch, memory_floor
from .tables import table
from .units import dtype_bytes, fmt

SAME_UNIT = {"%": "1"}  # shown as a percentage, compared as a fraction
SHOWN_UNIT = {"1": "", "FLOP/byte": "FLOP/B", "token": "", "token/s": "tokens/s", "byte/s": "B/s", "USD": "$", "chip": "chips", "year": "years"}
TOLERANCE = {"equal": 0.05, "about": 0.10}  # a figure said roughly may miss by more
PARTLY = 1.5
_registry = {}


def claim(id: str, unit: str):
    """Register the function that computes claim `id`; its result is in `unit`."""
    def register(function):
        _registry[id] = (function, unit)
        return function
    return register


@dataclass(frozen=True)
class Verdict:
    """What was claimed, what comes out, and what to make of it."""

    id: str
    claim: str
    claimed: str
    computed: float | None
    unit: str
    ratio: float | None
    verdict: str
    reading: str
    inputs: dict
    source: tuple
    outcome: str

    @property
    def shown(self) -> str:
        """The computed value with its unit, as text."""
        if self.computed is None:
            return ""
        if self.unit == "param":
            return f"{fmt(self.computed / 1e9)} B params"
        if self.unit == "USD" and self.computed >= 1e6:
            return fmt(self.computed / 1e9, "$B") if self.computed >= 1e9 else fmt(self.computed / 1e6, "$M")
        return fmt(self.computed, SHOWN_UNIT.get(self.unit, self.unit))

    @property
    def given(self) -> str:
        """The inputs as text, those left open (None) apart."""
        values = {k: v for k, v in self.inputs.items() if v is not None}
        return ", ".join(f"{k.replace('_', ' ')} {v:,.6g}" if isinstance(v, (int, float)) else f"{k.replace('_', ' ')} {v}" for k, v in values.items())

    def __str__(self) -> str:
        ratio = "" if self.ratio is None else f", ratio {self.ratio:.3g}"
        return f"{self.id}: claimed {self.claimed or 'in words'}; computed {self.shown or 'nothing'}{ratio}: {self.verdict}"


def _row(id: str) -> dict:
    rows = {row["id"]: row for row in table("claims")}
    return rows[known("claim", id, rows)]


def _nearest_bound(computed: float, claimed: tuple[float, ...]) -> float:
    """The figure to compare with: the value itself inside a claimed range, else its nearer end."""
    return min(max(computed, min(claimed)), max(claimed))


def _ruling(row: dict, computed: float | None, ratio: float | None) -> str:
    if row["ruling"]:
        return row["ruling"]
    if ratio is None:
        return "computed" if computed is not None else "not yet computed"
    if row["relation"] in ("at_least", "at_most"):
        holds = ratio >= 1 if row["relation"] == "at_least" else ratio <= 1
        return "reproduced" if holds else "refuted"
    off = max(ratio, 1 / ratio)
    if abs(ratio - 1) <= TOLERANCE[row["relation"]]:
        return "reproduced"
    return "partly" if off <= PARTLY else "refuted"


def _compute(function, inputs: dict) -> float:
    try:
        return float(function(**inputs))
    except (ZeroDivisionError, TypeError) as error:
        raise BadValue(f"inputs {inputs} of {function.__name__}: {error}") from None


def verdict(id: str, **inputs) -> Verdict:
    """Compute a claim and judge it.

    Parameters
    ----------
    id : str
        The claim's id in the ledger, for example "B07".
    **inputs
        Other values for the claim's inputs.

    Returns
    -------
    Verdict
        `ratio` is computed over claimed, None where the claim has no number in the unit computed. `verdict` is
        reproduced within 5 % (10 % if said "about", or if the inequality holds), partly within 1.5x or under one
        stated reading, refuted beyond; or computed, dated, open, summary-error as the ledger rules.

    Raises
    ------
    UnknownName
        If the ledger has no such claim.

    Examples
    --------
    >>> found = verdict("B08")
    >>> found.verdict, found.shown
    ('refuted', '47.9 tokens/s')
    """
    row = _row(id)
    function, unit = _registry.get(id, (None, ""))
    defaults = {} if function is None else {k: p.default for k, p in inspect.signature(function).parameters.items()}
    if unknown := set(inputs) - set(defaults):
        raise BadValue(f"claim {id} has no input {sorted(unknown)}; it has {list(defaults)}")
    used = defaults | inputs
    computed = None if function is None else _compute(function, used)
    comparable = computed is not None and row["claimed_value"] and row["claimed_unit"] == SAME_UNIT.get(unit, unit)
    ratio = computed / _nearest_bound(computed, row["claimed_value"]) if comparable else None
    return Verdict(id, row["claim"], row["claimed"] or "", computed, unit, ratio, _ruling(row, computed, ratio),
                   row["reading"] or "", used, row["source"], row["outcome"] or "")


def settled() -> tuple[str, ...]:
    """Ids of the claims that a function here computes, in the ledger's order."""
    return tuple(row["id"] for row in table("claims") if row["id"] in _registry)


def claim_table(chapter: str | None = None):
    """Claims with their verdicts, one row each, as text: what was claimed, what came out, from which inputs, and what became of it.

    Parameters
    ----------
    chapter : str, optional
        Two digits, for example "07"; None for all.

    Returns
    -------
    pandas.DataFrame
        Text, formatted for reading; `computed` is empty where nothing is computed yet.
    """
    import pandas as pd

    if chapter is not None:
        known("chapter", chapter, {row["chapter"] for row in table("claims")})
    ledger = [row for row in table("claims") if chapter in (None, row["chapter"])]
    rows = [verdict(row["id"]) for row in ledger]
    columns = {name: [row[name] for row in ledger] for name in ("chapter", "topic", "relation")} | {
        "claim": [v.claim for v in rows], "claimed": [v.claimed for v in rows], "computed": [v.shown for v in rows],
        "ratio": ["" if v.ratio is None else f"{v.ratio:.2f}" if v.ratio >= 0.01 else f"{v.ratio:.1g}" for v in rows],
        "verdict": [v.verdict for v in rows], "inputs": [v.given for v in rows], "reading": [v.reading for v in rows], "outcome": [v.outcome for v in rows],
    }
    return pd.DataFrame(columns, index=pd.Index([v.id for v in rows], name="id"))


# --- chapter 01: what the summary says, and what lay ahead -----------------------------------------------------------

def _event(quantity: str, date: str) -> float:
    return next(row["value"] for row in table("company_events") if (row["quantity"], row["date"]) == (quantity, date))


@claim("F11", "USD")
def raised_by_openai(date="2026-02-27"):
    return _event("raised", date)


@claim("F12", "year")
def years_until_new_terms(said="2023-11-17", changed="2025-10-28"):
    return (date.fromisoformat(changed) - date.fromisoformat(said)).days / 365.25


@claim("F18", "USD")
def rent_that_the_summary_calls_hundreds_of_millions(chips=20_000, days=91.25, usd_per_chip_hour=1.0):
    return rent(chips, days * 86400, usd_per_chip_hour)


# --- chapter 02: roofline --------------------------------------------------------------------------------------------

@claim("M06", "1")
def ridge_of_h100_over_a100(chip="H100 SXM", than="A100 SXM 80GB", dtype="bf16"):
    return find_chip(chip).ridge(dtype) / find_chip(than).ridge(dtype)


@claim("M16", "1")
def flops_growth_across_dtypes(chip="H100 SXM", than="A100 SXM 80GB", dtype="fp8", than_dtype="bf16"):
    return find_chip(chip).peak[dtype] / find_chip(than).peak[than_dtype]


@claim("B01", "FLOP/byte")
def ridge_of_h100(chip="H100 SXM", dtype="bf16"):
    return find_chip(chip).ridge(dtype)


@claim("B03", "1")
def ridge_of_b100_over_h100(chip="B100", than="H100 SXM", dtype="bf16"):
    return find_chip(chip).ridge(dtype) / find_chip(than).ridge(dtype)


# --- chapter 03: FLOPs and bytes of a token ---------------------------------------------------------------------------

@claim("M01", "FLOP")
def training_flops_per_parameter(model="Llama 2 70B", context=4096, causal=True):
    shape = find_model(model)
    return shape.flops_per_token(context, training=True, causal=causal) / shape.compute_params


@claim("M02", "FLOP")
def inference_flops_per_parameter_read(model="Llama 2 70B", batch=1, context=0):
    shape = find_model(model)
    return batch * shape.flops_per_token(context) / shape.weight_bytes_read(batch, 1.0)


# --- chapter 04: compute of famous runs ------------------------------------------------------------------------------

def _training_flop(model: str, passes: float | None = None) -> float:
    """FLOP as published or estimated; with `passes`, 6 N D of so many passes over the data set."""
    runs = {row["model"]: row for row in table("training_runs")}
    run = runs[known("model", model, runs)]
    if passes is None:
        return run["flop"]
    return formula(kernels.training_seconds)(run["params"], passes * run["dataset_tokens"], 1, 1.0, 1.0)  # seconds at one FLOP/s


@claim("S05", "1")
def gpt3_over_gpt2(model="GPT-3 175B", other="GPT-2 1.5B", other_passes=None):
    return _training_flop(model) / _training_flop(other, other_passes)


@claim("S06", "1")
def gpt3_over_meena(model="GPT-3 175B", other="Meena", other_passes=None):
    return _training_flop(model) / _training_flop(other, other_passes)


@claim("S07", "1")
def meena_over_gpt2(model="Meena", other="GPT-2 1.5B", other_passes=None):
    return _training_flop(model) / _training_flop(other, other_passes)


# --- chapter 05: time and money of a run -----------------------------------------------------------------------------

@claim("S01", "USD")
def rent_of_the_gpt4_run(chips=20_000, days=91.25, usd_per_chip_hour=1.0):
    return rent(chips, days * 86400, usd_per_chip_hour)


@claim("S02", "USD")
def price_of_the_gpt4_servers(chips=20_000, chips_per_server=8, usd_per_server=250_000):
    return chips / chips_per_server * usd_per_server


@claim("S04", "chip")
def h100s_for_gpt4(flop=2.15e25, chip="H100 SXM", days=90, mfu=0.40, dtype="bf16"):
    return formula(kernels.mfu)(1 / (days * 86400), flop, 1, find_chip(chip).peak[dtype]) / mfu


# --- chapter 07: bandwidth ------------------------------------------------------------------------------------------

@claim("S15", "s")
def token_time_of_a_50b_model(params=50e9, weights="fp16", chip="A100 SXM 80GB", chips=8, mbu=0.9):
    return memory_floor(params * dtype_bytes(weights), chip, chips) / mbu


@claim("B02", "token")
def batch_where_h100_turns_compute_bound(chip="H100 SXM", weights="bf16"):
    return critical_batch(chip, weights)


@claim("B04", "%")
def flops_used_at_batch_one(params=70e9, tokens_per_second=1 / 0.030, chip="H100 SXM", chips=2, dtype="bf16"):
    return formula(kernels.mfu)(tokens_per_second, 2 * params, chips, find_chip(chip).peak[dtype])


@claim("B05", "token/s")
def tokens_at_15_percent(params=70e9, weights="fp16", chip="A100 SXM 80GB", chips=8, mbu=0.15):
    return mbu / memory_floor(params * dtype_bytes(weights), chip, chips)


@claim("B06", "byte/s")
def bandwidth_for_30_ms(params=70e9, weights="int8", seconds=0.030):
    return params * dtype_bytes(weights) / seconds


@claim("B07", "token/s")
def ceiling_of_one_a100(params=70e9, weights="int8", chip="A100 SXM 80GB"):
    return 1 / memory_floor(params * dtype_bytes(weights), chip)


@claim("B08", "token/s")
def ceiling_of_one_h100(params=70e9, weights="int8", chip="H100 SXM"):
    return 1 / memory_floor(params * dtype_bytes(weights), chip)


@claim("B09", "%")
def mbu_of_two_h100_at_30_tokens(params=70e9, weights="int8", tokens_per_second=30, chip="H100 SXM", chips=2):
    return formula(kernels.mbu)(params * dtype_bytes(weights), 1 / tokens_per_second, chips, find_chip(chip).bandwidth)


@claim("B10", "%")
def median_measured_mbu(chips=1, weights=("bf16", "fp16")):
    return np.median([measured_mbu(row)[1] for row in measured(chips=chips, batch=1, weights=weights)])


@claim("B12", "token/s")
def reading_speed(words_per_minute=250, words_per_token=0.75):
    return words_per_minute / 60 / words_per_token


@claim("B13", "token/s")
def ceiling_of_a_dense_trillion(params=1e12, weights="fp16", chip="H100 SXM", chips=8):
    return 1 / memory_floor(params * dtype_bytes(weights), chip, chips)


@claim("B14", "param")
def largest_dense_model(seconds=1 / 33.33, weights="fp16", chip="H100 SXM", chips=8, mbu=1.0):
    return mbu * seconds * chips * find_chip(chip).bandwidth / dtype_bytes(weights)


@claim("B15", "1")
def cost_of_batch_one(model="Llama 2 70B", chip="H100 SXM", chips=8, context=2048, batch=256):
    step = decode(model, chip, chips, batch=[1, batch], context=context, usd_per_chip_hour=1)
    return step.usd_per_mtok[0] / step.usd_per_mtok[1]


@claim("B22", "%")
def databricks_example(params=7e9, weights="fp16", seconds=0.014, bandwidth=2e12):
    return formula(kernels.mbu)(params * dtype_bytes(weights), seconds, 1, bandwidth)


# --- chapter 13: what limits supply ----------------------------------------------------------------------------------

@claim("C06", "%")
def share_of_the_accelerators(maker="NVIDIA", quarters_of="2024", count="units"):
    shipped = [row for row in table("shipments") if row["start"].startswith(quarters_of)]
    weighed = [(row["maker"], row["units"] * find_chip(row["chip"]).memory_bytes if count == "memory" else row[count]) for row in shipped]
    totals = {name: sum(weight for maker, weight in weighed if maker == name) for name, _ in weighed}
    return shares(totals)[known("maker", maker, totals)]


# --- chapter 15: the edge ----------------------------------------------------------------------------------------------

@claim("O01", "token/s")
def ceiling_of_a_phone(params=70e9, weights="int8", bandwidth=50e9):
    return 1 / formula(kernels.memory_floor)(params * dtype_bytes(weights), 1, bandwidth)
