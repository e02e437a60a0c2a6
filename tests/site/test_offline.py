"""On a train: the pages out of the zip, opened as files, without scripts, and on paper."""
import threading
import zipfile

import pytest

from booktools import archive, tasks
from sitebook import DESKTOP, DRAWN, PHONE, TYPESET, WAIT

CHAPTER = "chapters/07_mbu"  # charts with sliders, formulas, code


@pytest.fixture(scope="module")
def packed(site, tmp_path_factory):
    path = tmp_path_factory.mktemp("zip") / "site.zip"
    archive.write(site, path)
    return path


@pytest.fixture(scope="module")
def unpacked(packed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    with zipfile.ZipFile(packed) as opened:
        opened.extractall(folder)
    return folder / archive.FOLDER


def ready(at, name):
    page = at.open(name)
    page.wait_for_function(DRAWN, timeout=WAIT)
    page.wait_for_function(TYPESET, timeout=WAIT)
    return page


def find(at, words):
    at.page.goto(f"{at.address}search.html?q={words}")
    at.page.wait_for_selector("#search-results li a", timeout=WAIT)
    at.page.wait_for_timeout(300)  # the lines around a hit come later
    return at.page.locator("#search-results li a[href*='07_mbu']").count()


def test_zip_holds_every_file_and_is_the_same_again(site, packed, tmp_path):
    files = {path.relative_to(site).as_posix(): path for path in site.rglob("*") if path.is_file()}
    with zipfile.ZipFile(packed) as opened:
        stored = {name.removeprefix(f"{archive.FOLDER}/"): opened.read(name) for name in opened.namelist()}
    assert stored == {name: path.read_bytes() for name, path in files.items()}
    for path in files.values():
        path.touch()
    archive.write(site, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == packed.read_bytes()


def test_unpacked_pages_work_from_a_plain_server(visit, unpacked):
    at = visit(viewport=DESKTOP)
    running = tasks.server(unpacked)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    at.address = f"http://127.0.0.1:{running.server_port}/"
    at.page.goto(at.address)
    at.page.wait_for_url("**/book/index.html")
    ready(at, CHAPTER)
    assert find(at, "MBU") > 0
    running.shutdown()
    running.server_close()
    assert at.foreign == [] and at.messages == []


@pytest.mark.parametrize("name", [CHAPTER, "book/ledger", "book/notation"])
def test_opens_as_a_file(name, visit, unpacked):
    at = visit(viewport=DESKTOP)
    at.address = f"{unpacked.as_uri()}/"
    page = ready(at, name)
    loaded = page.evaluate("[...document.fonts].filter(f => f.status === 'loaded').map(f => f.family)")
    assert any("Free" in family for family in loaded) and any("Brands" in family for family in loaded), "no icons"
    assert page.locator(".mjx-char, mjx-c").count() > 0 or not page.locator(".math").count()
    assert at.foreign == [] and at.messages == []


def test_search_works_as_a_file(visit, unpacked):
    at = visit(viewport=DESKTOP)
    at.address = f"{unpacked.as_uri()}/"
    assert find(at, "MBU") > 0
    assert at.foreign == [] and at.messages == []


@pytest.mark.parametrize("name", ["book/index", CHAPTER, "chapters/13_wafers", "book/ledger", "book/data_prices", "book/glossary"])
def test_needs_no_script(name, visit):
    """Pictures of all charts, formulas as TeX, whole tables; nothing that waits for a script, nothing wider than a phone."""
    at = visit(viewport=PHONE, java_script_enabled=False)
    page = at.open(name)
    figures = page.locator(".vl-chart")
    for figure in figures.all():
        picture = figure.locator("svg.vl-still")
        assert picture.is_visible() and picture.bounding_box()["height"] > 80
        assert picture.locator(":is(path, line, rect, text)").count() > 10
        assert figure.locator(".vl-awaited:visible, :is(input, select):visible").count() == 0
    assert page.locator("main").get_by_text("JavaScript").count() == 0
    assert page.locator(":is(.theme-switch-button, .search-button-field, .copybtn):visible").count() == 0, "a button that does nothing"
    assert page.locator("html").get_attribute("data-theme") == "light"
    widest = page.locator("html").bounding_box()["width"]
    assert widest <= PHONE["width"] and at.messages == [] and at.foreign == []


def test_charts_are_drawn_when_they_come_near(visit):
    page = visit(viewport=DESKTOP).open(CHAPTER)
    page.wait_for_timeout(500)
    figures = page.locator(".vl-chart")
    assert page.locator(".vl-chart[data-theme]").count() < figures.count()
    for figure in figures.all():
        figure.scroll_into_view_if_needed()
        figure.locator(".vega-embed svg.marks").wait_for(timeout=WAIT)


def test_print_shows_the_page_alone_and_in_light_colours(visit):
    at = visit(viewport=DESKTOP, color_scheme="dark")
    page = ready(at, CHAPTER)
    page.emulate_media(media="print", color_scheme="dark")
    for part in (".bd-sidebar-primary", ".bd-sidebar-secondary", ".bd-header-article", ".vl-chart details"):
        assert page.locator(part).first.is_hidden(), part
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("[...document.querySelectorAll('.vl-chart')].every(f => f.dataset.theme === 'light')"), "a chart keeps the colours of the dark page"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
