"""Wrong numbers that other calculators print: ours, theirs, and the factor between the two."""
import numpy as np
import pytest
import siliconomics as si

MIXTRAL, V3, L70, H100 = si.model("Mixtral 8x7B"), si.model("DeepSeek-V3"), si.model("Llama 2 70B"), si.chip("H100 SXM")


@pytest.mark.parametrize("shape, factor", [(MIXTRAL, 3.63), (V3, 17.9), (si.model("gpt-oss-120b"), 20.5)], ids=lambda x: getattr(x, "name", x))
def test_all_experts_read_at_batch_one(shape, factor):
    rival, ours = shape.weight_bytes(), shape.weight_bytes_read(batch=1)
    assert ours == pytest.approx(2 * shape.active_params, rel=1e-12)
    assert rival / ours == pytest.approx(factor, rel=0.005)


@pytest.mark.parametrize("batch, experts_hit", [(1, 2), (2, 3.5), (8, 7.1991), (1000, 8)])
def test_only_the_chosen_experts_read_at_any_batch(batch, experts_hit):
    rival, ours = 2 * MIXTRAL.active_params, MIXTRAL.weight_bytes_read(batch)
    more = (experts_hit - 2) * 32 * 3 * 4096 * 14_336 * 2  # layers x one gated expert x bf16
    assert ours - rival == pytest.approx(more, rel=1e-4, abs=1)


def test_a_full_batch_reads_nearly_every_expert():
    rival, ours = 2 * V3.active_params, V3.weight_bytes_read(256)
    assert ours / rival == pytest.approx(V3.params / V3.active_params, rel=0.001)
    step = si.decode(V3, H100, chips=16, batch=256, context=0)
    assert step.seconds == pytest.approx(ours / (16 * 3.35e12), rel=1e-12)


@pytest.mark.parametrize("name, factor", [("Llama 2 70B", 8), ("Qwen3 235B-A22B", 16), ("Falcon 7B", 71), ("PaLM 540B", 48), ("Llama 2 7B", 1)])
def test_cache_by_query_heads(name, factor):
    shape = si.model(name)
    rival = 2 * shape.layers * shape.heads * shape.head_dim * 2
    assert rival / shape.kv_bytes_per_token() == factor


def test_cache_of_latent_attention_by_heads():
    rival = 2 * V3.layers * V3.heads * 128 * 2
    assert rival / V3.kv_bytes_per_token() == pytest.approx(56.9, rel=0.001)


def test_cache_counted_twice():
    rival = 2 * (2 * 80 * 8 * 128 * 2)
    assert rival / L70.kv_bytes_per_token() == 2
    step, empty = (si.decode(L70, H100, 8, batch=64, context=c) for c in (2048, 0))
    assert step.memory_bytes - empty.memory_bytes == 64 * 2048 * rival / 2
    room = 8 * 80e9 - L70.weight_bytes()
    assert si.max_batch(L70, H100, 8, 2048) // 2 == room // (2048 * rival)


def test_two_matrices_for_a_gated_block():
    rival = L70.params - 80 * 8192 * 28_672  # one matrix a layer forgotten
    assert rival == L70.replace(gated=False).params == 50_186_166_272
    ffn, rivals = (sum(part.params for part in m.parts if part.group == "FFN") for m in (L70, L70.replace(gated=False)))
    assert ffn / rivals == 1.5


def test_three_matrices_only_where_the_block_is_gated():
    ffn = [part for part in si.model("GPT-3 175B").parts if part.group == "FFN"]
    assert [(part.rows, part.cols, part.layers) for part in ffn] == [(12_288, 49_152, 96), (49_152, 12_288, 96)]


@pytest.mark.parametrize("name, dtype, sparse", [("H100 SXM", "bf16", 1979e12), ("H100 SXM", "fp8", 3958e12), ("A100 SXM 80GB", "bf16", 624e12),
                                                 ("H200 SXM", "bf16", 1979e12), ("B200 SXM", "bf16", 4500e12), ("MI300X", "bf16", 2614.9e12)])
def test_sparse_peak_taken_as_dense(name, dtype, sparse):
    assert sparse / si.chip(name).peak[dtype] == pytest.approx(2, rel=0.002)


def test_sparse_peak_halves_the_utilisation():
    rival = H100.replace(peak={"bf16": 1978.8e12})
    assert si.mfu(1000, L70, H100) / si.mfu(1000, L70, rival) == pytest.approx(2, rel=1e-12)


def test_fp8_that_an_a100_does_not_have():
    a100 = si.chip("A100 SXM 80GB")
    with pytest.raises(si.MissingDtype, match="A100 SXM 80GB.*'fp8'.*bf16"):
        si.attainable(100, a100, "fp8")
    rival = a100.replace(peak={"fp8": 624e12})
    ours = si.prefill(L70, a100, 8, prompt=4096, weights="fp8")  # stored in 8 bits, computed in 16
    assert ours.seconds / si.prefill(L70, rival, 8, prompt=4096, weights="fp8").seconds == pytest.approx(2, rel=0.01)


def test_rates_of_hopper_and_blackwell_double_with_half_the_bits():
    for name in ("H100 SXM", "H200 SXM", "B200 SXM"):
        peak = si.chip(name).peak
        assert peak["fp8"] / peak["bf16"] == pytest.approx(2, rel=0.002), name


def test_chips_before_fp8_have_none():
    old = [name for name in ("V100 SXM2 16GB", "T4", "A100 SXM 40GB", "A100 SXM 80GB", "A40", "A10G", "MI250X", "TPU v4", "TPU v5e")
           if "fp8" in si.chip(name).peak]
    assert old == []


def test_window_caps_the_cache():
    gemma, context = si.model("Gemma 3 27B"), np.array([1024, 131_072.0])
    rival = gemma.kv_bytes_per_token() * context
    assert rival / gemma.kv_bytes(context) == pytest.approx([1, 62 * 131_072 / (10 * 131_072 + 52 * 1024)], rel=1e-12)
