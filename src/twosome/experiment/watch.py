"""Record episodes of a finished run's agent as a page of HTML, with what it made of each decision before and after training."""

import base64
import html
import io
import json
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import torch
from omegaconf import DictConfig
from PIL import Image

from twosome import build, generators, seeding
from twosome.agents.agent import Agent, LearningAgent, MakeEnv
from twosome.agents.language import LanguageAgent
from twosome.config import EvaluationConfig, own_settings
from twosome.decision import Decision
from twosome.envs.vector import Player
from twosome.errors import UserError, check_choice
from twosome.evaluation import records
from twosome.evaluation.episodes import act, acting
from twosome.evaluation.film import can_film, ending_of, pictures, title_of
from twosome.evaluation.summary import print_records
from twosome.experiment.evaluate import changed, configuration
from twosome.experiment.export import norm_of, trained_for
from twosome.experiment.resume import finished_run
from twosome.files import write_atomic
from twosome.identity import task_of
from twosome.storage.folder import RunFolder

TEMPLATE = Path(__file__).with_name("watch.html")
"""The page, with {{title}} and {{data}} where these belong. It needs no other file and no network."""
BEGINNING = "<!doctype html>\n<!-- Written by twosome's src/watch.py"
"""By which a page is recognised that may be replaced."""
CHOICES = {"actor": ("trained", "untrained"), "compare": ("untrained", "none"), "policy": ("sampled", "greedy")}
WIDEST, COLORS = 480, 64
"""Pixels of a stored picture's longer side at most, and its colours."""
END = "(end)"
"""The piece of an end that is no token; with baseline=poad it has a probability, too."""

View = dict[str, list[Any]]
"""An agent's view of a decision. probs: the probability of each action, in their order. If a language model acts also logprobs:
log P(action | prompt); scores: after the norm; tokens: of each action the log-probability of each token."""


@dataclass
class WatchConfig:
    """The options of conf/watch.yaml."""

    run: str | None
    to: str
    episodes: int
    policy: str
    actor: str
    compare: str
    evaluation: int
    seed: int | None
    device: str
    trust: bool
    env: dict[str, Any]


class Stage(NamedTuple):
    """An agent before or after training. when: "before" or "after", as in records. context: in which it is in that state."""

    when: str
    agent: Agent
    context: Callable[[], AbstractContextManager[Any]] = nullcontext


def run(asked: DictConfig) -> None:
    """Write the page and print where it is. asked: conf/watch.yaml with the command line's changes. Raises UserError."""
    options = own_settings(WatchConfig, asked)
    for name, choices in CHOICES.items():
        check_choice(name, getattr(options, name), choices)
    to, folder = Path(options.to), finished_run(str(options.run))
    if to.is_dir() or (to.exists() and not to.read_bytes().startswith(BEGINNING.encode())):
        raise UserError(f"to={to}: is there and is no page of this command; name another")
    config = configuration(folder, options)
    make_env = build.environment(config.env)
    agent = build.agent(config, make_env)
    folder.load(agent)
    stages, model = [Stage("after", agent)], agent.language_model
    if options.compare == "untrained" and (model or agent.export_folder):
        stages.append(Stage("before", agent, model.reference) if model else Stage("before", build.agent(config, make_env)))
    if options.actor == "untrained" and len(stages) == 1:
        raise UserError("actor=untrained: expected a run that trained something, and compare=untrained")
    critic = _load_critic(folder, agent)
    seed = config.evaluation.seed if options.seed is None else options.seed
    recording = Recording(stages[options.actor == "untrained"], config.env, options.episodes, seed, options.policy == "greedy")
    content = {
        **{"title": task_of(config.env).replace("_", " "), "facts": _facts(folder, config, options, critic)},
        **{"gamma": config.env.gamma, "actor": options.actor, "optimum": build.optimum(config.env, make_env)},
        **recording.data(stages, critic is not None),
    }
    write(to, content)
    if options.evaluation:  # as evaluate.py does, but the run's folder stays as it is
        evaluation, changes = EvaluationConfig(options.evaluation, seed, False), changed(config.env, folder.config.env)
        found = []
        for stage in reversed(stages):
            with stage.context():
                found += records.evaluate(stage.agent, make_env, config.env, evaluation, stage.when, changes)
        print_records(found, config.seed)
    print(f"{to}: episodes of the agent; open it in a browser")


def write(path: Path, content: dict[str, Any]) -> None:
    """Write the page, atomically. content: its data, with "title"."""
    # In a script element nothing ends the text but "</script", so "<" must not stand there as itself.
    data = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    filled = {"title": html.escape(content["title"]), "data": data}
    page = re.sub(r"\{\{(\w+)\}\}", lambda place: filled[place[1]], TEMPLATE.read_text(encoding="utf-8"))
    write_atomic(path, page, parents=True)


def _load_critic(folder: RunFolder, agent: Agent) -> str | None:
    """Load the critic's weights from the run's latest checkpoint; return which one in words, or None if there is no critic.

    Adapters and networks are exported without their critic, so a run's folder without checkpoints has none.
    """
    metrics, files = folder.path / "metrics.csv", folder.saved_updates
    if not (isinstance(agent, LearningAgent) and files and metrics.is_file()):
        return None
    if "value_loss" not in metrics.read_text().partition("\n")[0].split(","):
        return None
    state = torch.load(files[0], map_location="cpu", weights_only=True)["state_dict"]
    own = {id(parameter) for parameter in agent.parameter_groups().get("value", [])}
    with torch.no_grad():
        for name, parameter in agent.named_parameters():
            if id(parameter) in own:
                parameter.copy_(state[f"agent.{name}"])
        for name, buffer in agent.named_buffers():  # a checkpoint holds those of value heads only
            buffer.copy_(state.get(f"agent.{name}", buffer))
    return f"of update {int(files[0].stem.rpartition('=')[2])}"


def _facts(folder: RunFolder, config: DictConfig, options: WatchConfig, critic: str | None) -> list[list[str]]:
    """Return facts about the run and the episodes, as names and values."""
    provenance = folder.read_json("provenance.json", {})
    steps, _ = trained_for(folder)
    acted = {"trained": "after training", "untrained": "before training"}[options.actor]
    facts = {
        "model": provenance.get("model"),
        "method": provenance.get("method"),
        "norm": norm_of(config) if provenance.get("model") else None,
        "trained for": f"{steps:,} decisions" if steps else None,
        "seed": str(config.seed),
        "actions": f"{options.policy}, {acted}",
        "critic": critic or "none: its value is not shown",
    }
    return [[name, value] for name, value in facts.items() if value]


class Recording:
    """Recorded episodes, as the page's JSON.

    decisions: the distinct decisions of all. pictures: the distinct pictures, as data URIs. episodes: of each its goal, how it
    ended, whether it succeeded, and its moments.
    """

    def __init__(self, stage: Stage, env: DictConfig, episodes: int, seed: int, greedy: bool) -> None:
        """Play episodes of the environment side by side, each from its own seed, with the most probable or sampled actions."""
        self.decisions: list[Decision] = []
        self.pictures: list[str] = []
        self._known: dict[Any, int] = {}
        self._drawn: dict[Any, int] = {}
        self._draws = can_film(build.environment(env))
        make_env: MakeEnv = build.environment(env, render_mode="rgb_array" if self._draws else None)
        generator = generators.of_stream(seed, "watch: actions")
        seeds = seeding.stream(seed, "watch: environments").generate_state(episodes)
        players = [Player(make_env(), env.gamma, number) for number in range(episodes)]
        for player in players:
            player.reset(int(seeds[player.number]))
        titles = [title_of(player.env) for player in players]
        courses = [[self._moment(player)] for player in players]
        with acting(stage.agent), stage.context():
            while running := [player for player in players if not player.ended]:
                for player, choice, outcome, _ in act(stage.agent, running, generator, greedy):
                    courses[player.number][-1] |= {"chosen": choice, "reward": outcome.reward}
                    courses[player.number].append(self._moment(player))
        self.episodes = [
            {"title": title, "ending": ending_of(player), "success": player.episode.success, "moments": moments}
            for title, player, moments in zip(titles, players, courses, strict=True)
        ]
        for player in players:
            player.close()

    def _moment(self, player: Player) -> dict[str, Any]:
        """Return a decision in an episode, or its end.

        decision: its number in `decisions`; None at the end. picture: its number in `pictures`; None if there are none. step,
        total: primitive steps and discounted return so far. chosen, reward: of the action, if one is done.
        """
        place = None
        if not player.ended:
            decision = player.decision
            key: Any = (decision.text, decision.obs.tobytes())
            if decision.memory is not None:  # on which the agent's view depends, too
                key = len(self._known)
            if (place := self._known.setdefault(key, len(self._known))) == len(self.decisions):
                self.decisions.append(decision)
        picture = self._picture(player.env) if self._draws else None
        episode = player.episode
        moment = {"decision": place, "picture": picture, "step": episode.primitive_steps, "total": episode.discounted_return}
        return moment | {"chosen": None, "reward": None}

    def _picture(self, env: gymnasium.Env) -> int:
        """Return the number of the environment's picture; equal ones are stored once."""
        picture = pictures(env)[-1]
        key = (picture.tobytes(), picture.shape)
        if key not in self._drawn:
            self._drawn[key] = len(self._drawn)
            image, buffer = Image.fromarray(picture), io.BytesIO()
            image.thumbnail((WIDEST, WIDEST), Image.Resampling.LANCZOS)
            image.quantize(COLORS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
            self.pictures.append(f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}")
        return self._drawn[key]

    @torch.no_grad()
    def data(self, stages: Sequence[Stage], critic: bool) -> dict[str, Any]:
        """Return what the page shows.

        stages: whose views of each decision are shown side by side; the first is after training. critic: whether the values of
        the first stage's agent are those of a trained critic.
        """
        agent, seen = stages[0].agent, [views(stage, self.decisions) for stage in stages]
        texts = pieces(agent, self.decisions, seen[0])
        shown: list[dict[str, Any]] = []
        for place, decision in enumerate(self.decisions):
            own = [each[place] for each in seen]
            entry = {"prompt": decision.prompt, "actions": list(decision.action_prompts), "views": own}
            entry |= {"pieces": texts[place]} if texts else {}
            if len(own) > 1:  # the total variation distance: the probability that moved between actions, 0 to 1
                moved = sum(abs(p - q) for p, q in zip(own[0]["probs"], own[1]["probs"], strict=True))
                entry["difference"] = round(moved / 2, 6)
            shown.append(entry)
        if critic and isinstance(agent, LearningAgent):
            with acting(agent):
                for entry, value in zip(shown, agent.values(self.decisions).tolist(), strict=True):
                    entry["value"] = round(value, 6)
        whens = [each.when for each in stages]
        return {"stages": whens, "decisions": shown, "episodes": self.episodes, "pictures": self.pictures}


@torch.no_grad()
def views(stage: Stage, decisions: Sequence[Decision]) -> list[View]:
    """Return an agent's views of distinct decisions."""
    agent = stage.agent
    with acting(agent), stage.context():
        if not isinstance(agent, LanguageAgent) or agent.policy_head.learns:  # its actions have no words
            rows = agent.log_policy(decisions).exp()
            return [{"probs": _numbers(row[: len(each.action_ids)])} for row, each in zip(rows, decisions, strict=True)]
        texts = [decision.text for decision in decisions]
        scores = agent.engine.score(texts)
        terms = agent.token_logprobs(scores, texts)
        policy, logprobs = agent.policy_of(scores, terms).exp(), terms.nansum(-1)
        normed = type(agent).policy_of is LanguageAgent.policy_of  # others do not use the norm
        found = []
        for row, (_, actions) in enumerate(texts):
            own = slice(len(actions))
            score = (scores.scores if normed else logprobs)[row, own]
            view = {"probs": policy[row, own], "logprobs": logprobs[row, own], "scores": score}
            tokens = [_numbers(term[~term.isnan()]) for term in terms[row, own]]
            found.append({name: _numbers(values) for name, values in view.items()} | {"tokens": tokens})
        return found


def pieces(agent: Agent, decisions: Sequence[Decision], views: Sequence[View]) -> list[list[list[str]]] | None:
    """Return each action's tokens as text, for each decision; None without words. views: of the same decisions."""
    if not isinstance(agent, LanguageAgent) or agent.policy_head.learns:
        return None
    decode = agent.engine.lm.tokenizer.decode
    found = []
    for actions, view in zip(agent.engine.action_tokens([each.text for each in decisions]), views, strict=True):
        texts = [[str(decode([token])) for token in ids] for ids in actions]
        found.append([[*own, END][: len(tokens)] for own, tokens in zip(texts, view["tokens"], strict=True)])
    return found


def _numbers(values: torch.Tensor) -> list[float]:
    return [round(float(value), 6) for value in values.cpu()]
