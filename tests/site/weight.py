"""What a page weighs, as a server that compresses would send it, and how soon its first chart is there."""
import functools
import gzip

from sitebook import DRAWN, WAIT

PAGE = 1_500_000  # bytes
KINDS = {"script": "scripts", "font": "fonts", "document": "page"}
# Tells when the first chart of the page shows a picture: the still one or the live one.
FIRST = """
addEventListener("DOMContentLoaded", () => { window.scripted = performance.now(); });
requestAnimationFrame(function look() {
  const picture = document.querySelector(".vl-chart .vl-view svg");
  if (picture && picture.getBoundingClientRect().height > 50) window.pictured = performance.now();
  else requestAnimationFrame(look);
});"""


@functools.cache
def packed(path) -> int:
    return len(gzip.compress(path.read_bytes(), 9))


def weigh(at, site, name) -> dict:
    """Load the page with all its charts and return its gzipped bytes by kind, and the time of its first chart."""
    loaded = {}
    at.page.on("request", lambda request: loaded.setdefault(request.url.split("?")[0].split("#")[0], request.resource_type))
    at.page.add_init_script(FIRST)
    page = at.open(name)
    page.wait_for_function(DRAWN, timeout=WAIT)
    page.wait_for_load_state("networkidle")
    files = {url: site / url.removeprefix(at.address) for url in loaded if url.startswith(at.address)}
    row = dict.fromkeys([*KINDS.values(), "styles"], 0)
    for url, path in files.items():
        row[KINDS.get(loaded[url], "styles")] += packed(path)
    return {**row, "files": [path.relative_to(site).as_posix() for path in files.values()], "ms": page.evaluate("window.pictured || 0")}


def faults(row: dict, text: str) -> list[str]:
    """What is wrong with a weighed page: too heavy, or loading what it has no use for."""
    loads = lambda part: any(part in file for file in row["files"])
    wrong = {
        f"{total(row)} bytes": total(row) > PAGE,
        "Vega without a chart, or a chart without Vega": loads("vega.js") != ('class="vl-chart"' in text),
        "MathJax without formulas, or formulas without MathJax": loads("tex-chtml") != ('class="math' in text),
        "the search index or the whole icon set": loads("searchindex") or loads("fontawesome"),
    }
    return [name for name, is_so in wrong.items() if is_so]


def total(row: dict) -> int:
    return sum(row[kind] for kind in [*KINDS.values(), "styles"])


def line(name: str, row: dict) -> str:
    cells = " ".join(f"{kind} {row[kind] / 1e3:6.1f}" for kind in ["page", "scripts", "fonts", "styles"])
    return f"{name:28} kB gzipped: {cells} total {total(row) / 1e3:7.1f}; first chart {row['ms']:5.0f} ms"
