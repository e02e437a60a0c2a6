"""Terms of the glossary, linked where a chapter uses them.

When a page is written, the first use of each term in each section of prose becomes a link to the glossary, and the page
carries the definitions once, as JSON, which terms.js shows on hover, focus and tap. The notebooks stay as they are.

Density is kept readable by three rules. A word of everyday English or of nearly every page (`EVERYDAY`) is linked once a
chapter. A word with a second meaning is linked only where the glossary's is meant (`ONLY_IN`). A paragraph that has
`MOST` links gets no more, but for a rare term that the page has not linked yet; others wait for their next use.
"""
from __future__ import annotations

import json
import re
from typing import NamedTuple

from docutils import nodes
from sphinx import addnodes

GLOSSARY = "book/glossary"
MOST = 3  # links a paragraph
UNLINKED = {"further-reading", "data-used"}  # sections that name papers and files
PAGES = re.compile(r"chapters/(\d+)_|book/measure$")

EVERYDAY = set("""
accelerator|activations|attention|bandwidth|batch|bf16|byte|chip-hour|claim|decode|die|engine|expert|FLOP|FLOP/s|floor|fp4|fp8|fp16|fp32|fp64|GPU|
H100-equivalent|host|inference|int8|interval|kernel|key and value head|layer|load|loss|list price|node|parameter|prefill|query head|sequence|stage|SXM|switch|tile|
token|TPU|transformer|verdict|wafer
""".replace("\n", "").split("|"))

ONLY_IN = {  # chapters in which the word has the glossary's meaning
    "acceptance": {8}, "confidence": {1}, "edge": {14}, "stage": {5, 8}, "register": {2, 9}, "calibrated": {5, 8, 9}, "break-even utilisation": {10}, "bubble": {5}, "claim": {1}, "engine": {8, 9, 11}, "fab": {13, 14},
    "half-life": {15}, "floor": {7, 8, 9, 15}, "host": {7, 8, 9}, "layer": {1, 2, 3, 4, 5, 7, 8, 9, 10, 11}, "load": {6, 8, 15}, "loss": {3, 4}, "mask": {14},
    "node": {14}, "pod": {10}, "slice": {10}, "substrate": {13, 14}, "switch": {10, 11}, "tier": {2},
    "tile": {2, 9, 10}, "yield": {13}, "fused": {2, 5, 9}, "selective recomputation": {5}, "launch": {7, 9}, "norm": {3}, "router": {3, 8}, "interval": {4, 7, 9, 12, 15}, "payback": {15},
    "sequence": {3, 4, 5, 7, 8, 9},
}

NOT_AFTER = {  # what stands before a word that means something else
    "inference": ("an ", "our ", "are "),  # a conclusion
    "stage": ("hold a ",),  # a part of a training run
}

ALSO = {  # other ways to write a term in the chapters; plurals and hyphens are found without
    "amortised cost": ["amortised"], "annuity": ["annuities"], "break-even utilisation": ["break-even"], "cache hit": ["hits in the cache", "found in the cache"], "compute-optimal": ["best split"], "critical batch": ["crossover"],
    "depreciation": ["straight-line depreciation"], "fine-tuning": ["fine-tune", "fine-tuned"], "FLOP/s": ["TFLOP/s", "PFLOP/s", "exaFLOP/s"], "fp4": ["FP4"],
    "fp8": ["FP8"], "GPU poor": ["GPU rich"], "GQA": ["grouped-query attention"], "HBM": ["high-bandwidth memory"], "HFU": ["hardware FLOPs utilisation"],
    "interval": ["80 % interval"], "keys and values": ["key and value"], "least-squares fit": ["least-squares"], "MBU": ["model bandwidth utilisation"], "MFU": ["model FLOPs utilisation"],
    "MHA": ["multi-head attention"], "MLA": ["latent attention", "multi-head latent attention"], "MQA": ["multi-query attention"],
    "MTBF": ["mean time between failures"], "Murphy's model": ["Murphy"], "overtrained": ["overtraining"], "Pareto frontier": ["Pareto front", "Pareto"], "Poisson yield": ["Poisson"],
    "PUE": ["power usage effectiveness"], "quantised weights": ["quantised"], "recurrent layer": ["recurrent"], "ridge point": ["ridge"], "Student's t": ["Student's"],
    "tied embedding": ["tied table"], "tier": ["ladder of memories"], "TPP": ["total processing performance"], "wafer bonder": ["bonder"], "Wilson interval": ["Wilson's"], "ZeRO": ["ZeRO-1", "ZeRO-3"], "selective recomputation": ["selective"], "structured sparsity": ["sparsity"],
    "feed-forward block": ["feed-forward"], "H100-equivalent": ["H100 equivalent"], "memory-bound": ["memory bound"], "local steps": ["local step"],
    "active parameters": ["active parameter"], "activations": ["activation"], "threshold rule": ["threshold rules"], "DDR5": ["DDR"],
}

SILENT = (nodes.title, nodes.rubric, nodes.caption, nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.reference, nodes.raw,
          nodes.figure, nodes.footnote, nodes.citation, nodes.comment, nodes.term, nodes.thead, addnodes.pending_xref, addnodes.index)


class Term(NamedTuple):
    """An entry of the glossary."""

    name: str
    anchor: str
    definition: str
    title: str


# --- the glossary -----------------------------------------------------------------------------------------------------

def entries(glossary: nodes.document) -> list[Term]:
    """The entries of a page. Terms that share a definition are one entry under the name of the first."""
    found = []
    for item in glossary.findall(nodes.definition_list_item):
        written = list(item.findall(nodes.term))
        names, definition = [_without_index(term) for term in written], next(item.findall(nodes.paragraph)).astext()
        found += [Term(name, written[0]["ids"][0], definition, ", ".join(names)) for name in names]
    return found


def _without_index(term: nodes.term) -> str:
    return "".join(part.astext() for part in term.children if not isinstance(part, addnodes.index)).strip().replace("’", "'")


def forms(name: str) -> list[str]:
    """Patterns of the ways to write a term: singular and plural, words joined by a blank or a hyphen."""
    barred = "".join(f"(?<!{before})" for before in NOT_AFTER.get(name, ()))
    return [barred + _form(written) for written in [name, *ALSO.get(name, [])]]


def _form(written: str) -> str:
    words = re.split(r"[\s-]+", written)
    head = words.index("of") - 1 if "of" in words[1:] else len(words) - 1  # mixtures of experts
    words = [_any_case(word) + (_plural(word) if at == head else "") for at, word in enumerate(words)]
    return r"[\s-]+".join(words)


def _any_case(word: str) -> str:
    """A word of small letters may begin a sentence; MFU and CoWoS are written one way."""
    plain = re.escape(word).replace("'", "['’]")
    return f"[{word[0].upper()}{word[0]}]{plain[1:]}" if word.islower() and word[0].isalpha() else plain


def _plural(word: str) -> str:
    return "(?:es|s)?" if re.search(r"(?:s|x|ch|sh)$", word) else "s?"


def pattern(terms: list[Term]) -> tuple[re.Pattern, dict[str, Term]]:
    """One pattern for all terms, the longest first, and the term of each of its groups."""
    pairs = [(form, term) for term in terms for form in forms(term.name)]
    pairs.sort(key=lambda pair: len(pair[0]), reverse=True)
    groups = {f"t{at}": term for at, (_, term) in enumerate(pairs)}
    either = "|".join(f"(?P<t{at}>{form})" for at, (form, _) in enumerate(pairs))
    return re.compile(rf"(?<![\w$/.\-–])(?:{either})(?![\w/\-–]|\.\w)"), groups


# --- a page -----------------------------------------------------------------------------------------------------------

class Linker:
    """Links terms of one page, paragraph by paragraph, and remembers which it has linked where."""

    def __init__(self, terms: list[Term], chapter: int, address: str):
        self.chapter, self.address = chapter, address
        allowed = [term for term in terms if chapter in ONLY_IN.get(term.name, {chapter})]
        self.pattern, self.groups = pattern(allowed)
        self.used: dict[str, Term] = {}
        self.section: set[str] = set()

    def page(self, document: nodes.Element) -> None:
        top = next(document.findall(nodes.section), document)
        for part in top.children:
            self.section = set()
            for block in [] if UNLINKED & set(part["ids"]) else list(part.findall(nodes.paragraph)):
                self.block(block)

    def block(self, block: nodes.Element) -> None:
        room = MOST
        for text in [t for t in block.findall(nodes.Text) if _is_open(t)]:
            pieces = self.split(str(text), room)
            links = sum(isinstance(piece, nodes.reference) for piece in pieces)
            if links:
                text.parent.replace(text, pieces)
                room -= links

    def split(self, text: str, room: int) -> list[nodes.Node]:
        """The text as plain pieces and at most `room` links."""
        pieces, end = [], 0
        for match in self.pattern.finditer(text):
            term = self.groups[match.lastgroup]
            if self.is_due(term) and (room > 0 or self.is_rare(term)):
                pieces += [nodes.Text(text[end:match.start()]), self.link(match[0], term)]
                end, room = match.end(), room - 1
        return [*pieces, nodes.Text(text[end:])]

    def is_due(self, term: Term) -> bool:
        return term.anchor not in (self.used if term.name in EVERYDAY else self.section)

    def is_rare(self, term: Term) -> bool:
        return term.anchor not in self.used and term.name not in EVERYDAY

    def link(self, shown: str, term: Term) -> nodes.reference:
        self.section.add(term.anchor)
        self.used[term.anchor] = term
        return nodes.reference("", shown, internal=True, refuri=f"{self.address}#{term.anchor}", classes=["book-term"])


def _is_open(text: nodes.Text) -> bool:
    """Whether a text may hold a link: nothing around it, up to the page, is a title, code, a formula or a link."""
    node = text.parent
    while node is not None:
        if isinstance(node, SILENT) or (isinstance(node, nodes.emphasis) and len(node.astext().split()) > 2):  # the title of a work
            return False
        node = node.parent
    return True


def definitions(used: dict[str, Term]) -> nodes.raw:
    """The definitions that a page needs, for terms.js."""
    told = {anchor: [term.title, term.definition] for anchor, term in sorted(used.items())}
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    return nodes.raw("", f'<script type="application/json" id="book-terms">{text}</script>', format="html")


def link_terms(app, document: nodes.document, docname: str) -> None:
    page = PAGES.match(docname)
    if app.builder.format != "html" or page is None or GLOSSARY not in app.env.all_docs:
        return
    linker = Linker(glossary_terms(app), int(page[1] or 0), app.builder.get_relative_uri(docname, GLOSSARY))
    linker.page(document)
    if linker.used:
        document += definitions(linker.used)


def glossary_terms(app) -> list[Term]:
    """The glossary's entries, read once a build."""
    if not hasattr(app, "book_terms"):
        app.book_terms = entries(app.env.get_doctree(GLOSSARY))
    return app.book_terms


def users_of(app, env) -> list[str]:
    """Pages to write again when the glossary has changed."""
    return [docname for docname in env.all_docs if GLOSSARY in app.book_changed and PAGES.match(docname)]


def note_changed(app, env, added, changed, removed) -> list[str]:
    app.book_changed = added | changed | removed
    return []


def page_scripts(app, pagename, templatename, context, doctree) -> None:
    if 'id="book-terms"' in (context.get("body") or ""):
        app.add_js_file("terms.js", loading_method="defer")


def setup(app):
    app.connect("env-get-outdated", note_changed)
    app.connect("env-updated", users_of)
    app.connect("doctree-resolved", link_terms)
    app.connect("html-page-context", page_scripts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
