"""Which weights of a language model learn, and how they are kept."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # takes seconds; bad options are told before
    from torch import nn
    from transformers import PreTrainedModel


class Tuning(ABC):
    """How a language model is tuned; the files of conf/tuning make one each. The weights are the model's own.

    ``model`` below is what `apply` returned.
    """

    export_folder: str
    """The folder in a run's folder for `export` and `load`."""

    @abstractmethod
    def apply(self, base: "PreTrainedModel") -> "nn.Module":
        """Return the model to train. base: frozen, on the CPU; random initial values come from PyTorch's global generator.

        What learns requires gradients, and nothing else does. Raises UserError where base lacks what the options name.
        """

    @abstractmethod
    def reference(self, model: Any) -> AbstractContextManager[Any]:
        """Inside, the model computes as before training."""

    @abstractmethod
    def is_reference(self, model: Any) -> bool:
        """Whether the model still computes as before training."""

    @abstractmethod
    def export(self, model: Any, folder: Path) -> None:
        """Write what was learned into a new folder, without code: safetensors and JSON."""

    @abstractmethod
    def load(self, model: Any, folder: Path) -> None:
        """Read what `export` wrote, in place. Raises UserError where it is not this model's."""

    def train(self, model: Any, mode: bool) -> None:
        """Switch on or off what is random in training. By default nothing is: dropout of the model stays off."""
        model.eval()


class Frozen(Tuning):
    """Nothing learns."""

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
