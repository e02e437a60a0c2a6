"""The API page names every public thing once, under the module that defines it."""
import inspect
import re
from collections import Counter
from pathlib import Path

import pytest

import siliconomics as si
from booktools import directives

PAGE = Path(__file__).resolve().parents[2] / "book" / "api.md"
MODULES = [path.stem for path in directives.PACKAGE.glob("[a-z]*.py")]


def test_every_exported_name_stands_in_one_module():
    counts = Counter(name for module in MODULES for name in directives.exported_by(module))
    assert {n: counts[n] for n in si.__all__ if counts[n] != 1 and not inspect.ismodule(getattr(si, n))} == {}


def test_every_module_of_the_page_asks_a_question():
    asked = dict(re.findall(r"^(\w+): (.+)$", PAGE.read_text(encoding="utf-8"), re.M))
    assert {m for m in MODULES if directives.exported_by(m)} <= set(asked)
    assert all(question.endswith("?") or module == "kernels" for module, question in asked.items())


@pytest.mark.parametrize("module, name", [("decode", "mbu"), ("kernels", "mbu"), ("units", "DTYPE_BYTES"), ("checks", "BadValue")])
def test_names_are_found_where_they_are_computed(module, name):
    assert name in directives.public_names(module)


def test_compiled_formulas_are_listed_with_their_text():
    from siliconomics import kernels

    names = directives.public_names("kernels")
    assert {"attainable", "mfu", "decode_additive", "decode_grid"} <= set(names)
    assert all(getattr(kernels, name).__doc__ for name in names)


def test_every_public_function_says_what_it_does():
    missing = [f"{m}.{n}" for m in MODULES for n in directives.exported_by(m) if not (getattr(si, n).__doc__ or "").strip()]
    assert missing == []
