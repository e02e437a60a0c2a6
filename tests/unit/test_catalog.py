"""The data files obey their schema, every record loads and agrees with its maker's figure, every source is in the bibliography."""
import ast
import csv
import importlib
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
import siliconomics as si
from pybtex.database import parse_file
from siliconomics import tables
from siliconomics.tables import BadData, read

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "code" / "siliconomics"
SCHEMA = {name: tables.schema(name) for name in tables.names()}
CORE = ("kernels", "catalog", "roofline", "transformer", "training", "decode")
CHIPS, MODELS = list(si.chips().index), list(si.models().index)


def text(name: str) -> str:
    return (PACKAGE / "data" / f"{name}.csv").read_text(encoding="utf8")


def rows(name: str):
    return tables.table(name)


# --- schema ---------------------------------------------------------------------------------------------------------

def test_every_table_has_a_schema_and_every_schema_a_table():
    assert {path.stem for path in (PACKAGE / "data").glob("*.csv")} == set(SCHEMA)


@pytest.mark.parametrize("name", SCHEMA)
def test_table_obeys_its_schema(name):
    assert len(read(text(name), name)) == text(name).count("\n") - 1


def changed(name: str, column: str, value: str) -> str:
    """The table with one cell of its first row changed."""
    header, first, *rest = text(name).splitlines()
    cells = next(csv.reader([first]))
    cells[header.split(",").index(column)] = value
    return "\n".join([header, quoted(cells), *rest])


def quoted(cells) -> str:
    return ",".join('"' + c.replace('"', '""') + '"' for c in cells)


BAD_CELLS = [(name, column, value)
             for name, rules in SCHEMA.items() for column, kind in rules["columns"].items()
             for value in {"int": ("1.5", "-1", "many"), "number": ("fast", "-1", "nan", "inf"), "number?": ("fast", "-1", "nan"),
                           "numbers?": ("1;", "a;b"), "bool": ("True", "1", ""), "date": ("2026-13-41", "1.1.2026", ""), "confidence": ("sure", ""),
                           "month": ("2024-99", "May"), "sources": ("", "a b", "Epoch 2026"), "text": ("", " ")}.get(kind, ())]


@pytest.mark.parametrize("name, column, value", BAD_CELLS)
def test_a_bad_cell_is_named(name, column, value):
    with pytest.raises(BadData, match=rf"{name}\.csv.*"):
        read(changed(name, column, value), name)


@pytest.mark.parametrize("name", SCHEMA)
def test_a_changed_header_is_refused(name):
    header, rest = text(name).split("\n", 1)
    for other in (header.replace("a", "b", 1), header + ",more", header.rsplit(",", 1)[0], header.upper()):
        with pytest.raises(BadData, match=f"{name}.csv: header"):
            read(f"{other}\n{rest}", name)


@pytest.mark.parametrize("name", SCHEMA)
def test_a_repeated_key_or_a_missing_cell_is_refused(name):
    lines = text(name).splitlines()
    with pytest.raises(BadData, match="stands twice"):
        read("\n".join([*lines, lines[1]]), name)
    short = next(csv.reader([lines[1]]))[:-1]
    for cells in (short, [*short, "", ""]):
        with pytest.raises(BadData, match="columns"):
            read("\n".join([lines[0], quoted(cells), *lines[2:]]), name)


@pytest.mark.parametrize("before, after", [
    ("bandwidth,3.35e12,byte/s", "bandwidth,fast,byte/s"), ("bandwidth,3.35e12,byte/s", "bandwidth,-3.35e12,byte/s"),
    ("bandwidth,3.35e12,byte/s", "bandwidth,nan,byte/s"), ("bandwidth,3.35e12,byte/s", "bandwidth,3.35,TB/s"),
    ("bandwidth,3.35e12,byte/s", "bandwith,3.35e12,byte/s"), ("memory_bytes,8e10,byte,8e10,8.589935e10", "memory_bytes,8e10,byte,9e10,7e10"),
    ("memory_bytes,8e10,byte,8e10,8.589935e10", "memory_bytes,8e11,byte,8e10,8.589935e10")])
def test_a_bad_figure_of_a_chip_is_refused(before, after):
    assert f"H100 SXM,{before}" in text("accelerators")
    with pytest.raises(BadData, match="accelerators.csv"):
        read(text("accelerators").replace(f"H100 SXM,{before}", f"H100 SXM,{after}"), "accelerators")


# --- records --------------------------------------------------------------------------------------------------------

def test_there_are_enough_of_them():
    assert len(CHIPS) >= 30 and len(MODELS) >= 40


ASKED_FOR = ("V100", "A100", "H100", "H200", "B200", "B300", "TPU v2", "TPU v3", "TPU v4", "TPU v5e", "TPU v5p", "TPU v6e", "TPU v7", "MI250X", "MI300X",
             "MI325X", "MI355X", "Gaudi 2", "Gaudi 3", "Trainium2", "Trainium3")
FAMILIES = ("GPT-2", "GPT-3", "PaLM", "LLaMA-", "Llama 2", "Llama 3 ", "Llama 3.1", "Falcon", "MPT", "Mistral", "Mixtral", "DeepSeek-V3", "Qwen3 32B",
            "gpt-oss", "Megatron 22B", "MiniMax-M2.5")


@pytest.mark.parametrize("start", ASKED_FOR)
def test_chip_family_is_there(start):
    assert any(name.startswith(start) for name in CHIPS)


@pytest.mark.parametrize("start", FAMILIES)
def test_model_family_is_there(start):
    assert any(name.startswith(start) for name in MODELS)


@pytest.mark.parametrize("name", CHIPS)
def test_chip_loads(name):
    chip = si.chip(name)
    assert chip.name == name and chip.vendor and str(chip).startswith(name)
    sram = chip.memory_bytes == chip.sram_bytes  # no other memory: little of it, and fast
    low, high = (0.1, 10) if sram else (10, 1000)
    assert low < chip.ridge() < high and (1e8 if sram else 1e9) < chip.memory_bytes < 1e12 and 1e11 < chip.bandwidth < (1e17 if sram else 1e14)
    assert {"bf16", "fp16"} & set(chip.peak), "a 16-bit peak is what everything falls back on"


@pytest.mark.parametrize("name", CHIPS)
def test_narrower_numbers_are_not_slower(name):
    peak = si.chip(name).peak
    ladder = [peak[d] for d in ("fp32", "tf32", "bf16", "fp8", "fp4") if d in peak]
    assert all(wide <= 1.01 * narrow for wide, narrow in zip(ladder, ladder[1:]))


@pytest.mark.parametrize("peak, best", [
    ({"fp32": 9e12, "bf16": 1e12, "fp16": 2e12}, "fp16"), ({"fp16": 1e12, "bf16": 2e12}, "bf16"), ({"fp32": 1e12, "fp16": 2e12}, "fp16"),
    ({"fp8": 9e12, "bf16": 1e12}, "bf16"), ({"fp8": 9e12, "fp4": 1e12}, "fp8")], ids=str)
def test_best_16_bit_peak(peak, best):
    chip = si.Chip("mine", peak, 1e10, 1e12)
    assert chip.best_16bit == best and chip.ridge() == peak[best] / 1e12


@pytest.mark.parametrize("chip, weights, compute, used", [
    ("H100 SXM", "fp8", None, "fp8"), ("H100 SXM", "mxfp8", None, "fp8"), ("H100 SXM", "mxfp4", None, "bf16"), ("H100 SXM", "int4", None, "bf16"),
    ("B200 SXM", "mxfp4", None, "fp4"), ("B200 SXM", "nvfp4", None, "fp4"), ("A100 SXM 80GB", "fp8", None, "bf16"),
    ("A100 SXM 80GB", "int8", None, "int8"), ("A100 SXM 80GB", "int8", "bf16", "bf16"), ("V100 SXM2 16GB", "bf16", None, "fp16"),
    ("H100 SXM", 0.625, None, "bf16")], ids=str)
def test_which_peak_applies(chip, weights, compute, used):
    chip = si.chip(chip)
    assert chip.compute_dtype(weights, compute) == used
    step = si.decode("Llama 2 7B", chip, batch=1e9, context=0, weights=weights, compute=compute)
    assert step.mfu == pytest.approx(1) and step.tokens_per_second == pytest.approx(chip.peak[used] / (2 * si.model("Llama 2 7B").compute_params))


def test_scaled_six_bit_runs_on_a_six_bit_unit():
    assert si.Chip("mine", {"bf16": 1e12, "fp6": 2e12}, 1e10, 1e12).compute_dtype("mxfp6") == "fp6"


EXCEPTIONS = {  # the shape leaves something out on purpose, or the published figure is not the shape's
    "Gopher 280B": (0.08, "a relative-position matrix in each layer is not in the shape"),
    "Chinchilla 70B": (0.08, "a relative-position matrix in each layer is not in the shape"),
    "Llama 4 Scout": (0.012, "the published count includes the vision tower"),
    "Gemma 3 12B": (0.02, "the published count is rounded up and includes the vision tower"),
    "Kimi K2": (0.014, "the published count is rounded up"),
}


@pytest.mark.parametrize("row", rows("models"), ids=lambda row: row["name"])
def test_parameters_agree_with_the_maker(row):
    shape = si.model(row["name"])
    assert shape.attention == row["attention"].lower()
    allowed = EXCEPTIONS.get(row["name"], (0.01,))[0]
    assert row["params_published"] and abs(shape.params / row["params_published"] - 1) <= allowed


def test_exceptions_are_needed_and_explained_in_the_data():
    for name in EXCEPTIONS:
        row = si.models().loc[name]
        assert abs(row.params / row.params_published - 1) > 0.01 and len(row.note) > 20


ACTIVE_EXCEPTIONS = {  # published active counts leave out embeddings, or are rounded to whole billions
    "gpt-oss-20b": 0.17, "gpt-oss-120b": 0.12, "MiniMax-M2.5": 0.11, "Qwen3.5 397B-A17B": 0.14,
}


@pytest.mark.parametrize("row", [row for row in rows("models") if row["active_published"]], ids=lambda row: row["name"])
def test_active_parameters_agree_with_the_maker(row):
    shape = si.model(row["name"])
    assert shape.active_params < shape.params
    assert abs(shape.active_params / row["active_published"] - 1) <= ACTIVE_EXCEPTIONS.get(row["name"], 0.02)


def test_frames_carry_their_sources():
    for frame in (si.chips(), si.models(), si.chip_facts()):
        assert frame.source.map(bool).all()
    assert len(si.chip_facts("H100 SXM")) == (si.chip_facts().chip == "H100 SXM").sum() > 10
    assert si.chips().loc["H100 SXM", "bandwidth"] == si.chip("H100 SXM").bandwidth


# --- names ----------------------------------------------------------------------------------------------------------

def spellings(name):
    return {name, name.upper(), name.lower(), name.replace(" ", "-"), name.replace(" ", "_"), name.replace(" ", ""), name.replace("-", " "), f" {name} "}


@pytest.mark.parametrize("find, names", [(si.chip, CHIPS), (si.model, MODELS)])
def test_names_match_without_case_blank_dash_underscore(find, names):
    for name in names:
        assert {find(s).name for s in spellings(name)} == {name}


@pytest.mark.parametrize("find, kind", [(si.chip, "chip"), (si.model, "model")])
def test_aliases_resolve_or_name_their_candidates(find, kind):
    targets = {}
    for row in rows("aliases"):
        assert row["kind"] in ("chip", "model", "column", "phase", "quantity", "training quantity")
        if row["kind"] == kind:
            targets.setdefault(row["alias"], []).append(row["name"])
    for alias, names in targets.items():
        if len(names) == 1:
            assert find(alias).name == names[0]
        else:
            with pytest.raises(si.UnknownName) as caught:
                find(alias)
            assert all(name in str(caught.value) for name in names)


@pytest.mark.parametrize("alias, name", [("h100_sxm", "H100 SXM"), ("H100", "H100 SXM"), ("GB200", "GB200 (per GPU)"), ("tpu-v5e", "TPU v5e")])
def test_promised_chip_spellings(alias, name):
    assert si.chip(alias).name == name


@pytest.mark.parametrize("alias, name", [("meta-llama/Llama-3.1-70B", "Llama 3.1 70B"), ("Llama-2-70B", "Llama 2 70B"), ("llama2 70b", "Llama 2 70B")])
def test_promised_model_spellings(alias, name):
    assert si.model(alias).name == name


def test_a_record_passes_through():
    assert si.chip(si.chip("T4")) is si.chip("T4") and si.model(si.model("MPT-7B")) is si.model("MPT-7B")


# --- sources --------------------------------------------------------------------------------------------------------

BIB = ROOT / "book" / "references.bib"
KEYS = re.findall(r"^@\w+\{([^,\s]+),", BIB.read_text(encoding="utf8"), flags=re.M)


def test_bibliography_parses_and_defines_each_key_once():
    assert set(parse_file(BIB).entries) == set(KEYS) and len(KEYS) == len(set(KEYS))


@pytest.mark.parametrize("name", [name for name, rules in SCHEMA.items() if "source" in rules["columns"]])
def test_every_source_is_in_the_bibliography(name):
    columns = [c for c, kind in SCHEMA[name]["columns"].items() if kind.startswith("sources")]
    used = {key for row in rows(name) for column in columns for key in row[column] or ()}
    assert used - set(KEYS) == set()


def test_every_citation_is_in_the_bibliography():
    pages = [*ROOT.glob("book/**/*.md"), *ROOT.glob("chapters/*.ipynb")]
    cited = {key.strip() for page in pages for group in re.findall(r"\{cite[:a-z]*\}`([^`]+)`", page.read_text(encoding="utf8")) for key in group.split(",")}
    assert cited - set(KEYS) == set()


def test_measured_models_and_chips_are_in_the_catalogue():
    for row in rows("measurements"):
        assert si.model(row["model"]).name == row["model"] and si.chip(row["chip"]).name == row["chip"]
        assert row["quantity"] in ("tokens_per_second", "tokens_per_second_per_user", "seconds_per_token")


def test_measured_rows_are_physically_possible():
    from siliconomics.measurements import measured, measured_mbu
    for row in measured(phase="decode"):
        low, central, high = measured_mbu(row)
        assert 0 < low <= central <= high and low < 1.05, f"{row['id']}: {central:.0%} of the bandwidth that the chip has"


# --- the package itself ---------------------------------------------------------------------------------------------

def functions(module):
    tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def code_lines(module):
    """Lines that are neither blank, comment nor docstring: the budget must not be met by documenting less."""
    source = (PACKAGE / f"{module}.py").read_text(encoding="utf8")
    documented = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            documented.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines = enumerate(source.splitlines(), start=1)
    return sum(bool(line.strip()) and not line.lstrip().startswith("#") and n not in documented for n, line in lines)


FITS = ["fit_kernels", "fit_serving", "fit_training", "refit", "validation"]  # they rewrite data files; like claims and answer keys, outside the budget

TOP_FLOOR = ["charts", "claims", "exercises", "__main__"]  # they draw, judge, check and say what the floors below compute


def test_core_is_small():
    assert sum(map(code_lines, CORE)) <= 1000
    outside = [*FITS, *TOP_FLOOR, "machine_kernels"]  # the last: loops that are timed and what times them, no formula
    at_hand = [path.stem for path in PACKAGE.glob("*.py") if path.stem not in outside]
    assert sum(map(code_lines, at_hand)) <= 3000
    assert sum(map(code_lines, FITS)) <= 600
    assert code_lines("machine_kernels") <= 520


def test_no_fit_runs_when_a_time_is_computed():
    asked = "import sys, siliconomics as si; si.serve('DeepSeek-R1', 'MI300X', 8); si.decode('Llama 2 7B', 'TPU v5e', stack='calibrated'); " \
            f"print([m for m in {FITS} if 'siliconomics.' + m in sys.modules], 'scipy.optimize' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["[]", "False"]


def test_functions_are_short():
    modules = [path.stem for path in PACKAGE.glob("*.py")]
    assert statistics.median(function.end_lineno - function.lineno + 1 for m in modules for function in functions(m)) < 15


def test_public_names_exist_and_are_documented():
    for name in si.__all__:
        thing = getattr(si, name)
        assert isinstance(thing, dict) or thing.__doc__, name


def test_code_is_the_standard_library_module():
    assert importlib.import_module("code").InteractiveConsole
    assert not (ROOT / "code" / "__init__.py").exists()


QUIET = """
import socket, sys
def refuse(*a, **k): raise SystemExit("network used")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import siliconomics as si
si.decode("Llama 2 70B", "H100 SXM", 8, [1, 2]); si.mfu(1, "Llama 2 70B", "H100 SXM")
print([m for m in ("pandas", "altair", "xarray", "matplotlib") if m in sys.modules])
"""


def test_import_is_quiet():
    run = subprocess.run([sys.executable, "-c", QUIET], capture_output=True, text=True, check=True)
    assert (run.stdout.strip(), run.stderr) == ("[]", "")
