"""The ledger says where a claim is settled, and counts what it says."""
import re

import pytest
from booktools import directives, notebooks
from siliconomics import claims
from siliconomics.tables import table

LEDGER = {row["id"]: row for row in table("claims")}


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A folder with the given chapters, name -> text, in place of the book."""
    (tmp_path / "chapters").mkdir()
    monkeypatch.setattr(directives, "ROOT", tmp_path)

    def write(**chapters):
        for name, text in chapters.items():
            (tmp_path / "chapters" / f"{name.strip('_')}.ipynb").write_text(text, encoding="utf-8")
    return write


def place(id: str) -> str | None:
    found = directives.settled_in(LEDGER[id])
    return found and found.stem


def test_a_claim_is_settled_in_its_own_chapter(book):
    book(_01_claims="[B08](#claim-b08)", _07_mbu="")
    assert place("B08") == place("B21") == "07_mbu"  # computed, and only ruled


def test_ahead_of_its_chapter_where_another_computes_it_as_an_example(book):
    book(_01_claims="[S01](#claim-s01) and [T01](#claim-t01)", _07_mbu="")
    assert place("S01") == "01_claims"
    book(_05_mfu="")
    assert place("S01") == "05_mfu"


def test_not_settled_without_a_chapter_or_without_a_computation(book):
    book(_01_claims="[B21](#claim-b21)", _03_transformer="[S01] without a link")
    assert "B21" not in claims.settled() and LEDGER["B21"]["ruling"] == "summary-error"
    assert place("B21") is None and place("S01") is None


def test_a_link_leads_to_the_section_that_computes_the_claim():
    path, = notebooks.chapters(directives.ROOT, "07")
    section, anchor = directives.section_of("B08", path)
    cell = notebooks.read(path).cells[int(anchor.removeprefix("cell-"))]
    assert section == "section 7.4" and cell.cell_type == "code" and '"B08"' in cell.source
    assert directives.section_of("B10", path)[0] == "section 7.5"
    assert directives.section_of("B21", path) == ("chapter 7", "verdicts")  # ruled, computed nowhere
    path, = notebooks.chapters(directives.ROOT, "01")
    assert directives.section_of("F18", path)[0] == "section 1.2"
    path, = notebooks.chapters(directives.ROOT, "05")
    assert {directives.section_of(id, path)[0] for id in ("S01", "S02", "M05")} == {"section 5.7", "section 5.1"}


def test_tallies_of_a_small_book(book):
    book(_01_claims="(#claim-s01)", _07_mbu="")
    of = lambda chapter: sum(row["chapter"] == chapter for row in LEDGER.values())  # noqa: E731
    assert directives.tally("settled") == str(of("01") + of("07") + 1)
    assert directives.tally("claims") == "128"


def test_every_claim_is_settled():
    assert directives.tally("settled") == "128"


def test_the_claims_line_of_a_chapter_names_exactly_what_it_settles():
    for path in notebooks.chapters(directives.ROOT):
        opening = notebooks.read(path).cells[0].source
        named = {id.upper() for id in re.findall(r"\(#claim-([a-z]+\d+)\)", opening)}
        own = {id for id, row in LEDGER.items() if row["chapter"] == path.name[:2]}
        assert own <= named, path.name
        assert named - own <= set(claims.settled()), path.name
