"""How much of everything the book holds: sources, terms, figures, exercises. Counted from the files, so that no page types a number."""
from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from . import notebooks
from .altair_renderer import MIME

ROOT = Path(__file__).resolve().parents[2]
CITED = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`")
ENTRY = re.compile(r"(?:^\S.*\n)+(?=^  \S)", re.MULTILINE)  # one or more terms at the margin over an indented definition


@lru_cache(maxsize=1)
def cells() -> list:
    return [cell for path in notebooks.chapters(ROOT) for cell in notebooks.read(path).cells]


def prose() -> str:
    """All Markdown of chapters and pages."""
    pages = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "book").glob("**/*.md"))]
    return "\n".join([cell.source for cell in cells() if cell.cell_type == "markdown"] + pages)


def sources() -> set[str]:
    """Keys of the bibliography that the text cites or a row of data rests on."""
    return {key.strip() for found in CITED.findall(prose()) for key in found.split(",")} | set(_data_keys())


def _data_keys() -> Iterator[str]:
    for path in sorted((ROOT / "code/siliconomics/data").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                yield from (key for name, value in row.items() if name and name.endswith("source") and value for key in value.split(";"))


def terms() -> list[str]:
    """The entries of the glossary; several terms over one definition are one entry."""
    return ENTRY.findall((ROOT / "book/glossary.md").read_text(encoding="utf-8").partition(":::{glossary}")[2])


def charts() -> list:
    outputs = (output for cell in cells() if cell.cell_type == "code" for output in cell.outputs)
    return [output for output in outputs if MIME in output.get("data", {})]


def exercises() -> list[str]:
    return [label for cell in cells() if cell.cell_type == "markdown" for label in re.findall(r"```\{exercise\}.*\n:label: (\S+)", cell.source)]


COUNTS = {"sources": sources, "terms": terms, "charts": charts, "exercises": exercises, "chapters": lambda: notebooks.chapters(ROOT)}
