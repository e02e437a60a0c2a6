"""The package's list of sources: what the bibliography gives, looked up by key, and what a misspelt key is told."""
from pathlib import Path

import pytest
import siliconomics as si
from booktools import bibliography, tasks
from siliconomics.tables import BadData, read, table

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = (ROOT / bibliography.SOURCES).read_bytes()
RUNS = "params,tokens,loss_nats,source,as_of,confidence\n1e8,1e9,3.1,{},2026-01-01,primary\n2e8,1e9,3.0,{},2026-01-01,primary\n"
ENTRY = r"""@article{b2, author = {Caf{\'e}, Ann and others}, title = {{A \& B} at
  \$3}, year = {2001}, doi = {10.1/x}}
@misc{a1, author = {{Team, Some Firm}}, title = {Plain, with comma}, year = {2002}, url = {https://example.org/a}, doi = {10.1/y}}
@misc{c3, author = {Lee, Jo and {de la Cruz}, Eve}, title = {"Quoted"}, year = {2003}}
"""
ROWS = """key,title,authors,year,url
a1,"Plain, with comma","Team, Some Firm",2002,https://example.org/a
b2,A & B at $3,Ann Café; et al.,2001,https://doi.org/10.1/x
c3,""\"Quoted""\",Jo Lee; Eve de la Cruz,2003,
"""


def test_the_list_is_what_the_bibliography_gives():
    assert SHIPPED.decode("utf8") == bibliography.sources(ROOT / bibliography.REFERENCES), "run: python -m booktools sources"


def test_the_list_is_sorted_and_plain_text():
    keys = [row["key"] for row in table("sources")]
    assert keys == sorted(keys) and not set(b"\r\\{}") & set(SHIPPED)


def test_entries_become_rows(tmp_path):
    for path, text in ((bibliography.REFERENCES, ENTRY), (bibliography.SOURCES, "")):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf8")
    assert tasks.COMMANDS["sources"](tmp_path) == 0
    assert (tmp_path / bibliography.SOURCES).read_bytes() == ROWS.encode("utf8")


def test_a_misspelt_source_is_refused_with_place_and_nearest():
    with pytest.raises(BadData) as caught:
        read(RUNS.format("sardana2024", "sardana2024;hofmann2022"), "scaling_runs")
    assert str(caught.value).startswith("scaling_runs.csv line 3, source: 'hofmann2022' is not in sources.csv; nearest: 'hoffmann2022'")


def test_every_source_is_found():
    for row in table("sources"):
        assert vars(si.source(row["key"])) == row


def test_an_unknown_key_lists_the_nearest():
    with pytest.raises(si.UnknownName, match="key='hofmann2022' does not exist; nearest: 'hoffmann2022'"):
        si.source("hofmann2022")
    with pytest.raises(si.BadValue, match="a text is needed"):
        si.source(7)
