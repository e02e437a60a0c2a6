"""The lecture decks in a real browser, from files and without a network. Minutes: run by `make test-slow`."""
import pytest

from booktools import course, decks, tasks
from sitebook import ROOT

PARTS = decks.parts(ROOT)
DRAWN = "() => [...document.querySelectorAll('.deck-chart')].every(figure => figure.dataset.drawn)"
SENTENCES = r"() => [...MathJax.startup.document.math].map(item => item.math).filter(tex => /[a-z]{3,} [a-z]{3,}/.test(tex.replace(/\\\w+\{[^}]*\}/g, '')))"
SIZE = "() => [Reveal.getCurrentSlide().scrollHeight, Reveal.getCurrentSlide().scrollWidth, Reveal.getCurrentSlide().innerText.trim().length]"


@pytest.fixture(scope="module")
def folder():
    assert tasks.course(ROOT, "--decks") == 0
    return ROOT / course.BUILT / "decks"


@pytest.fixture(scope="module")
def page(chrome):
    return chrome.new_page(viewport={"width": 1280, "height": 800})


@pytest.mark.parametrize("number", range(1, len(PARTS) + 1))
def test_deck(folder, page, number):
    said, foreign = [], []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith(("file:", "data:", "blob:")) else foreign.append(request.url))
    page.goto((folder / f"part{number}.html").as_uri())
    page.wait_for_function(DRAWN, timeout=60_000)
    assert page.locator(".deck-chart svg").count() >= len(PARTS[number - 1][1]) and page.locator("mjx-merror").count() == 0
    slides = page.evaluate("Reveal.getTotalSlides()")
    assert slides >= 10 * len(PARTS[number - 1][1])
    for _ in range(slides):
        height, width, letters = page.evaluate(SIZE)
        assert height <= 740 and width <= 1140 and letters > 0, page.evaluate("Reveal.getCurrentSlide().innerText")
        page.keyboard.press("Space")
    text = page.locator(".slides").inner_text()
    assert said == foreign == [] and "{cite}" not in text and "](" not in text and page.evaluate(SENTENCES) == []
