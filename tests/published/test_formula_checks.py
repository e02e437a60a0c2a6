"""Published and exact figures, each computed through the public API: one case per figure, named by formula and source."""
import numpy as np
import pytest
import siliconomics as si
from siliconomics import chip, model

GPT2, L7, L70, MHA70 = model("GPT-2 124M"), model("Llama 2 7B"), model("Llama 2 70B"), model("Llama 2 70B").replace(kv_heads=64)
PALM, MPT70, GPT3, L405 = model("PaLM 540B"), model("MPT-70B"), model("GPT-3 175B"), model("Llama 3.1 405B")
A100, H100, V5E, V4 = chip("A100 SXM 80GB"), chip("H100 SXM"), chip("TPU v5e"), chip("TPU v4")
DAY = 86_400.0

# Sources that used inputs of their own get them here, not the catalogue's.
H100_990 = H100.replace(peak={"bf16": 990e12})
SCALING_BOOK_V5E = si.Chip("v5e of the scaling book", {"bf16": 197e12}, 16e9, 8.1e11)
TWO_TB = H100.replace(bandwidth=2e12)
ROUND_70B = dict(weights=70e9 / L70.params, kv=160e3 / (80 * 2 * 8 * 128))  # bytes a value that make 70 GB and 160 kB a token


def v5e_step():
    return si.decode(L70, SCALING_BOOK_V5E, chips=8, batch=32, context=8192, compute="bf16", **ROUND_70B)


def megatron(shape, batch, chips, seconds):
    return si.mfu(batch * 2048 / seconds, shape, A100, chips, context=2048)


def megatron_hfu(shape, batch, chips, seconds):
    return si.hfu(batch * 2048 / seconds, shape, A100, chips, context=2048, recompute="selective")


def attention_equals_weights():
    return 2 * L70.compute_params / L70.attention_flops(1)


def h100_70b(**changes):
    return si.decode(L70, H100, **dict(chips=8, batch=64, context=2048, usd_per_chip_hour=2) | changes)


def capacity(context):
    return si.max_batch(L70, H100, 8, context)


def phone(weights):
    return 1 / si.memory_floor(70e9 * si.dtype_bytes(weights), H100.replace(bandwidth=50e9))


CASES = [  # id, computed, published, relative tolerance
    ("F1 ridge v5e bf16 | scaling book, inference", lambda: V5E.ridge("bf16"), 240, 0.01),
    ("F1 ridge v5e bf16 | exact", lambda: V5E.ridge("bf16"), 240.5, 0.0005),
    ("F1 ridge H100 bf16 | public test suite", lambda: H100.ridge(), 295.2, 0.001),
    ("F1 ridge H100 bf16 | exact", lambda: H100.ridge("bf16"), 295.3, 0.0005),
    ("F1 ridge H100 fp8 | exact", lambda: H100.ridge("fp8"), 590.7, 0.0005),
    ("F1 attainable at I=64 on H100 | exact", lambda: si.attainable(64, H100), 214.4e12, 1e-12),
    ("F1 attainable far right of the ridge | data sheet", lambda: si.attainable(1e4, H100), 989.4e12, 1e-12),
    ("F2 params Llama-2-70B | model card", lambda: L70.params, 68_976_648_192, 0),
    ("F2 params Llama-2-7B | model card", lambda: L7.params, 6_738_415_616, 0),
    ("F2 params Llama-3.1-405B | model card", lambda: L405.params, 405_853_388_800, 0),
    ("F2 bytes read Llama-2-7B | gpt-fast 1397.31 GB/s at 104.9 tokens/s", lambda: L7.weight_bytes_read(embedding=False), 1397.31e9 / 104.9, 0.01),
    ("F2 params Mixtral 8x7B | Mixtral paper 46.7B", lambda: model("Mixtral 8x7B").params, 46.70e9, 0.0005),
    ("F2 active params Mixtral 8x7B | exact 12.88B", lambda: model("Mixtral 8x7B").active_params, 12.88e9, 0.0005),
    ("F2 params DeepSeek-V3 | DeepSeek-V3 report 671B", lambda: model("DeepSeek-V3").params, 671e9, 0.001),
    ("F2 params gpt-oss-120b | model card 116.83B", lambda: model("gpt-oss-120b").params, 116.83e9, 0.001),
    ("F2 active params gpt-oss-120b without input embedding | model card 5.13B",
     lambda: model("gpt-oss-120b").active_params - 201_088 * 2880, 5.13e9, 0.001),
    ("F2 params Qwen3-30B-A3B | model card 30.5B", lambda: model("Qwen3 30B-A3B").params, 30.5e9, 0.002),
    ("F3 params GPT-2 124M | nanoGPT transformer_sizing", lambda: GPT2.params, 124_337_664, 0),
    ("F4 FLOP of GPT-2 at T=1024 | nanoGPT transformer_sizing", lambda: 1024 * GPT2.flops_per_token(1024, training=True), 875_062_886_400, 0),
    ("F4 context where attention FLOPs equal weight FLOPs 70B | exact", attention_equals_weights, 52_625, 1e-5),
    ("F4 causal halves attention | PaLM appendix B", lambda: L70.attention_flops(4096, causal=True), 80 * 2 * 64 * 128 * 4096, 1e-12),
    ("F5 MFU PaLM with attention | PaLM 46.2 %", lambda: si.mfu(238.3e3, PALM, V4, 6144, context=2048), 0.462, 0.001),
    ("F5 MFU PaLM without attention | PaLM 45.7 %", lambda: si.mfu(238.3e3, PALM, V4, 6144), 0.457, 0.001),
    ("F5 MFU MPT-70B on 512 H100 | llm-foundry 41.25 %", lambda: si.mfu(1007 * 512, MPT70, H100_990, 512, context=2048), 0.4125, 0.002),
    ("F5 same run against the sparse peak | trap 20.6 %", lambda: si.mfu(1007, MPT70, H100_990.replace(peak={"bf16": 1979e12}), context=2048), 0.206, 0.003),
    ("F6 HFU MPT-70B, full recomputation | llm-foundry 55.0 %", lambda: si.hfu(1007, MPT70, H100_990, context=2048), 0.55, 0.002),
    ("F7 MFU Megatron 22B | Korthikanti 2022 41.5 %", lambda: megatron(model("Megatron 22B"), 4, 8, 1.1), 0.415, 0.005),
    ("F7 MFU Megatron 175B | Korthikanti 2022 51.4 %", lambda: megatron(GPT3.replace(vocab=51_200), 64, 64, 13.75), 0.514, 0.005),
    ("F6 HFU Megatron 22B, selective | Korthikanti 2022 43.7 %", lambda: megatron_hfu(model("Megatron 22B"), 4, 8, 1.1), 0.437, 0.005),
    ("F6 HFU Megatron 175B, selective | Korthikanti 2022 52.8 %",
     lambda: megatron_hfu(GPT3.replace(vocab=51_200), 64, 64, 13.75), 0.528, 0.005),
    ("F8 GPT-3 days on 1,024 A100 at 140 TFLOP/s | Narayanan 2021 34 days",  # 8 FLOP a parameter there, 6 of them model FLOP
     lambda: si.train_run(175e9, A100, 1024, 300e9, mfu=140e12 / 312e12 * 6 / 8).seconds / DAY, 34, 0.01),
    ("F9 FLOP of Llama-3.1-405B | Llama 3 paper 3.8e25", lambda: L405.flops_per_token(training=True) * 15.6e12, 3.8e25, 0.003),
    ("F9 FLOP of 405B on 15.6T | Llama 3 paper 3.8e25", lambda: si.train_run(405e9, H100, 1, 15.6e12, 1).seconds * 989.4e12, 3.8e25, 0.003),
    ("F13 KV Llama-2-70B bf16 | exact", lambda: L70.kv_bytes_per_token("bf16"), 327_680, 0),
    ("F13 KV Llama-2-70B if it were MHA | exact", lambda: MHA70.kv_bytes_per_token("bf16"), 2_621_440, 0),
    ("F13 KV Llama-2-70B int8 | scaling book 160 to 162 kB", lambda: L70.kv_bytes_per_token("int8"), 162e3, 0.012),
    ("F13 KV DeepSeek-V3 bf16 | 61 x 576 x 2", lambda: model("DeepSeek-V3").kv_bytes_per_token("bf16"), 70_272, 0),
    ("F13 context where KV bytes equal weight bytes 70B | exact", lambda: L70.weight_bytes() / L70.kv_bytes(1), 421_000, 1e-5),
    ("F14 floor of 140 GB on 2 H100 in ms | exact 20.9", lambda: 1e3 * si.memory_floor(140e9, H100, 2), 20.9, 0.002),
    ("F14 floor of 140 GB on 2 H100 in tokens/s | exact 47.9", lambda: 1 / si.memory_floor(140e9, H100, 2), 47.9, 0.001),
    ("F14 floor of 70B on 2 H100 in ms | catalogue 20.6", lambda: 1e3 * si.decode(L70, H100, 2, context=0).seconds, 20.6, 0.001),
    ("F14 floor of 70B on 2 H100 in tokens/s | catalogue 48.6", lambda: si.decode(L70, H100, 2, context=0).tokens_per_second, 48.6, 0.001),
    ("F14 PaLM 540B int8 on 64 TPU v4 in ms | exact 7.03", lambda: 1e3 * si.memory_floor(540e9, V4, 64), 7.03, 0.001),
    ("F14 PaLM 540B int8 on 64 TPU v4 | Pope 2022 29 ms is 24 % MBU", lambda: si.mbu(0.029, PALM, V4, 64, weights="int8"), 0.24, 0.015),
    ("F14 70B bf16 at 50 GB/s | exact 0.36 tokens/s", lambda: phone("bf16"), 0.36, 0.01),
    ("F14 70B int8 at 50 GB/s | exact 0.71 tokens/s", lambda: phone("int8"), 0.71, 0.01),
    ("F15 MBU of 14 GB in 14 ms at 2 TB/s | Databricks 50 %", lambda: si.mbu(0.014, L7, TWO_TB, weights=14e9 / L7.params), 0.5, 1e-9),
    ("F15 15 % MBU on 8 A100 | exact 17.5 tokens/s", lambda: 0.15 / si.memory_floor(140e9, A100, 8), 17.5, 0.002),
    ("F16 critical batch v5e bf16 | scaling book 240", lambda: si.critical_batch(V5E), 240, 0.01),
    ("F16 critical batch v5e int8 weights, bf16 arithmetic | scaling book 120", lambda: si.critical_batch(V5E, "int8", "bf16"), 120, 0.01),
    ("F17 70B int8 on v5e 4x2, batch 32, 8k in ms | scaling book 17", lambda: 1e3 * v5e_step().seconds, 17, 0.02),
    ("F17 70B int8 on v5e 4x2, batch 32, 8k in ms | catalogue 17.1", lambda: 1e3 * si.decode(L70, V5E, 8, 32, 8192, "int8", "int8").seconds, 17.1, 0.002),
    ("F17 70B int8 on v5e 4x2 in tokens/s | scaling book 1,882", lambda: v5e_step().tokens_per_second, 1882, 0.02),
    ("F17 70B bf16 on 8 H100, batch 64, 2k in ms | exact 6.75", lambda: 1e3 * h100_70b().seconds, 6.75, 0.0005),
    ("F17 70B bf16 on 8 H100, batch 64, 2k in tokens/s | exact 9,481", lambda: h100_70b().tokens_per_second, 9481, 0.0001),
    ("F17 max batch at 2k | exact 748", lambda: capacity(2048), 748, 0),
    ("F17 max batch at 8k | exact 187", lambda: capacity(8192), 187, 0),
    ("F17 max batch at 32k | exact 46", lambda: capacity(32_768), 46, 0),
    ("F18 70B bf16 on 8 H100 at $2 | exact $0.469/Mtok", lambda: h100_70b().usd_per_mtok, 0.469, 0.001),
    ("F18 $2/h at 100 tokens/s | public test suite $5.56", lambda: si.usd_per_mtok(2, 100), 5.56, 0.001),
    ("F18 MFU of GPT-3 in FP8 at 727.757 tokens/s | SemiAnalysis 39.5 %", lambda: si.mfu(727.757, GPT3, H100, context=2048, dtype="fp8"), 0.395, 0.005),
    ("F18 MFU of Llama-405B at $1.42/h and $1.95/Mtok | SemiAnalysis 54 %",
     lambda: si.mfu(1.42 / 3600 / 1.95e-6, L405, H100, context=8192), 0.54, 0.005),
    ("F26 distinct experts of DeepSeek-V3 at batch 64 | exact", lambda: model("DeepSeek-V3").distinct_experts(64), 256 * (1 - (31 / 32) ** 64), 1e-12),
    ("X1 ChatGPT cents a query | SemiAnalysis 0.36", lambda: si.usd_per_mtok(694_444 / 24, 13e6 * 15 / DAY) / 1e4, 0.36, 0.02),
    ("X1 ChatGPT cents a query | exact 0.356", lambda: si.usd_per_mtok(694_444 / 24, 13e6 * 15 / DAY) / 1e4, 0.356, 0.001),
    ("X1 search revenue in cents a query | SemiAnalysis 1.61", lambda: si.usd_per_mtok(162.45e9 / 8760, 320e3) / 1e4, 1.61, 0.001),
    ("X2 GPT-70B on 1.4T tokens at 45 % and $1.5/h | SemiAnalysis $1.75M",
     lambda: si.train_run(70e9, A100, 1, 1.4e12, 0.45, usd_per_chip_hour=1.5).usd, 1.75e6, 0.005),
    ("X2 MFU needed for 2.15e25 on 7,000 H100 in 90 days | podcast 40 %",
     lambda: si.train_run(2.15e25 / 6e12, H100, 7000, 1e12, 1).seconds / (90 * DAY), 0.4, 0.003),
    ("X3 params at fp16, 8.33 tokens/s, half of 34.1 GB/s | SemiAnalysis 1B",
     lambda: 0.5 / 8.33 / si.memory_floor(2e9, H100.replace(bandwidth=34.1e9)), 1.0, 0.03),
    ("catalogue MI300X over H100 in FLOP/s | exact 1.32", lambda: chip("MI300X").peak["bf16"] / H100.peak["bf16"], 1.32, 0.002),
    ("catalogue MI300X over H100 in bandwidth | exact 1.58", lambda: chip("MI300X").bandwidth / H100.bandwidth, 1.58, 0.002),
    ("catalogue MI300X over H100 in capacity | exact 2.40", lambda: chip("MI300X").memory_bytes / H100.memory_bytes, 2.40, 1e-12),
]


@pytest.mark.parametrize("computed, published, tolerance", [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_published_figure(computed, published, tolerance):
    got = computed()
    assert got == published if tolerance == 0 else abs(got / published - 1) <= tolerance


def test_ids_are_unique():
    assert len({case[0] for case in CASES}) == len(CASES)


def test_the_line_that_first_light_promises():
    text = str(si.decode(si.model("Llama-2-70B"), si.chip("H100 SXM"), chips=8, batch=64, context=2048, usd_per_chip_hour=2))
    assert all(figure in text for figure in ("6.75 ms", "9,481 tokens/s", "$0.469/Mtok"))


def test_selective_recomputation_is_counted_as_the_paper_counts_it():
    """Its s/3h in place of s/6h adds the attention products forward and backward; one forward pass adds a third of that."""
    shape, rate = model("Megatron 22B"), 4 * 2048 / 1.1
    added = si.hfu(rate, shape, A100, 8, context=2048, recompute="selective") / si.mfu(rate, shape, A100, 8, context=2048) - 1
    s, h = 2048, 6144
    paper = (s / (3 * h) + 51_200 / (12 * h * 48) + 1) / (s / (6 * h) + 51_200 / (12 * h * 48) + 1) - 1
    assert added == pytest.approx(paper, rel=0.005)


def test_costs_and_energy_of_a_run():
    run = si.train_run(L70, A100, 1000, 2e12, 0.4285, usd_per_chip_hour=1.0, watts_per_chip=400, pue=1.1)
    assert run.seconds / DAY == pytest.approx(71.7, rel=0.002)  # Meta reports 1,720,320 GPU hours
    assert run.usd == pytest.approx(1_720_320, rel=0.002)
    assert run.joules == pytest.approx(run.seconds * 1000 * 400 * 1.1, rel=1e-12)


PEAKS = [("A100 SXM 80GB", "bf16", 312e12, 2.039e12), ("H100 SXM", "bf16", 989.4e12, 3.35e12), ("TPU v5e", "bf16", 197e12, 819.2e9),
         ("TPU v4", "bf16", 275e12, 1.2e12), ("H100 SXM", "fp8", 1979e12, 3.35e12)]


@pytest.mark.parametrize("name, dtype, peak, bandwidth", PEAKS, ids=[f"{name} {dtype} | data sheet" for name, dtype, *_ in PEAKS])
def test_dense_peak_and_one_way_bandwidth(name, dtype, peak, bandwidth):
    np.testing.assert_allclose([chip(name).peak[dtype], chip(name).bandwidth], [peak, bandwidth], rtol=2e-4)
