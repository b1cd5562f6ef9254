"""What the tests of the scoring engine share: decisions, tiny scorers, a disturbed adapter, gradients."""

from typing import Any

import torch

from twosome.decision import DecisionText
from twosome.language import norms
from twosome.language.engine import MASKED, Scores
from twosome.language.loading import ModelConfig, load_language_model
from twosome.language.scorer import Scorer
from twosome.language.tuning import Lora

DECISIONS: list[DecisionText] = [
    (
        "You notice a tomato on the table. Next, you should",
        ("chop", "chop the tomato", "chop the tomato and", "pick up"),
    ),
    ("You notice a tomato on the table.", ("go left", "go forward", "go")),
    ("You notice a tomato on the table. Next, you should", ("serve the dish",)),
    ("Now you are in the kitchen. Currently you are carrying a bowl", ("open the microwave", "sit on the sofa")),
    ("You notice a tomato on the table.", ("go left", "go forward", "go")),
    ("You", ("turn left", "turn right", "a", "the quite unusual zebra")),
    ("A prompt that has nothing in common with the others, so that the trees differ", ("go", "stop")),
]


def scorer(
    architecture: str = "llama", norm: str = "none", disturbed: bool = True, layers: int | None = None, **options: Any
) -> Scorer:
    """A scorer of a tiny random model. disturbed: its adapter matters. layers: that have one. options: of Scorer, ModelConfig."""
    engine = {name: options.pop(name) for name in ("row_tokens", "batch_tokens") if name in options}
    config = ModelConfig(**{"source": "tiny_random", "architecture": architecture, "device": "cpu"} | options)
    model = load_language_model(config, Lora(layers=layers))
    if disturbed:
        disturb_adapter(model.model)
    made = Scorer(model, getattr(norms, norm), **engine)
    made.token_states = True
    return made


def adapter(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """The trainable parameters by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


@torch.no_grad()
def disturb_adapter(model: torch.nn.Module, seed: int = 0) -> None:
    """Give LoRA's B values other than its initial zeros; with B at zero A has no gradient and the adapter no effect."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in adapter(model).items():
        if "lora_B" in name:
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))


def gradients(model: torch.nn.Module, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    """The loss's gradient of every trainable parameter."""
    parameters = adapter(model)
    return dict(zip(parameters, torch.autograd.grad(loss, list(parameters.values())), strict=True))


def assert_equal_scores(model: torch.nn.Module, found: Scores, expected: Scores, of_states: float = 0.0) -> None:
    """Scores, policies and the gradient of a sum of the policies are equal. of_states: the weight of the states in it."""
    for name, one, other in zip(Scores._fields, found, expected, strict=True):
        if name != "token_states" or (one.shape[-1] and other.shape[-1]):  # which only some engines here return
            torch.testing.assert_close(one, other, atol=1e-4, rtol=0, equal_nan=True)
    torch.testing.assert_close(found.log_policy(), expected.log_policy(), atol=1e-4, rtol=0)
    losses = []
    for scores in (found, expected):
        weights = torch.rand(scores.scores.shape, generator=torch.Generator().manual_seed(3))
        real = scores.scores > MASKED
        mixture = (weights * scores.log_policy().exp() * real).sum() + 0.1 * (weights * scores.scores)[real].sum()
        losses.append(gradients(model, mixture + of_states * scores.prompt_states.square().mean()))
    assert_close_gradients(*losses)


def assert_close_gradients(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], tolerance: float = 1e-4) -> None:
    """Every parameter's gradient is there (not zero) and differs by at most tolerance of its norm."""
    assert one.keys() == other.keys()
    for name, gradient in other.items():
        assert gradient.norm() > 0, name
        assert (one[name] - gradient).norm() <= tolerance * gradient.norm(), name
