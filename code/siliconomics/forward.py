"""How long does one pass through all layers take on measured kernels? Part by part, for a shard of the model.

`decode` and `prefill` call it with ``stack="calibrated"``, `serve` for every step of an engine.
"""
from dataclasses import dataclass

import numpy as np

from . import calibrate, kernels
from .catalog import Chip
from .kernels import plain as formula
from .transformer import Load, Transformer
from .units import dtype_bytes

SIXTEEN = 2.0  # bytes of an activation
TILE = 128.0  # rows of an expert that its product works on at once
EXPERT_LAUNCHES = 10  # of a layer of experts: choose (2), sort (2), permute (2), product, activation, product, put back
FOUR_BIT = ("mxfp4", "nvfp4", "fp4", "int4")  # published models of experts store only those in four bits


@dataclass(frozen=True)
class Shard:
    """How the chips of one replica share a pass: `tensor` ranks split the matrices, `attention_data` groups split the sequences
    in attention, and all of them share the experts. `pipeline` stages work one after the other."""

    tensor: float = 1
    attention_data: float = 1
    pipeline: float = 1

    @property
    def ranks(self) -> float:
        """Chips of one stage."""
        return self.tensor * self.attention_data


def attention_products(model: Transformer, tensor: float) -> list[tuple[float, float]]:
    """(n, k) of each matrix product of one attention block on one of `tensor` ranks; key-value heads are copied, not cut."""
    heads = model.heads / tensor
    if model.kv_rank:
        low = model.q_rank or model.d_model
        down = (model.q_rank + model.kv_rank + model.rope_dim, model.d_model)
        return [down, (heads * model.head_dim, low), (heads * model.nope_dim, model.kv_rank), (heads * model.v_dim, model.kv_rank),
                (model.d_model, heads * model.v_dim)]
    kv_heads = np.maximum(model.kv_heads / tensor, 1.0)
    return [((heads + 2 * kv_heads) * model.head_dim, model.d_model), (model.d_model, heads * model.head_dim)]


def ffn_products(model: Transformer, width: float, ranks: float) -> list[tuple[float, float]]:
    """(n, k) of the matrix products of a feed-forward block of `width` cut over `ranks`; gate and up run as one."""
    return [((2 if model.gated else 1) * width / ranks, model.d_model), (model.d_model, width / ranks)]


def _products(chip: Chip, dtype, compute, rows, shapes) -> np.ndarray:
    return sum(calibrate.gemm_seconds(chip, rows, n, k, dtype, compute, quantise=False) for n, k in shapes)


def _attention(model: Transformer, chip: Chip, kv, load: Load, at: Shard):
    """Seconds of the attention kernels over all layers: reading the caches, and the scores of fresh prompts.

    A latent cache serves all heads of a rank at once, so that its arithmetic can take longer than its bytes. A short prompt
    fills the chip badly: one of `half_length` tokens reaches half of the rate of a long one.
    """
    sequences, fresh = load.sequences / at.attention_data, load.fresh / at.attention_data
    heads, kv_heads = model.heads / at.tensor, np.maximum(model.kv_heads / at.tensor, 1.0)
    reached = chip.peak[chip.best_16bit] * calibrate.constant("prompt_attention", "all", "compute_share")
    short = 1.0 + calibrate.constant("prompt_attention", "all", "half_length") / np.maximum(load.prompt, 1.0)
    latent = 2.0 * heads * (2 * model.kv_rank + model.rope_dim) if model.kv_rank else 0.0  # FLOPs of a token on a cached one
    seconds = 0.0
    for layers, seen in ((model.full_layers, np.inf), (model.windowed_layers, float(model.window))):
        if layers:
            cached = np.minimum(load.context, seen)
            reading = calibrate.attention_seconds(chip, sequences, cached, heads, kv_heads, model, kv)
            span = formula(kernels.causal_span)(load.prompt, seen)
            scores = fresh * formula(kernels.attention_flops)(heads, model.head_dim, model.v_dim or model.head_dim, span)
            seconds = seconds + layers * (np.maximum(reading, sequences * cached * latent / reached) + scores * short / reached)
    return seconds


def _experts(model: Transformer, chip: Chip, dtype, compute, tokens, at: Shard):
    """Seconds of one layer's experts: router, the products of the distinct experts hit, and those that all tokens share."""
    shared = model.experts_shared * model.expert_d_ff
    return (_routed(model, chip, dtype, compute, tokens, at) + _products(chip, "bf16", None, tokens, [(model.experts, model.d_model)])
            + (_products(chip, dtype, compute, tokens, ffn_products(model, shared, at.ranks)) if shared else 0.0))


def _routed(model: Transformer, chip: Chip, dtype, compute, tokens, at: Shard):
    """Seconds of one layer's routed experts on one chip.

    Each distinct expert is read once, at the share of the bandwidth that timed layers of experts reach; half a tile of its rows
    is padding. Popular experts are hit again and again, so that a batch reads fewer than even routing would.
    """
    used = chip.compute_dtype(dtype, compute)
    reached, sixteen = calibrate.efficiency(chip, used), calibrate.efficiency(chip, chip.best_16bit)
    rows, share, evenness = tokens * model.experts_active, *(calibrate.constant("experts", "all", c) for c in ("bandwidth_share", "evenness"))
    hit = formula(kernels.uneven_experts)(model.experts, model.experts_active, np.maximum(tokens, 1.0), evenness)
    read = model.expert_params * hit * dtype_bytes(dtype) + SIXTEEN * rows * (2 * model.d_model + 3 * model.expert_d_ff)
    flops = 2.0 * model.expert_params * (rows + hit * TILE / 2)
    times = read / (at.ranks * chip.bandwidth * share), flops / (at.ranks * chip.peak[used] * reached.compute_share)
    return EXPERT_LAUNCHES * sixteen.launch + formula(kernels.smooth_max)(*times, reached.sharpness)


def forward_parts(model: Transformer, chip: Chip, load: Load, at: Shard, weights="bf16", kv="bf16", compute=None) -> dict:
    """Seconds of one pass by part: products, experts, attention, communication, elementwise, head.

    Parameters
    ----------
    model, chip : Transformer, Chip
    load : Load
        Arrays broadcast.
    at : Shard
    weights, kv, compute
        As for `decode`.

    Returns
    -------
    dict of str to float or ndarray
    """
    dtype = "bf16" if weights in FOUR_BIT and model.moe_layers else weights  # of all but the experts
    tokens, dense = load.tokens, model.layers - model.moe_layers
    rows = tokens / at.attention_data
    return {
        "products": model.layers * _products(chip, dtype, compute, rows, attention_products(model, at.tensor))
        + (dense * _products(chip, dtype, compute, tokens, ffn_products(model, model.d_ff, at.ranks)) if dense else 0.0),
        "experts": model.moe_layers * _experts(model, chip, weights, compute, tokens, at) if model.moe_layers else 0.0,
        "attention": _attention(model, chip, kv, load, at),
        "communication": 2 * model.layers * calibrate.all_reduce_seconds(chip, SIXTEEN * tokens * model.d_model, at.ranks),
        "elementwise": model.layers * calibrate.elementwise_seconds(chip, model, tokens, at.ranks),
        "head": _products(chip, "bf16", None, load.sequences + load.fresh / np.maximum(load.prompt, 1.0), [(model.vocab / at.tensor, model.d_model)]),
    }


def forward_seconds(model: Transformer, chip: Chip, load: Load, at: Shard, weights="bf16", kv="bf16", compute=None):
    """Seconds of one pass through all stages, one after the other, and never below the physical bound. See `forward_parts`."""
    total = sum(forward_parts(model, chip, load, at, weights, kv, compute).values())
    return np.maximum(total, _bound(model, chip, load, at, weights, kv, compute))


def _bound(model, chip, load, at, weights, kv, compute):
    """The physical bound of the chips that work at the same time, see `kernels.decode_overlap`."""
    floor = formula(kernels.memory_floor)
    read = model.weight_bytes_read(np.maximum(load.tokens, 1.0), dtype_bytes(weights), embedding=False)
    cache = load.sequences * model.kv_bytes(load.context, dtype_bytes(kv))
    arithmetic = 2.0 * model.compute_params * load.tokens / (at.ranks * chip.peak[chip.compute_dtype(weights, compute)])
    return formula(kernels.decode_overlap)(floor(read, at.ranks, chip.bandwidth), floor(cache, at.ranks, chip.bandwidth), arithmetic)
