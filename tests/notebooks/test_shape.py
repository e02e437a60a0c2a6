"""Every chapter has the shape that readers come to know: the same parts in the same order, each with what belongs in it."""
import ast
import re
import statistics

import pytest

from booktools import notebooks, prose

OPENING = ["Objectives", "Before you start"]
CLOSING = ["How sure are we?", "Verdicts", "Summary", "Exercises", "Further reading", "Data used"]
SETTLES_NONE = {"09"}  # the chapter that measures the model's own error has no claims, hence no verdicts
VERBS = set("""add apply argue assess build calculate check choose compare compute convert correct count decide derive design
    distinguish draw estimate evaluate explain find fit forecast identify infer interpret invert judge list locate measure model
    name plan plot predict price rank read recognise recompute reconstruct reproduce say separate show simulate size sketch
    split state test trace translate turn use verify weigh""".split())
LIST_ITEM = re.compile(r"^(?:[-*]|\d+\.)\s+(.+)$", re.MULTILINE)
TAKEAWAY = re.compile(r"^(:::+|```+)\{admonition\} Takeaway\n(?P<text>.*?)^\1\s*$", re.MULTILINE | re.DOTALL)
EXERCISE = re.compile(r"^(?::::+|```+)\{exercise(?:-start)?\}", re.MULTILINE)


@pytest.fixture
def nb(chapter_path):
    return notebooks.read(chapter_path)


@pytest.fixture
def sections(nb):
    return {section.title: section for section in notebooks.sections(nb)}


@pytest.fixture
def number(chapter_path):
    return chapter_path.stem[:2]


def exercises(nb):
    """Pairs of an exercise and the cell after it."""
    return [(cell, after) for cell, after in zip(nb.cells, [*nb.cells[1:], None]) if "exercise" in notebooks.tags(cell)]


def test_parts_stand_in_order(sections, number):
    titles = [title for title in sections if title]
    closing = [title for title in CLOSING if title != "Verdicts" or number not in SETTLES_NONE]
    assert titles[:2] == OPENING
    assert titles[-len(closing):] == closing
    assert len(titles) > 2 + len(closing), "no content section"


def test_title_and_claims(sections, number):
    opening = sections[""].prose()
    assert re.findall(r"^# .+", opening, re.MULTILINE) == [opening.splitlines()[0]]
    claims = [line for line in opening.splitlines() if "laims" in line and "ledger" in line]
    assert claims, "no line of claims that links to the ledger"
    assert bool(re.search(r"\[[A-Z]{1,2}\d{2,3}\]\(", claims[0])) == (number not in SETTLES_NONE)


def test_objectives_are_three_to_five_verbs(sections):
    items = LIST_ITEM.findall(sections["Objectives"].prose())
    assert 3 <= len(items) <= 5
    assert [item for item in items if item.split()[0].strip("*,").lower() not in VERBS] == []


def test_before_you_start_names_the_time(sections):
    assert re.search(r"\d+ minutes", sections["Before you start"].prose())


def test_one_import_cell_comes_first(nb):
    trees = [ast.parse(cell.source) for cell in notebooks.code_cells(nb)]
    importing = [i for i, tree in enumerate(trees) if any(isinstance(node, (ast.Import, ast.ImportFrom)) for node in ast.walk(tree))]
    assert importing == [0]
    assert "import siliconomics as si" in notebooks.code_cells(nb)[0].source.splitlines()


def test_imports_are_used(nb):
    cells = notebooks.code_cells(nb)
    imported = [alias.asname or alias.name for node in ast.parse(cells[0].source).body if isinstance(node, ast.Import) for alias in node.names]
    rest = "\n".join(cell.source for cell in cells[1:])
    assert [name for name in imported if not re.search(rf"\b{name}\.", rest)] == []


def test_content_sections_end_in_a_takeaway_with_a_number(sections):
    for title, section in sections.items():
        if title and title not in OPENING + CLOSING:
            found = [match["text"] for match in TAKEAWAY.finditer(section.prose())]
            assert len(found) == 1 and re.search(r"\d", found[0].replace(":class: takeaway", "")), f"{title}: takeaways {found}"


def test_verdicts_are_computed(sections, number):
    if number in SETTLES_NONE:
        return
    code = "\n".join(cell.source for cell in sections["Verdicts"].cells if cell.cell_type == "code")
    assert re.search(r"si\.(verdict|claim_table)\(", code)


def test_uncertainty_is_computed(sections):
    assert any("tornado" in cell.source for cell in sections["How sure are we?"].cells if cell.cell_type == "code")


def test_exercises_are_labelled_in_order(nb, number):
    found = [notebooks.tags(cell) for cell, _ in exercises(nb)]
    assert len(found) >= 7
    assert [next(tag for tag in tags if tag.startswith("id-")) for tags in found] == [f"id-{number}.{k}" for k in range(1, len(found) + 1)]
    for tags in found:
        assert len({"easy", "medium", "hard"} & set(tags)) == 1, tags
        assert any(re.fullmatch(r"\d+min", tag) for tag in tags), tags
        assert any(re.fullmatch(r"obj-\d", tag) for tag in tags), tags
    assert any("find-the-error" in tags for tags in found)


def test_exercises_practise_every_objective(nb, sections):
    wanted = {f"obj-{k}" for k in range(1, 1 + len(LIST_ITEM.findall(sections["Objectives"].prose())))}
    assert wanted == {tag for cell, _ in exercises(nb) for tag in notebooks.tags(cell) if tag.startswith("obj-")}


def test_every_exercise_has_a_checked_solution(nb, number):
    for k, (statement, solution) in enumerate(exercises(nb), start=1):
        assert EXERCISE.search(statement.source), f"{number}.{k} is no exercise directive"
        assert solution is not None and {"solution", "hide-cell"} <= set(notebooks.tags(solution)), f"{number}.{k}"
        assert re.search(r"^answer\b.*=", solution.source, re.MULTILINE), f"{number}.{k} assigns no answer"
        assert f'si.check("{number}.{k}", answer)' in solution.source, f"{number}.{k} is not checked"


def test_solutions_are_right(nb):
    for statement, solution in exercises(nb):
        assert any(re.search(r"\bright\b", text) for text in notebooks.output_texts(solution)), statement.source


def test_code_is_short(nb):
    lengths = [len(cell.source.splitlines()) for cell in notebooks.code_cells(nb)]
    told = [cell for cell in notebooks.code_cells(nb) if "solution" not in notebooks.tags(cell)]  # solutions are folded away
    assert 15 <= len(lengths) and len(told) <= 30
    assert statistics.median(lengths) <= 8
    assert max(lengths) <= notebooks.MAX_LINES


def test_length_of_the_prose(nb):
    text = "\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")
    assert 2000 <= len(prose.CODE_FENCE.sub(" ", text).split()) <= 4000


def test_there_is_a_chart(nb):
    assert any("application/vnd.vegalite.v5+json" in out.get("data", {}) for cell in notebooks.code_cells(nb) for out in cell.outputs)
