"""The built book in a real browser: every page loads from this machine alone, without an error, and shows what it should."""
import re

import pytest

import axe
import weight
from booktools import counts
from sitebook import DESKTOP, DRAWN, PHONE, WAIT, pages

FOREIGN = re.compile(r"cdn\.jsdelivr|unpkg\.com|cdnjs|fonts\.googleapis|fonts\.gstatic|(?:use|kit|pro|ka-f)\.fontawesome\.com")
COMMENT = re.compile(r"/\*.*?\*/|<!--.*?-->", re.DOTALL)


def test_book_builds_without_a_warning(build):
    result, _ = build
    assert result.returncode == 0, result.stderr


def test_site_names_no_script_server(site):
    found = [
        f"{path.relative_to(site).as_posix()}: {match.group()}"
        for path in site.rglob("*") if path.suffix in (".html", ".js", ".css")
        for match in FOREIGN.finditer(COMMENT.sub("", path.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_every_chart_has_a_table(site):
    for path in site.rglob("*.html"):
        figures = re.findall(r'<figure class="vl-chart".*?</figure>', path.read_text(encoding="utf-8"), re.DOTALL)
        for figure in figures:
            links = re.findall(r'<a href="([^"]+\.csv)"', figure)
            assert links, f"{path.name}: a chart without a table"
            assert all((path.parent / link).read_text(encoding="utf-8").count("\n") > 1 for link in links)


def test_exercises_carry_the_number_that_check_asks_for(site):
    found = []
    for path in sorted((site / "chapters").glob("*.html")):
        found += re.findall(r'id="ex-(\d+)-(\d+)">\s*<p class="admonition-title">Exercise ([\d.]+)', path.read_text(encoding="utf-8"))
    assert len(found) == len(counts.COUNTS["exercises"]()) and all(shown == f"{int(chapter)}.{number}" for chapter, number, shown in found)


@pytest.mark.parametrize("name", pages())
def test_page(name, visit, site, capsys):
    """What a page shows, weighs and is to a reader who does not see it, in one visit."""
    at = visit(viewport=DESKTOP, color_scheme="light", reduced_motion="reduce")
    row = weight.weigh(at, site, name)
    page = axe.ready(at.page)
    with capsys.disabled():
        print(f"\n{weight.line(name, row)}", end="")
    assert at.foreign == []
    assert at.messages == []
    assert page.evaluate(SHOWN) == []
    assert weight.faults(row, (site / f"{name}.html").read_text(encoding="utf-8")) == []
    assert page.evaluate(axe.STRUCTURE) == []
    assert axe.violations(page, axe.SHAPES) == []


def moved(page) -> bool:
    """Whether the charts change when all sliders and menus do."""
    marks = "() => [...document.querySelectorAll('.vl-view .role-mark')].map(g => g.outerHTML).join()"
    before = page.evaluate(marks)
    page.evaluate(MOVE)
    page.wait_for_timeout(300)
    return page.evaluate(marks) != before


# Lists what a page fails to show: charts without marks, formulas that were not set, images that say nothing.
SHOWN = r"""() => {
  const wrong = [];
  for (const figure of document.querySelectorAll('.vl-chart')) {
    const svg = figure.querySelector('.vega-embed svg.marks');
    const marks = svg ? [...svg.querySelectorAll('.role-mark > *')].filter(el => { const b = el.getBBox(); return b.width + b.height > 1; }) : [];
    if (!marks.length) wrong.push('empty chart: ' + figure.getAttribute('aria-label'));
    if ((figure.getAttribute('aria-label') || '').length < 40) wrong.push('chart without alt text: ' + figure.id);
    for (const input of figure.querySelectorAll('.vega-bindings :is(input, select)'))
      if (!input.labels.length || !input.labels[0].textContent.trim()) wrong.push('input without label: ' + figure.id);
    const menu = figure.querySelector('summary');
    if (menu && !menu.getAttribute('aria-label')) wrong.push('menu without name: ' + figure.id);
  }
  for (const image of document.querySelectorAll('img')) if (!image.alt.trim()) wrong.push('image without alt text: ' + image.src);
  for (const el of document.querySelectorAll('mjx-merror, .vl-error')) wrong.push('error shown: ' + el.textContent);
  const walker = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode;
    if (/\\\(|\\\[|\{(cite|ref|numref|eq|doc|term)[^}]*\}/.test(text.data) && !text.parentElement.closest('pre, code, script, noscript, mjx-container'))
      wrong.push('raw markup: ' + text.data.trim().slice(0, 80));
  }
  return wrong;
}"""


@pytest.mark.parametrize("name", pages())
def test_page_fits_a_phone(name, visit):
    """Nothing is wider than the screen, and sliders and menus move the charts."""
    page = visit(viewport=PHONE, is_mobile=True).open(name)
    page.wait_for_function(DRAWN, timeout=WAIT)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.evaluate("""() => [...document.querySelectorAll('.vl-view')].filter(v => v.scrollWidth > v.clientWidth + 1)
        .map(v => v.closest('figure').id)""") == []
    assert page.locator(".vega-bindings :is(input[type=range], select)").count() == 0 or moved(page), "sliders that move nothing"


def test_search_finds_mbu(visit):
    at = visit(viewport=DESKTOP)
    at.page.goto(f"{at.address}search.html?q=MBU")
    at.page.wait_for_selector("#search-results li a", timeout=WAIT)
    assert at.page.locator("#search-results li a[href*='07_mbu']").count() > 0
    assert at.foreign == []


def test_theme_switch_redraws_and_keeps_the_sliders(visit):
    for name in ("chapters/01_claims", "chapters/07_mbu", "chapters/13_wafers"):
        at = visit(viewport=DESKTOP, color_scheme="light")
        page = at.open(name)
        page.wait_for_function(DRAWN, timeout=WAIT)
        before = page.evaluate(MOVE)
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
        page.wait_for_function(DRAWN, timeout=WAIT)
        assert page.evaluate(STATE) == before["state"], "a slider fell back"
        assert page.evaluate(COLOURS) != before["colours"], "the charts kept the colours of the light theme"
        assert at.messages == []


STATE = "() => [...document.querySelectorAll('.vega-bindings :is(input, select)')].map(el => el.type === 'radio' ? el.checked : el.value)"
COLOURS = "() => [...document.querySelectorAll('.vl-view svg.marks')].map(svg => [...svg.querySelectorAll('text')].map(t => t.getAttribute('fill')).join())"
# Sets each slider to its lowest value and each menu to its last entry, then tells state and colours.
MOVE = f"""() => {{
  for (const el of document.querySelectorAll('.vega-bindings :is(input[type=range], select)')) {{
    if (el.tagName === 'SELECT') el.selectedIndex = el.options.length - 1; else el.value = el.min;
    el.dispatchEvent(new Event(el.tagName === 'SELECT' ? 'change' : 'input', {{bubbles: true}}));
  }}
  return {{state: ({STATE})(), colours: ({COLOURS})()}};
}}"""


def test_charts_can_be_used_from_the_keyboard(visit):
    page = visit(viewport=DESKTOP).open("chapters/01_claims")
    page.wait_for_function(DRAWN, timeout=WAIT)
    control = page.locator(".vega-bindings :is(input, select)").first
    control.focus()
    before = page.evaluate(STATE)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.closest('.vega-bindings') !== null")
    assert page.evaluate(STATE) != before


def shown_ids(page) -> list[str]:
    return page.evaluate("() => [...document.querySelectorAll('table.ledger tbody tr')].filter(r => !r.hidden).map(r => r.cells[0].textContent.trim())")


def test_ledger_filters_and_sorts(visit):
    page = visit(viewport=DESKTOP).open("book/ledger")
    everything = shown_ids(page)
    assert len(everything) == 128
    page.get_by_label("verdict", exact=True).select_option("refuted")
    refuted = shown_ids(page)
    assert "B08" in refuted and len(refuted) < 128 and f"{len(refuted)} of 128 rows" in page.locator(".table-bar output").inner_text()
    page.get_by_label("settled in", exact=True).select_option("chapter 7")
    assert shown_ids(page) == ["B08"]
    page.get_by_label("settled in", exact=True).select_option("")
    page.get_by_label("verdict", exact=True).select_option("")
    page.get_by_label("Filter by words").fill("h100 bandwidth")
    assert 0 < len(shown_ids(page)) < 30
    page.get_by_label("Filter by words").fill("")
    for direction in ("ascending", "descending"):
        page.get_by_role("button", name="id", exact=True).press("Enter")
        assert page.locator("table.ledger th").first.get_attribute("aria-sort") == direction
        assert shown_ids(page)[0] == (min if direction == "ascending" else max)(everything)


def test_ledger_keeps_its_headings_in_view_on_a_desk(visit):
    page = visit(viewport=DESKTOP).open("book/ledger")
    page.locator("table.ledger tbody tr").nth(60).scroll_into_view_if_needed()
    table, head = page.locator("table.ledger").bounding_box(), page.locator("table.ledger th").first.bounding_box()
    assert page.evaluate("getComputedStyle(document.querySelector('table.ledger th')).backgroundColor") != "rgba(0, 0, 0, 0)"
    assert 0 <= head["y"] < 100 and table["x"] + table["width"] <= DESKTOP["width"]


def test_ledger_keeps_its_headings_in_view_on_a_phone(visit):
    page = visit(viewport=PHONE, is_mobile=True).open("book/ledger")
    box = ".pst-scrollable-table-container:has(table.ledger)"
    page.evaluate(f"() => {{ const box = document.querySelector('{box}'); box.scrollIntoView(); box.scrollTop = 9000; }}")
    around, head = page.locator(box).bounding_box(), page.locator("table.ledger th").first.bounding_box()
    assert page.evaluate(f"document.querySelector('{box}').scrollTop") == 9000
    assert abs(head["y"] - around["y"]) < 3 and around["height"] < PHONE["height"]


def test_ledger_links_to_the_cell_that_computes_a_claim(visit, site):
    page = visit(viewport=DESKTOP).open("book/ledger")
    rows = page.evaluate("() => [...document.querySelectorAll('table.ledger tbody tr')].map(r => [r.cells[0].innerText, r.cells[5].querySelector('a').getAttribute('href')])")
    assert len(rows) == 128
    for id, link in rows:
        path, _, anchor = link.partition("#")
        before, found, after = (site / "book" / path).read_text(encoding="utf-8").partition(f'id="{anchor}"')
        assert found, link
        shown = after.partition('<div class="cell docutils')[0]  # up to the next cell
        assert id.strip() in shown or not anchor.startswith("cell-"), (id, link)


def test_a_legend_can_be_used_from_the_keyboard(visit):
    at = visit(viewport=DESKTOP)
    page = at.open("chapters/04_scaling_laws")
    page.wait_for_function(DRAWN, timeout=WAIT)
    figure = page.locator("#chart-04_scaling_laws-2")
    faint = "f => [...f.querySelectorAll('.role-mark path')].filter(p => +p.getAttribute('opacity') < 0.2).length"
    before = figure.evaluate(faint)
    menu = figure.get_by_label("single out")
    menu.focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_function("at => document.querySelector('#chart-04_scaling_laws-2 select').value !== ''", timeout=WAIT)
    page.wait_for_timeout(300)
    assert before == 0 and figure.evaluate(faint) > 20
    menu.select_option("all")
    page.wait_for_timeout(300)
    assert figure.evaluate(faint) == 0 and at.messages == []
