"""Ablations: which runs belong to which value, what is said of them, and that the usual figures leave them out."""

import json

import composing
import numpy as np
import pandas as pd
import pytest
import yaml
from analysis_tools import (
    CLAIMS,
    MEASURES,
    VIRTUALHOME,
    add_records,
    made,
    make_run,
    refused,
    rising,
    unseen_records,
)
from checkout import ROOT
from omegaconf import OmegaConf

from twosome.report import ablations as statistics
from twosome.report import runs as collection
from twosome.report import style
from twosome.report.runs import ABLATION

ABLATIONS = statistics.read(ROOT / "analysis" / "ablations.yaml")
BY_NAME = {ablation.name: ablation for ablation in ABLATIONS if not ablation.name.startswith("glam")}
"""Those whose runs are made here; GLAM's are in test_glam_experiments.py."""
FINALS = {"state": [0.80, 0.81, 0.82], "detached": [0.88, 0.90, 0.92], "frozen": [0.89, 0.90, 0.91]}
"""Evaluated returns by value head: state is surely worse than frozen, detached is not."""

PRESET = yaml.safe_load((ROOT / "conf" / "algorithm" / "ppo.yaml").read_text())


def grids(name):
    """The grids of an ablation's experiment."""
    return composing.grids(f"ablation_{name}")


def run_of(folder, grid, seed, after, before=0.3, steps=2048):
    """A run's folder with the options of an experiment's grid."""
    label = None if grid["label"] == "null" else grid["label"]
    env = {"id": VIRTUALHOME if grid["env"] == "virtualhome" else "twosome/Overcooked-v0", "task": grid["env.task"],
           "prompt": grid.get("env.prompt", "default"), "gamma": 0.99,
           "kwargs": {"idle_actions": grid.get("env.kwargs.idle_actions", 0)}}  # fmt: skip
    baseline = grid["baseline"]
    targets = OmegaConf.to_container(OmegaConf.from_dotlist([f"x={grid.get('tuning.target_modules', 'null')}"]))["x"]
    tuning = {"rank": grid.get("tuning.rank", 8), "alpha": grid.get("tuning.alpha", 16), "target_modules": targets,
              "layers": {"null": None}.get(layers := grid.get("tuning.layers", "half"), layers)}  # fmt: skip
    ppo = PRESET | {key.removeprefix("algorithm."): value for key, value in grid.items() if key.startswith("algorithm.")}
    ppo = {key: None if value == "null" else value for key, value in ppo.items()} | {"gamma": 0.99}
    head = {"detached": grid.get("value_head") == "detached", "standardise": grid.get("value_head.standardise", True)}
    language = {"value_head": head, "tuning": tuning}
    method, options = ("ppo", {}) if baseline == "ppo" else ("twosome-word", language)
    options |= {
        "env": env,
        "label": label,
        "algorithm": ppo | {"num_envs": 4},
        "model": {"dtype": grid.get("model.dtype", "float32")},
    }
    make_run(folder, method, seed, rising(after, 400), steps, grid["env.task"], after, before, **options)
    choices = {"env": grid["env"], "norm": "word", "baseline": baseline, "value_head": grid.get("value_head", "frozen"),
               "tuning": grid.get("tuning", "lora"), "algorithm": "ppo", "model": grid.get("model", "smollm2_135m")}  # fmt: skip
    (folder / "choices.json").write_text(json.dumps(choices))
    records = json.loads((folder / "evaluation.json").read_text())
    (folder / "evaluation.json").write_text(json.dumps([record | {"prompt": env["prompt"]} for record in records]))
    return folder


def study(folder, name, finals, seeds=3, tasks=None):
    """Runs of an ablation. finals: by label's last part ("null" for the usual value), the seeds' evaluated returns."""
    for number, grid in enumerate(grids(name)):
        value = grid["label"].rpartition("/")[2]
        if value in finals and grid["env.task"] in (tasks or [grid["env.task"]]):
            for seed in range(seeds):
                run_of(folder / f"{name}-{number}-{seed}", grid, seed, finals[value][seed])
    return folder


def heads(folder, **options):
    return study(folder, "value_head", {"null": FINALS["frozen"], **FINALS}, **options)


@pytest.fixture(scope="module")
def value_heads(tmp_path_factory):
    return heads(tmp_path_factory.mktemp("heads"), tasks=["tomato_salad", "food_preparation"])


@pytest.mark.parametrize("name", BY_NAME)
def test_each_run_of_an_experiment_has_one_value(tmp_path, name):
    """Of each series of points that are drawn; and each value has runs on each task."""
    ablation = BY_NAME[name]
    folders = [run_of(tmp_path / str(number), grid, 0, 0.5, steps=0) for number, grid in enumerate(grids(name))]
    runs = collection.read(folders)
    assert len({run.name for run in runs}) == len(folders)
    for task in ablation.tasks:
        for series in ablation.trained:
            values = [ablation.of_value(runs, task, series, value) for value in ablation.values]
            assert [len(own) for own in values] == [1] * len(values)
    taken = {run.source for task in ablation.tasks for own in ablation.trained_runs(runs)[task].values() for run in own}
    assert taken == set(folders)


def test_the_experiments_are_those_of_the_file():
    assert {path.stem.removeprefix("ablation_") for path in (ROOT / "experiments").glob("ablation_*.yaml")} == set(BY_NAME)
    together = yaml.safe_load((ROOT / "experiments" / "ablations.yaml").read_text())["defaults"]
    assert set(together) == {f"ablation_{name}" for name in BY_NAME} - {"ablation_prompt", "ablation_model"}
    for name in BY_NAME:
        labels = {grid["label"] for grid in grids(name)} - {"null"}
        assert all(label.startswith(f"{ABLATION}{name}/") for label in labels)


@pytest.mark.parametrize("ablation", ABLATIONS, ids=lambda ablation: ablation.name)
def test_ablations_name_what_there_is(ablation):
    assert ablation.reference in ablation.values
    assert all(series.measure in MEASURES for panel in ablation.panels.values() for series in panel)


def test_claims_name_runs_of_experiments():
    glam = [path.stem for path in composing.EXPERIMENTS if path.stem.startswith("glam")]
    labels = {grid.get("label") for name in glam for grid in composing.grids(name)} | set(style.LABELS)
    labels |= {grid["label"] for name in BY_NAME for grid in grids(name)}
    assert {method for claim in CLAIMS for check in claim.checks for method in check.methods} <= labels
    tested = {check.of.split("/")[1] for claim in CLAIMS for check in claim.checks if check.of.startswith(ABLATION)}
    tested |= {check.than.split("/")[1] for claim in CLAIMS for check in claim.checks if (check.than or "").startswith(ABLATION)}
    assert tested >= {"prompt", "value_head", "actions", "algorithm"}


def test_what_is_said_follows_from_the_intervals(value_heads, tmp_path):
    written = made("ablations", value_heads, "--out", tmp_path)
    rows = pd.read_csv(tmp_path / "ablations" / "value_head.csv").set_index(["task", "panel", "value"])
    state = rows.loc["tomato_salad", "discounted return", "state"]
    assert state.center == pytest.approx(0.81)
    assert state.difference == pytest.approx(-0.09)
    assert state.difference_high < 0
    text = written["value_head.md"].read_text()
    ends = f"[{-state.difference_high:.3f}, {-state.difference_low:.3f}]"
    said = (
        f"Tomato salad: discounted return: state is 0.090 {ends} below frozen, no difference from frozen can be shown "
        "for detached; success: no difference from frozen can be shown for state and detached."
    )
    assert said in text.split("\n\n")
    assert text.index(said) < text.index("|:--|")
    assert set(written) == {f"value_head.{kind}" for kind in ("csv", "md", "tex", "png", "pdf")} | {
        f"value_head_curves.{kind}" for kind in ("csv", "png", "pdf")
    }


def test_the_usual_figures_leave_ablations_out(value_heads, tmp_path, capsys):
    rows = pd.read_csv(made("summary", value_heads, "--out", tmp_path)["summary.csv"])
    assert set(rows.method) == {"twosome-word"}
    prompts = study(tmp_path / "prompts", "prompt", {"no_articles": [0.5] * 3}, tasks=["tomato_salad"])
    rows = pd.read_csv(made("curves", value_heads, prompts, "--out", tmp_path)["curves.csv"])
    assert set(rows.task) == {"tomato_salad", "food_preparation"}
    capsys.readouterr()
    said = refused(capsys, "summary", prompts, "--out", tmp_path)
    assert "expected a run that is not of an ablation, found none; draw these with python analysis/ablations.py" in said


def test_runs_of_other_settings_may_lie_apart(value_heads, tmp_path):
    """With --ablations, the usual run there is not one with that of the other folder, and is not in the summary."""
    make_run(tmp_path / "runs" / "0", steps=1024, curve=lambda _: 0.123, algorithm={"num_envs": 4, "learning_rate": 0.5})
    written = made("report", tmp_path / "runs", "--ablations", value_heads, "--out", tmp_path / "out")
    summary, page = pd.read_csv(written["summary.csv"]), written["report.html"].read_text()
    assert (summary.seeds.tolist(), summary.final_return.tolist()) == ([1], [0.123])
    assert "state is 0.090 [" in page
    assert 'href="ablations/value_head.csv"' in page
    assert "1 runs on tomato salad: TWOSOME, word. And 18 runs of ablations." in page
    claims = pd.read_csv(written["claims.csv"])
    own = claims[claims.of.eq("ablation/value_head/state") & claims.than.eq("twosome-word") & claims.task.eq("tomato_salad")]
    assert own.verdict.tolist() == ["contradicted"]


def test_untrained_models_are_compared_by_their_episodes(tmp_path):
    """All seeds play the same episodes, so that a range over seeds would be nothing."""
    prompts = study(tmp_path / "runs", "prompt", {"null": [0.9] * 3, "no_context": [0.9] * 3}, tasks=["food_preparation"])
    for folder in prompts.iterdir():
        low = "no_context" in (folder / "config.yaml").read_text()
        prompt = "no_context" if low else "default"
        records = unseen_records("cheese", 0.9, 0.2 if low else 0.6, env=VIRTUALHOME)
        add_records(folder, [record | {"prompt": prompt} for record in records])
    made("ablations", prompts, "--out", tmp_path)
    rows = pd.read_csv(tmp_path / "ablations" / "prompt.csv").set_index(["panel", "series", "value"])
    row = rows.loc["discounted return", "before training", "no context"]
    assert (row.center, row.high - row.low) == pytest.approx((0.3, 2 * 1.96 * 0.1 / 10), abs=1e-4)
    assert row.difference_high == pytest.approx(1.96 * np.hypot(0.01, 0.01), abs=1e-4)
    row = rows.loc["success on unseen tasks", "before training", "no context"]
    assert row.difference == pytest.approx(-0.4)
    variances = [rate * (1 - rate) / 104 for rate in ((20 + 2) / 104, (60 + 2) / 104)]
    assert row.difference_high == pytest.approx(-0.4 + 1.96 * sum(variances) ** 0.5, abs=1e-4)


def test_runs_that_differ_otherwise_are_no_ablation(value_heads, tmp_path, capsys):
    state = next(grid for grid in grids("value_head") if grid.get("value_head") == "state")
    other = run_of(tmp_path / "other", {**state, "algorithm.learning_rate": 1e-3}, 3, 0.5)
    folders = [*sorted(value_heads.glob("value_head-[05]-*")), other]
    said = refused(capsys, "ablations", *folders, "--out", tmp_path / "out")
    assert "ablation value_head, tomato_salad, but for value_head: expected runs of one setting, found algorithm." in said


def test_without_two_values_there_is_no_ablation(tmp_path, capsys):
    make_run(tmp_path / "0")
    assert "expected runs of two values of an ablation" in refused(capsys, "ablations", tmp_path, "--out", tmp_path / "out")
