"""The wheel holds the core and its data, nothing of the book, and answers where nothing else of this repository can be seen."""
import ast
import json
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest
import yaml

import siliconomics as si
from booktools import package

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DECODE = ["decode", "--model", "Llama 2 70B", "--chip", "H100 SXM", "--chips", "8", "--batch", "64", "--json"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return package.build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


def names(wheel) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_wheel_holds_every_file_of_the_core_and_no_other(wheel):
    here = {p.relative_to(ROOT / "code").as_posix() for p in (ROOT / "code" / "siliconomics").rglob("*")
            if p.is_file() and "__pycache__" not in p.parts and p.suffix not in (".nbi", ".nbc")}
    assert {n for n in names(wheel) if ".dist-info/" not in n} == here


def test_wheel_declares_one_command_and_no_hook_of_the_book(wheel):
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(next(n for n in names(wheel) if n.endswith("entry_points.txt"))).decode()
    assert text.split() == ["[console_scripts]", "siliconomics", "=", "siliconomics.__main__:main"]


def test_installed_wheel_answers_alone(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    # -S: no .pth file is read, so that the editable packages of the book are out of reach; dependencies come last.
    start = (f"import sys; sys.path[:0] = [{str(tmp_path)!r}]; sys.path.append({sysconfig.get_paths()['purelib']!r})\n"
             "from importlib.util import find_spec; assert find_spec('booktools') is None\n"
             f"import siliconomics.__main__ as m; assert m.__file__.startswith({str(tmp_path)!r}); m.main({DECODE})")
    run = subprocess.run([sys.executable, "-I", "-S", "-c", start], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["tokens_per_second"] == si.decode("Llama 2 70B", "H100 SXM", chips=8, batch=64).tokens_per_second


def imported(path: Path) -> set[str]:
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    found = [a.name for node in tree if isinstance(node, ast.Import) for a in node.names]
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    found += [node.module for node in tree if isinstance(node, ast.ImportFrom) and not node.level]
    return {name.partition(".")[0] for name in found} - sys.stdlib_module_names - {"siliconomics"}


def test_every_package_that_the_core_imports_is_declared():
    declared = {re.match(r"[\w-]+", text)[0] for text in [*PROJECT["dependencies"], *sum(PROJECT["optional-dependencies"].values(), [])]}
    used = set().union(*map(imported, (ROOT / "code" / "siliconomics").glob("*.py")))
    assert used == declared | {"llvmlite"}  # which is half of numba


def test_the_version_is_the_same_everywhere(wheel):
    with zipfile.ZipFile(wheel) as archive:
        data = HeaderParser().parsestr(archive.read(next(n for n in names(wheel) if n.endswith("METADATA"))).decode())
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    log = re.findall(r"^## \[(\S+?)\](?: - (\S+))?$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    released = [entry for entry in log if entry[0] != "Unreleased"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", si.__version__)
    assert data["Version"] == si.__version__ == cited["version"] == released[0][0]
    assert str(cited["date-released"]) == released[0][1]
    assert [entry[0] for entry in log][0] == "Unreleased"
