"""Power, failures and money against twins written from the definitions, plus input checks and broadcasting."""
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from siliconomics import BadValue, fleet
from siliconomics.tables import table

OWN = dict(usd_per_chip=3e4, years=4.0, watts_per_chip=1000.0, usd_per_kwh=0.08, load=0.8, pue=1.2, usd_per_kw_month=100.0, upkeep=0.05,
           residual=1e3, interest=0.08)
CALLS = {  # name -> (function, valid numbers, those that may be 0)
    "site_energy": (fleet.site_energy, dict(chips=9, watts_per_chip=700.0, seconds=60.0, load=0.8, pue=1.2), ""),
    "site_power": (fleet.site_power, dict(chips=9, watts_per_chip=700.0, load=0.8, pue=1.2), ""),
    "energy_cost": (fleet.energy_cost, dict(joules=1e9, usd_per_kwh=0.1), "joules usd_per_kwh"),
    "carbon": (fleet.carbon, dict(joules=1e9, kg_per_kwh=0.4), "joules kg_per_kwh"),
    "mtbf": (fleet.mtbf, dict(failures=3, time=100.0, parts=8), ""),
    "system_mtbf": (fleet.system_mtbf, dict(part_mtbf=5e4, parts=1024), ""),
    "young": (fleet.checkpoint_interval, dict(mtbf=180.0, cost=1.0), ""),
    "daly": (lambda **k: fleet.checkpoint_interval(method="daly", **k), dict(mtbf=180.0, cost=1.0), ""),
    "exact": (lambda **k: fleet.checkpoint_interval(method="exact", **k), dict(mtbf=180.0, cost=1.0), ""),
    "goodput": (fleet.goodput, dict(interval=18.0, cost=1.0, mtbf=180.0, restart=5.0), "cost restart"),
    "rent": (fleet.rent, dict(chips=9, seconds=60.0, usd_per_chip_hour=2.0), "usd_per_chip_hour"),
    "depreciation": (fleet.depreciation, dict(usd=3e4, years=4.0, residual=1e3, interest=0.08), "usd residual interest"),
    "tco": (lambda **k: fleet.tco(**k).usd_per_hour, OWN, "usd_per_chip usd_per_kwh usd_per_kw_month upkeep residual interest"),
    "break_even": (fleet.break_even, dict(usd_to_own=3e4, rent_usd_per_hour=2.0, own_usd_per_hour=0.2), "usd_to_own own_usd_per_hour"),
    "break_even_utilisation": (fleet.break_even_utilisation, dict(utilisation=0.3, usd_ratio=0.5, peak_ratio=0.9), ""),
    "payback": (fleet.payback, dict(usd_invested=3e4, usd_per_year=1e4), "usd_invested"),
    "littles_law rate": (fleet.littles_law, dict(requests=40.0, seconds=2.0), ""),
    "littles_law time": (fleet.littles_law, dict(requests=40.0, per_second=2.0), ""),
    "littles_law requests": (fleet.littles_law, dict(per_second=40.0, seconds=2.0), ""),
    "queue_wait": (fleet.queue_wait, dict(utilisation=0.8, service_seconds=2.0, variation=0.5), "utilisation variation"),
}
NUMERIC = [(name, argument) for name, call in CALLS.items() for argument in call[1]]
BAD = {"nan": float("nan"), "inf": float("inf"), "negative": -1, "text": "3", "true": True, "empty": [], "inside": [1.0, float("nan")], "huge": 1e61}
share = st.floats(0.01, 1.0)
times = st.floats(1e-3, 1e6)


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("name, argument", NUMERIC)
def test_bad_numbers_are_refused_by_name(name, argument, kind):
    function, valid, _ = CALLS[name]
    with pytest.raises(BadValue, match=argument):
        function(**valid | {argument: BAD[kind]})


@pytest.mark.parametrize("name, argument", NUMERIC)
def test_zero(name, argument):
    function, valid, may_be_zero = CALLS[name]
    if argument in may_be_zero.split():
        assert np.isfinite(function(**valid | {argument: 0}))
    else:
        with pytest.raises(BadValue, match=argument):
            function(**valid | {argument: 0})


@pytest.mark.parametrize("name, argument", NUMERIC)
def test_an_array_gives_its_shape_and_scalars_give_floats(name, argument):
    function, valid, _ = CALLS[name]
    factors = np.array([[1.0, 1.02], [1.01, 1.04]])
    whole = function(**valid | {argument: valid[argument] * factors})
    assert whole.shape == (2, 2)
    for index in np.ndindex(factors.shape):
        alone = function(**valid | {argument: valid[argument] * factors[index]})
        assert type(alone) is float
        assert whole[index] == pytest.approx(alone, rel=1e-12)


@pytest.mark.parametrize("name", [name for name in CALLS if name != "tco"])
def test_shapes_that_do_not_broadcast(name):
    function, valid, _ = CALLS[name]
    first, second = list(valid)[:2]
    with pytest.raises(BadValue, match=rf"broadcast.*{first} \(2,\)"):
        function(**valid | {first: np.full(2, valid[first]), second: np.full(3, valid[second])})


@pytest.mark.parametrize("name", [name for name in CALLS if name not in ("site_energy", "site_power", "tco", "break_even_utilisation")])
def test_largest_and_smallest_numbers_stay_defined(name):
    function, valid, _ = CALLS[name]
    for size in (1e60, 1e-60):
        assert not np.isnan(function(**dict.fromkeys(valid, size)))


@pytest.mark.parametrize("argument, low", [("load", 1.2), ("pue", 0.9)])
def test_load_is_a_fraction_and_pue_at_least_one(argument, low):
    for function in (fleet.site_power, fleet.site_energy, fleet.tco):
        valid = next(call[1] for call in CALLS.values() if call[0] is function) if function is not fleet.tco else OWN
        with pytest.raises(BadValue, match=f"{argument}={low}"):
            function(**valid | {argument: low})


@given(chips=st.integers(1, 10**6), watts=st.floats(1, 2e3), load=share, pue=st.floats(1, 2), hours=st.floats(0.1, 1e5))
def test_energy_is_power_times_time(chips, watts, load, pue, hours):
    kwh = chips * watts / 1000 * load * pue * hours
    joules = fleet.site_energy(chips, watts, hours * 3600, load, pue)
    assert joules / 3.6e6 == pytest.approx(kwh, rel=1e-12)
    assert fleet.site_power(chips, watts, load, pue) * hours == pytest.approx(kwh * 1000, rel=1e-12)
    assert fleet.energy_cost(joules, 0.083) == pytest.approx(0.083 * kwh, rel=1e-12)
    assert fleet.carbon(joules, 0.4) == pytest.approx(0.4 * kwh, rel=1e-12)


def test_load_and_pue_default_to_one():
    assert fleet.site_power(10, 700) == fleet.site_power(10, 700, 1, 1) == fleet.site_energy(10, 700, 1) == 7000


@given(failures=st.integers(1, 10**4), time=times, parts=st.integers(1, 10**6))
def test_a_part_lives_longer_than_the_system_by_the_number_of_parts(failures, time, parts):
    assert fleet.mtbf(failures, time) == pytest.approx(time / failures)
    assert fleet.system_mtbf(fleet.mtbf(failures, time, parts), parts) == pytest.approx(time / failures)


def lasting(tau, cost, mtbf, restart):
    """Daly's run time for a unit of work: segments of tau + C that each must pass whole, exponential failures."""
    return tau / (mtbf * np.exp(restart / mtbf) * (np.exp((tau + cost) / mtbf) - 1))


@given(tau=st.floats(0.01, 5.0), cost=st.floats(0.001, 2.0), restart=st.one_of(st.just(0.0), st.floats(1e-3, 3.0)), mtbf=times)
def test_goodput(tau, cost, restart, mtbf):
    got = fleet.goodput(tau * mtbf, cost * mtbf, mtbf, restart * mtbf)
    assert got == pytest.approx(lasting(tau, cost, 1.0, restart), rel=1e-9)
    assert 0 < got < 1


def test_goodput_by_simulated_failures():
    rng, tau, cost, mtbf, restart = np.random.default_rng(3), 20.0, 2.0, 60.0, 5.0
    spent = 0.0
    for _ in range(20_000):
        while True:
            failure = rng.exponential(mtbf)
            if failure >= tau + cost:
                spent += tau + cost
                break
            spent += failure
            while (failure := rng.exponential(mtbf)) < restart:
                spent += failure
            spent += restart
    assert fleet.goodput(tau, cost, mtbf, restart) == pytest.approx(20_000 * tau / spent, rel=0.01)


def test_goodput_of_a_hopeless_interval_is_zero_not_an_overflow():
    assert fleet.goodput(1e6, 1, 1) == 0.0
    assert fleet.goodput(1e-6, 0, 1) == pytest.approx(1.0, abs=1e-6)


@given(mtbf=times, ratio=st.floats(1e-5, 5.0))
def test_exact_interval_has_the_highest_goodput(mtbf, ratio):
    cost = ratio * mtbf
    best = minimize_scalar(lambda x: -fleet.goodput(np.exp(x) * mtbf, cost, mtbf), bounds=(-12, 2), method="bounded", options={"xatol": 1e-10})
    exact = fleet.checkpoint_interval(mtbf, cost, "exact")
    assert fleet.goodput(exact, cost, mtbf) >= -best.fun * (1 - 1e-12)
    assert exact / mtbf == pytest.approx(np.exp(best.x), rel=1e-3)
    x = exact / mtbf
    assert -np.log1p(-x) - x == pytest.approx(ratio, rel=1e-7)  # the derivative of the goodput is zero


def test_young_and_daly():
    assert fleet.checkpoint_interval(200.0, 1.0) == pytest.approx(20.0)
    x = 1 / 400
    assert fleet.checkpoint_interval(200.0, 1.0, "daly") == pytest.approx(20.0 * (1 + x**0.5 / 3 + x / 9) - 1.0, rel=1e-12)
    assert fleet.checkpoint_interval(10.0, [20.0, 30.0], "daly").tolist() == [10.0, 10.0]
    assert fleet.checkpoint_interval(10.0, 19.0, "daly") < 20.0


def drawn_goodput(interval, cost, mtbf, restart, segments, seed):
    """A run replayed with failures drawn at random: work since the last checkpoint is lost, and a restart may fail too."""
    draw, failures = np.random.default_rng(seed), 0
    tries = draw.geometric(np.exp(-(interval + cost) / mtbf), segments)  # attempts until a segment lasts
    lost = draw.exponential(mtbf, 4 * int(tries.sum()))
    lost = lost[lost < interval + cost][:int((tries - 1).sum())]
    failures = len(lost)
    again = draw.geometric(np.exp(-restart / mtbf), failures) - 1
    short = draw.exponential(mtbf, 100 * int(again.sum()) + 100)
    clock = segments * (interval + cost) + lost.sum() + failures * restart + short[short < restart][:int(again.sum())].sum()
    assert failures == (tries - 1).sum() and (short < restart).sum() >= again.sum()
    return segments * interval / clock


@pytest.mark.parametrize("interval", [5, 18.6, 80])
def test_goodput_of_runs_drawn_at_random(interval):
    """Llama 3: a failure every 185.6 minutes, a minute for a checkpoint, five for a restart."""
    found = drawn_goodput(interval, 1, 185.5847, 5, 200_000, seed=6)
    assert found == pytest.approx(fleet.goodput(interval, 1, 185.5847, 5), rel=2e-3)


def test_the_three_rules_meet_for_cheap_checkpoints():
    for ratio in (1e-20, 1e-9, 0.99e-6, 1.01e-6, 1e-5):
        exact = fleet.checkpoint_interval(1.0, ratio, "exact")
        assert fleet.checkpoint_interval(1.0, ratio, "daly") == pytest.approx(exact, rel=1e-8)
        assert fleet.checkpoint_interval(1.0, ratio) == pytest.approx(exact, rel=0.5 * ratio**0.5 + 1e-9)


def test_an_unknown_method_lists_those_there_are():
    for wrong in ("best", None, ["young"]):
        with pytest.raises(BadValue, match="method=.*exact"):
            fleet.checkpoint_interval(1, 1, wrong)


def test_straight_line_depreciation():
    assert fleet.depreciation(35040, 4) == pytest.approx(1.0)
    assert fleet.depreciation(40040, 4, residual=5000) == pytest.approx(1.0)


@given(usd=st.floats(1, 1e6), years=st.floats(0.5, 20), back=st.one_of(st.just(0.0), st.floats(1, 1e5)), rate=st.floats(1e-4, 1.0))
def test_with_interest_the_payments_repay_the_price(usd, years, back, rate):
    yearly = fleet.depreciation(usd, years, back, rate) * 8760
    factor = (1 + rate) ** -years
    assert yearly * (1 - factor) / rate + back * factor == pytest.approx(usd, rel=1e-6, abs=1e-6)


def test_a_tiny_interest_is_like_none():
    assert fleet.depreciation(1e4, 4, interest=1e-12) == pytest.approx(fleet.depreciation(1e4, 4), rel=1e-9)


def test_tco_adds_its_parts():
    cost = fleet.tco(**OWN)
    assert cost.capital == pytest.approx(fleet.depreciation(3e4, 4, 1e3, 0.08))
    assert cost.energy == pytest.approx(1.0 * 0.8 * 1.2 * 0.08)
    assert cost.hosting == pytest.approx(100 * 12 / 8760)
    assert cost.upkeep == pytest.approx(1500 / 8760)
    assert cost.usd_per_hour == pytest.approx(cost.capital + cost.energy + cost.hosting + cost.upkeep)
    with pytest.raises(FrozenInstanceError):
        cost.energy = 0.0
    bare = fleet.tco(35040, 4, 500, 0.1)
    assert (bare.capital, bare.energy, bare.hosting, bare.upkeep) == pytest.approx((1.0, 0.05, 0.0, 0.0))


def test_rent_or_own():
    assert fleet.break_even(30_000, 2.5, 0.5) == pytest.approx(15_000)
    assert fleet.break_even(30_000, 2.0) == pytest.approx(15_000)
    assert fleet.break_even(30_000, 2.0, [1.0, 2.0, 3.0]).tolist() == [30_000, np.inf, np.inf]
    assert fleet.payback(30_000, 12_000) == pytest.approx(2.5)


@given(utilisation=share, usd=st.floats(0.1, 10), peak=st.floats(0.1, 10))
def test_at_break_even_a_useful_flop_costs_the_same(utilisation, usd, peak):
    mine = fleet.break_even_utilisation(utilisation, usd, peak)
    assert usd / (peak * mine) == pytest.approx(1 / utilisation)


def test_a_share_above_one_is_refused_as_input_not_as_answer():
    with pytest.raises(BadValue, match="utilisation=1.2"):
        fleet.break_even_utilisation(1.2, 1, 1)
    assert fleet.break_even_utilisation(0.5, 3, 1) == 1.5


def test_npv():
    assert fleet.npv([0, 60, 60], [100, 0, 0], 0.0) == pytest.approx(20)
    assert fleet.npv([0, 110, 121], [100, 0, 0], 0.1) == pytest.approx(100)
    assert fleet.npv([5, 5, 5], 2, 0.5) == pytest.approx(3 + 2 + 4 / 3)
    assert fleet.npv([0, 110], [100, 0], [0.0, 0.1]) == pytest.approx([10, 0])
    assert fleet.npv([[0, 110], [0, 220]], [100, 0], 0.1) == pytest.approx([0, 100])
    assert type(fleet.npv([1.0], 0.0, 0.1)) is float


@pytest.mark.parametrize("wrong", [dict(income=3, costs=1, rate=0.1), dict(income=[1, -1], costs=0, rate=0.1), dict(income=[1], costs="x", rate=0.1),
                                   dict(income=[1, 2], costs=[1, 2, 3], rate=0.1), dict(income=[1], costs=[1], rate=-0.1)])
def test_npv_checks_its_numbers(wrong):
    with pytest.raises(BadValue):
        fleet.npv(**wrong)


def test_littles_law():
    assert fleet.littles_law(per_second=4, seconds=2.5) == 10
    assert fleet.littles_law(requests=10, seconds=2.5) == 4
    assert fleet.littles_law(requests=10, per_second=4) == 2.5
    for given_ in ({}, dict(requests=1), dict(requests=1, per_second=1, seconds=1)):
        with pytest.raises(BadValue, match="two of"):
            fleet.littles_law(**given_)


def test_queue_wait():
    assert fleet.queue_wait(0.8, 2.0) == pytest.approx(0.8 / 0.2 * 2.0)  # M/M/1
    assert fleet.queue_wait(0.8, 2.0, 0.0) == pytest.approx(0.8 / 0.2 * 2.0 / 2)  # M/D/1
    assert fleet.queue_wait(0.5, 1.0, 3.0) == pytest.approx(5.0)
    assert fleet.queue_wait([0.0, 0.999, 1.0, 1.5, 2.0], 1.0).tolist() == pytest.approx([0.0, 999.0, np.inf, np.inf, np.inf])


def test_causes_of_failure_sum_to_the_unexpected_interruptions():
    rows = [r for r in table("failures") if r["run"] == "Llama 3 405B"]
    causes = sum(r["value"] for r in rows if r["quantity"] == "unexpected interruptions")
    totals = {r["cause"]: r["value"] for r in rows if r["quantity"] == "interruptions"}
    assert causes == totals["unexpected"] == 419
    assert totals[None] == totals["planned"] + totals["unexpected"] == 466


def test_power_rows_are_in_si_or_name_their_unit():
    units = {"watts": "W", "watts_per_chip": "W", "watts_site": "W", "joules_per_year": "J", "pue": "1", "load": "1", "usd": "USD",
             "usd_per_kwh": "USD/kWh", "kg_per_kwh": "kg/kWh"}
    for row in table("power"):
        assert row["unit"] == units[row["quantity"]]
        assert row["relation"] in ("equal", "about", "at_least", "at_most")
        assert row["quantity"] != "pue" or 1 <= row["value"] < 2
