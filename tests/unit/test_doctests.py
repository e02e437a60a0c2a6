"""The examples in the docstrings say what the functions give."""
import doctest
import importlib
import pkgutil

import pytest

import siliconomics as si

MODULES = sorted(f"siliconomics.{module.name}" for module in pkgutil.iter_modules(si.__path__))


def examples(name):
    """The doctests of a module; compiled kernels hold theirs in the function that they wrap."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    module = importlib.import_module(name)
    return [found for found in finder.find(module, name) if found.examples]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    runner = doctest.DocTestRunner(verbose=False)
    for found in examples(name):
        found.globs["si"] = si
        said = []
        runner.run(found, out=said.append)
        assert not said, "".join(said)


def test_main_modules_have_examples():
    """A reader of the API page finds at least one worked call in each module that computes."""
    computing = ("catalog", "transformer", "scaling", "network", "fleet", "fab", "chain", "markets", "measurements", "claims", "units")
    assert [m for m in computing if not examples(f"siliconomics.{m}")] == []
