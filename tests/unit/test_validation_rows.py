"""Recorded figures follow from recorded rows, rows from the model, and no group's fit read the group.

Set SILICONOMICS_FULL to compute both files anew, about a minute; without it that one test skips.
"""
import json
import os

import numpy as np
import pandas as pd
import pytest
import siliconomics as si
from siliconomics import fit_serving, fit_training, validation
from siliconomics.serving import host_of, steady
from siliconomics.tables import DATA, table

TEXT = (DATA / "validation.json").read_text(encoding="utf8")
FIGURES = {(f["rows"], f["left_out"]): f for f in json.loads(TEXT)["figures"]}
ROWS = pd.DataFrame(table("validation"))
FASTER = {"S0150", "S0171", "S0401", "S0402", "S0417", "S0425"}  # measured below the textbook's bound: the engine's batch was smaller


def off(predicted, measured):
    return np.abs(np.asarray(predicted) / np.asarray(measured) - 1)


def of(name):
    """Recorded rows of one table, by id."""
    return ROWS[ROWS["table"] == name].set_index("id")


# --- the files ------------------------------------------------------------------------------------------------------------

def numbers(thing):
    if isinstance(thing, (dict, list)):
        return [n for part in (thing.values() if isinstance(thing, dict) else thing) for n in numbers(part)]
    return [thing] if isinstance(thing, float) else []


def test_json_is_sorted_rounded_and_finite():
    found = json.loads(TEXT)
    assert TEXT == json.dumps(found, indent=1, sort_keys=True) + "\n" and "NaN" not in TEXT
    assert all(n == float(f"{n:.4g}") for n in numbers(found))


def test_every_row_stands_once():
    assert set(of("serving").index) == {row["id"] for row in table("serving")}
    for phase in ("decode", "prefill"):
        assert set(of(phase).index) == {row["id"] for row in fit_serving.passes(phase)}
    trained = {case[0]["id"] for case in fit_training.cases()}
    assert set(of("training_steps").index) == trained


# --- figures follow from rows ---------------------------------------------------------------------------------------------

def kinds():
    """(table, kind of rows, how left out) -> ids, for all kinds whose rows are recorded."""
    served, found = {row["id"]: row["experts"] for row in fit_serving.served()}, {}
    for kind, experts in (("serving, dense", False), ("serving, experts", True)):
        found["serving", kind, "model"] = [i for i, e in served.items() if e == experts]
    for phase in ("decode", "prefill"):
        for row in fit_serving.passes(phase):
            bits = "16 bit" if row["weights"] in ("bf16", "fp16") else "fewer bits"
            kind = "several chips" if row["chips"] > 1 else f"one chip, {bits}"
            found.setdefault((phase, f"{phase}, {kind}", "nothing fitted"), []).append(row["id"])
    for case in fit_training.cases():
        kind, left_out = ("experts" if case[1][0].moe_layers else "dense"), "source"
        if fit_training.by_source(case) == "korthikanti2022":
            kind, left_out = "Megatron", "model"
        found.setdefault(("training_steps", f"training, {kind}", left_out), []).append(case[0]["id"])
    return found


@pytest.mark.parametrize("key, ids", kinds().items(), ids=lambda x: x[1] if isinstance(x, tuple) else "")
def test_figures_follow_from_recorded_rows(key, ids):
    rows, f = of(key[0]).loc[ids], FIGURES[key[1:]]
    errors = off(rows.predicted, rows.measured)
    inside = (rows.low <= rows.measured) & (rows.measured <= rows.high)
    assert f["n"] == len(rows) and f["mean"] == pytest.approx(errors.mean(), rel=1e-3)
    assert f["median"] == pytest.approx(np.median(errors), rel=2e-3, abs=2e-5)
    assert f["coverage"] == pytest.approx(inside.mean(), abs=1.5 / len(rows))  # a row may stand on the very edge
    if "textbook_mean" in f:
        textbook = off(rows.textbook, rows.measured)
        assert [f["textbook_mean"], f["textbook_median"]] == pytest.approx([textbook.mean(), np.median(textbook)], rel=1e-3)


# --- rows follow from the model -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("phase", ["decode", "prefill"])
def test_rows_of_passes_are_what_the_stack_predicts(phase):
    rows, done = of(phase), {row["id"]: row for row in fit_serving.passes(phase)}
    for column, key in (("predicted", "predicted"), ("measured", "seconds")):
        np.testing.assert_allclose(rows[column], [done[i][key] for i in rows.index], rtol=1e-4)


def test_textbook_of_served_rows_by_hand():
    """Batch = users, context = prompt and half of the answer, caches of two bytes, arithmetic and memory overlapped."""
    rows = [row for row in fit_serving.served() if not row["experts"]]
    bound = []
    for row in rows:
        model, chip, context = si.model(row["model"]), si.chip(row["chip"]), row["prompt"] + row["output"] / 2
        cache = 2.0 * 2 * model.layers * model.kv_heads * model.head_dim * context * row["concurrency"]
        read = (model.compute_params * {"bf16": 2.0, "fp8": 1.0}[row["weights"]] + cache) / (row["chips"] * chip.bandwidth)
        flops = row["concurrency"] * (2 * model.compute_params + 4 * model.layers * model.heads * model.head_dim * context)
        bound.append(max(read, flops / (row["chips"] * chip.peak[row["weights"]])))
    np.testing.assert_allclose(of("serving").textbook[[row["id"] for row in rows]], bound, rtol=2e-3)  # norms, and rounding


# --- no group sees itself -------------------------------------------------------------------------------------------------

def test_no_setting_is_measured_under_two_names_of_a_run():
    what = [*fit_serving.SETTING, "tensor", "expert", "prompt", "output", "concurrency"]
    rows = pd.DataFrame(fit_serving.served()).fillna({"expert": 0})
    assert rows.groupby(what)["run"].nunique().max() == 1


@pytest.mark.parametrize("column", fit_serving.GROUPS)
def test_a_fit_for_a_group_has_not_read_it(column, monkeypatch):
    seen, stored = [], fit_serving.calibrate.stored("serving")
    constants = {("serving", *key): value for key, (value, *_) in stored.items()}
    monkeypatch.setattr(fit_serving, "fit", lambda rows: seen.append({r["run"] for r in rows}) or dict(constants))
    monkeypatch.setattr(fit_serving, "predicted", lambda rows: np.zeros(len(rows)))
    done = pd.DataFrame(fit_serving.left_out(column))
    groups = list(dict.fromkeys(row[column] for row in fit_serving.served()))
    assert sorted(done.id) == sorted(row["id"] for row in fit_serving.served()) and len(seen) == len(groups)
    for group, fitted in zip(groups, seen):
        mine = set(done.run[done[column] == group])
        assert mine and not mine & fitted and mine | fitted == set(done.run)


def test_limits_of_a_group_come_from_the_others():
    groups, ratio = ["a"] * 11 + ["b"] * 11, np.r_[np.linspace(0.5, 1.0, 11), np.linspace(2.0, 4.0, 11)]
    ends = validation.others_limits(groups, ratio)
    assert ends["a"] == pytest.approx((1 / ratio[11:][8], ratio[11:][8])) and ends["b"] == pytest.approx((ratio[2], 1 / ratio[2]))
    assert validation.coverage(groups, ratio) == pytest.approx((11 + np.sum(ratio[11:] <= 1 / ratio[2])) / 22)


def test_fewer_than_thirty_rows_are_not_judged():
    met = {(n, r): validation.figure("serving, dense", "model", [r] * n, range(n))["met"] for n in (29, 30) for r in (1.08, 1.12)}
    assert met == {(29, 1.08): None, (29, 1.12): None, (30, 1.08): True, (30, 1.12): False}  # the median has the lower target


# --- the physical bound ---------------------------------------------------------------------------------------------------

def test_predictions_are_not_below_the_bound_of_their_own_batch():
    for _, model, chip, at, weights, kv, software, users, prompt, output in fit_serving._by_setting(fit_serving.served()):
        seconds, _, batch = steady(model, chip, at, users, prompt, output, weights, kv, None, host_of(software))
        bound = si.decode(model, chip, at.ranks * at.pipeline, batch, prompt + output / 2, weights, kv, stack="overlap")
        assert (seconds >= bound.seconds * (1 - 1e-3)).all(), (model.name, chip.name, software)  # the batch is found to a thousandth


def test_rows_faster_than_the_bound_of_all_their_users_are_listed():
    """Clients can be more than the engine's batch: then a bound for all of them is no bound."""
    known = ROWS[ROWS.textbook.notna()]
    assert set(known.id[known.measured < known.textbook]) == FASTER
    assert set(known.id[known.predicted < known.textbook]) <= FASTER


# --- all of it ------------------------------------------------------------------------------------------------------------

@pytest.mark.skipif(not os.environ.get("SILICONOMICS_FULL"), reason="SILICONOMICS_FULL is not set: the full validation takes minutes")
def test_the_record_is_what_a_full_run_gives(tmp_path, monkeypatch):
    monkeypatch.setattr(validation, "DATA", tmp_path)
    validation.main()
    again = json.loads((tmp_path / "validation.json").read_text(encoding="utf8"))["figures"]
    assert [(f["rows"], f["left_out"]) for f in again] == list(FIGURES)
    for f in again:
        before = FIGURES[f["rows"], f["left_out"]]
        assert [f[key] for key in ("n", "drawn", "met")] == [before[key] for key in ("n", "drawn", "met")]
        np.testing.assert_allclose(numbers(f), numbers(before), rtol=0.01, atol=2e-3)  # solvers on other machines end a little elsewhere
