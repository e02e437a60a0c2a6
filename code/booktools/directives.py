"""Sphinx roles and directives that print figures of the core into the pages of `book/`, so that no page types one.

Roles: ``{computed}`B08` ``, ``{claimed}`B08` ``, ``{ruling}`B08` ``, ``{fact}`H100 SXM bandwidth` ``, ``{tally}`claims` ``.
Directives: ``ledger`` (all claims) and ``figures`` (every figure of the catalogue with source, date and age flag).
"""
from __future__ import annotations

import datetime
import re

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

import siliconomics as si
from siliconomics import claims
from siliconomics.tables import table

STALE_MONTHS = 24  # a figure older than this is flagged; prices will use 12
UNIT_SHOWN = {"byte": "B", "byte/s": "B/s", "FLOP/s": "FLOP/s", "W": "W", "mm2": "mm²"}


def fact(text: str) -> str:
    """The figure that ``<chip> <field>`` names, formatted."""
    name, field = text.rsplit(" ", 1)
    row = next(r for r in si.chip_facts(name).to_dict("records") if r["field"] == field)
    return shown(row)


def shown(row: dict) -> str:
    """Value and unit of a catalogue row, as text."""
    if not row["unit"]:
        return row["value"]
    return re.sub(r"(\.\d*?)0+(?= )", r"\1", si.fmt(float(row["value"]), UNIT_SHOWN[row["unit"]], 4)).replace(". ", " ")


def tally(what: str) -> str:
    """How many rows a thing has: claims, settled, chips, models, measurements."""
    counts = {"claims": lambda: len(table("claims")), "settled": lambda: len(claims.settled()), "chips": lambda: len(si.chips()),
              "models": lambda: len(table("models")), "measurements": lambda: len(table("measurements"))}
    return f"{counts[what]():,}"


ROLES = {
    "computed": lambda id: si.verdict(id).shown, "claimed": lambda id: si.verdict(id).claimed,
    "ruling": lambda id: si.verdict(id).verdict, "fact": fact, "tally": tally,
}


def _role(compute):
    def role(name, rawtext, text, lineno, inliner, options=None, content=None):
        try:
            return [nodes.Text(compute(text))], []
        except (KeyError, StopIteration, ValueError) as error:
            return [], [inliner.reporter.error(f"{rawtext}: {error!r}", line=lineno)]
    return role


class TableDirective(SphinxDirective):
    """Builds a table whose cells are MyST text."""

    header: list[str] = []
    widths: list[int] = []
    name_class = ""

    def cells(self):
        """Yield each row: a list of MyST strings, the first of which may be (anchor, text)."""
        raise NotImplementedError(type(self).__name__)  # pragma: no cover

    def run(self) -> list[nodes.Node]:
        group = nodes.tgroup("", *(nodes.colspec(colwidth=w) for w in self.widths), cols=len(self.header))
        group += nodes.thead("", self._row(self.header))
        group += nodes.tbody("", *(self._row(row) for row in self.cells()))
        return [nodes.table("", group, classes=[self.name_class])]

    def _row(self, row) -> nodes.row:
        return nodes.row("", *(nodes.entry("", self._cell(cell)) for cell in row))

    def _cell(self, cell) -> nodes.paragraph:
        anchor, text = cell if isinstance(cell, tuple) else (None, cell)
        parsed, _ = self.parse_inline(text or "", lineno=self.lineno)
        paragraph = nodes.paragraph("", "", *parsed)
        if anchor:
            target = nodes.target("", "", ids=[anchor], names=[anchor])
            self.state.document.note_explicit_target(target)
            paragraph.insert(0, target)
        return paragraph


def plain_text(text: str) -> str:
    """Escape what MyST would read as markup."""
    return re.sub(r"([\\$*_`\[\]{}<>|])", r"\\\1", text)


def cite(keys) -> str:
    """MyST text that cites bibliography keys."""
    return "{cite}`" + ",".join(keys) + "`" if keys else ""


class Ledger(TableDirective):
    """Claims whose chapter exists (argument `settled`), with their verdicts, or those still to come (`coming`)."""

    required_arguments = 1
    columns = {
        "settled": (["id", "claim, in our words", "claimed", "computed", "verdict", "settled in", "what became of it", "said in"],
                    [6, 34, 10, 10, 10, 9, 24, 10]),
        "coming": (["id", "claim, in our words", "claimed", "chapter", "what became of it", "said in"], [6, 40, 12, 6, 30, 10]),
    }
    name_class = "ledger"

    def run(self) -> list[nodes.Node]:
        self.header, self.widths = self.columns[self.arguments[0]]
        return super().run()

    def cells(self):
        ready = {path.split("/")[-1][:2]: path for path in self.env.found_docs if path.startswith("chapters/")}
        settled = self.arguments[0] == "settled"
        for row in table("claims"):
            if (row["chapter"] in ready) != settled:
                continue
            middle = self._verdict(row, ready[row["chapter"]]) if settled else [str(int(row["chapter"]))]
            yield [(f"claim-{row['id'].lower()}", row["id"]), plain_text(row["claim"]), plain_text(row["claimed"] or ""), *middle,
                   f"{plain_text(row['outcome'] or '')} {cite(row['outcome_source'])}", cite(row["source"])]

    def _verdict(self, row: dict, document: str) -> list[str]:
        judged = claims.verdict(row["id"])
        reading = f": {judged.reading}" if judged.reading else ""
        return [plain_text(judged.shown), plain_text(judged.verdict + reading), f"[chapter {int(row['chapter'])}](/{document}.ipynb)"]


def stale(as_of: str, today: datetime.date) -> bool:
    """Whether a figure of that date is older than `STALE_MONTHS`."""
    then = datetime.date.fromisoformat(as_of)
    return (today.year - then.year) * 12 + today.month - then.month > STALE_MONTHS


class Figures(TableDirective):
    """Every figure of the accelerator catalogue with its source, date, confidence and age flag."""

    header = ["chip", "figure", "value", "range", "as of", "confidence", "source"]
    widths = [16, 14, 14, 14, 12, 10, 20]
    name_class = "figures"

    def cells(self):
        today = datetime.date.today()
        for row in table("accelerators"):
            numeric = bool(row["unit"])
            span = "" if not numeric or row["low"] is None else f"{shown({**row, 'value': row['low']})} to {shown({**row, 'value': row['high']})}"
            age = " (old)" if numeric and stale(row["as_of"], today) else ""
            yield [row["chip"], row["field"].replace("_", " "), plain_text(shown(row)), plain_text(span), row["as_of"] + age, row["confidence"], cite(row["source"])]


def setup(app):
    for name, compute in ROLES.items():
        app.add_role(name, _role(compute))
    app.add_directive("ledger", Ledger)
    app.add_directive("figures", Figures)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
