"""Hugging Face configs of a dozen architectures give the same counts as the catalogue's models."""
import pytest
import siliconomics as si

LLAMA = dict(model_type="llama", tie_word_embeddings=False, rope_theta=10000.0)
DEEPSEEK = dict(model_type="deepseek_v3", num_attention_heads=128, num_key_value_heads=128, q_lora_rank=1536, kv_lora_rank=512, qk_nope_head_dim=128,
                qk_rope_head_dim=64, v_head_dim=128, n_shared_experts=1, num_experts_per_tok=8, moe_layer_freq=1, num_hidden_layers=61,
                hidden_size=7168, intermediate_size=18432, moe_intermediate_size=2048, tie_word_embeddings=False)
ALTERNATING = ["sliding_attention", "full_attention"]
GPT_OSS = dict(model_type="gpt_oss", hidden_size=2880, intermediate_size=2880, num_attention_heads=64, num_key_value_heads=8, head_dim=64,
               num_experts_per_tok=4, experts_per_token=4, sliding_window=128, vocab_size=201088, tie_word_embeddings=False)
GEMMA3 = dict(model_type="gemma3_text", hidden_size=5376, intermediate_size=21504, num_attention_heads=32, num_key_value_heads=16, head_dim=128,
              num_hidden_layers=62, sliding_window=1024, vocab_size=262144)
FIVE_TO_ONE = [k for i in range(62) for k in [ALTERNATING[(i + 1) % 6 == 0]]]
FALCON = dict(model_type="falcon", vocab_size=65024, bias=False, parallel_attn=True, alibi=False, tie_word_embeddings=False)
LLAMA4 = dict(model_type="llama4_text", hidden_size=5120, intermediate_size=8192, intermediate_size_mlp=16384, num_attention_heads=40, num_key_value_heads=8,
              head_dim=128, num_hidden_layers=48, num_experts_per_tok=1, attention_chunk_size=8192, vocab_size=202048, tie_word_embeddings=False)
CHUNKED = [("full" if i % 4 == 3 else "chunked") + "_attention" for i in range(48)]

CONFIGS = [
    ("Llama 2 70B", LLAMA | dict(hidden_size=8192, intermediate_size=28672, num_attention_heads=64, num_hidden_layers=80, num_key_value_heads=8,
                                 vocab_size=32000, max_position_embeddings=4096)),
    ("Llama 2 7B", LLAMA | dict(hidden_size=4096, intermediate_size=11008, num_attention_heads=32, num_hidden_layers=32, vocab_size=32000)),
    ("Llama 3.2 1B", LLAMA | dict(hidden_size=2048, intermediate_size=8192, num_attention_heads=32, num_hidden_layers=16, num_key_value_heads=8,
                                  head_dim=64, vocab_size=128256, tie_word_embeddings=True)),
    ("Mistral 7B v0.1", dict(model_type="mistral", hidden_size=4096, intermediate_size=14336, num_attention_heads=32, num_hidden_layers=32,
                             num_key_value_heads=8, sliding_window=4096, vocab_size=32000, tie_word_embeddings=False)),
    ("Mixtral 8x7B", dict(model_type="mixtral", hidden_size=4096, intermediate_size=14336, num_attention_heads=32, num_hidden_layers=32,
                          num_key_value_heads=8, num_experts_per_tok=2, num_local_experts=8, sliding_window=None, vocab_size=32000)),
    ("DeepSeek-V3", DEEPSEEK | dict(first_k_dense_replace=3, n_routed_experts=256, vocab_size=129280, num_nextn_predict_layers=1)),
    ("Kimi K2", DEEPSEEK | dict(model_type="kimi_k2", num_attention_heads=64, num_key_value_heads=64, first_k_dense_replace=1, n_routed_experts=384,
                                vocab_size=163840)),
    ("Gemma 3 27B", dict(model_type="gemma3", text_config=GEMMA3, vision_config=dict(hidden_size=1152))),
    ("Gemma 3 27B", dict(model_type="gemma3", text_config=GEMMA3 | dict(sliding_window_pattern=6))),
    ("Gemma 3 27B", GEMMA3 | dict(layer_types=FIVE_TO_ONE)),
    ("Gemma 2 27B", dict(model_type="gemma2", hidden_size=4608, intermediate_size=36864, num_attention_heads=32, num_key_value_heads=16, head_dim=128,
                         num_hidden_layers=46, sliding_window=4096, vocab_size=256000)),
    ("GPT-2 124M", dict(model_type="gpt2", n_embd=768, n_head=12, n_layer=12, n_positions=1024, n_ctx=1024, n_inner=None, vocab_size=50257)),
    ("Falcon 40B", FALCON | dict(hidden_size=8192, num_attention_heads=128, num_hidden_layers=60, num_kv_heads=8, new_decoder_architecture=True,
                                 multi_query=True)),
    ("Falcon 40B", FALCON | dict(model_type="RefinedWeb", hidden_size=8192, n_head=128, n_layer=60, n_head_kv=8, new_decoder_architecture=True)),
    ("Falcon 7B", FALCON | dict(hidden_size=4544, num_attention_heads=71, num_hidden_layers=32, num_kv_heads=71, new_decoder_architecture=False,
                                multi_query=True)),
    ("gpt-oss-20b", GPT_OSS | dict(num_hidden_layers=24, num_local_experts=32, layer_types=ALTERNATING * 12)),
    ("gpt-oss-120b", GPT_OSS | dict(num_hidden_layers=36, num_local_experts=128, layer_types=ALTERNATING * 18)),
    ("Qwen3 30B-A3B", dict(model_type="qwen3_moe", hidden_size=2048, intermediate_size=6144, moe_intermediate_size=768, num_attention_heads=32,
                           num_key_value_heads=4, head_dim=128, num_hidden_layers=48, num_experts=128, num_experts_per_tok=8, decoder_sparse_step=1,
                           mlp_only_layers=[], sliding_window=None, use_sliding_window=False, vocab_size=151936, tie_word_embeddings=False)),
    ("Qwen2.5 7B", dict(model_type="qwen2", hidden_size=3584, intermediate_size=18944, num_attention_heads=28, num_key_value_heads=4,
                        num_hidden_layers=28, sliding_window=131072, use_sliding_window=False, vocab_size=152064, tie_word_embeddings=False)),
    ("MPT-7B", dict(model_type="mpt", d_model=4096, n_heads=32, n_layers=32, expansion_ratio=4, vocab_size=50432, attn_config=dict(alibi=True))),
    ("MPT-7B", dict(model_type="mpt", d_model=4096, n_heads=32, n_layers=32, expansion_ratio=4, vocab_size=50432,
                    attn_config=dict(alibi=True, model_type=""))),
    ("DBRX", dict(model_type="dbrx", d_model=6144, n_heads=48, n_layers=40, vocab_size=100352, tie_word_embeddings=False,
                  attn_config=dict(kv_n_heads=8, model_type=""),
                  ffn_config=dict(ffn_hidden_size=10752, model_type="", moe_num_experts=16, moe_top_k=4))),
    ("Llama 4 Maverick", dict(model_type="llama4", text_config=LLAMA4 | dict(num_local_experts=128, interleave_moe_layer_step=2, layer_types=CHUNKED))),
    ("Llama 4 Maverick", dict(model_type="llama4", text_config=LLAMA4 | dict(num_local_experts=128, interleave_moe_layer_step=2, no_rope_layers=[]))),
]


@pytest.mark.parametrize("name, config", CONFIGS, ids=[f"{i:02d} {name}" for i, (name, _) in enumerate(CONFIGS)])
def test_same_counts_as_the_catalogue(name, config):
    got, want = si.Transformer.from_config(config, name=name), si.model(name)
    for count in ("params", "active_params", "compute_params", "attention", "moe_layers", "windowed_layers", "experts_shared", "tied", "gated"):
        assert getattr(got, count) == getattr(want, count), count
    for context in (1, 5000, 100_000):
        assert got.kv_bytes(context) == want.kv_bytes(context)
        assert got.flops_per_token(context) == want.flops_per_token(context)
    assert got.weight_bytes_read(7) == want.weight_bytes_read(7)


def test_name_comes_from_the_caller_then_the_config():
    config = dict(CONFIGS[0][1])
    assert si.Transformer.from_config(config, "mine").name == "mine"
    assert si.Transformer.from_config(config).name == "llama"
    assert si.Transformer.from_config(config | {"_name_or_path": "org/it"}).name == "org/it"


def test_config_is_not_changed():
    config = dict(CONFIGS[5][1])
    before = dict(config)
    si.Transformer.from_config(config)
    assert config == before


@pytest.mark.parametrize("key", ["num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size"])
@pytest.mark.parametrize("value", [None, "80", 0, -1, 1.5, [80]], ids=repr)
def test_a_bad_or_missing_size_is_named(key, value):
    with pytest.raises(si.BadValue, match=f"{key}|{'vocab' if key == 'vocab_size' else key}"):
        si.Transformer.from_config(CONFIGS[0][1] | {key: value})


@pytest.mark.parametrize("config", [None, [], "llama", {}], ids=repr)
def test_what_is_no_config(config):
    with pytest.raises(si.BadValue, match="config"):
        si.Transformer.from_config(config)


@pytest.mark.parametrize("key", ["qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"])
def test_latent_attention_needs_its_sizes(key):
    config = {k: v for k, v in CONFIGS[5][1].items() if k != key}
    with pytest.raises(si.BadValue, match=key):
        si.Transformer.from_config(config)
