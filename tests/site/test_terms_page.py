"""Terms of the glossary in a real browser: the note on hover, focus and tap, how it goes away, and that it stays in the window."""
import re

import pytest

from sitebook import DESKTOP, DRAWN, PHONE, WAIT, pages

PAGE = "chapters/07_mbu"
LINK, NOTE = "a.book-term", "#term-note"
CHAPTERS = [name for name in pages() if name.startswith("chapters/")]


def settled(page) -> None:
    page.wait_for_timeout(500)  # longer than the note waits before it shows or goes


def test_every_chapter_links_terms_and_knows_what_they_mean(site):
    for name in CHAPTERS:
        text = (site / f"{name}.html").read_text(encoding="utf-8")
        links = set(re.findall(r'class="book-term reference internal" href="\.\./book/glossary\.html#([^"]+)"', text))
        glossary = (site / "book/glossary.html").read_text(encoding="utf-8")
        assert len(links) >= 15, name
        assert all(f'id="{anchor}"' in glossary and f'"{anchor}":[' in text for anchor in links), name


def test_links_are_few_enough_to_read(visit):
    page = visit(viewport=DESKTOP).open(PAGE)
    crowds = page.evaluate("() => [...document.querySelectorAll('main p')].map(p => p.querySelectorAll('a.book-term').length)")
    assert 0 < max(crowds) <= 6 and sum(crowds) / sum(map(bool, crowds)) < 2.5
    assert page.locator("main :is(h1, h2, h3, pre, code, figcaption, .vl-title) a.book-term, main a a.book-term").count() == 0


def test_hover_shows_the_note_and_it_can_be_pointed_at(visit):
    at = visit(viewport=DESKTOP)
    page = at.open(PAGE)
    link, note = page.locator(LINK).first, page.locator(NOTE)
    link.hover()
    settled(page)
    assert note.is_visible() and len(note.inner_text()) > 30
    assert link.get_attribute("aria-describedby") == "term-note"
    note.hover()
    settled(page)
    assert note.is_visible()
    page.mouse.move(5, 5)
    settled(page)
    assert not note.is_visible() and link.get_attribute("aria-describedby") is None
    assert at.messages == []


def test_focus_shows_the_note_and_escape_puts_it_away(visit):
    page = visit(viewport=DESKTOP).open(PAGE)
    page.locator(LINK).nth(2).focus()
    assert page.locator(NOTE).is_visible()
    page.keyboard.press("Escape")
    assert not page.locator(NOTE).is_visible()
    assert page.evaluate("document.activeElement.classList.contains('book-term')"), "Esc moved the focus"
    page.locator(LINK).nth(3).focus()
    settled(page)
    assert page.locator(NOTE).is_visible()
    page.keyboard.press("Tab")
    settled(page)
    assert page.locator(NOTE).is_hidden() or page.evaluate("document.activeElement.classList.contains('book-term')")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_tap_shows_the_note_within_a_phone_and_a_second_leads_on(visit, scheme):
    page = visit(viewport=PHONE, is_mobile=True, has_touch=True, color_scheme=scheme).open(PAGE)
    page.wait_for_function(DRAWN, timeout=WAIT)  # a chart that comes to life moves what stands below it
    for at in range(0, page.locator(LINK).count(), 9):
        link = page.locator(LINK).nth(at)
        link.scroll_into_view_if_needed()
        link.tap()
        page.locator(NOTE).wait_for(timeout=WAIT)
        box = page.locator(NOTE).bounding_box()
        assert 0 <= box["x"] and box["x"] + box["width"] <= PHONE["width"], link.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.locator(".bd-article h1").first.tap()
    assert page.locator(NOTE).is_hidden()
    first = page.locator(LINK).first
    first.tap()
    first.tap()
    page.wait_for_url("**/book/glossary.html#*")


def test_note_and_text_contrast_in_the_dark(visit):
    page = visit(viewport=DESKTOP, color_scheme="dark").open(PAGE)
    page.locator(LINK).first.focus()
    colours = page.evaluate(f"() => {{ const s = getComputedStyle(document.querySelector('{NOTE}')); return [s.color, s.backgroundColor]; }}")
    light, dark = (sum(map(float, re.findall(r"[\d.]+", colour)[:3])) for colour in colours)
    assert light > 500 and dark < 200, colours


# --- figures ----------------------------------------------------------------------------------------------------------

def test_figures_carry_their_numbers(site):
    for name in CHAPTERS:
        text = (site / f"{name}.html").read_text(encoding="utf-8")
        shown = re.findall(r'<figure class="vl-chart" id="chart-([\w]+)-(\d+)".*?<span class="vl-number">Figure (\d+)\.(\d+)</span>', text, re.DOTALL)
        assert shown and [int(row[1]) for row in shown] == list(range(1, len(shown) + 1))
        assert all((row[0], row[1]) == (name.partition("/")[2], row[3]) and int(row[0][:2]) == int(row[2]) for row in shown)


def test_the_list_names_every_figure_and_leads_to_it(site):
    text = (site / "book/figures.html").read_text(encoding="utf-8")
    rows = re.findall(r'href="\.\./(chapters/\w+)\.html#(chart-[\w-]+)">([\d.]+)</a>', text)
    every = [anchor for name in CHAPTERS for anchor in re.findall(r'<figure class="vl-chart" id="([^"]+)"', (site / f"{name}.html").read_text(encoding="utf-8"))]
    assert [anchor for _, anchor, _ in rows] == every
    files = re.findall(r'href="\.\./(_data/[^"]+\.csv)"', text)
    assert len(files) >= len(rows) and all((site / file).exists() for file in files)


def test_a_citation_opens_and_copies_by_keyboard(visit):
    at = visit(viewport=DESKTOP)
    page = at.open(PAGE)
    summary = page.locator(".vl-cite summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert "Figure 7.1" in page.locator(".vl-cite p.cite-text").first.inner_text()
    for _ in range(2):  # the line is no stop, its button is, then the entry
        page.keyboard.press("Tab")
    button = page.get_by_role("button", name="Copy citation").first
    button.press("Enter")
    page.wait_for_function("() => /Copied|Selected/.test(document.querySelector('.cite-copy').textContent)")
    assert at.messages == []


def test_figures_of_a_file_opened_from_disk_can_be_cited(chrome, site):
    context = chrome.new_context(viewport=DESKTOP)
    page, wrong = context.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto((site / f"{PAGE}.html").as_uri())
    page.locator(".vl-cite summary").first.click()
    page.get_by_role("button", name="Copy BibTeX").first.click()
    page.wait_for_function("() => [...document.querySelectorAll('.cite-copy')].some(b => /Copied|Selected/.test(b.textContent))")
    page.locator(LINK).first.focus()
    assert page.locator(NOTE).is_visible() and wrong == []
    context.close()


def test_every_page_says_that_it_is_no_advice(site):
    for name in pages():
        text = (site / f"{name}.html").read_text(encoding="utf-8")
        assert "not investment or legal advice" in text.lower() or "nothing in this book is investment or legal advice" in text.lower(), name
