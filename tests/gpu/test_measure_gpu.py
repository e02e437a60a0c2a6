"""The measurement itself, at toy sizes on whatever device there is: every stage gives rows that the table takes."""
import pytest

torch = pytest.importorskip("torch")

from booktools import contribute, measure_gpu as m  # noqa: E402


@pytest.fixture(scope="module")
def rows():
    return m.measure("cpu", quick=True, minutes=5)


def test_every_stage_gives_rows(rows):
    assert {row["test"] for row in rows} == {"launch", "memory", "gemm", "attention", "decode", "check", "prefill", "energy"}
    assert {row["dtype"] for row in rows if row["test"] == "gemm"} == {"bf16", "tf32"}


def test_rows_are_taken_but_for_the_chip(rows, tmp_path):
    m.write(tmp_path / "gpu.csv", [row for row in rows if row["test"] != "energy"])
    text = contribute.filled((tmp_path / "gpu.csv").read_text(), "here-1", "williams2009")
    found, = contribute.faults(text)
    assert "'cpu'" in found  # a CPU is no chip of the catalogue; nothing else is wrong


def test_work_is_counted_before_it_is_timed(rows):
    decode = [row for row in rows if row["test"] == "decode"]
    assert all(row["flops"] > 0 and row["bytes"] > 0 and float(row["seconds_low"]) <= float(row["seconds"]) <= float(row["seconds_high"]) for row in decode)
    one, two = (next(row for row in decode if row["batch"] == b) for b in (1, 2))
    assert two["flops"] == 2 * one["flops"] and one["bytes"] < two["bytes"] < 2 * one["bytes"]
    three = next(row for row in rows if row["test"] == "check" and row["batch"] == 1)
    assert three["new_tokens"] == 3 and three["bytes"] == one["bytes"] and 2.9 * one["flops"] < three["flops"] < 3 * one["flops"]


def test_what_a_card_cannot_do_is_left_out(capsys):
    bench = m.Bench("cpu", m.QUICK, float("inf"))

    def impossible(bench):
        bench.rows.append("kept")
        raise RuntimeError("no such kernel")
    m.attempt(bench, impossible)
    assert bench.rows == ["kept"] and "no such kernel" in capsys.readouterr().out
