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
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import product
from pathlib import Path
from types import FunctionType

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from . import kernels
from .checks import scalar, whole
from .sweep import BLOCK, Grid, _arrays, _on_threads

fast = partial(kernels.kernel, fastmath=True)
DTYPES = {"fp32": np.float32, "fp64": np.float64}
SMALLEST = 1 << 14  # bytes of a thread's working set: half of a first-level cache
PAD = 320  # 64-bit words between two arrays: the same low twelve bits of two addresses would make a load wait for a store
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


def memory() -> tuple[float, float]:
    """(all, free) bytes of main memory; (nan, 2 GB) where the system does not say."""
    try:
        if sys.platform == "win32":
            from ctypes import byref, c_uint64, windll

            status = (c_uint64 * 8)(64)  # MEMORYSTATUSEX: its length, then all and free bytes
            return (float(status[1]), float(status[2])) if windll.kernel32.GlobalMemoryStatusEx(byref(status)) else (math.nan, 2e9)
        page, pages = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_PHYS_PAGES")
        return float(page * pages), float(page * (os.sysconf("SC_AVPHYS_PAGES") if "SC_AVPHYS_PAGES" in os.sysconf_names else pages // 4))
    except (AttributeError, ImportError, OSError, ValueError):
        return math.nan, 2e9


def allowed_cores() -> list[int]:
    """The cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


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
