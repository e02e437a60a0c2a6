"""A lecture deck for each part of the book, made from its chapters: objectives, takeaways, formulas, charts and verdicts.

The slides are notebooks that nbconvert turns into reveal.js; scripts come from installed packages and lie beside the decks.
"""
from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from . import course, notebooks
from .altair_renderer import MIME, alt_text, title_text

HERE = Path(__file__).parent / "deck"
TAKEAWAY = re.compile(r"^(:::+|```+)\{admonition\} Takeaway\n(?::\w+:[^\n]*\n)*(?P<text>.*?)^\1\s*$", re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^(:::+|```+).*?^\1\s*$", re.MULTILINE | re.DOTALL)
FORMULA = re.compile(r"\$\$.+?\$\$", re.DOTALL)
ASIDE = ("Before you start", "Objectives", "Exercises", "Further reading", "Data used", "Summary", "")
ROWS = 6  # of a table on a slide


def parts(root: Path) -> list[tuple[str, list[Path]]]:
    """The parts of the table of contents that hold chapters, with their notebooks."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    found = [(part["caption"], [root / f"{entry['file']}.ipynb" for entry in part["chapters"]]) for part in toc["parts"]]
    return [(caption, paths) for caption, paths in found if all(path.exists() for path in paths)]


def plain(text: str) -> str:
    """Markdown without what only the book's pages understand: citations go, links become their text."""
    text = re.sub(r"\s*\{cite(?::\w+)?\}`[^`]+`", "", text)
    text = re.sub(r"\{\w+(?::\w+)?\}`([^`]+)`", r"\1", text)
    text = re.sub(r"(?<!!)\[([^\]]+)\]\([^)]+\)", r"\1", text).strip()
    return text.replace(r"\$", r"\\$")  # Markdown takes one backslash; MathJax needs the other, or two prices are a formula


def slide(source: str, kind: str = "subslide") -> nbformat.NotebookNode:
    return new_markdown_cell(source, metadata={"slideshow": {"slide_type": kind}})


def shown(markup: str, kind: str) -> nbformat.NotebookNode:
    """A piece of HTML on a slide, as the output of a cell without source; a dollar in it is money."""
    markup = f'<div class="mathjax_ignore">{markup}</div>'
    return new_code_cell("", outputs=[new_output("display_data", data={"text/html": markup})], metadata={"slideshow": {"slide_type": kind}})


def chart(spec: dict) -> nbformat.NotebookNode:
    payload = json.dumps(spec, separators=(",", ":"), sort_keys=True).replace("</", "<\\/")
    subtitle = title_text(spec, "subtitle")
    return shown(f'<figure class="deck-chart" role="group" aria-label="{html.escape(alt_text(spec), quote=True)}"><p>{html.escape(title_text(spec))}</p>'
                 + (f'<p class="deck-subtitle">{html.escape(subtitle)}</p>' if subtitle else "")
                 + f'<script type="application/json">{payload}</script><div class="deck-view"></div></figure>', "subslide")


def of_section(section: notebooks.Section) -> list[nbformat.NotebookNode]:
    """A slide with the section's formulas and takeaway, notes for the speaker, and a slide for each chart."""
    heading = section.cells[0].source.splitlines()[0]
    prose = section.prose().removeprefix(heading)
    taken = [f"> {plain(match['text']).replace(chr(10), ' ')}" for match in TAKEAWAY.finditer(prose)]
    formulas = [re.sub(r"\s*\n\s*", " ", formula) for formula in FORMULA.findall(prose)[:2]]
    lead = plain(FENCED.sub("", prose)).split("\n\n")[0]
    cells = [slide("\n\n".join([heading, *formulas, *taken]) if taken or formulas else f"{heading}\n\n{lead}"), slide(lead, "notes")]
    for cell in section.cells:
        cells += [chart(output.data[MIME]) for output in cell.get("outputs", []) if MIME in output.get("data", {})]
    return cells


def verdicts(section: notebooks.Section) -> list[nbformat.NotebookNode]:
    """The verdicts as the chapter prints them, a few on each slide."""
    found = [output.data["text/html"] for cell in section.cells for output in cell.get("outputs", []) if "text/html" in output.get("data", {})]
    return [shown(f"<h3>Verdicts</h3>{part}", "subslide") for table in found for part in _cut(table)]


def _cut(table: str) -> list[str]:
    """The table in pieces that fit on a slide, each with the head."""
    head, *rows = re.findall(r"<tr.*?</tr>", table, re.DOTALL)
    return [f"<table>{head}{''.join(rows[start:start + ROWS])}</table>" for start in range(0, len(rows), ROWS)]


def of_chapter(path: Path) -> list[nbformat.NotebookNode]:
    sections = notebooks.sections(notebooks.read(path))
    opening = sections[0].cells[0].source
    aims = next(section.prose() for section in sections if section.title == "Objectives")
    lead = plain(re.sub(r"^# .*\n+", "", opening)).split("\n\n")[0]
    cells = [slide(f"{opening.splitlines()[0]}\n\n{lead}", "slide"), slide(plain(aims.replace("## Objectives", "### Objectives")))]
    for section in sections:
        if section.title == "Verdicts":
            cells += verdicts(section)
        elif section.title not in ASIDE:
            cells += of_section(section)
    return cells


def deck(caption: str, paths: list[Path]) -> nbformat.NotebookNode:
    cells = [slide(f"# {caption}\n\nSiliconomics: FLOPs, Bytes and Dollars", "slide"), *(cell for path in paths for cell in of_chapter(path))]
    for number, cell in enumerate(cells):
        cell.id = f"slide-{number}"
    return new_notebook(cells=cells, metadata={**notebooks.NOTEBOOK_METADATA, "title": caption})


def write(root: Path, python: Path) -> int:
    """Write all decks and what they load; `python` is that of .venv-course, which has nbconvert and reveal.js."""
    out = root / course.BUILT / "decks"
    shutil.rmtree(out, ignore_errors=True)
    _assets(out / "assets", python)
    links = []
    for number, (caption, paths) in enumerate(parts(root), start=1):
        source = out / f"part{number}.ipynb"
        source.write_text(nbformat.writes(deck(caption, paths)), encoding="utf-8")
        if code := _convert(source, python):
            return code
        source.unlink()
        links.append(f'<li><a href="part{number}.html">{html.escape(caption)}</a></li>')
    (out / "index.html").write_text(f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Decks</title><h1>Decks</h1><ul>{"".join(links)}</ul></html>', encoding="utf-8")
    return 0


def _convert(source: Path, python: Path) -> int:
    done = subprocess.run([python, "-m", "nbconvert", "--to", "slides", "--template", "deck", "--no-input",
                           f"--TemplateExporter.extra_template_basedirs={HERE.parent}", "--SlidesExporter.reveal_url_prefix=assets/revealjs",
                           "--SlidesExporter.reveal_theme=white", "--output", source.stem, source.name], cwd=source.parent, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr[-2000:])
        return done.returncode
    made = source.with_name(f"{source.stem}.slides.html")
    if made.exists():
        made.replace(source.with_suffix(".html"))
    return 0


def _assets(folder: Path, python: Path) -> None:
    """Vega and MathJax as the pages have them, reveal.js from the package that carries it."""
    from .scripts import copy_vega_and_mathjax

    copy_vega_and_mathjax(folder)
    for name in ("deck.js", "deck.css"):
        shutil.copy(HERE / name, folder / name)
    asked = [python, "-c", "import importlib.util as u; print(u.find_spec('sphinx_revealjs').submodule_search_locations[0])"]
    carried = Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip(), "_static", "revealjs")
    for part in ("dist", "plugin/notes", "LICENSE"):
        target = folder / "revealjs" / part
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (carried / part).is_dir() else shutil.copy)(carried / part, target)
