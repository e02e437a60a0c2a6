"""The bibliography as a table for the package, which is installed without the book.

Nothing here imports the package: it must run when `sources.csv` lacks a key and the package therefore refuses its data.
"""
from __future__ import annotations

import csv
import io
from pathlib import Path

from pybtex.database import Entry, Person, parse_file
from pybtex.richtext import Text

REFERENCES = Path("book/references.bib")
SOURCES = Path("code/siliconomics/data/sources.csv")
COLUMNS = ("key", "title", "authors", "year", "url")


def plain(latex: str) -> str:
    """The text that LaTeX would print, on one line."""
    return " ".join(str(Text.from_latex(latex)).replace(r"\$", "$").split())  # the converter leaves only the dollar escaped


def name(person: Person) -> str:
    parts = [*person.first_names, *person.middle_names, *person.prelast_names, *person.last_names, *person.lineage_names]
    return "et al." if parts == ["others"] else plain(" ".join(parts))


def address(entry: Entry) -> str:
    """The entry's address, else that of its DOI, else nothing."""
    doi = entry.fields.get("doi")
    return entry.fields.get("url") or (f"https://doi.org/{doi}" if doi else "")


def row(key: str, entry: Entry) -> tuple[str, ...]:
    authors = "; ".join(map(name, entry.persons["author"]))  # names of organisations hold commas
    return key, plain(entry.fields["title"]), authors, entry.fields["year"], address(entry)


def sources(references: Path) -> str:
    """The text of sources.csv that the bibliography gives."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(row(key, entry) for key, entry in sorted(parse_file(str(references), encoding="utf-8").entries.items()))
    return out.getvalue()
