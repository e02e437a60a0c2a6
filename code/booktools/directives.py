"""Sphinx roles and directives that print figures of the core into the pages of `book/`, so that no page types one.

Roles: ``{computed}`B08` ``, ``{claimed}`B08` ``, ``{ruling}`B08` ``, ``{fact}`H100 SXM bandwidth` ``, ``{tally}`claims` ``,
``{version}`numba` ``. Directives: ``ledger`` (all claims), ``api`` (every public name of the package, from its docstring),
``benchmarks``, ``mutation`` and ``validation`` (what `make bench`, `make mutate` and `make validate` recorded).
"""
from __future__ import annotations

import importlib
import inspect
import json
import re
from importlib import metadata
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

import siliconomics as si
from siliconomics import claims
from siliconomics.tables import names, table

from . import counts, notebooks

ROOT = Path(__file__).resolve().parents[2]
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


def settled_in(row: dict) -> Path | None:
    """The notebook that settles a claim: its own chapter, or before that is written the first that computes it as an example."""
    written = {path.name[:2]: path for path in notebooks.chapters(ROOT)}
    if row["chapter"] in written or row["id"] not in claims.settled():
        return written.get(row["chapter"])
    link = f"(#claim-{row['id'].lower()})"
    return next((path for path in written.values() if link in path.read_text(encoding="utf-8")), None)


def tally(what: str) -> str:
    """How many rows a table has, or chips, claims that are settled, or what `counts` counts; or the oldest figure."""
    if what == "oldest":
        row = min((r for r in table("accelerators") if r["unit"]), key=lambda r: r["as_of"])
        return f"of {row['as_of']} ({row['chip']}, {row['field'].replace('_', ' ')})"
    here = {"settled": lambda: sum(settled_in(row) is not None for row in table("claims")), "chips": lambda: len(si.chips()),
            "tables": lambda: len(names()), "rows": lambda: sum(len(table(name)) for name in names())}
    counted = here | {name: lambda found=found: len(found()) for name, found in counts.COUNTS.items()}
    return f"{counted[what]() if what in counted else len(table(what)):,}"


ROLES = {
    "computed": lambda id: si.verdict(id).shown, "claimed": lambda id: si.verdict(id).claimed,
    "ruling": lambda id: si.verdict(id).verdict, "fact": fact, "tally": tally,
    "version": lambda package: f"{package} {metadata.version(package)}",
}


def text_role(compute):
    """A role that prints what `compute` returns for its text, and reports what it raises."""
    def role(name, rawtext, text, lineno, inliner, options=None, content=None):
        try:
            return [nodes.Text(compute(text))], []
        except (KeyError, StopIteration, ValueError) as error:
            return [], [inliner.reporter.error(f"{rawtext}: {error!r}", line=lineno)]
    return role


class TableDirective(SphinxDirective):
    """Builds a table from the rows that `cells` of a subclass yields: MyST strings, (anchor, string), or paragraphs."""

    header: list[str] = []
    widths: list[int] = []
    name_class = ""

    def run(self) -> list[nodes.Node]:
        group = nodes.tgroup("", *(nodes.colspec(colwidth=w) for w in self.widths), cols=len(self.header))
        group += nodes.thead("", self._row(self.header))
        group += nodes.tbody("", *(self._row(row) for row in self.cells()))
        return [nodes.table("", group, classes=[self.name_class])]

    def _row(self, row) -> nodes.row:
        return nodes.row("", *(nodes.entry("", self._cell(cell)) for cell in row))

    def _cell(self, cell) -> nodes.paragraph:
        if isinstance(cell, nodes.paragraph):
            return cell
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
    """All claims: what was said, what comes out, the verdict, and the section that computes it or the chapter that will."""

    header = ["id", "claim, in our words", "claimed", "computed", "verdict", "settled in", "what became of it", "said in"]
    widths = [6, 34, 10, 10, 10, 9, 24, 10]
    name_class = "ledger"

    def cells(self):
        for row in table("claims"):
            yield [(f"claim-{row['id'].lower()}", row["id"]), plain_text(row["claim"]), plain_text(row["claimed"] or ""), *self._verdict(row),
                   f"{plain_text(row['outcome'] or '')} {cite(row['outcome_source'])}", cite(row["source"])]

    def _verdict(self, row: dict) -> list:
        notebook, home = settled_in(row), int(row["chapter"])
        if notebook is None:
            return ["", "not yet", f"chapter {home} (coming)"]
        judged, here = claims.verdict(row["id"]), int(notebook.name[:2])
        reading = f": {judged.reading}" if judged.reading else ""
        ahead = "" if here == home else f", ahead of chapter {home}"
        return [plain_text(judged.shown), plain_text(judged.verdict + reading), self._link(*section_of(row["id"], notebook), notebook, ahead)]

    def _link(self, label: str, anchor: str, notebook: Path, after: str) -> nodes.paragraph:
        page = self.env.app.builder.get_relative_uri(self.env.docname, f"chapters/{notebook.stem}")
        return nodes.paragraph("", "", nodes.reference("", label, internal=True, refuri=f"{page}#{anchor}"), nodes.Text(after))


def section_of(id: str, notebook: Path) -> tuple[str, str]:
    """(name of the section, anchor) of the cell that computes a claim: the first that names its id, else of the verdicts at the end."""
    nb = notebooks.read(notebook)
    headings = {section.cells[0].source.splitlines()[0].strip("# "): section for section in notebooks.sections(nb) if section.title}
    naming = ((heading, cell) for heading, section in headings.items() for cell in section.cells
              if cell.cell_type == "code" and f'"{id}"' in cell.source)
    heading, cell = next(naming, ("Verdicts", None))
    number = re.match(r"\d+\.\d+", heading)
    anchor = nodes.make_id(heading) if cell is None else f"cell-{nb.cells.index(cell)}"
    return f"section {number[0]}" if number else f"chapter {int(notebook.name[:2])}", anchor


# --- status -----------------------------------------------------------------------------------------------------------

class Recorded(TableDirective):
    """A table of a JSON file that a command wrote, by default into tests/bench/, under a sentence about the run."""

    file = command = ""
    folder = Path("tests", "bench")

    def run(self) -> list[nodes.Node]:
        path = Path(self.env.srcdir, self.folder, self.file)
        if not path.exists():
            return [self._cell(f"`{self.command}` has not recorded a run yet.")]
        self.env.note_dependency(str(path))
        self.record = json.loads(path.read_text(encoding="utf-8"))
        shown = super().run() if any(True for _ in self.cells()) else []
        return [self._cell(self.about()), *shown]


class Benchmarks(Recorded):
    """Our times beside limits and rivals, with ratio, target and whether it was met."""

    file, command, name_class = "bench.json", "make bench", "benchmarks"
    header, widths = ["measure", "ours", "limit or rival", "theirs", "ratio", "target", "met"], [30, 14, 24, 14, 8, 8, 6]

    def about(self) -> str:
        m = self.record["machine"]
        return plain_text(f"Measured on {m['date']} on {m['cores']} cores ({m['cpu']}), Python {m['python']}, NumPy {m['numpy']}, "
                          f"numba {m['numba']}; medians of {m['repeats']} turns.")

    def cells(self):
        for r in self.record["rows"]:
            ours, theirs = (self._figure(r[side], r["unit"]) for side in ("ours", "other"))
            yield [re.sub(r"10\^(\d+)", r"10{sup}`\1`", plain_text(r["measure"])), ours, plain_text(r["against"]), theirs, self._figure(r["ratio"]),
                   r["target"].replace("<=", "≤").replace(">=", "≥"), {None: "", True: "yes", False: "no"}[r["met"]]]

    @staticmethod
    def _figure(value, unit: str = "") -> str:
        if value is None:
            return ""
        digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
        return f"{digits} {unit.replace('us', 'µs')}".replace("-", "−").strip()


class Mutation(Recorded):
    """The share of changed formulas that the tests noticed, and those that they did not."""

    file, command, name_class = "mutation.json", "make mutate", "mutation"
    header, widths = ["where", "written", "changed to", "why no test sees it"], [20, 24, 24, 40]

    def about(self) -> str:
        r = self.record
        return f"Of {r['tested']} changes tried on {r['date']} the tests noticed {r['killed']}, {100 * r['share']:.1f} %."

    def cells(self):
        for s in self.record["survivors"]:
            yield [plain_text(text) for text in (s["at"].rpartition("/")[2], s["before"], s["after"], s["explained"] or "not explained yet")]


class Validation(Recorded):
    """Errors of the predictions on rows whose group was left out of the fit."""

    file, command, name_class, folder = "validation.json", "make validate", "validation", Path("code", "siliconomics", "data")
    header = ["rows", "left out", "n", "mean", "90 % interval", "median", "90 % interval", "in 80 % interval", "textbook", "target", "met"]
    widths = [20, 12, 6, 8, 12, 8, 12, 8, 8, 10, 6]

    def about(self) -> str:
        return f"As of {self.record['as_of']}. Targets are mean and median; fewer than 30 rows are reported and not judged."

    def cells(self):
        percent = lambda value: "" if value is None else f"{100 * value:.1f}\u00a0%"  # noqa: E731
        span = lambda ends: f"{100 * ends[0]:.1f}\u2013{percent(ends[1])}"  # noqa: E731
        for f in self.record["figures"]:
            target = " / ".join(percent(f[key]) for key in ("target_mean", "target_median") if f[key])
            yield [f["rows"], f["left_out"], f"{f['n']:,}", percent(f["mean"]), span(f["mean_interval"]), percent(f["median"]),
                   span(f["median_interval"]), percent(f["coverage"]), percent(f.get("textbook_mean")), target, {None: "", True: "yes", False: "no"}[f["met"]]]


# --- API reference ----------------------------------------------------------------------------------------------------

PACKAGE = Path(si.__file__).parent


def exported_by(module: str) -> list[str]:
    """Names of `siliconomics.__all__` that a module defines; constants belong to the module that assigns them."""
    defined = vars(importlib.import_module(f"siliconomics.{module}"))
    return [n for n in si.__all__ if n in defined and defined[n] is getattr(si, n) and _home(module, n, defined[n])]


def _home(module: str, name: str, thing) -> bool:
    home = getattr(thing, "__module__", None)
    if home:
        return home == f"siliconomics.{module}"
    return not inspect.ismodule(thing) and bool(re.search(rf"^{name}\b.* = ", (PACKAGE / f"{module}.py").read_text(encoding="utf-8"), re.M))


def public_names(module: str, exported_only: bool = False) -> list[str]:
    """What a module offers: its exported names, then its other public functions and classes, each in the file's order."""
    first = exported_by(module)
    defined = vars(importlib.import_module(f"siliconomics.{module}"))
    others = [n for n, thing in defined.items() if n not in first and not n.startswith("_") and callable(thing)
              and getattr(thing, "__module__", "") == f"siliconomics.{module}" and getattr(thing, "__name__", "") == n]
    order = list(defined)
    return sorted(first, key=order.index) + ([] if exported_only else others)


def _autodoc(module: str, name: str) -> list[str]:
    thing = vars(importlib.import_module(f"siliconomics.{module}"))[name]
    kind = "exception" if inspect.isclass(thing) and issubclass(thing, Exception) else "class" if inspect.isclass(thing) else \
        "function" if callable(thing) else "data"
    options = {"class": ["   :members:"], "data": ["   :no-value:"]}.get(kind, [])
    return [f".. auto{kind}:: siliconomics.{module}.{name}", *options, ""]


class Api(SphinxDirective):
    """Reference of the package. Each content line is ``module: the question it answers``; modules to come may be named.

    Modules that export a name and are not listed are added at the end, so that no name can be missing.
    """

    has_content = True
    option_spec = {"exported-only": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        asked = dict(line.split(": ", 1) for line in self.content if line.strip())
        have = {path.stem for path in PACKAGE.glob("[a-z]*.py")}
        asked |= {m: "" for m in sorted(have - asked.keys()) if exported_by(m)}
        brief = self.options.get("exported-only", "").split()
        return [self._section(module, question, module in brief) for module, question in asked.items() if module in have]

    def _section(self, module: str, question: str, exported_only: bool) -> nodes.section:
        self.env.note_dependency(str(PACKAGE / f"{module}.py"))
        section = nodes.section("", nodes.title("", module), ids=[f"api-{module}"], names=[f"api-{module}"])
        self.state.document.note_explicit_target(section)
        entries = [line for name in public_names(module, exported_only) for line in _autodoc(module, name)]
        text = [question, "", "````{eval-rst}", *entries, "````"]
        self.state.nested_parse(StringList(text, source=str(PACKAGE / f"{module}.py")), 0, section)
        return section


def add_source(app, what, name, thing, options, lines) -> None:
    """Say under each function and class in which file it stands; runs after napoleon."""
    if what == "property":
        lines[:] = inspect.getdoc(thing).splitlines()  # napoleon takes what stands before a colon for a type
    if what not in ("function", "class", "exception"):
        return
    thing = inspect.unwrap(thing)  # a compiled kernel wraps the function that was written
    file = f"code/siliconomics/{Path(inspect.getsourcefile(thing)).name}"
    line = inspect.getsourcelines(thing)[1]
    theme = app.config.html_theme_options
    address = f"{theme.get('repository_url', '')}/blob/{theme.get('repository_branch', 'main')}/{file}#L{line}"
    lines += ["", ".. container:: api-source", "", f"   `{file}, line {line} <{address}>`__", ""]


def short_names(app, doctree) -> None:
    """Show an exported name as readers call it, ``si.decode``."""
    for signature in doctree.findall(addnodes.desc_signature):
        prefix = next(signature.findall(addnodes.desc_addname), None)
        if prefix is not None and signature.get("fullname") in exported_by(signature["module"].rpartition(".")[2]):
            prefix.children = [nodes.Text("si.")]


def drop_empty_dashes(app, doctree) -> None:
    """An exception listed without a reason ends in a dash; drop it."""
    for paragraph in doctree.findall(lambda n: isinstance(n, nodes.paragraph) and isinstance(n.parent, (nodes.field_body, nodes.list_item))):
        while paragraph.children and paragraph.children[-1].astext().strip() in ("", "--", "–"):
            paragraph.pop()


def setup(app):
    for name, compute in ROLES.items():
        app.add_role(name, text_role(compute))
    app.add_directive("ledger", Ledger)
    app.add_directive("api", Api)
    app.add_directive("benchmarks", Benchmarks)
    app.add_directive("mutation", Mutation)
    app.add_directive("validation", Validation)
    app.connect("autodoc-process-docstring", add_source, priority=900)  # after napoleon
    app.connect("doctree-read", short_names)
    app.connect("doctree-read", drop_empty_dashes)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
