"""Scaling laws against twins written from the papers, plus input checks and broadcasting."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from siliconomics import BadValue, scaling
from siliconomics.tables import table

FITS = ("hoffmann", "hoffmann_rounded", "besiroglu", "sardana")
PRINTED = {  # E, A, B, alpha, beta as the papers print them
    "hoffmann": (np.exp(0.5267228), np.exp(6.0073404), np.exp(6.0179186), 0.33917084, 0.2849083),
    "hoffmann_rounded": (1.69, 406.4, 410.7, 0.34, 0.28),
    "besiroglu": (1.8172, 482.01, 2085.43, 0.3478, 0.3658),
    "sardana": (1.69, 406.4, 410.7, 0.336, 0.283),
}
CALLS = {  # name -> (function, valid numbers, those that may be 0, results)
    "loss": (scaling.loss, dict(params=7e9, tokens=1e12), "", 1),
    "tokens_for": (scaling.tokens_for, dict(params=7e10, loss=2.1), "", 1),
    "optimal": (scaling.optimal, dict(flops=1e23), "", 2),
    "lifetime_optimal": (scaling.lifetime_optimal, dict(loss=2.1, inference_tokens=1e12, training_mfu=0.4, inference_mfu=0.2,
                                                        training_usd=2.0, inference_usd=1.0), "inference_tokens", 2),
    "lifetime_flops": (scaling.lifetime_flops, dict(params=8e9, tokens=1e12, inference_tokens=1e13), "inference_tokens", 1),
    "kaplan_loss params": (scaling.kaplan_loss, dict(params=1e9), "", 1),
    "kaplan_loss tokens": (scaling.kaplan_loss, dict(tokens=1e10), "", 1),
    "kaplan_loss flops": (scaling.kaplan_loss, dict(flops=1e21), "", 1),
    "kaplan_loss both": (scaling.kaplan_loss, dict(params=1e9, tokens=1e10), "", 1),
    "kaplan_optimal": (scaling.kaplan_optimal, dict(flops=1e23), "", 2),
    "growth_per_year": (scaling.growth_per_year, dict(before=2.0, after=9.0, years=3.0), "", 1),
    "doubling_time": (scaling.doubling_time, dict(growth=1.5), "", 1),
    "growth_gap": (scaling.growth_gap, dict(fast=3.0, slow=1.6, years=20.0, period=2.0), "years", 1),
}
NUMERIC = [(name, argument) for name, call in CALLS.items() for argument in call[1]]
BAD = {"nan": float("nan"), "inf": float("inf"), "negative": -1, "text": "3", "true": True, "empty": [], "inside": [1.0, float("nan")], "huge": 1e61}
positive = st.floats(1e6, 1e15)


def several(result, count):
    return result if count == 2 else (result,)


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("name, argument", NUMERIC)
def test_bad_numbers_are_refused_by_name(name, argument, kind):
    function, valid, *_ = CALLS[name]
    with pytest.raises(BadValue, match=argument):
        function(**valid | {argument: BAD[kind]})


@pytest.mark.parametrize("name, argument", NUMERIC)
def test_zero(name, argument):
    function, valid, may_be_zero, _ = CALLS[name]
    if argument in may_be_zero.split():
        function(**valid | {argument: 0})
    else:
        with pytest.raises(BadValue, match=argument):
            function(**valid | {argument: 0})


@pytest.mark.parametrize("name, argument", NUMERIC)
def test_an_array_gives_its_shape_and_scalars_give_floats(name, argument):
    function, valid, _, count = CALLS[name]
    factors = np.array([[1.0, 1.02], [1.01, 1.04]])
    whole = several(function(**valid | {argument: valid[argument] * factors}), count)
    for index in np.ndindex(factors.shape):
        alone = several(function(**valid | {argument: valid[argument] * factors[index]}), count)
        for one, many in zip(alone, whole, strict=True):
            assert type(one) is float
            assert many.shape == (2, 2) and many[index] == pytest.approx(one, rel=1e-12)


@pytest.mark.parametrize("name", [n for n, call in CALLS.items() if len(call[1]) > 1])
def test_shapes_that_do_not_broadcast(name):
    function, valid, *_ = CALLS[name]
    first, second = list(valid)[:2]
    with pytest.raises(BadValue, match="broadcast"):
        function(**valid | {first: np.full(2, valid[first]), second: np.full(3, valid[second])})


def test_two_arrays_broadcast_against_each_other():
    params, tokens = scaling.lifetime_optimal(np.array([2.0, 2.2])[:, None], np.array([0.0, 1e12, 1e13]))
    assert params.shape == tokens.shape == (2, 3)
    assert (np.diff(params) < 0).all() and (np.diff(tokens) > 0).all()


@pytest.mark.parametrize("function", [scaling.loss, scaling.tokens_for])
def test_an_unknown_fit_lists_those_there_are(function):
    for wrong in ("chinchilla", None, ["hoffmann"]):
        with pytest.raises(BadValue, match="fit=.*besiroglu"):
            function(1e9, 3.0, wrong)


@pytest.mark.parametrize("fit", FITS)
def test_constants_are_those_printed(fit):
    assert tuple(vars(scaling.scaling_fit(fit)).values()) == pytest.approx(PRINTED[fit], rel=1e-14)


@pytest.mark.parametrize("fit", FITS)
def test_a_loss_at_or_below_the_irreducible_one_is_refused(fit):
    floor = PRINTED[fit][0]
    for call in (lambda x: scaling.tokens_for(1e9, x, fit), lambda x: scaling.lifetime_optimal(x, 0, fit)):
        for low in (floor * (1 - 1e-9), [3.0, 0.5]):
            with pytest.raises(BadValue, match=f"loss=.*{floor:g}"):
                call(low)


@pytest.mark.parametrize("wrong", [dict(irreducible=-1.0), dict(a=0.0), dict(alpha=np.array([1.0, 2.0])), dict(beta="x")])
def test_a_fit_needs_five_positive_numbers(wrong):
    with pytest.raises(BadValue, match=next(iter(wrong))):
        scaling.Fit(**dict(irreducible=1.7, a=400.0, b=400.0, alpha=0.3, beta=0.3) | wrong)


def test_a_fit_of_ones_own_is_used():
    own = scaling.Fit(1.0, 2.0, 3.0, 0.5, 0.25)
    assert scaling.loss(4.0, 16.0, own) == pytest.approx(1 + 2 / 2 + 3 / 2)


@pytest.mark.parametrize("fit", FITS)
@given(params=positive, tokens=positive)
def test_loss_and_its_inverse(fit, params, tokens):
    e, a, b, alpha, beta = PRINTED[fit]
    twin = e + a * params**-alpha + b * tokens**-beta
    assert scaling.loss(params, tokens, fit) == pytest.approx(twin, rel=1e-12)
    assert scaling.tokens_for(params, twin, fit) == pytest.approx(tokens, rel=1e-6)


def test_too_small_a_model_needs_infinite_tokens():
    assert scaling.tokens_for(1e6, 2.0) == np.inf
    assert np.isfinite(scaling.tokens_for([1e6, 1e12], 2.0)).tolist() == [False, True]


@pytest.mark.parametrize("fit", FITS)
@given(flops=st.floats(1e17, 1e28))
def test_no_other_split_of_the_budget_has_a_lower_loss(fit, flops):
    params, tokens = scaling.optimal(flops, fit)
    assert 6 * params * tokens == pytest.approx(flops, rel=1e-12)
    e, a, b, alpha, beta = PRINTED[fit]
    by_search = minimize_scalar(lambda x: e + a * np.exp(-alpha * x) + b * (flops / 6 / np.exp(x)) ** -beta, bracket=(15, 30), tol=1e-10)
    assert scaling.loss(params, tokens, fit) <= by_search.fun * (1 + 1e-12)
    assert np.log(params) == pytest.approx(by_search.x, abs=1e-3)


@pytest.mark.parametrize("fit", FITS)
@given(gap=st.floats(0.02, 2.0), served=st.one_of(st.just(0.0), st.floats(1e6, 1e18)), weight=st.floats(0.01, 100.0))
def test_lifetime_optimum_against_a_search(fit, gap, served, weight):
    e, a, b, alpha, beta = PRINTED[fit]
    params, tokens = scaling.lifetime_optimal(e + gap, served, fit, inference_usd=weight)
    assert scaling.loss(params, tokens, fit) == pytest.approx(e + gap, rel=1e-9)

    def log_cost(log_tokens):
        left = gap - b * np.exp(-beta * log_tokens)
        return np.log(a / left) / alpha + np.log(6 * np.exp(log_tokens) + 2 * weight * served)

    least = np.log(b / gap) / beta
    best = minimize_scalar(log_cost, bounds=(least + 1e-9, least + 60), method="bounded", options={"xatol": 1e-9}).fun
    assert log_cost(np.log(tokens)) <= best + 1e-9


def test_without_demand_the_lifetime_optimum_is_the_training_optimum():
    params, tokens = scaling.lifetime_optimal(2.0, 0)
    assert scaling.optimal(6 * params * tokens) == pytest.approx((params, tokens), rel=1e-9)


def test_price_over_utilisation_is_what_counts():
    plain = scaling.lifetime_optimal(2.0, 8e12)
    assert scaling.lifetime_optimal(2.0, 1e12, training_mfu=0.4, inference_mfu=0.1, training_usd=1.5, inference_usd=3.0) == pytest.approx(plain, rel=1e-12)
    dear, cheap = (scaling.lifetime_optimal(2.0, 1e12, inference_mfu=u)[0] for u in (0.01, 1.0))
    assert dear < cheap


@pytest.mark.parametrize("fit", FITS)
def test_extreme_demand_stays_finite(fit):
    for loss in (PRINTED[fit][0] * (1 + 1e-9), 1e60):
        for served in (1e-60, 1e60):
            for usd in (1e-60, 1e60):
                params, tokens = scaling.lifetime_optimal(loss, served, fit, inference_usd=usd, training_usd=1 / usd)
                assert np.isfinite([params, tokens]).all() and params > 0 and tokens > 0


def test_kaplan_laws():
    days = 1e15 * 24 * 3600
    assert scaling.kaplan_loss(params=1e9) == pytest.approx((8.8e13 / 1e9) ** 0.076, rel=1e-12)
    assert scaling.kaplan_loss(tokens=1e10) == pytest.approx((5.4e13 / 1e10) ** 0.095, rel=1e-12)
    assert scaling.kaplan_loss(flops=7 * days) == pytest.approx((3.1e8 / 7) ** 0.050, rel=1e-12)
    joint = ((6.4e13 / 1e9) ** (0.076 / 0.103) + 1.8e13 / 1e10) ** 0.103
    assert scaling.kaplan_loss(params=1e9, tokens=1e10) == pytest.approx(joint, rel=1e-12)
    assert scaling.kaplan_optimal(days) == pytest.approx((1.3e9, 2e10), rel=1e-12)
    assert scaling.kaplan_optimal(100 * days) == pytest.approx((1.3e9 * 100**0.73, 2e10 * 100**0.27), rel=1e-12)


@pytest.mark.parametrize("given_", [{}, dict(params=1.0, flops=1.0), dict(tokens=1.0, flops=1.0), dict(params=1.0, tokens=1.0, flops=1.0)])
def test_kaplan_takes_one_quantity_or_params_with_tokens(given_):
    with pytest.raises(BadValue, match="is needed"):
        scaling.kaplan_loss(**given_)


def grid(fit, noise=0.0):
    params, tokens = (a.ravel() for a in np.meshgrid(np.logspace(8, 10.5, 6), np.logspace(9, 12, 7)))
    return params, tokens, scaling.loss(params, tokens, fit) * np.exp(noise * np.random.default_rng(1).standard_normal(42))


@pytest.mark.parametrize("fit", FITS)
def test_fit_finds_the_constants_that_made_the_losses(fit):
    assert tuple(vars(scaling.fit_parametric(*grid(fit))).values()) == pytest.approx(PRINTED[fit], rel=1e-5)


def test_fit_shrugs_off_an_outlier():
    params, tokens, losses = grid("besiroglu", noise=1e-4)
    losses[3] *= 1.5
    robust = scaling.fit_parametric(params, tokens, losses)
    assert (robust.irreducible, robust.alpha, robust.beta) == pytest.approx((1.8172, 0.3478, 0.3658), rel=0.02)
    assert scaling.fit_parametric(params, tokens, losses, delta=10.0).alpha != pytest.approx(0.3478, rel=0.02)


def test_fit_minimises_the_huber_loss_of_the_47_published_runs():
    runs = table("scaling_runs")
    params, tokens, losses = (np.array([r[c] for r in runs]) for c in ("params", "tokens", "loss_nats"))
    fit = scaling.fit_parametric(params, tokens, losses)

    def huber(f):
        off = np.abs(np.log(scaling.loss(params, tokens, f) / losses))
        return np.where(off < 1e-3, off**2 / 2, 1e-3 * (off - 5e-4)).sum()

    for name in vars(fit):
        for factor in (0.99, 1.01):
            assert huber(scaling.Fit(**vars(fit) | {name: getattr(fit, name) * factor})) > huber(fit)
    assert np.abs(scaling.loss(params, tokens, fit) / losses - 1).max() < 0.07


def test_a_search_that_stops_early_fits_worse_and_says_something_else():
    runs = table("scaling_runs")
    row = [np.array([r[c] for r in runs]) for c in ("params", "tokens", "loss_nats")]
    early, late = (scaling.fit_parametric(*row, tolerance=t) for t in (1e-3, 1e-14))
    off = [np.abs(np.log(scaling.loss(row[0], row[1], f) / row[2])) for f in (early, late)]
    misfit = [np.where(x < 1e-3, x**2 / 2, 1e-3 * (x - 5e-4)).sum() for x in off]
    assert 1.001 < misfit[0] / misfit[1] < 1.1
    assert not 0.5 < scaling.optimal(5.76e23, early)[0] / scaling.optimal(5.76e23, late)[0] < 2


def test_lifetime_flops_by_hand():
    assert scaling.lifetime_flops(2.0, 3.0) == 36.0
    assert scaling.lifetime_flops(2.0, [3.0, 5.0], 7.0).tolist() == [64.0, 88.0]


SIX = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])


@pytest.mark.parametrize("params, tokens", [(SIX[:4], SIX[:4]), (SIX.reshape(2, 3), SIX.reshape(2, 3)), (SIX, 1e10), (1e9, SIX)])
def test_fit_needs_a_row_of_five_runs_that_vary(params, tokens):
    with pytest.raises(BadValue, match="at least 5 runs"):
        scaling.fit_parametric(params, tokens, 3.0)


def test_fit_accepts_five_runs():
    params, tokens, losses = (a[[0, 8, 16, 23, 41]] for a in grid("besiroglu"))
    assert scaling.fit_parametric(params, tokens, losses).alpha == pytest.approx(0.3478, rel=1e-4)


def test_fit_checks_its_numbers():
    for argument in ("params", "tokens", "losses", "delta", "tolerance"):
        valid = dict(params=SIX, tokens=SIX, losses=3.0 / SIX, delta=1e-3, tolerance=1e-8)
        with pytest.raises(BadValue, match=argument):
            scaling.fit_parametric(**valid | {argument: -1})


def test_growth():
    assert scaling.growth_per_year(2.0, 16.0, 3.0) == pytest.approx(2.0)
    assert scaling.growth_per_year(16.0, 2.0, 3.0) == pytest.approx(0.5)
    assert scaling.doubling_time([2.0, 4.0, 0.5]) == pytest.approx([1.0, 0.5, -1.0])
    assert scaling.doubling_time(1) == np.inf
    assert scaling.growth_gap(3.0, 1.5, 6.0, 2.0) == pytest.approx(8.0)
    assert scaling.growth_gap(3.0, 1.5, 6.0, 3.0) == pytest.approx(4.0)
    assert scaling.growth_gap(3.0, 1.5, 6.0) == pytest.approx(8.0)


def test_runs_table_has_the_47_models_of_the_paper():
    runs = table("scaling_runs")
    assert len(runs) == 47
    ratio = [r["tokens"] / r["params"] for r in runs]
    assert min(ratio) == pytest.approx(10) and max(ratio) == pytest.approx(10_000)


def test_the_stock_of_public_text_and_the_budget_that_reads_it():
    """Villalobos et al. (2024), figure 1: 4e14 tokens and about 5e28 FLOP in 2028, by 20 tokens a parameter."""
    row, = table("text_stock")
    assert (row["low"], row["tokens"], row["high"]) == (1e14, 3e14, 1e15)
    web = 510e12  # table 1; section 2.3: 10 to 40 % of it is good enough, read three to five times
    assert 0.10 * row["reads_low"] * web < row["tokens"] < 0.40 * row["reads_high"] * web
    assert 6 * 4e14 * 4e14 / 20 == pytest.approx(5e28, rel=0.05)
    params, tokens = scaling.optimal(3.8868e28, "besiroglu")
    assert tokens == pytest.approx(row["tokens"], rel=1e-4) and 10 < tokens / params < 20


TABLE_A3 = [(2.21e19, 4e8, 9.2e9), (1.62e20, 1e9, 27.1e9), (2.46e22, 1e10, 410.1e9), (1.71e24, 67e9, 4.1e12), (1.26e25, 175e9, 12.0e12),
            (1.36e26, 520e9, 43.5e12), (5.65e26, 1e12, 94.1e12), (8.55e28, 1e13, 1425.5e12)]
# The row of 175 billion is printed as 1.26e24. That of 280 billion is left out: its 3.52e25 FLOP do not fit its own 20.1e12 tokens.


@pytest.mark.parametrize("fit, within", [("sardana", 0.04), ("hoffmann", 0.09)])
def test_the_splits_that_hoffmann_prints(fit, within):
    """Hoffmann et al. (2022), table A3, approach 3: Sardana's exponents come nearer to it than those of the TeX source."""
    for budget, params, tokens in TABLE_A3:
        assert scaling.optimal(budget, fit) == pytest.approx((params, tokens), rel=within)
        assert 6 * params * tokens == pytest.approx(budget, rel=0.04)


def test_growth_with_its_interval_as_scipy_fits_it():
    from scipy.stats import linregress, t

    years, values = [0.2, 0.5, 1.1, 1.8, 2.8, 3.5], [4.7, 8.0, 3.5, 2.0, 1.7, 2.65]
    line = linregress(years, np.log(values))
    ends = line.slope + np.array([0, -1, 1]) * line.stderr * t.ppf(0.975, 4)
    assert scaling.growth_fit(years, values) == pytest.approx(np.exp(ends), rel=1e-12)
    assert scaling.growth_fit([0, 1, 2], [1, 2, 4]) == pytest.approx((2, 2, 2), rel=1e-6)
    narrow, wide = (scaling.growth_fit(years, values, level) for level in (0.5, 0.99))
    assert wide[1] < narrow[1] < narrow[0] < narrow[2] < wide[2]


@pytest.mark.parametrize("years, values", [([0, 1], [1, 2]), ([1, 1, 1], [1, 2, 3]), ([0, 1, 2], [1, 2]), ([0, 1, 2], [1, 0, 2])])
def test_growth_needs_three_values_at_different_times(years, values):
    with pytest.raises(BadValue):
        scaling.growth_fit(years, values)


def test_the_fit_does_not_hang_on_the_last_bits_of_a_processor():
    runs = table("scaling_runs")
    row = np.array([[r[c] for r in runs] for c in ("params", "tokens", "loss_nats")])
    for seed in range(10):
        pick = np.random.default_rng(seed).integers(0, len(runs), len(runs))
        one, other = (scaling.fit_parametric(*row[:, order]) for order in (pick, pick[::-1]))  # the same sums in another order
        assert tuple(vars(one).values())[1:] == pytest.approx(tuple(vars(other).values())[1:], rel=1e-10)
