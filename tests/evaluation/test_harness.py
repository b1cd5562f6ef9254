"""The engine under lm-eval: its answers and log-likelihoods against HFLM's and against plain log-probabilities."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from benchmark_tools import ITEMS, SUBJECTS, write_benchmarks
from test_drift import disturb, model, plain_log_probs

from twosome.errors import UserError
from twosome.evaluation.retention.benchmarks import Benchmark, BenchmarkConfig, Harness, load
from twosome.evaluation.retention.drift import questions
from twosome.language.loading import ModelConfig, load_language_model
from twosome.language.tiny import ARCHITECTURES
from twosome.language.tuning import Lora


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_benchmarks(tmp_path_factory.mktemp("data"))


def hflm(lm, **options):
    """lm-eval's own model around the same weights."""
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=lm.model, tokenizer=lm.tokenizer, **options)


def instances(kind, arguments):
    """Requests as lm-eval's tasks make them."""
    from lm_eval.api.instance import Instance

    return [Instance(request_type=kind, doc={}, arguments=one, idx=0) for one in arguments]


def assert_agree(found, wanted):
    """Log-likelihoods are equal within 1e-4, and the same continuations are greedy."""
    assert [one for one, _ in found] == pytest.approx([one for one, _ in wanted], abs=1e-4, rel=0)
    assert [one for _, one in found] == [one for _, one in wanted]


def plain(lm, context, continuation, adapter):
    """log P(continuation | context) by the whole model on the joined text, and whether it is the greedy continuation."""
    start, ids = len(lm.tokenizer(context)["input_ids"]), torch.tensor(lm.tokenizer(context + continuation)["input_ids"])
    log_probs = plain_log_probs(lm, ids)[int(adapter)][start - 1 : -1]
    return float(log_probs.gather(1, ids[start:, None]).sum()), bool((log_probs.argmax(-1) == ids[start:]).all())


def expected(lm, task, adapter):
    """acc and acc_norm as lm-eval's documentation defines them, by plain log-probabilities."""
    right = {"acc": [], "acc_norm": []}
    for item in ITEMS[task]:
        if task == "arc_challenge":
            context, choices = f"Question: {item['question']}\nAnswer:", item["choices"]["text"]
            gold = item["choices"]["label"].index(item["answerKey"])
        elif task == "piqa":
            context, choices, gold = f"Question: {item['goal']}\nAnswer:", [item["sol1"], item["sol2"]], item["label"]
        else:
            context = f"{item['activity_label']}: {item['ctx'].replace('the person', 'The person')}"
            choices = [ending.replace("[small]", "").replace("  ", " ") for ending in item["endings"]]
            choices = [choice.replace("  ", " ") for choice in choices]
            gold = int(item["label"])
        scores = np.array([plain(lm, context, f" {choice}", adapter)[0] for choice in choices])
        right["acc"].append(scores.argmax() == gold)
        right["acc_norm"].append((scores / [len(choice) for choice in choices]).argmax() == gold)
    return right


@pytest.mark.parametrize("task", ["arc_challenge", "hellaswag", "piqa"])
def test_answers_agree_with_plain_log_probabilities(task, data):
    lm = model()
    (benchmark,) = load(BenchmarkConfig([task], str(data)))
    for adapter in (False, True):
        found = Harness(lm, 2048).ask(benchmark, adapter)
        wanted = expected(lm, task, adapter)
        assert {name: own.tolist() for name, own in found.items()} == wanted


def test_mmlu_asks_each_subject_by_letters(data):
    lm = model()
    (benchmark,) = load(BenchmarkConfig(["mmlu"], str(data)))
    assert list(benchmark.tasks) == [f"mmlu_{subject}" for subject in SUBJECTS]
    wanted = []
    for subject in SUBJECTS:
        for item in (item for item in ITEMS["mmlu"] if item["subject"] == subject):
            head = f"The following are multiple choice questions (with answers) about {subject.replace('_', ' ')}.\n\n"
            choices = "".join(f"{letter}. {choice}\n" for letter, choice in zip("ABCD", item["choices"], strict=True))
            scores = [
                plain(lm, f"{head}{item['question'].strip()}\n{choices}Answer:", f" {letter}", True)[0] for letter in "ABCD"
            ]
            wanted.append(np.argmax(scores) == item["answer"])
    found = Harness(lm, 2048).ask(benchmark, trained=True)
    assert {name: own.tolist() for name, own in found.items()} == {"acc": wanted}


CONTEXTS = ["Question: what is in the kitchen?\nAnswer:", "To serve the dish you should first ", "Next, " * 30, ""]
ENDS = [" a tomato", " a lettuce", " take", " take the bowl, walk to the living room"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_log_likelihoods_agree_with_hflm(architecture, capsys):
    """One context ends in a space, one is too long for the model (40 tokens), one is empty."""
    lm = model(architecture)
    theirs, harness = hflm(lm, batch_size=2, max_length=40), Harness(lm, 64)
    harness.hflm._max_length = 40
    pairs = [(context, end) for context in CONTEXTS for end in ENDS]
    requests = instances("loglikelihood", pairs)
    for adapter in (False, True):
        with nullcontext() if adapter else lm.reference():
            found, wanted = (one.loglikelihood(requests, disable_tqdm=True) for one in (harness.hflm, theirs))
        assert_agree(found, wanted)
    tokens = lm.tokenizer(CONTEXTS[0])["input_ids"]
    greedy = int(lm.model(input_ids=torch.tensor([tokens])).logits[0, -1].argmax())
    ((_, is_greedy),) = harness.hflm._loglikelihood_tokens([(None, tokens, [greedy])], disable_tqdm=True)
    assert is_greedy
    cut = sum(sum(map(len, theirs._encode_pair(*pair))) > 41 for pair in pairs if pair[0])
    assert 4 <= cut < len(pairs)
    assert f"warning: {cut} of {len(pairs)} texts are longer than the model's context" in capsys.readouterr().err


def test_a_task_of_perplexity_is_refused():
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask

    rows = Dataset.from_list([{"text": "Take the bowl."}])
    config = {"task": "prose", "custom_dataset": lambda **_: {"test": rows}, "test_split": "test",
              "output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "{{text}}"}  # fmt: skip
    benchmark = Benchmark.of("prose", {"prose": ConfigurableTask(config=config)}, None)
    with pytest.raises(UserError, match="prose: expected a task with a metric that is 0 or 1 for each item"):
        Harness(model(), 64).ask(benchmark, trained=True)


@pytest.mark.slow
def test_default_model_agrees_with_hflm(data):
    """All four benchmarks and bundled questions with real words: log-likelihoods, greediness and accuracies."""
    lm = load_language_model(ModelConfig(source="smollm2", device="cpu"), Lora())
    disturb(lm, 0.02)
    harness, theirs, compared = Harness(lm, 2048), hflm(lm, batch_size=8), []
    own = harness.hflm._loglikelihood_tokens

    def both(requests, disable_tqdm=False, override_bs=None):
        found = own(requests, disable_tqdm)
        assert_agree(found, theirs._loglikelihood_tokens(requests, disable_tqdm=True))
        compared.append(len(found))
        return found

    harness.hflm._loglikelihood_tokens = both
    for adapter in (False, True):
        for benchmark in load(BenchmarkConfig(data_dir=str(data))):
            harness.hflm, engine = theirs, harness.hflm
            wanted = harness.ask(benchmark, adapter)
            harness.hflm = engine
            found = harness.ask(benchmark, adapter)
            assert {name: own.tolist() for name, own in found.items()} == {name: own.tolist() for name, own in wanted.items()}
    pairs = [(f"Question: {each['question']}\nAnswer:", f" {option}") for each in questions(40) for option in each["options"]]
    harness.hflm.loglikelihood(instances("loglikelihood", pairs), disable_tqdm=True)
    assert len(compared) == 9
