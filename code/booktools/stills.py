"""The still picture of a chart: what a page shows before, or without, its scripts, and on paper.

Colours of the palette stand in it as CSS variables, so that one picture serves the light page, the dark page and paper.
The same theme goes into the spec that book-vega.js draws, so that the live chart takes the place of the picture unseen.
"""
from __future__ import annotations

import html
import json
import re

WIDTH = 654  # pixels: the column of a window of 1280
VEGA_LITE = "6.4"
PALETTE = {
    "#0072b2": "blue", "#b35900": "orange", "#e69f00": "amber", "#009e73": "green",
    "#d55e00": "vermilion", "#8e5a94": "purple", "#56b4e9": "sky", "#6b7280": "grey",
}
TEXT, MUTED, LINE = (f"var(--book-{name})" for name in ("text", "muted", "line"))
GUIDE = {"labelColor": MUTED, "titleColor": TEXT, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": 500}
THEME = {
    "background": None, "font": "sans-serif", "text": {"color": TEXT}, "rule": {"color": MUTED}, "tick": {"color": MUTED},
    "axis": {**GUIDE, "domainColor": MUTED, "tickColor": MUTED, "gridColor": LINE, "labelSeparation": 4},
    "legend": {**GUIDE, "symbolBaseFillColor": MUTED, "symbolBaseStrokeColor": MUTED},
    "header": {"labelColor": MUTED, "titleColor": TEXT}, "title": {"color": TEXT, "subtitleColor": MUTED}, "view": {"stroke": None},
}
SAID_BY_THE_FIGURE = re.compile(r' (?:role|aria-[a-z]+|font-family|pointer-events)="[^"]*"')  # its label and its style sheet


def merged(base: dict, over: dict) -> dict:
    """Return `base` with the leaves of `over` in place of its own."""
    both = {key: merged(base[key], value) for key, value in over.items() if isinstance(value, dict) and isinstance(base.get(key), dict)}
    return {**base, **over, **both}


def named_colours(text: str) -> str:
    """Write the palette's colours as variables of the style sheet."""
    return re.sub(r"#[0-9a-f]{6}\b", lambda hit: f"var(--book-{PALETTE[hit[0].lower()]})" if hit[0].lower() in PALETTE else hit[0], text, flags=re.I)


def themed(spec: dict) -> dict:
    """Return the spec in the colours of the page, without the title, which stands above as text."""
    return {**{key: value for key, value in spec.items() if key != "title"}, "config": merged(spec.get("config", {}), THEME)}


def payload(spec: dict) -> str:
    """Return the themed spec as JSON that may stand in a script element."""
    return named_colours(json.dumps(themed(spec), separators=(",", ":"), sort_keys=True)).replace("</", "<\\/")


def still(spec: dict, name: str) -> str:
    """Draw the chart without a browser; a spec that Vega-Lite rejects raises ValueError."""
    import vl_convert

    drawn = themed(spec)
    if drawn.get("width") == "container":
        drawn |= {"width": WIDTH, "autosize": {"type": "fit-x", "contains": "padding"}}
    svg = vl_convert.vegalite_to_svg(drawn, vl_version=VEGA_LITE)
    svg = SAID_BY_THE_FIGURE.sub("", svg).replace('class="marks"', 'class="vl-still" aria-hidden="true"', 1)
    return named_colours(re.sub(r'(\bid="|url\(#)', rf"\g<1>{name}-", svg))  # ids of two charts must not meet


def awaited(spec: dict) -> str:
    """Return an empty line for each slider and menu, so that the page does not jump when the live ones come."""
    binds = [param["bind"] for param in spec.get("params", []) if "bind" in param]
    names = ["single out" if bind == "legend" else bind.get("name", "") for bind in binds]
    lines = "".join(f'<div class="vega-bind"><span class="vega-bind-name">{html.escape(name)}</span></div>' for name in names)
    return f'<div class="vl-awaited pst-js-only">{lines}</div>' if lines else ""
