"""What the words of the command line become, and which are refused, before Hydra composes anything."""

import os
import shlex
from itertools import cycle
from pathlib import Path

import hydra
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from twosome.cli.commandline import hydra_words
from twosome.cli.entry import CONFIGS
from twosome.cli.grammar import quoted, quoted_if_needed
from twosome.cli.options import Checker
from twosome.errors import UserError, nearest
from twosome.runs.commands import resume_command


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """Where the commands are given: there are folders with names that mean something to Hydra."""
    folder = tmp_path_factory.mktemp("here")
    for name in NAMES:
        (folder / name).mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


NAMES = (
    "a b",
    "a,b",
    "it's",
    "x[1]",
    "a=b",
    "007",
    "ünï",
    "{c}",
    "1e6",
    "[d]",
    "null",
    "(e)",
    'say "f"',
    "g:h",
    "#i",
    "${j",
    "k\\",
)


PATHS = (("config", "resume"), ("evaluate", "run"), ("config", "hydra.run.dir"))


def refusal(words: str, command: str = "config") -> str:
    with pytest.raises(UserError) as raised:
        hydra_words(shlex.split(words), command)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(("name", "where"), list(zip(NAMES, cycle(PATHS), strict=False)))
def test_a_path_that_exists_needs_no_quotes(name, where):
    command, option = where
    typed = shlex.split(resume_command(Path(name)))[-1] if option == "resume" else f"{option}={name}"
    [word] = hydra_words([typed], command)
    assert OverridesParser.create().parse_override(word).value() == name


@pytest.mark.parametrize("name", ["new [1]", "トマト", "it's new", "new=1", "a#b"])
def test_a_text_that_the_grammar_cannot_read_needs_no_quotes(name):
    [word] = hydra_words([f"hydra.run.dir={name}"], "config")
    assert OverridesParser.create().parse_override(word).value() == name


def test_a_home_folder_is_found_although_no_shell_looks_behind_the_equals_sign(monkeypatch, folder):
    monkeypatch.setenv("HOME", str(folder))
    assert hydra_words(["resume=~/x[1]"], "config") == [f"resume='{folder}/x[1]'"]


def test_each_path_of_a_sweep_and_each_text_of_a_list():
    assert hydra_words(["-m", "run=x[1],a b,ünï"], "evaluate") == ["run='x[1]',a b,'ünï'", "-m"]
    assert hydra_words(["actions=[don't, 切る, chop it]"], "probe") == [
        "actions=[\"don't\",'切る',chop it]".replace('"don\'t"', "'don\\'t'")
    ]


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1))
def test_any_text_can_be_quoted(text):
    assert OverridesParser.create().parse_override(f"x={quoted(text)}").value() == text


@given(st.text("a ,[]{}()'\"=\\:~$トi1", min_size=1))
def test_any_value_is_read_or_refused(text):
    try:
        word = quoted_if_needed(f"x={text}", sweep=False)
    except UserError:
        return
    OverridesParser.create().parse_override(word)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("total_steps=1e6", "total_steps=1000000"),
        ("total_steps=1.0e6", "total_steps=1000000"),
        ("total_steps=1_000_000", "total_steps=1_000_000"),
        ("total_steps=1.5", "total_steps=1.5"),
        ("total_steps=1e-3", "total_steps=1e-3"),
        ("seed=-0.0", "seed=0"),
        ("retention.limit=1e2", "retention.limit=100"),
        ("value_head.hidden_sizes=[1e3,5]", "value_head.hidden_sizes=[1000,5]"),
        ("algorithm.learning_rate=1e0", "algorithm.learning_rate=1e0"),
        ("env.kwargs.max_primitive_steps=1e2", "env.kwargs.max_primitive_steps=100"),
        ("++seed=1e3", "++seed=1000"),
        ("seed = 3", "seed= 3"),
        ("ppo={num_envs: 4}", "ppo={num_envs: 4}"),
        ("~env.kwargs.obs_radius", "~env.kwargs.obs_radius"),
        ("+env.kwargs.speed=3", "+env.kwargs.speed=3"),
        ("+trainer.profiler=simple", "+trainer.profiler=simple"),
        ("model=tiny_random", "model=tiny_random"),
    ],
)
def test_what_is_meant(word, meant):
    assert hydra_words([word], "config") == [meant]


def test_flags_may_stand_anywhere():
    assert hydra_words(["seed=1e0,2", "-m", "norm=word,token"], "config") == ["seed=1,2", "norm=word,token", "-m"]
    assert hydra_words(["--help", "seed=[1"], "config") == ["--help", "seed=[1"]


def test_files_of_another_folder_can_be_chosen(tmp_path):
    (tmp_path / "norm").mkdir()
    (tmp_path / "norm" / "own.yaml").write_text("# Own.\n_target_: twosome.language.norms.word\n_partial_: true\n")
    for words in (["--config-dir", str(tmp_path), "norm=own"], [f"hydra.searchpath=[{tmp_path}]", "norm=own"]):
        assert "norm=own" in hydra_words(words, "config")
    assert "norm=own: expected one of none, token, word" in refusal("norm=own")


REFUSED = {
    # no such option, or not in this way
    "+banana=1": "banana: no such option; --help lists the options",
    "++banana=1": "banana: no such option; --help lists the options",
    "+sed=1": "sed: no such option; did you mean seed?",
    "+env.banana=1": "env.banana: no such option",
    "+ppo.foo=1": "ppo.foo: no such option; --help",
    "'ppo={lr: 1}'": "ppo.lr: no such option; did you mean algorithm.learning_rate?",
    "ppo.lr=0.1": "ppo.lr: no such option; did you mean algorithm.learning_rate?",
    "lr=0.1": "lr: no such option; did you mean algorithm.learning_rate?",
    "ppo.epochs=2": "did you mean algorithm.update_epochs?",
    "task=lettuce_salad": "task: no such option; did you mean env.task?",
    "トマト=1": "トマト: no such option",
    "'a b=1'": "a b: no such option",
    "hydra.foo=1": "hydra.foo: no such option",
    "+hydra.foo=1": "hydra.foo: no such option",
    "trainer.profiler=simple": "trainer.profiler: no such option; --help lists the options; type +trainer.profiler=si",
    "affordance=oracle": "affordance: no such option here; it comes with baseline=saycan",
    "+affordance=oracle": "affordance: no such option here; it comes with baseline=saycan",
    "+seed=3": "+seed=3: seed is an option already; leave the + out: seed=3",
    "~ppo": "~ppo: expected ppo=<value>; this option cannot be removed; leave the word out",
    "~seed": "~seed: expected seed=<value>; this option cannot be removed; leave the word out",
    "~nope": "nope: no such option",
    "ppo=3": "ppo=3: expected options, as in ppo.<option>=...",
    "ppo=null": "ppo=null: expected options, as in ppo.<option>=...",
    "tuning=3": "tuning=3: expected the name of a choice, one of full, head, lora",
    "'value_head.hidden_sizes={a: 1}'": "expected a list, as in [one,two]",
    # choices
    "experiment=laptop/params": "experiment=laptop/params: expected one of ablation_actions, ablation_algorithm",
    "model=../preset/wide": "model=../preset/wide: expected one of flan_t5_large",
    "norm=[word,token]": "norm=[word,token]: expected the name of a choice, one of none, token, word",
    "env=null": "env=null: expected the name of a choice, one of babyai_text, overcooked, virtualhome",
    "+norm=word": "+norm=word: expected norm=<choice>, with no + or ~ before it and no @",
    "norm@x=word": "norm@x=word: expected norm=<choice>, with no + or ~ before it and no @",
    "~norm": "~norm: expected norm=<choice>, with no + or ~ before it and no @",
    # what cannot be read
    "''": "'': expected <option>=<value>, as in norm=word",
    "=3": "=3: expected <option>=<value>, as in norm=word",
    "+": "+: expected <option>=<value>, as in norm=word",
    "seed": "seed: expected <option>=<value>",
    "seed=[1": "seed=[1: expected a value that can be read (",
    "\"env.task='x\"": "env.task='x: expected a value that can be read (",
    "'hydra.run.dir={x}'": "for this very text, type 'hydra.run.dir=\"{x}\"'",
    "'seed=rang(0,3)'": "Unknown function 'rang'",
    # flags
    "--seed=3": "--seed=3: expected options as <option>=<value>, as in seed=3",
    "-1": "-1: expected <option>=<value>",
    "--cfg foo": "argument --cfg/-c: invalid choice: 'foo'",
    "--run -m": "--run -m: expected one of these",
    "--resolve": "--resolve: expected --cfg beside it",
    "--config-name probe": "--config-name: expected none",
    "--config-path src": "--config-path: expected none",
    "--config-dir nope": "nope: no such folder; expected one with files as in conf/",
    "--experimental-rerun x": "--experimental-rerun: expected none",
    "--cfg job --package pp": "pp: no such option; did you mean ppo?",
    "-sc": "--shell-completion: expected one of install, uninstall and query",
    # sweeps
    "seed=0,1": "seed=0,1: expected one value; several are a sweep, with -m",
    "hydra.run.dir=c,d": "for this very text, type 'hydra.run.dir=\"c,d\"'",
    "-m 'seed=range(5,5)'": "seed=range(5,5): expected at least one value; there is none",
    "-m seed=1,": "seed=1,: expected a value that can be read (",
    "-m 'seed=choice()'": "empty choice is not legal",
    "-m 'norm=glob(x*)'": "norm=glob(x*): expected at least one value",
    "-m 'seed=range(0,3,0)'": "seed=range(0,3,0): expected values to go through",
    "-m 'seed=interval(0,1)'": "seed=interval(0,1): expected values to go through",
    "-m 'seed=range(0,1000000000)'": "seed=range(0,1000000000): expected at most 10000 values",
    "-m norm=word,wrod": "norm=wrod: expected one of none, token, word; did you mean norm=word?",
    "-m hydra.run.dir=x seed=0,1": "hydra.run.dir=x: expected hydra.sweep.dir=<folder>, since this is a sweep",
    "hydra.sweep.dir=x": "hydra.sweep.dir=x: expected hydra.run.dir=<folder>, since this is no sweep",
    "experiment=overcooked_curves hydra.sweep.dir=x": "hydra.sweep.dir=x: expected hydra.sweeper.runs=<folder>",
    "-m hydra.sweep.dir=c,d": "hydra.sweep.dir=c,d: expected one value",
}  # fmt: skip


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_refused(words):
    assert REFUSED[words] in refusal(words)


@pytest.mark.parametrize("command", ["evaluate", "probe"])
def test_other_commands_refuse_as_well(command):
    assert refusal("+banana=1", command).startswith("banana: no such option")
    assert refusal("algorithm.num_envs=8", command).startswith("algorithm.num_envs: no such option")


def test_a_choice_that_a_command_lacks():
    assert "norm: no such option" in refusal("norm=word", "evaluate")
    assert "env=virtualhome: expected options, as in env.<option>=..." in refusal("env=virtualhome", "evaluate")


def test_a_job_of_a_sweep_is_checked_by_its_own_choices():
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        checker = Checker("config")
        assert checker.normalized(["baseline=ppo", "baseline.hidden_sizes=[8e0]"]) == [
            "baseline=ppo",
            "baseline.hidden_sizes=[8]",
        ]
        with pytest.raises(UserError, match=r"baseline\.hidden_sizes: .* did you mean value_head\.hidden_sizes\?"):
            checker.normalized(["baseline.hidden_sizes=[8]"])


def test_the_nearest_name():
    names = ["seed", "ppo", "ppo.seed", "algorithm.learning_rate", "algorithm.anneal_lr", "env", "env.task", "tuning.rank"]
    meant = {"ppo.lr": "algorithm.learning_rate", "ppo.sed": "ppo.seed", "rank": "tuning.rank", "env.seed": "seed", "envv": "env",
             "PPO.Seed": "ppo.seed", "seed.": "seed"}  # fmt: skip
    assert {key: nearest(key, names) for key in meant} == meant
    assert nearest("ppo.banana", names) is None


def test_nothing_is_made(folder):
    assert sorted(os.listdir(folder)) == sorted(NAMES)
