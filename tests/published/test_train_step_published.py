"""Training steps against the figures that the papers work out or measured."""
import pytest

import siliconomics as si

A100 = si.chip("A100 SXM 80GB")
VOCAB = 51_200  # padded, as Megatron trains


def megatron(layers, d_model, heads):
    return si.Transformer(f"Megatron {layers} x {d_model}", layers, d_model, heads, heads, d_model // heads, 4 * d_model, VOCAB,
                          gated=False, tied=True, positions=2048)


# Korthikanti et al. (2022), tables 3 and 5: model, GPUs, batch, micro-batch, tensor, pipeline, interleave, seconds, MFU, HFU
KORTHIKANTI = {
    "22B": (megatron(48, 6144, 64), 8, 4, 4, 8, 1, 1, 1.10, 0.415, 0.437),
    "175B": (megatron(96, 12288, 96), 64, 64, 1, 8, 8, 3, 13.75, 0.514, 0.528),
    "530B": (megatron(105, 20480, 128), 280, 280, 1, 8, 35, 3, 37.83, 0.560, 0.570),
    "1T": (megatron(128, 25600, 160), 512, 512, 1, 8, 64, 1, 71.49, 0.563, 0.570),
}


def korthikanti(name, **options):
    model, chips, batch, micro, tensor, pipeline, interleave, *_ = KORTHIKANTI[name]
    return si.train_step(model, A100, chips, batch * 2048, 2048, tensor=tensor, pipeline=pipeline, micro_batch=micro,
                         interleave=interleave, zero=0, flash=False, **options)


# --- ZeRO: Rajbhandari et al. (2020), figure 1 ------------------------------------------------------------------------

@pytest.mark.parametrize("zero, gigabytes", [(0, 120.0), (1, 31.4), (2, 16.6), (3, 1.88)])
def test_states_of_7_5_billion_parameters_on_64_ranks(zero, gigabytes):
    model = megatron(32, 4096, 32)
    found = si.train_step(model, A100, 64, 64 * 1024, 1024, zero=zero).memory
    held = found["weights"] + found["gradients"] + found["optimizer"]
    assert held * 7.5e9 / model.params / 1e9 == pytest.approx(gigabytes, rel=0.004)


# --- pipeline bubble: Narayanan et al. (2021), section 2.2, figures 3 and 4 -------------------------------------------

@pytest.mark.parametrize("p, m, v, over_ideal", [(4, 8, 1, 3 / 8), (4, 8, 2, 3 / 16), (8, 8, 1, 7 / 8), (1, 8, 1, 0.0), (35, 280, 3, 34 / 840)])
def test_bubble_over_ideal_time(p, m, v, over_ideal):
    share = si.bubble_fraction(p, m, v)
    assert share / (1 - share) == pytest.approx(over_ideal, rel=1e-14)


def turns(p, m, v):
    """Turns of one forward pass, played out: chunk c of a micro-batch runs on stage c mod p; groups of p go round together."""
    ready, done, turn = {(b // p, 0, b) for b in range(m)}, 0, 0
    while done < m * p * v:
        picked = [min(task for task in ready if task[1] % p == stage) for stage in {task[1] % p for task in ready}]
        ready = ready - set(picked) | {(group, c + 1, b) for group, c, b in picked if c + 1 < p * v}
        done, turn = done + len(picked), turn + 1
    return turn


@pytest.mark.parametrize("p, m, v", [(4, 8, 2), (4, 4, 3), (8, 8, 1), (16, 16, 7), (4, 2, 3), (16, 4, 7), (16, 1, 7), (8, 3, 1), (1, 5, 1)])
def test_bubble_of_a_schedule_played_out(p, m, v):
    share = si.bubble_fraction(p, m, v)
    assert share == pytest.approx(1 - m * v / turns(p, m, v), abs=1e-14) and share >= 1 - m / p


def test_four_micro_batches_a_stage_hide_most_of_the_bubble():
    """GPipe (Huang et al. 2019), section 2.3: negligible from M >= 4 K on; there it is below a fifth."""
    assert si.bubble_fraction(8, 32) == pytest.approx(7 / 39) and si.bubble_fraction(8, 32) < 0.2


# --- traffic ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["22B", "175B", "530B"])
def test_tensor_traffic_of_a_stage(name):
    """Narayanan et al. (2021), section 3.2: layers x 8 b s h (t - 1)/t elements a device and micro-batch."""
    model, chips, batch, micro, t, p, *_ = KORTHIKANTI[name]
    micro_batches = batch * t * p // chips // micro
    elements = micro_batches * model.layers / p * 8 * micro * 2048 * model.d_model * (t - 1) / t
    assert korthikanti(name).parts["tensor"] * A100.link_bandwidth / 2 == pytest.approx(elements, rel=1e-12)


def test_full_recomputation_sends_half_as_much_again():
    assert korthikanti("22B", recompute="full").parts["tensor"] == pytest.approx(1.5 * korthikanti("22B").parts["tensor"], rel=1e-12)


def test_llama_2_70b_on_eight_chips_by_hand():
    """Tensor parallel in one node: 4 all-reduces a layer of 4096 x 8192 bf16 values, each 2 x 7/8 of 67.1 MB at 450 GB/s."""
    found = si.train_step("Llama 2 70B", "H100 SXM", 8, 4096, 4096, tensor=8)
    assert found.parts["tensor"] == pytest.approx(80 * 4 * 2 * 7 / 8 * 67_108_864 / 450e9, rel=1e-12)
    assert found.parts["tensor"] == pytest.approx(0.0835, rel=1e-3)
    assert found.memory["weights"] == pytest.approx(2 * 68_976_648_192 / 8, rel=1e-9)
    assert found.memory["optimizer"] == pytest.approx(12 * 68_976_648_192 / 8, rel=1e-9)


# --- activations: Korthikanti et al. (2022), table 2 and section 5 ----------------------------------------------------

@pytest.mark.parametrize("t", [1, 2, 8])
@pytest.mark.parametrize("how, flash, terms", [
    ("none", False, lambda a, s, h: 34 + 5 * a * s / h), ("none", True, lambda a, s, h: 34), ("selective", False, lambda a, s, h: 34)])
def test_bytes_kept_a_layer(t, how, flash, terms):
    """The difference between 96 and 48 layers is 48 x s b h (...)/t, with sequence parallelism."""
    def kept(layers):
        return si.train_step(megatron(layers, 12288, 96), A100, t, 4 * 2048, 2048, tensor=t, micro_batch=2, recompute=how,
                             flash=flash).memory["activations"]

    expected = 48 * 2048 * 2 * 12288 * terms(96, 2048, 12288) / t
    assert kept(96) - kept(48) == pytest.approx(expected, rel=1e-12)


def test_full_recomputation_keeps_the_input_of_each_layer():
    def kept(layers, t=1):
        return si.train_step(megatron(layers, 12288, 96), A100, t, 2048, 2048, tensor=t, recompute="full").memory["activations"]

    assert kept(96) - kept(48) == pytest.approx(48 * 2 * 2048 * 12288, rel=1e-12)
    assert kept(96, 8) - kept(48, 8) == pytest.approx(48 * 2 * 2048 * 12288 / 8, rel=1e-12)  # inputs lie split along the sequence


@pytest.mark.parametrize("name, saved", [("175B", 0.70), ("530B", 0.65)])
def test_selective_recomputation_saves_what_section_5_says(name, saved):
    none, selective = (korthikanti(name, recompute=how).memory["activations"] for how in ("none", "selective"))
    assert 1 - selective / none == pytest.approx(saved, abs=0.005)


@pytest.mark.parametrize("name, more", [("175B", 1.027), ("530B", 1.016)])
def test_selective_recomputation_costs_what_section_5_says(name, more):
    found = korthikanti(name, recompute="selective")
    assert found.hfu / found.mfu == pytest.approx(more, abs=0.001)


def test_interleaving_holds_more_micro_batches():
    """Section 4.2.3: 1 + (p - 1)/(p m) of the plain schedule."""
    model, chips, batch, micro, t, p, v, *_ = KORTHIKANTI["175B"]
    plain = si.train_step(model, A100, chips, batch * 2048, 2048, tensor=t, pipeline=p).memory["activations"]
    assert korthikanti("175B", recompute="selective").memory["activations"] == pytest.approx(plain * (1 + 7 / 24), rel=1e-12)


@pytest.mark.parametrize("name", KORTHIKANTI)
def test_figure_1_only_less_stored_fits_80_gb(name):
    assert not korthikanti(name, recompute="none").fits
    assert korthikanti(name, recompute="selective").fits


# --- measured steps: table 5 ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", KORTHIKANTI)
def test_measured_steps_take_longer_than_the_bounds(name):
    """Kernels do not reach the peak, so a measured step lies above what peak rates allow, but less than two and a half times that."""
    seconds, mfu, hfu = KORTHIKANTI[name][7:]
    found = korthikanti(name, recompute="selective")
    assert found.low <= found.seconds < seconds < 2.5 * found.seconds
    assert found.mfu * found.seconds / seconds == pytest.approx(mfu, abs=0.005)
    assert found.hfu * found.seconds / seconds == pytest.approx(hfu, abs=0.005)
