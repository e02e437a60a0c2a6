"""The loops that `measure` times, compiled with fast-math, and the instruments that run, time and count them on any system.

They share no compiled function with `kernels`: those are exact, these may be reordered. All of them stand in this one
file, because numba's disk cache does not see edits in another. What is counted are the bytes that the loop asks for: a
store that makes the processor fetch the line first (write-allocate) counts once.
"""
from __future__ import annotations

import math
import os
import platform
import re
import subprocess
import sys
import threading
import time
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial, reduce
from itertools import product
from pathlib import Path
from types import FunctionType

import numpy as np
from llvmlite import binding as llvm
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from . import kernels
from .checks import scalar, whole
from .sweep import BLOCK, Grid, _arrays, _on_threads
from .transformer import Transformer
from .units import dtype_bytes, fmt

fast = partial(kernels.kernel, fastmath=True)
DTYPES = {"fp32": np.float32, "fp64": np.float64}
SMALLEST = 1 << 14  # bytes of a thread's working set: half of a first-level cache
PAD = 320  # 64-bit words between two arrays: the same low twelve bits of two addresses would make a load wait for a store
FEWEST = 3  # turns, however short the time
CHAINS = 12  # independent accumulators: latency x units is 8 to 10 on most cores, and 12 fit into 16 registers beside two constants


# --- bytes ------------------------------------------------------------------------------------------------------------

@fast
def scramble(target, seed):
    """Fill 64-bit words with numbers that differ: pages of zeros may be one page in truth, and then they come from a cache."""
    for i in range(target.size):
        target[i] = (i + seed) * 0x9E3779B1


@fast
def read(source, repeats):
    """Sum 64-bit integers: an integer addition takes one cycle, so that the loop waits for memory and not for its sum."""
    total = source[0]
    for _ in range(repeats):
        for i in range(source.size):
            total += source[i]
    return total


@fast
def read_four(source, repeats):
    """The same in four places at once: one stream alone may leave bandwidth unused."""
    n = source.size // 4
    a = b = c = d = source[0]
    for _ in range(repeats):
        for i in range(n):
            a += source[i]
            b += source[i + n]
            c += source[i + 2 * n]
            d += source[i + 3 * n]
    return a + b + c + d


@fast
def write(target, repeats):
    """Overwrite 64-bit integers, with another value in each pass so that no pass can be left out."""
    for value in range(repeats):
        for i in range(target.size):
            target[i] = value


@fast
def copy(source, target, repeats):
    """Copy 64-bit integers."""
    for _ in range(repeats):
        for i in range(source.size):
            target[i] = source[i]


@fast
def store_block(overlap, batch, weight_seconds, compute_seconds, kv_seconds, kv_bytes, weights_held, capacity, usd_per_second,
                seconds, rate, per_user, mfu, mbu, held, usd, bound, fits):
    """Write the nine outputs of `kernels.sweep_block` and compute nothing: the limit for ordinary stores in this layout."""
    for i in range(batch.size):
        b = batch[i]
        for j in range(seconds.shape[1]):
            seconds[i, j], rate[i, j], per_user[i, j], mfu[i, j], mbu[i, j] = b, b, b, b, b
            held[i, j], usd[i, j], bound[i, j], fits[i, j] = b, b, 1, True


# --- FLOPs ------------------------------------------------------------------------------------------------------------

def _register_chains(bits: int):
    """An instruction that numba lacks: v = v a + b, `repeats` times over, for `CHAINS` vectors of `bits` held in registers.

    Written in LLVM's own language because the compiler's loop vectoriser stops at 256 bits where the core has 512.
    """
    @intrinsic
    def run(typing_context, x, a, b, repeats):
        def generate(context, builder, signature, arguments):
            array = context.make_array(signature.args[0])(context, builder, arguments[0])
            item = context.get_value_type(x.dtype)
            vector = ir.VectorType(item, bits // 8 // (4 if x.dtype == types.float32 else 8))
            first = builder.bitcast(array.data, vector.as_pointer())
            places = [builder.gep(first, [ir.Constant(ir.IntType(32), k)]) for k in range(CHAINS)]
            held = [cgutils.alloca_once_value(builder, builder.load(place, align=4)) for place in places]
            factor, term = (_spread(builder, vector, value) for value in arguments[1:3])
            with cgutils.for_range(builder, arguments[3]):
                for slot in held:
                    product = builder.fmul(builder.load(slot), factor, flags=("contract",))
                    builder.store(builder.fadd(product, term, flags=("contract",)), slot)
            for slot, place in zip(held, places):
                builder.store(builder.load(slot), place, align=4)
            return context.get_dummy_value()

        return types.void(x, a, b, types.intp), generate

    return run


def _spread(builder, vector, value):
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None))


def _plain_chains(x, a, b, repeats):
    """The same without the compiler."""
    for _ in range(repeats):
        x[:] = x * a + b


_chains_256, _chains_512 = (_plain_chains, _plain_chains) if config.DISABLE_JIT else (_register_chains(256), _register_chains(512))


@fast
def fma_256(x, a, b, repeats):
    """x = x a + b, `repeats` times, for `CHAINS` vectors of 256 bits: two FLOP a value and pass, no memory."""
    _chains_256(x, a, b, repeats)


@fast
def fma_512(x, a, b, repeats):
    """The same for vectors of 512 bits; where the core has none, LLVM makes two of each, some of which leave the registers."""
    _chains_512(x, a, b, repeats)


FMA = {256: fma_256, 512: fma_512}


def lanes(bits: int, dtype) -> int:
    """Values that one pass of an FMA kernel changes."""
    return CHAINS * bits // 8 // np.dtype(dtype).itemsize


# --- the system --------------------------------------------------------------------------------------------------------

def cpu_name() -> str:
    """The processor's name as the system tells it."""
    info, found = Path("/proc/cpuinfo"), None
    if info.is_file():
        found = re.search(r"^(?:model name|Model|cpu model)\s*: (.+)$", info.read_text(encoding="utf8", errors="replace"), re.M)
    elif sys.platform == "darwin":
        asked = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True)
        found = re.search("(.+)", asked.stdout)
    return found[1].strip() if found else platform.processor() or platform.machine() or "unknown processor"


def last_cache() -> float:
    """Bytes of the largest cache that the system reports; nan where it reports none. A virtual machine may name more than it gets."""
    if sys.platform == "darwin":
        names = [f"hw.{level}cachesize" for level in ("l3", "l2", "perflevel0.l2")]
        sizes = [int(word) for word in subprocess.run(["sysctl", "-n", *names], capture_output=True, text=True).stdout.split()]
    else:
        files = Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")
        sizes = [int(text[:-1]) << "BKMG".index(text[-1]) * 10 for text in (file.read_text().strip() for file in files)]
    return float(max(sizes, default=math.nan))


def memory() -> tuple[float, float]:
    """(all, free) bytes of main memory, what the system can free at once included; (nan, 2 GB) where the system does not say."""
    try:
        if sys.platform == "win32":
            from ctypes import byref, c_uint64, windll

            status = (c_uint64 * 8)(64)  # MEMORYSTATUSEX: its length, then all and free bytes
            return (float(status[1]), float(status[2])) if windll.kernel32.GlobalMemoryStatusEx(byref(status)) else (math.nan, 2e9)
        page, pages = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_PHYS_PAGES")
        info = Path("/proc/meminfo")  # free pages alone leave out those that hold files
        available = info.is_file() and re.search(r"^MemAvailable:\s+(\d+) kB", info.read_text(encoding="utf8"), re.M)
        return float(page * pages), float(int(available[1]) << 10 if available else page * (os.sysconf("SC_AVPHYS_PAGES") if "SC_AVPHYS_PAGES" in os.sysconf_names else pages // 4))
    except (AttributeError, ImportError, OSError, ValueError):
        return math.nan, 2e9


def allowed_cores() -> list[int]:
    """The cores that this process may use: in a container with a quota of processor time no more than it pays for, since threads wait for each other."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    return cores[:max(1, int(min(quota(), len(cores))))]


def quota() -> float:
    """Processor time per wall time that a container may use, in cores; infinite without a limit. Linux control groups, version 2 and 1."""
    for names in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):
        with suppress(OSError, ValueError):
            allowed, period = (int(word) for name in names for word in (Path("/sys/fs/cgroup") / name).read_text().split())
            if allowed > 0:
                return allowed / period
    return math.inf


# --- clocks -----------------------------------------------------------------------------------------------------------

class Threads:
    """Runs one function on several threads at once, each kept on a core of its own where the system allows; one runs in the caller's."""

    def __init__(self, count: int):
        self.count, self._gate = count, threading.Barrier(count)
        self._pool = ThreadPoolExecutor(count, initializer=_take_core, initargs=(iter(allowed_cores()),))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._pool.shutdown()

    def seconds(self, function, arguments: list[tuple]) -> float:
        """Wall time from the first start to the last end of one call per thread."""
        if len(arguments) == 1:
            return lot_seconds(partial(function, *arguments[0]), 1)
        starts, ends = zip(*self._pool.map(partial(self._span, function), arguments))
        return max(ends) - min(starts)

    def _span(self, function, arguments: tuple) -> tuple[float, float]:
        self._gate.wait()
        start = time.perf_counter()
        function(*arguments)
        return start, time.perf_counter()


def _take_core(cores) -> None:
    """Keep this thread on the next core: a scheduler may leave two short-lived threads on one."""
    core = next(cores, None)
    if core is not None and hasattr(os, "sched_setaffinity"):
        with suppress(OSError):
            os.sched_setaffinity(threading.get_native_id(), {core})


def repeats_for(run, seconds: float) -> int:
    """How often a loop must repeat for `run(repeats)`, which returns its time, to last about `seconds`; runs it once at least."""
    repeats, last = 1, run(1)  # the first run compiles and touches
    while (last := run(repeats)) < seconds / 2:
        repeats = int(repeats * min(100.0, max(2.0, 0.8 * seconds / max(last, 1e-7))))
    return repeats


def lot_seconds(call, repeats: int) -> float:
    """Seconds of `repeats` calls without arguments."""
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return time.perf_counter() - start


def threads_of(run) -> int:
    """How many threads `run()`, which returns its wall time, kept busy: processor time over wall time."""
    busy, wall = time.process_time(), run()
    return max(1, round((time.process_time() - busy) / wall))


def seconds_of(call, at_least: float = 0.1, turns: int = 7) -> float:
    """Least seconds of one `call()` over `turns` lots of repeated calls, which together take about `at_least` seconds.

    The least, because other programs can only lengthen a turn.
    """
    run = partial(lot_seconds, call)
    repeats = repeats_for(run, at_least / turns)
    return min(run(repeats) for _ in range(turns)) / repeats


# --- a network that decodes --------------------------------------------------------------------------------------------

LEAST = 8e6  # bytes of the weights of the smallest network
TOKENS = 32  # that a measurement decodes before it starts again
WEIGHTS = {"fp32": np.float32, "int8": np.int8}
try:
    FEATURES = llvm.get_host_cpu_features()
except RuntimeError:  # LLVM does not know this processor
    FEATURES = {}
LANES = next((n for name, n in (("avx512f", 16), ("avx2", 8)) if FEATURES.get(name)), 4)  # fp32 numbers in a register
CHUNK = 1 << 18  # bytes of a matrix that a thread takes at a time: they stay in its second cache for all sequences of a batch
AHEAD = 1 << 13  # bytes ahead of the loads from where weights are fetched into that cache, so that no load waits for memory
STORE, ADD, SWIGLU = range(3)  # what becomes of two neighbouring products
Matrices = namedtuple("Matrices", "qkv out gate_up down head")  # (layers, rows, columns); rows of gate and up take turns; head without layers
Network = namedtuple("Network", "matrices scales norms cos sin")  # a scale for each row; (2 layers + 1, width); two of (positions, head / 2)
Work = namedtuple("Work", "tokens keys values stream qkv mixed hidden logits tickets arrived")  # what the threads share


def _register_dots(sequences: int):
    """An instruction that numba lacks: two rows times one, two or four sequences, in eight accumulators that stay in registers.

    Written in LLVM's own language because the compiler's loop vectoriser neither fills the widest registers nor turns an
    int8 weight to fp32 once for all sequences. The length of a row is a multiple of four registers.
    """
    @intrinsic
    def run(typing_context, matrix, row, x, sequence, sums):
        def generate(context, builder, signature, arguments):
            rows, columns, out = (context.make_array(signature.args[n])(context, builder, arguments[n]) for n in (0, 2, 4))
            length, word, item = builder.extract_value(rows.shape, 1), ir.IntType(64), ir.FloatType()
            vector, unroll = ir.VectorType(item, LANES), 4 // sequences
            held = [cgutils.alloca_once_value(builder, ir.Constant(vector, [0.0] * LANES)) for _ in range(8)]
            fetch = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, *[cgutils.int32_t] * 3]),
                                                   "llvm.prefetch.p0i8")

            def at(array, first, k, place):
                return builder.gep(array.data, [builder.add(builder.mul(builder.add(first, word(k)), length), place)])

            def load(array, first, k, place):
                start = at(array, first, k, place)
                kind = ir.VectorType(start.type.pointee, LANES)
                value = builder.load(builder.bitcast(start, kind.as_pointer()), align=1)
                return value if kind == vector else builder.sitofp(value, vector)

            with cgutils.for_range(builder, builder.udiv(length, word(unroll * LANES))) as loop:
                for u in range(unroll):
                    place = builder.add(builder.mul(loop.index, word(unroll * LANES)), word(u * LANES))
                    pair = [load(rows, arguments[1], k, place) for k in range(2)]
                    for k in range(2):
                        later = builder.gep(builder.bitcast(at(rows, arguments[1], k, place), cgutils.voidptr_t), [word(AHEAD)])
                        builder.call(fetch, [later, *map(cgutils.int32_t, (0, 2, 1))])  # to read, into the second cache, data
                    for s in range(sequences):
                        column = load(columns, arguments[3], s, place)
                        for k, slot in enumerate(held[2 * (u * sequences + s):][:2]):
                            product = builder.fmul(pair[k], column, flags=("contract",))
                            builder.store(builder.fadd(product, builder.load(slot), flags=("contract",)), slot)
            add = cgutils.get_or_insert_function(builder.module, ir.FunctionType(item, [item, vector]), f"llvm.vector.reduce.fadd.v{LANES}f32")
            for n in range(2 * sequences):
                total = reduce(builder.fadd, map(builder.load, held[n::2 * sequences]))
                builder.store(builder.call(add, [item(0.0), total], fastmath=("reassoc",)), builder.gep(out.data, [word(n)]))
            return context.get_dummy_value()

        return types.void(matrix, types.intp, x, types.intp, sums), generate

    return run


def _plain_dots(sequences: int):
    """The same without the compiler."""
    def run(matrix, row, x, sequence, sums):
        sums[:2 * sequences] = (x[sequence:sequence + sequences] @ matrix[row:row + 2].T.astype(np.float32)).ravel()

    return run


@intrinsic
def _register_fetch_add(typing_context, counters, index, value):
    """An instruction that numba lacks: counters[index] += value at once for all threads; what was there before."""
    def generate(context, builder, signature, arguments):
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.atomic_rmw("add", builder.gep(array.data, [arguments[1]]), arguments[2], "seq_cst")

    return types.int64(counters, types.intp, types.int64), generate


def _plain_fetch_add(counters, index, value):
    """The same without the compiler."""
    if value == 0:
        time.sleep(0)  # who waits lets others run
    with _ONE:
        before = counters[index]
        counters[index] += value
    return before


_ONE = threading.Lock()
_dots_1, _dots_2, _dots_4 = map(_plain_dots if config.DISABLE_JIT else _register_dots, (1, 2, 4))
_fetch_add = _plain_fetch_add if config.DISABLE_JIT else _register_fetch_add


@fast
def meet(work, phase, threads):
    """Wait until all threads are here. They spin: a phase is shorter than the system's way of waking a thread."""
    _fetch_add(work.arrived, phase, 1)
    while _fetch_add(work.arrived, phase, 0) < threads:
        pass
    return phase + 1


@fast
def place(y, s, r, first, second, what):
    """Put two neighbouring products where they belong."""
    if what == SWIGLU:
        y[s, r // 2] = first / (np.float32(1.0) + np.exp(-first)) * second
    elif what == ADD:
        y[s, r] += first
        y[s, r + 1] += second
    else:
        y[s, r], y[s, r + 1] = first, second


@fast
def multiply(matrix, scales, x, y, what, sums, work, phase):
    """y = x matrix^T, of which this thread takes chunks of rows as long as there are any: a row comes from memory once for all sequences."""
    batch, rows = x.shape[0], max(2, CHUNK // (matrix.shape[1] * matrix.itemsize) // 2 * 2)
    while True:
        first = _fetch_add(work.tickets, phase, rows)
        if first >= matrix.shape[0]:
            return
        s = 0
        while s < batch:
            count = 4 if batch - s >= 4 else 2 if batch - s >= 2 else 1
            for r in range(first, min(first + rows, matrix.shape[0]), 2):
                if count == 4:
                    _dots_4(matrix, r, x, s, sums)
                elif count == 2:
                    _dots_2(matrix, r, x, s, sums)
                else:
                    _dots_1(matrix, r, x, s, sums)
                for k in range(count):
                    place(y, s + k, r, sums[2 * k] * scales[r], sums[2 * k + 1] * scales[r + 1], what)
            s += count


@fast
def normalise(x, weight, out):
    """RMSNorm of each row. Zhang and Sennrich 2019."""
    for s in range(x.shape[0]):
        total = np.float32(0.0)
        for i in range(x.shape[1]):
            total += x[s, i] * x[s, i]
        factor = np.float32(1.0) / np.sqrt(total / np.float32(x.shape[1]) + np.float32(1e-5))
        for i in range(x.shape[1]):
            out[s, i] = x[s, i] * factor * weight[i]


@fast
def rotate(vector, cos, sin):
    """RoPE of one head, first half against second. Su et al. 2021."""
    for i in range(cos.size):
        a, b = vector[i], vector[i + cos.size]
        vector[i], vector[i + cos.size] = a * cos[i] - b * sin[i], b * cos[i] + a * sin[i]


@fast
def attend(query, keys, values, scores, out):
    """Softmax attention of one head over its cached keys and values."""
    factor, most, total = np.float32(1.0) / np.sqrt(np.float32(query.size)), np.float32(-np.inf), np.float32(0.0)
    for t in range(keys.shape[0]):
        dot = np.float32(0.0)
        for i in range(query.size):
            dot += query[i] * keys[t, i]
        scores[t] = dot * factor
        most = max(most, scores[t])
    out[:] = np.float32(0.0)
    for t in range(keys.shape[0]):
        share = np.exp(scores[t] - most)
        total += share
        for i in range(query.size):
            out[i] += share * values[t, i]
    for i in range(query.size):
        out[i] /= total


@fast
def attention(network, work, layer, position, scores, phase):
    """Attention of the query heads that share a key and value head, for as many such groups as this thread gets."""
    (batch, _, groups, _, size) = work.keys.shape
    heads = work.mixed.shape[1] // size
    share, cos, sin = heads // groups, network.cos[position], network.sin[position]
    while True:
        item = _fetch_add(work.tickets, phase, 1)
        if item >= batch * groups:
            return
        s, g = item // groups, item % groups
        keys, values, row = work.keys[s, layer, g], work.values[s, layer, g], work.qkv[s]
        keys[position] = row[(heads + g) * size:(heads + g + 1) * size]
        values[position] = row[(heads + groups + g) * size:(heads + groups + g + 1) * size]
        rotate(keys[position], cos, sin)
        for head in range(g * share, (g + 1) * share):
            here = slice(head * size, (head + 1) * size)
            rotate(row[here], cos, sin)
            attend(row[here], keys[:position + 1], values[:position + 1], scores, work.mixed[s, here])


@fast
def embed(network, work, position, fresh, phase):
    """Start each sequence's stream with the row of its token, which is the likeliest of the last step if that has just been."""
    head, scales = network.matrices.head, network.scales.head
    while True:
        s = _fetch_add(work.tickets, phase, 1)
        if s >= work.stream.shape[0]:
            return
        if fresh:
            work.tokens[s, position] = np.argmax(work.logits[s])
        token = work.tokens[s, position]
        for i in range(head.shape[1]):
            work.stream[s, i] = head[token, i] * scales[token]


@fast
def decode_tokens(network, work, position, steps, threads, normal):
    """Decode `steps` tokens from `position` on, greedily, in this and all other threads that call it with the same arrays; a Llama."""
    (qkv, out, gate_up, down, head), scale = network.matrices, network.scales
    scores, sums = np.empty(work.keys.shape[3], np.float32), np.empty(8, np.float32)
    phase = 0
    for step in range(steps):
        embed(network, work, position + step, step > 0, phase)
        phase = meet(work, phase, threads)
        for n in range(qkv.shape[0]):
            normalise(work.stream, network.norms[2 * n], normal)
            multiply(qkv[n], scale.qkv[n], normal, work.qkv, STORE, sums, work, phase)
            phase = meet(work, phase, threads)
            attention(network, work, n, position + step, scores, phase)
            phase = meet(work, phase, threads)
            multiply(out[n], scale.out[n], work.mixed, work.stream, ADD, sums, work, phase)
            phase = meet(work, phase, threads)
            normalise(work.stream, network.norms[2 * n + 1], normal)
            multiply(gate_up[n], scale.gate_up[n], normal, work.hidden, SWIGLU, sums, work, phase)
            phase = meet(work, phase, threads)
            multiply(down[n], scale.down[n], work.hidden, work.stream, ADD, sums, work, phase)
            phase = meet(work, phase, threads)
        normalise(work.stream, network.norms[2 * qkv.shape[0]], normal)
        multiply(head, scale.head, normal, work.logits, STORE, sums, work, phase)
        phase = meet(work, phase, threads)


def randomise(words, seed: int, weights: str) -> None:
    """Fill memory with random int8 numbers, or fp32 numbers between -128 and 128; neither pages of zeros nor repeated ones."""
    rng = np.random.default_rng(seed)
    for part in np.array_split(words, 1 + words.size // CHUNK):
        part[:] = rng.integers(-2**63, 2**63 - 1, part.size)
        if weights == "fp32":
            numbers = part.view(np.float32)
            numbers[:] = part.view(np.int32)
            numbers /= np.float32(2**24)


def decode_shape(bytes: float, weights: str = "fp32") -> Transformer:
    """A network of at most `bytes` in the proportions of Llama 3.2 1B: four query heads share one cache, d_ff is 4 d, heads have 64 values.

    Its width is one at which four layers of fp32 weights and an output layer of 16 d tokens fit; int8 weights have more layers.
    """
    width = max(256, int(math.sqrt(bytes / (4 * (4 * 14.5 + 16))) / 256) * 256)
    layers = int((bytes / dtype_bytes(weights) / width**2 - 16) / 14.5)
    return Transformer(f"random network of {fmt(bytes, 'B')} {weights}", max(1, layers), width, width // 64, width // 256, 64, 4 * width, 16 * width, tied=True)


def aligned(shape, dtype=np.float32):
    """An array whose first byte lies on a cache line."""
    size = math.prod(np.atleast_1d(shape)) * np.dtype(dtype).itemsize
    room = np.empty(size + 64, np.uint8)
    return room[-room.ctypes.data % 64:][:size].view(dtype).reshape(shape)


def random_network(pool: Threads, model, weights: str, positions: int, seed: int = 1):
    """(network of the shape of `model` with random weights, its weights as 64-bit words in one part per thread).

    In both formats a weight lies between -128 and 128, and the scale of its row makes the product as large as what went in.
    """
    d, heads, groups, size = model.d_model, model.heads, model.kv_heads, model.head_dim
    shapes = Matrices((model.layers, (heads + 2 * groups) * size, d), (model.layers, d, heads * size), (model.layers, 2 * model.d_ff, d),
                      (model.layers, d, model.d_ff), (model.vocab, d))
    counts, item = [math.prod(shape) for shape in shapes], np.dtype(WEIGHTS[weights]).itemsize
    memory = aligned(sum(counts) * item // 8, np.int64)
    words = np.array_split(memory, pool.count)
    pool.seconds(randomise, [(part, seed + k, weights) for k, part in enumerate(words)])  # a page lies with the core that touches it first
    flat, rng, half = memory.view(WEIGHTS[weights]), np.random.default_rng(seed), size // 2
    matrices = Matrices(*(part.reshape(shape) for part, shape in zip(np.split(flat, np.cumsum(counts)[:-1]), shapes)))
    scales = Matrices(*((rng.uniform(0.5, 1.5, shape[:-1]) * math.sqrt(3 / shape[-1]) / 128).astype(np.float32) for shape in shapes))
    angles = np.arange(positions)[:, None] * 10_000.0 ** (-np.arange(half) / half)
    norms = rng.uniform(0.5, 1.5, (2 * model.layers + 1, d)).astype(np.float32)
    return Network(matrices, scales, norms, np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)), words


def workspace(model, batch: int, positions: int, seed: int = 1) -> Work:
    """Tokens, cache and activations of `batch` sequences that hold random tokens already."""
    rng, cache = np.random.default_rng(seed), (batch, model.layers, model.kv_heads, positions, model.head_dim)
    wide = (model.heads + 2 * model.kv_heads) * model.head_dim
    return Work(rng.integers(0, model.vocab, (batch, positions)), *(rng.random(cache, np.float32) - np.float32(0.5) for _ in range(2)),
                *(aligned((batch, n)) for n in (model.d_model, wide, model.heads * model.head_dim, model.d_ff, model.vocab)),
                np.zeros(0, np.int64), np.zeros(0, np.int64))


def decode_seconds(pool: Threads, network: Network, work: Work, position: int, steps: int = 1) -> float:
    """Seconds in which all threads together decode `steps` tokens of each sequence of `work`."""
    phases = np.zeros((2, steps * (5 * len(network.matrices.qkv) + 2)), np.int64)
    work = work._replace(tickets=phases[0], arrived=phases[1])
    return pool.seconds(decode_tokens, [(network, work, position, steps, pool.count, aligned(work.stream.shape)) for _ in range(pool.count)])


def decode_turns(pool: Threads, model, weights: str, batches, context: int, seconds: float):
    """Measure reads of all weights and decode steps in turns.

    Returns bytes of the weights, the shortest read, batch -> [(seconds, tokens attended to)], and the share of the cores' time that
    this process had: below 1 others used them too.

    A turn decodes one more token at each batch, from `context` tokens on, each after a read of the same memory: the roof must not
    be missed by chance.
    """
    network, words = random_network(pool, model, weights, context + TOKENS)
    everybody, size = workspace(model, max(batches), context + TOKENS), sum(part.nbytes for part in words)
    works = {n: Work(*(array[:n] for array in everybody)) for n in batches}
    reads, steps, turn = [], {n: [] for n in batches}, 0.0
    for work in works.values():
        decode_seconds(pool, network, work, context - 1)  # compiles and touches
    busy, start = time.process_time(), time.perf_counter()
    while len(turns := steps[batches[0]]) < FEWEST or time.perf_counter() - start + turn < seconds:
        began, position = time.perf_counter(), context + len(turns) % TOKENS
        reads.append(pool.seconds(read, [(part, 1) for part in words]))
        for n, work in works.items():
            reads.append(pool.seconds(read_four, [(part, 1) for part in words]))
            steps[n].append((decode_seconds(pool, network, work, position), position + 1))
        turn = time.perf_counter() - began
    return size, min(reads), steps, (time.process_time() - busy) / pool.count / (time.perf_counter() - start)


# --- what is run: kind, dtype, threads, bytes of the working set, work of one repeat, function of the repeats that returns seconds

def _loop(pool: Threads, function, arguments: list[tuple], repeats: int) -> float:
    return pool.seconds(function, [(*each, repeats) for each in arguments])


def streams(pool: Threads, counts, largest: int):
    """Copy, read and write for working sets in powers of two, work in bytes: one buffer, each thread in its own part."""
    words = largest // pool.count // 8
    parts = [np.empty(words + PAD + 8, np.int64) for _ in range(pool.count)]
    parts = [part[-part.ctypes.data % 64 // 8:] for part in parts]  # on a cache line
    pool.seconds(scramble, [(part, k) for k, part in enumerate(parts)])  # a page lies with the core that touches it first
    for threads, power in product(counts, range(int(math.log2(SMALLEST // 8)), words.bit_length())):
        n, chunk = 1 << power, parts[:threads]
        for kind, function, arguments in (("copy", copy, [(p[:n // 2], p[n // 2 + PAD:n + PAD]) for p in chunk]),
                                          ("read", read, [(p[:n],) for p in chunk]), ("write", write, [(p[:n],) for p in chunk])):
            yield kind, "", threads, 8 * n * threads, 8.0 * n * threads, partial(_loop, pool, function, arguments)


def chains(pool: Threads, counts):
    """The same for chains of multiplications and additions, in FLOP; the working set is what the registers hold."""
    for (name, dtype), (bits, function), threads in product(DTYPES.items(), FMA.items(), counts):
        n = lanes(bits, dtype)
        arguments = [(np.full(n, 0.5, dtype), dtype(0.999), dtype(0.001)) for _ in range(threads)]
        yield "fma", name, threads, n * np.dtype(dtype).itemsize * threads, 2.0 * n * threads, partial(_loop, pool, function, arguments)


def products(largest: int, seconds: float):
    """The same for square products by the BLAS that take about `seconds`; the threads are those that the BLAS took, as the clock of the process tells."""
    for name, dtype in DTYPES.items():
        def product_of(n: int, dtype=dtype):
            a, b, c = (np.full((n, n), 0.5, dtype) + np.arange(n, dtype=dtype) / n for _ in range(3))
            return partial(np.dot, a, b, out=c)

        most = int(math.sqrt(largest / 24))
        small = min(256, most)
        quick = min(lot_seconds(product_of(small), 1) for _ in range(5))
        n = max(small, min(4096, most, 64 * round(max(16.0, small / 64 * (seconds / quick) ** (1 / 3)))))
        run = partial(lot_seconds, product_of(n))
        took = max(threads_of(partial(run, 1)) for _ in range(3))
        yield "gemm", name, took, 3 * n * n * np.dtype(dtype).itemsize, 2.0 * n**3, run


# --- counting ---------------------------------------------------------------------------------------------------------

def interpreted(kernel):
    """The Python form of a kernel of `kernels`, which calls the Python forms of all others: it takes arrays, and `Counted`."""
    scope = dict(vars(kernels))
    for name, thing in vars(kernels).items():
        if hasattr(thing, "py_func"):
            scope[name] = FunctionType(thing.py_func.__code__, scope)
    return scope[kernel.__name__]


_point = interpreted(kernels.decode_point)


def with_numpy(overlap, batch, weight_seconds, compute_seconds, kv_seconds, kv_bytes, weights_held, capacity, usd_per_second, *_):
    """The nine outputs of `kernels.sweep_block` from the same source, each operation on whole arrays, as one writes it in NumPy."""
    b, w, c = batch[:, None], weight_seconds[:, None], compute_seconds[:, None]
    numbers, *flags = _point(overlap, b, w, b * kv_seconds, c, weights_held + b * kv_bytes, capacity, usd_per_second)
    return *numbers, *flags


class Counted:
    """A number that counts what is done to it: additions, subtractions, multiplications, divisions, comparisons, one FLOP each."""

    total = 0

    def __init__(self, value: float):
        self.value = value


def _counting(name: str):
    def operate(self, other):
        Counted.total += 1
        result = getattr(float, name)(float(self.value), float(getattr(other, "value", other)))
        return result if isinstance(result, bool) else Counted(result)

    return operate


for _name in ("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "lt", "le", "gt", "ge"):
    setattr(Counted, f"__{_name}__", _counting(f"__{_name}__"))


def _counted(argument):
    if isinstance(argument, np.ndarray):
        return np.array([Counted(value) for value in argument.flat], dtype=object).reshape(argument.shape)
    return Counted(argument) if isinstance(argument, float) else argument


def count_flops(kernel, *arguments) -> int:
    """FLOPs of one call of a kernel of `kernels`, counted in its source: floats and arrays become numbers that count.

    `maximum` and `minimum` count as the one comparison that they make. What a compiler hoists out of a loop is counted here.
    """
    Counted.total = 0
    interpreted(kernel)(*map(_counted, arguments))
    return Counted.total


def sweep_flops() -> int:
    """FLOPs of one more configuration in the inner loop of `kernels.sweep_block`."""
    def block(columns: int) -> int:
        row, column, out = np.ones(1), np.ones(columns), np.ones((1, columns))
        return count_flops(kernels.sweep_block, False, row, row, row, column, column, 1.0, 1.0, 1.0, *[out] * len(kernels.OUTPUTS))

    return block(2) - block(1)


# --- the book's own sweep on that machine -----------------------------------------------------------------------------------

def fill(block, tasks: list[tuple], arrays: list) -> None:
    """Run `block(arguments, *slices)` for all tasks of a sweep, on its threads."""
    def one(task):
        index, start, args = task
        block(*args, *(a[index][start:start + args[1].size] for a in arrays))

    for _ in _on_threads(one, tasks, None):
        pass


def measure_sweep(batches: int = 400, contexts: int = 2500, seconds: float = 0.5) -> dict[str, float]:
    """Seconds a configuration that the compiled loop of `sweep` takes, the bare stores of its outputs, and NumPy.

    Parameters
    ----------
    batches, contexts : int
        Lengths of these axes; there are four systems.
    seconds : float
        How long to measure each of the four.

    Returns
    -------
    dict of str to float
        "kernel"; "stores" (the same threads write the same arrays and compute nothing); "numpy" (the kernel's own source, run
        on the arrays of a whole system at a time) and "numpy in blocks" (on those that the kernel gets): each the best of
        several turns. Then the "bytes" that a configuration stores and the "flops" of the kernel's source.
    """
    axes = (np.arange(1.0, 1 + whole("batches", batches, least=1)), np.linspace(128.0, 32_768.0, whole("contexts", contexts, least=1)))
    grid = Grid(["Llama 2 70B", "Mixtral 8x7B"], ["H100 SXM", "MI300X"], 8, *axes, "bf16", "bf16", "roofline", 2.0, None)
    arrays, blocks, whole_systems = _arrays(grid.shape), grid.tasks(BLOCK), grid.tasks(grid.batch.size * grid.context.size)
    jobs = {"kernel": (kernels.sweep_block, blocks), "stores": (store_block, blocks), "numpy": (with_numpy, whole_systems),
            "numpy in blocks": (with_numpy, blocks)}
    spent = {name: seconds_of(partial(fill, *job, arrays), scalar("seconds", seconds), turns=5) for name, job in jobs.items()}
    stored = sum(a.dtype.itemsize for a in arrays)
    return {name: value / arrays[0].size for name, value in spent.items()} | {"bytes": float(stored), "flops": float(sweep_flops())}
