"""Runs of the baselines that learn, in the manual's corridor: each learns, resumes to the same bytes, and names its columns."""

import csv
import json
import shutil

import pytest
from checkout import FOLDER, added_files, copied, result, run, tables

RUN = ["src/run.py", "env=corridor", "evaluation.episodes=50", "evaluation.gif=false", "retention.drift=false"]
GLAM = ["baseline=glam", "norm=word", "algorithm.num_envs=16", "algorithm.num_steps=16", "algorithm.num_minibatches=4",
        "algorithm.learning_rate=1e-3",
        "algorithm.ent_coef=0.1", "total_steps=2_560"]  # fmt: skip
BC = ["baseline=bc", "model=tiny_random", "algorithm.num_envs=16", "algorithm.num_steps=8", "algorithm.num_minibatches=4",
      "algorithm.learning_rate=5e-3", "total_steps=1_024", "tuning.layers=null"]  # fmt: skip
LEARNING = {
    "drrn": ["baseline=drrn", "algorithm.num_envs=16", "algorithm.num_steps=16", "algorithm.transitions_per_step=32",
             "algorithm.learning_rate=1e-3", "total_steps=6_144", "model=hf", "model.path=/no/where"],
    "glam": [*GLAM, "model=tiny_random"],
    "glam-t5": [*GLAM, "model=tiny_random", "model.architecture=t5"],
}  # fmt: skip
CLONES = {
    "bc": [*BC, "algorithm.demonstrator=runs/drrn"],
    "bc-linear": [*BC, "algorithm.demonstrator=runs/bc", "algorithm.schedule=linear", "algorithm.update_epochs=2"],
    "bot": ["env=babyai_text", "env.task=go_to_local", "env.kwargs.room_size=5", "env.kwargs.num_objects=1",
            "env.kwargs.past_observations=1", *BC, "algorithm.num_envs=4", "algorithm.demonstrator=bot", "total_steps=128",
            "evaluation.episodes=2"],
    "optimal": ["env=overcooked", *BC, "total_steps=512", "evaluation.episodes=5"],
}  # fmt: skip
"""Each after those before it."""
ROOM = ["env=babyai_text", "env.task=go_to_local", "env.kwargs.room_size=5", "env.kwargs.num_objects=1", "evaluation.episodes=2"]
OTHERS = {
    "memory": [*ROOM, "baseline=ppo", "algorithm.num_envs=4", "algorithm.num_steps=30", "total_steps=360",
               "baseline.recurrence=7",
               "model=hf", "model.path=/no/where"],
    "heads": [*ROOM, "baseline=glam", "tuning=head", "policy_head=actions", "model=tiny_random", "algorithm.num_envs=4",
              "algorithm.num_steps=10", "algorithm.num_minibatches=2", "total_steps=120"],
}  # fmt: skip
"""Of which tests of their own say that they learn."""
FROM = [
    "baseline=twosome",
    "model=tiny_random",
    "algorithm.num_envs=4",
    "algorithm.num_steps=8",
    "total_steps=64",
    "init=runs/bc",
]
METHODS = {"bc": "bc-word", "drrn": "drrn", "glam": "glam-word", "glam-t5": "glam-word"}
REFUSED = {
    (
        "algorithm=q_learning",
        "model=tiny_random",
    ): "algorithm=q_learning: expected an agent with values of actions, such as baseline=drrn",
    ("baseline=drrn", "algorithm.replay_mb=0"): "algorithm.replay_mb=0: expected a number above 0",
    ("baseline=drrn", "baseline.temperature=0"): "baseline.temperature=0.0: expected a number above 0",
    (
        *BC,
        "algorithm.demonstrator=bot",
    ): "algorithm.demonstrator=bot: expected optimal or the folder of a finished run, since the environment has no bot",
    (*ROOM, "baseline=ppo", "algorithm=reinforce"): "algorithm: Reinforce trains no agent with memory, expected ppo",
    ("baseline=ppo", "baseline.network=film_lstm"): "baseline.network=film_lstm: expected an environment whose observation is",
    (*BC,): "algorithm.demonstrator=optimal: expected an environment that can be searched",
    (*BC, "algorithm.demonstrator=bots"): "algorithm.demonstrator=bots: expected the folder of a finished run",
    (*BC, "algorithm.demonstrator=src"): "algorithm.demonstrator=src: expected the folder of a finished run",
    (*BC, "algorithm.warmup=1"): "algorithm.warmup=1.0: expected a share from 0 to below 1",
    (*BC, "algorithm.schedule=step"): "algorithm.schedule: Invalid value 'step', expected one of [cosine, linear, constant]",
    (*BC, "algorithm.num_minibatches=3"): "expected a divisor of num_envs * num_steps = 128",
    (
        *BC,
        "env=babyai_text",
        "env.task=go_to_local",
        "env.kwargs.num_actions=3",
        "algorithm.demonstrator=bot",
    ): "env.kwargs.num_actions=3: expected 6 or 9 for BabyAI's bot",
}
LATER = {
    (*FROM, "tuning=full", "init=runs/bc"): "run folder runs/bc: its model/ has other weights",
    (
        *FROM,
        "tuning.layers=null",
        "policy_head=actions",
    ): "policy_head=actions: expected words, since the agent was trained with it: runs/bc",
    (*FROM, "tuning.rank=4"): "runs/bc/adapter/adapter_model.safetensors: ",
    (*FROM, "model.architecture=gpt2"): "run folder runs/bc: tiny_random/gpt2 has the sha256",
    (*FROM, "init=/no/where"): "init=/no/where: expected the folder of a finished run",
    (*FROM, "baseline=ppo"): "run folder runs/bc: this agent has the sha256 None",
    (*FROM, "baseline=random"): "init=runs/bc: expected null for a baseline that does not learn",
}
"""Refused where other runs are there."""


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A checkout with the manual's corridor, and how every command ended in it."""
    folder = copied(tmp_path_factory.mktemp("learning"))
    for path, content in added_files().items():
        (folder / path).write_text(content)
    commands = {name: [*RUN, *words, f"hydra.run.dir=runs/{name}"] for name, words in LEARNING.items()}
    commands |= {name: [*RUN, *words, f"hydra.run.dir=runs/{name}"] for name, words in CLONES.items()}
    commands["from"] = [*RUN, *FROM, "tuning.layers=null", "hydra.run.dir=runs/from"]
    commands |= {words: [*RUN, *words, "hydra.run.dir=runs/refused"] for words in (*REFUSED, *LATER)}
    outcomes = dict(zip(commands, run(folder, list(commands.values())), strict=True))
    return folder, outcomes


def rates(folder):
    records = json.loads((folder / "evaluation.json").read_text())
    return {(record["when"], record["mode"]): record["success_rate"] for record in records}


@pytest.mark.parametrize("name", [*LEARNING, "bc"])
def test_it_learns_the_corridor(ended, name):
    folder, outcomes = ended
    assert outcomes[name].code == 0, outcomes[name].output
    found = rates(folder / "runs" / name)
    assert found["before", "sampled"] < 0.6
    assert found["after", "sampled"] >= 0.8
    assert found["after", "greedy"] == 1
    assert json.loads((folder / "runs" / name / "provenance.json").read_text())["method"] == METHODS[name]


def check_resuming(folder, name):
    """Do the last update of a run again, in a copy of its folder: its results have the same bytes."""
    whole = folder / "runs" / name
    again = shutil.copytree(whole, folder / "runs" / f"{name}-resumed")
    (again / "DONE").unlink()
    *_, last = sorted(again.glob("checkpoints/*.ckpt"))
    last.unlink()  # so that its last update is repeated
    (outcome,) = run(folder, [["src/run.py", f"resume={again}"]])
    assert outcome.code == 0, outcome.output
    assert result(again) == result(whole)


@pytest.mark.parametrize("name", ["drrn", "bc", "bot"])
def test_it_resumes_to_the_same_bytes(ended, name):
    check_resuming(ended[0], name)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_agents_with_a_memory_or_a_head_resume_to_the_same_bytes(ended, name):
    folder, _ = ended
    (outcome,) = run(folder, [[*RUN, *OTHERS[name], f"hydra.run.dir=runs/{name}"]])
    assert outcome.code == 0, outcome.output
    check_resuming(folder, name)


@pytest.mark.parametrize("name", ["drrn", "bc"])
def test_the_readme_names_its_columns(ended, name):
    folder, _ = ended
    header = next(csv.reader((folder / "runs" / name / "metrics.csv").open()))
    common = set(tables(FOLDER, "## Columns of metrics.csv"))
    assert [column for column in header if column not in common] == tables(FOLDER, f"## Columns of `baseline={name}`")


def test_a_loaded_agent_is_the_trained_one(ended):
    folder, _ = ended
    (outcome,) = run(folder, [["src/evaluate.py", "run=runs/drrn", "episodes=50", "seed=1"]])
    assert outcome.code == 0, outcome.output
    *_, sampled, greedy = json.loads((folder / "runs" / "drrn" / "evaluation.json").read_text())
    assert sampled["success_rate"] >= 0.9
    assert greedy["success_rate"] == 1


def rows(folder, name, file="metrics.csv"):
    return list(csv.DictReader((folder / "runs" / name / file).open()))


@pytest.mark.parametrize("name", CLONES)
def test_a_clone_comes_nearer_to_its_demonstrator(ended, name):
    folder, outcomes = ended
    assert outcomes[name].code == 0, outcomes[name].output
    found = rows(folder, name)
    assert float(found[-1]["bc_loss"]) < float(found[0]["bc_loss"])
    size = 32 if name == "bot" else 128
    assert [int(row["env_steps"]) for row in found] == [size * (update + 1) for update in range(len(found))]


def test_episodes_are_the_demonstrators(ended):
    folder, outcomes = ended
    for name in ("bot", "optimal"):
        assert {row["success"] for row in rows(folder, name, "episodes.csv")} == {"True"}
    best = {row["discounted_return"] for row in rows(folder, "optimal", "episodes.csv")}
    assert {round(float(value), 4) for value in best} == {0.9205}
    actors = {name: json.loads((folder / "runs" / name / "provenance.json").read_text())["actor"] for name in ("bot", "drrn")}
    assert actors == {"bot": "demonstrator", "drrn": "agent"}
    assert "demonstrator's return" in outcomes["bot"].output
    assert "demonstrator's" not in outcomes["drrn"].output


def test_a_demonstrator_whose_folder_names_other_code_is_refused(ended):
    folder, _ = ended
    foreign = shutil.copytree(folder / "runs" / "drrn", folder / "runs" / "foreign")
    config = foreign / "config.yaml"
    config.write_text(config.read_text().replace("twosome.agents.drrn.build", "shutil.rmtree"))
    (outcome,) = run(folder, [[*RUN, *BC, "algorithm.demonstrator=runs/foreign", "hydra.run.dir=runs/refused"]])
    assert outcome.code == 2
    (line,) = outcome.output.splitlines()
    assert "baseline._target_=shutil.rmtree: this is in the run folder's config.yaml" in line


def test_training_starts_from_another_runs_weights(ended):
    folder, outcomes = ended
    assert outcomes["from"].code == 0, outcomes["from"].output
    assert rates(folder / "runs" / "from")["before", "greedy"] == 1
    recorded = json.loads((folder / "runs" / "from" / "provenance.json").read_text())["init"]
    its_own = json.loads((folder / "runs" / "bc" / "provenance.json").read_text())
    assert recorded.pop("run") == str(folder / "runs" / "bc")
    assert recorded == {name: its_own[name] for name in recorded}


@pytest.mark.parametrize("words", [*REFUSED, *LATER], ids=" ".join)
def test_what_cannot_be_is_one_line_and_nothing_is_written(ended, words):
    folder, outcomes = ended
    assert outcomes[words].code == 2, outcomes[words].output
    assert len(outcomes[words].output.splitlines()) == 1, outcomes[words].output
    assert (REFUSED | LATER)[words] in outcomes[words].output
    assert not (folder / "runs" / "refused").exists() or not list((folder / "runs" / "refused").iterdir())
