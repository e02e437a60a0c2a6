"""What the whole site weighs, and that a first chart waits for nothing. Pages are weighed in test_site.py, where they are open anyway."""
from sitebook import DESKTOP, WAIT

SITE = 40_000_000  # bytes


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
