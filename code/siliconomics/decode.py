"""What is the floor on latency, and what does a token cost? One decode step, one prefill, on the roofline."""
from dataclasses import dataclass

import numpy as np

from . import kernels
from .catalog import Chip, chip as find_chip, model as find_model
from .checks import LARGEST, BadValue, broadcast, choice, number, numbers, optional, plain
from .kernels import plain as formula
from .transformer import Load, Transformer
from .units import dtype_bytes, fmt

STACKS = ("roofline", "overlap")  # of a grid; one step can be "calibrated" too
CALIBRATED = (*STACKS, "calibrated")
BOUND = np.array(["memory", "compute"], dtype=object)


@dataclass(frozen=True)
class Decode:
    """One decode step. Numbers are floats, or arrays of the broadcast shape.

    Attributes
    ----------
    seconds
        Time of a step, which is the time per output token of every sequence in the batch.
    tokens_per_second, tokens_per_second_per_user
        Output of the system, and of one sequence.
    mfu
        2 N B over time and peak; attention FLOPs are not in it, see `attention_flops`.
    mbu
        Weight bytes and KV bytes over time and bandwidth.
    bound
        "memory" or "compute", whichever resource alone would take longer.
    memory_bytes
        Weights and caches held.
    fits
        Whether they fit in the chips' memory.
    usd_per_mtok
        Dollars for a million output tokens; nan without a price.
    attention_flops
        FLOPs of the attention products of the whole batch, beside the step's 2 N B.
    low, high
        80 % interval of `seconds` in the calibrated stack; nan in the others, which are no estimates.
    basis
        Whose measurements the calibrated stack rests on.
    """

    seconds: float
    tokens_per_second: float
    tokens_per_second_per_user: float
    mfu: float
    mbu: float
    bound: str
    memory_bytes: float
    fits: bool
    usd_per_mtok: float
    attention_flops: float
    label: str = ""
    low: float = np.nan
    high: float = np.nan
    basis: str = ""

    def __str__(self) -> str:
        if np.ndim(self.seconds):
            return f"{self.label}: {np.size(self.seconds)} configurations"
        price = "" if np.isnan(self.usd_per_mtok) else f", {fmt(self.usd_per_mtok, '$/Mtok')}"
        return (f"{self.label}: {fmt(self.seconds, 's')} a token, {self.tokens_per_second:,.0f} tokens/s{price}, "
                f"MFU {fmt(self.mfu, '%')}, MBU {fmt(self.mbu, '%')}, {self.bound}-bound, "
                f"{fmt(self.memory_bytes, 'B')} {'fits' if self.fits else 'DOES NOT FIT'}")


def _label(model: Transformer, chip: Chip, chips, weights, what: str) -> str:
    count = f"{chips.flat[0]:g} x " if chips.size == 1 else ""
    return f"{model.name} on {count}{chip.name}, {weights}, {what}"


def _decode_rows(model: Transformer, chip: Chip, peak: float, weights: float, kv: float, overlap: bool, arrays) -> np.ndarray:
    """Run the grid driver over broadcast arrays; `weights` and `kv` are bytes per value. Returns its rows in their shape."""
    out = np.empty((len(kernels.OUTPUTS) + 1, arrays[0].size))
    experts = (model.experts, model.experts_active) if model.moe_layers else (1, 1)
    kernels.decode_grid(
        peak, chip.bandwidth, chip.memory_bytes, float(model.params), float(model.shared_params),
        float(model.moe_layers * model.expert_params), float(experts[0]), float(experts[1]), float(model.compute_params),
        weights, float(model.kv_layer_bytes(kv)), float(model.window), float(model.full_layers), float(model.windowed_layers),
        float(model.heads), float(model.head_dim), float(model.v_dim or model.head_dim), overlap,
        *(np.ascontiguousarray(a, dtype=float).ravel() for a in arrays), out)
    return out.reshape(-1, *arrays[0].shape)


def decode(model, chip, chips=1, batch=1, context=2048, weights="bf16", kv="bf16", stack: str = "roofline",
           usd_per_chip_hour=None, compute: str | None = None) -> Decode:
    """Time, utilisation and cost of one decode step.

    Parameters
    ----------
    model : str or Transformer
    chip : str or Chip
    chips : float or array_like
        Chips that share weights and caches evenly; communication costs nothing here.
    batch : float or array_like
        Sequences decoded together.
    context : float or array_like
        Tokens in each sequence's cache.
    weights, kv : str or float
        Storage dtypes (or bytes per value) of weights and cache.
    stack : {"roofline", "overlap", "calibrated"}
        "roofline": attention reads come on top, KV/BW + max(2NB/P, W/BW). "overlap": everything overlaps,
        max(2NB/P, (W + KV)/BW), the only physical lower bound. "calibrated": the sum of the kernels of a pass at measured
        efficiencies, all chips as tensor ranks, without the host time of an engine (see `serve`).
    usd_per_chip_hour : float or array_like, optional
        Without it dollars are nan.
    compute : str, optional
        Dtype of the arithmetic; by default that of `weights` if the chip has it, else its best 16-bit peak.

    Returns
    -------
    Decode
        Arrays of the broadcast shape, plain floats for all-scalar input. What does not fit has ``fits=False`` and
        keeps its numbers.

    Raises
    ------
    BadValue, UnknownName, MissingDtype

    References
    ----------
    Austin et al. (2025), How to Scale Your Model, inference; Databricks (2023) for MBU.

    Examples
    --------
    >>> step = decode("Llama 2 70B", "H100 SXM", chips=8, batch=64, context=2048, usd_per_chip_hour=2)
    >>> f"{1e3 * step.seconds:.2f} ms, {step.tokens_per_second:,.0f} tokens/s, ${step.usd_per_mtok:.3f}/Mtok"
    '6.75 ms, 9,481 tokens/s, $0.469/Mtok'
    """
    model, chip = find_model(model), find_chip(chip)
    overlap = choice("stack", stack, CALIBRATED) != "roofline"
    peak = chip.peak[chip.compute_dtype(weights, compute)]
    arrays = broadcast(chips=number("chips", chips), batch=number("batch", batch), context=number("context", context, zero=True),
                       usd_per_chip_hour=optional("usd_per_chip_hour", usd_per_chip_hour))  # a microsecond less than `numbers` takes
    rows = _decode_rows(model, chip, peak, dtype_bytes(weights, "weights"), dtype_bytes(kv, "kv"), overlap, arrays)
    limits = _no_limits(arrays[0])
    if stack == "calibrated":
        longer, limits = _calibrated(model, chip, arrays[0], Load(arrays[1], arrays[2]), weights, kv, compute, rows[0], "decode")
        rows[[0, 6]], rows[1:5] = rows[[0, 6]] * longer, rows[1:5] / longer
    seconds, rate, per_user, used, moved, held, usd, compute_bound, fits, attention = rows
    what = f"batch {arrays[1].flat[0]:g}, context {arrays[2].flat[0]:,.0f}" if seconds.size == 1 else "grid"
    return Decode(
        *map(plain, (seconds, rate, per_user, used, moved)), BOUND[plain(compute_bound.astype(int))],
        plain(held), plain(fits == 1.0), plain(usd), plain(attention),
        _label(model, chip, arrays[0], weights, what), *limits)


def _no_limits(like) -> tuple:
    return (np.nan if np.ndim(like) == 0 else np.full(np.shape(like), np.nan),) * 2 + ("",)


def _calibrated(model, chip, chips, load: Load, weights, kv, compute, bound, phase: str) -> tuple:
    """(how much longer than `bound` seconds the kernels of one pass take, (low, high, basis) of that time)."""
    from .calibrate import pass_interval
    from .forward import Shard, forward_seconds

    seconds = np.maximum(forward_seconds(model, chip, load, Shard(chips), weights, kv, compute), bound)
    return seconds / bound, pass_interval(phase, chip, chip.compute_dtype(weights, compute), seconds, bound)


@dataclass(frozen=True)
class Prefill:
    """Processing a prompt. `attention_seconds` stands beside `seconds`, not inside: the sum is the longer estimate."""

    seconds: float
    tokens_per_second: float
    mfu: float
    bound: str
    memory_bytes: float
    fits: bool
    attention_seconds: float
    label: str = ""
    low: float = np.nan
    high: float = np.nan
    basis: str = ""

    def __str__(self) -> str:
        if np.ndim(self.seconds):
            return f"{self.label}: {np.size(self.seconds)} configurations"
        return (f"{self.label}: {fmt(self.seconds, 's')} + {fmt(self.attention_seconds, 's')} attention, "
                f"{self.tokens_per_second:,.0f} tokens/s, MFU {fmt(self.mfu, '%')}, {self.bound}-bound")


def prefill(model, chip, chips=1, prompt=2048, batch=1, weights="bf16", kv="bf16", stack: str = "roofline",
            compute: str | None = None) -> Prefill:
    """Time to process `batch` prompts of `prompt` tokens before the first output token.

    Parameters
    ----------
    model, chip, chips, batch, weights, kv, stack, compute
        As for `decode`.
    prompt : float or array_like
        Tokens in each prompt.

    Returns
    -------
    Prefill
        `seconds` counts the products with the weights (2N a token) against reading them and writing the cache; the
        causal attention products stand in `attention_seconds`, since published prefill bounds leave them out. In the
        calibrated stack `seconds` is everything, attention too, and `low` and `high` bound it.
    """
    model, chip = find_model(model), find_chip(chip)
    bound_by = formula(kernels.decode_additive if choice("stack", stack, CALIBRATED) == "roofline" else kernels.decode_overlap)
    peak = chip.peak[chip.compute_dtype(weights, compute)]
    chips, prompt, batch = numbers(locals(), "chips prompt batch")
    width, tokens = dtype_bytes(weights, "weights"), number("batch x prompt", batch * prompt)
    read = np.asarray(model.weight_bytes_read(tokens, width))
    cache = batch * model.kv_bytes(prompt, dtype_bytes(kv, "kv"))
    flops, held = 2.0 * model.compute_params * tokens, model.weight_bytes(width) + cache
    floor = formula(kernels.memory_floor)
    times = floor(read, chips, chip.bandwidth), floor(cache, chips, chip.bandwidth), flops / (chips * peak)
    seconds = bound_by(*times)
    attention = tokens * model.attention_flops(prompt, causal=True) / (chips * peak)
    compute_bound, limits = times[2] > times[0] + times[1], _no_limits(seconds)
    if stack == "calibrated":
        longer, limits = _calibrated(model, chip, chips, Load(np.zeros_like(tokens), np.zeros_like(tokens), tokens, prompt), weights, kv, compute, seconds, "prefill")
        seconds = seconds * longer
    return Prefill(
        plain(seconds), plain(tokens / seconds), plain(formula(kernels.utilisation)(times[2], 1.0 / seconds)),
        plain(np.where(compute_bound, "compute", "memory")), plain(held), plain(held <= chips * chip.memory_bytes),
        plain(attention), _label(model, chip, chips, weights, f"{batch.flat[0]:g} x {prompt.flat[0]:,.0f} tokens"), *limits)


def mbu(seconds_per_token, model, chip, chips=1, batch=1, context=0, weights="bf16", kv="bf16", embedding: bool = True):
    """Model bandwidth utilisation: bytes that a step must read, over its time and the peak bandwidth.

    Parameters
    ----------
    seconds_per_token : float or array_like
        Measured time per output token of one sequence, which is the time of a step.
    model, chip, chips, batch, context, weights, kv
        As for `decode`.
    embedding : bool
        Count an untied input embedding table, of which a step looks up only `batch` rows. The definition counts
        all parameters; careful implementations (gpt-fast) leave it out.

    Returns
    -------
    float or ndarray
        A fraction; above 1 means that an input is wrong, and is not clipped.

    References
    ----------
    Databricks (2023), LLM inference performance engineering: best practices.

    Examples
    --------
    >>> f"{mbu(1 / 62.5, 'Llama 2 70B', 'A100 SXM 80GB', chips=8):.3f}"
    '0.529'
    """
    model, chip = find_model(model), find_chip(chip)
    seconds, chips, batch, context = numbers(locals(), "seconds_per_token chips batch", zero="context")
    read = model.weight_bytes_read(batch, dtype_bytes(weights, "weights"), embedding) + batch * model.kv_bytes(context, dtype_bytes(kv, "kv"))
    return plain(formula(kernels.mbu)(read, seconds, chips, chip.bandwidth))


def max_batch(model, chip, chips, context, weights="bf16", kv="bf16", reserve=0.0):
    """Largest whole batch whose caches fit beside the weights; 0 when not even the weights fit.

    Parameters
    ----------
    model, chip, chips, context, weights, kv
        As for `decode`; `context` must be positive.
    reserve : float or array_like
        Bytes a chip kept free.

    Returns
    -------
    int or ndarray
        Sequences.

    Examples
    --------
    >>> [int(b) for b in max_batch("Llama 2 70B", "H100 SXM", 8, [2048, 8192, 32768])]
    [748, 187, 46]
    """
    model, chip = find_model(model), find_chip(chip)
    chips, context, reserve = numbers(locals(), "chips context", zero="reserve")
    room = chips * (chip.memory_bytes - reserve)
    cache = np.asarray(model.kv_bytes(context, dtype_bytes(kv, "kv")))
    if not (cache > 0).all():
        raise BadValue(f"model={model.name!r} keeps no cache: its batch has no limit")
    fits = formula(kernels.batch_that_fits)(room, model.weight_bytes(dtype_bytes(weights, "weights")), cache)
    return plain(number("chips: the batch that fits", fits, zero=True).clip(max=2**53).astype(int))


def usd_per_mtok(usd_per_hour, tokens_per_second):
    """Dollars for a million tokens from $/h of the whole system and its tokens/s."""
    rate, price = numbers(locals(), "tokens_per_second", zero="usd_per_hour")
    return plain(formula(kernels.usd_per_mtok)(price, rate))


def speculative(acceptance, draft_tokens, draft_cost, batch=1, critical_batch=np.inf):
    """Tokens per verification and speed-up of speculative decoding.

    Parameters
    ----------
    acceptance : float or array_like
        Probability that a drafted token is accepted, in (0, 1].
    draft_tokens : float or array_like
        Tokens drafted before each verification.
    draft_cost : float or array_like
        Time of one draft step over that of one step of the large model.
    batch, critical_batch : float or array_like
        Beyond the critical batch the large model is compute-bound, so verifying several tokens takes longer than one.

    Returns
    -------
    tuple of float or ndarray
        Expected tokens per verification (1 - a^(g+1))/(1 - a), and the speed-up over plain decoding, below 1 where
        speculation slows the system down.

    References
    ----------
    Leviathan, Kalman, Matias (2023), equation 1 and theorem 3.8; the batch term after How to Scale Your Model (2025).
    """
    critical_batch = np.asarray(critical_batch, dtype=float)
    critical_batch = np.where(critical_batch == np.inf, LARGEST, critical_batch)
    b, critical, g, c, a = numbers(locals(), "batch critical_batch", zero="draft_tokens draft_cost", fractions="acceptance")
    tokens, slower = formula(kernels.speculative_tokens)(a, g), formula(kernels.verify_slowdown)(g, b, critical)
    return plain(tokens), plain(tokens / (g * c + slower))


@dataclass(frozen=True)
class Split:
    """Prefill and decode on chips of their own. Times are those of one request."""

    prefill_seconds: float
    decode_seconds: float
    prefill_per_decode_chip: float
    kv_bytes: float
    transfer_seconds: float
    requests_per_second_per_chip: float


def disaggregate(model, chip, prompt, output, prefill_chips=1, decode_chips=1, batch=1, weights="bf16", kv="bf16",
                 stack: str = "roofline", decode_chip=None, network_bandwidth=np.nan) -> Split:
    """How many prefill chips keep one decode chip busy, when the two phases run apart?

    Parameters
    ----------
    model : str or Transformer
    chip, decode_chip : str or Chip
        Of the prefill and of the decode machines; the same if `decode_chip` is None.
    prompt, output : float or array_like
        Tokens of a request.
    prefill_chips, decode_chips : float or array_like
        Chips of one machine of each kind.
    batch : float or array_like
        Requests decoded together.
    weights, kv, stack
        As for `decode`.
    network_bandwidth : float or array_like
        B/s between two machines, for the cache of one request; nan if not asked.

    Returns
    -------
    Split
        `prefill_per_decode_chip` is the ratio of chip-seconds a request spends in the two phases, attention of the
        prompt included; `requests_per_second_per_chip` is what the balanced fleet serves. Source: balance of rates,
        as in Patel et al. (2024), Splitwise.
    """
    first = prefill(model, chip, prefill_chips, prompt, 1, weights, kv, stack)
    context = number("prompt", prompt) + number("output", output) / 2.0
    step = decode(model, decode_chip or chip, decode_chips, batch, context, weights, kv, stack)
    prompt_time = np.asarray(first.seconds) + first.attention_seconds
    output_time = np.asarray(step.seconds) * number("output", output)
    held = np.asarray(find_model(model).kv_bytes(prompt, dtype_bytes(kv, "kv")))
    spent = prompt_time * prefill_chips, output_time * decode_chips / np.asarray(batch, dtype=float)
    return Split(*map(plain, (prompt_time, output_time, spent[0] / spent[1], held, held / np.asarray(network_bandwidth, dtype=float),
                              1.0 / (spent[0] + spent[1]))))
