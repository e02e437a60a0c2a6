"""Coursework from the chapters: problem sets for students, with solutions for instructors, and in otter's form for its autograder.

The exercises stand in the chapters and nowhere else; `book/course/sets.yml` says which of them make a set. A set carries the
statements of its chapter that its solutions need, so a student can begin without running the chapter.
"""
from __future__ import annotations

import ast
import builtins
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nbformat
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_raw_cell

from . import notebooks

SETS = Path("book", "course", "sets.yml")
BUILT = Path("_build", "course")
DIRECTIVE = re.compile(r"^(?P<fence>:::+|```+)\{exercise(?:-start)?\}[ \t]*(?P<title>[^\n]*)\n(?P<body>.*?)^(?P=fence)\s*$", re.MULTILINE | re.DOTALL)
OPTION = re.compile(r"^:\w+:.*\n", re.MULTILINE)
CHANGING = {"append", "extend", "update", "add", "add_edge", "add_edges_from", "add_node", "add_nodes_from"}  # methods that change a value in place
CHECK = re.compile(r"^si\.check\(.*\)\s*$", re.MULTILINE)
LEVELS = ("easy", "medium", "hard")


@dataclass(frozen=True)
class Exercise:
    """One exercise of a chapter: its statement, its solution, what its tags say and what of the chapter it needs."""

    id: str
    title: str
    chapter: str
    statement: str
    level: str
    minutes: int
    objective: int
    solution: nbformat.NotebookNode
    setup: tuple[str, ...]


@dataclass(frozen=True)
class ProblemSet:
    """A set as sets.yml names it."""

    id: str
    title: str
    week_of_6: int
    week_of_12: int
    exercises: tuple[Exercise, ...]
    points_of_level: dict[str, int]
    package: str  # what pip installs
    free: tuple[str, ...] = ()  # exercises that turned out to be faulty: whoever hands in gets their points

    def points(self, exercise: Exercise) -> int:
        return self.points_of_level[exercise.level]

    def total(self) -> int:
        return sum(map(self.points, self.exercises))

    def minutes(self) -> int:
        return sum(exercise.minutes for exercise in self.exercises)


# --- what the chapters hold ------------------------------------------------------------------------------------------

@cache
def exercises(root: Path) -> dict[str, Exercise]:
    """Every exercise of the chapters by id, in their order."""
    return {one.id: one for path in notebooks.chapters(root) for one in _of_chapter(notebooks.read(path))}


def _of_chapter(nb: nbformat.NotebookNode) -> list[Exercise]:
    found, code = [], []
    for cell, after in zip(nb.cells, [*nb.cells[1:], None]):
        if "exercise" in notebooks.tags(cell):
            found.append(_exercise(chapter_title(nb), cell, after, code))
        elif cell.cell_type == "code" and "solution" not in notebooks.tags(cell):
            code.append(cell.source)
    return found


def chapter_title(nb: nbformat.NotebookNode) -> str:
    return nb.cells[0].source.splitlines()[0].removeprefix("# ").split(" · ", 1)[1]


def _exercise(chapter: str, cell: nbformat.NotebookNode, solution: nbformat.NotebookNode, code: list[str]) -> Exercise:
    tags, match = notebooks.tags(cell), DIRECTIVE.search(cell.source)
    value = lambda pattern: next(m[1] for tag in tags if (m := re.fullmatch(pattern, tag)))  # noqa: E731
    return Exercise(
        id=value(r"id-(.+)"), title=match["title"], chapter=chapter, statement=_plain(OPTION.sub("", match["body"])),
        level=next(level for level in LEVELS if level in tags), minutes=int(value(r"(\d+)min")), objective=int(value(r"obj-(\d)")),
        solution=solution, setup=tuple(needed(code, solution.source)))


def _plain(text: str) -> str:
    """Markdown that every notebook editor shows: a citation becomes its key, a reference its target."""
    text = re.sub(r"\{cite(?::\w+)?\}`([^`]+)`", r"[\1]", text)
    return re.sub(r"\{\w+(?::\w+)?\}`([^`]+)`", r"\1", text).strip()


def needed(code: list[str], solution: str) -> list[str]:
    """The top-level statements of `code`, in order, on whose names `solution` depends, directly or through one another."""
    statements = [(source, node) for source in code for node in ast.parse(source).body]
    late: set[str] = set()  # what the kept functions read when they are called, after all statements have run
    while True:
        kept = _slice(statements, _read_in_order(ast.parse(solution).body) | late)
        found = {name for _, node in kept if isinstance(node, ast.FunctionDef) for name in _free(node) - set(dir(builtins))}
        if found <= late:
            return list(dict.fromkeys(ast.get_source_segment(source, node) for source, node in kept))
        late |= found


def _slice(statements: list[tuple[str, ast.stmt]], wanted: set[str]) -> list[tuple[str, ast.stmt]]:
    kept = []
    for source, node in reversed(statements):
        if _bound(node) & wanted:
            wanted = (wanted - _bound(node) if _whole(node) else wanted) | _read_in_order([node])
            kept.append((source, node))
    return kept[::-1]


def _read_in_order(statements: list[ast.stmt]) -> set[str]:
    """Names that the statements take from before them, as `runs` in `runs = runs[1:]`."""
    wanted, bound = set(), set(dir(builtins))
    for node in statements:
        wanted |= _free(node) - bound - (_bound(node) if isinstance(node, (ast.For, ast.With)) else set())
        bound |= _bound(node)
    return wanted


def _free(node: ast.AST) -> set[str]:
    """Names that a piece of code reads and does not bind in a scope of its own."""
    found = {node.id} if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) else set()
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        found.add(node.target.id)
    for child in ast.iter_child_nodes(node):
        found |= _free(child)
    return found - _own(node)


def _own(node: ast.AST) -> set[str]:
    """What a function or a comprehension binds for itself."""
    if isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        return {name for part in node.generators for name in _bound(part.target)}
    if isinstance(node, (ast.FunctionDef, ast.Lambda)):
        body = node.body if isinstance(node.body, list) else []
        return {arg.arg for arg in ast.walk(node.args) if isinstance(arg, ast.arg)} | {name for part in body for name in _bound(part)}
    return set()


def _bound(node: ast.AST) -> set[str]:
    """Names that a statement binds, or changes in place by an index, an attribute or a method."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return {node.name}
    if isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda)):
        return set()
    if isinstance(node, ast.alias):
        return {(node.asname or node.name).split(".")[0]}
    if isinstance(node, ast.Name):
        return {node.id} if isinstance(node.ctx, ast.Store) else set()
    changed = {node.value.id} if isinstance(node, (ast.Subscript, ast.Attribute)) and _stores(node) and isinstance(node.value, ast.Name) else set()
    return changed.union(*map(_bound, ast.iter_child_nodes(node)))


def _stores(node: ast.AST) -> bool:
    return isinstance(node.ctx, ast.Store) or getattr(node, "attr", "") in CHANGING


def _whole(node: ast.AST) -> bool:
    """Whether a statement binds its names anew, so that what stood in them before no longer matters."""
    plain = isinstance(node, ast.Assign) and not any(isinstance(target, (ast.Subscript, ast.Attribute)) for target in node.targets)
    return plain or isinstance(node, (ast.FunctionDef, ast.Import, ast.ImportFrom))


# --- sets ------------------------------------------------------------------------------------------------------------

def problem_sets(root: Path) -> dict[str, ProblemSet]:
    """The sets of sets.yml; an exercise that no chapter has, or that two sets claim, is an error."""
    text = yaml.safe_load((root / SETS).read_text(encoding="utf-8"))
    have, package, found, seen = exercises(root), _package(root), {}, set()
    for entry in text["sets"]:
        ids = [str(id) for id in entry["exercises"]]
        if wrong := [id for id in ids if id not in have or id in seen]:
            raise ValueError(f"{SETS}: set {entry['id']} names {', '.join(wrong)}, which no chapter has or another set holds")
        free = tuple(str(id) for id in entry.get("free", ()))
        if wrong := [id for id in free if id not in ids]:
            raise ValueError(f"{SETS}: set {entry['id']} gives the points of {', '.join(wrong)}, which it does not hold")
        seen.update(ids)
        found[entry["id"]] = ProblemSet(entry["id"], entry["title"], entry["week_of_6"], entry["week_of_12"],
                                        tuple(have[id] for id in ids), text["points"], package, free)
    return found


def _package(root: Path) -> str:
    """What pip installs to run a set; the address of the book stands once, in _config.yml."""
    repository = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["repository"]
    return f"siliconomics @ git+{repository['url']}@{repository['branch']}"


def problem_set(root: Path, id: str) -> ProblemSet:
    sets = problem_sets(root)
    if id not in sets:
        raise SystemExit(f"no set {id!r}; there are {', '.join(sets)}")
    return sets[id]


# --- notebooks -------------------------------------------------------------------------------------------------------

def _finish(one: ProblemSet, cells: list[nbformat.NotebookNode]) -> nbformat.NotebookNode:
    """A notebook with the same ids and metadata on every build."""
    for number, cell in enumerate(cells):
        cell.id = f"{one.id}-{number:03d}"
    return new_notebook(cells=cells, metadata=notebooks.NOTEBOOK_METADATA)


CONVENTIONS = "Peaks are dense, bandwidths count one direction, units are SI unless the exercise says otherwise."


def _opening(one: ProblemSet, audience: str, text: str) -> nbformat.NotebookNode:
    return new_markdown_cell(f"# {one.title}\n\n{audience} {len(one.exercises)} exercises, {one.total()} points, about {one.minutes()} minutes of work.\n\n{text}")


def _for_students(one: ProblemSet) -> str:
    return (f"Read the chapters first that are named below. The first cell needs Python 3.11 or newer and the package: `pip install \"{one.package}\"`.\n\n"
            "Replace each `...` by your computation. The value of `answer` at the end of a cell is what is marked, to 1 %: one number, in the unit that the "
            "exercise asks for. What you print is not marked, and a question in words you answer for yourself. `si.check` tells you whether the number is right, "
            f"and if not what kind of slip it looks like. {CONVENTIONS} A key in brackets, such as [hoffmann2022], names a source in the book's bibliography.\n\n"
            "Before you hand in, restart the kernel and run all cells. What is marked is one such run, without a network: what a cell uses must stand above it, "
            "and a cell that never ends costs its own exercise. Hand in this file with all its cells.")


FOR_INSTRUCTORS = (f"Each cell computes `answer`, where the students' notebook has `...`; it is right to 1 %. {CONVENTIONS} "
                   "What a cell prints beside the number answers the questions in words, which nobody marks.")


def _imports(one: ProblemSet) -> nbformat.NotebookNode:
    lines = {line for exercise in one.exercises for line in exercise.setup if line.startswith(("import ", "from "))}
    return new_code_cell("\n".join(sorted(lines | {"import siliconomics as si"}) + ["", "answers = {}"]))


def _chapter_setup(group: list[Exercise]) -> list[nbformat.NotebookNode]:
    """What the exercises of a chapter use of it, each statement once, in the order of the chapter."""
    lines = [line for exercise in group for line in exercise.setup if not line.startswith(("import ", "from "))]
    return [new_code_cell("# from the chapter\n" + "\n".join(dict.fromkeys(lines)))] if lines else []


def _statement(one: ProblemSet, exercise: Exercise) -> nbformat.NotebookNode:
    points = one.points(exercise)
    return new_markdown_cell(f"### {exercise.id} {exercise.title} ({points} point{'s' * (points != 1)})\n\n{exercise.statement}")


def _to_answer(exercise: Exercise) -> nbformat.NotebookNode:
    return new_code_cell(f'answer = ...\n\nanswers["{exercise.id}"] = answer\nsi.check("{exercise.id}", answer)')


def _solved(exercise: Exercise) -> nbformat.NotebookNode:
    stored = f'answers["{exercise.id}"] = answer\n'
    return new_code_cell(CHECK.sub(lambda check: stored + check[0], exercise.solution.source), outputs=exercise.solution.outputs)


def _by_chapter(one: ProblemSet) -> dict[str, list[Exercise]]:
    groups: dict[str, list[Exercise]] = {}
    for exercise in one.exercises:
        groups.setdefault(exercise.id[:2], []).append(exercise)
    return groups


def _notebook(one: ProblemSet, opening: nbformat.NotebookNode, cell_of) -> nbformat.NotebookNode:
    cells = [opening, _imports(one)]
    for chapter, group in _by_chapter(one).items():
        cells += [new_markdown_cell(f"## Chapter {int(chapter)} · {group[0].chapter}"), *_chapter_setup(group)]
        cells += [cell for exercise in group for cell in (_statement(one, exercise), cell_of(exercise))]
    return _finish(one, cells)


def student(one: ProblemSet) -> nbformat.NotebookNode:
    return _notebook(one, _opening(one, "Problem set.", _for_students(one)), _to_answer)


def instructor(one: ProblemSet) -> nbformat.NotebookNode:
    return _notebook(one, _opening(one, "Problem set with solutions, for instructors.", FOR_INSTRUCTORS), _solved)


def otter_master(one: ProblemSet) -> nbformat.NotebookNode:
    """The form that `otter assign` takes apart into a student notebook and an autograder archive."""
    config = "\n".join(["# ASSIGNMENT CONFIG", "init_cell: true", "export_cell: false", "check_all_cell: false", "generate:",
                        "  show_stdout: false", "requirements: requirements.txt", "tests:", "  files: false"])
    cells = [new_raw_cell(config), _opening(one, "Problem set.", _for_students(one)), _imports(one)]
    for group in _by_chapter(one).values():
        cells += [*_chapter_setup(group), *(cell for exercise in group for cell in _question(one, exercise))]
    return _finish(one, cells)


def _question(one: ProblemSet, exercise: Exercise) -> list[nbformat.NotebookNode]:
    name = f"q{exercise.id.replace('.', '_')}"
    solved = CHECK.sub("", exercise.solution.source).rstrip()
    solution = (f'# BEGIN SOLUTION NO PROMPT\n{solved}\n# END SOLUTION\n""" # BEGIN PROMPT\nanswer = ...\n""" # END PROMPT\n'
                f'\nanswers["{exercise.id}"] = answer\nsi.check("{exercise.id}", answer)')
    test = f'import siliconomics as si\nassert si.check("{exercise.id}", answers["{exercise.id}"])'
    raw = new_raw_cell
    return [raw(f"# BEGIN QUESTION\nname: {name}\npoints: {one.points(exercise)}"), _statement(one, exercise),
            raw("# BEGIN SOLUTION"), new_code_cell(solution), raw("# END SOLUTION"),
            raw("# BEGIN TESTS"), new_code_cell(test), raw("# END TESTS"), raw("# END QUESTION")]


def write(root: Path) -> list[Path]:
    """Write the student and instructor notebooks and the sources of the autograder bundles."""
    written = []
    for one in problem_sets(root).values():
        for name, make in (("student", student), ("instructor", instructor), ("otter", otter_master)):
            path = root / BUILT / name / f"{one.id}.ipynb"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(notebooks.text(make(one)), encoding="utf-8", newline="\n")
            written.append(path)
    return written


def write_hub(root: Path) -> None:
    """The hub's files, with the address of the book, which stands once, in _config.yml."""
    repository = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    out = root / BUILT / "hub"
    out.mkdir(parents=True, exist_ok=True)
    for path in (root / SETS.parent / "hub").iterdir():
        (out / path.name).write_text(path.read_text(encoding="utf-8").replace("COURSE_REPOSITORY", repository), encoding="utf-8", newline="\n")


# --- otter -----------------------------------------------------------------------------------------------------------

def assign(root: Path, python: Path) -> int:
    """Run `otter assign` on each set: a student notebook and an autograder archive, into _build/course/bundles/SET."""
    sources = root / BUILT / "otter"
    (sources / "requirements.txt").write_text(_package(root) + "\n", encoding="utf-8")
    for path in sorted(sources.glob("*.ipynb")):
        out = root / BUILT / "bundles" / path.stem
        shutil.rmtree(out, ignore_errors=True)  # an archive carries the time in its name: no old one stays
        print(f"otter assign {path.stem} ...", flush=True)
        done = subprocess.run([python, "-m", "otter", "assign", "--no-run-tests", path, out], cwd=sources, env=with_package(root), capture_output=True, text=True)
        if done.returncode:
            print(done.stderr[-2000:])
            return done.returncode
    return 0


def with_package(root: Path) -> dict[str, str]:
    """The environment of a process that imports the book's package without having it installed."""
    return {**os.environ, "PYTHONPATH": str(root / "code")}
