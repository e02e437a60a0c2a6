"""Any numeric argument may be an array: scalars give plain Python values, arrays give arrays of the broadcast shape."""
from dataclasses import fields, is_dataclass

import numpy as np
import pytest
import siliconomics as si
from siliconomics import checks

MODEL, CHIP = si.model("Mixtral 8x7B"), si.chip("H100 SXM")
FUNCTIONS = {  # name -> (function, numeric arguments with a value each)
    "attainable": (lambda **k: si.attainable(chip=CHIP, **k), dict(intensity=64.0, chips=2)),
    "memory_floor": (lambda **k: si.memory_floor(chip=CHIP, **k), dict(bytes_read=1e9, chips=2)),
    "mfu": (lambda **k: si.mfu(model=MODEL, chip=CHIP, **k), dict(tokens_per_second=1e4, chips=8, context=2048)),
    "hfu": (lambda **k: si.hfu(model=MODEL, chip=CHIP, **k), dict(tokens_per_second=1e4, chips=8, context=2048)),
    "hfu selective": (lambda **k: si.hfu(model=MODEL, chip=CHIP, recompute="selective", **k), dict(tokens_per_second=1e4, chips=8, context=2048)),
    "train_run": (lambda **k: si.train_run(chip=CHIP, **k),
                  dict(model=7e10, chips=8, tokens=1e12, mfu=0.4, usd_per_chip_hour=2.0, watts_per_chip=700, pue=1.1)),
    "decode": (lambda **k: si.decode(MODEL, CHIP, **k), dict(chips=8, batch=4, context=2048, usd_per_chip_hour=2.0)),
    "decode overlap": (lambda **k: si.decode(MODEL, CHIP, stack="overlap", **k), dict(chips=8, batch=4, context=2048, usd_per_chip_hour=2.0)),
    "decode calibrated": (lambda **k: si.decode(MODEL, CHIP, stack="calibrated", **k), dict(chips=8, batch=4, context=2048, usd_per_chip_hour=2.0)),
    "prefill": (lambda **k: si.prefill(MODEL, CHIP, **k), dict(chips=8, prompt=512, batch=4)),
    "prefill calibrated": (lambda **k: si.prefill(MODEL, CHIP, stack="calibrated", **k), dict(chips=8, prompt=512, batch=4)),
    "serve": (lambda **k: si.serve(MODEL, "H100 SXM", 8, **k), dict(concurrency=16, prompt=512, output=256, usd_per_chip_hour=2)),
    "mbu": (lambda **k: si.mbu(model=MODEL, chip=CHIP, **k), dict(seconds_per_token=0.02, chips=8, batch=4, context=2048)),
    "max_batch": (lambda **k: si.max_batch(MODEL, CHIP, **k), dict(chips=8, context=2048, reserve=1e9)),
    "usd_per_mtok": (si.usd_per_mtok, dict(usd_per_hour=2.0, tokens_per_second=100.0)),
    "weight_bytes_read": (MODEL.weight_bytes_read, dict(batch=4)),
    "weight_bytes_read dense": (si.model("Llama 2 7B").weight_bytes_read, dict(batch=4)),
    "distinct_experts": (MODEL.distinct_experts, dict(batch=4)),
    "distinct_experts dense": (si.model("Llama 2 7B").distinct_experts, dict(batch=4)),
    "kv_bytes": (si.model("Gemma 3 27B").kv_bytes, dict(context=2048)),
    "attention_flops": (si.model("Gemma 3 27B").attention_flops, dict(context=2048)),
    "flops_per_token": (MODEL.flops_per_token, dict(context=2048)),
    "flops_per_token causal": (lambda **k: MODEL.flops_per_token(training=True, causal=True, **k), dict(context=2048)),
}
EVERY_ARGUMENT = [(name, argument) for name, (_, numbers) in FUNCTIONS.items() for argument in numbers]


def leaves(result) -> dict:
    """The numeric fields of a result, by name."""
    return {f.name: getattr(result, f.name) for f in fields(result) if f.name not in ("label", "basis")} if is_dataclass(result) else {"": result}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_scalars_give_plain_values(name):
    function, numbers = FUNCTIONS[name]
    for given in (numbers, {k: np.float64(v) for k, v in numbers.items()}, {k: np.array(v) for k, v in numbers.items()}):
        for field, value in leaves(function(**given)).items():
            want = {"bound": str, "fits": bool}.get(field, int if name == "max_batch" else float)
            assert type(value) is want, field


@pytest.mark.parametrize("name, argument", EVERY_ARGUMENT)
def test_one_array_argument_gives_that_shape(name, argument):
    function, numbers = FUNCTIONS[name]
    several = np.asarray(numbers[argument]) * np.array([[1.0, 1.5, 1.25], [1.0, 2.0, 1.125]])
    got = leaves(function(**numbers | {argument: several}))
    for field, value in got.items():
        assert np.shape(value) == (2, 3), field
        for index in np.ndindex(2, 3):
            alone = leaves(function(**numbers | {argument: several[index]}))[field]
            assert value[index] == pytest.approx(alone, rel=1e-12, nan_ok=True) if not isinstance(alone, str) else value[index] == alone


@pytest.mark.parametrize("name", [name for name, (_, numbers) in FUNCTIONS.items() if len(numbers) > 1])
def test_all_arguments_broadcast_together(name):
    function, numbers = FUNCTIONS[name]
    shapes = [(3, 1), (1, 2), (2,), (1,), (), (3, 2), (1, 1)]
    given = {k: np.full(shape, v) for (k, v), shape in zip(numbers.items(), shapes)}
    for field, value in leaves(function(**given)).items():
        assert np.shape(value) == (3, 2), field
        assert len(np.unique(value)) == 1


@pytest.mark.parametrize("name", FUNCTIONS)
def test_lists_ints_and_float32_are_numbers_too(name):
    function, numbers = FUNCTIONS[name]
    argument, value = next(iter(numbers.items()))
    for given in ([value, value], (value, value), np.array([value, value], dtype="float32"), np.array([value, value])):
        assert all(np.shape(v) == (2,) for v in leaves(function(**numbers | {argument: given})).values())


def test_a_big_whole_number_is_a_number():
    assert si.train_run(7e10, CHIP, 1, 10**21, 0.4).seconds == si.train_run(7e10, CHIP, 1, 1e21, 0.4).seconds


def test_inputs_are_not_written_to():
    batch = np.array([1.0, 2.0])
    batch.flags.writeable = False
    si.decode(MODEL, CHIP, batch=batch)
    si.max_batch(MODEL, CHIP, batch, batch)


def test_text_of_an_array_result_says_how_many():
    assert "2 configurations" in str(si.decode(MODEL, CHIP, batch=[1, 2]))
    assert "2 configurations" in str(si.prefill(MODEL, CHIP, batch=[1, 2]))


# --- the arguments of a function ------------------------------------------------------------------------------------

def checked(a, b=0, c=1, d=0.5, e=None):
    return checks.numbers(locals(), "a", zero="b", one="c", fractions="d", optional="e")


def test_arguments_come_in_the_order_of_their_names():
    assert checked(2)[:4] == [2, 0, 1, 0.5] and np.isnan(checked(2)[4])
    assert checks.numbers({"x": 1, "y": 2}, "y", zero="x") == [2, 1]
    assert [v.tolist() for v in checked([2, 3], b=[[1], [4]])][:2] == [[[2, 3], [2, 3]], [[1, 1], [4, 4]]]


@pytest.mark.parametrize("given", [dict(a=0), dict(a=1, b=-1), dict(a=1, c=0.5), dict(a=1, d=0), dict(a=1, d=1.5), dict(a=1, e=-1), dict(a=None)])
def test_each_argument_keeps_to_its_domain(given):
    name = list(given)[-1]
    with pytest.raises(si.BadValue, match=f"^{name}={given[name]}"):
        checked(**given)


def test_arguments_whose_shapes_clash_are_named():
    with pytest.raises(si.BadValue, match=r"a \(2,\), b \(3,\)"):
        checked([1, 2], b=[1, 2, 3])
