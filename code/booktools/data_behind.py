"""From a chapter to its data: file names become links to their tables, and a folded list names the figures behind the chapter.

The list is read off the code of the chapter: each chip, model and claim that a cell names as a string.
"""
from __future__ import annotations

import ast
from pathlib import Path

from docutils import nodes
from siliconomics import catalog, tables

from . import data_rows as data
from . import notebooks
from .data_pages import entry, grid, link, markup

CHIP_FIGURES = ("memory_bytes", "bandwidth", "link_bandwidth", "tdp_watts")
MODEL_FIGURES = ("layers", "d_model", "heads", "kv_heads", "d_ff", "vocab", "params_published")


def named(path: Path) -> list[str]:
    """Every string of a notebook's code cells, each once, in their order."""
    found: dict[str, None] = {}
    for cell in notebooks.read(path).cells:
        if cell.cell_type == "code":
            tree = ast.walk(ast.parse(cell.source))
            found |= dict.fromkeys(n.value for n in tree if isinstance(n, ast.Constant) and isinstance(n.value, str))
    return list(found)


def resolved(texts: list[str], kind: str) -> list[str]:
    """The chips or models that texts name, by the spellings that the package knows; what is ambiguous there names none."""
    index = catalog._index(kind)  # not the lookup itself, which would search the nearest names of every string
    known = (index.get(catalog._fold(text), ()) for text in texts)
    return list(dict.fromkeys(names[0] for names in known if len(names) == 1))


def chip_rows(chip: str, texts: list[str]) -> list[dict]:
    """The main figures of a chip: memory, links, power, its best 16-bit peak and the peaks of data types that the chapter names."""
    rows = {row["field"]: row for row in data.raw("accelerators") if row["chip"] == chip}
    best = f"peak_{catalog.chip(chip).best_16bit}"
    wanted = [*CHIP_FIGURES, best, *(f"peak_{text}" for text in texts)]
    return [rows[field] for field in dict.fromkeys(wanted) if field in rows]


def claim_ids(texts: list[str], chapter: str) -> list[str]:
    """The claims that a chapter's code names, and those that are its own."""
    return sorted(row["id"] for row in data.raw("claims") if row["id"] in texts or row["chapter"] == chapter)


# --- nodes ----------------------------------------------------------------------------------------------------------

def _address(app, docname: str, page: str, anchor: str) -> str:
    return f"{app.builder.get_relative_uri(docname, page)}#{anchor}"


def _listed(links: list) -> list:
    """Nodes with commas between them."""
    out = []
    for made in links:
        out += [nodes.Text("; "), *made]
    return out[1:]


def _chip(app, docname: str, chip: str, texts: list[str]) -> nodes.row:
    page = data.pages()["accelerators"]
    figures = [[nodes.Text(row["field"].replace("_bytes", "").replace("_watts", "").replace("_", " ") + " "),
                link(data.cell("accelerators", row, "value"), _address(app, docname, page, data.anchor("accelerators", row)))]
               for row in chip_rows(chip, texts)]
    return nodes.row("", entry(chip), entry(*_listed(figures)))


def _model(app, docname: str, model: str) -> nodes.row:
    row = next(row for row in data.raw("models") if row["name"] == model)
    address = _address(app, docname, data.pages()["models"], data.anchor("models", row))
    figures = [[nodes.Text(column.removesuffix("_published").replace("_", " ") + " "), link(data.cell("models", row, column), address)]
               for column in MODEL_FIGURES if row[column] not in ("", "0")]
    return nodes.row("", entry(model), entry(*_listed(figures)))


def _claims(app, docname: str, ids: list[str]) -> nodes.row:
    links = [[link(id, _address(app, docname, "book/ledger", f"claim-{id.lower()}"))] for id in ids]
    return nodes.row("", entry("claims"), entry(*_listed(links)))


def behind(app, docname: str, path: Path) -> list[nodes.Node]:
    """The folded list of a chapter, or nothing if its code names neither chip nor model nor claim."""
    texts = named(path)
    rows = [_chip(app, docname, chip, texts) for chip in resolved(texts, "chip")]
    rows += [_model(app, docname, model) for model in resolved(texts, "model")]
    rows += [_claims(app, docname, ids) for ids in [claim_ids(texts, path.name[:2])] if ids]
    if not rows:
        return []
    summary = f"Figures behind this chapter: {len(rows)} rows, each number a link to its source and date"
    fold = markup(f'<details class="data-behind screen-only"><summary>{summary}</summary>')
    return [fold, grid(["name", "figures"], rows, "behind"), markup("</details>")]


def link_tables(app, doctree) -> None:
    """Turn ``shipments.csv`` in a text into a link to that table."""
    docname = app.env.docname
    homes = {f"{name}.csv": (name, data.pages().get(name)) for name in tables.names()}
    for literal in list(doctree.findall(nodes.literal)):
        name, page = homes.get(literal.astext(), ("", None))
        if page and not isinstance(literal.parent, nodes.reference):
            literal.replace_self(nodes.reference("", "", literal.deepcopy(), internal=True, refuri=_address(app, docname, page, data.table_anchor(name))))


def add_figures(app, doctree) -> None:
    """Put the figures behind a chapter under its section on the data it uses."""
    docname = app.env.docname
    path = Path(app.env.doc2path(docname))
    if not docname.startswith("chapters/") or path.suffix != ".ipynb":
        return
    for section in doctree.findall(nodes.section):
        if section.children and section[0].astext() == "Data used":
            section.extend(behind(app, docname, path))
