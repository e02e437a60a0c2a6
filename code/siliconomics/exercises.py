"""The check that a reader calls on the answer to an exercise: right, or what kind of wrong."""
from __future__ import annotations

import base64
import hashlib
import json
import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from .checks import known, scalar

TOLERANCE = 0.01
STORED = Path(__file__).parent / "data" / "answers.json"
SLIPS = {  # factor between a wrong answer and the right one -> what usually causes it
    2.0: "a factor of 2: sparse or dense peak, per direction or both, multiply and add, key and value?",
    8.0: "a factor of 8: bits or bytes, one chip or a server of eight?",
    4.0: "a factor of 4: the data type's width, or two factors of 2?",
    16.0: "a factor of 16: bits or bytes, and a factor of 2 beside it?",
    1e3: "a factor of 1,000: check the prefix (ms or s, GB or TB)",
    1e6: "a factor of 1,000,000: check the prefixes",
    1e9: "a factor of 1,000,000,000: check the prefixes (giga, nano)",
    1e12: "a factor of 1e12: check the prefixes (tera, pico)",
    100.0: "a factor of 100: a fraction or a percentage?",
    10.0: "a factor of 10: a power of ten is lost",
    1.024: "2.4 %: kB (1e3) or KiB (2**10)?",
    1.024**2: "5 %: MB (1e6) or MiB (2**20)?",
    1.024**3: "7 %: GB (1e9) or GiB (2**30)?",
    1.024**4: "10 %: TB (1e12) or TiB (2**40)?",
    12.0: "a factor of 12: months or years?",
    24.0: "a factor of 24: hours or days?",
    60.0: "a factor of 60: seconds or minutes, minutes or hours?",
    3600.0: "a factor of 3,600: seconds or hours?",
}


@dataclass(frozen=True)
class Feedback:
    """Whether an answer is right, and if not what kind of slip it looks like. It never tells the answer."""

    right: bool
    message: str

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return self.message


def veiled(id: str, value: float) -> str:
    """The answer of one exercise as the package stores it: eight bytes that a glance does not read."""
    mask = hashlib.sha256(id.encode()).digest()
    return base64.b64encode(bytes(a ^ b for a, b in zip(struct.pack(">d", value), mask))).decode()


def _unveiled(id: str, stored: str) -> float:
    mask = hashlib.sha256(id.encode()).digest()
    return struct.unpack(">d", bytes(a ^ b for a, b in zip(base64.b64decode(stored), mask)))[0]


@cache
def stored() -> dict[str, str]:
    """The answers as the package holds them, by exercise."""
    return json.loads(STORED.read_text(encoding="utf-8"))


def _right(id: str) -> float:
    return _unveiled(id, stored()[id])


def _slip(answer: float, right: float) -> str:
    ratio = answer / right
    if ratio <= 0:
        return "it must be positive"
    for factor, hint in SLIPS.items():
        if min(abs(ratio / factor - 1), abs(ratio * factor - 1)) <= _width(factor):
            return f"off by {hint}"
    if abs(answer * right - 1) <= TOLERANCE:
        return "it is upside down: one over the answer"
    return "too large" if ratio > 1 else "too small"


def _width(factor: float) -> float:
    """How near a ratio must come to `factor`: the binary prefixes stand close together."""
    return TOLERANCE if factor > 1.1 else TOLERANCE / 10


def judge(id: str, answer: float, right: float) -> Feedback:
    """Compare a number with the right one, to 1 %."""
    if abs(answer / right - 1) <= TOLERANCE:
        return Feedback(True, f"{id}: right")
    return Feedback(False, f"{id}: not yet, {_slip(answer, right)}")


def check(id: str, answer) -> Feedback:
    """Compare an answer with the key, to 1 %.

    Parameters
    ----------
    id : str
        For example "07.3".
    answer : float
        One number, in the unit that the exercise asks for; `...` stands for no answer yet.

    Returns
    -------
    Feedback
        True in a condition if right; shows as one line.

    Raises
    ------
    UnknownName
        If there is no such exercise.
    BadValue
        If the answer is not one finite number.
    """
    known("exercise", id, stored())
    if answer is ...:
        return Feedback(False, f"{id}: no answer yet")
    negative = isinstance(answer, (int, float, np.floating)) and -np.inf < answer < 0
    number = -1.0 if negative else scalar("answer", answer, zero=True)
    return judge(id, number, _right(id))
