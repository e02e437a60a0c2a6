"""The calculator of the first page: menus over grids that the core computes while the book is built.

Directive ``calculator``. The page holds the menus, and the result of the first choice as text for readers without scripts. Each
pair of a model and a chip is one small script, `_static/calculator/MODEL--CHIP.js`, which calculator.js loads when it is asked for:
a page opened from a disk may load scripts, but not fetch data. The numbers are those of `siliconomics.decode` as 32-bit floats, so
that three digits of them are the core's own.
"""
from __future__ import annotations

import base64
import datetime
import gzip
import hashlib
import html
import json
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

import siliconomics as si
from siliconomics import kernels
from siliconomics.kernels import plain
from siliconomics.tables import table

MODELS = ("Llama 3.1 8B", "Llama 3.1 70B", "Llama 3.1 405B", "Llama 4 Maverick", "Llama 2 70B", "Mistral 7B v0.1", "Mixtral 8x7B",
          "Gemma 3 27B", "Qwen3 32B", "Qwen3 30B-A3B", "Qwen3 235B-A22B", "DeepSeek-V3", "Kimi K2", "MiniMax-M2.5", "gpt-oss-20b",
          "gpt-oss-120b", "GPT-3 175B")
CHIPS = ("A100 SXM 80GB", "H100 SXM", "H200 SXM", "H20", "B200 SXM", "B300 SXM", "Rubin (per GPU)", "L4", "L40S", "RTX 4090", "RTX 5090",
         "MI300X", "MI325X", "MI355X", "TPU v5e", "TPU v5p", "TPU v6e", "TPU v7", "Trainium2", "Gaudi 3")
AXES = {"weights": ["bf16", "fp8", "fp4"], "kv": ["bf16", "fp8"], "chips": [1, 2, 4, 8],
        "batch": [2**i for i in range(9)], "context": [2048, 8192, 32768, 131072]}
#: What a file holds, in this order, and the axes of each.
PARTS = {"roofline": list(AXES), "expected": list(AXES), "low": list(AXES), "high": list(AXES),
         "weight_seconds": ["weights", "chips", "batch"], "cache_seconds": ["kv", "chips", "batch", "context"],
         "arithmetic_seconds": ["weights", "chips", "batch"], "memory_bytes": ["weights", "kv", "batch", "context"]}
FIRST = {"model": "Llama 3.1 70B", "chip": "H100 SXM", "chips": 4, "batch": 8, "context": 8192, "weights": "fp8", "kv": "fp8"}
LABELS = {"model": "Model", "chip": "Chip", "chips": "Number of chips", "batch": "Users at once (batch)", "context": "Tokens of context each",
          "weights": "Weights stored in", "kv": "Cache (KV) stored in"}
MODEL_LENGTH = {row["name"]: row["context"] for row in table("models")}


# --- the grids --------------------------------------------------------------------------------------------------------

def steps(model: str, chip: str, weights: str, kv: str) -> dict[str, np.ndarray]:
    """Seconds of decode steps over chips x batch x context; without a link bandwidth only one chip can be calibrated."""
    axes = [np.array(AXES[name], float) for name in ("chips", "batch", "context")]
    n, batch, context = np.meshgrid(*axes, indexing="ij")
    bound = si.decode(model, chip, n, batch, context, weights, kv)
    measured = {name: np.full(n.shape, np.nan) for name in ("expected", "low", "high")}
    known = slice(None) if np.isfinite(si.chip(chip).link_bandwidth) else slice(1)
    step = si.decode(model, chip, n[known], batch[known], context[known], weights, kv, stack="calibrated")
    for name, field in (("expected", "seconds"), ("low", "low"), ("high", "high")):
        measured[name][known] = getattr(step, field)
    return {"roofline": bound.seconds, **measured, "memory_bytes": bound.memory_bytes[0]}


def grid(model: str, chip: str) -> dict[str, np.ndarray]:
    """Every array of `PARTS` for one pair."""
    cells = [[steps(model, chip, weights, kv) for kv in AXES["kv"]] for weights in AXES["weights"]]
    stacked = {name: np.array([[cell[name] for cell in row] for row in cells]) for name in cells[0][0]}
    shape, part = si.model(model), si.chip(chip)
    n, batch = np.array(AXES["chips"], float)[:, None], np.array(AXES["batch"], float)
    floor = plain(kernels.memory_floor)
    read = [floor(shape.weight_bytes_read(batch, dtype), n, part.bandwidth) for dtype in AXES["weights"]]
    cache = [floor(batch[:, None] * shape.kv_bytes(AXES["context"], dtype), n[:, :, None], part.bandwidth) for dtype in AXES["kv"]]
    bounds = [si.decode(model, chip, n, batch, AXES["context"][0], dtype) for dtype in AXES["weights"]]
    work = [bound.mfu * bound.seconds for bound in bounds]  # MFU is the time of the arithmetic over that of the step
    return stacked | {"weight_seconds": np.array(read), "cache_seconds": np.array(cache), "arithmetic_seconds": np.array(work)}


def packed(arrays: dict[str, np.ndarray]) -> str:
    """The arrays of `PARTS` one after the other as little-endian 32-bit floats, gzipped, in base64."""
    return base64.b64encode(gzip.compress(b"".join(arrays[name].astype("<f4").tobytes() for name in PARTS), mtime=0)).decode("ascii")


def file_name(model: str, chip: str) -> str:
    return f"{slug(model)}--{slug(chip)}"


def slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def write_grids(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for model in MODELS:
        for chip in CHIPS:
            name = file_name(model, chip)
            text = f'calculatorGrid("{name}", "{packed(grid(model, chip))}");\n'
            (folder / f"{name}.js").write_text(text, encoding="ascii", newline="\n")


def fingerprint() -> str:
    """Of all that the grids depend on: the core, its data and this file."""
    files = sorted(path for path in Path(si.__file__).parent.rglob("*") if path.suffix in (".py", ".csv", ".json"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in (*files, Path(__file__)))).hexdigest()[:16]


def stored_grids(cache: Path) -> Path:
    """The folder of the grids of this very core under `cache`, computed if it is not there yet; older ones go."""
    folder = cache / fingerprint()
    if not folder.exists():
        shutil.rmtree(cache, ignore_errors=True)
        part = Path(tempfile.mkdtemp(dir=_made(cache)))
        write_grids(part)
        part.rename(folder)
    return folder


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


# --- the page ---------------------------------------------------------------------------------------------------------

@cache
def price(chip: str) -> dict | None:
    """The lowest rent of a chip on demand in the last year that the data hold; None if they hold none."""
    rows = [row for row in table("prices") if row["chip"] == chip and row["terms"] == "on demand" and row["unit"] == "USD/chip-hour"]
    latest = max((datetime.date.fromisoformat(row["date"]) for row in rows), default=None)
    recent = (row for row in rows if (latest - datetime.date.fromisoformat(row["date"])).days < 365)
    lowest = min(sorted(recent, key=lambda row: row["date"], reverse=True), key=lambda row: row["usd"], default=None)
    return lowest and {name: lowest[name] for name in ("usd", "provider", "terms", "date")}


def basis(chip: str, weights: str) -> str:
    """Whose measurements the calibrated time of a chip rests on."""
    return si.decode(FIRST["model"], chip, weights=weights, stack="calibrated").basis


def facts() -> dict:
    """What calculator.js must know beside the grids."""
    chips = {}
    for name in CHIPS:
        chip = si.chip(name)
        chips[name] = {"memory_bytes": chip.memory_bytes, "price": price(name), "row": f"accelerators-{slug(name)}-bandwidth",
                       "computes": {dtype: chip.compute_dtype(dtype) for dtype in AXES["weights"]},
                       "basis": {dtype: basis(name, dtype) for dtype in AXES["weights"]}}
    models = {name: {"context": MODEL_LENGTH[name], "row": f"models-{slug(name)}"} for name in MODELS}
    files = {model: {chip: file_name(model, chip) for chip in CHIPS} for model in MODELS}
    return {"axes": AXES, "parts": PARTS, "models": models, "chips": chips, "files": files}


def python_line(choice: dict, usd: float | None) -> str:
    names = [f'"{choice["model"]}"', f'"{choice["chip"]}"', *(f"{name}={choice[name]}" for name in ("chips", "batch", "context"))]
    dtypes = [f'{name}="{choice[name]}"' for name in ("weights", "kv")]
    money = [] if usd is None else [f"usd_per_chip_hour={usd:g}"]
    return "si.decode(" + ", ".join([*names, *dtypes, 'stack="calibrated"', *money]) + ")"


def _options(name: str) -> str:
    groups = {"model": [(org, [m for m in MODELS if _org(m) == org]) for org in dict.fromkeys(map(_org, MODELS))],
              "chip": [(vendor, [c for c in CHIPS if si.chip(c).vendor == vendor]) for vendor in dict.fromkeys(si.chip(c).vendor for c in CHIPS)]}
    if name in groups:
        return "".join(f'<optgroup label="{html.escape(group)}">{_plain_options(name, values)}</optgroup>' for group, values in groups[name])
    return _plain_options(name, AXES[name])


def _plain_options(name: str, values) -> str:
    return "".join(f'<option value="{value}"{" selected" * (value == FIRST[name])}>{_shown(value)}</option>' for value in values)


def _shown(value) -> str:
    return f"{value:,}" if isinstance(value, int) else html.escape(value)


@cache
def _org(model: str) -> str:
    return next(row["org"] for row in table("models") if row["name"] == model)


def page(links: dict[str, str]) -> str:
    """The calculator as HTML, with the first choice computed by the core."""
    rent = price(FIRST["chip"])
    usd = rent and rent["usd"]
    step = si.decode(**FIRST, stack="calibrated", usd_per_chip_hour=usd)
    fields = "".join(f'<div><label for="calc-{name}">{label}</label><select id="calc-{name}" name="{name}">{_options(name)}</select></div>'
                     for name, label in LABELS.items())
    known = json.dumps(facts() | {"links": links}, separators=(",", ":")).replace("</", "<\\/")
    return f"""<section class="calculator" id="calculator" aria-labelledby="calc-title">
<p class="calc-title" id="calc-title" role="heading" aria-level="2">What does a token cost?</p>
<form class="calc-form" autocomplete="off"><fieldset><legend>A language model answers on this machine</legend>{fields}
<div><label for="calc-usd">Rent, $ a chip-hour</label><input id="calc-usd" name="usd" type="number" min="0" step="any" inputmode="decimal" value="{usd:g}" aria-describedby="calc-rent"></div>
</fieldset><p class="calc-note" id="calc-rent"></p></form>
<div class="calc-result"><p class="calc-sentence">{html.escape(str(step))}</p>
<pre>{html.escape(python_line(FIRST, usd))}</pre></div>
<script type="application/json" class="calc-facts">{known}</script>
</section>"""


class Calculator(SphinxDirective):
    """Puts the calculator on a page."""

    def run(self) -> list[nodes.Node]:
        links = {"mbu": "chapters/07_mbu", "wrong": "chapters/09_how_wrong"} | {name: self._data_page(name) for name in ("chips", "models", "prices")}
        address = self.env.app.builder.get_relative_uri
        return [nodes.raw("", page({name: address(self.env.docname, doc) for name, doc in links.items()}), format="html")]

    def _data_page(self, name: str) -> str:
        """The page with the rows of a table: one of its own where there is one."""
        own = f"book/data_{name}"
        return own if own in self.env.found_docs else "book/data"


def scripts(app, pagename, templatename, context, doctree) -> None:
    """Load script and style where a calculator stands."""
    if 'class="calculator"' in (context.get("body") or ""):
        app.add_js_file("calculator.js", loading_method="defer")
        app.add_css_file("calculator.css")


def copy_grids(app, error) -> None:
    if error is None and app.builder.format == "html":
        cache = Path(app.srcdir, "_build", "calculator")
        shutil.copytree(stored_grids(cache), Path(app.outdir) / "_static" / "calculator", dirs_exist_ok=True)


def setup(app):
    app.add_directive("calculator", Calculator)
    app.connect("html-page-context", scripts)
    app.connect("build-finished", copy_grids)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
