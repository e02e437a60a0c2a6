"""No common misspelling in pages, chapters and code."""
import subprocess
import sys
from pathlib import Path

from booktools import tasks

ROOT = Path(__file__).resolve().parents[2]


def test_spelling():
    run = subprocess.run([sys.executable, "-m", "codespell_lib", "--toml", "pyproject.toml"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def test_a_slip_is_found(tmp_path):
    slip = tmp_path / "page.md"
    slip.write_text("It will " + "rec" + "ieve bytes.", encoding="utf-8")  # cut, or this file would not pass
    assert tasks.spell(ROOT, str(slip)) != 0
