"""Run a submission where it can do no harm: bubblewrap, no network, read-only programs, an empty home, limits on time and memory.

The sandbox holds Python, its packages and `siliconomics` with meaningless answers in the place of the stored ones; the
answer keys, the chapters, the tests and other submissions are not in it. What comes back is read as text from strangers.
"""
from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
RUNNER = HERE / "run_submission.py"
PACKAGE = HERE.parent / "siliconomics"
HINT = ("bubblewrap (the command bwrap, 0.7 or newer) is not on this machine or cannot start, and submissions are strangers' programs: "
        "install it (apt install bubblewrap), or pass --trusted to run them without it")
MOST_ANSWER_BYTES = 1 << 20
MIB = 1 << 20


class NoSandbox(RuntimeError):
    """bubblewrap is missing and --trusted was not given."""


@dataclass(frozen=True)
class Limits:
    """What one submission may use."""

    wall_seconds: float = 120
    cell_seconds: float = 30
    cpu_seconds: int = 60
    memory_bytes: int = 3_000_000_000  # numpy, numba and pandas reserve address space that they never touch
    file_bytes: int = 64_000_000
    processes: int = 128

    def inside(self) -> str:
        """The limits that the runner sets on itself before it opens the notebook, as JSON."""
        return json.dumps({"CPU": self.cpu_seconds, "AS": self.memory_bytes, "FSIZE": self.file_bytes, "NPROC": self.processes, "CORE": 0})


@dataclass(frozen=True)
class Outcome:
    """What a submission handed back: how it ended, its answers (a number, or the name of what is none), its errors, and whether it ran at all."""

    status: str
    answers: dict[str, float | str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    began: bool = True


def ensure() -> bool:
    """Whether bubblewrap works; as root on Debian or Ubuntu, or in CI, install it first if it is missing."""
    from .browser import is_root

    if shutil.which("bwrap") is None and is_root() and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-qq"])
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "bubblewrap"])
    works.cache_clear()
    return works()


@cache
def works() -> bool:
    """Whether bwrap can make all its namespaces here; some containers and kernels forbid it."""
    if shutil.which("bwrap") is None:
        return False
    return subprocess.run([*_walls(MIB), "--", sys.executable, "-I", "-c", ""], capture_output=True).returncode == 0


def _programs() -> list[str]:
    """Read-only: the system's programs and libraries, this Python and its packages; nothing else of the machine."""
    found = []
    for name in ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache"):
        path = Path(name)
        if path.is_symlink():
            found += ["--symlink", os.readlink(path), name]
        elif path.exists():
            found += ["--ro-bind", name, name]
    pythons = {sys.prefix, sys.base_prefix, str(Path(sys.executable).resolve().parents[1])}
    return found + [part for folder in sorted(pythons) if not folder.startswith("/usr/") and folder != "/usr" for part in ("--ro-bind", folder, folder)]


def _walls(disk: int) -> list[str]:
    return ["bwrap", "--unshare-all", "--uid", "1000", "--gid", "1000", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--hostname", "sandbox",
            "--clearenv", "--setenv", "HOME", "/home/student", "--setenv", "PATH", "/usr/bin",
            "--setenv", "PYTHONPATH", str(HERE.parent), "--setenv", "OPENBLAS_NUM_THREADS", "1",
            "--setenv", "OMP_NUM_THREADS", "1", "--proc", "/proc", "--dev", "/dev", "--size", str(disk), "--tmpfs", "/tmp",
            "--size", str(disk), "--tmpfs", "/home/student", *_programs(), "--chdir", "/home/student"]  # programs last: Python may stand under /tmp


def _book(dummies: Path) -> list[str]:
    """The package with dummy answers, and of these tools the runner alone."""
    stored, compiled = PACKAGE / "data" / "answers.json", PACKAGE / "__pycache__"
    parts = ["--ro-bind", str(PACKAGE), str(PACKAGE), "--ro-bind", str(dummies), str(stored), "--tmpfs", str(HERE), "--ro-bind", str(RUNNER), str(RUNNER)]
    if compiled.exists():  # numba wants a cache folder that it can write; what it compiled before is laid into one
        parts += ["--size", str(16 * MIB), "--tmpfs", str(compiled)]
        parts += [part for file in compiled.glob("kernels.*.nb?") for part in ("--ro-bind", str(file), str(file))]
    return parts


def write_dummies(path: Path) -> Path:
    """Answers that say nothing, so that `si.check` in a submission runs as it does at home."""
    from siliconomics import exercises

    path.write_text(json.dumps({id: exercises.veiled(id, 1.0) for id in json.loads(exercises.STORED.read_text(encoding="utf-8"))}), encoding="utf-8")
    return path


def command(notebook: Path, descriptor: int, limits: Limits, dummies: Path) -> list[str]:
    inside = Path("/home/student/submission.ipynb")
    return [*_walls(limits.file_bytes), *_book(dummies), "--ro-bind", str(notebook.resolve()), str(inside), "--remount-ro", "/", "--",
            sys.executable, str(RUNNER), str(inside), str(descriptor), limits.inside(), str(limits.cell_seconds)]


def run(notebook: Path, limits: Limits = Limits(), trusted: bool = False) -> Outcome:
    """Execute `notebook` and return its answers; without bubblewrap only if it is trusted."""
    if not trusted and not works():
        raise NoSandbox(HINT)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as answers, _cgroup(limits) as join:
        descriptor = answers.fileno()
        if trusted:
            words = [sys.executable, str(RUNNER), str(notebook.resolve()), str(descriptor), limits.inside(), str(limits.cell_seconds)]
        else:
            words = join + command(notebook, descriptor, limits, write_dummies(Path(folder, "answers.json")))
        ended = _wait(words, descriptor, limits.wall_seconds, folder)
        answers.seek(0)
        return read(answers.read(MOST_ANSWER_BYTES), ended)


def _wait(words: list[str], descriptor: int, seconds: float, folder: str) -> str:
    """Run and say how it ended. Killing bwrap ends every process of its namespace."""
    package = {**os.environ, "PYTHONPATH": str(HERE.parent)}  # this copy of it, wherever the environment's may stand
    running = subprocess.Popen(words, pass_fds=[descriptor], cwd=folder, env=package, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        code = running.wait(seconds)
    except subprocess.TimeoutExpired:
        running.kill()
        running.wait()
        return f"was stopped after {seconds:g} seconds"
    return "finished" if code == 0 else f"ended early (status {code})"


def read(text: bytes, ended: str) -> Outcome:
    """Take the last whole line that a runner could have written; whatever else stands there counts for nothing."""
    for line in reversed(text.split(b"\n")[:-1]):
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
            sent = json.loads(line)
            answers = {str(id): _value(value) for id, value in sent["answers"].items()}
            return Outcome(ended, answers, [str(error)[:200] for error in list(sent["errors"])[:20]])
    return Outcome(f"did not begin, {ended}", began=False)


def _value(sent) -> float | str:
    """A finite number, or a word for what is none."""
    if isinstance(sent, bool) or not isinstance(sent, (int, float)):
        return str(sent)[:30]
    try:
        return float(sent) if math.isfinite(sent) else "not a finite number"
    except OverflowError:  # an integer of hundreds of digits
        return "not a finite number"


@contextlib.contextmanager
def _cgroup(limits: Limits):
    """For root, whom the limit on processes does not bind: a control group, if this machine lets us make one."""
    made = []
    for root, file, value in _controls(limits):
        group = root / f"siliconomics-{uuid.uuid4().hex[:12]}"
        with contextlib.suppress(OSError):
            group.mkdir()
            made.append(group)
            (group / file).write_text(str(value))
    script = "for g in $GROUPS_OF_BOOK; do echo $$ > $g/cgroup.procs || true; done; exec \"$@\""
    groups = " ".join(map(str, made))
    try:
        yield ["env", f"GROUPS_OF_BOOK={groups}", "sh", "-c", script, "sh"] if made else []
    finally:
        for group in made:
            with contextlib.suppress(OSError):
                group.rmdir()


def _controls(limits: Limits) -> list[tuple[Path, str, int]]:
    """Where control groups limit memory and processes: one tree (version 2) or two (version 1). None for ordinary users."""
    top = Path("/sys/fs/cgroup")
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return []
    if (top / "cgroup.controllers").exists():
        return [(top, "memory.max", limits.memory_bytes), (top, "pids.max", limits.processes)]
    trees = [(top / "memory", "memory.limit_in_bytes", limits.memory_bytes), (top / "pids", "pids.max", limits.processes)]
    return [tree for tree in trees if tree[0].exists()]
