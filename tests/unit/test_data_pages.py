"""The data catalogue without a browser: every column described, every row at one address, cells as a reader wants them, one zip, no idle source."""
import datetime
import json
import re
import zipfile
from pathlib import Path

import pytest
from booktools import bibliography, data_behind, notebooks
from booktools import data_rows as data
from pybtex.database import parse_file
from siliconomics import tables
from siliconomics.tables import BadData, read

ROOT = Path(__file__).resolve().parents[2]
RUN = "params,tokens,loss_nats,source,as_of,confidence\n1e8,1e9,3.1,sardana2024,{},primary\n"


# --- dictionary -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", tables.names())
def test_every_table_and_column_is_described(name):
    rules = tables.schema(name)
    assert len(rules["about"]) > 40 and rules["about"].endswith(".")
    assert [c for c in rules["columns"] if len(tables.meaning(name, c)[0]) < 3] == []
    assert set(rules["meaning"]) <= set(rules["columns"]), "a description of a column that is not there"


def test_a_meaning_ends_in_its_unit():
    assert tables.meaning("devices", "bandwidth") == ("Memory bandwidth", "byte/s")
    assert tables.meaning("devices", "kind")[1] == ""
    assert tables.meaning("devices", "as_of") == tables.meaning("models", "as_of") != ("", "")


def test_a_date_in_the_future_is_refused():
    tomorrow = datetime.date.today() + datetime.timedelta(days=1)
    later = max(tomorrow.isoformat(), "2100-01-01")
    with pytest.raises(BadData, match=f"scaling_runs.csv line 2, as_of: '{later}' is in the future"):
        read(RUN.format(later), "scaling_runs")
    assert read(RUN.format("2024-07-18"), "scaling_runs")


def test_the_edition_vouches_for_its_own_dates():
    edition = json.loads((tables.DATA / "schema.json").read_text(encoding="utf8"))["_shared"]["edition"]
    days = [row["as_of"] for name in tables.names() for row in data.raw(name) if "as_of" in row]
    assert max(days) <= edition, "set _shared.edition in schema.json to the newest as_of, so that a slow clock refuses no row"


# --- addresses ------------------------------------------------------------------------------------------------------

def test_every_row_has_an_address_of_its_own():
    addresses = [data.anchor(name, row) for name in tables.names() for row in data.raw(name)]
    assert len(addresses) == len(set(addresses)) > 40_000
    assert all(re.fullmatch(r"[a-z0-9-]+", address) for address in addresses)


def test_the_address_of_a_figure():
    row = next(r for r in data.raw("accelerators") if (r["chip"], r["field"]) == ("H100 SXM", "bandwidth"))
    assert data.anchor("accelerators", row) == "accelerators-h100-sxm-bandwidth"


def test_every_table_stands_on_one_page():
    assert set(data.pages()) == set(tables.names()) - {"sources"}
    shown = [n for p in (ROOT / "book").glob("*.md") for n in re.findall(r"\{data-rows\} (\w+)", p.read_text(encoding="utf8"))]
    assert len(shown) == len(set(shown))


def test_no_prefix_of_a_browser_begins_another_on_its_page():
    for name in data.BULK:
        others = [other for other in tables.names() if other != name and data.pages().get(other) == data.pages()[name]]
        assert not any(data.slug(other).startswith(data.slug(name) + "-") for other in others)


# --- cells ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("text, unit, shown", [
    ("3.35e12", "byte/s", "3.35 TB/s"), ("989.4e12", "FLOP/s", "989.4 TFLOP/s"), ("4.10", "USD/chip-hour", "$4.10/chip-hour"),
    ("0.415", "fraction", "41.5 %"), ("814", "mm2", "814 mm²"), ("226.75", "node", "226.75 node"), ("3e-6", "s", "3 µs"), ("80", "1", "80"),
    ("1000", "W", "1 kW"), ("2500000", "USD/chip", "$2,500,000/chip"), ("", "W", "")])
def test_amounts(text, unit, shown):
    assert data.amount(text, unit) == shown


def test_no_cell_fails():
    for name in tables.names():
        for row in data.raw(name)[:400]:
            assert all(isinstance(data.cell(name, row, c), str) for c in data.columns(name) if c != "range")


def test_age_is_12_months_for_prices_and_24_for_the_rest():
    today = datetime.date(2026, 11, 26)
    assert not data.old("prices", {"as_of": "2025-11-01"}, today) and data.old("prices", {"as_of": "2025-10-31"}, today)
    assert not data.old("models", {"as_of": "2024-11-01"}, today) and data.old("models", {"as_of": "2024-10-31"}, today)
    assert not data.old("accelerators", {"as_of": "2016-01-01", "unit": ""}, today)
    assert {n for n in tables.names() if data.age_limit(n) == 12} == {"prices", "price_history", "wafer_prices", "bom"}


def test_a_script_holds_the_table_as_the_file_has_it():
    for name in ("gemm", "training_steps"):
        packed = json.loads(data.script(name).partition(" = ")[2].rstrip(";\n"))
        for column, values in packed["columns"].items():
            texts = values if isinstance(values, list) else [values["texts"][i] for i in values["of"]]
            assert texts == [row[column] for row in data.raw(name)]


def test_a_summary_counts_every_row():
    for name in data.BULK:
        assert sum(map(len, data.groups(name).values())) == len(data.raw(name))
    one = data.raw("all_reduce")[:2]
    assert data.extent("all_reduce", one) == "chips 2; bytes 256 B to 512 B; seconds 3.799 µs to 3.82 µs"


# --- the zip --------------------------------------------------------------------------------------------------------

def test_the_zip_holds_every_table_and_names_every_column(tmp_path):
    for file in ("a.zip", "b.zip"):
        data.write_zip(tmp_path / file)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        names = {name.removeprefix("siliconomics-data/") for name in archive.namelist()}
        words = archive.read("siliconomics-data/DICTIONARY.md").decode("utf8")
        assert archive.read("siliconomics-data/gemm.csv") == (tables.DATA / "gemm.csv").read_bytes()
    assert {f"{name}.csv" for name in tables.names()} | {"schema.json", "SOURCES.md", "LICENSE-DATA", "references.bib", "DICTIONARY.md"} <= names
    sections = dict(zip(tables.names(), words.split("\n## ")[1:], strict=True))
    for name, text in sections.items():
        assert text.startswith(f"{name}.csv\n")
        assert all(f"\n| {column} | " in text for column in tables.schema(name)["columns"])


# --- sources --------------------------------------------------------------------------------------------------------

def used_sources() -> set[str]:
    """Every key that a row, a sentence of a chapter or a page names."""
    of_rows = {key for name in tables.names() if name != "sources" for key in data.source_keys(data.raw(name))}
    texts = [cell.source for path in notebooks.chapters(ROOT) for cell in notebooks.read(path).cells]
    texts += [path.read_text(encoding="utf8") for path in (ROOT / "book").glob("**/*.md")]
    cited = [key.strip() for text in texts for keys in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", text) for key in keys.split(",")]
    return of_rows | set(cited)


def test_no_source_is_idle():
    have = set(parse_file(str(ROOT / bibliography.REFERENCES), encoding="utf-8").entries)
    assert sorted(have - used_sources()) == [], "nothing uses these: delete them from references.bib, then run python -m booktools sources"


def test_a_label_reads_like_a_citation():
    assert data.labels()["williams2009"] == "Williams et al., 2009"
    assert data.labels()["nvidia_aiconfigurator_2026"] == "NVIDIA, 2026"
    assert all(re.search(r"\S, \d{4}$", label) for label in data.labels().values())


# --- chapters -------------------------------------------------------------------------------------------------------

def test_names_of_a_chapter_are_resolved():
    texts = ["h100_sxm", "A100", "Llama-2-70B", "bf16", "", "nothing of the kind", "H100"]
    assert data_behind.resolved(texts, "chip") == ["H100 SXM"]
    assert data_behind.resolved(texts, "model") == ["Llama 2 70B"]


def test_figures_of_a_chip_are_those_that_the_chapter_needs():
    fields = [row["field"] for row in data_behind.chip_rows("H100 SXM", ["fp8", "nothing"])]
    assert fields == ["memory_bytes", "bandwidth", "link_bandwidth", "tdp_watts", "peak_bf16", "peak_fp8"]
    assert [row["field"] for row in data_behind.chip_rows("V100 SXM2 16GB", [])][-1] == "peak_fp16"


def test_claims_of_a_chapter_are_those_it_names_and_its_own():
    assert data_behind.claim_ids(["B08", "none"], "99") == ["B08"]
    assert "B08" in data_behind.claim_ids([], "07")


def test_every_chapter_names_something():
    for path in notebooks.chapters(ROOT):
        texts = data_behind.named(path)
        found = data_behind.resolved(texts, "chip") + data_behind.resolved(texts, "model") + data_behind.claim_ids(texts, path.name[:2])
        assert found, path.name
