"""The environment that Binder makes of `binder/` runs every chapter to the stored outputs. Minutes, and a package index: run by `make test-slow`."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from booktools import tasks

ROOT = Path(__file__).resolve().parents[2]


def asked_python() -> str:
    """A Python of the version that runtime.txt names: this one, or one on the path."""
    wanted = (ROOT / "binder" / "runtime.txt").read_text(encoding="utf-8").strip().replace("-", "")
    for found in (sys.executable, shutil.which(wanted), *map(str, Path.home().glob(f".pyenv/versions/{wanted.removeprefix('python')}*/bin/python"))):
        if found and subprocess.run([found, "-c", f"import sys; assert 'python%d.%d' % sys.version_info[:2] == '{wanted}'"], capture_output=True).returncode == 0:
            return found
    pytest.skip(f"no {wanted} on this machine")


@pytest.mark.skipif(os.name == "nt", reason="Binder runs Linux")
def test_chapters_run_in_the_environment_of_binder(tmp_path):
    """What repo2docker does with requirements.txt and postBuild; its own packages, JupyterLab above all, are not laid beside them."""
    copy, home = tmp_path / "book", tmp_path / "env"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(copy)], check=True)
    subprocess.run([asked_python(), "-m", "venv", str(home)], check=True)
    python = tasks.venv_python(home)
    inside = {**os.environ, "PATH": f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}", "JUPYTER_PATH": str(tmp_path / "share" / "jupyter")}
    inside.pop("PYTHONPATH", None)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", "binder/requirements.txt", "ipykernel"], cwd=copy, check=True)
    subprocess.run(["binder/postBuild"], cwd=copy, env=inside, check=True)
    subprocess.run([python, "-m", "ipykernel", "install", "--prefix", str(tmp_path), "--name", "binder"], check=True)
    shutil.rmtree(copy / "tests")
    words = ["chapters", "--nbval", "--nbval-kernel-name=binder", "--nbval-cell-timeout=120", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadfile"]
    done = subprocess.run([sys.executable, "-m", "pytest", *words], cwd=copy, env=inside, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
