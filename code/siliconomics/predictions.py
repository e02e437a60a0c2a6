"""How near is the model to what was measured? Predictions with an interval for any table of measurements.

A row says what was run and what was measured; `predict` answers in the row's own quantity and unit. Columns are those of
data/measurements.csv, serving.csv, training_steps.csv and gemm.csv; the spellings that other tables use are in data/aliases.csv.
"""
import json
import math
import re
from functools import cache

import numpy as np

from .calibrate import gemm_seconds, interval, pass_interval
from .catalog import chip as find_chip, model as find_model
from .checks import BadValue, UnknownName
from .forward import Shard, forward_seconds
from .serving import assumed_cache, serve
from .tables import DATA, schema, table
from .training import REPEATED
from .transformer import Load, Transformer
from .units import DTYPE_BYTES

QUANTITIES = {  # quantity -> (seconds, row) -> value
    "seconds": lambda t, r: t, "tokens_per_second_per_user": lambda t, r: 1 / t, "tokens_per_second": lambda t, r: _tokens(r) / t,
    "tokens_per_second_per_chip": lambda t, r: _tokens(r) / t / r["chips"], "flops_per_second": lambda t, r: 2 * r["m"] * r["n"] * r["k"] / t}
UNITS = {"ms": 1e-3, "us": 1e-6, "µs": 1e-6, "TFLOP/s": 1e12, "TFLOP/s/chip": 1e12}
ONE_AT_A_TIME = ("llama.cpp", "exllamav2")  # split a model by layers: one chip works on a sequence at a time
SHAPE = ("layers", "d_model", "heads", "kv_heads", "head_dim", "d_ff", "vocab")


@cache
def _ours(kind: str) -> dict[str, str]:
    """What other tables call a column, a phase, a quantity or a training quantity -> our name of it."""
    return {row["alias"]: row["name"] for row in table("aliases") if row["kind"] == kind}


def _missing(value) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _tokens(row: dict) -> float:
    return row["batch"] * (row.get("prompt", row.get("context")) if row["kind"] == "prefill" else 1.0)


def _shape(row: dict) -> Transformer:
    """The model of a row: from the catalogue, or from the row's own columns of its shape."""
    try:
        return find_model(row["model"])
    except UnknownName:
        if any(_missing(row.get(size)) or isinstance(row[size], str) for size in SHAPE):
            raise
        return Transformer(str(row["model"]), **{size: int(row[size]) for size in SHAPE})


def _kind(row: dict, columns) -> str:
    """What a row is about: what it says itself, else what only such a table has a column for."""
    for column in ("eval_kind", "phase"):
        if row.get(column) in _ours("phase"):
            return _ours("phase")[row[column]]
    for column, kind in (("concurrency", "serving"), ("sequences", "training"), ("k", "gemm"), ("output", "decode")):
        if column in columns:
            return kind
    raise BadValue(f"columns {', '.join(row)}: a phase of decode, prefill, serving, train or kernel_gemm is needed")


def normal(raw: dict) -> dict:
    """One row under our column names, without empty cells, with defaults that the formats leave out."""
    ours = _ours("column")
    row = {ours.get(column, column): value for column, value in raw.items() if not _missing(value) and ours.get(column) not in raw}
    row["kind"] = _kind(row, {ours.get(column, column) for column in raw})
    if row["kind"] == "training":
        return row
    for quantity, theirs in (("seconds_per_token", "tpot_seconds"), ("seconds_per_token", "tpot_ms"), ("seconds", "us")):
        if "quantity" not in row and theirs in row:
            row |= {"quantity": quantity, "value": row[theirs], "unit": theirs.rpartition("_")[2].replace("seconds", "s")}
    return {"chips": 1, "batch": 1.0, "weights": row.get("dtype", "bf16"), "unit": "s", "quantity": "seconds"} | row


def _float_dtype(name) -> str | float:
    """Our name of a dtype, or the bytes a value of a grouped format; other texts pass through."""
    if not isinstance(name, str):
        return name
    grouped, stated = re.fullmatch(r"int4-g(\d+)", name), re.search(r"([\d.]+) ?bpw", name)
    if grouped:
        return (4.0 + 20.0 / int(grouped[1])) / 8.0  # a 16-bit scale and a 4-bit zero for each group
    if stated:
        return float(stated[1]) / 8.0
    return {"bfloat16": "bf16", "f16": "fp16", "float16": "fp16", "fp16/bf16": "bf16", "Q4_K_M": 4.85 / 8.0}.get(name, name)


def pass_seconds(row: dict) -> float:
    """Seconds of the one decode or prefill pass that a row describes."""
    if row["kind"] == "prefill":
        prompt = float(row.get("prompt", row.get("context", np.nan)))
        load, at = Load(0.0, 0.0, row["batch"] * prompt, prompt), Shard(float(row["chips"]))
    else:
        context = row.get("context", row.get("prompt", 0) + row.get("output", 0) / 2)
        layered = str(row.get("software")).startswith(ONE_AT_A_TIME)
        load, at = Load(float(row["batch"]), float(context)), Shard(1.0 if layered else float(row["chips"]))
    return float(forward_seconds(_shape(row), find_chip(row["chip"]), load, at, _weights(row), _float_dtype(row.get("kv", "bf16"))))


def _weights(row: dict) -> str | float:
    """The storage dtype, or the row's own bytes a value where they differ: a four-bit format keeps scales, and some layers whole."""
    name = _float_dtype(row["weights"])
    return name if row.get("weight_bytes") in (None, DTYPE_BYTES.get(name)) else row["weight_bytes"]


def _pass(row: dict) -> tuple:
    seconds, chip = pass_seconds(row), find_chip(row["chip"])
    return seconds, *pass_interval(row["kind"], chip, chip.compute_dtype(_weights(row)), seconds)[:2]


def _serving(row: dict) -> tuple:
    weights = _float_dtype(row["weights"])
    done = serve(_shape(row), row["chip"], row["chips"], row.get("concurrency", row["batch"]), row["prompt"], row["output"], weights,
                 row.get("kv", assumed_cache(weights)), attention_data=max(1, row.get("attention_data", 1)), software=row.get("software"),
                 pipeline=max(1, row.get("pipeline", 1)))
    return done.seconds_per_output_token, done.low, done.high


def _training(row: dict) -> dict:
    """The row in the columns of training_steps.csv: whole numbers whole, None where nothing is stated."""
    kinds = schema("training_steps")["columns"]
    stated = {"as_of": str(row.get("date", "2024")), "basis": "model_full", **row}
    stated["quantity"] = _ours("training quantity").get(row["quantity"], row["quantity"])
    if "params_b" in row:
        stated["params"] = 1e9 * row["params_b"]
    if row.get("batch_unit") == "sequences":
        stated["sequences"] = row["batch"]
    stated |= {"recompute": row.get("recompute") if row.get("recompute") in REPEATED else None, "dtype": _float_dtype(row.get("dtype"))}
    return {c: _whole(stated.get(c)) if kind == "int?" else stated.get(c) for c, kind in kinds.items()}


def _whole(value) -> int | None:
    return None if value is None or isinstance(value, str) else int(value)


def _gemm(row: dict) -> tuple:
    dtype = _float_dtype(row["dtype"])
    seconds, (low, high, _) = gemm_seconds(row["chip"], row["m"], row["n"], row["k"], dtype), interval("gemm", row["chip"], dtype)
    return seconds, seconds * low, seconds * high


PREDICTORS = {"decode": _pass, "prefill": _pass, "serving": _serving, "gemm": _gemm}


def predicted(row: dict) -> tuple[float, float, float]:
    """(predicted, low, high) of one row as `normal` gives it, in its own quantity and unit."""
    scale = UNITS.get(row.get("unit"), 1.0)
    if row["kind"] == "training":
        from .train_calibration import predict_training

        return tuple(value / scale for value in predict_training(_training(row)))
    quantity = _ours("quantity").get(row["quantity"], row["quantity"])
    if quantity not in QUANTITIES:
        raise BadValue(f"quantity={row['quantity']!r}: one of {', '.join((*QUANTITIES, *_ours('quantity')))} is needed")
    central, *ends = (QUANTITIES[quantity](seconds, row) / scale for seconds in PREDICTORS[row["kind"]](row))
    return central, min(ends), max(ends)


def predict(measurements):
    """Predict every row of a table of measurements.

    Parameters
    ----------
    measurements : pandas.DataFrame
        One measurement a row, in the columns of data/measurements.csv (or serving, training_steps, gemm). Names of
        models that the catalogue lacks need their shape in columns.

    Returns
    -------
    pandas.DataFrame
        The same rows and index with ``predicted``, ``low``, ``high`` (an 80 % interval) in the unit of the row, ``error``
        (predicted over measured, less one; nan where nothing was measured), and ``problem``: why a row has no
        prediction, else empty.

    Examples
    --------
    >>> import pandas as pd
    >>> row = dict(phase="decode", model="Llama 2 7B", chip="A100 SXM 80GB", chips=1, batch=1, context=105, weights="bf16",
    ...            quantity="tokens_per_second_per_user", value=104.9, unit="token/s")
    >>> found = predict(pd.DataFrame([row])).iloc[0]
    >>> bool(found.low < found.value < found.high)
    True
    """
    import pandas as pd

    rows = []
    for raw in measurements.to_dict("records"):
        try:
            row = normal(raw)
            found = tuple(map(float, predicted(row)))
            rows.append((*found, found[0] / float(row.get("value", np.nan)) - 1.0, ""))
        except (ValueError, KeyError) as error:
            why = f"column {error} is needed" if type(error) is KeyError else str(error)
            rows.append((np.nan, np.nan, np.nan, np.nan, why))
    return measurements.assign(**pd.DataFrame(rows, columns=["predicted", "low", "high", "error", "problem"], index=measurements.index))


def validated():
    """Errors of the predictions on rows that were left out of the fit, as `make validate` found them.

    Returns
    -------
    pandas.DataFrame
        One line per kind of row and way of leaving out: n, runs, mean, median and worst absolute relative error, 90 %
        bootstrap intervals, coverage of the 80 % intervals, the textbook's error, target, and whether it is met (None where
        fewer than 30 rows are reported but not judged). ``attrs["as_of"]`` is the day.
    """
    import pandas as pd

    found = json.loads((DATA / "validation.json").read_text(encoding="utf8"))
    frame = pd.DataFrame(found["figures"])
    frame.attrs["as_of"] = found["as_of"]
    return frame
