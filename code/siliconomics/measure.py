"""What does this machine reach? Its own bandwidths and peaks, measured with compiled loops and the BLAS of NumPy."""
from __future__ import annotations

import math
import time
from collections import namedtuple
from dataclasses import dataclass
from statistics import median

from . import kernels
from . import machine_kernels as loops
from .catalog import Chip
from .checks import BadValue, choice, scalar, whole
from .units import fmt

STREAMS, METHODS = ("copy", "read", "write"), ("fma", "gemm")
LARGEST = 1 << 30  # bytes of the largest working set: more than almost any last-level cache
Rate = namedtuple("Rate", "kind dtype threads bytes value median low")  # B/s or FLOP/s of the best turn, the median, the worst turn
Token = namedtuple("Token", "weights batch bytes seconds median tokens_per_second bandwidth mbu alone")  # of the best step


@dataclass(frozen=True)
class Machine:
    """A computer as it was measured. Units: bytes, B/s (what a program asks for, in both directions together), FLOP/s.

    Attributes
    ----------
    name : str
        The processor's.
    cores : int
        Threads of the measures on all cores.
    memory_bytes : float
        nan where the system does not say.
    rates : tuple of Rate
        Kinds "copy", "read", "write" by working set; "fma" (compiled loop) and "gemm" (BLAS) by dtype. `bytes` is the working
        set of all threads together, `value` the best turn; `median` and `low` show how quiet the machine was.
    """

    name: str
    cores: int
    memory_bytes: float
    rates: tuple[Rate, ...]

    def bandwidth(self, kind: str = "read", bytes: float | None = None, threads: int | None = None) -> float:
        """B/s of one stream at the working set nearest to `bytes`; by default the largest set (main memory), all cores."""
        rows = [r for r in self.rates if r.kind == choice("kind", kind, STREAMS) and r.threads == (threads or self.cores)]
        if not rows:
            raise BadValue(f"kind={kind!r}, threads={threads}: it was measured on {sorted({r.threads for r in self.rates if r.kind == kind})} threads")
        size = max(r.bytes for r in rows) if bytes is None else scalar("bytes", bytes)
        return min(rows, key=lambda r: abs(math.log(r.bytes / size))).value

    def peaks(self, method: str | None = None, threads: int | None = None) -> dict[str, float]:
        """dtype -> FLOP/s of one method ("fma" or "gemm") and count of threads, or the best of all."""
        rows = [r for r in self.rates if r.kind in METHODS and r.kind in (method or r.kind,) and r.threads in (threads or r.threads,)]
        if not rows:
            raise BadValue(f"method={method!r}, threads={threads}: 'fma' with 1 or {self.cores} threads or 'gemm' was measured")
        return {d: max(r.value for r in rows if r.dtype == d) for d in dict.fromkeys(r.dtype for r in rows)}

    def ridge(self, dtype: str = "fp64", kind: str = "read") -> float:
        """FLOP/byte at which the measured peak meets the bandwidth of main memory."""
        return self.chip(kind).ridge(dtype)

    def chip(self, kind: str = "read", bytes: float | None = None, threads: int | None = None) -> Chip:
        """This machine as a chip, so that every formula works on it; arguments as for `bandwidth`."""
        memory = 1e9 if math.isnan(self.memory_bytes) else self.memory_bytes
        return Chip(self.name, self.peaks(threads=threads), memory, self.bandwidth(kind, bytes, threads), kind="cpu")

    def to_frame(self):
        """All rates as a pandas.DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.rates)

    def __str__(self) -> str:
        peaks = ", ".join(f"{fmt(rate, 'FLOP/s')} {dtype}" for dtype, rate in self.peaks().items())
        return f"{self.name}, {self.cores} threads: {peaks}, {fmt(self.bandwidth(), 'B/s')} read, ridge {self.ridge():.3g} FLOP/B in fp64"


def measure_machine(seconds: float = 8.0, largest: int | None = None, threads: int | None = None) -> Machine:
    """Measure bandwidths over working sets from the first cache to main memory, and peaks, on this machine.

    All measures take turns, so that a slow spell of a shared machine meets all of them. Of each the best turn counts, because
    a roof is what the machine can do and others that use it only take away; the median and the worst turn stand beside it.
    The first call takes a second or two longer, to compile.

    Parameters
    ----------
    seconds : float
        About how long to measure; three turns are taken however short it is.
    largest : int, optional
        Bytes of the largest working set; by default 1 GiB, or an eighth of the free memory if that is less.
    threads : int, optional
        Threads of the measures on all cores; by default one for each core that this process may use.

    Returns
    -------
    Machine
        ``machine.chip()`` goes wherever a chip does: ``si.attainable(10, machine.chip(), "fp64")``.

    Raises
    ------
    BadValue
        If an argument is not positive, or `largest` is less than 16 KiB for each thread.

    References
    ----------
    McCalpin (1995) for streams; Williams, Waterman, Patterson (2009) for the roofline made of them.
    """
    seconds, start, (memory, free) = scalar("seconds", seconds), time.perf_counter(), loops.memory()
    cores = len(loops.allowed_cores()) if threads is None else whole("threads", threads, least=1)
    size = max(min(LARGEST, int(free) // 8), loops.SMALLEST * cores) if largest is None else whole("largest", largest, least=loops.SMALLEST * cores)
    counts = sorted({1, cores})
    with loops.Threads(cores) as pool:
        measures = [*loops.streams(pool, counts, size), *loops.chains(pool, counts), *loops.products(size, seconds / 200)]
        repeats = [loops.repeats_for(run, seconds / 12 / len(measures)) for *_, run in measures]
        turns, turn = [], 0.0
        while len(turns) < loops.FEWEST or time.perf_counter() - start + turn < seconds:
            turn = loops.lot_seconds(lambda: turns.append([n * work / run(n) for n, (*_, work, run) in zip(repeats, measures)]), 1)
    return Machine(loops.cpu_name(), cores, memory, tuple(Rate(*w[:4], max(r), median(r), min(r)) for w, r in zip(measures, zip(*turns))))


@dataclass(frozen=True)
class MeasuredDecode:
    """Decode steps as they were measured on this machine. Units: bytes, seconds, B/s.

    Attributes
    ----------
    name : str
        The processor's.
    threads : int
    cache_bytes : float
        The largest cache that the system reports; nan where it reports none.
    models : dict of str to Transformer
        The network of each format of weights.
    tokens : tuple of Token
        By format and batch: `bytes` that the best step had to read (weights and cache), its `seconds`, the `median` of all steps,
        the read `bandwidth` of the weights' own memory, measured in the same turns, and the `mbu`. `alone` is the share of the
        cores' time that this process had: well below 1 other programs ran on them, and threads that wait for each other lose more
        by it than a read does.
    """

    name: str
    threads: int
    cache_bytes: float
    models: dict
    tokens: tuple[Token, ...]

    def of(self, weights: str = "fp32", batch: int | None = None) -> Token:
        """The measured step of one format and batch, by default the smallest batch."""
        rows = [t for t in self.tokens if t.weights == weights and batch in (None, t.batch)]
        if not rows:
            raise BadValue(f"weights={weights!r}, batch={batch!r}: {sorted({t[:2] for t in self.tokens})} were measured")
        return rows[0]

    def crossover(self, weights: str = "fp32") -> float:
        """Batch at which the time per sequence at the largest batch, where arithmetic limits, adds up to the time of the smallest step.

        At least that batch, if the largest batch measured is itself limited by memory.
        """
        first, last = self.of(weights), [t for t in self.tokens if t.weights == weights][-1]
        return last.batch * first.seconds / last.seconds

    def to_frame(self):
        """All steps as a pandas.DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.tokens)

    def __str__(self) -> str:
        rows = [f"{w}: {m.layers} layers of width {m.d_model:,}, {fmt(m.weight_bytes(w), 'B')}: {t.tokens_per_second:.3g} tokens/s at batch {t.batch}, "
                f"{fmt(t.bandwidth, 'B/s')} read, MBU {fmt(t.mbu, '%', 2)}, crossover at batch {self.crossover(w):.2g}" for w, m in self.models.items() for t in [self.of(w)]]
        return "\n".join([f"{self.name}, {self.threads} threads, caches up to {fmt(self.cache_bytes, 'B')}", *rows])


def measure_decode(batch=(1, 2, 4, 8, 16), weights=("fp32", "int8"), context: int = 64, seconds: float = 8.0, largest: float | None = None,
                   threads: int | None = None) -> MeasuredDecode:
    """Decode on this machine, token by token: a network in the shape of Llama with random weights and a KV cache, compiled loops, all cores.

    Each step multiplies every weight, as for a real answer; each turn decodes one token at every batch and reads the same memory
    without any arithmetic. The best turns count, as in `measure_machine`. Arithmetic and cache are fp32; int8 weights have one scale
    a row. The first call takes a quarter of a minute longer, to compile; other programs on the cores make it many times longer.

    Parameters
    ----------
    batch : int or sequence of int
        Sequences decoded at once.
    weights : str or sequence of str
        "fp32", "int8". Both networks take the same bytes, so the one of int8 has more layers.
    context : int
        Tokens in the cache before the first step.
    seconds : float
        About how long to measure, beside building the networks; three turns are taken however short it is.
    largest : float, optional
        Bytes of the weights, at most: a quarter of the free memory is never exceeded. By default 1 GB, or four times the
        last cache that the system reports if that is more.
    threads : int, optional
        By default one for each core that this process may use.

    Returns
    -------
    MeasuredDecode
        ``.of("fp32", 1).mbu``, ``.crossover("int8")``, ``.to_frame()``.

    Raises
    ------
    BadValue
        If a batch, `context`, `seconds` or `threads` is not positive, a format unknown, less memory allowed than the smallest network needs,
        or the compiler switched off: Python's loops would be timed, not the machine.

    References
    ----------
    Databricks (2023) for MBU; Touvron et al. (2023) for the network.
    """
    if loops.config.DISABLE_JIT:
        raise BadValue("NUMBA_DISABLE_JIT=1: the loops have to be compiled to say anything of this machine; unset it")
    batches = sorted({whole("batch", n, least=1) for n in (batch if isinstance(batch, (list, tuple)) else [batch])})
    formats = [choice("weights", w, loops.WEIGHTS) for w in ([weights] if isinstance(weights, str) else weights)]
    context, seconds, cache = whole("context", context, least=1), scalar("seconds", seconds), loops.last_cache()
    cores = len(loops.allowed_cores()) if threads is None else whole("threads", threads, least=1)
    size = min(max(1e9, 4 * cache if cache > 0 else 0) if largest is None else scalar("largest", largest), loops.memory()[1] / 4)
    if size < loops.LEAST or not (batches and formats):
        raise BadValue(f"largest={largest!r}, batch={batch!r}, weights={weights!r}: a batch, a format and {loops.LEAST:g} bytes in a quarter of the free memory are needed")
    models, tokens = {w: loops.decode_shape(size, w) for w in formats}, []
    with loops.Threads(cores) as pool:
        for w, model in models.items():
            held, read, steps, alone = loops.decode_turns(pool, model, w, batches, context, seconds / len(formats))
            for n, turns in steps.items():
                counted = [(t, model.weight_bytes(w) + n * model.kv_bytes(attended, "fp32")) for t, attended in turns]
                t, moved = max(counted, key=lambda c: c[1] / c[0])
                mbu = kernels.plain(kernels.mbu)(moved, t, 1, held / read)
                tokens.append(Token(w, n, moved, t, median(t for t, _ in turns), n / t, held / read, mbu, alone))
    return MeasuredDecode(loops.cpu_name(), cores, cache, models, tuple(tokens))
