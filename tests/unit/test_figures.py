"""Figures: their numbers, files and citations, and the counts that pages print."""
import re
from pathlib import Path

import pytest
from booktools import counts, figures, guide
from docutils import frontend, utils

ROOT = Path(__file__).resolve().parents[2]
BOOK = figures.Book("Ann Lee and Bo Roy", "2031", "Chips & Dollars", "1.2")
SPEC = {"title": "It rises by 5 %", "description": "A line.", "data": {"values": [{"x": 1}, {"x": 2}]}, "mark": "line"}


class Env:
    def __init__(self, docname):
        self.docname, self.metadata = docname, {docname: {}}


def numbered(docname: str, *specs: dict):
    document = utils.new_document("page", frontend.get_default_settings())
    document.extend(figures.chart(spec=spec) for spec in specs)
    env = Env(docname)
    figures.number_charts(type("App", (), {"env": env}), document)
    return list(document.findall(figures.chart)), env


def test_charts_are_numbered_by_chapter_and_order():
    charts, env = numbered("chapters/07_mbu", SPEC, SPEC)
    assert [(node["number"], node["name"]) for node in charts] == [("7.1", "07_mbu-1"), ("7.2", "07_mbu-2")]
    assert [noted["title"] for noted in env.metadata["chapters/07_mbu"]["charts"]] == ["It rises by 5 %"] * 2


def test_a_chart_outside_the_chapters_has_a_place_and_no_number():
    (node,), env = numbered("book/measure", SPEC)
    assert (node["number"], node["name"], figures.noted_charts(env)) == ("", "measure-1", [])


def test_a_chart_of_two_tables_has_two_files():
    (one,), _ = numbered("chapters/02_roofline", SPEC)
    two = {**SPEC, "layer": [{"data": {"values": [{"y": 1}, {"y": 2}]}}]}
    (both,), _ = numbered("chapters/02_roofline", two)
    assert figures.table_files(one) == ["_data/02_roofline-1.csv"]
    assert figures.table_files(both) == ["_data/02_roofline-1-1.csv", "_data/02_roofline-1-2.csv"]


def test_citation_says_who_when_what_where_and_on_which_terms():
    line = figures.citation(BOOK, "7.1", "It rises.", "https://example.org/p#chart-x")
    assert line == "Ann Lee and Bo Roy (2031). Figure 7.1: It rises. In Chips & Dollars, version 1.2. https://example.org/p#chart-x. CC BY 4.0."


def test_bibtex_escapes_what_latex_would_eat():
    entry = figures.bibtex(BOOK, "7.1", "Up 5 % at $2", "https://example.org/a_b", "07_mbu-1")
    assert entry.startswith("@incollection{siliconomics:07_mbu-1,") and r"{Figure 7.1: Up 5 \% at \$2}" in entry
    assert r"{Chips \& Dollars}" in entry and "{https://example.org/a_b}" in entry
    assert entry.count("{") == entry.count("}")


@pytest.mark.parametrize(("base", "address"), [
    ("", "https://git.example/book/blob/main/chapters/07_mbu.ipynb#chart-07_mbu-1"),
    ("https://book.example/", "https://book.example/chapters/07_mbu.html#chart-07_mbu-1"),
])
def test_the_address_is_the_site_if_there_is_one(base, address):
    theme = {"repository_url": "https://git.example/book", "repository_branch": "main"}
    config = type("Config", (), {"html_baseurl": base, "html_theme_options": theme})
    assert figures.address(config, "chapters/07_mbu", figures.anchor("07_mbu-1")) == address


def test_the_book_is_cited_as_its_citation_file_says():
    book = figures.Book.read()
    assert book.title.startswith("Siliconomics") and re.fullmatch(r"20\d\d", book.year) and re.match(r"\d+\.\d+", book.version)


def test_counts_are_those_of_the_files():
    assert len(counts.exercises()) == len(set(counts.exercises())) == sum(
        path.read_text(encoding="utf-8").count("```{exercise}") for path in counts.notebooks.chapters(ROOT))
    keys = set(re.findall(r"^@\w+\{([^,]+),", (ROOT / "book/references.bib").read_text(encoding="utf-8"), re.MULTILINE))
    assert counts.sources() <= keys and len(keys - counts.sources()) < 5
    assert len(counts.charts()) >= 15 and len(counts.terms()) == len(set(counts.terms())) > 150


def test_the_guide_repeats_what_a_chapter_says_of_itself():
    title, needed, reading, exercises = guide.told(ROOT / "chapters/07_mbu.ipynb")
    assert title.startswith("7 ·") and needed == ["02", "03"] and reading > 20 and exercises > 20
