"""An episode in which a person chooses the actions in the terminal."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import gymnasium
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from twosome import generators, seeding
from twosome.decision import Decision
from twosome.envs.episode import Episode
from twosome.envs.player import Player
from twosome.evaluation.episodes import play as play_episodes
from twosome.evaluation.video import ending_of, title_of
from twosome.policies.agent import likeliest
from twosome.policies.bounds import RandomAgent
from twosome.terminal import Console

RANDOM_EPISODES = 20
"""Episodes of random play, for comparison."""
BAR = 24
"""Characters of the longest bar of a probability."""


@dataclass
class Game:
    """One episode; the person's actions come from standard input, a line each.

    seed: of the episode. name: the model's. advise: returns its log-policy of a decision, (its actions,). remember: returns its
    memory for the next decision, called after advise with the same decision (Agent.remember). optimum: the best
    possible return, if it is known.
    """

    make_env: Callable[[], gymnasium.Env]
    gamma: float
    seed: int
    name: str
    advise: Callable[[Decision], Tensor]
    remember: Callable[[Decision], Any]
    optimum: float | None
    console: Console = field(default_factory=lambda: Console(highlight=False))

    @cached_property
    def start(self) -> int:
        """The environment's seed."""
        return int(seeding.stream(self.seed, "play: environment").generate_state(1)[0])

    def play(self) -> None:
        """Play until the episode's end, q or the end of the input; then print the returns."""
        player = Player(self.make_env(), self.gamma)
        player.reset(self.start)
        self.console.print(f"[bold]{escape(title_of(player.env))}[/bold]  [dim]beside you: {escape(self.name)}[/dim]")
        self.console.print("[dim]Type an action's number, ? for the model's probabilities, q to end.[/dim]")
        while not player.ended:
            self._show(player.decision)
            if (choice := self._read(player.decision)) is None:
                break
            self._do(player, choice)
        self.console.print(f"\n[bold]{ending_of(player) or 'stopped'}[/bold]")
        player.close()
        self.console.print(self.table(player))

    def _show(self, decision: Decision) -> None:
        self.console.print(f"\n{escape(decision.prompt)} …")
        for number, action in enumerate(decision.action_prompts, 1):
            self.console.print(f"  [bold]{number:>2}[/bold]  {escape(action)}")

    def _read(self, decision: Decision) -> int | None:
        """Read lines until one names an action; return its index, or None for q and at the input's end."""
        count = len(decision.action_ids)
        while True:
            self.console.print("[bold]>[/bold] ", end="")
            line = sys.stdin.readline()
            word = line.strip()
            if not line or word == "q":
                return None
            if word == "?":
                self._probabilities(decision)
            elif word.isdecimal() and 1 <= int(word) <= count:
                return int(word) - 1
            else:
                self.console.print(f"expected a number from 1 to {count}, ? or q", style="yellow")

    def _probabilities(self, decision: Decision) -> None:
        shares = self.advise(decision).exp().tolist()
        width = max(map(len, decision.action_prompts))
        for number, (action, share) in enumerate(zip(decision.action_prompts, shares, strict=True), 1):
            bar = "█" * round(BAR * share)
            self.console.print(f"  [bold]{number:>2}[/bold]  {escape(action.ljust(width))} {share:>7.2%} {bar}", soft_wrap=True)

    def _do(self, player: Player, choice: int) -> None:
        """Do the person's action; say what the model would have done."""
        decision, policy = player.decision, self.advise(player.decision).exp()
        best = int(policy.argmax())
        outcome = player.choose(choice, self.remember(decision))
        advice = "would do the same" if best == choice else f"would {escape(decision.action_prompts[best])}"
        self.console.print(
            f"[dim]reward {outcome.reward:+.3f}, return {player.episode.discounted_return:+.3f}; the model {advice} "
            f"({float(policy[best]):.1%})[/dim]"
        )

    def model_plays(self) -> Episode:
        """Return the episode from the same start in which the model's most probable actions are done."""
        player, generator = Player(self.make_env(), self.gamma), generators.of_stream(self.seed, "play: actions")
        player.reset(self.start)
        while not player.ended:
            choice = int(likeliest(self.advise(player.decision)[None], generator))
            player.choose(choice, self.remember(player.decision))
        player.close()
        return player.episode

    def table(self, player: Player) -> Table:
        """Return the table of returns: the person's, the model's, random play's and the optimum."""
        table = Table(title_justify="left")
        table.add_column("who")
        for column in ("success", "discounted return", "decisions"):
            table.add_column(column, justify="right", no_wrap=True)
        random = play_episodes(RandomAgent(), self.make_env, RANDOM_EPISODES, self.gamma, self.seed, greedy=False)
        rows = {
            "you" if player.ended else "you, so far": [player.episode],
            f"{self.name}, greedy": [self.model_plays()],
            f"random play, mean of {RANDOM_EPISODES}": random,
        }
        for who, episodes in rows.items():
            means = [sum(float(getattr(each, name)) for each in episodes) / len(episodes)
                     for name in ("success", "discounted_return", "decisions")]  # fmt: skip
            table.add_row(escape(who), f"{means[0]:.2f}", f"{means[1]:+.4f}", f"{means[2]:.1f}")
        if self.optimum is not None:
            table.add_row("optimum", "", f"{self.optimum:+.4f}", "", style="dim")
        return table
