"""What of a run depends on its language model's kind."""

from types import SimpleNamespace

import pytest

from twosome.config import RetentionConfig
from twosome.errors import UserError
from twosome.evaluation import suites
from twosome.language.config import ModelConfig
from twosome.language.loading import load_language_model
from twosome.language.lora import Lora
from twosome.runs.job import Job


@pytest.fixture(scope="module")
def agent():
    model = load_language_model(ModelConfig(source="tiny_random", architecture="bart", device="cpu"), Lora())
    return SimpleNamespace(language_model=model)


def test_an_encoder_decoder_model_has_no_drift_probe_and_a_note_says_so(agent, capsys):
    job = SimpleNamespace(retention=RetentionConfig(drift=True, every=0, limit=None))
    assert Job.drift_probe(job, agent) is None
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("note: retention.drift=true: tiny_random/bart is an encoder-decoder model")


def test_a_forgetting_curve_of_an_encoder_decoder_model_is_refused(agent):
    job = SimpleNamespace(retention=RetentionConfig(drift=False, every=2, limit=None))
    with pytest.raises(UserError, match=r"retention.every=2: tiny_random/bart is an encoder-decoder .*; set retention.every=0"):
        Job.check_retention(job, agent)


@pytest.mark.parametrize("suite", ["drift", "retention"])
def test_its_retention_cannot_be_evaluated(agent, suite):
    with pytest.raises(UserError, match=f"suite={suite}: tiny_random/bart is an encoder-decoder model"):
        suites.language_model(SimpleNamespace(agent=agent), suite, measured=True)
