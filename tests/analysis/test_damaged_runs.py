"""Folders that are damaged, old or made up: every command says in one line which entry of which file, and what was expected."""

import copy
import json
import shutil
from importlib import import_module
from itertools import cycle

import pytest
import yaml
from analysis_tools import SCRIPTS, add_records, add_retention, make_run, rising, unseen_records

from twosome.errors import UserError
from twosome.report.data import collection, published

FILES = ("config.yaml", "choices.json", "provenance.json", "evaluation.json", "retention.json")
TABLES = ("metrics.csv", "episodes.csv", "retention.csv")
JUNK = (None, -5, 1e308, float("nan"), 10**400, "x", "a\nb", "\ud800", [], {"a": [1]})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run with every file that commands read."""
    folder = make_run(tmp_path_factory.mktemp("whole") / "run", curve=rising(0.9, 100), steps=1024, before=0.1)
    add_records(folder, unseen_records("lettuce_salad", 0.9))
    return add_retention(folder, {"mmlu": "rl-g" * 5}, probes=3)


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def content(file):
    return yaml.safe_load(file.read_text()) if file.suffix == ".yaml" else json.loads(file.read_text())


def write(file, changed):
    file.write_text(yaml.safe_dump(changed) if file.suffix == ".yaml" else json.dumps(changed))


def with_value(tree, path, value):
    """A copy in which another value is at a path."""
    tree = copy.deepcopy(tree)
    place = tree
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return tree


WRONG = {
    # a path in a file, a value: what the line says after the file's name
    ("evaluation.json", 0): {
        "text": ": record 1: expected a mapping, found 'text'; evaluate the run again",
        7: ": record 1: expected a mapping, found 7",
        None: ": record 1: expected a mapping, found None",
    },
    ("evaluation.json", 2, "task"): {
        5: ": record 3: task: expected text of one line and at most 200 characters, found 5; evaluate the run again",
        ("a", "b"): ": record 3: task: expected text of one line and at most 200 characters, found ['a', 'b']",
        "a\nb": r": record 3: task: expected text of one line and at most 200 characters, found 'a\nb'",
    },
    ("evaluation.json", 0, "env"): {1.5: ": record 1: env: expected text of one line"},
    ("evaluation.json", 0, "options"): {"B": ": record 1: options: expected a mapping, found 'B'"},
    ("evaluation.json", 0, "episodes"): {
        "many": ": record 1: episodes: expected a whole number from 1 to 4294967295, found 'many'; evaluate the run again",
        0: ": record 1: episodes: expected a whole number from 1 to",
        2.5: ": record 1: episodes: expected a whole number from 1 to",
        True: ": record 1: episodes: expected a whole number from 1 to",
        10**30: ": record 1: episodes: expected a whole number from 1 to",
    },
    ("evaluation.json", 0, "success_rate"): {
        1.01: ": record 1: success_rate: expected a number from 0 to 1, found 1.01",
        "0.5": ": record 1: success_rate: expected a number from 0 to 1, found '0.5'",
        None: ": record 1: success_rate: expected a number from 0 to 1, found None",
    },
    ("evaluation.json", 0, "return_mean"): {
        float("nan"): ": record 1: return_mean: expected a number from -1e+100 to 1e+100, found nan",
        1e308: ": record 1: return_mean: expected a number from -1e+100 to 1e+100, found 1e+308",
        ("a", "b"): ": record 1: return_mean: expected a number",
    },
    ("evaluation.json", 0, "return_std"): {-0.1: ": record 1: return_std: expected a number from 0 to"},
    ("evaluation.json", 0, "optimum"): {"best": ": record 1: optimum: expected a number", float("inf"): ": record 1: optimum: "},
    ("config.yaml", "env"): {"overcooked": ": env: expected options of an environment, found 'overcooked'; run it again"},
    ("config.yaml", "env", "id"): {None: ": env.id: expected a name", ("a",): ": env.id: expected a name of one line"},
    ("config.yaml", "env", "task"): {3: ": env.task: expected a name", "x" * 201: ": env.task: expected a name"},
    ("config.yaml", "env", "prompt"): {("a",): ": env.prompt: expected a name"},
    ("config.yaml", "seed"): {
        "one": ": seed: expected a whole number from 0 to 4294967295, found 'one'; run it again",
        -1: ": seed: expected a whole number",
        True: ": seed: expected a whole number",
        None: ": seed: expected a whole number",
    },
    ("config.yaml", "baseline"): {"twosome": ": baseline: expected options of a baseline, found 'twosome'"},
    ("config.yaml", "baseline", "affordance"): {"a\nb": r": baseline.affordance: expected a name of one line"},
    ("config.yaml", "algorithm", "num_envs"): {
        None: ": algorithm.num_envs: expected how many environments stepped together, a whole number from 1 to 100000000, "
        "by which",
        "many": ": algorithm.num_envs: expected how many environments stepped together",
        0: ": algorithm.num_envs: expected how many environments stepped together",
        True: ": algorithm.num_envs: expected how many environments stepped together",
    },
    ("choices.json", "norm"): {None: ": norm: expected a name", ("a",): ": norm: expected a name"},
    ("choices.json", "affordance"): {"a\nb": ": affordance: expected a name of one line"},
    ("provenance.json", "model"): {7: ": model: expected a name", "a\nb": ": model: expected a name of one line"},
    ("provenance.json", "git_commit"): {("a",): ": git_commit: expected a name"},
    ("retention.json", "drift"): {7: ": drift: expected a mapping, found 7; evaluate the run again", None: ": drift: expected"},
    ("retention.json", "drift", "kl"): {"x": ": drift: kl: expected a number from -1e+100 to 1e+100, found 'x'"},
    ("retention.json", "drift", "kl_interval"): {0.1: ": drift.kl_interval: expected a list, found 0.1"},
    ("retention.json", "drift", "perplexity"): {20.0: ": drift.perplexity: expected a mapping, found 20.0"},
    ("retention.json", "drift", "acc"): {None: ": drift.acc: expected a mapping, found None"},
    ("retention.json", "drift", "acc", "interval"): {(): ": drift.acc: low: expected a number", (0, "x"): ": drift.acc: high: "},
    ("retention.json", "benchmarks"): {("mmlu",): ": benchmarks: expected a mapping, found ['mmlu']"},
    ("retention.json", "benchmarks", "mmlu"): {"x": ": benchmarks.mmlu: expected a mapping, found 'x'"},
    ("retention.json", "benchmarks", "mmlu", "metrics"): {1: ": benchmarks.mmlu.metrics: expected a mapping, found 1"},
    ("retention.json", "benchmarks", "mmlu", "metrics", "acc", "items"): {
        0: ": benchmarks.mmlu.metrics.acc: items: expected a whole number from 1",
        21: ": mmlu, acc: outcomes: expected one of -lgr for each of its 21 items, or nothing, found 'rl-grl-g",
    },
    ("retention.json", "benchmarks", "mmlu", "metrics", "acc", "p_value"): {2: ": benchmarks.mmlu.metrics.acc: p_value: "},
    ("retention.json", "benchmarks", "mmlu", "metrics", "acc", "outcomes"): {"xy": ": mmlu, acc: outcomes: expected one of -lgr"},
}
WHOLE = {
    # a file, what it holds: what the line says after the file's name
    **{
        (name, "[]"): ": expected a readable file (it holds list, expected a map); run it again"
        for name in FILES
        if name != "evaluation.json"
    },
    **{(name, "null"): ": expected a readable file (it holds NoneType, expected a " for name in FILES},
    **{(name, "[" * 5000): ": expected a readable file (" for name in FILES},
    **{(name, "[" * 60 + "]" * 60): ": expected a readable file (it has more than 32 levels of maps and lists" for name in FILES},
    **{(name, b"\xff\xfe\x00"): ": expected a readable file (" for name in FILES},
    ("evaluation.json", "{}"): ": expected a readable file (it holds dict, expected a list); run it again",
    ("evaluation.json", '["\\ud800"]'): ": expected a readable file ('utf-8' codec can't encode",
    ("config.yaml", "a: !!int ''"): ": expected a readable file (",
    ("config.yaml", "a: &b [*b]"): ": expected a readable file (",
    ("config.yaml", "a: !!python/object/apply:os.system [true]"): ": expected a readable file (",
    ("metrics.csv", ""): ": expected a readable table (No columns to parse from file); run it again",
    ("metrics.csv", b"\xff\xfe\x00"): ": expected a ",
    ("metrics.csv", "env_steps,rollout_seconds,update_seconds\nmany,1,1\n"): (
        ": row 1: env_steps: expected a whole number from 0 to 100000000, found 'many'; run it again"
    ),
    ("metrics.csv", "env_steps,rollout_seconds,update_seconds\n5,1,1\n99999999999999999999,1,1\n"): ": row 2: env_steps: ",
    ("metrics.csv", "env_steps,rollout_seconds,update_seconds\n5,1,\n"): ": row 1: update_seconds: expected a number from 0",
    ("metrics.csv", "env_steps,rollout_seconds,update_seconds\n5,-inf,1\n"): ": row 1: rollout_seconds: expected a number from 0",
    (
        "episodes.csv",
        "env_step,env,decisions,discounted_return,success\n5,0,1,1,maybe\n",
    ): ": row 1: success: expected True or False, found 'maybe'",
    (
        "episodes.csv",
        "env_step,env,decisions,discounted_return,success\n5,0,1,1,True\n5,1,1,nan,True\n",
    ): ": row 2: discounted_return: expected a number",
    ("episodes.csv", "env_step,env,decisions,discounted_return,success\n-5,0,1,1,True\n"): ": row 1: env_step: expected a whole",
    ("episodes.csv", "env_step,env,decisions,discounted_return,success\n64,0,17,1,True\n"): (
        ": row 1: expected an episode of one of 4 environments (num_envs) that began at step 0 or later, found env 0 and 17 "
    ),
    (
        "episodes.csv",
        "env_step,env,decisions,discounted_return,success\n64,4,1,1,True\n",
    ): ": row 1: expected an episode of one of 4",
    ("metrics.csv", "env_steps,rollout_seconds,update_seconds\n5,1,1\n5,1,1\n"): (
        ": row 2: env_steps: expected more than in the row before, found 5; run it again"
    ),
    ("metrics.csv", "env_steps,optimizer_steps,rollout_seconds,update_seconds\n5,3,1,1\n6,2,1,1\n"): (
        ": row 2: optimizer_steps: expected no less than in the row before, found 2; run it again"
    ),
    ("metrics.csv", "env_steps,optimizer_steps,rollout_seconds,update_seconds\n5,,1,1\n"): ": row 1: optimizer_steps: expected a",
    ("episodes.csv", "env_step,discounted_return,success\n1,2\n1,2,3,4,5\n"): ": expected a readable table (",
    ("retention.csv", "update\n"): ": expected a column env_steps; the run is of another version, run it again",
}


def jsonable(value):
    return list(value) if isinstance(value, tuple) else value


def refusal(folder):
    """The error with which a run is not read, or None."""
    try:
        collection.read([folder])
    except UserError as error:
        return str(error)


def assert_refused(folder, file, expected):
    """That it is said where and what is wrong, and what to do."""
    line = refusal(folder)
    assert line.startswith(f"{folder / file}{expected}")
    assert line.endswith(("; evaluate the run again", "; run it again", "another version, run it again"))
    assert "\n" not in line


@pytest.mark.parametrize(("where", "value"), [(where, value) for where, values in WRONG.items() for value in values])
def test_wrong_entries(folder, where, value):
    file = folder / where[0]
    write(file, with_value(content(file), where[1:], jsonable(value)))
    assert_refused(folder, where[0], WRONG[where][value])


@pytest.mark.parametrize(("file", "text"), WHOLE)
def test_wrong_files(folder, file, text):
    (folder / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    assert_refused(folder, file, WHOLE[file, text])


@pytest.mark.parametrize("file", [*FILES, *TABLES])
def test_a_folder_in_place_of_a_file(folder, file):
    (folder / file).unlink()
    (folder / file).mkdir()
    assert_refused(folder, file, f": expected a readable {'table' if file in TABLES else 'file'} (Is a directory)")


@pytest.mark.parametrize("file", [*FILES, *TABLES])
@pytest.mark.parametrize("script", SCRIPTS)
def test_every_command_says_it(folder, capsys, script, file):
    (folder / file).write_text("[5\n")
    out = folder.parent / "out"
    assert import_module(script).main([str(folder), "--out", str(out)]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"error: {refusal(folder)}\n")
    assert str(folder / file) in said.err
    assert not out.exists()


@pytest.mark.parametrize("name", ["adapter/adapter_model.safetensors", "DONE/x", "checkpoints/last.ckpt", "episode.gif"])
def test_what_figures_are_not_made_of_does_not_matter(folder, name):
    (folder / "DONE").unlink()
    (folder / name).mkdir(parents=True)
    (folder / "DONE").mkdir(exist_ok=True)
    assert import_module("claims").main([str(folder), "--out", str(folder.parent / "out"), "--bootstrap-samples", "2"]) == 0


def paths(tree, path=()):
    """Those of all that a file holds; of a list's entries only the first."""
    if path:
        yield path
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree[:1]) if isinstance(tree, list) else ()
    for name, value in inside:
        yield from paths(value, (*path, name))


@pytest.mark.parametrize("name", FILES)
def test_any_entry_may_be_anything(folder, name, tmp_path):
    """Each is either refused in a line that names the file, or can be published and read back."""
    file = folder / name
    original, refused = content(file), 0
    for path, value in zip(paths(original), cycle(JUNK)):
        write(file, with_value(original, path, value))
        if line := refusal(folder):
            refused += 1
            assert line.startswith(f"{file}: ")
            assert "\n" not in line
        else:
            runs = collection.read([folder])
            published.write(runs, tmp_path / "published")
            assert [run.name for run in collection.read([tmp_path / "published"])] == [run.name for run in runs]
    assert refused


@pytest.mark.parametrize("task", ["$\\frac$", "a|b", "`x`", "<b>"])
def test_names_are_shown_as_they_are(tmp_path, task):
    make_run(tmp_path / "run", steps=1024, task=task)
    words = [str(tmp_path / "run"), "--out", str(tmp_path / "out"), "--bootstrap-samples", "2"]
    assert import_module("report").main(words) == 0


def test_a_setting_is_reported_in_a_line(tmp_path):
    for seed in (0, 1):
        make_run(tmp_path / str(seed), seed=seed, algorithm={"num_envs": 4, "schedule": f"{seed}\n" * 100})
    line = refusal(tmp_path)
    assert r"found algorithm.schedule='0\n0\n" in line
    assert r"algorithm.schedule='1\n1\n" in line
    assert len(line) < 600
