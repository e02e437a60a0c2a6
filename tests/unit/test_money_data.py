"""Tables on runs, costs, prices, events and errata agree with themselves and with each other."""
import math
from datetime import date

import pytest
import siliconomics as si
from siliconomics.tables import table

RUNS = {row["model"]: row for row in table("training_runs")}
COSTS = {(row["model"], row["edition"], row["basis"]): row["usd"] for row in table("training_costs")}
EVENTS = {(row["date"], row["quantity"]): row["value"] for row in table("company_events")}


@pytest.mark.parametrize("name, room", [("GPT-2 1.5B", 1e-6), ("GPT-3 175B", 0.002), ("Meena", 0.40)])  # Meena's total was measured
def test_flop_of_a_run_is_six_n_d_over_all_passes(name, room):
    run = RUNS[name]
    assert 6 * run["params"] * run["dataset_tokens"] * run["passes"] == pytest.approx(run["flop"], rel=room)


def test_derived_flop_are_six_n_d_and_published_ones_near_it():
    known = [run for run in RUNS.values() if run["params"] and run["dataset_tokens"] and run["passes"] and run["confidence"] in ("derived", "primary")]
    off = {run["model"]: 6 * run["params"] * run["dataset_tokens"] * run["passes"] / run["flop"] for run in known}
    assert len(known) >= 13 and all(off[run["model"]] == pytest.approx(1, rel=1e-3) for run in known if run["confidence"] == "derived")
    assert {name for name, ratio in off.items() if abs(ratio - 1) > 0.03} == {"Meena", "Gopher 280B"}  # both totals were counted otherwise


def test_parameters_and_dates_of_the_runs_agree_with_the_catalogue():
    shared = [(run, si.model(name)) for name, run in RUNS.items() if name in si.models().index and name != "GPT-3 175B"]
    assert len(shared) >= 10
    for run, shape in shared:
        assert run["params"] == pytest.approx(si.models().loc[shape.name, "params_published"], rel=0.011), shape.name
        assert run["release"][:7] == str(si.models().loc[shape.name, "release"])[:7], shape.name


def test_the_record_grows_as_epoch_publishes():
    """Their article of 2024: four to five times a year; the largest run of each day is in our table."""
    records, top = [], 0.0
    for run in sorted(RUNS.values(), key=lambda run: (run["release"], run["flop"])):
        if run["flop"] > top:
            top = run["flop"]
            records.append((date.fromisoformat(run["release"]).toordinal() / 365.25, math.log10(top)))
    years, powers = zip(*records)
    mean_year, mean_power = sum(years) / len(years), sum(powers) / len(powers)
    slope = sum((y - mean_year) * (p - mean_power) for y, p in records) / sum((y - mean_year) ** 2 for y in years)
    assert len(records) == 24 and 4 < 10**slope < 5 and 10**slope == pytest.approx(4.57, abs=0.005)
    growth = si.growth_per_year(RUNS["GPT-3 175B"]["flop"], RUNS["GPT-4"]["flop"], 1021 / 365.25)
    assert growth == pytest.approx(4.50, abs=0.005) and 12 * si.doubling_time(growth) == pytest.approx(5.5, abs=0.05)


def test_estimates_lie_within_their_ranges():
    assert all(run["low"] is None or run["low"] < run["flop"] < run["high"] for run in RUNS.values())


def test_gpt4_from_chips_days_and_utilisation_as_the_note_says():
    assert 25_000 * 312e12 * 95 * 86_400 * 0.34 == pytest.approx(RUNS["GPT-4"]["flop"], rel=0.05)


def test_every_cost_has_three_bases_in_their_order():
    for model, edition in {key[:2] for key in COSTS}:
        amortised, rent, purchase = (COSTS[model, edition, basis] for basis in ("amortised", "rent", "purchase"))
        assert amortised < rent < purchase, model
    assert COSTS["GPT-4", "2026", "rent"] == pytest.approx(81.4e6, rel=1e-3)
    assert COSTS["GPT-4", "2026", "amortised"] == pytest.approx(37.3e6, rel=1e-3)
    assert COSTS["GPT-4", "2026", "purchase"] == pytest.approx(806e6, rel=1e-3)


def test_three_answers_by_hand_and_within_a_factor_of_two_of_epochs():
    share = si.rent(20_000, 91.25 * 86_400, si.depreciation(31_250, 4))
    assert share == pytest.approx(625e6 * 91.25 / (4 * 365), rel=1e-12)  # a sixteenth
    ours = {"rent": 43.8e6, "amortised": share, "purchase": 625e6}
    assert all(0.5 < COSTS["GPT-4", "2026", basis] / usd < 2 for basis, usd in ours.items())


def test_prices_name_known_chips_and_longer_terms_are_cheaper():
    rows = [row for row in table("prices") if row["unit"] == "USD/chip-hour"]
    assert all(si.chip(row["chip"]).name == row["chip"] for row in table("prices"))
    for chip, provider in {(row["chip"], row["provider"]) for row in rows}:
        by_term = {row["terms"]: row["usd"] for row in rows if (row["chip"], row["provider"]) == (chip, provider)}
        asked = [by_term[term] for term in ("on demand", "1 year", "3 years") if term in by_term]
        assert asked == sorted(asked, reverse=True)
    servers = [8 * row["usd"] for row in table("prices") if row["terms"] == "purchase"]
    assert min(servers) < 250_000 < max(servers)


def test_sums_and_stakes_of_openai_add_up():
    assert EVENTS["2026-02-27", "valuation before the money"] + EVENTS["2026-02-27", "raised"] == EVENTS["2026-02-27", "valuation with the money"]
    assert EVENTS["2025-10-28", "stake of Microsoft"] * EVENTS["2025-10-02", "valuation"] == pytest.approx(EVENTS["2025-10-28", "stake of Microsoft in dollars"])


def test_errata_say_how_they_are_known():
    rows = table("errata")
    assert {row["where"] for row in rows} == {"summary", "episode", "show notes"} and {row["basis"] for row in rows} == {"stated", "inferred"}
    assert all(row["confidence"] in ("estimate", "derived") for row in rows if row["basis"] == "inferred")
    assert [row["id"] for row in rows] == [f"E{k:02d}" for k in range(1, len(rows) + 1)]
    dates = [date.fromisoformat(RUNS[name]["release"]) for name in ("GPT-2 1.5B", "Meena")]
    said = next(row["correction"] for row in rows if "before GPT-2" in row["said"])
    assert f"{(dates[1] - dates[0]).days} days" in said and RUNS["GPT-2 1.5B"]["params"] < RUNS["Meena"]["params"]


def test_margins_lie_where_the_accounts_put_them():
    paid = {(row["company"], row["quantity"]): row["value"] for row in table("company_events")}
    assert 1 - paid["Salesforce", "cost of revenue"] / paid["Salesforce", "revenue"] == pytest.approx(29_252 / 37_895, abs=1e-4)


def test_histories_of_prices_agree_with_the_other_tables():
    dated = {(row["date"], row["usd"]) for row in table("prices") if row["chip"] == "H100 SXM" and row["provider"] == "Lambda"}
    history = table("price_history")
    assert {(row["date"], row["usd"]) for row in history if "Lambda" in row["what"]} <= dated
    assert all(a["series"] != b["series"] or a["date"] < b["date"] for a, b in zip(history, history[1:]))
    list_price = [row["usd"] for row in history if row["series"] == "H100 hour at AWS"]
    assert list_price[0] == pytest.approx(98.32 / 8) and list_price[1] / list_price[0] == pytest.approx(1 - 0.44, abs=0.005)
    tokens = {row["date"]: row["usd"] for row in history if row["series"] == "tokens at MMLU 83"}
    assert tokens["2023-03-14"] / tokens["2024-11-12"] == pytest.approx(62, rel=1e-3) and tokens["2023-03-14"] == (30 + 60) / 2


def test_open_models_agree_with_the_catalogue_of_models():
    shared = [row for row in table("open_models") if row["model"] in si.models().index]
    assert len(shared) == 7
    for row in shared:
        assert row["release"][:7] == str(si.models().loc[row["model"], "release"])[:7]
        assert row["params"] == pytest.approx(si.models().loc[row["model"], "params_published"], rel=0.02), row["model"]


def test_memory_of_two_years_of_iphones():
    """LPDDR4X-4266 and LPDDR5-6400 on 64 lines, as the databases compute it."""
    found = {row["device"]: row["bandwidth"] for row in table("devices")}
    assert found["iPhone 14"] == pytest.approx(4266e6 * 8, rel=1e-3) and found["iPhone 14 Pro"] == pytest.approx(6400e6 * 8)
