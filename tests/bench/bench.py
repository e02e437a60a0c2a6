"""How fast is the core, against this machine's own limit, plain NumPy and other calculators? Run by `make bench`.

All measures of one run take turns, so that a slow spell of the machine meets all of them; medians are kept. A limit is
measured, never looked up. Seconds inside; no time is asserted. The result goes to bench.json, which the status page prints.
"""
from __future__ import annotations

import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numba
import numpy as np
import siliconomics as si
from siliconomics import kernels
from siliconomics.machine_kernels import cpu_name, fill, store_block
from siliconomics.sweep import BLOCK, Grid, _arrays  # the package's own blocks, arrays and threads

HERE, REPEATS = Path(__file__).resolve().parent, 5
SIZES = {"560": (14, 10), "1e6": (100, 2500), "1e7": (1000, 2500), "1e8": (10_000, 2500)}  # batch x context of four systems
REDUCED = {"1e7": 1000, "1e8": 10_000, "1e9": 100_000, "1e10": 1_000_000}  # batches, with 2500 contexts
SYSTEMS = dict(models=["Llama 2 70B", "Mixtral 8x7B"], chips=["H100 SXM", "MI300X"], n_chips=8, usd_per_chip_hour=2.0)
QUESTION = dict(chips=8, batch=64, context=2048)


def axes(batches: int, contexts: int) -> dict:
    return SYSTEMS | {"batch": np.arange(1.0, batches + 1), "context": np.linspace(128.0, 32_768.0, contexts)}


# --- what the package is measured against ---------------------------------------------------------------------------

def with_numpy(systems: list[tuple]) -> tuple:
    """The same outputs as one plain NumPy expression over system x batch x context."""
    _, batch, weights, flops, kv, kv_bytes, held, capacity, usd = map(np.array, zip(*(args for _, args in systems)))
    b, w, c = batch[..., None], weights[..., None], flops[..., None]
    held, capacity, usd = (v[:, None, None] for v in (held, capacity, usd))
    cache = b * kv[:, None, :]
    seconds, memory = cache + np.maximum(c, w), cache + w
    rate, bytes_held = b / seconds, held + b * kv_bytes[:, None, :]
    return (seconds, rate, 1.0 / seconds, c / seconds, memory / seconds, bytes_held, usd * 1e6 / rate, c > memory, bytes_held <= capacity)


# --- the measures: name -> function that returns a time, or several ------------------------------------------------------

def timed(call, at_least: float = 0.1, warm: bool = False):
    """A function that returns the median seconds of one call, over calls of `at_least` seconds in all.

    The median, because one pause of a virtual machine is as long as a hundred calls. Calls too short for the clock are
    timed in lots of a millisecond.
    """
    def once(lot: int) -> float:
        start = time.perf_counter()
        for _ in range(lot):
            call()
        return (time.perf_counter() - start) / lot

    shortest = min(once(1), once(1), once(1))
    lot = max(1, int(1e-3 / shortest))
    lots = max(1, int(at_least / (lot * shortest)))

    def median() -> float:
        if warm:  # before the clock starts: a virtual machine may have lost its freed pages, which the first to ask would pay
            call()
        return statistics.median(once(lot) for _ in range(lots))

    return median


def grid_calls(given: dict) -> dict:
    grid = Grid(**given, weights="bf16", kv="bf16", stack="roofline", compute=None)
    tasks, systems, arrays = grid.tasks(BLOCK), list(grid.systems()), _arrays(grid.shape)
    return {"sweep": lambda: si.sweep(**given), "store fresh": lambda: fill(store_block, tasks, _arrays(grid.shape)),
            "kernel": lambda: fill(kernels.sweep_block, tasks, arrays), "store": lambda: fill(store_block, tasks, arrays),
            "numpy": lambda: with_numpy(systems)}


def reductions_and_calls(sizes) -> dict:
    names, things = ("Llama 2 70B", "H100 SXM"), (si.model("Llama 2 70B"), si.chip("H100 SXM"))
    return {f"best {name}": timed(lambda n=name: si.best(**axes(REDUCED[n], 2500)), at_least=0.2) for name in sizes} | {
        "pareto 1e9": timed(lambda: si.pareto(**axes(REDUCED["1e9"], 2500))),
        "decode objects": timed(lambda: si.decode(*things, **QUESTION)), "decode names": timed(lambda: si.decode(*names, **QUESTION))}


def child(script: str, python: str = sys.executable, **environment: str):
    """What a script prints as its last line, as JSON."""
    done = subprocess.run([python, "-c", script], capture_output=True, text=True, env={**os.environ, **environment}, cwd=HERE)
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines() or ["no output"]
    if done.returncode:
        raise RuntimeError(re.sub(r"\S*/\S+", "...", lines[-1]))  # no path of a machine
    return json.loads(lines[-1])


START = "import json, time; t = [time.perf_counter()]; lap = lambda: t.append(time.perf_counter())\n"
LAPS = "\nprint(json.dumps([b - a for a, b in zip(t, t[1:])]))"
FIRST = START + """import siliconomics as si; lap()
si.decode("Llama 2 70B", "H100 SXM", chips=8, batch=64); lap()
si.sweep("Llama 2 70B", "H100 SXM", n_chips=8, batch=[64.0, 65.0]); lap()""" + LAPS


def imports() -> dict:
    def cold():
        with tempfile.TemporaryDirectory() as empty:
            return child(FIRST, NUMBA_CACHE_DIR=empty)

    base = START + "import numpy, numba, pandas; lap()" + LAPS
    child(FIRST)  # fills the cache
    return {"import base": lambda: child(base), "first": lambda: child(FIRST), "first cold": cold}


RIVALS = {
    "mlsysim": ("ServingModel, Llama 2 70B on one H100", """import mlsysim
from mlsysim.solvers import ServingModel; lap()
solver, model, chip = ServingModel(), mlsysim.Models.Language.Llama2_70B, mlsysim.Hardware.Cloud.H100
call = lambda: solver.solve(model, chip, seq_len=2048, batch_size=64, precision="fp16")"""),
    "llm-analysis": ("LLMAnalysis.inference, Llama 2 70B on 8 H100", """import llm_analysis.analysis as a, llm_analysis.config as c; lap()
import logging; logging.disable(logging.CRITICAL)
solver = a.LLMAnalysis(c.get_model_config_by_name("upstage_Llama-2-70b-instruct-v2"), c.get_gpu_config_by_name("h100-sxm-80gb"),
                       c.get_dtype_config_by_name("w16a16e16"), c.ParallelismConfig(tp_size=8))
call = lambda: solver.inference(batch_size_per_gpu=64, seq_len=2048, num_tokens_to_generate=1)""")}
REPEAT_CALL = "\ncall(); t, imported = [], t; lap()\nfor _ in range(100): call(); lap()\nprint(json.dumps([imported[1] - imported[0], " \
    "sorted(b - a for a, b in zip(t, t[1:]))[50]]))"


def rivals(python: str) -> tuple[dict, dict]:
    """(measures of the rivals that answer, name -> why it is absent)."""
    measures, absent = {}, {}
    for name, (_, script) in RIVALS.items():
        ask = lambda script=script: child(START + script + REPEAT_CALL, python)  # noqa: E731
        try:
            ask()
            measures[name] = ask
        except (OSError, RuntimeError, ValueError) as error:
            absent[name] = "not installed" if isinstance(error, OSError) else str(error)
    return measures, absent


def memory_growth(sizes) -> float:
    """Bytes by which the peak memory of a process grows from the smallest reduction to the largest."""
    once = "bench.si.best(**bench.axes(%d, 2500)); peak.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    script = "\n".join(["import json, resource, bench", "peak = []", *(once % REDUCED[sizes[i]] for i in (0, -1)), "print(peak[1] - peak[0])"])
    return child(script) * (1 if sys.platform == "darwin" else 1024)


# --- the table ------------------------------------------------------------------------------------------------------------

def row(measure, ours, unit="", against="", other=None, ratio=None, target="") -> dict:
    """One line; `target` is judged on the ratio if there is one, else on our own figure."""
    met, judged = None, ours if ratio is None else ratio
    if target and judged is not None:
        limit = float(target.split()[1])
        met = judged <= limit if target[0] == "<" else judged >= limit
    return {"measure": measure, "ours": ours, "unit": unit, "against": against, "other": other, "ratio": ratio, "target": target, "met": met}


def grid_rows(m: dict, name: str) -> list[dict]:
    n = 4 * SIZES[name][0] * SIZES[name][1]
    ours, kernel, limit, fresh, numpy = (m[f"{what} {name}"] / n * 1e9 for what in ("sweep", "kernel", "store", "store fresh", "numpy"))
    near, far = ("<= 1.15", ">= 6") if name in ("1e6", "1e7") else ("", "")
    loop, sweep = (f"{what}, {name} configurations".replace("1e", "10^") for what in ("compiled loop", "sweep"))
    return [row(loop, kernel, "ns/config", "bare stores, same memory", limit, kernel / limit, near),
            row(sweep, ours, "ns/config", "bare stores, new memory", fresh, ours / fresh),
            row(loop, kernel, "ns/config", "plain NumPy", numpy, numpy / kernel, far),
            row(sweep, ours, "ns/config", "plain NumPy", numpy, numpy / ours)]


def reduction_rows(m: dict, growth: float) -> list[dict]:
    ns = {name: m[f"best {name}"] / (1e4 * batches) * 1e9 for name, batches in REDUCED.items() if f"best {name}" in m}
    span = f"{min(ns, key=REDUCED.get)} to {max(ns, key=REDUCED.get)}".replace("1e", "10^")
    return [row(f"best of {name}".replace("1e", "10^"), 1 / t, "billion/s", target=">= 1" if name == "1e9" else "") for name, t in ns.items()] + [
        row(f"best, {span}: longest time a configuration over shortest", max(ns.values()) / min(ns.values()), target="<= 1.1"),
        row(f"best, {span}: growth of peak memory", growth / 1e6, "MB", target="<= 50"),
        row("pareto of 10^9", 1.0 / m["pareto 1e9"], "billion/s", target=">= 1")]


def call_rows(m: dict, absent: dict) -> list[dict]:
    objects = m["decode objects"] * 1e6
    rows = [row("one decode call, by objects", objects, "us", target="<= 20"),
            row("one decode call, by names", m["decode names"] * 1e6, "us", target="<= 20"),
            row("import, beyond that of numpy, numba and pandas", m["first 0"] - m["import base 0"], "s", target="<= 0.3"),
            row("first decode after import, compiled before", m["first 1"], "s", target="<= 0.5"),
            row("import and first decode of a fresh install", m["first cold 0"] + m["first cold 1"], "s", target="<= 5"),
            row("first sweep after that, fresh install", m["first cold 2"], "s")]
    for name, (what, _) in RIVALS.items():
        if name in absent:
            rows.append(row("one decode call, by objects", objects, "us", f"{name}: absent ({absent[name]})"))
            continue
        load, call = m[f"{name} 0"], m[f"{name} 1"] * 1e6
        rows += [row("one decode call, by objects", objects, "us", f"{name}: {what}", call, call / objects),
                 row("import", m["first 0"], "s", name, load, load / m["first 0"])]
    return rows


def machine() -> dict:
    return {"cpu": cpu_name(), "cores": os.cpu_count(), "numba": numba.__version__, "numpy": np.__version__,
            "python": platform.python_version(), "date": datetime.date.today().isoformat(), "repeats": REPEATS}


def medians(measures: dict) -> dict:
    """Take turns over all measures; several times of one are numbered."""
    samples = {}
    for turn in range(REPEATS):
        print(f"turn {turn + 1} of {REPEATS}", flush=True)
        for name, measure in measures.items():
            result = measure()
            for key, value in {f"{name} {i}": v for i, v in enumerate(result)}.items() if isinstance(result, list) else [(name, result)]:
                samples.setdefault(key, []).append(value)
    return {name: statistics.median(values) for name, values in samples.items()}


def show(rows: list[dict]) -> None:
    text = lambda v: "" if v is None else f"{v:.3g}" if isinstance(v, float) else str(v)  # noqa: E731
    for r in rows:
        met = {None: "", True: "met", False: "MISSED"}[r["met"]]
        print(f"{r['measure']:62.62} {text(r['ours']):>8} {r['unit']:10} {r['against']:52.52} {text(r['other']):>8} "
              f"{text(r['ratio']):>7} {r['target']:8} {met}")


def main() -> None:
    long = "--long" in sys.argv  # 10^8 stored and 10^10 reduced too
    python_of_rivals = next((word for word in sys.argv[1:] if word != "--long"), "")
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if sys.platform == "linux" else 8e9
    sizes = [name for name, shape in SIZES.items() if (long or name != "1e8") and 2.5 * 58 * 4 * np.prod(shape) < free]  # 58 bytes each
    reduced = [name for name in REDUCED if long or name != "1e10"]
    there, absent = rivals(python_of_rivals)
    grids = {f"{what} {name}": timed(call, warm=True) for name in sizes for what, call in grid_calls(axes(*SIZES[name])).items()}
    m = medians(grids | reductions_and_calls(reduced) | imports() | there)
    growth = memory_growth(reduced) if os.name != "nt" else float("nan")
    rows = [r for name in sizes for r in grid_rows(m, name)] + reduction_rows(m, growth) + call_rows(m, absent)
    text = json.dumps({"machine": machine(), "medians_seconds": m, "rows": rows})
    rounded = json.loads(text, parse_float=lambda digits: float(f"{float(digits):.3g}"))
    (HERE / "bench.json").write_text(json.dumps(rounded, indent=1, sort_keys=True) + "\n", encoding="utf-8", newline="\n")
    print(*(f"{k} {v}" for k, v in machine().items()), sep=", ")
    show(rows)


if __name__ == "__main__":
    main()
