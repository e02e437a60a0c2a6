"""What does an engine add to the kernels? Host time a step and a sequence.

Fitted to data/serving.csv: dense models give the host time of their engines, models of experts that of engines seen with
nothing else. `left_out` predicts whole models, chips, engines or sources without a row of theirs in the fit; their residuals
are the intervals of `serve`.
"""
from __future__ import annotations

from contextlib import contextmanager
from functools import cache

import numpy as np

from . import calibrate, fit_kernels
from .catalog import chip as find_chip, model as find_model
from .checks import BadValue
from .decode import decode
from .fit_kernels import limits
from .forward import Shard, forward_parts
from .predictions import normal, pass_seconds
from .refit import entry
from .serving import assumed_cache, host_of, steady
from .tables import table
from .transformer import Load

SETTING = ("model", "chip", "chips", "software", "weights", "pipeline", "attention_data")  # what a shard and its engine depend on
HOST = {"host_step": (6e-4, 1e-5, 1e-2), "host_sequence": (2e-5, 1e-7, 1e-3)}  # seconds: start, lowest, highest of the fit
OUTSIDE = ("JAX", "Google")  # runs on TPUs of 2022, whose torus and split of the caches this model does not know
GROUPS = ("model", "chip", "software", "source")  # left out by these; all rows of a run share their values, so no copy is on both sides
SITUATIONS = {"": "model", ", unknown software": "software", ", chip not measured": "chip"}  # of an interval -> what was left out


@cache
def served() -> tuple[dict, ...]:
    """Rows of serving.csv, with the cache format that the record leaves out."""
    return tuple({**row, "kv": row["kv"] or assumed_cache(row["weights"]), "source": row["source"][0],
                  "experts": find_model(row["model"]).experts > 0} for row in table("serving"))


def _by_setting(rows) -> list[tuple]:
    """(indices, model, chip, shard, weights, kv, software, users, prompt, output) of the rows that share a setting."""
    settings = {}
    for i, row in enumerate(rows):
        settings.setdefault(tuple(row[c] for c in SETTING) + (row["kv"],), []).append(i)
    out = []
    for (model, chip, chips, software, weights, pipeline, data, kv), index in settings.items():
        at = Shard(chips / (data * pipeline), data, pipeline)
        load = [np.array([rows[i][c] for i in index], dtype=float) for c in ("concurrency", "prompt", "output")]
        out.append((index, find_model(model), find_chip(chip), at, weights, kv, software, *load))
    return out


def predicted(rows) -> np.ndarray:
    """Seconds per output token of served rows; rows of one setting go together."""
    out = np.empty(len(rows))
    for index, model, chip, at, weights, kv, software, *load in _by_setting(rows):
        out[index] = steady(model, chip, at, *load, weights, kv, None, host_of(software))[0]
    return out


def built_up(rows) -> dict:
    """Predicted seconds of served rows, one term of the model added at a time: name of the term -> array.

    The first is the textbook's: everything overlaps at peak rates, the batch is the number of users, a cached value has 2 bytes.
    """
    terms = ("textbook roofline", "measured kernels", "operations between them", "all-reduce", "prompts of others", "host of the engine")
    out = {term: np.empty(len(rows)) for term in terms}
    for index, model, chip, at, weights, kv, software, users, prompt, output in _by_setting(rows):
        context = prompt + output / 2.0
        parts = forward_parts(model, chip, Load(users, context), at, weights, kv)
        kernels_alone = sum(parts[name] for name in ("products", "experts", "attention", "head"))
        between = kernels_alone + parts["elementwise"]
        alone = steady(model, chip, at, users, prompt, output, weights, kv)[0]
        served_by = steady(model, chip, at, users, prompt, output, weights, kv, None, host_of(software))[0]
        bound = decode(model, chip, at.ranks * at.pipeline, users, context, weights, "bf16", stack="overlap").seconds
        for term, seconds in zip(terms, (bound, kernels_alone, between, between + parts["communication"], alone, served_by)):
            out[term][index] = seconds
    return out


@contextmanager
def on_trial(constants: dict):
    """Use these constants instead of the stored ones."""
    before = dict(calibrate.trial)
    calibrate.trial.update(constants)
    try:
        yield
    finally:
        calibrate.trial.clear()
        calibrate.trial.update(before)


def fit(rows) -> dict:
    """(component, group, constant) -> value: the host of each engine from its dense models, or from those of experts if it has no other.

    An engine not seen has the mean of those seen with dense models: the host of others takes up what the experts' model lacks.
    """
    found, ids = {}, lambda some: tuple(row["id"] for row in some)
    engines = {row["software"]: [r for r in rows if r["software"] == row["software"]] for row in rows}
    dense = {engine: [row for row in own if not row["experts"]] for engine, own in engines.items()}
    for engine, own in engines.items():
        found |= _host(engine, ids(dense[engine] or own))
    clean = [engine for engine in engines if dense[engine]] or list(engines)
    return found | {("serving", "mean", c): float(np.mean([found["serving", engine, c] for engine in clean])) for c in HOST}


@cache
def _host(engine: str, ids: tuple) -> dict:
    """The constants of `HOST` that fit an engine's rows best; each model on a chip weighs the same."""
    from scipy.optimize import least_squares

    rows = [row for row in served() if row["id"] in set(ids)]
    start, low, high = np.log(np.array(list(HOST.values())).T)
    kinds = [(row["model"], row["chip"]) for row in rows]
    weight = np.array([kinds.count(kind) ** -0.5 for kind in kinds])
    measured, names = np.log([row["tpot_seconds"] for row in rows]), [("serving", engine, c) for c in HOST]

    def residuals(x):
        with on_trial(dict(zip(names, np.exp(x)))):
            return weight * (np.log(predicted(rows)) - measured)

    found = least_squares(residuals, start, bounds=(low, high), loss="soft_l1", f_scale=0.02, diff_step=0.01)
    return dict(zip(names, map(float, np.exp(found.x))))


def left_out(column: str) -> list[dict]:
    """Every served row with `predicted` from a fit that saw no row of its group, and no kernel of its chip if chips are left out."""
    rows, done = served(), []
    for group in dict.fromkeys(row[column] for row in rows):
        mine, others = [r for r in rows if r[column] == group], [r for r in rows if r[column] != group]
        fitted = fit(others)
        strangers = {r["software"] for r in mine} - {r["software"] for r in others}
        fitted |= {("serving", s, c): fitted["serving", "mean", c] for s in strangers for c in HOST}
        chip = group if column == "chip" else ""
        with on_trial(fit_kernels.shares(chip) | fitted), calibrate.without(chip):
            done += [{**row, "predicted": float(p)} for row, p in zip(mine, predicted(mine))]
    return done


@cache
def judged(phase: str) -> tuple[tuple[dict, ...], dict[str, str]]:
    """Published decode or prefill runs with `seconds` and `predicted` seconds, which rest on kernels alone; and why others are not
    among them, by id: unconfirmed, `OUTSIDE`, or on chips whose links are not known."""
    done, refused = [], {}
    for row in (*table("measurements"), *table("single_runs")):
        if row["phase"] != phase:
            continue
        if row["confidence"] == "unconfirmed":
            refused[row["id"]] = "unconfirmed"
        elif row["software"].startswith(OUTSIDE):
            refused[row["id"]] = "outside the model: TPUs of 2022"
        else:
            try:
                done.append({**row, "predicted": pass_seconds(normal(row)), "seconds": _seconds(row)})
            except BadValue as why:
                refused[row["id"]] = str(why)
    return tuple(done), refused


def passes(phase: str) -> tuple[dict, ...]:
    """The runs of `judged` that were predicted."""
    return judged(phase)[0]


def _seconds(row: dict) -> float:
    """Measured seconds of a pass from a time or a rate of tokens."""
    tokens = 1.0 if row["quantity"].endswith("per_user") else row["batch"] * (row["context"] if row["phase"] == "prefill" else 1.0)
    return row["value"] if row["unit"] == "s" else tokens / row["value"]


def fit_rows() -> list[dict]:
    """Rows of data/efficiencies.csv: the constants, their range over the fits that leave a model out, and the intervals."""
    rows = served()
    central, spread = fit(rows), [fit([r for r in rows if r["model"] != m]) for m in dict.fromkeys(r["model"] for r in rows)]
    out = []
    for (component, group, constant), value in central.items():
        values = [value, *(s[component, group, constant] for s in spread if (component, group, constant) in s)]
        out.append(_entry(component, group, constant, value, min(values), max(values), len(rows)))
    for situation, column in SITUATIONS.items():
        done = left_out(column)
        for experts, kind in ((False, "dense"), (True, "experts")):
            some = [r for r in done if r["experts"] == experts]
            ends = limits([r["tpot_seconds"] / r["predicted"] for r in some], map(setting, some))
            out.append(_entry("serving", kind + situation, "measured_over_predicted", 1.0, *ends, len(some)))
    return out


def pass_rows() -> list[dict]:
    """Intervals of decode and prefill passes. Their runs fit no constant, so nothing has to be left out."""
    return [_entry("pass", phase, "measured_over_predicted", 1.0, *limits([r["seconds"] / r["predicted"] for r in passes(phase)],
                   map(setting, passes(phase))), len(passes(phase)), "gptfast2023;lmdeploy2023") for phase in ("decode", "prefill")]


def setting(row: dict) -> str:
    """What rows share that err together: model, chip and engine."""
    return f"{row['model']}, {row['chip']}, {row['software']}"


def _entry(component, group, constant, value, low, high, rows, source="inferencex_2026;nvidia_aiconfigurator_2026", confidence="derived") -> dict:
    return entry(component, "all", group, "all", constant, (value, low, high), rows, source, "2026-11-26", confidence)
