"""Plain-NumPy twins of the core's formulas, written from the papers named in each line, not from the core.

A twin takes the quantities of its paper and shares no code with the package, so that a wrong constant must be made
twice to go unseen. `TWINS` maps the name of a compiled formula to its twin.
"""
from types import SimpleNamespace

import numpy as np

# --- roofline: Williams, Waterman, Patterson 2009 -------------------------------------------------------------------


def attainable(intensity, peak, bandwidth):
    below_ridge = intensity < peak / bandwidth
    return np.where(below_ridge, intensity * bandwidth, peak)


def ridge(peak, bandwidth):
    return peak * bandwidth**-1.0


def critical_batch(peak, bandwidth, bytes_per_weight):
    """A batch of B does 2 B FLOP with each weight, whose read takes `bytes_per_weight` / BW seconds."""
    return (bytes_per_weight / bandwidth) / (2.0 / peak)


# --- parameters: Vaswani 2017, Shazeer 2019 and 2020, DeepSeek-V2 section 2.1 ----------------------------------------


def matmul_flops(m, n, k):
    """m n sums of k products: k multiplications and k additions each, the first addition to zero."""
    return m * n * (k + k)


def systolic_period(rows, size, buffered):
    """Kung 1982, Jouppi 2017: the slower of streaming and loading; Samajdar 2020: 2 R + C + T - 2 of a square array."""
    return np.where(buffered, np.where(rows > size, rows, size), 2 * size + size + rows - 2)


def systolic_arrival(tile, row, column, size, period):
    loaded, diagonal = size + tile * period, row + column
    return loaded + diagonal


def systolic_utilisation(m, k, n, size, tiles, period):
    first_of_last_tile = size + (tiles - 1) * period
    last_sum_out = first_of_last_tile + (m - 1) + (size - 1) + (size - 1)
    return (m * k * n) / (size * size) / (last_sum_out + 1)


def distinct_experts(experts, active, batch):
    """Each of E experts is missed by one token with probability 1 - k/E, by B tokens with its B-th power."""
    with np.errstate(divide="ignore"):
        return -experts * np.expm1(batch * np.log1p(-active / experts))


def uneven_experts(experts, active, batch, evenness):
    """Missed by the first token, then by the others with the negative binomial's chance of no event: p^s, p = s / (s + mean)."""
    mean = (batch - 1) * active / experts
    missed = (1 - active / experts) * np.exp(evenness * np.log(evenness / (evenness + mean)))
    return experts - experts * missed


# --- cache: Ainslie 2023 (GQA), DeepSeek-V2 table 1, Mistral 7B (sliding window) -------------------------------------


def kv_layer_bytes(kv_heads, head_dim, bytes_per_value):
    key = kv_heads * head_dim * bytes_per_value
    return key + key


def latent_layer_bytes(kv_rank, rope_dim, bytes_per_value):
    return kv_rank * bytes_per_value + rope_dim * bytes_per_value


def cached_tokens(context, window, full_layers, windowed_layers):
    return context * full_layers + np.where(context > window, window, context) * windowed_layers


def causal_span(context, window):
    """Mean of min(t, window) for t from 0 to `context`: a triangle, then a plateau."""
    plateau = (window**2 / 2 + window * (context - window)) / context
    return np.where(context <= window, context / 2, plateau)


def attention_flops(heads, qk_dim, v_dim, tokens):
    """PaLM appendix B: a multiply and an add for each value of the scores (q k) and of the weighted sum (p v)."""
    return 2.0 * tokens * heads * qk_dim + 2.0 * tokens * heads * v_dim


# --- utilisation, time, money: PaLM appendix B, Databricks 2023, How to Scale Your Model, Kaplan 2020 ----------------


def mfu(tokens_per_second, flops_per_token, chips, peak):
    roof = chips * peak / flops_per_token  # tokens/s at full use
    return tokens_per_second / roof


def mbu(bytes_read, seconds, chips, bandwidth):
    return (bytes_read / seconds) / (bandwidth * chips)


def memory_floor(bytes_read, chips, bandwidth):
    return bytes_read / bandwidth / chips


def decode_additive(weight_seconds, kv_seconds, compute_seconds):
    return np.maximum(kv_seconds + weight_seconds, kv_seconds + compute_seconds)


def decode_overlap(weight_seconds, kv_seconds, compute_seconds):
    memory = weight_seconds + kv_seconds
    return np.where(memory > compute_seconds, memory, compute_seconds)


def utilisation(seconds_at_peak, steps_per_second):
    return np.divide(seconds_at_peak, 1.0 / np.asarray(steps_per_second))


def speculative_tokens(acceptance, draft_tokens):
    drafted = np.asarray(draft_tokens, dtype=float)
    return np.where(acceptance == 1.0, drafted + 1, (1 - acceptance ** (drafted + 1)) / np.where(acceptance == 1.0, 1.0, 1 - acceptance))


def verify_slowdown(draft_tokens, batch, critical_batch):
    one = np.where(batch > critical_batch, batch / critical_batch, 1.0)
    return np.maximum(1.0, batch / critical_batch * (draft_tokens + 1)) / one


def usd_per_mtok(usd_per_hour, tokens_per_second):
    return 1e6 * usd_per_hour / (3600.0 * tokens_per_second)


def training_seconds(params, tokens, chips, peak, utilisation):
    forward, backward = 2.0 * params * tokens, 4.0 * params * tokens
    return (forward + backward) / utilisation / peak / chips


def rent(seconds, chips, usd_per_chip_hour):
    return usd_per_chip_hour * chips * (seconds / 60 / 60)


def energy(seconds, chips, watts, pue):
    return pue * watts * chips * seconds


def batch_that_fits(memory_bytes, weight_bytes, kv_bytes):
    return np.clip((memory_bytes - weight_bytes) // kv_bytes, 0, None)


# --- measured kernels: roofline with shares, Flash-Decoding, nccl-tests ------------------------------------------------


def smooth_max(a, b, sharpness):
    """The p-norm of two non-negative numbers, summed in logarithms."""
    with np.errstate(divide="ignore"):
        return np.exp(np.logaddexp(sharpness * np.log(a), sharpness * np.log(b)) / sharpness)


def gemm_seconds(m, n, k, activation, weight, quantise, peak, bandwidth, launch, bandwidth_share, compute_share, sharpness, depth):
    reached = bandwidth * bandwidth_share
    operands, result = k * (m * activation + n * weight), 2.0 * m * n
    times = np.array([(operands + result) / reached, m * n / compute_share * (2.0 * k / peak), depth * k])
    longest = times.max(axis=0)
    return launch + m * quantise / reached * k + longest * ((times / longest) ** sharpness).sum(axis=0) ** (1 / sharpness)


def attention_decode_seconds(kv_bytes, blocks, grouped, context, cache, peak, bandwidth, launch, bandwidth_share, sharpness, block,
                             block_grouped, join, join_half, cache_share):
    held = (cache * cache_share) ** 4
    from_memory = kv_bytes**5 / (kv_bytes**4 + held)
    each = np.where(grouped, block + block_grouped, block)
    streaming = from_memory / bandwidth / bandwidth_share
    return launch + join / (1 + join_half / context) + smooth_max(streaming, each / peak * blocks, sharpness)


def quicker_all_reduce(direct_seconds, ring_seconds, others, launch, hop, direct_share, setup, ring_share):
    direct, ring = direct_seconds / direct_share, ring_seconds / ring_share + setup
    return np.where(direct < ring, direct, ring) + hop * others + launch


def elementwise_seconds(bytes_moved, bandwidth, launch, bandwidth_share):
    return bytes_moved / bandwidth_share / bandwidth + launch


def interleaved(decoding, mixed, batch, chunks, output):
    """`output` steps of a life, of which (batch - 1) chunks carry somebody's prompt."""
    others = np.where(batch > 1, batch - 1, 0) * chunks
    return (decoding * (output - others) + mixed * others) / output


TWINS = {name: f for name, f in list(globals().items()) if callable(f) and f is not SimpleNamespace}

# --- whole models and steps, from the shape alone -------------------------------------------------------------------

BYTES = {"bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "int8": 1.0, "fp4": 0.5, "int4": 0.5, "mxfp4": 4.25 / 8}


def attention_params(d_model, heads, kv_heads, head_dim):
    query, key, value, output = d_model * heads * head_dim, d_model * kv_heads * head_dim, d_model * kv_heads * head_dim, heads * head_dim * d_model
    return query + key + value + output


def latent_attention_params(d_model, heads, q_rank, kv_rank, nope_dim, rope_dim, v_dim):
    direct = d_model * heads * (nope_dim + rope_dim)
    through_latent = d_model * q_rank + q_rank * heads * (nope_dim + rope_dim) + q_rank  # down, up, norm
    query = np.where(q_rank == 0, direct, through_latent)
    key_value = d_model * kv_rank + kv_rank + kv_rank * heads * nope_dim + kv_rank * heads * v_dim
    shared_rotary_key, output = d_model * rope_dim, heads * v_dim * d_model
    return query + key_value + shared_rotary_key + output


def ffn_params(d_model, d_ff, gated):
    up, down, gate = d_model * d_ff, d_ff * d_model, np.where(gated, d_model * d_ff, 0)
    return up + down + gate

def model_params(m, routed):
    """Parameters with `routed` experts counted in each layer that has experts; every layer has two norms."""
    if m.kv_rank:
        attention = latent_attention_params(m.d_model, m.heads, m.q_rank, m.kv_rank, m.nope_dim, m.rope_dim, m.v_dim)
    else:
        attention = attention_params(m.d_model, m.heads, m.kv_heads, m.head_dim)
    router = m.d_model * m.experts
    moe_layer = router + (m.experts_shared + routed) * ffn_params(m.d_model, m.expert_d_ff, m.gated)
    dense_layer = ffn_params(m.d_model, m.d_ff, m.gated)
    tables = (1 if m.tied else 2) * m.vocab * m.d_model + m.positions * m.d_model
    return (tables + m.layers * (attention + 2 * m.d_model) + m.d_model
            + m.moe_layers * moe_layer + (m.layers - m.moe_layers) * dense_layer)


def layer_cache(m, width):
    return latent_layer_bytes(m.kv_rank, m.rope_dim, width) if m.kv_rank else kv_layer_bytes(m.kv_heads, m.head_dim, width)


def kv_bytes(m, context, width):
    growing = m.layers - m.windowed_layers - m.recurrent_layers
    capped = np.minimum(context, m.window) if m.windowed_layers else 0.0
    return layer_cache(m, width) * (growing * context + m.windowed_layers * capped)


def decode(m, peak, bandwidth, memory, chips, batch, context, weights, kv, usd, overlap):
    """One decode step with all its figures, peaks and bandwidths of `chips` chips added up."""
    hit = distinct_experts(m.experts, m.experts_active, batch) if m.moe_layers else 0.0
    read, cache = model_params(m, hit) * BYTES[weights], batch * kv_bytes(m, context, BYTES[kv])
    used = model_params(m, m.experts_active) - m.positions * m.d_model
    flops, held = 2.0 * used * batch, model_params(m, m.experts) * BYTES[weights] + cache
    step = decode_overlap if overlap else decode_additive
    seconds = step(read / (chips * bandwidth), cache / (chips * bandwidth), flops / (chips * peak))
    bound = np.where(flops / peak > (read + cache) / bandwidth, "compute", "memory")
    return SimpleNamespace(
        seconds=seconds, tokens_per_second=batch / seconds, tokens_per_second_per_user=1 / seconds,
        mfu=flops / seconds / peak / chips, mbu=(read + cache) / seconds / bandwidth / chips, bound=bound,
        memory_bytes=held, fits=held <= memory * chips, usd_per_mtok=usd_per_mtok(usd * chips, batch / seconds))


# --- a forward pass: Touvron et al. 2023; Zhang and Sennrich 2019 (RMSNorm), Su et al. 2021 (RoPE), Shazeer 2020 (SwiGLU) -------


def llama_logits(tokens, matrices, norms, heads, groups):
    """Logits after each of `tokens`, all at once and without a cache. `matrices`: qkv, out, gate and up in turn, down, tied head."""
    qkv, out, gate_up, down, head = (np.asarray(m, float) for m in matrices)
    positions, size = np.arange(len(tokens)), out.shape[2] // heads

    def norm(x, weight):
        return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-5) * weight

    def rope(x):  # (positions, heads, size): a turn in the complex plane
        half = size // 2
        turned = (x[..., :half] + 1j * x[..., half:]) * np.exp(1j * positions[:, None] * 10_000.0 ** (-2 * np.arange(half) / size))[:, None]
        return np.concatenate([turned.real, turned.imag], axis=-1)

    x = head[tokens]
    for n in range(len(qkv)):
        q, k, v = np.split((norm(x, norms[2 * n]) @ qkv[n].T).reshape(len(tokens), -1, size), [heads, heads + groups], axis=1)
        k, v = (np.repeat(each, heads // groups, axis=1) for each in (rope(k), v))
        scores = np.einsum("qhi,khi->hqk", rope(q), k) / np.sqrt(size)
        weight = np.exp(np.where(positions <= positions[:, None], scores, -np.inf))
        x = x + np.einsum("hqk,khi->qhi", weight / weight.sum(axis=-1, keepdims=True), v).reshape(len(tokens), -1) @ out[n].T
        wide = norm(x, norms[2 * n + 1])
        gate, up = wide @ gate_up[n, ::2].T, wide @ gate_up[n, 1::2].T
        x = x + (gate / (1 + np.exp(-gate)) * up) @ down[n].T
    return norm(x, norms[-1]) @ head.T
