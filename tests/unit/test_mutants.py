"""Tests that `make mutate` asked for: each kills a wrong formula that no other fast test noticed."""
import inspect

import numpy as np
import pytest
import siliconomics as si
from siliconomics import kernels

BF16 = dict(weights="bf16", kv="bf16")
DEFAULTS = {  # the defaults that the book promises; a changed one changes every answer of a reader who leaves it out
    "attainable": dict(dtype="bf16", chips=1),
    "critical_batch": dict(weights="bf16", compute=None),
    "memory_floor": dict(chips=1),
    "mfu": dict(chips=1, context=None, dtype="bf16", causal=False, training=True),
    "hfu": dict(chips=1, context=None, dtype="bf16", causal=False, recompute="full"),
    "mbu": dict(chips=1, batch=1, context=0, embedding=True) | BF16,
    "decode": dict(chips=1, batch=1, context=2048, stack="roofline", usd_per_chip_hour=None, compute=None) | BF16,
    "prefill": dict(chips=1, prompt=2048, batch=1, stack="roofline", compute=None) | BF16,
    "max_batch": dict(reserve=0.0) | BF16,
    "disaggregate": dict(prefill_chips=1, decode_chips=1, batch=1, stack="roofline", decode_chip=None) | BF16,
    "train_run": dict(usd_per_chip_hour=None, watts_per_chip=None, pue=1.0, dtype="bf16"),
    "train_step": dict(tensor=1, pipeline=1, data=None, micro_batch=1, interleave=1, context_parallel=1, expert=1, zero=1, recompute="none",
                       dtype="bf16", stack="roofline", causal=False, flash=True, network_bandwidth=None),
    "bubble_fraction": dict(interleave=1),
    "speculative": dict(batch=1, critical_batch=np.inf),
    "dies_per_wafer": dict(diameter_mm=300, method="edge", aspect=1, scribe_mm=0, edge_mm=0, placement="best"),
    "die_yield": dict(model="murphy"),
    "die_cost": dict(good=1.0),
    "wafers_needed": dict(good=1.0),
    "package_needs": dict(dies=1, assembled=1.0),
    "packages_per_wafer": dict(aspect=1, diameter_mm=300, scribe_mm=0.2, edge_mm=3),
    "chiplet_cost": dict(package="organic", scribe_mm=0.2, edge_mm=5),
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_are_those_of_the_book(name):
    parameters = inspect.signature(getattr(si, name)).parameters
    assert {p: parameters[p].default for p in DEFAULTS[name]} == DEFAULTS[name]


@pytest.mark.parametrize("method, default", [("attention_flops", dict(causal=False)), ("flops_per_token", dict(context=0, training=False, causal=False)),
                                             ("kv_bytes", dict(dtype="bf16")), ("kv_bytes_per_token", dict(dtype="bf16")), ("weight_bytes", dict(dtype="bf16")),
                                             ("weight_bytes_read", dict(batch=1, dtype="bf16", embedding=True)), ("distinct_experts", dict(batch=1))])
def test_defaults_of_a_model(method, default):
    parameters = inspect.signature(getattr(si.Transformer, method)).parameters
    assert {p: parameters[p].default for p in default} == default


def test_a_token_enters_the_cache_of_full_and_windowed_layers():
    """7 layers of which 3 are windowed: 4 | 3 would also be 7, so a shape whose parts share bits is taken too."""
    for layers, windowed in ((7, 3), (6, 3), (10, 5)):
        shape = si.Transformer("t", layers=layers, d_model=64, heads=4, kv_heads=2, head_dim=16, d_ff=128, vocab=100, window=8, windowed_layers=windowed)
        assert shape.kv_bytes_per_token() == layers * 2 * 2 * 16 * 2


# --- the loops that reduce a grid, small enough to run without the compiler ------------------------------------------

BATCH, WEIGHTS, COMPUTE = np.array([1.0, 3.0, 8.0, 40.0]), np.array([0.5, 0.6, 0.7, 0.8]), np.array([0.01, 0.03, 0.9, 4.0])
CACHE_SECONDS, CACHE_BYTES = np.array([0.001, 0.02, 0.3]), np.array([1.0, 20.0, 300.0])
SYSTEM = (BATCH, WEIGHTS, COMPUTE, CACHE_SECONDS, CACHE_BYTES, 100.0, 1500.0, 0.25)
INDEX = range(7)


def points(overlap):
    """(row, column) -> the nine outputs, worked out here from the definitions."""
    made = {}
    for i, b in enumerate(BATCH):
        for j, cache in enumerate(CACHE_SECONDS):
            memory, held = WEIGHTS[i] + b * cache, 100.0 + b * CACHE_BYTES[j]
            seconds = max(COMPUTE[i], memory) if overlap else max(COMPUTE[i], WEIGHTS[i]) + b * cache
            made[i, j] = (seconds, b / seconds, 1 / seconds, COMPUTE[i] / seconds, memory / seconds, held, 0.25 * seconds / b * 1e6,
                          COMPUTE[i] > memory, held <= 1500.0)
    return made


def allowed(overlap, must_fit, slowest):
    return {at: p for at, p in points(overlap).items() if (p[8] or not must_fit) and p[0] <= slowest}


LIMITS = [(overlap, fit, slowest) for overlap in (False, True) for fit in (False, True) for slowest in (np.inf, 2.0, 0.521)]


@pytest.mark.parametrize("overlap, must_fit, slowest", LIMITS)
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("index", INDEX)
def test_best_of_a_small_grid(overlap, must_fit, slowest, index, sign):
    values = {at: sign * p[index] for at, p in allowed(overlap, must_fit, slowest).items()}
    best, *where = kernels.best_block(overlap, *SYSTEM, must_fit, slowest, index, sign)
    assert best == pytest.approx(min(values.values()), rel=1e-12)
    assert tuple(where) == min(values, key=lambda at: (round(values[at], 12), at))


@pytest.mark.parametrize("overlap, must_fit, slowest", LIMITS)
@pytest.mark.parametrize("front", [([], []), ([0.6], [-1.5]), ([0.515, 0.9, 30.0], [-1.9, -4.0, -9.5])], ids=["no front", "one point", "three points"])
@pytest.mark.parametrize("x, y", [((0, 1.0), (1, -1.0)), ((6, 1.0), (3, -1.0)), ((0, 1.0), (4, -1.0)), ((5, 1.0), (1, -1.0))], ids=str)
def test_points_that_no_front_dominates(overlap, must_fit, slowest, front, x, y):
    """Of outputs that all get worse with the seconds, only the quickest step of each batch can stand on a front."""
    front_x, front_y = (np.array(values, dtype=float) for values in front)
    found = np.zeros((12, 4))
    count = kernels.pareto_block(overlap, *SYSTEM, must_fit, slowest, *x, *y, front_x, front_y, found)
    kept = allowed(overlap, must_fit, slowest)
    if {x[0], y[0]} <= {0, 1, 2, 3, 6}:
        kept = {at: p for at, p in kept.items() if at == min((a for a in kept if a[0] == at[0]), key=lambda a: (kept[a][0], a))}
    made = [(x[1] * p[x[0]], y[1] * p[y[0]], *at) for at, p in kept.items()]
    want = [m for m in made if not any(a <= m[0] and b <= m[1] for a, b in zip(front_x, front_y))]
    np.testing.assert_allclose(found[:count], np.array(want).reshape(-1, 4), rtol=1e-12)


def test_nothing_allowed():
    assert kernels.best_block(False, *SYSTEM, False, 1e-9, 0, 1.0) == (np.inf, -1, -1)
    assert kernels.pareto_block(False, *SYSTEM, False, 1e-9, 0, 1.0, 1, -1.0, np.empty(0), np.empty(0), np.zeros((12, 4))) == 0


@pytest.mark.parametrize("overlap", [False, True])
def test_block_of_a_small_grid(overlap):
    stored = [np.empty((4, 3)) for _ in range(9)]
    kernels.sweep_block(overlap, *SYSTEM, *stored)
    for at, want in points(overlap).items():
        np.testing.assert_allclose([array[at] for array in stored], want, rtol=1e-12)


# --- the limits of a shape belong to what is allowed ------------------------------------------------------------------

MIXED = dict(layers=4, d_model=64, heads=4, kv_heads=2, head_dim=16, d_ff=128, vocab=100, window=8, windowed_layers=2, recurrent_layers=1,
             experts=4, experts_active=2, expert_d_ff=32, moe_layers=2)


@pytest.mark.parametrize("change", [{"experts_active": 4}, {"experts_active": 1}, {"moe_layers": 4}, {"moe_layers": 4, "d_ff": 0}, {"windowed_layers": 3},
                                    {"windowed_layers": 0, "recurrent_layers": 4}, {"kv_heads": 4}, {"window": 1}], ids=str)
def test_a_shape_at_its_limit(change):
    assert si.Transformer("t", **MIXED | change).params > 0


@pytest.mark.parametrize("change", [{"experts_active": 5}, {"experts_active": 0}, {"moe_layers": 5}, {"moe_layers": 3, "d_ff": 0}, {"windowed_layers": 4},
                                    {"recurrent_layers": 3}, {"kv_heads": 3}, {"window": 0}, {"experts": 0}, {"moe_layers": 0}, {"expert_d_ff": 0}], ids=str)
def test_a_shape_beyond_its_limit(change):
    with pytest.raises(si.BadValue):
        si.Transformer("t", **MIXED | change)


# --- one line each says what it is -----------------------------------------------------------------------------------

@pytest.mark.parametrize("kv_heads, kind", [(4, "mha"), (2, "gqa"), (1, "mqa")])
def test_kind_of_attention(kv_heads, kind):
    assert si.Transformer("t", **MIXED | {"kv_heads": kv_heads}).attention == kind


def test_summary_of_a_model():
    assert str(si.model("Llama 2 70B")) == "Llama 2 70B: 68.98 B parameters, 80 layers, GQA"


def test_label_of_a_step():
    step = si.decode("Llama 2 70B", "H100 SXM", chips=8, batch=32, context=1000)
    assert str(step).startswith("Llama 2 70B on 8 x H100 SXM, bf16, batch 32, context 1,000: ")


def test_activations_of_a_mixture_hold_the_chosen_and_the_shared_experts():
    shape = si.Transformer("t", layers=2, d_model=64, heads=4, kv_heads=2, head_dim=16, d_ff=0, vocab=100, experts=8, experts_active=3, experts_shared=2,
                           expert_d_ff=32, moe_layers=2)
    tokens = 4 * 128
    step = si.train_step(shape, "H100 SXM", 1, batch_tokens=tokens, sequence=128, micro_batch=4)
    layer = 18 * 64 + 6 * (3 + 2) * 32  # bytes a token and layer, gated
    assert step.memory["activations"] == tokens * (2 * layer + 4 * 100)


def test_the_first_wrong_edge_is_named():
    with pytest.raises(si.BadValue, match="edge_mm=151:"):
        si.dies_per_wafer(100, edge_mm=[3, 151, 170])


def test_every_kind_of_parallelism_counts_as_chips():
    step = si.train_step("Llama 2 7B", "H100 SXM", 32, 32 * 4096, 4096, tensor=2, pipeline=2, context_parallel=4)
    assert step.parts["compute"] == pytest.approx(32 * 4096 * si.model("Llama 2 7B").flops_per_token(4096, training=True) / (32 * 989.4e12))


def test_a_run_reads_in_days():
    assert str(si.train_run(1e9, "H100 SXM", 1, 1e12, 0.5, usd_per_chip_hour=1)).startswith(f"{6e21 / (0.5 * 989.4e12) / 86400:.4g} days, $")


def test_shape_defaults_are_zero():
    shape = si.Transformer("t", 1, 8, 1, 1, 8, 16, 10)
    assert (shape.rope_dim, shape.nope_dim, shape.v_dim, shape.kv_rank, shape.q_rank, shape.window, shape.positions) == (0,) * 7


def test_a_wafer_of_which_little_is_usable():
    assert si.dies_per_wafer(0.01, diameter_mm=1, edge_mm=0.05, method="grid") > 0
    assert si.dies_per_wafer(0.0001, diameter_mm=1, edge_mm=0.2) > 0  # 0.6 mm usable is still a wafer


def test_a_sparse_model_reads_with_its_active_parameters():
    assert "12.88 B active" in str(si.model("Mixtral 8x7B"))


def test_a_prompt_that_does_not_fit():
    assert not si.prefill("Llama 3.1 405B", "H100 SXM").fits and si.prefill("Llama 3.1 8B", "H100 SXM").fits


def test_traffic_of_context_and_experts_by_hand():
    """Two sequences a micro-batch over two context ranks; 58 layers of experts over four stages, which do not divide."""
    model, chip, sequence = si.model("DeepSeek-V3"), si.chip("H100 SXM"), 4096
    step = si.train_step(model, chip, 64, 48 * sequence, sequence, pipeline=4, context_parallel=2, micro_batch=2, expert=8, data=8)
    rounds, layers = 48 / (8 * 2), model.layers / 4
    cache = model.kv_layer_bytes("bf16") * 2 * sequence
    assert step.parts["context"] == pytest.approx(rounds * layers * 3 * si.all_gather_seconds(cache, 2, chip.link_bandwidth), rel=1e-12)
    sent = 2.0 * (2 * sequence / 2) * model.d_model * model.experts_active
    assert step.parts["expert"] == pytest.approx(rounds * 58 / 4 * 4 * si.all_to_all_seconds(sent, 8, chip.link_bandwidth), rel=1e-12)


def test_two_chips_need_a_link():
    with pytest.raises(ValueError, match="link bandwidth is not known"):
        si.train_step("Llama 3 8B", si.chip("RTX 4090"), 2, 2 * 2048, 2048)
