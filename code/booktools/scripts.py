"""Scripts, fonts and icons of the pages: taken from installed Python packages, no more than a page needs, none from elsewhere."""
from __future__ import annotations

import base64
import io
import re
import shutil
from importlib.metadata import distribution
from pathlib import Path

MATHJAX_PARTS = ("tex-chtml.js", "output/chtml/fonts/woff-v2", "input/tex/extensions", "a11y",
                 *(f"sre/mathmaps/{name}.json" for name in ("base", "en", "nemeth")))  # formulas are spoken in the book's language, or in Braille
# The theme puts these on every page: 1.5 MB of icons, the whole search index, and a style for buttons that the book has not.
NOT_NEEDED = ("scripts/fontawesome.js", "searchtools.js", "language_data.js", "searchindex.js", "sphinx-thebe.css")
THEME_CSS = "styles/pydata-sphinx-theme.css"


# --- files ----------------------------------------------------------------------------------------------------------

def copy_scripts(app) -> None:
    """Put Vega and MathJax into the site from the installed packages."""
    if app.builder.format != "html":
        return
    copy_vega_and_mathjax(Path(app.outdir) / "_static")


def copy_vega_and_mathjax(static: Path) -> None:
    """Put both into a folder, if they are not there yet."""
    static.mkdir(parents=True, exist_ok=True)
    if not (static / "vega.js").exists():
        import vl_convert

        bundle = f"(function () {{{vl_convert.javascript_bundle()}\n}})();\n"  # its short names must not meet the theme's
        (static / "vega.js").write_text(bundle, encoding="utf-8", newline="\n")
    source = Path(distribution("sphinx-mathjax-offline").locate_file("sphinx-mathjax-offline/static/mathjax"))
    for part in MATHJAX_PARTS:
        _copy_missing(source / part, static / "mathjax" / part)


def _copy_missing(source: Path, target: Path) -> None:
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    (shutil.copytree if source.is_dir() else shutil.copy)(source, target)


def remove_unused(app, exception) -> None:
    """Leave out of the site what no page loads: the icon script, maps for debuggers, sources of translations."""
    if app.builder.format != "html" or exception:
        return
    for path in [*Path(app.outdir).rglob("_static/**/*.map"), *Path(app.outdir).glob("_static/locales/**/*.[mp]o"), Path(app.outdir) / "_static" / "scripts" / "fontawesome.js"]:
        path.unlink(missing_ok=True)


# --- icons ----------------------------------------------------------------------------------------------------------

def write_icons(app, exception) -> None:
    """Write icons.css: the theme's icon fonts, cut down to the icons that the pages show, inside the style sheet.

    Whatever it lacks, a browser still takes from the theme's whole fonts.
    """
    if app.builder.format != "html" or exception:
        return
    static = Path(app.outdir) / "_static"
    css = (static / THEME_CSS).read_text(encoding="utf-8")
    wanted = _glyphs(css, _icon_names(Path(app.outdir)))
    faces = re.findall(r"@font-face\{([^}]*Font Awesome[^}]*?)src:url\(([^)]+)\.woff2\)", css)
    rules = [f"@font-face{{{head}src:url({_subset((static / THEME_CSS).parent / f'{font}.ttf', wanted)})}}" for head, font in faces]
    (static / "icons.css").write_text("\n".join(rules) + "\n", encoding="utf-8", newline="\n")


def _icon_names(site: Path) -> set[str]:
    sources = [*site.rglob("*.html"), *(site / "_static" / "scripts").glob("*theme.js")]
    return {name for path in sources for name in re.findall(r"\bfa-[a-z0-9-]+", path.read_text(encoding="utf-8"))}


def _glyphs(css: str, names: set[str]) -> set[int]:
    """Return the code points of the named icons and of those that the theme's own rules write."""
    named = [glyph for rule, glyph in re.findall(r'((?:\.fa-[a-z0-9-]+:before,?)+)\{content:"([^"]+)"', css) if names & set(re.findall(r"fa-[a-z0-9-]+", rule))]
    own = re.findall(r'--pst-icon-[a-z-]+:"([^"]+)"', css)
    return {_code_point(glyph) for glyph in [*named, *own, r"\f107"]}  # the last: the book theme's arrow


def _code_point(glyph: str) -> int:
    return int(glyph[1:], 16) if glyph.startswith("\\") else ord(glyph)


def _subset(font: Path, code_points: set[int]) -> str:
    """Return the font, cut down, as a data address: browsers that refuse fonts to pages on file:// show it too."""
    from fontTools import subset, ttLib

    loaded = ttLib.TTFont(font, recalcTimestamp=False)  # the same bytes whenever it is built
    cutter = subset.Subsetter(subset.Options(notdef_outline=True))
    cutter.populate(unicodes=code_points)
    cutter.subset(loaded)
    loaded.flavor = "woff"
    out = io.BytesIO()
    loaded.save(out)
    return f"data:font/woff;base64,{base64.b64encode(out.getvalue()).decode()}"


# --- what a page loads ----------------------------------------------------------------------------------------------

def page_scripts(app, pagename, templatename, context, doctree) -> None:
    """Load the scripts of charts, formulas and long tables where there are any; drop thebe, which names a script server, and doubled inline scripts."""
    body = context.get("body") or ""
    scripts = context.get("script_files", [])
    unwanted = "thebe" if 'class="math' in body else "thebe|mathjax"
    scripts[:] = _kept(scripts, unwanted)  # in place: add_js_file below extends this list
    if 'class="vl-chart"' in body:
        app.add_js_file("book-vega.js", loading_method="defer")
    if re.search(r'<table class="[^"]*\b(ledger|data)\b', body):
        app.add_js_file("tables.js", loading_method="defer")


def _kept(scripts: list, unwanted: str) -> list:
    seen: set[str] = set()
    kept = []
    for script in scripts:
        body = getattr(script, "attributes", {}).get("body") or ""
        if re.search(unwanted, f"{getattr(script, 'filename', script)} {body}", re.I) or (body and body in seen):
            continue
        seen.add(body)
        kept.append(script)
    return kept


def lean(head: str) -> str:
    """Template filter: drop the tags of files that a page does not need."""
    return re.sub(r"<(script|link)\b[^>]*>(?:</script>)?\s*", lambda tag: "" if any(name in tag[0] for name in NOT_NEEDED) else tag[0], head)


def add_filter(app) -> None:
    if app.builder.format == "html":
        app.builder.templates.environment.filters["lean"] = lean


def setup(app) -> None:
    app.connect("builder-inited", copy_scripts)
    app.connect("builder-inited", add_filter)
    app.connect("html-page-context", page_scripts)
    app.connect("build-finished", write_icons)
    app.connect("build-finished", remove_unused)
    app.add_css_file("icons.css", priority=600)
