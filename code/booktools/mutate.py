"""Do the fast tests notice a wrong formula? Change one operator or number at a time and run them.

cosmic-ray makes the mutants and runs them; here a sample is drawn, mutants that cannot differ are left out, two workers
test the rest on copies of the tree, and `tests/bench/mutation.json` gets the result. Compiled code is mutated as plain
Python (NUMBA_DISABLE_JIT=1). Started by `make mutate` in an environment of its own, which holds cosmic-ray.
"""
from __future__ import annotations

import ast
import datetime
import functools
import json
import os
import random
import shlex
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

MODULES = ("kernels", "roofline", "transformer", "decode", "training", "fab")
SAMPLE, SEED, WORKERS, MINUTES, WANTED = 300, 20261124, 2, 25, 0.90
PYTEST = "-m pytest -x -q -p no:cacheprovider --no-header --tb=line"
FAST = ("unit/test_mutants.py", "unit/test_fab.py", "unit/test_kernels.py", "published/test_formula_checks.py", "published/test_fab_published.py",
        "unit/test_broadcast.py", "unit/test_units.py", "unit/test_hf_config.py", "unit/test_train_step.py", "published/test_train_step_published.py",
        "published/test_rivals.py", "published/test_speculative.py", "unit/test_disaggregate.py", "unit/test_errors.py")
NEEDS_COMPILER = ("unit/test_kernels.py::test_every_formula_has_a_twin", "unit/test_kernels.py::test_same_numbers_without_the_compiler")
NO_DIFFERENCE = ("kernel", "cache")  # decorators: the first does nothing without the compiler, the second changes no result
REPORT = Path("tests", "bench", "mutation.json")


# --- which mutants ---------------------------------------------------------------------------------------------------

@functools.cache
def annotation_spans(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where annotations stand, as (line, column) pairs: they are never evaluated, so a changed one cannot be noticed."""
    found = []
    for node in ast.walk(ast.parse(source)):
        found += [part for part in (getattr(node, "annotation", None), getattr(node, "returns", None)) if isinstance(part, ast.expr)]
    return [((part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)) for part in found]


def can_differ(mutation, source: str) -> bool:
    """Whether any test could see this mutation."""
    if "RemoveDecorator" in mutation.operator_name:
        line = source.splitlines()[mutation.start_pos[0] - 1]
        return line.strip().lstrip("@") not in NO_DIFFERENCE
    return not any(start <= mutation.start_pos < end for start, end in annotation_spans(source))


def population(root: Path) -> list:
    """All mutations of the modules, in a fixed order."""
    from cosmic_ray.commands.init import init
    from cosmic_ray.work_db import WorkDB, use_db

    paths = [path for module in MODULES if (path := root / "code" / "siliconomics" / f"{module}.py").exists()]
    with tempfile.TemporaryDirectory() as folder, use_db(f"{folder}/mutants.sqlite", WorkDB.Mode.create) as database:
        init(paths, database, {})
        mutations = [mutation for item in database.work_items for mutation in item.mutations]
    sources = {path: path.read_text(encoding="utf-8") for path in paths}
    kept = [m for m in mutations if can_differ(m, sources[m.module_path])]
    return sorted(kept, key=lambda m: (m.module_path.name, m.operator_name, m.occurrence))


# --- testing one -----------------------------------------------------------------------------------------------------

def test_command() -> str:
    tests = [f"tests/{name}" for name in FAST if Path("tests", name).exists()]
    return f"{shlex.quote(sys.executable)} {PYTEST} {' '.join(tests)} {' '.join(f'--deselect tests/{name}' for name in NEEDS_COMPILER)}"


def enter_copy(root: Path, folder: Path) -> None:
    """Move this worker process into a copy of the tree of its own."""
    copy = Path(tempfile.mkdtemp(dir=folder))
    skipped = shutil.ignore_patterns("__pycache__", "*.egg-info", "site", "notebooks")
    for name in ("code", "tests"):
        shutil.copytree(root / name, copy / name, ignore=skipped)
    shutil.copy(root / "pyproject.toml", copy)
    os.chdir(copy)
    os.environ |= {"PYTHONPATH": str(copy / "code"), "NUMBA_DISABLE_JIT": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def baseline() -> tuple[str, float]:
    """What the tests say of the unchanged copy ("" when they pass), and the seconds that they take."""
    from cosmic_ray.testing import TestOutcome, run_tests

    start = time.monotonic()
    outcome, output = run_tests(test_command(), 120)
    return ("" if outcome == TestOutcome.SURVIVED else output), time.monotonic() - start


def outcome(mutation, root: Path, timeout: float, end: float) -> dict | None:
    """Test one mutation in this worker's copy; None when the time is over."""
    if time.time() > end:
        return None
    from attrs import evolve
    from cosmic_ray.mutating import mutate_and_test

    here = mutation.module_path.relative_to(root)
    result = mutate_and_test([evolve(mutation, module_path=here)], test_command(), timeout)
    if result.test_outcome is None or result.test_outcome == "incompetent":
        raise RuntimeError(f"{here}:{mutation.start_pos[0]} {mutation.operator_name}: {result.output}")
    changed = [line for line in result.diff.splitlines() if line[:1] in "+-" and line[:3] not in ("---", "+++")]
    return {"killed": result.is_killed, "module": here.stem, "at": f"{here.as_posix()}:{mutation.start_pos[0]}",
            "function": mutation.definition_name or "", "operator": mutation.operator_name.removeprefix("core/"),
            "before": next((line[1:].strip() for line in changed if line[0] == "-"), ""),
            "after": next((line[1:].strip() for line in changed if line[0] == "+"), "")}


# --- all of them -----------------------------------------------------------------------------------------------------

def run(root: Path, mutations: list, minutes: float) -> list[dict]:
    """Outcomes of `mutations`, in their order; those not begun when the time is over are left out."""
    end, done = time.time() + 60 * minutes, {}
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(WORKERS, initializer=enter_copy, initargs=(root, Path(folder))) as pool:
        failure, seconds = pool.submit(baseline).result()
        if failure:
            raise SystemExit(f"the tests fail on the unchanged tree, so that a red test would prove nothing:\n{failure[-3000:]}")
        print(f"{len(mutations)} mutants, {seconds:.1f} s for those that no test notices", flush=True)
        futures = {pool.submit(outcome, mutation, root, 20 + 5 * seconds, end): n for n, mutation in enumerate(mutations)}
        for future in as_completed(futures):
            if (result := future.result()) is not None:
                done[futures[future]] = result
                _tell(done, len(mutations), end)
    return [done[n] for n in sorted(done)]


def _tell(done: dict, asked: int, end: float) -> None:
    last = list(done.values())[-1]
    if not last["killed"]:
        print(f"  survived: {last['at']}  {last['before']}  ->  {last['after']}", flush=True)
    if len(done) % 20 == 0 or len(done) == asked:
        killed = sum(result["killed"] for result in done.values())
        print(f"{len(done)} of {asked}, {killed} killed, {max(0.0, end - time.time()) / 60:.0f} minutes left at most", flush=True)


def report(results: list[dict], asked: int, population_size: int, seed: int, former: dict) -> dict:
    """The contents of mutation.json; explanations are carried over from the former one, also of survivors not drawn this time."""
    key = ("function", "before", "after")
    explained = {tuple(s[k] for k in key): s["explained"] for s in former.get("known", []) + former.get("survivors", []) if s["explained"]}
    survivors = [{k: v for k, v in result.items() if k not in ("killed", "module")} for result in results if not result["killed"]]
    for survivor in survivors:
        survivor["explained"] = explained.get(tuple(survivor[k] for k in key), "")
    modules = {name: [r["killed"] for r in results if r["module"] == name] for name in MODULES}
    killed = len(results) - len(survivors)
    return {"date": datetime.date.today().isoformat(), "seed": seed, "mutants": population_size, "sampled": asked, "tested": len(results),
            "killed": killed, "share": round(killed / len(results), 4),
            "modules": {name: {"tested": len(k), "killed": sum(k)} for name, k in modules.items() if k},
            "survivors": sorted(survivors, key=lambda s: (s["at"], s["after"])),
            "known": [dict(zip(key, which)) | {"explained": why} for which, why in sorted(explained.items())]}


def main(root: Path, sample: int = SAMPLE, seed: int = SEED, minutes: float = MINUTES) -> int:
    """Test a sample of mutants, write the report, and return 1 when too many survive, a survivor stands unexplained or the time did not suffice."""
    file = root / REPORT
    everything = population(root)
    chosen = random.Random(seed).sample(everything, min(sample, len(everything)))
    former = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    made = report(run(root, chosen, minutes), len(chosen), len(everything), seed, former)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
    open_ones = [s["at"] for s in made["survivors"] if not s["explained"]]
    print(f"{made['killed']} of {made['tested']} killed ({made['share']:.1%}), {len(open_ones)} survivors without an explanation: {REPORT}")
    if made["tested"] < made["sampled"]:
        print(f"the time was over after {made['tested']} of {made['sampled']}: the share is that of a part of the sample")
    return int(made["share"] < WANTED or bool(open_ones) or made["tested"] < made["sampled"])


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parents[2], *(int(word) for word in sys.argv[1:])))
