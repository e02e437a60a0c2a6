"""The book's own GPU timings: possible, counted right, repeatable, and never part of a fit."""
import csv
import math
import statistics
from pathlib import Path

import pytest

import siliconomics as si
from booktools import contribute
from siliconomics import calibrate
from siliconomics.tables import DATA, schema

HEADER = list(schema("gpu_timings")["columns"])
COUNTED = {  # what a row of each test must move and do, written down from its shape alone
    "gemm": lambda r: (2 * r["m"] * r["n"] * r["k"], None),
    "attention": lambda r: (4 * r["batch"] * r["context"] * r["heads"] * r["head_dim"],
                            4 * r["batch"] * r["head_dim"] * (r["context"] * r["kv_heads"] + r["heads"])),
}


def repeats(**where):
    """(quickest, slowest) times of rows that two or more runs on a kind of card have."""
    found = {}
    for row in si.timed(**where):
        key = tuple(row[c] for c in ("chip", "test", "kernel", "dtype", "model", "batch", "context", "new_tokens", "m", "n", "k", "heads", "bytes", "cold", "graph"))
        found.setdefault(key, []).append(row["seconds"])
    return [(min(times), max(times)) for times in found.values() if len(times) > 1]


def test_no_row_is_impossible():
    assert [fault for row in si.timed() for fault in contribute.impossible(row)] == []


@pytest.mark.parametrize("test", COUNTED)
def test_work_is_counted_from_the_shape(test):
    for row in si.timed(test=test):
        flops, moved = COUNTED[test](row)
        assert row["flops"] == flops
        assert moved is None or row["bytes"] == moved


def test_a_decode_row_reads_all_weights_but_the_embedding_and_the_caches():
    row, = si.timed(run="H100-1", test="decode", model="Llama 3.1 8B", batch=16, context=2048, graph=1)
    layers = 32 * (4096 * (4096 + 2 * 1024) + 4096 * 4096 + 3 * 4096 * 14336 + 2 * 4096)
    assert row["bytes"] == 2 * (layers + 128256 * 4096 + 4096) + 16 * 2048 * 131072


def test_a_checked_draft_reads_as_a_step_does_and_works_for_each_token():
    """Weights and caches are read once for all tokens of a draft; each token meets all weights and what stands before it."""
    for row in si.timed(run="H100-3", test="check", batch=16):
        step, = si.timed(run="H100-3", test="decode", model="Llama 3.1 8B", dtype="bf16", batch=16, context=2048, graph=1)
        new, attention = row["new_tokens"], 32 * 4 * 32 * 128
        assert row["bytes"] == step["bytes"] and row["seconds"] > step["seconds"]
        assert row["flops"] == new * step["flops"] - 16 * attention * new * (new - 1) // 2


def test_a_prompt_row_does_its_causal_half_and_one_row_of_logits():
    row, = si.timed(run="H100-1", test="prefill", model="Llama 3.1 8B", context=2048)
    weights = 32 * (4096 * (4096 + 2 * 1024) + 4096 * 4096 + 3 * 4096 * 14336 + 2 * 4096) + 4096  # norms as a weight each
    attention = 32 * 4 * 32 * 128 * 2048 * 1024  # half of the square
    assert row["flops"] == 2048 * 2 * weights + attention + 2 * 128256 * 4096
    assert row["bytes"] == 2 * (weights + 128256 * 4096) + 2048 * 131072


@pytest.mark.parametrize("kernel, passes", [("copy", 2), ("memcpy", 2), ("read", 1), ("write", 1)])
def test_memory_rows_count_a_copy_twice(kernel, passes):
    sizes = {row["bytes"] / passes for row in si.timed(run="H100-1", test="memory", kernel=kernel)}
    assert sizes == {2**k for k in range(17, 33)}


def test_fp8_halves_the_layers_and_leaves_the_head():
    whole, = si.timed(run="H200-2", test="decode", dtype="bf16", model="Llama 3.1 8B", batch=1, context=512, graph=1)
    half, = si.timed(run="H200-2", test="decode", dtype="fp8", model="Llama 3.1 8B", batch=1, context=512, graph=1)
    assert whole["bytes"] - half["bytes"] == si.model("Llama 3.1 8B").weight_bytes_read(1, "fp8", embedding=False) - 128256 * 4096
    assert whole["flops"] == half["flops"]


def test_runs_repeat():
    for test, bound in (("memory", 0.02), ("gemm", 0.06), ("decode", 0.03), ("prefill", 0.06)):
        pairs = repeats(test=test, graph=1)
        assert len(pairs) > 10 and statistics.median(abs(a / b - 1) for a, b in pairs) < bound


def test_fits_never_read_them():
    folder = Path(calibrate.__file__).parent
    readers = [path for path in folder.glob("*.py") if "gpu_timings" in path.read_text(encoding="utf8")]
    assert [path.name for path in readers] == ["measurements.py"]
    for name in ("calibrate", "fit_kernels", "fit_serving", "fit_training", "validation", "train_calibration"):
        assert "timed(" not in (folder / f"{name}.py").read_text(encoding="utf8")


@pytest.mark.parametrize("change, reason", [
    ({"seconds": 1e-6, "seconds_low": 1e-6, "seconds_high": 1e-6}, "above the bandwidth"),
    ({"flops": 10**18}, "above the dense bf16 peak"), ({"joules": 1e3}, "above the 700 W"), ({"seconds_low": 1.0}, "quartiles"),
    ({"seconds": 0.0, "seconds_low": 0.0}, "no times"), ({"cold": None, "bytes": 10**12}, "above the bandwidth"),
    ({"test": "train"}, "'train' is none of launch"), ({"dtype": "fp99"}, "'fp99' is none of bf16"),
])
def test_impossible_rows_are_told(change, reason):
    row, = si.timed(run="H100-1", test="decode", model="Llama 3.1 8B", batch=1, context=2048, graph=1)
    assert contribute.impossible(row) == []
    assert any(reason in fault for fault in contribute.impossible(row | change))


def test_what_the_cache_holds_may_be_read_faster_than_memory():
    row, = si.timed(run="H100-1", test="memory", kernel="read", bytes=2**25, cold=0)
    assert row["mbu"] > 1 and contribute.impossible(row) == []
    assert "above the bandwidth" in contribute.impossible(row | {"cold": 1})[0]


def test_a_chip_without_a_power_limit_is_taken():
    row, = si.timed(run="H100-2", test="energy", kernel="gemm")
    assert math.isnan(si.chip("GH200 96GB").tdp_watts) and contribute.impossible(row | {"chip": "GH200 96GB"}) == []


def contribution(**change):
    row = next(line for line in (DATA / "gpu_timings.csv").read_text(encoding="utf8").splitlines()[1:] if ",gemm," in line)
    cells = dict(zip(HEADER, next(csv.reader([row])))) | change
    return ",".join(HEADER) + "\n" + ",".join(f'"{cells[c]}"' for c in HEADER) + "\n"


@pytest.mark.parametrize("change, reason", [
    ({}, None), ({"machine": ""}, "machine: '' is not a text"), ({"as_of": "yesterday"}, "as_of"), ({"chip": "H1000"}, "H1000"),
    ({"seconds": "-1"}, "seconds"), ({"seconds": "0", "seconds_low": "0"}, "no times"), ({"flops": "9" * 20}, "above the dense"),
])
def test_contributions_are_checked(change, reason):
    found = contribute.faults(contribute.filled(contribution(**change), "mine-1", "williams2009"))
    assert found == [] if reason is None else any(reason in fault for fault in found)


def test_an_empty_file_is_no_contribution():
    assert contribute.faults(contribute.filled(",".join(HEADER) + "\n", "mine-1", "williams2009")) == ["no rows"]


def test_a_refused_contribution_changes_nothing(tmp_path):
    before = (DATA / "gpu_timings.csv").read_bytes()
    file = tmp_path / "gpu.csv"
    file.write_text(contribution(flops="9" * 20), encoding="utf8")
    assert contribute.add(file, "mine-1", "williams2009")
    file.write_text(contribution(), encoding="utf8")
    assert "in the table already" in contribute.add(file, "H100-1", "williams2009")[0]
    assert (DATA / "gpu_timings.csv").read_bytes() == before


def test_a_good_contribution_is_appended(tmp_path, monkeypatch):
    for name in ("gpu_timings.csv", "schema.json", "sources.csv"):
        (tmp_path / name).write_bytes((DATA / name).read_bytes())
    monkeypatch.setattr(contribute, "DATA", tmp_path)
    file = tmp_path / "mine.csv"
    file.write_text(contribution(), encoding="utf8")
    assert contribute.add(file, "mine-1", "williams2009") == []
    assert (tmp_path / "gpu_timings.csv").read_text(encoding="utf8").splitlines()[-1].startswith("mine-1,")
