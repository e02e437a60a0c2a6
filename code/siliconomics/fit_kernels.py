"""Which constants do measured kernels give? Fits of matrix products, attention, all-reduces and small operations.

Read by `siliconomics.calibrate`, which predicts with them. Nothing here runs when a reader computes a time.
"""
from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from . import kernels
from .calibrate import BEYOND, STEPS, chain, elementwise_bytes, family, quantise_bytes
from .catalog import chip as find_chip, model as find_model
from .kernels import plain as formula
from .network import all_reduce_seconds as ring_seconds
from .refit import entry
from .tables import table
from .units import dtype_bytes

FOLDS = 5
ELEMENTWISE = {"input_norm": 1, "post_norm": 1, "rope": 1, "activation": 1, "residual_add": 2}  # operation -> times in a layer
WIDEST_GROUP = 32  # query heads on one key-value head; wider ones ran a slow fallback kernel


@dataclass(frozen=True)
class Form:
    """A kernel and its constants: name -> (start, lowest, highest) of the fit. Residuals above `scatter` count linearly."""

    kernel: object
    constants: dict
    scatter: float = 0.1  # what these simple forms miss anyway


FORMS = {
    "gemm": Form(kernels.gemm_seconds, {
        "launch": (4e-6, 5e-7, 5e-5), "bandwidth_share": (0.8, 0.3, 1.0), "compute_share": (0.7, 0.2, 1.0), "sharpness": (2.5, 1.0, 8.0),
        "depth": (8e-10, 1e-11, 5e-9)}, 0.02),
    "attention": Form(kernels.attention_decode_seconds, {
        "launch": (8e-6, 1e-6, 5e-5), "bandwidth_share": (0.9, 0.3, 1.0), "sharpness": (2.0, 1.0, 8.0), "block": (1e7, 1e5, 1e9),
        "block_grouped": (1e7, 1e5, 1e9), "join": (6e-6, 1e-7, 1e-4), "join_half": (300.0, 1.0, 1e5), "cache_share": (0.5, 0.02, 1.0)}),
    "all_reduce": Form(kernels.quicker_all_reduce, {
        "launch": (3e-6, 5e-7, 5e-5), "hop": (1e-7, 1e-9, 5e-6), "direct_share": (0.4, 0.05, 1.0), "setup": (2e-5, 1e-7, 2e-4),
        "ring_share": (0.7, 0.2, 1.1)}),  # above 1 where the switch adds: it halves what a ring moves
    "elementwise": Form(kernels.elementwise_seconds, {"launch": (1.5e-5, 1e-6, 1e-4), "bandwidth_share": (0.5, 0.1, 1.0)}),
}


@dataclass(frozen=True)
class Rows:
    """Measured rows of one component and dtype: arrays for the kernel's arguments, seconds, chip and fold of each."""

    arguments: tuple
    seconds: np.ndarray
    chip: np.ndarray
    fold: np.ndarray

    def where(self, keep) -> "Rows":
        return Rows(tuple(a[keep] for a in self.arguments), self.seconds[keep], self.chip[keep], self.fold[keep])

    def predicted(self, component: str, constants) -> np.ndarray:
        return formula(FORMS[component].kernel)(*self.arguments, *constants)


def _folds(*keys) -> np.ndarray:
    """The fold of each row: rows of the same key share one, whatever their other columns."""
    _, index = np.unique(np.stack(keys, axis=1), axis=0, return_inverse=True)
    return index.ravel() % FOLDS


def _columns(rows, *names) -> list[np.ndarray]:
    return [np.array([row[name] for row in rows]) for name in names]


def _of_chips(rows, field) -> np.ndarray:
    return np.array([field(find_chip(row["chip"])) for row in rows])


@cache
def _gemm_rows(dtype: str) -> Rows:
    rows = [r for r in table("gemm") if r["set"] == "aiconfigurator" and r["dtype"] == dtype]
    m, n, k, seconds, chip = _columns(rows, "m", "n", "k", "seconds", "chip")
    width, quantise = (np.full(len(rows), value) for value in (dtype_bytes(dtype), quantise_bytes(dtype)))
    hardware = (_of_chips(rows, lambda c: c.peak[dtype]), _of_chips(rows, lambda c: c.bandwidth))
    return Rows((m.astype(float), n.astype(float), k.astype(float), width, width, quantise, *hardware), seconds, chip, _folds(n, k))


@cache
def _attention_rows(dtype: str = "bf16") -> Rows:
    """The grouped rows of the A100 beat its memory up to 1.6 times unless keys and values share one buffer: half the bytes."""
    rows = [r for r in table("decode_attention") if r["heads"] <= WIDEST_GROUP * r["kv_heads"]]
    batch, context, heads, kv_heads, head_dim, seconds, chip = _columns(
        rows, "batch", "context", "heads", "kv_heads", "head_dim", "seconds", "chip")
    grouped = (heads > kv_heads).astype(float)
    shared = np.where((chip == "A100 SXM 80GB") & (grouped > 0), 0.5, 1.0)
    kv_bytes = shared * batch * context * kv_heads * 4.0 * head_dim
    hardware = [_of_chips(rows, field) for field in (lambda c: c.sram_bytes, lambda c: c.peak[dtype], lambda c: c.bandwidth)]
    return Rows((kv_bytes, 1.0 * batch * kv_heads, grouped, 1.0 * context, *hardware), seconds, chip, _folds(heads, kv_heads))


@cache
def _all_reduce_rows(dtype: str = "bf16") -> Rows:
    rows = [r for r in table("all_reduce") if r["set"] == "aiconfigurator"]
    size, n, seconds, chip = _columns(rows, "bytes", "chips", "seconds", "chip")
    link = _of_chips(rows, lambda c: c.link_bandwidth)
    return Rows(((n - 1.0) * size / link, ring_seconds(size, n, link), n - 1.0), seconds, chip, _folds(size))


@cache
def _elementwise_rows(dtype: str = "bf16") -> Rows:
    """Norms, rotary embedding, activation and two residual sums of one layer, summed over the operations as they were timed."""
    layers = {}
    for row in table("layer_ops"):
        if row["op"] in ELEMENTWISE:
            key = row["chip"], row["model"], row["tensor"], row["tokens"]
            layers[key] = layers.get(key, 0.0) + ELEMENTWISE[row["op"]] * row["seconds"]
    chips, models, tensor, tokens = map(np.array, zip(*layers))
    moved = np.array([elementwise_bytes(find_model(m), n, t) for m, n, t in zip(models.tolist(), tokens, tensor)])
    bandwidth = np.array([find_chip(c).bandwidth for c in chips.tolist()])
    return Rows((moved, bandwidth), np.array(list(layers.values())), chips, _folds(tensor, tokens))


MEASURED = {("gemm", "bf16"): _gemm_rows, ("gemm", "fp8"): _gemm_rows, ("attention", "bf16"): _attention_rows,
            ("all_reduce", "bf16"): _all_reduce_rows,
            ("elementwise", "bf16"): _elementwise_rows}


def fit(component: str, rows: Rows) -> tuple[float, ...]:
    """Constants of a form: least squares of the logarithms, large residuals counted linearly, at most about 2000 rows a chip.

    Each family weighs the same, whatever the number of its chips: two sisters are hardly two opinions.
    """
    from scipy.optimize import least_squares

    start, low, high = np.log(np.array(list(FORMS[component].constants.values())).T)
    stride = -(-len(rows.seconds) // (2000 * len(set(rows.chip))))
    thin = rows.where(np.arange(0, len(rows.seconds), stride + (stride > 1)))
    measured, families = np.log(thin.seconds), {name: family(find_chip(name)) for name in set(thin.chip.tolist())}
    weight = np.array([list(families.values()).count(families[name]) ** -0.5 for name in thin.chip.tolist()])
    found = least_squares(lambda x: weight * (np.log(thin.predicted(component, np.exp(x))) - measured), start, bounds=(low, high),
                          loss="soft_l1", f_scale=FORMS[component].scatter)
    return tuple(np.exp(found.x))


@cache
def _fitted(component: str, dtype: str, chips: frozenset, without_fold: int = -1) -> tuple[float, ...]:
    rows = MEASURED[component, dtype](dtype)
    return fit(component, rows.where(np.isin(rows.chip, list(chips)) & (rows.fold != without_fold)))


def _groups(component: str, dtype: str) -> dict:
    """(step, group) -> the measured chips in it, narrowest first."""
    chips = [find_chip(name) for name in dict.fromkeys(MEASURED[component, dtype](dtype).chip.tolist())]
    keys = dict.fromkeys(link for step in zip(*map(chain, chips)) for link in step)
    return {key: frozenset(c.name for c in chips if key in chain(c)) for key in keys}


def fitted_without(component: str, dtype: str, link: tuple, chip: str) -> dict:
    """Constants of a (step, group) without one of its chips; of all other chips where it was the only one."""
    groups = _groups(component, dtype)
    others = groups[link] - {chip} or groups["all", "all"] - {chip}
    return dict(zip(FORMS[component].constants, _fitted(component, dtype, frozenset(others))))


def leave_one_out(component: str, dtype: str = "bf16") -> list[dict]:
    """Held-out predictions by step: one entry per (step, chip) with its rows' measured and predicted seconds.

    "chip": one fold of shapes left out, the same shape never on both sides. "family": the chip left out, its sisters fitted.
    "vendor": the chip's whole family left out. "others": the chip left out, all other chips fitted.
    """
    rows, groups, held_out = MEASURED[component, dtype](dtype), _groups(component, dtype), []
    everyone = groups["all", "all"]
    for name in sorted(everyone):
        sisters = groups.get(("family", family(find_chip(name))), frozenset({name}))
        trained = {"family": sisters - {name}, "vendor": everyone - sisters, "others": everyone - {name}}
        mine = rows.where(rows.chip == name)
        by_fold = [mine.predicted(component, _fitted(component, dtype, frozenset({name}), f)) for f in range(FOLDS)]
        predicted = {"chip": np.choose(mine.fold, by_fold)}
        predicted |= {step: mine.predicted(component, _fitted(component, dtype, chips)) for step, chips in trained.items() if chips}
        held_out += [{"step": step, "chip": name, "rows": mine, "predicted": p} for step, p in predicted.items()]
    return held_out


def limits(ratios, units) -> tuple[float, float]:
    """80 % limits of measured over predicted for a unit (a chip, a setting, a source) that was not seen, from rows left out.

    As in split conformal prediction, the 80 % quantile of the distance between measured and predicted, of their logarithms,
    on either side: which side the next unit errs to is not known. Rows of a unit err together, so each unit counts once.
    """
    off, (_, unit, rows) = np.abs(np.log(ratios)), np.unique(list(units), return_inverse=True, return_counts=True)
    order = np.argsort(off, kind="stable")
    reached = np.cumsum(1.0 / rows[unit[order]]) / len(rows)
    farthest = off[order][np.searchsorted(reached, 0.8 - 1e-9)]
    return float(np.exp(-farthest)), float(np.exp(farthest))


def _intervals(component: str, dtype: str) -> dict:
    """step -> (low, high, rows): limits of the rows predicted from that step, never narrower than the step before."""
    held, limit, found = leave_one_out(component, dtype), (1.0, 1.0), {}
    for step in STEPS:
        ratios = {h["chip"]: h["rows"].seconds / h["predicted"] for h in held if h["step"] == step}
        tested = limits(np.concatenate(list(ratios.values())), np.repeat(list(ratios), list(map(len, ratios.values())))) if ratios else (
            limit[0]**BEYOND, limit[1]**BEYOND)
        limit = min(limit[0], tested[0]), max(limit[1], tested[1])
        found[step] = (*limit, sum(map(len, ratios.values())))
    return found


def _by_chip(without: str = "") -> dict:
    """(component, constant) -> chip -> its rows of kernel_shares.csv, engines and dtypes together."""
    found = {}
    for row in table("kernel_shares"):
        if row["chip"] != without:
            found.setdefault((row["component"], row["constant"]), {}).setdefault(row["chip"], []).append(row)
    return found


def _geometric(values) -> float:
    return float(np.exp(np.mean(np.log(values))))


def shares(without: str = "") -> dict:
    """(component, "all", constant) -> geometric mean over chips of what the engines reach there; a chip may be left out."""
    return {(component, "all", constant): _geometric([_geometric([row["value"] for row in rows]) for rows in chips.values()])
            for (component, constant), chips in _by_chip(without).items()}


def share_rows() -> list[dict]:
    """Rows of data/efficiencies.csv for prompt attention and experts: the mean, and the lowest and highest chip."""
    out, means = [], shares()
    for (component, constant), chips in _by_chip().items():
        own = [_geometric([row["value"] for row in rows]) for rows in chips.values()]
        ends, timed = (means[component, "all", constant], min(own), max(own)), sum(row["rows"] for rows in chips.values() for row in rows)
        out.append(_entry(component, "all", "all", "all", constant, *ends, timed))
    return out


def _spread(component: str, dtype: str, chips: frozenset):
    """Constants of each refit that leaves one chip, or of a single chip one fold, out."""
    if len(chips) > 1:
        return [_fitted(component, dtype, chips - {name}) for name in chips]
    return [_fitted(component, dtype, chips, fold) for fold in range(FOLDS)]


def refit() -> list[dict]:
    """All rows of data/efficiencies.csv, fitted anew."""
    out = []
    for component, dtype in MEASURED:
        rows = MEASURED[component, dtype](dtype)
        for (step, group), chips in _groups(component, dtype).items():
            values, spread = _fitted(component, dtype, chips), _spread(component, dtype, chips)
            n = np.isin(rows.chip, list(chips)).sum()
            for name, value, others in zip(FORMS[component].constants, values, zip(*spread)):
                out.append(_entry(component, step, group, dtype, name, value, min(value, *others), max(value, *others), n))
        for step, (low, high, n) in _intervals(component, dtype).items():
            out.append(_entry(component, step, "", dtype, "measured_over_predicted", 1.0, low, high, n))
    return out


def _entry(component, basis, group, dtype, constant, value, low, high, rows) -> dict:
    source = ("vidur2024", "2024-01-01") if component == "elementwise" else ("nvidia_aiconfigurator_2026", "2026-08-21")
    return entry(component, basis, group, dtype, constant, (value, low, high), int(rows), *source)
