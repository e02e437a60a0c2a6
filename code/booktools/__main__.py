"""The commands of the book: `python -m booktools COMMAND`, or `python code/booktools COMMAND` before anything is installed."""
from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # started as a folder: put code/ in place of code/booktools/
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from booktools import tasks  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
BARE = ("setup", "lock", "spell", "clean")  # commands that any Python can run


def usage() -> str:
    lines = [f"  {name:12} {(function.__doc__ or '').splitlines()[0]}" for name, function in tasks.COMMANDS.items()]
    return "\n".join(["usage: python -m booktools COMMAND [CHAPTER, GATE or pytest argument ...]", "", *lines])


def main(words: list[str]) -> int:
    if not words or words[0] not in tasks.COMMANDS:
        print(usage())
        return 0 if not words or words[0] in ("-h", "--help", "help") else 2
    if not __package__ and words[0] not in BARE:  # without make: the environment is made when it is missing
        python = tasks.venv_python(ROOT / ".venv")
        if not (ROOT / ".venv" / ".ok").exists():
            tasks.setup(ROOT)
        return tasks.call(python, "-m", "booktools", *words, cwd=ROOT)
    return tasks.COMMANDS[words[0]](ROOT, *words[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
