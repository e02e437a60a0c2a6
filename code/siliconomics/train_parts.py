"""Where does a training step spend its time? Each kind of work of one chip, at full rates: nothing here is fitted."""
import math
from functools import cache

from .catalog import Chip
from .tables import table
from .training import Layout, _shards, _step_traffic, bubble_fraction
from .transformer import Transformer

OPTIMIZER_BYTES = 38.0  # a parameter: Adam reads and writes fp32 weights and moments, reads gradients, clears and scales them


@cache
def network(chip: Chip) -> tuple[float, float]:
    """(B/s of a chip's network ports, chips of one scale-up domain) as usual for it; a torus has no end, its links are its network."""
    known = {(row["chips"], row["quantity"]): row["value"] for row in table("networks")}
    name = chip.name.split()[0]
    domain = math.inf if chip.vendor == "Google" else known.get((name, "domain"), known["GPU", "domain"])
    return known.get((name, "fabric"), chip.link_bandwidth), domain


def ring_rate(chip: Chip, ranks: int, stride: int, fabric: float) -> float:
    """B/s of each chip in a ring of `ranks` chips that stand `stride` apart.

    Inside a scale-up domain the links carry it. A ring over several domains enters and leaves each of them once, through
    the network ports of all its members there.
    """
    domain = network(chip)[1]
    link = fabric if math.isnan(chip.link_bandwidth) else chip.link_bandwidth
    if ranks == 1:
        return 1.0  # it sends nothing, any rate does
    return link if ranks * stride <= domain else min(link, fabric * max(1, domain // stride))


def _layer_bytes(model: Transformer, at: Layout, tokens: float, span: float, passes: int, recompute: str, flash: bool) -> float:
    """Bytes that a layer moves on one chip in a step's passes over one micro-batch."""
    width, heads = model.d_model, model.heads * model.head_dim
    queries = heads + 2 * model.kv_heads * model.head_dim
    routed = (model.experts_active + model.experts_shared) * model.moe_layers / model.layers
    copies = 1 - model.moe_layers / model.layers + routed  # how often a token's vector enters a feed-forward block
    hidden = model.d_ff * (1 - model.moe_layers / model.layers) + routed * model.expert_d_ff
    gates = (2 if model.gated else 1) * hidden
    operands = tokens * (2 * width * (1 + copies) + (heads + queries + gates + hidden) / at.tensor)
    weights = sum(size for size, _ in _shards(model, at)) / model.layers * at.pipeline
    split = at.tensor if flash or recompute == "selective" else 1  # sequence parallelism came with selective recomputation
    mask = 0 if model.gated else 1  # dropout's byte, in the older models
    pointwise = tokens * width / split * (8 + 2 * (6 + mask)) + tokens / at.tensor * 2 * (gates + hidden)  # norms, residuals; activation
    rotary = 4 * tokens * queries / at.tensor if model.gated else 0
    scores = 0 if flash else tokens * span * model.heads / at.tensor
    return (passes * 2 * (weights + operands) + (passes - 0.45) * (pointwise + rotary)  # backward moves 1.55 times the forward bytes
            + scores * (13 * (1 if recompute == "none" else 2) + 19))  # write, softmax, dropout, read; and back


def step_parts(model: Transformer, chip: Chip, at: Layout, sequence: float, zero: int, recompute: str, dtype: str, flash: bool,
               fabric: float | None = None) -> dict:
    """Seconds that each kind of work of a step would take on one chip at full rates, the pipeline's bubble included."""
    half = chip.peak[next((d for d in ("bf16", "fp16") if d in chip.peak), dtype)]
    fabric = fabric or network(chip)[0]
    tokens, passes = at.micro_batch * sequence / at.context, 4 if recompute == "full" else 3
    filled = at.micro_batches / (1 - bubble_fraction(at.pipeline, at.micro_batches, at.interleave))
    rounds = filled / at.pipeline  # times a chip goes through the whole model, had it all layers
    forward = 2.0 * (model.active_params - model.embedding_params) * tokens / at.tensor
    span = model.attention_flops(sequence, causal=flash) * tokens / at.tensor
    head = 6.0 * tokens * model.vocab * model.d_model / at.tensor * at.micro_batches  # the last stage's; the others wait for it
    products = rounds * passes * forward / chip.peak[dtype]
    scores = 0.0 if flash else rounds * span * (3 if recompute == "none" else 4) / half
    states = sum(size / (ranks if zero else 1) for size, ranks in _shards(model, at)) * OPTIMIZER_BYTES
    logits = at.micro_batches * (6 * (tokens + model.vocab / at.tensor) * model.d_model + 30 * tokens * model.vocab / at.tensor)
    layer = _layer_bytes(model, at, tokens, sequence, passes, recompute, flash)
    sent = _step_traffic(model, at, sequence, zero, recompute, 1.0, 1.0)  # bytes
    regather = 1.25 if flash or recompute == "selective" else 1.0  # sequence parallelism gathers layer inputs again in the backward pass
    near, wide = ring_rate(chip, at.tensor, 1, fabric), ring_rate(chip, at.context * at.data, at.tensor, fabric)
    far = ring_rate(chip, at.pipeline, at.tensor * at.context * at.data, fabric)
    narrow = dtype not in ("bf16", "fp16")
    return {
        "gemm": (0.0 if narrow else products) + scores + head / half, "narrow": products if narrow else 0.0,
        "attention": rounds * span * (3.5 + (recompute == "full")) / half if flash else 0.0,
        "memory": (rounds * model.layers * layer + logits + states) / chip.bandwidth,
        "tensor": regather * filled / at.micro_batches * sent["tensor"] / near,
        "hidden": (sent["data"] + sent["context"]) / wide, "exposed": 2 * sent["pipeline"] / far + sent["expert"] / wide,
        "launch": rounds * model.layers * passes,
    }
