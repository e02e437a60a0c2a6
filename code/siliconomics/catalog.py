"""Chips and models by name, each figure with its source."""
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from . import kernels
from .checks import BadValue, MissingDtype, UnknownName, nearest, scalar
from .kernels import plain as formula
from .tables import BadData, frame, schema, table
from .transformer import Transformer

SIXTEEN_BIT = ("bf16", "fp16")
COMPUTE_OF = {"mxfp8": "fp8", "mxfp6": "fp6", "mxfp4": "fp4", "nvfp4": "fp4"}  # scaled formats run on the plain unit
MODEL_FIELDS = tuple(Transformer.__dataclass_fields__)


class Peaks(Mapping):
    """dtype -> dense FLOP/s of one chip; a missing dtype raises with those it has."""

    def __init__(self, chip: str, rates: Mapping[str, float]):
        self._chip, self._rates = chip, {d: scalar(f"peak[{d!r}]", r) for d, r in rates.items()}

    def __getitem__(self, dtype: str) -> float:
        if not isinstance(dtype, str) or dtype not in self._rates:
            raise MissingDtype(f"{self._chip} has no peak for dtype={dtype!r}; it has {', '.join(self._rates)}")
        return self._rates[dtype]

    def __iter__(self):
        return iter(self._rates)

    def __len__(self):
        return len(self._rates)

    def __hash__(self):
        return hash(frozenset(self._rates.items()))

    def __repr__(self):
        return repr(self._rates)


@dataclass(frozen=True)
class Chip:
    """One accelerator. Units: FLOP/s (dense), bytes, B/s (one direction), W, mm2; nan where not known.

    Parameters
    ----------
    name : str
    peak : dict of str to float
        Dense FLOP/s by dtype; at least one entry.
    memory_bytes, bandwidth : float
        Capacity and bandwidth of the main memory.
    vendor, launch, kind : str
        `launch` as YYYY-MM.
    link_bandwidth : float
        Chip-to-chip bandwidth, one direction, all links of the chip.
    tdp_watts, die_mm2, sram_bytes : float

    Raises
    ------
    BadValue
        If a figure is not a positive number, or `peak` is empty.
    """

    name: str
    peak: Mapping[str, float]
    memory_bytes: float
    bandwidth: float
    vendor: str = ""
    launch: str = ""
    kind: str = ""
    link_bandwidth: float = math.nan
    tdp_watts: float = math.nan
    die_mm2: float = math.nan
    sram_bytes: float = math.nan

    def __post_init__(self):
        if not isinstance(self.peak, Mapping) or not self.peak:
            raise BadValue(f"peak={self.peak!r}: a dict of at least one dtype and its dense FLOP/s is needed")
        object.__setattr__(self, "peak", Peaks(self.name, self.peak))
        for field in ("memory_bytes", "bandwidth", "link_bandwidth", "tdp_watts", "die_mm2", "sram_bytes"):
            value = getattr(self, field)
            unknown = isinstance(value, float) and math.isnan(value) and field not in ("memory_bytes", "bandwidth")
            object.__setattr__(self, field, math.nan if unknown else scalar(field, value))

    def replace(self, **changes) -> "Chip":
        """A copy with some figures changed."""
        return replace(self, **changes)

    @property
    def best_16bit(self) -> str:
        """The 16-bit dtype with the highest dense peak, else the chip's first dtype."""
        have = [d for d in SIXTEEN_BIT if d in self.peak]
        return max(have, key=self.peak.get) if have else next(iter(self.peak))

    def ridge(self, dtype: str | None = None) -> float:
        """FLOP/byte at which compute and memory limits meet; the best 16-bit peak if `dtype` is None."""
        return formula(kernels.ridge)(self.peak[self.best_16bit if dtype is None else dtype], self.bandwidth)

    def compute_dtype(self, weights, compute: str | None = None) -> str:
        """The dtype whose peak applies: `compute` if given, else that of `weights` if the chip has it, else 16-bit."""
        if compute is not None:
            self.peak[compute]  # raises, naming the dtypes there are
            return compute
        wanted = COMPUTE_OF.get(weights, weights) if isinstance(weights, str) else None
        return wanted if wanted in self.peak else self.best_16bit

    def __str__(self) -> str:
        return f"{self.name}: {self.peak[self.best_16bit] / 1e12:.4g} TFLOP/s {self.best_16bit}, {self.bandwidth / 1e12:.4g} TB/s"


def _fold(name: str) -> str:
    return re.sub(r"[\s_\-]", "", name).lower()


@cache
def _index(kind: str) -> dict[str, tuple[str, ...]]:
    """Folded spelling -> canonical names; more than one means ambiguous."""
    names = dict.fromkeys(row["chip"] for row in table("accelerators")) if kind == "chip" else [r["name"] for r in table("models")]
    index = {_fold(name): (name,) for name in names}
    for row in table("aliases"):
        if row["kind"] == kind:
            if row["name"] not in names:
                raise BadData(f"aliases.csv: {row['alias']!r} points to {row['name']!r}, which is no {kind}")
            have = index.get(_fold(row["alias"]), ())
            index[_fold(row["alias"])] = tuple(dict.fromkeys((*have, row["name"])))
    return index


def _resolve(name, kind: str) -> str:
    if not isinstance(name, str):
        raise BadValue(f"{kind}={name!r}: a name or a {'Chip' if kind == 'chip' else 'Transformer'} is needed")
    found = _index(kind).get(_fold(name), ())
    if len(found) > 1:
        raise UnknownName(f"{kind}={name!r} is ambiguous: {' or '.join(map(repr, found))}")
    if not found:
        canonical = dict.fromkeys(n for names in _index(kind).values() for n in names)
        raise UnknownName(f"{kind}={name!r} is not in the catalogue; nearest: {nearest(name, canonical)}")
    return found[0]


@cache
def _chip_rows(name: str) -> dict[str, dict]:
    rows = {row["field"]: row for row in table("accelerators") if row["chip"] == name}
    missing = [f for f in schema("accelerators")["required_fields"] if f not in rows]
    if missing:
        raise BadData(f"accelerators.csv: {name} lacks {', '.join(missing)}")
    return rows


@cache
def _load_chip(name: str) -> Chip:
    figures = {field: row["value"] for field, row in _chip_rows(name).items()}
    peak = {f.removeprefix("peak_"): v for f, v in figures.items() if f.startswith("peak_")}
    known = {f: v for f, v in figures.items() if f in Chip.__dataclass_fields__}
    return Chip(name=name, peak=peak, **known)


def chip(name) -> Chip:
    """Look a chip up by name, or pass a `Chip` through.

    Case, blanks, ``-`` and ``_`` do not matter; `aliases.csv` holds other spellings.

    Raises
    ------
    UnknownName
        A KeyError that lists the nearest names, or the candidates of an ambiguous one.

    Examples
    --------
    >>> str(chip("h100_sxm"))
    'H100 SXM: 989.4 TFLOP/s bf16, 3.35 TB/s'
    >>> round(chip("H100 SXM").replace(bandwidth=4.8e12).ridge())
    206
    """
    return name if isinstance(name, Chip) else _load_chip(_resolve(name, "chip"))


@cache
def _load_model(name: str) -> Transformer:
    row = next(row for row in table("models") if row["name"] == name)
    return Transformer(**{field: row[field] for field in MODEL_FIELDS})


def model(name) -> Transformer:
    """Look a model up by name, or pass a `Transformer` through. Same matching and errors as `chip`.

    Examples
    --------
    >>> llama = model("meta-llama/Llama-3.1-70B")
    >>> llama.name, llama.attention, f"{llama.weight_bytes('fp8') / 1e9:.1f} GB"
    ('Llama 3.1 70B', 'gqa', '70.6 GB')
    """
    return name if isinstance(name, Transformer) else _load_model(_resolve(name, "model"))


def chips():
    """All accelerators, one row each: figures in SI units, and the source keys of each row's figures.

    Returns
    -------
    pandas.DataFrame
        Indexed by name, ordered by vendor and launch. `chip_facts` has the long form, one source a figure.
    """
    records = []
    for name in dict.fromkeys(row["chip"] for row in table("accelerators")):
        rows = _chip_rows(name)
        sources = dict.fromkeys(key for row in rows.values() for key in row["source"])
        records.append({"name": name, **{f: row["value"] for f, row in rows.items()}, "source": sources})
    return frame(records).set_index("name").sort_values(["vendor", "launch"], kind="stable")


def chip_facts(name=None):
    """The rows of accelerators.csv (of one chip, or of all): value, unit, range, source, date, confidence."""
    return frame(table("accelerators") if name is None else _chip_rows(_resolve(name, "chip")).values())


def models():
    """All models, one row each: shape, computed and published parameter counts, sources.

    Returns
    -------
    pandas.DataFrame
        Indexed by name, in the order of models.csv.
    """
    rows = [{**row, "params": (shape := _load_model(row["name"])).params, "active_params": shape.active_params} for row in table("models")]
    return frame(rows).set_index("name")
