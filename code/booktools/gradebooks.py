"""What a graded class is written into: files that Canvas and Moodle take, and a table of how each exercise went."""
from __future__ import annotations

import csv
import re
from collections import Counter
from io import StringIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import course
    from .grade import Result

CANVAS_COLUMNS = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
MOODLE_NAMES = ("Email address", "Username", "ID number")  # what a submission may be called, besides the participant's number


def plain(one: course.ProblemSet, results: list[Result]) -> str:
    """One row for each submission. Moodle's Grades > Import > CSV file takes it where the names are usernames."""
    return _csv([["username", one.title, "feedback"], *([r.student, r.earned, feedback(r)] for r in results)])


def feedback(result: Result) -> str:
    said = [] if result.status == "finished" else [f"The notebook {result.status}."]
    return " ".join(said + [f"{m.feedback}." for m in result.marks if m.earned < m.points] + [f"Error: {error}." for error in result.errors])


# --- what a platform exported, with the points in it -----------------------------------------------------------------

def filled(one: course.ProblemSet, results: list[Result], roster: str, column: str) -> tuple[str, str, list[str]]:
    """The roster of Canvas or of Moodle with the points in it: the file's name, its text, and what is amiss."""
    table = csv.DictReader(StringIO(roster, newline=""))
    head, rows = list(table.fieldnames or []), list(table)
    if {"Identifier", "Grade"} <= set(head):
        return "moodle.csv", *_moodle(one, results, head, rows)
    if {"Student", "ID"} <= set(head):
        return "canvas.csv", *_canvas(one, results, head, rows, column)
    raise SystemExit("the roster is neither a gradebook of Canvas (columns Student and ID) nor a grading worksheet of Moodle (Identifier and Grade): "
                     "export it with commas between the fields and the platform set to English")


def _moodle(one: course.ProblemSet, results: list[Result], head: list[str], rows: list[dict]) -> tuple[str, list[str]]:
    """The worksheet as it came, with grade and feedback; who handed in nothing keeps the row as it was."""
    given = _match(results, [[row["Identifier"].rpartition(" ")[2], *(row.get(name) for name in MOODLE_NAMES)] for row in rows])
    for row, result in zip(rows, given):
        if result:
            row.update({"Grade": result.earned, **({"Feedback comments": feedback(result)} if "Feedback comments" in head else {})})
    scale = {row.get("Maximum Grade") for row in rows} - {None, ""}
    return _csv([head, *([row[name] for name in head] for row in rows)]), _amiss(one, results, given, scale)


def _canvas(one: course.ProblemSet, results: list[Result], head: list[str], rows: list[dict], column: str) -> tuple[str, list[str]]:
    """Canvas's own columns and the assignment's; who handed in nothing keeps an empty cell."""
    people = [row for row in rows if row["ID"]]
    given = _match(results, [[row["ID"], row.get("SIS Login ID"), row.get("SIS User ID")] for row in people])
    lines = [[*(row.get(name) or "" for name in CANVAS_COLUMNS), result.earned if result else ""] for row, result in zip(people, given)]
    amiss = _amiss(one, results, given, {row[column] for row in rows if "Points Possible" in row["Student"] and row.get(column)})
    new = [] if column in head else [f"no column {column!r} in the roster: Canvas would make a new assignment; --column takes the name with its number"]
    return _csv([[*CANVAS_COLUMNS, column], ["    Points Possible", "", "", "", "", one.total()], *lines]), amiss + new


def _match(results: list[Result], names: list[list[str | None]]) -> list[Result | None]:
    """For each row of a roster the result under one of its names."""
    by_name = {result.student: result for result in results}
    return [next((by_name[name] for name in row if name in by_name), None) for row in names]


def _amiss(one: course.ProblemSet, results: list[Result], given: list[Result | None], scale: set[str]) -> list[str]:
    kept = {result.student for result in given if result}
    lost = [f"not in the roster, or under two names, so not in the file to upload: {r.student} ({r.earned} points); rename the submission"
            for r in results if r.student not in kept]
    other = sorted(most for most in scale if re.fullmatch(r"[\d.]+", most) and float(most) != one.total())
    wrong = [f"the platform counts this assignment to {most} points and the set to {one.total()}: set it to {one.total()} there" for most in other]
    return lost + wrong


def _csv(rows: list[list]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue()


# --- for the instructor ----------------------------------------------------------------------------------------------

def by_exercise(one: course.ProblemSet, results: list[Result]) -> str:
    """How each exercise went: how many were right, wrong and without an answer, and what was said most often to the wrong ones."""
    rows = [["exercise", "title", "points", "right", "wrong", "no answer", "most often"]]
    for place, exercise in enumerate(one.exercises):
        marks = [result.marks[place] for result in results]
        wrong = Counter(m.feedback.partition(": ")[2] for m in marks if not m.earned and m.given is not None)
        right, said = sum(m.earned > 0 for m in marks), next((f"{text} ({count})" for text, count in wrong.most_common(1)), "")
        rows.append([exercise.id, exercise.title, one.points(exercise), right, wrong.total(), len(marks) - right - wrong.total(), said])
    return _csv(rows)


def notes(one: course.ProblemSet, results: list[Result]) -> list[str]:
    """What to look at: submissions that were stopped or have nothing but errors, and exercises that fewer than half got right."""
    odd = [f"look at {r.student}: {'; '.join([r.status, *r.errors[:1]])}" for r in results
           if r.status != "finished" or (r.errors and not r.earned) or any(error.endswith("TookTooLong") for error in r.errors)]
    right = {e.id: sum(r.marks[place].earned > 0 for r in results) for place, e in enumerate(one.exercises)}
    return odd + [f"fewer than half are right in {id}: {count} of {len(results)}" for id, count in right.items() if 2 * count < len(results)]
