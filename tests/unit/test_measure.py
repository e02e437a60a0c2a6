"""The machine's own measuring: the loops do what they say, the clocks and counters count, the rates make a chip. No time is asserted."""
import math
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
import siliconomics as si
from numpy.testing import assert_allclose, assert_array_equal
from siliconomics import BadValue, MissingDtype, kernels, measure
from siliconomics import machine_kernels as loops
from siliconomics.measure import Machine, Rate
from siliconomics.sweep import _arrays
from test_reliability import PACKAGE, run

compiled_only = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="the compiler is off")


# --- the loops ------------------------------------------------------------------------------------------------------

def words(n):
    return np.random.default_rng(n).integers(-1000, 1000, n)


@pytest.mark.parametrize("n", [1, 7, 64, 1001])
def test_copy_copies_and_read_sums(n):
    source, target = words(n), np.zeros(n, np.int64)
    loops.copy(source, target, 2)
    assert_array_equal(target, source)
    assert loops.read(source, 3) == source[0] + 3 * source.sum()


def test_write_leaves_the_last_pass_and_touches_nothing_else():
    target = words(100)
    before = target.copy()
    loops.write(target[10:20], 5)
    assert_array_equal(target[10:20], np.full(10, 4))
    assert_array_equal(np.delete(target, slice(10, 20)), np.delete(before, slice(10, 20)))


def test_scrambled_words_differ():
    target = np.zeros(10_000, np.int64)
    loops.scramble(target, 3)
    assert np.unique(target).size == target.size and np.count_nonzero(target) == target.size


@pytest.mark.parametrize("dtype", loops.DTYPES.values())
@pytest.mark.parametrize("bits", loops.FMA)
@pytest.mark.parametrize("repeats", [0, 1, 5])
def test_chains_multiply_and_add(bits, dtype, repeats):
    n = loops.lanes(bits, dtype)
    assert n == 12 * bits / 8 / np.dtype(dtype).itemsize
    room = np.random.default_rng(1).random(n + 8).astype(dtype)
    want = room.copy()
    for _ in range(repeats):
        want[4:-4] = want[4:-4] * dtype(0.5) + dtype(0.25)
    loops.FMA[bits](room[4:-4], dtype(0.5), dtype(0.25), repeats)
    assert_allclose(room, want, rtol=1e-6)
    assert_array_equal(room[:4], want[:4])
    assert_array_equal(room[-4:], want[-4:])


@compiled_only
@pytest.mark.parametrize("bits", loops.FMA)
@pytest.mark.parametrize("name, suffix", [("fp32", "ps"), ("fp64", "pd")])
def test_chains_are_vector_instructions_that_fuse(bits, name, suffix):
    """Twelve fused multiply-adds in the loop, or a multiple of it; no scalar ones."""
    from llvmlite.binding import get_host_cpu_features

    if platform.machine() not in ("x86_64", "AMD64") or not get_host_cpu_features().get("fma"):
        pytest.skip("another set of instructions")
    dtype, fresh = loops.DTYPES[name], numba.njit(fastmath=True)(kernels.plain(loops.FMA[bits]))  # an assembly from the cache is not to be had
    fresh(np.ones(loops.lanes(bits, dtype), dtype), dtype(0.5), dtype(0.5), 1)
    assembly, = fresh.inspect_asm().values()
    packed, scalar = (len(re.findall(rf"\bvfmadd\d+{kind}", assembly)) for kind in (suffix, "s" + suffix[1]))
    assert packed >= loops.CHAINS and packed % loops.CHAINS == 0 and scalar == 0


def test_bare_stores_fill_the_outputs_of_a_sweep():
    out = [np.full((3, 4), 7, a.dtype) for a in _arrays((1, 1))]
    loops.store_block(False, np.array([5.0, 6.0, 8.0]), *[np.ones(3)] * 2, *[np.ones(4)] * 2, 1.0, 1.0, 1.0, *out)
    for values in out[:7]:
        assert_array_equal(values, np.repeat([[5.0], [6.0], [8.0]], 4, axis=1))
    assert (out[7] == 1).all() and out[8].all()


WITHOUT_COMPILER = """
import numpy as np
from siliconomics import machine_kernels as loops, measure
a = np.arange(1.0, 49.0)
loops.fma_256(a, 0.5, 0.25, 3)
print(a.sum(), loops.read(np.arange(100), 2), loops.sweep_flops())
machine = measure.measure_machine(0.05, largest=1 << 15, threads=2)
print(sorted({r.kind for r in machine.rates}), sorted(machine.peaks()), all(r.value > 0 for r in machine.rates))
print(sorted(loops.measure_sweep(2, 3, 0.01)))
"""


def test_same_results_without_the_compiler():
    assert run(WITHOUT_COMPILER, NUMBA_DISABLE_JIT="1") == run(WITHOUT_COMPILER)


@pytest.mark.skipif(os.name == "nt", reason="Windows takes the user's cache folder from the registry, not from HOME")
def test_no_folder_for_the_compiler_cache(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "lib" / "siliconomics", ignore=shutil.ignore_patterns("__pycache__"))
    for blocked in (tmp_path / "lib" / "siliconomics" / "__pycache__", tmp_path / "home"):
        blocked.touch()
    ask = "from siliconomics import machine_kernels as m; import numpy as np; print(m.__file__, m.read(np.arange(10), 2))"
    where, total = run(ask, PYTHONPATH=str(tmp_path / "lib"), HOME=str(tmp_path / "home")).split()
    assert where.startswith(str(tmp_path)) and total == "90"


# --- clocks and counters --------------------------------------------------------------------------------------------

def test_repeats_grow_until_the_time_is_filled():
    asked = []

    def run_for(n):
        asked.append(n)
        return n * 1e-4

    found = loops.repeats_for(run_for, 0.1)
    assert 500 <= found <= 1000 and asked[0] == 1 and asked == sorted(asked)
    assert loops.repeats_for(lambda n: 1.0, 0.1) == 1


def test_seconds_of_keeps_the_shortest_turn(monkeypatch):
    clock, pauses = [0.0], iter([5.0] + [0.0, 3.0, 0.5, 0.25, 7.0, 0.75, 9.0])
    monkeypatch.setattr(loops.time, "perf_counter", lambda: clock[0])

    def call():
        clock[0] += 1.0 + next(pauses)

    assert loops.seconds_of(call, at_least=0.1, turns=6) == 1.25  # two calls before the turns


def test_threads_run_at_once_and_their_errors_come_through():
    here = []
    with loops.Threads(3) as pool:
        assert pool.seconds(lambda k: here.append(k), [(1,), (2,), (3,)]) >= 0 and sorted(here) == [1, 2, 3]
        with pytest.raises(ZeroDivisionError):
            pool.seconds(lambda k: 1 / k, [(1,), (0,), (2,)])
        pool.seconds(lambda k: here.append(k), [(9,)])
    assert here[-1] == 9


@pytest.mark.parametrize("lost", [[], ["sched_setaffinity"], ["sched_setaffinity", "sched_getaffinity"]], ids=str)
def test_threads_without_pinning(monkeypatch, lost):
    for name in lost:
        monkeypatch.delattr(os, name, raising=False)
    assert len(loops.allowed_cores()) >= 1
    with loops.Threads(len(loops.allowed_cores()) + 1) as pool:  # more threads than cores
        assert pool.seconds(lambda: None, [()] * pool.count) >= 0


@pytest.mark.parametrize("kernel, arguments, flops", [
    ("ridge", (1.0, 2.0), 1), ("attainable", (1.0, 2.0, 3.0), 2), ("energy", (1.0,) * 4, 3), ("usd_per_mtok", (1.0, 2.0), 3),
    ("decode_additive", (1.0, 2.0, 3.0), 2), ("decode_overlap", (1.0, 2.0, 3.0), 2), ("mfu", (1.0,) * 4, 3)])
def test_flops_of_a_formula_by_hand(kernel, arguments, flops):
    assert si.count_flops(getattr(kernels, kernel), *arguments) == flops


def test_flops_of_the_sweep_by_hand():
    step = 2 + 1 + 1 + 1 + 2 + 3 + 2  # maximum and sum; 1/t; w + kv; B/t; MFU, MBU; dollars; two comparisons
    assert si.count_flops(kernels.decode_point, False, *[1.0] * 7) == si.count_flops(kernels.decode_point, True, *[1.0] * 7) == step == 12
    assert loops.sweep_flops() == 3 + step  # two products and a sum for the cache


def test_the_count_follows_the_source(monkeypatch):
    monkeypatch.setattr(kernels, "decode_additive", lambda w, kv, c: kv + np.maximum(c, w) + 1.0)
    assert loops.sweep_flops() == 16


@pytest.mark.parametrize("overlap", [False, True])
def test_numpy_form_of_the_sweep_equals_the_compiled_loop(overlap):
    rng = np.random.default_rng(3)
    rows, columns, out = [rng.random(5) for _ in range(3)], [rng.random(4) for _ in range(2)], _arrays((5, 4))
    arguments = (overlap, *rows, *columns, 0.4, 0.8, 0.002)
    kernels.sweep_block(*arguments, *out)
    for got, want in zip(loops.with_numpy(*arguments), out, strict=True):
        assert_allclose(np.broadcast_to(got, want.shape), want, rtol=1e-12)


# --- the machine ----------------------------------------------------------------------------------------------------

BY_HAND = Machine("Test CPU", 4, 16e9, (
    Rate("read", "", 1, 2**14, 100e9, 90e9, 80e9), Rate("read", "", 1, 2**30, 10e9, 9e9, 8e9), Rate("write", "", 1, 2**30, 5e9, 4e9, 3e9),
    Rate("read", "", 4, 2**16, 400e9, 390e9, 380e9), Rate("read", "", 4, 2**30, 30e9, 29e9, 28e9), Rate("write", "", 4, 2**30, 15e9, 14e9, 13e9),
    Rate("fma", "fp32", 1, 384, 100e9, 99e9, 98e9), Rate("fma", "fp64", 1, 384, 50e9, 49e9, 48e9), Rate("fma", "fp64", 4, 384, 200e9, 199e9, 198e9),
    Rate("fma", "fp64", 4, 768, 160e9, 159e9, 158e9), Rate("gemm", "fp32", 4, 1e6, 300e9, 299e9, 298e9), Rate("gemm", "fp64", 4, 1e6, 150e9, 149e9, 148e9)))


@pytest.mark.parametrize("arguments, want", [
    ({}, 30e9), ({"threads": 1}, 10e9), ({"kind": "write"}, 15e9), ({"bytes": 2**16}, 400e9), ({"bytes": 2**22}, 400e9), ({"bytes": 2**24}, 30e9),
    ({"bytes": 2**40, "threads": 1}, 10e9), ({"kind": "write", "threads": 1}, 5e9)])
def test_bandwidth_at_the_nearest_working_set(arguments, want):
    assert BY_HAND.bandwidth(**arguments) == want


@pytest.mark.parametrize("arguments, want", [
    ({}, {"fp32": 300e9, "fp64": 200e9}), ({"method": "fma"}, {"fp32": 100e9, "fp64": 200e9}), ({"method": "gemm"}, {"fp32": 300e9, "fp64": 150e9}),
    ({"threads": 1}, {"fp32": 100e9, "fp64": 50e9}), ({"method": "fma", "threads": 4}, {"fp64": 200e9})])
def test_best_peak(arguments, want):
    assert BY_HAND.peaks(**arguments) == want


def test_the_machine_is_a_chip():
    chip = BY_HAND.chip()
    assert (chip.name, chip.kind, chip.memory_bytes, chip.bandwidth, dict(chip.peak)) == ("Test CPU", "cpu", 16e9, 30e9, {"fp32": 300e9, "fp64": 200e9})
    assert BY_HAND.ridge() == 200 / 30 and BY_HAND.ridge("fp32", "write") == 300 / 15
    assert si.attainable([1, 100], chip, "fp64") == pytest.approx([30e9, 200e9])
    assert si.decode("Llama 2 7B", chip).bound == "memory"
    assert BY_HAND.chip(threads=1).ridge("fp64") == 5 and BY_HAND.chip(bytes=2**16).bandwidth == 400e9
    assert str(BY_HAND) == "Test CPU, 4 threads: 300 GFLOP/s fp32, 200 GFLOP/s fp64, 30.0 GB/s read, ridge 6.67 FLOP/B in fp64"
    frame = BY_HAND.to_frame()
    assert list(frame) == ["kind", "dtype", "threads", "bytes", "value", "median", "low"] and len(frame) == 12
    nameless = Machine("x", 4, math.nan, BY_HAND.rates).chip()
    assert nameless.memory_bytes > 0


@pytest.mark.parametrize("ask, words", [
    (lambda: BY_HAND.bandwidth("sum"), ["kind='sum'", "'read'"]), (lambda: BY_HAND.bandwidth(threads=3), ["threads=3", "[1, 4]"]),
    (lambda: BY_HAND.bandwidth(bytes=0), ["bytes=0"]), (lambda: BY_HAND.bandwidth("copy"), ["kind='copy'"]),
    (lambda: BY_HAND.peaks("dot"), ["method='dot'"]), (lambda: BY_HAND.peaks(threads=2), ["threads=2"]),
    (lambda: si.measure_machine(0), ["seconds=0"]), (lambda: si.measure_machine("fast"), ["seconds='fast'"]), (lambda: si.measure_machine(-1), ["seconds=-1"]),
    (lambda: si.measure_machine(1, largest=100), ["largest=100"]), (lambda: si.measure_machine(1, largest=2**15, threads=3), ["largest=32768"]),
    (lambda: si.measure_machine(1, threads=0), ["threads=0"]), (lambda: si.measure_machine(1, threads=1.5), ["threads=1.5"]),
    (lambda: si.measure_machine(1, threads=True), ["threads=True"]), (lambda: si.measure_sweep(0), ["batches=0"]),
    (lambda: si.measure_sweep(1, 2.5), ["contexts=2.5"]), (lambda: si.measure_sweep(1, 1, 0), ["seconds=0"])])
def test_bad_arguments_are_named(ask, words):
    with pytest.raises(BadValue) as caught:
        ask()
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_dtype_that_was_not_measured():
    with pytest.raises(MissingDtype, match="bf16"):
        BY_HAND.ridge("bf16")


def test_a_short_measurement_is_plausible():
    machine = si.measure_machine(0.05, largest=2**18, threads=2)
    frame = machine.to_frame()
    assert (machine.cores, machine.name) == (2, loops.cpu_name())
    assert set(frame.kind) == {"copy", "read", "write", "fma", "gemm"} and set(frame.dtype) == {"", "fp32", "fp64"}
    for kind in measure.STREAMS:
        assert list(frame[(frame.kind == kind) & (frame.threads == 1)].bytes) == [2**k for k in range(14, 18)]
        assert list(frame[(frame.kind == kind) & (frame.threads == 2)].bytes) == [2**k for k in range(15, 19)]
    assert ((frame.value >= frame["median"]) & (frame["median"] >= frame.low) & (frame.low > 0)).all()
    assert frame.value.between(1e6, 1e14).all()
    assert set(machine.peaks("fma")) == set(machine.peaks("gemm")) == {"fp32", "fp64"}
    assert machine.chip().ridge("fp64") == machine.ridge()
    assert len(si.measure_machine(0.02, largest=2**14, threads=1).to_frame()) == 3 + 4 + 2  # one thread counts once


@pytest.mark.parametrize("free, threads, largest", [(2**20, 1, 2**17), (1e15, 1, 2**30), (100, 4, 2**16), (2**20, 2, 2**17)])
def test_the_largest_set_is_a_share_of_the_free_memory(monkeypatch, free, threads, largest):
    asked = []
    monkeypatch.setattr(loops, "memory", lambda: (1e10, free))
    monkeypatch.setattr(loops, "streams", lambda pool, counts, size: asked.append(size) or ())
    monkeypatch.setattr(loops, "products", lambda size, seconds: ())
    si.measure_machine(0.01, threads=threads)
    assert asked == [largest]


def test_the_best_turn_counts(monkeypatch):
    seconds = iter([9.0, 9.0, 4.0, 2.0, 5.0])  # a first run, a trial, three turns
    monkeypatch.setattr(loops, "streams", lambda *_: [("read", "", 1, 2**14, 100.0, lambda repeats: next(seconds))])
    monkeypatch.setattr(loops, "chains", lambda *_: ())
    monkeypatch.setattr(loops, "products", lambda *_: ())
    assert si.measure_machine(1e-9, threads=1).rates == (("read", "", 1, 2**14, 50.0, 25.0, 20.0),)


def test_sweep_on_this_machine():
    found = si.measure_sweep(3, 5, 0.02)
    assert (found.pop("bytes"), found.pop("flops")) == (58.0, 15.0)
    assert set(found) == {"kernel", "stores", "numpy", "numpy in blocks"} and all(1e-11 < seconds < 1 for seconds in found.values())


# --- other systems --------------------------------------------------------------------------------------------------

def test_this_system_has_a_name_and_memory():
    total, free = loops.memory()
    assert loops.cpu_name() and free > 1e6 and (math.isnan(total) or total >= free)


@pytest.mark.parametrize("listing, want", [("processor : 0\nmodel name\t: Fast CPU @ 3\nflags : x\n", "Fast CPU @ 3"), ("Hardware : x\nModel\t\t: A Board\n", "A Board"),
                                           ("nothing here\n", None)])
def test_name_from_proc(monkeypatch, tmp_path, listing, want):
    (tmp_path / "cpuinfo").write_text(listing)
    monkeypatch.setattr(loops, "Path", lambda _: tmp_path / "cpuinfo")
    assert loops.cpu_name() == (want or platform.processor() or platform.machine())


def test_name_on_a_mac(monkeypatch, tmp_path):
    monkeypatch.setattr(loops, "Path", lambda _: tmp_path / "none")
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, "Apple M9\n", ""))
    assert loops.cpu_name() == "Apple M9"


def test_name_where_nothing_tells(monkeypatch, tmp_path):
    monkeypatch.setattr(loops, "Path", lambda _: tmp_path / "none")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "")
    assert loops.cpu_name() == "unknown processor"


def test_memory_that_holds_files_is_free(monkeypatch, tmp_path):
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1000, "SC_AVPHYS_PAGES": 10}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__, raising=False)
    monkeypatch.setattr(os, "sysconf_names", sizes, raising=False)
    monkeypatch.setattr(loops, "Path", lambda _: tmp_path / "meminfo")
    assert loops.memory() == (4096e3, 40960.0)
    (tmp_path / "meminfo").write_text("MemFree:   7 kB\nMemAvailable:     3000 kB\n")
    assert loops.memory() == (4096e3, 3000 * 1024.0)


def test_memory_where_nothing_tells(monkeypatch):
    monkeypatch.delattr(os, "sysconf", raising=False)
    total, free = loops.memory()
    assert math.isnan(total) and free == 2e9
    monkeypatch.setattr(sys, "platform", "win32")  # here ctypes has no windll
    if os.name != "nt":
        assert loops.memory()[1] == 2e9


def test_memory_without_free_pages(monkeypatch, tmp_path):
    monkeypatch.setattr(loops, "Path", lambda _: tmp_path / "none")
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1000}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__, raising=False)
    monkeypatch.setattr(os, "sysconf_names", sizes, raising=False)
    assert loops.memory() == (4096e3, 4096 * 250.0)


def test_memory_on_windows(monkeypatch):
    import ctypes

    class Kernel:
        @staticmethod
        def GlobalMemoryStatusEx(status):
            status._obj[1], status._obj[2] = 16 * 10**9, 6 * 10**9
            return status._obj[0] == 64

    monkeypatch.setattr(ctypes, "windll", type("W", (), {"kernel32": Kernel}), raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    assert loops.memory() == (16e9, 6e9)


def test_no_compiled_function_is_shared():
    ours = {id(f) for f in vars(loops).values() if hasattr(f, "py_func")}
    assert ours.isdisjoint(id(f) for f in vars(kernels).values())
    assert Path(loops.__file__).stem == "machine_kernels" and all(
        f.py_func.__module__ == "siliconomics.machine_kernels" for f in vars(loops).values() if hasattr(f, "py_func"))
