"""What the slides take from the chapters, before a browser sees it."""
from booktools import decks


def test_a_price_is_no_formula():
    """Markdown takes one backslash away; the other must reach MathJax, which else sets the text between two prices."""
    assert decks.plain(r"from \$2 to \$3, $x$") == r"from \\$2 to \\$3, $x$"
    assert 'class="mathjax_ignore"' in decks.shown("<td>$1; $2</td>", "subslide").outputs[0].data["text/html"]
