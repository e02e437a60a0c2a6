"""The constants of measured kernels: refitted ones are the stored ones, held-out rows stay held out, the fallback widens."""
import csv

import numpy as np
import pytest
import siliconomics as si
from siliconomics import calibrate, fit_kernels, refit
from siliconomics.tables import DATA, schema, table

MEASURED = list(fit_kernels.MEASURED)
SISTERS = ("H100 SXM", "H200 SXM")


def held_out(component, dtype, *steps):
    """Absolute relative errors of the held-out rows of some steps, by chip: a later step only where the earlier ones lack the chip."""
    found = {}
    for step in steps:
        for entry in fit_kernels.leave_one_out(component, dtype):
            if entry["step"] == step:
                found.setdefault(entry["chip"], np.abs(entry["predicted"] / entry["rows"].seconds - 1))
    return found


def stored():
    with open(str(DATA / "efficiencies.csv"), encoding="utf8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["component"] in fit_kernels.FORMS]


def test_stored_constants_are_the_refitted_ones():
    new, old = fit_kernels.refit(), stored()
    name = lambda row: tuple(row[k] for k in schema("efficiencies")["key"])
    new.sort(key=lambda row: row["component"])
    assert list(map(name, new)) == list(map(name, old))
    for fresh, kept in zip(new, old):
        for column in ("value", "low", "high", "rows"):
            assert float(fresh[column]) == pytest.approx(float(kept[column]), rel=2e-3), (name(fresh), column)
        assert [fresh[c] for c in ("source", "as_of", "confidence")] == [kept[c] for c in ("source", "as_of", "confidence")]


def test_constants_name_the_publishers_of_their_rows():
    tables = {"gemm": "gemm", "attention": "decode_attention", "all_reduce": "all_reduce", "elementwise": "layer_ops"}
    for row in stored():
        published = {key for timed in table(tables[row["component"]]) if timed.get("set", "aiconfigurator") == "aiconfigurator" for key in timed["source"]}
        assert {row["source"]} == published, row["component"]


def test_rewrite_replaces_its_own_rows_and_keeps_the_others(tmp_path, monkeypatch):
    columns = list(schema("efficiencies")["columns"])
    row = lambda component, text: dict.fromkeys(columns, text) | {"component": component}
    monkeypatch.setattr(refit, "DATA", tmp_path)
    refit.rewrite(("gemm", "training"), [row("training", "1"), row("gemm", "2")])
    refit.rewrite(("gemm",), [row("gemm", "3")])
    with open(tmp_path / "efficiencies.csv", encoding="utf8", newline="") as file:
        assert list(csv.DictReader(file)) == [row("gemm", "3"), row("training", "1")]


def test_a_chip_left_out_is_predicted_by_others():
    shape = ("H100 SXM", 64, 8192, 8192)
    own = calibrate.gemm_seconds(*shape)
    with calibrate.without("H100 SXM"):
        sister = calibrate.gemm_seconds(*shape)
    h200 = calibrate.efficiency("H200 SXM")
    as_sister = (64 + 8192) * 2 * 8192 + 2 * 64 * 8192
    assert sister != own == calibrate.gemm_seconds(*shape)
    assert sister == pytest.approx(h200.launch + as_sister / (h200.bandwidth_share * si.chip("H100 SXM").bandwidth), rel=0.1)


def test_served_constants_are_the_refitted_ones():
    from siliconomics import fit_serving as served

    fitted = served.fit(served.served())
    assert {(g, c) for _, g, c in fitted} == {key for key in calibrate.stored("serving") if key[1] != "measured_over_predicted"}
    for (component, group, constant), value in fitted.items():
        assert calibrate.constant(component, group, constant) == pytest.approx(value, rel=0.02), (group, constant)


# (mean, median) of left-out chips, with a sister's constants where there is one; loose bounds on what was reached
@pytest.mark.parametrize("component, dtype, steps, mean, median", [
    ("gemm", "bf16", ("others",), 0.105, 0.085), ("gemm", "fp8", ("others",), 0.10, 0.0905),
    ("gemm", "bf16", ("family", "vendor"), 0.095, 0.07), ("gemm", "fp8", ("family", "vendor"), 0.08, 0.05),
    ("gemm", "bf16", ("chip",), 0.07, 0.055), ("gemm", "fp8", ("chip",), 0.045, 0.035),
    ("attention", "bf16", ("chip",), 0.115, 0.08), ("attention", "bf16", ("family",), 0.125, 0.095),
    ("attention", "bf16", ("family", "vendor"), 0.20, 0.135),
    ("all_reduce", "bf16", ("chip",), 0.09, 0.065), ("all_reduce", "bf16", ("family", "vendor"), 0.15, 0.11)])
def test_errors_of_held_out_rows(component, dtype, steps, mean, median):
    errors = np.concatenate(list(held_out(component, dtype, *steps).values()))
    assert errors.mean() < mean and np.median(errors) < median


def test_left_out_products_of_both_dtypes_together():
    errors = np.concatenate([e for dtype in ("bf16", "fp8") for e in held_out("gemm", dtype, "others").values()])
    assert len(errors) == 4116 and errors.mean() < 0.11 and np.median(errors) < 0.09


@pytest.mark.parametrize("component, dtype", MEASURED)
def test_no_shape_of_a_chip_stands_in_two_folds(component, dtype):
    rows = fit_kernels.MEASURED[component, dtype](dtype)
    shapes = {}
    for key in zip(rows.chip.tolist(), rows.fold.tolist(), *(a.tolist() for a in rows.arguments[:3])):
        shapes.setdefault((key[0], *key[2:]), set()).add(key[1])
    if component != "attention":  # its arguments are products, in which different heads can meet
        assert all(len(folds) == 1 for folds in shapes.values())
    assert set(rows.fold.tolist()) == set(range(fit_kernels.FOLDS))


def test_folds_of_attention_part_the_heads():
    folds = fit_kernels._folds(np.array([8, 8, 16, 8]), np.array([1, 2, 1, 1]))
    assert folds[0] == folds[3] and len(set(folds.tolist())) == 3


def test_a_left_out_chip_is_not_in_its_own_fit(monkeypatch):
    seen = []
    constants = (3e-6, 1e-7, 0.5, 2e-5, 0.7)
    monkeypatch.setattr(fit_kernels, "_fitted", lambda component, dtype, chips, fold=-1: seen.append((chips, fold)) or constants)
    steps = [(entry["step"], entry["chip"]) for entry in fit_kernels.leave_one_out("all_reduce")]
    whole = [chips for chips, fold in seen if fold == -1]
    alone = [chips for chips, fold in seen if fold >= 0]
    assert alone == [frozenset({chip}) for chip in sorted({chip for _, chip in steps}) for _ in range(fit_kernels.FOLDS)]
    for (step, chip), chips in zip([s for s in steps if s[0] != "chip"], whole):
        assert chip not in chips
        assert step != "vendor" or not {calibrate.family(si.chip(c)) for c in chips} & {calibrate.family(si.chip(chip))}
        assert step != "family" or chips | {chip} == set(SISTERS)


CHAIN = ["H100 SXM", "H20", "RTX 4090", "MI300X"]
OWN = si.Chip("of my own", {"bf16": 1e15}, 1e11, 4e12, link_bandwidth=1e11)


@pytest.mark.parametrize("component", fit_kernels.FORMS)
def test_the_chain_widens_at_each_step(component):
    found = [calibrate.interval(component, chip) for chip in (*CHAIN, OWN)]
    assert [basis.split(",")[0] for _, _, basis in found] == ["chip H100 SXM", "family Hopper", "vendor NVIDIA", "memory HBM", "all chips"]
    lows, highs = [f[0] for f in found], [f[1] for f in found]
    assert lows == sorted(lows, reverse=True) and highs == sorted(highs) and lows[0] < 1 < highs[0]
    assert highs[3] / lows[3] > highs[2] / lows[2] > highs[0] / lows[0] and highs[4] / lows[4] > highs[3] / lows[3]


@pytest.mark.parametrize("component, dtype", MEASURED)
def test_four_of_five_held_out_shapes_lie_in_the_interval(component, dtype):
    ratios = np.concatenate([e["rows"].seconds / e["predicted"] for e in fit_kernels.leave_one_out(component, dtype) if e["step"] == "chip"])
    low, high, _ = calibrate.interval(component, "H100 SXM", dtype)
    assert 0.76 < np.mean((low <= ratios) & (ratios <= high)) < 0.84  # each chip counts once, whatever the number of its rows


def test_intervals_of_a_chip_and_of_a_family_left_out_hold_what_they_promise():
    """The limits that other chips give for the same step, at the chip that was left out."""
    for component, dtype in (("gemm", "bf16"), ("gemm", "fp8"), ("attention", "bf16"), ("all_reduce", "bf16")):
        for step in ("family", "vendor", "others"):
            logs = {e["chip"]: np.log(e["rows"].seconds / e["predicted"]) for e in fit_kernels.leave_one_out(component, dtype) if e["step"] == step}
            inside = []
            for chip, mine in logs.items():
                rest = {name: values for name, values in logs.items() if name != chip}
                units = np.repeat(list(rest), [len(values) for values in rest.values()])
                low, high = np.log(fit_kernels.limits(np.exp(np.concatenate(list(rest.values()))), units))
                inside += ((low <= mine) & (mine <= high)).tolist()
            assert 0.7 <= np.mean(inside) <= 0.86, (component, dtype, step)


def test_limits_count_each_unit_once():
    ratios, units = np.exp([0.1] * 1000 + [-0.2] * 10 + [0.3] * 10), ["a"] * 1000 + ["b"] * 10 + ["c"] * 10
    assert fit_kernels.limits(ratios, units) == pytest.approx((np.exp(-0.3), np.exp(0.3)))
    assert fit_kernels.limits(ratios[:1010], units[:1010]) == pytest.approx((np.exp(-0.2), np.exp(0.2)))
    spread = np.exp(np.linspace(-1, 1, 201))
    assert fit_kernels.limits(spread, ["a"] * 201)[1] == pytest.approx(np.exp(0.8), rel=0.01)


def test_shares_of_experts_and_prompts_are_the_means_of_the_chips():
    stored = {(c, "all", k): calibrate.constant(c, "all", k) for c in ("experts", "prompt_attention") for _, k in calibrate.stored(c)}
    assert stored == pytest.approx(fit_kernels.shares(), rel=1e-3)
    rows = [row for row in calibrate.table("kernel_shares") if (row["component"], row["constant"]) == ("experts", "bandwidth_share")]
    chips = {chip: np.mean([np.log(r["value"]) for r in rows if r["chip"] == chip]) for chip in {r["chip"] for r in rows}}
    without = np.exp(np.mean([mean for chip, mean in chips.items() if chip != "B200 SXM"]))
    assert fit_kernels.shares("B200 SXM")["experts", "all", "bandwidth_share"] == pytest.approx(without)
    assert without != pytest.approx(np.exp(np.mean(list(chips.values()))), rel=1e-4)


def test_a_chip_without_kernels_has_the_interval_of_chips_left_out():
    stored = calibrate.stored("serving")
    for chip, groups, power in (("H100 SXM", ["dense"], 1), ("GH200 96GB", ["dense", "dense, chip not measured"], 1),
                                ("MI300X", ["dense", "dense, chip not measured"], calibrate.BEYOND)):
        low, high, _ = calibrate.model_interval("serving", "dense", si.chip(chip), "bf16")
        lows, highs = zip(*(stored[group, "measured_over_predicted"][1:] for group in groups))
        assert (low, high) == pytest.approx((min(lows) ** power, max(highs) ** power))
    known, unknown = (calibrate.model_interval("serving", "experts", si.chip("H100 SXM"), "bf16", more) for more in ([], ["unknown software"]))
    assert unknown[0] <= known[0] and unknown[1] >= known[1]
    assert calibrate.model_interval("serving", "experts", si.chip("B200 SXM"), "fp4")[1] == pytest.approx(
        calibrate.model_interval("serving", "experts", si.chip("B200 SXM"), "fp8")[1] ** calibrate.BEYOND)


@pytest.mark.parametrize("chip, dtype, share", [("MI300X", "bf16", 0.51), ("Gaudi 2", "bf16", 0.97), ("MI300X", "fp8", 0.51)])
def test_a_chip_without_kernels_takes_its_measured_ceiling(chip, dtype, share):
    assert calibrate.efficiency(chip, dtype).compute_share == pytest.approx(share, abs=0.005)


# rows of other people's profiles, never fitted: whole products (Vidur), fp8 kernels without the quantising ones (DeepGEMM, InferSim)
@pytest.mark.parametrize("chip, source, quantise, rows, mean", [
    ("A100 SXM 80GB", "vidur2024", True, 60, 0.08), ("H100 SXM", "vidur2024", True, 60, 0.105),
    ("H800 SXM", "deepgemm2025", False, 15, 0.16), ("H800 SXM", "infersim2026", False, 100, 0.15)])
def test_products_that_others_measured(chip, source, quantise, rows, mean):
    found = [r for r in calibrate.table("gemm") if r["chip"] == chip and r["source"][0] == source]
    m, n, k, seconds = (np.array([r[c] for r in found]) for c in ("m", "n", "k", "seconds"))
    predicted = calibrate.gemm_seconds(chip, m, n, k, "fp8" if not quantise else "bf16", quantise=quantise)
    assert len(found) >= rows and np.abs(predicted / seconds - 1).mean() < mean


def test_quantised_activations_save_time_below_16_bits_only():
    at = ("H100 SXM", 512, 4096, 4096)
    assert calibrate.gemm_seconds(*at, "fp8", quantise=False) < calibrate.gemm_seconds(*at, "fp8")
    assert calibrate.gemm_seconds(*at, "bf16", quantise=False) == calibrate.gemm_seconds(*at, "bf16")


def test_a_chip_with_sisters_keeps_its_familys_constants():
    assert calibrate.efficiency("B300 SXM").compute_share == calibrate.efficiency("B200 SXM").compute_share


def test_other_widths_take_the_fp8_constants_and_say_so():
    fp8, fp4 = calibrate.efficiency("B200 SXM", "fp8"), calibrate.efficiency("B200 SXM", "fp4")
    assert fp4.compute_share == fp8.compute_share and fp4.low < fp8.low < 1 < fp8.high < fp4.high and "fp8 for fp4" in fp4.basis
    assert str(fp8).startswith("B200 SXM, fp8: 13.6 µs")


@pytest.mark.parametrize("dtype", ["bf16", "fp8", "int4"])
@pytest.mark.parametrize("chip", ["A100 SXM 80GB", "H100 SXM", "B200 SXM", "MI300X", "RTX 4090", "TPU v5e"])
def test_products_rise_and_keep_to_the_bound(chip, dtype):
    m, n, k = np.meshgrid(*[np.geomspace(1, 2e4, 12)] * 3, indexing="ij")
    seconds = calibrate.gemm_seconds(chip, m, n, k, dtype)
    assert all((np.diff(seconds, axis=axis) > 0).all() for axis in range(3))
    used = si.chip(chip)
    compute = used.compute_dtype(dtype)
    moved = si.dtype_bytes(compute) * m * k + si.dtype_bytes(dtype) * n * k + 2 * m * n
    assert (seconds > np.maximum(moved / used.bandwidth, 2 * m * n * k / used.peak[compute])).all()


@pytest.mark.parametrize("chip", ["A100 SXM 80GB", "H100 SXM", "B200 SXM", "MI300X", "RTX 4090"])
def test_attention_rises_and_keeps_to_the_bound(chip):
    batch, context = np.meshgrid(np.geomspace(1, 2e3, 12), np.geomspace(1, 1e6, 12), indexing="ij")
    seconds = calibrate.attention_seconds(chip, batch, context, 32, 8)
    assert (np.diff(seconds, axis=0) >= 0).all() and (np.diff(seconds, axis=1) > 0).all()
    assert (seconds > batch * context * 8 * 128 * 2 * 2 / si.chip(chip).bandwidth).all()
    assert (calibrate.attention_seconds(chip, batch, context, 32, 8, kv="fp8") <= seconds).all()
    assert (calibrate.attention_seconds(chip, batch, context, 8, 8) <= seconds).all()  # a shared head costs each block more


def test_attention_of_a_model_reads_what_the_model_caches():
    llama, latent = si.model("Llama 3.1 70B"), si.model("DeepSeek-V3")
    at = ("H100 SXM", 64, 1e5)
    assert calibrate.attention_seconds(*at, 64, 8, llama) == calibrate.attention_seconds(*at, 64, 8)
    one_head = calibrate.attention_seconds(*at, 128, 1, head_dim=(latent.kv_rank + latent.rope_dim) / 2)
    assert calibrate.attention_seconds(*at, 128, 128, latent) == pytest.approx(one_head, rel=1e-12)


@pytest.mark.parametrize("chip", ["A100 SXM 80GB", "H100 SXM", "B200 SXM", "MI300X"])
def test_all_reduce_rises_and_is_nothing_for_one_chip(chip):
    size, n = np.meshgrid(np.geomspace(1, 1e9, 20), [2, 4, 8], indexing="ij")
    seconds = calibrate.all_reduce_seconds(chip, size, n)
    assert all((np.diff(seconds, axis=axis) > 0).all() for axis in range(2))
    assert (seconds > si.all_reduce_seconds(size, n, si.chip(chip).link_bandwidth)).all()
    assert calibrate.all_reduce_seconds(chip, 1e6, 1) == 0.0
    assert calibrate.all_reduce_seconds(chip, 1e6, [1, 2])[0] == 0.0


@pytest.mark.parametrize("call, words", [
    (lambda: calibrate.gemm_seconds("H100 SXM", -1, 64, 64), "m=-1"),
    (lambda: calibrate.gemm_seconds("H100 SXM", 1, 0, 64), "n=0"),
    (lambda: calibrate.gemm_seconds("H100 SXM", [1, 2], [1, 2, 3], 64), "m (2,), n (3,)"),
    (lambda: calibrate.attention_seconds("H100 SXM", 1, -1, 8, 8), "context=-1"),
    (lambda: calibrate.all_reduce_seconds("H100 SXM", 1, 0), "n=0"),
    (lambda: calibrate.all_reduce_seconds("A100 PCIe 80GB", 1, 2), "link_bandwidth"),
    (lambda: calibrate.efficiency("A100 SXM 80GB", "fp4"), "no peak for dtype='fp4'"),
    (lambda: calibrate.efficiency("H100 SXN"), "nearest: 'H100 SXM'")])
def test_bad_input_names_the_argument(call, words):
    with pytest.raises((si.BadValue, si.UnknownName)) as caught:
        call()
    assert words in str(caught.value)


def test_compiled_forms_equal_the_plain_ones_on_stored_constants():
    got = calibrate.gemm_seconds("H100 SXM", 64, 4096, 4096, "fp8")
    e = calibrate.efficiency("H100 SXM", "fp8")
    shares = (e.launch, e.bandwidth_share, e.compute_share, e.sharpness, e.depth)
    assert si.kernels.gemm_seconds(64.0, 4096.0, 4096.0, 1.0, 1.0, 5.0, 1.9789e15, 3.35e12, *shares) == pytest.approx(got, rel=1e-12)
