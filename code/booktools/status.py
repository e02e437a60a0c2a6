"""What is known about the book itself: which rows are due for another look, and how long each chapter runs.

Directives ``ages`` and ``chapter-times`` show both on the status page; `make stale` and `make times` are the commands.
"""
from __future__ import annotations

import datetime
import json
import os
import platform
import shutil
import tempfile
from importlib import metadata
from pathlib import Path

from siliconomics.machine_kernels import cpu_name
from siliconomics.tables import names, schema, table

from . import data_rows, notebooks
from .directives import Recorded, TableDirective, plain_text, text_role

TIMES = Path("tests", "bench", "chapters.json")


# --- age ------------------------------------------------------------------------------------------------------------

def aged(today: datetime.date | None = None) -> list[dict]:
    """One entry for each table with dates: its rows, the oldest of them, the months allowed, and the rows that are past them."""
    found = []
    for name in names():
        dated = [row for row in table(name) if row.get("as_of") and not (name == "accelerators" and not row["unit"])]
        if dated:
            found.append({"table": name, "rows": len(dated), "oldest": min(row["as_of"] for row in dated), "months": data_rows.age_limit(name),
                          "past": [row for row in dated if data_rows.old(name, row, today)]})
    return found


def stale_lines(chosen: tuple[str, ...] = (), most: int = 10, today: datetime.date | None = None) -> list[str]:
    """What `make stale` prints: under each table its rows past the limit, the oldest `most` of them, and the sum at the end.

    Parameters
    ----------
    chosen : tuple of str
        Tables to list in full; none for all tables in short.
    """
    lines, entries = [], [entry for entry in aged(today) if entry["past"] and (not chosen or entry["table"] in chosen)]
    for entry in entries:
        lines.append(f"{entry['table']}: {len(entry['past']):,} of {entry['rows']:,} rows are older than {entry['months']} months")
        key, rows = schema(entry["table"])["key"], sorted(entry["past"], key=lambda row: row["as_of"])
        shown = rows if chosen else rows[:most]
        lines += [f"  {row['as_of']}  {' · '.join(str(row[column]) for column in key)}" for row in shown]
        lines += [f"  and {len(rows) - len(shown):,} more: stale {entry['table']}"] if len(shown) < len(rows) else []
    total = sum(len(entry["past"]) for entry in entries)
    return [*lines, f"{total:,} rows in {len(entries)} tables are due for another look"]


def age(what: str) -> str:
    """The months that a table's rows may have, or "past": how many rows of all tables have more."""
    return f"{sum(len(entry['past']) for entry in aged()):,}" if what == "past" else str(data_rows.age_limit(what))


class Ages(TableDirective):
    """Table by table: rows, the oldest, and how many are past the age at which a page flags them."""

    header, widths, name_class = ["table", "rows", "oldest", "flagged after", "past it"], [24, 10, 14, 16, 10], "ages"

    def cells(self):
        for entry in aged():
            yield [plain_text(entry["table"]), f"{entry['rows']:,}", entry["oldest"], f"{entry['months']} months", f"{len(entry['past']):,}"]


# --- time -----------------------------------------------------------------------------------------------------------

def time_chapters(root: Path, say=print) -> None:
    """Run every chapter in a copy, in a fresh kernel, and record the seconds with the machine's name."""
    seconds = {}
    with tempfile.TemporaryDirectory() as scratch:
        for path in notebooks.chapters(root):
            seconds[path.stem] = round(notebooks.execute(Path(shutil.copy(path, scratch))), 1)
            say(f"{path.stem} {seconds[path.stem]} s")
    machine = {"cpu": cpu_name(), "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
               "date": datetime.date.today().isoformat(), "python": platform.python_version(), "numba": metadata.version("numba")}
    record = json.dumps({"machine": machine, "seconds": seconds}, indent=1) + "\n"
    (root / TIMES).write_text(record, encoding="utf-8", newline="\n")


class ChapterTimes(Recorded):
    """How long each chapter took from a fresh kernel to its last cell."""

    file, command, name_class = TIMES.name, "make times", "chapter-times"
    header, widths = ["chapter", "seconds"], [40, 12]

    def about(self) -> str:
        machine, seconds = self.record["machine"], self.record["seconds"].values()
        return plain_text(f"Measured on {machine['date']} on {machine['cores']} cores ({machine['cpu']}), Python {machine['python']}, "
                          f"numba {machine['numba']}; {sum(seconds):.0f} seconds for all {len(seconds)}, one after the other.")

    def cells(self):
        for stem, taken in self.record["seconds"].items():
            yield [f"[{plain_text(stem)}](../chapters/{stem}.ipynb)", f"{taken:.1f}"]


def setup(app):
    app.add_role("age", text_role(age))
    app.add_directive("ages", Ages)
    app.add_directive("chapter-times", ChapterTimes)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
