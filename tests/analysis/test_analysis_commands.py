"""The commands as a user runs them: what they write, that it is the same each time, and how they refuse."""

import base64
import html
import json
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from importlib import import_module

import pandas as pd
import pytest
from analysis_tools import OPTIMUM, SCRIPTS, make_run, make_study
from checkout import ROOT, environment
from PIL import Image

import curves
from twosome.report.output import tables
from twosome.report.output.files import DPI
from twosome.report.output.folder import Folder
from twosome.report.results.summary_table import ALL
from twosome.report.statistics.axes import AXES

VARIABLES = environment() | {"PYTHONPATH": str(ROOT / "src")}  # this checkout, whichever one is installed
FEW = ["--bootstrap-samples", "50", "--window", "512"]
AGAINST = {
    axis.name: {
        f"curves{axis.suffix}.csv",
        *(f"curves_{name}{axis.suffix}.{kind}" for name in ("norms", "baselines") for kind in ("png", "pdf")),
    }
    for axis in AXES.values()
}
"""What curves.py writes, by the value of --against."""
WRITES = {
    "curves": AGAINST["env_steps"],
    "summary": {"summary.md", "summary.csv", "summary.tex"},
    "generalization": {
        f"{name}.{suffix}" for name in ("generalization", "transfer") for suffix in ("csv", "md", "tex", "pdf", "png")
    },
    "retention": {
        *(f"retention.{suffix}" for suffix in ("csv", "md", "tex", "pdf", "png")),
        *("drift.csv", "drift.md", "drift.tex", "forgetting.csv", "forgetting.pdf", "forgetting.png"),
    },
    "claims": {"claims.md", "claims.csv"},
}
WRITES["report"] = {"report.html", *set.union(*WRITES.values(), *AGAINST.values())}


def made(script, *words):
    """What a command wrote, by name."""
    module = import_module(script)
    parser = module.parser()
    if script in ("curves", "summary", "claims", "report"):
        parser.set_defaults(bootstrap_samples=50, window=512)
    return {path.name: path for path in module.make(parser.parse_args(list(map(str, words))))}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def results(study, tmp_path_factory):
    """The folder into which the report's command wrote, and by it all others."""
    out = tmp_path_factory.mktemp("results")
    assert set(made("report", study, "--out", out)) == WRITES["report"]
    return out


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
    assert {path.name for path in results.iterdir()} == WRITES["report"]


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
        (5, 6, *range(8, 12)), "not measured"
    ) | dict.fromkeys(range(12, 17), "not enough data")  # of other tasks
    assert rows.center[rows.of.notna() & (rows.claim < 8)].notna().all()


class Links(HTMLParser):
    """Collects what a page refers to, and which tags it has."""

    def __init__(self):
        super().__init__()
        self.sources, self.links, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "srcset", "data", "poster")]
        self.links += [value for name, value in attrs if name == "href"]


def test_report_is_one_file_with_working_links(study, results):
    page, text = Links(), (results / "report.html").read_text()
    page.feed(text)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert len(page.sources) == 10
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert not re.search(r"url\(|@import|https?://", text)
    for link in page.links:
        if link.startswith("#"):
            assert f'id="{link[1:]}"' in text
        else:
            assert (results / link).exists(), link
    assert page.tags.count("details") == len(list(study.glob("*/config.yaml")))
    assert "learning_rate: 0.001" in text
    assert "0123abc" in text
    assert text.count('class="verdict supported"') > 10


def test_report_says_what_cannot_be_made_and_shows_nothing_of_other_runs(study, tmp_path, capsys):
    """A first run, without a language model: no norm, never played elsewhere, never asked. What is in --out is of other runs."""
    made("generalization", study, "--out", tmp_path)
    made("curves", study, "--out", tmp_path)
    make_run(tmp_path / "runs" / "0", "ppo", steps=1024)
    capsys.readouterr()
    written = made("report", tmp_path / "runs", "--out", tmp_path)
    drawn = {name for names in AGAINST.values() for name in names if "norms" not in name}
    assert set(written) == drawn | WRITES["summary"] | WRITES["claims"] | {"report.html"}
    page, text = Links(), written["report.html"].read_text()
    page.feed(text)
    for source, axis in zip(page.sources, AXES.values(), strict=True):
        picture = written[f"curves_baselines{axis.suffix}.png"]
        assert base64.b64decode(source.partition(",")[2]) == picture.read_bytes()
    assert "generalization.csv" not in text
    lines = capsys.readouterr().err.splitlines()
    lacking = {"generalization": "suite=unseen", "retention": "suite=drift", "ablations": "experiment=ablations"}
    for line, (part, remedy) in zip(lines, lacking.items(), strict=True):
        assert line.startswith(f"warning: the report lacks {part}: ")
        assert remedy in line
        assert html.escape(line.partition(f"lacks {part}: ")[2]) in text


def test_report_has_the_options_of_what_it_makes():
    own = vars(import_module("report").parser().parse_args(["x"]))
    for script in WRITES:
        others = vars(import_module(script).parser().parse_args(["x"]))
        others.pop("against", None)  # the report shows all
        assert others.items() <= own.items()


def test_report_links_the_page_that_shows_an_agent_at_work(tmp_path):
    run = make_run(tmp_path / "runs" / "0", steps=1024)
    (run / "watch").mkdir()
    for name in ("tomato_salad.html", "another.html"):
        (run / "watch" / name).touch()
    page = Links()
    page.feed(made("report", tmp_path / "runs", "--out", tmp_path / "out")["report.html"].read_text())
    assert [link for link in page.links if "watch" in link] == ["../runs/0/watch/tomato_salad.html"]


def test_report_escapes_what_runs_say(tmp_path):
    make_run(tmp_path / "run", task="<script>alert(1)</script>")
    page = Links()
    page.feed(made("report", tmp_path / "run", "--out", tmp_path)["report.html"].read_text())
    assert "script" not in page.tags


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


def test_one_table_in_all_formats(tmp_path):
    """A bar in a cell is no end of it; the report's HTML is that of the table, not of a file."""
    table = tables.Table("T", ["x|y", "n"], [["a | b", "1"]], ["A | note."], left=1, data=pd.DataFrame({"n": [1.23456789]}))
    out = Folder(tmp_path)
    out.table("t", table)
    assert (tmp_path / "t.md").read_text() == "## T\n\n| x\\|y | n |\n|:--|--:|\n| a \\| b | 1 |\n\n- A | note.\n"
    assert (tmp_path / "t.csv").read_text() == "n\n1.23457\n"
    assert "a | b & 1" in (tmp_path / "t.tex").read_text()
    assert '<td class="words" data-column="x|y">a | b</td>' in tables.to_html(out.tables["t"])
    assert [path.name for path in out.paths] == ["t.md", "t.csv", "t.tex"]


def test_latex_is_escaped():
    table = tables.Table("T", ["a_b", "50 %"], [["> 3 & more", "±1"]], left=1)
    assert r"a\_b & 50 \% \\" in tables.to_latex(table)
    assert r"$>$ 3 \& more & $\pm$1 \\" in tables.to_latex(table)
