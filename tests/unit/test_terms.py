"""Links to the glossary: which words become one, how often, and where none may stand; and that the glossary is used and in order."""
import json
import re
from pathlib import Path

import pytest
from booktools import counts, terms
from booktools.terms import Linker, Term
from docutils import frontend, nodes, utils

ROOT = Path(__file__).resolve().parents[2]
GLOSSARY = [Term(name, f"term-{at}", f"what {name} is", name) for at, name in enumerate((
    "MFU", "batch", "micro-batch", "critical batch", "mixture of experts", "die", "yield", "KV cache", "HBM", "torus", "MBU"))]


def page(*blocks: nodes.Node, sections: int = 1) -> nodes.document:
    document = utils.new_document("page", frontend.get_default_settings())
    top = nodes.section()
    document += top
    for _ in range(sections):
        top += nodes.section("", nodes.title("", "The MFU"), *(block.deepcopy() for block in blocks))
    return document


def prose(text: str) -> nodes.paragraph:
    return nodes.paragraph("", text)


def linked(document: nodes.document, chapter: int = 13) -> list[str]:
    Linker(GLOSSARY, chapter, "../book/glossary.html").page(document)
    return [reference.astext() for reference in document.findall(nodes.reference) if "book-term" in reference["classes"]]


@pytest.mark.parametrize(("text", "found"), [
    ("The MFU of a run", ["MFU"]),
    ("mfu is no MFUx, and HBM3 is another", []),  # short forms are written one way
    ("Dies, and a die", ["Dies"]),  # capital, plural, first use only
    ("KV caches", ["KV caches"]), ("a KV-cache", ["KV-cache"]),
    ("Mixtures of experts and a mixture of experts", ["Mixtures of experts"]),
    ("the critical batch", ["critical batch"]),  # the longest term wins
    ("a micro-batch and mini-batches", ["micro-batch"]),
    ("batches", ["batches"]), ("tori, studies, died, batch-size", []),
    ("the wafer's die's edge", ["die"]),
])
def test_words_that_become_links(text, found):
    assert linked(page(prose(text))) == found


def test_a_link_leads_to_the_entry_and_leaves_the_text_as_it_was():
    document = page(prose("An MFU, then HBM."))
    linked(document)
    block = next(document.findall(nodes.paragraph))
    assert block.astext() == "An MFU, then HBM."
    assert [r["refuri"] for r in block.findall(nodes.reference)] == ["../book/glossary.html#term-0", "../book/glossary.html#term-8"]


def test_first_use_of_each_section_but_everyday_words_once_a_page():
    assert linked(page(prose("MFU and MFU of a batch"), prose("MFU"), sections=2)) == ["MFU", "batch", "MFU"]


def test_a_word_of_two_meanings_is_linked_where_the_glossary_means_it():
    text = "The yield is high"
    assert linked(page(prose(text)), chapter=13) == ["yield"]
    assert linked(page(prose(text)), chapter=8) == []


def test_what_stands_before_a_word_can_bar_it():
    every = [*GLOSSARY, Term("inference", "term-i", "use", "inference")]
    document = page(prose("That is our inference."), prose("Chips for inference."))
    Linker(every, 12, "g.html").page(document)
    assert [block.astext() for block in document.findall(nodes.paragraph) if next(block.findall(nodes.reference), None)] == ["Chips for inference."]


def test_sections_that_name_papers_and_files_have_no_links():
    document = page(prose("MFU"))
    next(section for section in document.findall(nodes.section) if section.parent is not document)["ids"] = ["further-reading"]
    assert linked(document) == []


def test_a_full_paragraph_takes_only_what_the_page_has_not_linked_and_the_rest_waits():
    crowd, again = "MFU, MBU, HBM, torus", prose("The torus again")
    assert linked(page(prose(crowd), sections=2)) == ["MFU", "MBU", "HBM", "torus", "MFU", "MBU", "HBM"]
    assert linked(page(prose(crowd), again, sections=2)) == ["MFU", "MBU", "HBM", "torus", "MFU", "MBU", "HBM", "torus"]
    assert linked(page(prose("MFU, MBU, HBM and a batch"))) == ["MFU", "MBU", "HBM"]


def test_curly_apostrophes_are_read_as_straight_ones():
    rule = [Term("Young's rule", "term-y", "the best time", "Young's rule")]
    for text in ("By Young's rule", "By Young’s rule"):
        document = page(prose(text))
        Linker(rule, 6, "g.html").page(document)
        assert len(list(document.findall(nodes.reference))) == 1


@pytest.mark.parametrize("silent", [
    nodes.title("", "", nodes.Text("MFU")), nodes.literal_block("", "MFU"), nodes.rubric("", "MFU"),
    nodes.paragraph("", "", nodes.literal("", "MFU"), nodes.math("", "MFU"), nodes.reference("", "MFU", refuri="x")),
    nodes.paragraph("", "", nodes.emphasis("", "The MFU of Things")), nodes.figure("", nodes.caption("", "MFU")), nodes.paragraph("", "", nodes.reference("", "", nodes.strong("", "MFU"), refuri="x")),
])
def test_no_link_in_titles_code_formulas_captions_and_links(silent):
    assert linked(page(silent)) == []


def test_links_stand_in_lists_tables_and_emphasis():
    item = nodes.bullet_list("", nodes.list_item("", nodes.paragraph("", "", nodes.strong("", "MFU"))))
    cell = nodes.table("", nodes.tgroup("", nodes.tbody("", nodes.row("", nodes.entry("", prose("HBM")))), cols=1))
    assert linked(page(item, cell)) == ["MFU", "HBM"]


def test_definitions_are_told_once_and_cannot_close_their_script():
    told = terms.definitions({"term-a": Term("a", "term-a", "less than </script>", "a")}).astext()
    assert told.count("</script>") == 1
    assert json.loads(told.partition(">")[2].removesuffix("</script>")) == {"term-a": ["a", "less than </script>"]}


def test_entries_of_several_terms_lead_to_one_place():
    item = nodes.definition_list_item("", nodes.term("", "HHI", ids=["term-hhi"]), nodes.term("", "Herfindahl index", ids=["term-h"]),
                                      nodes.definition("", prose("Sum of squares."), prose("More.")))
    document = page(nodes.definition_list("", item))
    assert terms.entries(document) == [Term(name, "term-hhi", "Sum of squares.", "HHI, Herfindahl index") for name in ("HHI", "Herfindahl index")]


# --- the glossary itself ----------------------------------------------------------------------------------------------

def names() -> list[list[str]]:
    """The terms of each entry, as written."""
    return [entry.split("\n")[:-1] for entry in counts.terms()]


def chapter_texts() -> dict[int, str]:
    found: dict[int, str] = {}
    for path in counts.notebooks.chapters(ROOT):
        cells = (cell.source for cell in counts.notebooks.read(path).cells if cell.cell_type == "markdown")
        text = re.sub(r"^```python\n.*?^```$", " ", "\n\n".join(cells), flags=re.MULTILINE | re.DOTALL)
        text = re.sub(r"^#+ .*|(?<!`)`[^`\n]+`(?!`)|\]\([^)]*\)|(?<!\\)\$[^$\n]+(?<!\\)\$", " ", text, flags=re.MULTILINE)
        found[int(path.name[:2])] = re.sub(r"[*\[\]]", "", text)
    return found


KEPT = {  # terms that no chapter writes in prose, and why they stay
    "chokepoint": "the title of chapter 14",
    "BLAS": "the API reference says it of `measure_machine`",
    "double buffering": "an argument of `systolic_utilisation`; chapter 10 explains it without the name",
    "working set": "the API reference says it of `measure_machine`",
}


def test_some_chapter_uses_every_term():
    texts = chapter_texts()
    used = {name: any(re.search(rf"(?<![\w-])(?:{'|'.join(terms.forms(name))})(?![\w-])", text) for chapter, text in texts.items()
                      if chapter in terms.ONLY_IN.get(name, {chapter})) for entry in names() for name in entry}
    assert [entry[0] for entry in names() if not any(used[name] for name in entry)] == sorted(KEPT, key=str.lower)


def test_the_glossary_is_in_order_and_names_nothing_twice():
    every = [name for entry in names() for name in entry]
    firsts = [re.sub(r"[^a-z0-9]", "", entry[0].lower()) for entry in names()]
    assert firsts == sorted(firsts) and len(set(every)) == len(every)


def test_the_rules_speak_of_terms_that_exist():
    every = {name for entry in names() for name in entry}
    assert (set(terms.ONLY_IN) | set(terms.ALSO) | terms.EVERYDAY) - every == set()
