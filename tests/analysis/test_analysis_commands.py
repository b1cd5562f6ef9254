"""The commands as a user runs them: what they write, that it is the same each time, and how they refuse."""

import json
import re
import subprocess
import sys
from collections import Counter
from importlib import import_module

import pandas as pd
import pytest
from analysis_tools import OPTIMUM, SCRIPTS, make_run, make_study
from checkout import ROOT, environment
from command_tools import AGAINST, FEW, WRITES, made
from PIL import Image

import curves
from twosome.report.output.files import DPI, FIGURES
from twosome.report.output.folder import Folder
from twosome.report.results.summary_table import ALL
from twosome.report.statistics.axes import AXES

VARIABLES = environment() | {"PYTHONPATH": str(ROOT / "src")}  # this checkout, whichever one is installed


def test_every_command_is_tested():
    assert set(SCRIPTS) == {*WRITES, "publish", "ablations"}  # tests/analysis/test_ablations.py


def test_the_folder_holds_commands_only():
    assert sorted(path.stem for path in (ROOT / "analysis").glob("*.py")) == SCRIPTS
    assert not set(SCRIPTS) & set(sys.stdlib_module_names)


FORBIDDEN = ("torch", "transformers", "pytorch_lightning", "hydra", "omegaconf", "gymnasium")
BASE = {f"twosome.{name}" for name in ("called", "files", "former", "identity", "plain", "signals", "errors")} | {"twosome"}
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


def test_nothing_imports_torch_or_another_layer_of_the_suite():
    """All modules of twosome.report, then the commands, in a new interpreter."""
    command = [sys.executable, "-c", IMPORT_ALL, *SCRIPTS]
    done = subprocess.run(command, cwd=ROOT, env=VARIABLES, capture_output=True, text=True, timeout=120, check=True)
    modules = json.loads(done.stdout)
    package = ROOT / "src" / "twosome" / "report"
    assert sum(name.startswith("twosome.report") for name in modules) == len(list(package.rglob("*.py")))
    assert {name for name in modules if name.split(".")[0] == "twosome" and not name.startswith("twosome.report")} <= BASE
    assert not {name.split(".")[0] for name in modules} & set(FORBIDDEN)


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


def test_nothing_of_a_file_is_left_behind(results):
    assert {path.name for path in results.iterdir()} == WRITES["report"] | {FIGURES}


def test_plotted_numbers(results):
    rows = pd.read_csv(results / "curves.csv").set_index("method")
    word, random = rows.loc["twosome-word"], rows.loc["random"]
    assert word.env_steps.tolist() == list(range(512, 8193, 256))  # every bin, since a quarter of the window is less
    assert (word.seeds == 3).all()
    assert ((word.low <= word.center) & (word.center <= word.high)).all()
    assert word.center.iloc[-1] == pytest.approx(0.919, abs=0.002)  # 0.92, 0.919, 0.918
    assert word.low.iloc[-1] == pytest.approx(0.918, abs=0.001)
    assert (random.kind, random.center) == ("evaluation", -0.4)


def test_unfinished_runs_are_drawn_as_far_as_all_of_them_are(tmp_path):
    for seed, steps in enumerate((8192, 5000)):
        folder = make_run(tmp_path / str(seed), seed=seed, curve=lambda step: step / 10_000, steps=steps, total_steps=8192)
    (folder / "DONE").unlink()
    rows = pd.read_csv(made("curves", tmp_path, "--out", tmp_path, "--unfinished")["curves.csv"])
    assert rows.env_steps.max() == 4864  # the last whole bin
    assert rows.center.notna().all()
    assert rows.center.to_numpy() == pytest.approx((rows.env_steps - 224).to_numpy() / 10_000, abs=0.005)


def test_messages_name_the_commands_that_there_are(tmp_path, monkeypatch, capsys):
    """Scripts of the checkout; where the suite is installed elsewhere, as a wheel, its commands."""
    folder = make_run(tmp_path / "run")
    finished = make_run(tmp_path / "finished")
    (folder / "DONE").unlink()
    said = []
    for sources in (ROOT / "src", tmp_path):
        monkeypatch.setattr("twosome.called.SOURCES", sources)
        for script, words in (("curves", [folder]), ("generalization", [finished]), ("retention", [finished])):
            assert import_module(script).main([*map(str, words), "--out", str(tmp_path)]) == 2
        said.append(capsys.readouterr().err)
        made("report", finished, "--out", tmp_path)
        said[-1] += capsys.readouterr().err + (tmp_path / "report.html").read_text()
    first, other = (Counter(re.findall(r"python src/\w+\.py|twosome-(?:run|evaluate)\b", each)) for each in said)
    assert first == {"python src/run.py": 3, "python src/evaluate.py": 6}
    assert other == {"twosome-run": 3, "twosome-evaluate": 6}


def test_mean_and_std_as_the_paper_draws_them(study, tmp_path):
    path = made("curves", study, "--out", tmp_path, "--stat", "mean-std")["curves.csv"]
    rows = pd.read_csv(path).set_index("method")
    last = rows.loc["ppo"].iloc[-1]
    assert last.high - last.center == pytest.approx(0.01 * (2 / 3) ** 0.5, rel=0.05)  # of 0.86, 0.85, 0.84
    assert last.center - last.low == pytest.approx(last.high - last.center, abs=1e-5)


def test_figures_are_a_column_wide_and_have_no_date(results):
    for name in (path.stem for path in results.glob("*.png")):
        picture = Image.open(results / f"{name}.png")
        assert (picture.width, picture.info["dpi"][0]) == (round(3.3 * DPI), pytest.approx(DPI, abs=0.1))
        assert "Software" not in picture.info
        assert b"CreationDate" not in (results / f"{name}.pdf").read_bytes()


def drawn(study, tmp_path, monkeypatch, *words):
    """The figures' axes."""
    figures = []
    monkeypatch.setattr(Folder, "figure", lambda out, name, figure: figures.append(figure))
    made("curves", study, "--out", tmp_path, *words)
    return figures


def test_paper_is_drawn_unless_switched_off(study, tmp_path, monkeypatch):
    def labels(figure):
        return [text.get_text() for legend in figure.legends for text in legend.get_texts()]

    def points(figure):
        return [step for line in figure.axes[0].get_lines() if line.get_marker() == "o" for step in line.get_xdata()]

    longer = make_study(tmp_path / "longer", seeds=(0,), steps=16_384)
    for figure in drawn(longer, tmp_path, monkeypatch):
        assert labels(figure)[-1] == "paper, LLaMA-7B,\nread off the figure"
        assert 10_000 <= max(points(figure)) <= 16_384  # no further than the runs go
    for folder, words in ((longer, ["--no-paper"]), (study, [])):  # the study ends before the paper's first point
        norms, baselines = drawn(folder, tmp_path, monkeypatch, *words)
        assert points(norms) == points(baselines) == []
        assert labels(norms) == ["TWOSOME, word", "TWOSOME, token", "TWOSOME, no norm"]
        assert labels(baselines) == ["TWOSOME, word", "PPO from scratch", "SayCan, oracle", "not finetuned", "random"]


def test_runs_in_which_no_episode_ended_are_drawn(tmp_path):
    make_run(tmp_path / "runs" / "0", curve=[], steps=32)
    make_run(tmp_path / "runs" / "1", curve=[], steps=32, seed=1)
    for script, names in WRITES.items():
        if script not in ("generalization", "retention", "report"):  # of which the first two are of evaluations alone
            assert set(made(script, tmp_path / "runs", "--out", tmp_path)) == names
    for axis, names in AGAINST.items():  # dvc.yaml lists them
        assert set(made("curves", tmp_path / "runs", "--out", tmp_path, "--against", axis)) == names
    assert "| — | — | > 0 (0 of 2) | > 0 | > 0 s | 32 | 24 | 8 s | — |" in (tmp_path / "summary.md").read_text()


def test_a_method_has_one_colour_and_the_optimum_a_line(study, tmp_path, monkeypatch):
    norms, baselines = drawn(study, tmp_path, monkeypatch, "--no-paper")
    colours = [figure.legends[0].get_lines()[0].get_color() for figure in (norms, baselines)]
    assert colours[0] == colours[1]  # word is in both
    for figure in (norms, baselines):
        assert any(set(line.get_ydata()) == {OPTIMUM} for line in figure.axes[0].get_lines())


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


def test_seeds_that_never_get_there_count_as_later(tmp_path):
    for seed, final in enumerate((0.92, 0.92, 0.5, 0.5)):
        make_run(tmp_path / str(seed), seed=seed, curve=lambda _, final=final: final)
    written = made("summary", tmp_path, "--out", tmp_path)
    assert "| > 8,192 (2 of 4) |" in written["summary.md"].read_text()
    assert pd.read_csv(written["summary.csv"]).steps_to_good[0] == float("inf")
    assert "| 512 (2 of 3) |" in made("summary", tmp_path, "--out", tmp_path, "--seeds", "0,1,2")["summary.md"].read_text()


def test_aggregate_over_tasks(study, tmp_path):
    make_study(tmp_path / "other", task="tomato_lettuce_salad")
    rows = pd.read_csv(made("summary", study, tmp_path / "other", "--out", tmp_path)["summary.csv"])
    both = rows[rows.task == ALL].set_index("method")
    assert set(both.index) == {"twosome-word", "twosome-token", "twosome-none", "ppo"}
    episodes = [pd.read_csv(study / f"ppo-{seed}" / "episodes.csv") for seed in (0, 1, 2)]
    finals = sorted([run.discounted_return[run.env_step > 8192 - 512].mean() for run in episodes] * 2)  # the same on both tasks
    assert both.final_return["ppo"] == pytest.approx(sum(finals[1:-1]) / 4 / OPTIMUM, abs=1e-5)  # of six, one cut at each end
    assert both.improvement["twosome-word"] == 1


def test_ledger_of_the_study(results):
    rows = pd.read_csv(results / "claims.csv")
    whole = rows[rows.task == "all"].set_index("claim").verdict
    assert whole.to_dict() == dict.fromkeys((1, 2, 3, 4, 7), "supported") | dict.fromkeys(
        (5, 6, *range(8, 12), 17), "not measured"
    ) | dict.fromkeys(range(12, 17), "not enough data")  # of other tasks
    assert rows.center[rows.of.notna() & (rows.claim < 8)].notna().all()


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["nowhere"], "nowhere: no such folder"),
        ([], "the following arguments are required: runs; --help lists the options"),
        (["STUDY", "--window", "1000"], "--window 1000: expected a multiple of 256"),
        (["STUDY", "--window", "0"], "argument --window: '0': expected an integer above 0"),
        (["STUDY", "--seeds", "one"], "argument --seeds: 'one': expected integers with commas"),
        (["STUDY", "--seeds", "0,9"], "--seeds 0,9: tomato_salad, ppo has no run with seed 9"),
        (["STUDY", "--stat", "median"], "argument --stat: invalid choice"),
        (["STUDY", "--against", "time"], "argument --against: invalid choice: 'time'"),
        (["STUDY", "--evaluations", "mine"], "argument --evaluations: invalid choice"),
        (["STUDY", "--windo", "1", "--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_bad_input_is_one_line(study, tmp_path, capsys, words, match):
    code = curves.main([word.replace("STUDY", str(study)) for word in words])
    message = capsys.readouterr().err
    assert code == 2
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    assert match in message


@pytest.mark.parametrize("script", SCRIPTS)
def test_commands_share_their_options(script):
    module = import_module(script)
    options = module.parser().parse_args(["x"])
    assert {"runs", "out", "seeds", "unfinished"} <= set(vars(options))
    assert callable(module.make)
