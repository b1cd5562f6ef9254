"""Reading an adapter back into the model that it was trained on."""

from pathlib import Path

from peft import PeftModel
from peft.utils.save_and_load import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import PreTrainedModel

from twosome.errors import UserError

WEIGHTS = "adapter_model.safetensors"


def load_adapter(model: PeftModel | PreTrainedModel, folder: Path) -> None:
    """Put the weights in folder, written by `loading.save_adapter`, into the model's adapter, in place.

    Only safetensors are read: they cannot hold code. Raises UserError where the file is missing or damaged, or where
    its names or shapes are not exactly the adapter's.
    """
    file = folder / WEIGHTS
    if not file.is_file():
        raise UserError(f"adapter {folder}: expected {WEIGHTS} in it; train the run again, or name another")
    try:
        found = load_file(file)
    except SafetensorError as error:
        raise UserError(f"adapter {file}: expected a safetensors file ({error}); train the run again") from error
    own = get_peft_model_state_dict(model, save_embedding_layers=False)
    expected = {name: tuple(value.shape) for name, value in own.items()}
    shapes = {name: tuple(value.shape) for name, value in found.items()}
    for name in sorted(expected.keys() | shapes.keys()):
        if expected.get(name) != shapes.get(name):
            raise UserError(
                f"adapter {file}: {name} has shape {shapes.get(name)}, expected {expected.get(name)}; the run's "
                "model.lora and model settings must be those that it was trained with"
            )
    set_peft_model_state_dict(model, found)
