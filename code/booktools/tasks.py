"""What each command does. Only the standard library at import time: `setup` runs on a bare Python."""
from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import venv
from pathlib import Path

OLDEST_PYTHON = (3, 11)
QUIET = {"PYDEVD_DISABLE_FILE_VALIDATION": "1", "JUPYTER_PLATFORM_DIRS": "1"}  # two warnings of every kernel start


def say(message: str) -> None:
    print(message, flush=True)


def call(*command: str | Path, cwd: Path) -> int:
    return subprocess.run([str(part) for part in command], cwd=cwd, env={**os.environ, **QUIET, "PYTHONUTF8": "1"}).returncode


def venv_python(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _stop_at_failure(code: int, what: str) -> None:
    if code:
        raise SystemExit(f"{what} failed (exit status {code})")


# --- environments ----------------------------------------------------------------------------------------------------

def _environment(folder: Path, lock: Path) -> Path:
    """Create `folder` as a virtual environment holding exactly what `lock` pins, and return its Python."""
    say(f"creating {folder.name} with Python {sys.version.split()[0]} ...")
    try:
        venv.create(folder, with_pip=True, clear=True, symlinks=os.name != "nt")  # clear: nothing stays that the lock no longer names
    except subprocess.CalledProcessError as error:  # Debian keeps ensurepip in a package of its own
        raise SystemExit("this Python cannot create environments; on Debian and Ubuntu: apt install python3-venv") from error
    packages = sum(line[:1].isalnum() for line in lock.read_text(encoding="utf-8").splitlines())
    say(f"installing {packages} pinned packages from {lock.name} (one to three minutes) ...")
    pip = [venv_python(folder), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _stop_at_failure(call(*pip, "--require-hashes", "-r", lock, cwd=lock.parent), "pip")
    return venv_python(folder)


def setup(root: Path) -> int:
    """Create .venv from requirements.lock."""
    if sys.version_info < OLDEST_PYTHON:
        raise SystemExit(f"Python {'.'.join(map(str, OLDEST_PYTHON))} or newer is needed, this is {sys.version.split()[0]}")
    python = _environment(root / ".venv", root / "requirements.lock")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    say("installing the book's own packages ...")
    _stop_at_failure(call(*pip, "--no-deps", "--no-build-isolation", "-e", ".", "-e", "code", cwd=root), "pip")
    (root / ".venv" / ".ok").touch()
    return 0


def _side_environment(root: Path, name: str) -> Path:
    """The folder .venv-<name>, made anew when it is older than its lock."""
    folder, lock = root / f".venv-{name}", root / f"requirements-{name}.lock"
    stamp = folder / ".ok"
    if not stamp.exists() or stamp.stat().st_mtime < lock.stat().st_mtime:
        _environment(folder, lock)
        stamp.touch()
    return folder


def lab(root: Path, *arguments: str) -> int:
    """Open the chapters in JupyterLab, which lives in its own .venv-lab."""
    folder = _side_environment(root, "lab")  # apart from .venv: in one environment with JupyterLab, `import altair` takes 2 s longer
    _write_kernel(folder / "share" / "jupyter" / "kernels" / "python3", sys.executable)
    return call(venv_python(folder), "-m", "jupyterlab", "--LabApp.default_url=/lab/tree/chapters", *arguments, cwd=root)


def _write_kernel(folder: Path, python: str) -> None:
    """Make the notebooks of JupyterLab run in the book's environment."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = {"argv": [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "Python 3", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec, indent=1), encoding="utf-8")


def lock(root: Path) -> int:
    """Pin requirements*.txt with hashes for all platforms (needs uv)."""
    for name in ("requirements", "requirements-lab", "requirements-rivals", "requirements-mutate", "requirements-course"):  # the last two take their versions from the first
        say(f"resolving {name}.txt ...")
        _stop_at_failure(call(
            "uv", "pip", "compile", f"{name}.txt", "--universal", "--python-version", "3.11", "--generate-hashes",
            "--quiet", "--no-header", "-o", f"{name}.lock", cwd=root), "uv")
    say("resolving binder/requirements.in ...")  # without hashes: repo2docker's own packages have none beside them
    return call("uv", "pip", "compile", "binder/requirements.in", "--python-version", "3.12", "--quiet", "--no-header", "--no-annotate",
                "-o", "binder/requirements.txt", cwd=root)


# --- chapters --------------------------------------------------------------------------------------------------------

def execute(root: Path, *numbers: str) -> int:
    """Run chapters in a fresh kernel and store them in canonical form (all, or the given numbers)."""
    from nbclient.exceptions import CellExecutionError

    from . import notebooks

    os.environ.update(QUIET)
    bad = 0
    for path in _chosen(root, numbers):
        print(f"{path.stem} ...", end=" ", flush=True)
        try:
            say(f"{notebooks.execute(path):.1f} s")
        except CellExecutionError as error:
            bad += 1
            say(f"failed, left as it was\n{error}")
            continue
        bad += _report(notebooks.problems(path))
    return int(bad > 0)


def check(root: Path, *numbers: str) -> int:
    """List what is wrong with the stored chapters."""
    from . import notebooks, prose

    paths = _chosen(root, numbers)
    bad = sum(_report(notebooks.problems(path) + prose.unsupported(notebooks.read(path))) for path in paths)
    say(f"{len(paths)} chapters, {bad} with problems")
    return int(bad > 0)


def times(root: Path) -> int:
    """Run every chapter in a copy and record how long each took, for the status page."""
    from . import status

    os.environ.update(QUIET)
    status.time_chapters(root, say)
    return 0


def stale(root: Path, *tables: str) -> int:
    """List the rows of the data that are past their age, 12 months for prices, 24 for the rest (of all, or the named tables)."""
    from . import status

    say("\n".join(status.stale_lines(tables)))
    return 0


def sources(root: Path) -> int:
    """Write the package's list of sources from the bibliography."""
    from . import bibliography

    path = root / bibliography.SOURCES
    path.write_text(bibliography.sources(root / bibliography.REFERENCES), encoding="utf-8", newline="\n")
    say(str(path))
    return 0


def answers(root: Path) -> int:
    """Write the answers of the exercises into the package, after a change of data or formulas."""
    from siliconomics import exercises

    from . import answer_keys

    veiled = {id: exercises.veiled(id, value) for id, value in answer_keys.values().items()}
    exercises.STORED.write_text(json.dumps(veiled, indent=0) + "\n", encoding="utf-8", newline="\n")
    say(f"{len(veiled)} answers in {exercises.STORED}")
    return 0


def _chosen(root: Path, numbers: tuple[str, ...]) -> list[Path]:
    from . import notebooks

    return [path for number in (numbers or (None,)) for path in notebooks.chapters(root, number)]


def _report(lines: list[str]) -> bool:
    for line in lines:
        say(f"  {line}")
    return bool(lines)


# --- the site --------------------------------------------------------------------------------------------------------

def build_command(*options: str) -> list[str]:
    run = "from jupyter_book.cli.main import main; main()"  # not the script in bin/, which may name another Python
    return [sys.executable, "-c", run, "build", ".", "-W", "-n", "--keep-going", "-q", "--all", *options]


def record_build(root: Path, folder: Path) -> None:
    """Build the pages into `folder`; result.json, which says how it ended, is there when they are."""
    done = subprocess.run(build_command("--path-output", str(folder)), cwd=root, capture_output=True, text=True, encoding="utf-8")
    part = folder / "result.part"
    part.write_text(json.dumps({"returncode": done.returncode, "stderr": done.stderr}), encoding="utf-8")
    part.replace(folder / "result.json")


def html(root: Path) -> int:
    """Build the pages from the stored outputs; every warning is an error."""
    say("building the book ...")
    code = call(*build_command(), cwd=root)
    say(f"{root / '_build' / 'html' / 'index.html'}" if code == 0 else "the build failed: see the warnings above")
    return code


def zip_site(root: Path) -> int:
    """Build the pages and put them into _build/siliconomics-site.zip, to be read without a network."""
    from . import archive

    code, target = html(root), root / "_build" / "siliconomics-site.zip"
    if code == 0:
        say(f"{archive.write(root / '_build' / 'html', target)} files, {target.stat().st_size / 1e6:.1f} MB: {target}")
    return code


def links(root: Path) -> int:
    """Ask every address that the pages name whether it still answers (needs a network)."""
    out = root / "_build" / "links"
    code = call(*build_command("--builder", "linkcheck", "--path-output", str(out)), cwd=root)
    say(f"what does not answer stands in {out / '_build' / 'linkcheck' / 'output.txt'}" if code else "every address answers")
    return code


def spell(root: Path, *arguments: str) -> int:
    """Look for common misspellings (codespell; pyproject.toml holds what is meant as it stands)."""
    return call(sys.executable, "-m", "codespell_lib", "--toml", "pyproject.toml", *arguments, cwd=root)


def wheel(root: Path) -> int:
    """Build the wheel of the core, without the book, into _build/dist."""
    from . import package

    say(str(package.build_wheel(root, root / "_build" / "dist")))
    return 0


def book(root: Path) -> int:
    """Build the pages and, in a terminal, serve them on this machine."""
    code = html(root)
    return code or (serve(root) if sys.stdout.isatty() else 0)


def pdf(root: Path) -> int:
    """Build the pages and print them as one PDF, _build/siliconomics.pdf (three minutes; needs Chromium)."""
    from . import paper

    return html(root) or _made(paper.pdf(root, root / "_build" / "html", root / "_build" / "siliconomics.pdf"))


def epub(root: Path) -> int:
    """Build the pages and write them as an EPUB, _build/siliconomics.epub (two minutes; needs Chromium)."""
    from . import epub as book

    return html(root) or _made(book.epub(root, root / "_build" / "html", root / "_build" / "siliconomics.epub"))


def _made(path: Path) -> int:
    say(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments) -> None:
        pass


def server(folder: Path, port: int = 0) -> http.server.ThreadingHTTPServer:
    """Return a server of `folder` on the loopback interface; port 0 takes any free one."""
    return http.server.ThreadingHTTPServer(("127.0.0.1", port), functools.partial(_Handler, directory=str(folder)))


def serve(root: Path) -> int:
    """Serve the built pages on this machine until Ctrl-C."""
    try:
        running = server(root / "_build" / "html", 8000)
    except OSError:  # somebody else has the port
        running = server(root / "_build" / "html")
    say(f"http://127.0.0.1:{running.server_port}/  (Ctrl-C ends)")
    try:
        running.serve_forever()
    except KeyboardInterrupt:
        say("")
    return 0


MEASURING = ("02", "07")  # chapters that measure the machine they run on


def measure(root: Path) -> int:
    """Measure this machine: run the chapters that do so, and build the pages with its dots."""
    return execute(root, *MEASURING) or html(root)


# --- tests -----------------------------------------------------------------------------------------------------------

def browser(root: Path) -> int:
    """Find a Chromium for the site tests, or install one."""
    from . import browser as chromium

    path = chromium.ensure()
    say(f"browser: {path}" if path else chromium.HINT)
    return int(path is None and bool(os.environ.get("CI")))


def test(root: Path, *arguments: str) -> int:
    """Run all tests: units, chapters against their stored outputs, pages in a browser."""
    if code := browser(root):
        return code
    workers = max(2, min(4, os.cpu_count() or 2))
    command = [sys.executable, "-m", "pytest", "tests", "chapters", "-p", "no:cacheprovider", "-n", str(workers), "--dist", "loadfile",
               "--nbval", "--nbval-current-env", "--nbval-cell-timeout=120", *arguments]
    return call(*command, cwd=root) if arguments else _while_building(root, command)


def _while_building(root: Path, command: list[str]) -> int:
    """Run `command` while the pages are built beside it, so that no worker need wait for them."""
    with tempfile.TemporaryDirectory() as scratch:
        pages = Path(scratch, "book")
        pages.mkdir()
        os.environ["BOOK_BUILD"] = str(pages)
        building = threading.Thread(target=record_build, args=(root, pages))
        building.start()
        code = call(*command, cwd=root)
        building.join()
        return code


def test_slow(root: Path, *arguments: str) -> int:
    """Run the tests that take minutes: a class of 200 graded, otter's archives used, Binder's environment built."""
    slow = sorted((root / "tests").rglob("slow_*.py"))
    return call(sys.executable, "-m", "pytest", *slow, "-p", "no:cacheprovider", *arguments, cwd=root)


def prove_gates(root: Path, *names: str) -> int:
    """Break a copy of the tree in one place per gate and see that a test turns red (all, or the named gates)."""
    from . import prove_gates as gates

    return gates.main(root, names)


def mutate(root: Path, *numbers: str) -> int:
    """Change formulas one place at a time and count how many changes the fast tests notice (sample, seed, minutes)."""
    python = venv_python(_side_environment(root, "mutate"))  # apart from .venv: cosmic-ray brings a database and a web client
    return call(python, "-m", "booktools.mutate", *numbers, cwd=root / "code")


def bench(root: Path, *options: str) -> int:
    """Time the core against this machine's limits, plain NumPy and other calculators (--long: 10^8 stored, 10^10 reduced)."""
    try:
        rivals = venv_python(_side_environment(root, "rivals"))  # they would pull other versions into .venv
    except SystemExit as failure:  # without a network the rest is still worth timing
        say(f"{failure}: the other calculators will be reported as absent")
        rivals = ""
    return call(sys.executable, root / "tests" / "bench" / "bench.py", *options, rivals, cwd=root)


def validate(root: Path) -> int:
    """Predict every measured row without its group, one minute, and record the errors that chapter 9 shows."""
    return call(sys.executable, "-m", "siliconomics.validation", cwd=root)


def contribute(root: Path, file: str = "", run: str = "", source: str = "") -> int:
    """Add a CSV of measure_gpu to the book's data: FILE RUN SOURCE (a name for the run, a key of the bibliography)."""
    from . import contribute as contributions

    if not source:
        say("usage: python -m booktools contribute FILE RUN SOURCE")
        return 2
    found = contributions.add(Path(file), run, source)
    _report(found[:20])
    say(f"{len(found)} faults, nothing was added" if found else f"{run} added")
    return int(bool(found))


# --- teaching --------------------------------------------------------------------------------------------------------

def course(root: Path, *options: str) -> int:
    """Write problem sets for students and instructors (--decks: slides; --bundles: otter's archives; both from .venv-course)."""
    from . import course as coursework
    from . import decks

    written = coursework.write(root)
    coursework.write_hub(root)
    say(f"{len(written)} notebooks in {root / coursework.BUILT}")
    if not options:
        return 0
    python = venv_python(_side_environment(root, "course"))  # apart from .venv: otter brings ipywidgets and a web client
    code = decks.write(root, python) if "--decks" in options else 0
    code = code or (coursework.assign(root, python) if "--bundles" in options else 0)
    say(f"all of it stands in {root / coursework.BUILT}" if code == 0 else "the course is not complete: see the message above")
    return code


def grade(root: Path, *words: str) -> int:
    """Mark a folder of submissions in a sandbox: SET FOLDER (--help tells the options)."""
    from . import grade as grading

    return grading.main(root, words)


def collect(root: Path, *words: str) -> int:
    """Take a set's notebooks out of the home folders of a hub: SET HOMES OUT (--help tells the options)."""
    from . import collect as collecting

    return collecting.main(words)


def clean(root: Path) -> int:
    """Remove what was built, and all environments."""
    for name in ("_build", ".pytest_cache", ".hypothesis", ".venv-course", ".venv-lab", ".venv-mutate", ".venv-rivals", ".venv"):
        shutil.rmtree(root / name, ignore_errors=True)
    for cache in [*(root / "code").rglob("__pycache__"), *(root / "tests").rglob("__pycache__")]:
        shutil.rmtree(cache, ignore_errors=True)
    return 0


COMMANDS = {
    "setup": setup, "book": book, "html": html, "pdf": pdf, "epub": epub, "zip": zip_site, "serve": serve, "test": test, "test-slow": test_slow,
    "execute": execute, "check": check, "sources": sources, "answers": answers, "times": times, "stale": stale, "spell": spell, "links": links, "wheel": wheel,
    "lab": lab, "course": course, "collect": collect, "grade": grade, "browser": browser, "measure": measure, "prove-gates": prove_gates, "mutate": mutate, "bench": bench,
    "validate": validate, "contribute": contribute, "lock": lock, "clean": clean,
}
