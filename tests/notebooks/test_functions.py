"""Chapters call the core: no function is written twice, none grows long, and `code/` stays a plain folder."""
import ast
import code
from collections import defaultdict
from pathlib import Path

from booktools import notebooks

ROOT = Path(__file__).resolve().parents[2]
MAX_FUNCTION_LINES = 15


def functions():
    """Yield (chapter, name, lines) of every function that a chapter defines."""
    for path in notebooks.chapters(ROOT):
        for cell in notebooks.code_cells(notebooks.read(path)):
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    yield path.stem, node.name, node.end_lineno - node.lineno + 1


def test_no_function_is_defined_twice():
    places = defaultdict(list)
    for chapter, name, _ in functions():
        places[name].append(chapter)
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_no_function_is_long():
    assert [found for found in functions() if found[2] > MAX_FUNCTION_LINES] == []


def test_code_folder_does_not_hide_the_standard_library():
    assert not (ROOT / "code" / "__init__.py").exists()
    assert hasattr(code, "InteractiveConsole")


def test_chapters_folder_holds_only_notebooks():
    assert [path.name for path in (ROOT / "chapters").iterdir() if path.suffix != ".ipynb" and not path.name.startswith(".")] == []
