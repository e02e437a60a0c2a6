"""A Chromium for the site tests: find one, or install one."""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = (  # the shell first: the same engine without windows, so that a page opens in two thirds of the time
    "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge",
)
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
)
ARGUMENTS = [
    "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
]
HINT = "no Chromium or Chrome found, site tests skipped: install one, or run `python -m playwright install chromium`"


def arguments() -> list[str]:
    return ARGUMENTS + (["--no-sandbox"] if is_root() else [])  # Chromium refuses its sandbox to root


def is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def find() -> str | None:
    """Return the path of a browser that starts: one of the system, else Playwright's own."""
    candidates = [shutil.which(name) for name in NAMES] + [*PLACES, _playwright_path()]
    return next((path for path in candidates if path and Path(path).exists() and _starts(path)), None)


def _playwright_path() -> str | None:
    from playwright.sync_api import sync_playwright

    try:
        with sync_playwright() as playwright:
            return playwright.chromium.executable_path
    except Exception:  # inside a running event loop, or no driver for this platform
        return None


def _starts(path: str) -> bool:
    """Ask for the version: some systems ship a stub of the same name. Windows opens a window instead, so trust it there."""
    if os.name == "nt":
        return True
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def ensure() -> str | None:
    """Return a browser, installing one if there is none and it can be done; None if not."""
    ways = []
    if is_root() and shutil.which("apt-get"):
        ways += [["apt-get", "install", "-y", "-qq", "--no-install-recommends", name] for name in NAMES[:2]]
    ways.append([sys.executable, "-m", "playwright", "install", "chromium"])
    for way in ways:
        if path := find():
            return path
        print(f"no browser yet: {' '.join(way[-4:])} (a minute or two) ...", flush=True)
        if way[0] == "apt-get":
            subprocess.run(["apt-get", "update", "-qq"])
        subprocess.run(way)
    return find()
