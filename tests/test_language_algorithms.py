"""Runs of the baselines that train the language model by another algorithm than PPO: they learn, resume and have columns."""

import csv
import json
import shutil

import pytest
import yaml
from checkout import FOLDER, ROOT, added_files, copied, result, run, tables
from safetensors.torch import load_file

LEARNING = (
    "env=corridor model=tiny_random algorithm.num_envs=16 algorithm.num_steps=16 algorithm.learning_rate=1e-3 "
    "algorithm.anneal_steps=0 algorithm.norm_adv=true algorithm.base_kl_coef=0 algorithm.ent_coef=0.2 tuning.layers=null "
    "evaluation.gif=false"
)
CLIPPED = "algorithm.minibatch=samples algorithm.num_minibatches=1 algorithm.update_epochs=4"
CRITIC = "algorithm.value_update_epochs=4 algorithm.desired_kl=null algorithm.count_exponent=0"
LEARNS = {
    "reinforce": "total_steps=12_288 algorithm.learning_rate=5e-3",
    "grpo": f"total_steps=8_192 {CLIPPED}",
    "poad": f"total_steps=2_048 {CLIPPED} {CRITIC}",
}
"""How each baseline learns the corridor in seconds."""
SMALL = (
    "env=corridor model=tiny_random algorithm.num_envs=6 algorithm.num_steps=15 total_steps=360 algorithm.base_kl_coef=0.1 "
    "evaluation.episodes=2 "
    "evaluation.gif=false retention.limit=2"
)
GROUPS = "algorithm.group_size=3"
VARIANTS = {
    "reinforce": "",
    "grpo": GROUPS,
    "grpo situations": f"{GROUPS} algorithm.situation_weight=1",
    "poad": "algorithm.value_num_minibatches=3",
    "poad vocabulary": "baseline.tokens=vocabulary value_head=state algorithm.value_num_minibatches=3",
}
"""Small runs: a name, and words besides its baseline, which the name begins with."""


def baseline(name: str) -> str:
    return name.partition(" ")[0]


def folder_name(name: str) -> str:
    return name.replace(" ", "-")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A checkout with the manual's corridor."""
    folder = copied(tmp_path_factory.mktemp("learning"))
    for path, content in added_files().items():
        (folder / path).write_text(content)
    return folder


@pytest.fixture(scope="module")
def ended(checkout):
    """The checkout's folder of runs, and how the command of every small run ended."""
    folder = checkout
    commands = {
        ("small", name): [*SMALL.split(), *words.split(), f"baseline={baseline(name)}"] for name, words in VARIANTS.items()
    }
    words = [["src/run.py", *each, f"hydra.run.dir=runs/{key[0]}-{folder_name(key[1])}"] for key, each in commands.items()]
    outcomes = dict(zip(commands, run(folder, words), strict=True))
    for name in VARIANTS:
        again = shutil.copytree(folder / "runs" / f"small-{folder_name(name)}", folder / "runs" / f"again-{folder_name(name)}")
        (again / "DONE").unlink(missing_ok=True)
        shutil.rmtree(again / "adapter", ignore_errors=True)
        for last in sorted(again.glob("checkpoints/*.ckpt"))[1:]:
            last.unlink()  # so that the last update is repeated
    words = [["src/run.py", f"resume=runs/again-{folder_name(name)}"] for name in VARIANTS]
    outcomes |= {("again", name): each for name, each in zip(VARIANTS, run(folder, words), strict=True)}
    return folder / "runs", outcomes


def test_every_baseline_with_an_algorithm_of_its_own_is_here():
    files = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / "conf" / "baseline").glob("*.yaml")}
    own = {name for name, file in files.items() if "override /algorithm" in str((file or {}).get("defaults"))}
    assert (
        own - {"bc", "drrn", "glam", "ppo"} == set(LEARNS) == {baseline(name) for name in VARIANTS}
    )  # test_learning_baselines.py has those


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNS)
def test_it_learns_the_corridor(checkout, name):
    """A random model of 35,000 weights, from hardly ever reaching the door to always."""
    words = [*LEARNING.split(), *LEARNS[name].split(), f"baseline={name}", "retention.drift=false"]
    (outcome,) = run(checkout, [["src/run.py", *words, f"hydra.run.dir=runs/learned-{name}"]])
    assert outcome.code == 0, outcome.output
    records = json.loads((checkout / "runs" / f"learned-{name}" / "evaluation.json").read_text())
    rates = {(record["when"], record["mode"]): record["success_rate"] for record in records}
    assert rates["before", "greedy"] < 0.3
    assert min(rates["after", "sampled"], rates["after", "greedy"]) >= 0.95


@pytest.mark.parametrize("name", VARIANTS)
def test_a_run_resumes_to_the_same_bytes(ended, name):
    folder, outcomes = ended
    for kind in ("small", "again"):
        assert outcomes[kind, name].code == 0, outcomes[kind, name].output
    assert "update 4/4" in outcomes["again", name].output
    assert "update 3/4" not in outcomes["again", name].output
    whole, again = folder / f"small-{folder_name(name)}", folder / f"again-{folder_name(name)}"
    assert result(again) == result(whole)
    weights = load_file(whole / "adapter" / "adapter_model.safetensors")
    assert all(weight.any() for key, weight in weights.items() if "lora_B" in key)  # 0 before training


@pytest.mark.parametrize("name", VARIANTS)
def test_the_glossary_names_the_columns(ended, name):
    folder, _ = ended
    documented = [*tables(FOLDER, "## Columns of metrics.csv"), *tables(FOLDER, "## Further columns of metrics.csv")]
    with (folder / f"small-{folder_name(name)}" / "metrics.csv").open() as file:
        header, *rows = csv.reader(file)
    assert set(header) <= set(documented)
    assert len(rows) == 4


def test_a_runs_name_says_how_it_learned(ended):
    folder, _ = ended
    found = {name: json.loads((folder / f"small-{name}" / "provenance.json").read_text())["method"] for name in LEARNS}
    assert found == {"reinforce": "reinforce-word", "grpo": "grpo-word", "poad": "poad-branches"}
