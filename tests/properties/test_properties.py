"""What must hold for every model, chip and number: floors, limits and directions."""
import math

import numpy as np
import pytest
import siliconomics as si
from hypothesis import assume, given
from hypothesis import strategies as st

MODELS = [si.model(name) for name in si.models().index]
CHIPS = [si.chip(name) for name in si.chips().index]
models, chips = st.sampled_from(MODELS), st.sampled_from(CHIPS)
moe_models = st.sampled_from([m for m in MODELS if m.moe_layers])
counts, batches = st.integers(1, 512), st.integers(1, 100_000)
contexts, factors = st.integers(0, 200_000), st.floats(1.0, 100.0)
dtypes, stacks = st.sampled_from(["bf16", "fp8", "int4", "mxfp4"]), st.sampled_from(["roofline", "overlap"])
prices = st.just(0.0) | st.floats(1e-6, 1e6)
CLOSE = 1 + 1e-12


@given(models, chips, counts, batches, contexts, dtypes, stacks, factors)
def test_more_bandwidth_is_never_slower(model, chip, n, batch, context, dtype, stack, factor):
    faster = chip.replace(bandwidth=factor * chip.bandwidth)
    first, second = (si.decode(model, c, n, batch, context, dtype, stack=stack).seconds for c in (chip, faster))
    assert second <= first * CLOSE
    first, second = (si.prefill(model, c, n, context + 1, batch, dtype, stack=stack).seconds for c in (chip, faster))
    assert second <= first * CLOSE


@given(models, chips, counts, batches, contexts, dtypes, stacks, factors)
def test_more_peak_is_never_slower(model, chip, n, batch, context, dtype, stack, factor):
    faster = chip.replace(peak={d: factor * p for d, p in chip.peak.items()})
    first, second = (si.decode(model, c, n, batch, context, dtype, stack=stack).seconds for c in (chip, faster))
    assert second <= first * CLOSE


@given(models, chips, counts, batches, contexts, dtypes, stacks, st.integers(1, 1000))
def test_more_work_is_never_faster(model, chip, n, batch, context, dtype, stack, more):
    start = si.decode(model, chip, n, batch, context, dtype, stack=stack).seconds
    assert si.decode(model, chip, n, batch + more, context, dtype, stack=stack).seconds >= start / CLOSE
    assert si.decode(model, chip, n, batch, context + more, dtype, stack=stack).seconds >= start / CLOSE
    assert si.decode(model, chip, n, batch, context, "fp32", stack=stack, compute=chip.compute_dtype(dtype)).seconds >= start / CLOSE


@given(models, chips, counts, batches, contexts, stacks, st.integers(2, 8))
def test_k_times_the_chips_are_k_times_as_fast(model, chip, n, batch, context, stack, k):
    one, more = (si.decode(model, chip, c, batch, context, stack=stack, usd_per_chip_hour=2) for c in (n, k * n))
    assert math.isclose(one.seconds, k * more.seconds, rel_tol=1e-12)
    assert math.isclose(one.usd_per_mtok, more.usd_per_mtok, rel_tol=1e-12)


@given(models, chips, counts, stacks)
def test_without_context_use_tends_to_one(model, chip, n, stack):
    assert math.isclose(si.decode(model, chip, n, 1e12, 0, stack=stack).mfu, 1, rel_tol=1e-6)


@given(models, chips, counts, st.integers(1, 100_000))
def test_with_context_use_tends_to_less(model, chip, n, context):
    peak, bandwidth = chip.peak[chip.best_16bit], chip.bandwidth
    compute, cache = 2 * model.compute_params / peak, model.kv_bytes(context) / bandwidth
    step = si.decode(model, chip, n, 1e13, context, compute=chip.best_16bit)
    assert math.isclose(step.mfu, compute / (compute + cache), rel_tol=1e-6)
    assert math.isclose(si.decode(model, chip, n, 1e13, context, stack="overlap", compute=chip.best_16bit).mfu, compute / max(compute, cache), rel_tol=1e-6)


@given(models, chips, counts, dtypes, stacks)
def test_one_sequence_without_context_meets_the_floor(model, chip, n, dtype, stack):
    assume(si.critical_batch(chip, dtype) > 2)
    step = si.decode(model, chip, n, 1, 0, dtype, stack=stack)
    floor = si.memory_floor(model.weight_bytes_read(1, dtype), chip, n)
    assert math.isclose(step.seconds, floor, rel_tol=1e-12) and step.bound == "memory"
    if not model.moe_layers:
        assert math.isclose(step.seconds, model.params * si.dtype_bytes(dtype) / (n * chip.bandwidth), rel_tol=1e-12)


@given(models, chips, counts, dtypes, stacks)
def test_bound_changes_at_the_critical_batch(model, chip, n, dtype, stack):
    assume(not model.moe_layers)
    turn = si.critical_batch(chip, dtype) * model.params / model.compute_params  # learned positions are read, not multiplied
    below, above = si.decode(model, chip, n, [0.999 * turn, 1.001 * turn], 0, dtype, stack=stack).bound
    assert (below, above) == ("memory", "compute")
    prompt = model.weight_bytes(dtype) / (2 * model.compute_params / chip.peak[chip.compute_dtype(dtype)] * chip.bandwidth - model.kv_bytes(1, 0.01))
    below, above = si.prefill(model, chip, n, 1, [0.99 * prompt, 1.01 * prompt], dtype, 0.01, stack).bound
    assert (below, above) == ("memory", "compute")


@given(models, chips, counts, batches, contexts, dtypes, dtypes)
def test_nothing_is_under_the_physical_bound(model, chip, n, batch, context, weights, kv):
    arguments = (model, chip, n, batch, context, weights, kv)
    additive, bound = si.decode(*arguments), si.decode(*arguments, stack="overlap")
    assert additive.seconds >= bound.seconds / CLOSE
    assert additive.seconds <= 2 * bound.seconds * CLOSE
    prompts = (model, chip, n, context + 1, batch, weights, kv)
    assert si.prefill(*prompts).seconds >= si.prefill(*prompts, stack="overlap").seconds / CLOSE
    assert additive.bound == bound.bound and additive.fits == bound.fits


@given(models, chips, counts, batches, contexts, dtypes, dtypes, stacks)
def test_utilisations_are_fractions_and_agree(model, chip, n, batch, context, weights, kv, stack):
    step = si.decode(model, chip, n, batch, context, weights, kv, stack)
    assert 0 < step.mbu <= CLOSE and 0 < step.mfu <= CLOSE
    assert math.isclose(si.mbu(step.seconds, model, chip, n, batch, context, weights, kv), step.mbu, rel_tol=1e-12)
    dtype = chip.compute_dtype(weights)
    assert math.isclose(si.mfu(step.tokens_per_second, model, chip, n, dtype=dtype, training=False), step.mfu, rel_tol=1e-12)
    assert math.isclose(step.tokens_per_second, batch * step.tokens_per_second_per_user, rel_tol=1e-12)
    if stack == "overlap":
        assert math.isclose(max(step.mbu, step.mfu), 1, rel_tol=1e-12)


@given(models, chips, st.integers(1, 4096), st.integers(1, 100_000), dtypes, dtypes)
def test_largest_batch_fits_and_one_more_does_not(model, chip, n, context, weights, kv):
    batch = si.max_batch(model, chip, n, context, weights, kv)
    assert isinstance(batch, int) and batch >= 0
    fits = [si.decode(model, chip, n, b, context, weights, kv).fits for b in (max(batch, 1), batch + 1)]
    assert fits == [batch > 0, False]
    smaller = chip.replace(memory_bytes=0.75 * chip.memory_bytes)
    reserved = si.max_batch(model, chip, n, context, weights, kv, reserve=0.25 * chip.memory_bytes)
    assert reserved == si.max_batch(model, smaller, n, context, weights, kv) <= batch


@given(models, chips, st.integers(1, 64), batches, contexts, dtypes, dtypes)
def test_bytes_held_are_weights_and_caches(model, chip, n, batch, context, weights, kv):
    step = si.decode(model, chip, n, batch, context, weights, kv)
    assert math.isclose(step.memory_bytes, model.weight_bytes(weights) + batch * model.kv_bytes(context, kv), rel_tol=1e-12)
    assert step.fits == (step.memory_bytes <= n * chip.memory_bytes)


@given(models, chips, st.floats(1, 1e9), counts, contexts, st.booleans())
def test_hardware_use_is_at_least_model_use(model, chip, rate, n, context, causal):
    arguments = dict(model=model, chip=chip, chips=n, context=context, causal=causal, dtype=chip.best_16bit)
    base = si.mfu(rate, **arguments)
    none, selective, full = (si.hfu(rate, **arguments, recompute=r) for r in ("none", "selective", "full"))
    assert none == base and base <= selective and base < full
    assert math.isclose(full, 4 / 3 * base, rel_tol=1e-12)


@given(models, chips, counts, st.floats(1e6, 1e14), st.floats(0.01, 1), prices, st.floats(1, 2))
def test_run_gives_its_utilisation_back(model, chip, n, tokens, used, price, pue):
    run = si.train_run(model, chip, n, tokens, used, price, 700, pue, dtype=chip.best_16bit)
    assert math.isclose(si.mfu(tokens / run.seconds, model, chip, n, dtype=chip.best_16bit), used, rel_tol=1e-12)
    assert math.isclose(run.usd, run.seconds * n * price / 3600, rel_tol=1e-12)
    assert math.isclose(run.joules, run.seconds * n * 700 * pue, rel_tol=1e-12)


@given(moe_models, st.integers(1, 10**7))
def test_distinct_experts_lie_between_one_token_and_all(model, batch):
    hit = model.distinct_experts(batch)
    assert model.experts_active / CLOSE <= hit <= min(model.experts, model.experts_active * batch) * CLOSE
    assert model.distinct_experts(batch + 1) >= hit / CLOSE
    assert model.weight_bytes_read(1) / CLOSE <= model.weight_bytes_read(batch) <= model.weight_bytes() * CLOSE


@given(models, batches)
def test_a_dense_model_reads_all_its_weights(model, batch):
    assume(not model.moe_layers)
    assert model.weight_bytes_read(batch) == model.weight_bytes() and model.distinct_experts(batch) == 0


@given(models, contexts, dtypes)
def test_windows_only_save(model, context, dtype):
    without = model.kv_bytes_per_token(dtype) * context
    held = model.kv_bytes(context, dtype)
    assert held <= without * CLOSE and (held < without) == (model.windowed_layers > 0 and context > model.window)
    assert model.kv_bytes(context + 1, dtype) >= held / CLOSE


@given(models, st.integers(1, 200_000))
def test_causal_attention_costs_less(model, context):
    full, causal = model.attention_flops(context), model.attention_flops(context, causal=True)
    assert full / 2 <= causal * CLOSE and causal <= full * CLOSE
    if not model.windowed_layers:
        assert math.isclose(causal, full / 2, rel_tol=1e-12)
    assert math.isclose(model.flops_per_token(context, training=True), 3 * model.flops_per_token(context), rel_tol=1e-12)
    assert math.isclose(model.flops_per_token(context), 2 * model.compute_params + full, rel_tol=1e-12)


@given(chips, st.just(0.0) | st.floats(1e-6, 1e6), counts, factors)
def test_attainable_rises_to_the_peak_and_no_further(chip, intensity, n, factor):
    dtype = chip.best_16bit
    at = si.attainable(intensity, chip, dtype, n)
    assert at <= n * chip.peak[dtype] and at <= si.attainable(factor * intensity, chip, dtype, n) * CLOSE
    assert (at < n * chip.peak[dtype] / CLOSE) <= (intensity < chip.ridge())


@given(models, chips, st.integers(1, 8), st.lists(batches, min_size=1, max_size=5), st.lists(contexts, min_size=1, max_size=5), stacks)
def test_grids_equal_single_steps(model, chip, n, several, lengths, stack):
    grid = si.decode(model, chip, n, np.array(several)[:, None], lengths, stack=stack, usd_per_chip_hour=2)
    for i, batch in enumerate(several):
        for j, context in enumerate(lengths):
            alone = si.decode(model, chip, n, batch, context, stack=stack, usd_per_chip_hour=2)
            for field in ("seconds", "tokens_per_second", "mfu", "mbu", "bound", "memory_bytes", "fits", "usd_per_mtok", "attention_flops"):
                assert getattr(grid, field)[i, j] == getattr(alone, field), field


@given(prices, st.floats(1e-3, 1e9))
def test_price_of_a_million_tokens_is_hours_times_rent(price, rate):
    assert math.isclose(si.usd_per_mtok(price, rate), 1e6 / rate / 3600 * price, rel_tol=1e-12)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_counts_are_whole_and_ordered(model):
    assert all(isinstance(n, int) for n in (model.params, model.active_params, model.compute_params, model.shared_params))
    assert 0 < model.compute_params <= model.active_params <= model.params and model.shared_params <= model.active_params
    assert model.full_layers >= 0
