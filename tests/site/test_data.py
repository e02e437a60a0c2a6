"""The data catalogue in a browser and in the built files: every link leads to a row, long tables open without a server, pages stay light."""
import gzip
import re
from html import unescape
from urllib.parse import unquote

import pytest

from booktools import data_rows as data
from siliconomics import tables
from sitebook import DESKTOP, PHONE, WAIT, pages

DATA_PAGES = sorted({*data.pages().values(), "book/data"})
CHAPTERS = [name for name in pages() if name.startswith("chapters/")]
GEMM = next(row for row in data.raw("gemm") if row["chip"] == "H100 SXM" and row["m"] == "16")


def text(site, name: str) -> str:
    return (site / f"{name}.html").read_text(encoding="utf-8")


def ids(html: str) -> set[str]:
    return set(re.findall(r'\bid="([^"]+)"', html))


def data_used(html: str) -> str:
    """The last section of a chapter, on the data it uses."""
    return html.partition('<section id="data-used">')[2].partition("</section>")[0]


def links(html: str) -> list[tuple[str, str]]:
    """(address, text) of the links of a piece of a page."""
    return [(unescape(address), unescape(re.sub("<.*?>", "", said))) for address, said in re.findall(r'<a [^>]*href="([^"]+)"[^>]*>(.*?)</a>', html, re.DOTALL)]


# --- files ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", [*DATA_PAGES, *CHAPTERS])
def test_every_link_to_data_leads_somewhere(name, site):
    html, known = text(site, name), {}
    article = html.partition('<article class="bd-article"')[2].partition("</article>")[0] if name.startswith("book/") else data_used(html)
    found = [address for address, _ in links(article) if not address.startswith(("http", "mailto"))]
    assert len(found) > 5
    for address in found:
        path, _, anchor = address.partition("#")
        target = (site / f"{name}.html").parent.joinpath(unquote(path)).resolve() if path else site / f"{name}.html"
        assert target.is_file(), address
        if anchor and target not in known:
            known[target] = ids(target.read_text(encoding="utf-8"))
        assert not anchor or unquote(anchor) in known[target], address


def test_every_row_stands_at_its_address(site):
    for name, page in data.pages().items():
        if name not in data.BULK:
            missing = {data.anchor(name, row) for row in data.raw(name)} - ids(text(site, page))
            assert not missing, (name, sorted(missing)[:3])


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_leads_from_file_names_and_numbers_to_rows(name, site):
    section = data_used(text(site, name))
    plain = re.findall(r'(?<!<span class="pre">)<span class="pre">(\w+)\.csv</span></code>(?!</a>)', section)
    assert not set(plain) & data.pages().keys(), "a file name that leads nowhere"
    figures = section.partition('<details class="data-behind screen-only">')[2]
    assert figures, "no list of the figures behind the chapter"
    for address, number in links(figures):
        page, _, anchor = address.partition("#")
        html = (site / "chapters" / page).resolve().read_text(encoding="utf-8")
        row = html.partition(f'id="{anchor}"')[2].partition("</tr>")[0]
        assert number in unescape(re.sub("<.*?>", "", row)), (address, number)


def test_every_source_is_in_the_bibliography(site):
    html = text(site, "book/bibliography")
    entries = set(re.findall(r'<div class="citation" id="([^"]+)"', html))
    assert entries == {data.source_anchor(row["key"]) for row in data.raw("sources")}
    assert f"{len(entries)} sources" in html


def test_the_downloads_are_the_data(site):
    for name in tables.names():
        assert (site / "_data" / "tables" / f"{name}.csv").read_bytes() == (tables.DATA / f"{name}.csv").read_bytes()
    data.write_zip(site.parent / "again.zip")
    assert (site / "_data" / "siliconomics-data.zip").read_bytes() == (site.parent / "again.zip").read_bytes()
    for name in DATA_PAGES:
        assert "_data/siliconomics-data.zip" in text(site, name)


def test_data_pages_stay_light(site):
    weight = lambda path: len(gzip.compress(path.read_bytes(), 6))  # noqa: E731
    for name in DATA_PAGES:
        page = site / f"{name}.html"
        scripts = {(page.parent / path.partition("?")[0]).resolve() for path in re.findall(r'(?:src|data-script)="([^":]+\.js[^"]*)"', text(site, name))}
        assert len(scripts) > 3
        assert weight(page) + sum(map(weight, scripts)) < 1.5e6, name
    files = [*(site / f"{name}.html" for name in DATA_PAGES), *(site / "_data" / "tables").iterdir(), site / "_data" / "siliconomics-data.zip"]
    assert sum(path.stat().st_size for path in files) < 11e6


# --- browser --------------------------------------------------------------------------------------------------------

def column(page, label: str, table: str = "table.data.rows") -> list[str]:
    return page.evaluate("""([table, label]) => { const t = document.querySelector(table);
        const i = [...t.tHead.rows[0].cells].findIndex(c => c.textContent.trim() === label);
        return [...t.tBodies[0].rows].filter(r => !r.hidden).map(r => r.cells[i].textContent.trim()); }""", [table, label])


def test_a_number_of_a_chapter_leads_to_its_row(visit):
    at = visit(viewport=DESKTOP)
    page = at.open("chapters/07_mbu")
    page.locator("details.data-behind summary").click()
    page.locator("details.data-behind tr", has_text="H100 SXM").first.get_by_role("link", name="3.35 TB/s").click()
    page.wait_for_selector("tr.data-target", timeout=WAIT)
    row = page.locator("#accelerators-h100-sxm-bandwidth")
    box = row.bounding_box()
    assert "data-target" in row.get_attribute("class") and 0 < box["y"] < DESKTOP["height"]
    assert "3.35 TB/s" in row.inner_text() and row.locator("a[href*='bibliography.html#cite-']").count() > 0
    assert at.messages == []


def test_catalogue_filters_and_sorts_by_size(visit):
    page = visit(viewport=DESKTOP).open("book/data_chips")
    bar = page.locator(".table-bar").first
    bar.get_by_label("field").select_option("bandwidth")
    shown = column(page, "value")
    assert set(column(page, "field")) == {"bandwidth"} and f"{len(shown)} of {len(data.raw('accelerators'))} rows" in bar.inner_text()
    page.locator("table.data.rows").first.get_by_role("button", name="value", exact=True).press("Enter")
    sorted_values = column(page, "value")
    assert sorted(shown) == sorted(sorted_values) and sorted_values[0].endswith("GB/s") and sorted_values[-1].endswith("PB/s")


@pytest.mark.parametrize("options", [{"viewport": DESKTOP}, {"viewport": PHONE, "is_mobile": True}], ids=["desk", "phone"])
def test_a_table_scrolls_in_its_own_box_under_its_headings(visit, options):
    page = visit(**options).open("book/data_chips")
    page.evaluate("() => { const box = document.querySelector('.pst-scrollable-table-container:has(> table.data)'); box.scrollIntoView(); box.scrollTop = 5000; }")
    box, head = (page.locator(f".pst-scrollable-table-container {part}").first for part in ("table.data", "table.data th"))
    frame = page.locator(".pst-scrollable-table-container:has(> table.data)").first
    around = frame.bounding_box()
    assert abs(head.bounding_box()["y"] - around["y"]) < 3 and around["height"] < options["viewport"]["height"] and box.bounding_box()["height"] > 5000
    assert frame.get_attribute("tabindex") == "0"


def test_long_tables_open_from_a_file(chrome, site):
    page = chrome.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{(site / 'book' / 'data_kernels.html').as_uri()}#{data.anchor('gemm', GEMM)}")
    row = page.locator("tr.data-target")
    row.wait_for(timeout=WAIT)
    assert row.get_attribute("id") == data.anchor("gemm", GEMM) and GEMM["seconds"] in row.inner_text()
    browser = page.locator(".data-browser[data-table=gemm]")
    browser.get_by_label("chip").select_option("H200 SXM")
    browser.get_by_role("button", name="next").press("Enter")
    rows = [r for r in data.raw("gemm") if r["chip"] == "H200 SXM"]
    assert f"{len(rows):,} of {len(data.raw('gemm')):,} rows, page 2" in browser.locator("output").inner_text()
    assert column(page, "seconds (s)", ".data-browser[data-table=gemm] table") == [r["seconds"] for r in rows[100:200]]
    browser.get_by_role("button", name="seconds (s)").press("Enter")
    assert column(page, "seconds (s)", ".data-browser[data-table=gemm] table")[0] == min((r["seconds"] for r in rows), key=float)
    assert errors == []
    page.close()


def test_every_long_table_opens_and_finds_its_last_row(visit):
    for name in data.BULK:
        last = data.raw(name)[-1]
        at = visit(viewport=DESKTOP)
        at.page.goto(f"{at.address}{data.pages()[name]}.html#{data.anchor(name, last)}")
        row = at.page.locator("tr.data-target")
        row.wait_for(timeout=WAIT)
        assert row.get_attribute("id") == data.anchor(name, last)
        assert at.messages == []


def test_the_bibliography_leads_back_to_the_pages_that_use_a_source(site):
    html = text(site, "book/bibliography")
    entries = re.split(r'(?=<div class="citation")', html)[1:]
    assert all("Used in" in entry for entry in entries)
    gemm = next(entry for entry in entries if 'id="cite-nvidia-aiconfigurator-2026"' in entry)
    used = dict(links(gemm.partition("Used in")[2]))
    assert used["data_kernels.html"] == "Data: timed kernels" and used["../chapters/09_how_wrong.html"] == "chapter 9"
