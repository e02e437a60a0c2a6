"""Take the notebooks of a problem set out of the home folders of a hub's users."""
from __future__ import annotations

import argparse
import glob
import os
from pathlib import Path

LARGEST = 20_000_000  # bytes of a notebook; charts and tables stay far below


def take(home: Path, name: str) -> bytes:
    """The bytes of a file in a home folder, if it is a plain file of that home's owner: a link could lead anywhere."""
    descriptor = os.open(home / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if found.st_uid != home.stat().st_uid or found.st_nlink != 1 or not os.path.isfile(file.fileno()):
            raise PermissionError(f"{home / name} is not a plain file of its owner")
        if found.st_size > LARGEST:
            raise PermissionError(f"{home / name} has {found.st_size:,} bytes")
        return file.read(LARGEST)


def main(words: tuple[str, ...]) -> int:
    parser = argparse.ArgumentParser(prog="python -m booktools collect", description=__doc__)
    parser.add_argument("set", help="set1 to set6")
    parser.add_argument("homes", help="pattern of the home folders, quoted: '/home/jupyter-*'")
    parser.add_argument("out", type=Path, help="where the submissions go, USER.ipynb")
    parser.add_argument("--folder", default="siliconomics-course", help="folder in each home that holds the set (default %(default)s)")
    asked = parser.parse_args(words)
    homes, taken = sorted(map(Path, glob.glob(asked.homes))), 0
    asked.out.mkdir(parents=True, exist_ok=True)
    for home in homes:
        try:
            data = take(home, f"{asked.folder}/{asked.set}.ipynb")
        except OSError as error:
            print(f"{home.name}: {error.strerror or error}")
            continue
        (asked.out / f"{home.name.removeprefix('jupyter-')}.ipynb").write_bytes(data)
        taken += 1
    print(f"{taken} of {len(homes)} users handed in {asked.set}")
    return 0
