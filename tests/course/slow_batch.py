"""A class of two hundred, graded, killed in the middle, and taken up again. Minutes: run by `make test-slow`."""
import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from booktools import course
from classroom import hand_in, solved

ROOT = Path(__file__).resolve().parents[2]
CLASS = 200


def wrong(number):
    """Student `number` slips at the exercises whose place divides it."""
    return lambda one: {e.id: 2 for place, e in enumerate(one.exercises, start=2) if number % place == 0}


def expected(one, number):
    slips = wrong(number)(one)
    return sum(one.points(e) for e in one.exercises if e.id not in slips)


@pytest.fixture(scope="module")
def room(tmp_path_factory, set1):
    folder = tmp_path_factory.mktemp("class")
    hand_in(folder / "in", **{f"student{n:03d}": solved(set1, wrong(n)(set1)) for n in range(CLASS)})
    names = [f"Student {n},{9000 + n},sis{n},student{n:03d},A," for n in range(CLASS + 1)]
    (folder / "roster.csv").write_text("Student,ID,SIS User ID,SIS Login ID,Section,Set 1 (1)\n" + "\n".join(names) + "\n", encoding="utf-8")
    return folder


def command(room):
    return [sys.executable, "-m", "booktools", "grade", "set1", str(room / "in"), "--out", str(room / "out"), "--roster", str(room / "roster.csv"),
            "--column", "Set 1 (1)"]


def results(room):
    return {path.stem: path.stat().st_mtime_ns for path in (room / "out" / "results").glob("*.json")}


def start_and_kill(room, after):
    """Begin the batch and end it without warning once `after` results are there."""
    running = subprocess.Popen(command(room), cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 900
    while len(results(room)) < after:
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()


def test_class_of_200_killed_and_resumed(bwrap, set1, room):
    start_and_kill(room, CLASS // 3)
    time.sleep(1)
    before = results(room)
    assert CLASS // 3 <= len(before) < CLASS and not (room / "out" / "grades.csv").exists()
    victim = sorted(before)[0]
    (room / "out" / "results" / f"{victim}.json").write_text('{"student": "st', encoding="utf-8")  # as if the disk had lost its end
    done = subprocess.run(command(room), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{len(before) - 1}/{CLASS}" in done.stderr and f"{CLASS}/{CLASS}" in done.stderr  # the bar starts where it was
    after = results(room)
    assert len(after) == CLASS and all(after[name] == made for name, made in before.items() if name != victim)
    rows = list(csv.DictReader((room / "out" / "grades.csv").open(encoding="utf-8", newline="")))
    assert [row["username"] for row in rows] == [f"student{n:03d}" for n in range(CLASS)]
    assert [int(row[set1.title]) for row in rows] == [expected(set1, n) for n in range(CLASS)]
    assert len({row[set1.title] for row in rows}) > 5
    canvas = list(csv.reader((room / "out" / "canvas.csv").open(encoding="utf-8", newline="")))
    assert [row[-1] for row in canvas[2:]] == [str(expected(set1, n)) for n in range(CLASS)] + [""]


def test_a_second_run_grades_nothing_again(room):
    before = results(room)
    assert len(before) == CLASS
    subprocess.run(command(room), cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    assert results(room) == before
