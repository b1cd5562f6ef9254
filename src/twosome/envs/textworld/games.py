"""Games of TextWorld's challenges, generated from seeds, once, into the suite's cache.

A seed's folder is ``$TWOSOME_CACHE/textworld/<version>/<task and settings>/<seed>``. It has the compiled game (game.z8 and
game.json) and index.json, the fields of `Game`. It is written under another name and renamed, so a generation that is killed
leaves no game. Processes of their own generate the games, one per core: this module's `main`.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import textworld
from textworld.challenges import CHALLENGES
from textworld.generator import QuestGenerationError, compile_game
from textworld.generator.inform7 import Inform7Game
from tqdm import tqdm

from twosome.envs.options import SPLITS, join
from twosome.errors import UserError, check_choice

DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "simple": {"rewards": "balanced"},
    "coin_collector": {"level": 105},
    "treasure_hunter": {"level": 5},
    "cooking": {"recipe": 1, "take": 1, "go": 1, "open": True, "cook": True, "cut": False, "drop": False},
}
"""The settings of TextWorld's challenges by task."""
FIXED: Final[Mapping[str, Mapping[str, Any]]] = {
    "simple": {"goal": "brief", "test": False},
    "cooking": {"split": None, "recipe_seed": 0},  # all foods, and the recipe is drawn with the rest of the game
}
"""Settings without a choice: the splits are the suite's, and the goal is a part of every prompt."""
REWARDS: Final = ("dense", "balanced", "sparse")
FREE_VERBS: Final = ("look", "inventory", "examine")
"""The verbs of commands that change nothing."""
SEEDS_PER_GAME: Final = 20
"""How many seeds are tried for each game that is asked for."""


class Game(NamedTuple):
    """A compiled game.

    path: of game.z8. digest: checksum of the content: of the initial facts and of those that win or lose, with the names that the
    player reads, but without the prose of the descriptions. goal: as in "take the coin". walkthrough: commands that win it.
    max_score: the score of a game that is won. commands, facts: those that play can reach, or more; sorted.
    """

    path: str
    digest: str
    goal: str
    walkthrough: Sequence[str]
    max_score: int
    commands: Sequence[str]
    facts: Sequence[str]

    @property
    def split(self) -> str:
        """The split, which the content decides: no game is in both, whatever the seeds and the number of games."""
        return SPLITS[int(self.digest, 16) % 2]


def settings_of(task: str, settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the settings of a task's challenge. settings: changes of the defaults, by task. Raises UserError."""
    check_choice("task", task, DEFAULTS)
    changed = settings.get(task) or {}
    for name in changed:
        if name not in DEFAULTS[task]:
            raise UserError(f"settings.{task}.{name}={changed[name]}: expected one of the settings {', '.join(DEFAULTS[task])}")
    # TextWorld would make games that cannot be won of other words.
    check_choice("settings.simple.rewards", changed.get("rewards", REWARDS[0]), REWARDS)
    return {**DEFAULTS[task], **changed}


def find_games(root: Path, task: str, settings: Mapping[str, Any], num_games: int) -> dict[str, list[Game]]:
    """Return the first num_games different games of each split, in the order of their seeds. Raises UserError.

    root: the suite's cache, into which the games that it lacks are generated.
    """
    name = ",".join((task, *(f"{key}={value}" for key, value in settings.items())))
    folder = root / "textworld" / textworld.__version__ / name
    count = 2 * num_games + 2  # the splits need not be equally large
    while True:
        _generate(folder, task, settings, [seed for seed in range(count) if not (folder / str(seed)).exists()])
        different = {game.digest: game for game in map(load, (folder / str(seed) for seed in range(count))) if game}
        games = {split: [game for game in different.values() if game.split == split][:num_games] for split in SPLITS}
        found = min(map(len, games.values()))
        if found == num_games:
            return games
        if count >= SEEDS_PER_GAME * num_games:
            raise UserError(f"num_games={num_games}: expected at most {found} with {name}, which has no more different games")
        count += 2 * (num_games - found) + 2


def load(folder: Path) -> Game | None:
    """Return the game in a seed's folder; None if TextWorld could make no game of that seed."""
    path = folder / "index.json"
    return Game(str(folder / "game.z8"), *json.loads(path.read_text()).values()) if path.exists() else None


def _generate(folder: Path, task: str, settings: Mapping[str, Any], seeds: Sequence[int]) -> None:
    """Generate the games of these seeds, on all cores, with a bar of progress. Raises UserError if a setting is refused."""
    if not seeds:
        return
    cores = min(os.cpu_count() or 1, len(seeds))
    words = [sys.executable, "-m", __name__, str(folder), task, json.dumps(settings)]
    own = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    reading, writing = os.pipe()
    workers = [subprocess.Popen([*words, *map(str, seeds[core::cores])], stdout=writing, env=own) for core in range(cores)]
    os.close(writing)
    with open(reading) as answers:
        bar = tqdm(answers, f"TextWorld: {task}", len(seeds), leave=False, unit="game", delay=3)
        refused = [answer.strip() for answer in bar if not answer.startswith("seed ")]
    failed = any([worker.wait() for worker in workers])
    if refused:
        raise UserError(f"settings.{task}={dict(settings)}: TextWorld's generator says: {refused[0]}")
    if failed:
        raise RuntimeError("a process that generates games failed; its message is above")


def write_game(folder: Path, task: str, settings: Mapping[str, Any], seed: int) -> None:
    """Write a seed's folder, as a whole or not at all; it is empty if TextWorld can make no game of the seed."""
    part = folder / f".{seed}.{os.getpid()}.part"
    part.mkdir(parents=True)
    try:
        _write_files(part, task, settings, seed)
        with suppress(OSError):  # another run was faster
            part.rename(folder / str(seed))
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write_files(folder: Path, task: str, settings: Mapping[str, Any], seed: int) -> None:
    options = textworld.GameOptions()
    options.seeds, options.path = seed, str(folder / "game.z8")
    _, make, _ = CHALLENGES[f"tw-{task}"]
    try:
        game = make({**FIXED.get(task, {}), **settings}, options)
    except QuestGenerationError:  # such as a map without a route of the wanted length
        return
    compile_game(game, options)
    (folder / "game.ni").unlink()
    if index := _index(task, game, options.path):
        (folder / "index.json").write_text(json.dumps(index))


def _index(task: str, game: textworld.Game, path: str) -> dict[str, Any] | None:
    """Return the fields of `Game` after path; None if the walkthrough does not win."""
    walkthrough = _played(path, game.walkthrough)
    if walkthrough is None:
        return None
    names = Inform7Game(game)
    ends = [event.condition.preconditions for quest in game.quests for event in (*quest.win_events, *quest.fail_events)]
    content = [sorted(written(map(names.get_human_readable_fact, facts))) for facts in (game.world.facts, *ends)]
    return {
        "digest": hashlib.sha256(json.dumps(content).encode()).hexdigest(),
        "goal": _meal(game) if task == "cooking" else with_articles(walkthrough[-1]),
        "walkthrough": walkthrough,
        "max_score": game.max_score,
    } | _reachable(game, names)


def _played(path: str, walkthrough: Iterable[str]) -> list[str] | None:
    """Play TextWorld's walkthrough; return its admissible commands that change something, or None if they do not win."""
    env = textworld.start(path, textworld.EnvInfos(admissible_commands=True, won=True))
    state, done = env.reset(), list[str]()
    for command in walkthrough:  # the cooking game's opens doors and containers again
        if command in state.admissible_commands and command.split()[0] not in FREE_VERBS:
            state, _, _ = env.step(command)
            done.append(command)
    env.close()
    return done if state.won else None


def _reachable(game: textworld.Game, names: Inform7Game) -> dict[str, list[str]]:
    """Return the commands and facts of a game in which nothing that was true becomes false, hence all of the real one's."""
    state, actions = game.world.state.copy(), dict[Any, None]()
    while True:
        possible = state.all_applicable_actions(game.kb.rules.values(), game.kb.types.constants_mapping)
        new = [action for action in possible if action not in actions]
        if not new:
            break
        actions |= dict.fromkeys(new)
        state.add_facts(fact for action in new for fact in action.added)
    facts = sorted(written(map(names.get_human_readable_fact, state.facts)))
    return {"commands": sorted(set(names.gen_commands_from_actions(actions))), "facts": facts}


def written(facts: Iterable[Any]) -> list[str]:
    """Return TextWorld's facts, whose variables have the names that the player reads, in words: "on(apple, table)"."""
    return [f"{fact.name}({', '.join(argument.name for argument in fact.arguments)})" for fact in facts]


def with_articles(command: str) -> str:
    """Return a command with articles: "take milk from couch" as "take the milk from the couch"."""
    verb, _, rest = command.partition(" ")
    if verb == "go" or not rest:
        return command
    for word in ("from", "into", "on", "with"):
        rest = rest.replace(f" {word} ", f" {word} the ")
    return f"{verb} the {rest}"


def _meal(game: textworld.Game) -> str:
    """Return the goal of a cooking game, which has the recipe: "prepare and eat a meal of sliced fried carrot"."""
    foods = []
    for name, cooking, cutting in game.metadata["ingredients"]:
        foods.append(" ".join(word for word in (cutting, cooking, name) if word not in ("uncut", "raw")))
    return f"prepare and eat a meal of {join(foods)}"


def main(folder: str, task: str, settings: str, *seeds: str) -> None:
    """Write the folders of these seeds; print a line for each, or what TextWorld's generator refuses."""
    for seed in seeds:
        line = f"seed {seed}\n"
        try:
            write_game(Path(folder), task, json.loads(settings), int(seed))
        except (ValueError, AssertionError) as error:
            line = f"{error}\n"
        sys.stdout.write(line)  # at once, since the processes share a pipe
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
