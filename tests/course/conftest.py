"""Submissions made from the sets themselves, and the sandbox that they run in."""
import os
import sys
from pathlib import Path

import pytest

from booktools import course, sandbox

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def bwrap():
    if not sandbox.ensure():
        (pytest.fail if os.environ.get("CI") and sys.platform == "linux" else pytest.skip)(sandbox.HINT)


@pytest.fixture(scope="session")
def set1():
    return course.problem_set(ROOT, "set1")
