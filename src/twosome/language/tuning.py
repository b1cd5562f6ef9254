"""The interface that selects, exports and loads the trainable weights of a language model."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twosome.errors import UserError

if TYPE_CHECKING:  # these imports take seconds; options are checked first
    from torch import Tensor, nn
    from transformers import PreTrainedModel


class Tuning(ABC):
    """A method of tuning a language model. Each file of conf/tuning configures one.

    ``model`` below is the result of `apply`. A tuning is applied once; the weights that it trains are the model's.
    """

    export_folder: str
    """The name of the folder for `export` and `load`, within a run's folder."""
    learns: bool = True
    """Whether weights of the language model are trained."""

    def stored(self, dtype: str) -> str:
        """Return the dtype of the weights of a model that computes in this one. Raises UserError if it cannot be tuned so."""
        return dtype

    @abstractmethod
    def apply(self, base: "PreTrainedModel") -> "nn.Module":
        """Return the model to train, of which only the trainable weights require gradients.

        base: the frozen model, on the CPU. Random initial values come from PyTorch's global generator. Raises UserError if base
        lacks a layer that the options name.
        """

    @abstractmethod
    def reference(self, model: Any) -> AbstractContextManager[Any]:
        """Make the model compute as before training within the context."""

    @abstractmethod
    def is_reference(self, model: Any) -> bool:
        """Return whether the model still computes as before training."""

    @abstractmethod
    def export(self, model: Any, folder: Path) -> None:
        """Write the learned weights into a new folder, as safetensors and JSON only."""

    @abstractmethod
    def load(self, model: Any, folder: Path) -> None:
        """Load the weights that `export` wrote, in place. Raises UserError if they do not fit the model."""

    def merged(self, model: Any) -> "PreTrainedModel":
        """Return the model with the learned weights as transformers knows it. Do not use ``model`` afterwards.

        By default it is ``model`` itself.
        """
        base: PreTrainedModel = model
        return base

    def train(self, model: Any, mode: bool) -> None:
        """Switch to training mode or back. By default the model stays in eval mode, without dropout."""
        model.eval()


class Frozen(Tuning):
    """No tuning: all weights are frozen."""

    export_folder = ""
    learns = False

    def apply(self, base: "PreTrainedModel") -> "nn.Module":
        """See Tuning."""
        return base

    def reference(self, model: Any) -> AbstractContextManager[Any]:
        """See Tuning."""
        return nullcontext()

    def is_reference(self, model: Any) -> bool:
        """See Tuning."""
        return True

    def export(self, model: Any, folder: Path) -> None:
        """Write nothing."""

    def load(self, model: Any, folder: Path) -> None:
        """Read nothing."""


class Head(Frozen):
    """All weights of the language model are frozen, and the heads on its states learn: policy_head=actions and the value head."""

    export_folder = "head"

    def export(self, model: Any, folder: Path) -> None:
        """Make the folder, for the policy head."""
        folder.mkdir(parents=True)


def read_weights(kind: str, file: Path, expected: "dict[str, tuple[int, ...]]") -> "dict[str, Tensor]":
    """Return the weights of a safetensors file by name.

    kind: what messages call it, such as adapter. expected: the shapes that the weights must have.

    Raises UserError if the file is missing or damaged, or if its names or shapes are others.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not file.is_file():
        raise UserError(f"{kind} {file.parent}: expected {file.name} in it; train the run again, or name another")
    try:
        found = load_file(file)
    except SafetensorError as error:
        raise UserError(f"{kind} {file}: expected a safetensors file ({error}); train the run again") from error
    shapes = {name: tuple(value.shape) for name, value in found.items()}
    for name in sorted(expected.keys() | shapes.keys()):
        if expected.get(name) != shapes.get(name):
            raise UserError(
                f"{kind} {file}: {name} has shape {shapes.get(name)}, expected {expected.get(name)}; the run's "
                "tuning and model settings must be those that it was trained with"
            )
    return found
