"""suite=retention: files, limits, and the entries of retention.json. What the answers are: test_harness.py."""

import json

import numpy as np
import pytest
from benchmark_tools import write_benchmarks
from hypothesis import given
from hypothesis import strategies as st

import twosome
from twosome.errors import UserError
from twosome.evaluation.retention.benchmarks import BenchmarkConfig, choose, load, read_items
from twosome.evaluation.retention.paired import compare

OPTIONS = ["model=tiny_random", "algorithm.num_envs=2", "algorithm.num_steps=8", "total_steps=16", "algorithm.learning_rate=0.1",
           "evaluation.episodes=0", "evaluation.gif=false", "retention.drift=false"]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_benchmarks(tmp_path_factory.mktemp("data"))


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


def test_checksum_follows_the_items_that_are_asked(data, tmp_path):
    def checksum(folder, limit=None):
        return load(BenchmarkConfig(["piqa"], str(folder), limit))[0].checksum

    other = write_benchmarks(tmp_path, {"goal": "Carry a bowl and a half."}, "piqa", 2)
    assert checksum(data) == checksum(write_benchmarks(tmp_path / "again"))
    assert checksum(data) != checksum(other)
    assert checksum(data, 2) == checksum(other, 2)  # items 1 and 3
    assert checksum(data, 2) != checksum(data)


@pytest.mark.parametrize(
    ("context", "first", "second"),
    [
        ("He sits. He eats. the man", "He sits. He eats.", "the man"),
        ("[header] How to cook [step] Take a pan. Heat it.", "[header] How to cook [step] Take a pan. Heat it.", ""),
        ("A man in a room", "A man in a room", ""),
    ],
)
def test_context_of_hellaswag_is_taken_apart(context, first, second, tmp_path):
    item = {"activity_label": "x", "endings": list("abcd"), "label": 0}
    whole, parts = item | {"ctx": context}, item | {"ctx_a": first, "ctx_b": second}
    (tmp_path / "hellaswag.jsonl").write_text(f"{json.dumps(whole)}\n{json.dumps(parts)}\n")
    assert read_items(tmp_path / "hellaswag.jsonl", "hellaswag") == [parts | {"label": "0"}] * 2


def test_suite_compares_and_writes_each_task(data, tmp_path, capsys):
    run = twosome.run(*OPTIONS, folder=tmp_path / "run").folder
    suite = ["suite=retention", f"retention.data_dir={data}", "retention.limit=4"]
    for words in (["retention.tasks=[piqa]"], [], *[["retention.tasks=[piqa]", "retention.limit=3"]] * 2):
        twosome.evaluate(run, *suite, *words)
    output = capsys.readouterr().out
    assert "no loss detected larger than" in output
    assert "retention.json: had the same before; nothing was added" in output
    later = json.loads((run / "retention.json").read_text())["later"]
    assert all(part["evaluated"]["suite"] == "retention" for part in later)
    kept = [(name, entry) for part in later for name, entry in part["benchmarks"].items()]
    assert [name for name, _ in kept] == ["piqa", "arc_challenge", "hellaswag", "mmlu", "piqa"]
    for number, (_, entry) in enumerate(kept):
        assert (entry["items"], entry["source"]) == (4 if number < 4 else 3, "local files")
        for paired in entry["metrics"].values():
            before, after = (np.array([letter in letters for letter in paired["outcomes"]]) for letters in ("lr", "gr"))
            own = {name: value for name, value in paired.items() if name != "outcomes"}
            assert own == json.loads(json.dumps(compare(before, after)))


def test_all_weights_are_compared_with_the_base_model_and_heads_are_refused(data, tmp_path):
    suite, found = ["suite=retention", f"retention.data_dir={data}", "retention.tasks=[piqa]"], []
    ways = {"lora": [], "full": ["policy_head=actions", "algorithm.learning_rate=0.01"], "head": ["policy_head=actions"]}
    runs = {way: twosome.run(*OPTIONS, f"tuning={way}", *words, folder=tmp_path / way).folder for way, words in ways.items()}
    for way in ("lora", "full"):
        twosome.evaluate(runs[way], *suite)
        found.append(json.loads((runs[way] / "retention.json").read_text())["later"][-1]["benchmarks"]["piqa"]["metrics"]["acc"])
    assert found[0]["before"] == found[1]["before"]
    with pytest.raises(UserError, match="suite=retention: expected a run that trained a language model"):
        twosome.evaluate(runs["head"], *suite)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        pytest.param(
            BenchmarkConfig(["arc_easy_"]), "retention.tasks=arc_easy_: lm-eval has no such task", marks=pytest.mark.slow
        ),
        (BenchmarkConfig(["piqa"], "/nowhere"), "retention.data_dir=/nowhere: expected piqa.jsonl in it"),
    ],
)
def test_what_is_not_there_is_refused(config, said):
    with pytest.raises(UserError, match=said):
        load(config)
