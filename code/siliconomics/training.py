"""What fraction of the FLOPs paid for becomes model, and what does a run cost?"""
import math
from dataclasses import dataclass

import numpy as np

from . import kernels
from .catalog import Chip, chip as find_chip, model as find_model
from .checks import BadValue, choice, number, numbers, plain, scalar, whole
from .kernels import plain as formula
from .network import all_gather_seconds, all_reduce_seconds, all_to_all_seconds
from .transformer import Transformer
from .units import fmt


def mfu(tokens_per_second, model, chip, chips=1, context=None, dtype: str = "bf16", causal: bool = False, training: bool = True):
    """Model FLOPs utilisation: model FLOP/s over dense peak FLOP/s.

    Parameters
    ----------
    tokens_per_second : float or array_like
        Of the whole system.
    model : str or Transformer
    chip : str or Chip
    chips : float or array_like
    context : float or array_like, optional
        Sequence length whose attention FLOPs are counted; None counts 6N (or 2N) only.
    dtype : str
        Dtype of the peak.
    causal : bool
        Count half of the attention FLOPs instead of all.
    training : bool
        Forward and backward (6N) or forward only (2N).

    Returns
    -------
    float or ndarray
        A fraction. Values above 1 are returned, not clipped: they say that an input is wrong.

    References
    ----------
    Chowdhery et al. (2022), PaLM, appendix B.

    Examples
    --------
    >>> f"{mfu(238_300, 'PaLM 540B', 'TPU v4', chips=6144, context=2048):.3f}"
    '0.462'
    """
    model, chip = find_model(model), find_chip(chip)
    context = 0 if context is None else context
    rate, chips, context = numbers(locals(), "tokens_per_second chips", zero="context")
    flops = model.flops_per_token(context, training=training, causal=causal)
    return plain(formula(kernels.mfu)(rate, flops, chips, chip.peak[dtype]))


REPEATED = {  # FLOPs a token that each kind of recomputation adds
    "none": lambda model, context, causal: 0.0,
    "selective": lambda model, context, causal: 3.0 * np.asarray(model.attention_flops(context, causal)),
    "full": lambda model, context, causal: model.flops_per_token(context, causal=causal),
}


def hfu(tokens_per_second, model, chip, chips=1, context=None, dtype: str = "bf16", causal: bool = False, recompute: str = "full"):
    """Hardware FLOPs utilisation of training: MFU plus the forward FLOPs that are computed a second time.

    Parameters
    ----------
    tokens_per_second, model, chip, chips, context, dtype, causal
        As for `mfu`.
    recompute : {"full", "selective", "none"}
        "full" repeats the whole forward pass (4/3 MFU). "selective" repeats the attention products, counted as the
        paper counts them: 72 B L s h^2 (1 + s/3h + V/12hL), that is forward and backward once more. A single forward
        pass would be a third of that; published HFUs follow the paper. It only makes sense where attention is a small
        share of the FLOPs.

    Returns
    -------
    float or ndarray
        A fraction.

    References
    ----------
    Korthikanti et al. (2022), Reducing Activation Recomputation.
    """
    choice("recompute", recompute, tuple(REPEATED))
    base = mfu(tokens_per_second, model, chip, chips, context, dtype, causal)
    model, context = find_model(model), 0 if context is None else context
    repeated = np.asarray(REPEATED[recompute](model, context, causal))
    return plain(base * (1.0 + repeated / model.flops_per_token(context, training=True, causal=causal)))


@dataclass(frozen=True)
class Run:
    """A training run: seconds, dollars (nan without a price), joules (nan without watts)."""

    seconds: float
    usd: float
    joules: float

    def __str__(self) -> str:
        return f"{self.seconds / 86400:.4g} days, {fmt(self.usd, '$')}, {fmt(self.joules, 'J')}"


def train_run(model, chip, chips, tokens, mfu, usd_per_chip_hour=None, watts_per_chip=None, pue=1.0, dtype: str = "bf16") -> Run:
    """Time, rent and energy of a training run at a given MFU: 6 N D / (n P MFU).

    Parameters
    ----------
    model : str or Transformer
        Or the number of (active) parameters.
    chip : str or Chip
    chips, tokens : float or array_like
    mfu : float or array_like
        Fraction in (0, 1].
    usd_per_chip_hour, watts_per_chip : float or array_like, optional
        Without them dollars and joules are nan: there is no hidden default.
    pue : float or array_like
        Power usage effectiveness, at least 1.
    dtype : str
        Dtype of the peak.

    Returns
    -------
    Run

    References
    ----------
    Kaplan et al. (2020) for C = 6 N D.
    """
    chip = find_chip(chip)
    named = isinstance(model, (str, Transformer))
    params = find_model(model).compute_params if named else number("model (a name, a Transformer or parameters)", model)
    params, chips, tokens, pue, used, price, watts = numbers(
        locals(), "params chips tokens", one="pue", fractions="mfu", optional="usd_per_chip_hour watts_per_chip")
    seconds = formula(kernels.training_seconds)(params, tokens, chips, chip.peak[dtype], used)
    return Run(plain(seconds), plain(formula(kernels.rent)(seconds, chips, price)), plain(formula(kernels.energy)(seconds, chips, watts, pue)))


BYTES_A_PARAM = {"weights": 2.0, "gradients": 2.0, "optimizer": 12.0}  # mixed-precision Adam: ZeRO (Rajbhandari 2020)
SHARDED = {"optimizer": 1, "gradients": 2, "weights": 3}  # from which ZeRO stage a part is split over the data ranks


@dataclass(frozen=True)
class Layout:
    """How the chips of a training step share the work; each count divides the next.

    `chips` = tensor x pipeline x context x data. Experts are spread over ranks of `data`.
    """

    tensor: int
    pipeline: int
    context: int
    data: int
    expert: int
    micro_batch: int
    interleave: int
    micro_batches: int

    @classmethod
    def of(cls, model, chips, sequences, tensor, pipeline, data, micro_batch, interleave, context_parallel, expert) -> "Layout":
        counts = dict(chips=chips, tensor=tensor, pipeline=pipeline, context_parallel=context_parallel, expert=expert,
                      micro_batch=micro_batch, interleave=interleave)
        chips, tensor, pipeline, context_parallel, expert, micro_batch, interleave = (whole(*count, least=1) for count in counts.items())
        model_ranks = tensor * pipeline * context_parallel
        data = chips // model_ranks if data is None else whole("data", data, least=1)
        if data * model_ranks != chips:
            raise BadValue(f"chips={chips} is not tensor x pipeline x context_parallel x data = {model_ranks} x {data}")
        if data % expert or expert > max(model.experts, 1):
            raise BadValue(f"expert={expert}: a divisor of data={data} and at most the model's {model.experts} experts is needed")
        if pipeline * interleave > model.layers or (interleave > 1 and pipeline == 1):
            raise BadValue(f"pipeline={pipeline} x interleave={interleave}: at most {model.layers} layers can be dealt out, "
                           "and only a pipeline is interleaved")
        if tensor > model.heads:
            raise BadValue(f"tensor={tensor}: at most the model's {model.heads} heads can be split")
        micro_batches = sequences / (data * micro_batch)
        if micro_batches != int(micro_batches) or micro_batches < 1:
            raise BadValue(f"batch_tokens / sequence = {sequences:g} sequences do not fill data={data} ranks with whole "
                           f"micro-batches of {micro_batch}")
        return cls(tensor, pipeline, context_parallel, data, expert, micro_batch, interleave, int(micro_batches))


@dataclass(frozen=True)
class Step:
    """One training step. `low` hides all communication behind arithmetic, `high` hides none; calibrated: an 80 % interval."""

    seconds: float
    mfu: float
    hfu: float
    memory_bytes: float
    fits: bool
    low: float
    high: float
    bubble: float
    parts: dict  # seconds of compute and of each kind of communication
    memory: dict  # bytes a chip: weights, gradients, optimizer, activations

    def __str__(self) -> str:
        return (f"{fmt(self.seconds, 's')} a step ({fmt(self.low, 's')} to {fmt(self.high, 's')}), MFU {fmt(self.mfu, '%')}, "
                f"HFU {fmt(self.hfu, '%')}, {fmt(self.memory_bytes, 'B')} a chip {'fits' if self.fits else 'DOES NOT FIT'}")


def bubble_fraction(pipeline, micro_batches, interleave=1):
    """Share of a step in which a pipeline stage idles: (p-1)/(m v + p-1) from m = p micro-batches on.

    With fewer, a stage waits until a micro-batch comes round to its next chunk: p v + m - 1 turns for m v of work, so that
    at most m of the p stages ever work at once.

    Parameters
    ----------
    pipeline, micro_batches, interleave : float or array_like
        Stages, micro-batches a step, model chunks a stage.

    Returns
    -------
    float or ndarray
        A fraction below 1. Source: Narayanan et al. (2021), section 2.2, which divides by the time without a bubble.
    """
    p, m, v = numbers(locals(), one="pipeline micro_batches interleave")
    return plain(1 - m * v / (v * np.maximum(m, p) + np.minimum(m, p) - 1))


def _shards(model: Transformer, at: Layout) -> tuple[tuple[float, float], ...]:
    """(parameters a chip, ranks that hold the same ones): the dense part, and the experts, which `expert` ranks share out."""
    experts = model.moe_layers * model.experts * model.expert_params
    per_chip, ranks = at.tensor * at.pipeline, at.data * at.context
    return ((model.params - experts) / per_chip, ranks), (experts / per_chip / at.expert, ranks / at.expert)


def _step_memory(model: Transformer, at: Layout, sequence: float, zero: int, recompute: str, flash: bool) -> dict:
    """Bytes on the fullest chip, by part. Activations after Korthikanti et al. (2022), with sequence parallelism, which also
    splits the layer inputs that full recomputation keeps (their table 2 leaves those whole)."""
    states = {part: width * sum(size / (ranks if zero >= SHARDED[part] else 1) for size, ranks in _shards(model, at))
              for part, width in BYTES_A_PARAM.items()}
    tokens = at.micro_batch * sequence / at.context
    active = model.experts_active * model.expert_d_ff + model.experts_shared * model.expert_d_ff if model.moe_layers else model.d_ff
    layer = tokens * (18 * model.d_model + (6 if model.gated else 4) * active) / at.tensor
    scores = 0 if flash or recompute == "selective" else 5 * model.heads * tokens * sequence / at.tensor
    kept = {"none": layer + scores, "selective": layer, "full": 2 * tokens * model.d_model / at.tensor}[recompute]
    in_flight = min(at.micro_batches, at.pipeline) * (1 + (at.pipeline - 1) / at.pipeline / at.interleave * (at.interleave > 1))
    working = layer + scores if recompute == "full" else 0
    logits = 4 * tokens * model.vocab / at.tensor if at.pipeline == 1 else 0
    return states | {"activations": kept * model.layers / at.pipeline * in_flight + working + logits}


def _links(chip: Chip, at: Layout, network_bandwidth) -> tuple[float, float]:
    """B/s inside and outside the scale-up domain; any number does where one chip works alone."""
    inside = chip.link_bandwidth
    outside = inside if network_bandwidth is None else scalar("network_bandwidth", network_bandwidth)
    alone = at.tensor == at.pipeline == at.context == at.data == 1
    needed = ([inside] if at.tensor > 1 else []) + ([outside] if at.pipeline * at.context * at.data > 1 else [])
    if any(math.isnan(rate) for rate in needed):
        raise BadValue(f"{chip.name}: its link bandwidth is not known; give network_bandwidth or chip.replace(link_bandwidth=...)")
    return (1.0 if alone or math.isnan(inside) else inside), (1.0 if alone or math.isnan(outside) else outside)


def _step_traffic(model: Transformer, at: Layout, sequence: float, zero: int, recompute: str, link: float, net: float) -> dict:
    """Seconds of each kind of communication on one chip, none of it hidden."""
    tokens, layers = at.micro_batch * sequence / at.context, model.layers / at.pipeline
    activation = 2.0 * tokens * model.d_model
    rounds = at.micro_batches * layers
    cache = model.kv_layer_bytes("bf16") * at.micro_batch * sequence / at.tensor
    rounds_of_gradients = 1.0 if zero < 3 else 1.5 * at.micro_batches  # ZeRO-3 gathers twice and scatters once a micro-batch
    return {
        "tensor": rounds * (6 if recompute == "full" else 4) * all_reduce_seconds(activation, at.tensor, link),
        "context": rounds * 3 * all_gather_seconds(cache, at.context, net),
        "expert": at.micro_batches * model.moe_layers / at.pipeline * 4
        * all_to_all_seconds(activation * model.experts_active / at.tensor, at.expert, net),
        "pipeline": 2 * at.micro_batches * at.interleave * activation / at.tensor / net * (at.pipeline > 1),
        "data": rounds_of_gradients * sum(all_reduce_seconds(2.0 * size, n, net) for size, n in _shards(model, at)),
    }


def train_step(model, chip, chips, batch_tokens, sequence, tensor=1, pipeline=1, data=None, micro_batch=1, interleave=1,
               context_parallel=1, expert=1, zero=1, recompute: str = "none", dtype: str = "bf16", stack: str = "roofline",
               causal: bool = False, flash: bool = True, network_bandwidth=None) -> Step:
    """Time, utilisation and memory of one training step under a parallel layout.

    Parameters
    ----------
    model : str or Transformer
    chip : str or Chip
    chips, tensor, pipeline, data, context_parallel, expert : int
        chips = tensor x pipeline x context_parallel x data; `data` is derived if None. Experts are spread over `expert`
        of the data ranks.
    batch_tokens, sequence : float
        Tokens of a step and of one sequence.
    micro_batch, interleave : int
        Sequences of a micro-batch; model chunks a pipeline stage.
    zero : {0, 1, 2, 3}
        What the data ranks split: nothing, optimizer, + gradients, + weights (FSDP).
    recompute : {"none", "selective", "full"}
        Activations computed again in the backward pass.
    dtype : str
        Dtype of the peak.
    stack : {"roofline", "overlap", "calibrated"}
        "roofline": arithmetic at peak, tensor, context and expert communication exposed, gradients hidden behind the
        backward pass as far as it lasts. "overlap": everything hidden, the lower bound. "calibrated": shares of the peaks
        fitted to published runs, with low and high as an 80 % interval (see `train_calibration`); sequence parallelism
        wherever tensor > 1, except for full recomputation without flash.
    causal, flash : bool
        Count half of the attention FLOPs; never store attention scores.
    network_bandwidth : float, optional
        B/s a chip, one direction, outside the scale-up domain; if None the chip's own links ("calibrated": the usual
        network port of the known server GPUs).

    Returns
    -------
    Step

    Raises
    ------
    BadValue
        If the layout does not divide the chips or the batch, or the chip's link bandwidth is not known.

    References
    ----------
    Narayanan et al. (2021); Korthikanti et al. (2022); Rajbhandari et al. (2020), ZeRO.
    """
    model, chip = find_model(model), find_chip(chip)
    choice("stack", stack, ("roofline", "overlap", "calibrated")), choice("recompute", recompute, tuple(REPEATED))
    if whole("zero", zero) > 3:
        raise BadValue(f"zero={zero!r}: 0, 1, 2 or 3 is needed")
    sequence, tokens = scalar("sequence", sequence), scalar("batch_tokens", batch_tokens)
    at = Layout.of(model, chips, tokens / sequence, tensor, pipeline, data, micro_batch, interleave, context_parallel, expert)
    links = _links(chip, at, network_bandwidth)
    useful = tokens * model.flops_per_token(sequence, training=True, causal=causal)
    done = useful + tokens * REPEATED[recompute](model, sequence, causal)
    rate = at.tensor * at.pipeline * at.context * at.data * chip.peak[dtype]
    wires = _step_traffic(model, at, sequence, zero, recompute, *links)
    bubble, compute = bubble_fraction(at.pipeline, at.micro_batches, at.interleave), done / rate
    carried = max(wires["tensor"], sum(wires.values()) - wires["tensor"])  # two kinds of wires, all hidden
    low = max(compute / (1 - bubble), carried)
    exposed = compute + wires["tensor"] + wires["context"] + wires["expert"]
    high = (exposed + wires["pipeline"]) / (1 - bubble) + wires["data"]
    middle = exposed / (1 - bubble) + max(0.0, wires["data"] - 2 / 3 * compute)
    seconds = low if stack == "overlap" else max(low, middle)
    if stack == "calibrated":
        from .train_calibration import calibrated_seconds  # only here: it reads the published runs

        needed = tokens * (model.flops_per_token(sequence, training=True, causal=True) + REPEATED[recompute](model, sequence, True))
        least = max(needed / rate / (1 - bubble), carried)  # real kernels skip the masked half
        fitted = calibrated_seconds(model, chip, at, sequence, zero, recompute, dtype, flash, network_bandwidth)
        seconds, low, high = (max(least, time) for time in fitted)
    memory = _step_memory(model, at, sequence, zero, recompute, flash)
    held = sum(memory.values())
    return Step(seconds, useful / seconds / rate, done / seconds / rate, held, held <= chip.memory_bytes, low, high, bubble,
                {"compute": compute} | wires, memory)
