"""The calibrated forward pass and what an engine makes of it."""
import numpy as np
import pytest
import siliconomics as si
from hypothesis import given, settings
from hypothesis import strategies as st
from siliconomics.fit_serving import on_trial
from siliconomics.forward import Shard, attention_products, ffn_products, forward_parts, forward_seconds
from siliconomics.serving import serve
from siliconomics.transformer import Load

MODELS = list(si.models().index)
MODERN = ["H100 SXM", "H200 SXM", "B200 SXM", "A100 SXM 80GB", "MI300X", "TPU v5e"]


@pytest.mark.parametrize("name", MODELS)
def test_products_touch_each_weight_once(name):
    model = si.model(name)
    attention = sum(n * k for n, k in attention_products(model, 1))
    norms = model.kv_rank + model.q_rank  # of a latent attention, which are no products
    assert attention == pytest.approx(sum(rows * cols for rows, cols in model.attention_shapes.values()), abs=norms + 1)
    if model.d_ff:
        ffn = sum(rows * cols for rows, cols in model.ffn_shapes(model.d_ff).values())
        assert sum(n * k for n, k in ffn_products(model, model.d_ff, 1)) == pytest.approx(ffn, rel=1e-12)


@pytest.mark.parametrize("name", ["Llama 3.1 70B", "Mixtral 8x7B", "DeepSeek-R1", "gpt-oss-120b", "Gemma 2 27B"])
def test_parts_of_a_pass(name):
    model, chip = si.model(name), si.chip("H100 SXM")
    load = Load(np.array([1.0, 16.0, 64.0]), 2048.0)
    one, eight = (forward_parts(model, chip, load, Shard(n)) for n in (1, 8))
    assert np.all(one["communication"] == 0) and np.all(eight["communication"] > 0)
    for part in ("products", "experts", "attention", "head"):
        assert np.all(np.asarray(eight[part]) <= one[part])
    total = forward_seconds(model, chip, load, Shard(8))
    assert np.all(total >= sum(eight.values()) * (1 - 1e-12)) and np.all(np.diff(total) > 0)


def test_a_prompt_costs_more_with_its_square():
    model, chip = si.model("Llama 3.1 8B"), si.chip("H100 SXM")
    attention = [forward_parts(model, chip, Load(1.0, 1.0, p, p), Shard())["attention"] for p in (4096.0, 8192.0, 16384.0)]
    half = si.calibrate.constant("prompt_attention", "all", "half_length")
    squares = [p**2 * (1 + half / p) for p in (4096.0, 8192.0, 16384.0)]
    assert np.diff(attention)[1] / np.diff(attention)[0] == pytest.approx(np.diff(squares)[1] / np.diff(squares)[0], rel=1e-3)
    longest = 2.0 * model.layers * model.heads * model.head_dim * 16384.0**2 / chip.peak["bf16"]
    assert longest / attention[2] == pytest.approx(si.calibrate.constant("prompt_attention", "all", "compute_share") / (1 + half / 16384), rel=0.02)


def test_a_batch_of_experts_reads_no_more_than_even_routing_would():
    model, chip = si.model("DeepSeek-R1"), si.chip("H200 SXM")
    seconds = [forward_parts(model, chip, Load(b, 1.0), Shard(8), "fp8", "fp8")["experts"] for b in (1.0, 32.0, 256.0)]
    with on_trial({("experts", "all", "evenness"): 1e6}):
        even = [forward_parts(model, chip, Load(b, 1.0), Shard(8), "fp8", "fp8")["experts"] for b in (1.0, 32.0, 256.0)]
    assert seconds[0] == pytest.approx(even[0]) and seconds[1] < 0.9 * even[1] and seconds[2] < even[2]


def test_four_bits_are_the_experts():
    model, chip = si.model("gpt-oss-120b"), si.chip("H100 SXM")
    parts = {w: forward_parts(model, chip, Load(1.0, 1.0), Shard(), w) for w in ("bf16", "mxfp4")}
    assert parts["mxfp4"]["products"] == parts["bf16"]["products"] and parts["mxfp4"]["experts"] < parts["bf16"]["experts"]


def test_more_users_wait_longer_and_get_more_in_all():
    served = serve("Llama 3.1 8B", "H100 SXM", concurrency=np.array([1.0, 4, 16, 64]), prompt=512, output=512)
    assert np.all(np.diff(served.seconds_per_output_token) > 0) and np.all(np.diff(served.tokens_per_second) > 0)
    np.testing.assert_allclose(served.tokens_per_second, served.batch / served.seconds_per_output_token)
    assert np.all(served.low < served.seconds_per_output_token) and np.all(served.seconds_per_output_token < served.high)


def test_one_user_meets_no_prompt_of_another():
    alone = [serve("Llama 3.1 8B", "H100 SXM", prompt=p, output=64, software="vllm").seconds_per_output_token for p in (64, 4096)]
    crowd = [serve("Llama 3.1 8B", "H100 SXM", concurrency=32, prompt=p, output=64, software="vllm").seconds_per_output_token for p in (64, 4096)]
    assert alone[1] / alone[0] < 1.1 and crowd[1] / crowd[0] > 3


def test_memory_limits_the_batch():
    many = serve("Llama 3.1 70B", "H100 SXM", 2, concurrency=4096, prompt=8192, output=1024, weights="fp8")
    room = (0.9 * 1.0737 * 2 * 80e9 - si.model("Llama 3.1 70B").weight_bytes("fp8")) / si.model("Llama 3.1 70B").kv_bytes(8192 + 512)
    assert many.batch == pytest.approx(room, rel=1e-9) and many.fits
    assert not serve("Llama 3.1 405B", "H100 SXM").fits


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["Llama 3.1 70B", "Llama 3.1 8B", "Qwen3 235B-A22B", "DeepSeek-R1", "gpt-oss-120b"]), st.sampled_from(MODERN),
       st.sampled_from([1, 2, 8]), st.floats(1, 2000), st.floats(1, 2e4), st.floats(1, 1e4), st.sampled_from(["bf16", "fp8", "fp4"]),
       st.sampled_from([None, "vllm", "trtllm", "sglang", "another"]))
def test_never_below_the_physical_bound(model, chip, chips, users, prompt, output, weights, software):
    served = serve(model, chip, chips, users, prompt, output, weights, software=software)
    read = si.model(model).weight_bytes_read(max(served.batch, 1), weights, embedding=False)
    assert served.seconds_per_output_token >= read / (chips * si.chip(chip).bandwidth)
    assert 1 <= served.batch <= max(users, 1) * (1 + 1e-12) and 0 < served.low < served.high and served.ttft_bound > 0


def test_engines_differ_by_their_host_and_strangers_take_the_mean():
    question = dict(model="Llama 3.1 8B", chip="H100 SXM", concurrency=64, prompt=128, output=512)
    times = {s: serve(**question, software=s).seconds_per_output_token for s in ("vllm", "trtllm", "sglang", "stranger", None)}
    known = [times[s] for s in ("vllm", "trtllm", "sglang")]
    assert min(known) < times["stranger"] == times[None] < max(known)
    assert serve(**question, software="stranger").high > serve(**question, software=None).seconds_per_output_token


def test_attention_data_keeps_caches_apart():
    latent = dict(model="DeepSeek-R1", chip="H200 SXM", chips=8, concurrency=2048, prompt=8192, output=1024, weights="fp8")
    assert serve(**latent, attention_data=8, expert=8).batch == pytest.approx(8 * serve(**latent, expert=8).batch, rel=1e-9)


@pytest.mark.parametrize("change, says", [
    ({"chips": 6, "attention_data": 4}, "not a multiple"), ({"concurrency": 0}, "concurrency=0"), ({"prompt": -1}, "prompt=-1"),
    ({"output": float("nan")}, "output=nan"), ({"model": "Lama"}, "nearest"), ({"weights": "fp7"}, "fp7"), ({"compute": "fp4"}, "no peak"),
    ({"chip": "RTX 4090", "chips": 2}, "has no link_bandwidth"), ({"usd_per_chip_hour": -2}, "usd_per_chip_hour=-2"), ({"concurrency": [1, 2], "prompt": [1, 2, 3]}, "do not broadcast")], ids=str)
def test_bad_input(change, says):
    with pytest.raises((ValueError, KeyError), match=says):
        serve(**{"model": "Llama 3.1 8B", "chip": "H100 SXM", **change})


def test_dollars_and_text():
    served = serve("Llama 3.1 8B", "H100 SXM", concurrency=16, usd_per_chip_hour=2.0)
    assert served.usd_per_mtok == pytest.approx(2.0 / 3600 / served.tokens_per_second * 1e6)
    assert "Llama 3.1 8B on 1 x H100 SXM" in str(served) and "$/Mtok" not in str(serve("Llama 3.1 8B", "H100 SXM"))
