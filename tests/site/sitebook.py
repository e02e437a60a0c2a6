"""What every page test needs: the pages of the book, the sizes of screens, and how to know that a page is ready."""
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 900}
WAIT = 20_000  # milliseconds
# Charts are drawn when they come near the screen: ask for all of them, then wait until each is.
DRAWN = """() => { window.drawCharts?.(); return [...document.querySelectorAll('.vl-chart')].every(f => f.dataset.theme === document.documentElement.dataset.theme); }"""
TYPESET = """() => document.querySelectorAll('.math').length === 0 || document.querySelectorAll('mjx-container').length > 0"""


def pages() -> list[str]:
    """Every page that _toc.yml names, in its order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return [toc["root"], *(name for part in toc["parts"] for entry in part["chapters"] for name in _files(entry))]


def _files(entry: dict) -> list[str]:
    return [entry["file"], *(name for child in entry.get("sections", []) for name in _files(child))]
