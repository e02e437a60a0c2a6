"""Shares, concentration and inequality equal independent twins; bad input is refused."""
import numpy as np
import pytest
import siliconomics as si
from hypothesis import given
from hypothesis import strategies as st
from siliconomics import markets
from siliconomics.checks import BadValue, MissingDtype, UnknownName

AMOUNTS = st.lists(st.floats(0.01, 1e6), min_size=1, max_size=12)


@given(AMOUNTS)
def test_gini_is_half_the_mean_difference_over_the_mean(values):
    x = np.array(values)
    want = abs(x[:, None] - x).mean() / 2 / x.mean()
    assert markets.gini(values) == pytest.approx(want, abs=1e-12)


@given(AMOUNTS)
def test_gini_is_twice_the_area_above_the_lorenz_curve(values):
    people, held = markets.lorenz(values)
    assert 1 - 2 * np.trapezoid(held, people) == pytest.approx(markets.gini(values), abs=1e-12)
    assert held[0] == 0 and held[-1] == people[-1] == 1 and (held <= people + 1e-12).all() and len(held) == len(values) + 1


@given(AMOUNTS, st.floats(1e-3, 1e3))
def test_scale_and_order_do_not_matter(values, scale):
    other = [v * scale for v in reversed(values)]
    assert markets.gini(other) == pytest.approx(markets.gini(values), abs=1e-12)
    assert markets.hhi(other) == pytest.approx(markets.hhi(values), rel=1e-12)


@pytest.mark.parametrize("n", [1, 2, 5, 50])
def test_equal_and_alone(n):
    assert markets.hhi([3.0] * n) == pytest.approx(10_000 / n)
    assert markets.gini([3.0] * n) == pytest.approx(0, abs=1e-15)
    assert markets.gini([0.0] * (n - 1) + [7]) == pytest.approx(1 - 1 / n) and markets.hhi([0.0] * (n - 1) + [7]) == pytest.approx(10_000)


def test_raw_and_normalised():
    assert markets.hhi([60, 45], normalise=False) == 60**2 + 45**2
    assert markets.hhi([60, 45]) == pytest.approx((60 / 1.05) ** 2 + (45 / 1.05) ** 2)
    assert markets.hhi([100], normalise=False) == 10_000 == markets.hhi([1])


@pytest.mark.parametrize("wrong", [[0.6, 0.4], [1.0], [6e4, 4e4], [[60, 40], [0.6, 0.4]]])
def test_raw_wants_percentages(wrong):
    with pytest.raises(BadValue, match="percentages"):
        markets.hhi(wrong, normalise=False)
    markets.hhi(wrong)


def test_reductions_run_along_the_last_axis():
    rows = np.array([[83.0, 13, 5], [50, 40, 10]])
    rows.flags.writeable = False
    for function in (markets.hhi, markets.gini):
        assert function(rows).tolist() == pytest.approx([function(r) for r in rows]) and type(function(rows[0])) is float
    assert markets.shares(rows)[1].tolist() == pytest.approx([0.5, 0.4, 0.1])
    people, held = markets.lorenz(rows)
    assert held.shape == (2, 4) and people.shape == (4,) and held[0].tolist() == pytest.approx([0, 5 / 101, 18 / 101, 1])


def test_shares_keep_their_names():
    assert markets.shares({"a": 3, "b": 1}) == {"a": 0.75, "b": 0.25}


@pytest.mark.parametrize("function", [markets.hhi, markets.gini, markets.lorenz, markets.shares])
@pytest.mark.parametrize("wrong", [[], [-1, 2], [0, 0], [[1, 2], [0, 0]], [float("nan")], "12", [None], [True], 1e61], ids=repr)
def test_refused_amounts(function, wrong):
    with pytest.raises(BadValue):
        function(wrong)


@pytest.mark.parametrize("metric, dtype, want", [("flops", "bf16", 312e12 / 989.4e12), ("flops", "int8", 624e12 / 1978.9e12), ("bandwidth", "bf16", 2.039 / 3.35),
                                                 ("tpp", "bf16", 4992 / 15831.2)])
def test_equivalents(metric, dtype, want):
    assert markets.h100_equivalents([1, 1000], "A100 SXM 80GB", metric, dtype).tolist() == pytest.approx([want, 1000 * want], rel=1e-4)
    assert markets.h100_equivalents(7, si.chip("H100 SXM"), metric, dtype) == 7


def test_tpp_takes_the_best_format_times_its_bits():
    chip = si.Chip("x", {"fp4": 8e15, "fp8": 3e15}, 1e9, 1e9)
    assert markets.h100_equivalents(1, chip, "tpp") == pytest.approx(8e15 * 4 / (1978.9e12 * 8), rel=1e-4)


@pytest.mark.parametrize("error, call", [(BadValue, dict(units=-1)), (BadValue, dict(units="3")), (BadValue, dict(metric="price")), (UnknownName, dict(chip="A1000")),
                                         (MissingDtype, dict(dtype="fp8"))])
def test_refused_equivalents(error, call):
    with pytest.raises(error):
        markets.h100_equivalents(**dict(units=1, chip="A100 SXM 80GB") | call)


def test_shipments_have_sane_bands():
    frame = markets.shipments()
    assert (frame.units_p05 <= frame.units).all() and (frame.units <= frame.units_p95).all() and (frame.start < frame.end).all()
    assert set(frame.maker) == {"NVIDIA", "Google", "AMD", "Amazon"} and (frame.source != "").all()


def test_owned_adds_the_makers_and_sorts():
    held = markets.owned("2025-12-31")
    assert held["Microsoft"] == 3_151_494 + 264_522 and held["xAI"] == 553_714 and list(held.values()) == sorted(held.values(), reverse=True)
    assert markets.owned("2022-03-31", "units")["Meta"] == 24_610
    assert markets.owned("2025-12-31", "units")["xAI"] == 0  # not estimated


@pytest.mark.parametrize("end, published, google", [("2023-12-31", 1_599_968, 20.4), ("2024-12-31", 6_530_372, 21.2), ("2025-12-31", 19_729_531, 25.6)])
def test_owners_sum_to_the_published_total(end, published, google):
    """Epoch's totals are medians of sums, ours sums of medians: they differ by little."""
    held = markets.owned(end)
    assert sum(held.values()) == pytest.approx(published, rel=0.02)
    assert 100 * held["Google"] / sum(held.values()) == pytest.approx(google, abs=0.4)


@pytest.mark.parametrize("call", [dict(date="2025-12-30"), dict(date="2025-12-31", column="watts"), dict(date="2025-12-31", column="owner")])
def test_refused_owned(call):
    with pytest.raises(UnknownName):
        markets.owned(**call)


def test_lives_of_open_models_by_hand():
    """Llama 2 beat LLaMA and MPT on 18 July 2023, Mistral beat Llama 2 on 27 September."""
    found = si.lives()
    assert (found["LLaMA-7B"], found["LLaMA-13B"], found["MPT-7B"], found["Llama 2 7B"]) == (144, 144, 74, 71)
    assert found["Qwen2 7B"] is None and found["Mistral 7B v0.1"] == 204
    assert si.lives(room=1.0)["Llama 2 7B"] is None and si.lives(until="2023-11-17")["Mistral 7B v0.1"] is None
    assert "Llama 3 8B" not in si.lives(until="2023-11-17")
