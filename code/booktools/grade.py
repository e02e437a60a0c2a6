"""Mark a folder of submissions: each runs in the sandbox, its answers are compared out here, and one CSV holds the grades.

The mark comes from the numbers that a submission handed back, never from what it printed. Every result is stored as soon as it
is there, so a batch that is interrupted goes on where it stopped. Nothing leaves the machine.
"""
from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

from siliconomics import exercises
from siliconomics.checks import BadValue

from . import course, sandbox

CANVAS_FILE = re.compile(r"[^_]+_(?:LATE_)?(?P<id>\d+)_\d+_.+")  # how Canvas names the files of a downloaded assignment
CANVAS_COLUMNS = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
SAFE_NAME = re.compile(r"\w[\w.@ +-]*")  # a spreadsheet runs a cell that begins with =, +, - or @


@dataclass(frozen=True)
class Mark:
    """One exercise of one submission."""

    exercise: str
    points: int
    earned: int
    feedback: str


@dataclass(frozen=True)
class Result:
    """What is stored of a submission, and what makes a stored result out of date."""

    student: str
    fingerprint: str
    earned: int
    total: int
    status: str
    marks: tuple[Mark, ...]
    errors: tuple[str, ...]


# --- one submission --------------------------------------------------------------------------------------------------

def mark(one: course.ProblemSet, outcome: sandbox.Outcome) -> tuple[Mark, ...]:
    """Compare what came back with the key."""
    return tuple(_mark(exercise.id, one.points(exercise), outcome.answers) for exercise in one.exercises)


def _mark(id: str, points: int, answers: dict) -> Mark:
    if id not in answers:
        return Mark(id, points, 0, f"{id}: no answer yet")
    if isinstance(answers[id], str):
        return Mark(id, points, 0, f"{id}: the answer is not one finite number")
    try:
        feedback = exercises.check(id, answers[id])
    except BadValue:
        return Mark(id, points, 0, f"{id}: the answer is out of any range")
    return Mark(id, points, points * feedback.right, feedback.message)


def grade(one: course.ProblemSet, notebook: Path, student: str, limits: sandbox.Limits, trusted: bool = False) -> Result:
    outcome = sandbox.run(notebook, limits, trusted)
    marks = mark(one, outcome)
    errors = tuple(re.sub(r"[^\w .:]", "", error) for error in outcome.errors)
    return Result(student, fingerprint(one, notebook), sum(m.earned for m in marks), one.total(), outcome.status, marks, errors)


def fingerprint(one: course.ProblemSet, notebook: Path) -> str:
    """Changes with the submission, with the points and with the key; then a stored result is out of date."""
    asked = [(exercise.id, one.points(exercise), exercises.stored()[exercise.id]) for exercise in one.exercises]
    return hashlib.sha256(notebook.read_bytes() + json.dumps(asked).encode()).hexdigest()


# --- a class ---------------------------------------------------------------------------------------------------------

def submissions(folder: Path) -> dict[str, Path]:
    """Notebooks by student: STUDENT.ipynb, STUDENT/anything.ipynb, or the names that Canvas gives."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.ipynb")):
        parts = path.relative_to(folder).parts
        if any(part.startswith(".") for part in parts):  # .ipynb_checkpoints
            continue
        student = _student(parts)
        if student in found:
            raise SystemExit(f"two submissions of {student}: {found[student]} and {path}; keep one")
        found[student] = path
    if not found:
        raise SystemExit(f"no notebook in {folder}")
    return found


def _student(parts: tuple[str, ...]) -> str:
    name = parts[0] if len(parts) > 1 else parts[0].removesuffix(".ipynb")
    canvas = CANVAS_FILE.fullmatch(parts[0]) if len(parts) == 1 else None
    name = canvas["id"] if canvas else name
    if not SAFE_NAME.fullmatch(name):
        raise SystemExit(f"{name!r} is no name for a gradebook: letters, digits and . _ - @ + only")
    return name


def stored_result(path: Path) -> Result | None:
    """A result of an earlier run, if it is whole."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        return Result(**{**read, "marks": tuple(Mark(**m) for m in read["marks"]), "errors": tuple(read["errors"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _store(path: Path, text: str) -> None:
    """Write whole or not at all, whenever the power goes."""
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def batch(one: course.ProblemSet, folder: Path, out: Path, limits: sandbox.Limits, trusted: bool = False, workers: int | None = None) -> list[Result]:
    """Grade what has no current result yet, show how far it is, and return every result in the order of the names."""
    from tqdm import tqdm

    out.mkdir(parents=True, exist_ok=True)
    work = submissions(folder)
    have = {student: stored_result(out / f"{student}.json") for student in work}
    waiting = [student for student, result in have.items() if result is None or result.fingerprint != fingerprint(one, work[student])]
    with ThreadPoolExecutor(workers or os.cpu_count() or 2) as pool, tqdm(total=len(work), initial=len(work) - len(waiting), desc=one.id, unit="submission") as bar:
        running = [pool.submit(grade, one, work[student], student, limits, trusted) for student in waiting]
        try:
            for done in as_completed(running):
                result = done.result()
                _store(out / f"{result.student}.json", json.dumps(asdict(result), indent=1))
                have[result.student] = result
                bar.update()
        finally:
            pool.shutdown(cancel_futures=True)
    return [have[student] for student in sorted(work)]


# --- gradebooks ------------------------------------------------------------------------------------------------------

def moodle(one: course.ProblemSet, results: list[Result]) -> str:
    """For Moodle's Grades > Import > CSV file: map `username` to the user, the points to the assignment, and the feedback beside it."""
    rows = [["username", one.title, "feedback"]]
    return _csv(rows + [[r.student, r.earned, feedback(r)] for r in results])


def feedback(result: Result) -> str:
    said = [] if result.status == "finished" else [f"The notebook {result.status}."]
    return " ".join(said + [f"{m.feedback}." for m in result.marks if m.earned < m.points] + [f"Error in {error}." for error in result.errors])


def canvas(one: course.ProblemSet, results: list[Result], roster: str, column: str) -> str:
    """The roster that Canvas exported, with the points in the assignment's column; who handed in nothing keeps an empty cell."""
    earned = {result.student: result.earned for result in results}
    rows = [row for row in csv.DictReader(roster.splitlines()) if row["ID"]]
    lines = [[*(row.get(name) or "" for name in CANVAS_COLUMNS), _first(earned, row["ID"], row.get("SIS Login ID"), row.get("SIS User ID"))] for row in rows]
    if lost := earned.keys() - {row.get(name) for row in rows for name in ("ID", "SIS Login ID", "SIS User ID")}:
        raise SystemExit(f"not in the roster: {', '.join(sorted(lost))}")
    return _csv([[*CANVAS_COLUMNS, column], ["    Points Possible", "", "", "", "", one.total()], *lines])


def _first(earned: dict, *names) -> int | str:
    return next((earned[name] for name in names if name in earned), "")


def _csv(rows: list[list]) -> str:
    from io import StringIO

    text = StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue()


def main(root: Path, words: tuple[str, ...]) -> int:
    parser = argparse.ArgumentParser(prog="python -m booktools grade", description=__doc__.splitlines()[0])
    parser.add_argument("set", help="set1 to set6, as in book/course/sets.yml")
    parser.add_argument("folder", type=Path, help="where the submissions lie")
    parser.add_argument("--out", type=Path, help="where results and gradebooks go (default _build/course/graded/SET)")
    parser.add_argument("--roster", type=Path, help="gradebook exported from Canvas; then canvas.csv is written too")
    parser.add_argument("--column", help="name of the assignment's column in Canvas, with its number: 'Set 1 (4711)'")
    parser.add_argument("--workers", type=int, help="submissions at a time (default one a core)")
    parser.add_argument("--wall", type=float, default=sandbox.Limits.wall_seconds, help="seconds for a submission (default %(default)g)")
    parser.add_argument("--trusted", action="store_true", help="run the notebooks without a sandbox, when all of them are your own")
    asked = parser.parse_args(words)
    if not asked.trusted and not sandbox.ensure():
        print(sandbox.HINT)
        return 1
    return _grade_class(course.problem_set(root, asked.set), asked, asked.out or root / course.BUILT / "graded" / asked.set)


def _grade_class(one: course.ProblemSet, asked: argparse.Namespace, out: Path) -> int:
    limits = sandbox.Limits(wall_seconds=asked.wall, cpu_seconds=max(1, round(asked.wall)))
    results = batch(one, asked.folder, out / "results", limits, asked.trusted, asked.workers)
    _store(out / "grades.csv", moodle(one, results))
    if asked.roster:
        _store(out / "canvas.csv", canvas(one, results, asked.roster.read_text(encoding="utf-8-sig"), asked.column or one.title))
    mean = sum(r.earned for r in results) / len(results)
    print(f"{len(results)} submissions, mean {mean:.1f} of {one.total()} points: {out / 'grades.csv'}")
    return 0
