"""The book on paper and in a reader: one PDF and one EPUB, both made from the built pages.

The pages are taken apart once (`Page`): charts become drawings at the state in which they open, folds open, links lead inside
where their target is inside and to the public address where not. Chromium prints the PDF, because only a browser sets
these formulas and this layout; the numbers of the table of contents come from a first printing.
"""
from __future__ import annotations

import functools
import html
import io
import json
import posixpath
import re
import threading
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urldefrag, urljoin

import yaml
from bs4 import BeautifulSoup, Tag

from . import browser, tasks
from .pages import public_address

SCREEN_ONLY = ("book/api", "book/data", "book/figures")  # pages of rows and signatures, of use where one can search and click
DROPPED = ".headerlink, script, button, .vl-links, .vl-cite, .tag_remove-cell, noscript, .calculator, .cited-in, .screen-only, form"
MATHJAX = 'window.MathJax = {options: {processHtmlClass: "math", ignoreHtmlClass: "tex2jax_ignore|mathjax_ignore"}}'
LOADED = "() => MathJax.startup.promise.then(() => true)"


@dataclass(frozen=True)
class Page:
    """A page of the book, ready for paper: its name in _toc.yml, its part, its title and its body."""

    name: str
    part: str
    title: str
    body: Tag

    @property
    def key(self) -> str:
        return key_of(self.name)


# --- what is in the book -------------------------------------------------------------------------------------------

def contents(root: Path) -> list[tuple[str, str]]:
    """(name, part) of each page that goes on paper, in the order of _toc.yml."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    listed = [(toc["root"], "")] + [(entry["file"], part.get("caption", "")) for part in toc["parts"] for entry in part["chapters"]]
    return [(name, part) for name, part in listed if not name.startswith(SCREEN_ONLY)]


@functools.cache
def config(root: Path) -> dict:
    return yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))


def address(root: Path) -> str:
    """Where the book stands in public, as its pages say it, else where its sources do."""
    found = config(root)
    sources = found["repository"]["url"]
    return (found.get("html", {}).get("baseurl") or public_address(sources) or sources).rstrip("/") + "/"


def key_of(name: str) -> str:
    """The name of a page's file in the EPUB and of its mark in the PDF: course-index for book/course/index."""
    return name.partition("/")[2].replace("/", "-")


def read(root: Path, site: Path, only: tuple[str, ...] = ()) -> list[Page]:
    """The pages (all, or the named ones) from the built site, with their links turned inward."""
    listed = [(name, part) for name, part in contents(root) if not only or name in only]
    inside = {name: key_of(name) for name, _ in listed}
    return [_page(root, site, name, part, inside) for name, part in listed]


def _page(root: Path, site: Path, name: str, part: str, inside: dict[str, str]) -> Page:
    text = (site / f"{name}.html").read_text(encoding="utf-8")
    body = BeautifulSoup(text, "html.parser").select_one("article.bd-article")
    for figure in body.select("figure.vl-chart"):
        figure.replace_with(drawing(figure, light(site)))
    for unwanted in body.select(DROPPED):
        unwanted.decompose()
    for fold in body.select("details"):
        _unfold(fold)
    for scroll in body.select("[tabindex]"):
        del scroll["tabindex"]
    for link in body.select("[href]"):
        link["href"] = inward(link["href"], name, inside, address(root))
    return Page(name, part, body.h1.get_text().strip(), body)


def _unfold(fold: Tag) -> None:
    """Show what is folded, under a line that says what it is."""
    label = fold.summary.get_text(" ").strip() if fold.summary else ""
    if fold.summary:
        fold.summary.decompose()
    fold.name = "div"
    fold.attrs = {"class": "unfolded", **({"id": fold["id"]} if fold.get("id") else {})}
    if "solution" in label:
        fold.insert(0, _element("p", "Solution", {"class": "fold-title"}))


def inward(link: str, page: str, inside: dict[str, str], public: str) -> str:
    """A link as it must read on paper: `page#anchor` for pages of this edition, else an address."""
    if re.match(r"[a-z]+:", link):
        return link
    path, anchor = urldefrag(urljoin(f"/{page}.html", link))
    target = posixpath.normpath(path).strip("/").removesuffix(".html")
    if target in inside:
        return f"{inside[target]}#{anchor}"
    return f"{public}{path.strip('/')}{'#' + anchor if anchor else ''}"


# --- charts --------------------------------------------------------------------------------------------------------

def drawing(figure: Tag, colours: dict[str, str]) -> Tag:
    """The chart's still picture with its number, its finding and the state of its sliders below."""
    svg = BeautifulSoup(re.sub(r"var\(--book-(\w+)\)", lambda name: colours[name[1]], str(figure.select_one("svg.vl-still"))), "html.parser").svg
    del svg["aria-hidden"]
    svg["role"], svg["aria-label"] = "img", figure["aria-label"]
    made = _element("figure", "", {"id": figure["id"], "class": "chart"})
    made.append(svg)
    made.append(_caption(figure))
    return made


def _caption(figure: Tag) -> Tag:
    caption, number = _element("figcaption", "", {}), figure.select_one(".vl-number")
    if number:
        caption.append(_element("b", f"{number.extract().get_text()}. ", {}))
    words = [part.get_text().strip().rstrip(".") for part in figure.select(".vl-title, .vl-subtitle")]
    words.append(state(json.loads(figure.select_one("script.vl-spec").string)))
    caption.append(". ".join(word[:1].upper() + word[1:] for word in words if word) + ".")
    return caption


def light(site: Path) -> dict[str, str]:
    """The colours of the light page by name, from the style sheet."""
    rules = (site / "_static" / "book.css").read_text(encoding="utf-8").partition("}")[0]
    return dict(re.findall(r"--book-(\w+): (#[0-9a-f]{6});", rules))


def state(spec: dict) -> str:
    """What the chart's sliders and menus stand on when it opens."""
    set_to = [f"{param['bind'].get('name', param['name']).strip()}: {param['value']}" for param in spec.get("params", [])
              if isinstance(param.get("bind"), dict) and "value" in param and isinstance(param["value"], (int, float, str))]
    return f"drawn for {'; '.join(set_to)}" if set_to else ""


def _element(name: str, text: str, attributes: dict) -> Tag:
    made = BeautifulSoup("", "html.parser").new_tag(name, attrs=attributes)
    if text:
        made.string = text
    return made


# --- PDF -----------------------------------------------------------------------------------------------------------

def one_document(pages: list[Page]) -> None:
    """Make ids unique over all pages and links lead to them, in place."""
    for page in pages:
        for marked in page.body.select("[id]"):
            marked["id"] = f"{page.key}--{marked['id']}"
        page.body["id"] = page.key
        for link in page.body.select("a[href]"):
            link["href"] = _local(link["href"])


def _local(link: str) -> str:
    key, mark, anchor = link.partition("#")
    return link if re.match(r"[a-z]+:", link) or not mark else f"#{key}--{anchor}" if anchor else f"#{key}"


def paper_html(root: Path, pages: list[Page], numbers: dict[str, int]) -> str:
    """The whole book as one page; `numbers` are the printed pages on which the parts of the contents begin."""
    found = config(root)
    head = (f'<meta charset="utf-8"><title>{html.escape(found["title"])}</title>'
            '<link rel="stylesheet" href="_static/pygments.css"><link rel="stylesheet" href="_static/paper.css">'
            f'<script>{MATHJAX}</script><script defer src="_static/mathjax/tex-chtml.js"></script>')
    body = "\n".join(str(page.body) for page in pages)
    return f'<!doctype html><html lang="en" data-theme="light"><head>{head}</head><body>{_cover(root)}{_contents(pages, numbers)}{body}</body></html>'


def _cover(root: Path) -> str:
    import siliconomics as si

    found = config(root)
    title, _, rest = found["title"].partition(": ")
    return (f'<section class="cover"><h1 class="book-title">{html.escape(title)}</h1><p class="book-subtitle">{html.escape(rest)}</p>'
            f'<p>{html.escape(found["author"])}</p><p>Version {si.__version__}</p><p><a href="{address(root)}">{address(root)}</a></p></section>')


def _contents(pages: list[Page], numbers: dict[str, int]) -> str:
    lines, part = [], ""
    for page in pages:
        if page.part != part:
            part = page.part
            lines.append(f'<li class="part">{html.escape(part)}</li>')
        number = f'<span class="page">{numbers[page.key]}</span>' if page.key in numbers else ""
        lines.append(f'<li><a href="#{page.key}"><span>{html.escape(page.title)}</span>{number}</a></li>')
    return f'<nav class="contents"><h2>Contents</h2><ol>{"".join(lines)}</ol></nav>'


def pdf(root: Path, site: Path, target: Path, only: tuple[str, ...] = (), chromium=None) -> Path:
    """Print the built pages (all, or the named ones) to `target`, with a Chromium that runs already or one of its own."""
    pages = read(root, site, only)
    one_document(pages)
    sheet = site / "_paper.html"  # beside _static, and gone afterwards
    try:
        with browsing(site, chromium) as (running, base):
            numbers: dict[str, int] = {}
            for _ in range(2):  # the second time with the page numbers of the first
                sheet.write_text(paper_html(root, pages, numbers), encoding="utf-8")
                _print(running, f"{base}/{sheet.name}", target)
                numbers = starts(target, pages)
    finally:
        sheet.unlink(missing_ok=True)
    return target


@contextmanager
def browsing(site: Path, chromium=None):
    """A Chromium, started unless one is given, and the address under which it finds the site."""
    running = tasks.server(site)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    try:
        with nullcontext(chromium) if chromium else _started() as found:
            yield found, f"http://127.0.0.1:{running.server_port}"
    finally:
        running.shutdown()
        running.server_close()


@contextmanager
def _started():
    from playwright.sync_api import sync_playwright

    path = browser.find()
    if path is None:
        raise SystemExit(browser.HINT.replace("site tests skipped", "but the PDF and the EPUB need one"))
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=browser.arguments())
        yield chromium
        chromium.close()


def _print(chromium, url: str, target: Path) -> None:
    import pikepdf

    page = chromium.new_page()
    page.goto(url, wait_until="load", timeout=120_000)
    page.evaluate(LOADED)
    raw = page.pdf(prefer_css_page_size=True, print_background=True, outline=True, tagged=True)
    headings = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map(h => h.innerText)")
    page.close()
    with pikepdf.open(io.BytesIO(raw)) as document:
        mend_outline(document, headings)
        # Chromium leaves the marks of structure uncompressed, three quarters of the file.
        document.save(target, object_stream_mode=pikepdf.ObjectStreamMode.generate, deterministic_id=True)


def mend_outline(document, headings: list[str]) -> None:
    """Give the outline the words of `headings`: of a title on two lines Chromium loses the blank between them."""
    whole = {"".join(title.split()): " ".join(title.split()) for title in headings}
    with document.open_outline() as outline:
        waiting = list(outline.root)
        for item in waiting:
            item.title = whole.get("".join(item.title.split()), item.title)
            waiting += item.children


def starts(pdf_file: Path, pages: list[Page]) -> dict[str, int]:
    """The printed page on which each page of the book begins."""
    import pikepdf

    with pikepdf.open(pdf_file) as document:
        numbers = {page.objgen: number for number, page in enumerate(document.pages, start=1)}
        marks = document.Root.Dests
        return {page.key: numbers[marks[f"/{page.key}"][0].objgen] for page in pages if f"/{page.key}" in marks}
