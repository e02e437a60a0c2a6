"""Reads the shape of a transformer from a Hugging Face ``config.json``."""
from .checks import BadValue, whole

UNGATED = {"gpt2", "gpt_neox", "opt", "bloom", "mpt", "falcon", "RefinedWeb", "RefinedWebModel", "gpt_bigcode", "nemotron"}
ALWAYS_TIED = {"gpt2", "mpt", "bloom", "opt", "gemma", "gemma2", "gemma3", "gemma3_text", "gpt_bigcode"}
FULL_EVERY = {"gemma2": 2, "gemma3": 6, "gemma3_text": 6, "llama4_text": 4}  # one layer in so many attends to the whole context
LEARNED_POSITIONS = {"gpt2", "opt", "gpt_bigcode"}


def _first(config: dict, *keys, default=None):
    """The first of `keys` that the config holds with a value."""
    for key in keys:
        if config.get(key) is not None:
            return config[key]
    if default is None:
        raise BadValue(f"config has none of {', '.join(keys)}: one of them is needed")
    return default


def shape(config: dict, name: str = "") -> dict:
    """Keyword arguments of `Transformer` for a Hugging Face config.

    Parameters
    ----------
    config : dict
        The parsed ``config.json``; of a multimodal model its ``text_config`` is taken.
    name : str
        Name to give; the config's own ``_name_or_path`` or ``model_type`` otherwise.

    Raises
    ------
    BadValue
        If a size that every transformer has is missing.
    """
    if not isinstance(config, dict):
        raise BadValue(f"config={config!r}: a parsed config.json (a dict) is needed")
    config = config.get("text_config") or config
    config = {**(config.get("attn_config") or {}), **(config.get("ffn_config") or {}), **config}  # MPT and DBRX nest them
    kind = config.get("model_type", "")
    layers = whole("num_hidden_layers", _first(config, "num_hidden_layers", "n_layer", "n_layers"), least=1)
    d_model = whole("hidden_size", _first(config, "hidden_size", "n_embd", "d_model"), least=1)
    heads = whole("num_attention_heads", _first(config, "num_attention_heads", "n_head", "n_heads"), least=1)
    out = dict(
        name=name or config.get("_name_or_path") or kind or "custom", layers=layers, d_model=d_model, heads=heads,
        kv_heads=_kv_heads(config, heads), head_dim=_first(config, "head_dim", default=d_model // heads),
        d_ff=_first(config, "intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", default=4 * d_model),
        vocab=_first(config, "vocab_size"), gated=kind not in UNGATED,
        tied=config.get("tie_word_embeddings", kind in ALWAYS_TIED),
        positions=_first(config, "n_positions", "max_position_embeddings", default=0) if kind in LEARNED_POSITIONS else 0,
    )
    return out | _latent(config) | _windows(config, layers) | _experts(config, layers, out["d_ff"])


def _kv_heads(config: dict, heads: int) -> int:
    if config.get("new_decoder_architecture"):
        return _first(config, "num_kv_heads", "n_head_kv")
    if config.get("multi_query"):
        return 1
    return _first(config, "num_key_value_heads", "num_kv_heads", "kv_n_heads", default=heads)


def _latent(config: dict) -> dict:
    if not config.get("kv_lora_rank"):
        return {}
    nope, rope = _first(config, "qk_nope_head_dim"), _first(config, "qk_rope_head_dim")
    return dict(kv_rank=config["kv_lora_rank"], q_rank=config.get("q_lora_rank") or 0, nope_dim=nope, rope_dim=rope,
                v_dim=_first(config, "v_head_dim"), head_dim=nope + rope, kv_heads=_first(config, "num_attention_heads"))


def _windows(config: dict, layers: int) -> dict:
    kinds = config.get("layer_types") or []
    capped = sum(k in ("sliding_attention", "chunked_attention") for k in kinds)
    recurrent = sum(k in ("linear_attention", "recurrent", "mamba") for k in kinds)
    window = config.get("sliding_window") or config.get("attention_chunk_size") or 0
    if not kinds and window and config.get("use_sliding_window", True):
        every = config.get("sliding_window_pattern") or FULL_EVERY.get(config.get("model_type"), 0)
        capped = layers - layers // every if every else layers
    return dict(window=window if capped else 0, windowed_layers=capped if window else 0, recurrent_layers=recurrent)


def _experts(config: dict, layers: int, d_ff: int) -> dict:
    count = _first(config, "n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts", default=0)
    if not count:
        return {}
    step = _first(config, "moe_layer_freq", "decoder_sparse_step", "interleave_moe_layer_step", default=1)
    dense_first = config.get("first_k_dense_replace") or 0
    width = _first(config, "moe_intermediate_size", "intermediate_size", "ffn_hidden_size")
    shared = config.get("n_shared_experts") or config.get("shared_expert_intermediate_size", 0) // width
    shared = shared or int(config.get("model_type", "").startswith("llama4"))
    return dict(experts=count, experts_active=_first(config, "num_experts_per_tok", "experts_per_token", "moe_top_k"),
                experts_shared=shared, expert_d_ff=width, moe_layers=(layers - dense_first) // step,
                d_ff=config.get("intermediate_size_mlp") or d_ff)
