"""`predict` answers rows of any of the tables, in their own quantity and unit."""
import pandas as pd
import pytest
import siliconomics as si
from siliconomics import predictions
from siliconomics.predictions import normal, predict, predicted
from siliconomics.tables import schema, table

SERVED = dict(model="Llama 3.1 70B", chip="H200 SXM", chips=2, software="trtllm", weights="fp8", prompt=1024, output=1024, concurrency=32, tpot_seconds=0.02)
THEIRS = dict(model="meta-llama/Llama-3.1-70B", system="h200_sxm", chips=2, backend="trtllm", precision="fp8", prompt_tokens=1024,
              output_tokens=1024, concurrency=32, tp=2, pp=1, attention_dp=1, moe_tp=2, moe_ep=1, tpot_ms=20.0)
STEP = dict(phase="decode", model="Llama 2 7B", chip="A100 SXM 80GB", chips=1, batch=16, context=1000, weights="bf16", quantity="tokens_per_second_per_user",
            value=90.0, unit="token/s")


def predict_row(raw: dict) -> tuple[float, float, float]:
    return predicted(normal(raw))


def test_serving_rows_of_both_spellings_agree():
    ours, theirs = predict_row(SERVED), predict_row(THEIRS)
    assert [1e3 * v for v in ours] == pytest.approx(theirs, rel=1e-12)
    served = si.serve("Llama 3.1 70B", "H200 SXM", 2, 32, 1024, 1024, "fp8", "fp8", software="trtllm")
    assert ours[0] == pytest.approx(served.seconds_per_output_token, rel=1e-12) and ours[1] < ours[0] < ours[2]


@pytest.mark.parametrize("quantity, unit, of", [
    ("tokens_per_second_per_user", "token/s", lambda t: 1 / t), ("tokens_per_second", "token/s", lambda t: 16 / t),
    ("seconds_per_token", "s", lambda t: t), ("decode_latency_per_token", "ms", lambda t: 1e3 * t)])
def test_decode_rows_in_their_own_unit(quantity, unit, of):
    step = si.decode("Llama 2 7B", "A100 SXM 80GB", 1, 16, 1000, stack="calibrated")
    central, low, high = predict_row({**STEP, "quantity": quantity, "unit": unit})
    assert central == pytest.approx(of(step.seconds), rel=1e-12) and low < central < high


def test_layers_split_over_chips_work_one_at_a_time():
    one, four = (predict_row({**STEP, "batch": 1, "chips": n, "software": "llama.cpp"})[0] for n in (1, 4))
    assert one == four


def test_a_model_by_its_shape():
    shape = dict(layers=32, d_model=4096, heads=32, kv_heads=32, head_dim=128, d_ff=11008, vocab=32000)
    assert predict_row({**STEP, "model": "Somebody's 7B", **shape})[0] == pytest.approx(predict_row(STEP)[0], rel=1e-9)


def test_table_keeps_rows_and_says_what_is_wrong():
    table = pd.DataFrame([STEP, {**STEP, "model": "Lama 2 7B"}, {**STEP, "quantity": "speed"}, {**STEP, "chip": "A100"}], index=[7, 3, 9, 1])
    done = predict(table)
    assert list(done.index) == [7, 3, 9, 1] and done.predicted.notna().tolist() == [True, False, False, False]
    assert done.problem[7] == "" and "nearest" in done.problem[3] and "speed" in done.problem[9] and "ambiguous" in done.problem[1]
    assert set(table) <= set(done) and "predicted" not in table
    assert done.error[7] == pytest.approx(done.predicted[7] / 90.0 - 1) and done.error[[3, 9, 1]].isna().all()


def test_an_unmeasured_row_has_a_prediction_and_no_error():
    asked = {key: value for key, value in STEP.items() if key != "value"}
    done = predict(pd.DataFrame([asked])).iloc[0]
    assert done.predicted > 0 and pd.isna(done.error) and done.problem == ""


def test_rows_of_every_kind_have_a_prediction():
    gemm = dict(chip="H100 SXM", dtype="bf16", m=128, n=4096, k=4096, quantity="gemm_latency", unit="ms", value=0.02, phase="kernel_gemm")
    prompt = dict(phase="prefill", model="Llama 3 8B", chip="RTX 4090", chips=1, batch=1, context=1024, weights="bf16", quantity="tokens_per_second",
                  value=9000.0, unit="token/s")
    done = predict(pd.DataFrame([SERVED])).iloc[0], predict(pd.DataFrame([gemm])).iloc[0], predict(pd.DataFrame([prompt])).iloc[0]
    for row in done:
        assert row.problem == "" and 0 < row.low < row.predicted < row.high


@pytest.mark.parametrize("name, bits", [("int4-g128", 4.156), ("int4-g32", 4.625), ("EXL2 4.0bpw", 4.0), ("Q4_K_M", 4.85)])
def test_grouped_formats_by_their_names(name, bits):
    named, counted = (predict_row({**STEP, "batch": 1, **weights})[0] for weights in ({"weights": name}, {"weights": name, "weight_bytes": bits / 8}))
    assert named == pytest.approx(counted, rel=2e-3)


def test_stated_bytes_win_over_the_name():
    by_name, stated, same = (predict_row({**STEP, "batch": 1, "weights": "int4", **extra})[0] for extra in ({}, {"weight_bytes": 0.6031}, {"weight_bytes": 0.5}))
    assert stated < by_name == same


def test_training_rows_as_the_table_has_them():
    table = pd.DataFrame(si.table("training_steps"))
    done = predict(table)
    assert (done.problem == "").all() and ((0 < done.low) & (done.low < done.predicted) & (done.predicted < done.high)).all()
    assert 0.02 < done.error.abs().median() < 0.10


def test_a_training_row_of_another_table():
    ours = dict(model="GPT-3 175B", chip="A100 SXM 80GB", chips=64, tensor=8, pipeline=8, data=1, sequences=64, sequence=2048, micro_batch=1, interleave=3,
                recompute="full", dtype="fp16", software="Megatron-LM", basis="measured", as_of="2022-05-10", quantity="step_seconds", unit="s", value=18.0)
    theirs = dict(model="GPT-3 175B", accelerator="A100 SXM 80GB", n_chips=64.0, tp=8.0, pp=8.0, dp=1.0, batch=64.0, batch_unit="sequences", seq_len=2048.0,
                  microbatch=1.0, interleave=3.0, recompute="full", compute_dtype="fp16", framework="Megatron-LM", basis="measured", date="2022-05-10",
                  phase="train", quantity="iteration_time", unit="ms", value=18000.0)
    assert [1e3 * v for v in predict_row(ours)] == pytest.approx(predict_row(theirs), rel=1e-12)


def test_a_missing_column_is_named():
    asked = {key: value for key, value in SERVED.items() if key != "prompt"}
    assert predict(pd.DataFrame([asked])).problem[0] == "column 'prompt' is needed"


def test_spellings_of_other_tables_lead_to_names_that_are_known():
    ours = {kind: {row["name"] for row in table("aliases") if row["kind"] == kind} for kind in ("column", "phase", "quantity", "training quantity")}
    columns = {c for name in ("measurements", "serving", "training_steps", "gemm") for c in schema(name)["columns"]}
    assert ours["column"] <= columns | {"attention_data", "data", "chips"}
    assert ours["phase"] == {*predictions.PREDICTORS, "training"} and ours["quantity"] <= set(predictions.QUANTITIES)
    assert ours["training quantity"] <= {row["quantity"] for row in table("training_steps")}
