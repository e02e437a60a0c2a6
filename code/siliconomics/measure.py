"""What does this machine reach? Its own bandwidths and peaks, measured with compiled loops and the BLAS of NumPy."""
from __future__ import annotations

import math
import time
from collections import namedtuple
from dataclasses import dataclass
from statistics import median

from . import machine_kernels as loops
from .catalog import Chip
from .checks import BadValue, choice, scalar, whole
from .units import fmt

STREAMS, METHODS = ("copy", "read", "write"), ("fma", "gemm")
LARGEST = 1 << 30  # bytes of the largest working set: more than almost any last-level cache
FEWEST = 3  # turns, however short the time
Rate = namedtuple("Rate", "kind dtype threads bytes value median low")  # B/s or FLOP/s of the best turn, the median, the worst turn


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
        while len(turns) < FEWEST or time.perf_counter() - start + turn < seconds:
            turn = loops.lot_seconds(lambda: turns.append([n * work / run(n) for n, (*_, work, run) in zip(repeats, measures)]), 1)
    return Machine(loops.cpu_name(), cores, memory, tuple(Rate(*w[:4], max(r), median(r), min(r)) for w, r in zip(measures, zip(*turns))))
