"""axe-core on every page, whole, in light and dark. Minutes: run by `make test-slow`."""
import pytest

from axe import COLOURS, ready, violations
from sitebook import DESKTOP, pages


@pytest.mark.parametrize("name", [*pages(), "search", "genindex"])
def test_axe_finds_nothing_on_the_whole_page(name, visit):
    page = ready(visit(viewport=DESKTOP, color_scheme="light", reduced_motion="reduce").open(name))
    assert violations(page, whole=True) == []
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    ready(page)
    assert violations(page, COLOURS, whole=True) == []
