"""The network that decodes on the reader's machine: it computes a Llama, its bytes and rates are counted right. No time is asserted."""
import math

import numba
import numpy as np
import pytest
import siliconomics as si
from numpy.testing import assert_allclose, assert_array_equal
from siliconomics import BadValue
from siliconomics import machine_kernels as loops
from siliconomics.measure import MeasuredDecode, Token
from test_reliability import run

from twins import llama_logits


def shape(heads=4, groups=2, layers=2):
    return si.Transformer("tiny", layers, 128, heads, groups, 32, 192, 100, tied=True)


def decoded(model, weights, batch, threads, positions=9):
    """Network, tokens and the logits after each position, decoded one token at a time with the cache."""
    with loops.Threads(2) as pool:  # each thread fills its part
        network, _ = loops.random_network(pool, model, weights, positions, seed=3)
    with loops.Threads(threads) as pool:
        work, logits = loops.workspace(model, batch, positions), []
        for position in range(positions):
            loops.decode_seconds(pool, network, work, position)
            logits.append(work.logits.copy())
    return network, work.tokens, np.stack(logits, axis=1)


def dequantised(network):
    return [m.astype(float) * s[..., None].astype(float) for m, s in zip(network.matrices, network.scales)]


@pytest.mark.parametrize("weights", loops.WEIGHTS)
@pytest.mark.parametrize("heads, groups", [(4, 4), (4, 2), (4, 1)])
@pytest.mark.parametrize("batch, threads", [(1, 1), (3, 2), (7, 2)])
def test_decoding_with_the_cache_equals_the_whole_forward_pass(weights, heads, groups, batch, threads):
    network, tokens, logits = decoded(shape(heads, groups), weights, batch, threads)
    assert network.matrices.qkv.dtype == loops.WEIGHTS[weights] and np.ptp(network.matrices.head.astype(float)) > 200
    for s in range(batch):
        want = llama_logits(tokens[s], dequantised(network), network.norms, heads, groups)
        assert want.std() > 0.1  # else all tokens were alike
        assert_allclose(logits[s], want, atol=2e-4 * np.abs(want).max())


def test_decoding_is_deterministic_on_any_number_of_threads():
    _, _, first = decoded(shape(), "int8", 5, 1)
    for threads in (1, 2, 3):
        assert_array_equal(decoded(shape(), "int8", 5, threads)[2], first)


@pytest.mark.parametrize("weights", loops.WEIGHTS)
def test_several_steps_at_once_choose_the_likeliest_token(weights):
    model = shape()
    with loops.Threads(2) as pool:
        network, _ = loops.random_network(pool, model, weights, 8)
        one, many = loops.workspace(model, 3, 8), loops.workspace(model, 3, 8)
        loops.decode_seconds(pool, network, many, 2, steps=5)
        for position in range(2, 7):
            if position > 2:
                one.tokens[:, position] = one.logits.argmax(axis=1)
            loops.decode_seconds(pool, network, one, position)
    assert_array_equal(many.tokens[:, :7], one.tokens[:, :7])
    assert_array_equal(many.logits, one.logits)
    assert (many.tokens[:, 3:7] != loops.workspace(model, 3, 8).tokens[:, 3:7]).any()


@pytest.mark.parametrize("sequences, dots", [(1, loops._dots_1), (2, loops._dots_2), (4, loops._dots_4)])
@pytest.mark.parametrize("weights", loops.WEIGHTS)
def test_two_rows_times_sequences(sequences, dots, weights):
    rng = np.random.default_rng(4)
    matrix = rng.integers(-128, 128, (6, 192)).astype(loops.WEIGHTS[weights])
    x, sums = rng.random((7, 192), np.float32), np.full(8, 9.0, np.float32)
    numba.njit(lambda *a: dots(*a))(matrix, 2, x, 3, sums)
    assert_allclose(sums[:2 * sequences].reshape(-1, 2), x[3:3 + sequences] @ matrix[2:4].T.astype(np.float32), rtol=1e-4, atol=0.01)
    assert (sums[2 * sequences:] == 9).all()


def test_rows_are_shared_out_once():
    rng, matrix = np.random.default_rng(5), np.ones((50, 128), np.float32)
    x, y, counters = rng.random((3, 128), np.float32), np.full((3, 50), -1.0, np.float32), np.zeros(1, np.int64)
    work = loops.workspace(shape(), 1, 1)._replace(tickets=counters)
    loops.multiply(matrix, np.arange(50, dtype=np.float32), x, y, loops.ADD, np.empty(8, np.float32), work, 0)
    assert counters[0] >= 50
    assert_allclose(y, x.sum(axis=1)[:, None] * np.arange(50) - 1, rtol=1e-5)


@pytest.mark.parametrize("weights, item", [("fp32", 4), ("int8", 1)])
def test_a_turn_reads_all_weights_before_each_step(monkeypatch, weights, item):
    taken = {"read": [], "read_four": []}
    for name, sizes in taken.items():
        monkeypatch.setattr(loops, name, lambda part, repeats, sizes=sizes: sizes.append(part.nbytes * repeats))
    with loops.Threads(2) as pool:
        held, fastest, steps, _ = loops.decode_turns(pool, shape(), weights, [1, 3], 4, 1e-3)
    turns = len(steps[1])
    assert held == item * (2 * (8 * 32 * 128 + 128 * 128 + 3 * 192 * 128) + 100 * 128)
    assert sum(taken["read"]) == turns * held and sum(taken["read_four"]) == 2 * turns * held
    assert turns >= 3 and fastest > 0 and all([at for _, at in steps[n]] == [5 + k % loops.TOKENS for k in range(turns)] for n in (1, 3))


@pytest.mark.parametrize("n", [4, 64, 1003])
def test_four_streams_read_everything_but_a_rest(n):
    words = np.random.default_rng(n).integers(-1000, 1000, n)
    assert loops.read_four(words, 3) == 4 * words[0] + 3 * words[:n // 4 * 4].sum()


@pytest.mark.parametrize("weights", loops.WEIGHTS)
def test_random_weights_differ(weights):
    words = loops.aligned(100_000, np.int64)
    loops.randomise(words, 2, weights)
    numbers = words.view(loops.WEIGHTS[weights])
    assert words.ctypes.data % 64 == 0 and np.unique(words).size == words.size and abs(numbers.mean(dtype=float)) < 1
    assert -128 <= numbers.min() < -127 and 126 < numbers.max() <= 128 and numbers.std(dtype=float) == pytest.approx(256 / math.sqrt(12), rel=0.01)


WITHOUT_COMPILER = """
import numpy as np, siliconomics as si
from siliconomics import machine_kernels as loops
model = si.Transformer("tiny", 1, 128, 4, 2, 32, 192, 100, tied=True)
for weights in loops.WEIGHTS:
    with loops.Threads(2) as pool:
        network, _ = loops.random_network(pool, model, weights, 4)
        work = loops.workspace(model, 3, 4)
        loops.decode_seconds(pool, network, work, 0, 4)
        print(work.tokens.tolist(), np.round(work.logits.astype(float) + 100, 2).sum(axis=1).round(0).tolist(), end=" ")
"""


def test_same_results_without_the_compiler():
    assert run(WITHOUT_COMPILER, NUMBA_DISABLE_JIT="1") == run(WITHOUT_COMPILER)


UNCOMPILED = """
import siliconomics as si
try:
    print(si.measure_decode(1, "fp32", 4, 0.01, 1e6))
except ValueError as error:
    print(error)
"""


def test_a_step_is_not_measured_without_the_compiler():
    assert run(UNCOMPILED, NUMBA_DISABLE_JIT="1").startswith("NUMBA_DISABLE_JIT=1: ")


# --- shape, count, report -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("weights", loops.WEIGHTS)
@pytest.mark.parametrize("size", [8e6, 3e7, 1e9, 1.3e9, 5e9])
def test_the_network_fills_its_memory(weights, size):
    model = loops.decode_shape(size, weights)
    layer = model.replace(layers=model.layers + 1).weight_bytes(weights) - model.weight_bytes(weights)
    assert size - layer < model.weight_bytes(weights) < 1.001 * size  # norms are not counted before
    assert model.layers >= (4 if size >= 3e7 else 1) and model.heads == 4 * model.kv_heads and model.d_model == 64 * model.heads and model.tied


def faked(monkeypatch, cache=30e6, free=8e9):
    asked = []

    def turns(pool, model, weights, batches, context, seconds):
        asked.append((model, weights, tuple(batches), context, seconds, pool.count))
        slow = {1: 0.1, 2: 0.1, 16: 0.4} if weights == "fp32" else {1: 0.2, 2: 0.2, 16: 1.6}
        return 1e9, 0.05, {n: [(9.0, 65), (slow[n], 66), (slow[n] * 2, 67)] for n in batches}, {"fp32": 0.9, "int8": 0.8}[weights]

    monkeypatch.setattr(loops, "decode_turns", turns)
    monkeypatch.setattr(loops, "last_cache", lambda: cache)
    monkeypatch.setattr(loops, "memory", lambda: (4 * free, free))
    return asked


def test_rates_by_hand(monkeypatch):
    asked = faked(monkeypatch)
    found = si.measure_decode((16, 1, 2), context=64, seconds=3, threads=2)
    assert [a[1:] for a in asked] == [("fp32", (1, 2, 16), 64, 1.5, 2), ("int8", (1, 2, 16), 64, 1.5, 2)]
    assert [(t.weights, t.batch) for t in found.tokens] == [(w, n) for w in ("fp32", "int8") for n in (1, 2, 16)]
    for t in found.tokens:
        model = found.models[t.weights]
        assert t.bytes == model.weight_bytes(t.weights) + t.batch * 66 * model.layers * 2 * model.kv_heads * 64 * 4
        assert (t.bandwidth, t.tokens_per_second) == (1e9 / 0.05, t.batch / t.seconds)
        assert t.mbu == pytest.approx(t.bytes / t.seconds / 20e9, rel=1e-12)
        chip = si.Chip("this", {"fp32": 1.0}, 1e12, t.bandwidth)
        assert t.mbu == pytest.approx(si.mbu(t.seconds, model, chip, batch=t.batch, context=66, weights=t.weights, kv="fp32"), rel=1e-12)
    assert found.of().seconds == 0.1 and found.of("fp32", 2).median == 0.2
    assert found.crossover() == pytest.approx(16 * 0.1 / 0.4) and found.crossover("int8") == pytest.approx(2)
    assert (found.threads, found.cache_bytes, found.name) == (2, 30e6, loops.cpu_name())
    assert {t.weights: t.alone for t in found.tokens} == {"fp32": 0.9, "int8": 0.8}
    frame = found.to_frame()
    assert list(frame) == list(Token._fields) and len(frame) == 6
    first, fp32, int8 = str(found).splitlines()
    assert first.endswith("2 threads, caches up to 30.0 MB") and "MBU 48 %" in fp32 and "10 tokens/s at batch 1, 20.0 GB/s read" in fp32
    assert int8.startswith("int8: 20 layers of width 1,792, ") and int8.endswith("crossover at batch 2")


@pytest.mark.parametrize("cache, free, largest, want", [
    (30e6, 8e9, None, 1e9), (400e6, 8e9, None, 1.6e9), (400e6, 4e9, None, 1e9), (math.nan, 8e9, None, 1e9), (30e6, 2e9, 9e8, 5e8), (30e6, 8e9, 3e7, 3e7)])
def test_the_network_is_larger_than_the_caches_and_smaller_than_a_quarter_of_the_free_memory(monkeypatch, cache, free, largest, want):
    asked = faked(monkeypatch, cache, free)
    si.measure_decode(1, "fp32", largest=largest)
    assert asked[0][0] == loops.decode_shape(want, "fp32") and len(asked) == 1


@pytest.mark.parametrize("ask, words", [
    ({"batch": 0}, ["batch=0"]), ({"batch": (1, 2.5)}, ["batch=2.5"]), ({"batch": ()}, ["batch=()"]), ({"weights": "int4"}, ["weights='int4'", "'int8'"]),
    ({"weights": ()}, ["weights=()"]), ({"weights": ("fp32", 8)}, ["weights=8"]), ({"context": 0}, ["context=0"]), ({"seconds": 0}, ["seconds=0"]),
    ({"largest": 1e6}, ["largest=1000000.0", "8e+06"]), ({"largest": -1}, ["largest=-1"]), ({"threads": 0}, ["threads=0"])])
def test_bad_arguments_are_named(ask, words):
    with pytest.raises(BadValue) as caught:
        si.measure_decode(**ask)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_too_little_memory(monkeypatch):
    monkeypatch.setattr(loops, "memory", lambda: (1e9, 3e7))
    with pytest.raises(BadValue, match="quarter of the free memory"):
        si.measure_decode()


def test_a_step_that_was_not_measured(monkeypatch):
    faked(monkeypatch)
    found = si.measure_decode((1, 2), "fp32")
    for ask in (lambda: found.of("int8"), lambda: found.of("fp32", 3), lambda: found.crossover("int8")):
        with pytest.raises(BadValue, match=r"'fp32', 1"):
            ask()


def test_a_short_measurement_is_plausible():
    found = si.measure_decode((1, 3), context=4, seconds=0.05, largest=2e7, threads=2)
    assert isinstance(found, MeasuredDecode) and [(t.weights, t.batch) for t in found.tokens] == [(w, n) for w in ("fp32", "int8") for n in (1, 3)]
    for t in found.tokens:
        held = found.models[t.weights].weight_bytes(t.weights)
        assert 1e7 < held < t.bytes < 1.1 * held and 0 < t.seconds <= t.median
        assert 1e7 < t.bandwidth < 1e13 and 0 < t.mbu < 3 and t.mbu == pytest.approx(t.bytes / t.seconds / t.bandwidth)
    assert all(0 < t.alone < 1.2 for t in found.tokens) and found.crossover() > 0


# --- the system -----------------------------------------------------------------------------------------------------

def test_largest_cache_of_the_system(monkeypatch, tmp_path):
    for n, text in enumerate(["48K", "32K", "2048K", "36M"]):
        (tmp_path / f"index{n}").mkdir()
        (tmp_path / f"index{n}" / "size").write_text(text + "\n")
    monkeypatch.setattr(loops, "Path", lambda _: tmp_path)
    monkeypatch.setattr(loops.sys, "platform", "linux")
    assert loops.last_cache() == 36 * 2**20
    monkeypatch.setattr(loops, "Path", lambda _: tmp_path / "none")
    assert math.isnan(loops.last_cache())
    monkeypatch.setattr(loops.sys, "platform", "darwin")
    monkeypatch.setattr(loops.subprocess, "run", lambda *_, **__: loops.subprocess.CompletedProcess([], 1, "4194304\n12582912\n", ""))
    assert loops.last_cache() == 12582912


@pytest.mark.parametrize("files, want", [
    ({}, math.inf), ({"cpu.max": "max 100000\n"}, math.inf), ({"cpu.max": "150000 100000\n"}, 1.5),
    ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.inf),
    ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.5)])
def test_threads_within_the_quota_of_a_container(monkeypatch, tmp_path, files, want):
    (tmp_path / "cpu").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(loops, "Path", lambda _: tmp_path)
    monkeypatch.setattr(loops.os, "sched_getaffinity", lambda _: {4, 5, 6, 7}, raising=False)
    assert loops.quota() == want
    assert loops.allowed_cores() == [4, 5, 6, 7][:4 if want == math.inf else 1]
