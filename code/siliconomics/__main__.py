"""The package from a command line: `python -m siliconomics decode --model "Llama 3.1 8B" --chip "H100 SXM" --batch 32`.

A command takes the arguments of the function it calls, so that it can neither lack one nor change a default.
"""
import argparse
import ast
import dataclasses
import inspect
import json
import math
from collections.abc import Mapping

import siliconomics as si

COMMANDS = {"decode": si.decode, "prefill": si.prefill, "serve": si.serve, "train": si.train_run, "step": si.train_step,
            "chip": si.chip, "model": si.model, "verdict": si.verdict}


def value(text: str):
    """A number, True or a list of numbers where the text is one; else the text itself, a name or a data type."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def plain(thing):
    """What JSON can hold: fields and properties of a result, lists for arrays, null for what is not known."""
    if dataclasses.is_dataclass(thing):
        return plain({name: getattr(thing, name) for name in dir(thing) if name[0] != "_" and not callable(getattr(thing, name))})
    if isinstance(thing, Mapping):
        return {str(key): plain(part) for key, part in thing.items()}
    thing = thing.tolist() if hasattr(thing, "tolist") else thing
    if isinstance(thing, (list, tuple)):
        return [plain(part) for part in thing]
    return None if isinstance(thing, float) and not math.isfinite(thing) else thing


def _add(parsers, name: str, function) -> None:
    about = inspect.getdoc(function)
    parser = parsers.add_parser(name, help=about.splitlines()[0].replace("%", "%%"), description=about,  # argparse fills in after a %
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted = [p for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD]
    for given in wanted:
        needed = given.default is given.empty
        how = {"required": True, "help": "needed"} if needed else {"default": given.default, "help": f"default {given.default}"}
        name, how = (given.name, {}) if len(wanted) == 1 else (f"--{given.name.replace('_', '-')}", {**how, "metavar": "VALUE"})
        parser.add_argument(name, type=value, **how)
    parser.add_argument("--json", action="store_true", help="print every number of the result")


def main(words=None) -> int:
    """Run one command and return its exit status: 2 for a wrong argument, with one line that says what would be right."""
    parser = argparse.ArgumentParser(prog="siliconomics", description=si.__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=si.__version__)
    parsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, function in COMMANDS.items():
        _add(parsers, name, function)
    given = vars(parser.parse_args(words))
    command, as_json = given.pop("command"), given.pop("json")
    try:
        result = COMMANDS[command](**given)
    except (KeyError, ValueError) as error:
        parser.exit(2, f"siliconomics {command}: {error}\n")
    print(json.dumps(plain(result), indent=1, allow_nan=False) if as_json else result)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
