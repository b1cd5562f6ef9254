"""A run's folder from a stranger: nothing in it is imported or called, and no file outside of it is written."""

import json
import os
import random
import sys

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from watching import watched

from twosome.config import CONFIGS
from twosome.errors import UserError
from twosome.plain import MAX_DEPTH, parse_yaml
from twosome.runs.evaluate import EvaluateConfig, configuration
from twosome.runs.resume import resumed_config, same_config
from twosome.runs.trust import check_foreign, check_places
from twosome.storage.folder import RunFolder


def test_the_watch_sees(tmp_path):
    with watched() as found:
        (tmp_path / "file").write_text("")
        os.system("true")
        sys.modules.pop("this", None)
        compile("0", "x", "eval")
        eval("0")
    assert {"open", "os.system", "exec"} <= {event for event, _ in found}


# hostile configurations


@pytest.fixture(scope="module")
def good():
    """What src/run.py writes as config.yaml, with every place of a target."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("config", ["model=tiny_random", "baseline=saycan", "logger=wandb", "evaluation.episodes=2"])
    return OmegaConf.to_yaml(config, resolve=True)


@pytest.fixture
def folder(good, tmp_path):
    """A finished run's folder, as far as its configuration goes."""
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    (folder.path / "config.yaml").write_text(good)
    folder.write_json("choices.json", {})
    folder.finish()
    return folder


def asked():
    """What the command line composes without a word."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("config")


def evaluate(folder, trust=False):
    """The options of src/evaluate.py."""
    return EvaluateConfig(str(folder.path), "episodes", 2, None, False, "cpu", trust, {})


def read(folder, composed):
    """Read a run folder's configuration to evaluate it, and to resume it; both have to refuse it. Gives what they say."""
    said = []
    for way in (lambda: configuration(folder, evaluate(folder)), lambda: resumed_config(composed, folder, [])):
        with pytest.raises(UserError) as error:
            way()
        said.append(str(error.value))
        assert "\n" not in said[-1]
    return said


def places(tree, keys=()):
    """The keys of every map and list of a configuration."""
    yield keys
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if isinstance(value, dict | list):
            yield from places(value, (*keys, key))


def planted(tree, keys, key, value):
    """A copy of the tree with an entry more: in a map by its key, in a list at its end."""
    tree = json.loads(json.dumps(tree))
    node = tree
    for each in keys:
        node = node[each]
    if isinstance(node, dict):
        node[key] = value
    else:
        node.append({key: value})
    return tree


def functions():
    """Import paths of all that can be called in the suite's loaded modules, and through them in others'."""
    for module in [name for name in sys.modules if name.startswith("twosome.")]:
        for name, value in vars(sys.modules[module]).items():
            if callable(value):
                yield f"{module}.{name}"
            elif isinstance(value, type(sys)):
                yield from (f"{module}.{name}.{inner}" for inner in list(vars(value))[:5])


NASTY = (
    *("os.system", "subprocess.Popen", "builtins.eval", "builtins.exec", "pickle.loads", "torch.hub.load", "runpy.run_path"),
    *(
        "antigravity.fly",
        "no.such.module",
        "",
        "twosome",
        "twosome.",
        ".",
        "twosome.cli.entry.os.system",
        "pytorch_lightning.loggers",
    ),
    "pytorch_lightning.loggers.TensorBoardLogger.log_hyperparams",
    "twosome.language.cpu.attention.torch.utils.tensorboard.writer.torch.hub.load",
    "twosome.storage.folder.RunFolder.write_json",
    "twosome.files.write_atomic",
    "hydra._internal.instantiate._instantiate2.instantiate",
    "twosome.language.norms.word.__globals__",
)
KEYS = ("_target_", "_partial_", "_args_", "_recursive_", "_convert_", "_call_", "__class__")
RESOLVERS = ("oc.env:HOME", "oc.env:PATH,x", "oc.decode:'[1]'", "oc.create:${env}", "oc.select:env.task", "oc.dict.keys:env",
             "run_dir:a,b", "now:%Y", "hydra:runtime.cwd", "python_version:", "env.task", "nowhere",
             "oc.deprecated:env.task")  # fmt: skip
TAGS = ("!!python/object/apply:os.system [touch pwned]", "!!python/object/apply:pathlib.PosixPath [/etc/passwd]",
        "!!python/name:os.system", "!!python/module:antigravity", "!!python/object/new:os.system [ls]", "!!binary aGVsbG8=",
        "!!set {a}", "!!timestamp 2001-01-01", "!custom x", "!!str x", "!!float 1", "&anchor x", "! x")  # fmt: skip


def hostile(good, number):
    """Configurations that each hold one thing that is not to be, as texts."""
    draw, tree = random.Random(number), yaml.safe_load(good)
    ours = "".join(file.read_text() for file in CONFIGS.glob("*/*.yaml"))  # at its place each of these is allowed
    targets = sorted({name for name in (*functions(), *NASTY) if f"_target_: {name}\n" not in ours})
    everywhere = sorted(places(tree), key=str)
    for target in [*NASTY, *draw.sample(targets, 60)]:
        yield yaml.safe_dump(planted(tree, draw.choice(everywhere), "_target_", target))
        place = draw.choice([("norm",), ("baseline",), ("affordance",), ("baseline", "affordance"), ("logger", "tensorboard")])
        nested = {"_target_": target, "path": {"_target_": draw.choice(targets), "_args_": ["pwned"]}}
        yield yaml.safe_dump(planted(tree, place, draw.choice(["row_tokens", "x", "_args_", "save_dir"]), nested))
        yield yaml.safe_dump(planted(tree, draw.choice(everywhere), "x", [{"y": nested}]))
    for key in KEYS:
        for value in ("os.system", ["pwned"], {"a": 1}, None, 1):
            yield yaml.safe_dump(planted(tree, draw.choice(everywhere), key, value))
    for resolver in RESOLVERS:
        yield yaml.safe_dump(planted(tree, draw.choice(everywhere), "x", f"a ${{{resolver}}} b"))
        yield yaml.safe_dump(planted(tree, draw.choice(everywhere), f"${{{resolver}}}", 1))
    for tag in TAGS:
        yield good + f"\nx: {tag}\n"
        yield good.replace("episodes: 2", f"episodes: {tag}", 1)
    for option, value in (
        (("env",), {"id": "antigravity:Fly-v0"}),
        (("env",), {"id": "CartPole-v1"}),
        (("env",), {"id": "GymV26Environment-v0"}),
        (("env",), {"prompt": "os:system"}),
        (("env",), {"prompt": "twosome.files:write_atomic"}),
        (("env", "kwargs"), {"prompter": "twosome.envs.wording:find_prompter"}),
        (("model",), {"trust_remote_code": True}),
        (("trainer",), {"strategy": "deepspeed"}),
        (("trainer",), {"profiler": "simple"}),
        (("trainer",), {"plugins": ["x"]}),
        (("trainer",), {"default_root_dir": "/tmp/elsewhere"}),
        (("logger", "tensorboard"), {"name": "../../elsewhere"}),
        (("logger", "tensorboard"), {"version": "/tmp/elsewhere"}),
        (("logger", "tensorboard"), {"log_graph": True}),
        (("logger", "wandb"), {"offline": False}),
        (("logger", "wandb"), {"project": "theirs"}),
        (("logger",), {"csv": {"_target_": "pytorch_lightning.loggers.CSVLogger"}}),
    ):
        for key, each in value.items():
            yield yaml.safe_dump(planted(tree, option, key, each))
    yield "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*{'a' if n == 0 else f'b{n - 1}'}, *a]\n" for n in range(40))
    yield good + "x: " + "[" * (MAX_DEPTH + 5) + "]" * (MAX_DEPTH + 5)
    yield good + "x: " + "[" * 20_000
    yield good + "x: " + "a" * 300_000
    yield good + "<<: {a: 1}\n? [a]\n: 1\n"


@pytest.mark.parametrize("number", [0, *(pytest.param(more, marks=pytest.mark.slow) for more in range(1, 20))])
def test_hostile_configurations_are_refused_before_anything_happens(folder, good, number):
    composed = asked()
    configuration(folder, evaluate(folder, trust=True))  # whatever is imported when a good one is read
    count = 0
    for text in hostile(good, number):
        (folder.path / "config.yaml").write_text(text)
        with watched() as found:
            said = read(folder, composed)
        assert not [each for each in found if each[0] != "exec"], text
        assert all("config.yaml" in line or "expected" in line for line in said)
        count += 1
    assert count > 250
    assert {path.name for path in folder.path.iterdir()} == {"config.yaml", "choices.json", "DONE"}


def test_what_the_suite_wrote_is_read_as_it_was(folder, good):
    assert folder.config == OmegaConf.create(good)
    for choice in ("env=virtualhome", "baseline=ppo", "model=llama_7b", "preset=paper", "trainer=fsdp", "norm=none"):
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            config = compose("config", [choice])
        OmegaConf.resolve(config)
        written = OmegaConf.create(parse_yaml(OmegaConf.to_yaml(config)))
        assert written == config
        check_foreign(written, False)


def test_what_the_user_names_is_allowed(folder, good):
    text = good.replace("twosome.language.norms.word", "mine.norm").replace("prompt: default", "prompt: mine:words")
    (folder.path / "config.yaml").write_text(text)
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        composed = compose("config", ["norm._target_=mine.norm", "env.prompt='mine:words'", "logger=wandb", "baseline=saycan"])
    assert resumed_config(composed, folder, ["norm._target_=mine.norm"]).norm._target_ == "mine.norm"
    assert configuration(folder, evaluate(folder, trust=True)).env.prompt == "mine:words"
    trusting = asked()
    trusting.trust = True
    assert resumed_config(trusting, folder, ["trust=true"]).norm._target_ == "mine.norm"
    for said in read(folder, asked()):
        assert "this is in the run folder's config.yaml" in said
        assert said.endswith("add trust=true")


def test_a_folder_with_the_same_settings_cannot_bring_a_logger(folder, good):
    """Such as that which hydra.run.dir names: its loggers do not make it another run."""
    mine = folder.config
    (folder.path / "config.yaml").write_text(good.replace("version: tensorboard", "version: /tmp/elsewhere"))
    with pytest.raises(UserError, match=r"logger\.tensorboard\.version=/tmp/elsewhere: this is in the run folder's"):
        same_config(mine, folder)


@pytest.mark.parametrize("place", ["model.cache_mb", "env.kwargs", "ppo", "baseline.affordance.more", "tuning.target_modules"])
def test_a_target_elsewhere_is_refused_whoever_names_it(good, place):
    config = OmegaConf.create(good)
    OmegaConf.update(config, f"{place}._target_", "twosome.language.norms.word", force_add=True)
    with pytest.raises(UserError, match=rf"^{place}\._target_=.*: expected no such key there; only norm, baseline"):
        check_places(config)


# the two holes that were found


def test_a_first_target_cannot_import_what_a_second_one_reaches(folder, good):
    """Hole 1: a logger's method imported torch.utils.tensorboard, through which torch.hub.load ran the folder's hubconf.py."""
    (folder.path / "hubconf.py").write_text("import pathlib\npathlib.Path('pwned').touch()\n")
    tree = yaml.safe_load(good)
    tree["baseline"] = {
        "_target_": "twosome.policies.language.build",
        "critic": {"_target_": "pytorch_lightning.loggers.TensorBoardLogger.log_hyperparams", "self": 1, "params": {}},
        "engine": {
            "_target_": "twosome.language.cpu.attention.torch.utils.tensorboard.writer.torch.hub.load",
            **{"repo_or_dir": str(folder.path), "model": "x", "source": "local"},
        },
    }
    (folder.path / "config.yaml").write_text(yaml.safe_dump(tree))
    with watched() as found:
        said = read(folder, asked())
    assert not [each for each in found if each[0] != "exec"]
    assert all("_target_=" in line and "expected no such key there" in line for line in said)


def test_a_target_cannot_write_a_file(folder, good, tmp_path):
    """Hole 2: RunFolder.write_json with a RunFolder whose path was a YAML tag wrote any file."""
    text = good.replace(
        "batch_tokens: null",
        "batch_tokens: {_target_: twosome.storage.folder.RunFolder.write_json, name: pwned, content: 1, self: {_target_: "
        f"twosome.storage.folder.RunFolder, path: !!python/object/apply:pathlib.PosixPath [{tmp_path}]}}}}",
    )
    assert text != good
    (folder.path / "config.yaml").write_text(text)
    assert all("has the tag tag:yaml.org,2002:python/object/apply:pathlib.PosixPath, expected none" in line
               for line in read(folder, asked()))  # fmt: skip
    assert not (tmp_path / "pwned").exists()
