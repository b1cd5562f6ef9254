"""The interface that selects, exports and loads the trainable weights of a language model."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # these imports take seconds; options are checked first
    from torch import nn
    from transformers import PreTrainedModel


class Tuning(ABC):
    """A method of tuning a language model. Each file of conf/tuning configures one.

    A tuning holds no weights. ``model`` below is the result of `apply`.
    """

    export_folder: str
    """The name of the folder for `export` and `load`, within a run's folder."""

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

    def train(self, model: Any, mode: bool) -> None:
        """Switch to training mode or back. By default the model stays in eval mode, without dropout."""
        model.eval()


class Frozen(Tuning):
    """No tuning: all weights are frozen."""

    export_folder = ""

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
