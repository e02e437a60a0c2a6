"""How wrong are the predictions? Errors on rows whose whole group was left out of the fit, for chapter 9 and the status page.

``python -m siliconomics.validation`` computes them (about a minute) and writes data/validation.json and validation.csv.
"""
from __future__ import annotations

import json

import numpy as np

from . import fit_kernels, fit_serving, fit_training
from .calibrate import family
from .catalog import chip as find_chip
from .decode import decode
from .fit_kernels import limits
from .fit_serving import setting
from .kernels import attainable
from .kernels import plain as formula
from .tables import DATA, write

AS_OF = "2026-11-26"
FEWEST = 30  # rows below which an error is reported, not judged
TARGETS = {"serving, dense": (0.15, 0.09), "serving, experts": (0.25, 0.15), "decode, one chip, 16 bit": (0.10, 0.06),
           "product, bf16": (0.11, 0.09), "product, fp8": (0.11, 0.09), "training, Megatron": (0.025, None), "training, dense": (0.12, None)}
SIXTEEN = ("bf16", "fp16")


def error(ratio) -> np.ndarray:
    """Absolute relative error of predictions from predicted over measured."""
    return np.abs(np.asarray(ratio) - 1.0)


def bootstrap(errors: np.ndarray, runs, statistic, draws: int = 1000) -> tuple[float, float]:
    """90 % interval of a statistic of errors when what errs together is drawn again together: settings, shapes or runs."""
    rng, members = np.random.default_rng(2026), {}
    for i, run in enumerate(runs):
        members.setdefault(run, []).append(i)
    groups = list(members.values())
    drawn = [statistic(errors[np.concatenate([groups[g] for g in rng.integers(len(groups), size=len(groups))])]) for _ in range(draws)]
    return tuple(np.quantile(drawn, (0.05, 0.95)))


def others_limits(groups, ratio, units=None) -> dict:
    """80 % limits of measured over predicted for each group, from the rows of the other groups; `units` err together."""
    groups, turned = np.asarray(groups), 1.0 / np.asarray(ratio)
    units = groups if units is None else np.asarray(units)
    return {g: limits(turned[groups != g], units[groups != g]) for g in dict.fromkeys(groups.tolist())}


def coverage(groups, ratio, units=None) -> float:
    """Share of rows inside an 80 % interval that the other groups gave."""
    ends = others_limits(groups, ratio, units)
    return float(np.mean([ends[g][0] <= 1.0 / r <= ends[g][1] for g, r in zip(groups, ratio)]))


def figure(rows: str, left_out: str, ratio, runs, groups=(), textbook=None, units=None) -> dict:
    """One line: the errors of predictions over measurements, with intervals, the textbook's and the target.

    `units` err together inside the `groups` that were left out, see `fit_kernels.limits`.
    """
    off, runs = error(ratio), list(runs)
    goal = TARGETS.get(rows, (None, None))
    line = {"rows": rows, "left_out": left_out, "n": len(off), "drawn": len(set(runs)), "mean": off.mean(), "median": np.median(off),
            "worst": off.max(), "mean_interval": bootstrap(off, runs, np.mean), "median_interval": bootstrap(off, runs, np.median),
            "target_mean": goal[0], "target_median": goal[1], "met": None,
            "coverage": coverage(groups, ratio, units) if len(set(groups)) > 1 else None}
    if textbook is not None:
        line |= {"textbook_mean": error(textbook).mean(), "textbook_median": np.median(error(textbook))}
    if goal[0] and len(off) >= FEWEST and left_out != "family":  # the targets are for chips, whose relatives may be known
        line["met"] = bool(line["mean"] <= goal[0] and (goal[1] is None or line["median"] <= goal[1]))
    return line


def _textbook(row: dict) -> float:
    """Predicted over measured of a served row by the textbook's roofline."""
    bound = decode(row["model"], row["chip"], row["chips"], row["concurrency"], row["prompt"] + row["output"] / 2, row["weights"], stack="overlap")
    return bound.seconds / row["tpot_seconds"]


def serving() -> tuple[list, list]:
    """(lines, rows of the table)."""
    lines, out = [], []
    for column in fit_serving.GROUPS:
        done = fit_serving.left_out(column)
        for experts, kind in ((False, "serving, dense"), (True, "serving, experts")):
            some = [row for row in done if row["experts"] == experts]
            ratio, groups = [r["predicted"] / r["tpot_seconds"] for r in some], [r[column] for r in some]
            textbook = [_textbook(r) for r in some]
            lines.append(figure(kind, column, ratio, map(setting, some), groups, textbook, [setting(r) for r in some]))
            if column == "model":
                out += _rows("serving", some, ratio, groups, "tpot_seconds", textbook)
    return lines, out


def _rows(table: str, rows, ratio, groups, measured: str, textbook) -> list[dict]:
    ends = others_limits(groups, ratio, None if table == "training_steps" else [setting(r) for r in rows])
    return [dict(table=table, id=row["id"], measured=row[measured], predicted=r * row[measured], low=r * row[measured] * ends[g][0],
                 high=r * row[measured] * ends[g][1], textbook=None if t is None else t * row[measured], source=";".join(np.atleast_1d(row["source"])),
                 as_of=AS_OF, confidence="derived") for row, r, g, t in zip(rows, ratio, groups, textbook)]


def passes() -> tuple[list, list]:
    """Decode and prefill runs. No constant is fitted to them; the sources are left out for the intervals alone."""
    lines, out = [], []
    for phase in ("decode", "prefill"):
        done = fit_serving.passes(phase)
        kinds = {f"{phase}, one chip, 16 bit": lambda r: r["chips"] == 1 and r["weights"] in SIXTEEN,
                 f"{phase}, one chip, fewer bits": lambda r: r["chips"] == 1 and r["weights"] not in SIXTEEN,
                 f"{phase}, several chips": lambda r: r["chips"] > 1}
        for kind, belongs in kinds.items():
            some = [row for row in done if belongs(row)]
            ratio, groups = [r["predicted"] / r["seconds"] for r in some], [r["source"][0] for r in some]
            bound = None if phase == "prefill" else [decode(r["model"], r["chip"], r["chips"], r["batch"], r["context"], r["weight_bytes"],
                                                            stack="overlap").seconds / r["seconds"] for r in some]
            lines.append(figure(kind, "nothing fitted", ratio, [r["id"] for r in some], groups, bound, [setting(r) for r in some]))
            out += _rows(phase, some, ratio, groups, "seconds", bound or [None] * len(some))
    return lines, out


def kernels() -> list:
    """Products, attention and all-reduces of chips left out: with all other chips fitted, with the sisters of its family alone
    (with all others where it has none), and with its whole family left out."""
    lines, names = [], {"gemm": "product", "attention": "decode attention", "all_reduce": "all-reduce", "elementwise": "small operations"}
    for component, dtype in fit_kernels.MEASURED:
        held = fit_kernels.leave_one_out(component, dtype)
        by_step = {step: {h["chip"]: h for h in held if h["step"] == step} for step in ("others", "family", "vendor")}
        for left_out, some in (("chip", by_step["others"]), ("chip, sisters fitted", by_step["vendor"] | by_step["family"]), ("family", by_step["vendor"])):
            if left_out != "chip" and not by_step["family"]:
                continue  # no measured chip has a sister there: all three would be the same
            rows = [h["rows"] for h in some.values()]
            ratio = np.concatenate([h["predicted"] / h["rows"].seconds for h in some.values()])
            shapes = np.concatenate([np.stack(r.arguments[1:3], axis=1) if component == "gemm" else r.arguments[0][:, None] for r in rows])
            textbook = np.concatenate([_roofline(*r.arguments) / r.seconds for r in rows]) if component == "gemm" else None
            chips = np.concatenate([r.chip for r in rows]).tolist()
            groups = [family(find_chip(name)) for name in chips] if left_out == "family" else chips
            lines.append(figure(names[component] + (f", {dtype}" if component == "gemm" else ""), left_out, ratio, map(tuple, shapes.tolist()),
                                groups, textbook, chips))
    return lines


def _roofline(m, n, k, activation, weight, quantise, peak, bandwidth):
    """Seconds of products at peak rates."""
    flops, moved = 2 * m * n * k, activation * m * k + weight * n * k + 2 * m * n
    return flops / formula(attainable)(flops / moved, peak, bandwidth)


def training() -> tuple[list, list]:
    """Training steps: the eight of Megatron with their model and with their publication left out, all others by source and chip."""
    lines, out = [], []
    for name, group in (("model", fit_training.by_model), ("source", fit_training.by_source), ("chip", fit_training.by_chip)):
        done = fit_training.left_out(group, "korthikanti2022" if name == "model" else "")
        kinds = {"training, Megatron": lambda case: fit_training.by_source(case) == "korthikanti2022",
                 "training, dense": lambda case: not case[1][0].moe_layers and fit_training.by_source(case) != "korthikanti2022",
                 "training, experts": lambda case: bool(case[1][0].moe_layers)}
        for kind, belongs in kinds.items():
            some = [(case, np.exp(e)) for case, e in done if belongs(case)]
            if (kind == "training, Megatron", name) not in ((True, "chip"), (False, "model")):
                rows, groups = [case[0] for case, _ in some], [group(case) for case, _ in some]
                ratio = [r for _, r in some]
                lines.append(figure(kind, name, ratio, [row["run"] for row in rows], groups))
                if name == ("model" if kind == "training, Megatron" else "source"):
                    timed = [row | {"seconds": fit_training.quantity(case[0], case[1], case[0]["value"])} for row, (case, _) in zip(rows, some)]
                    out += _rows("training_steps", timed, ratio, groups, "seconds", [None] * len(some))
    return lines, out


def main() -> None:
    """Compute everything and write both files."""
    served, single, trained = serving(), passes(), training()
    lines = served[0] + single[0] + kernels() + trained[0]
    short = json.loads(json.dumps({"as_of": AS_OF, "figures": lines}, default=float), parse_float=lambda digits: float(f"{float(digits):.4g}"))
    (DATA / "validation.json").write_text(json.dumps(short, indent=1, sort_keys=True) + "\n", encoding="utf-8", newline="\n")
    rows = served[1] + single[1] + trained[1]
    write(DATA / "validation.csv", "validation", [{k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows])
    print("\n".join(report(lines)))


def report(lines: list[dict]) -> list[str]:
    """What `make validate` prints: each figure on a line, then the runs that no prediction was made for, with the reason."""
    shown = [f"{line['rows']:30} {line['left_out']:21} {line['n']:6,} rows, mean {line['mean']:6.1%}, median {line['median']:6.1%}, worst {line['worst']:6.1%}" for line in lines]
    reasons = {}
    for id, why in (fit_serving.judged("decode")[1] | fit_serving.judged("prefill")[1]).items():
        reasons.setdefault(why, []).append(id)
    return shown + [f"not predicted, {why}: {', '.join(ids)}" for why, ids in reasons.items()]


if __name__ == "__main__":
    main()
