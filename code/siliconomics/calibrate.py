"""What do real kernels reach? Times of matrix products, decode attention and all-reduces on constants fitted to measurements.

``python -m siliconomics.refit`` fits the constants of data/efficiencies.csv again. A chip takes the constants of the first
group on its chain that was measured: the chip itself, its family, its vendor, its class of memory, all chips. Past its family,
a chip whose best product or read is measured (data/device_peaks.csv) takes those shares instead. The interval of a step holds
80 % of the rows that were predicted from just that step: shapes left out (chip), chips left out with a sister in the fit
(family), whole families left out (vendor).
No chip of another vendor has kernel rows, so the steps beyond are a rule, not a measurement: each widens by `BEYOND`.
"""
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np

from . import kernels
from .catalog import Chip, chip as find_chip
from .checks import BadValue, broadcast, flag, number, numbers, plain
from .kernels import plain as formula
from .network import all_reduce_seconds as ring_seconds
from .tables import table
from .transformer import Transformer
from .units import DTYPE_BYTES, dtype_bytes

FAMILY = {"Ampere": ("A100", "A800"), "Hopper": ("H100", "H800", "H20", "GH200"), "Blackwell": ("B200", "GB200", "B300", "GB300")}
STEPS = ("chip", "family", "vendor", "memory", "all")
NORMAL_80 = 1.2816  # standard deviations on either side that hold 80 % of a normal distribution
BEYOND = 1.5  # factor on the logarithm of the interval for each step that no held-out row can test


def family(chip: Chip) -> str:
    """The data-centre GPU generation of a chip by its name; empty if it belongs to none that was measured."""
    return next((name for name, starts in FAMILY.items() if chip.name.startswith(starts)), "")


def _memory_class(chip: Chip) -> str:
    kind = next((row["value"] for row in table("accelerators") if (row["chip"], row["field"]) == (chip.name, "memory_type")), "")
    return next((name for name in ("HBM", "GDDR", "LPDDR") if kind.startswith(name)), "")


@cache
def chain(chip: Chip) -> tuple:
    """(step, group) from the narrowest to the widest."""
    return tuple(link for link in zip(STEPS, (chip.name, family(chip), chip.vendor, _memory_class(chip), "all")) if link[1])


def quantise_bytes(dtype: str) -> float:
    """Bytes an activation moves on its way from 16 bits to `dtype`: read for the largest value, read again and written."""
    width = dtype_bytes(dtype)
    return 4.0 + width if width < 2 else 0.0


def elementwise_bytes(model: Transformer, tokens, ranks):
    """Bytes that the operations of a layer between its products move on one of `ranks` chips: norms read and write a vector,
    sums read two and write one, the rotary embedding reads and writes queries and keys, a gated activation reads two and writes one."""
    hidden = np.where(model.moe_layers == model.layers, model.experts_active * model.expert_d_ff, model.d_ff)
    turned = 2 * (model.heads + model.kv_heads) * model.head_dim
    return 2.0 * tokens * (10 * model.d_model + (turned + (3 if model.gated else 2) * hidden) / ranks)


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


def _measured_dtype(component: str, dtype: str) -> str:
    """The dtype whose measurements stand for `dtype`."""
    return "fp8" if DTYPE_BYTES[dtype] < 2 and component == "gemm" else "bf16"


def _constants(component: str, chip: Chip, dtype: str) -> tuple:
    return _looked_up(component, chip, dtype, chip.name == _without)


@cache
def _looked_up(component: str, chip: Chip, dtype: str, left_out: bool) -> tuple:
    """(basis, constants, low, high) of the first link of the chip's chain that has any."""
    measured = _measured_dtype(component, dtype)
    stored = _stored(component, measured)
    step, group = next(link for link in chain(chip) if link in stored and not (left_out and link[0] == "chip"))
    constants, (low, high) = stored[step, group], stored[step]
    if left_out:
        from .fit_kernels import fitted_without

        constants = fitted_without(component, measured, (step, group), chip.name)
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


def model_interval(component: str, kind: str, chip: Chip, dtype: str, more=()) -> tuple[float, float, str]:
    """(low, high, basis): 80 % limits of measured over predicted time of whole models, from rows that were left out.

    The widest of what applies: `kind` itself, its situations in `more`, and the rows of chips predicted without their own
    kernels if this one has none (passes have one interval for all: their runs are on chips of either sort). Past the vendor,
    and for dtypes without kernels, no row can test it: `BEYOND` for each.
    """
    basis = _constants("gemm", chip, dtype)[0]
    step, other = STEPS.index(basis.split()[0]), DTYPE_BYTES[dtype] != DTYPE_BYTES[_measured_dtype("gemm", dtype)]
    groups = [kind, *(f"{kind}, {situation}" for situation in (*more, *["chip not measured"] * (step > 0)))]
    known = (stored(component).get((group, "measured_over_predicted")) for group in groups)
    _, lows, highs = zip(*filter(None, known))
    wider = BEYOND ** (max(0, step - STEPS.index("vendor")) + other)
    return min(lows) ** wider, max(highs) ** wider, basis


def pass_interval(phase: str, chip: Chip, dtype: str, seconds, bound=0.0) -> tuple:
    """(low, high, basis): 80 % limits of a decode or prefill pass, see `model_interval`; never below `bound`."""
    low, high, basis = model_interval("pass", phase, chip, dtype)
    return plain(np.maximum(seconds * low, bound)), plain(seconds * high), basis


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
    '691 us'
    """
    chip = find_chip(chip)
    shape = broadcast(m=number("m", m, zero=True), n=number("n", n), k=number("k", k))
    used = chip.compute_dtype(dtype, compute)
    constants, passes = _constants("gemm", chip, used)[1], quantise_bytes(used)
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
    heads, kv_heads, batch, context = numbers(locals(), "heads kv_heads", zero="batch context")
    if model is not None and model.kv_rank:
        kv_heads, token = np.ones_like(kv_heads), formula(kernels.latent_layer_bytes)(model.kv_rank, model.rope_dim, dtype_bytes(kv, "kv"))
    else:
        token = formula(kernels.kv_layer_bytes)(kv_heads, head_dim if model is None else model.head_dim, dtype_bytes(kv, "kv"))
    return plain(formula(kernels.attention_decode_seconds)(batch * context * token, batch * kv_heads, heads > kv_heads, context, 0.0,
                                                           chip.peak[chip.best_16bit], chip.bandwidth, **_constants("attention", chip, "bf16")[1]))


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
    size, n = numbers(locals(), zero="bytes", one="n")
    if np.all(n == 1):
        return plain(np.zeros(np.shape(n)))
    if np.isnan(chip.link_bandwidth):
        raise BadValue(f"{chip.name} has no link_bandwidth: chip.replace(link_bandwidth=...) gives it one (B/s, one direction)")
    direct, ring = (n - 1.0) * size / chip.link_bandwidth, ring_seconds(size, n, chip.link_bandwidth)
    constants = _constants("all_reduce", chip, "bf16")[1]
    return plain(np.where(n > 1, formula(kernels.quicker_all_reduce)(direct, ring, n - 1.0, **constants), 0.0))


def elementwise_seconds(chip, model: Transformer, tokens, ranks):
    """Seconds that one layer spends between its products, on one of `ranks` chips."""
    chip = find_chip(chip)
    constants = _constants("elementwise", chip, "bf16")[1]
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
