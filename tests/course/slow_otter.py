"""The archives for otter's autograder, made and used without a network. Minutes: run by `make test-slow`."""
import json
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest

from booktools import course, tasks

ROOT = Path(__file__).resolve().parents[2]
OFFLINE = ["unshare", "--user", "--net", "--map-root-user", "sh", "-c", 'ip link set lo up 2>/dev/null; exec "$@"', "sh"]


@pytest.fixture(scope="module")
def bundles():
    assert tasks.course(ROOT, "--bundles") == 0
    return ROOT / course.BUILT / "bundles"


def score(bundle, notebook, folder):
    """What otter gives a notebook, in a process that has no network."""
    archive, = (bundle / "autograder").glob("*.zip")
    offline = OFFLINE if shutil.which("unshare") and subprocess.run([*OFFLINE, "true"]).returncode == 0 else []
    python = tasks.venv_python(ROOT / ".venv-course")
    done = subprocess.run([*offline, python, "-m", "otter", "run", "-a", archive, "-o", folder, notebook],
                          cwd=folder, env=course.with_package(ROOT), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return sum(test.get("score", 0) for test in json.loads((folder / "results.json").read_text(encoding="utf-8"))["tests"])


def test_there_is_an_archive_for_each_set(bundles):
    assert {path.name for path in bundles.iterdir()} == set(course.problem_sets(ROOT))
    assert all(len(list(path.glob("autograder/*.zip"))) == 1 and list(path.glob("student/*.ipynb")) for path in bundles.iterdir())


def test_full_empty_and_slips(bundles, set1, tmp_path):
    bundle, folder = bundles / "set1", tmp_path
    assert score(bundle, bundle / "autograder" / "set1.ipynb", folder) == set1.total()
    assert score(bundle, bundle / "student" / "set1.ipynb", folder) == 0
    nb = nbformat.read(bundle / "autograder" / "set1.ipynb", 4)
    for cell in nb.cells:
        cell.source = cell.source.replace('answers["01.1"] = answer', 'answers["01.1"] = 2 * answer').replace('answers["02.7"] = answer', 'answers["02.7"] = answer / 2')
    nbformat.write(nb, folder / "set1.ipynb")
    assert score(bundle, folder / "set1.ipynb", folder) == set1.total() - 1 - 3
