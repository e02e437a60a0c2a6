"""Reads the data files and enforces `data/schema.json` on every row."""
import csv
import datetime
import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from .checks import known, nearest

CONFIDENCE = ("primary", "dataset", "press", "derived", "estimate", "rumoured", "unconfirmed")
DATA = files("siliconomics") / "data"


class BadData(ValueError):
    """A data file breaks its schema; the message names file, row and column."""


def _listed(text: str, item: str) -> bool:
    return all(re.fullmatch(item, part) for part in text.split(";"))


def _is_date(text: str) -> bool:
    try:
        return len(text) == 10 and bool(datetime.date.fromisoformat(text))
    except ValueError:
        return False


TYPES = {
    "text": (str, lambda s: bool(s.strip())),
    "int": (int, lambda s: re.fullmatch(r"\d+", s)),
    "number": (float, lambda s: re.fullmatch(r"\d+(\.\d+)?([eE][+-]?\d+)?", s)),
    "numbers": (lambda s: tuple(map(float, s.split(";"))), lambda s: _listed(s, r"-?\d+(\.\d+)?([eE][+-]?\d+)?")),
    "bool": (lambda s: s == "true", lambda s: s in ("true", "false")),
    "date": (str, _is_date),
    "month": (str, lambda s: re.fullmatch(r"\d{4}(-(0[1-9]|1[0-2]))?", s)),  # some releases are dated to the year only
    "sources": (lambda s: tuple(s.split(";")), lambda s: _listed(s, r"[a-z][a-z0-9_]*")),
    "confidence": (str, lambda s: s in CONFIDENCE),
}


def _value(text: str, kind: str, where: str):
    base, optional = kind.rstrip("?"), kind.endswith("?")
    if optional and text == "":
        return None
    convert, valid = TYPES[base]
    if not valid(text):
        raise BadData(f"{where}: {text!r} is not a {base}")
    if base == "sources":
        _check_sources(text, where)
    if where.endswith(", as_of"):
        _check_day(text, where)
    return convert(text)


def _check_sources(text: str, where: str) -> None:
    for key in text.split(";"):
        if key not in _sources():
            raise BadData(f"{where}: {key!r} is not in sources.csv; nearest: {nearest(key, _sources())}")


def _figure(row: dict, fields: dict, where: str):
    """The value of a long-form row, a number or a text as its field demands."""
    unit = next((u for u, names in fields.items() if row["field"] in names), None)
    if unit is None:
        raise BadData(f"{where}, field: {row['field']!r} is not in schema.json")
    if unit == "text":
        return row["value"]
    if row["unit"] != unit:
        raise BadData(f"{where}, unit: {row['field']} is in {row['unit']!r}, {unit!r} is needed")
    value = _value(row["value"], "number", f"{where}, value")
    if not (row["low"] or 0) <= value <= (row["high"] or value):
        raise BadData(f"{where}, value: {row['field']} {value:g} lies outside low {row['low']} to high {row['high']}")
    return value


@cache
def _dictionary() -> dict:
    return json.loads((DATA / "schema.json").read_text(encoding="utf8"))


def schema(name: str) -> dict:
    """The rules of one table, with what a row is and what its columns mean."""
    return _dictionary()[name]


def names() -> list[str]:
    """All tables, in the order of schema.json."""
    return [name for name in _dictionary() if not name.startswith("_")]


def meaning(name: str, column: str) -> tuple[str, str]:
    """What a column of a table holds, and its unit or an empty text."""
    text = schema(name).get("meaning", {}).get(column) or _dictionary()["_shared"]["meaning"].get(column, "")
    return re.fullmatch(r"(.*?)(?: \[(.+)\])?", text).group(1, 2) if text.endswith("]") else (text, "")


def _check_day(as_of: str, where: str) -> None:
    """Refuse a date to come. The shipped edition vouches for its own dates, so a clock that is slow breaks nothing."""
    if as_of > max(datetime.date.today().isoformat(), _dictionary()["_shared"]["edition"]):
        raise BadData(f"{where}: {as_of!r} is in the future")


def _check_header(name: str, have: list[str], wanted: list[str]) -> None:
    lacks, more = [c for c in wanted if c not in have], [c for c in have if c not in wanted]
    if lacks or more:
        what = f"lacks {', '.join(map(repr, lacks))}" if lacks else f"has {', '.join(map(repr, more))} too"
        raise BadData(f"{name}.csv: header {what}")
    if have != wanted:
        raise BadData(f"{name}.csv: header is out of order, {wanted} is needed")


def read(text: str, name: str) -> tuple[dict, ...]:
    """Parse CSV `text` by the rules of table `name`.

    Raises
    ------
    BadData
        For a wrong header, a value of the wrong type, a source that `sources.csv` does not hold, or a repeated key.
    """
    rules, seen, rows = schema(name), set(), []
    seen_text = {column: {} for column in rules["columns"]}  # a long table repeats most of its cells: each text is checked once
    reader = csv.DictReader(text.splitlines())
    _check_header(name, reader.fieldnames or [], list(rules["columns"]))
    for line, raw in enumerate(reader, start=2):
        if None in raw or None in raw.values():
            raise BadData(f"{name}.csv line {line}: wrong number of columns")
        for column, kind in rules["columns"].items():
            if raw[column] not in seen_text[column]:
                seen_text[column][raw[column]] = _value(raw[column], kind, f"{name}.csv line {line}, {column}")
        row = {column: seen_text[column][raw[column]] for column in rules["columns"]}
        key = tuple(row[k] for k in rules["key"])
        if key in seen:
            raise BadData(f"{name}.csv line {line}, {', '.join(rules['key'])}: {key} stands twice")
        seen.add(key)
        if "fields" in rules:
            row["value"] = _figure(row, rules["fields"], f"{name}.csv line {line}")
        rows.append(row)
    return tuple(rows)


def write(path, name: str, rows) -> None:
    """Write rows of table `name` as CSV, in the order of its columns."""
    with open(str(path), "w", encoding="utf8", newline="") as file:
        writer = csv.DictWriter(file, list(schema(name)["columns"]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


@cache
def table(name: str) -> tuple[dict, ...]:
    """The rows of ``data/<name>.csv``, typed and checked, each a dict."""
    return read((DATA / f"{name}.csv").read_text(encoding="utf8"), name)


def frame(rows):
    """Rows of a table as a pandas DataFrame, the sources of each joined by semicolons."""
    import pandas as pd

    return pd.DataFrame([{**row, "source": ";".join(row["source"])} for row in rows])


@dataclass(frozen=True)
class Source:
    """One entry of the bibliography.

    Parameters
    ----------
    key : str
        What the column `source` of the data files names.
    title : str
    authors : str
        Names split by "; ".
    year : int
    url : str or None
        None where the entry has neither an address nor a DOI.
    """

    key: str
    title: str
    authors: str
    year: int
    url: str | None


@cache
def _sources() -> dict[str, Source]:
    return {row["key"]: Source(**row) for row in table("sources")}


def source(key: str) -> Source:
    """Look up what a source key of the data files stands for.

    Raises
    ------
    UnknownName
        A KeyError that lists the nearest keys.

    Examples
    --------
    >>> found = source("williams2009")
    >>> found.title, found.year, found.url
    ('Roofline: An Insightful Visual Performance Model for Multicore Architectures', 2009, 'https://doi.org/10.1145/1498765.1498785')
    """
    return _sources()[known("key", key, _sources())]
