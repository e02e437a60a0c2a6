"""The one chart wrapper: palette, theme, title that states the finding, alt text. Tables of text, the tornado, the wafer map."""
from __future__ import annotations

import contextlib
import textwrap
from dataclasses import dataclass

import altair as alt
import numpy as np

from .checks import BadValue

with contextlib.suppress(Exception):  # without the book's tools Altair keeps its own renderer
    alt.renderers.enable("book")

PALETTE = {"blue": "#0072B2", "orange": "#E69F00", "green": "#009E73", "vermilion": "#D55E00",
           "purple": "#8E5A94", "sky": "#56B4E9", "grey": "#6B7280"}  # after Okabe and Ito: told apart by colour-blind readers
COLOURS = list(PALETTE.values())
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


def finish(chart, title: str, alt_text: str, height: int | None = 320, subtitle: str = ""):
    """Give a chart the book's look, a title that states the finding and a text alternative.

    Parameters
    ----------
    chart : altair.TopLevelMixin
    title : str
        The finding, in a few words. Long titles are broken into lines that a phone can show.
    alt_text : str
        What a reader who cannot see the chart should know: axes, marks, finding.
    height : int, optional
        Pixels; None leaves the chart's own.
    subtitle : str
        Units or conditions.

    Raises
    ------
    BadValue
        If title or alternative text is missing.
    """
    for name, text in (("title", title), ("alt_text", alt_text)):
        if not text.strip():
            raise BadValue(f"{name}={text!r}: a chart needs one")
    heading = alt.Title(_lines(title), subtitle=_lines(subtitle, 60), anchor="start") if subtitle else alt.Title(_lines(title), anchor="start")
    sized = chart.properties(height=height) if height else chart
    if isinstance(chart, (alt.Chart, alt.LayerChart)):
        sized = sized.properties(width="container")
    return (sized.properties(title=heading, description=" ".join(alt_text.split()))
            .configure(font=FONT, range=alt.RangeConfig(category=COLOURS))
            .configure_title(fontSize=14, subtitleFontSize=12, offset=10)
            .configure_axis(labelFontSize=12, titleFontSize=12, gridOpacity=0.35)
            .configure_legend(labelFontSize=12, titleFontSize=12, orient="bottom", columns=3)
            .configure_view(strokeOpacity=0))


def menu(name: str, options, value, label: str = ""):
    """A drop-down menu bound to parameter `name`; it works in the page without a kernel."""
    return alt.param(name=name, value=value, bind=alt.binding_select(options=list(options), name=f"{label or name} "))


def slider(name: str, low: float, high: float, step: float, value: float, label: str = ""):
    """A slider bound to parameter `name`; it works in the page without a kernel."""
    return alt.param(name=name, value=value, bind=alt.binding_range(min=low, max=high, step=step, name=f"{label or name} "))


def marker(value: float, scale=None):
    """A dashed vertical line at `value` of a quantitative x axis; `scale` is that of the axis."""
    x = alt.X("value:Q", scale=scale) if scale is not None else "value:Q"
    return alt.Chart(alt.Data(values=[{"value": value}])).mark_rule(strokeDash=[4, 3], color=PALETTE["vermilion"]).encode(x=x)


def _lines(text: str, width: int = 46) -> list[str] | str:
    """Break a heading at blanks so that no line is longer than `width`."""
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return lines if len(lines) > 1 else lines[0]


class Table:
    """A table of formatted text: no index column, the same HTML on every run, plain text where there is no HTML."""

    def __init__(self, rows, columns):
        import pandas as pd

        self.frame = pd.DataFrame(list(rows), columns=list(columns)).astype(str)

    def _repr_html_(self) -> str:
        return self.frame.to_html(index=False, border=0, justify="left")

    def __repr__(self) -> str:
        return self.frame.to_string(index=False)


@dataclass(frozen=True)
class Tornado:
    """How far each input, moved alone through its range, moves the result."""

    central: float
    rows: tuple[dict, ...]  # input, low, high, at_low, at_high, swing; widest first

    @property
    def table(self):
        """The rows as a pandas.DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.rows)

    @property
    def low(self) -> float:
        """Lowest result that one input alone can cause."""
        return min(min(r["at_low"], r["at_high"]) for r in self.rows)

    @property
    def high(self) -> float:
        """Highest result that one input alone can cause."""
        return max(max(r["at_low"], r["at_high"]) for r in self.rows)

    def chart(self, title: str, alt_text: str, axis: str, height: int = 200):
        """Bars around the central value, the widest on top."""
        frame = self.table.assign(
            start=[min(r["at_low"], r["at_high"]) for r in self.rows], end=[max(r["at_low"], r["at_high"]) for r in self.rows])
        bars = alt.Chart(frame).mark_bar(height=18, color=PALETTE["blue"]).encode(
            y=alt.Y("input:N", sort=None, title=None, axis=alt.Axis(labelLimit=130)),
            x=alt.X("start:Q", title=axis, scale=alt.Scale(zero=False)), x2="end:Q",
            tooltip=["input", "low", "high", "at_low", "at_high"])
        return finish(bars + marker(self.central), title, alt_text, height)


def tornado(f, ranges: dict) -> Tornado:
    """Move one input at a time from its low to its high value, the others at their central values.

    Parameters
    ----------
    f : callable
        Takes every input by keyword and returns one number.
    ranges : dict
        Input name -> (low, central, high).

    Returns
    -------
    Tornado

    Raises
    ------
    BadValue
        If `ranges` is empty, or a range is not three values in order.
    """
    if not ranges:
        raise BadValue("ranges={}: at least one input with (low, central, high) is needed")
    for name, values in ranges.items():
        if np.shape(values) != (3,) or np.asarray(values).dtype.kind not in "iuf" or not values[0] <= values[1] <= values[2]:
            raise BadValue(f"ranges[{name!r}]={values!r}: (low, central, high) in order is needed")
    central = {name: values[1] for name, values in ranges.items()}
    rows = []
    for name, (low, _, high) in ranges.items():
        at_low, at_high = (float(f(**central | {name: v})) for v in (low, high))
        rows.append({"input": name, "low": low, "high": high, "at_low": at_low, "at_high": at_high, "swing": abs(at_high - at_low)})
    return Tornado(float(f(**central)), tuple(sorted(rows, key=lambda r: -r["swing"])))


WAFER = {  # what a row of the wafer map becomes: a die at (a, b) of the grid, or a defect at a, b mm; w_, h_, d0_ are the sliders
    "off": "middle_ == 'a die' ? 0 : 0.5",
    "i": "datum.kind == 'die' ? datum.a : round(datum.a / (w_ + 0.1) - datum.off)",
    "j": "datum.kind == 'die' ? datum.b : round(datum.b / (h_ + 0.1) - datum.off)",
    "x": "(datum.i + datum.off) * (w_ + 0.1)", "y": "(datum.j + datum.off) * (h_ + 0.1)",
    "left": "datum.x - w_ / 2 + 0.4", "right": "datum.x + w_ / 2 - 0.4", "low": "datum.y - h_ / 2 + 0.4", "high": "datum.y + h_ / 2 - 0.4",
    "whole": "pow(abs(datum.x) + w_ / 2, 2) + pow(abs(datum.y) + h_ / 2, 2) <= 147 * 147",
    "die": "datum.kind == 'die' && datum.whole ? 1 : 0",
    "shown": "datum.kind == fall_ && datum.n < d0_ * 706.86",
    "hit": "datum.shown && datum.whole && abs(datum.a - datum.x) <= w_ / 2 && abs(datum.b - datum.y) <= h_ / 2",
    "dead": "datum.hit ? datum.i + ' ' + datum.j : ''",
}
COUNTED = {  # the line of text above it; rows that hit nothing share one empty name
    "good": "datum.dies - datum.dead + 1", "share": "datum.dies ? datum.good / datum.dies : 0",
    "text": "datum.dies + ' dies of ' + format(w_ * h_, '.0f') + ' mm²; ' + datum.good + ' good, ' + format(datum.share, '.0%')"
            " + '|on average, by Poisson: ' + format(exp(-w_ * h_ / 100 * d0_), '.0%')",
}


def _calculated(chart, rules: dict):
    for name, rule in rules.items():
        chart = chart.transform_calculate(**{name: rule})
    return chart


def _round_scale(side: str, middle: float):
    """A scale in mm on which circles stay round, whatever the width of the page: 310 mm across and 350 up must fit."""
    half = f"{side} / 2 * max(310 / width, 350 / height)"
    return alt.Scale(domain=[alt.ExprRef(f"{middle} - {half}"), alt.ExprRef(f"{middle} + {half}")], nice=False, zero=False)


def wafer_map(defects: dict, dies: int = 15):
    """A wafer with its dies, those that a defect hits in another colour; sliders set the die and the density.

    Parameters
    ----------
    defects : dict of str to array_like
        Name of a pattern -> places (x, y) in mm of as many defects as a wafer of 300 mm has at 0.5 per cm2, in the order
        in which they appear as the density rises.
    dies : int
        Dies drawn at most on each side of the middle one.

    Returns
    -------
    altair.LayerChart
        For `finish`. Lanes of 0.1 mm, a ring of 3 mm without dies.
    """
    import pandas as pd

    steps = range(-dies, dies + 1)
    rows = [{"kind": "die", "a": i, "b": j, "n": 0} for i in steps for j in steps]
    rows += [{"kind": kind, "a": round(float(x), 1), "b": round(float(y), 1), "n": n}
             for kind, places in defects.items() for n, (x, y) in enumerate(places)]
    ring = [{"x": round(150 * float(np.cos(t)), 1), "y": round(150 * float(np.sin(t)), 1), "step": k}
            for k, t in enumerate(np.linspace(0, 2 * np.pi, 73))]
    wide, tall = _round_scale("width", 0), _round_scale("height", 20)
    place = lambda x, y: {"x": alt.X(x, scale=wide, axis=None), "y": alt.Y(y, scale=tall, axis=None)}
    wafer = _calculated(alt.Chart(pd.DataFrame(rows)), WAFER)
    box = lambda shown, hue: wafer.transform_filter(shown).mark_rect(color=PALETTE[hue], opacity=1).encode(
        **place("left:Q", "low:Q"), x2="right:Q", y2="high:Q")
    edge = alt.Chart(pd.DataFrame(ring)).mark_line(strokeWidth=2, color=PALETTE["grey"]).encode(**place("x:Q", "y:Q"), order="step:Q")
    dots = wafer.transform_filter("datum.shown").mark_circle(size=9, opacity=1, color=PALETTE["grey"]).encode(**place("a:Q", "b:Q"))
    text = _calculated(wafer.transform_aggregate(dies="sum(die)", dead="distinct(dead)"), COUNTED)
    text = text.mark_text(fontSize=14, lineBreak="|", baseline="top").encode(x=alt.datum(0, scale=wide), y=alt.datum(193, scale=tall), text="text:N")
    return (edge + box("datum.die", "blue") + box("datum.hit", "orange") + dots + text).add_params(
        slider("w_", 10, 26, 1, 26, "width, mm"), slider("h_", 10, 33, 1, 31, "height, mm"),
        slider("d0_", 0, 0.5, 0.01, 0.1, "defects per cm²"), menu("fall_", defects, next(iter(defects)), "defects fall"),
        menu("middle_", ["a die", "a crossing"], "a die", "in the middle"))
