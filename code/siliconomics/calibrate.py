"""What do real kernels reach? Times of matrix products, decode attention and all-reduces on constants fitted to measurements.

``python -m siliconomics.calibrate`` refits the constants from data/gemm.csv, decode_attention.csv and all_reduce.csv and
rewrites data/efficiencies.csv. A chip takes the constants of the first group on its chain that was measured: the chip itself,
its family, its vendor, its class of memory, all chips. Past its family, a chip whose best product or read is measured
(data/device_peaks.csv) takes those shares instead. The interval of a step is the 80 % range of measured over predicted on
held-out rows: shapes left out (chip), chips left out with a sister in the fit (family), whole families left out (vendor).
No chip of another vendor has kernel rows, so the steps beyond are a rule, not a measurement: each widens by `BEYOND`.
"""
from __future__ import annotations

import csv
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np

from . import kernels
from .catalog import Chip, _chip_rows
from .catalog import chip as find_chip
from .catalog import model as find_model
from .checks import BadValue, broadcast, flag, number, plain
from .kernels import plain as formula
from .network import all_reduce_seconds as ring_seconds
from .tables import DATA, schema, table
from .transformer import Transformer
from .units import DTYPE_BYTES, dtype_bytes

FAMILY = {"Ampere": ("A100", "A800"), "Hopper": ("H100", "H800", "H20", "GH200"), "Blackwell": ("B200", "GB200", "B300", "GB300")}
STEPS = ("chip", "family", "vendor", "memory", "all")
BEYOND = 1.5  # factor on the logarithm of the interval for each step that no held-out row can test
FOLDS = 5
ELEMENTWISE = {"input_norm": 1, "post_norm": 1, "rope": 1, "activation": 1, "residual_add": 2}  # operation -> times in a layer
WIDEST_GROUP = 32  # query heads on one key-value head; wider ones ran a slow fallback kernel


@dataclass(frozen=True)
class Form:
    """A kernel and its constants: name -> (start, lowest, highest) of the fit."""

    kernel: object
    constants: dict


FORMS = {
    "gemm": Form(kernels.gemm_seconds, {
        "launch": (4e-6, 5e-7, 5e-5), "bandwidth_share": (0.8, 0.3, 1.0), "compute_share": (0.7, 0.2, 1.0), "sharpness": (2.5, 1.0, 8.0),
        "depth": (8e-10, 1e-11, 5e-9)}),
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


def family(chip: Chip) -> str:
    """The data-centre GPU generation of a chip by its name; empty if it belongs to none that was measured."""
    return next((name for name, starts in FAMILY.items() if chip.name.startswith(starts)), "")


def _memory_class(chip: Chip) -> str:
    try:
        kind = _chip_rows(chip.name)["memory_type"]["value"]
    except (BadValue, KeyError, ValueError):  # not of the catalogue, or its memory is not recorded
        return ""
    return next((name for name in ("HBM", "GDDR", "LPDDR") if kind.startswith(name)), "")


@cache
def _chain(chip: Chip) -> tuple:
    """(step, group) from the narrowest to the widest."""
    return tuple(link for link in zip(STEPS, (chip.name, family(chip), chip.vendor, _memory_class(chip), "all")) if link[1])


def _folds(*keys) -> np.ndarray:
    """The fold of each row: rows of the same key share one, whatever their other columns."""
    _, index = np.unique(np.stack(keys, axis=1), axis=0, return_inverse=True)
    return index.ravel() % FOLDS


def _columns(rows, *names) -> list[np.ndarray]:
    return [np.array([row[name] for row in rows]) for name in names]


def _of_chips(rows, field) -> np.ndarray:
    return np.array([field(find_chip(row["chip"])) for row in rows])


def _quantise_bytes(dtype: str) -> float:
    """Bytes an activation moves on its way from 16 bits to `dtype`: read for the largest value, read again and written."""
    width = dtype_bytes(dtype)
    return 4.0 + width if width < 2 else 0.0


@cache
def _gemm_rows(dtype: str) -> Rows:
    rows = [r for r in table("gemm") if r["set"] == "aiconfigurator" and r["dtype"] == dtype]
    m, n, k, seconds, chip = _columns(rows, "m", "n", "k", "seconds", "chip")
    width, quantise = (np.full(len(rows), value) for value in (dtype_bytes(dtype), _quantise_bytes(dtype)))
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


def elementwise_bytes(model: Transformer, tokens, ranks):
    """Bytes that the operations of a layer between its products move on one of `ranks` chips: norms read and write a vector,
    sums read two and write one, the rotary embedding reads and writes queries and keys, a gated activation reads two and writes one."""
    hidden = np.where(model.moe_layers == model.layers, model.experts_active * model.expert_d_ff, model.d_ff)
    turned = 2 * (model.heads + model.kv_heads) * model.head_dim
    return 2.0 * tokens * (10 * model.d_model + (turned + (3 if model.gated else 2) * hidden) / ranks)


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
                          loss="soft_l1", f_scale=0.1)
    return tuple(np.exp(found.x))


@cache
def _fitted(component: str, dtype: str, chips: frozenset, without_fold: int = -1) -> tuple[float, ...]:
    rows = MEASURED[component, dtype](dtype)
    return fit(component, rows.where(np.isin(rows.chip, list(chips)) & (rows.fold != without_fold)))


def _groups(component: str, dtype: str) -> dict:
    """(step, group) -> the measured chips in it, narrowest first."""
    chips = [find_chip(name) for name in dict.fromkeys(MEASURED[component, dtype](dtype).chip.tolist())]
    keys = dict.fromkeys(link for step in zip(*map(_chain, chips)) for link in step)
    return {key: frozenset(c.name for c in chips if key in _chain(c)) for key in keys}


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


def _ends(ratios: dict, chips) -> np.ndarray:
    """80 % limits of the logarithm of measured over predicted, over the rows of `chips`."""
    return np.quantile(np.log(np.concatenate([ratios[name] for name in sorted(chips)])), (0.1, 0.9))


def _intervals(component: str, dtype: str) -> dict:
    """step -> (low, high, rows): 80 % limits of measured over predicted on held-out rows, never narrower than the step before.

    A step that only some chips can test (few have a sister) widens the limits of all by what it costs those.
    """
    ratios = {step: {} for step in STEPS}
    for held in leave_one_out(component, dtype):
        ratios.setdefault(held["step"], {})[held["chip"]] = held["rows"].seconds / held["predicted"]
    ends, limits = np.zeros(2), {}
    for step in STEPS:
        tested = ratios[step].keys()
        if tested == ratios["chip"].keys():
            wider = _ends(ratios[step], tested)
        else:
            wider = ends * (np.maximum(1.0, _ends(ratios[step], tested) / _ends(ratios["chip"], tested)) if tested else BEYOND)
        ends = np.array([min(ends[0], wider[0]), max(ends[1], wider[1])])
        limits[step] = (*np.exp(ends), sum(map(len, ratios[step].values())))
    return limits


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
    value, low, high = (f"{x:.4g}" for x in (value, low, high))
    return dict(component=component, basis=basis, group=group, dtype=dtype, constant=constant, value=value, low=low, high=high,
                rows=int(rows), source="nvidia_aiconfigurator_2026", as_of="2026-08-21", confidence="derived")


def rewrite(components, rows: list[dict]) -> None:
    """Put `rows` in the place of those of `components` in data/efficiencies.csv, and forget what was read of it."""
    path = DATA / "efficiencies.csv"
    old = list(csv.DictReader(path.read_text(encoding="utf8").splitlines())) if path.is_file() else []
    with open(str(path), "w", encoding="utf8", newline="") as file:
        writer = csv.DictWriter(file, list(schema("efficiencies")["columns"]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted([row for row in old if row["component"] not in components] + rows, key=lambda row: row["component"]))
    for cached in (table, _stored, _looked_up, stored):
        cached.cache_clear()


def main() -> None:
    """Refit everything, kernels first: what engines add is fitted to the times that kernels leave unexplained."""
    from . import serving_calibration, train_calibration

    rewrite(FORMS, refit())
    rewrite(("training",), train_calibration.fit_rows())
    known = [serving_calibration.prompt_attention()]
    rewrite(("serving",), known)
    rewrite(("serving",), known + serving_calibration.fit_rows())
    rewrite(("pass",), serving_calibration.pass_rows())


# --- reading them -------------------------------------------------------------------------------------------------------

@cache
def _stored(component: str, dtype: str) -> dict:
    """(step, group) -> {constant: value}, and step -> (low, high)."""
    found = {}
    for row in table("efficiencies"):
        if (row["component"], row["dtype"]) == (component, dtype):
            if row["constant"] == "measured_over_predicted":
                found[row["basis"]] = row["low"], row["high"]
            else:
                found.setdefault((row["basis"], row["group"]), {})[row["constant"]] = row["value"]
    return found


@cache
def _ceilings(name: str, peak: float, bandwidth: float, dtype: str) -> dict:
    """Measured shares of a chip's peaks: its best matrix product, in that dtype if measured, and its best read, copy or lattice stream."""
    rows = [row for row in table("device_peaks") if row["chip"] == name]
    best = [row for row in rows if row["quantity"] == "matmul_flops" and row["share_of_peak"]]
    products = [row["value"] / peak for row in best if row["dtype"] == dtype] or [row["share_of_peak"] for row in best]
    reads = [row["value"] / bandwidth for row in rows if row["quantity"].endswith("_bandwidth")]
    return {key: min(1.0, max(shares)) for key, shares in (("compute_share", products), ("bandwidth_share", reads)) if shares}


_without = ""  # a chip whose own rows must not be used, see `without`


@contextmanager
def without(chip: str):
    """While this lasts, a chip is predicted as if it had never been measured: from its sisters, else from all others."""
    global _without
    _without, before = chip, _without
    try:
        yield
    finally:
        _without = before


def _constants(component: str, chip: Chip, dtype: str) -> tuple:
    return _looked_up(component, chip, dtype, chip.name == _without)


@cache
def _looked_up(component: str, chip: Chip, dtype: str, left_out: bool) -> tuple:
    """(basis, constants, low, high) of the first link of the chip's chain that has any."""
    measured = "fp8" if DTYPE_BYTES[dtype] < 2 and component == "gemm" else "bf16"
    stored = _stored(component, measured)
    step, group = next(link for link in _chain(chip) if link in stored and not (left_out and link[0] == "chip"))
    constants, (low, high) = stored[step, group], stored[step]
    others = _groups(component, measured)[step, group] - {chip.name} if left_out else ()
    if left_out:
        others = others or _groups(component, measured)["all", "all"] - {chip.name}
        constants = dict(zip(FORMS[component].constants, _fitted(component, measured, frozenset(others))))
    basis = f"{step} {group}".replace("all all", "all chips")
    if STEPS.index(step) > 1 and component != "all_reduce":
        known = {k: v for k, v in _ceilings(chip.name, chip.peak.get(dtype, np.inf), chip.bandwidth, dtype).items() if k in constants}
        constants, basis = constants | known, basis + ", its own ceilings" * bool(known)
    if component == "gemm" and DTYPE_BYTES[dtype] != DTYPE_BYTES[measured]:
        low, high, basis = low**BEYOND, high**BEYOND, f"{basis}, {measured} for {dtype}"
    return basis, constants, low, high


@dataclass(frozen=True)
class Efficiency:
    """What matrix products reach on a chip, see `kernels.gemm_seconds`.

    Attributes
    ----------
    launch, depth
        Seconds of a launch (below 16 bits with the quantising kernels), and of one step along k.
    bandwidth_share, compute_share
        Of the chip's bandwidth and dense peak.
    sharpness
        Exponent of the smooth maximum.
    low, high
        80 % limits of measured over predicted time.
    basis
        The link of the chain that the constants come from.
    """

    chip: str
    dtype: str
    launch: float
    bandwidth_share: float
    compute_share: float
    sharpness: float
    depth: float
    low: float
    high: float
    basis: str

    def __str__(self) -> str:
        return (f"{self.chip}, {self.dtype}: {self.launch * 1e6:.1f} µs + {self.bandwidth_share:.0%} of bandwidth, "
                f"{self.compute_share:.0%} of peak, time x {self.low:.2f} to {self.high:.2f} ({self.basis})")


def efficiency(chip, dtype: str = "bf16") -> Efficiency:
    """Constants of matrix products on a chip in one compute dtype, and the step of the chain that they come from.

    Parameters
    ----------
    chip : str or Chip
    dtype : str
        A dtype that the chip has a peak for.

    Raises
    ------
    MissingDtype
        If the chip has no such peak.

    Examples
    --------
    >>> efficiency("H100 SXM").basis, efficiency("GH200 96GB").basis, efficiency("MI300X").basis
    ('chip H100 SXM', 'family Hopper', 'memory HBM, its own ceilings')
    """
    chip = find_chip(chip)
    chip.peak[dtype]  # raises, naming the dtypes there are
    basis, constants, low, high = _constants("gemm", chip, dtype)
    return Efficiency(chip.name, dtype, **constants, low=low, high=high, basis=basis)


def interval(component: str, chip, dtype: str = "bf16") -> tuple[float, float, str]:
    """(low, high, basis): 80 % limits of measured over predicted time of "gemm", "attention" or "all_reduce" on a chip."""
    basis, _, low, high = _constants(component, find_chip(chip), dtype)
    return low, high, basis


def widening(chip, dtype: str = "bf16") -> tuple[float, str]:
    """(factor on the logarithm of an interval that was found on measured chips, basis): how much wider products are known here."""
    basis, _, low, high = _constants("gemm", find_chip(chip), dtype)
    own = _stored("gemm", "fp8" if DTYPE_BYTES[dtype] < 2 else "bf16")["chip"]
    return max(1.0, float(np.log(high / low) / np.log(own[1] / own[0]))), basis


def pass_interval(phase: str, chip: Chip, weights, seconds, bound=0.0) -> tuple:
    """(low, high) 80 % limits of a decode or prefill pass from measured ones, widened like `widening`; never below `bound`."""
    _, low, high = stored("pass")[phase, "measured_over_predicted"]
    wider, _ = widening(chip, chip.compute_dtype(weights))
    return plain(np.maximum(seconds * low**wider, bound)), plain(seconds * high**wider)


def gemm_seconds(chip, m, n, k, dtype="bf16", compute: str | None = None, quantise: bool = True):
    """Seconds of out[m, n] = x[m, k] w[k, n] on measured efficiencies, 16-bit activations in and out of memory.

    Parameters
    ----------
    chip : str or Chip
    m, n, k : float or array_like
        Tokens, outputs, inputs.
    dtype : str or float
        Of the weights; activations take the compute dtype.
    compute : str, optional
        As for `decode`.
    quantise : bool
        Whether kernels of its own bring x to a compute dtype below 16 bits, as in the measured rows. False: the kernel before
        did it, so one launch (that of 16-bit products) and no pass over x.

    Returns
    -------
    float or ndarray

    Examples
    --------
    >>> f"{gemm_seconds('H100 SXM', 4096, 8192, 8192) * 1e6:.0f} us"
    '692 us'
    """
    chip = find_chip(chip)
    shape = broadcast(m=number("m", m, zero=True), n=number("n", n), k=number("k", k))
    used = chip.compute_dtype(dtype, compute)
    constants, passes = _constants("gemm", chip, used)[1], _quantise_bytes(used)
    if not flag("quantise", quantise) and passes:
        constants, passes = constants | {"launch": _constants("gemm", chip, chip.best_16bit)[1]["launch"]}, 0.0
    return plain(formula(kernels.gemm_seconds)(*shape, dtype_bytes(used), dtype_bytes(dtype), passes, chip.peak[used], chip.bandwidth,
                                               **constants))


def attention_seconds(chip, batch, context, heads, kv_heads, model: Transformer | None = None, kv="bf16", head_dim=128):
    """Seconds of one layer's decode attention, one new token for each of `batch` sequences with `context` cached ones.

    Parameters
    ----------
    chip : str or Chip
    batch, context, heads, kv_heads : float or array_like
        Heads as one chip holds them.
    model : Transformer, optional
        Gives the head dimension; latent attention reads one latent a token for all heads.
    kv : str or float
        Storage of the cache.
    head_dim : float
        Without a model.

    Returns
    -------
    float or ndarray

    Examples
    --------
    >>> f"{attention_seconds('H100 SXM', 64, 4096, 32, 8) * 1e6:.0f} us"
    '382 us'
    """
    chip = find_chip(chip)
    batch, context, heads, kv_heads = broadcast(batch=number("batch", batch, zero=True), context=number("context", context, zero=True),
                                                heads=number("heads", heads), kv_heads=number("kv_heads", kv_heads))
    if model is not None and model.kv_rank:
        kv_heads, token = np.ones_like(kv_heads), formula(kernels.latent_layer_bytes)(model.kv_rank, model.rope_dim, dtype_bytes(kv, "kv"))
    else:
        token = formula(kernels.kv_layer_bytes)(kv_heads, head_dim if model is None else model.head_dim, dtype_bytes(kv, "kv"))
    _, constants, _, _ = _constants("attention", chip, "bf16")
    return plain(formula(kernels.attention_decode_seconds)(batch * context * token, batch * kv_heads, heads > kv_heads, context, 0.0,
                                                           chip.peak[chip.best_16bit], chip.bandwidth, **constants))


def all_reduce_seconds(chip, bytes, n):
    """Seconds of an all-reduce of `bytes` over n chips of one node; 0 for one chip.

    Parameters
    ----------
    chip : str or Chip
    bytes, n : float or array_like

    Returns
    -------
    float or ndarray

    Raises
    ------
    BadValue
        If n exceeds 1 and the chip's link bandwidth is not known.

    Examples
    --------
    >>> [f"{all_reduce_seconds('H100 SXM', size, 8) * 1e6:.1f} us" for size in (1e4, 1e8)]
    ['3.5 us', '529.8 us']
    """
    chip = find_chip(chip)
    size, n = broadcast(bytes=number("bytes", bytes, zero=True), n=number("n", n, least=1.0))
    if np.all(n == 1):
        return plain(np.zeros(np.shape(n)))
    if np.isnan(chip.link_bandwidth):
        raise BadValue(f"{chip.name} has no link_bandwidth: chip.replace(link_bandwidth=...) gives it one (B/s, one direction)")
    _, constants, _, _ = _constants("all_reduce", chip, "bf16")
    direct, ring = (n - 1.0) * size / chip.link_bandwidth, ring_seconds(size, n, chip.link_bandwidth)
    return plain(np.where(n > 1, formula(kernels.quicker_all_reduce)(direct, ring, n - 1.0, **constants), 0.0))


def elementwise_seconds(chip, model: Transformer, tokens, ranks):
    """Seconds that one layer spends between its products, on one of `ranks` chips."""
    chip = find_chip(chip)
    _, constants, _, _ = _constants("elementwise", chip, "bf16")
    return plain(formula(kernels.elementwise_seconds)(elementwise_bytes(model, tokens, ranks), chip.bandwidth, **constants))


@cache
def stored(component: str) -> dict:
    """(group, constant) -> (value, low, high) of a component that other modules fit."""
    return {(row["group"], row["constant"]): (row["value"], row["low"], row["high"])
            for row in table("efficiencies") if row["component"] == component}


trial = {}  # (component, group, constant) -> value, in place of the stored one while a fit looks for it


def constant(component: str, group: str, name: str) -> float:
    """One stored constant, or the value on trial."""
    return trial.get((component, group, name)) or stored(component)[group, name][0]


if __name__ == "__main__":
    from siliconomics.calibrate import main as refit_all  # not this copy of the module: its trial constants are nobody's

    refit_all()
