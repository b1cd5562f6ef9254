"""Play episodes and collect what the page shows."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import gymnasium
import torch

from twosome import generators, seeding
from twosome.decision import Decision
from twosome.envs.vector import Episode, Player
from twosome.evaluation.video import ending_of, pictures, title_of
from twosome.evaluation.watch.album import Album
from twosome.evaluation.watch.stages import Stage, pieces, views
from twosome.policies.agent import LearningAgent, likeliest, sample


@dataclass
class Moment:
    """A decision in an episode, or with decision None the episode's end.

    decision: its number in the list of distinct decisions. picture: its number in the album; None if the environment draws none.
    chosen: the index of the chosen action. reward: of that action. total: the discounted return before it. step: primitive steps
    before it.
    """

    decision: int | None
    picture: int | None
    step: int
    total: float
    chosen: int | None = None
    reward: float | None = None


@dataclass
class Recording:
    """Recorded episodes.

    titles: the goal of each. decisions: the distinct decisions of all. moments, endings, episodes: of each episode its course,
    how it ended, and its statistics.
    """

    titles: list[str]
    decisions: list[Decision] = field(default_factory=list)
    album: Album = field(default_factory=Album)
    moments: list[list[Moment]] = field(default_factory=list)
    endings: list[str] = field(default_factory=list)
    episodes: list[Episode] = field(default_factory=list)


@dataclass(frozen=True)
class Asked:
    """Which episodes are recorded: their number, their seed, and whether the most probable action is done or one is sampled."""

    episodes: int
    seed: int
    greedy: bool


def play(stage: Stage, make_env: Callable[[], gymnasium.Env], gamma: float, asked: Asked, draws: bool) -> Recording:
    """Play whole episodes side by side, each from its own seed, and record them. draws: whether the environment has pictures."""
    generator = generators.of_stream(asked.seed, "watch: actions")
    seeds = seeding.stream(asked.seed, "watch: environments").generate_state(asked.episodes)
    players = [Player(make_env(), gamma, number) for number in range(asked.episodes)]
    known: dict[Any, int] = {}
    for player in players:
        player.reset(int(seeds[player.number]))
    recording = Recording([title_of(player.env) for player in players], moments=[[] for _ in players])
    with stage.state() as agent:
        for player in players:
            recording.moments[player.number].append(_moment(player, recording, known, draws))
        while running := [player for player in players if not player.ended]:
            decisions = [each.decision for each in running]
            choices = (likeliest if asked.greedy else sample)(agent.log_policy(decisions), generator)
            for player, choice, memory in zip(running, choices.tolist(), agent.remember(decisions), strict=True):
                moments = recording.moments[player.number]
                moments[-1].chosen, moments[-1].reward = choice, player.choose(choice, memory).reward
                moments.append(_moment(player, recording, known, draws))
    recording.endings = [ending_of(player) for player in players]
    recording.episodes = [player.episode for player in players]
    for player in players:
        player.close()
    return recording


def _moment(player: Player, recording: Recording, known: dict[Any, int], draws: bool) -> Moment:
    """Return the player's moment; its decision and picture are added to the recording if they are new."""
    picture = recording.album.add(pictures(player.env)[-1]) if draws else None
    place = None
    if not player.ended:
        decision = player.decision
        key: Any = (decision.text, decision.obs.tobytes())
        if decision.memory is not None:  # on which the agent's view depends, too
            key = len(known)
        if (place := known.setdefault(key, len(known))) == len(recording.decisions):
            recording.decisions.append(decision)
    return Moment(place, picture, player.episode.primitive_steps, player.episode.discounted_return)


@torch.no_grad()
def data(recording: Recording, stages: Sequence[Stage], critic: bool) -> dict[str, Any]:
    """Return what the page shows, as JSON.

    stages: whose views of each decision are shown side by side; the first is after training. critic: whether the values of the
    first stage's agent are those of a trained critic.
    """
    decisions = recording.decisions
    seen = [views(stage, decisions) for stage in stages]
    texts = pieces(stages[0].agent, decisions, seen[0])
    shown: list[dict[str, Any]] = []
    for place, decision in enumerate(decisions):
        entry: dict[str, Any] = {
            "prompt": decision.prompt,
            "actions": list(decision.action_prompts),
            "views": [each[place] for each in seen],
        }
        if texts:
            entry["pieces"] = texts[place]
        if len(seen) > 1:
            entry["difference"] = difference(*(each[place]["probs"] for each in seen))
        shown.append(entry)
    agent = stages[0].agent
    if critic and isinstance(agent, LearningAgent):
        with stages[0].state():
            for entry, value in zip(shown, agent.values(decisions).tolist(), strict=True):
                entry["value"] = round(value, 6)
    rows = zip(recording.titles, recording.endings, recording.episodes, recording.moments, strict=True)
    episodes = [
        {"title": title, "ending": ending, "success": episode.success, "moments": list(map(asdict, moments))}
        for title, ending, episode, moments in rows
    ]
    stages_ = [each.when for each in stages]
    return {"stages": stages_, "decisions": shown, "episodes": episodes, "pictures": recording.album.uris}


def difference(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the total variation distance of two distributions: the probability that moved between actions, 0 to 1."""
    return round(sum(abs(p - q) for p, q in zip(one, other, strict=True)) / 2, 6)
