"""The Altair renderer `book`: one small, repeatable MIME bundle per chart, drawn without a network.

Altair's `mimetype` renderer writes a type that nbformat rejects (only `+json` types may hold an object) and
its `html` renderer writes a random id and addresses of script servers. JupyterLab and VS Code draw the type below.
"""
from __future__ import annotations

import math
import sys

MIME = "application/vnd.vegalite.v5+json"
DIGITS = 6  # significant: enough to draw, too few to show the last bits of a processor


def title_text(spec: dict, part: str = "text") -> str:
    """Return the chart's title (or its "subtitle") as one line, empty if it has none."""
    title = spec.get("title") or {}
    if not isinstance(title, dict):
        title = {"text": title}
    text = title.get(part, "")
    return " ".join(text) if isinstance(text, list) else str(text)


def alt_text(spec: dict) -> str:
    """Return title and description, which every chart of the book must have.

    Raises
    ------
    ValueError
        When one of them is missing: the chart would say nothing to a reader who cannot see it.
    """
    title, description = title_text(spec).strip(), str(spec.get("description") or "").strip()
    for name, value in (("title", title), ("description", description)):
        if not value:
            raise ValueError(f"chart without {name}: set .properties(title=..., description=...) on the whole chart")
    return f"Chart: {title.rstrip('.')}. {description}"


def rounded(value):
    """Round every float inside `value` to DIGITS significant digits."""
    if isinstance(value, float) and math.isfinite(value):
        short = float(f"{value:.{DIGITS}g}")
        return int(short) if short.is_integer() and abs(short) < 1e15 else short
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return value


def stable(spec: dict) -> dict:
    """Return `spec` with rounded data and plain data set names (Altair names them by a hash of every bit)."""
    names = {old: f"data-{index}" for index, old in enumerate(spec.get("datasets", {}))}
    return _stable(spec, names)


def _stable(node, names: dict[str, str]):
    if isinstance(node, list):
        return [_stable(part, names) for part in node]
    if not isinstance(node, dict):
        return node
    return {key: _stable_part(key, part, names) for key, part in node.items()}


def _stable_part(key: str, part, names: dict[str, str]):
    if key == "datasets":
        return {names[name]: rounded(rows) for name, rows in part.items()}
    if key == "data" and isinstance(part, dict):
        part = {**part, **({"values": rounded(part["values"])} if "values" in part else {})}
        return {**part, **({"name": names[part["name"]]} if part.get("name") in names else {})}
    return _stable(part, names)


def book_renderer(spec: dict, **options):
    """Entry point `altair.vegalite.v6.renderer`."""
    label = alt_text(spec)
    if "google.colab" in sys.modules:  # Colab draws no Vega-Lite MIME type
        from altair.vegalite.v6.display import html_renderer

        return html_renderer(spec, **options)
    return {MIME: stable(spec), "text/plain": label}, {}
