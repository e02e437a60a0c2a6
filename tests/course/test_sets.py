"""The sets are made of the chapters' exercises: nothing is lost, nothing is given away, and what stands in them runs."""
import contextlib
import io
import re
from pathlib import Path

import pytest

import siliconomics as si
from booktools import course, notebooks

ROOT = Path(__file__).resolve().parents[2]
SETS = course.problem_sets(ROOT)
EXERCISES = course.exercises(ROOT)


def test_there_are_enough_exercises():
    assert len(EXERCISES) >= 110 and len({id[:2] for id in EXERCISES}) == 15
    assert all(e.statement and e.title and e.minutes > 0 for e in EXERCISES.values())


@pytest.mark.parametrize("id", EXERCISES)
def test_solution_runs_on_what_a_set_takes_from_the_chapter(id):
    """The statements that a set carries are enough for the solution, alone, in an empty name space."""
    names, exercise = {}, EXERCISES[id]
    with contextlib.redirect_stdout(io.StringIO()):
        exec("\n".join(["import siliconomics as si", *exercise.setup]), names)
        exec(exercise.solution.source, names)
    assert si.check(id, names["answer"])


@pytest.mark.parametrize("one", SETS.values(), ids=list(SETS))
def test_student_notebook_holds_no_solution(one):
    nb = course.student(one)
    code = "\n".join(cell.source for cell in nb.cells if cell.cell_type == "code")
    assert code.count("answer = ...") == len(one.exercises) and not any(cell.get("outputs") for cell in nb.cells)
    for exercise in one.exercises:
        lines = [line for line in exercise.solution.source.splitlines() if line.startswith("answer")]
        assert lines and not any(line in code for line in lines), exercise.id


def test_student_notebook_says_what_to_read_install_and_hand_in():
    text = notebooks.text(course.student(SETS["set1"]))
    for part in ("## Chapter 1 · Claims: what can be checked?", "siliconomics @ git+https://github.com", "restart the kernel", "Hand in this file"):
        assert part in text
    assert "Hand in" not in notebooks.text(course.instructor(SETS["set1"]))


@pytest.mark.parametrize("one", SETS.values(), ids=list(SETS))
def test_notebooks_are_the_same_on_every_build_and_plain(one):
    for make in (course.student, course.instructor, course.otter_master):
        assert notebooks.text(make(one)) == notebooks.text(make(one))
        assert not re.search(r"\{cite|\{exercise|:label:", notebooks.text(make(one)))


def test_sets_span_the_book_and_a_course():
    assert len(SETS) == 6 and {e.id[:2] for one in SETS.values() for e in one.exercises} == {f"{n:02d}" for n in range(1, 16)}
    assert all(60 <= one.minutes() <= 150 and one.total() >= 15 for one in SETS.values())
    assert [one.week_of_6 for one in SETS.values()] == [1, 2, 3, 4, 5, 6] and max(one.week_of_12 for one in SETS.values()) == 12


def test_a_set_cannot_name_what_is_not_there(tmp_path, monkeypatch):
    (tmp_path / "book" / "course").mkdir(parents=True)
    (tmp_path / "_config.yml").write_text("repository: {url: u, branch: b}")
    (tmp_path / course.SETS).write_text('points: {easy: 1}\nsets: [{id: a, title: A, week_of_6: 1, week_of_12: 1, exercises: ["07.99"]}]')
    monkeypatch.setattr(course, "exercises", lambda root: EXERCISES)
    with pytest.raises(ValueError, match="07.99"):
        course.problem_sets(tmp_path)
    (tmp_path / course.SETS).write_text('points: {easy: 1}\nsets: [{id: a, title: A, week_of_6: 1, week_of_12: 1, exercises: ["07.1"], free: ["07.2"]}]')
    with pytest.raises(ValueError, match="07.2"):
        course.problem_sets(tmp_path)


CODE = ["import numpy as np", "a = 1\nb = 2", "def f(x, k=a):\n    y = x + b\n    return y", "rows = [row for row in range(3)]\nrows.append(9)",
        "for row in rows:\n    print(row)", "b = 5\nd = {}\nd['x'] = f(3)", "z = lambda q: q"]


@pytest.mark.parametrize("solution, kept", [
    ("answer = np.pi", ["import numpy as np"]), ("answer = f(1)", ["a = 1", "b = 2", "def f", "b = 5"]), ("answer = d['x']", ["a = 1", "b = 2", "def f", "b = 5", "d = {}", "d['x']"]),
    ("answer = [row for row in rows]", ["rows = [", "rows.append"]), ("b = 3\nanswer = b", []), ("rows = rows[1:]\nanswer = rows", ["rows = [", "rows.append"]),
    ("answer = sum(z(q) for q in (1, 2))", ["z ="]), ("answer = row", ["rows = [", "rows.append", "for row"])])
def test_needed_statements(solution, kept):
    found = course.needed(CODE, solution)
    assert all(line.startswith(start) for line, start in zip(found, kept)) and len(found) == len(kept), found
