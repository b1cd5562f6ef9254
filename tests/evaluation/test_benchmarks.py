"""suite=retention: files, limits, cache, errors. What the answers are: test_harness.py."""

import json

import numpy as np
import pytest
from benchmark_tools import write_benchmarks
from checkout import checkout, run
from hypothesis import given
from hypothesis import strategies as st

from twosome.errors import UserError
from twosome.evaluation.retention import local, results
from twosome.evaluation.retention.benchmarks import BenchmarkConfig, choose, load
from twosome.evaluation.retention.paired import compare


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_benchmarks(tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TWOSOME_CACHE", str(tmp_path / "cache"))


@given(st.dictionaries(st.text("abc", min_size=1), st.integers(0, 9), min_size=1), st.none() | st.integers(1, 60))
def test_limit_is_spread_over_tasks_and_within_them(sizes, limit):
    chosen = choose(sizes, limit)
    total = sum(sizes.values())
    assert sum(map(len, chosen.values())) == (total if limit is None else min(limit, total))
    for name, own in chosen.items():
        assert own == sorted(set(own))
        assert set(own) <= set(range(sizes[name]))
    fewest = min((len(chosen.get(name, ())) for name in sizes if len(chosen.get(name, ())) < sizes[name]), default=9)
    assert all(len(own) <= fewest + 1 for own in chosen.values())  # nobody has two more than one who could have more


def test_limit_takes_items_at_even_distances():
    assert choose({"only": 9}, 3) == {"only": [0, 3, 6]}
    assert choose({"a": 4, "b": 4, "c": 1}, 5) == {"a": [0, 2], "b": [0, 2], "c": [0]}
    assert choose({"a": 4, "b": 4}, 1) == {"a": [0]}


def test_checksum_follows_the_items_that_are_asked(data, tmp_path):
    def checksum(folder, limit=None):
        return load(BenchmarkConfig(["piqa"], str(folder), limit))[0].checksum

    other = write_benchmarks(tmp_path, {"goal": "Carry a bowl and a half."}, "piqa", 2)
    assert checksum(data) == checksum(write_benchmarks(tmp_path / "again"))
    assert checksum(data) != checksum(other)
    assert checksum(data, 2) == checksum(other, 2)  # items 1 and 3
    assert checksum(data, 2) != checksum(data)


BAD = [
    ("arc_challenge", {"question": None}, 2, "field question: expected a text, there is none"),
    ("arc_challenge", {"answerKey": "E"}, 1, 'field answerKey: expected one of the labels A, B, C, D, found "E"'),
    ("arc_challenge", {"choices": ["a", "b"]}, 1, "field choices: expected an object with text and label"),
    ("hellaswag", {"endings": ["one", "two"]}, 5, "field endings: expected a list of 4 texts"),
    ("hellaswag", {"label": "4"}, 1, 'field label: expected an integer from 0 to 3, found "4"'),
    ("hellaswag", {"ctx": None}, 3, "field ctx: expected a text, there is none"),
    ("piqa", {"label": True}, 4, "field label: expected an integer from 0 to 1, found true"),
    ("piqa", {"sol2": " "}, 1, 'field sol2: expected a text, found " "'),
    ("mmlu", {"answer": "B"}, 12, 'field answer: expected an integer from 0 to 3, found "B"'),
    ("mmlu", {"subject": "virolgy"}, 7, "field subject=virolgy: expected one of"),
]


@pytest.mark.parametrize(("task", "changes", "line", "message"), BAD)
def test_bad_field_is_named_with_file_and_line(task, changes, line, message, tmp_path):
    write_benchmarks(tmp_path, changes, task, line)
    with pytest.raises(UserError) as error:
        load(BenchmarkConfig([task], str(tmp_path)))
    assert str(error.value).startswith(f"{tmp_path / task}.jsonl, line {line}: {message}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "[1]\n"])
def test_a_line_that_is_no_object(text, tmp_path):
    (tmp_path / "piqa.jsonl").write_text(text)
    with pytest.raises(UserError, match="line 1: expected a JSON object"):
        local.read(tmp_path / "piqa.jsonl", "piqa")


@pytest.mark.parametrize(
    ("context", "first", "second"),
    [
        ("He sits. He eats. the man", "He sits. He eats.", "the man"),
        ("Is it? then she", "Is it?", "then she"),
        ("[header] How to cook [step] Take a pan. Heat it.", "[header] How to cook [step] Take a pan. Heat it.", ""),
        ("A man in a room", "A man in a room", ""),
    ],
)
def test_context_of_hellaswag_is_taken_apart(context, first, second):
    item = {"activity_label": "x", "endings": list("abcd"), "label": "0"}
    parts = local.hellaswag(item | {"ctx": context})
    assert (parts["ctx_a"], parts["ctx_b"]) == (first, second)
    assert local.hellaswag(item | {"ctx_a": first, "ctx_b": second}) == parts


def test_answers_are_asked_once_and_kept_whole(tmp_path):
    asked = []

    def ask():
        asked.append(1)
        return {"acc": np.array([True, False]), "acc_norm": np.array([False, False])}

    for key in ({"task": "a"}, {"task": "a"}, {"task": "a", "limit": 1}):
        found = results.answers(key, ask)
        assert {name: own.tolist() for name, own in found.items()} == {"acc": [True, False], "acc_norm": [False, False]}
    assert len(asked) == 2
    assert len(list((tmp_path / "cache" / "retention").iterdir())) == 2


OPTIONS = ["model=tiny_random", "algorithm.num_envs=2", "algorithm.num_steps=8", "total_steps=16", "algorithm.learning_rate=0.1",
           "evaluation.episodes=0", "evaluation.gif=false", "retention.drift=false"]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = checkout(tmp_path_factory.mktemp("trained"))
    (outcome,) = run(folder, [["src/run.py", *OPTIONS, "hydra.run.dir=run"]])
    assert outcome.code == 0, outcome.output
    return folder


def test_suite_compares_and_keeps_each_task(trained, data, tmp_path):
    suite = ["src/evaluate.py", "run=run", "suite=retention", f"retention.data_dir={data}", "retention.limit=4"]
    bad = write_benchmarks(tmp_path / "bad", {"goal": 1}, "piqa")
    fewer = [*suite, "retention.tasks=[piqa]", "retention.limit=3"]
    commands = [[*suite, "retention.tasks=[piqa]"], suite, fewer, fewer, [*suite, f"retention.data_dir={bad}"]]
    first, again, other, repeated, broken = run(trained, commands)
    assert [each.code for each in (first, again, other, repeated, broken)] == [0, 0, 0, 0, 2], first.output + again.output
    assert "no loss detected larger than" in again.output
    assert "retention.json had the same before; nothing was added" in repeated.output
    assert len(list((tmp_path / "cache" / "retention").iterdir())) == 10  # adapter off and on: four tasks, and piqa once more
    later = json.loads((trained / "run" / "retention.json").read_text())["later"]
    assert all(part["evaluated"]["suite"] == "retention" for part in later)
    kept = [(name, entry) for part in later for name, entry in part["benchmarks"].items()]
    assert [name for name, _ in kept] == ["piqa", "arc_challenge", "hellaswag", "mmlu", "piqa"]
    for number, (_, entry) in enumerate(kept):
        assert (entry["items"], entry["source"]) == (4 if number < 4 else 3, "local files")
        for paired in entry["metrics"].values():
            before, after = (np.array([letter in letters for letter in paired["outcomes"]]) for letters in ("lr", "gr"))
            own = {name: value for name, value in paired.items() if name != "outcomes"}
            assert own == json.loads(json.dumps(vars(compare(before, after))))


def test_a_run_that_trained_all_weights_is_compared_with_its_base_model(trained, data, tmp_path):
    """The base model's answers are those that a run with an adapter left in the cache."""
    suite = ["suite=retention", f"retention.data_dir={data}", "retention.tasks=[piqa]"]
    train = ["src/run.py", *OPTIONS, "tuning=full", "policy_head=actions", "algorithm.learning_rate=0.01", "hydra.run.dir=full"]
    heads = ["src/run.py", *OPTIONS, "tuning=head", "policy_head=actions", "hydra.run.dir=heads"]
    runs = [train, heads, *(["src/evaluate.py", f"run={name}", *suite] for name in ("run", "full", "heads"))]
    *done, refused = run(trained, runs)
    assert [each.code for each in (*done, refused)] == [0, 0, 0, 0, 2], done[-1].output + refused.output
    assert refused.output == "error: suite=retention: expected a run that trained a language model; heads trained none\n"
    assert len(list((tmp_path / "cache" / "retention").iterdir())) == 3
    adapter, full = (json.loads((trained / name / "retention.json").read_text())["later"][-1] for name in ("run", "full"))
    before = [each["benchmarks"]["piqa"]["metrics"]["acc"]["before"] for each in (adapter, full)]
    assert before[0] == before[1]


REFUSED = {
    "retention.tasks=[piqaa]": "retention.tasks=piqaa: lm-eval 0.4.13 has no such task; did you mean retention.tasks=piqa?",
    "retention.tasks=[piqa,piqa]": "expected the names of one or more tasks, each once",
    "retention.limit=0": "retention.limit=0: expected an integer above 0",
    "retention.batch_tokens=many": "retention.batch_tokens=many: expected an integer",
    "retention.data_dir=/nowhere": "retention.data_dir=/nowhere: no such folder; docs/retention.md describes what is in it",
    "retention.data_dir=src": "expected arc_challenge.jsonl in it (No such file or directory)",
    "retention.data_dir=src retention.tasks=[gsm8k]": "retention.tasks=gsm8k: expected one of arc_challenge, hellaswag",
    "retention.task=[piqa]": "retention.task: no such option; did you mean retention.tasks?",
    "retention.tasks=[piqa]": "retention.tasks=piqa: cannot get its data (",
}


@pytest.fixture(scope="module")
def answers(trained):
    """How each of the wrong command lines ended, with a hub that nobody answers for."""
    variables = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(trained / "nothing_cached")}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        commands = [["src/evaluate.py", "run=run", "suite=retention", *words.split()] for words in REFUSED]
        return dict(zip(REFUSED, run(trained, commands), strict=True))


@pytest.mark.parametrize("words", REFUSED)
def test_bad_input_is_one_line(answers, words):
    outcome = answers[words]
    assert (outcome.code, len(outcome.output.splitlines())) == (2, 1), outcome.output
    assert outcome.output.startswith("error: ")
    assert REFUSED[words] in outcome.output
