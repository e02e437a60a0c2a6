"""Sphinx extension of the book: charts as accessible figures.

A stored Vega-Lite output becomes a <figure>: title, a still picture in whose place book-vega.js draws the live chart,
and the chart's data as CSV.
"""
from __future__ import annotations

import csv
import html
import io
import json
from pathlib import Path

from docutils import nodes
from sphinx.util import logging

from . import scripts, stills
from .altair_renderer import MIME, alt_text, title_text

log = logging.getLogger(__name__)


class chart(nodes.General, nodes.Element):
    """A Vega-Lite chart; attribute `spec`."""


class VegaLite:
    """Entry point `myst_nb.mime_renderers`."""

    mime_priority_overrides = [(builder, MIME, 1) for builder in ("html", "dirhtml", "singlehtml")]

    @staticmethod
    def handle_mime(renderer, data, inline):
        if inline or data.mime_type != MIME:
            return None
        spec = json.loads(data.content) if isinstance(data.content, str) else data.content
        return [chart(spec=spec, classes=["output"])]


# --- a chart on a page ----------------------------------------------------------------------------------------------

def tables(spec: dict) -> list[list[dict]]:
    """Return the rows of a chart's data sets; those of one row, such as a reference line, only if there is no other."""
    found = _datasets(spec)
    return [rows for rows in found if len(rows) > 1] or found


def _datasets(spec: dict) -> list[list[dict]]:
    found = list(spec.get("datasets", {}).values())
    if isinstance(spec.get("data"), dict) and "values" in spec["data"]:
        found.append(spec["data"]["values"])
    for key in ("layer", "hconcat", "vconcat", "concat"):
        for part in spec.get(key, []):
            found += _datasets(part)
    if isinstance(spec.get("spec"), dict):
        found += _datasets(spec["spec"])
    return [rows for rows in found if rows and isinstance(rows[0], dict)]


def csv_text(rows: list[dict]) -> str:
    fields = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _write_tables(builder, name: str, spec: dict) -> list[str]:
    """Write the chart's data under _data/ and return the addresses relative to the current page."""
    links, found = [], tables(spec)
    for number, rows in enumerate(found, start=1):
        target = Path("_data") / f"{name}{f'-{number}' if len(found) > 1 else ''}.csv"
        path = Path(builder.outdir) / target
        path.parent.mkdir(exist_ok=True)
        path.write_text(csv_text(rows), encoding="utf-8", newline="\n")
        links.append("../" * builder.current_docname.count("/") + target.as_posix())
    return links


def _figure(name: str, spec: dict, svg: str, links: list[str]) -> str:
    label = html.escape(alt_text(spec), quote=True)
    table_links = " ".join(
        f'<a href="{link}" download>Table{f" {number}" if len(links) > 1 else ""} (CSV)</a>'
        for number, link in enumerate(links, start=1)
    )
    subtitle = title_text(spec, "subtitle")
    subtitle = f'<p class="vl-subtitle">{html.escape(subtitle)}</p>' if subtitle else ""
    return (
        f'<figure class="vl-chart" id="chart-{name}" role="group" aria-label="{label}">'
        f'<p class="vl-title">{html.escape(title_text(spec))}</p>{subtitle}'
        f'<script type="application/json" class="vl-spec">{stills.payload(spec)}</script>'
        f'<div class="vl-view">{svg}{stills.awaited(spec)}</div>'
        f'<figcaption class="vl-links">{table_links}</figcaption></figure>'
    )


def visit_chart_html(self, node: chart) -> None:
    docname = self.builder.current_docname
    number = list(node.document.findall(chart)).index(node) + 1
    name, spec = f"{docname.rpartition('/')[2]}-{number}", node["spec"]
    try:
        links = _write_tables(self.builder, name, spec)
        if not links:
            log.warning("chart %d holds no data rows, so it has no table", number, location=docname)
        self.body.append(_figure(name, spec, stills.still(spec, name), links))
    except ValueError as error:
        log.warning("chart %d: %s", number, error, location=docname)
    raise nodes.SkipNode


def visit_chart_text(self, node: chart) -> None:
    self.add_text(alt_text(node["spec"]))
    raise nodes.SkipNode


def name_solutions(app, doctree) -> None:
    """Say "solution" on the button of a folded solution, where myst-nb says "code cell content"."""
    for cell in doctree.findall(nodes.container):
        if "tag_solution" in cell["classes"] and "prompt_show" in cell:
            cell["prompt_show"], cell["prompt_hide"] = "Show the solution", "Hide the solution"


def name_cells(app, doctree) -> None:
    """Give each code cell an id, cell-17 for the notebook's eighteenth cell, so that the ledger can lead to it."""
    for cell in doctree.findall(nodes.container):
        if cell.get("nb_element") == "cell_code":
            cell["ids"].append(f"cell-{cell['cell_index']}")


def merge_handlers(app) -> None:
    """Give singlehtml and dirhtml the html visitors: sphinx-exercise registers its own there and hides all others."""
    handlers = app.registry.translation_handlers
    for builder in {"singlehtml", "dirhtml"} & handlers.keys():
        for name, visitors in handlers.get("html", {}).items():
            handlers[builder].setdefault(name, visitors)


def setup(app):
    app.add_node(chart, html=(visit_chart_html, None), text=(visit_chart_text, None))
    app.connect("builder-inited", merge_handlers)
    app.connect("doctree-read", name_solutions)
    app.connect("doctree-read", name_cells)
    scripts.setup(app)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
