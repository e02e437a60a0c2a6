"""The data files as a reader sees them: what stands in a cell, where a row is found, whether it has grown old, and all of it in one zip.

Nothing here knows Sphinx: `data_pages` puts these on pages, `data_behind` links to them from chapters.
"""
from __future__ import annotations

import csv
import datetime
import json
import re
import zipfile
from functools import cache
from pathlib import Path

from pybtex.database import Entry, parse_file
from siliconomics import fmt, tables
from siliconomics.tables import DATA
from siliconomics.units import SCALED

from . import bibliography

ROOT = Path(__file__).resolve().parents[2]
DIGITS = 5  # significant; the file has them all
AGE_MONTHS = 24  # a figure older than this is flagged; schema.json sets 12 for prices
PREFIXED = {"byte": "B", "byte/s": "B/s", "token": ""} | {unit: unit for unit in SCALED}
SPELT = {"mm2": "mm²", "um2": "µm²", "1/cm2": "1/cm²", "1": ""}
NOT_COUNTS = ("year", "edition", "id")  # whole numbers that take no thousands separator

BULK = {  # tables too long for a page, and by which columns their rows are summed up
    "gemm": ("set", "chip", "dtype"), "decode_attention": ("chip",), "all_reduce": ("set", "chip"), "layer_ops": ("chip", "model"),
    "gpu_timings": ("run", "test"), "serving": ("model", "chip"), "training_steps": ("software",), "validation": ("table",), "aliases": ("kind",),
}
TOLD = {  # of these tables a summary tells only so much
    "training_steps": ("params", "chips", "sequence"), "gpu_timings": ("batch", "context", "m", "n", "k", "bytes", "seconds"),
    "serving": ("prompt", "output", "concurrency", "ttft_seconds", "tpot_seconds"),
}
PROVENANCE = ("source", "as_of", "confidence")


# --- rows and their addresses ---------------------------------------------------------------------------------------

@cache
def raw(name: str) -> tuple[dict, ...]:
    """The rows of a table as written, every cell a text."""
    with (DATA / f"{name}.csv").open(encoding="utf8", newline="") as file:
        return tuple(csv.DictReader(file))


def slug(text: str) -> str:
    """What may stand in an address: small letters and digits; an empty cell says so."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "none"


def anchor(name: str, row: dict) -> str:
    """The address of a row, made from its table and key: ``accelerators-h100-sxm-bandwidth``."""
    return "-".join([slug(name), *(slug(row[column]) for column in tables.schema(name)["key"])])


def table_anchor(name: str) -> str:
    return f"table-{slug(name)}"


@cache
def pages() -> dict[str, str]:
    """Table -> the page that shows its rows, as the pages themselves say."""
    found = {}
    for path in sorted((ROOT / "book").glob("*.md")):
        for name in re.findall(r"^```\{data-rows\} (\w+)$", path.read_text(encoding="utf8"), re.MULTILINE):
            found[name] = f"book/{path.stem}"
    return found


# --- age ------------------------------------------------------------------------------------------------------------

def age_limit(name: str) -> int:
    """Months after which a row of the table is flagged."""
    return tables.schema(name).get("age_months", AGE_MONTHS)


def old(name: str, row: dict, today: datetime.date | None = None) -> bool:
    """Whether a row is past its age; a name or a date of launch does not age."""
    if "as_of" not in row or (name == "accelerators" and not row["unit"]):
        return False
    today, then = today or datetime.date.today(), datetime.date.fromisoformat(row["as_of"])
    return (today.year - then.year) * 12 + today.month - then.month > age_limit(name)


# --- cells ----------------------------------------------------------------------------------------------------------

def amount(text: str, unit: str) -> str:
    """A number as a reader wants it: SI prefixes, dollars, per cent; ``3.35e12`` in byte/s is 3.35 TB/s."""
    if not text:
        return ""
    unit = SPELT.get(unit, unit)
    unit = "%" if unit == "fraction" else unit.replace("USD", "$").replace("mm2", "mm²") if unit.startswith("USD") else PREFIXED.get(unit, unit)
    return _trimmed(fmt(float(text), unit, DIGITS), cents=unit.startswith("$"))


def _trimmed(shown: str, cents: bool) -> str:
    """Without the zeros that end a fraction; a price keeps its cents."""
    whole, point, rest = shown.partition(".")
    digits = re.match(r"\d*", rest).group()
    kept = digits.rstrip("0")
    kept = kept.ljust(2, "0") if cents and kept else kept
    return whole + (point if kept else "") + kept + rest[len(digits):]


def unit_of(name: str, row: dict, column: str) -> str:
    """The unit of a numeric cell: that of its column, else for value and range that of the row."""
    return tables.meaning(name, column)[1] or (row.get("unit") or "" if column in ("value", "usd", "low", "high") else "")


def numeric(name: str, column: str) -> bool:
    return tables.schema(name)["columns"][column].rstrip("?") in ("int", "number")


def cell(name: str, row: dict, column: str) -> str:
    """What a page shows of one cell."""
    text, unit = row[column], unit_of(name, row, column)
    is_figure = name == "accelerators" and column == "value" and unit
    if not text or not (numeric(name, column) or is_figure) or column in NOT_COUNTS:
        return text
    in_heading = tables.meaning(name, column)[1] and not (unit in PREFIXED or unit.startswith(("USD", "fraction")))
    return amount(text, "" if in_heading else unit)


def span(name: str, row: dict) -> str:
    """The range of a row, from low to high."""
    low, high = (cell(name, row, end) for end in ("low", "high"))
    return f"{low} to {high}" if low and high else f"from {low}" if low else f"to {high}" if high else ""


@cache
def columns(name: str) -> tuple[str, ...]:
    """What a page shows of a table, in order: what is never filled is left out, the unit stands with the value, low and high are a range."""
    filled = [c for c in tables.schema(name)["columns"] if any(row[c] for row in raw(name))]
    given = [c for c in filled if not (c == "unit" and {"value", "usd"} & set(filled)) and c not in ("low", "high", *PROVENANCE)]
    spans = ["range"] if {"low", "high"} & set(filled) else []
    return (*(c for c in given if c != "note"), *spans, *(c for c in PROVENANCE if c in filled), *(c for c in given if c == "note"))


def heading(name: str, column: str) -> str:
    """The name of a column with blanks, and its unit where the cells do not show it."""
    unit = "" if column == "range" else tables.meaning(name, column)[1]
    shown = {"token": "tokens", "chip": "", "nat": "nats"}.get(unit, SPELT.get(unit, unit))
    plain = column.replace("as_of", "as of").replace("_", " ")
    return plain if not shown or unit in SCALED or unit in ("byte", "byte/s") or unit.startswith(("USD", "fraction")) else f"{plain} ({shown})"


# --- summaries ------------------------------------------------------------------------------------------------------

def groups(name: str) -> dict[tuple, list[dict]]:
    """The rows of a long table by what sums them up."""
    found: dict[tuple, list[dict]] = {}
    for row in raw(name):
        found.setdefault(tuple(row[column] for column in BULK[name]), []).append(row)
    return found


def extent(name: str, rows: list[dict]) -> str:
    """From where to where the parameters and results of rows run; what never changes within them is said once."""
    said = []
    for column in TOLD.get(name, columns(name)):
        values = [float(row[column]) for row in rows if column in row and row[column] and numeric(name, column)]
        if values:
            ends = [cell(name, {**rows[0], column: repr(v)}, column) for v in (min(values), max(values))]
            said.append(f"{column.replace('_', ' ')} {ends[0] if ends[0] == ends[1] else ' to '.join(ends)}")
    return "; ".join(said)


def dates(rows) -> tuple[str, str]:
    """The oldest and the newest day that rows describe, or two empty texts."""
    days = sorted(row["as_of"] for row in rows if row.get("as_of"))
    return (days[0], days[-1]) if days else ("", "")


def source_keys(rows) -> list[str]:
    """Every source that rows name, in their order."""
    return list(dict.fromkeys(key for row in rows for column in ("source", "outcome_source") for key in row.get(column, "").split(";") if key))


def confidences(rows) -> dict[str, int]:
    """Rows by confidence, in the order of the words' strength."""
    counts = {word: sum(row.get("confidence") == word for row in rows) for word in tables.CONFIDENCE}
    return {word: n for word, n in counts.items() if n}


# --- sources --------------------------------------------------------------------------------------------------------

def source_anchor(key: str) -> str:
    """The address of a source on the bibliography page, as `bibtex_cite_id` of _config.yml makes it."""
    return "cite-" + slug(key)


def _label(entry: Entry) -> str:
    names = [bibliography.plain(" ".join([*p.prelast_names, *p.last_names])) for p in entry.persons["author"]]
    people = names[0] if len(names) == 1 else " and ".join(names) if len(names) == 2 and names[1] != "others" else f"{names[0]} et al."
    return f"{people}, {entry.fields['year']}"


@cache
def labels() -> dict[str, str]:
    """Source key -> how a text cites it: "Williams et al., 2009"."""
    return {key: _label(entry) for key, entry in parse_file(str(ROOT / bibliography.REFERENCES), encoding="utf-8").entries.items()}


# --- what a browser loads, and the zip --------------------------------------------------------------------------------

def script(name: str) -> str:
    """A table as a script for data.js: columns one by one, repeated texts once. A script loads from file:// too, where a fetch does not."""
    rows, header = raw(name), list(tables.schema(name)["columns"])
    packed = {}
    for column in header:
        values = [row[column] for row in rows]
        distinct = list(dict.fromkeys(values))
        place = {text: number for number, text in enumerate(distinct)}
        packed[column] = {"texts": distinct, "of": [place[v] for v in values]} if len(distinct) < len(values) / 2 else values
    table = {
        "key": tables.schema(name)["key"], "columns": packed, "shown": columns(name), "age_months": age_limit(name), "rows": len(rows),
        "headings": {c: heading_with_unit(name, c) for c in columns(name)}, "sources": {key: labels()[key] for key in source_keys(rows)},
    }
    body = json.dumps(table, ensure_ascii=False, separators=(",", ":"))
    return f'(window.siliconomicsTables ||= {{}})["{name}"] = {body};\n'


def heading_with_unit(name: str, column: str) -> str:
    """A column's name with its unit, for cells that show the number as the file has it."""
    unit = "" if column == "range" else tables.meaning(name, column)[1]
    return column.replace("as_of", "as of").replace("_", " ") + (f" ({SPELT.get(unit, unit)})" if unit else "")


def dictionary() -> str:
    """The data dictionary as Markdown: each table, what a row is, its key, its columns with type and unit."""
    parts = ["# Data dictionary\n\nWritten from schema.json. Units are SI; an empty cell means that it is not known or has no meaning in the row.\n"]
    for name in tables.names():
        rules = tables.schema(name)
        lines = [f"## {name}.csv\n", rules["about"], f"\n{len(raw(name)):,} rows; one row for each {', '.join(rules['key'])}.\n",
                 "| column | type | unit | meaning |", "|---|---|---|---|"]
        for column, kind in rules["columns"].items():
            text, unit = tables.meaning(name, column)
            lines.append(f"| {column} | {kind.replace('?', ', may be empty')} | {unit} | {text} |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def zip_members() -> dict[str, bytes]:
    """What the zip holds, by name."""
    plain = [*(f"{name}.csv" for name in tables.names()), "schema.json", "validation.json", "SOURCES.md", "LICENSE-DATA"]
    members = {file: (DATA / file).read_bytes() for file in plain}
    members["references.bib"] = (ROOT / bibliography.REFERENCES).read_bytes()
    members["DICTIONARY.md"] = dictionary().encode("utf8")
    return {f"siliconomics-data/{file}": members[file] for file in sorted(members)}


def write_zip(path: Path) -> None:
    """Write all data with its dictionary and sources; the same data give the same bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file, content in zip_members().items():
            info = zipfile.ZipInfo(file, (2026, 1, 1, 0, 0, 0))
            info.compress_type, info.external_attr, info.create_system = zipfile.ZIP_DEFLATED, 0o644 << 16, 3
            archive.writestr(info, content)
