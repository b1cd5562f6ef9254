"""The manual: its reference is complete, its links lead to pages, its figures show what the code does, its site is whole."""

import ast
import dataclasses
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from importlib import import_module
from typing import get_type_hints

import gymnasium
import pytest
import yaml
from checkout import ROOT, environment, tables
from packaging.requirements import Requirement

sys.path.insert(0, str(ROOT))
from manual import api, environments, figures, options
from manual.links import MOVED, rewritten
from manual.svg import Drawing

TYPED = ("typed", "own_settings")


def checked_dataclasses() -> list[tuple[str, str]]:
    """The dataclasses that the code checks options with, and the names of the mappings in the configuration."""
    found = set()
    for path in sorted((ROOT / "src").glob("**/*.py")):
        tree = ast.parse(path.read_text())
        imported = {
            alias.name: node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TYPED and len(node.args) > 1:
                cls, *_, last = node.args
                if isinstance(cls, ast.Name) and cls.id[0].isupper():
                    prefix = last.value if isinstance(last, ast.Constant) else ""
                    own = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
                    found.add((imported.get(cls.id, own), cls.id, prefix))
    return sorted(found)


def fields(cls: type, prefix: str) -> list[str]:
    """The options that a dataclass describes."""
    names = []
    for name, hint in get_type_hints(cls).items():
        whole = f"{prefix}.{name}" if prefix else name
        names += fields(hint, whole) if dataclasses.is_dataclass(hint) else [whole]
    return names


@pytest.fixture(scope="module")
def page() -> str:
    """The reference of options."""
    return options.page()


@pytest.mark.parametrize(("module", "name", "prefix"), checked_dataclasses())
def test_the_reference_names_every_option_of_every_dataclass(page, module, name, prefix):
    names = fields(getattr(import_module(module), name), prefix)
    assert names
    assert [option for option in names if f"| `{option}` |" not in page] == []


def test_the_reference_has_every_choice_and_no_option_without_a_meaning(page):
    for group in options.groups():
        for path in (ROOT / "conf" / group).glob("*.yaml"):
            assert f"### `{group}={path.stem}`" in page
    rows = re.findall(r"^\| `([a-z_.]+)` \| (?:`.*`)? ?\|(.*)\|$", page, re.MULTILINE)
    assert len(rows) > 150
    assert [name for name, meaning in rows if not meaning.strip()] == []
    assert "| `algorithm.num_envs` | `32` | environments that step side by side |" in page


def test_the_reference_has_every_registered_environment():
    page = environments.page()
    ids = [name for name in gymnasium.registry if name.startswith("twosome/")]
    assert len(ids) >= 3
    for name in ids:
        (section,) = re.findall(rf"^## {re.escape(name)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
        assert {"### Mission", "### Action space", "### Observation space", "### Rewards"} <= set(section.splitlines())


def test_the_reference_has_every_public_name():
    import twosome

    for name in twosome.__all__:
        module, _, attribute = api.home(name).rpartition(".")
        assert getattr(import_module(module), attribute) is getattr(twosome, name)
        assert f"::: {api.home(name)}\n" in api.page()


def test_links_of_the_repository_become_links_of_the_site():
    text = "[a](../docs/slurm.md#x) `[b](c.md)` ![p](https://x/y.png) [d](https://x) [e](src/run.py) ![f](docs/e.gif) [g](#h)"
    assert rewritten(text.replace("../docs", "docs"), "README.md", "index.md") == (
        "[a](slurm.md#x) `[b](c.md)`  [d](https://x) e (`src/run.py`) ![f](e.gif) [g](#h)"
    )
    assert rewritten("[c](../../CONTRIBUTING.md#z)", "docs/howto/norm.md", "howto/norm.md") == "[c](../contributing.md#z)"


def test_the_site_has_every_page():
    class Loader(yaml.SafeLoader):
        pass

    site = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)
    text = json.dumps(site["nav"])
    pages = [str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").glob("**/*.md")]
    assert [page for page in [*pages, *MOVED.values()] if f'"{page}"' not in text] == []
    assert site["theme"]["font"] is False


def test_the_locks_agree():
    """What the manual's tools pin is nothing that the suite pins, and has what pyproject.toml asks for."""
    pins = {name: read_lock(name) for name in ("requirements.lock", "requirements-docs.lock")}
    assert not set(pins["requirements.lock"]) & set(pins["requirements-docs.lock"])
    declared = re.search(r"^docs = (\[.*\])$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    for need in map(Requirement, json.loads(declared[1])):
        assert need.specifier.contains(pins["requirements-docs.lock"][need.name]), need


def read_lock(name: str) -> dict[str, str]:
    lines = [line for line in (ROOT / name).read_text().splitlines() if not line.startswith("#")]
    return {pin.name.lower(): next(iter(pin.specifier)).version for pin in map(Requirement, lines)}


@pytest.fixture(scope="module")
def by_norm():
    return figures.scorers("tiny_random")


@pytest.mark.parametrize("name", ["decision", "norm", "tree", "flow"])
def test_figures_are_drawn_from_the_model(by_norm, name):
    drawn = {
        "decision": lambda: figures.decision(by_norm["word"]),
        "norm": lambda: figures.norms(by_norm),
        "tree": lambda: figures.tree(by_norm["word"]),
        "flow": figures.flow,
    }[name]()
    assert isinstance(drawn, Drawing)
    new, committed = (ElementTree.fromstring(text) for text in (drawn.svg(), (figures.FOLDER / f"{name}.svg").read_text()))
    for root in (new, committed):
        assert len(root.findall(".//{*}text")) > 10
        for text in root.findall(".//{*}text"):
            assert 0 <= float(text.get("x")) <= float(root.get("width"))
            assert 0 <= float(text.get("y")) <= float(root.get("height"))


def test_the_figure_of_the_tree_counts_as_the_engine(by_norm):
    import twosome
    from twosome.language.tree import PackedRow

    scorer = by_norm["word"]
    _, info = twosome.make_env("overcooked", task="tomato_lettuce_salad").reset(seed=0)
    (tokenized,) = scorer.tokenize([(info["prompt"], tuple(info["action_prompts"]))])
    row = PackedRow()
    row.add(0, tokenized)
    assert f"{len(row)} tokens computed" in figures.tree(scorer).svg()


def test_the_table_of_methods_is_that_of_the_published_runs():
    import csv

    text = (ROOT / "README.md").read_text()
    names = tables("README.md", "## Methods and environments")
    assert sorted(names) == sorted(path.stem for path in (ROOT / "conf" / "baseline").glob("*.yaml"))
    seeds: dict[tuple[str, str], set[str]] = {}
    for path in (ROOT / "results" / "published").glob("*/runs.csv"):
        for row in csv.DictReader(path.open()):
            choices = json.loads(row["choices"])
            seeds.setdefault((choices["baseline"], choices["env"]), set()).add(row["seed"])
    for name in names:
        (row,) = re.findall(rf"^\| `{name}` \|(.*)\|$", text, re.MULTILINE)
        _, *cells = (cell.strip() for cell in row.split("|"))
        for world, cell in zip(("overcooked", "virtualhome", "babyai_text"), cells, strict=True):
            state, _, limits = cell.partition(", but not ")
            assert state == ("published" if len(seeds.get((name, world), ())) >= 3 else "runs") or cell == "—", (name, world)
            assert not limits or "env." in limits


@pytest.mark.slow
def test_the_site_is_built_and_loads_nothing_from_the_network(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = sorted((tmp_path / "site").glob("**/*.html"))
    assert len(pages) > 20
    for page in pages:
        loads = r"<(?:script|img|link|iframe)\b[^>]*?(?:src|href)=\"?(https?:[^\" >]+)"
        assert not [url for url in re.findall(loads, page.read_text()) if "canonical" not in url], page
    styles = "".join(path.read_text() for path in (tmp_path / "site").glob("**/*.css"))
    assert not re.findall(r"url\([\"']?https?:", styles)


@pytest.mark.slow
def test_the_tour_runs(tmp_path):
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(ROOT / "examples" / "tour.ipynb", as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("STEPS = 8_192", "STEPS = 1_024").replace(
            'ROOT / "outputs" / "tour"', f"Path({str(tmp_path / 'tour')!r})"
        )
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(ROOT)}}).execute()
    assert (tmp_path / "tour" / "DONE").exists()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/gif" in output.get("data", {}) for output in outputs)
    assert any("<iframe srcdoc=" in output.get("data", {}).get("text/html", "") for output in outputs)
    assert (tmp_path / "tour" / "watch.html").exists()


def test_the_tour_is_committed_without_outputs():
    notebook = json.loads((ROOT / "examples" / "tour.ipynb").read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(code) >= 5
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code)


def test_versions_agree():
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
    assert re.findall(r"^## ([\d.]+) - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0] == version


def test_github_runs_what_ci_runs():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    (job,) = workflow["jobs"].values()
    assert "bash .ci/run" in [step.get("run") for step in job["steps"]]
    for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml"):
        form = yaml.safe_load(path.read_text())
        assert {"name", "description", "body"} <= set(form)
        assert all({"type", "attributes"} <= set(field) for field in form["body"])
