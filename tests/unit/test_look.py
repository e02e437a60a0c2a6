"""One palette: the charts, the style of the pages and the still pictures name the same colours."""
import re
from pathlib import Path

import pytest
from booktools import pages, stills
from siliconomics.charts import PALETTE

STATIC = Path(__file__).resolve().parents[2] / "book" / "_static"
CSS = (STATIC / "book.css").read_text(encoding="utf-8")
COLOUR = re.compile(r"--book-([\w-]+): (#[0-9a-f]{3,6});")
LIGHT, DARK = (dict(COLOUR.findall(re.search(rf"^{re.escape(start)} \{{(.*?)^\}}", CSS, re.M | re.S)[1])) for start in ("html", 'html[data-theme="dark"]'))
WORDS = ["text", "muted", "link", "ember", "leaf", "plum"]


@pytest.mark.parametrize("colour", PALETTE.values(), ids=PALETTE)
def test_chart_colour_has_a_name_and_a_counterpart_for_dark_pages(colour):
    name = stills.PALETTE[colour.lower()]
    assert LIGHT[name] == colour.lower() and name in DARK


def luminance(colour: str) -> float:
    parts = [int(part, 16) / 255 for part in re.findall("..", colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:]))]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["page", "surface", "tint"])
@pytest.mark.parametrize("word", WORDS)
def test_words_stand_out_from_every_ground(word, ground, theme):
    high, low = sorted((luminance(theme[word]), luminance(theme[ground])), reverse=True)
    assert (high + 0.05) / (low + 0.05) >= 4.5  # WCAG 2.1 AA


def test_a_colour_is_written_once():
    body = CSS.partition('html[data-theme="light"]')[2]
    assert re.findall(r"#[0-9a-f]{3,6}\b(?=[;, )])", body) == []


def test_public_address_follows_the_repository():
    assert pages.public_address("https://github.com/Some/book") == "https://some.github.io/book/"
    assert pages.public_address("https://example.org/git/book") == ""


def test_headings_get_a_scope_and_boxes_a_name():
    table = '<div class="output text_html"><table class="x">\n<thead><tr><th>a <b>b</b></th><th class="head"><p>c</p></th></tr></thead><tbody><tr><th>r</th></tr></tbody></table></div>'
    made = pages.named(pages.scoped(table))
    assert made.count('scope="col"') == 2 and made.count('scope="row"') == 1 and "<thead>" in made
    assert 'aria-label="Table: a b, c"' in made
