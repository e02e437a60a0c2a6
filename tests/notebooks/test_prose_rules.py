"""The rule on numbers in prose finds what it should and lets through what it should."""
import nbformat.v4 as nbf
import pytest

from booktools import prose

RESULTS = {
    "It takes 20.9 ms.": ["20.9"],
    "That is 9,481 tokens a second, or $0.469 per million.": ["9,481", "0.469"],
    "MBU falls by 8 %.": ["8"],
    "A token takes 7 ms.": ["7"],
    "The ratio is 2.95x.": ["2.95"],
    "Between 40–50 % of it.": ["40", "50"],
    "The page costs $3 an hour.": ["3"],
    "The floor is $20.9$ ms, $t = 6.7 \\times 10^{12}$.": ["20.9", "6.7"],
    "## The 20.9 ms floor": ["20.9"],
    "## 7.1 The 48.6 token limit": ["48.6"],
    "| chip | 47.9 |": ["47.9"],
    ":::{admonition} Takeaway\nTwo chips take 20.9 ms.\n:::": ["20.9"],
    "A citation ends here {cite}`pope2022`. But 31.5 ms has none.": ["31.5"],
    "One cites {cite}`pope2022`. Then 31.5 ms stand alone. Another cites {cite}`ainslie2023`.": ["31.5"],  # no code span from key to key
    "It is known {cite}`pope2022`. So 31.5 ms remain. See {cite}`dao2022`.": ["31.5"],
    "One training run used 2,000,000 hours.": ["2,000,000"],
    "$$ t = \\frac{2 N}{BW} = 1{,}979 $$": ["1,979"],
    "Meta trained on 15B tokens.": ["15"],
    "They paid $70B.": ["70"],
}
NO_RESULTS = [
    "In 2023, and on 17 November 2023 or 2023-11-17.",
    "Claims: [B07](../book/ledger.md), 140 GB said.",
    "See section 7.2, chapters 03 and 8, equation (7.1), exercise 07.3 and B07.",
    "Llama-2-70B in bf16 on 8x H100, GPT-4, a 70B model, 8x7B.",
    "The paper says 17 ms {cite}`pope2022`.",
    "The page says [17 ms](https://example.org/a).",
    "Run `si.decode(batch=64)` first.",
    "```python\nx = 64\n```",
    "A product takes $2 m n k$ FLOP, training $6 N$, so $10^{12}$ at $x_{16}$.",
    "A gated layer has 3 matrices on 8 chips.",
    "1. First\n2. Second",
    "The 13th token.",
    "In 16 bits, on 16-bit units.",
]


@pytest.mark.parametrize("text", RESULTS)
def test_result_is_found(text):
    assert prose.numerals(text) == RESULTS[text]


@pytest.mark.parametrize("text", NO_RESULTS)
def test_no_result_passes(text):
    assert prose.numerals(text) == []


def test_names_of_the_catalogue_are_no_results():
    assert prose.numerals("Llama 3.1 405B needs A100 SXM 80GB chips, Llama 3.1 too.", prose.catalogue_names()) == []


def chapter(*cells):
    return nbf.new_notebook(cells=[*cells])


def printed(text):
    return nbf.new_code_cell("print()", outputs=[nbf.new_output("stream", name="stdout", text=text)])


def test_number_must_stand_in_an_output_of_its_own_section():
    stated, elsewhere = nbf.new_markdown_cell("## A\n\nIt takes 20.9 ms."), nbf.new_markdown_cell("## B\n\nNothing.")
    assert prose.unsupported(chapter(stated, printed("20.9 ms"), elsewhere)) == []
    assert prose.unsupported(chapter(stated, elsewhere, printed("20.9 ms"))) == ["A: 20.9 stands in no stored output"]


@pytest.mark.parametrize("shown", ["20.90 ms", "120.9", "20.91", "2,009", "20"])
def test_number_must_stand_as_written(shown):
    said = nbf.new_markdown_cell("## A\n\nIt takes 20.9 ms.")
    assert prose.unsupported(chapter(said, printed(shown)))


def test_exercise_statements_are_free_and_solutions_are_not():
    statement = nbf.new_markdown_cell("A chip reads 3.5 TB/s.", metadata={"tags": ["exercise"]})
    assert prose.unsupported(chapter(nbf.new_markdown_cell("## Exercises"), statement)) == []
    assert prose.unsupported(chapter(nbf.new_markdown_cell("## Exercises"), nbf.new_markdown_cell("It is 3.5 ms.")))


def test_summary_may_repeat_any_section():
    early = nbf.new_markdown_cell("## A\n\nText.")
    assert prose.unsupported(chapter(early, printed("20.9 ms"), nbf.new_markdown_cell("## Summary\n\nAll of 20.9 ms."))) == []


def test_table_cells_count_as_output():
    table = nbf.new_output("execute_result", data={"text/html": "<td>20.9</td><td>9,481</td>"}, execution_count=1)
    said = nbf.new_markdown_cell("## A\n\n9,481 tokens in 20.9 ms.")
    assert prose.unsupported(chapter(said, nbf.new_code_cell("t", outputs=[table]))) == []
