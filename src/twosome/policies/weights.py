"""Writing and reading a network's weights."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from twosome.errors import UserError
from twosome.policies.agent import LearningAgent

WEIGHTS = "model.safetensors"


def save_weights(module: nn.Module, folder: Path, name: str = WEIGHTS) -> None:
    """Write the module's state_dict to a safetensors file in a folder, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}, folder / name)


@torch.no_grad()
def load_weights(module: nn.Module, folder: Path, name: str = WEIGHTS) -> None:
    """Load what save_weights wrote into the module, in place.

    Raises UserError if the file is missing or damaged, or if its names or shapes differ from the module's.
    """
    file = folder / name
    try:
        found = load_file(file)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file}: expected a safetensors file ({error}); run it again") from error
    own = module.state_dict()
    for key in sorted(own.keys() | found.keys()):
        shapes = [tuple(each[key].shape) if key in each else None for each in (found, own)]
        if shapes[0] != shapes[1]:
            raise UserError(
                f"{file}: {key} has shape {shapes[0]}, expected {shapes[1]}; a network can be used only "
                "with the options of its training, and with its observation and actions if it reads symbolic ones"
            )
    module.load_state_dict(found)


class NetworkAgent(LearningAgent):
    """An agent whose networks, its modules, are all its own; a file holds their weights."""

    export_folder = "policy"

    def export(self, folder: Path) -> None:
        """See Agent."""
        save_weights(self._networks(), folder)

    def load(self, folder: Path) -> None:
        """See Agent. Raises UserError if the file does not hold exactly these networks' weights."""
        load_weights(self._networks(), folder)

    def _networks(self) -> nn.ModuleDict:
        return nn.ModuleDict(dict(self.named_children()))
