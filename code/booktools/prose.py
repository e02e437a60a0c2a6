"""Numbers in a chapter's prose: each must stand, as written, in a stored text output of the same section.

nbval keeps the outputs true, so the sentences stay true with them. What is no result is let through: years, dates,
ids, names of chips and models, references, formula constants, exercise statements, and sentences that cite a source.
"""
from __future__ import annotations

import html
import re
from functools import lru_cache

import nbformat

from .notebooks import Section, output_texts, sections, tags

WHOLE_CHAPTER = {"", "Objectives", "Summary"}  # they speak about all sections, so any output of the chapter will do
NOT_CHECKED = {"Before you start", "Further reading", "Data used"}  # minutes, chapters, bibliography, dates

VALUE = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[+-]?\d+)?(?!\d)"
IN_PROSE = re.compile(rf"(?<![A-Za-z0-9_.,])(?<![A-Za-z]-){VALUE}")  # not the digits of H100, bf16, GPT-4
IN_OUTPUT = re.compile(rf"(?<![\d.,]){VALUE}")
UNIT = (
    r"(?:%|[mnuµkMGTPE]?(?:s|m|W|Wh|J|B|FLOPs?|bit)\b|[x×](?![A-Za-z])"
    r"|(?:tok|tokens?|USD|dollars?|cents?|percent|times|hours?|days?|years?)\b)"
)
MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
REFERENCE = (
    r"\b(?:[Ss]ection|[Cc]hapter|[Ee]quation|[Ff]igure|[Tt]able|[Ee]xercise|[Pp]art|[Ss]tep|[Vv]ersion)s?"
    r"\s+\(?\d+(?:\.\d+)*\)?(?:(?:,|\s*–|\s+(?:and|to|or))\s*\(?\d+(?:\.\d+)*\)?)*"
)

CODE_FENCE = re.compile(r"^(```+|~~~+)(?!\{(?:admonition|note|tip|important|warning)).*?^\1\s*$", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"(?P<role>\{[\w:-]+\}`[^`]*`)|(`+)(?!`).+?(?<!`)\2(?!`)", re.DOTALL)  # a role, {cite}`key`, is none
CLAIMS_LINE = re.compile(r"^.*\bClaims?\b.*\]\([^)]*ledger.*$", re.MULTILINE)
SENTENCE_END = re.compile(r"(?<=[.!?])(?:\*\*|\))?\s+(?=[A-Z*$`\[{(])|\n\s*\n|\n(?=\s*(?:[-*|:]|\d+\.\s))")
CITATION = re.compile(r"\{cite(?::\w+)?\}|\]\(https?://")
MATH = re.compile(r"\$\$(?P<display>.+?)\$\$|(?<![\\$])\$(?!\s)(?P<inline>[^$\n]+?)(?<![\s\\])\$(?!\d)", re.DOTALL)
MATH_CONSTANT = re.compile(r"[\^_]\s*(?:\{[^}]*\}|-?\d+)|(?<![\d.,])\d{1,2}(?![\d.,]*\d)")

EXEMPT = [re.compile(pattern, re.MULTILINE) for pattern in (
    r"\]\([^)]*\)|<https?://[^>]*>|https?://\S+|<!--.*?-->",
    r"^(?:#+|\s*)\s*\d+(?:\.\d+)*[.)·]?\s(?=\S)",  # numbers of headings and list items
    rf"\b\d{{4}}-\d{{2}}(?:-\d{{2}})?\b|\b\d{{1,2}} (?:{MONTHS})\b",
    r"(?<![\d.,$])(?:19|20)\d{2}s?\b(?![.,]\d)",  # years
    r"\b\d+\s?[x×]\s?(?=[A-Z])",  # 8x H100
    r"\b[A-Z]{1,2}\d{1,3}\b",  # claims B07, formulas F17
    REFERENCE,
    r"(?<![\d.,$])\d+(?:x\d+)?(?:\.\d+)?[BM]\b(?! (?:token|dollar))",  # sizes in names: 70B, 8x7B
    r"\b\d+[ -]bits?\b",  # the width of a data type is part of its name
    r"\b\d+(?:st|nd|rd|th)\b|10[⁰¹²³⁴-⁹]+",
    rf"(?<![\w.,$])\d(?![\w.,]*\d)(?!\s?{UNIT})",  # one digit without a unit: 2 matrices, 8 chips
)]


@lru_cache(maxsize=1)
def catalogue_names() -> re.Pattern:
    """Match the names of the catalogue and their stems ("Llama 3.1 405B", "Llama 3.1")."""
    import siliconomics as si

    full = [str(name) for table in (si.chips(), si.models()) for name in table.reset_index()["name"].unique()]
    stems = [stem[0] for name in full if (stem := re.match(r"[A-Za-z][^\d]* v?\d+(?:\.\d+)?", name))]
    longest_first = sorted({*full, *stems}, key=len, reverse=True)
    return re.compile(r"\b(?:" + "|".join(map(re.escape, longest_first)) + r")(?!\d)")


def _without_constants(match: re.Match) -> str:
    formula = (match["display"] or match["inline"]).replace("{,}", ",")
    return f" {MATH_CONSTANT.sub(' ', formula)} "


def numerals(text: str, names: re.Pattern | None = None) -> list[str]:
    """Return the numerals of Markdown `text` that state a result."""
    text = CODE_SPAN.sub(lambda span: span["role"] or " ", CODE_FENCE.sub(" ", text))
    text = CLAIMS_LINE.sub(" ", text)
    text = "\n\n".join(part for part in SENTENCE_END.split(text) if not CITATION.search(part))
    text = MATH.sub(_without_constants, text)
    for pattern in ([names] if names else []) + EXEMPT:
        text = pattern.sub(" ", text)
    return IN_PROSE.findall(text)


def stated(cells: list[nbformat.NotebookNode]) -> set[str]:
    """Return every numeral, as written, in the stored text outputs of `cells`."""
    texts = (html.unescape(re.sub(r"<[^>]*>", " ", text)) for cell in cells for text in output_texts(cell))
    return {numeral for text in texts for numeral in IN_OUTPUT.findall(text)}


def _statements(section: Section) -> str:
    cells = (cell for cell in section.cells if cell.cell_type == "markdown" and "exercise" not in tags(cell))
    return "\n\n".join(cell.source for cell in cells)


def unsupported(nb: nbformat.NotebookNode) -> list[str]:
    """Return one line per number in the prose that no stored output of its section shows."""
    names, found = catalogue_names(), []
    for section in sections(nb):
        if section.title in NOT_CHECKED:
            continue
        shown = stated(nb.cells if section.title in WHOLE_CHAPTER else section.cells)
        missing = [number for number in numerals(_statements(section), names) if number not in shown]
        found += [f"{section.title or 'opening'}: {number} stands in no stored output" for number in missing]
    return found
