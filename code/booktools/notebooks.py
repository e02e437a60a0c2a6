"""Chapters: execute them, bring them into the one stored form, and list what is wrong with them.

The notebooks are the only source of the chapters and are stored with their outputs. One form of a file
keeps diffs small and lets nbval compare a fresh run with the stored one.
"""
from __future__ import annotations

import ast
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},  # no version: the same file on every Python
}
CELL_METADATA = {"tags", "mystnb"}
OUTPUT_METADATA = {"scrapbook"}  # where myst_nb.glue keeps its key
MAX_LINES = 25
MAX_COLUMNS = 92  # what the column of the page shows without scrolling
MAX_OUTPUT_BYTES = 300_000
CELL_TIMEOUT = 120

ABSOLUTE_PATH = re.compile(r"(?<![\w:/.])/(?:home|Users|root|tmp|usr|opt|var|mnt|private|work)/\w|\b[A-Z]:\\\w")
INSTALL = re.compile(r"^\s*(?:[%!]\s*(?:pip|conda|mamba)\b|!)", re.MULTILINE)
HEADING = re.compile(r"## (?:\d+(?:\.\d+)*[.\s·]+)?(?P<title>.+)")
NUMPY_REPR = re.compile(r"\bnp\.\w+\(|\barray\(")


def chapters(root: Path, number: str | None = None) -> list[Path]:
    """Return the notebooks under `root`, all or those whose file name starts with `number`."""
    found = sorted((root / "chapters").glob("*.ipynb"))
    if number is None:
        return found
    chosen = [path for path in found if path.name.startswith(number.zfill(2))]
    if not chosen:
        raise ValueError(f"no chapter {number!r}; there are {[path.stem for path in found]}")
    return chosen


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def _keep(metadata: dict, names: set[str]) -> nbformat.NotebookNode:
    return nbformat.from_dict({key: value for key, value in metadata.items() if key in names})


def canonical(nb: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Bring `nb` into the stored form, in place: fixed metadata, no editor state, no images of charts."""
    nb.metadata = nbformat.from_dict(NOTEBOOK_METADATA)
    nb.nbformat, nb.nbformat_minor = 4, 5
    for cell in nb.cells:
        cell.metadata = _keep(cell.metadata, CELL_METADATA)
        cell.pop("attachments", None)
        if "outputs" in cell:
            cell.outputs = _one_stream(cell.outputs)
        for output in cell.get("outputs", []):
            _canonical_output(output)
    return nb


def _one_stream(outputs: list) -> list:
    """Join neighbouring pieces of one stream: where the kernel cuts it is chance."""
    joined = []
    for output in outputs:
        if joined and output.output_type == "stream" == joined[-1].output_type and output.name == joined[-1].name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def _canonical_output(output: nbformat.NotebookNode) -> None:
    if "metadata" in output:
        output.metadata = _keep(output.metadata, OUTPUT_METADATA)
    data = output.get("data", {})
    if any(mime.startswith("application/vnd.vega") for mime in data):
        for mime in ("text/html", "image/png", "image/svg+xml"):  # JupyterLab adds an image when it saves a chart
            data.pop(mime, None)


def text(nb: nbformat.NotebookNode) -> str:
    return nbformat.writes(nb, version=4).rstrip("\n") + "\n"


def execute(path: Path) -> float:
    """Run `path` in a fresh kernel in its own folder, store it in canonical form, return the seconds taken."""
    from nbclient import NotebookClient

    nb = read(path)
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    start = time.perf_counter()
    NotebookClient(
        nb, timeout=CELL_TIMEOUT, kernel_name="python3", record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
        extra_arguments=["--log-level=ERROR"],  # it warns that its traffic is plain; that does not leave this machine
    ).execute()
    path.write_text(text(canonical(nb)), encoding="utf-8", newline="\n")
    return time.perf_counter() - start


def code_cells(nb: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in nb.cells if cell.cell_type == "code" and cell.source.strip()]


def tags(cell: nbformat.NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def output_texts(cell: nbformat.NotebookNode) -> Iterator[str]:
    """Yield what a reader can read in the stored outputs of `cell`: streams, plain text and tables."""
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            yield output.text
        for mime in ("text/plain", "text/html", "text/markdown", "text/latex"):
            if mime in output.get("data", {}):
                yield output.data[mime]


@dataclass
class Section:
    """A `##` section of a chapter: its heading and the cells under it. What stands before the first has no heading."""

    title: str
    cells: list[nbformat.NotebookNode] = field(default_factory=list)

    def prose(self) -> str:
        return "\n\n".join(cell.source for cell in self.cells if cell.cell_type == "markdown")


def sections(nb: nbformat.NotebookNode) -> list[Section]:
    """Split a chapter at its `##` headings, which stand at the start of their cell; numbers before a heading are dropped."""
    found = [Section("")]
    for cell in nb.cells:
        heading = HEADING.match(cell.source) if cell.cell_type == "markdown" else None
        if heading:
            found.append(Section(heading["title"].strip()))
        found[-1].cells.append(cell)
    return found


def problems(path: Path) -> list[str]:
    """Return one line for each thing that keeps the stored notebook from being publishable."""
    nb = read(path)
    found = [] if text(canonical(read(path))) == path.read_text(encoding="utf-8") else ["not in canonical form"]
    for count, cell in enumerate(code_cells(nb), start=1):
        found += [f"cell {cell.id}: {what}" for what in _cell_problems(cell, count)]
    found += [line for cell in nb.cells for line in _late_headings(cell)]
    return [f"{path.name}: {what}" for what in found]


def _late_headings(cell: nbformat.NotebookNode) -> list[str]:
    lines = cell.source.splitlines()[1:] if cell.cell_type == "markdown" else []
    return [f"cell {cell.id}: heading {line!r} is not at the start of its cell" for line in lines if line.startswith("## ")]


def _cell_problems(cell: nbformat.NotebookNode, count: int) -> Iterator[str]:
    if cell.execution_count != count:
        yield f"execution count {cell.execution_count}, expected {count}: run the notebook from the top"
    if (lines := len(cell.source.splitlines())) > MAX_LINES:
        yield f"{lines} lines, at most {MAX_LINES}"
    if (columns := max(map(len, cell.source.splitlines()))) > MAX_COLUMNS:
        yield f"a line of {columns} columns, at most {MAX_COLUMNS}"
    if INSTALL.search(cell.source):
        yield "installs something or calls the shell"
    if not cell.outputs and speaks(cell.source):
        yield "prints or ends in an expression, but has no stored output"
    if ABSOLUTE_PATH.search("\n".join([cell.source, *output_texts(cell)])):
        yield "holds an absolute path"
    for output in cell.outputs:
        yield from _output_problems(output, tags(cell))


def _output_problems(output: nbformat.NotebookNode, cell_tags: list[str]) -> Iterator[str]:
    if output.output_type == "error" and "raises-exception" not in cell_tags:
        yield f"stored error {output.ename}"
    if output.output_type == "stream" and output.name == "stderr":
        yield "stored stderr"
    if output.output_type == "execute_result" and NUMPY_REPR.search(output.data.get("text/plain", "")):
        yield "shows a bare NumPy value: format it"
    if (size := len(json.dumps(output))) > MAX_OUTPUT_BYTES:
        yield f"output of {size:,} bytes, at most {MAX_OUTPUT_BYTES:,}"


def speaks(source: str) -> bool:
    """Whether a run of `source` leaves an output: it prints, or its last statement is an expression."""
    if source.rstrip().endswith(";"):
        return False
    body = ast.parse(source).body
    outside_functions = [node for node in body if not isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    calls = (node for part in outside_functions for node in ast.walk(part) if isinstance(node, ast.Call))
    prints = any(isinstance(call.func, ast.Name) and call.func.id in ("print", "display") for call in calls)
    return prints or (bool(body) and isinstance(body[-1], ast.Expr))
