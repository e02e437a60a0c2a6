"""The table of the page "How to use this book": what each chapter needs and how long it takes, as the chapters say themselves."""
from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes

from . import counts, notebooks
from .directives import TableDirective, plain_text

MINUTES = re.compile(r"Reading takes (\d+) minutes, the exercises another (\d+)")
NEEDED = re.compile(r"\]\((\d\d)_\w+\.ipynb")


def told(path: Path) -> tuple[str, list[str], int, int]:
    """(title, numbers of the chapters that "Before you start" names as needed, minutes of reading, of exercises)."""
    nb = notebooks.read(path)
    title = nb.cells[0].source.splitlines()[0].lstrip("# ")
    before = next(cell.source for section in notebooks.sections(nb) if section.title == "Before you start" for cell in section.cells)
    reading, exercises = map(int, MINUTES.search(before).groups())
    own = path.name[:2]
    return title, sorted({number for number in NEEDED.findall(before) if number < own}), reading, exercises


class ReadingGuide(TableDirective):
    """A row for each chapter, and the hours of all."""

    header, widths, name_class = ["chapter", "builds on", "reading, min", "exercises, min"], [56, 16, 14, 14], "reading-guide"

    def cells(self):
        files = {path.name[:2]: path.stem for path in notebooks.chapters(counts.ROOT)}
        for path in notebooks.chapters(counts.ROOT):
            title, needed, reading, exercises = told(path)
            before = ", ".join(f"[{int(number)}](../chapters/{files[number]}.ipynb)" for number in needed)
            yield [f"[{plain_text(title)}](../chapters/{path.stem}.ipynb)", before, str(reading), str(exercises)]


def hours(kind: str) -> str:
    """Hours that all chapters take to read, or their exercises to solve, rounded."""
    at = {"reading": 2, "exercises": 3}[kind]
    return f"{sum(told(path)[at] for path in notebooks.chapters(counts.ROOT)) / 60:.0f}"


def hours_role(name, rawtext, text, lineno, inliner, options=None, content=None):
    return [nodes.Text(hours(text))], []


def setup(app):
    app.add_directive("reading-guide", ReadingGuide)
    app.add_role("hours", hours_role)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
