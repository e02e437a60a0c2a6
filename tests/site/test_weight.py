"""What a page weighs, as a server that compresses would send it, and how soon its first chart is there."""
import functools
import gzip

import pytest

from sitebook import DESKTOP, DRAWN, WAIT, pages

PAGE, SITE = 1_500_000, 40_000_000  # bytes
KINDS = {"script": "scripts", "font": "fonts", "document": "page"}
# Tells when the first chart of the page shows a picture: the still one or the live one.
FIRST = """
addEventListener("DOMContentLoaded", () => { window.scripted = performance.now(); });
requestAnimationFrame(function look() {
  const picture = document.querySelector(".vl-chart .vl-view svg");
  if (picture && picture.getBoundingClientRect().height > 50) window.pictured = performance.now();
  else requestAnimationFrame(look);
});"""


@functools.cache
def packed(path) -> int:
    return len(gzip.compress(path.read_bytes(), 9))


def weigh(at, site, name) -> dict:
    """Load the page with all its charts and return its gzipped bytes by kind, and the time of its first chart."""
    loaded = {}
    at.page.on("request", lambda request: loaded.setdefault(request.url.split("?")[0].split("#")[0], request.resource_type))
    at.page.add_init_script(FIRST)
    page = at.open(name)
    page.wait_for_function(DRAWN, timeout=WAIT)
    page.wait_for_load_state("networkidle")
    files = {url: site / url.removeprefix(at.address) for url in loaded if url.startswith(at.address)}
    row = dict.fromkeys([*KINDS.values(), "styles"], 0)
    for url, path in files.items():
        row[KINDS.get(loaded[url], "styles")] += packed(path)
    return {**row, "files": [path.relative_to(site).as_posix() for path in files.values()], "ms": page.evaluate("window.pictured || 0")}




@pytest.mark.parametrize("name", pages())
def test_weight(name, visit, site, capsys):
    row = weigh(visit(viewport=DESKTOP), site, name)
    total = sum(row[kind] for kind in [*KINDS.values(), "styles"])
    with capsys.disabled():
        cells = " ".join(f"{kind} {row[kind] / 1e3:6.1f}" for kind in ["page", "scripts", "fonts", "styles"])
        print(f"\n{name:28} kB gzipped: {cells} total {total / 1e3:7.1f}; first chart {row['ms']:5.0f} ms", end="")
    assert total <= PAGE
    text = (site / f"{name}.html").read_text(encoding="utf-8")
    assert any("vega.js" in file for file in row["files"]) == ('class="vl-chart"' in text)
    assert any("tex-chtml" in file for file in row["files"]) == ('class="math' in text)
    assert not [file for file in row["files"] if "searchindex" in file or "fontawesome" in file], "the search index or the whole icon set"


def test_site_is_light(site, capsys):
    total = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    with capsys.disabled():
        print(f"\nsite {total / 1e6:.1f} MB", end="")
    assert total <= SITE


def test_first_chart_waits_for_no_script(visit, site):
    """The picture stands while Vega is still on its way, and the live chart takes its place without a jump."""
    at = visit(viewport=DESKTOP)
    waiting = []
    at.context.route("**/vega.js*", lambda route: waiting.append(route))
    page = at.open("chapters/07_mbu")
    figure = page.locator(".vl-chart").first
    figure.scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    assert waiting, "a chart on the screen asked for no Vega"
    assert figure.locator("svg.vl-still").is_visible()
    height = figure.bounding_box()["height"]
    waiting[0].continue_()
    figure.locator(".vega-embed svg.marks").wait_for(timeout=WAIT)
    assert abs(figure.bounding_box()["height"] - height) <= 3
