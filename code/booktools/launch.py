"""Sphinx extension: chapters that open elsewhere. All addresses follow from `repository` in _config.yml.

The site gets the wheel of the core under dist/ and every chapter as a notebook for Colab under colab/: an install cell in
front, no outputs, and plain Markdown, since Colab shows roles and directives as they are written. The chapters stay clean.
"""
from __future__ import annotations

import re
import shutil
from pathlib import Path
from urllib.parse import quote, urlsplit

import nbformat
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from . import notebooks, package

ROOT = Path(__file__).resolve().parents[2]
DEPLOYED = "gh-pages"  # the branch that the site is published from; Colab reads notebooks from a branch
INSTALL = """# Colab does not have the book's package: this takes it from the book's own site.
%pip install -q "siliconomics[charts,cluster] @ {wheel}"
"""
HUB_FORM = """<form class="launch-hub" {data}><p><label>Address of the hub <input type="url" name="hub" placeholder="https://hub.example.org"></label>
<label>Chapter <select name="chapter">{options}</select></label></p><p><output></output></p></form>"""
BLOCK = re.compile(r"^(?P<fence>`{3,}|:{3,})\{(?P<kind>\w+)\} *(?P<title>.*)\n(?P<options>(?::[\w-]+:.*\n)*)(?P<body>(?:.*\n)*?)(?P=fence) *$", re.M)
LINK = re.compile(r"\]\((?!\w+:)(?P<path>[^)#\s]*)(?P<anchor>#[^)\s]*)?\)")


def places(repository: str, branch: str = "main") -> dict[str, str]:
    """Where the book stands, from the address of its repository."""
    owner, name = urlsplit(repository).path.strip("/").split("/")[:2]
    site = f"https://{owner.lower()}.github.io/{name}/"
    return {
        "repository": repository, "site": site, "binder": f"https://mybinder.org/v2/gh/{owner}/{name}/{branch}?urlpath=lab/tree/chapters",
        "colab": f"https://colab.research.google.com/github/{owner}/{name}/blob/{DEPLOYED}/colab/",
    }


# --- notebooks for Colab -----------------------------------------------------------------------------------------------

def plain_markdown(text: str, page: str, site: str) -> str:
    """MyST as Markdown that every viewer shows: blocks as quotes, citations and links as addresses of the site.

    Parameters
    ----------
    text : str
        The source of a cell.
    page : str
        The page it stands on, ``chapters/07_mbu``.
    site : str
        The address of the site, ending in a slash.
    """
    text = BLOCK.sub(_quote, text)
    text = re.sub(r"\{cite\}`([^`]+)`", lambda m: f"[{', '.join(_source(key.strip(), site) for key in m[1].split(','))}]", text)
    return LINK.sub(lambda m: f"]({_address(m['path'], m['anchor'] or '', page, site)})", text)


def _source(key: str, site: str) -> str:
    return f"[{key}]({site}book/bibliography.html#cite-{key})"


def _quote(block: re.Match) -> str:
    kind = "" if block["kind"] == "admonition" else f"{block['kind'].capitalize()}: "
    lines = [f"**{kind}{block['title']}**", "", *block["body"].strip("\n").splitlines()]
    return "\n".join(f"> {line}".rstrip() for line in lines)


def _address(path: str, anchor: str, page: str, site: str) -> str:
    if not path:  # MyST finds a claim's row on whatever page it stands
        target = "book/ledger" if anchor.startswith("#claim-") else page
    else:
        target = path.removeprefix("../") if path.startswith("../") else f"{page.rpartition('/')[0]}/{path}"
    return f"{site}{re.sub(r'[.](ipynb|md)$', '', target)}.html{anchor}"


def for_colab(nb: nbformat.NotebookNode, page: str, site: str, wheel: str) -> nbformat.NotebookNode:
    """`nb` with an install cell in front, without outputs, in plain Markdown; changed in place."""
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            cell.source = plain_markdown(cell.source, page, site)
        else:
            cell.outputs, cell.execution_count = [], None
    note = f"This is the notebook of [a page of Siliconomics]({site}{page}.html), made to run on Colab: choose *Runtime, Run all*."
    nb.cells[:0] = [nbformat.v4.new_markdown_cell(note, id="colab-note"),
                    nbformat.v4.new_code_cell(INSTALL.format(wheel=f"{site}dist/{wheel}"), id="colab-install")]
    return nb


def write_notebooks(app, error) -> None:
    """Put the wheel and the notebooks for Colab into the finished site."""
    if error or app.builder.name != "html":
        return
    out, site = Path(app.outdir), places(app.config.html_theme_options["repository_url"])["site"]
    for name in ("dist", "colab"):
        shutil.rmtree(out / name, ignore_errors=True)
    wheel = package.build_wheel(ROOT, out / "dist").name
    (out / "colab").mkdir()
    for path in notebooks.chapters(ROOT):
        page = f"chapters/{path.stem}"
        if page in app.env.found_docs:
            made = for_colab(notebooks.read(path), page, site, wheel)
            (out / "colab" / path.name).write_text(notebooks.text(made), encoding="utf-8", newline="\n")


# --- buttons and links -------------------------------------------------------------------------------------------------

def finish_page(app, pagename, templatename, context, doctree) -> None:
    """Let the Colab button of a chapter open the notebook that has the install cell; runs after the theme made the button.

    A page with a form for hub links gets the script that makes them.
    """
    if "launch-hub" in (context.get("body") or ""):
        app.add_js_file("launch.js", loading_method="defer")
    colab = places(app.config.html_theme_options["repository_url"])["colab"]
    for button in (b for group in context.get("header_buttons", []) for b in group.get("buttons", [])):
        if button.get("text") == "Colab":
            button["url"] = f"{colab}{quote(pagename.rpartition('/')[2])}.ipynb"


def place_role(name, rawtext, text, lineno, inliner, options=None, content=None):
    """``{place}`binder` `` prints an address of the book as a link."""
    theme = inliner.document.settings.env.config.html_theme_options
    address = places(theme["repository_url"], theme.get("repository_branch", "main")).get(text)
    if address is None:
        return [], [inliner.reporter.error(f"{rawtext}: no such place", line=lineno)]
    return [nodes.reference(rawtext, address, refuri=address)], []


class HubLink(SphinxDirective):
    """A form that makes the nbgitpuller link of a chapter for any JupyterHub."""

    def run(self) -> list[nodes.Node]:
        theme = self.config.html_theme_options
        chosen = "".join(f'<option value="{path.name}">{path.stem}</option>' for path in notebooks.chapters(ROOT))
        data = f'data-repository="{theme["repository_url"]}" data-branch="{theme.get("repository_branch", "main")}"'
        return [nodes.raw("", HUB_FORM.format(data=data, options=chosen), format="html")]


def setup(app):
    app.add_role("place", place_role)
    app.add_directive("hub-link", HubLink)
    app.connect("html-page-context", finish_page, priority=600)
    app.connect("build-finished", write_notebooks)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
