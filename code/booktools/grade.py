"""Mark a folder of submissions: each runs in the sandbox, its answers are compared out here, and one CSV holds the grades.

The mark comes from the numbers that a submission handed back, never from what it printed. Every result is stored as soon as it
is there, so a batch that is interrupted goes on where it stopped. Nothing leaves the machine.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from unicodedata import normalize

from siliconomics import exercises
from siliconomics.checks import BadValue

from . import course, gradebooks, sandbox

CANVAS_FILE = re.compile(r"[^_]+_(?P<late>LATE_)?(?P<id>\d+)_\d+_.+")  # how Canvas names the files of a downloaded assignment
MOODLE_FILE = re.compile(r".+_(?P<id>\d+)_assignsubmission_file.*")  # and how Moodle names files or folders
SAFE_NAME = re.compile(r"\w[^\x00-\x1f\x7f]*")  # a spreadsheet runs a cell that begins with =, +, - or @


@dataclass(frozen=True)
class Mark:
    """One exercise of one submission: what was given (a number, the name of what was none, or nothing) and what is right."""

    exercise: str
    points: int
    earned: int
    feedback: str
    given: float | str | None
    right: float


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
    return tuple(_mark(one, exercise, outcome.answers.get(exercise.id)) for exercise in one.exercises)


def _mark(one: course.ProblemSet, exercise: course.Exercise, given: float | str | None) -> Mark:
    id, points = exercise.id, one.points(exercise)
    earned, said = (points, f"{id}: everybody gets the points") if id in one.free else _judge(id, points, given)
    return Mark(id, points, earned, said, given, exercises._right(id))


def _judge(id: str, points: int, given: float | str | None) -> tuple[int, str]:
    if given is None:
        return 0, f"{id}: no answer yet"
    if isinstance(given, str):
        return 0, f"{id}: the answer is not one finite number but {re.sub(r'[^a-zA-Z0-9_ ]', '', given)}"
    try:
        feedback = exercises.check(id, given)
    except BadValue:
        return 0, f"{id}: the answer is out of any range"
    return points * feedback.right, feedback.message


def grade(one: course.ProblemSet, notebook: Path, student: str, limits: sandbox.Limits, trusted: bool = False) -> Result | str:
    """The result of one submission, or why it could not be run: that is the fault of this machine, and no mark comes of it."""
    outcome = sandbox.run(notebook, limits, trusted)
    if not outcome.began:
        return f"{student} ({outcome.status})"
    marks = mark(one, outcome)
    errors = tuple(re.sub(r"[^\w .,:]", "", error) for error in [*_other_set(one, outcome), *outcome.errors])
    return Result(student, fingerprint(one, notebook), sum(m.earned for m in marks), one.total(), outcome.status, marks, errors)


def _other_set(one: course.ProblemSet, outcome: sandbox.Outcome) -> list[str]:
    """Whether all that was answered belongs elsewhere, as when set 1 is handed in for set 2."""
    answered = [id for id in outcome.answers if re.fullmatch(r"\d\d\.\d+", id)]
    mine = {exercise.id for exercise in one.exercises}
    return [f"all answers are of another set: {', '.join(answered[:3])}"] if answered and mine.isdisjoint(answered) else []


def fingerprint(one: course.ProblemSet, notebook: Path) -> str:
    """Changes with the submission, with the points and with the key; then a stored result is out of date."""
    asked = [(exercise.id, one.points(exercise), exercises.stored()[exercise.id], exercise.id in one.free) for exercise in one.exercises]
    return hashlib.sha256(notebook.read_bytes() + json.dumps(asked).encode()).hexdigest()


# --- a class ---------------------------------------------------------------------------------------------------------

def submissions(folder: Path) -> dict[str, Path]:
    """Notebooks by student: STUDENT.ipynb, STUDENT/anything.ipynb, or the names that Canvas and Moodle give."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*.ipynb")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") for part in parts)  # .ipynb_checkpoints
        if not hidden and path.resolve() == folder.resolve().joinpath(*parts):  # a link could lead to another student's work
            found.setdefault(_student(parts), []).append(path)
    if twice := [f"{student}: {' and '.join(str(path.relative_to(folder)) for path in paths)}" for student, paths in found.items() if len(paths) > 1]:
        raise SystemExit("\n".join(["two submissions of one student; keep one of", *twice]))
    if not found:
        raise SystemExit(f"no notebook in {folder}")
    return {student: path for student, (path,) in found.items()}


def remarks(folder: Path) -> list[str]:
    """What somebody handed in that is no notebook and holds none, and what Canvas says was late."""
    taken = {path.relative_to(folder).parts[0] for path in submissions(folder).values()}
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    late = [name for name in names if (found := CANVAS_FILE.fullmatch(name)) and found["late"]]
    return [f"no notebook, or a link, and not graded: {name}" for name in names if name not in taken] + [f"late: {name}" for name in late]


def _student(parts: tuple[str, ...]) -> str:
    name = normalize("NFC", parts[0] if len(parts) > 1 else parts[0].removesuffix(".ipynb"))  # macOS writes an umlaut as two characters
    platform = MOODLE_FILE.fullmatch(name) or (CANVAS_FILE.fullmatch(name) if len(parts) == 1 else None)
    name = platform["id"] if platform else name
    if not SAFE_NAME.fullmatch(name):
        raise SystemExit(f"{name!r} is no name for a gradebook: it must begin with a letter or a digit; rename the file")
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


def batch(one: course.ProblemSet, folder: Path, out: Path, limits: sandbox.Limits, trusted: bool = False, workers: int | None = None) -> tuple[list[Result], list[str]]:
    """Grade what has no current result yet, show how far it is, and return every result in the order of the names, and what could not be run."""
    from tqdm import tqdm

    out.mkdir(parents=True, exist_ok=True)
    work = submissions(folder)
    have = {student: stored_result(out / f"{student}.json") for student in work}
    waiting = [student for student, result in have.items() if result is None or result.fingerprint != fingerprint(one, work[student])]
    with ThreadPoolExecutor(workers or os.cpu_count() or 2) as pool, tqdm(total=len(work), initial=len(work) - len(waiting), desc=one.id, unit="submission") as bar:
        running = {pool.submit(grade, one, work[student], student, limits, trusted): student for student in waiting}
        try:
            for done in as_completed(running):
                result = have[running[done]] = done.result()
                if isinstance(result, Result):
                    _store(out / f"{result.student}.json", json.dumps(asdict(result), indent=1))
                bar.update()
        finally:
            pool.shutdown(cancel_futures=True)
    return [have[student] for student in sorted(work) if isinstance(have[student], Result)], [text for text in have.values() if isinstance(text, str)]


def main(root: Path, words: tuple[str, ...]) -> int:
    parser = argparse.ArgumentParser(prog="python -m booktools grade", description=__doc__.splitlines()[0])
    parser.add_argument("set", help="set1 to set6, as in book/course/sets.yml")
    parser.add_argument("folder", type=Path, help="where the submissions lie")
    parser.add_argument("--out", type=Path, help="where results and gradebooks go (default _build/course/graded/SET)")
    parser.add_argument("--roster", type=Path, help="gradebook exported from Canvas, or grading worksheet downloaded from Moodle; then the same is written with the points")
    parser.add_argument("--column", help="name of the assignment's column in Canvas, with its number: 'Set 1 (4711)'")
    parser.add_argument("--workers", type=int, help="submissions at a time (default one a core)")
    parser.add_argument("--wall", type=float, default=sandbox.Limits.wall_seconds, help="seconds for a submission (default %(default)g); a cell gets a quarter, and 30 at least")
    parser.add_argument("--trusted", action="store_true", help="run the notebooks without a sandbox, when all of them are your own")
    asked = parser.parse_args(words)
    if sys.platform == "win32":
        print("the grader needs Linux, or macOS with --trusted; on Windows, run it in WSL")
        return 1
    if not asked.trusted and not sandbox.ensure():
        print(sandbox.HINT)
        return 1
    try:
        return _grade_class(course.problem_set(root, asked.set), asked, asked.out or root / course.BUILT / "graded" / asked.set)
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on where it was")
        return 130


def _grade_class(one: course.ProblemSet, asked: argparse.Namespace, out: Path) -> int:
    roster = asked.roster and _roster(asked.roster)
    limits = sandbox.Limits(asked.wall, max(sandbox.Limits.cell_seconds, asked.wall / 4), cpu_seconds=max(1, round(asked.wall)))
    results, failed = batch(one, asked.folder, out / "results", limits, asked.trusted, asked.workers)
    faults = [f"could not be run, and has no result; the same command tries again: {text}" for text in failed]
    if results:
        faults += _write_gradebooks(one, results, out, roster, asked.column or one.title)
    for line in [*gradebooks.notes(one, results), *remarks(asked.folder), *faults]:
        print(line)
    return int(bool(faults))


def _roster(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SystemExit(f"the roster {path} cannot be read ({error}); take the file as the platform exports it, in UTF-8") from None


def _write_gradebooks(one: course.ProblemSet, results: list[Result], out: Path, roster: str | None, column: str) -> list[str]:
    """Write them and return what is amiss."""
    _store(out / "grades.csv", gradebooks.plain(one, results))
    _store(out / "exercises.csv", gradebooks.by_exercise(one, results))
    print(f"{len(results)} submissions, mean {sum(r.earned for r in results) / len(results):.1f} of {one.total()} points: {out / 'grades.csv'}")
    if roster is None:
        return []
    name, text, faults = gradebooks.filled(one, results, roster, column)
    _store(out / name, text)
    print(f"to upload: {out / name}")
    return faults
