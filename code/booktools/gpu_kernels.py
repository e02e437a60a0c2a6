"""What a decode step of a Llama-shaped network runs on a GPU: products and attention by the libraries that PyTorch brings, what stands
between them as small Triton kernels, each beside its plain PyTorch form.

Where there is no Triton (or no GPU) the PyTorch forms run, and `tests/gpu` compares the two. Shapes: B sequences, T cached tokens,
h query heads that share kv heads, d values a head. Caches are [B, kv, T, d].
"""
import os
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

try:
    import triton
    import triton.language as tl
except ImportError:  # PyTorch's CPU builds come without it
    triton = None

EPS = 1e-5
FP8_SCALE = 32.0  # brings weights of standard deviation 1 / sqrt(width) into the normal range of e4m3

if triton:
    @triton.jit
    def _read(x, out, per_program, block: tl.constexpr):
        at = tl.program_id(0).to(tl.int64) * per_program + tl.arange(0, block)
        total = tl.zeros([block], tl.float32)
        for start in range(0, per_program, block):
            total += tl.load(x + at + start)
        tl.store(out + tl.program_id(0), tl.sum(total, 0))

    @triton.jit
    def _add_norm(x, residual, weight, out, width: tl.constexpr, block: tl.constexpr, eps: tl.constexpr):
        column = tl.arange(0, block)
        inside, at = column < width, tl.program_id(0).to(tl.int64) * width + column
        total = tl.load(x + at, inside, 0.0).to(tl.float32) + tl.load(residual + at, inside, 0.0).to(tl.float32)
        tl.store(residual + at, total, inside)
        scale = 1.0 / tl.sqrt(tl.sum(total * total, 0) / width + eps)
        tl.store(out + at, total * scale * tl.load(weight + column, inside, 0.0).to(tl.float32), inside)

    @triton.jit
    def _gate(both, out, width, block: tl.constexpr):
        row, column = tl.program_id(0).to(tl.int64), tl.program_id(1) * block + tl.arange(0, block)
        inside = column < width
        gate = tl.load(both + 2 * row * width + column, inside, 0.0).to(tl.float32)
        up = tl.load(both + (2 * row + 1) * width + column, inside, 0.0).to(tl.float32)
        tl.store(out + row * width + column, gate * tl.sigmoid(gate) * up, inside)

    @triton.jit
    def _rotate(qkv, cos, sin, keys, values, first, per_row, context, heads: tl.constexpr, kv_heads: tl.constexpr, d: tl.constexpr):
        row, head, half = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.arange(0, d // 2)
        position, sequence = first + row * per_row, row * (1 - per_row)
        here = qkv + (row * (heads + 2 * kv_heads) + head) * d + half
        low, high = tl.load(here).to(tl.float32), tl.load(here + d // 2).to(tl.float32)
        if head < heads + kv_heads:
            c, s = tl.load(cos + position * (d // 2) + half), tl.load(sin + position * (d // 2) + half)
            low, high = low * c - high * s, high * c + low * s
        there = ((sequence * kv_heads + (head - heads) % kv_heads) * context + position) * d + half
        if head < heads:
            tl.store(here, low)
            tl.store(here + d // 2, high)
        elif head < heads + kv_heads:
            tl.store(keys + there, low)
            tl.store(keys + there + d // 2, high)
        else:
            tl.store(values + there, low)
            tl.store(values + there + d // 2, high)


def fused(x: torch.Tensor) -> bool:
    """Whether the Triton kernels run on this tensor."""
    return triton is not None and (x.is_cuda or os.environ.get("TRITON_INTERPRET") == "1")


def read_sum(x, programs: int = 2048, block: int = 4096):
    """Sums of equal parts of a float32 vector: reads it once and writes next to nothing. The parts cover a multiple of programs x block."""
    if not fused(x):
        return x.sum()
    out = torch.empty(programs, device=x.device)
    _read[(programs,)](x, out, x.numel() // programs // block * block, block, num_warps=8)
    return out


def add_norm(x, residual, weight, out):
    """residual += x; out = RMS-normalised residual times weight. All [rows, width]; returns out."""
    if not fused(x):
        residual += x
        return out.copy_(F.rms_norm(residual.float(), residual.shape[-1:], weight.float(), EPS))
    rows, width = x.shape
    _add_norm[(rows,)](x, residual, weight, out, width, triton.next_power_of_2(width), EPS, num_warps=8)
    return out


def gate(both, out):
    """silu(first half) times second half of [rows, 2 width]; returns out [rows, width]."""
    width = out.shape[1]
    if not fused(both):
        return out.copy_(F.silu(both[:, :width].float()) * both[:, width:].float())
    _gate[(len(both), triton.cdiv(width, 1024))](both, out, width, 1024)
    return out


def angles(positions: int, d: int, base: float = 5e5, device="cpu"):
    """Cosines and sines of the rotary embedding, [positions, d / 2] each."""
    turn = torch.outer(torch.arange(positions, dtype=torch.float64), base ** (-torch.arange(0, d, 2, dtype=torch.float64) / d))
    return turn.cos().float().to(device), turn.sin().float().to(device)


def _turned(x, cos, sin):
    low, high = x.float().chunk(2, -1)
    return torch.cat((low * cos - high * sin, high * cos + low * sin), -1).to(x.dtype)


def rotate(qkv, cos, sin, keys, values, first: int, per_row: bool = False):
    """Turn queries in place and put keys and values into the caches. qkv is [rows, (h + 2 kv) d]; row r is sequence r at position
    `first`, or with `per_row` position first + r of the only sequence. Returns the queries, a view [rows, h d]."""
    kv_heads, context, d = keys.shape[1:]
    heads = qkv.shape[1] // d - 2 * kv_heads
    if fused(qkv):
        _rotate[(len(qkv), heads + 2 * kv_heads)](qkv, cos, sin, keys, values, first, int(per_row), context, heads, kv_heads, d, num_warps=1)
        return qkv[:, :heads * d]
    at = torch.arange(len(qkv), device=qkv.device) * per_row + first
    split = qkv.view(len(qkv), heads + 2 * kv_heads, d)
    turned = _turned(split[:, :heads + kv_heads], cos[at, None], sin[at, None])
    split[:, :heads] = turned[:, :heads]
    row = torch.zeros_like(at) if per_row else torch.arange(len(qkv), device=qkv.device)
    keys[row, :, at], values[row, :, at] = turned[:, heads:], split[:, heads + kv_heads:]
    return qkv[:, :heads * d]


def attend(q, keys, values, causal: bool = False):
    """Attention by the library: q [B, h d] (rows may be strided), one new token for each sequence, or with `causal` [T, h d], a prompt
    of one sequence. Caches [B, kv, T, d]. Returns the shape of q."""
    d = keys.shape[-1]
    split = q.unflatten(1, (-1, d)).transpose(0, 1)[None] if causal else q.unflatten(1, (-1, 1, d))
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION] if q.is_cuda else [SDPBackend.MATH]):
        found = F.scaled_dot_product_attention(split, keys, values, is_causal=causal, enable_gqa=True)
    return found.transpose(1, 2).reshape(len(q), -1)


def layer_shapes(shape) -> tuple:
    """(outputs, inputs) of a layer's four products: query, key and value in one, output, gate and up in one, down."""
    width, kv = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    return (width + 2 * kv, shape.d_model), (shape.d_model, width), (2 * shape.d_ff, shape.d_model), (shape.d_model, shape.d_ff)


@dataclass
class Network:
    """Random weights in the shape of a `siliconomics` model, and one pass over them. With `fp8` the layers' weights take one byte and
    activations are cast to meet them, with scales of the whole tensor that are known beforehand; embedding, head and cache stay in `dtype`."""

    shape: object  # siliconomics.Transformer, dense and gated
    device: str = "cuda"
    dtype: torch.dtype = torch.bfloat16
    fp8: bool = False

    def __post_init__(self):
        s = self.shape
        self.scales = torch.ones((), device=self.device), torch.full((), 1 / FP8_SCALE, device=self.device)
        self.embedding = self._random(s.vocab, s.d_model)
        self.head = self.embedding if s.tied else self._random(s.vocab, s.d_model)
        self.norms = [torch.ones(s.d_model, device=self.device, dtype=self.dtype) for _ in range(2 * s.layers + 1)]
        self.layers = [tuple(self._stored(self._random(*shape)) for shape in layer_shapes(s)) for _ in range(s.layers)]

    def _random(self, rows, columns):
        return torch.empty(rows, columns, device=self.device, dtype=self.dtype).normal_(std=columns ** -0.5)

    def _stored(self, weight):
        return (weight * FP8_SCALE).to(torch.float8_e4m3fn) if self.fp8 else weight

    def _product(self, x, weight):
        if self.fp8:
            return torch._scaled_mm(x.to(weight.dtype), weight.T, *self.scales, out_dtype=self.dtype, use_fast_accum=True)
        return x @ weight.T

    def _layer(self, k, x, residual, cos, sin, keys, values, first, prefill):
        qkv, out, up, down = self.layers[k]
        normed = add_norm(x, residual, self.norms[2 * k], torch.empty_like(residual))
        q = rotate(self._product(normed, qkv), cos, sin, keys, values, first, prefill)
        normed = add_norm(self._product(attend(q, keys, values, prefill), out), residual, self.norms[2 * k + 1], normed)
        both = self._product(normed, up)
        return self._product(gate(both, both.new_empty(len(both), both.shape[1] // 2)), down)

    def run(self, tokens, caches, cos, sin, first: int, prefill: bool = False):
        """Next tokens. Decode: one token for each sequence at position `first`. Prefill: the tokens of one prompt, from position 0."""
        x = self.embedding[tokens]
        residual = torch.zeros_like(x)
        for k, (keys, values) in enumerate(caches):
            x = self._layer(k, x, residual, cos, sin, keys, values, first, prefill)
        last = slice(-1, None) if prefill else slice(None)
        normed = add_norm(x[last].contiguous(), residual[last].contiguous(), self.norms[-1], torch.empty_like(x[last]))
        return (normed @ self.head.T).argmax(-1)
