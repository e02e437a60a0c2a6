"""Each formula, compiled and plain, equals its NumPy twin to 1e-12; without the compiler the numbers are the same."""
import os
import subprocess
import sys

import numpy as np
import pytest
import siliconomics as si
import twins
from numpy.testing import assert_allclose, assert_array_equal
from siliconomics import kernels

RATE, BYTES, COUNT, SMALL = (1e9, 1e16), (1e6, 1e13), (1, 1e5), (1e-3, 1e3)
DOMAINS = {  # argument ranges in the order of the formula; ranges of ints are drawn as ints
    "attainable": ((1e-2, 1e4), (1e12, 1e16), (1e11, 1e13)),
    "ridge": (RATE, RATE),
    "critical_batch": (RATE, RATE, (0.5, 4.0)),
    "matmul_flops": (COUNT, COUNT, COUNT),
    "systolic_period": (COUNT, (1, 512), (0, 2)),
    "systolic_arrival": ((0, 1000), (0, 256), (0, 256), (1, 512), COUNT),
    "systolic_utilisation": (COUNT, COUNT, COUNT, (1, 512), (1, 10_000), COUNT),
    "distinct_experts": ((8.0, 512.0), (1.0, 8.0), (1.0, 1e4)),
    "uneven_experts": ((8.0, 512.0), (1.0, 8.0), (1.0, 1e4), (0.3, 30.0)),
    "kv_layer_bytes": ((1, 200), (16, 300), (0.5, 4.0)),
    "latent_layer_bytes": ((1, 2000), (1, 300), (0.5, 4.0)),
    "cached_tokens": ((0.0, 1e5), (1.0, 1e5), (0, 100), (0, 100)),
    "causal_span": ((1.0, 1e5), (1.0, 1e5)),
    "attention_flops": ((1, 200), (16, 300), (16, 300), (0.0, 1e7)),
    "mfu": (COUNT, RATE, COUNT, RATE),
    "mbu": (BYTES, SMALL, COUNT, RATE),
    "memory_floor": (BYTES, COUNT, RATE),
    "decode_additive": (SMALL, SMALL, SMALL),
    "decode_overlap": (SMALL, SMALL, SMALL),
    "utilisation": (SMALL, SMALL),
    "speculative_tokens": ((0.01, 0.99), (0.0, 20.0)),
    "verify_slowdown": ((0.0, 20.0), (1.0, 1e4), (1.0, 1e3)),
    "usd_per_mtok": (SMALL, COUNT),
    "training_seconds": (BYTES, BYTES, COUNT, RATE, (0.01, 1.0)),
    "rent": (SMALL, COUNT, SMALL),
    "energy": (SMALL, COUNT, SMALL, (1.0, 2.0)),
    "batch_that_fits": ((1e9, 1e13), (1e9, 1e12), (1e5, 1e10)),
    "smooth_max": (SMALL, SMALL, (1.0, 8.0)),
    "gemm_seconds": ((1.0, 1e5), (16.0, 1e5), (16.0, 1e5), (0.5, 4.0), (0.5, 4.0), (0.0, 6.0), (1e13, 1e16), (1e11, 1e13),
                     (1e-6, 1e-4), (0.3, 1.0), (0.3, 1.0), (1.0, 8.0), (1e-11, 1e-8)),
    "attention_decode_seconds": ((1e3, 1e10), (1.0, 1e5), (0, 2), (1.0, 1e6), (1e6, 1e9), (1e13, 1e16), (1e11, 1e13), (1e-6, 1e-4), (0.3, 1.0),
                                 (1.0, 8.0), (1e5, 1e8), (1e5, 1e8), (1e-6, 1e-4), (1.0, 1e4), (0.1, 1.0)),
    "elementwise_seconds": (BYTES, RATE, (1e-6, 1e-4), (0.1, 1.0)),
    "interleaved": ((1e-3, 1.0), (1.0, 10.0), (1.0, 1e3), (1.0, 4.0), (1.0, 1e4)),
    "quicker_all_reduce": (SMALL, SMALL, (1, 100), SMALL, SMALL, (0.1, 1.0), SMALL, (0.1, 1.0)),
}
DRIVERS = {"falls_with_seconds", "quickest_that_fits", "step_seconds", "decode_point", "decode_grid", "sweep_block", "best_block", "pareto_block"}  # loops over the formulas, tested by decode and sweep
COMPILED = {name for name, f in vars(kernels).items() if hasattr(f, "py_func") and name not in DRIVERS}


def grid(name, n=400):
    """`n` random arguments, spread evenly in the logarithm where the range allows."""
    rng = np.random.default_rng(sum(map(ord, name)))
    def draw(low, high):
        if isinstance(low, int) and isinstance(high, int):
            return rng.integers(low, high, n)
        return rng.uniform(low, high, n) if low <= 0 else np.exp(rng.uniform(np.log(low), np.log(high), n))
    return [draw(*domain) for domain in DOMAINS[name]]


def test_every_formula_has_a_twin():
    assert COMPILED == set(DOMAINS) == set(twins.TWINS)


@pytest.mark.parametrize("name", DOMAINS)
def test_plain_form_equals_twin(name):
    arguments, plain = grid(name), kernels.plain(getattr(kernels, name))
    assert_allclose(plain(*arguments), twins.TWINS[name](*arguments), rtol=1e-12)


@pytest.mark.parametrize("name", DOMAINS)
def test_compiled_form_equals_twin(name):
    arguments, compiled = grid(name, 60), getattr(kernels, name)
    got = [compiled(*values) for values in zip(*arguments)]
    assert_allclose(got, twins.TWINS[name](*arguments), rtol=1e-12)


@pytest.mark.parametrize("case", [("distinct_experts", (8.0, 8.0, 3.0), 8.0), ("uneven_experts", (8.0, 8.0, 3.0, 1.0), 8.0),
                                  ("uneven_experts", (128.0, 4.0, 1.0, 1.5), 4.0), ("cached_tokens", (0.0, 8.0, 3, 2), 0.0),
                                  ("causal_span", (0.0, 8.0), 0.0), ("causal_span", (10.0, np.inf), 5.0),
                                  ("batch_that_fits", (10.0, 11.0, 1.0), 0.0)], ids=lambda case: case[0])
def test_corner(case):
    name, arguments, want = case
    assert getattr(kernels, name)(*arguments) == kernels.plain(getattr(kernels, name))(*arguments) == want


def test_uneven_routing_touches_fewer_experts_and_even_routing_is_its_limit():
    even, uneven = kernels.plain(kernels.distinct_experts), kernels.plain(kernels.uneven_experts)
    batches = np.array([2.0, 16.0, 64.0, 1024.0])
    assert np.all(uneven(256.0, 8.0, batches, 1.5) < even(256.0, 8.0, batches))
    assert_allclose(uneven(256.0, 8.0, batches, 1e6), even(256.0, 8.0, batches), rtol=0.02)
    assert uneven(256.0, 8.0, 32.0, 1.5) == pytest.approx(256 * (1 - 31 / 32 * (1 + 31 / 32 / 1.5) ** -1.5))


MODELS = ("Llama 2 70B", "GPT-2 124M", "Mixtral 8x7B", "DeepSeek-V3", "gpt-oss-120b", "Gemma 3 27B", "PaLM 540B", "Qwen3.5 397B-A17B")


@pytest.mark.parametrize("name", MODELS)
def test_counts_equal_twin(name):
    m, contexts = si.model(name), np.array([0, 1, 1000, 4096, 100_000.0])
    assert m.params == twins.model_params(m, m.experts)
    assert m.active_params == twins.model_params(m, m.experts_active)
    assert_allclose(m.kv_bytes(contexts, "fp8"), twins.kv_bytes(m, contexts, 1.0), rtol=1e-12)
    batches = np.array([1, 2.5, 64, 4096.0])
    hit = twins.distinct_experts(m.experts, m.experts_active, batches) if m.moe_layers else 0 * batches
    assert_allclose(m.weight_bytes_read(batches), 2.0 * twins.model_params(m, hit), rtol=1e-12)


@pytest.mark.parametrize("weights, kv", [("bf16", "bf16"), ("fp8", "bf16"), ("mxfp4", "fp8")])
@pytest.mark.parametrize("stack", ["roofline", "overlap"])
@pytest.mark.parametrize("name", MODELS)
def test_decode_equals_twin_element_by_element(name, stack, weights, kv):
    m, chip = si.model(name), si.chip("H100 SXM")
    chips, batch, context, usd = np.ix_([1, 8, 64.0], [1, 7, 256, 20_000.0], [0, 100, 5000.0], [0.0, 2.0])
    got = si.decode(m, chip, chips, batch, context, weights, kv, stack, usd)
    peak = chip.peak["fp8" if weights == "fp8" else "bf16"]
    want = twins.decode(m, peak, chip.bandwidth, chip.memory_bytes, chips, batch, context, weights, kv, usd, stack == "overlap")
    for field, value in vars(want).items():
        value = np.broadcast_to(value, (3, 4, 3, 2))
        compare = assert_array_equal if field in ("bound", "fits") else lambda a, b, field=field: assert_allclose(a, b, rtol=1e-12, err_msg=field)
        compare(getattr(got, field), value)


@pytest.mark.parametrize("stack", ["roofline", "overlap"])
@pytest.mark.parametrize("name", ["Llama 2 70B", "Mixtral 8x7B", "DeepSeek-V3"])
def test_prefill_equals_twin(name, stack):
    m, chip = si.model(name), si.chip("H100 SXM")
    prompt, batch = np.ix_([1, 10, 2048.0], [1, 8.0])
    got = si.prefill(m, chip, 8, prompt, batch, "bf16", "fp8", stack)
    hit = twins.distinct_experts(m.experts, m.experts_active, batch * prompt) if m.moe_layers else 0.0
    read, cache, flops = 2.0 * twins.model_params(m, hit), batch * twins.kv_bytes(m, prompt, 1.0), 2.0 * m.compute_params * batch * prompt
    step = twins.decode_overlap if stack == "overlap" else twins.decode_additive
    seconds = step(read / (8 * 3.35e12), cache / (8 * 3.35e12), flops / (8 * 989.4e12))
    assert_allclose(got.seconds, seconds, rtol=1e-12)
    assert_allclose(got.tokens_per_second, batch * prompt / seconds, rtol=1e-12)
    assert_allclose(got.mfu, flops / seconds / (8 * 989.4e12), rtol=1e-12)
    value_dim = m.v_dim or m.head_dim
    one_prompt = m.layers * m.heads * (m.head_dim + value_dim) * prompt**2  # half of 2 n (h + h_v) T for each of T tokens
    assert_allclose(got.attention_seconds, batch * one_prompt / (8 * 989.4e12), rtol=1e-12)
    assert_array_equal(got.bound, np.where(flops / 989.4e12 > (read + cache) / 3.35e12, "compute", "memory"))


SCRIPT = """
import numpy as np, siliconomics as si
b = np.array([1.0, 3.0, 17.0, 300.0])
for m in ("Llama 2 70B", "Mixtral 8x7B", "DeepSeek-V3", "gpt-oss-20b"):
    for stack in ("roofline", "overlap"):
        d = si.decode(m, "H100 SXM", chips=8, batch=b, context=3000, usd_per_chip_hour=2, stack=stack)
        print([[repr(x) for x in np.ravel(getattr(d, f)).tolist()] for f in d.__dataclass_fields__ if f != "label"])
    print(repr(si.decode(m, "A100 SXM 80GB", weights="int4")), repr(si.prefill(m, "H100 SXM", prompt=777, batch=3)))
    print(repr(si.mbu(0.02, m, "H100 SXM", 8, 5, 2000)), repr(si.mfu(1e4, m, "H100 SXM", 8, 2048)), repr(si.hfu(1e4, m, "H100 SXM", 8, 2048)))
    print(repr(si.max_batch(m, "H100 SXM", 64, 2048)), repr(si.train_run(m, "H100 SXM", 64, 1e12, 0.4, 2, 700, 1.1)))
print(repr(si.attainable(64, "H100 SXM")), repr(si.critical_batch("TPU v5e", "int8")), repr(si.memory_floor(1e12, "TPU v4", 3)), repr(si.usd_per_mtok(2, 100)))
"""


def run(script, **env):
    return subprocess.run([sys.executable, "-c", script], env=os.environ | env, capture_output=True, text=True, check=True).stdout


def test_same_numbers_without_the_compiler():
    compiled = run(SCRIPT)
    assert compiled.count("\n") == 4 * 5 + 1
    assert run(SCRIPT, NUMBA_DISABLE_JIT="1") == compiled
