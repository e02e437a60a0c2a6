"""The command line says what the functions say, and one line where they refuse."""
import inspect
import json
import subprocess
import sys

import numpy as np
import pytest

import siliconomics as si
from siliconomics.__main__ import COMMANDS, main, plain, value

DECODE = ["decode", "--model", "Llama 2 70B", "--chip", "H100 SXM", "--chips", "8", "--batch", "64"]


def test_prints_the_summary(capsys):
    assert main([*DECODE, "--usd-per-chip-hour", "2"]) == 0
    assert capsys.readouterr().out == f"{si.decode('Llama 2 70B', 'H100 SXM', chips=8, batch=64, usd_per_chip_hour=2)}\n"


def test_prints_every_field_and_property_as_json(capsys):
    main([*DECODE, "--json"])
    printed, result = json.loads(capsys.readouterr().out), si.decode("Llama 2 70B", "H100 SXM", 8, 64)
    assert printed["seconds"] == result.seconds and printed["bound"] == "memory" and printed["usd_per_mtok"] is None
    main(["model", "Mixtral 8x7B", "--json"])
    assert json.loads(capsys.readouterr().out)["active_params"] == si.model("Mixtral 8x7B").active_params


def test_a_list_gives_a_list(capsys):
    main(["decode", "--model", "Llama 2 70B", "--chip", "H100 SXM", "--batch", "[1, 64]", "--json"])
    assert json.loads(capsys.readouterr().out)["seconds"] == si.decode("Llama 2 70B", "H100 SXM", batch=[1, 64]).seconds.tolist()


@pytest.mark.parametrize("words, says", [
    (["chip", "A100"], "'A100 SXM 40GB' or 'A100 SXM 80GB'"),
    (["verdict", "B999"], "nearest"),
    ([*DECODE[:3], "--chip", "H100 SXM", "--batch", "-1"], "batch=-1"),
    ([*DECODE[:3], "--chip", "H100 SXM", "--weights", "int3"], "int3"),
])
def test_a_wrong_argument_ends_in_one_line_and_status_2(words, says, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    printed = capsys.readouterr()
    assert ended.value.code == 2 and printed.out == "" and says in printed.err and printed.err.count("\n") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_every_argument_of_the_function(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(p.replace("_", "-") in text for p in inspect.signature(COMMANDS[name]).parameters if p != "inputs")
    assert inspect.getdoc(COMMANDS[name]).splitlines()[0] in text


def test_values():
    assert [value(t) for t in ("64", "2e12", "True", "[1, 2]", "bf16", "H100 SXM", "")] == [64, 2e12, True, [1, 2], "bf16", "H100 SXM", ""]


def test_json_holds_what_is_not_known_as_null():
    assert plain({"a": np.array([1.0, np.nan]), "b": (np.float64("inf"), np.int64(3)), "c": None}) == {"a": [1.0, None], "b": [None, 3], "c": None}


def test_every_row_of_the_catalogue_can_be_printed():
    for look, table in ((si.chip, si.chips()), (si.model, si.models())):
        assert [json.loads(json.dumps(plain(look(name)), allow_nan=False))["name"] for name in table.index] == list(table.index)


def test_starts_as_a_module():
    run = subprocess.run([sys.executable, "-m", "siliconomics", "--version"], capture_output=True, text=True)
    assert run.stdout == f"{si.__version__}\n"
