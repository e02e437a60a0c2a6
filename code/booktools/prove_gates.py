"""Proof that the tests can fail: break a copy of the tree in one place per gate, run the gate, expect red.

A gate is a function that patches a copied tree, registered with the tests that must turn red. A patch whose place is
not found raises, so that a gate cannot rot unseen. The unpatched copy must be green first: red proves nothing otherwise.
"""
from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

NOT_COPIED = shutil.ignore_patterns(".git", ".venv*", "_build", "__pycache__", ".pytest_cache", ".hypothesis", "*.egg-info", ".ipynb_checkpoints")
TESTS_FAILED = 1  # pytest's exit status; errors of usage or collection have others

UNITS = ("tests", "--ignore=tests/site", "--ignore=tests/notebooks")
NBVAL = ("chapters", "--nbval", "--nbval-current-env", "--nbval-cell-timeout=120")
CANONICAL = ("tests/notebooks/test_canonical.py",)
SHAPE = ("tests/notebooks/test_shape.py",)
FUNCTIONS = ("tests/notebooks/test_functions.py",)
TERMS = ("tests/unit/test_terms.py",)
PROSE = ("tests/notebooks/test_prose_numbers.py",)


def stored(chapter: str) -> tuple[str, ...]:
    """The stored outputs of one chapter, computed again."""
    return (f"chapters/{chapter}.ipynb", *NBVAL[1:])


def site(name: str) -> tuple[str, ...]:
    return ("tests/site", "-k", name)


class Tree:
    """A copy of the repository that may be broken."""

    def __init__(self, root: Path):
        self.root = root
        self.chapter = sorted((root / "chapters").glob("*.ipynb"))[0]

    def replace(self, path: str, old: str, new: str) -> None:
        file = self.root / path
        content = file.read_text(encoding="utf-8")
        if content.count(old) != 1:
            raise LookupError(f"{path} holds {old!r} {content.count(old)} times, expected once: mend the patch")
        file.write_text(content.replace(old, new), encoding="utf-8", newline="\n")

    def append(self, path: str, text: str) -> None:
        file = self.root / path
        file.write_text(file.read_text(encoding="utf-8") + text, encoding="utf-8", newline="\n")

    def edit(self, change: Callable[[list[dict]], None]) -> None:
        """Let `change` alter the cells of the first chapter, then store them in the form they had."""
        nb = json.loads(self.chapter.read_text(encoding="utf-8"))
        before = json.dumps(nb)
        change(nb["cells"])
        if json.dumps(nb) == before:
            raise LookupError(f"nothing changed in {self.chapter.name}: mend the patch")
        self.chapter.write_text(json.dumps(nb, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8", newline="\n")

    def edit_chart(self, change: Callable[[dict], None]) -> None:
        self.edit(lambda cells: change(next(charts(cells))))


def charts(cells: list[dict]):
    for output in (output for cell in cells for output in cell.get("outputs", [])):
        yield from (value for mime, value in output.get("data", {}).items() if "vegalite" in mime)


def code(cells: list[dict]) -> list[dict]:
    return [cell for cell in cells if cell["cell_type"] == "code"]


@dataclass(frozen=True)
class Gate:
    name: str
    tests: tuple[tuple[str, ...], ...]
    says: str  # what the failure must say, so that red is red for the right reason
    patch: Callable[[Tree], None]


GATES: dict[str, Gate] = {}


def gate(*tests: tuple[str, ...], says: str):
    """Register a patch under its function's name; each of `tests` (pytest arguments) must turn red and say `says`."""
    def register(patch):
        name = patch.__name__.replace("_", "-")
        GATES[name] = Gate(name, tests, says, patch)
        return patch
    return register


# --- the core --------------------------------------------------------------------------------------------------------

@gate(UNITS, NBVAL, says="FAILED")
def formula_off_by_one_percent(tree):
    """kernels.py: bytes / (n BW) x 1.01"""
    tree.replace("code/siliconomics/kernels.py", "return bytes_read / (chips * bandwidth)", "return 1.01 * bytes_read / (chips * bandwidth)")


@gate(("tests/unit/test_parts.py",), says="test_a_run_costs_what_the_formula_says")
def two_matrices_in_a_gated_block(tree):
    """the third matrix of a gated block forgotten"""
    tree.replace("code/siliconomics/transformer.py", '({"gate": (self.d_model, width)} if self.gated else {}) | {"up"', '{"up"')


@gate(("tests/unit/test_claims.py", "-k", "sardana"), says="test_serving_rewards_a_smaller_model_as_sardana_publishes")
def served_tokens_cost_one_flop(tree):
    """a served token at N instead of 2 N FLOP"""
    tree.replace("code/siliconomics/scaling.py", "2.0 * n * served", "1.0 * n * served")


@gate(FUNCTIONS, says="test_code_folder_does_not_hide")
def code_made_a_package(tree):
    """code/__init__.py added"""
    (tree.root / "code" / "__init__.py").touch()


@gate(("tests/unit/test_systolic.py", "-k", "machine_does"), says="test_closed_form_is_what_the_machine_does")
def tiles_that_never_wait_for_weights(tree):
    """a systolic array that loads weights in no time"""
    tree.replace("code/siliconomics/kernels.py", "buffered * np.maximum(rows, size)", "buffered * rows")


@gate(("tests/unit/test_calibrate.py", "-k", "stored_constants"), says="test_stored_constants_are_the_refitted_ones")
def constant_typed_by_hand(tree):
    """a fitted share in efficiencies.csv set to 0.9"""
    path = tree.root / "code" / "siliconomics" / "data" / "efficiencies.csv"
    path.write_text(re.sub(r"(?m)^(gemm,chip,H100 SXM,bf16,compute_share),[^,]*", r"\1,0.9", path.read_text(encoding="utf-8")), encoding="utf-8")


@gate(("tests/unit/test_validation.py", "-k", "passes_err"), says="test_passes_err_as_recorded")
def error_made_smaller(tree):
    """a pass made 5 % quicker, so that the recorded errors are not its own"""
    tree.replace("code/siliconomics/forward.py", "    return np.maximum(total, _bound(", "    return np.maximum(0.95 * total, _bound(")


@gate(("tests/unit/test_own_measurements.py", "-k", "impossible"), says="test_impossible_rows_are_told")
def bandwidth_unchecked(tree):
    """contributed rows above the bandwidth of their chip pass"""
    tree.replace("code/booktools/contribute.py", 'if _from_memory(row, chip) and found["mbu"] > 1:', "if False:")


@gate(("tests/unit/test_measure_decode.py", "-k", "whole_forward and 2-fp32"), says="test_decoding_with_the_cache_equals_the_whole_forward_pass")
def keys_not_rotated(tree):
    """the measured decode caches its keys without their position"""
    tree.replace("code/siliconomics/machine_kernels.py", "        rotate(keys[position], cos, sin)\n", "")


# --- one formula or datum of a chapter, which its stored outputs notice ----------------------------------------------

@gate(stored("08_serving"), says="FAILED chapters/08_serving.ipynb")
def drafts_without_the_last_token(tree):
    """chapter 8: a verification yields the accepted tokens alone, not one more"""
    tree.replace("code/siliconomics/kernels.py", "np.expm1((draft_tokens + 1.0) * np.log1p", "np.expm1(draft_tokens * np.log1p")


@gate(stored("11_challengers"), says="FAILED chapters/11_challengers.ipynb")
def a_round_of_mlperf_mistyped(tree):
    """chapter 11: a throughput of the MI300X with two digits swapped"""
    tree.replace("code/siliconomics/data/achieved.csv", ",27803.9,", ",28703.9,")


@gate(stored("12_gpu_rich"), says="FAILED chapters/12_gpu_rich.ipynb")
def shares_not_quite_squared(tree):
    """chapter 12: the Herfindahl-Hirschman index with an exponent of 1.9"""
    tree.replace("code/siliconomics/markets.py", "plain(((100 * given / total) ** 2)", "plain(((100 * given / total) ** 1.9)")


@gate(stored("13_wafers"), says="FAILED chapters/13_wafers.ipynb")
def yield_of_murphy_not_squared(tree):
    """chapter 13: Murphy's yield without its square"""
    tree.replace("code/siliconomics/fab.py", "_mean_decay(a) ** 2,", "_mean_decay(a),")


@gate(stored("14_chokepoints"), says="FAILED chapters/14_chokepoints.ipynb")
def variants_as_if_all_were_needed(tree):
    """chapter 14: losing one of two ways to make a thing counts as losing both"""
    tree.replace("code/siliconomics/chain.py", 'for g in product(*kinds)] if variants == "any" else', 'for g in product(*kinds)] if variants != "any" else')


@gate(stored("15_business"), says="FAILED chapters/15_business.ipynb")
def money_of_later_years_at_par(tree):
    """chapter 15: a present value that forgets its interest"""
    tree.replace("code/siliconomics/fleet.py", "flow * np.exp(-np.arange(flow.shape[-1]) * np.log1p(rate))", "flow + 0.0 * rate")


DATA_PAGES = "tests/unit/test_data_pages.py"


@gate((DATA_PAGES, "-k", "described"), says="test_every_table_and_column_is_described")
def column_left_undescribed(tree):
    """a column that the data dictionary does not explain"""
    tree.replace("code/siliconomics/data/schema.json", '      "array": "Multipliers along a side of an array",\n', "")


@gate((DATA_PAGES, "-k", "future"), says="test_a_date_in_the_future_is_refused")
def facts_of_tomorrow(tree):
    """rows dated in the future pass"""
    tree.replace("code/siliconomics/tables.py", "    if as_of > max(", "    if False and as_of > max(")


@gate((DATA_PAGES, "-k", "idle"), says="test_no_source_is_idle")
def idle_source(tree):
    """an entry of the bibliography that nothing uses"""
    tree.append("book/references.bib", "\n@misc{idle2026, author = {Idle, Ida}, title = {Unread}, year = {2026}}\n")


@gate((DATA_PAGES, "-k", "12_months"), says="test_age_is_12_months_for_prices")
def prices_that_do_not_age(tree):
    """prices flagged after 24 months like the rest"""
    tree.replace("code/booktools/data_rows.py", '.get("age_months", AGE_MONTHS)', '.get("months", AGE_MONTHS)')


# --- coursework ------------------------------------------------------------------------------------------------------

SANDBOX = ("tests/course/test_grading.py", "-k", "nothing_of_the_machine")


@gate(SANDBOX, says="test_nothing_of_the_machine_is_in_the_sandbox")
def stored_answers_in_the_sandbox(tree):
    """the package's real answers where submissions run"""
    tree.replace("code/booktools/sandbox.py", '"--ro-bind", str(dummies), str(stored), ', "")


@gate(SANDBOX, says="test_nothing_of_the_machine_is_in_the_sandbox")
def network_in_the_sandbox(tree):
    """a submission that can reach this machine's ports"""
    tree.replace("code/booktools/sandbox.py", '"bwrap", "--unshare-all", ', '"bwrap", "--unshare-all", "--share-net", ')


@gate(("tests/unit/test_exercises.py", "-k", "current"), says="test_stored_answers_are_current_and_veiled")
def answer_key_that_nobody_stored(tree):
    """a key that changed without its stored value"""
    tree.replace("code/booktools/answer_keys.py", "rent(7000, 90 * 86400, 2.0) / 1e6", "rent(7000, 91 * 86400, 2.0) / 1e6")


@gate(("tests/course/test_sets.py", "-k", "student"), says="test_student_notebook_holds_no_solution")
def solutions_for_students(tree):
    """student notebooks with the solutions in them"""
    tree.replace("code/booktools/course.py", "_for_students(one)), _to_answer)", "_for_students(one)), _solved)")


@gate(("tests/course/test_grading.py", "-k", "could_not_run"), says="test_what_this_machine_could_not_run_gets_no_mark")
def zero_for_a_fault_of_the_machine(tree):
    """a sandbox that did not start, stored as a submission without answers"""
    tree.replace("code/booktools/sandbox.py", ", began=False)", ")")


@gate(("tests/course/test_grading.py", "-k", "amiss"), says="test_what_is_amiss_in_a_roster_is_told_and_the_others_are_written")
def submission_lost_in_silence(tree):
    """a submission that the roster does not know and nobody names"""
    tree.replace("code/booktools/gradebooks.py", "return lost + wrong", "return wrong")


@gate(("tests/course/test_decks.py",), says="test_a_price_is_no_formula")
def two_prices_set_as_a_formula(tree):
    """slides whose dollars MathJax takes for formulas"""
    tree.replace("code/booktools/decks.py", 'return text.replace(r"\\$", r"\\\\$")', "return text")


# --- stored notebooks ------------------------------------------------------------------------------------------------

@gate(CANONICAL, says="stored error E")
def stored_error(tree):
    """an error output in a cell"""
    tree.edit(lambda cells: code(cells)[1]["outputs"].append({"output_type": "error", "ename": "E", "evalue": "", "traceback": []}))


@gate(CANONICAL, says="stored stderr")
def stored_stderr(tree):
    """a warning on stderr in a cell"""
    tree.edit(lambda cells: code(cells)[1]["outputs"].append({"output_type": "stream", "name": "stderr", "text": ["warning"]}))


@gate(CANONICAL, says="has no stored output")
def outputs_stripped(tree):
    """all outputs removed, counts kept"""
    tree.edit(lambda cells: [cell.update(outputs=[]) for cell in code(cells)])


@gate(CANONICAL, says="not in canonical form")
def metadata_of_an_editor(tree):
    """execution time stamps in a cell's metadata"""
    tree.edit(lambda cells: code(cells)[0]["metadata"].update(execution={"iopub.status.busy": "2026-01-01T00:00:00Z"}))


@gate(NBVAL, says="12345")
def stored_output_changed(tree):
    """another number in a stored output"""
    tree.edit(lambda cells: next(
        out for cell in code(cells) for out in cell["outputs"] if out["output_type"] == "stream").update(text=["12345\n"]))


@gate(FUNCTIONS, says="'twice'")
def function_defined_twice(tree):
    """the same function in two cells"""
    tree.edit(lambda cells: [cell.update(source=["def twice(x):\n", "    return 2 * x"]) for cell in code(cells)[1:3]])


@gate(PROSE, says="test_no_sentence_is_set_as_a_formula")
def money_set_as_a_formula(tree):
    """dollars without a backslash"""
    tree.edit(lambda cells: takeaway(cells).update(source=[":::{admonition} Takeaway\n", "It costs $9 to buy and then $8 to run.\n", ":::"]))


@gate(PROSE, says="123.4 stands in no stored output")
def wrong_number_in_prose(tree):
    """a takeaway states 123.4 ms"""
    tree.edit(lambda cells: takeaway(cells).update(source=[":::{admonition} Takeaway\n", "It takes 123.4 ms.\n", ":::"]))


@gate(SHAPE, says="test_content_sections_end_in_a_takeaway")
def missing_takeaway(tree):
    """a takeaway box turned into plain text"""
    tree.edit(lambda cells: takeaway(cells).update(source=["Nothing to take away."]))


@gate(SHAPE, says="is not checked")
def unchecked_solution(tree):
    """a solution that does not call si.check"""
    tree.edit(lambda cells: next(
        cell for cell in code(cells) if "solution" in cell["metadata"].get("tags", [])).update(source=["answer = 1"]))


def takeaway(cells: list[dict]) -> dict:
    return next(cell for cell in cells if "{admonition} Takeaway" in "".join(cell["source"]))


# --- the site --------------------------------------------------------------------------------------------------------

RAW = "\n```{raw} html\n%s\n```\n"


@gate(site("test_book_builds"), says="nowhere")
def unresolved_reference(tree):
    """a link to a page that does not exist"""
    tree.append("book/index.md", "\nSee {doc}`nowhere`.\n")


@gate(site("test_book_builds"), says="chart without description")
def chart_without_alt_text(tree):
    """the description of a stored chart removed"""
    tree.edit_chart(lambda spec: spec.pop("description"))


@gate(site("test_book_builds"), says="WARNING: chart")
def broken_chart(tree):
    """a chart with a mark that Vega-Lite does not know"""
    tree.edit_chart(lambda spec: [part.update(mark="lines") for part in spec.get("layer", [spec])])


@gate(site("test_page and 01_claims and not phone"), says="empty chart")
def empty_chart(tree):
    """a chart whose filter lets no row through"""
    tree.edit_chart(lambda spec: [part.update(transform=[{"filter": "false"}]) for part in spec.get("layer", [spec])])


@gate(site("script_server"), says="unpkg.com")
def script_server_in_a_page(tree):
    """a style sheet from a public script server"""
    tree.append("book/index.md", RAW % '<link rel="preload" href="https://unpkg.com/x.css">')


@gate(site("test_page and index and not phone"), says="https://example.org/")
def request_to_elsewhere(tree):
    """a page script that asks another host"""
    tree.append("book/index.md", RAW % '<script>fetch("https://example.org/").catch(() => 0)</script>')


@gate(site("test_page and index and not phone"), says="missing is not defined")
def error_in_a_page_script(tree):
    """a page script that fails"""
    tree.append("book/index.md", RAW % "<script>missing()</script>")


@gate(site("phone and index"), says="test_page_fits_a_phone")
def page_wider_than_a_phone(tree):
    """a box of 800 pixels"""
    tree.append("book/index.md", RAW % '<div style="width: 800px">wide</div>')


@gate(site("theme_switch"), says="a slider fell back")
def sliders_forgotten(tree):
    """book-vega.js no longer restores the sliders"""
    tree.replace("book/_static/book-vega.js", "      carry(old, box);\n", "")


@gate(site("needs_no_script and 07_mbu"), says="test_needs_no_script")
def no_still_pictures(tree):
    """charts that show nothing until a script has drawn them"""
    tree.append("book/_static/book.css", "\n.vl-still { display: none !important; }\n")


@gate(site("come_near"), says="test_charts_are_drawn_when_they_come_near")
def charts_never_drawn(tree):
    """book-vega.js no longer watches the charts"""
    tree.replace("book/_static/book-vega.js", "  figures.forEach((figure) => sight.observe(figure));\n", "")


@gate(site("test_page and index"), says=" bytes")
def heavy_page(tree):
    """a page with three megabytes of noise"""
    tree.append("book/index.md", RAW % f"<!-- {secrets.token_hex(1_500_000)} -->")


@gate(site("opens_as_a_file and 07_mbu"), says="test_opens_as_a_file")
def module_script(tree):
    """a page script of a kind that browsers refuse to pages opened as files"""
    tree.replace("code/booktools/scripts.py", 'app.add_js_file("book-vega.js", loading_method="defer")', 'app.add_js_file("book-vega.js", type="module")')


@gate(site("random_choices_show"), says="test_random_choices_show_the_numbers_of_the_core")
def calculator_off_by_a_point(tree):
    """the calculator reads the next point of its grid"""
    tree.replace("book/_static/calculator.js", "return arrays[name][place];", "return arrays[name][place + 1];")


@gate(site("ledger_filters"), says="test_ledger_filters_and_sorts")
def ledger_filter_forgotten(tree):
    """tables.js no longer listens to its filters"""
    tree.replace("book/_static/tables.js", '    bar.addEventListener("input", apply);\n', "")


# --- the wheel, and where else the book opens ---------------------------------------------------------------------------

@gate(("tests/package/test_wheel.py",), says="test_wheel_holds_every_file_of_the_core_and_no_other")
def data_left_out_of_the_wheel(tree):
    """a wheel without its CSV files"""
    tree.replace("pyproject.toml", '"data/*.csv", ', "")


@gate(("tests/package/test_wheel.py",), says="test_wheel_declares_one_command_and_no_hook_of_the_book")
def hook_of_the_book_in_the_wheel(tree):
    """an installed core that declares a renderer it lacks"""
    tree.append("pyproject.toml", '\n[project.entry-points."altair.vegalite.v6.renderer"]\nbook = "booktools.altair_renderer:book_renderer"\n')


@gate(("tests/package/test_wheel.py",), says="test_the_version_is_the_same_everywhere")
def version_forgotten(tree):
    """a version that only the package has"""
    tree.append("code/siliconomics/__init__.py", '\n__version__ = "9.9.9"\n')


@gate(("tests/package/test_launch.py",), says="test_the_install_cell_makes_the_chapter_run")
def install_cell_forgets_the_wheel(tree):
    """a notebook for Colab that installs from a folder which the site lacks"""
    tree.replace("code/booktools/launch.py", '{site}dist/{wheel}', '{site}wheels/{wheel}')


@gate(("tests/package/test_launch.py",), says="test_binder_installs")
def binder_lacks_a_package(tree):
    """Binder without the package that draws"""
    tree.replace("binder/requirements.txt", "altair==", "altaire==")


@gate(("tests/unit/test_cli.py",), says="test_a_wrong_argument_ends_in_one_line_and_status_2")
def errors_of_the_command_line_escape(tree):
    """a command that shows a traceback for an unknown name"""
    tree.replace("code/siliconomics/__main__.py", "except (KeyError, ValueError) as error", "except OSError as error")


@gate(("tests/unit/test_status.py",), says="test_prices_age_in_twelve_months")
def prices_never_age(tree):
    """prices that are flagged as late as chips"""
    tree.replace("code/booktools/data_rows.py", '.get("age_months", AGE_MONTHS)', '.get("no_months", AGE_MONTHS)')


@gate(("tests/unit/test_spelling.py",), says="test_spelling")
def misspelt(tree):
    """a slip in the README"""
    tree.append("README.md", "\nThe bandwi" + "dht of a chip.\n")  # cut, or this file would not pass


@gate(site("test_terms and escape"), says="test_focus_shows_the_note_and_escape_puts_it_away")
def note_that_stays(tree):
    """terms.js no longer listens to Esc"""
    tree.replace("book/_static/terms.js", '(event.key === "Escape") hide()', '(event.key === "Never") hide()')


@gate(TERMS, says="test_no_link_in_titles")
def terms_in_code(tree):
    """a term in code becomes a link"""
    tree.replace("code/booktools/terms.py", "nodes.literal, nodes.literal_block", "nodes.literal_block")


@gate(site("row_stands"), says="test_every_row_stands_at_its_address")
def rows_without_addresses(tree):
    """rows of the data catalogue lose their ids"""
    tree.replace("code/booktools/data_pages.py", "for column in others), ids=[address])", "for column in others))")


@gate(site("from_a_file"), says="test_long_tables_open_from_a_file")
def addresses_not_followed(tree):
    """data.js no longer opens the row that an address names"""
    tree.replace("book/_static/data.js", "follow);\n  follow();", "follow);")


@gate(site("axe_finds_nothing and index and not screen"), says="color-contrast")
def words_too_pale(tree):
    """muted words of the light pages at half their contrast"""
    tree.replace("book/_static/book.css", "  --book-muted: #59606d;\n", "  --book-muted: #b0b6c0;\n")


@gate(site("test_page and notation and not phone"), says="heading without scope")
def headings_without_scope(tree):
    """pages.py no longer says what the headings of a table head"""
    tree.replace("code/booktools/pages.py", "named(scoped(context[\"body\"]))", "named(context[\"body\"])")


# --- running ---------------------------------------------------------------------------------------------------------

def pytest(root: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(root / "code"), "CI": "true"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *arguments]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, encoding="utf-8", errors="replace")


def _copy(root: Path, name: str, folder: str) -> Tree:
    return Tree(Path(shutil.copytree(root, Path(folder) / name, ignore=NOT_COPIED, symlinks=True)))


def _baseline(root: Path, folder: str, gates: list[Gate]) -> str:
    """Run the tests of `gates` on an unpatched copy; return what failed, empty if nothing did."""
    selections = {tests for one in gates for tests in one.tests}
    files = sorted({tests[0] for tests in selections} - {"tests"} | ({"tests"} if UNITS in selections else set()))
    result = pytest(_copy(root, "unpatched", folder).root, *files, "-n", "2", "--dist", "loadfile", *NBVAL[1:])
    return "" if result.returncode == 0 else result.stdout[-3000:] + result.stderr[-1000:]


def prove(root: Path, one: Gate, folder: str) -> bool:
    """Patch a fresh copy and return whether every test selection of the gate fails on it, and says why."""
    tree = _copy(root, one.name, folder)
    one.patch(tree)
    results = [pytest(tree.root, *tests) for tests in one.tests]
    shutil.rmtree(tree.root, ignore_errors=True)
    return all(result.returncode == TESTS_FAILED and one.says in result.stdout for result in results)


def main(root: Path, names: tuple[str, ...] = ()) -> int:
    start = time.perf_counter()
    gates = [GATES[name] for name in names] if names else list(GATES.values())
    with tempfile.TemporaryDirectory() as folder:
        print(f"{len(gates)} gates; first the unpatched tree ...", flush=True)
        if failed := _baseline(root, folder, gates):
            print(f"the unpatched tree is not green, so red would prove nothing\n{failed}")
            return 1
        with ThreadPoolExecutor(2) as pool:  # each gate waits for a pytest of its own
            red = list(pool.map(lambda one: _proved(root, one, folder), gates))
    open_gates = [one.name for one, closes in zip(gates, red) if not closes]
    print(f"{len(gates) - len(open_gates)} of {len(gates)} gates close, {time.perf_counter() - start:.0f} s")
    return int(bool(open_gates))


def _proved(root: Path, one: Gate, folder: str) -> bool:
    start = time.perf_counter()
    red = prove(root, one, folder)
    result = "red, as it should be" if red else "STAYED GREEN"
    print(f"{one.name:28} | {one.patch.__doc__:52} | {result} ({time.perf_counter() - start:.0f} s)", flush=True)
    return red
