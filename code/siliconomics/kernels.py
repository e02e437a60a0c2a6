"""Every formula of the roofline and decode core, once, as a scalar compiled function that carries its name.

Arrays, sweeps, notebooks and docs all come here. The closed formulas are plain arithmetic, so their Python form
(`plain(kernel)`) also takes NumPy arrays; the grid drivers at the end loop over configurations in one fused pass.
All compiled code of the core stands in this one file: numba's disk cache does not see edits in another.
Units are SI: bytes, FLOP, FLOP/s, B/s, seconds, dollars. Peaks are dense, bandwidths one direction.
"""
from __future__ import annotations


import numpy as np
from numba import njit


def kernel(function, fastmath=False):
    """Compile without the interpreter's lock, and without fast-math if not asked for, cached on disk where a folder can be written."""
    try:
        return _forgiving(njit(cache=True, error_model="numpy", nogil=True, fastmath=fastmath)(function))
    except RuntimeError:  # read-only installation and no writable home: numba finds no place for its cache
        return njit(error_model="numpy", nogil=True, fastmath=fastmath)(function)


def _forgiving(compiled):
    """Let a damaged cache file count as none: numba raises from its unpickler, on this call and on every later one."""
    cache = getattr(compiled, "_cache", None)  # none under NUMBA_DISABLE_JIT=1
    if cache is not None:
        load = cache.load_overload

        def load_or_forget(signature, context):
            try:
                return load(signature, context)
            except Exception:  # whatever the unpickler makes of the bytes
                cache.flush()  # an empty index: the compiled form is stored anew

        cache.load_overload = load_or_forget
    return compiled


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


# --- bytes and FLOPs of a transformer -------------------------------------------------------------------

@kernel
def matmul_flops(m, n, k):
    """FLOPs of out[m, n] = x[m, k] w[k, n]: m n entries, each a sum of k products, so k multiplications and as many additions: 2 m n k."""
    return 2.0 * m * n * k


@kernel
def systolic_period(rows, size, buffered):
    """Cycles from the start of one tile of weights to that of the next: max(m, a) where weights load behind the sums, else m + 3a - 2.

    Jouppi et al. 2017 for double buffering; Samajdar et al. 2020 without, 2 R + C + T - 2 on R = C = a and T = m.
    """
    return buffered * np.maximum(rows, size) + (1 - buffered) * (rows + 3 * size - 2)


@kernel
def systolic_arrival(tile, row, column, size, period):
    """Cycle, from 0, at which the first row of x meets the weight in (row, column) of a tile: a to load, then one step a cycle. Kung 1982."""
    return size + tile * period + row + column


@kernel
def systolic_utilisation(m, k, n, size, tiles, period):
    """Products that were asked for over a^2 a cycle, until the last sum has left the last corner: m k n / (cycles a^2)."""
    return m * k * n / ((size + (tiles - 1) * period + 2 * (size - 1) + m) * size**2)


@kernel
def distinct_experts(experts, active, batch):
    """Expected experts of one layer that a batch touches, k of E a token, even routing: E (1 - (1 - k/E)^B)."""
    return experts * (1.0 - (1.0 - active / experts) ** batch)


@kernel
def uneven_experts(experts, active, batch, evenness):
    """The same where experts differ in popularity, a gamma distribution of shape s: E (1 - (1 - k/E) (1 + (B-1) k/(E s))^-s).

    The popularity of an expert is its rate of hits; mixed over a gamma distribution, no hit in B - 1 tokens has the negative
    binomial's chance. A large s is even routing.
    """
    share = active / experts
    return experts * (1.0 - (1.0 - share) * (1.0 + (batch - 1.0) * share / evenness) ** -evenness)


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
def decode_additive(weight_seconds, kv_seconds, compute_seconds):
    """Seconds of a decode step whose attention reads are never hidden: KV/BW + max(FLOP/P, W/BW). How to Scale Your Model."""
    return kv_seconds + np.maximum(compute_seconds, weight_seconds)


@kernel
def decode_overlap(weight_seconds, kv_seconds, compute_seconds):
    """Physical lower bound of a step in seconds: max(sum FLOP / P, sum bytes / BW). Williams et al. 2009."""
    return np.maximum(compute_seconds, weight_seconds + kv_seconds)


@kernel
def utilisation(seconds_at_peak, steps_per_second):
    """Share of a resource that did useful work: the time a step needs of it at peak rate, times steps a second."""
    return seconds_at_peak * steps_per_second


@kernel
def usd_per_mtok(usd_per_hour, tokens_per_second):
    """Dollars for a million tokens: ($/h) / 3600 / (tokens/s) x 1e6."""
    return usd_per_hour / 3600.0 / tokens_per_second * 1e6


@kernel
def training_seconds(params, tokens, chips, peak, utilisation):
    """Seconds of a training run: 6 N D / (n P MFU). Kaplan et al. 2020 for C = 6 N D."""
    return 6.0 * params * tokens / (chips * peak * utilisation)


@kernel
def rent(seconds, chips, usd_per_chip_hour):
    """Dollars for chips by the hour."""
    return seconds / 3600.0 * chips * usd_per_chip_hour


@kernel
def energy(seconds, chips, watts, pue):
    """Joules at the meter: time x chips x watts a chip x PUE."""
    return seconds * chips * watts * pue


@kernel
def batch_that_fits(memory_bytes, weight_bytes, kv_bytes):
    """Largest whole batch whose caches fit beside the weights; 0 when not even the weights fit."""
    return np.maximum(0.0, np.floor((memory_bytes - weight_bytes) / kv_bytes))


@kernel
def speculative_tokens(acceptance, draft_tokens):
    """Expected tokens per verification: sum of a^i for i = 0..g = (1 - a^(g+1)) / (1 - a). Leviathan et al. 2023, eq. 1."""
    rejected = np.maximum(1.0 - acceptance, 1e-12)  # at a = 1 the sum is g + 1; the limit is that to 12 digits
    return -np.expm1((draft_tokens + 1.0) * np.log1p(-rejected)) / rejected


@kernel
def verify_slowdown(draft_tokens, batch, critical_batch):
    """Time of verifying g + 1 tokens over that of one step: max(1, B (g+1)/B*) / max(1, B/B*)."""
    return np.maximum(1.0, batch * (draft_tokens + 1.0) / critical_batch) / np.maximum(1.0, batch / critical_batch)


# --- measured kernels: a launch, then whichever resource takes longest ------------------------------------------------

@kernel
def smooth_max(a, b, sharpness):
    """Maximum of two times whose overlap is imperfect near the corner, (a^s + b^s)^(1/s); s = 1 adds them, large s is the maximum."""
    larger, smaller = np.maximum(a, b), np.minimum(a, b)
    return larger * (1.0 + (smaller / np.maximum(larger, 1e-60)) ** sharpness) ** (1.0 / sharpness)


@kernel
def gemm_seconds(m, n, k, activation, weight, quantise, peak, bandwidth, launch, bandwidth_share, compute_share, sharpness, depth):
    """Seconds of out[m, n] = x[m, k] w[k, n]: launch + max(bytes / (BW e_b), 2 m n k / (P e_f), k depth), the maximum smooth.

    `activation` and `weight` are bytes a value; the output has 16 bits. `quantise` is what passes over x before the product
    move, bytes a value: 5 to 8 bits in two passes (read; read and write), 0 for none. `depth` is the time of one step
    along k, which no parallelism shortens: what tile and wave quantisation leave on small products.
    Williams et al. 2009 with measured shares; constants in data/efficiencies.csv.
    """
    memory = (activation * m * k + weight * n * k + 2.0 * m * n) / (bandwidth * bandwidth_share)
    work = smooth_max(memory, 2.0 * m * n * k / (peak * compute_share), sharpness)
    return launch + quantise * m * k / (bandwidth * bandwidth_share) + smooth_max(work, k * depth, sharpness)


@kernel
def attention_decode_seconds(kv_bytes, blocks, grouped, context, cache, peak, bandwidth, launch, bandwidth_share, sharpness, block,
                             block_grouped, join, join_half, cache_share):
    """Seconds of one layer's decode attention: launch + join x/(x + x_half) + max(blocks block / P, bytes / (BW e_b)), smooth.

    `blocks` = batch x kv heads units of work, each of which costs at least what `block` FLOP would (scheduling, a whole page
    of the cache however few tokens it holds), and `block_grouped` more where several query heads share it (`grouped`). A
    long context over few of them is cut into pieces, whose results `join` puts together. `cache` is the on-chip memory that
    may still hold the keys and values of the last call: its size in a benchmark that repeats one layer, 0 in a model of many.
    Split over the context as in Dao et al. 2023 (Flash-Decoding); constants in data/efficiencies.csv.
    """
    missed = kv_bytes / (1.0 + (cache_share * cache / np.maximum(kv_bytes, 1e-60)) ** 4)
    units = blocks * (block + grouped * block_grouped) / peak
    return launch + join * context / (context + join_half) + smooth_max(units, missed / (bandwidth * bandwidth_share), sharpness)


@kernel
def quicker_all_reduce(direct_seconds, ring_seconds, others, launch, hop, direct_share, setup, ring_share):
    """Seconds of an all-reduce inside a node, the quicker of two ways: launch + (n-1) hop + min(direct / e_d, setup + ring / e_r).

    Direct: each chip reads the whole array of the n - 1 `others`, one step. Ring: 2(n-1)/n of it, many steps, hence the set-up.
    Both times come in at the link's peak rate. NVIDIA nccl-tests, PERFORMANCE.md, for the ring; constants in data/efficiencies.csv.
    """
    return launch + others * hop + np.minimum(direct_seconds / direct_share, setup + ring_seconds / ring_share)


@kernel
def elementwise_seconds(bytes_moved, bandwidth, launch, bandwidth_share):
    """Seconds of a layer's small operations: their launches and their bytes, launch + bytes / (BW e_b). Williams et al. 2009."""
    return launch + bytes_moved / (bandwidth * bandwidth_share)


@kernel
def interleaved(decoding, mixed, batch, chunks, output):
    """Mean seconds per output token while the others' prompts pass: decode + (B-1)/O c (mixed - decode).

    In the life of a request each of the other B - 1 brings its prompt once, in c steps that take `mixed` seconds in place of
    `decoding`; the request itself takes O steps. Agrawal et al. 2024 (Sarathi-Serve) for steps that mix the two.
    """
    return decoding + np.maximum(batch - 1.0, 0.0) * chunks / output * (mixed - decoding)


# --- grid drivers ---------------------------------------------------------------------------------------------------

@kernel
def step_seconds(overlap, weight_seconds, kv_seconds, compute_seconds):
    """Seconds of one step in either form."""
    if overlap:
        return decode_overlap(weight_seconds, kv_seconds, compute_seconds)
    return decode_additive(weight_seconds, kv_seconds, compute_seconds)


@kernel
def decode_point(overlap, batch, weight_seconds, kv_seconds, compute_seconds, held, capacity, usd_per_second):
    """One decode step from its times at peak rates: the seven numbers of `OUTPUTS`, then its two flags."""
    seconds = step_seconds(overlap, weight_seconds, kv_seconds, compute_seconds)
    per_second, memory_seconds = 1.0 / seconds, weight_seconds + kv_seconds  # one division serves four outputs
    numbers = (seconds, batch * per_second, per_second, utilisation(compute_seconds, per_second), utilisation(memory_seconds, per_second),
               held, usd_per_second * seconds / batch * 1e6)
    return numbers, compute_seconds > memory_seconds, held <= capacity


OUTPUTS = ("seconds", "tokens_per_second", "tokens_per_second_per_user", "mfu", "mbu", "memory_bytes", "usd_per_mtok",
           "compute_bound", "fits")


@kernel
def decode_grid(peak, bandwidth, memory, params, shared_params, expert_params, experts, active, compute_params,
                weight_width, layer_bytes, window, full_layers, windowed_layers, heads, head_dim, v_dim, overlap, chips, batch, context,
                usd, out):
    """Fill `out` (10, n) with n decode steps of one model on one chip: `OUTPUTS`, then the FLOPs of attention.

    `shared_params` are read at every step, `expert_params` is one expert over all layers that have experts.
    """
    for i in range(chips.size):
        n, b = chips[i], batch[i]
        weights = (shared_params + expert_params * distinct_experts(experts, active, b)) * weight_width
        tokens = cached_tokens(context[i], window, full_layers, windowed_layers)
        kv = b * layer_bytes * tokens
        p, bound, fits = decode_point(overlap, b, memory_floor(weights, n, bandwidth), memory_floor(kv, n, bandwidth),
                                      2.0 * compute_params * b / (n * peak), params * weight_width + kv, n * memory, usd[i] * n / 3600.0)
        out[0, i], out[1, i], out[2, i], out[3, i], out[4, i], out[5, i], out[6, i] = p
        out[7, i], out[8, i], out[9, i] = bound, fits, b * attention_flops(heads, head_dim, v_dim, tokens)


@kernel
def sweep_block(overlap, batch, weight_seconds, compute_seconds, kv_seconds, kv_bytes, weights_held, capacity, usd_per_second,
                seconds, rate, per_user, mfu_, mbu_, held, usd, bound, fits):
    """Write the nine outputs of one system over batch x context; what depends on one axis only comes in as a vector.

    `weight_seconds`, `compute_seconds` follow `batch`; `kv_seconds`, `kv_bytes` are those of one sequence and follow context.
    """
    for i in range(batch.size):
        b, w, c = batch[i], weight_seconds[i], compute_seconds[i]
        for j in range(kv_seconds.size):
            numbers, bound[i, j], fits[i, j] = decode_point(overlap, b, w, b * kv_seconds[j], c, weights_held + b * kv_bytes[j], capacity, usd_per_second)
            seconds[i, j], rate[i, j], per_user[i, j], mfu_[i, j], mbu_[i, j], held[i, j], usd[i, j] = numbers


@kernel
def falls_with_seconds(index):
    """Whether an output gets steadily worse as the seconds of a step grow at one batch: all but MBU and bytes held do."""
    return index != 4 and index != 5


@kernel
def quickest_that_fits(overlap, b, w, c, kv_seconds, kv_bytes, weights_held, room, slowest, sense):
    """The extreme of sense x seconds over the contexts of one batch that are allowed, and the first context that has it."""
    low = np.inf
    for j in range(kv_seconds.size):
        seconds = step_seconds(overlap, w, b * kv_seconds[j], c)
        low = min(low, sense * seconds if weights_held + b * kv_bytes[j] <= room and seconds <= slowest else np.inf)
    if low == np.inf:
        return -1
    j = 0
    while sense * step_seconds(overlap, w, b * kv_seconds[j], c) != low:
        j += 1
    return j


@kernel
def best_block(overlap, batch, weight_seconds, compute_seconds, kv_seconds, kv_bytes, weights_held, capacity, usd_per_second,
               must_fit, slowest, index, sign):
    """Smallest sign x output[index] of one system over batch x context, and the row and column where it stands.

    Counts only steps that fit (if `must_fit`) and take at most `slowest` seconds; nothing is stored.
    """
    best, row, column = np.inf, -1, -1
    sense = -sign if 1 <= index <= 3 else sign  # rates and MFU fall as seconds rise
    room = capacity if must_fit else np.inf
    for i in range(batch.size):
        b, w, c, low, at = batch[i], weight_seconds[i], compute_seconds[i], np.inf, -1
        if falls_with_seconds(index):
            at = quickest_that_fits(overlap, b, w, c, kv_seconds, kv_bytes, weights_held, room, slowest, sense)
            if at >= 0:
                low = sign * decode_point(overlap, b, w, b * kv_seconds[at], c, 0.0, capacity, usd_per_second)[0][index]
        else:
            for j in range(kv_seconds.size):
                p, _, _ = decode_point(overlap, b, w, b * kv_seconds[j], c, weights_held + b * kv_bytes[j], capacity, usd_per_second)
                value = sign * p[index]
                if p[5] <= room and p[0] <= slowest and value < low:
                    low, at = value, j
        if low < best:
            best, row, column = low, i, at
    return best, row, column


@kernel
def pareto_block(overlap, batch, weight_seconds, compute_seconds, kv_seconds, kv_bytes, weights_held, capacity, usd_per_second,
                 must_fit, slowest, x_index, x_sign, y_index, y_sign, front_x, front_y, found):
    """Write into `found` (n, 4) the points that no point of the front dominates: x, y, row, column. Returns how many.

    `front_x` ascends and `front_y` descends; smaller is better in both after the signs. Where both outputs get worse with
    the seconds, the quickest step of each batch dominates all its others, so it alone is looked at.
    """
    count = 0
    room = capacity if must_fit else np.inf
    quickest_only = falls_with_seconds(x_index) and falls_with_seconds(y_index)
    for i in range(batch.size):
        b, w, c = batch[i], weight_seconds[i], compute_seconds[i]
        first, last = 0, kv_seconds.size
        if quickest_only:
            first = quickest_that_fits(overlap, b, w, c, kv_seconds, kv_bytes, weights_held, room, slowest, 1.0)
            first, last = (first, first + 1) if first >= 0 else (0, 0)
        for j in range(first, last):
            p, _, _ = decode_point(overlap, b, w, b * kv_seconds[j], c, weights_held + b * kv_bytes[j], capacity, usd_per_second)
            x, y = x_sign * p[x_index], y_sign * p[y_index]
            k = np.searchsorted(front_x, x, side="right") - 1
            if p[0] <= slowest and p[5] <= room and (k < 0 or y < front_y[k]):
                found[count, 0], found[count, 1], found[count, 2], found[count, 3] = x, y, i, j
                count += 1
    return count
