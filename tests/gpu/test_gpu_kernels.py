"""The Triton kernels of the GPU measurement against their PyTorch forms: in Triton's interpreter where there is no GPU.

Needs PyTorch and Triton, which the book itself does not use: skipped without them. Run `python -m pytest tests/gpu` in the environment
that the measurement has.
"""
import os

import pytest

torch = pytest.importorskip("torch")
CUDA = torch.cuda.is_available()
if not CUDA:
    os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is imported
pytest.importorskip("triton")

import siliconomics as si  # noqa: E402
from booktools import gpu_kernels as g, measure_gpu as m  # noqa: E402

DEVICE, DTYPE = ("cuda", torch.bfloat16) if CUDA else ("cpu", torch.float32)  # the interpreter has no bf16
TOLERANCE = 2e-2 if CUDA else 1e-5


def random(*shape):
    return torch.randn(*shape, device=DEVICE).to(DTYPE)


def both(monkeypatch, call, *tensors):
    """What the Triton kernel and what the PyTorch form leave in copies of the same tensors."""
    found = []
    for fused in (True, False):
        monkeypatch.setattr(g, "fused", lambda x: fused)
        copies = [t.clone() if torch.is_tensor(t) else t for t in tensors]
        found.append((call(*copies), [t for t in copies if torch.is_tensor(t)]))
    return found


def same(left, right, tolerance=TOLERANCE):
    error = (left.double() - right.double()).norm() / right.double().norm()
    assert error < tolerance, error


@pytest.mark.parametrize("rows, width", [(1, 64), (5, 96)])
def test_add_norm(monkeypatch, rows, width):
    out = torch.full((rows, width), torch.nan, device=DEVICE, dtype=DTYPE)
    (fused, mine), (plain, theirs) = both(monkeypatch, g.add_norm, random(rows, width), random(rows, width), random(width), out)
    same(fused, plain)
    same(mine[1], theirs[1])


def test_gate(monkeypatch):
    (fused, _), (plain, _) = both(monkeypatch, g.gate, random(3, 2 * 1100), torch.full((3, 1100), torch.nan, device=DEVICE, dtype=DTYPE))
    same(fused, plain)


@pytest.mark.parametrize("sequences, first, new", [(3, 6, 1), (1, 0, 3), (2, 4, 3)])
def test_rotate_fills_the_caches(monkeypatch, sequences, first, new):
    heads, kv, d, context = 4, 2, 32, 7
    cos, sin = g.angles(context, d, device=DEVICE)
    qkv, caches = random(sequences * new, (heads + 2 * kv) * d), [random(sequences, kv, context, d) for _ in range(2)]
    call = lambda qkv, keys, values: g.rotate(qkv, cos, sin, keys, values, first, new)  # noqa: E731
    (fused, mine), (plain, theirs) = both(monkeypatch, call, qkv, *caches)
    same(fused, plain)
    for left, right in zip(mine, theirs):
        same(left, right)
    assert not torch.equal(mine[1], caches[0])


@pytest.mark.parametrize("values", [2**7, 2**13, 2**15])
def test_read_sum_reads_every_value(values):
    """The bandwidth of `read` divides all bytes of the buffer by its time: a part left out would be a rate too high."""
    programs, block = m._parts(m.Bench("cpu", m.QUICK, 0.0), values)
    x = torch.zeros(values, device=DEVICE)
    assert values % (programs * block) == 0
    for at in (0, values // 2 - 1, values - 1):
        x[at] += 1 + at % 7
    assert g.read_sum(x, programs, block).sum() == x.sum()
    assert g.read_sum(torch.ones_like(x), programs, block).sum() == values


def test_fp8_product_is_the_product():
    """Weights are stored 32 times as large and scaled back: the product agrees with the unscaled one within fp8's three bits."""
    shape = si.model("Llama 3.1 8B").replace(name="tiny", layers=1, d_model=64, heads=4, kv_heads=2, head_dim=16, d_ff=96, vocab=50)
    net = g.Network(shape, DEVICE, DTYPE, fp8=True)
    x, weight = random(16, 64), net._random(96, 64)
    found, right = net._product(x, net._stored(weight)).double(), x.double() @ weight.double().T
    assert found.dtype == right.dtype and (found - right).norm() / right.norm() < 0.05
    assert abs((found * right).sum() / (right * right).sum() - 1) < 0.02  # no scale is left over


def test_attention_of_a_prompt_is_causal_and_takes_strided_queries():
    n, heads, kv, d = 6, 4, 2, 16
    q, keys, values = random(n, (heads + 2 * kv) * d)[:, :heads * d], random(1, kv, n, d), random(1, kv, n, d)
    found = g.attend(q, keys, values, causal=True).unflatten(1, (heads, d))
    for t in range(n):
        for h in range(heads):
            score = keys[0, h * kv // heads, :t + 1].double() @ q[t, h * d:(h + 1) * d].double() / d**0.5
            same(found[t, h], score.softmax(0) @ values[0, h * kv // heads, :t + 1].double())


def test_attention_is_softmax_over_the_cache():
    batch, context, heads, kv, d = 2, 5, 4, 2, 16
    q, keys, values = random(batch, (heads + 3) * d)[:, :heads * d], random(batch, kv, context, d), random(batch, kv, context, d)
    found = g.attend(q, keys, values).unflatten(1, (heads, d))
    for b in range(batch):
        for h in range(heads):
            score = keys[b, h * kv // heads].double() @ q[b, h * d:(h + 1) * d].double() / d**0.5
            same(found[b, h], score.softmax(0) @ values[b, h * kv // heads].double())


@pytest.mark.parametrize("batch, first, new, kv", [(1, 9, 2, 2), (3, 5, 4, 1), (2, 16, 3, 4)])
def test_attention_of_a_draft_sees_what_stands_before_each_token(monkeypatch, batch, first, new, kv):
    heads, d, context = 4, 16, first + new
    q, keys, values = random(batch * new, (heads + 3) * d)[:, :heads * d], random(batch, kv, context, d), random(batch, kv, context, d)
    for fused in (True, False):
        monkeypatch.setattr(g, "fused", lambda x: fused)
        found = g.attend_new(q, keys, values, first, new).view(batch, new, heads, d)
        for b, t, h in [(b, t, h) for b in range(batch) for t in range(new) for h in range(heads)]:
            seen = slice(0, first + t + 1)
            score = keys[b, h * kv // heads, seen].double() @ q[b * new + t, h * d:(h + 1) * d].double() / d**0.5
            same(found[b, t, h], score.softmax(0) @ values[b, h * kv // heads, seen].double())


@pytest.mark.parametrize("fp8", [False, True])
def test_a_draft_gets_the_tokens_of_single_steps(fp8):
    """Three tokens of two sequences in one step give what three steps give, and leave the same caches."""
    shape = si.model("Llama 3.1 8B").replace(name="tiny", layers=2, d_model=64, heads=4, kv_heads=2, head_dim=16, d_ff=96, vocab=50)
    net, batch, first, new = g.Network(shape, DEVICE, DTYPE, fp8), 2, 5, 3
    cos, sin = g.angles(first + new, 16, device=DEVICE)
    tokens = torch.randint(50, (batch, new), device=DEVICE)
    singly = [[random(batch, 2, first, 16) for _ in range(2)] for _ in range(2)]
    at_once = [[torch.cat((part, part.new_zeros(batch, 2, new, 16)), 2) for part in layer] for layer in singly]
    expected = []
    for t in range(new):
        singly = [[torch.cat((part, part.new_zeros(batch, 2, 1, 16)), 2) for part in layer] for layer in singly]
        expected.append(net.run(tokens[:, t], singly, cos, sin, first + t))
    assert torch.equal(net.run(tokens.flatten(), at_once, cos, sin, first, new).view(batch, new), torch.stack(expected, 1))
    tolerance = 3 * TOLERANCE if fp8 else TOLERANCE  # where rounding to three bits tips over, it moves a value by an eighth
    for left, right in zip(singly, at_once):
        same(left[0], right[0], tolerance)
        same(left[1], right[1], tolerance)


@pytest.mark.parametrize("fp8", [False, True])
def test_decode_continues_a_prefill(fp8):
    """Prefill of n tokens gives the token that a decode step gives for the last of them: attention, rotation and caches agree."""
    shape = si.model("Llama 3.1 8B").replace(name="tiny", layers=2, d_model=64, heads=4, kv_heads=2, head_dim=16, d_ff=96, vocab=50)
    net = g.Network(shape, DEVICE, DTYPE, fp8)
    tokens, n = torch.randint(50, (9,), device=DEVICE), 9
    cos, sin = g.angles(n, 16, device=DEVICE)
    caches = [tuple(torch.zeros(1, 2, n, 16, device=DEVICE, dtype=DTYPE) for _ in range(2)) for _ in range(2)]
    expected = net.run(tokens, caches, cos, sin, 0, n)
    filled = [(keys.clone(), values.clone()) for keys, values in caches]
    for keys, values in caches:
        keys[:, :, -1], values[:, :, -1] = 0, 0
    assert torch.equal(net.run(tokens[-1:], caches, cos, sin, n - 1), expected)
    for cache, before in zip(caches, filled):
        same(cache[0], before[0])
