"""Sphinx extension: what every page says to machines that read it, and what the theme leaves out for readers who do not see it.

Head: description, public address, picture and card for other sites, icons. Body: headings of tables with their scope, tables
with a name, numbers of headings apart from their words.
"""
from __future__ import annotations

import html
import re
from pathlib import Path

from docutils import nodes

from . import opening

NUMBER = re.compile(r"^(\d+(?:\.\d+)? ·|\d+\.\d+)(?= )")
CITATION = re.compile(r" \[[^\]]*\d{4}\w?\]")
LENGTH = 200  # characters of a description, at most


# --- the head ---------------------------------------------------------------------------------------------------------

def public_address(repository: str) -> str:
    """Where GitHub Pages serves the book of a repository, empty for other hosts."""
    found = re.fullmatch(r"https://github\.com/([\w-]+)/([\w.-]+)", repository)
    return f"https://{found[1].lower()}.github.io/{found[2]}/" if found else ""


def set_address(app, config) -> None:
    """Derive the pages' own address from that of the repository, which stands in _config.yml alone."""
    if not config.html_baseurl:
        config.html_baseurl = public_address(config.html_theme_options.get("repository_url", ""))


def description(doctree) -> str:
    """The first paragraph of a page as plain text, cut after a sentence or a word."""
    first = next(doctree.findall(nodes.paragraph), None) if doctree else None
    text = CITATION.sub("", " ".join(first.astext().split())) if first is not None else ""
    if len(text) <= LENGTH:
        return text
    cut = text[:LENGTH]
    whole = cut.rpartition(". ")[0]
    return f"{whole}." if len(whole) > LENGTH / 3 else f"{cut.rpartition(' ')[0]} …"


def head(page: str, title: str, said: str, config) -> str:
    """The meta elements of a page."""
    kind = "website" if page == config.root_doc else "article"
    og = {"og:type": kind, "og:site_name": config.html_title, "og:title": title, "og:description": said}
    if config.html_baseurl:
        card = {"og:url": f"{config.html_baseurl}{page}.html", "og:image": f"{config.html_baseurl}_static/card.png",
                "og:image:width": opening.CARD[0], "og:image:height": opening.CARD[1],
                "og:image:alt": opening.headline(opening.ceilings())}
        og |= card
    named = {"description": said, "twitter:card": "summary_large_image"}
    lines = [(kind, name, value) for kind, group in (("name", named), ("property", og)) for name, value in group.items() if value]
    return "".join(f'\n<meta {kind}="{name}" content="{html.escape(str(value), quote=True)}" />' for kind, name, value in lines)


def icons(context) -> str:
    static = lambda name: context["pathto"](f"_static/{name}", 1)  # noqa: E731
    return (f'\n<link rel="icon" type="image/png" sizes="48x48" href="{static("favicon.png")}" />'
            f'\n<link rel="apple-touch-icon" href="{static("apple-touch-icon.png")}" />')


# --- the body ---------------------------------------------------------------------------------------------------------

def scoped(body: str) -> str:
    """Say of each heading of a table whether it heads a column or a row."""
    def part(match):
        scope = "col" if match[1] == "head" else "row"
        return re.sub(r"<th(?![^>]*scope=)(?=[ >])", f'<th scope="{scope}"', match[0])
    return re.sub(r"<t(head|body)\b.*?</t\1>", part, body, flags=re.DOTALL)


def named(body: str) -> str:
    """Name the box in which a table scrolls after the table's headings."""
    def box(match):
        heads = re.findall(r"<th\b[^>]*>(.*?)</th>", match[3], re.DOTALL)
        words = ", ".join(" ".join(re.sub(r"<[^>]+>", "", head).split()) for head in heads)
        return f'<div class="{match[1]}" role="group" aria-label="Table: {words}">{match[2]}{match[3]}' if words else match[0]
    return re.sub(r'<div class="(output text_html|pst-scrollable-table-container)">(\s*<table[^>]*>)(.*?</thead>)', box, body, flags=re.DOTALL)


def mended(body: str) -> str:
    """Without what other packages write wrong: a deprecated role, a label that hides the words."""
    for wrong, right in (('role="doc-biblioentry"', 'role="listitem"'), ('<summary aria-label="Toggle hidden content">', "<summary>")):
        body = body.replace(wrong, right)
    return body


def finish_page(app, pagename, templatename, context, doctree) -> None:
    if context.get("body"):
        context["body"] = mended(named(scoped(context["body"])))
    title = html.unescape(re.sub(r"<[^>]+>", "", context.get("title") or app.config.html_title))
    context["metatags"] = context.get("metatags", "") + head(pagename, title, description(doctree), app.config) + icons(context)


def set_numbers_apart(app, doctree, docname) -> None:
    """Put the number of a heading into an element of its own, so that the style can quieten it."""
    for title in doctree.findall(nodes.title):
        first = title.children[0] if title.children else None
        found = NUMBER.match(first) if isinstance(first, nodes.Text) else None
        if found:
            title[:1] = [nodes.inline("", found[0], classes=["heading-number"]), nodes.Text(first[found.end():])]


def draw_pictures(app, error) -> None:
    if error is None and app.builder.format == "html":
        opening.write_pictures(Path(app.outdir) / "_static", app.env.titles[app.config.root_doc].astext())


def setup(app):
    app.connect("config-inited", set_address)
    app.connect("doctree-resolved", set_numbers_apart)
    app.connect("html-page-context", finish_page)
    app.connect("build-finished", draw_pictures)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
