"""Measure one GPU: memory, matrix products, launches, decode attention, whole decode steps, drafts checked, prefill, energy. Writes one tidy CSV.

    python -m booktools.measure_gpu --out gpu.csv --minutes 7

Needs PyTorch (and Triton, for the small kernels); the book itself needs neither. On a CPU it runs at toy sizes, to be tested.
Two numbers stand beside every time: the FLOPs of the work and the fewest bytes that it must move. Inputs are random. Times are device
events around replays of a captured graph, medians with quartiles: the host counts once a replay, not once a kernel, unless the row
says graph = 0. Where `cold` is 1 what a kernel reads most (buffer, weights, caches) takes turns in four times the last-level cache or
more; the activations of a product and its output stay where they are.
"""
from __future__ import annotations

import argparse
import csv
import math
import time
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from statistics import quantiles

import torch

import siliconomics as si
from booktools import gpu_kernels as fused
from siliconomics.tables import schema

COLUMNS = list(schema("gpu_timings")["columns"])
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "tf32": torch.float32, "fp32": torch.float32, "fp8": torch.float8_e4m3fn}
FULL = dict(sizes=[2**k for k in range(17, 33)], squares=[1024, 2048, 4096, 8192, 16384], rows=[2**k for k in range(13)],
            batches=[1, 2, 4, 8, 16, 32, 64, 128, 256], contexts=[512, 2048, 8192, 32768], prompts=[512, 1024, 2048, 4096, 8192, 16384],
            checked=[2, 3, 4, 5, 6, 8, 12, 16],
            models={"Llama 3.1 8B": 32, "Llama 3.1 70B": 10}, energy_seconds=3.0, energy_batches=[1, 8, 64, 128])
QUICK = dict(sizes=[2**12, 2**16], squares=[64], rows=[1, 16], batches=[1, 2], contexts=[64], prompts=[32], checked=[3], models={"tiny": 2},
             energy_seconds=0.2, energy_batches=[1])


@dataclass
class Bench:
    """The device with its clock, its plan and what has been measured so far."""

    device: str
    plan: dict
    deadline: float
    rows: list = field(default_factory=list)

    def __post_init__(self):
        self.cuda = self.device == "cuda"
        self.dtypes = ("bf16", "fp16", "tf32", "fp8") if self.cuda else ("bf16", "tf32")
        found = torch.cuda.get_device_properties(0) if self.cuda else None
        self.cache_bytes = found.L2_cache_size if found else 2**20
        self.processors = found.multi_processor_count if found else 1
        self.machine = f"{found.name}, {self.processors} multiprocessors, {self.cache_bytes / 2**20:.0f} MiB L2" if found else "cpu"
        self.chip = si.chip(found.name).name if found else "cpu"
        self.driver = Driver() if self.cuda else None
        if self.driver:
            self.machine += f", {self.driver.memory_bytes / 2**20:.0f} MiB, limit {self.driver.watts_limit:.0f} W, driver {self.driver.version}"
        triton = getattr(fused.triton, "__version__", "none")
        self.software = f"PyTorch {torch.__version__}, CUDA {torch.version.cuda}, Triton {triton}"

    def late(self) -> bool:
        return time.monotonic() > self.deadline

    def random(self, *shape, dtype="bf16"):
        made = torch.empty(*shape, device=self.device, dtype=torch.bfloat16 if dtype == "fp8" else DTYPES[dtype]).normal_()
        return made.to(DTYPES[dtype])

    def copies(self, bytes: float, make):
        """As many of a thing of `bytes` as exceed four times the last-level cache, at least two."""
        return [make() for _ in range(min(2048, max(2, math.ceil(4 * self.cache_bytes / bytes))))]

    def add(self, test, kernel, timing, **facts):
        median, low, high, repeats = timing
        known = dict(chip=self.chip, machine=self.machine, software=self.software, as_of=date.today().isoformat(), confidence="primary")
        times = dict(repeats=repeats, seconds=f"{median:.5g}", seconds_low=f"{low:.5g}", seconds_high=f"{high:.5g}")
        self.rows.append(dict.fromkeys(COLUMNS, "") | dict(test=test, kernel=kernel) | known | times | facts)

    def time(self, calls, graph=True, budget=0.15):
        """(median, lower quartile, upper quartile, repeats) of the seconds of one of `calls`, which run one after the other."""
        run = self._captured(calls) if graph and self.cuda else lambda: [call() for call in calls]
        run()
        first, = self._events(run, 1)
        found = self._events(run, max(5, min(200, int(budget / max(first, 1e-7)))))
        low, median, high = quantiles([seconds / len(calls) for seconds in found], n=4)
        return median, low, high, len(found) * len(calls)

    def _captured(self, calls):
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # once outside: libraries choose their kernels, Triton compiles
            [call() for call in calls]
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            [call() for call in calls]
        return graph.replay

    def _events(self, run, repeats):
        if not self.cuda:
            marks = [time.perf_counter()]
            for _ in range(repeats):
                run()
                marks.append(time.perf_counter())
            return [b - a for a, b in zip(marks, marks[1:])]
        pairs = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(repeats)]
        for start, stop in pairs:
            start.record()
            run()
            stop.record()
        torch.cuda.synchronize()
        return [start.elapsed_time(stop) / 1e3 for start, stop in pairs]

    def joules(self, run, seconds):
        """(joules, seconds, calls) of `run` repeated for about `seconds`, from the driver's energy counter; nan without one."""
        self._events(run, 3)
        before, start, calls = self.driver.joules() if self.driver else math.nan, time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            self._events(run, 5)
            calls += 5
        spent = time.perf_counter() - start
        return (self.driver.joules() if self.driver else math.nan) - before, spent, calls


class Driver:
    """What the driver tells of the card. Only reads."""

    def __init__(self):
        import pynvml

        pynvml.nvmlInit()
        self._nvml, self._card = pynvml, pynvml.nvmlDeviceGetHandleByIndex(0)
        self.version = pynvml.nvmlSystemGetDriverVersion()
        self.memory_bytes = pynvml.nvmlDeviceGetMemoryInfo(self._card).total
        self.watts_limit = pynvml.nvmlDeviceGetEnforcedPowerLimit(self._card) / 1e3

    def joules(self) -> float:
        return self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._card) / 1e3

    def clock_mhz(self) -> int:
        return self._nvml.nvmlDeviceGetClockInfo(self._card, self._nvml.NVML_CLOCK_SM)


# --- single kernels -----------------------------------------------------------------------------------------------------

def launches(bench: Bench) -> None:
    """A kernel that does nothing to speak of: from the host one by one, in a graph, and with a wait after each."""
    x, count = torch.zeros(1, device=bench.device), 100

    def add():
        x.add_(1.0)

    def waited():
        add()
        if bench.cuda:
            torch.cuda.synchronize()

    bench.add("launch", "graph", bench.time([add] * count), graph=1, flops=1, bytes=8, dtype="fp32")
    bench.add("launch", "host", bench.time([add] * count, graph=False), graph=0, flops=1, bytes=8, dtype="fp32")
    bench.add("launch", "host and wait", bench.time([waited] * count, graph=False), graph=0, flops=1, bytes=8, dtype="fp32")


def memory(bench: Bench) -> None:
    """Copy, read and write over sizes: warm (one buffer again and again) and cold (buffers in turn)."""
    for size in bench.plan["sizes"]:
        for cold in (0, 1):
            make = lambda: (bench.random(size // 4, dtype="fp32"), torch.empty(size // 4, device=bench.device))  # noqa: E731
            pairs = bench.copies(size, make) if cold else [make()]  # reads and writes touch one half of a pair
            around = pairs * math.ceil(16 / len(pairs))
            for kernel, (passes, graph, call) in _streams(bench, size // 4).items():
                timing = bench.time([lambda p=p: call(*p) for p in around], graph, budget=0.05)
                bench.add("memory", kernel, timing, dtype="fp32", bytes=passes * size, flops=size // 4 if kernel == "read" else 0, cold=cold,
                          graph=int(graph and bench.cuda))
        if bench.late():
            return


def _streams(bench, values) -> dict:
    """Kernel -> (passes over the buffer, from a graph, call). `memcpy` is the driver's, which a graph runs otherwise than a stream."""
    parts = _parts(bench, values)
    return {"copy": (2, True, lambda x, y: torch.neg(x, out=y)), "memcpy": (2, False, lambda x, y: y.copy_(x)),
            "write": (1, True, lambda x, y: y.fill_(1.5)), "read": (1, True, lambda x, y: fused.read_sum(x, *parts))}


def _parts(bench, values) -> tuple[int, int]:
    """(programs, values of a block) that divide a power of two of values: eight blocks of work or more on every multiprocessor."""
    block = min(4096, values)
    return min(values // block, 16 * 2 ** round(math.log2(bench.processors))), block


def product_calls(bench: Bench, dtype, m, n, k):
    """Calls of x[m, k] w[n, k]^T with weights in turn, and the bytes of one: both inputs once, 16- or 32-bit outputs once."""
    width = DTYPES[dtype].itemsize
    weights = bench.copies(n * k * width, lambda: bench.random(n, k, dtype=dtype))
    x, out = bench.random(m, k, dtype=dtype), torch.bfloat16 if dtype == "fp8" else DTYPES[dtype]
    y, one = torch.empty(m, n, device=bench.device, dtype=out), torch.ones((), device=bench.device)
    if dtype == "fp8":
        calls = [lambda w=w: torch._scaled_mm(x, w.T, one, one, out_dtype=out, use_fast_accum=True, out=y) for w in weights]
    else:
        calls = [lambda w=w: torch.mm(x, w.T, out=y) for w in weights]
    return calls * math.ceil(4 / len(calls)), (n * k + m * k) * width + m * n * out.itemsize


def product(bench: Bench, dtype, m, n, k) -> None:
    if any((row["test"], row["dtype"], row["m"], row["n"], row["k"]) == ("gemm", dtype, m, n, k) for row in bench.rows):
        return  # a square that is a layer's product too
    calls, moved = product_calls(bench, dtype, m, n, k)
    bench.add("gemm", "torch", bench.time(calls, budget=0.08), dtype=dtype, m=m, n=n, k=k, flops=2 * m * n * k, bytes=moved, cold=1,
              graph=int(bench.cuda))


def squares(bench: Bench) -> None:
    """Square products in every dtype."""
    torch.set_float32_matmul_precision("high")
    for dtype in bench.dtypes:
        for n in bench.plan["squares"]:
            product(bench, dtype, n, n, n)


def decode_products(bench: Bench) -> None:
    """A layer's products by the number of tokens in the batch."""
    for dtype in [d for d in ("bf16", "fp8") if d in bench.dtypes]:
        for model in bench.plan["models"]:
            for n, k in fused.layer_shapes(named(model)):
                for m in bench.plan["rows"]:
                    product(bench, dtype, m, n, k)
                    if bench.late():
                        return


def attention(bench: Bench) -> None:
    """Decode attention of one layer."""
    for model in bench.plan["models"]:
        shape = named(model)
        for context in bench.plan["contexts"]:
            for batch in bench.plan["batches"][::2]:
                if batch * context * shape.kv_layer_bytes() < 12e9 and not bench.late():
                    _attention(bench, shape, batch, context)


def _attention(bench, shape, batch, context):
    heads, kv, d = shape.heads, shape.kv_heads, shape.head_dim
    moved = int(batch * context * shape.kv_layer_bytes())
    caches = bench.copies(moved, lambda: [bench.random(batch, kv, context, d) for _ in range(2)])
    q = bench.random(batch, heads * d)
    calls = [lambda c=c: fused.attend(q, *c) for c in caches]
    timing = bench.time(calls * math.ceil(4 / len(calls)), budget=0.05)
    bench.add("attention", "sdpa", timing, dtype="bf16", batch=batch, context=context, heads=heads, kv_heads=kv, head_dim=d,
              bytes=moved + 4 * q.numel(), flops=4 * batch * context * heads * d, cold=1, graph=int(bench.cuda))


# --- whole passes -------------------------------------------------------------------------------------------------------

def named(model):
    """The shape of the plan's name; a toy for "tiny"."""
    if model == "tiny":
        return si.model("Llama 3.1 8B").replace(name="tiny", layers=2, d_model=64, heads=4, kv_heads=2, head_dim=16, d_ff=96, vocab=50)
    return si.model(model)


class Passes:
    """A network with random weights in bf16 or fp8 (head and caches stay in bf16), and memory for its caches that every batch and context
    shares."""

    def __init__(self, bench: Bench, model: str, dtype: str = "bf16"):
        self.bench, self.model, self.dtype = bench, model, dtype
        self.shape = named(model).replace(layers=bench.plan["models"][model])
        self.network = fused.Network(self.shape, bench.device, fp8=dtype == "fp8")
        self.largest = max(max(bench.plan["contexts"]), max(bench.plan["prompts"]))
        self.cos, self.sin = fused.angles(self.largest, self.shape.head_dim, device=bench.device)
        free = torch.cuda.mem_get_info()[0] if bench.cuda else 2**26
        wanted = max(bench.plan["batches"]) * max(bench.plan["contexts"])
        self.tokens = int(min(wanted, 0.8 * free / self.shape.kv_bytes_per_token()))
        per_token = self.shape.kv_heads * self.shape.head_dim
        self.store = torch.empty(self.shape.layers, 2, self.tokens * per_token, device=bench.device, dtype=torch.bfloat16)
        for layer in self.store:
            layer.normal_()

    def fits(self, batch, context) -> bool:
        return batch * context <= self.tokens

    def caches(self, batch, context):
        shape = batch, self.shape.kv_heads, context, self.shape.head_dim
        return [tuple(part[:math.prod(shape)].view(shape) for part in layer) for layer in self.store]

    def step(self, batch, context, new=1):
        """A call that runs the last `new` positions of `context`, for `batch` sequences: a decode step, a draft checked, a prompt."""
        tokens, caches = torch.randint(self.shape.vocab, (batch * new,), device=self.bench.device), self.caches(batch, context)
        return lambda: self.network.run(tokens, caches, self.cos, self.sin, context - new, new)

    def facts(self, batch, context, new=1) -> dict:
        """Columns of a pass. FLOPs: two for each weight but the embedding's, and attention; bytes: those weights and the caches, once."""
        shape, prefill = self.shape, new == context
        weights = shape.weight_bytes_read(1, self.dtype, embedding=False)
        seen = context if prefill else context - (new - 1) / 2
        flops = batch * new * (2 * weights / si.dtype_bytes(self.dtype) + shape.attention_flops(seen, causal=prefill))
        if self.dtype == "fp8":
            weights += shape.vocab * shape.d_model  # the second byte of the head
        if prefill:
            flops -= 2 * (new - 1) * shape.vocab * shape.d_model  # logits of the last token only
        moved = weights + batch * shape.kv_bytes(context, "bf16")
        return dict(dtype=self.dtype, model=self.model, layers=shape.layers, batch=batch, context=context,
                    new_tokens=new if 1 < new < context else "", flops=int(flops), bytes=int(moved), cold=1)


def decode_steps(bench: Bench, passes: Passes) -> None:
    """Batch by context, from a graph; and from the host at one context."""
    for context in bench.plan["contexts"]:
        for batch in bench.plan["batches"]:
            if passes.fits(batch, context) and not bench.late():
                step = passes.step(batch, context)
                bench.add("decode", "fused", bench.time([step], budget=0.2), graph=int(bench.cuda), **passes.facts(batch, context))
                if bench.cuda and context == bench.plan["contexts"][1]:
                    bench.add("decode", "fused", bench.time([step], graph=False, budget=0.2), graph=0, **passes.facts(batch, context))


def checks(bench: Bench, passes: Passes) -> None:
    """Drafts checked at one context: several tokens of each sequence in one step."""
    context = bench.plan["contexts"][min(1, len(bench.plan["contexts"]) - 1)]
    for batch in bench.plan["batches"]:
        for new in bench.plan["checked"]:
            if passes.fits(batch, context) and not bench.late():
                timing = bench.time([passes.step(batch, context, new)], budget=0.1)
                bench.add("check", "fused", timing, graph=int(bench.cuda), **passes.facts(batch, context, new))


def prefills(bench: Bench, passes: Passes) -> None:
    """One prompt of each length."""
    for tokens in bench.plan["prompts"]:
        if passes.fits(1, tokens) and not bench.late():
            timing = bench.time([passes.step(1, tokens, tokens)], budget=0.2)
            bench.add("prefill", "fused", timing, graph=int(bench.cuda), **passes.facts(1, tokens, tokens))


def energy(bench: Bench, passes: Passes) -> None:
    """Joules of a decode step by batch, of one large product with random numbers and with zeros, and of doing nothing."""
    seconds, context = bench.plan["energy_seconds"], bench.plan["contexts"][min(1, len(bench.plan["contexts"]) - 1)]
    for batch in [b for b in bench.plan["energy_batches"] if passes.fits(b, context)]:
        call = passes.step(batch, context)
        _energy(bench, "decode", bench._captured([call]) if bench.cuda else call, seconds,
                dict(graph=int(bench.cuda), **passes.facts(batch, context)))
    n = bench.plan["squares"][-1] // 2
    calls, moved = product_calls(bench, "bf16", n, n, n)
    facts = dict(dtype="bf16", m=n, n=n, k=n, flops=2 * n**3, bytes=moved, graph=0)
    _energy(bench, "gemm", calls[0], seconds, facts)
    zeros, y = (torch.zeros(n, n, device=bench.device, dtype=torch.bfloat16) for _ in range(2))
    _energy(bench, "gemm of zeros", lambda: torch.mm(zeros, zeros.T, out=y), seconds, facts)
    _energy(bench, "idle", lambda: time.sleep(0.1), seconds, {})


def _energy(bench, kernel, run, seconds, facts):
    joules, spent, calls = bench.joules(run, seconds)
    clock = f"{bench.driver.clock_mhz()} MHz" if bench.driver else ""
    each = spent / calls
    bench.add("energy", kernel, (each, each, each, calls), joules=f"{joules / calls:.5g}", note=clock, **facts)


# --- all of it ----------------------------------------------------------------------------------------------------------

def whole_passes(bench: Bench) -> None:
    """Every model of the plan in bf16, the first one with energy and in fp8 too."""
    first, *others = bench.plan["models"]
    _passes(bench, first, "bf16", energy)
    for model in others:
        _passes(bench, model, "bf16")
    if "fp8" in bench.dtypes:
        _passes(bench, first, "fp8")


def _passes(bench, model, dtype, then=None):
    if bench.late():
        return
    passes = Passes(bench, model, dtype)
    decode_steps(bench, passes)
    if then:  # the first model
        checks(bench, passes)
    prefills(bench, passes)
    if then:
        then(bench, passes)
    del passes
    if bench.cuda:
        torch.cuda.empty_cache()


def attempt(bench: Bench, stage) -> None:
    """Run one stage; what it cannot do on this card is said and left out, what it measured before is kept."""
    start, before = time.monotonic(), len(bench.rows)
    try:
        stage(bench)
    except RuntimeError as error:
        print(f"{stage.__name__} stopped: {type(error).__name__}: {str(error)[:300]}", flush=True)
    if bench.cuda:
        torch.cuda.empty_cache()
    print(f"{stage.__name__}: {len(bench.rows) - before} rows in {time.monotonic() - start:.1f} s", flush=True)


STAGES = (launches, memory, whole_passes, decode_products, squares, attention)


def measure(device="cuda", quick=False, minutes=7.0, stages=STAGES, write=None) -> list[dict]:
    """Rows of all stages that fit into the time; `write` is called with them after each stage."""
    bench = Bench(device, QUICK if quick else FULL, time.monotonic() + 60 * minutes)
    print(bench.chip, bench.machine, bench.software, sep="\n", flush=True)
    with torch.inference_mode():
        for stage in stages:
            if bench.late():
                print(f"{stage.__name__}: no time left", flush=True)
                continue
            attempt(bench, stage)
            (write or list)(bench.rows)
    return bench.rows


def write(path: Path, rows: list[dict]) -> None:
    with path.open("w", newline="", encoding="utf8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def summary(rows: list[dict]) -> str:
    """A line for each row, with its rates."""
    lines = []
    for row in rows:
        seconds, size = float(row["seconds"]), float(row["bytes"] or 0)
        where = " ".join(str(row[c]) for c in ("kernel", "dtype", "model", "batch", "context", "new_tokens", "m", "n", "k", "cold", "graph") if row[c] != "")
        rate = float(row["flops"] or 0) / seconds
        lines.append(f"{row['test']} {where}: {seconds * 1e6:.2f} us, {size / seconds / 1e9:,.0f} GB/s, {rate / 1e12:.2f} TF/s")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("gpu.csv"))
    parser.add_argument("--minutes", type=float, default=7.0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--quick", action="store_true", help="toy sizes")
    parser.add_argument("--stages", nargs="*", default=[stage.__name__ for stage in STAGES])
    chosen = parser.parse_args()
    stages = [stage for stage in STAGES if stage.__name__ in chosen.stages]
    rows = measure(chosen.device, chosen.quick, chosen.minutes, stages, lambda found: write(chosen.out, found))
    print(summary(rows))


if __name__ == "__main__":
    main()
