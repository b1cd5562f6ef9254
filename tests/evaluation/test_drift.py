"""The drift probe against transformers' own computation, and against what must be exactly zero."""

import numpy as np
import pandas as pd
import pytest
import torch

import twosome
from twosome.evaluation.retention import drift as module
from twosome.evaluation.retention.drift import DriftProbe, batches, prose, questions
from twosome.language.loading import LanguageModel, ModelConfig, load_language_model
from twosome.language.tiny import ARCHITECTURES
from twosome.language.tuning import Lora

LIMIT = 3


def model(architecture: str = "llama", disturbed: bool = True, dropout: float = 0.0) -> LanguageModel:
    config = ModelConfig(source="tiny_random", architecture=architecture, device="cpu")
    lm = load_language_model(config, Lora(dropout=dropout))
    if disturbed:
        disturb(lm)
    return lm


@torch.no_grad()
def disturb(lm: LanguageModel, size: float = 0.2) -> None:
    """Give the adapter an effect: LoRA's B is 0 at first. size: the standard deviation of its new values."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in lm.model.named_parameters():
        if "lora_B" in name:
            parameter.copy_(size * torch.randn(parameter.shape, generator=generator))


@torch.no_grad()
def plain_log_probs(lm: LanguageModel, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities of the next tokens, (tokens, vocabulary), by the whole model on one text: adapter off, and on."""
    with lm.model.disable_adapter():
        before = lm.model(input_ids=ids[None]).logits[0].double().log_softmax(-1)
    return before, lm.model(input_ids=ids[None]).logits[0].double().log_softmax(-1)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_prose_agrees_with_plain_transformers(architecture, monkeypatch):
    monkeypatch.setattr(module, "WINDOW", 2048)  # each piece in one context
    lm = model(architecture)
    measured = DriftProbe(lm, LIMIT).measure()
    expected = []
    for piece in prose(LIMIT).values():
        ids = torch.tensor(lm.tokenizer(piece)["input_ids"])
        before, after = (log_probs[:-1] for log_probs in plain_log_probs(lm, ids))
        nats = [-log_probs.gather(1, ids[1:, None]).sum() for log_probs in (before, after)]
        kl = torch.nn.functional.kl_div(after, before, reduction="sum", log_target=True)
        agreed = (before.argmax(-1) == after.argmax(-1)).sum()
        expected.append([len(ids) - 1, *map(float, nats), float(kl), float(agreed)])
    assert measured.prose[:, 4] == pytest.approx(np.array(expected)[:, 4], abs=1)  # a near tie may fall either way
    assert measured.prose[:, :4] == pytest.approx(np.array(expected)[:, :4], rel=1e-4)
    tokens, before, after, kl, _ = np.array(expected).sum(axis=0)
    summary = measured.summary()
    assert summary["perplexity"] == pytest.approx({"before": np.exp(before / tokens), "after": np.exp(after / tokens)}, rel=1e-4)
    assert summary["kl"] == pytest.approx(kl / tokens, rel=1e-4)
    assert summary["kl_interval"][0] < summary["kl"] < summary["kl_interval"][1]
    begins = architecture in ("llama", "gemma")  # then every byte is predicted; else all but the first token's
    size = sum(len(piece) for piece in prose(LIMIT).values())
    assert (measured.text_bytes == size) if begins else (size - 20 < measured.text_bytes < size)
    assert summary["bits_per_byte"]["after"] == pytest.approx(after / np.log(2) / measured.text_bytes, rel=1e-4)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_questions_agree_with_plain_transformers(architecture):
    lm = model(architecture)
    right = np.zeros((2, 2, 8), dtype=bool)  # measure, before or after, question
    for number, question in enumerate(questions(8)):
        prompt = f"Question: {question['question']}\nAnswer:"
        start = len(lm.tokenizer(prompt)["input_ids"])
        scores = np.zeros((2, 2, 4))
        for option, words in enumerate(question["options"]):
            ids = torch.tensor(lm.tokenizer(f"{prompt} {words}")["input_ids"])
            for when, log_probs in enumerate(plain_log_probs(lm, ids)):
                total = float(log_probs[:-1].gather(1, ids[1:, None])[start - 1 :].sum())
                scores[:, when, option] = total, total / len(words)
        right[:, :, number] = scores.argmax(-1) == question["answer"]
    correct = DriftProbe(lm, 8).measure().correct
    np.testing.assert_array_equal(correct["acc"], right[0])
    np.testing.assert_array_equal(correct["acc_norm"], right[1])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_adapter_of_zeros_does_not_drift(architecture):
    summary = DriftProbe(model(architecture, disturbed=False), LIMIT).measure().summary()
    assert (summary["kl"], summary["kl_interval"]) == (0, (0, 0))
    assert (summary["perplexity_ratio"], summary["top1_agreement"]) == (1, 1)
    for name in ("acc", "acc_norm"):
        assert (summary[name]["difference"], summary[name]["p_value"]) == (0, 1)
        assert summary[name]["no_loss_above"] > 0.5  # three questions exclude very little


def test_base_is_computed_once_and_the_model_as_it_is_each_time():
    lm = model(disturbed=False)
    probe = DriftProbe(lm, LIMIT)
    assert probe.measure().point()["kl"] == 0
    tokens = probe.engine.tokens_computed
    disturb(lm)
    again = probe.measure()
    assert again.point()["kl"] > 0
    assert probe.engine.tokens_computed == tokens * 3 / 2
    fresh = DriftProbe(lm, LIMIT).measure()
    np.testing.assert_array_equal(again.prose, fresh.prose)
    assert again.summary() == fresh.summary()


def test_windows_predict_each_token_but_the_first_once():
    pieces = [tuple(range(100, 131)), tuple(range(10)), (5, 6)]
    grouped = batches(pieces, window=8)
    predicted = {piece: [] for piece in range(3)}
    for owners, windows in grouped:
        for piece, ids in zip(owners, windows, strict=True):
            assert 2 <= len(ids) <= 8
            predicted[piece] += ids[1:].tolist()
    assert [sorted(tokens) for tokens in predicted.values()] == [list(piece[1:]) for piece in pieces]


def test_a_limit_spreads_over_all_texts():
    assert len({question["category"] for question in questions(4)}) == 4
    assert list(prose(2)) == list(prose())[::11]


def test_training_goes_on_as_if_nobody_had_looked(tmp_path):
    common = ["model=tiny_random", "tuning.dropout=0.1", "algorithm.num_envs=4", "algorithm.num_steps=16", "total_steps=256",
              "evaluation.episodes=0", "evaluation.gif=false", "env.kwargs.max_primitive_steps=20"]  # fmt: skip
    watched = twosome.run(*common, "retention.every=1", "retention.limit=2", folder=tmp_path / "watched").folder
    alone = twosome.run(*common, "retention.drift=false", folder=tmp_path / "alone").folder
    ours, theirs = (pd.read_csv(folder / "metrics.csv") for folder in (watched, alone))
    same = [name for name in ours if not name.endswith(("seconds", "per_second"))]
    assert ours[same].equals(theirs[same])
    weights = "adapter/adapter_model.safetensors"
    assert (watched / weights).read_bytes() == (alone / weights).read_bytes()
    assert len(pd.read_csv(watched / "retention.csv")) == len(ours) == 4
    assert not list(alone.glob("retention*"))
