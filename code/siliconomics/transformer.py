"""How many parameters, bytes and FLOPs does a token cost? The shape of a decoder-only transformer and its counts."""
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from . import kernels
from .checks import BadValue, flag, number, plain, whole
from .kernels import plain as formula
from .units import dtype_bytes


class Part(NamedTuple):
    """A weight matrix of a model: its shape, how many layers have one, of how many experts, and how many of those a token uses.

    `chosen` is 0 for a table in which a token only looks up a row. Norms are vectors, one column.
    """

    name: str
    group: str  # embedding, unembedding, attention, FFN, experts (the routed ones), norms
    rows: int
    cols: int
    layers: int = 1
    experts: int = 1
    chosen: int = 1

    @property
    def params(self) -> int:
        """Parameters of all its copies."""
        return self.rows * self.cols * self.layers * self.experts

    @property
    def flops(self) -> float:
        """Forward FLOPs a token: one row times each copy that the token uses."""
        return self.layers * self.chosen * formula(kernels.matmul_flops)(1, self.cols, self.rows)

    def read(self, batch=1):
        """Parameters that a step of `batch` tokens is expected to read; looked-up rows are left out."""
        return plain(self.rows * self.cols * self.layers * formula(kernels.distinct_experts)(self.experts, self.chosen, number("batch", batch)))


@dataclass(frozen=True)
class Transformer:
    """Shape of a decoder-only transformer. Sizes are whole numbers; zero means "has none".

    Parameters
    ----------
    name : str
    layers, d_model, heads, vocab : int
    kv_heads : int
        Key/value heads: equal to `heads` for MHA, 1 for MQA, between for GQA.
    head_dim : int
        Explicit, because it need not be ``d_model / heads``. For MLA: `nope_dim` + `rope_dim`.
    d_ff : int
        Width of the dense feed-forward blocks; 0 if every layer has experts.
    gated : bool
        Three feed-forward matrices (SwiGLU, GeGLU) instead of two.
    tied : bool
        Output layer shares the embedding table.
    positions : int
        Length of a learned position embedding.
    kv_rank, q_rank, nope_dim, rope_dim, v_dim : int
        Multi-head latent attention; `kv_rank` > 0 switches it on.
    window, windowed_layers : int
        How many layers attend to (and keep) at most `window` tokens.
    recurrent_layers : int
        Layers without a growing cache; their weights are counted as attention's.
    experts, experts_active, experts_shared, expert_d_ff, moe_layers : int
        Mixture of experts: routed experts a layer, how many of them a token uses, shared experts always used,
        width of one expert, and how many of the layers have experts.

    Raises
    ------
    BadValue
        If a size is negative, fractional or contradicts another.
    """

    name: str
    layers: int
    d_model: int
    heads: int
    kv_heads: int
    head_dim: int
    d_ff: int
    vocab: int
    gated: bool = True
    tied: bool = False
    positions: int = 0
    kv_rank: int = 0
    q_rank: int = 0
    nope_dim: int = 0
    rope_dim: int = 0
    v_dim: int = 0
    window: int = 0
    windowed_layers: int = 0
    recurrent_layers: int = 0
    experts: int = 0
    experts_active: int = 0
    experts_shared: int = 0
    expert_d_ff: int = 0
    moe_layers: int = 0

    def __post_init__(self):
        for field in fields(self):
            if field.type is int:
                least = 1 if field.name in ("layers", "d_model", "heads", "kv_heads", "head_dim", "vocab") else 0
                object.__setattr__(self, field.name, whole(field.name, getattr(self, field.name), least=least))
            elif field.type is bool:
                flag(field.name, getattr(self, field.name))
        rules = {
            "heads must be a multiple of kv_heads": self.heads % self.kv_heads == 0,
            "windowed_layers + recurrent_layers must not exceed layers": self.windowed_layers + self.recurrent_layers <= self.layers,
            "window is needed for windowed_layers": self.window > 0 or not self.windowed_layers,
            "moe_layers must not exceed layers": self.moe_layers <= self.layers,
            "d_ff is needed for layers without experts": self.d_ff > 0 or self.moe_layers == self.layers,
            "experts and moe_layers go together": bool(self.experts) == bool(self.moe_layers),
            "experts_active must lie in 1..experts": not self.moe_layers or 1 <= self.experts_active <= self.experts,
            "expert_d_ff is needed for moe_layers": self.expert_d_ff > 0 or not self.moe_layers,
            "MLA needs nope_dim, rope_dim and v_dim": not self.kv_rank or min(self.nope_dim, self.rope_dim, self.v_dim) > 0,
            "head_dim of MLA is nope_dim + rope_dim": not self.kv_rank or self.head_dim == self.nope_dim + self.rope_dim,
        }
        for rule, holds in rules.items():
            if not holds:
                raise BadValue(f"Transformer {self.name!r}: {rule}")

    @classmethod
    def from_config(cls, config: dict, name: str = "") -> "Transformer":
        """Make a Transformer from a Hugging Face ``config.json`` (see `siliconomics.hf_config`)."""
        from .hf_config import shape

        return cls(**shape(config, name))

    def replace(self, **changes) -> "Transformer":
        """A copy with some sizes changed."""
        return replace(self, **changes)

    # --- parameters ---------------------------------------------------------------------------------------------

    @property
    def attention(self) -> str:
        """"mha", "gqa", "mqa" or "mla"."""
        if self.kv_rank:
            return "mla"
        return "mha" if self.kv_heads == self.heads else "mqa" if self.kv_heads == 1 else "gqa"

    @property
    def attention_shapes(self) -> dict[str, tuple[int, int]]:
        """Name -> (rows, columns) of the weights of one layer's attention, without biases.

        Queries and output d n h each, keys and values d n_kv h. Latent attention has two inner norms: DeepSeek-V2, section 2.1.
        """
        d, wide, narrow = self.d_model, self.heads * self.head_dim, self.kv_heads * self.head_dim
        if not self.kv_rank:
            return {"queries": (d, wide), "keys": (d, narrow), "values": (d, narrow), "output": (wide, d)}
        queries = {"queries, down": (d, self.q_rank), "queries, up": (self.q_rank, wide)} if self.q_rank else {"queries": (d, wide)}
        return queries | {
            "latent, down": (d, self.kv_rank + self.rope_dim), "latent, up": (self.kv_rank, self.heads * (self.nope_dim + self.v_dim)),
            "output": (self.heads * self.v_dim, d), "latent norms": (self.q_rank + self.kv_rank, 1)}

    def ffn_shapes(self, width: int) -> dict[str, tuple[int, int]]:
        """Name -> (rows, columns) of a feed-forward block: three matrices d x f if gated (SwiGLU), two if not. Shazeer 2020."""
        return ({"gate": (self.d_model, width)} if self.gated else {}) | {"up": (self.d_model, width), "down": (width, self.d_model)}

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """Every weight matrix of the model, one entry for each shape and use; all counts of parameters are sums over it.

        Examples
        --------
        >>> import siliconomics as si
        >>> [part.name for part in si.model("GPT-2 124M").parts if part.group == "FFN"]
        ['up', 'down']
        """
        d, moe = self.d_model, self.moe_layers
        blocks = [("", "FFN", self.d_ff, self.layers - moe), ("shared ", "FFN", self.expert_d_ff, moe * self.experts_shared),
                  ("", "experts", self.expert_d_ff, moe, self.experts, self.experts_active)]
        tables = [("token table", self.vocab * (not self.tied)), ("positions", self.positions)]
        return (
            *(Part(name, "embedding", rows, d, chosen=0) for name, rows in tables if rows), Part("unembedding", "unembedding", d, self.vocab),
            *(Part(name, "attention", *shape, self.layers) for name, shape in self.attention_shapes.items()),
            *(Part(kind + name, group, *shape, layers, *choice) for kind, group, width, layers, *choice in blocks if layers
              for name, shape in self.ffn_shapes(width).items()),
            *([Part("router", "FFN", d, self.experts, moe)] if moe else []), Part("norms", "norms", d, 1, 2 * self.layers + 1))

    @property
    def embedding_params(self) -> int:
        """Token embedding table, output layer if untied, and learned positions."""
        return sum(part.params for part in self.parts if part.group in ("embedding", "unembedding"))

    @cached_property
    def expert_params(self) -> int:
        """Weights of one expert in one layer."""
        return sum(rows * cols for rows, cols in self.ffn_shapes(self.expert_d_ff).values())

    @cached_property
    def shared_params(self) -> int:
        """Everything but the routed experts: read at every step whatever the batch."""
        return self.params - self.moe_layers * self.experts * self.expert_params

    @cached_property
    def params(self) -> int:
        """All parameters, counted from the shape; biases and rotary buffers left out."""
        return sum(part.params for part in self.parts)

    @property
    def active_params(self) -> int:
        """Parameters that one token uses: routed experts count only as far as the token visits them."""
        return self.shared_params + self.moe_layers * self.experts_active * self.expert_params

    @property
    def compute_params(self) -> int:
        """The N of 2N and 6N: active parameters without learned positions, which cost a look-up and no product."""
        return self.active_params - self.positions * self.d_model

    # --- bytes --------------------------------------------------------------------------------------------------

    def weight_bytes(self, dtype: str = "bf16") -> float:
        """Bytes that all parameters occupy in `dtype`."""
        return self.params * dtype_bytes(dtype)

    def weight_bytes_read(self, batch=1, dtype: str = "bf16", embedding: bool = True):
        """Bytes of weights that one decode step reads.

        Parameters
        ----------
        batch : float or array_like
            Sequences decoded together. With experts, the expected number of distinct ones grows with it.
        dtype : str or float
            Storage type of the weights.
        embedding : bool
            Count the input embedding table too. A step only looks up `batch` rows of it, so an untied table may be
            left out with False; a tied one is the output layer and is always read.

        Returns
        -------
        float or ndarray
            Bytes, in the shape of `batch`.

        Examples
        --------
        >>> import siliconomics as si
        >>> mixtral = si.model("Mixtral 8x7B")
        >>> [f"{mixtral.weight_bytes_read(b) / 1e9:.1f} GB" for b in (1, 8, 64)]
        ['25.8 GB', '84.4 GB', '93.4 GB']
        """
        params = self.shared_params + self.moe_layers * self.expert_params * self.distinct_experts(batch)
        looked_up = 0 if embedding or self.tied else self.vocab * self.d_model
        return plain((params - looked_up) * dtype_bytes(dtype))

    def distinct_experts(self, batch=1):
        """Expected distinct routed experts of one layer that `batch` tokens touch; 0 for a dense model."""
        batch = number("batch", batch)
        hit = formula(kernels.distinct_experts)(self.experts, self.experts_active, batch) if self.moe_layers else np.zeros_like(batch)
        return plain(hit)

    def kv_layer_bytes(self, dtype: str = "bf16") -> float:
        """Bytes that one layer caches for one token."""
        width = dtype_bytes(dtype)
        if self.kv_rank:
            return formula(kernels.latent_layer_bytes)(self.kv_rank, self.rope_dim, width)
        return formula(kernels.kv_layer_bytes)(self.kv_heads, self.head_dim, width)

    @property
    def full_layers(self) -> int:
        """Layers whose cache grows with the whole context."""
        return self.layers - self.windowed_layers - self.recurrent_layers

    def kv_bytes_per_token(self, dtype: str = "bf16") -> float:
        """Bytes that a token adds to the cache while no window is full."""
        return (self.full_layers + self.windowed_layers) * self.kv_layer_bytes(dtype)

    def kv_bytes(self, context, dtype: str = "bf16"):
        """Bytes of cache that one sequence of `context` tokens holds, windows respected."""
        context = number("context", context, zero=True)
        tokens = formula(kernels.cached_tokens)(context, float(self.window), self.full_layers, self.windowed_layers)
        return plain(tokens * self.kv_layer_bytes(dtype))

    # --- FLOPs --------------------------------------------------------------------------------------------------

    def attention_flops(self, context, causal: bool = False):
        """Forward FLOPs a token of the attention products (scores and values) over all layers.

        With `causal`, the mean over the positions of a sequence of length `context`; without, the cost of a token
        that attends to `context` others (a decode step, or the full-attention convention of training).
        """
        context = number("context", context, zero=True)
        span = formula(kernels.causal_span) if causal else np.minimum
        tokens = self.full_layers * span(context, np.inf) + self.windowed_layers * span(context, float(self.window))
        return plain(formula(kernels.attention_flops)(self.heads, self.head_dim, self.v_dim if self.kv_rank else self.head_dim, tokens))

    def flops_per_token(self, context=0, training: bool = False, causal: bool = False):
        """Model FLOPs a token: 2N + attention forward, three times that in training (6N + 12 L H Q T).

        Parameters
        ----------
        context : float or array_like
            Tokens attended to; 0 leaves attention out.
        training : bool
            Forward and backward instead of forward only.
        causal : bool
            Count only the attended half of the score matrix. PaLM and most published MFUs count all of it.

        Returns
        -------
        float or ndarray
            FLOP per token. Source: PaLM (Chowdhery et al. 2022), appendix B.

        Examples
        --------
        >>> import siliconomics as si
        >>> gpt3 = si.model("GPT-3 175B")
        >>> [f"{gpt3.flops_per_token(c, training=True):.3g}" for c in (0, 2048)]
        ['1.05e+12', '1.08e+12']
        """
        forward = 2.0 * self.compute_params + self.attention_flops(context, causal)
        return plain(np.asarray(3.0 * forward if training else forward))

    def __str__(self) -> str:
        active = f", {self.active_params / 1e9:.4g} B active" if self.moe_layers else ""
        return f"{self.name}: {self.params / 1e9:.4g} B parameters{active}, {self.layers} layers, {self.attention.upper()}"


@dataclass(frozen=True)
class Load:
    """What one pass carries: `sequences` that decode one token each after `context` cached ones, and `fresh` tokens of
    prompts of which each is `prompt` long."""

    sequences: np.ndarray
    context: np.ndarray
    fresh: np.ndarray | float = 0.0
    prompt: np.ndarray | float = 0.0

    @property
    def tokens(self):
        """Rows of the matrix products."""
        return self.sequences + self.fresh
