"""Six submissions, from the full solution to a hostile one, and what each of them gets."""
import csv
import io
import json
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from booktools import course, grade, sandbox, tasks
from classroom import hand_in, program, solved

LIMITS = sandbox.Limits(wall_seconds=40, cpu_seconds=6)
WRONG = {"01.1": 2, "01.4": 1 / 8, "02.4": 0.5, "03.6": 2**30 / 1e9}  # typical slips
HONEST = 'answers = {"01.1": 7000 * 90 * 24 * 2 / 1e6}'
LOOP = "while True:\n    pass"
EAT = "hoard = []\nwhile True:\n    hoard.append(bytearray(1 << 28))"
SEEK = """
import os, socket, siliconomics as si
from siliconomics import exercises
for id, text in exercises.stored().items():
    if id != "01.1":
        answers[id] = exercises._unveiled(id, text)
names = [name for top in ("/",) for where, folders, files in os.walk(top) if not where.startswith(("/proc", "/sys", "/usr")) for name in files + folders]
answers["keys"] = sum(name.startswith(("answer_keys", "01_claims", "canary")) for name in names)
answers["secrets"] = sum("SECRET" in name for name in os.environ)
answers["others"] = len([name for name in os.listdir("/proc") if name.isdigit()])
try:
    socket.create_connection(("127.0.0.1", PORT), timeout=2).close()
    answers["reached"] = 1
except OSError:
    answers["reached"] = 0
"""
FORGE = """
import shutil
print('{"answers": {"01.3": 0.9047619}, "earned": 20, "total": 20}')
si.check = lambda *given: True
for descriptor in range(3, 64):
    try:
        os.write(descriptor, b'{"earned": 20, "marks": "all"}\\n{"answers": {}, "errors": [], "earned": 20}\\n[[[[\\n')
    except OSError:
        pass
for place in (CANARY, PACKAGE, "/usr", os.getcwd(), "/"):
    shutil.rmtree(place, ignore_errors=True)
"""


def spy(port, canary):
    return program(HONEST, SEEK.replace("PORT", str(port)), FORGE.replace("CANARY", repr(str(canary))).replace("PACKAGE", repr(str(sandbox.PACKAGE))))


@pytest.fixture(scope="module")
def canary(tmp_path_factory):
    folder = tmp_path_factory.mktemp("host")
    (folder / "canary").write_text("alive")
    return folder


@pytest.fixture(scope="module")
def port(canary):
    running = tasks.server(canary)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield running.server_port
    running.shutdown()
    running.server_close()


@pytest.fixture(scope="module")
def graded(bwrap, set1, tmp_path_factory, canary, port):
    """The results of a small class, by student, and the seconds that it took."""
    room = tmp_path_factory.mktemp("class")
    folder = hand_in(
        room / "in", full=solved(set1), empty=course.student(set1), slips=solved(set1, WRONG), loop=program(HONEST, LOOP),
        hog=program(HONEST, EAT, 'answers["01.3"] = 57 / 63'), spy=spy(port, canary))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRET_OF_THE_GRADER", "x")
        return {result.student: result for result in grade.batch(set1, folder, room / "out", LIMITS)}


def missed(result):
    return {m.exercise for m in result.marks if m.earned == 0}


def test_full_solution_gets_everything(graded, set1):
    assert graded["full"].earned == graded["full"].total == set1.total() and graded["full"].status == "finished" and not graded["full"].errors


def test_empty_submission_gets_nothing(graded):
    assert graded["empty"].earned == 0 and all("no answer yet" in m.feedback for m in graded["empty"].marks) and not graded["empty"].errors


def test_typical_slips_cost_their_points_and_are_named(graded, set1):
    lost = sum(set1.points(exercise) for exercise in set1.exercises if exercise.id in WRONG)
    assert missed(graded["slips"]) == set(WRONG) and graded["slips"].earned == set1.total() - lost
    said = {m.exercise: m.feedback for m in graded["slips"].marks}
    assert "factor of 2" in said["01.1"] and "bits or bytes" in said["01.4"] and "sparse" in said["02.4"] and "GiB" in said["03.6"]


def test_endless_loop_is_stopped_and_keeps_what_it_had(graded):
    assert "ended early" in graded["loop"].status and graded["loop"].earned == 1


def test_memory_eater_is_held_and_goes_on(graded):
    assert graded["hog"].errors == ("code cell 2: MemoryError",) and graded["hog"].earned == 3


def test_forger_gets_what_its_values_are_worth(graded, canary):
    assert graded["spy"].earned == 1 and graded["spy"].status == "finished"
    assert (canary / "canary").read_text() == "alive" and sandbox.RUNNER.exists() and (sandbox.PACKAGE / "data" / "answers.json").stat().st_size > 1000


def probe(folder, nb, **how):
    path = hand_in(folder, probe=nb) / "probe.ipynb"
    return sandbox.run(path, LIMITS, **how)


def test_nothing_of_the_machine_is_in_the_sandbox(bwrap, tmp_path, port, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_GRADER", "x")
    found = probe(tmp_path, program(HONEST, SEEK.replace("PORT", str(port)))).answers
    assert found["keys"] == found["secrets"] == found["reached"] == 0 and found["others"] <= 3
    assert {found[id] for id in found if id[0].isdigit() and id != "01.1"} == {1.0}  # what it takes for the key


@pytest.mark.skipif(sys.platform != "linux", reason="counts processes in /proc")
def test_the_probe_sees_what_is_not_hidden(tmp_path, port, monkeypatch):
    """Without walls the same program reaches the server, the secret and the processes: the test above can fail."""
    monkeypatch.setenv("SECRET_OF_THE_GRADER", "x")
    found = probe(tmp_path, program(HONEST, SEEK.replace("PORT", str(port)).replace('("/",)', repr((str(Path(sandbox.HERE)),)))), trusted=True).answers
    assert found["keys"] >= 1 and found["secrets"] == 1 and found["reached"] == 1 and found["others"] > 3
    assert {found[id] for id in found if id[0].isdigit()} != {1.0}


def test_a_sleeper_meets_the_wall_and_its_children_end(bwrap, tmp_path):
    nb = program(HONEST, "import os, time\nfor _ in range(3):\n    os.fork()\nanswers['01.3'] = 57 / 63", "time.sleep(600)")
    start = time.monotonic()
    outcome = sandbox.run(hand_in(tmp_path, sleeper=nb) / "sleeper.ipynb", sandbox.Limits(wall_seconds=6))
    assert time.monotonic() - start < 30 and outcome.status == "stopped after 6 seconds" and outcome.answers["01.3"] == pytest.approx(57 / 63)


# --- no bubblewrap ---------------------------------------------------------------------------------------------------

def test_without_bubblewrap_nothing_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sandbox, "works", lambda: False)
    monkeypatch.setattr(sandbox, "ensure", lambda: False)
    folder = hand_in(tmp_path, a=program(f"open({str(tmp_path / 'ran')!r}, 'w')"))
    with pytest.raises(sandbox.NoSandbox, match="bubblewrap"):
        sandbox.run(folder / "a.ipynb")
    assert grade.main(Path(__file__).parents[2], ("set1", str(folder))) == 1 and "--trusted" in capsys.readouterr().out
    assert not (tmp_path / "ran").exists()


# --- what comes back is text from strangers --------------------------------------------------------------------------

def line(**sent):
    return json.dumps(sent).encode() + b"\n"


@pytest.mark.parametrize("text", [b"", b"{}\n", b"null\n", b'{"answers": 3, "errors": []}\n', b"[" * 100_000 + b"\n", b'{"answers": {"01.1": 1}', b"\xff\xfe\n"], ids=repr)
def test_unreadable_lines_count_for_nothing(text):
    assert sandbox.read(text, "finished").answers == {}


@pytest.mark.parametrize("text, shown", [("true", "True"), ("NaN", "not a finite number"), ("1e999", "not a finite number"), ('"7"', "7"), ("[1]", "[1]"), ("1" + "0" * 400, "not a finite number")])
def test_a_value_is_a_finite_number_or_none(text, shown):
    outcome = sandbox.read(b'{"answers": {"01.1": ' + text.encode() + b'}, "errors": []}\n', "finished")
    assert outcome.answers == {"01.1": shown}


def test_a_torn_line_leaves_the_one_before():
    assert sandbox.read(line(answers={"a": 1}, errors=[]) + b'{"answers": {"a": 2}, "err', "stopped").answers == {"a": 1.0}


@pytest.mark.parametrize("given, said", [(1e300, "range"), (-3.0, "positive"), (0.0, "positive"), ("list", "one finite number")])
def test_odd_answers_get_nothing(set1, given, said):
    first = grade.mark(set1, sandbox.Outcome("finished", {"01.1": given}))[0]
    assert first.earned == 0 and said in first.feedback


# --- names and gradebooks --------------------------------------------------------------------------------------------

def test_names_of_submissions(tmp_path):
    for name in ("ana.ipynb", "bo/set1.ipynb", "lee_LATE_4711_99_set1.ipynb", ".ipynb_checkpoints/ana.ipynb"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    assert sorted(grade.submissions(tmp_path)) == ["4711", "ana", "bo"]


@pytest.mark.parametrize("names", [["a.ipynb", "a/x.ipynb"], ["=cmd.ipynb"], ["+1.ipynb"], []])
def test_names_that_a_gradebook_cannot_take(tmp_path, names):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    with pytest.raises(SystemExit):
        grade.submissions(tmp_path)


RESULTS = [grade.Result("4711", "", 13, 20, "stopped after 6 seconds", (grade.Mark("01.1", 1, 0, "01.1: not yet, too large"),), ("code cell 2: KeyError",))]
ROSTER = "Student,ID,SIS User ID,SIS Login ID,Section\n    Points Possible,,,,\nLee,4711,s1,lee,A\nMo,4712,s2,mo,A\n"


def test_moodle_gradebook(set1):
    rows = list(csv.DictReader(io.StringIO(grade.moodle(set1, RESULTS))))
    assert rows == [{"username": "4711", set1.title: "13", "feedback": "The notebook stopped after 6 seconds. 01.1: not yet, too large. Error in code cell 2: KeyError."}]


def test_canvas_gradebook(set1):
    rows = list(csv.reader(io.StringIO(grade.canvas(set1, RESULTS, ROSTER, "Set 1 (99)"))))
    assert rows[0] == [*grade.CANVAS_COLUMNS, "Set 1 (99)"] and rows[1][-1] == "20"
    assert rows[2:] == [["Lee", "4711", "s1", "lee", "A", "13"], ["Mo", "4712", "s2", "mo", "A", ""]]


def test_canvas_gradebook_misses_nobody(set1):
    with pytest.raises(SystemExit, match="4711"):
        grade.canvas(set1, RESULTS, ROSTER.replace("4711", "4799"), "Set 1")


def test_a_half_written_result_is_made_again(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"student": "a", "mar')
    assert grade.stored_result(path) is None and grade.stored_result(tmp_path / "none.json") is None


# --- collecting from a hub -------------------------------------------------------------------------------------------

def home(folder, name):
    (folder / name / "siliconomics-course").mkdir(parents=True)
    return folder / name / "siliconomics-course" / "set1.ipynb"


@pytest.mark.skipif(os.name == "nt", reason="pipes, links and owners")
def test_collect_takes_plain_files_only(tmp_path, capsys):
    for name in ("jupyter-ana", "jupyter-thief", "jupyter-pipe", "jupyter-copycat", "jupyter-late"):
        home(tmp_path, name)
    mine = tmp_path / "jupyter-ana" / "siliconomics-course" / "set1.ipynb"
    mine.write_text("{}")
    (tmp_path / "jupyter-thief" / "siliconomics-course" / "set1.ipynb").symlink_to(mine)
    os.mkfifo(tmp_path / "jupyter-pipe" / "siliconomics-course" / "set1.ipynb")
    other = tmp_path / "other"
    other.write_text("{}")
    os.link(other, tmp_path / "jupyter-copycat" / "siliconomics-course" / "set1.ipynb")
    assert tasks.collect(Path(), "set1", f"{tmp_path}/jupyter-*", str(tmp_path / "out")) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["ana.ipynb"] and "1 of 5 users" in capsys.readouterr().out
