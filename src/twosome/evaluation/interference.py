"""suite=interference: do one update of an agent, and measure how far it moves actions in situations that it did not contain."""

import hashlib
import io
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any

import gymnasium
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from twosome import generators, seeding
from twosome.agents.agent import LearningAgent, MakeEnv
from twosome.agents.language import LanguageAgent
from twosome.algorithms.algorithm import Algorithm, EnvRunner, Metrics, Progress
from twosome.algorithms.ppo import PPO
from twosome.algorithms.rollout import Batch
from twosome.decision import Decision
from twosome.envs.check import action_names
from twosome.envs.optimum import OptimalPlay, searchable
from twosome.envs.vector import DecisionEnvs, Player
from twosome.errors import UserError, check
from twosome.evaluation.episodes import acting
from twosome.evaluation.figures import DPI, GRID, INK
from twosome.evaluation.records import LATER, Record, same
from twosome.files import write_atomic
from twosome.storage.folder import RunFolder

FILE, TABLE, FIGURE = "interference.json", "interference.csv", "interference.png"
RANDOM_DECISIONS = 20_000
"""Decisions of random play, at most, in which situations are looked for."""
MEASURES = ("log_prob", "log_policy")
"""log_prob: of the action's words by the language model. log_policy: of the action by the agent."""
PLACES = ("in_update", "outside", "on_best_path", "best_action")
"""The parts of the situations over which means are taken: in the update, not in it, on the path of the best play (in the update
or not), and those of the path in which the best play takes the action."""
LABELS = {"in_update": "in the update", "outside": "not in the update", "on_best_path": "on the best path"}
COLORS = {"in the update": "#0072B2", "not in the update": "#E69F00", "on the best path": "#009E73"}  # Okabe and Ito's
AXES = {"log_prob": "change of log P(words of the action)", "log_policy": "change of log policy(action)"}
FIGURE_WIDTH, ROW_HEIGHT = 5.6, 0.42  # inches; a row per kind of action

Identify = Callable[[Decision], Hashable]
Situations = dict[Hashable, Decision]
"""Distinct decisions by their `LearningAgent.decision_key`, in the order in which they were met."""


@dataclass
class InterferenceConfig:
    """The options of suite=interference; see conf/evaluate.yaml."""

    when: str = "before"
    critic_rollouts: int = 4
    situations: int = 200


def measure(
    agent: LearningAgent,
    algorithm: Algorithm,
    make_env: MakeEnv,
    gamma: float,
    num_updates: int,
    seed: int,
    asked: InterferenceConfig,
) -> tuple[pd.DataFrame, Metrics]:
    """Do an update; return a row for each situation and action (columns: docs/interference.md), and the update's metrics.

    The agent's weights change. gamma: the environment's discount per primitive step. num_updates: of the run, for schedules.
    seed: of all random numbers. Raises UserError where the algorithm, the agent and the options do not fit each other.
    """
    algorithm.check(agent)
    check(agent.recurrence == 1, "suite", "interference", "an agent without memory, such as that of baseline.network=null")
    apart = isinstance(algorithm, PPO) and not agent.joint_values
    expected = "0 without PPO, and where values learn together with the policy"
    check(apart or not asked.critic_rollouts, "interference.critic_rollouts", asked.critic_rollouts, expected)
    envs = DecisionEnvs(make_env, algorithm.num_envs, gamma)
    start = int(seeding.stream(seed, "interference: environments").generate_state(1)[0])
    runner, generator = EnvRunner(envs, start, algorithm.group_size), generators.of_stream(seed, "interference: learning")
    optimizers = algorithm.optimizers(agent)

    @torch.no_grad()
    def collect() -> Any:
        agent.eval()
        agent.begin_rollout()
        return algorithm.collect(agent, runner, generator)

    for _ in range(asked.critic_rollouts):
        assert isinstance(algorithm, PPO)
        critic_only, rollout = type(algorithm)(replace(algorithm.config, value_warmup_updates=1)), collect()
        agent.train()
        critic_only.update(agent, rollout, optimizers, Progress(0, num_updates), generator)
    batch = collect()
    envs.close()
    if not isinstance(batch, Batch):
        raise UserError(f"suite=interference: {type(algorithm).__name__} does not learn from a rollout, as PPO does")
    path = best_path(make_env, gamma, seed)
    situations = distinct([*batch.decisions, *(decision for decision, _ in path)], agent.decision_key)
    situations |= by_random_play(make_env, gamma, agent.decision_key, situations, asked.situations, seed)
    decisions = list(situations.values())
    before = log_probs(agent, decisions)
    first = algorithm.config.value_warmup_updates if isinstance(algorithm, PPO) else 0
    progress = Progress(first, max(num_updates, first + 1))  # that of the run in which the policy first learns
    agent.train()
    metrics = algorithm.update(agent, batch, optimizers, progress, generator)
    after = log_probs(agent, decisions)
    rows = table(situations, batch, path, agent.decision_key, action_names(make_env))
    for name in MEASURES:
        rows[f"{name}_before"], rows[f"{name}_after"] = before[name], after[name]
    return rows, metrics


def distinct(decisions: Iterable[Decision], identify: Identify) -> Situations:
    """Return the first decision of each situation."""
    found: Situations = {}
    for decision in decisions:
        found.setdefault(identify(decision), decision)
    return found


def best_path(make_env: MakeEnv, gamma: float, seed: int) -> list[tuple[Decision, int]]:
    """Return the decisions of an optimal episode, each with the id of its action; none if the best play is not known.

    seed: of the environment. The episode ends where the environment ends it or where the play repeats a state.
    """
    env: gymnasium.Env = make_env()
    game, player = searchable(env), Player(env, gamma)
    state, path = player.reset(seed).state, dict[Hashable, tuple[Decision, int]]()
    best = OptimalPlay(game, gamma) if game else None
    while best and not player.ended and state not in path and (action := best.action(state)) is not None:
        path[state] = player.decision, action
        state = player.step(action).decision.state
    env.close()
    return list(path.values())


def by_random_play(
    make_env: MakeEnv, gamma: float, identify: Identify, known: Collection[Hashable], most: int, seed: int
) -> Situations:
    """Return the first unknown situations, at most `most`, that random play in an environment of its own meets.

    All admissible actions are equally likely. The play ends after RANDOM_DECISIONS decisions.
    """
    found: Situations = {}
    random = np.random.default_rng(seeding.stream(seed, "interference: situations"))
    player = Player(make_env(), gamma)
    player.reset(int(random.integers(2**32)))
    for _ in range(RANDOM_DECISIONS):
        if len(found) >= most:
            break
        if (key := identify(player.decision)) not in known:
            found.setdefault(key, player.decision)
        player.choose(int(random.integers(len(player.decision.action_ids))))
        if player.ended:
            player.reset(int(random.integers(2**32)))
    player.close()
    return found


@torch.no_grad()
def log_probs(agent: LearningAgent, decisions: Sequence[Decision]) -> dict[str, np.ndarray]:
    """Return MEASURES of all actions of the decisions, one after the other; log_prob is nan without a language model."""

    def flat(values: Tensor) -> np.ndarray:
        rows = values.to("cpu", torch.float64).numpy()  # (decisions, A), padded
        return np.concatenate([row[: len(decision.action_ids)] for row, decision in zip(rows, decisions, strict=True)])

    with acting(agent):
        log_policy = flat(agent.log_policy(decisions))
        log_prob = np.full_like(log_policy, np.nan)
        if isinstance(agent, LanguageAgent):
            log_prob = flat(agent.engine.score(agent.texts(decisions)).logprobs)
    return {"log_prob": log_prob, "log_policy": log_policy}


def table(
    situations: Situations, batch: Batch, path: Sequence[tuple[Decision, int]], identify: Identify, names: Sequence[str]
) -> pd.DataFrame:
    """Return a row for each situation and action, without log-probabilities.

    path: of the best play (`best_path`). names: of the environment's actions, or none.
    """
    advantages: dict[tuple[Hashable, int], list[float]] = defaultdict(list)
    for decision, choice, advantage in zip(batch.decisions, batch.choices.tolist(), batch.advantages.tolist(), strict=True):
        advantages[identify(decision), choice].append(advantage)
    met, best = {key for key, _ in advantages}, {(identify(decision), action) for decision, action in path}
    on_path = {key for key, _ in best}
    return pd.DataFrame(
        {
            "situation": number,
            "prompt": decision.prompt,
            "action": phrase,
            "kind": f"{action} {names[action]}" if names else str(action),
            "in_update": key in met,
            "on_best_path": key in on_path,
            "best_action": (key, action) in best,
            "samples": len(taken := advantages.get((key, choice), [])),
            "advantage": mean(taken) if taken else np.nan,
        }
        for number, (key, decision) in enumerate(situations.items())
        for choice, (action, phrase) in enumerate(zip(decision.action_ids, decision.action_prompts, strict=True))
    )


def place(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the rows of one of PLACES."""
    return rows[~rows.in_update] if name == "outside" else rows[rows[name]]


def changes(rows: pd.DataFrame, measure: str) -> pd.Series:
    """Return each row's change of one of MEASURES in the update."""
    return rows[f"{measure}_after"] - rows[f"{measure}_before"]


def measures_of(rows: pd.DataFrame) -> list[str]:
    """Return those of MEASURES that the rows have; log_prob exists only if a language model learns."""
    return [name for name in MEASURES if rows[f"{name}_before"].notna().all()]


def kinds(rows: pd.DataFrame) -> list[str]:
    """Return the kinds of action in the order of their numbers."""
    return sorted(rows.kind.unique(), key=lambda kind: int(kind.split()[0]))


def by_kind(rows: pd.DataFrame, measure: str) -> dict[str, dict[str, Any]]:
    """Return, for each kind of action, the number of situations and the mean change in each of PLACES, and what carries over.

    carried_over: the mean change outside the update over that in it. A mean or a ratio without a value is None.
    """
    found = {}
    for kind in kinds(rows):
        own = rows[rows.kind == kind]
        parts = {name: changes(place(own, name), measure) for name in PLACES}
        entry = {name: {"situations": len(part), "mean": _number(part.mean())} for name, part in parts.items()}
        found[kind] = entry | {"carried_over": _ratio(parts["outside"].mean(), parts["in_update"].mean())}
    return found


def carried_over(rows: pd.DataFrame, measure: str) -> float | None:
    """Return the mean absolute change of all actions outside the update over that in it; None without a value."""
    return _ratio(*(changes(place(rows, name), measure).abs().mean() for name in ("outside", "in_update")))


def _ratio(outside: float, inside: float) -> float | None:
    return _number(outside / inside) if inside else None


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def write(folder: RunFolder, rows: pd.DataFrame, metrics: Metrics, settings: Record, evaluated: Record) -> Record:
    """Write the table, the figure and, last, the summary; return the summary.

    They replace those of an earlier probe. An equal result keeps its stamp. evaluated: the stamp of this one (`records.stamp`).
    """
    csv = rows.to_csv(index=False, float_format="%.9g", lineterminator="\n")
    measures = measures_of(rows)
    found: Record = {
        "settings": settings,
        "situations": {name: place(rows, name).situation.nunique() for name in PLACES[:3]},
        "update": {name: value if math.isfinite(value) else None for name, value in metrics.items()},
        "changes": {measure: by_kind(rows, measure) for measure in measures},
        "carried_over": {measure: carried_over(rows, measure) for measure in measures},
        "table_sha256": hashlib.sha256(csv.encode()).hexdigest(),
    }
    before, picture = folder.read_json(FILE, default={}), draw(rows, measures[0], title(settings))
    found[LATER] = before[LATER] if LATER in before and same(before, found) else evaluated
    write_atomic(folder.path / TABLE, csv)
    write_atomic(folder.path / FIGURE, picture)
    folder.write_json(FILE, found)
    return found


def title(settings: Record) -> str:
    """Return the title of the figure."""
    task = str(settings["task"] or settings["env"]).replace("_", " ")
    wording = f" ({settings['prompt']})" if settings["prompt"] not in (None, "default") else ""
    return f"One update {settings['when']} training: {task}{wording}, seed {settings['seed']}"


def draw(rows: pd.DataFrame, measure: str, title: str) -> bytes:
    """Return a PNG of the changes of a measure: a mark per situation, a dot for the mean. Equal rows have equal bytes."""
    marks = pd.concat([place(rows, name).assign(place=label) for name, label in LABELS.items()], ignore_index=True)
    marks["change"] = changes(marks, measure)
    order = kinds(rows)
    figure = Figure(figsize=(FIGURE_WIDTH, ROW_HEIGHT * len(order) + 1), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    places = {"x": "change", "y": "kind", "hue": "place", "order": order, "hue_order": list(COLORS), "palette": COLORS}
    axes.axvline(0, color=INK, lw=0.8, zorder=1)
    sns.stripplot(marks, **places, dodge=True, jitter=False, marker="|", size=6, linewidth=0.8, alpha=0.45, legend=False, ax=axes)
    sns.pointplot(
        marks, **places, dodge=0.533, errorbar=None, linestyle="none", markers="o", markersize=5,
        markeredgecolor=INK, markeredgewidth=0.8, zorder=5, ax=axes,
    )  # fmt: skip
    for each in range(1, len(order), 2):
        axes.axhspan(each - 0.5, each + 0.5, color=GRID, alpha=0.45, lw=0, zorder=0)
    axes.set_title(title, fontsize=8.5, color=INK, loc="left", fontweight="bold")
    axes.set_xlabel(f"{AXES[measure]}; a mark: one situation, a dot: the mean", fontsize=7.5, color=INK)
    axes.set(ylabel="", ylim=(len(order) - 0.5, -0.5))
    axes.tick_params(labelsize=7.5, colors=INK, length=2.5, width=0.6)
    axes.grid(axis="x", color=GRID, lw=0.6)
    axes.set_axisbelow(True)
    sns.despine(ax=axes)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend().remove()
    figure.legend(handles, labels, loc="outside lower center", ncol=len(LABELS), frameon=False, fontsize=7.5, labelcolor=INK)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
