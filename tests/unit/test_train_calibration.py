"""The calibrated training step: errors on left-out runs, folds without copies, intervals, physics, and what is derived."""
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import siliconomics as si
from siliconomics import fit_training as ft
from siliconomics import train_calibration as tc
from siliconomics import train_parts, train_runs
from siliconomics.tables import table
from siliconomics.training import Layout

MEGATRON = {  # Korthikanti et al. (2022), table 5: seconds with full recomputation, and with selective and sequence parallelism
    "Megatron 22B": (1.42, 1.10), "GPT-3 175B": (18.13, 13.75), "MT-NLG 530B": (49.05, 37.83), "Megatron 1T": (94.42, 71.49)}
A100 = "A100 SXM 80GB"


def dense(errors):
    return np.array([math.exp(error) - 1 for case, error in errors if not case[1][0].moe_layers])


@pytest.fixture(scope="module")
def by_source():
    return ft.left_out(ft.by_source)


@pytest.fixture(scope="module")
def by_chip():
    return ft.left_out(ft.by_chip)


def values(without):
    return {name: value for name, (value, _) in ft.fit([case for case in ft.cases() if not without(case)]).items()}


# --- errors on runs the fit has not seen ----------------------------------------------------------------------------------

def test_megatron_models_left_out_one_by_one():
    errors = []
    for model, measured in MEGATRON.items():
        own = [case for case in ft.cases() if ft.by_model(case) == f"korthikanti2022 {model}"]
        assert sorted(case[0]["value"] for case in own) == sorted(measured)
        value = values(lambda case: ft.by_model(case) == f"korthikanti2022 {model}")
        errors += [abs(math.exp(ft.residual(case, value)) - 1) for case in own]
    assert len(errors) == 8 and np.mean(errors) <= 0.025 and max(errors) <= 0.05


def test_sources_left_out(by_source):
    off = np.abs(dense(by_source))
    assert len(off) >= 195 and off.mean() <= 0.135 and np.median(off) <= 0.10


def test_chips_left_out(by_chip):
    off = np.abs(dense(by_chip))
    assert off.mean() <= 0.13 and np.median(off) <= 0.095


def test_better_than_one_mfu_a_chip(by_source):
    def utilisation(case):
        model, chip, at, sequence, dtype = *case[1][:4], case[1][6]
        tokens = at.micro_batches * at.micro_batch * sequence / (at.tensor * at.pipeline * at.context)
        return tokens * model.flops_per_token(sequence, True, True) / ft.quantity(case[0], case[1], case[0]["value"]) / chip.peak[dtype]

    some = [(case, utilisation(case)) for case in ft.cases() if not case[1][0].moe_layers]
    off = []
    for case, own in some:
        others = [u for c, u in some if ft.by_source(c) != ft.by_source(case) and c[1][1] == case[1][1]]
        off.append(abs(own / np.exp(np.mean(np.log(others))) - 1) if others else np.nan)
    kept = ~np.isnan(off)
    assert np.abs(dense(by_source))[kept].mean() < 0.7 * np.nanmean(off)


def test_no_copy_of_a_run_in_two_folds():
    """Some runs stand twice, in two units or in two publications: the fits read one row of each."""
    runs = [case[0]["run"] for case in ft.cases()]
    assert len(runs) == len(set(runs)) < len(table("training_steps"))


# --- intervals ------------------------------------------------------------------------------------------------------------

def test_interval_covers_left_out_sources(by_source):
    held = [(ft.by_source(case), error) for case, error in by_source if not case[1][0].moe_layers]
    inside = []
    for source in {s for s, _ in held}:  # its own residuals do not set its interval
        others = [(s, error) for s, error in held if s != source]
        low, high = ft.limits([math.exp(-error) for _, error in others], [s for s, _ in others])
        inside += [low <= math.exp(-error) <= high for s, error in held if s == source]
    assert 0.75 <= np.mean(inside) <= 0.85


def test_stored_interval_covers_left_out_runs(by_source):
    _, low, high = tc.constants()["interval:unseen"]
    inside = [low <= math.exp(-error) <= high for case, error in by_source if not case[1][0].moe_layers]
    assert 0.75 <= np.mean(inside) <= 0.85


def test_unseen_software_has_the_wider_interval():
    _, low, high = tc.constants()["interval:known"]
    _, lower, higher = tc.constants()["interval:unseen"]
    assert lower <= low < 1 < high <= higher


# --- constants ------------------------------------------------------------------------------------------------------------

def test_stored_constants_are_the_refitted_ones():
    refitted = {tc.name(row): row for row in ft.fit_rows()}
    assert set(refitted) == set(tc.constants())
    for name, (value, low, high) in tc.constants().items():
        assert value == pytest.approx(float(refitted[name]["value"]), rel=2e-3)
        assert 0 < low <= value <= high or name.startswith("interval:")


def test_shares_are_shares():
    for name in ("gemm", "narrow", "attention", "memory", "tensor", "network"):
        assert 0.3 < tc.constants()[name][0] <= 1.0
    assert 0 < tc.constants()["launch"][0] < 1e-4


# --- the step -------------------------------------------------------------------------------------------------------------

def test_train_step_uses_it():
    step = si.train_step("GPT-3 175B", A100, 64, 64 * 2048, 2048, tensor=8, pipeline=8, interleave=3, recompute="selective", flash=False,
                         stack="calibrated")
    assert step.low < step.seconds < step.high and step.low < 13.75 < step.high
    assert step.seconds == pytest.approx(13.75, rel=0.15)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([A100, "H100 SXM", "MI300X", "TPU v5p", "GB200 (per GPU)"]),
       st.sampled_from(["Llama 3.1 8B", "GPT-3 175B", "Mixtral 8x7B"]), st.sampled_from([1, 2, 8]), st.sampled_from([1, 4, 8]),
       st.sampled_from([0, 1, 3]), st.sampled_from(["none", "full"]), st.sampled_from([512, 8192, 131072]))
def test_never_below_the_overlap_bound(chip, model, tensor, pipeline, zero, recompute, sequence):
    options = dict(tensor=tensor, pipeline=pipeline, zero=zero, recompute=recompute, causal=True)
    step, bound = (si.train_step(model, chip, 64, 128 * sequence, sequence, stack=stack, **options) for stack in ("calibrated", "overlap"))
    assert step.low <= step.seconds <= step.high and step.low >= bound.seconds * (1 - 1e-12)


def test_more_work_takes_longer():
    def seconds(**changes):
        options = dict(chips=64, batch_tokens=256 * 4096, sequence=4096, tensor=8, pipeline=2, stack="calibrated") | changes
        return si.train_step("Llama 3.1 70B", "H100 SXM", **options).seconds

    assert seconds() < seconds(recompute="full") and seconds() < seconds(batch_tokens=512 * 4096) < 2.01 * seconds()
    assert seconds(chips=128) < seconds() < seconds(flash=False)
    assert seconds(network_bandwidth=1e8) > seconds()


def test_ring_over_nodes_uses_all_ports():
    chip = si.chip("H100 SXM")
    rate = train_parts.ring_rate
    assert rate(chip, 8, 1, 50e9) == chip.link_bandwidth == rate(chip, 64, 1, 50e9) * 450 / 400
    assert train_parts.network(chip) == (50e9, 8) and train_parts.network(si.chip("GB200 (per GPU)"))[1] == 72
    assert train_parts.network(si.chip("TPU v5p")) == (600e9, math.inf) and train_parts.network(si.chip("MI300X")) == (448e9, 8)
    assert rate(chip, 16, 8, 50e9) == 50e9 and rate(chip, 16, 2, 50e9) == 200e9
    assert rate(si.chip("GB200 (per GPU)"), 64, 1, 50e9) == 900e9 and rate(si.chip("TPU v5p"), 4096, 2, 50e9) == 600e9


# --- published rows ---------------------------------------------------------------------------------------------------------

ROWS = {row["id"]: row for row in table("training_steps")}


@pytest.mark.parametrize("id", sorted(ROWS))
def test_every_row_is_predicted(id):
    row = ROWS[id]
    predicted, low, high = tc.predict_training(row)
    assert 0 < low < predicted < high < math.inf
    if row["quantity"] in ("mfu", "hfu"):
        assert high < 1.6 and predicted < 1.1


def test_same_quantity_as_the_row():
    """MFU and tokens/s of one run are predicted from one time."""
    run = [row for row in ROWS.values() if row["run"] == ROWS["TS001"]["run"]]
    assert sorted(row["quantity"] for row in run) == ["mfu", "tokens_per_second_per_chip"]
    share, rate = (tc.predict_training(row)[0] for row in sorted(run, key=lambda r: r["quantity"]))
    assert share == pytest.approx(si.mfu(rate, "MPT-70B", "H100 SXM", context=2048), rel=0.01)


def test_what_a_row_leaves_out_is_derived():
    known = ROWS["TS001"]
    bare = known | dict.fromkeys(("tensor", "pipeline", "data", "context_parallel", "interleave", "zero", "sequences", "micro_batch",
                                  "sequence", "recompute", "dtype", "software"))
    model, chip, at, sequence, zero, recompute, dtype, flash = train_runs.step_of(bare)
    assert at.tensor * at.pipeline * at.context * at.data == known["chips"] and sequence == 2048 and dtype == "bf16" and flash and zero == 1
    assert train_runs._held(model, at, sequence, zero, recompute, flash) <= train_runs.ROOM * chip.memory_bytes
    smaller = Layout(at.tensor // 2 or 1, at.pipeline, 1, known["chips"] // (at.pipeline * (at.tensor // 2 or 1)), 1, 1, 1, at.pipeline)
    assert at.tensor == 1 or train_runs._held(model, smaller, sequence, zero, "selective", flash) > train_runs.ROOM * chip.memory_bytes
