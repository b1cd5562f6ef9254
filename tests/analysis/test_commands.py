"""The commands as a user runs them: what they write, that it is the same each time, and how they refuse."""

import json
import subprocess
import sys

import pandas as pd
import pytest
from analysis_tools import FEW, OPTIMUM, WRITES, made, make_run, make_study, refused
from checkout import ROOT, environment
from PIL import Image

from twosome.report.output import DPI, FIGURES, Folder, Table
from twosome.report.statistics import AXES
from twosome.report.summary import ALL

VARIABLES = environment() | {"PYTHONPATH": str(ROOT / "src")}  # this checkout, whichever one is installed
SCRIPTS = sorted(path.stem for path in (ROOT / "analysis").glob("*.py"))
FORBIDDEN = {"torch", "transformers", "pytorch_lightning", "hydra", "omegaconf", "gymnasium"}
IMPORT_ALL = """
import importlib, json, pkgutil, sys
import twosome.report
for module in pkgutil.walk_packages(twosome.report.__path__, "twosome.report."):
    importlib.import_module(module.name)
sys.path.insert(0, "analysis")
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(sorted(sys.modules)))
"""


def test_nothing_imports_torch():
    """All modules of twosome.report, then the commands, in a new interpreter."""
    assert set(SCRIPTS) == {*WRITES, "publish", "ablations"}
    command = [sys.executable, "-c", IMPORT_ALL, *SCRIPTS]
    done = subprocess.run(command, cwd=ROOT, env=VARIABLES, capture_output=True, text=True, timeout=120, check=True)
    modules = json.loads(done.stdout)
    assert {f"twosome.report.{path.stem}" for path in (ROOT / "src/twosome/report").glob("[a-z]*.py")} <= set(modules)
    assert not {name.split(".")[0] for name in modules} & FORBIDDEN


def test_script_runs_from_the_root(study, tmp_path):
    words = [sys.executable, "analysis/summary.py", str(study), "--out", str(tmp_path), *FEW]
    done = subprocess.run(words, cwd=ROOT, env=VARIABLES, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"wrote {tmp_path / name}" for name in ("summary.md", "summary.csv", "summary.tex")]
    assert done.stderr == ""


def test_published_tables_give_the_same_bytes(study, results, tmp_path):
    """And so does a second time."""
    made("publish", study, "--out", tmp_path / "published")
    commands = [
        *(["curves", "--against", axis] for axis in AXES),
        *([name] for name in WRITES if name not in ("curves", "report")),
    ]
    for script, *words in commands:
        for name, path in made(script, tmp_path / "published", *words, "--out", tmp_path / "results").items():
            assert path.read_bytes() == (results / name).read_bytes(), name
    again = made("publish", tmp_path / "published", "--out", tmp_path / "again")
    assert sorted(again) == ["accuracies.csv", "curves.csv", "drift.csv", "evaluations.csv", "forgetting.csv", "runs.csv"]
    for name, path in again.items():
        assert path.read_bytes() == (tmp_path / "published" / name).read_bytes(), name


def test_figures_are_a_column_wide_and_have_no_date(results):
    assert {path.name for path in results.iterdir()} == WRITES["report"] | {FIGURES}  # nothing is left behind
    for name in (path.stem for path in results.glob("*.png")):
        picture = Image.open(results / f"{name}.png")
        assert (picture.width, picture.info["dpi"][0]) == (round(3.3 * DPI), pytest.approx(DPI, abs=0.1))
        assert "Software" not in picture.info
        assert b"CreationDate" not in (results / f"{name}.pdf").read_bytes()


def test_one_table_in_all_formats(tmp_path):
    """A bar in a cell is no end of it."""
    cells = [{"x|y": "a | b", "n_1": "> 3 & ±1"}]
    Folder(tmp_path).table("t", Table.of("T", cells, ["A | note."], left=1, data=pd.DataFrame({"n": [1.23456789]})))
    assert (tmp_path / "t.md").read_text() == "## T\n\n| x\\|y | n_1 |\n|:--|--:|\n| a \\| b | > 3 & ±1 |\n\n- A | note.\n"
    assert (tmp_path / "t.csv").read_text() == "n\n1.23457\n"
    latex = "x|y & n\\_1 \\\\\n\\midrule\na | b & $>$ 3 \\& $\\pm$1 \\\\\n\\bottomrule"
    assert latex in (tmp_path / "t.tex").read_text()


def test_summary_numbers(results):
    rows = pd.read_csv(results / "summary.csv").set_index("method")
    word, none, random = (rows.loc[name] for name in ("twosome-word", "twosome-none", "random"))
    assert word.final_return == pytest.approx(0.919, abs=0.002)
    assert (word.seeds, word.reached, none.reached) == (3, 3, 3)
    assert none.steps_to_good < word.steps_to_good < rows.loc["ppo"].steps_to_good
    assert word.improvement == word.improvement_low == 1
    assert none.improvement == 0
    assert (word.paper_low, none.paper_low, word.paper_tag) == (0.92, 0.585, "F")
    assert random.final_return == -0.4
    assert pd.isna(random.steps_to_good)
    assert "0.92 [F]" in (results / "summary.md").read_text()


def test_aggregate_over_tasks(study, tmp_path):
    make_study(tmp_path / "other", task="tomato_lettuce_salad")
    rows = pd.read_csv(made("summary", study, tmp_path / "other", "--out", tmp_path)["summary.csv"])
    both = rows[rows.task == ALL].set_index("method")
    assert set(both.index) == {"twosome-word", "twosome-token", "twosome-none", "ppo"}
    episodes = [pd.read_csv(study / f"ppo-{seed}" / "episodes.csv") for seed in (0, 1, 2)]
    finals = sorted([run.discounted_return[run.env_step > 8192 - 512].mean() for run in episodes] * 2)  # the same on both tasks
    assert both.final_return["ppo"] == pytest.approx(sum(finals[1:-1]) / 4 / OPTIMUM, abs=1e-5)  # of six, one cut at each end
    assert both.improvement["twosome-word"] == 1


@pytest.mark.parametrize("script", SCRIPTS)
def test_files_of_ones_own_are_not_replaced(tmp_path, capsys, script):
    """Nor are those of publish.py by the other commands, nor theirs by it."""
    make_run(tmp_path / "run")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "curves.csv").write_text("kept")
    made("summary" if script == "publish" else "publish", tmp_path / "run", "--out", tmp_path / "written")
    for folder in (tmp_path / "mine", tmp_path / "written"):
        before = {path: path.read_bytes() for path in folder.iterdir()}
        line = refused(capsys, script, tmp_path / "run", "--out", folder)
        assert f"--out {folder}: expected a folder that is new or that this command wrote; it has {min(before).name}" in line
        assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_file_that_cannot_be_written_is_named(tmp_path, capsys):
    make_run(tmp_path / "a\x1b[31m run")
    (tmp_path / "out" / "summary.md").mkdir(parents=True)
    line = refused(capsys, "summary", tmp_path / "a\x1b[31m run", "--out", tmp_path / "out", "--bootstrap-samples", "2", code=1)
    assert "Is a directory" in line
    assert str(tmp_path / "out" / "summary.md") in line
    assert "\\x1b" in refused(capsys, "summary", tmp_path / "\x1b", "--out", tmp_path / "out")
