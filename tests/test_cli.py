"""Bad input: one line that names the option, the value, what was expected and the remedy; exit code 2; nothing computed."""

import pytest
import torch
from checkout import checkout, run

BAD = {
    "norm=words": "norm=words: expected one of none, token, word; did you mean norm=word?",
    "ppo.num_env=8": "ppo.num_env: no such option; did you mean ppo.num_envs?",
    "ppo.num_envs=many": "ppo.num_envs=many: expected integer",
    "ppo.num_envs=-1": "ppo.num_envs=-1: expected a number above 0",
    "ppo.num_minibatches=7": "ppo.num_minibatches=7: expected a divisor of ppo.num_envs * ppo.num_steps = 32 * 32 = 1024",
    "ppo.gradient_accumulation_steps=3": "ppo.gradient_accumulation_steps=3: expected a divisor of ppo.num_minibatches=1",
    "ppo.gamma=1.5": "ppo.gamma=1.5: expected a number from 0 to 1",
    "total_steps=0": "total_steps=0: expected an integer above 0",
    "seed=-1": "seed=-1: expected an integer from 0 to 2**32 - 1",
    "evaluation.episodes=-5": "evaluation.episodes=-5: expected 0 (no evaluation) or more",
    "retention.every=-1": "retention.every=-1: expected 0 (no probe during training) or a number of updates",
    "retention.limit=0": "retention.limit=0: expected an integer above 0, or null for all texts",
    "env.task=tomato_soup": "did you mean env.task=tomato_salad?",
    "env.prompt=polite": "prompt=polite: expected one of default, no_adaptation, no_articles, no_cohesion, no_context",
    "model=hf": "model.path=None: expected a local folder or a name on huggingface.co; set model.path=",
    "model.dtype=float3": "model.dtype=float3: expected one of bfloat16, float16, float32; did you mean model.dtype=float32?",
    "norm._target_=os.system": "norm._target_=os.system: expected",
    "resume=/nowhere": "/nowhere: expected a config.yaml in it",
    "experiment=overcooked_curves norm=words": "norm=words: expected one of none, token, word; did you mean norm=word?",
    "experiment=overcooked_curves baseline=ppo norm=word": "none is left with baseline=ppo and norm=word",
    "experiment=overcooked_curves hydra.sweeper.grids=[]": "hydra.sweeper.grids: expected at least one run",
    "trainer=gpu": "trainer.accelerator=gpu: PyTorch sees no CUDA device; use trainer=cpu",
    "experiment=dem": "expected one of demo, overcooked_curves, virtualhome_curves; did you mean experiment=demo?",
}

if torch.cuda.is_available():
    del BAD["trainer=gpu"]


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """How each of the wrong command lines ended."""
    folder = checkout(tmp_path_factory.mktemp("bad"))
    place = ["hydra.run.dir=run"]  # and the default model, which must not be loaded
    commands = [["src/run.py", *word.split(), *([] if "resume" in word else place)] for word in BAD]
    return dict(zip(BAD, run(folder, commands), strict=True)), folder


@pytest.mark.parametrize("word", BAD)
def test_one_line_and_exit_code_2(answers, word):
    finished, folder = answers
    assert finished[word].code == 2, finished[word].output
    assert len(finished[word].output.splitlines()) == 1, finished[word].output
    assert finished[word].output.startswith("error: ")
    assert BAD[word] in finished[word].output
    assert not (folder / "run" / "config.yaml").exists()


def test_a_failing_job_does_not_stop_a_sweep(tmp_path):
    words = ["model=tiny_random", "ppo.num_envs=2", "ppo.num_steps=8", "total_steps=16", "evaluation.episodes=0",
             "retention.drift=false", "seed=-1,0", "hydra.sweep.dir=sweep", "-m"]  # fmt: skip
    (finished,) = run(checkout(tmp_path), [["src/run.py", *words]])
    assert finished.code == 2
    assert "seed=-1: expected an integer" in finished.output
    assert not (tmp_path / "sweep/0/DONE").exists()
    assert (tmp_path / "sweep/1/DONE").exists()
