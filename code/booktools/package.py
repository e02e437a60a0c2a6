"""The wheel of `siliconomics`: the core and its data, without the book and what builds it."""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PARTS = ("pyproject.toml", "README.md", "LICENSE", "LICENSE-TEXT")
EPOCH = "315532800"  # 1980, the first year that a wheel can hold: the same tree gives the same bytes


def build_wheel(root: Path, folder: Path) -> Path:
    """Build the wheel of the tree `root` into `folder`, without a network, and return its path.

    From a copy: setuptools leaves a folder build/ behind, and packs again what it finds there.
    """
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch, "tree")
        shutil.copytree(root / "code" / "siliconomics", copy / "code" / "siliconomics", ignore=shutil.ignore_patterns("__pycache__"))
        for name in PARTS:
            shutil.copy(root / name, copy / name)
        made = Path(scratch, "made")
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation"]
        subprocess.run([*pip, "--wheel-dir", str(made), str(copy)], check=True, env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH})
        wheel = next(made.glob("*.whl"))
        folder.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(wheel, folder / wheel.name))
