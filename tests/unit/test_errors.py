"""Bad input raises at once, and the message names the argument, the value and what would be right."""
import copy
from dataclasses import FrozenInstanceError
from decimal import Decimal

import numpy as np
import pytest
import siliconomics as si
from siliconomics import BadValue, MissingDtype, UnknownName

MODEL, CHIP, A100 = si.model("Llama 2 70B"), si.chip("H100 SXM"), si.chip("A100 SXM 80GB")
SHAPE = dict(name="tiny", layers=2, d_model=8, heads=2, kv_heads=2, head_dim=4, d_ff=16, vocab=10)
SYSTEM = dict(model=MODEL, chip=CHIP)
CALLS = {  # name -> (function, valid arguments, numeric arguments, those that may be 0, those that may be None)
    "attainable": (si.attainable, dict(chip=CHIP, intensity=9, chips=2), "intensity chips", "intensity", ""),
    "memory_floor": (si.memory_floor, dict(chip=CHIP, bytes_read=9, chips=2), "bytes_read chips", "bytes_read", ""),
    "mfu": (si.mfu, SYSTEM | dict(tokens_per_second=9, chips=2, context=9), "tokens_per_second chips context", "context", "context"),
    "hfu": (si.hfu, SYSTEM | dict(tokens_per_second=9, chips=2, context=9), "tokens_per_second chips context", "context", "context"),
    "train_run": (si.train_run, SYSTEM | dict(chips=2, tokens=9, mfu=0.4, usd_per_chip_hour=1, watts_per_chip=1, pue=1.5),
                  "chips tokens mfu usd_per_chip_hour watts_per_chip pue", "usd_per_chip_hour watts_per_chip", "usd_per_chip_hour watts_per_chip"),
    "decode": (si.decode, SYSTEM | dict(chips=2, batch=3, context=9, usd_per_chip_hour=1),
               "chips batch context usd_per_chip_hour", "context usd_per_chip_hour", "usd_per_chip_hour"),
    "prefill": (si.prefill, SYSTEM | dict(chips=2, prompt=9, batch=3), "chips prompt batch", "", ""),
    "mbu": (si.mbu, SYSTEM | dict(seconds_per_token=9, chips=2, batch=3, context=9), "seconds_per_token chips batch context", "context", ""),
    "max_batch": (si.max_batch, SYSTEM | dict(chips=2, context=9, reserve=1), "chips context reserve", "reserve", ""),
    "usd_per_mtok": (si.usd_per_mtok, dict(usd_per_hour=1, tokens_per_second=9), "usd_per_hour tokens_per_second", "usd_per_hour", ""),
    "weight_bytes_read": (MODEL.weight_bytes_read, dict(batch=9), "batch", "", ""),
    "distinct_experts": (si.model("Mixtral 8x7B").distinct_experts, dict(batch=9), "batch", "", ""),
    "kv_bytes": (MODEL.kv_bytes, dict(context=9), "context", "context", ""),
    "attention_flops": (MODEL.attention_flops, dict(context=9), "context", "context", ""),
    "flops_per_token": (MODEL.flops_per_token, dict(context=9), "context", "context", ""),
}
NUMERIC = [(name, argument) for name, call in CALLS.items() for argument in call[2].split()]
BAD = {"nan": float("nan"), "inf": float("inf"), "minus inf": float("-inf"), "negative": -1, "huge": 1e61, "text": "3",
       "true": True, "complex": 1j, "nan inside": [1.0, float("nan")], "negative inside": [[1.0, -2.0]], "text inside": ["a", "b"],
       "bools": [True, False], "objects": [None, 1], "decimal": Decimal(3), "dict": {}, "empty": [], "empty 2-d": np.empty((0, 3)),
       "ragged": [[1.0], [1.0, 2.0]]}
SHOWN = {"nan": "nan", "inf": "inf", "minus inf": "-inf", "negative": "-1", "huge": "1e+61", "text": "'3'", "true": "True", "complex": "1j",
         "nan inside": "nan", "negative inside": "-2", "text inside": "['a', 'b']", "bools": "[True, False]", "objects": "[None, 1]",
         "decimal": "Decimal('3')", "dict": "{}", "empty": "empty", "empty 2-d": "empty", "ragged": "[[1.0], [1.0, 2.0]]"}


def refused(error, function, *words, **arguments):
    """`function` raises exactly this kind of error, and the message holds every word."""
    with pytest.raises(error) as caught:
        function(**arguments)
    assert type(caught.value) is error
    for word in words:
        assert str(word) in str(caught.value)


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("name, argument", NUMERIC)
def test_number_out_of_its_domain(name, argument, kind):
    function, valid = CALLS[name][:2]
    refused(BadValue, function, f"{argument}={SHOWN[kind]}" if SHOWN[kind] != "empty" else f"{argument} is empty", **valid | {argument: BAD[kind]})


@pytest.mark.parametrize("name, argument", NUMERIC)
def test_zero_where_only_more_makes_sense(name, argument):
    function, valid, _, may_be_zero, _ = CALLS[name]
    if argument in may_be_zero.split():
        function(**valid | {argument: 0})
    else:
        refused(BadValue, function, f"{argument}=0", **valid | {argument: 0})


@pytest.mark.parametrize("name, argument", NUMERIC)
def test_none_only_where_it_means_not_given(name, argument):
    function, valid, _, _, may_be_none = CALLS[name]
    if argument in may_be_none.split():
        function(**valid | {argument: None})
    else:
        refused(BadValue, function, f"{argument}=None", **valid | {argument: None})


@pytest.mark.parametrize("name", [name for name, call in CALLS.items() if len(call[2].split()) > 1])
def test_shapes_that_do_not_broadcast(name):
    function, valid, numeric, *_ = CALLS[name]
    first, second, *_ = numeric.split()
    arrays = {first: np.full(2, valid[first]), second: np.full(3, valid[second])}
    refused(BadValue, function, f"{first} (2,)", f"{second} (3,)", **valid | arrays)


@pytest.mark.parametrize("name", [name for name in CALLS if name not in ("train_run", "prefill")])
def test_largest_and_smallest_numbers_stay_finite(name):
    function, valid, numeric, *_ = CALLS[name]
    for size in (1e60, 1e-60):
        result = function(**valid | {argument: size for argument in numeric.split()})
        seconds = getattr(result, "seconds", result)
        assert np.isfinite(seconds) and seconds >= 0


@pytest.mark.parametrize("argument", NUMERIC, ids="-".join)
def test_a_number_too_small_for_float64_is_refused(argument):
    name, argument = argument
    function, valid = CALLS[name][:2]
    refused(BadValue, function, argument, **valid | {argument: 1e-320})


def test_too_many_sequences_for_an_int_are_refused_or_exact():
    try:
        assert si.max_batch(MODEL, CHIP, 1e59, 1) > 1e50
    except BadValue:
        pass


def test_largest_batch_of_a_model_without_a_cache():
    model = si.Transformer(**SHAPE, recurrent_layers=2)
    try:
        assert si.max_batch(model, CHIP, 1, 100) == np.inf
    except BadValue as error:
        assert "tiny" in str(error)


@pytest.mark.parametrize("mfu", [1.01, 40, [0.4, 2]])
def test_a_utilisation_above_one_is_refused(mfu):
    refused(BadValue, si.train_run, "mfu=", "fraction in (0, 1]", **SYSTEM, chips=1, tokens=1, mfu=mfu)


@pytest.mark.parametrize("pue", [0.9, [1.0, 0.5]])
def test_a_pue_below_one_is_refused(pue):
    refused(BadValue, si.train_run, f"pue={np.min(pue):g}", **SYSTEM, chips=1, tokens=1, mfu=0.4, pue=pue)


# --- names ----------------------------------------------------------------------------------------------------------

TAKES_CHIP = [name for name, call in CALLS.items() if "chip" in call[1]]
TAKES_MODEL = [name for name, call in CALLS.items() if "model" in call[1]]


@pytest.mark.parametrize("name", TAKES_CHIP)
def test_unknown_chip_lists_the_nearest_three(name):
    function, valid = CALLS[name][:2]
    refused(UnknownName, function, "chip='H100 SMX'", "'H100 SXM'", **valid | {"chip": "H100 SMX"})


@pytest.mark.parametrize("name", TAKES_MODEL)
def test_unknown_model_lists_the_nearest_three(name):
    function, valid = CALLS[name][:2]
    refused(UnknownName, function, "model='Lama 2 70B'", "'Llama 2 70B'", **valid | {"model": "Lama 2 70B"})


@pytest.mark.parametrize("find, name", [(si.chip, "H1000"), (si.chip, ""), (si.model, "gpt-5"), (si.model, "x" * 300)])
def test_three_names_are_offered(find, name):
    with pytest.raises(UnknownName) as caught:
        find(name)
    offered = str(caught.value).split("nearest: ")[1].split(", ")
    assert len(set(offered)) == 3
    for text in offered:
        find(text.strip("'"))


def test_ambiguous_chip_lists_the_candidates():
    refused(UnknownName, si.chip, "chip='a100'", "ambiguous", "'A100 SXM 40GB'", "'A100 SXM 80GB'", name="a100")


def test_an_unknown_name_is_a_key_error_with_readable_text():
    with pytest.raises(KeyError) as caught:
        si.chip("H1000")
    assert not str(caught.value).startswith('"')


@pytest.mark.parametrize("name", [None, 3, 3.0, True, ["H100 SXM"], b"H100 SXM", MODEL])
def test_what_is_no_chip(name):
    refused(BadValue, si.chip, "chip=", "Chip", name=name)


@pytest.mark.parametrize("name", [None, 3, True, ["Llama 2 70B"], CHIP])
def test_what_is_no_model(name):
    refused(BadValue, si.model, "model=", "Transformer", name=name)


def test_train_run_takes_a_parameter_count_in_any_numeric_form():
    one = si.train_run(7e10, CHIP, 1, 1e12, 0.4).seconds
    assert si.train_run(np.int64(70_000_000_000), CHIP, 1, 1e12, 0.4).seconds == one
    assert si.train_run(np.array([7e10]), CHIP, 1, 1e12, 0.4).seconds.tolist() == [one]
    assert si.train_run([7e10], CHIP, 1, 1e12, 0.4).seconds.tolist() == [one]


@pytest.mark.parametrize("model", [float("nan"), -1, 0, True, None])
def test_train_run_refuses_other_models(model):
    refused(BadValue, si.train_run, "model", f"={model}", model=model, chip=CHIP, chips=1, tokens=1e12, mfu=0.4)


# --- data types -----------------------------------------------------------------------------------------------------

COMPUTE = {"attainable": "dtype", "mfu": "dtype", "hfu": "dtype", "train_run": "dtype", "decode": "compute", "prefill": "compute"}
STORAGE = [(name, argument) for name in ("decode", "prefill", "mbu", "max_batch") for argument in ("weights", "kv")]


@pytest.mark.parametrize("dtype", ["fp8", "bf61", "", 8, None, ["bf16"]], ids=repr)
@pytest.mark.parametrize("name", COMPUTE)
def test_a_dtype_that_the_chip_lacks_lists_what_it_has(name, dtype):
    function, valid = CALLS[name][:2]
    if COMPUTE[name] == "compute" and dtype is None:
        return
    refused(MissingDtype, function, "A100 SXM 80GB", repr(dtype), "bf16", "int8", **valid | {"chip": A100, COMPUTE[name]: dtype})


@pytest.mark.parametrize("dtype", ["fp8", "", 8], ids=repr)
def test_ridge_of_a_dtype_that_the_chip_lacks(dtype):
    refused(MissingDtype, A100.ridge, "A100 SXM 80GB", repr(dtype), "bf16", dtype=dtype)


def test_missing_dtype_is_both_kinds_of_error():
    for kind in (KeyError, ValueError):
        with pytest.raises(kind):
            A100.ridge("fp8")


def test_storage_dtypes_never_raise_for_a_chip():
    for dtype in ("fp8", "fp4", "int4", "mxfp4", "nvfp4", 0.625):
        assert si.decode(MODEL, A100, weights=dtype, kv="fp8").seconds > 0
        assert A100.compute_dtype(dtype) == "bf16"


@pytest.mark.parametrize("value, shown", [("fp99", "'fp99'"), ("", "''"), (0, "0"), (-1.0, "-1"), (float("nan"), "nan"), (True, "True"), (None, "None"),
                                          ({}, "{}"), (["bf16"], "['bf16']"), (np.array([1.0, 2.0]), "array")], ids=repr)
@pytest.mark.parametrize("name, argument", STORAGE)
def test_unknown_storage_dtype_names_its_argument(name, argument, value, shown):
    function, valid = CALLS[name][:2]
    refused(BadValue, function, f"{argument}=", shown, **valid | {argument: value})


@pytest.mark.parametrize("method", ["weight_bytes", "kv_bytes_per_token", "kv_layer_bytes"])
def test_unknown_dtype_of_a_model_method(method):
    refused(BadValue, getattr(MODEL, method), "dtype='fp99'", "'fp8'", dtype="fp99")


@pytest.mark.parametrize("weights", ["fp99", None, 0])
def test_critical_batch_of_an_unknown_storage_dtype(weights):
    refused(BadValue, si.critical_batch, "weights=", chip=CHIP, weights=weights)


# --- choices --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("stack", ["Roofline", "", None, 1, ["roofline"], np.array(["roofline", "overlap"])], ids=repr)
@pytest.mark.parametrize("function", [si.decode, si.prefill])
def test_unknown_stack_lists_the_stacks(function, stack):
    refused(BadValue, function, "stack=", "'roofline'", "'overlap'", **SYSTEM, stack=stack)


@pytest.mark.parametrize("recompute", ["all", "", None, True, ["full"]], ids=repr)
def test_unknown_recomputation_lists_what_there_is(recompute):
    refused(BadValue, si.hfu, "recompute=", "'full'", "'selective'", "'none'", **SYSTEM, tokens_per_second=1, recompute=recompute)


# --- chips and models made by hand -----------------------------------------------------------------------------------

PARTS = dict(name="mine", peak={"bf16": 1e14}, memory_bytes=1e10, bandwidth=1e12)


@pytest.mark.parametrize("value", [float("inf"), 0, -1, "1e12", True, [1e12, 2e12]], ids=repr)
@pytest.mark.parametrize("field", ["memory_bytes", "bandwidth", "link_bandwidth", "tdp_watts", "die_mm2", "sram_bytes"])
def test_chip_with_a_bad_figure(field, value):
    refused(BadValue, si.Chip, f"{field}=", **PARTS | {field: value})
    refused(BadValue, si.Chip(**PARTS).replace, f"{field}=", **{field: value})


@pytest.mark.parametrize("field", ["memory_bytes", "bandwidth"])
@pytest.mark.parametrize("value", [float("nan"), None])
def test_chip_without_memory_or_bandwidth(field, value):
    refused(BadValue, si.Chip, f"{field}=", **PARTS | {field: value})


@pytest.mark.parametrize("peak", [{}, None, 1e14, "bf16", {"bf16": 0}, {"bf16": float("nan")}, {"bf16": "fast"}, {"bf16": [1e14, 2e14]}], ids=repr)
def test_chip_with_a_bad_peak(peak):
    refused(BadValue, si.Chip, "peak", **PARTS | {"peak": peak})


def test_chip_with_an_unknown_field_is_refused():
    with pytest.raises(TypeError, match="speed"):
        CHIP.replace(speed=3)


@pytest.mark.parametrize("value", [-1, 1.5, float("nan"), float("inf"), "8", True, None, [8]], ids=repr)
@pytest.mark.parametrize("field", ["layers", "d_model", "heads", "kv_heads", "head_dim", "d_ff", "vocab", "positions", "window", "experts"])
def test_model_with_a_size_that_is_no_whole_number(field, value):
    refused(BadValue, si.Transformer, f"{field}={value!r}", **SHAPE | {field: value})


@pytest.mark.parametrize("field", ["layers", "d_model", "heads", "kv_heads", "head_dim", "vocab"])
def test_model_without_a_needed_size(field):
    refused(BadValue, si.Transformer, f"{field}=0", **SHAPE | {field: 0})


@pytest.mark.parametrize("value", [5, "false", None, 0.5], ids=repr)
@pytest.mark.parametrize("field", ["gated", "tied"])
def test_model_with_a_switch_that_is_neither_true_nor_false(field, value):
    refused(BadValue, si.Transformer, field, **SHAPE | {field: value})


@pytest.mark.parametrize("changes, word", [
    (dict(heads=3), "kv_heads"), (dict(window=8, windowed_layers=3), "windowed_layers"), (dict(windowed_layers=1), "window"),
    (dict(windowed_layers=1, window=8, recurrent_layers=2), "recurrent_layers"), (dict(d_ff=0), "d_ff"),
    (dict(moe_layers=3, experts=4, experts_active=2, expert_d_ff=4), "moe_layers"),
    (dict(moe_layers=2, experts=4, experts_active=5, expert_d_ff=4), "experts_active"),
    (dict(moe_layers=2, experts=4, experts_active=0, expert_d_ff=4), "experts_active"),
    (dict(moe_layers=2, experts=4, experts_active=2), "expert_d_ff"), (dict(kv_rank=4), "MLA"),
    (dict(experts=4, experts_active=2, expert_d_ff=4), "moe_layers"),
    (dict(kv_rank=4, nope_dim=4, rope_dim=4, v_dim=4), "head_dim"),
], ids=lambda case: str(case)[:60])
def test_model_with_sizes_that_contradict(changes, word):
    refused(BadValue, si.Transformer, "tiny", word, **SHAPE | changes)


# --- ledger, exercises, charts, formatting ---------------------------------------------------------------------------

@pytest.mark.parametrize("id", ["B99", "", "b07 ", None, 7, ["B07"]], ids=repr)
def test_unknown_claim(id):
    named = isinstance(id, str)
    refused(UnknownName if named else BadValue, si.verdict, f"claim={id!r}", "nearest" if named else "text", id=id)


def test_inputs_that_a_claim_does_not_take():
    for id, wrong in (("B07", {"chp": "H100 SXM"}), ("S01", {"chip": 3}), ("B21", {"chips": 3})):
        with pytest.raises((BadValue, UnknownName, TypeError), match=next(iter(wrong))):
            si.verdict(id, **wrong)


@pytest.mark.parametrize("inputs", [{"chip": "H1000"}, {"params": -1}, {"params": "many"}, {"weights": "fp99"}, {"params": [1e9, 2e9]}], ids=repr)
def test_bad_input_of_a_claim(inputs):
    with pytest.raises((BadValue, UnknownName)):
        si.verdict("B07", **inputs)


@pytest.mark.parametrize("chapter", ["7", "99", 7, ""])
def test_unknown_chapter_of_the_ledger(chapter):
    with pytest.raises((BadValue, UnknownName), match=f"chapter={chapter!r}"):
        si.claim_table(chapter)


@pytest.mark.parametrize("id", ["07.99", "", None, 7.1, ["07.1"]], ids=repr)
def test_unknown_exercise(id):
    named = isinstance(id, str)
    refused(UnknownName if named else BadValue, si.check, f"exercise={id!r}", "nearest" if named else "text", id=id, answer=1)


@pytest.mark.parametrize("answer", ["3", None, True, float("nan"), float("inf"), float("-inf"), [], [1, 2], [[1], [1, 2]], 1j], ids=repr)
def test_an_answer_that_is_no_number(answer):
    refused(BadValue, si.check, "answer", "number", id="07.1", answer=answer)


@pytest.mark.parametrize("ranges", [{}, None, {"x": 3}, {"x": (1, 2)}, {"x": (3, 2, 1)}, {"x": (1, float("nan"), 2)}, {"x": ("a", "b", "c")}], ids=repr)
def test_bad_ranges_of_a_tornado(ranges):
    refused(BadValue, si.tornado, "x" if ranges else "ranges", f=lambda x: x, ranges=ranges)


@pytest.mark.parametrize("value", [None, "abc", [1, 2]], ids=repr)
def test_what_cannot_be_formatted(value):
    with pytest.raises(BadValue, match="value="):
        si.fmt(value, "s")


def test_unknown_column_of_the_measurements():
    with pytest.raises(BadValue, match="speed.*chips"):
        si.measured(speed=1)


# --- nothing is changed, clipped or filled in -------------------------------------------------------------------------

@pytest.mark.parametrize("thing, field", [(CHIP, "bandwidth"), (MODEL, "layers"), (si.decode(MODEL, CHIP), "seconds"), (si.prefill(MODEL, CHIP), "seconds"),
                                          (si.train_run(MODEL, CHIP, 1, 1, 0.4), "usd")], ids=["chip", "model", "decode", "prefill", "run"])
def test_results_and_records_are_frozen(thing, field):
    before = copy.copy(thing)
    with pytest.raises(FrozenInstanceError):
        setattr(thing, field, 1)
    assert thing == before or "nan" in repr(thing)


def test_peaks_are_frozen_and_do_not_follow_the_dict_given():
    rates = {"bf16": 1e14}
    chip = si.Chip(**PARTS | {"peak": rates})
    rates["bf16"] = 2e14
    assert chip.peak["bf16"] == 1e14
    with pytest.raises(TypeError):
        chip.peak["bf16"] = 2e14


def test_the_catalogue_keeps_its_records():
    si.chip("H100 SXM").replace(bandwidth=1e12)
    si.model("Llama 2 70B").replace(layers=1)
    frame = si.chips()
    frame.loc["H100 SXM", "bandwidth"] = 0
    si.measured()[0]["value"] = 0
    assert si.chip("H100 SXM").bandwidth == si.chips().loc["H100 SXM", "bandwidth"] == 3.35e12
    assert si.model("Llama 2 70B").layers == 80
    assert si.measured()[0]["value"] > 0


def test_a_missing_price_gives_nan_dollars():
    assert np.isnan(si.decode(MODEL, CHIP).usd_per_mtok)
    assert np.isnan(si.decode(MODEL, CHIP, batch=[1, 2]).usd_per_mtok).all()
    run = si.train_run(MODEL, CHIP, 1, 1e12, 0.4)
    assert np.isnan(run.usd) and np.isnan(run.joules) and run.seconds > 0
    assert "$" not in str(si.decode(MODEL, CHIP))


def test_what_does_not_fit_keeps_its_numbers():
    step = si.decode(MODEL, CHIP, chips=1, batch=64)
    assert step.fits is False and step.memory_bytes > CHIP.memory_bytes and step.seconds > 0
    assert "DOES NOT FIT" in str(step)


def test_an_impossible_utilisation_is_shown_not_clipped():
    assert si.mfu(1e9, MODEL, CHIP) > 1
    assert si.mbu(1e-9, MODEL, CHIP) > 1
