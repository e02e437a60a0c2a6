"""Fit the constants of data/efficiencies.csv again: ``python -m siliconomics.refit``.

The fits stand in `fit_kernels`, `fit_serving` and `fit_training`; `calibrate` and `train_calibration` read what is written here.
"""
import csv

from . import calibrate
from .tables import DATA, table, write


def rewrite(components, rows: list[dict]) -> None:
    """Put `rows` in the place of those of `components` in data/efficiencies.csv, and forget what was read of it."""
    path = DATA / "efficiencies.csv"
    old = list(csv.DictReader(path.read_text(encoding="utf8").splitlines())) if path.is_file() else []
    kept = [row for row in old if row["component"] not in components]
    write(path, "efficiencies", sorted(kept + rows, key=lambda row: row["component"]))
    for cached in (table, calibrate._stored, calibrate._looked_up, calibrate.stored):
        cached.cache_clear()


def entry(component, basis, group, dtype, constant, ends, rows, source, as_of, confidence="derived") -> dict:
    """A row of data/efficiencies.csv; `ends` are value, low and high."""
    value, low, high = (f"{x:.4g}" for x in ends)
    return dict(component=component, basis=basis, group=group, dtype=dtype, constant=constant, value=value, low=low, high=high, rows=rows,
                source=source, as_of=as_of, confidence=confidence)


def main() -> None:
    """Refit everything, kernels first: what engines add is fitted to the times that kernels leave unexplained."""
    from . import fit_kernels, fit_serving, fit_training

    rewrite(fit_kernels.FORMS, fit_kernels.refit())
    rewrite(("prompt_attention", "experts"), fit_kernels.share_rows())
    rewrite(("training",), fit_training.fit_rows())
    rewrite(("serving",), fit_serving.fit_rows())
    rewrite(("pass",), fit_serving.pass_rows())


if __name__ == "__main__":
    main()
