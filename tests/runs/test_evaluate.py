"""src/evaluate.py on a short run of a random model: the trained agent comes back, and bad input is one line."""

import json
import shutil

import pytest
from evaluation_tools import composed, refused, script
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file
from twosome.runs import evaluate

from twosome.errors import UserError
from twosome.evaluation import suites
from twosome.experiment.evaluate import EvaluateConfig, changed, configuration, finished_run, leaves
from twosome.language.loading import ModelConfig, load_language_model
from twosome.language.tuning import Lora
from twosome.storage.folder import RunFolder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run's folder; its policy after training differs from that before."""
    path = tmp_path_factory.mktemp("runs") / "run"
    options = ("algorithm.num_envs=8", "total_steps=512", "algorithm.learning_rate=0.01", "evaluation.episodes=6",
               "retention.limit=3",
               "env.kwargs.max_primitive_steps=60")  # fmt: skip
    code, output, errors = script("run", "model=tiny_random", "norm=word", *options, f"hydra.run.dir={path}")
    assert code == 0, errors
    assert max(map(len, output.splitlines()[:-8])) <= 80
    for name in ("learning_curve.png", "episode.gif"):
        assert (path / name).stat().st_size > 1000
        assert name in output
    assert "0.9205" in output
    return path


@pytest.fixture
def run(trained, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(trained, tmp_path / "run")


def records(path):
    return json.loads((path / "evaluation.json").read_text())


def options(path, **env):
    return EvaluateConfig(str(path), "episodes", 3, None, False, "cpu", False, env)


def test_the_trained_agent_comes_back(run):
    before = records(run)
    code, output, errors = script("evaluate", f"run={run}", "episodes=6")
    assert code == 0, errors
    assert records(run) == before  # the same episodes again, to the last bit
    sampled = {record["when"]: record["return_mean"] for record in before if record["mode"] == "sampled"}
    assert sampled["before"] != sampled["after"]
    assert "optimum" in output
    assert max(map(len, output.splitlines()[:-2])) <= 80


def test_the_drift_of_a_finished_run_is_what_the_run_found(run):
    found = json.loads((run / "retention.json").read_text())["drift"]
    (run / "retention.json").unlink()
    code, output, errors = script("evaluate", f"run={run}", "suite=drift")
    assert code == 0, errors
    (later,) = json.loads((run / "retention.json").read_text())["later"]
    assert later["drift"] == found
    assert 0 < found["kl"] < 1
    assert "no loss detected larger than" in output


def test_another_task_gets_its_own_records_and_film(run):
    before = records(run)
    words = ("env.task=lettuce_salad", "env.prompt=no_context", "env.kwargs.max_primitive_steps=20", "gif=true")
    code, _, errors = script("evaluate", f"run={run}", "episodes=2", "seed=5", *words)
    assert code == 0, errors
    new = records(run)[len(before) :]
    assert records(run)[: len(before)] == before
    assert [(each["mode"], each["task"], each["prompt"], each["seed"], each["episodes"]) for each in new] == [
        (mode, "lettuce_salad", "no_context", 5, 2) for mode in ("sampled", "greedy")
    ]
    assert new[0]["options"] == {"kwargs.max_primitive_steps": 20}
    assert (run / "episode_lettuce_salad.gif").read_bytes()[:3] == b"GIF"


def test_a_sweep_over_runs_and_tasks_leaves_nothing_else(trained, tmp_path):
    paths = [shutil.copytree(trained, tmp_path / name) for name in ("one", "other [2]")]
    words = ("run=" + ",".join(map(str, paths)), "env.task=lettuce_salad,onion_salad", "episodes=1")
    code, _, errors = script("evaluate", "-m", *words, folder=tmp_path)
    assert code == 0, errors
    for path in paths:
        tasks = [record["task"] for record in records(path)[len(records(trained)) :]]
        assert tasks == ["lettuce_salad", "lettuce_salad", "onion_salad", "onion_salad"]  # sampled and greedy
    assert sorted(path for path in tmp_path.iterdir() if not path.name.startswith(".")) == paths


def test_the_suites_that_can_be_asked_for_are_those_that_there_are():
    assert list(evaluate.SUITES) == list(suites.SUITES)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "run=None: expected the folder"),
        (["run=/no/where"], "run=/no/where: no such folder"),
        (["run={run}", "++env.task=soup"], "task=soup: expected one of"),
        (["run={run}", "++env.kwargs=3"], "env.kwargs=3: no such option"),
        (["run={run}", "episodes=many"], "episodes=many: expected an integer"),
        (["run={run}", "device=gpu"], "device=gpu: expected one of"),
    ],
)
def test_bad_words_are_refused_before_a_model_is_loaded(trained, words, said, monkeypatch):
    monkeypatch.setattr(evaluate.parts, "agent", None)
    config = composed("evaluate", *(word.format(run=trained) for word in words))
    with pytest.raises(UserError) as error:
        evaluate.run(config)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_run_that_was_trained_on_a_gpu_is_played_where_device_says(run):
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("accelerator: cpu", "accelerator: gpu"))
    config = evaluate.configuration(finished_run(run), options(run))
    assert evaluate.build.model_config(config.model, config.trainer.accelerator).device == "cpu"


def test_checksums_of_another_kind_are_refused(run):
    (run / "provenance.json").write_text('{"export_checksums": []}')
    with pytest.raises(UserError, match=r"provenance\.json: expected a map at export_checksums; copy the file back"):
        evaluate.run(composed("evaluate", f"run={run}", "episodes=2"))


def test_an_unknown_option_is_one_line_on_the_command_line(trained):
    assert "did you mean env.task?" in refused("evaluate", f"run={trained}", "env.tsak=lettuce_salad")
    assert "env.<option>=" in refused("evaluate", f"run={trained}", "env=lettuce_salad")


@pytest.mark.parametrize(("name", "said"), [("DONE", "resume="), ("config.yaml", r"config\.yaml")])
def test_an_incomplete_folder_is_refused(run, name, said):
    (run / name).unlink()
    with pytest.raises(UserError, match=said):
        finished_run(run)


@pytest.mark.parametrize("field", [{"episodes": 0}, {"seed": -1}, {"run": None}, {"suite": "drifts"}])
def test_bad_values_are_refused(field):
    given = {"run": "x", "suite": "drift", "episodes": 1, "seed": None, "gif": False, "device": "cpu", "trust": False, "env": {}}
    with pytest.raises(UserError, match=f"{next(iter(field))}=.*expected"):
        EvaluateConfig(**given | field)


@pytest.mark.parametrize(
    "change",
    [
        {"norm._target_": "os.system"},
        {"norm._target_": "twosome.cli.entry.os.system"},
        {"baseline._target_": "builtins.eval"},
        {"baseline.critic": {"_target_": "pickle.loads"}},
        {"env.prompt": "antigravity:fly"},
        {"env.id": "antigravity:Fly-v0"},
        {"env.kwargs.prompt": "antigravity:fly"},
        {"model.trust_remote_code": True},
    ],
)
def test_a_folder_cannot_bring_code(run, change):
    config = OmegaConf.load(run / "config.yaml")
    for name, value in change.items():
        OmegaConf.update(config, name, value)
    OmegaConf.save(config, run / "config.yaml")
    with pytest.raises(UserError, match=r"expected"):
        configuration(RunFolder(run), options(run))


def test_what_the_user_names_is_trusted(run):
    assert configuration(RunFolder(run), options(run, prompt="package.module:function")).env.prompt.endswith("function")


def test_a_damaged_configuration_is_refused(run):
    for text in ("a: [", "seed: ${nowhere}", "env: 3", "- 1"):
        (run / "config.yaml").write_text(text)
        with pytest.raises(UserError, match=r"config\.yaml"):
            configuration(RunFolder(run), options(run))


@pytest.mark.parametrize(
    ("option", "value"), [("seed", "many"), ("evaluation.seed", [1]), ("evaluation.episodes", -1), ("env.gamma", "0.9x")]
)
def test_settings_of_the_wrong_kind_are_refused(run, option, value):
    config = OmegaConf.load(run / "config.yaml")
    OmegaConf.update(config, option, value)
    OmegaConf.save(config, run / "config.yaml")
    with pytest.raises(UserError, match=rf"{option}.*=.*: expected"):
        evaluate.run(composed("evaluate", f"run={run}"))


def test_the_discount_reaches_the_environment(run):
    folder = RunFolder(run)
    config = configuration(folder, options(run, gamma=0.5))
    assert config.env.kwargs.gamma == 0.5
    assert changed(config.env, folder.config.env) == {"gamma": 0.5, "kwargs.gamma": 0.5}
    assert configuration(folder, options(run, gamma=0.5, kwargs={"gamma": 0.9})).env.kwargs.gamma == 0.9


def test_leaves():
    assert leaves({"a": {"b": 1, "c": {}}, "d": None}) == [("a.b", 1), ("a.c", {}), ("d", None)]
    assert leaves({}) == []


def test_device_errors_name_this_entrys_option():
    with pytest.raises(UserError, match=r"^device=gpu: expected one of"):
        evaluate.device("gpu")


@pytest.mark.parametrize("damage", ["missing", "fewer", "more", "shape"])
def test_only_the_models_own_adapter_is_loaded(trained, tmp_path, damage):
    language = load_language_model(ModelConfig(source="tiny_random"), Lora())
    before = {name: value.clone() for name, value in language.model.state_dict().items()}
    weights = load_file(trained / "adapter" / Lora.weights)
    first = next(iter(weights))
    if damage == "fewer":
        del weights[first]
    elif damage == "more":
        weights["base_model.model.extra"] = weights[first].clone()
    elif damage == "shape":
        weights[first] = weights[first][:1].clone()
    save_file(weights, tmp_path / Lora.weights)
    if damage == "missing":
        (tmp_path / Lora.weights).unlink()
    with pytest.raises(UserError, match="expected the"):
        language.tuning.load(language.model, tmp_path)
    assert all((value == before[name]).all() for name, value in language.model.state_dict().items())
