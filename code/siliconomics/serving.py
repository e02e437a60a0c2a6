"""How long does a user wait for a token while others are served? Continuous batching on the calibrated forward pass."""
from dataclasses import dataclass

import numpy as np

from . import calibrate, kernels
from .catalog import Chip, chip as find_chip, model as find_model
from .checks import BadValue, numbers, plain, scalar
from .forward import Shard, forward_seconds
from .kernels import plain as formula
from .transformer import Load, Transformer
from .units import dtype_bytes, fmt

CHUNK = 8192.0  # prompt tokens that an engine adds to one step at most: the default of vLLM and TensorRT-LLM on data-centre chips
ENGINE_SHARE = 0.9 * 1.0737  # of the chip's memory: engines take 90 % by default, and a vendor's GB is 2^30 bytes there
TURNS = 6  # of the fixed point between batch and step time; the last one moves it by less than a thousandth


@dataclass(frozen=True)
class Serving:
    """A served model under steady load. Times are means over requests; `low` and `high` bound the time per output token.

    `ttft_bound` is the time to first token of a request that does not queue: real ones are longer under load.
    `batch` is the number of requests that decode at once: fewer than the clients, some of whom wait for a first token.
    """

    seconds_per_output_token: float
    ttft_bound: float
    tokens_per_second: float
    usd_per_mtok: float
    low: float
    high: float
    batch: float
    fits: bool
    basis: str
    label: str = ""

    def __str__(self) -> str:
        if np.ndim(self.seconds_per_output_token):
            return f"{self.label}: {np.size(self.seconds_per_output_token)} configurations"
        price = "" if np.isnan(self.usd_per_mtok) else f", {fmt(self.usd_per_mtok, '$/Mtok')}"
        return (f"{self.label}: {fmt(self.seconds_per_output_token, 's')} a token ({fmt(self.low, 's')} to {fmt(self.high, 's')}), "
                f"{self.tokens_per_second:,.0f} tokens/s{price}{'' if self.fits else ', DOES NOT FIT'}")


def steady(model: Transformer, chip: Chip, at: Shard, users, prompt, output, weights="bf16", kv="bf16", compute=None, host=(0.0, 0.0)):
    """(seconds per output token, seconds to first token, batch) where arrivals and departures balance; `host` seconds a step and a sequence.

    Between two tokens of a request the others' prompts are processed: each of them once in the request's life, so
    (batch - 1)/output a step, `chunk` tokens at a time, together with the tokens that decode.
    """
    def step(load: Load):
        return forward_seconds(model, chip, load, at, weights, kv, compute) + host[0] + host[1] * load.sequences

    chunk, context = np.minimum(prompt, CHUNK), prompt + output / 2.0
    room = room_for(model, chip, at, context, weights, kv)
    batch = np.minimum(users, room)
    for _ in range(TURNS):
        decoding, mixed = step(Load(batch, context)), step(Load(batch, context, chunk, prompt))
        seconds = formula(kernels.interleaved)(decoding, mixed, batch, prompt / chunk, output)
        first = mixed * prompt / chunk
        batch = np.clip(users * output * seconds / (output * seconds + first), 1.0, room)
    return seconds, first, batch


def serve(model, chip, chips=1, concurrency=1, prompt=1024, output=1024, weights="bf16", kv="bf16", compute: str | None = None,
          expert=1, attention_data=1, software: str | None = None, usd_per_chip_hour=None, pipeline=1) -> Serving:
    """Time per output token and throughput of a model under continuous batching, with an 80 % interval.

    Parameters
    ----------
    model : str or Transformer
    chip : str or Chip
    chips, expert, attention_data, pipeline : float
        chips = tensor x attention_data x pipeline. `attention_data` groups of chips hold sequences of their own (DP
        attention) while they share the experts. Whether whole experts are dealt to `expert` ranks or each is cut, a chip
        reads the same bytes, so `expert` changes nothing here. Of the measured pairs that differ in it alone, 35 of gpt-oss
        agree within 4 %; DeepSeek-R1 is a third slower with expert ranks under one engine and a third quicker under another.
    concurrency, prompt, output : float or array_like
        Requests in flight; tokens of a prompt and of an answer.
    weights, kv, compute
        As for `decode`. A model of experts in four bits keeps all but the experts in bf16.
    software : str, optional
        "vllm", "trtllm" or "sglang": adds its measured host time a step. Another name, or None, takes the mean of those
        and a wider interval.
    usd_per_chip_hour : float or array_like, optional

    Returns
    -------
    Serving

    Raises
    ------
    BadValue, UnknownName, MissingDtype

    References
    ----------
    Kernel efficiencies from measurements, see `siliconomics.calibrate`; chapter 9 shows the errors.

    Examples
    --------
    >>> served = serve("Llama 3.1 70B", "H200 SXM", 2, concurrency=32, weights="fp8", kv="fp8", software="trtllm")
    >>> served.fits, served.low < served.seconds_per_output_token < served.high
    (True, True)
    """
    model, chip = find_model(model), find_chip(chip)
    n, data, stages, _ = (scalar(name, value, least=1.0) for name, value in dict(
        chips=chips, attention_data=attention_data, pipeline=pipeline, expert=expert).items())
    tensor = n / (data * stages)
    if tensor != int(tensor):
        raise BadValue(f"chips={n:g} is not a multiple of attention_data x pipeline = {attention_data} x {pipeline}")
    users, prompt, output, price = numbers(locals(), one="concurrency prompt output", optional="usd_per_chip_hour")
    at = Shard(tensor, data, stages)
    known = (software, "host_step") in calibrate.stored("serving")
    seconds, first, batch = steady(model, chip, at, users, prompt, output, weights, kv, compute, host_of(software if known else "mean"))
    held, rate = model.weight_bytes(dtype_bytes(weights, "weights")), batch / seconds
    kind, unknown = "experts" if model.moe_layers else "dense", [] if known else ["unknown software"]
    low, high, basis = calibrate.model_interval("serving", kind, chip, chip.compute_dtype(weights, compute), unknown)
    basis += "; engine measured" if known else "; engine unknown: mean of others"
    label = f"{model.name} on {n:g} x {chip.name}, {weights}, {users.flat[0]:g} users" if users.size == 1 else model.name
    return Serving(*map(plain, (seconds, first, rate, formula(kernels.usd_per_mtok)(price * n, rate), seconds * low, seconds * high,
                                batch, np.full(np.shape(seconds), held < n * chip.memory_bytes))), basis, label)


def assumed_cache(weights) -> str:
    """The format of caches where a record leaves it out: 8 bits beside fp8 weights, which the users served without a queue need."""
    return "fp8" if weights == "fp8" else "bf16"


def host_of(software: str) -> tuple[float, float]:
    """Host seconds that an engine adds to a step, and to it for each sequence."""
    return tuple(calibrate.constant("serving", software, c) for c in ("host_step", "host_sequence"))


def room_for(model: Transformer, chip: Chip, at: Shard, context, weights, kv):
    """Requests whose caches fit beside the weights: at least one, so that what does not fit still gets a time.

    A latent cache is one head, so every tensor rank holds all of it.
    """
    chips, copies = at.ranks * at.pipeline, at.tensor if model.kv_rank else 1.0
    free = ENGINE_SHARE * chips * chip.memory_bytes - model.weight_bytes(dtype_bytes(weights, "weights"))
    return np.maximum(free / (copies * np.asarray(model.kv_bytes(context, dtype_bytes(kv, "kv")))), 1.0)
