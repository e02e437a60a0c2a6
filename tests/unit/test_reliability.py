"""What must go on working: threads, an installation without a writable folder, a damaged compiler cache, data files that break their rules."""
import csv
import os
import re
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import siliconomics as si
from siliconomics import tables
from siliconomics.tables import BadData, read

PACKAGE = Path(si.__file__).parent
SCHEMA = {name: tables.schema(name) for name in tables.names()}
FOLDERS_OF_CACHES = ("NUMBA_CACHE_DIR", "NUMBA_CACHE_LOCATOR_CLASSES", "XDG_CACHE_HOME", "NUMBA_DISABLE_JIT")


def run(script, **env):
    """Run a script in a process of its own and return its last line; `env` adds to the environment."""
    kept = {name: value for name, value in os.environ.items() if name not in FOLDERS_OF_CACHES}
    done = subprocess.run([sys.executable, "-c", script], env={**kept, "PYTHONDONTWRITEBYTECODE": "1", **env}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr[-2000:]
    return done.stdout.strip()


# --- threads --------------------------------------------------------------------------------------------------------

def at_once(function, count=2):
    """Results of `count` threads that start `function` together."""
    start = threading.Barrier(count)

    def task():
        start.wait()
        return function()

    with ThreadPoolExecutor(count) as pool:
        return [future.result() for future in [pool.submit(task) for _ in range(count)]]


def test_decode_in_two_threads():
    batch = np.arange(1.0, 20_001.0)
    alone = si.decode("Mixtral 8x7B", "H100 SXM", 8, batch, 3000, usd_per_chip_hour=2)
    for _ in range(5):
        for got in at_once(lambda: si.decode("Mixtral 8x7B", "H100 SXM", 8, batch, 3000, usd_per_chip_hour=2)):
            assert all(np.array_equal(getattr(got, name), getattr(alone, name)) for name in ("seconds", "usd_per_mtok", "bound", "fits", "mfu", "mbu"))


def test_sweep_in_two_threads():
    def grid():
        return si.sweep(models=["Llama 2 70B", "Mixtral 8x7B"], chips=["H100 SXM", "A100 SXM 80GB"], n_chips=[4, 8], batch=list(range(1, 201)),
                        context=[0, 1000, 8000], weights=["bf16", "fp8"], kv=["bf16"])

    alone = grid()
    assert alone.sizes["batch"] == 200 and not np.isnan(alone["seconds"]).any()
    for _ in range(3):
        assert all(got.identical(alone) for got in at_once(grid))


COLD = """
import threading
import siliconomics as si
start, got = threading.Barrier(2), []
def task():
    start.wait()
    got.append(si.decode("Mixtral 8x7B", "H100 SXM", 8, [1, 2, 300], 3000).seconds.tolist())
threads = [threading.Thread(target=task) for _ in range(2)]
[t.start() for t in threads]
[t.join() for t in threads]
print(len(got), got[0] == got[1])
"""


def test_the_first_call_may_come_from_two_threads(tmp_path):
    assert run(COLD, NUMBA_CACHE_DIR=str(tmp_path)) == "2 True"


# --- folders that cannot be written ---------------------------------------------------------------------------------

STEP = "import siliconomics as si; print(repr(si.decode('Llama 2 70B', 'H100 SXM', 8, [1, 2, 300], 3000).seconds.tolist()))"
WITHOUT_CACHE = """
import numba
from siliconomics import kernels
try:
    numba.njit(cache=True)(kernels.plain(kernels.ridge))
    print("numba found a folder")
except RuntimeError as error:
    print("no locator" in str(error))
print(kernels.__file__)
""" + STEP


@pytest.fixture
def installed(tmp_path):
    """A copy of the package in a folder of its own."""
    shutil.copytree(PACKAGE, tmp_path / "lib" / "siliconomics", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "lib"


@pytest.mark.skipif(os.name == "nt", reason="Windows takes the user's cache folder from the registry, not from HOME")
def test_no_folder_for_the_compiler_cache(installed, tmp_path):
    """File modes do not stop root: a file where numba wants a folder stops everybody."""
    (installed / "siliconomics" / "__pycache__").touch()
    home = tmp_path / "home"
    home.touch()
    refused, where, got = run(WITHOUT_CACHE, PYTHONPATH=str(installed), HOME=str(home)).splitlines()
    assert refused == "True" and where.startswith(str(installed))  # else this test would prove nothing
    assert got == run(STEP)


# --- a damaged compiler cache ---------------------------------------------------------------------------------------

DAMAGE = {"empty": lambda b: b"", "cut in half": lambda b: b[:len(b) // 2], "last byte lost": lambda b: b[:-1], "zeros": lambda b: bytes(len(b))}


POINT = "from siliconomics import kernels; print(kernels.decode_point(True, 8.0, 0.5, 0.1, 0.2, 60.0, 80.0, 0.002))"  # quick to compile, calls others


@pytest.fixture(scope="module")
def filled_cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    want = run(POINT, NUMBA_CACHE_DIR=str(folder))
    assert list(folder.rglob("*.nbi")) and list(folder.rglob("*.nbc"))
    return folder, want


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_a_damaged_cache_recovers(filled_cache, tmp_path, suffix, damage):
    folder, want = filled_cache
    shutil.copytree(folder, tmp_path / "cache")
    files = list((tmp_path / "cache").rglob(f"*{suffix}"))
    for path in files:
        path.write_bytes(DAMAGE[damage](path.read_bytes()))
    damaged = {path: path.read_bytes() for path in files}
    assert run(POINT, NUMBA_CACHE_DIR=str(tmp_path / "cache")) == want
    assert all(path.read_bytes() != bytes_ for path, bytes_ in damaged.items())  # stored anew: the next start is quick again


# --- data files that break their rules ------------------------------------------------------------------------------

def cells(name):
    return list(csv.reader((PACKAGE / "data" / f"{name}.csv").read_text(encoding="utf8").splitlines()))


def written(rows):
    return "\n".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows)


def changed(name, column, value, line):
    """The text of a table with one cell of file line `line` changed."""
    rows = cells(name)
    rows[line - 1][rows[0].index(column)] = value
    return written(rows)


def refusal(text, name):
    with pytest.raises(BadData) as caught:
        read(text, name)
    return str(caught.value)


FIGURES = [(name, column, kind.rstrip("?")) for name, rules in SCHEMA.items() for column, kind in rules["columns"].items() if kind.rstrip("?") in ("int", "number")]


@pytest.mark.parametrize("name, column, kind", FIGURES)
def test_a_negative_figure_is_refused_with_file_row_and_column(name, column, kind):
    last = len(cells(name))
    assert refusal(changed(name, column, "-7", last), name) == f"{name}.csv line {last}, {column}: '-7' is not a {kind}"


def test_a_negative_figure_of_a_chip_is_refused_with_file_row_and_column():
    line = 1 + next(n for n, row in enumerate(cells("accelerators")) if row[1] == "bandwidth")
    assert refusal(changed("accelerators", "value", "-1e12", line), "accelerators") == f"accelerators.csv line {line}, value: '-1e12' is not a number"


@pytest.mark.parametrize("name", SCHEMA)
def test_a_missing_column_is_refused_with_file_and_column(name):
    for drop, column in enumerate(SCHEMA[name]["columns"]):
        fewer = written(row[:drop] + row[drop + 1:] for row in cells(name)[:3])
        assert re.match(rf"{name}\.csv: header lacks '?{column}\b", refusal(fewer, name))


@pytest.mark.parametrize("name", SCHEMA)
def test_a_duplicate_is_refused_with_file_row_and_name(name):
    rows, first = cells(name), tables.table(name)[0]
    message = refusal(written([*rows, rows[1]]), name)
    assert message.startswith(f"{name}.csv line {len(rows) + 1}") and str(first[SCHEMA[name]["key"][0]]) in message


NAMES_SOURCES = [(name, column) for name, rules in SCHEMA.items() for column, kind in rules["columns"].items() if kind.startswith("sources")]


@pytest.mark.parametrize("name, column", NAMES_SOURCES)
def test_an_unknown_source_is_refused_with_file_row_and_column(name, column):
    last, known = len(cells(name)), cells("sources")[1][0]
    for value in ("nobody2026nothing", f"{known};nobody2026nothing"):
        message = refusal(changed(name, column, value, last), name)
        assert message.startswith(f"{name}.csv line {last}, {column}: 'nobody2026nothing' is not in sources.csv; nearest: '")
