"""One training step: what it refuses, what it holds, what it sends, and that its bounds are in order."""
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import siliconomics as si

SEQUENCE = 1024
CHIP = si.Chip("test chip", peak={"bf16": 1e15}, memory_bytes=80e9, bandwidth=3e12, link_bandwidth=4e11)
DENSE = si.Transformer("dense", layers=16, d_model=2048, heads=16, kv_heads=16, head_dim=128, d_ff=8192, vocab=32000, gated=False)
MIXTURE = si.Transformer("mixture", layers=8, d_model=1024, heads=8, kv_heads=8, head_dim=128, d_ff=0, vocab=32000, experts=8,
                         experts_active=2, expert_d_ff=2048, moe_layers=8)


def step(model=DENSE, chip=CHIP, chips=64, sequences=256, **options):
    return si.train_step(model, chip, chips, sequences * SEQUENCE, SEQUENCE, **options)


# --- layouts --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("options, names", [
    (dict(tensor=3), "chips"),
    (dict(tensor=8, pipeline=8, data=2), "chips"),
    (dict(tensor=128), "chips"),
    (dict(tensor=4, context_parallel=3), "chips"),
    (dict(model=MIXTURE, expert=3), "expert"),
    (dict(model=MIXTURE, expert=16), "expert"),
    (dict(expert=2), "expert"),
    (dict(pipeline=32), "pipeline"),
    (dict(pipeline=8, interleave=4), "interleave"),
    (dict(interleave=2), "interleave"),
    (dict(tensor=32), "tensor"),
    (dict(sequences=100), "batch_tokens"),
    (dict(sequences=32), "batch_tokens"),
    (dict(micro_batch=3), "batch_tokens"),
    (dict(zero=4), "zero"),
    (dict(zero=-1), "zero"),
    (dict(tensor=0), "tensor"),
    (dict(pipeline=1.5), "pipeline"),
    (dict(data=0), "data"),
    (dict(recompute="some"), "recompute"),
    (dict(stack="calibrate"), "stack"),
    (dict(network_bandwidth=0.0), "network_bandwidth"),
])
def test_a_layout_that_does_not_work_is_refused_by_name(options, names):
    with pytest.raises(si.BadValue, match=names):
        step(**options)


def test_a_missing_dtype_names_those_there_are():
    with pytest.raises(si.MissingDtype, match="bf16"):
        step(dtype="fp4")


def test_an_unknown_link_is_asked_for():
    lone = CHIP.replace(link_bandwidth=math.nan)
    with pytest.raises(si.BadValue, match="link"):
        step(chip=lone)
    assert step(chip=lone, chips=1, sequences=1).seconds > 0  # one chip needs no link
    assert step(chip=lone, network_bandwidth=1e10).seconds == step(network_bandwidth=1e10).seconds  # data ranks need no inner link
    with pytest.raises(si.BadValue, match="link"):
        step(chip=lone, tensor=2, network_bandwidth=1e10)


def test_a_layout_may_use_all_layers_and_all_heads():
    assert step(pipeline=16).seconds > 0 and step(tensor=16).seconds > 0 and step(MIXTURE, expert=8).seconds > 0


def test_data_ranks_are_what_is_left():
    derived, given_ = step(tensor=4, pipeline=2), step(tensor=4, pipeline=2, data=8)
    assert derived == given_


# --- memory ---------------------------------------------------------------------------------------------------------

def states(found) -> float:
    return found.memory["weights"] + found.memory["gradients"] + found.memory["optimizer"]


def test_memory_is_the_sum_of_its_parts():
    found = step(tensor=2)
    assert found.memory_bytes == pytest.approx(sum(found.memory.values()), rel=1e-14)
    assert found.fits == (found.memory_bytes <= CHIP.memory_bytes)


@pytest.mark.parametrize("zero, part", [(1, "optimizer"), (2, "gradients"), (3, "weights")])
def test_each_zero_stage_splits_one_more_part(zero, part):
    before, after = step(zero=zero - 1).memory, step(zero=zero).memory
    assert after[part] == pytest.approx(before[part] / 64, rel=1e-14)
    assert {k: v for k, v in after.items() if k != part} == {k: v for k, v in before.items() if k != part}


@pytest.mark.parametrize("layout", [dict(), dict(tensor=4), dict(tensor=2, pipeline=4), dict(context_parallel=4), dict(tensor=8, pipeline=8)])
def test_fully_split_states_are_held_once_by_all_chips(layout):
    assert 64 * states(step(zero=3, **layout)) == pytest.approx(16 * DENSE.params, rel=1e-12)


@pytest.mark.parametrize("expert", [1, 2, 8])
def test_fully_split_states_of_a_mixture_do_not_depend_on_where_experts_sit(expert):
    assert 64 * states(step(MIXTURE, zero=3, expert=expert)) == pytest.approx(16 * MIXTURE.params, rel=1e-12)


def test_experts_without_zero_are_split_over_their_ranks():
    alone, spread = step(MIXTURE, zero=0), step(MIXTURE, zero=0, expert=8)
    experts = MIXTURE.moe_layers * MIXTURE.experts * MIXTURE.expert_params
    assert states(alone) - states(spread) == pytest.approx(16 * experts * 7 / 8, rel=1e-12)


def test_recomputing_more_keeps_less():
    kept = [step(recompute=how, flash=False, micro_batch=4).memory["activations"] for how in ("none", "selective", "full")]
    assert kept[0] > kept[1] > kept[2]


def test_flash_attention_never_stores_scores():
    assert step(flash=True, recompute="none").memory == step(flash=False, recompute="selective").memory


def test_context_ranks_split_the_sequence_that_they_keep():
    whole, split = step(chips=1, sequences=1), step(chips=4, sequences=1, context_parallel=4)
    assert split.memory["activations"] == pytest.approx(whole.memory["activations"] / 4, rel=1e-12)


def test_full_recomputation_works_on_one_layer_at_a_time():
    """16 layer inputs of 2 s b h, one layer of 34 s b h at work, and the logits in four bytes."""
    found = step(chips=1, sequences=1, recompute="full")
    assert found.memory["activations"] == pytest.approx(SEQUENCE * (2048 * (16 * 2 + 34) + 4 * 32000), rel=1e-12)


def test_stages_hold_as_many_micro_batches_as_are_in_flight():
    few, many = step(chips=8, sequences=2, pipeline=8), step(chips=8, sequences=64, pipeline=8)
    assert many.memory["activations"] == pytest.approx(4 * few.memory["activations"], rel=1e-12)


def test_a_step_that_does_not_fit_keeps_its_numbers():
    found = step(chip=CHIP.replace(memory_bytes=1e9))
    assert not found.fits and found.seconds == step().seconds


# --- time -----------------------------------------------------------------------------------------------------------

LAYOUTS = st.fixed_dictionaries({
    "tensor": st.sampled_from([1, 2, 8]), "pipeline": st.sampled_from([1, 2, 4]), "context_parallel": st.sampled_from([1, 2]),
    "micro_batch": st.sampled_from([1, 2]), "interleave": st.sampled_from([1, 2]), "zero": st.integers(0, 3),
    "recompute": st.sampled_from(["none", "selective", "full"]), "flash": st.booleans(), "causal": st.booleans(),
    "network_bandwidth": st.one_of(st.none(), st.floats(1e7, 1e12)),
}).filter(lambda layout: layout["pipeline"] > 1 or layout["interleave"] == 1)


@given(LAYOUTS)
def test_bounds_are_in_order_and_no_chip_beats_its_peak(layout):
    found = step(**layout)
    assert found.low <= found.seconds * (1 + 1e-12) and found.seconds <= found.high * (1 + 1e-12)
    assert 0 < found.mfu <= found.hfu <= 1 + 1e-12
    assert found.low >= found.parts["compute"]
    assert found.memory_bytes > 0


@given(LAYOUTS)
def test_overlap_is_the_low_end(layout):
    found = step(stack="overlap", **layout)
    assert found.seconds == found.low == step(**layout).low


def test_one_chip_sends_nothing_and_runs_at_peak():
    found = step(chips=1, sequences=4)
    assert [seconds for part, seconds in found.parts.items() if part != "compute"] == [0.0] * 5
    assert found.low == found.seconds == found.high == found.parts["compute"]
    assert found.mfu == pytest.approx(1.0, rel=1e-14) and found.bubble == 0.0
    assert found.seconds == pytest.approx(4 * SEQUENCE * DENSE.flops_per_token(SEQUENCE, training=True) / 1e15, rel=1e-14)


def test_full_recomputation_runs_the_forward_pass_twice():
    for options in (dict(), dict(tensor=8), dict(causal=True)):
        found = step(recompute="full", **options)
        assert found.hfu == pytest.approx(4 / 3 * found.mfu, rel=1e-12)
        assert found.parts["compute"] == pytest.approx(4 / 3 * step(**options).parts["compute"], rel=1e-12)


def test_mfu_is_that_of_the_step_time():
    found = step(tensor=8, recompute="full")
    assert found.mfu == pytest.approx(si.mfu(256 * SEQUENCE / found.seconds, DENSE, CHIP, 64, SEQUENCE), rel=1e-12)


def test_without_traffic_the_bubble_stretches_the_arithmetic():
    wide = CHIP.replace(link_bandwidth=1e30)
    found = step(chip=wide, chips=8, sequences=16, pipeline=8)
    assert found.bubble == 7 / 23
    for seconds in (found.low, found.seconds, found.high):
        assert seconds == pytest.approx(found.parts["compute"] * (1 + 7 / 16), rel=1e-9)


def test_tensor_traffic_waits_in_the_bubble_too():
    found = step(chips=32, sequences=16, tensor=8, pipeline=4)
    worked = found.parts["compute"] + found.parts["tensor"]
    assert found.seconds == pytest.approx(worked * (1 + 3 / 16), rel=1e-12)
    assert found.high == pytest.approx((worked + found.parts["pipeline"]) * (1 + 3 / 16), rel=1e-12)


def test_the_low_end_is_the_busiest_of_chips_and_wires():
    slow = step(tensor=8, pipeline=2, network_bandwidth=1e8)
    assert slow.low == pytest.approx(slow.parts["pipeline"] + slow.parts["data"], rel=1e-12)
    inner = step(chip=CHIP.replace(link_bandwidth=1e9), tensor=8, network_bandwidth=1e12)
    assert inner.low == inner.parts["tensor"] > inner.parts["compute"]


def test_a_slower_network_leaves_tensor_traffic_alone():
    fast, slow = step(tensor=8, pipeline=2), step(tensor=8, pipeline=2, network_bandwidth=CHIP.link_bandwidth / 8)
    assert slow.parts["tensor"] == fast.parts["tensor"] > 0
    assert slow.parts["data"] == pytest.approx(8 * fast.parts["data"], rel=1e-12)
    assert slow.parts["pipeline"] == pytest.approx(8 * fast.parts["pipeline"], rel=1e-12)


def test_gradients_hide_behind_the_backward_pass_until_it_ends():
    hidden, exposed = step(zero=1), step(zero=1, network_bandwidth=1e9)
    assert hidden.seconds == hidden.parts["compute"]
    backward = 2 / 3 * exposed.parts["compute"]
    assert exposed.seconds == pytest.approx(exposed.parts["compute"] + exposed.parts["data"] - backward, rel=1e-12)


# --- traffic, by hand -----------------------------------------------------------------------------------------------

def test_gradients_are_reduced_once_a_step():
    found = step(zero=0)
    assert found.parts["data"] == pytest.approx(2 * 63 / 64 * 2 * DENSE.params / 4e11, rel=1e-12)


def test_split_weights_travel_three_times_a_micro_batch():
    """Two gathers of the weights and one scatter of the gradients, each half an all-reduce, four times over."""
    found = step(zero=3)
    assert found.parts["data"] == pytest.approx(4 * 3 * 63 / 64 * 2 * DENSE.params / 4e11, rel=1e-12)


def test_stages_pass_activations_on_and_gradients_back():
    found = step(chips=4, sequences=8, pipeline=4)
    assert found.parts["pipeline"] == pytest.approx(2 * 8 * SEQUENCE * 2048 * 2 / 4e11, rel=1e-12)
    assert step(chips=4, sequences=8, pipeline=4, interleave=2).parts["pipeline"] == pytest.approx(2 * found.parts["pipeline"], rel=1e-12)


def test_context_ranks_pass_keys_and_values_round():
    """Forward once, backward once with their gradients: three gathers of 2 n_kv h values a token in each layer."""
    found = step(chips=4, sequences=1, context_parallel=4)
    assert found.parts["context"] == pytest.approx(3 * 16 * 3 / 4 * (2 * 16 * 128 * 2 * SEQUENCE) / 4e11, rel=1e-12)


def test_experts_cost_two_exchanges_forward_and_two_back():
    found = step(MIXTURE, chips=8, sequences=8, expert=8)
    assert found.parts["expert"] == pytest.approx(8 * 4 * 7 / 8 * (2 * SEQUENCE * 1024 * 2) / 4e11, rel=1e-12)
    assert step(MIXTURE, chips=8, sequences=8).parts["expert"] == 0.0


def test_tensor_ranks_share_what_is_sent_to_others():
    for part, options in (("pipeline", dict(pipeline=4)), ("context", dict(context_parallel=4)), ("expert", dict(model=MIXTURE, expert=4, data=4))):
        alone, shared = step(chips=4, sequences=8, **options), step(chips=8, sequences=8, tensor=2, **options)
        assert shared.parts[part] == pytest.approx(alone.parts[part] / 2, rel=1e-12) and shared.parts[part] > 0


def test_str_says_whether_it_fits():
    assert "fits" in str(step(zero=3)) and "DOES NOT FIT" in str(step(chip=CHIP.replace(memory_bytes=1e9)))


@pytest.mark.parametrize("recompute", ["none", "selective", "full"])
def test_a_calibrated_step_is_never_below_its_floor(monkeypatch, recompute):
    """Whatever the fit says: arithmetic with the masked half skipped, over the bubble; or what the wires carry."""
    from siliconomics import train_calibration

    monkeypatch.setattr(train_calibration, "calibrated_seconds", lambda *at, **more: (1e-9, 2e-9, 1e6))
    model, chip, sequence, batch = si.model("GPT-3 175B"), si.chip("A100 SXM 80GB"), 2048, 64
    step = si.train_step(model, chip, 64, batch * sequence, sequence, tensor=8, pipeline=8, recompute=recompute, dtype="bf16", stack="calibrated")
    forward = 2 * model.compute_params + model.attention_flops(sequence, causal=True)
    again = {"none": 0.0, "selective": 3 * model.attention_flops(sequence, causal=True), "full": forward}[recompute]
    arithmetic = batch * sequence * (3 * forward + again) / (64 * chip.peak["bf16"])
    floor = arithmetic / (1 - 7 / (64 + 7))
    assert step.seconds == step.low == pytest.approx(floor, rel=1e-12) and step.high == 1e6
    slow = si.train_step(model, chip.replace(link_bandwidth=1e9), 64, batch * sequence, sequence, tensor=8, pipeline=8, recompute=recompute, dtype="bf16",
                         stack="calibrated")
    wires = {name: seconds for name, seconds in slow.parts.items() if name != "compute"}
    assert slow.seconds == pytest.approx(max(wires["tensor"], sum(wires.values()) - wires["tensor"]), rel=1e-12) and slow.seconds > 2 * floor
