"""One run from its configuration to a finished run folder."""

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from twosome import experiment
from twosome.config import EvaluationConfig, RunConfig, check_targets, typed
from twosome.envs.vector import DecisionEnvs
from twosome.errors import UserError
from twosome.evaluation.report import Evaluation, record_evaluation
from twosome.policies.agent import Agent
from twosome.ppo.config import PPOConfig
from twosome.training.callbacks import Progress, Recorder, checkpoints
from twosome.training.module import PPOModule
from twosome.training.provenance import provenance
from twosome.training.runfolder import RunFolder


def run(config: DictConfig) -> float:
    """Train, evaluate, export; or go on with a run that was interrupted.

    Returns the mean discounted return of the last evaluation (nan without one).
    Raises UserError for bad input, before anything is loaded.
    """
    folder = RunFolder(Path(HydraConfig.get().runtime.output_dir))
    overrides = list(HydraConfig.get().overrides.task)
    if config.resume is not None:
        config = resumed_config(config, folder, overrides)
        if folder.done:
            print(f"{folder.path}: finished already", file=sys.stderr)
            return final_return(folder)
    settings, ppo, make_env = check(config)
    if config.get("resume") is None and not (folder.path / "config.yaml").exists():
        folder.start(config, overrides)
    elif config.get("resume") is None:
        folder.start(config, overrides)
    agent = experiment.agent(config, make_env)
    folder.write_json("provenance.json", provenance(config, agent))
    try:
        train_and_evaluate(config, settings, ppo, agent, make_env, folder)
    except (KeyboardInterrupt, SystemExit):
        print(f"\ninterrupted; go on with: python src/run.py resume={folder.path}", file=sys.stderr)
        raise KeyboardInterrupt from None
    folder.finish()
    return final_return(folder)
