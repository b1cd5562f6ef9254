"""Tokenise decisions, with a check of the boundary between prompt and action."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from twosome.decision import DecisionText
from twosome.errors import UserError
from twosome.lru_cache import LRUCache

if TYPE_CHECKING:
    from twosome.language.loading import LanguageModel

REMEMBERED = 2**14
"""Size of the cache of tokenised decisions; each takes some kilobytes. The suite's environments have up to 700 decisions. The
bound is for environments whose prompts do not recur."""


class TokenizedDecision(NamedTuple):
    """A tokenised decision. prompt: the prompt's token ids. actions: the token ids of each action prompt after the prompt."""

    prompt: tuple[int, ...]
    actions: tuple[tuple[int, ...], ...]

    def size(self) -> int:
        """Return the number of tokens of the prompt and all actions."""
        return len(self.prompt) + sum(map(len, self.actions))


class DecisionTokenizer:
    """A tokenizer of decisions: tokenise prompt, space and action prompt together, and split the ids after the prompt's own ids.

    A tokenizer may merge characters across that boundary. The action's tokens are then not well defined, which is an error.
    (TWOSOME's reference code slices the joint ids by the length of the action tokenised alone, which assumes no merge.)
    """

    begin: tuple[int, ...] = ()
    """Tokens before each action that are not scored."""

    def __init__(self, tokenizer: Any, max_length: int | None = None) -> None:
        """tokenizer: a transformers tokenizer; max_length: the model's context in tokens, if it has a limit."""
        self.tokenizer = tokenizer
        self.max_length = max_length
        last = tokenizer("a")["input_ids"][-1:]
        self._ends = bool(last) and last[0] == tokenizer.eos_token_id  # some tokenizers end every text with a token
        self._cache: LRUCache[DecisionText, TokenizedDecision] = LRUCache(REMEMBERED)

    def __call__(self, texts: Sequence[DecisionText]) -> list[TokenizedDecision]:
        """Tokenise decisions; the last REMEMBERED distinct ones are cached.

        Raises UserError for a blank prompt, a merge across the boundary, or a decision that is too long.
        """
        found = self._cache.of(texts, lambda missing: (self._tokenize(*text) for text in missing))
        return [found[text] for text in texts]

    def prompt(self, prompt: str) -> tuple[int, ...]:
        """Return the token ids of a prompt alone; raise UserError if it is blank or too long."""
        (ids,) = self._ids([prompt])
        self._check_prompt(prompt, ids)
        self._check_length(prompt, len(ids))
        return ids

    def _ids(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """Return the token ids of texts, without the token that the tokenizer puts after every text."""
        return [tuple(ids[:-1] if self._ends else ids) for ids in self.tokenizer(list(texts))["input_ids"]]

    def _tokenize(self, prompt: str, action_prompts: tuple[str, ...]) -> TokenizedDecision:
        head, *joined = self._ids([prompt, *(f"{prompt} {action}" for action in action_prompts)])
        self._check_prompt(prompt, head)
        actions = []
        for action, ids in zip(action_prompts, joined, strict=True):
            if ids[: len(head)] != head or len(ids) == len(head):
                raise UserError(
                    f"prompt={prompt!r}: the tokenizer of {self.tokenizer.name_or_path!r} merges its end with the action "
                    f"{action!r}; expected a prompt that ends in a whole word, without a trailing space"
                )
            actions.append(ids[len(head) :])
        self._check_length(prompt, len(head) + max(map(len, actions)), "tokens with its longest action")
        return TokenizedDecision(head, tuple(actions))

    def _check_prompt(self, prompt: str, ids: tuple[int, ...]) -> None:
        """Raise UserError if a prompt is blank, or its tokens are those of another text: some tokenizers drop spaces."""
        text = self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        if not prompt.strip() or text != prompt:
            raise UserError(
                f"prompt={prompt[:60]!r}...: the tokenizer of {self.tokenizer.name_or_path!r} makes {text[:60]!r}... of it; "
                "expected a prompt with a word, and a tokenizer that keeps spaces, line breaks and letters"
            )

    def _check_length(self, prompt: str, length: int, unit: str = "tokens") -> None:
        if self.max_length is not None and length > self.max_length:
            expected = f"expected at most {self.max_length} (the model's context)"
            raise UserError(f"prompt={prompt[:60]!r}...: {length} {unit}, {expected}")


class SeparateTokenizer(DecisionTokenizer):
    """A tokenizer of decisions for encoder-decoder models: the prompt alone and each action alone, without end tokens.

    GLAM since February 2024 scores no end token and gives none to the encoder. A token that the tokenizer puts before every
    text, as BART's does, stays in the prompt. In the actions it is not scored: it is the attribute `begin`.
    """

    def __init__(self, tokenizer: Any, max_length: int | None = None) -> None:
        """max_length: of the encoder's input and of the decoder's."""
        super().__init__(tokenizer, max_length)
        first = tokenizer("a")["input_ids"][0]
        self.begin = (first,) if first == tokenizer.bos_token_id else ()

    def prompt(self, prompt: str) -> tuple[int, ...]:
        """Return the token ids of a prompt; raise UserError if there are none or too many."""
        ids = self.begin + self._words(prompt)
        self._check_length(prompt, len(ids))
        return ids

    def _tokenize(self, prompt: str, action_prompts: tuple[str, ...]) -> TokenizedDecision:
        actions = tuple(map(self._words, action_prompts))
        self._check_length(prompt, len(self.begin) + max(map(len, actions)))
        return TokenizedDecision(self.prompt(prompt), actions)

    def _words(self, text: str) -> tuple[int, ...]:
        ids = tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        if not ids:
            raise UserError(f"{text!r}: the tokenizer of {self.tokenizer.name_or_path!r} makes no token of it; expected a word")
        return ids


def tokenizer_of(lm: "LanguageModel") -> DecisionTokenizer:
    """Return the tokenizer of decisions for a model of this kind, whose texts are at most as long as the model's context."""
    kind = SeparateTokenizer if lm.base.config.is_encoder_decoder else DecisionTokenizer
    return kind(lm.tokenizer, getattr(lm.base.config.get_text_config(decoder=True), "max_position_embeddings", None))
