"""Where the book opens elsewhere: Colab's notebooks run with the wheel of the site, addresses follow from one, set-up files agree."""
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import nbformat
import pytest
import yaml

from booktools import launch, notebooks, package, tasks

ROOT = Path(__file__).resolve().parents[2]
SITE = "https://someone.github.io/book/"
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))


def test_every_address_follows_from_the_repository():
    at = launch.places("https://github.com/Someone/book", "dev")
    assert at["site"] == SITE
    assert at["binder"] == "https://mybinder.org/v2/gh/Someone/book/dev?urlpath=lab/tree/chapters"
    assert at["colab"] == "https://colab.research.google.com/github/Someone/book/blob/gh-pages/colab/"


def test_the_public_address_stands_in_one_file():
    address = CONFIG["repository"]["url"].removeprefix("https://")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split("\n")
    files = [ROOT / name for name in tracked if name] or [p for p in ROOT.rglob("*.md") if "_build" not in p.parts and ".venv" not in p.parts]
    naming = [p.relative_to(ROOT).as_posix() for p in files if p.is_file() and address.encode() in p.read_bytes()]
    assert set(naming) <= {"_config.yml"}


@pytest.mark.parametrize("myst, plain", [
    ("as {cite}`b2020,a2021` says", f"as [[b2020]({SITE}book/bibliography.html#cite-b2020), [a2021]({SITE}book/bibliography.html#cite-a2021)] says"),
    ("[nine](09_how_wrong.ipynb#x) [data](../book/data.md) [B08](#claim-b08) [here](#y) [out](https://a.b/c.md)",
     f"[nine]({SITE}chapters/09_how_wrong.html#x) [data]({SITE}book/data.html) [B08]({SITE}book/ledger.html#claim-b08) "
     f"[here]({SITE}chapters/07_mbu.html#y) [out](https://a.b/c.md)"),
    ("a\n\n```{exercise} The floor\n:label: ex-07-1\n\n*Easy.* How long?\n\nAnd why?\n```\n\nb", "a\n\n> **Exercise: The floor**\n>\n> *Easy.* How long?\n>\n> And why?\n\nb"),
    (":::{admonition} Takeaway\n:class: tip\nTwo.\n:::", "> **Takeaway**\n>\n> Two."),
    ("$\\frac{a}{b}$ and `{cite}`", "$\\frac{a}{b}$ and `{cite}`"),
])
def test_myst_becomes_plain_markdown(myst, plain):
    assert launch.plain_markdown(myst, "chapters/07_mbu", SITE) == plain


@pytest.mark.parametrize("path", notebooks.chapters(ROOT), ids=lambda path: path.stem)
def test_a_notebook_for_colab_is_whole_and_leaves_no_markup(path):
    stored = notebooks.read(path)
    made = launch.for_colab(notebooks.read(path), f"chapters/{path.stem}", SITE, "x.whl")
    nbformat.validate(made)
    assert [c.source for c in made.cells if c.cell_type == "code"][1:] == [c.source for c in stored.cells if c.cell_type == "code"]
    prose = "\n".join(c.source for c in made.cells if c.cell_type == "markdown")
    assert re.findall(r"^[`:]{3,}\{|\{cite\}`|\]\((?!https?:|mailto:)[^)]*\)", prose, re.M) == []
    assert not any(c.outputs for c in made.cells if c.cell_type == "code")


def test_the_install_cell_makes_the_chapter_run(tmp_path, monkeypatch):
    """The wheel comes from a server of this machine; dependencies are those at hand, since tests ask no other host."""
    from nbclient import NotebookClient

    wheel = package.build_wheel(ROOT, tmp_path / "site" / "dist")
    running = tasks.server(tmp_path / "site")
    threading.Thread(target=running.serve_forever, daemon=True).start()
    target = tmp_path / "installed"
    target.mkdir()
    for name, value in tasks.QUIET.items() | {("PIP_NO_DEPS", "1"), ("PIP_TARGET", str(target)), ("PYTHONPATH", str(target))}:
        monkeypatch.setenv(name, value)
    nb = notebooks.read(notebooks.chapters(ROOT, "07")[0])
    nb.cells = [*[c for c in nb.cells if c.cell_type == "code"][:3], nbformat.v4.new_code_cell("print(si.__file__)")]
    made = launch.for_colab(nb, "chapters/07_mbu", f"http://127.0.0.1:{running.server_port}/", wheel.name)
    try:
        NotebookClient(made, timeout=120, kernel_name="python3").execute()
    finally:
        running.shutdown()
        running.server_close()
    assert Path(made.cells[-1].outputs[0].text.strip()).is_relative_to(target)


# --- Binder and dev container -----------------------------------------------------------------------------------------

def test_binder_installs_what_the_chapters_import_in_the_versions_of_the_lock():
    lines = (ROOT / "binder" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if line and line[0] not in "#-")
    imported = {m[1] for path in notebooks.chapters(ROOT) for cell in notebooks.code_cells(notebooks.read(path))
                for m in re.finditer(r"^(?:import|from) (\w+)", cell.source, re.M)}
    assert imported - sys.stdlib_module_names - {"siliconomics"} <= set(pinned)
    locked = set(re.findall(r"^(\S+)==(\S+)", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.M))
    assert set(pinned.items()) <= locked


def test_set_up_files_name_what_exists():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert container["postCreateCommand"] == "python code/booktools setup" and "setup" in tasks.COMMANDS
    runtime = (ROOT / "binder" / "runtime.txt").read_text(encoding="utf-8").strip()
    assert re.fullmatch(r"python-3\.1[123]", runtime) and runtime[7:] in container["image"]
    assert os.name == "nt" or os.access(ROOT / "binder" / "postBuild", os.X_OK)
    for flow in (ROOT / ".github" / "workflows").glob("*.yml"):
        for command in re.findall(r"python code/booktools (\w[\w-]*)", flow.read_text(encoding="utf-8")):
            assert command in tasks.COMMANDS, flow.name
