"""Dies, yield, cost and supply equal independent twins; bad input is refused; every number broadcasts."""
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from siliconomics import fab
from siliconomics.checks import BadValue, UnknownName

MODELS = [("poisson", {}), ("murphy", {}), ("seeds", {}), ("rectangular", {}), ("moore", {}), ("negative_binomial", {"clustering": 3.0}),
          ("bose_einstein", {"layers": 10})]


def averaged(model, a, n=40_001):
    """Poisson yield e^-(a x) averaged over the density's distribution, x in units of the mean, by Simpson's rule."""
    top = 60.0 if model == "seeds" else 2.0
    x = np.linspace(0.0, top, n)
    weight = {"murphy": 1 - abs(x - 1), "rectangular": np.full(n, 0.5), "seeds": np.exp(-x)}[model]
    simpson = np.ones(n)
    simpson[1:-1:2], simpson[2:-1:2] = 4, 2
    return float((simpson * weight * np.exp(-a * x)).sum() * (x[1] - x[0]) / 3)


def counted(width, height, diameter, scribe, edge, x0, y0):
    """Whole dies one by one; the centre of one of them lies at (x0, y0)."""
    reach, n = diameter / 2 - edge, 0
    steps = int(diameter / min(width, height)) + 2
    for i, j in itertools.product(range(-steps, steps + 1), repeat=2):
        x, y = x0 + i * (width + scribe), y0 + j * (height + scribe)
        n += math.hypot(abs(x) + width / 2, abs(y) + height / 2) <= reach + 1e-9
    return n


@pytest.mark.parametrize("a", [0.01, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("model", ["murphy", "rectangular", "seeds"])
def test_yield_is_poisson_averaged_over_its_distribution(model, a):
    assert fab.die_yield(100, a, model) == pytest.approx(averaged(model, a), rel=1e-6)


@pytest.mark.parametrize("a", [0.0, 0.3, 2.0])
def test_limits_that_tie_the_models_together(a):
    y = lambda model, **k: fab.die_yield(250, a / 2.5, model, **k)
    assert y("negative_binomial", clustering=1) == pytest.approx(y("seeds"), rel=1e-14)
    assert y("negative_binomial", k=3) == y("negative_binomial", clustering=3) and y("bose_einstein", n=3) == y("bose_einstein", layers=3)
    assert y("negative_binomial", clustering=1e9) == pytest.approx(y("poisson"), rel=1e-8)
    assert y("negative_binomial", clustering=2) == pytest.approx((1 + a / 2) ** -2, rel=1e-14)
    assert y("bose_einstein", layers=1) == pytest.approx(y("seeds"), rel=1e-14)
    assert y("bose_einstein", layers=7) == pytest.approx(y("seeds") ** 7, rel=1e-13)
    assert y("poisson") == pytest.approx(math.exp(-a), rel=1e-14)
    assert y("moore") == pytest.approx(math.exp(-math.sqrt(a)), rel=1e-14)


def test_total_density_split_over_layers_is_the_negative_binomial():
    assert fab.die_yield(814, 0.1 / 10, "bose_einstein", layers=10) == pytest.approx(fab.die_yield(814, 0.1, "negative_binomial", clustering=10), rel=1e-13)


@pytest.mark.parametrize("model, k", MODELS)
def test_no_defects_no_loss_and_more_area_more_loss(model, k):
    assert fab.die_yield(814, 0, model, **k) == 1
    assert (np.diff(fab.die_yield(np.linspace(1, 3000, 50), 0.2, model, **k)) < 0).all()


@pytest.mark.parametrize("model, k", MODELS)
@given(good=st.floats(1e-9, 1.0), area=st.floats(1.0, 1e4))
def test_density_inverts_yield(model, k, good, area):
    density = fab.defect_density(area, good, model, **k)
    assert fab.die_yield(area, density, model, **k) == pytest.approx(good, rel=1e-11)


@pytest.mark.parametrize("model", ["murphy", "rectangular"])
def test_density_keeps_its_digits_near_a_yield_of_one(model):
    assert fab.defect_density(100, 1 - 2**-40, model) == pytest.approx(2**-40, rel=1e-3)
    assert fab.defect_density(100, 1.0, model) == 0


@pytest.mark.parametrize("x0, y0, placement", [(0, 0, "die"), (0.5, 0.5, "street")])
@pytest.mark.parametrize("w, h, d, s, e", [(10, 8, 300, 0.12, 3), (26, 33, 300, 0.1, 3), (7, 20, 200, 0, 5), (28.5, 28.5, 300, 0, 0)])
def test_grid_counts_every_die(w, h, d, s, e, x0, y0, placement):
    got = fab.dies_per_wafer(w * h, d, "grid", w / h, s, e, placement)
    assert got == counted(w, h, d, s, e, x0 * (w + s), y0 * (h + s))


@pytest.mark.parametrize("w, h, s, e", [(26, 33, 0.1, 3), (40, 30, 0, 0), (53.2, 53.2, 0.2, 3), (60, 11, 0.1, 5)])
def test_best_grid_is_no_worse_than_any_shift_tried_by_hand(w, h, s, e):
    by_hand = max(counted(w, h, 300, s, e, x * (w + s), y * (h + s)) for x in np.linspace(-0.5, 0.5, 17) for y in np.linspace(-0.5, 0.5, 17))
    assert fab.dies_per_wafer(w * h, 300, "grid", w / h, s, e) >= by_hand
    assert fab.dies_per_wafer(w * h, 300, "grid", h / w, s, e) == fab.dies_per_wafer(w * h, 300, "grid", w / h, s, e)


def test_grid_of_a_die_that_just_fits_and_one_that_does_not():
    side = 300 / math.sqrt(2)
    assert fab.dies_per_wafer(side**2, method="grid") == 1
    assert fab.dies_per_wafer((side * 1.001) ** 2, method="grid") == 0
    assert fab.dies_per_wafer(1e9, method="grid") == 0


@pytest.mark.parametrize("method, rms", [("edge", 0.08), ("devries", 0.04), ("devries_exp", 0.04), ("devries_square", 0.04), ("square", 0.04), ("exp", 0.05)])
def test_formulas_come_near_the_count(method, rms):
    area = np.linspace(30, 900, 60)
    off = fab.dies_per_wafer(area, method=method) / fab.dies_per_wafer(area, method="grid") - 1
    assert np.sqrt((off**2).mean()) < rms


@pytest.mark.parametrize("aspect", [2.0, 4.0])
def test_mean_of_the_sides_carries_the_aspect_ratio(aspect):
    area = np.linspace(50, 300, 40)
    off = fab.dies_per_wafer(area, method="devries_exp", aspect=aspect) / fab.dies_per_wafer(area, method="grid", aspect=aspect) - 1
    blind = fab.dies_per_wafer(area, method="devries_exp") / fab.dies_per_wafer(area, method="grid", aspect=aspect) - 1
    assert abs(off.mean()) < 0.02 and abs(off.mean()) < abs(blind.mean())


def test_formulas_by_hand():
    A, d = 16.5 * 26.0, 300.0
    whole = math.pi * d * d / 4 / A
    got = {m: fab.dies_per_wafer(A, method=m, aspect=26 / 16.5) for m in fab.GROSS}
    side, mean = math.sqrt(A), (16.5 + 26.0) / 2
    want = {"area": whole, "edge": whole - math.pi * d / math.sqrt(2 * A), "square": math.pi * (d - side) ** 2 / 4 / A, "exp": whole * math.exp(-2 * side / d),
            "devries": whole - 0.58 * math.pi * d * mean / A, "devries_exp": whole * math.exp(-2.32 * mean / d), "devries_square": whole * (1 - 1.16 * mean / d) ** 2}
    assert got == pytest.approx(want, rel=1e-13)


def test_lanes_and_edge_change_pitch_and_diameter():
    assert fab.dies_per_wafer(100, 300, "edge", 1, 0.2, 5) == pytest.approx(fab.dies_per_wafer(10.2**2, 290), rel=1e-14)
    assert fab.dies_per_wafer(100, 300, "devries", 4, 1, 0) == pytest.approx(math.pi * 9e4 / 4 / 126 - 0.58 * math.pi * 300 * 13.5 / 126, rel=1e-13)


@pytest.mark.parametrize("f", [0.0, 0.3, 1.0])
def test_harvest_needs_all_units_or_none(f):
    assert fab.harvested_yield(814, 0.1, 144, 144, f) == pytest.approx(math.exp(-0.814), rel=1e-13)
    assert fab.harvested_yield(814, 0.1, 144, 0, f) == pytest.approx(math.exp(-0.814 * (1 - f)), rel=1e-13)


def test_harvest_is_the_binomial_sum():
    dead = 1 - math.exp(-8.0 * 0.2 * 0.7 / 20)
    want = math.exp(-8.0 * 0.2 * 0.3) * sum(math.comb(20, k) * dead**k * (1 - dead) ** (20 - k) for k in range(4))
    assert fab.harvested_yield(800, 0.2, 20, 17, 0.7) == pytest.approx(want, rel=1e-12)


def test_harvest_agrees_with_a_simulation():
    rng = np.random.default_rng(5)
    n, defects = 200_000, rng.poisson(0.9, 200_000)
    good = 0
    for count in range(defects.max() + 1):
        dies = int((defects == count).sum())
        spot = rng.random((dies, count))
        core = (spot < 0.6).all(axis=1)  # 0.6 of the area holds 10 units, of which 8 must live
        hit = np.zeros((dies, 10), bool)
        np.put_along_axis(hit, np.minimum((spot / 0.06).astype(int), 9), True, axis=1)
        good += int((core & (hit.sum(axis=1) <= 2)).sum())
    assert good / n == pytest.approx(fab.harvested_yield(900, 0.1, 10, 8, 0.6), abs=0.004)


# --- money -----------------------------------------------------------------------------------------------------------


def organic_twin(area, n, wafer, d0):
    """Feng and Ma, section 3, for n equal dies on a substrate, in the paper's own terms."""
    pitch = math.sqrt(area) + 0.2
    dies = math.pi * 145**2 / pitch**2 - math.pi * 290 / (math.sqrt(2) * pitch)
    good = (1 + d0 * area / 1000) ** -10
    known_good, bumps = wafer / dies / good, 0.005 * area
    substrate = 4 * n * area * 0.005 * (1 if n == 1 else 2 if 4 * n * area > 900 else 1.75 if 4 * n * area > 289 else 1.5)
    return (n * (known_good + bumps) + substrate) / 0.99**n


def silicon_twin(area, n, wafer, d0):
    """The same for a silicon interposer: dies are bonded to it, then it to the substrate."""
    def per_die(a, usd):
        pitch = math.sqrt(a) + 0.2
        return usd / (math.pi * 145**2 / pitch**2 - math.pi * 290 / (math.sqrt(2) * pitch))
    chips = n * (per_die(area, wafer) * (1 + d0 * area / 1000) ** 10 + 0.01 * area)
    board = 1.1 * n * area
    carrier, good = per_die(board, 1937) + 0.005 * board, (1 + 0.0006 * board / 6) ** -6
    return chips / 0.95**n / 0.99 + carrier / (good * 0.95**n * 0.99) + 4 * board * 0.005 / 0.99


@pytest.mark.parametrize("area, n, wafer, d0", [(800, 1, 16988, 0.11), (300, 2, 9346, 0.09), (30, 2, 3984, 0.08), (60, 3, 2891, 0.3), (5, 4, 2891, 0.07)])
def test_package_costs_equal_their_twins(area, n, wafer, d0):
    chiplet = fab.Chiplet(area, wafer, d0, n)
    assert fab.chiplet_cost(chiplet).total == pytest.approx(organic_twin(area, n, wafer, d0), rel=1e-12)
    assert fab.chiplet_cost(chiplet, "silicon").total == pytest.approx(silicon_twin(area, n, wafer, d0), rel=1e-12)


@pytest.mark.parametrize("package", ["organic", "fanout", "silicon"])
def test_one_kind_of_four_is_four_kinds_of_one(package):
    four = fab.chiplet_cost(fab.Chiplet(100, 9346, 0.09, 4), package)
    assert fab.chiplet_cost([fab.Chiplet(100, 9346, 0.09)] * 4, package).total == pytest.approx(four.total, rel=1e-12)
    assert four.total == pytest.approx(four.chips + four.chip_defects + four.package + four.package_defects + four.wasted_chips)
    assert min(four.chips, four.chip_defects, four.package, four.package_defects, four.wasted_chips) > 0


def test_package_cost_broadcasts_and_stays_plain():
    several = fab.chiplet_cost([fab.Chiplet([50, 100, 200], 9346, 0.09, [[1], [4]]), fab.Chiplet(400, 3984, 0.08)])
    alone = fab.chiplet_cost([fab.Chiplet(100, 9346, 0.09, 4), fab.Chiplet(400, 3984, 0.08)])
    assert several.package.shape == several.total.shape == (2, 3) and type(alone.total) is float
    assert several.total[1, 1] == pytest.approx(alone.total, rel=1e-14)


@pytest.mark.parametrize("bad", [dict(chiplets=[]), dict(chiplets=[3]), dict(chiplets=fab.Chiplet(-1, 1, 1)), dict(chiplets=fab.Chiplet(1, 1, 1, 0)),
                                 dict(chiplets=fab.Chiplet(1, 1, 1), scribe_mm=-1), dict(chiplets=fab.Chiplet(1, 1, 1), edge_mm=[1, 2])])
def test_package_cost_refuses(bad):
    with pytest.raises(BadValue):
        fab.chiplet_cost(**bad)


def test_package_name_is_checked():
    with pytest.raises(UnknownName, match="silicon"):
        fab.chiplet_cost(fab.Chiplet(1, 1, 1), "silikon")


def test_die_cost_and_order():
    assert fab.die_cost(9000, [30, 60], 0.5).tolist() == [600, 300]
    assert fab.die_cost(9000, 30) == 300 and fab.wafers_needed(600, 30, 0.5) == 40
    assert fab.packages_per_wafer(53.2**2) == fab.dies_per_wafer(53.2**2, 300, "grid", 1, 0.2, 3)


def test_bill_of_materials():
    bill = fab.bill_of_materials("B200 SXM")
    assert "total" not in bill.index and bill.loc["logic", ["usd", "low", "high"]].tolist() == [900, 720, 1200]
    assert fab.bill_of_materials("H100 SXM", "Weibo post")["usd"].sum() == 2423
    for wrong in (dict(product="H1000"), dict(product="H100 SXM", by="nobody")):
        with pytest.raises(UnknownName, match="nearest"):
            fab.bill_of_materials(**wrong)


# --- supply ----------------------------------------------------------------------------------------------------------

NEEDS = {"A": {"wafers": 0.04, "cowos": 0.03, "hbm": 5}, "B": {"wafers": 0.17, "cowos": 0.0625, "hbm": 8}}
HAVE = {"wafers": 20_000.0, "cowos": 9_500.0, "hbm": 1.5e6}


def best_corner(needs, have, value, demand):
    """The best corner of the feasible polygon of two products, by solving every pair of active limits."""
    lines = [([n.get(c, 0.0) for n in needs.values()], have[c]) for c in have] + [([1, 0], 0), ([0, 1], 0)]
    lines += [([float(p == q) for q in needs], demand[p]) for p in needs if p in demand]
    best = 0.0
    for (a, x), (b, y) in itertools.combinations(lines, 2):
        if abs(np.linalg.det([a, b])) > 1e-12:
            u = np.linalg.solve([a, b], [x, y])
            if (u >= -1e-6).all() and all(np.dot(row, u) <= most * (1 + 1e-9) + 1e-6 for row, most in lines[:len(have)] + lines[len(have) + 2:]):
                best = max(best, float(np.dot(list(value.values()), u)))
    return best


@pytest.mark.parametrize("demand", [{}, {"A": 1e5}, {"B": 3e4}, {"A": 1e5, "B": 0}])
@pytest.mark.parametrize("worth", [1.0, 2.0, 3.0, 5.0])
def test_supply_is_the_best_corner(worth, demand):
    value = {"A": 1.0, "B": worth}
    got = fab.supply(NEEDS, HAVE, value, demand)
    assert got.value == pytest.approx(best_corner(NEEDS, HAVE, value, demand), rel=1e-9)
    assert got.value == pytest.approx(sum(value[p] * got.units[p] for p in value), rel=1e-12)


@pytest.mark.parametrize("item", HAVE)
@pytest.mark.parametrize("worth", [1.0, 3.0])
def test_shadow_price_is_the_worth_of_one_more(item, worth):
    value = {"A": 1.0, "B": worth}
    base = fab.supply(NEEDS, HAVE, value)
    step = 1e-4 * HAVE[item]
    more = fab.supply(NEEDS, HAVE | {item: HAVE[item] + step}, value)
    assert (more.value - base.value) / step == pytest.approx(base.shadow_prices[item], rel=1e-6, abs=1e-9)
    assert base.slack[item] == pytest.approx(0, abs=1e-6 * HAVE[item]) or base.shadow_prices[item] == 0
    assert (item in base.binding) == (base.shadow_prices[item] > 0)


def test_prices_pay_for_the_whole_value():
    base = fab.supply(NEEDS, HAVE, {"A": 1.0, "B": 3.0})
    assert sum(base.shadow_prices[c] * HAVE[c] for c in HAVE) == pytest.approx(base.value, rel=1e-9)


@pytest.mark.parametrize("units, worth", [(1e-9, 1.0), (1e12, 1.0), (1.0, 1e-9), (1.0, 1e9)])
def test_supply_does_not_depend_on_the_units(units, worth):
    base = fab.supply(NEEDS, HAVE, {"A": 1.0, "B": 3.0})
    scaled = fab.supply(NEEDS, {c: v * units for c, v in HAVE.items()} | {"spare": 1e15}, {"A": worth, "B": 3.0 * worth})
    assert scaled.value == pytest.approx(base.value * units * worth, rel=1e-9)
    assert scaled.shadow_prices["hbm"] == pytest.approx(base.shadow_prices["hbm"] * worth, rel=1e-9) and scaled.slack["spare"] == 1e15


def test_one_product_takes_the_smallest_of_three():
    needs = fab.package_needs(25, 29, 5)
    have = {"wafers": 10_000, "cowos_wafers": 5_000, "hbm_stacks": 1e6}
    got = fab.supply({"one": needs}, have)
    assert got.units["one"] == pytest.approx(min(10_000 * 25, 5_000 * 29, 1e6 / 5)) and got.binding == ("cowos_wafers",)
    assert got.shadow_prices["cowos_wafers"] == pytest.approx(29) and type(got.value) is float


def test_lost_packages_take_their_parts_along():
    assert fab.package_needs(20, 10, 8, dies=2, assembled=0.8) == pytest.approx({"wafers": 0.125, "cowos_wafers": 0.125, "hbm_stacks": 10})


def test_nothing_to_build_from_builds_nothing():
    got = fab.supply({"A": {"x": 1}}, {"x": 0})
    assert got.units == {"A": 0} and got.value == 0
    assert fab.supply({"A": {"x": 0}}, {"x": 1}, demand={"A": 7}).units == {"A": 7}


@pytest.mark.parametrize("error, words, call", [
    (UnknownName, "capacity of='hbm'", dict(products={"A": {"hbm": 1}}, capacity={"hbn": 1})),
    (UnknownName, "demand for='C'", dict(products={"A": {"x": 1}}, capacity={"x": 1}, value={"A": 1, "C": 1}, demand={"C": 1})),
    (UnknownName, "value of='A'", dict(products={"A": {"x": 1}}, capacity={"x": 1}, value={"B": 1})),
    (BadValue, "bound", dict(products={"A": {"x": 0}}, capacity={"x": 1})),
    (BadValue, "capacity", dict(products={"A": {"x": 1}}, capacity={"x": -1})),
    (BadValue, "capacity", dict(products={"A": {"x": 1}}, capacity={})),
    (BadValue, "products['A']", dict(products={"A": {}}, capacity={"x": 1})),
    (BadValue, "products['A']['x']", dict(products={"A": {"x": float("nan")}}, capacity={"x": 1})),
    (BadValue, "products", dict(products={}, capacity={"x": 1})),
    (BadValue, "products", dict(products=[1], capacity={"x": 1})),
    (BadValue, "demand", dict(products={"A": {"x": 1}}, capacity={"x": 1}, demand=[1])),
    (BadValue, "value", dict(products={"A": {"x": 1}}, capacity={"x": 1}, value={})),
])
def test_supply_refuses(error, words, call):
    with pytest.raises(error) as caught:
        fab.supply(**call)
    assert words in str(caught.value)


# --- inputs ----------------------------------------------------------------------------------------------------------

CALLS = {  # name -> (function, valid numbers, those that may be 0)
    **{f"dies {m}": (lambda m=m, **k: fab.dies_per_wafer(method=m, **k), dict(area_mm2=100, diameter_mm=300, aspect=1.5, scribe_mm=0.1, edge_mm=3), "scribe_mm edge_mm")
       for m in (*fab.GROSS, "grid")},
    **{f"yield {m}": (lambda m=m, **k: fab.die_yield(model=m, **k), dict(area_mm2=814, d0_per_cm2=0.1, **k), "d0_per_cm2") for m, k in MODELS},
    **{f"density {m}": (lambda m=m, **k: fab.defect_density(model=m, **k), dict(area_mm2=814, good=0.5, **k), "") for m, k in MODELS},
    "harvest": (fab.harvested_yield, dict(area_mm2=814, d0_per_cm2=0.1, units=144, needed=132, share=0.5), "d0_per_cm2 needed share"),
    "die_cost": (fab.die_cost, dict(wafer_usd=9000, dies=60, good=0.5), "wafer_usd"),
    "wafers_needed": (fab.wafers_needed, dict(units=9000, per_wafer=60, good=0.5), "units"),
    "packages": (fab.packages_per_wafer, dict(interposer_mm2=1702, aspect=1, diameter_mm=300, scribe_mm=0.2, edge_mm=3), "scribe_mm edge_mm"),
}
NUMERIC = [(name, argument) for name, call in CALLS.items() for argument in call[1]]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1, 1e61, "3", True, None, [], [1.0, float("nan")], [[1.0], [1.0, 2.0]], [True]], ids=repr)
@pytest.mark.parametrize("name, argument", NUMERIC)
def test_numbers_out_of_their_domain(name, argument, bad):
    function, valid, _ = CALLS[name]
    with pytest.raises(BadValue, match="area_mm2" if argument == "interposer_mm2" else argument):
        function(**valid | {argument: bad})


@pytest.mark.parametrize("name, argument", NUMERIC)
def test_zero(name, argument):
    function, valid, may_be_zero = CALLS[name]
    if argument in may_be_zero.split():
        assert function(**valid | {argument: 0}) >= 0
    else:
        with pytest.raises(BadValue):
            function(**valid | {argument: 0})


@pytest.mark.parametrize("name, argument", NUMERIC)
def test_every_number_broadcasts(name, argument):
    function, valid, _ = CALLS[name]
    assert type(function(**valid)) is float
    several = np.full((2, 3), float(valid[argument]))
    if argument not in ("units", "needed"):
        several *= [[1.0, 0.9, 0.8]]
    several.flags.writeable = False
    got = function(**valid | {argument: several})
    assert got.shape == (2, 3)
    assert got[1].tolist() == pytest.approx([function(**valid | {argument: float(v)}) for v in several[1]], rel=1e-14)


@pytest.mark.parametrize("call", [
    lambda: fab.dies_per_wafer(100, method="guess"), lambda: fab.dies_per_wafer(100, placement="left"), lambda: fab.dies_per_wafer(100, edge_mm=150),
    lambda: fab.dies_per_wafer(1e5), lambda: fab.dies_per_wafer(2e4), lambda: fab.dies_per_wafer(4.51e4, method="devries_exp"),
    lambda: fab.dies_per_wafer(1, scribe_mm=300, method="devries_square"), lambda: fab.dies_per_wafer(1e-6, method="grid"),
    lambda: fab.die_yield(814, 0.1, "negative_binomial"), lambda: fab.die_yield(814, 0.1, "bose_einstein"), lambda: fab.die_yield(814, 0.1, clustering=2),
    lambda: fab.die_yield(814, 0.1, "bose_einstein", clustering=2), lambda: fab.die_yield(814, 0.1, "poisson", layers=2), lambda: fab.die_yield(814, 0.1, "gauss"),
    lambda: fab.defect_density(814, 1.01), lambda: fab.defect_density(814, 1e-50, "negative_binomial", clustering=0.1),
    lambda: fab.harvested_yield(814, 0.1, 144.5, 132, 0.5), lambda: fab.harvested_yield(814, 0.1, 144, 132.5, 0.5),
    lambda: fab.harvested_yield(814, 0.1, 144, 145, 0.5), lambda: fab.harvested_yield(814, 0.1, 144, 132, 1.1), lambda: fab.harvested_yield(814, 0.1, 0, 0, 0.5),
    lambda: fab.die_cost(1, 1, 1.1), lambda: fab.die_yield([1, 2], [1, 2, 3]), lambda: fab.package_needs(0, 1, 1), lambda: fab.package_needs(1, 1, 1, assembled=2),
])
def test_refused(call):
    with pytest.raises(BadValue):
        call()


def test_words_of_a_missing_parameter():
    with pytest.raises(BadValue, match="clustering or k: a number > 0 is needed with model='negative_binomial'"):
        fab.die_yield(814, 0.1, "negative_binomial")
    with pytest.raises(BadValue, match="layers=2: model='murphy' takes no further parameter"):
        fab.die_yield(814, 0.1, layers=2)


def test_a_die_that_needs_no_unit_loses_none_to_them():
    assert fab.harvested_yield(1000, 1, 1, 0, 1) == 1


@pytest.mark.parametrize("silicon, factor", [(560, 1.5), (580, 1.75), (1798, 1.75), (1802, 2.0)])
def test_layers_of_an_organic_substrate_grow_with_the_package(silicon, factor):
    assert fab.chiplet_cost(fab.Chiplet(silicon / 16, 1000, 0.1, 2)).package == pytest.approx(silicon / 2 * 0.005 * factor)
