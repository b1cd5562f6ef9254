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


def test_a_merge_across_the_border_is_an_error() -> None:
    tokenize = DecisionTokenizer(merging_tokenizer())
    assert tokenize([("ab", ("d", "da"))]) == [TokenizedDecision((0, 1), ((4, 3), (4, 3, 0)))]
    with pytest.raises(UserError) as caught:
        tokenize([("ab", ("d", "cd"))])
    message = str(caught.value)
    assert "\n" not in message
    for part in ("prompt='ab'", "'merging'", "merges", "'cd'", "ends in a whole word"):
        assert part in message


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
    with pytest.raises(UserError, match=r"prompt='You see\\na door'...: the tokenizer of .* makes .* of it; expected a"):
        DecisionTokenizer(tokenizer)([("You see\na door", ("open it",))])


def test_the_longest_action_decides_what_is_too_long() -> None:
    tokenizer = tiny.build_tokenizer("gpt2")
    text = ("You are in the kitchen", ("go", "open the microwave"))
    longest = len(tokenizer("You are in the kitchen open the microwave")["input_ids"])
    assert DecisionTokenizer(tokenizer, longest)([text]) == DecisionTokenizer(tokenizer)([text])
    with pytest.raises(UserError) as caught:
        DecisionTokenizer(tokenizer, longest - 1)([text])
    message = str(caught.value)
    assert "\n" not in message
    for part in ("You are in the kitchen", f"{longest} tokens", f"at most {longest - 1}"):
        assert part in message


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
