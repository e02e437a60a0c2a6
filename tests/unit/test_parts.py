"""The table of weight matrices: what it sums to, matrix by matrix, and a small transformer that is run and counted."""
import numpy as np
import pytest
import siliconomics as si
import twins

MODELS = list(si.models().index)
L70, GPT2, MIXTRAL, V3 = (si.model(name) for name in ("Llama 2 70B", "GPT-2 124M", "Mixtral 8x7B", "DeepSeek-V3"))


def looked_up(model):
    """Parameters of the tables from which a token takes a row and no product."""
    return model.d_model * (model.positions + (0 if model.tied else model.vocab))


@pytest.mark.parametrize("name", MODELS)
def test_parts_add_up(name):
    model = si.model(name)
    assert sum(p.params for p in model.parts) == model.params == twins.model_params(model, model.experts)
    assert sum(p.flops for p in model.parts) == 2 * (model.active_params - looked_up(model))
    assert len({(p.group, p.name) for p in model.parts}) == len(model.parts)


@pytest.mark.parametrize("batch", [1, 7.5, 64, 4096])
@pytest.mark.parametrize("name", ["Llama 2 70B", "Llama 3.2 1B", "GPT-2 124M", "Mixtral 8x7B", "DeepSeek-V3", "Llama 4 Maverick", "gpt-oss-120b"])
def test_a_step_reads_its_parts(name, batch):
    model = si.model(name)
    whole = model.weight_bytes_read(batch, 1.0, embedding=False) - model.positions * model.d_model  # it looks up a few rows
    assert sum(p.read(batch) for p in model.parts) == pytest.approx(whole, rel=1e-12)


def test_reads_take_arrays_and_refuse_no_tokens():
    routed = next(p for p in MIXTRAL.parts if p.group == "experts")
    assert routed.read([1, 2]) == pytest.approx([32 * 2 * 4096 * 14_336, 32 * 3.5 * 4096 * 14_336])
    with pytest.raises(si.BadValue, match="batch=0"):
        routed.read(0)


@pytest.mark.parametrize("model, want", [
    (L70, [("token table", 32_000, 8192, 1, 1, 0), ("unembedding", 8192, 32_000, 1, 1, 1), ("queries", 8192, 8192, 80, 1, 1),
           ("keys", 8192, 1024, 80, 1, 1), ("values", 8192, 1024, 80, 1, 1), ("output", 8192, 8192, 80, 1, 1), ("gate", 8192, 28_672, 80, 1, 1),
           ("up", 8192, 28_672, 80, 1, 1), ("down", 28_672, 8192, 80, 1, 1), ("norms", 8192, 1, 161, 1, 1)]),
    (GPT2, [("positions", 1024, 768, 1, 1, 0), ("unembedding", 768, 50_257, 1, 1, 1), ("queries", 768, 768, 12, 1, 1), ("keys", 768, 768, 12, 1, 1),
            ("values", 768, 768, 12, 1, 1), ("output", 768, 768, 12, 1, 1), ("up", 768, 3072, 12, 1, 1), ("down", 3072, 768, 12, 1, 1),
            ("norms", 768, 1, 25, 1, 1)])], ids=lambda m: getattr(m, "name", ""))
def test_matrices_of_the_papers(model, want):
    assert [(p.name, *p[2:]) for p in model.parts] == want


def test_matrices_of_latent_attention_and_experts():
    """DeepSeek-V3 technical report, section 4.2."""
    shapes = {(p.group, p.name): p[2:] for p in V3.parts}
    assert shapes["attention", "queries, down"] == (7168, 1536, 61, 1, 1) and shapes["attention", "queries, up"] == (1536, 128 * 192, 61, 1, 1)
    assert shapes["attention", "latent, down"] == (7168, 512 + 64, 61, 1, 1) and shapes["attention", "latent, up"] == (512, 128 * 256, 61, 1, 1)
    assert shapes["attention", "output"] == (128 * 128, 7168, 61, 1, 1) and shapes["attention", "latent norms"] == (1536 + 512, 1, 61, 1, 1)
    assert shapes["FFN", "gate"] == (7168, 18_432, 3, 1, 1) and shapes["FFN", "shared gate"] == (7168, 2048, 58, 1, 1)
    assert shapes["experts", "down"] == (2048, 7168, 58, 256, 8) and shapes["FFN", "router"] == (7168, 256, 58, 1, 1)


def test_latent_attention_without_a_query_rank():
    wide = V3.replace(q_rank=0)
    assert wide.attention_shapes["queries"] == (7168, 128 * 192) and wide.attention_shapes["latent norms"] == (512, 1)


def test_nanogpt_counts_the_same_products():
    """transformer_sizing.ipynb: 291,648,307,200 forward for 1,024 tokens, norms left out."""
    products = sum(p.flops for p in GPT2.parts if p.group != "norms")
    assert 1024 * (products + GPT2.attention_flops(1024)) == 291_648_307_200


def test_tokens_meet_a_table_only_at_the_tied_end():
    assert next(p for p in L70.parts if p.group == "embedding").flops == 0
    assert [p.group for p in si.model("Gemma 2 27B").parts].count("embedding") == 0


# --- a transformer that is run, with every multiplication and addition counted where it happens ------------------------

class Counted:
    """Forward pass of a model with random weights, written from the papers, in products that count."""

    def __init__(self, model, seed=1):
        self.m, self.done, rng = model, 0, np.random.default_rng(seed)
        m, d, hd = model, model.d_model, model.head_dim
        draw = lambda rows, cols: rng.normal(size=(rows, cols)) / rows**0.5  # noqa: E731
        self.table, self.head = draw(m.vocab, d), draw(d, m.vocab)
        self.layers = [[draw(d, m.heads * hd), draw(d, m.kv_heads * hd), draw(d, m.kv_heads * hd), draw(m.heads * hd, d),
                        draw(d, m.d_ff), draw(m.d_ff, d), draw(d, m.d_ff)] for _ in range(m.layers)]

    def times(self, a, b):
        out = np.zeros((len(a), b.shape[1]))
        for i in range(out.shape[0]):
            for j in range(out.shape[1]):
                for x, y in zip(a[i], b[:, j]):
                    out[i, j] += x * y
                    self.done += 2
        return out

    def attend(self, q, k, v):
        hd, out, ahead = self.m.head_dim, np.zeros(q.shape), len(k) - len(q)
        for h in range(self.m.heads):
            own, kept = slice(h * hd, h * hd + hd), h * self.m.kv_heads // self.m.heads * hd
            scores = np.exp(self.times(q[:, own], k[:, kept:kept + hd].T))
            scores[np.triu_indices(len(q), ahead + 1, len(k))] = 0
            out[:, own] = self.times(scores / scores.sum(1, keepdims=True), v[:, kept:kept + hd])
        return out

    def run(self, ids, cache):
        norm = lambda x: x / np.sqrt((x**2).mean(1, keepdims=True))  # noqa: E731
        x, self.done = (self.table if not self.m.tied else self.head.T)[ids], 0
        for l, (wq, wk, wv, wo, up, down, gate) in enumerate(self.layers):
            q, k, v = (self.times(norm(x), w) for w in (wq, wk, wv))
            cache[l] = (k, v) if cache[l] is None else (np.vstack([cache[l][0], k]), np.vstack([cache[l][1], v]))
            x = x + self.times(self.attend(q, *cache[l]), wo)
            wide = self.times(norm(x), up)
            wide = np.maximum(wide, 0) if not self.m.gated else wide * np.tanh(self.times(norm(x), gate))
            x = x + self.times(wide, down)
        return self.times(norm(x), self.head)


TINY = si.Transformer("tiny", layers=2, d_model=6, heads=4, kv_heads=2, head_dim=3, d_ff=10, vocab=13)


@pytest.mark.parametrize("model", [TINY, TINY.replace(kv_heads=1, gated=False), TINY.replace(kv_heads=4, tied=True, layers=1)],
                         ids=["GQA, gated", "MQA, two matrices", "MHA, tied"])
def test_a_run_costs_what_the_formula_says(model):
    machine, prompt, cache = Counted(model), [1, 12, 7, 3], [None] * model.layers
    products = sum(p.flops for p in model.parts if p.group != "norms")
    machine.run(prompt, cache)
    assert machine.done == 4 * (products + model.attention_flops(4))
    last = machine.run([5], cache)
    assert machine.done == products + model.attention_flops(5)
    held = sum(k.size + v.size for k, v in cache)
    assert held == model.kv_bytes(5, 1.0)
    assert last[-1] == pytest.approx(machine.run([*prompt, 5], [None] * model.layers)[-1], rel=1e-9)


# --- what others print ----------------------------------------------------------------------------------------------

RIGHT = {"params": lambda m, b: m.params, "kv_bytes_per_token": lambda m, b: m.kv_bytes_per_token(), "weight_bytes_read": lambda m, b: m.weight_bytes_read(b)}
FACTORS = {"all experts at batch 1": 3.626, "only the chosen experts at any batch": 0.2730, "cache by query heads": 8, "cache counted twice": 2,
           "two matrices for SwiGLU": 0.8016, "cache by width and one of two": 4}


@pytest.mark.parametrize("row", si.table("rival_counts"), ids=lambda row: row["mistake"])
def test_rivals_are_off_by(row):
    right = RIGHT[row["quantity"]](si.model(row["model"]), row["batch"])
    assert row["value"] / right == pytest.approx(FACTORS[row["mistake"]], rel=5e-4)


def test_every_kind_of_slip_has_a_row():
    assert {row["mistake"] for row in si.table("rival_counts")} == set(FACTORS)


def test_genz_and_we_agree_on_one_token():
    row, = (r for r in si.table("rival_counts") if r["tool"] == "GenZ")
    assert 2 * sum(p.read(1) for p in MIXTRAL.parts if p.group != "norms") == row["value"]


def test_llm_analysis_has_two_matrices_of_four_widths():
    row, = (r for r in si.table("rival_counts") if r["quantity"] == "params")
    assert L70.replace(gated=False, d_ff=4 * 8192, tied=True).params == pytest.approx(row["value"], rel=1e-4)


@pytest.mark.parametrize("row", si.table("distinct_experts"), ids=lambda row: row["workload"])
def test_published_workloads_touch_as_many_experts(row):
    found = MIXTRAL.replace(experts=row["experts"], experts_active=row["active"]).distinct_experts(row["tokens"])
    if "skewed" in row["workload"]:
        assert row["distinct"] < found / 5
    else:
        assert row["distinct"] == pytest.approx(found, rel=0.03 if row["tokens"] > 1 else 0.13)
