"""The grids of the calculator: every packed number is the core's, nothing is missing that could be there, and the files stay small."""
import base64
import gzip
import itertools
import json

import numpy as np
import pytest

import siliconomics as si
from booktools import calculator
from siliconomics.tables import table

ROUNDED = 1e-7  # relative: half a unit in the last place of a 32-bit float is 6e-8
PAIRS = list(itertools.product(calculator.MODELS, calculator.CHIPS))


def read(model: str, chip: str) -> dict[str, np.ndarray]:
    """The arrays of one packed pair, by the order and axes of `PARTS`, as the page reads them."""
    floats = np.frombuffer(gzip.decompress(base64.b64decode(calculator.packed(calculator.grid(model, chip)))), "<f4")
    shapes = {name: tuple(len(calculator.AXES[axis]) for axis in axes) for name, axes in calculator.PARTS.items()}
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
    assert ends[-1] == floats.size
    return {name: part.reshape(shapes[name]) for name, part in zip(shapes, np.split(floats, ends[:-1]))}


def points():
    """(index, weights, kv, chips, batch, context) of every point of a grid."""
    sizes = [range(len(values)) for values in calculator.AXES.values()]
    for index in itertools.product(*sizes):
        yield index, *(values[i] for values, i in zip(calculator.AXES.values(), index))


@pytest.mark.parametrize("model, chip", [("Llama 3.1 70B", "H100 SXM"), ("gpt-oss-120b", "TPU v6e"), ("DeepSeek-V3", "RTX 4090")])
def test_every_point_of_a_pair_is_the_step_that_the_core_computes(model, chip):
    arrays = read(model, chip)
    for index, weights, kv, chips, batch, context in points():
        bound = si.decode(model, chip, chips, batch, context, weights, kv)
        w, k, n, b, c = index
        held = arrays["memory_bytes"][w, k, b, c]
        reading, work = arrays["weight_seconds"][w, n, b] + arrays["cache_seconds"][k, n, b, c], arrays["arithmetic_seconds"][w, n, b]
        wanted = [bound.seconds, bound.memory_bytes, bound.mbu * bound.seconds, bound.mfu * bound.seconds]
        np.testing.assert_allclose([arrays["roofline"][index], held, reading, work], wanted, rtol=3 * ROUNDED)
        if chips == 1 or np.isfinite(si.chip(chip).link_bandwidth):
            step = si.decode(model, chip, chips, batch, context, weights, kv, stack="calibrated")
            np.testing.assert_allclose([arrays[name][index] for name in ("expected", "low", "high")], [step.seconds, step.low, step.high], rtol=ROUNDED)
        else:
            assert np.isnan(arrays["expected"][index])


@pytest.mark.parametrize("model, chip", PAIRS)
def test_no_number_is_missing_that_could_be_there(model, chip):
    arrays = read(model, chip)
    linked = np.isfinite(si.chip(chip).link_bandwidth)
    for name in ("expected", "low", "high"):
        assert np.isfinite(arrays[name][:, :, slice(None) if linked else slice(1)]).all()
        assert linked or np.isnan(arrays[name][:, :, 1:]).all()
    for name in calculator.PARTS.keys() - {"expected", "low", "high"}:
        assert (np.isfinite(arrays[name]) & (arrays[name] > 0)).all()
    random = np.random.default_rng(7)
    for index in (tuple(random.integers(size) for size in arrays["roofline"].shape) for _ in range(3)):
        weights, kv, chips, batch, context = (values[i] for values, i in zip(calculator.AXES.values(), index))
        assert arrays["roofline"][index] == pytest.approx(si.decode(model, chip, chips, batch, context, weights, kv).seconds, rel=ROUNDED)


def test_files_are_small_and_each_has_its_own_name(tmp_path, monkeypatch):
    names = {calculator.file_name(model, chip) for model, chip in PAIRS}
    assert len(names) == len(PAIRS)
    monkeypatch.setattr(calculator, "CHIPS", ("H100 SXM", "MI300X"))
    calculator.write_grids(tmp_path)
    written = list(tmp_path.glob("*.js"))
    assert len(written) == 2 * len(calculator.MODELS) and {path.stem for path in written} <= names
    assert max(len(gzip.compress(path.read_bytes())) for path in written) < 16_000


def test_the_page_knows_every_choice_and_is_light():
    text = calculator.page({"mbu": "7.html"})
    assert len(gzip.compress(text.encode())) < 8_000
    known = json.loads(text.partition('class="calc-facts">')[2].partition("</script>")[0])
    assert set(known["models"]) == set(calculator.MODELS) and set(known["chips"]) == set(calculator.CHIPS)
    for name in (*calculator.MODELS, *calculator.CHIPS):
        assert f'<option value="{name}"' in text
    assert known["chips"]["H100 SXM"]["basis"]["fp8"] == si.decode("Llama 3.1 70B", "H100 SXM", weights="fp8", stack="calibrated").basis
    assert known["chips"]["A100 SXM 80GB"]["computes"]["fp8"] == "bf16"


def test_the_price_offered_is_the_lowest_recent_rent_of_the_data():
    rows = [row for row in table("prices") if row["chip"] == "H100 SXM" and row["terms"] == "on demand"]
    latest = max(row["date"] for row in rows)
    year_before = f"{int(latest[:4]) - 1}{latest[4:]}"
    offered, lowest = calculator.price("H100 SXM"), min(row["usd"] for row in rows if row["date"] > year_before)
    assert offered["usd"] == lowest and offered["date"] == max(row["date"] for row in rows if row["usd"] == lowest)
    assert calculator.price("MI300X") is None


def test_grids_are_computed_once_for_one_core(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(calculator, "write_grids", calls.append)
    first = calculator.stored_grids(tmp_path / "cache")
    assert calculator.stored_grids(tmp_path / "cache") == first and len(calls) == 1
    monkeypatch.setattr(calculator, "fingerprint", lambda: "another")
    assert calculator.stored_grids(tmp_path / "cache").name == "another" and len(calls) == 2 and not first.exists()


def test_the_page_says_without_scripts_what_its_python_line_gives():
    usd = calculator.price(calculator.FIRST["chip"])["usd"]
    line = calculator.python_line(calculator.FIRST, usd)
    assert str(eval(line, {"si": si})) in calculator.page({})
