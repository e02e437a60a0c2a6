"""Every chart states its finding and has a text alternative; the tornado moves one input at a time; the wafer map counts."""
import json
import re

import altair as alt
import numpy as np
import pandas as pd
import pytest
import siliconomics as si
from siliconomics import charts

DATA = pd.DataFrame({"x": [1.0, 2.0], "y": [3.0, 4.0]})
POINTS = alt.Chart(DATA).mark_point().encode(x="x:Q", y="y:Q")


def spec(chart):
    return chart.to_dict()


def test_chart_has_title_and_text_alternative():
    made = spec(charts.finish(POINTS, "Twice the batch, half the price", "Line of  cost\n over batch."))
    assert made["title"]["text"] == "Twice the batch, half the price"
    assert made["description"] == "Line of cost over batch."
    assert (made["width"], made["height"]) == ("container", 320)


@pytest.mark.parametrize("title, alt_text", [("", "a"), ("a", ""), ("  ", "a"), ("a", "\n")])
def test_chart_without_title_or_alternative_is_refused(title, alt_text):
    with pytest.raises(si.BadValue, match="title|alt_text"):
        charts.finish(POINTS, title, alt_text)


def test_long_title_is_broken_and_loses_no_word():
    title = "Reading weights sets the floor under latency, and no batch size and no faster arithmetic can lower it"
    lines = spec(charts.finish(POINTS, title, "a"))["title"]["text"]
    assert " ".join(lines) == title and max(map(len, lines)) <= 46 and len(lines) > 1


def test_a_word_longer_than_a_line_stands():
    assert charts._lines("x" * 60) == "x" * 60
    assert charts._lines("a " + "x" * 60) == ["a", "x" * 60]


def test_subtitle_is_kept_and_absent_if_empty():
    assert spec(charts.finish(POINTS, "a", "a", subtitle="8 H100"))["title"]["subtitle"] == "8 H100"
    assert "subtitle" not in spec(charts.finish(POINTS, "a", "a"))["title"]


@pytest.mark.parametrize("chart, width", [(POINTS, "container"), (POINTS + POINTS, "container"), (POINTS | POINTS, None), (POINTS & POINTS, None)],
                         ids=["chart", "layer", "beside", "below"])
def test_only_single_views_stretch(chart, width):
    made = spec(charts.finish(chart, "a", "b", height=None))
    assert made.get("width") == width and made["description"] == "b"


def test_height_may_be_the_charts_own():
    assert spec(charts.finish(POINTS.properties(height=77), "a", "b", height=None))["height"] == 77


def test_colours_are_distinct_and_in_the_theme():
    assert len(set(charts.PALETTE.values())) == len(charts.PALETTE) >= 6
    assert spec(charts.finish(POINTS, "a", "b"))["config"]["range"]["category"] == list(charts.PALETTE.values())


def luminance(colour: str) -> float:
    parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_first_colours_differ_in_lightness_too():
    light = sorted(luminance(c) for c in list(charts.PALETTE.values())[:2])
    assert (light[1] + 0.05) / (light[0] + 0.05) > 1.5


def test_source_chart_is_not_changed():
    before = POINTS.to_dict()
    charts.finish(POINTS, "a", "b")
    assert POINTS.to_dict() == before


def test_table_is_text_without_index():
    table = si.Table([("H100", 3.35), ("A100", 2.039)], ["chip", "TB/s"])
    assert repr(table).splitlines()[0].split() == ["chip", "TB/s"] and len(repr(table).splitlines()) == 3
    html = table._repr_html_()
    assert html == si.Table([("H100", 3.35), ("A100", 2.039)], ["chip", "TB/s"])._repr_html_()
    assert html.count("<th") == 3 and "<td>H100</td>" in html  # one of the three is <thead>


def test_table_escapes_html():
    assert "<script>" not in si.Table([("<script>",)], ["a"])._repr_html_()


# --- tornado --------------------------------------------------------------------------------------------------------

RANGES = {"a": (1, 2, 4), "b": (10, 20, 30), "c": (0, 1, 1)}


def f(a, b, c):
    return a * b + c


def test_tornado_by_hand():
    got = si.tornado(f, RANGES)
    assert got.central == 41
    assert [(r["input"], r["at_low"], r["at_high"], r["swing"]) for r in got.rows] == [("a", 21, 81, 60), ("b", 21, 61, 40), ("c", 40, 41, 1)]
    assert (got.low, got.high) == (21, 81)
    assert list(got.table.columns) == ["input", "low", "high", "at_low", "at_high", "swing"]


def test_falling_function_keeps_its_ends_apart():
    got = si.tornado(lambda x: 1 / x, {"x": (1, 2, 4)})
    assert (got.rows[0]["at_low"], got.rows[0]["at_high"], got.low, got.high, got.rows[0]["swing"]) == (1.0, 0.25, 0.25, 1.0, 0.75)


def test_tornado_of_the_core():
    got = si.tornado(lambda chips, batch: si.decode("Llama 2 70B", "H100 SXM", chips, batch).tokens_per_second,
                     {"chips": (4, 8, 16), "batch": (32, 64, 128)})
    assert got.low < got.central < got.high and got.rows[0]["swing"] >= got.rows[1]["swing"]


def test_range_without_width_is_allowed():
    assert si.tornado(lambda x: x, {"x": (3, 3, 3)}).rows[0]["swing"] == 0


def data(made, layer):
    held = layer.get("data") or made["data"]
    return held["values"] if "values" in held else made["datasets"][held["name"]]


def test_tornado_chart_draws_each_input_widest_first():
    made = spec(si.tornado(f, RANGES).chart("Input a moves most", "Bars", "result"))
    bars, rule = made["layer"]
    rows = data(made, bars)
    assert [r["input"] for r in rows] == ["a", "b", "c"] and all(r["start"] <= r["end"] for r in rows)
    assert bars["encoding"]["y"]["sort"] is None
    assert [list(r.values())[-1] for r in data(made, rule)] == [41]
    assert made["description"] == "Bars" and made["title"]["text"] == "Input a moves most"


def drawn(made, **sliders):
    """The line of text above the wafer as Vega writes it, with sliders set and a width given."""
    import vl_convert

    made = made | {"width": 600, "params": [p | {"value": sliders.get(p["name"], p["value"])} for p in made["params"]]}
    svg = vl_convert.vegalite_to_svg(json.dumps(made))
    return " ".join(re.findall(r"(\d+) dies of (\d+) mm²; (\d+) good", svg)[0]), svg


@pytest.mark.parametrize("width, height, place, dies", [
    (26, 33, "a die", 57), (26, 33, "a crossing", 64), (26, 31, "a die", 67), (10, 10, "a die", 597), (10, 10, "a crossing", 616)])
def test_the_wafer_map_counts_the_dies_of_the_core(width, height, place, dies):
    made = spec(charts.finish(charts.wafer_map({"none": np.zeros((0, 2))}), "a", "b"))
    text, _ = drawn(made, w_=width, h_=height, middle_=place)
    assert text == f"{dies} {width * height} {dies}"
    placement = {"a die": "die", "a crossing": "street"}[place]
    assert si.dies_per_wafer(width * height, 300, "grid", width / height, 0.1, 3, placement) == dies


def test_the_wafer_map_counts_a_die_once_and_a_defect_outside_of_dies_never():
    """Two defects in the middle die, one in its neighbour, one on a lane, one in the ring at the edge; a sixth needs a higher density."""
    places = [(1, 2), (-12, 14), (27, 0), (13.05, 3), (148, 0), (0, 35)]
    made = spec(charts.finish(charts.wafer_map({"few": places}), "a", "b"))
    low, _ = drawn(made, w_=26, h_=31, d0_=5 / 706.86)
    high, svg = drawn(made, w_=26, h_=31, d0_=0.01)
    assert (low, high) == ("67 806 65", "67 806 64") and "by Poisson: 92%" in svg


def test_the_wafer_stays_round():
    import vl_convert

    made = spec(charts.finish(charts.wafer_map({"none": np.zeros((0, 2))}), "a", "b", height=420))
    for wide in (300, 700):
        svg = vl_convert.vegalite_to_svg(json.dumps(made | {"width": wide}))
        path = next(d for d in re.findall(r'd="(M[^"]+)"', svg) if d.count("L") == 72)
        x, y = np.array(re.findall(r"(-?[\d.]+),(-?[\d.]+)", path), float).T
        assert np.ptp(x) == pytest.approx(np.ptp(y), rel=1e-3) and np.ptp(x) > 200 and x.min() >= 0 and x.max() <= wide
