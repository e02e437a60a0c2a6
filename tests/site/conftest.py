"""One build of the book and one browser for all page tests, however many workers run them."""
import json
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from booktools import browser as chromium
from booktools import tasks
from sitebook import ROOT

PATIENCE = 900  # seconds to wait for another worker's build


def build_once(shared: Path) -> SimpleNamespace:
    """Build the pages into `shared` as `make html` does, unless somebody has begun to, `make test` or another worker: then wait for the result."""
    result = shared / "result.json"
    try:
        shared.mkdir()
    except FileExistsError:
        deadline = time.monotonic() + PATIENCE
        while not result.exists():
            assert time.monotonic() < deadline, "the worker that builds the book has not finished"
            time.sleep(0.5)
    else:
        tasks.record_build(ROOT, shared)
    return SimpleNamespace(**json.loads(result.read_text(encoding="utf-8")))


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    """How the build ended, and its folder; BOOK_SITE names pages that are built already."""
    if given := os.environ.get("BOOK_SITE"):
        return SimpleNamespace(returncode=0, stderr=""), Path(given)
    base = tmp_path_factory.getbasetemp()
    shared = Path(os.environ.get("BOOK_BUILD") or (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "book")
    return build_once(shared), shared / "_build" / "html"


@pytest.fixture(scope="session")
def site(build):
    result, folder = build
    if result.returncode and not folder.exists():
        pytest.fail(result.stderr)
    return folder


@pytest.fixture(scope="session")
def address(site):
    running = tasks.server(site)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}/"
    running.shutdown()
    running.server_close()


@pytest.fixture(scope="session")
def chrome():
    from playwright.sync_api import sync_playwright

    path = chromium.find()
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(chromium.HINT)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=chromium.arguments())
        yield running
        running.close()


class Visit:
    """A page in a fresh profile that may talk to this site only, and what went wrong on it."""

    def __init__(self, chrome, address, **options):
        self.address, self.messages, self.foreign = address, [], []
        self.context = chrome.new_context(**options)
        self.context.route("**/*", self._route)
        self.page = self.context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.messages.append(f"error: {error}"))
        self.page.on("response", self._response)

    def _route(self, route):
        inside = route.request.url.startswith((self.address, "data:", "blob:"))
        if not inside:
            self.foreign.append(route.request.url)
        route.continue_() if inside else route.abort()

    def _console(self, message):
        if message.type in ("error", "warning"):
            self.messages.append(f"{message.type}: {message.text}")

    def _response(self, response):
        if response.status >= 400:
            self.messages.append(f"{response.status}: {response.url}")

    def open(self, name):
        self.page.goto(f"{self.address}{name}.html", wait_until="load")
        self.page.wait_for_load_state("networkidle")
        return self.page


@pytest.fixture
def visit(chrome, address):
    opened = []

    def start(**options):
        opened.append(Visit(chrome, address, **options))
        return opened[-1]

    yield start
    for one in opened:
        one.context.close()
