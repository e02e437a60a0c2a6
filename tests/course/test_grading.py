"""Six submissions, from the full solution to a hostile one, and what each of them gets."""
import csv
import io
import json
import os
import re
import sys
import threading
import time
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest

from booktools import course, grade, gradebooks, sandbox, tasks
from classroom import hand_in, program, solved

LIMITS = sandbox.Limits(wall_seconds=40, cell_seconds=10, cpu_seconds=15)
WRONG = {"01.1": 2, "01.4": 1 / 8, "02.4": 0.5, "03.6": 2**30 / 1e9}  # typical slips
HONEST = 'answers = {"01.1": 7000 * 90 * 24 * 2 / 1e6}'
LOOP = "while True:\n    pass"
DEAF = "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass"
TYPES = """
import numpy as np
answers = {"01.1": "30.24", "01.3": np.float32(57 / 63), "01.4": None, "01.7": np.complex64(33.4), "02.3": np.bool_(True), "02.4": np.array([1.3])}
"""
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
        room / "in", full=solved(set1), empty=course.student(set1), slips=solved(set1, WRONG), loop=program(HONEST, LOOP, 'answers["01.3"] = 57 / 63'), deaf=program(HONEST, DEAF),
        gone=program(HONEST, "del answers"), types=program(TYPES),
        hog=program(HONEST, EAT, 'answers["01.3"] = 57 / 63'), spy=spy(port, canary))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRET_OF_THE_GRADER", "x")
        (folder / "paper.ipynb").write_text("%PDF-1.4")
        results, failed = grade.batch(set1, folder, room / "out", LIMITS)
        assert not failed
        return {result.student: result for result in results}


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


def test_endless_loop_costs_its_own_cell(graded, set1):
    assert graded["loop"].status == "finished" and graded["loop"].errors == ("code cell 2: TookTooLong",) and graded["loop"].earned == 3
    assert gradebooks.notes(set1, [graded["loop"]])[0] == "look at loop: finished; code cell 2: TookTooLong"


def test_a_loop_that_cannot_be_interrupted_is_stopped_and_keeps_what_it_had(graded):
    assert "ended early" in graded["deaf"].status and graded["deaf"].errors == ("code cell 2: did not end",) and graded["deaf"].earned == 1


def test_what_is_no_notebook_or_has_no_answers_is_told(graded):
    assert graded["paper"].errors == ("the file is no notebook",) and graded["paper"].earned == 0
    assert graded["gone"].errors == ("at the end there is no dictionary answers",) and graded["gone"].earned == 0


def test_only_numbers_are_answers_and_a_mark_keeps_what_was_given(graded):
    given = {m.exercise: m.given for m in graded["types"].marks}
    assert given == {**dict.fromkeys(given), "01.1": "str", "01.3": pytest.approx(57 / 63), "01.4": "NoneType", "01.7": "complex", "02.3": "bool", "02.4": "ndarray"}
    first, second = graded["types"].marks[:2]
    assert graded["types"].earned == second.earned == 2 and first.right == pytest.approx(30.24) and "but str" in first.feedback


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
    assert time.monotonic() - start < 30 and outcome.status == "was stopped after 6 seconds" and outcome.errors == ["code cell 3: did not end"] and outcome.answers["01.3"] == pytest.approx(57 / 63)


# --- no bubblewrap ---------------------------------------------------------------------------------------------------

def test_without_bubblewrap_nothing_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sandbox, "works", lambda: False)
    monkeypatch.setattr(sandbox, "ensure", lambda: False)
    folder = hand_in(tmp_path, a=program(f"open({str(tmp_path / 'ran')!r}, 'w')"))
    with pytest.raises(sandbox.NoSandbox, match="bubblewrap"):
        sandbox.run(folder / "a.ipynb")
    assert grade.main(Path(__file__).parents[2], ("set1", str(folder))) == 1 and "--trusted" in capsys.readouterr().out
    assert not (tmp_path / "ran").exists()


def test_what_this_machine_could_not_run_gets_no_mark(set1, tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox, "run", lambda *given: sandbox.read(b"", "ended early (status 1)"))
    results, failed = grade.batch(set1, hand_in(tmp_path / "in", ana=program(HONEST)), tmp_path / "out", LIMITS)
    assert results == [] and failed == ["ana (did not begin, ended early (status 1))"] and not list((tmp_path / "out").iterdir())


def test_a_set_handed_in_for_another_is_told(set1, tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox, "run", lambda *given: sandbox.Outcome("finished", {"04.2": 1.0, "04.4": 2.0}))
    result = grade.grade(set1, hand_in(tmp_path, ana=program(HONEST)) / "ana.ipynb", "ana", LIMITS)
    assert result.errors == ("all answers are of another set: 04.2, 04.4",) and gradebooks.notes(set1, [result])[0].startswith("look at ana")


def test_an_interrupted_class_says_how_to_go_on(set1, tmp_path, monkeypatch, capsys):
    def interrupted(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(grade, "batch", interrupted)
    monkeypatch.setattr(sandbox, "ensure", lambda: True)
    assert grade.main(Path(__file__).parents[2], ("set1", str(tmp_path))) == 130 and "goes on" in capsys.readouterr().out


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


def test_a_faulty_exercise_gives_its_points_to_everybody(set1, tmp_path):
    faulty, (notebook,) = replace(set1, free=("01.4",)), hand_in(tmp_path, ana=program(HONEST)).iterdir()
    marks = grade.mark(faulty, sandbox.Outcome("finished", {"01.4": 7.0}))
    assert {m.exercise: m.earned for m in marks if m.earned} == {"01.4": 2} and marks[2].given == 7.0
    assert grade.fingerprint(faulty, notebook) != grade.fingerprint(set1, notebook)


# --- names and gradebooks --------------------------------------------------------------------------------------------

UMLAUT = unicodedata.normalize("NFD", "Zoë Müller")
NAMES = ["ana.ipynb", "bo/set1.ipynb", "lee_LATE_4711_99_set1.ipynb", "Pat O'Brien.ipynb", "Mo Li_4712_assignsubmission_file_/x.ipynb",
         "Mo Ku_4713_assignsubmission_file_set1.ipynb", f"{UMLAUT}.ipynb", "cy (2).ipynb", ".ipynb_checkpoints/ana.ipynb", "eve.pdf", "di/set1.py"]


def put(folder, names):
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("{}")


def test_names_of_submissions(tmp_path):
    put(tmp_path, NAMES)
    assert sorted(grade.submissions(tmp_path)) == ["4711", "4712", "4713", "Pat O'Brien", "Zoë Müller", "ana", "bo", "cy (2)"]
    assert grade.remarks(tmp_path) == ["no notebook, or a link, and not graded: di", "no notebook, or a link, and not graded: eve.pdf", "late: lee_LATE_4711_99_set1.ipynb"]


@pytest.mark.skipif(os.name == "nt", reason="links need a right of their own there")
def test_a_link_to_the_work_of_another_is_no_submission(tmp_path):
    put(tmp_path, ["ana.ipynb"])
    (tmp_path / "thief.ipynb").symlink_to(tmp_path / "ana.ipynb")
    assert list(grade.submissions(tmp_path)) == ["ana"] and "thief.ipynb" in grade.remarks(tmp_path)[0]


@pytest.mark.parametrize("names, said", [(["a.ipynb", "a/x.ipynb", "b/1.ipynb", "b/2.ipynb"], "(?s)a: .*b: "), (["=cmd.ipynb"], "rename"), (["+1.ipynb"], "rename"), ([], "no notebook")])
def test_names_that_a_gradebook_cannot_take(tmp_path, names, said):
    put(tmp_path, names)
    with pytest.raises(SystemExit, match=said):
        grade.submissions(tmp_path)


MARKS = (grade.Mark("01.1", 1, 0, "01.1: not yet, too large", 60.0, 30.24), *(grade.Mark("", 2, 2, "", 1.0, 1.0) for _ in range(9)))
RESULTS = [grade.Result("4711", "", 13, 20, "was stopped after 6 seconds", MARKS, ("code cell 2, 01.3: KeyError",))]
SAID = "The notebook was stopped after 6 seconds. 01.1: not yet, too large. Error: code cell 2, 01.3: KeyError."
ROSTER = "Student,ID,SIS User ID,SIS Login ID,Section,Set 1 (99)\n    Points Possible,,,,,20\nLee,4711,s1,lee,A,\nMo,4712,s2,mo,A,\n"
WORKSHEET = ("Identifier,Full name,Email address,Grade,Maximum Grade,Last modified (grade),Feedback comments\n"
             'Participant 4711,Lee,lee@x.edu,,20.00,"Friday, 6 May",\nParticipant 4712,Mo,mo@x.edu,,20.00,-,\n')


def test_plain_gradebook(set1):
    rows = list(csv.DictReader(io.StringIO(gradebooks.plain(set1, RESULTS))))
    assert rows == [{"username": "4711", set1.title: "13", "feedback": SAID}]


def test_canvas_gradebook(set1):
    name, text, amiss = gradebooks.filled(set1, RESULTS, ROSTER, "Set 1 (99)")
    rows = list(csv.reader(io.StringIO(text)))
    assert name == "canvas.csv" and amiss == [] and rows[0] == [*gradebooks.CANVAS_COLUMNS, "Set 1 (99)"] and rows[1][-1] == "20"
    assert rows[2:] == [["Lee", "4711", "s1", "lee", "A", "13"], ["Mo", "4712", "s2", "mo", "A", ""]]


@pytest.mark.parametrize("called", ["4711", "lee@x.edu"])
def test_moodle_worksheet(set1, called):
    name, text, amiss = gradebooks.filled(set1, [replace(RESULTS[0], student=called)], WORKSHEET, "")
    rows = list(csv.reader(io.StringIO(text)))
    assert name == "moodle.csv" and amiss == [] and rows[0] == next(csv.reader([WORKSHEET.splitlines()[0]]))
    assert rows[1:] == [["Participant 4711", "Lee", "lee@x.edu", "13", "20.00", "Friday, 6 May", SAID], ["Participant 4712", "Mo", "mo@x.edu", "", "20.00", "-", ""]]


@pytest.mark.parametrize("roster, column, said", [
    (ROSTER.replace("4711", "4799"), "Set 1 (99)", "not in the roster.* 4711"), (ROSTER, "Set 2", "new assignment"),
    (ROSTER.replace(",20", ",100"), "Set 1 (99)", "100 points and the set to 20"), (WORKSHEET.replace("20.00", "100.00"), "", "100.00 points"), (WORKSHEET.replace("4711", "1"), "", "not in the roster")])
def test_what_is_amiss_in_a_roster_is_told_and_the_others_are_written(set1, roster, column, said):
    second = replace(RESULTS[0], student="4712", earned=7)
    _, text, amiss = gradebooks.filled(set1, [*RESULTS, second], roster, column)
    assert len(amiss) == 1 and re.search(said, amiss[0]) and ",7" in text


def test_two_names_of_one_student_are_told(set1):
    _, text, amiss = gradebooks.filled(set1, [*RESULTS, replace(RESULTS[0], student="lee", earned=7)], ROSTER, "Set 1 (99)")
    assert ",13" in text and len(amiss) == 1 and "lee (7 points)" in amiss[0]


@pytest.mark.parametrize("text", [ROSTER.replace(",", ";"), "", "a,b\n1,2\n"])
def test_a_roster_of_neither_kind_is_refused(set1, text):
    with pytest.raises(SystemExit, match="neither"):
        gradebooks.filled(set1, RESULTS, text, "Set 1 (99)")


def test_a_roster_that_cannot_be_read_is_refused_before_anything_runs(tmp_path):
    (tmp_path / "r.csv").write_bytes("Müller".encode("latin-1"))
    for name in ("r.csv", "none.csv"):
        with pytest.raises(SystemExit, match="cannot be read"):
            grade._roster(tmp_path / name)


def test_how_the_exercises_went(set1):
    rows = list(csv.DictReader(io.StringIO(gradebooks.by_exercise(set1, RESULTS))))
    assert [rows[0][name] for name in ("exercise", "right", "wrong", "no answer", "most often")] == ["01.1", "0", "1", "0", "not yet, too large (1)"] and rows[1]["right"] == "1"
    assert gradebooks.notes(set1, RESULTS) == ["look at 4711: was stopped after 6 seconds; code cell 2, 01.3: KeyError", "fewer than half are right in 01.1: 0 of 1"]


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


def test_on_windows_the_grader_says_where_it_runs(monkeypatch, capsys):
    monkeypatch.setattr(grade.sys, "platform", "win32")
    assert grade.main(Path(), ("set1", "in")) == 1
    assert "WSL" in capsys.readouterr().out
