"""suite=interference: what is measured, in which situations, and the files of a run."""

import functools
import hashlib
import json
import shutil
from collections import defaultdict

import gymnasium
import numpy as np
import pandas as pd
import pytest
import torch
from checkout import tables
from evaluation_tools import composed
from ppo_options import config
from searching import best_play
from torch import nn

import twosome
import twosome.envs  # registers the environments
from twosome.agents.agent import Evaluation, LearningAgent
from twosome.agents.heads import Frozen
from twosome.agents.language import LanguageAgent
from twosome.algorithms.ppo import PPO, PPOConfig
from twosome.decision import Decision
from twosome.errors import UserError
from twosome.evaluation import interference
from twosome.evaluation.interference import InterferenceConfig
from twosome.experiment import evaluate
from twosome.language import norms
from twosome.language.loading import ModelConfig, load_language_model
from twosome.language.scorer import Scorer
from twosome.language.tuning import Lora

KITCHEN = functools.partial(gymnasium.make, "twosome/Overcooked-v0", task="tomato_salad")
ACTIONS = int(KITCHEN().action_space.n)
CONFIG = config(num_envs=2, num_steps=8, update_epochs=2)


class Recording(PPO):
    """PPO that remembers its last rollout."""

    def collect(self, *rest):
        self.batch = super().collect(*rest)
        return self.batch


class Tabular(LearningAgent):
    """A logit for each action of each situation, and a value for each situation: nothing is shared."""

    def __init__(self, actions):
        super().__init__()
        self.rows, self.logits = {}, nn.Parameter(torch.zeros(500, actions))
        self.critic = nn.Parameter(torch.zeros(500))

    def _rows(self, decisions):
        return torch.tensor([self.rows.setdefault(self.decision_key(each), len(self.rows)) for each in decisions])

    def log_policy(self, decisions):
        with torch.no_grad():
            return torch.log_softmax(self.logits[self._rows(decisions)], 1)

    def evaluate(self, decisions, choices=None):
        yield list(range(len(decisions))), Evaluation(torch.log_softmax(self.logits[self._rows(decisions)], 1))

    def value_function(self, decisions):
        rows = self._rows(decisions)
        return lambda index: self.critic[rows[index]]

    def parameter_groups(self):
        return {"policy": [self.logits], "value": [self.critic]}


def language_agent():
    language = load_language_model(ModelConfig(source="tiny_random", device="cpu"), Lora())
    return LanguageAgent(Scorer(language, norms.word), Frozen(hidden_sizes=[16]), torch.Generator().manual_seed(1))


def measured(agent, algorithm, make_env=KITCHEN, seed=5, **options):
    given = InterferenceConfig(**{"critic_rollouts": 0, "situations": 20, **options})
    return interference.measure(agent, algorithm, make_env, 0.99, 4, seed, given)


def decisions(rows):
    """The decisions of rows, for agents that read texts, one for each situation."""
    for _, own in rows.groupby("situation"):
        phrases = tuple(own.action)
        yield Decision(np.zeros(1, np.float32), own.prompt.iloc[0], tuple(range(len(phrases))), phrases)


def test_the_numbers_are_the_agents_own_before_and_after():
    made, unchanged = language_agent(), language_agent()
    rows, _ = measured(made, PPO(CONFIG))
    each = list(decisions(rows))
    for agent, name in ((unchanged, "before"), (made, "after")):
        policy, scores = agent.log_policy(each), agent.engine.score([decision.text for decision in each]).logprobs.detach()
        assert rows[f"log_policy_{name}"].to_numpy() == pytest.approx(policy.flatten().numpy(), abs=1e-5)
        assert rows[f"log_prob_{name}"].to_numpy() == pytest.approx(scores.flatten().numpy(), abs=1e-4)
    for measure in interference.MEASURES:
        assert interference.changes(rows, measure).abs().min() > 0


def test_samples_and_advantages_are_the_rollouts():
    algorithm = Recording(CONFIG)
    agent = Tabular(ACTIONS)
    rows, metrics = measured(agent, algorithm, critic_rollouts=3)
    batch, taken = algorithm.batch, defaultdict(list)
    assert agent.critic.any()
    assert rows.log_policy_before.to_numpy() == pytest.approx(-np.log(ACTIONS))  # of the warm-up, the critic alone learned
    assert metrics["policy_steps"] == 2
    for decision, choice, advantage in zip(batch.decisions, batch.choices.tolist(), batch.advantages.tolist(), strict=True):
        taken[decision.prompt, decision.action_prompts[choice]].append(advantage)
    found = rows[rows.samples > 0]
    assert rows.samples.sum() == len(batch.decisions) == 16
    assert found.in_update.all()
    assert rows[rows.samples == 0].advantage.isna().all()
    for (prompt, action), own in found.groupby(["prompt", "action"]):
        assert own.samples.sum() == len(taken[prompt, action])
        assert (own.samples * own.advantage).sum() == pytest.approx(sum(taken[prompt, action]), abs=1e-6)
    inside = {(decision.obs.tobytes(), decision.action_ids) for decision in batch.decisions}
    assert rows[rows.in_update].situation.nunique() == len(inside)


def test_where_nothing_is_shared_nothing_changes_outside():
    rows, _ = measured(Tabular(ACTIONS), PPO(CONFIG))
    changed = interference.changes(rows, "log_policy")
    assert (changed[~rows.in_update] == 0).all()
    assert changed[rows.in_update].abs().min() > 0
    assert interference.carried_over(rows, "log_policy") == 0
    assert rows.log_prob_before.isna().all()
    assert interference.measures_of(rows) == ["log_policy"]


def test_the_first_update_of_the_policy_is_the_one_that_is_measured():
    waits = PPOConfig(**vars(CONFIG) | {"value_warmup_updates": 2})
    _, metrics = measured(Tabular(ACTIONS), PPO(waits))
    assert metrics["policy_steps"] == 2
    assert metrics["policy_lr"] == pytest.approx(1e-2 * (1 - 2 / 4))


def test_the_best_path_is_that_of_the_best_play():
    env = KITCHEN()
    best = best_play(env, 0.99).actions
    rows, _ = measured(Tabular(ACTIONS), PPO(CONFIG), situations=3)
    names, (_, info) = env.unwrapped.action_names, env.reset()
    steps = []
    for action in best:
        steps.append((info["prompt"], f"{action} {names[action]}"))
        *_, info = env.step(action)
    found = rows[rows.best_action]
    assert set(zip(found.prompt, found.kind, strict=True)) == set(steps)
    assert set(rows[rows.on_best_path].prompt) == {prompt for prompt, _ in steps}
    assert (~rows.in_update & ~rows.on_best_path).sum() == 3 * ACTIONS


SMALL = "model=tiny_random algorithm.num_envs=2 algorithm.num_steps=8 total_steps=16 evaluation.episodes=1 evaluation.gif=false"
RUNS = {
    "twosome": f"{SMALL} retention.drift=false algorithm.learning_rate=0.01",
    "ppo": f"{SMALL} baseline=ppo env=virtualhome env.task=food_preparation",
    "grpo": f"{SMALL} algorithm=grpo retention.drift=false",
    "random": "baseline=random evaluation.gif=false evaluation.episodes=1",
}
FILES = (interference.FILE, interference.TABLE, interference.FIGURE)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The folders of finished runs, by name."""
    place = tmp_path_factory.mktemp("interference")
    return {name: twosome.run(*words.split(), folder=place / name).folder for name, words in RUNS.items()}


def asked(folder, *words):
    options = (f"run={folder}", "suite=interference", "interference.critic_rollouts=1", "interference.situations=6")
    return evaluate.run(composed("evaluate", *options, *words))


def content(folder):
    """The bytes of the files in a folder, by name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["twosome", "ppo"])
def test_the_files_of_a_run(name, folders, tmp_path):
    folder = shutil.copytree(folders[name], tmp_path / name)
    share = asked(folder)
    assert {file: text for file, text in content(folder).items() if file not in FILES} == content(folders[name])
    rows, found = pd.read_csv(folder / "interference.csv"), json.loads((folder / "interference.json").read_text())
    assert list(rows) == tables("docs/interference.md", "### Columns of interference.csv")
    assert rows.log_prob_after.isna().all() == (name == "ppo")
    assert found["settings"] | {"when": "before", "critic_rollouts": 1, "seed": 1000, "samples": 16} == found["settings"]
    assert found["table_sha256"] == hashlib.sha256((folder / "interference.csv").read_bytes()).hexdigest()
    assert (set(found["evaluated"]), found["evaluated"]["suite"]) == ({"at", "by", "suite", "trust"}, "interference")
    measure = interference.measures_of(rows)[0]
    assert share == found["carried_over"][measure] == pytest.approx(interference.carried_over(rows, measure), rel=1e-5)


def test_the_same_seed_writes_the_same_bytes_and_keeps_the_stamp(folders, tmp_path):
    folder = shutil.copytree(folders["twosome"], tmp_path / "run")
    asked(folder)
    file = folder / "interference.json"
    file.write_text(file.read_text().replace('"at": "2', '"at": "1'))  # a thousand years ago
    first = content(folder)
    asked(folder)
    assert content(folder) == first
    asked(folder, "seed=7")
    assert {name for name, text in content(folder).items() if text != first[name]} == set(FILES)


def test_the_trained_agent_is_measured_where_it_is_asked_for(folders, tmp_path):
    folder = shutil.copytree(folders["ppo"], tmp_path / "run")
    asked(folder, "interference.when=after")
    rows = pd.read_csv(folder / "interference.csv")
    found = evaluate.finished(composed("evaluate", f"run={folder}"))
    start = Decision.from_step(*found.make_env().reset(seed=0))
    own = rows[rows.prompt == start.prompt]
    before = own[own.situation == own.situation.iloc[0]].log_policy_before.to_numpy()
    untrained = found.agent.log_policy([start])[0].numpy()
    found.folder.load(found.agent)
    assert before == pytest.approx(found.agent.log_policy([start])[0].numpy(), abs=1e-6)
    assert abs(before - untrained).max() > 1e-4


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("random", [], "suite=interference: expected a run of an agent that learns; that of "),
        ("twosome", ["++env.gamma=0.5"], "env.gamma=0.5: expected the run's own with suite=interference; leave it out"),
        ("grpo", [], "interference.critic_rollouts=1: expected 0"),
        ("twosome", ["interference.when=ever"], "interference.when=ever: expected one of after, before"),
    ],
)
def test_runs_and_options_that_do_not_fit_are_refused(name, words, said, folders):
    with pytest.raises(UserError, match=said):
        asked(folders[name], *words)
