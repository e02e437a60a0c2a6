"""Stored chapters are in the one canonical form and were run from top to bottom without error; the checks can fail."""
import nbformat
import nbformat.v4 as nbf
import pytest

from booktools import notebooks


def test_chapter_is_canonical_and_executed(chapter_path):
    assert notebooks.problems(chapter_path) == []


def good() -> nbformat.NotebookNode:
    stream = nbf.new_output("stream", name="stdout", text="1\n")
    return notebooks.canonical(nbf.new_notebook(cells=[nbf.new_code_cell("print(1)", execution_count=1, outputs=[stream], id="a")]))


def stored(nb, tmp_path):
    path = tmp_path / "01_test.ipynb"
    path.write_text(notebooks.text(nb), encoding="utf-8", newline="\n")
    return notebooks.problems(path)


def test_good_chapter_has_no_problem(tmp_path):
    assert stored(good(), tmp_path) == []


def error(nb):
    nb.cells[0].outputs.append(nbf.new_output("error", ename="ValueError", evalue="", traceback=[]))


def stderr(nb):
    nb.cells[0].outputs.append(nbf.new_output("stream", name="stderr", text="warning"))


def no_output(nb):
    nb.cells[0].outputs.clear()


def wrong_count(nb):
    nb.cells[0].execution_count = 2


def timing(nb):
    nb.cells[0].metadata["execution"] = {"iopub.status.busy": "2026-01-01T00:00:00Z"}


def version(nb):
    nb.metadata["language_info"]["version"] = "3.11.7"


def long_cell(nb):
    nb.cells[0].source += "\n" * notebooks.MAX_LINES + "print(1)"


def install(nb):
    nb.cells[0].source = "%pip install x\nprint(1)"


def path_of_a_machine(nb):
    nb.cells[0].outputs[0].text = "/home/" + "reader/book.csv"


def bare_numpy(nb):
    nb.cells[0].outputs = [nbf.new_output("execute_result", data={"text/plain": "np.float64(1.0)"}, execution_count=1)]


def large(nb):
    nb.cells[0].outputs[0].text = "1" * (notebooks.MAX_OUTPUT_BYTES + 1)


def late_heading(nb):
    nb.cells.insert(0, nbf.new_markdown_cell("Text.\n\n## Heading", id="b"))


FAULTS = [error, stderr, no_output, wrong_count, timing, version, long_cell, install, path_of_a_machine, bare_numpy, large,
          late_heading]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_fault_is_found(fault, tmp_path):
    nb = good()
    fault(nb)
    assert len(stored(nb, tmp_path)) >= 1


@pytest.mark.parametrize(("source", "speaks"), [
    ("x = 1", False), ("x", True), ("print(x)", True), ("for x in y:\n    print(x)", True),
    ("def f():\n    print(1)", False), ("alt.theme();", False), ("assert x", False), ("# nothing", False),
])
def test_which_cells_must_have_an_output(source, speaks):
    assert notebooks.speaks(source) is speaks
