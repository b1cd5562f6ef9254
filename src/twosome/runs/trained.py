"""The trained agent of another run: as a demonstrator, or as what training starts from."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from twosome import parts
from twosome.errors import UserError
from twosome.policies.agent import MakeEnv
from twosome.runs.evaluate import finished_run
from twosome.runs.trust import check_foreign
from twosome.storage.folder import CHECKSUMS, RunFolder

if TYPE_CHECKING:
    from twosome.policies.agent import Agent


def load_agent(path: str, option: str, config: DictConfig, make_env: MakeEnv) -> "Agent":
    """Return the trained agent of a finished run, for the environments of this one.

    path: the run's folder, the value of option. config: this run's, whose device and trust are used. Raises UserError, also if
    the folder's configuration names code that neither a file of ``conf/`` nor this run's configuration names.
    """
    folder = finished_run(Path(path), option)
    its_config = folder.config
    check_foreign(its_config, config.trust, config)
    its_config.model.device, its_config.trainer.accelerator = config.model.device, config.trainer.accelerator
    agent = parts.agent(its_config, make_env)
    _load(folder, agent, f"{option}={path}")
    return agent


def load_weights(path: str, agent: "Agent") -> None:
    """Load the trained weights of a finished run into this run's agent, before it learns. Raises UserError if they do not fit.

    path: the run's folder, the value of the option init.
    """
    folder = finished_run(Path(path), "init")
    if agent.export_folder is None or not any(folder.weights(agent.export_folder).glob("*.safetensors")):
        raise UserError(
            f"init={path}: expected a run with {agent.export_folder or 'weights'}/ in its folder, the trained weights of an "
            "agent as this run's; choose a run of the same model, baseline and tuning"
        )
    _load(folder, agent, f"init={path}")


def origin(path: str) -> dict[str, Any]:
    """Return the entry init of provenance.json: the run from whose weights training starts, its names and checksums.

    path: the run's folder, the value of the option init. Raises UserError if it is not a finished run's.
    """
    folder = finished_run(Path(path), "init")
    its_own = folder.read_json("provenance.json", {})
    names = ("task", "method", "label", "seed", "git_commit", CHECKSUMS)
    return {"run": str(folder.path.absolute()), **{name: its_own.get(name) for name in names}}


def _load(folder: RunFolder, agent: "Agent", option: str) -> None:
    try:
        folder.load(agent)
    except UserError as error:
        raise UserError(f"{option}: {error}") from error
