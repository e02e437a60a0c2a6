"""Sphinx extension of the book: stored charts become figures (figures.py), and pages load nothing from elsewhere.

Vega and MathJax are copied from installed Python packages into the site.
"""
from __future__ import annotations

import json
import re
import shutil
from importlib.metadata import distribution
from pathlib import Path

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx_exercise.nodes import exercise_enumerable_node, exercise_node

from .altair_renderer import MIME
from .figures import chart

CHART_SCRIPTS = ("vega.js", "book-vega.js")
MATHJAX_PARTS = ("tex-chtml.js", "output/chtml/fonts/woff-v2", "input/tex/extensions", "a11y", "sre")


class VegaLite:
    """Entry point `myst_nb.mime_renderers`."""

    mime_priority_overrides = [(builder, MIME, 1) for builder in ("html", "dirhtml", "singlehtml")]

    @staticmethod
    def handle_mime(renderer, data, inline):
        if inline or data.mime_type != MIME:
            return None
        spec = json.loads(data.content) if isinstance(data.content, str) else data.content
        return [chart(spec=spec, classes=["output"])]


# --- cells -----------------------------------------------------------------------------------------------------------

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


class NumberExercises(SphinxPostTransform):
    """Number an exercise as `si.check` does, 13.1 for the label ex-13-1: sphinx-exercise would count through the whole book."""

    default_priority = 15  # before sphinx-exercise writes the titles

    def run(self, **options) -> None:
        for numbered in list(self.document.findall(exercise_enumerable_node)):
            if not (name := re.fullmatch(r"ex-(\d+)-(\d+)", numbered["label"])):
                continue
            plain = exercise_node("", *numbered.children, **numbered.attributes)
            plain.children[0].children[0] = nodes.Text(f"Exercise {int(name[1])}.{name[2]}")
            plain.children[1]["ids"] = [f"{numbered['label']}-text"]  # as it comes, all exercises share one id
            numbered.replace_self(plain)


# --- pages without foreign addresses ---------------------------------------------------------------------------------

def copy_scripts(app) -> None:
    """Put Vega and MathJax into the site from the installed packages."""
    if app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    static.mkdir(parents=True, exist_ok=True)
    if not (static / "vega.js").exists():
        import vl_convert

        bundle = f"(function () {{{vl_convert.javascript_bundle()}\n}})();\n"  # its short names must not meet the theme's
        (static / "vega.js").write_text(bundle, encoding="utf-8", newline="\n")
    source = Path(distribution("sphinx-mathjax-offline").locate_file("sphinx-mathjax-offline/static/mathjax"))
    for part in MATHJAX_PARTS:
        _copy_missing(source / part, static / "mathjax" / part)


def _copy_missing(source: Path, target: Path) -> None:
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    (shutil.copytree if source.is_dir() else shutil.copy)(source, target)


def page_scripts(app, pagename, templatename, context, doctree) -> None:
    """Load the scripts of charts and of long tables where there are any; drop thebe, which names a script server, and doubled inline scripts."""
    seen: set[str] = set()
    scripts, kept = context.get("script_files", []), []
    for script in scripts:
        body = getattr(script, "attributes", {}).get("body") or ""
        if "thebe" in f"{getattr(script, 'filename', script)} {body}" or (body and body in seen):
            continue
        seen.add(body)
        kept.append(script)
    scripts[:] = kept  # in place: add_js_file below extends this list
    if 'class="vl-chart"' in (context.get("body") or ""):
        for name in CHART_SCRIPTS:
            app.add_js_file(name, loading_method="defer")
    if re.search(r'<table class="[^"]*\b(ledger|data)\b', context.get("body") or ""):
        app.add_js_file("tables.js", loading_method="defer")


def merge_handlers(app) -> None:
    """Give singlehtml and dirhtml the html visitors: sphinx-exercise registers its own there and hides all others."""
    handlers = app.registry.translation_handlers
    for builder in {"singlehtml", "dirhtml"} & handlers.keys():
        for name, visitors in handlers.get("html", {}).items():
            handlers[builder].setdefault(name, visitors)


def setup(app):
    app.add_post_transform(NumberExercises)
    app.setup_extension("booktools.figures")
    app.setup_extension("booktools.terms")
    app.setup_extension("booktools.guide")
    app.connect("builder-inited", merge_handlers)
    app.connect("builder-inited", copy_scripts)
    app.connect("doctree-read", name_solutions)
    app.connect("doctree-read", name_cells)
    app.connect("html-page-context", page_scripts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
