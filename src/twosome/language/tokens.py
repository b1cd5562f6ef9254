"""Tokenise decisions, with a check of the boundary between prompt and action."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from twosome.decision import DecisionText
from twosome.errors import UserError
from twosome.memory import Memory

REMEMBERED = 2**14
"""Size of the cache of tokenised decisions; each takes some kilobytes. The suite's environments have up to 700 decisions. The
bound is for environments whose prompts do not recur."""


class TokenizedDecision(NamedTuple):
    """A tokenised decision. prompt: the prompt's token ids. actions: the token ids of each action prompt after the prompt."""

    prompt: tuple[int, ...]
    actions: tuple[tuple[int, ...], ...]


class DecisionTokenizer:
    """A tokenizer of decisions: tokenise prompt, space and action prompt together, and split the ids after the prompt's own ids.

    A tokenizer may merge characters across that boundary. The action's tokens are then not well defined, which is an error.
    (TWOSOME's reference code slices the joint ids by the length of the action tokenised alone, which assumes no merge.)
    """

    def __init__(self, tokenizer: Any, max_length: int | None = None) -> None:
        """tokenizer: a transformers tokenizer; max_length: the model's context in tokens, if it has a limit."""
        self.tokenizer = tokenizer
        self.max_length = max_length
        self._known: Memory[DecisionText, TokenizedDecision] = Memory(REMEMBERED)

    def __call__(self, texts: Sequence[DecisionText]) -> list[TokenizedDecision]:
        """Tokenise decisions; the last REMEMBERED distinct ones are cached.

        Raises UserError for an empty prompt or action list, a merge across the boundary, or a decision that is too long.
        """
        known = self._known.of(texts, lambda missing: (self._tokenize(*text) for text in missing))
        return [known[text] for text in texts]

    def prompt(self, prompt: str) -> tuple[int, ...]:
        """Return the token ids of a prompt alone; raise UserError if it is blank or too long."""
        if not prompt.strip():
            raise UserError(f"prompt={prompt!r}: expected a prompt that is not blank; check the environment's prompter")
        ids = self._ids_of_prompt(prompt)
        self._check_length(prompt, len(ids), "tokens")
        return ids

    def _ids_of_prompt(self, prompt: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(prompt)["input_ids"])

    def _tokenize(self, prompt: str, action_prompts: tuple[str, ...]) -> TokenizedDecision:
        self._check_words(prompt, action_prompts)
        return self._split(prompt, action_prompts)

    def _check_words(self, prompt: str, action_prompts: tuple[str, ...]) -> None:
        if not prompt.strip() or not action_prompts or not all(action.strip() for action in action_prompts):
            raise UserError(
                f"prompt={prompt!r} actions={list(action_prompts)!r}: expected a prompt and at least one action, none "
                "of them blank; check the environment's prompter"
            )

    def _split(self, prompt: str, action_prompts: tuple[str, ...]) -> TokenizedDecision:
        """Return the token ids of a decision; raise UserError."""
        joined = self.tokenizer([prompt, *(f"{prompt} {action}" for action in action_prompts)])["input_ids"]
        head = tuple(joined[0])
        actions = []
        for action, ids in zip(action_prompts, joined[1:], strict=True):
            if tuple(ids[: len(head)]) != head or len(ids) == len(head):
                raise UserError(
                    f"prompt={prompt!r}: the tokenizer of {self.tokenizer.name_or_path!r} merges the end of the prompt "
                    f"with the action {action!r}; expected a token border before it: end the prompt in a whole word "
                    "without a trailing space"
                )
            actions.append(tuple(ids[len(head) :]))
        self._check_length(prompt, len(head) + max(map(len, actions)), "tokens with its longest action")
        return TokenizedDecision(head, tuple(actions))

    def _check_length(self, prompt: str, length: int, unit: str) -> None:
        if self.max_length is not None and length > self.max_length:
            raise UserError(
                f"prompt={prompt[:60]!r}...: {length} {unit}, expected at most {self.max_length} (the model's context); "
                "shorten the prompt or take another model"
            )


class SeparateTokenizer(DecisionTokenizer):
    """A tokenizer of decisions for encoder-decoder models: the prompt alone and each action alone, without end tokens.

    GLAM since February 2024 scores no end token and gives none to the encoder. A token that the tokenizer puts before every
    text, as BART's does, stays in the prompt. In the actions it is not scored: it is the attribute `begin`.
    """

    def __init__(self, tokenizer: Any, max_length: int | None = None) -> None:
        """See DecisionTokenizer. max_length: of the encoder's input and of the decoder's."""
        super().__init__(tokenizer, max_length)
        first = tokenizer("a")["input_ids"][0]
        self.begin: tuple[int, ...] = (first,) if first == tokenizer.bos_token_id else ()

    def _ids_of_prompt(self, prompt: str) -> tuple[int, ...]:
        return self.begin + self._words(prompt, "prompt")

    def _split(self, prompt: str, action_prompts: tuple[str, ...]) -> TokenizedDecision:
        actions = tuple(self._words(action, "action") for action in action_prompts)
        self._check_length(prompt, len(self.begin) + max(map(len, actions)), "tokens of its longest action")
        return TokenizedDecision(self.prompt(prompt), actions)

    def _words(self, text: str, option: str) -> tuple[int, ...]:
        ids = tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        if not ids:
            raise UserError(
                f"{option}={text!r}: the tokenizer of {self.tokenizer.name_or_path!r} makes no token of it; expected a text with "
                "a character that it knows; check the environment's prompter"
            )
        return ids
