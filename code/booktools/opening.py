"""The book's opening example as a picture: on the front page (directive ``opening-chart``) and on the card that other sites show."""
from __future__ import annotations

import html
from pathlib import Path

import altair as alt
import vl_convert
from sphinx.util.docutils import SphinxDirective

import siliconomics as si
from siliconomics.charts import FONT, PALETTE, finish, marker

from .altair_renderer import stable
from .figures import chart

CHIPS = ("A100 SXM 80GB", "H100 SXM", "H200 SXM", "MI300X", "B200 SXM")
CLAIMED = 30  # tokens per second, of which claims B07 and B08 say that no single chip reaches them
BELOW, ABOVE = f"{CLAIMED} out of reach", f"{CLAIMED} within reach"
CARD = (1200, 630)  # pixels


def ceilings() -> list[dict]:
    """Tokens per second that one chip cannot exceed on the model of claim B08, beside the claimed limit."""
    weights = si.verdict("B08").inputs["params"] * si.dtype_bytes("int8")
    rows = [{"chip": name, "tokens per second": round(1 / si.memory_floor(weights, name), 1)} for name in CHIPS]
    return [row | {"reach": ABOVE if row["tokens per second"] > CLAIMED else BELOW} for row in rows]


def opening_chart(rows: list[dict]):
    """Bars of the ceilings, the claimed limit as a dashed line."""
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("chip:N", sort=None, title=None), x=alt.X("tokens per second:Q", title="tokens per second, at most"))
    hues = alt.Scale(domain=[BELOW, ABOVE], range=[PALETTE["grey"], PALETTE["blue"]])
    bars = base.mark_bar(height=20).encode(
        color=alt.Color("reach:N", scale=hues, legend=alt.Legend(title=None)), tooltip=["chip:N", "tokens per second:Q"])
    figures = base.transform_calculate(at=f"max(datum['tokens per second'], {CLAIMED})").mark_text(align="left", dx=6).encode(
        x="at:Q", text=alt.Text("tokens per second:Q", format=".0f"))  # right of the line, also where the bar ends short of it
    return bars + marker(CLAIMED) + figures


def headline(rows: list[dict]) -> str:
    said = {row["chip"]: row["tokens per second"] for row in rows}
    return f"An A100 stays under {CLAIMED} tokens per second, an H100 need not: its ceiling is {said['H100 SXM']:.0f}"


class OpeningChart(SphinxDirective):
    """The chart of `ceilings` as a figure like those of the chapters."""

    def run(self):
        rows = ceilings()
        said = ", ".join(f"{row['chip']} {row['tokens per second']:.0f}" for row in rows)
        shown = finish(opening_chart(rows), headline(rows), f"Bars of the most tokens per second that one chip can write with 70 billion "
                       f"parameters in 8 bits: {said}. A dashed line marks the claimed limit of {CLAIMED}.", height=190,
                       subtitle="70 billion parameters in 8 bits, one user: bandwidth over bytes")
        return [chart(spec=stable(shown.to_dict()), classes=["output"])]


# --- the card --------------------------------------------------------------------------------------------------------

def card_svg(sign: str, title: str) -> str:
    """The card: the book's sign and title, the finding, and the chart; `sign` is an SVG."""
    rows = ceilings()
    drawn = opening_chart(rows).properties(width=900, height=240).configure(font=FONT, background="#fff").configure_view(strokeOpacity=0)
    spec = drawn.configure_axis(labelFontSize=20, titleFontSize=18, gridOpacity=0.35, labelLimit=260).configure_text(fontSize=20).to_dict()
    spec["layer"][0]["encoding"]["color"]["legend"] = None
    inner = vl_convert.vegalite_to_svg(spec, vl_version="6.4").replace("<svg ", '<svg x="70" y="260" ', 1)
    text = lambda y, size, weight, fill, said: (f'<text x="{70 if y > 130 else 160}" y="{y}" font-family="{html.escape(FONT)}" '  # noqa: E731
                                                f'font-size="{size}" font-weight="{weight}" fill="{fill}">{html.escape(said)}</text>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{CARD[0]}" height="{CARD[1]}"><rect width="100%" height="100%" fill="#fff"/>'
            f'<rect width="100%" height="14" fill="{PALETTE["blue"]}"/>' + sign.replace("<svg ", '<svg x="70" y="58" width="70" height="70" ', 1)
            + text(108, 44, 700, "#1f2530", title) + text(205, 28, 400, "#59606d", headline(rows)) + inner + "</svg>")


def write_pictures(static: Path, title: str) -> None:
    """Draw what browsers and other sites ask for from the sign and the palette: icons and the card."""
    sign = (static / "favicon.svg").read_text(encoding="utf-8")
    for name, size in (("favicon.png", 48), ("apple-touch-icon.png", 180)):
        (static / name).write_bytes(vl_convert.svg_to_png(sign, scale=size / 64))
    (static / "card.png").write_bytes(vl_convert.svg_to_png(card_svg(sign, title)))


def setup(app):
    app.add_directive("opening-chart", OpeningChart)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
