"""Every number that a chapter states in words stands in one of its stored outputs."""
import re

from booktools import notebooks, prose
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin


def test_prose_states_only_computed_numbers(chapter_path):
    assert prose.unsupported(notebooks.read(chapter_path)) == []


def sentences_in_formulas(text: str) -> list[str]:
    """Inline formulas, as MyST reads them, that hold words in a row: prose between two dollar signs that were meant as money."""
    reader = MarkdownIt().use(dollarmath_plugin, allow_space=True, allow_digits=True)
    text = re.sub(r"^(?:```|:::).*$", "", text, flags=re.MULTILINE)  # what a directive holds is read as well
    formulas = [token.content for block in reader.parse(text) for token in block.children or [] if token.type == "math_inline"]
    return [formula for formula in formulas if re.search(r"[a-z]{2,} [a-z]{2,}", re.sub(r"\\text\{[^}]*\}", "", formula))]


def test_no_sentence_is_set_as_a_formula(chapter_path):
    cells = [cell.source for cell in notebooks.read(chapter_path).cells if cell.cell_type == "markdown"]
    assert [formula for source in cells for formula in sentences_in_formulas(source)] == []


def test_money_without_a_backslash_is_noticed():
    assert sentences_in_formulas("It is $1.31, two thirds of it, or $1.54 with interest.") == ["1.31, two thirds of it, or "]
    assert sentences_in_formulas(r"It costs \$0.892 or \$0.595, and $p$ or $q$") == []
