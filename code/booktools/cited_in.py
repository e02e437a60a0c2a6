"""Under each entry of the bibliography, the pages that use it: the way back from a source to its figures and sentences."""
from __future__ import annotations

from docutils import nodes

from .data_rows import source_anchor


def users(env) -> dict[str, list[str]]:
    """Anchor of a source -> the pages that cite it, in the order of the book."""
    found: dict[str, set[str]] = {}
    for ref in env.get_domain("cite").citation_refs:
        for target in ref.targets:
            found.setdefault(source_anchor(target.key), set()).add(ref.docname)
    order = {docname: place for place, docname in enumerate(env.collect_relations())}
    return {anchor: sorted(pages, key=lambda page: order.get(page, len(order))) for anchor, pages in found.items()}


def page_name(env, docname: str) -> str:
    """"chapter 7" for a chapter, else the title of the page."""
    number = docname.rpartition("/")[2][:2]
    return f"chapter {int(number)}" if number.isdigit() else env.titles[docname].astext()


def add_users(app, doctree, docname: str) -> None:
    entries = list(doctree.findall(nodes.citation))
    known = users(app.env) if entries else {}
    for entry in entries:
        line = nodes.paragraph("", "Used in ", classes=["cited-in"])
        for place, page in enumerate(next((known[i] for i in entry["ids"] if i in known), [])):
            line += [nodes.Text(", ")] if place else []
            line += nodes.reference("", page_name(app.env, page), internal=True, refuri=app.builder.get_relative_uri(docname, page))
        if len(line) > 1:
            entry += line


def setup(app):
    app.connect("doctree-resolved", add_users)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
