"""Tests here run once per chapter."""
from pathlib import Path

from booktools import notebooks

ROOT = Path(__file__).resolve().parents[2]


def pytest_generate_tests(metafunc):
    if "chapter_path" in metafunc.fixturenames:
        paths = notebooks.chapters(ROOT)
        metafunc.parametrize("chapter_path", paths, ids=[path.stem for path in paths])
