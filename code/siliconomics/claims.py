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
from .chain import load_chain, min_cut
from .checks import BadValue, known
from .decode import decode, speculative
from .fab import die_cost, die_yield, dies_per_wafer
from .fleet import HOURS_PER_YEAR, JOULES_PER_KWH, break_even_utilisation, energy_cost, rent, site_energy
from .kernels import plain as formula
from .markets import lives, owned, shares
from .measurements import achieved, measured, measured_mbu
from .network import fibre_round_trip, local_sgd_overhead
from .roofline import critical_batch, memory_floor
from .scaling import growth_gap, growth_per_year, lifetime_flops, lifetime_optimal
from .tables import table
from .training import BYTES_A_PARAM, train_run
from .training import mfu as utilisation
from .units import dtype_bytes, fmt

SAME_UNIT = {"%": "1"}  # shown as a percentage, compared as a fraction
SHOWN_UNIT = {"1": "", "FLOP/byte": "FLOP/B", "token": "", "token/s": "tokens/s", "byte/s": "B/s", "byte": "B", "USD": "$", "chip": "chips",
              "d": "days", "day": "days", "year": "years", "country": "countries"}
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
        if self.unit == "FLOP" and self.computed >= 1e15:
            return f"{self.computed:.2e} FLOP".replace("e+", "e")
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


def _years_between(said: str, then: str) -> float:
    return (date.fromisoformat(then) - date.fromisoformat(said)).days / 365.25


def _shipped(chips: str, first: str, last: str) -> float:
    """Chips of the named kinds in the quarters that lie between two days, by Epoch's estimates."""
    return sum(row["units"] for row in table("shipments") if row["chip"] in chips.split("+") and first <= row["start"] and row["end"] <= last)


@claim("F11", "USD")
def raised_by_openai(date="2026-02-27"):
    return _event("raised", date)


@claim("F12", "year")
def years_until_new_terms(said="2023-11-17", changed="2025-10-28"):
    return _years_between(said, changed)


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


# --- chapter 04: compute of famous runs, and a model that will be served ----------------------------------------------

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


@claim("S08", "1")
@claim("S07", "1")
def meena_over_gpt2(model="Meena", other="GPT-2 1.5B", other_passes=None):
    return _training_flop(model) / _training_flop(other, other_passes)


@claim("S09", "1")
def gpt4_over_gpt3(model="GPT-4", other="GPT-3 175B"):
    return _training_flop(model) / _training_flop(other)


@claim("S10", "1")
def gemini_over_gpt4(model="Gemini 1.0 Ultra", other="GPT-4"):
    return _training_flop(model) / _training_flop(other)


@claim("S14", "1")
def falcon_over_gpt35(model="Falcon 180B", other="GPT-3.5"):
    return _training_flop(model) / _training_flop(other)


@claim("S16", "%")
def lifetime_cost_of_a_smaller_model(loss=1.947, inference_tokens=2e12, fit="sardana"):
    best, chinchilla = (lifetime_flops(*lifetime_optimal(loss, planned, fit), inference_tokens) for planned in (inference_tokens, 0))
    return best / chinchilla


# --- chapter 05: time and money of a run -----------------------------------------------------------------------------

@claim("S01", "USD")
def rent_of_the_gpt4_run(chips=20_000, days=91.25, usd_per_chip_hour=1.0):
    return rent(chips, days * 86400, usd_per_chip_hour)


@claim("S02", "USD")
def price_of_the_gpt4_servers(chips=20_000, chips_per_server=8, usd_per_server=250_000):
    return chips / chips_per_server * usd_per_server


@claim("S03", "FLOP")
def work_of_20000_a100s(chips=20_000, days=95, mfu=0.34, chip="A100 SXM 40GB", dtype="bf16"):
    return chips * days * 86400 * find_chip(chip).peak[dtype] * mfu


@claim("S04", "chip")
def h100s_for_gpt4(flop=2.15e25, chip="H100 SXM", days=90, mfu=0.40, dtype="bf16"):
    return formula(kernels.mfu)(1 / (days * 86400), flop, 1, find_chip(chip).peak[dtype]) / mfu


# --- chapter 06: one site and many ------------------------------------------------------------------------------------

YEAR = HOURS_PER_YEAR * 3600


def _years(before: str, after: str) -> float:
    released = {row["model"]: date.fromisoformat(row["release"]) for row in table("training_runs")}
    return (released[after] - released[before]).days / 365.25


@claim("S11", "1")
def later_growth_over_earlier(first="GPT-2 1.5B", between="GPT-4", last="GPT-4.5", flop_between=None):
    middle = flop_between or _training_flop(between)
    later = growth_per_year(middle, _training_flop(last), _years(between, last))
    return later / growth_per_year(_training_flop(first), middle, _years(first, between))


@claim("S21", "1")
def growth_of_capacity_in_half_a_year(year=2023):
    before, after = (sum(row["h100e"] for row in table("shipments") if row["end"] <= f"{end}-12-31") for end in (year - 1, year))
    return growth_per_year(before, after, years=2)  # of half a year each


@claim("M09", "1")
def households_that_train_gpt3(joules_per_token=2.46, tokens=300e9, kwh_per_household=10_791):
    return joules_per_token * tokens / JOULES_PER_KWH / kwh_per_household


@claim("M11", "FLOP/s")
def peak_of_the_cluster(chips=100_000, chip="H100 SXM", dtype="fp16"):
    return chips * find_chip(chip).peak["bf16" if dtype == "fp16" else dtype]


@claim("M12", "%")
def compute_lost_to_stragglers(mfu=0.40, mfu_with_stragglers=0.30):
    return 1 - mfu_with_stragglers / mfu


@claim("D01", "%")
def time_on_the_line_over_time_of_work(params=70e9, weights="bf16", bandwidth=12.5e9, chips=7000, batch_tokens=2e6, mfu=0.40, local_steps=500):
    step = train_run(params, "H100 SXM", chips, batch_tokens, mfu).seconds
    return local_sgd_overhead(params * dtype_bytes(weights), bandwidth, step, local_steps)


@claim("D02", "day")
def days_until_one_had_done_it(said="2023-11-17", published="2023-12-06"):
    return (date.fromisoformat(published) - date.fromisoformat(said)).days


@claim("D03", "s")
def round_trip_across_the_united_states(metres=4.5e6):
    return fibre_round_trip(metres)


@claim("D04", "1")
def gap_that_opens_between_memory_and_links(fast=1.6, slow=1.4, years=20):
    return growth_gap(fast, slow, years)


@claim("D05", "USD")
def power_bill_of_100000_h100(joules=1.59 * 1e9 * JOULES_PER_KWH, usd_per_kwh=0.078):
    return energy_cost(joules, usd_per_kwh)


@claim("D06", "USD")
def power_bill_of_20480_h100(chips=20_480, watts_per_chip=1389, load=0.8, pue=1.25, usd_per_kwh=0.083):
    return energy_cost(site_energy(chips, watts_per_chip, YEAR, load, pue), usd_per_kwh)


@claim("D07", "W")
def mean_draw_of_90_twh(terawatt_hours=90):
    return terawatt_hours * 1e9 * JOULES_PER_KWH / YEAR


@claim("D08", "byte")
def weights_and_optimizer_of_gpt4(params=1.8e12, bytes_per_param=BYTES_A_PARAM["weights"] + BYTES_A_PARAM["optimizer"]):
    return params * bytes_per_param


@claim("S12", "d")
def days_of_the_llama_2_run(params=70e9, tokens=2e12, chips=1000, chip="A100 SXM 80GB", mfu=0.4347):
    return train_run(params, chip, chips, tokens, mfu).seconds / 86400


@claim("S13", "token")
def batch_of_the_llama_2_run(run="Llama 2 70B"):
    return next(row["batch_tokens"] for row in table("reported_runs") if row["run"] == run)


def _rent_of_a_run(params, tokens_per_param, chip, mfu, usd_per_chip_hour):
    return train_run(params, chip, 1, params * tokens_per_param, mfu, usd_per_chip_hour).usd


@claim("S17", "USD")
def rent_of_a_dense_trillion(params=1e12, tokens_per_param=20, chip="A100 SXM 80GB", mfu=0.511, usd_per_chip_hour=1.5):
    return _rent_of_a_run(params, tokens_per_param, chip, mfu, usd_per_chip_hour)


@claim("S18", "USD")
def rent_of_ten_dense_trillions(params=1e13, tokens_per_param=20, chip="A100 SXM 80GB", mfu=0.511, usd_per_chip_hour=1.5):
    return _rent_of_a_run(params, tokens_per_param, chip, mfu, usd_per_chip_hour)


@claim("S19", "USD")
def rent_of_an_optimal_70b(params=70e9, tokens_per_param=20, chip="A100 SXM 80GB", mfu=0.4347, usd_per_chip_hour=1.5):
    return _rent_of_a_run(params, tokens_per_param, chip, mfu, usd_per_chip_hour)


@claim("M03", "%")
def share_of_the_a100_peak(flops_per_second=200e12, chip="A100 SXM 80GB", dtype="bf16"):
    return flops_per_second / find_chip(chip).peak[dtype]


@claim("M04", "%")
def mfu_of_mpt_70b(tokens_per_second_per_chip=1007, model="MPT-70B", chip="H100 SXM", context=2048):
    return utilisation(tokens_per_second_per_chip, model, chip, 1, context)


def _mfu_from_the_price(usd_per_mtok, usd_per_chip_hour, model, chip, context, causal):
    return utilisation(usd_per_chip_hour / 3600 / usd_per_mtok * 1e6, model, chip, 1, context, causal=causal)


@claim("M05", "%")
def mfu_on_h100_with_half_of_the_scores(usd_per_mtok=1.95, usd_per_chip_hour=1.42, model="Llama 3.1 405B", chip="H100 SXM", context=8192, causal=True):
    return _mfu_from_the_price(usd_per_mtok, usd_per_chip_hour, model, chip, context, causal)


@claim("M07", "%")
def gain_by_software(before=0.34, after=0.54):
    return after / before - 1


@claim("M08", "USD")
def rent_of_gpt3_in_fp8(tokens=300e9, model="GPT-3 175B", context=2048, chip="H100 SXM", dtype="fp8", mfu=0.395, usd_per_chip_hour=1.42):
    return rent(1, tokens / (mfu / utilisation(1, model, chip, 1, context, dtype)), usd_per_chip_hour)


@claim("M10", "%")
def mfu_behind_the_price_of_a_token(usd_per_mtok=1.95, usd_per_chip_hour=1.42, model="Llama 3.1 405B", chip="H100 SXM", context=8192, causal=False):
    return _mfu_from_the_price(usd_per_mtok, usd_per_chip_hour, model, chip, context, causal)


@claim("M15", "%")
def mfu_of_palm(tokens_per_second=238_300, model="PaLM 540B", chip="TPU v4", chips=6144, context=2048):
    return utilisation(tokens_per_second, model, chip, chips, context)


@claim("B23", "1")
def how_much_slower_the_rest_runs(flop_share=0.998, time_share=0.61):
    return flop_share / time_share / ((1 - flop_share) / (1 - time_share))


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


# --- chapter 08: serving --------------------------------------------------------------------------------------------

CHATGPT_DAY = 694_444.0  # dollars, see F02
SEARCHES = 320_000  # a second: the essay's own estimate


@claim("S20", "1")
def week_of_serving_over_training(usd_per_day=CHATGPT_DAY, model="GPT-3 175B", basis="rent"):
    costs = {(row["model"], row["basis"]): row["usd"] for row in table("training_costs")}
    return 7 * usd_per_day / costs[model, basis]


@claim("B11", "%")
def mbu_at_a_large_batch(model="Llama 2 70B", chip="H100 SXM", chips=8, batch=512, context=2048):
    return decode(model, chip, chips, batch, context).mbu


@claim("B16", "1")
def speculation_at_the_critical_batch(acceptance=0.8, draft_tokens=4, draft_cost=0.1, chip="H100 SXM", batches=1.0):
    critical = critical_batch(chip)
    return speculative(acceptance, draft_tokens, draft_cost, batches * critical, critical)[1]


@claim("B17", "1")
def speculation_for_one_user(acceptance=0.8, draft_tokens=5, draft_cost=0.05):
    return speculative(acceptance, draft_tokens, draft_cost)[1]


def _per_search(usd_per_year, searches_per_second):
    return usd_per_year / (searches_per_second * YEAR)


@claim("F01", "%")
def query_over_revenue_of_a_search(usd_per_day=CHATGPT_DAY, users=13e6, answers=15, revenue=162.45e9, searches_per_second=SEARCHES):
    return usd_per_day / (users * answers) / _per_search(revenue, searches_per_second)


@claim("F02", "USD")
def day_of_chatgpt(servers=3617, chips_per_server=8, usd_per_chip_hour=1.0):
    return rent(servers * chips_per_server, 86400, usd_per_chip_hour)


@claim("F03", "USD")
def year_of_answers_to_every_search(usd_per_day=CHATGPT_DAY, users=13e6, answers=15, searches_per_second=SEARCHES):
    return usd_per_day / (users * answers) * searches_per_second * YEAR


@claim("F04", "USD")
def revenue_of_a_search(revenue=162.45e9, searches_per_second=SEARCHES):
    return _per_search(revenue, searches_per_second)


@claim("F16", "1")
def batch_that_pays_for_mixtral(usd_per_mtok=0.27, model="Mixtral 8x7B", chip="H100 SXM", chips=2, usd_per_chip_hour=2.0, context=2048, stack="roofline"):
    batches = np.arange(1, 1025)
    step = decode(model, chip, chips, batches, context, stack=stack, usd_per_chip_hour=usd_per_chip_hour)
    return batches[step.usd_per_mtok <= usd_per_mtok][0]


# --- chapter 10: TPUs ------------------------------------------------------------------------------------------------

@claim("M13", "%")
def best_matrix_product_over_peak(chip="H100 SXM", dtype="bf16"):
    best, = (row["value"] for row in table("device_peaks") if (row["quantity"], row["chip"], row["dtype"]) == ("matmul_flops", chip, dtype))
    return best / find_chip(chip).peak[dtype]


@claim("M14", "%")
def break_even_mfu_of_tpu_v7(lower_cost=0.62, at_mfu=0.40, reference_mfu=0.30, chip="TPU v7", than="GB300", dtype="bf16"):
    peaks = find_chip(chip).peak[dtype] / find_chip(than).peak[dtype]
    dollars = (1 - lower_cost) * peaks * at_mfu / reference_mfu  # an hour of the one over an hour of the other
    return break_even_utilisation(reference_mfu, dollars, peaks)


@claim("B18", "%")
def mbu_of_palm_540b(params=540e9, weights="int8", seconds=0.029, chip="TPU v4", chips=64):
    return formula(kernels.mbu)(params * dtype_bytes(weights), seconds, chips, find_chip(chip).bandwidth)


@claim("T01", "chip")
def tpu_v5e_shipped(until="2024-03-31", chip="TPU v5e"):
    return _shipped(chip, "2022-01-01", until)


@claim("T02", "1")
def peak_of_v5e_over_v5p(chip="TPU v5e", than="TPU v5p", dtype="bf16"):
    return find_chip(chip).peak[dtype] / find_chip(than).peak[dtype]


@claim("T03", "1")
@claim("T04", "1")
def google_over_microsoft(date="2025-12-31", owner="Google", other="Microsoft"):
    held = owned(date)
    return held[known("owner", owner, held)] / held[known("other", other, held)]


@claim("T05", "FLOP/s")
def peak_of_v5e(chip="TPU v5e", dtype="bf16"):
    return find_chip(chip).peak[dtype]


@claim("T06", "s")
def llama_70b_on_v5e(model="Llama 2 70B", chip="TPU v5e", chips=8, batch=32, context=8192, weights="int8", kv="int8", compute="bf16"):
    return decode(model, chip, chips, batch, context, weights, kv, compute=compute).seconds


@claim("T07", "1")
def flops_per_dollar_of_v5e_over_h100(chip="TPU v5e", usd=1.20, than="H100 SXM", than_usd=10.80, dtype="bf16"):
    return find_chip(chip).peak[dtype] / usd / (find_chip(than).peak[dtype] / than_usd)


@claim("T08", "1")
def power_of_h100_over_v5p(chip="H100 SXM", than="TPU v5p"):
    return find_chip(chip).tdp_watts / find_chip(than).tdp_watts


@claim("T09", "year")
def years_until_a_second_designer_was_reported(said="2023-11-17", reported="2025-03-17"):
    return _years_between(said, reported)


@claim("T10", "1")
def tpu_v7_over_gb200(chip="TPU v7", than="GB200", dtype="bf16"):
    one, other = find_chip(chip), find_chip(than)
    return min(one.peak[dtype] / other.peak[dtype], one.bandwidth / other.bandwidth)


@claim("T12", "chip")
def chips_of_a_pod(chip="TPU v5p"):
    axes, = (row["axes"] for row in table("tpus") if row["chip"] == chip)
    return np.prod([float(k) for k in axes.split("x")])


@claim("T13", "year")
def years_until_google_announced_pytorch_for_tpus(said="2023-11-17", announced="2026-04-07"):
    return _years_between(said, announced)


# --- chapter 11: challengers ------------------------------------------------------------------------------------------

@claim("B19", "chip")
def chips_of_the_groq_fleet(racks=8, servers=9, chips=8):
    return racks * servers * chips


@claim("B20", "token/s")
def mixtral_for_one_user(chip="A100 SXM 80GB", chips=8, weights="bf16"):
    return next(1 / row["seconds"] for row in measured(software="gpt-fast", model="Mixtral 8x7B", chip=chip, chips=chips, weights=weights))


@claim("C10", "1")
def cost_of_mi300x_over_h100(product="MI300X", than="H100 SXM", by="Silicon Analysts", part="total"):
    usd = {row["product"]: row["usd"] for row in table("bom") if (row["by"], row["part"]) == (by, part)}
    return usd[product] / usd[than]


@claim("C11", "USD")
def profit_on_a_dgx_h100(usd=270_000, other_parts=32_010, chips=8, usd_to_make=3_320):
    return usd - other_parts - chips * usd_to_make


@claim("C21", "param")
def model_that_fits_on_one_wafer(sram_bytes=40e9, weights="fp16"):
    return sram_bytes / dtype_bytes(weights)


@claim("F05", "1")
def b200_over_h100(chip="B200 SXM", than="H100 SXM", work="Llama 2 70B offline", date="2025-09"):
    return achieved(chip, work, date) / achieved(than, work, date)


@claim("F06", "chip")
def b200_shipped_in_the_second_and_third_quarter(chips="B200", first="2024-04-01", last="2024-09-30"):
    return _shipped(chips, first, last)


@claim("F07", "USD")
def amd_sales_of_2024(date="2025-02-04"):
    return _event("data-centre GPU revenue of 2024", date)


@claim("F08", "1")
def mi300x_over_h100_on_paper(chip="MI300X", than="H100 SXM", dtype="bf16"):
    return find_chip(chip).peak[dtype] / find_chip(than).peak[dtype]


@claim("F09", "1")
def new_top_chips_a_year(first="H100 SXM", last="B300 SXM", steps=3):
    (year, month), (later, month_later) = (map(int, find_chip(name).launch.split("-")) for name in (first, last))
    return steps / (later - year + (month_later - month) / 12)


@claim("F13", "%")
def discount_that_pays_for_rivals(usd_a_year=500e6, chips_a_year=740_000, usd_per_chip=30_000):
    return usd_a_year / (chips_a_year * usd_per_chip)


# --- chapter 12: who has the compute ----------------------------------------------------------------------------------

@claim("C01", "chip")
def h100_of_a_quarter(chips="H100+H800", first="2023-07-01", last="2023-09-30"):
    return _shipped(chips, first, last)


@claim("C02", "chip")
def h100_of_a_year(chips="H100+H800", first="2023-01-01", last="2023-12-31"):
    return _shipped(chips, first, last)


@claim("C03", "chip")
def gpus_of_a_year(chips="H100+H20+B200", first="2024-01-01", last="2024-12-31"):
    return _shipped(chips, first, last)


@claim("C04", "chip")
def h100_in_the_world(chips="H100+H800", first="2022-01-01", last="2024-12-31"):
    return _shipped(chips, first, last)


@claim("C05", "chip")
def high_end_gpus(chips="A100+A800+H100+H800+H20", first="2022-01-01", last="2024-09-30"):
    return _shipped(chips, first, last)


@claim("T11", "USD")
def rent_of_600000_tpus(chips=600_000, years=5, usd_per_chip_hour=1.60):
    return rent(chips, years * YEAR, usd_per_chip_hour)


@claim("F10", "%")
def revenue_for_inference(company="NVIDIA", quantity="share of data-centre revenue for inference"):
    row, = (row for row in table("company_events") if (row["company"], row["quantity"]) == (company, quantity))
    return row["value"]


@claim("F14", "%")
def together_over_meta(chips=4_424, other=100_000):
    return chips / other


# --- chapter 13: what limits supply ----------------------------------------------------------------------------------

@claim("C06", "%")
def share_of_the_accelerators(maker="NVIDIA", quarters_of="2024", count="units"):
    shipped = [row for row in table("shipments") if row["start"].startswith(quarters_of)]
    weighed = [(row["maker"], row["units"] * find_chip(row["chip"]).memory_bytes if count == "memory" else row[count]) for row in shipped]
    totals = {name: sum(weight for maker, weight in weighed if maker == name) for name, _ in weighed}
    return shares(totals)[known("maker", maker, totals)]


@claim("C07", "chip")
def h100s_sold_in_a_quarter(chips="H100+H800", first="2023-10-01", last="2023-12-31"):
    return _shipped(chips, first, last)


@claim("C08", "USD")
def cost_of_a_good_die(area_mm2=814, wafer_usd=16_000, d0_per_cm2=0.1):
    return die_cost(wafer_usd, dies_per_wafer(area_mm2), die_yield(area_mm2, d0_per_cm2))


@claim("C09", "USD")
def hbm_of_an_h100(chip="H100 SXM", usd_per_gb=15):
    return find_chip(chip).memory_bytes / 1e9 * usd_per_gb


@claim("C20", "mm2")
def area_of_sram(gigabytes=1, mib_per_mm2=31.8):
    return gigabytes * 8e9 / (mib_per_mm2 * 2**20)


# --- chapter 14: which steps have no substitute -------------------------------------------------------------------------

def _held(node: str, country: str) -> float:
    return load_chain().held["country"][node][country]


@claim("C12", "%")
def austrian_share_of_multi_beam_mask_writers(node="mask_writer", country="AUT"):
    return _held(node, country)


@claim("C13", "%")
def austrian_share_of_wafer_bonders(node="wafer_bonder", country="AUT"):
    return _held(node, country)


@claim("C15", "country")
def countries_that_alone_stop_an_ai_server(target="ai_server", threshold=0.8):
    return len(min_cut(target, largest=1, threshold=threshold, variants="any"))


@claim("C16", "year")
def years_until_arizona_packages(said="2023-11-17", opens="2028-01-01"):
    return _years_between(said, opens)


@claim("C17", "%")
def japanese_share_of_photoresist(node="photoresist", country="JPN"):
    return _held(node, country)


# --- chapter 15: consequences -------------------------------------------------------------------------------------------

def _client(device: str) -> dict:
    rows = {row["device"]: row for row in table("devices")}
    return rows[known("device", device, rows)]


@claim("F15", "d")
def half_life_of_small_open_models(room=1.2, until="2023-11-17"):
    days = sorted(days or np.inf for days in lives(room, until).values())
    return float(days[(len(days) - 1) // 2])


@claim("O01", "token/s")
def ceiling_of_a_phone(params=70e9, weights="int8", bandwidth=50e9):
    return 1 / formula(kernels.memory_floor)(params * dtype_bytes(weights), 1, bandwidth)


@claim("O02", "byte/s")
def bandwidth_of_an_m1_ultra(device="Mac Studio 2022"):
    return _client(device)["bandwidth"]


@claim("O03", "param")
def parameters_of_a_phone(device="iPhone 14", weights="fp16", tokens_per_second=8.33, mbu=0.5):
    return mbu * _client(device)["bandwidth"] / tokens_per_second / dtype_bytes(weights)


@claim("O04", "byte/s")
def bandwidth_for_a_token_a_second(params=7e9, weights="fp16", tokens_per_second=1):
    return params * dtype_bytes(weights) * tokens_per_second


@claim("O05", "%")
def memory_in_the_bill_of_materials(product="H100 SXM", by="Silicon Analysts"):
    bill = {row["part"]: row["usd"] for row in table("bom") if (row["product"], row["by"]) == (product, by)}
    return bill["memory"] / bill["total"]


@claim("O06", "year")
def years_without_the_siri_of_gemini(said="2023-12-05", not_yet="2026-03-19"):
    return _years_between(said, not_yet)


@claim("O07", "USD")
def floor_of_a_million_tokens(model="Llama 2 70B", chip="H100 SXM", chips=8, batch=256, context=2048, usd_per_chip_hour=2.0):
    return decode(model, chip, chips, batch=batch, context=context, usd_per_chip_hour=usd_per_chip_hour).usd_per_mtok


@claim("O08", "year")
def years_until_an_open_model_had_as_much_compute(closed="GPT-4", open="Llama 3.1 405B"):
    return _years(closed, open)
