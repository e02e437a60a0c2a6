"""Take somebody's measurements of a GPU into the book's data, or say row by row why not."""
from __future__ import annotations

import csv
import io
from pathlib import Path

import siliconomics as si
from siliconomics.measurements import rates
from siliconomics.tables import DATA, BadData, read, schema, table, write

TABLE = "gpu_timings"
TESTS = ("launch", "memory", "gemm", "attention", "decode", "check", "prefill", "energy")
DTYPES = ("bf16", "fp16", "tf32", "fp32", "fp8")
POWER_MARGIN = 1.05  # the driver's energy counter is read a little after the last kernel


def impossible(row: dict) -> list[str]:
    """Why a row of gpu_timings.csv cannot be true, one reason each; empty if it can."""
    reasons = [f"{column}: {row[column]!r} is none of {', '.join(allowed)}"
               for column, allowed in (("test", TESTS), ("dtype", DTYPES)) if row[column] not in (*allowed, None)]
    if not 0 < row["seconds_low"] <= row["seconds"] <= row["seconds_high"]:
        return [*reasons, "seconds: the quartiles do not enclose the median, or are no times"]
    return reasons + _too_fast(row, si.chip(row["chip"]))


def _too_fast(row: dict, chip) -> list[str]:
    found, reasons = rates(row), []
    if _from_memory(row, chip) and found["mbu"] > 1:
        reasons.append(f"bytes: {found['bytes_per_second']:.3g} B/s is above the bandwidth of {chip.name}, {chip.bandwidth:.3g}")
    if found["mfu"] and found["mfu"] > 1:
        peak = f"the dense {row['dtype']} peak of {chip.name}, {chip.peak[row['dtype']]:.3g}"
        reasons.append(f"flops: {found['flops_per_second']:.3g} FLOP/s is above {peak}")
    if row["joules"] and row["joules"] > POWER_MARGIN * chip.tdp_watts * row["seconds"]:
        reasons.append(f"joules: {row['joules'] / row['seconds']:.0f} W is above the {chip.tdp_watts:.0f} W of {chip.name}")
    return reasons


def _from_memory(row: dict, chip) -> bool:
    """Whether the bytes must come from memory: buffers in turn, or more bytes than twice the last cache holds."""
    return bool(row["bytes"]) and bool(row["cold"] or row["bytes"] > 2 * chip.sram_bytes)


def filled(text: str, run: str, source: str) -> str:
    """The CSV of `measure_gpu` under the table's columns, with the run's name and its source."""
    rows = [dict.fromkeys(schema(TABLE)["columns"], "") | row | {"run": run, "source": source} for row in csv.DictReader(io.StringIO(text))]
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]) if rows else list(schema(TABLE)["columns"]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def faults(text: str) -> list[str]:
    """What is wrong with a table of timings: the first breach of the schema (types, provenance, unknown chip), or all impossible rows."""
    try:
        rows = read(text, TABLE)
        if not rows:
            return ["no rows"]
        return [f"line {line}, {fault}" for line, row in enumerate(rows, start=2) for fault in impossible(row)]
    except (BadData, si.UnknownName) as error:
        return [str(error)]


def add(path: Path, run: str, source: str) -> list[str]:
    """Append the rows of `path` to the table unless something is wrong with them; returns what is."""
    text = filled(path.read_text(encoding="utf8"), run, source)
    if found := faults(text):
        return found
    stored = list(csv.DictReader((DATA / f"{TABLE}.csv").read_text(encoding="utf8").splitlines()))
    if run in {row["run"] for row in stored}:
        return [f"run {run!r} is in the table already; it holds {', '.join(sorted({row['run'] for row in stored}))}"]
    write(DATA / f"{TABLE}.csv", TABLE, stored + list(csv.DictReader(text.splitlines())))
    table.cache_clear()
    return []
