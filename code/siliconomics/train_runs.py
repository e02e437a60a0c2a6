"""What did a published training run really run? Its step as inputs; what the source leaves out is derived by one rule for all."""
import math

from .catalog import Chip, chip as find_chip, model as find_model
from .checks import UnknownName
from .training import Layout, _step_memory
from .transformer import Transformer

ROOM = 1.1  # of the memory: grouped queries keep less than the activation count says


def _shape(row: dict) -> Transformer:
    """The row's model: the catalogue's, else its stated sizes, else layers of width 128 x depth that give the parameters."""
    try:
        whole = find_model(row["model"].split(" (")[0])
        return whole.replace(layers=row["layers"] or whole.layers, moe_layers=min(whole.moe_layers, row["layers"] or whole.layers))
    except UnknownName:
        width, layers = row["d_model"], row["layers"]
    layers = layers or round(row["params"] / (12 * width**2) if width else (row["params"] / 12 / 128**2) ** (1 / 3))
    width = width or 128 * round(math.sqrt(row["params"] / 12 / layers) / 128)
    heads = row["heads"] or width // 128
    return Transformer(row["model"], layers, width, heads, row["kv_heads"] or heads, row["head_dim"] or width // heads,
                       row["d_ff"] or 4 * width, row["vocab"] or 51200, gated=bool(row["gated"]))


def _held(model, at, sequence, zero, recompute, flash) -> float:
    return sum(_step_memory(model, at, sequence, zero, recompute, flash).values())


def _split(row: dict, model: Transformer, chip: Chip, chips: int, sequence: int, zero: int, flash: bool) -> tuple[int, int, int]:
    """(tensor, pipeline, context) ranks: as stated, else the fewest that hold the model and leave a sequence to each data rank."""
    context, wanted = row["context_parallel"] or 1, row["sequences"] or chips
    if row["tensor"] or row["pipeline"] or row["data"]:
        return row["tensor"] or 1, row["pipeline"] or 1, context
    choices = [(t, p, c) for t in (1, 2, 4, 8) for p in range(1, model.layers + 1) for c in (1, 2, 4, 8, 16, 32, 64)
               if chips % (t * p * c) == 0 and model.layers % p == 0 and (p == 1 or t == 8) and (c == 1 or t == 8)]
    choices = sorted((n for n in choices if chips / math.prod(n) <= wanted), key=lambda n: (math.prod(n), n[1], n[2])) or [(1, 1, 1)]
    held = (_held(model, Layout(t, p, c, chips // (t * p * c), 1, 1, 1, p), sequence, zero, "selective", flash) for t, p, c in choices)
    return next((n for n, size in zip(choices, held) if zero == 3 or size <= ROOM * chip.memory_bytes), choices[-1])


def _memory_choice(row, model, chip, at, sequence, zero, flash) -> tuple[int, str]:
    """(micro-batch, recomputation): as stated, else the largest up to 8192 tokens and the least that fit together."""
    local = max(1, (row["sequences"] or at.data * max(1, 8192 // sequence)) // at.data)
    largest = local if chip.vendor == "Google" else min(local, max(1, 8192 // sequence))
    sizes = [row["micro_batch"]] if row["micro_batch"] else [largest // 2**i for i in range(largest.bit_length())]
    kinds = [row["recompute"]] if row["recompute"] else ["full"] if chip.vendor == "Google" else ["none", "selective", "full"]
    tries = [(size, kinds[0]) for size in sizes] + [(sizes[-1], kind) for kind in kinds[1:]]
    fits = (n for n in tries if _held(model, Layout(at.tensor, at.pipeline, at.context, at.data, 1, n[0], at.interleave, at.pipeline),
                                      sequence, zero, n[1], flash) <= ROOM * chip.memory_bytes)
    return next(fits, tries[-1])


def step_of(row: dict) -> tuple:
    """(model, chip, layout, sequence, zero, recompute, dtype, flash) of a published run; what it does not state is derived.

    Defaults: 2048 tokens a sequence, 1024 chips, weights split over all data ranks (ZeRO-3) on a torus and the optimizer
    (ZeRO-1) elsewhere, the smallest model-parallel layout that fits, up to four chunks an interleaved stage, four
    micro-batches a stage, fused attention from 2023 on.
    """
    model, chip = _shape(row), find_chip(row["chip"])
    sequence, chips = row["sequence"] or 2048, row["chips"] or 1024
    flash = row["as_of"] >= "2023" and not (row["software"] or "").startswith("no ")
    derived = 3 if chip.vendor == "Google" else 1
    zero = derived if row["zero"] is None or (row["zero"] == 0 and not row["tensor"]) else row["zero"]
    tensor, pipeline, context = _split(row, model, chip, chips, sequence, zero, flash)
    data = max(1, chips // (tensor * pipeline * context))
    interleave = row["interleave"] or (min(4, -(-model.layers // pipeline)) if pipeline > 1 else 1)
    at = Layout(tensor, pipeline, context, data, 1, 1, interleave, 1)
    micro, recompute = _memory_choice(row, model, chip, at, sequence, zero, flash)
    rounds = max(1, round((row["sequences"] or data * micro * (4 * pipeline if pipeline > 1 else 1)) / (data * micro)))
    dtype = {"mxfp8": "fp8", "nvfp4": "fp4", None: "bf16"}.get(row["dtype"], row["dtype"])
    dtype = dtype if dtype in chip.peak else "fp16" if "bf16" not in chip.peak else "bf16"
    at = Layout(tensor, pipeline, context, data, math.gcd(row["expert"] or 1, data), micro, interleave, rounds)
    return model, chip, at, sequence, int(zero), recompute, dtype, flash


def quantity(row: dict, run: tuple, time):
    """Seconds of a step as the row's quantity; the way back is the same division."""
    model, chip, at, sequence, dtype = *run[:4], run[6]
    if row["quantity"] == "step_seconds":
        return time
    tokens = at.micro_batches * at.micro_batch * sequence / (at.tensor * at.pipeline * at.context)
    if row["quantity"] == "tokens_per_second_per_chip":
        return tokens / time
    again = 4 / 3 if row["basis"] == "hardware" or row["quantity"] == "hfu" else 1.0  # hardware counts repeat the forward pass
    flops = again * tokens * model.flops_per_token(sequence, training=True, causal=row["basis"] == "model")
    return flops / time / (1.0 if row["quantity"] == "flops_per_second_per_chip" else chip.peak[dtype])
