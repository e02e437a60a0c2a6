"""Every page can be edited, reported and, where it is a notebook, downloaded and opened elsewhere; the addresses lead to what exists."""
import json
import re
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import yaml

from booktools import launch
from sitebook import DESKTOP, PHONE, ROOT, WAIT, pages

CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]
AT = launch.places(CONFIG["url"], CONFIG["branch"])
CHAPTERS = [name for name in pages() if name.startswith("chapters/")]


def links(site, name: str) -> list[str]:
    return [link.replace("&amp;", "&") for link in re.findall(r'href="([^"]+)"', (site / f"{name}.html").read_text(encoding="utf-8"))]


@pytest.mark.parametrize("name", pages())
def test_page_can_be_edited_and_reported(name, site):
    found = links(site, name)
    [edit] = {link for link in found if link.startswith(f"{CONFIG['url']}/edit/")}
    path = edit.removeprefix(f"{CONFIG['url']}/edit/{CONFIG['branch']}/")
    assert (ROOT / path).is_file() and path.startswith(f"{name}.")
    [issue] = {link for link in found if "/issues/new?" in link}
    assert issue.startswith(CONFIG["url"]) and f"{name}.html" in unquote(parse_qs(urlsplit(issue).query)["title"][0])


@pytest.mark.parametrize("name", CHAPTERS)
def test_chapter_opens_elsewhere(name, site):
    found, stem = links(site, name), name.rpartition("/")[2]
    [binder] = {link for link in found if "mybinder" in link}
    assert binder == f"{AT['binder']}/{stem}.ipynb" and (ROOT / "chapters" / f"{stem}.ipynb").is_file()
    [colab] = {link for link in found if "colab.research" in link}
    assert colab == f"{AT['colab']}{stem}.ipynb"
    notebook = json.loads((site / "colab" / f"{stem}.ipynb").read_text(encoding="utf-8"))
    [wheel] = re.findall(r"@ (\S+\.whl)", "".join(notebook["cells"][1]["source"]))
    assert wheel.startswith(AT["site"]) and (site / wheel.removeprefix(AT["site"])).is_file()


@pytest.mark.parametrize("name", CHAPTERS)
def test_chapter_can_be_downloaded(name, site):
    [download] = {link for link in links(site, name) if link.endswith(".ipynb") and "_sources" in link}
    stored = (site / name).parent / download
    assert stored.resolve().read_bytes() == (ROOT / f"{name}.ipynb").read_bytes()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desk", "phone"])
def test_hub_link_follows_the_address_that_is_typed(size, visit):
    at = visit(viewport=size)
    page = at.open("book/run")
    page.get_by_label("Address of the hub").fill("https://hub.example.org/")
    page.locator("select[name=chapter]").select_option("07_mbu.ipynb")
    made = page.locator(".launch-hub output a")
    made.wait_for(timeout=WAIT)
    address = urlsplit(made.get_attribute("href"))
    folder = CONFIG["url"].rpartition("/")[2]
    assert f"{address.scheme}://{address.netloc}{address.path}" == "https://hub.example.org/hub/user-redirect/git-pull"
    assert parse_qs(address.query) == {"repo": [CONFIG["url"]], "branch": [CONFIG["branch"]], "urlpath": [f"lab/tree/{folder}/chapters/07_mbu.ipynb"]}
    page.get_by_label("Address of the hub").fill("javascript:alert(1)")
    assert made.count() == 0 and at.messages == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
