"""What a language model makes of one decision: an action's tokens, its log-probability, its score, its probability."""

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from twosome import experiment
from twosome.config import resolve, typed
from twosome.errors import UserError, check_seed, unknown_choice
from twosome.language.config import check_path

if TYPE_CHECKING:
    from twosome.language.scorer import Scorer

FORMATS = ("table", "json")


@dataclass
class ProbeConfig:
    """What to ask; see conf/probe.yaml."""

    prompt: str | None
    actions: list[Any]
    format: str
    seed: int

    def __post_init__(self) -> None:
        if self.prompt is None or not self.prompt.strip():
            raise UserError(f'prompt={self.prompt}: expected the observation prompt, as in prompt="You should first"')
        self.actions = ["" if action is None else str(action) for action in self.actions]
        if not self.actions or not all(action.strip() for action in self.actions):
            raise UserError(
                f"actions={self.actions}: expected one action prompt or more, none of them blank, "
                "as in 'actions=[take the bowl, chop the tomato]'"
            )
        if self.format not in FORMATS:
            raise unknown_choice("format", self.format, FORMATS)
        check_seed("seed", self.seed)


@dataclass(frozen=True)
class Probe:
    """An action under a prompt. tokens, words: how many. score: logprob over the normalisation's divisor."""

    action: str
    tokens: int
    words: int
    logprob: float
    score: float
    prob: float


def run(config: DictConfig) -> None:
    """Print a table, or JSON alone. Raises UserError for bad input before a model is loaded."""
    resolve(config)
    if not OmegaConf.is_list(config.actions):
        raise UserError(f"actions={config.actions}: expected a list, as in 'actions=[take the bowl, chop the tomato]'")
    options = typed(ProbeConfig, OmegaConf.masked_copy(config, ["prompt", "actions", "format", "seed"]), "")
    model, norm = experiment.model_config(config.model), experiment.normalization(config.norm)
    check_path(model)
    from twosome.language.loading import load_language_model  # takes seconds to import; bad input is told before
    from twosome.language.scorer import Scorer

    scorer = Scorer(load_language_model(model), norm)
    probes, pieces = probe(scorer, str(options.prompt), options.actions)
    if options.format == "json":
        print(json.dumps([asdict(each) for each in probes], indent=2))
    else:
        _print_table(probes, pieces, f"{scorer.lm.name}: {options.prompt}")


def probe(scorer: "Scorer", prompt: str, actions: list[str]) -> tuple[list[Probe], list[list[str]]]:
    """Score the actions of one decision; the second result is each action's tokens as text."""
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
    """A space in a token is shown as ·, so that its borders can be seen."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), title_justify="left", title_style="bold")
    table.add_column("action", overflow="fold", ratio=1)
    for column in ("tokens", "words", "logprob", "score", "prob"):
        table.add_column(column, justify="right", no_wrap=True)
    best = max(probe.prob for probe in probes)
    for each, tokens in zip(probes, pieces, strict=True):
        shown = "[dim]|[/dim]".join(escape(token.replace(" ", "·")) for token in tokens)
        numbers = (each.tokens, each.words, f"{each.logprob:.3f}", f"{each.score:.3f}", f"{each.prob:.4f}")
        style = "bold" if each.prob == best else None
        table.add_row(f"{escape(each.action)}\n[not bold dim]{shown}[/]", *map(str, numbers), style=style)
    Console().print(table)
