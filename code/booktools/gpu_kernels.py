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
    def _rotate(qkv, cos, sin, keys, values, first, new, context, heads: tl.constexpr, kv_heads: tl.constexpr, d: tl.constexpr):
        row, head, half = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.arange(0, d // 2)
        position, sequence = first + row % new, row // new
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

    @triton.jit
    def _extend(old, logsum, q, keys, values, out, first, new, context, by_sequence, by_kv, by_row, per_row,
                heads: tl.constexpr, group: tl.constexpr, d: tl.constexpr, scale: tl.constexpr):
        row, head, column = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.arange(0, d)
        sequence, token, kv, kv_heads = row // new, row % new, head // group, heads // group
        folded = token * group + head % group
        top = tl.load(logsum + (sequence * kv_heads + kv) * new * group + folded)
        query = tl.load(q + row * per_row + head * d + column).to(tl.float32)
        weighted = tl.load(old + sequence * by_sequence + kv * by_kv + folded * by_row + column).to(tl.float32)
        total, at = tl.full((), 1.0, tl.float32), ((sequence * kv_heads + kv) * context + first) * d + column
        for _ in range(token + 1):
            score = tl.sum(query * tl.load(keys + at).to(tl.float32), 0) * scale
            higher = tl.maximum(top, score)
            before, here = tl.exp(top - higher), tl.exp(score - higher)
            weighted = weighted * before + here * tl.load(values + at).to(tl.float32)
            total, top, at = total * before + here, higher, at + d
        tl.store(out + (row * heads + head) * d + column, weighted / total)


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


def _places(rows, first, new):
    """(sequence, position) of each row."""
    row = torch.arange(rows)
    return row // new, first + row % new


def _turned(x, cos, sin):
    low, high = x.float().chunk(2, -1)
    return torch.cat((low * cos - high * sin, high * cos + low * sin), -1).to(x.dtype)


def rotate(qkv, cos, sin, keys, values, first: int, new: int = 1):
    """Turn queries in place and put keys and values into the caches. qkv is [B new, (h + 2 kv) d]: `new` tokens of each sequence, from
    position `first` on. Returns the queries, a view [B new, h d]."""
    kv_heads, context, d = keys.shape[1:]
    heads = qkv.shape[1] // d - 2 * kv_heads
    if fused(qkv):
        _rotate[(len(qkv), heads + 2 * kv_heads)](qkv, cos, sin, keys, values, first, new, context, heads, kv_heads, d, num_warps=1)
        return qkv[:, :heads * d]
    row, at = (part.to(qkv.device) for part in _places(len(qkv), first, new))
    split = qkv.view(len(qkv), heads + 2 * kv_heads, d)
    turned = _turned(split[:, :heads + kv_heads], cos[at, None], sin[at, None])
    split[:, :heads] = turned[:, :heads]
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


def attend_new(q, keys, values, first: int, new: int):
    """Attention of the `new` tokens at positions from `first` on, of each sequence: what checking a draft takes. q [B new, h d], caches
    [B, kv, T, d] with T = first + new. The library reads what was cached before, once for all new tokens and all heads of a group; the
    new tokens' own keys, some more than others, come to its softmax afterwards. Returns the shape of q."""
    kv_heads, context, d = keys.shape[1:]
    heads = q.shape[1] // d
    split = q.unflatten(1, (kv_heads, heads // kv_heads, d)).unflatten(0, (-1, new)).transpose(1, 2)  # [B, kv, new, group, d]
    if not fused(q):
        return _attend_new_plain(split, keys, values, first).transpose(1, 2).reshape(len(q), -1)
    flash = torch.ops.aten._scaled_dot_product_flash_attention if q.is_cuda else torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    old, logsum = flash(split.flatten(2, 3), keys[:, :, :first], values[:, :, :first])[:2]
    out = q.new_empty(len(q), heads * d)
    _extend[(len(q), heads)](old, logsum.contiguous(), q, keys, values, out, first, new, context, *old.stride()[:3], q.stride(0), heads,
                             heads // kv_heads, d, d ** -0.5, num_warps=1)
    return out


def _attend_new_plain(split, keys, values, first):
    new, context = split.shape[2], keys.shape[2]
    score = torch.einsum("bkngd,bktd->bkngt", split.float(), keys.float()) * keys.shape[-1] ** -0.5
    later = torch.arange(context, device=keys.device) > first + torch.arange(new, device=keys.device)[:, None]
    share = score.masked_fill(later[:, None], -torch.inf).softmax(-1)
    return torch.einsum("bkngt,bktd->bkngd", share, values.float()).to(split.dtype)


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

    def _layer(self, k, x, residual, cos, sin, keys, values, first, new):
        qkv, out, up, down = self.layers[k]
        normed = add_norm(x, residual, self.norms[2 * k], torch.empty_like(residual))
        q = rotate(self._product(normed, qkv), cos, sin, keys, values, first, new)
        seen = attend_new(q, keys, values, first, new) if new > 1 and first else attend(q, keys, values, causal=new > 1)
        normed = add_norm(self._product(seen, out), residual, self.norms[2 * k + 1], normed)
        both = self._product(normed, up)
        return self._product(gate(both, both.new_empty(len(both), both.shape[1] // 2)), down)

    def run(self, tokens, caches, cos, sin, first: int, new: int = 1):
        """Next tokens. Decode: one token for each sequence at position `first`; with `new`, that many from there on, and a next token
        after each. From position 0: the prompt of one sequence, and the token after it."""
        x = self.embedding[tokens]
        residual = torch.zeros_like(x)
        for k, (keys, values) in enumerate(caches):
            x = self._layer(k, x, residual, cos, sin, keys, values, first, new)
        last = slice(-1, None) if new > 1 and not first else slice(None)
        normed = add_norm(x[last].contiguous(), residual[last].contiguous(), self.norms[-1], torch.empty_like(x[last]))
        return (normed @ self.head.T).argmax(-1)
