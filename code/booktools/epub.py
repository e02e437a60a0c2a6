"""The book as an EPUB 3: the pages that go on paper, charts as drawings, formulas as MathML.

Readers of EPUB run no scripts that one may count on, so MathJax turns each formula into MathML here, in Chromium, once.
"""
from __future__ import annotations

import html
import uuid
import zipfile
from pathlib import Path

import yaml
from bs4 import BeautifulSoup

from . import paper
from .paper import Page

STAMP = (1980, 1, 1, 0, 0, 0)  # one date for all files: the same book gives the same bytes
CONTAINER = ('<?xml version="1.0"?><container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
             '<rootfile full-path="book/content.opf" media-type="application/oebps-package+xml"/></rootfiles></container>')
TO_MATHML = "formulas => MathJax.startup.promise.then(() => formulas.map(([tex, display]) => MathJax.tex2mml(tex, {display})))"
NO_XHTML = {"table": ("border",), "svg": ("version",), "a": ("target",), "div": ("align",)}
XHTML = ('<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE html>\n<html xmlns="http://www.w3.org/1999/xhtml" '
         'xmlns:epub="http://www.idpf.org/2007/ops" lang="en" xml:lang="en"><head><title>{title}</title>'
         '<link rel="stylesheet" href="style.css"/></head><body>{body}</body></html>\n')


def epub(root: Path, site: Path, target: Path, only: tuple[str, ...] = (), chromium=None) -> Path:
    """Write the built pages (all, or the named ones) to `target`, with a Chromium that runs already or one of its own."""
    pages = paper.read(root, site, only)
    set_formulas(site, pages, chromium)
    files = {"book/style.css": style(site), "book/nav.xhtml": nav(pages), "book/content.opf": package(root, pages)}
    files |= {f"book/{page.key}.xhtml": chapter(page) for page in pages}
    with zipfile.ZipFile(target, "w") as book:
        book.writestr(zipfile.ZipInfo("mimetype", STAMP), "application/epub+zip")  # first, and not compressed: so the format asks
        for name, text in {"META-INF/container.xml": CONTAINER, **files}.items():
            book.writestr(zipfile.ZipInfo(name, STAMP), text, zipfile.ZIP_DEFLATED)
    return target


# --- formulas ------------------------------------------------------------------------------------------------------

def set_formulas(site: Path, pages: list[Page], chromium=None) -> None:
    """Replace each formula in `pages` by MathML."""
    places = [place for page in pages for place in page.body.select(".math")]
    wanted = list(dict.fromkeys(tex_of(place.get_text()) for place in places))
    made = dict(zip(wanted, mathml(site, wanted, chromium)))
    for place in places:
        formula = BeautifulSoup(made[tex_of(place.get_text())], "html.parser").math
        formula["alttext"] = tex_of(place.get_text())[0]
        place.clear()
        place.append(formula)


def tex_of(text: str) -> tuple[str, bool]:
    r"""The formula between \(...\) or \[...\], and whether it stands on a line of its own."""
    bare = text.strip()
    return bare[2:-2].strip(), bare.startswith("\\[")


def mathml(site: Path, formulas: list[tuple[str, bool]], chromium=None) -> list[str]:
    """What MathJax makes of each formula."""
    if not formulas:
        return []
    with paper.browsing(site, chromium) as (running, base):
        page = running.new_page()
        page.goto(f"{base}/_static/paper.css")  # any page of the site: its scripts may then be loaded
        page.add_script_tag(url=f"{base}/_static/mathjax/tex-chtml.js")
        made = page.evaluate(TO_MATHML, formulas)
        page.close()
    return made


# --- files ---------------------------------------------------------------------------------------------------------

def chapter(page: Page) -> str:
    for name, attributes in NO_XHTML.items():
        for tag in page.body.find_all(name):
            for attribute in attributes:
                tag.attrs.pop(attribute, None)
    for link in page.body.select("a[href]"):
        link["href"] = _file(link["href"])
    return XHTML.format(title=html.escape(page.title), body=page.body.decode(formatter="minimal"))


def _file(link: str) -> str:
    """`page#anchor` as a link between files."""
    if ":" in link.split("#")[0] or "#" not in link:
        return link
    key, _, anchor = link.partition("#")
    return f"{key}.xhtml#{anchor}" if anchor else f"{key}.xhtml"


def style(site: Path) -> str:
    """The rules of the paper edition without those that only a printer needs."""
    text = (site / "_static" / "paper.css").read_text(encoding="utf-8")
    return "\n".join(line for line in text.splitlines() if not line.startswith("@page"))


def nav(pages: list[Page]) -> str:
    """The table of contents, one level of parts above the pages."""
    parts: dict[str, list[Page]] = {}
    for page in pages:
        parts.setdefault(page.part, []).append(page)
    line = '<li><a href="{0.key}.xhtml">{1}</a></li>'
    lists = {part: "".join(line.format(page, html.escape(page.title)) for page in held) for part, held in parts.items()}
    rows = [f"<li><span>{html.escape(part)}</span><ol>{held}</ol></li>" if part else held for part, held in lists.items()]
    return XHTML.format(title="Contents", body=f'<nav epub:type="toc"><h1>Contents</h1><ol>{"".join(rows)}</ol></nav>')


def package(root: Path, pages: list[Page]) -> str:
    """The list of files and what a library needs to know."""
    found, address = paper.config(root), paper.address(root)
    items = "".join(f'<item id="p{n}" href="{page.key}.xhtml" media-type="application/xhtml+xml"{_properties(page)}/>' for n, page in enumerate(pages))
    spine = "".join(f'<itemref idref="p{n}"/>' for n in range(len(pages)))
    about = (f'<dc:identifier id="id">urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, address)}</dc:identifier><dc:title>{html.escape(found["title"])}</dc:title>'
             f'<dc:language>en</dc:language><dc:creator>{html.escape(found["author"])}</dc:creator><dc:source>{address}</dc:source>'
             f'<dc:rights>CC BY 4.0</dc:rights><meta property="dcterms:modified">{released(root)}T00:00:00Z</meta>')
    return ('<?xml version="1.0" encoding="utf-8"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id" xml:lang="en">'
            f'<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">{about}</metadata><manifest>'
            '<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/><item id="css" href="style.css" media-type="text/css"/>'
            f'{items}</manifest><spine><itemref idref="nav"/>{spine}</spine></package>')


def released(root: Path) -> str:
    """The date of the version, from CITATION.cff."""
    return str(yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))["date-released"])


def _properties(page: Page) -> str:
    held = [name for name, tag in (("mathml", "math"), ("svg", "svg")) if page.body.find(tag)]
    return f' properties="{" ".join(held)}"' if held else ""
