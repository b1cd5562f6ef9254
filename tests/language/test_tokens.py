"""The border between prompt and action: right where a tokenizer keeps it, an error where it merges across."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, processors
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from twosome.errors import UserError
from twosome.language import tiny
from twosome.language.tokens import DecisionTokenizer, TokenizedDecision


def merging_tokenizer() -> PreTrainedTokenizerBase:
    """BPE over whole strings (no pre-tokeniser): "b c" becomes one token, so "ab cd" loses the border after "ab"."""
    pieces = ["a", "b", "c", "d", " ", " c", "b c"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    backend = Tokenizer(models.BPE(vocabulary, [(" ", "c"), ("b", " c")]))
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=backend, name_or_path="merging", clean_up_tokenization_spaces=False)


class CountingTokenizer:
    """Counts the texts it tokenises."""

    def __init__(self) -> None:
        self.tokenizer, self.calls, self.name_or_path = tiny.build_tokenizer("llama"), 0, "counting"
        self.eos_token_id, self.decode = self.tokenizer.eos_token_id, self.tokenizer.decode

    def __call__(self, texts: str | list[str]) -> dict[str, list[list[int]]]:
        self.calls += isinstance(texts, list)
        return self.tokenizer(texts)


def test_tokens_of_ever_new_texts_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twosome.language.tokens.REMEMBERED", 2)
    counting = CountingTokenizer()
    tokenize = DecisionTokenizer(counting)
    texts = [(f"You see {number} plates", ("wait",)) for number in range(3)]
    found = tokenize(texts)
    assert tokenize(texts[1:]) == found[1:]
    assert counting.calls == 3
    assert tokenize(texts) == found
    assert counting.calls == 4


def test_a_merge_across_the_border_is_an_error() -> None:
    tokenize = DecisionTokenizer(merging_tokenizer())
    assert tokenize([("ab", ("d", "da"))]) == [TokenizedDecision((0, 1), ((4, 3), (4, 3, 0)))]
    with pytest.raises(UserError) as caught:
        tokenize([("ab", ("d", "cd"))])
    message = str(caught.value)
    assert "\n" not in message
    for part in ("prompt='ab'", "'merging'", "merges", "'cd'", "end the prompt in a whole word"):
        assert part in message


def test_an_action_swallowed_by_its_tokenizer_is_an_error() -> None:
    class Truncating(CountingTokenizer):
        def __call__(self, texts: str | list[str]) -> dict[str, list[list[int]]]:
            return {"input_ids": [self.tokenizer("You")["input_ids"] for _ in texts]}

    with pytest.raises(UserError, match="expected a token border before it"):
        DecisionTokenizer(Truncating())([("You", ("go",))])


def test_a_token_that_ends_every_text_is_left_out() -> None:
    tokenizer, ending = tiny.build_tokenizer("gpt2"), tiny.build_tokenizer("gpt2")
    ending.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", tokenizer.eos_token_id)]
    )
    text = ("You should", ("go", "go left"))
    assert ending("You")["input_ids"][-1] == ending.eos_token_id
    assert DecisionTokenizer(ending)([text]) == DecisionTokenizer(tokenizer)([text])


@pytest.mark.parametrize("dropped", [" ", "\n"])
def test_a_tokenizer_that_loses_a_part_of_the_prompt_is_refused(dropped: str) -> None:
    tokenizer = tiny.build_tokenizer("gpt2")
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace(dropped, "")
    with pytest.raises(UserError, match=r"prompt='You see\\na door'...: the tokenizer of .* makes .* of it; expected one"):
        DecisionTokenizer(tokenizer)([("You see\na door", ("open it",))])


@pytest.mark.parametrize(
    ("prompt", "actions"),
    [("", ("go",)), (" \n", ("go",)), ("You", ()), ("You", ("go", "")), ("You", ("\t ", "go"))],
)
def test_blank_prompts_and_actions_are_errors(prompt: str, actions: tuple[str, ...]) -> None:
    with pytest.raises(UserError) as caught:
        DecisionTokenizer(tiny.build_tokenizer("gpt2"))([(prompt, actions)])
    message = str(caught.value)
    assert "\n" not in message
    for part in (f"prompt={prompt!r}", f"actions={list(actions)!r}", "prompter"):
        assert part in message


def test_the_longest_action_decides_what_is_too_long() -> None:
    tokenizer = tiny.build_tokenizer("gpt2")
    text = ("You are in the kitchen", ("go", "open the microwave"))
    longest = len(tokenizer("You are in the kitchen open the microwave")["input_ids"])
    assert DecisionTokenizer(tokenizer, longest)([text]) == DecisionTokenizer(tokenizer)([text])
    with pytest.raises(UserError) as caught:
        DecisionTokenizer(tokenizer, longest - 1)([text])
    message = str(caught.value)
    assert "\n" not in message
    for part in ("You are in the kitchen", f"{longest} tokens", f"at most {longest - 1}", "shorten the prompt"):
        assert part in message


def test_a_decision_is_tokenized_once() -> None:
    counting = CountingTokenizer()
    tokenize = DecisionTokenizer(counting)
    one, other = ("You", ("go", "stop")), ("You", ("go",))
    first = tokenize([one, other, one])
    assert counting.calls == 2
    assert tokenize([one]) == first[:1] == first[2:]
    assert counting.calls == 2


words = st.text("abcdefgä1,.", min_size=1, max_size=8)
phrases = st.lists(words, min_size=1, max_size=4).map(" ".join)


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@settings(max_examples=50)
@given(prompt=phrases, actions=st.lists(phrases, min_size=1, max_size=3).map(tuple))
def test_prompt_and_action_tokens_are_the_joined_texts(architecture: str, prompt: str, actions: tuple[str, ...]) -> None:
    tokenizer = tiny.build_tokenizer(architecture)
    (decision,) = DecisionTokenizer(tokenizer)([(prompt, actions)])
    assert list(decision.prompt) == tokenizer(prompt)["input_ids"]
    for action, ids in zip(actions, decision.actions, strict=True):
        assert [*decision.prompt, *ids] == tokenizer(f"{prompt} {action}")["input_ids"]
        assert tokenizer.decode(ids) == f" {action}"
