"""Every formula of the roofline and decode core, once, as a scalar compiled function that carries its name.

Arrays, sweeps, notebooks and docs all come here. The closed formulas are plain arithmetic, so their Python form
(`plain(kernel)`) also takes NumPy arrays; the grid drivers at the end loop over configurations in one fused pass.
All compiled code of the core stands in this one file: numba's disk cache does not see edits in another.
Units are SI: bytes, FLOP, FLOP/s, B/s, seconds, dollars. Peaks are dense, bandwidths one direction.
"""
from __future__ import annotations


import numpy as np
from numba import njit


def kernel(function):
    """Compile without fast-math, cached on disk where a cache folder can be written."""
    try:
        return njit(cache=True, error_model="numpy")(function)
    except RuntimeError:  # read-only installation and no writable home: numba finds no place for its cache
        return njit(error_model="numpy")(function)


def plain(compiled):
    """The Python form of a kernel (the kernel itself under NUMBA_DISABLE_JIT=1)."""
    return getattr(compiled, "py_func", compiled)


# --- roofline -------------------------------------------------------------------------------------------------------

@kernel
def attainable(intensity, peak, bandwidth):
    """FLOP/s that a kernel of `intensity` FLOP/byte can reach: min(P, I BW). Williams, Waterman, Patterson 2009."""
    return np.minimum(peak, intensity * bandwidth)


@kernel
def ridge(peak, bandwidth):
    """Arithmetic intensity in FLOP/byte where compute and memory limits meet: P / BW. Williams et al. 2009."""
    return peak / bandwidth


@kernel
def critical_batch(peak, bandwidth, bytes_per_weight):
    """Batch at which the weight matrices turn compute-bound: P/BW x b/2. How to Scale Your Model, inference."""
    return peak / bandwidth * bytes_per_weight / 2.0


# --- parameters, bytes and FLOPs of a transformer -------------------------------------------------------------------

@kernel
def attention_params(d_model, heads, kv_heads, head_dim):
    """Weights of one attention layer: queries and output d n h each, keys and values d n_kv h each. No biases."""
    return 2 * d_model * heads * head_dim + 2 * d_model * kv_heads * head_dim


@kernel
def latent_attention_params(d_model, heads, q_rank, kv_rank, nope_dim, rope_dim, v_dim):
    """Weights of one multi-head latent attention layer with its two inner norms. DeepSeek-V2, section 2.1."""
    width = heads * (nope_dim + rope_dim)
    queries = d_model * q_rank + q_rank + q_rank * width if q_rank > 0 else d_model * width  # scalars only
    latent = d_model * (kv_rank + rope_dim) + kv_rank
    return queries + latent + kv_rank * heads * (nope_dim + v_dim) + heads * v_dim * d_model


@kernel
def ffn_params(d_model, d_ff, gated):
    """Weights of one feed-forward block: three matrices d x f if gated (SwiGLU), two if not. Shazeer 2020."""
    return (2 + gated) * d_model * d_ff


@kernel
def distinct_experts(experts, active, batch):
    """Expected experts of one layer that a batch touches, k of E a token, even routing: E (1 - (1 - k/E)^B)."""
    return experts * (1.0 - (1.0 - active / experts) ** batch)


@kernel
def kv_layer_bytes(kv_heads, head_dim, bytes_per_value):
    """Bytes that one layer caches a token: a key and a value, 2 n_kv h b. Shazeer 2019, Ainslie et al. 2023."""
    return 2 * kv_heads * head_dim * bytes_per_value


@kernel
def latent_layer_bytes(kv_rank, rope_dim, bytes_per_value):
    """Bytes that one latent-attention layer caches a token: (rank + rope) b. DeepSeek-V2, table 1."""
    return (kv_rank + rope_dim) * bytes_per_value


@kernel
def cached_tokens(context, window, full_layers, windowed_layers):
    """Token entries held over all layers when each windowed layer keeps at most `window` of them."""
    return full_layers * context + windowed_layers * np.minimum(context, window)


@kernel
def causal_span(context, window):
    """Mean tokens that a position of a causal sequence attends to under a sliding window (x/2 when it fits)."""
    seen = np.minimum(context, window)
    return seen - seen * seen / (2.0 * np.maximum(context, 1.0))


@kernel
def attention_flops(heads, qk_dim, v_dim, tokens):
    """Forward FLOPs of one query token against `tokens` cached ones: 2 n (h_qk + h_v) each. PaLM, appendix B."""
    return 2.0 * heads * (qk_dim + v_dim) * tokens


# --- utilisation, time and money ------------------------------------------------------------------------------------

@kernel
def mfu(tokens_per_second, flops_per_token, chips, peak):
    """Model FLOP/s over peak FLOP/s. PaLM (Chowdhery et al. 2022), appendix B."""
    return tokens_per_second * flops_per_token / (chips * peak)


@kernel
def mbu(bytes_read, seconds, chips, bandwidth):
    """(Weight bytes + KV bytes) per step over time and peak bandwidth. Databricks 2023."""
    return bytes_read / seconds / (chips * bandwidth)


@kernel
def memory_floor(bytes_read, chips, bandwidth):
    """Seconds that reading `bytes_read` once takes at the peak bandwidth of all chips. Pope et al. 2022."""
    return bytes_read / (chips * bandwidth)


@kernel
def decode_additive(weight_bytes, kv_bytes, flops, peak, bandwidth):
    """Seconds of a decode step, attention reads never overlapped: KV/BW + max(FLOP/P, W/BW). How to Scale Your Model."""
    return kv_bytes / bandwidth + np.maximum(flops / peak, weight_bytes / bandwidth)


@kernel
def decode_overlap(weight_bytes, kv_bytes, flops, peak, bandwidth):
    """Physical lower bound of a step in seconds: max(sum FLOP / P, sum bytes / BW). Williams et al. 2009."""
    return np.maximum(flops / peak, (weight_bytes + kv_bytes) / bandwidth)


@kernel
def usd_per_mtok(usd_per_hour, tokens_per_second):
    """Dollars for a million tokens: ($/h) / 3600 / (tokens/s) x 1e6."""
    return usd_per_hour / 3600.0 / tokens_per_second * 1e6


@kernel
def training_seconds(params, tokens, chips, peak, utilisation):
    """Seconds of a training run: 6 N D / (n P MFU). Kaplan et al. 2020 for C = 6 N D."""
    return 6.0 * params * tokens / (chips * peak * utilisation)


@kernel
def energy(seconds, chips, watts, pue):
    """Joules at the meter: time x chips x watts a chip x PUE."""
    return seconds * chips * watts * pue


@kernel
def batch_that_fits(memory_bytes, weight_bytes, kv_bytes):
    """Largest whole batch whose caches fit beside the weights; 0 when not even the weights fit."""
    return np.maximum(0.0, np.floor((memory_bytes - weight_bytes) / kv_bytes))


# --- grid drivers ---------------------------------------------------------------------------------------------------

@kernel
def decode_grid(peak, bandwidth, memory, params, shared_params, expert_params, experts, active, compute_params,
                weight_width, layer_bytes, window, full_layers, windowed_layers, overlap, chips, batch, context, usd, out):
    """Fill `out` (8, n) with the decode step of n configurations of one model on one chip, in one pass.

    Rows: seconds, tokens/s, MFU, MBU, bytes held, fits (1 or 0), $/Mtok, compute seconds over memory seconds.
    `shared_params` are read at every step, `expert_params` is one expert over all layers that have experts.
    """
    for i in range(chips.size):
        n, b, x = chips[i], batch[i], context[i]
        flop_rate, byte_rate = n * peak, n * bandwidth
        weights = (shared_params + expert_params * distinct_experts(experts, active, b)) * weight_width
        kv = b * layer_bytes * cached_tokens(x, window, full_layers, windowed_layers)
        flops = 2.0 * compute_params * b
        if overlap:
            seconds = decode_overlap(weights, kv, flops, flop_rate, byte_rate)
        else:
            seconds = decode_additive(weights, kv, flops, flop_rate, byte_rate)
        held = params * weight_width + kv
        out[0, i] = seconds
        out[1, i] = b / seconds
        out[2, i] = mfu(b / seconds, 2.0 * compute_params, n, peak)
        out[3, i] = mbu(weights + kv, seconds, n, bandwidth)
        out[4, i] = held
        out[5, i] = held <= n * memory
        out[6, i] = usd_per_mtok(usd[i] * n, b / seconds)
        out[7, i] = flops / flop_rate / ((weights + kv) / byte_rate)
