"""Score one decision with a language model: each action's tokens, log-probability, score and probability."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from twosome import build
from twosome.config import own_settings
from twosome.errors import UserError, check_choice
from twosome.evaluation.summary import print_table
from twosome.language.engine import Engine
from twosome.language.gate import load_engine


@dataclass
class ProbeConfig:
    """The options of conf/probe.yaml."""

    prompt: str | None
    actions: list[Any]
    format: str
    seed: int


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
    """Score the decision and print a table, or JSON only. config: conf/probe.yaml with the command line's changes."""
    OmegaConf.resolve(config)
    options = own_settings(ProbeConfig, config)
    actions = [str(action) for action in options.actions]
    if not options.prompt or not actions:
        raise UserError("expected a prompt and actions, as in prompt='You should first' 'actions=[take the bowl, chop]'")
    check_choice("format", options.format, ("table", "json"))
    model, norm = build.model_config(config.model), build.build(config.norm)
    scorer = load_engine(model, None, norm)
    probes, pieces = probe(scorer, options.prompt, actions)
    if options.format == "json":
        print(json.dumps([asdict(each) for each in probes], indent=2))
        return
    rows = []
    for each, tokens in zip(probes, pieces, strict=True):
        text = "|".join(token.replace(" ", "·") for token in tokens)
        numbers = {"logprob": f"{each.logprob:.3f}", "score": f"{each.score:.3f}", "prob": f"{each.prob:.4f}"}
        rows.append({"action, tokens": f"{each.action}\n{text}", "words": str(each.words), "tokens": str(each.tokens), **numbers})
    print_table(f"{scorer.lm.name}: {options.prompt}", rows)


def probe(scorer: Engine, prompt: str, actions: list[str]) -> tuple[list[Probe], list[list[str]]]:
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
