"""The script that fills the branch gh-pages: main at the root, previews beside it, closed ones away."""
import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / ".github" / "publish"

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the script runs on the workflow's Linux only")


def git(folder, *words) -> str:
    return subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def clone(tmp_path):
    git(tmp_path, "init", "--quiet", "--bare", "origin")
    git(tmp_path, "clone", "--quiet", "origin", "clone")
    (tmp_path / "clone" / "source.md").write_text("source")
    git(tmp_path / "clone", "add", ".")
    git(tmp_path / "clone", "commit", "--quiet", "-m", "source")
    return tmp_path / "clone"


def publish(clone, text: str, event="push", number="", built="success") -> None:
    site = clone.parent / "site"
    (site / "_static").mkdir(parents=True, exist_ok=True)
    (site / "_static" / "a.css").write_text(text)
    (site / f"{text}.html").write_text(text)
    env = {**os.environ, "EVENT": event, "NUMBER": number, "BUILT": built}
    subprocess.run([SCRIPT, str(site)], cwd=clone, check=True, env=env, capture_output=True)
    (site / f"{text}.html").unlink()


def published(clone) -> dict[str, str]:
    names = git(clone.parent / "origin", "ls-tree", "-r", "--name-only", "gh-pages").split()
    return {name: git(clone.parent / "origin", "show", f"gh-pages:{name}") for name in names}


def test_main_stands_at_the_root_and_previews_beside_it(clone):
    publish(clone, "one")
    assert published(clone) == {".nojekyll": "", "_static/a.css": "one", "one.html": "one"}
    publish(clone, "draft", event="pull_request", number="7")
    publish(clone, "two")
    found = published(clone)
    assert found["preview/7/draft.html"] == "draft" and found["two.html"] == "two" and "one.html" not in found
    publish(clone, "two")  # nothing new: no error
    publish(clone, "gone", event="pull_request", number="7", built="skipped")
    assert not any(name.startswith("preview/") for name in published(clone)) and "two.html" in published(clone)
