"""Score one decision with a language model: each action's tokens, log-probability, score and probability."""

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from rich.markup import escape
from rich.table import Table

from twosome import build
from twosome.config import own_settings
from twosome.errors import UserError, check_seed, unknown_choice
from twosome.terminal import Console

if TYPE_CHECKING:
    from twosome.language.engine import Engine

FORMATS = ("table", "json")
NUMBERS = {"tokens": "d", "words": "d", "logprob": ".3f", "score": ".3f", "prob": ".4f"}
"""The columns after the action, with their formats."""
OMITTED_FIRST = ("words", "tokens", "logprob", "score", "prob")
"""The order in which columns are omitted if the terminal is too narrow."""
ACTION_WIDTH = 16
"""The width to which actions are folded before a column is omitted."""


@dataclass
class ProbeConfig:
    """The options of conf/probe.yaml."""

    prompt: str | None
    actions: list[Any]
    format: str
    seed: int

    def __post_init__(self) -> None:
        if self.prompt is None or not self.prompt.strip():
            raise UserError(f'prompt={self.prompt!r}: expected the observation prompt, as in prompt="You should first"')
        if not self.actions:
            raise UserError("actions=[]: expected one action prompt or more, as in 'actions=[take the bowl, chop the tomato]'")
        self.actions = [_action(place, action) for place, action in enumerate(self.actions)]
        for place, action in enumerate(self.actions):
            if (first := self.actions.index(action)) < place:
                raise UserError(f"actions[{place}]={_shown(action)}: the same as actions[{first}]; expected each action once")
        if self.format not in FORMATS:
            raise unknown_choice("format", self.format, FORMATS)
        check_seed("seed", self.seed)


def _action(place: int, value: Any) -> str:
    """Return an entry of the list as text; raise UserError. An integer becomes its digits. Fractions and truth values are errors,
    since it is not known how they were typed."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise UserError(
            f"actions[{place}]={_shown(value)}: expected an action prompt; "
            'text that Hydra reads as something else needs quotes, as in \'actions=["null", "1.50"]\''
        )
    if not value.strip():
        raise UserError(f"actions[{place}]={_shown(value)}: expected an action prompt, which has a word at least; leave it out")
    return value


def _shown(value: Any) -> str:
    """Quote an entry for a message, on one line."""
    return json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True)
class Probe:
    """The result for one action. tokens, words: their numbers. score: logprob over the norm's divisor. prob: the policy's."""

    action: str
    tokens: int
    words: int
    logprob: float
    score: float
    prob: float


def run(config: DictConfig) -> None:
    """Score the decision and print a table, or JSON only. Raises UserError for bad input before a model is loaded."""
    resolve(config)
    if not OmegaConf.is_list(config.actions):
        raise UserError(f"actions={config.actions}: expected a list, as in 'actions=[take the bowl, chop the tomato]'")
    options = own_settings(ProbeConfig, config)
    model, norm = build.model_config(config.model), build.build(config.norm)
    from twosome.language.gate import load_engine  # takes seconds to import; the input is checked first

    scorer = load_engine(model, None, norm)
    probes, pieces = probe(scorer, str(options.prompt), options.actions)
    if options.format == "json":
        print(json.dumps([asdict(each) for each in probes], indent=2))
    else:
        _print_table(probes, pieces, f"{scorer.lm.name}: {options.prompt}")


def probe(scorer: "Engine", prompt: str, actions: list[str]) -> tuple[list[Probe], list[list[str]]]:
    """Score the actions of one decision; return the results and each action's tokens as text."""
    text = (prompt, tuple(actions))
    scores = scorer.score([text])
    tokens = scorer.tokenize([text])[0].actions
    columns = (scores.logprobs[0], scores.scores[0], scores.log_policy()[0].exp())
    values = zip(*(column.tolist() for column in columns), strict=True)
    probes = [
        Probe(action, len(ids), len(action.split()), logprob, score, share)
        for action, ids, (logprob, score, share) in zip(actions, tokens, values, strict=True)
    ]
    return probes, [[str(scorer.lm.tokenizer.decode([token])) for token in ids] for ids in tokens]


def _print_table(probes: list[Probe], pieces: list[list[str]], title: str) -> None:
    """Print a table with as many columns as the terminal has room for."""
    console = Console()
    for omitted in range(len(OMITTED_FIRST) + 1):
        names = [name for name in NUMBERS if name not in OMITTED_FIRST[:omitted]]
        table = _table(probes, pieces, names)
        if _least_width(console, table) <= console.width:
            break
    table.title = escape(title)
    console.print(table)
    if omitted:
        missing = ", ".join(name for name in NUMBERS if name not in names)
        console.print(f"not shown at {console.width} columns: {missing}; format=json has all", highlight=False)


def _table(probes: list[Probe], pieces: list[list[str]], names: list[str]) -> Table:
    """Return a table of the actions and the columns of these names. A space in a token is shown as ·."""
    table = Table(title_justify="left", title_style="bold")
    table.add_column("action", overflow="fold", ratio=1)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    best = max(probe.prob for probe in probes)
    for each, tokens in zip(probes, pieces, strict=True):
        shown = "[dim]|[/dim]".join(escape(token.replace(" ", "·")) for token in tokens)
        numbers = [format(getattr(each, name), NUMBERS[name]) for name in names]
        style = "bold" if each.prob == best else None
        table.add_row(f"{escape(each.action)}\n[not bold dim]{shown}[/]", *numbers, style=style)
    return table


def _least_width(console: Console, table: Table) -> int:
    """Return the width that a table needs if its first column is folded to ACTION_WIDTH."""
    unbounded = console.options.update(max_width=10_000)
    whole = console.measure(table, options=unbounded).maximum
    action = max(console.measure(cell, options=unbounded).maximum for cell in table.columns[0].cells)
    return whole - max(0, action - ACTION_WIDTH)
