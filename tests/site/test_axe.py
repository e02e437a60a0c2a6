"""Every page for readers who do not see it, who use no mouse, who need large letters or other colours; axe-core finds nothing, and no rule is left out."""
import re

import pytest
from axe import COLOURS, ready, violations
from sitebook import DESKTOP, PHONE, pages

SOME = ["book/index", "chapters/07_mbu", "book/ledger", "book/api"]
KINDS = ["book/index", "chapters/13_wafers", "book/ledger", "book/api", "book/data_prices", "book/glossary", "book/course/index", "search"]


@pytest.mark.parametrize("name", KINDS)
def test_axe_finds_nothing(name, visit):
    """One page of each kind, in light and dark; slow_axe.py takes all, and test_page takes all without colours."""
    page = ready(visit(viewport=DESKTOP, color_scheme="light", reduced_motion="reduce").open(name))
    assert violations(page) == []
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    ready(page)
    assert violations(page, COLOURS) == []


@pytest.mark.parametrize("name", SOME)
def test_axe_finds_nothing_on_a_small_screen(name, visit):
    page = ready(visit(viewport=PHONE, is_mobile=True).open(name))
    assert violations(page) == []
    assert page.evaluate(UNREACHABLE) == []


# What scrolls sideways and cannot be focused, so that a keyboard cannot scroll it.
UNREACHABLE = """() => [...document.querySelectorAll('main *')].filter(el => el.scrollWidth > el.clientWidth + 1 &&
    ['auto', 'scroll'].includes(getComputedStyle(el).overflowX) && el.tabIndex < 0 && !el.querySelector('[tabindex="0"], a, button'))
    .map(el => el.outerHTML.slice(0, 90))"""
SIDEWAYS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
CUT = """() => [...document.querySelectorAll('main :is(h1, h2, h3, p, li, th, td, button, a)')].filter(el => el.clientHeight &&
    getComputedStyle(el).overflow === 'hidden' && (el.scrollHeight > el.clientHeight + 2 || el.scrollWidth > el.clientWidth + 2))
    .map(el => el.outerHTML.slice(0, 90))"""
SPACING = "* { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important; } p { margin-bottom: 2em !important; }"


@pytest.mark.parametrize("name", SOME)
def test_large_letters_lose_nothing(name, visit):
    """WCAG 1.4.4, 1.4.10 and 1.4.12: 200 %, 400 % of a window of 1280, and the reader's own spacing."""
    page = ready(visit(viewport={"width": 640, "height": 450}, device_scale_factor=2).open(name))
    assert page.evaluate(SIDEWAYS) <= 0
    page.set_viewport_size({"width": 320, "height": 256})
    page.wait_for_timeout(500)
    assert page.evaluate(SIDEWAYS) <= 0
    page.set_viewport_size(DESKTOP)
    page.add_style_tag(content=SPACING)
    assert page.evaluate(SIDEWAYS) <= 0 and page.evaluate(CUT) == []


def test_keyboard_reaches_the_text_and_shows_where_it_is(visit):
    page = ready(visit(viewport=DESKTOP).open("chapters/01_claims"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to main content"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main-content"
    for _ in range(25):
        page.keyboard.press("Tab")
        assert page.evaluate(MARKED), page.evaluate("document.activeElement.outerHTML.slice(0, 120)")
        assert page.evaluate("document.activeElement.closest('main') !== null")


MARKED = """() => { const style = getComputedStyle(document.activeElement);
  return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 || style.boxShadow !== 'none'; }"""


@pytest.mark.parametrize("width", [768, 1280, 1600])
def test_lines_have_65_to_80_letters(width, visit):
    """Letters per full line of prose, whatever font this system has; a window decides less than the style."""
    page = ready(visit(viewport={"width": width, "height": 900}).open("chapters/07_mbu"))
    letters = page.evaluate(LETTERS)
    assert len(letters) > 10 and 62 <= sorted(letters)[len(letters) // 2] <= 78


# Letters per line of each paragraph of at least three lines, its last line left out.
LETTERS = """() => [...document.querySelectorAll('main section > p')].map(p => {
  const range = document.createRange(), lines = {};
  const walker = document.createTreeWalker(p, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) for (let i = 0; i < walker.currentNode.length; i++) {
    range.setStart(walker.currentNode, i); range.setEnd(walker.currentNode, i + 1);
    const y = Math.round(range.getBoundingClientRect().bottom / 12);
    lines[y] = (lines[y] || 0) + 1;
  }
  const counts = Object.values(lines).slice(0, -1).filter(n => n > 20);
  return counts.length > 1 ? counts.reduce((a, b) => a + b) / counts.length : 0;
}).filter(n => n)"""


def test_charts_stay_readable_in_the_readers_colours(visit):
    page = ready(visit(viewport=DESKTOP, color_scheme="dark", forced_colors="active").open("chapters/07_mbu"))
    ground, ink = page.evaluate("""() => [getComputedStyle(document.querySelector('.vl-view')).backgroundColor,
        getComputedStyle(document.querySelector('.vl-view svg.marks text')).fill]""")
    brightness = lambda colour: sum(map(int, re.findall(r"\d+", colour)[:3]))  # noqa: E731
    assert abs(brightness(ground) - brightness(ink)) > 250, (ground, ink)


def test_head_tells_other_sites_what_a_page_is(site):
    said = {}
    for name in pages():
        text = (site / f"{name}.html").read_text(encoding="utf-8")
        meta = dict(re.findall(r'<meta (?:name|property)="([^"]+)" content="([^"]*)"', text))
        assert len(meta["description"]) > 20 and meta["og:description"] == meta["description"]
        assert re.search(rf'<link rel="canonical" href="https://[^"]+/{name}.html"', text)
        assert meta["og:url"].endswith(f"/{name}.html") and meta["og:image"].endswith("/_static/card.png")
        said[meta["og:title"]] = name
    assert len(said) == len(pages())


@pytest.mark.parametrize("name, size", [("card.png", (1200, 630)), ("favicon.png", (48, 48)), ("apple-touch-icon.png", (180, 180))])
def test_pictures_have_their_size(name, size, site):
    data = (site / "_static" / name).read_bytes()
    assert data[1:4] == b"PNG" and size == (int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big"))
