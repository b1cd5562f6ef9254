"""Builders of engines for the files of conf/engine. An engine's code takes seconds to import; its options are checked first."""

from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from twosome.config import typed
from twosome.language.config import EngineConfig
from twosome.language.norms import Normalization

if TYPE_CHECKING:
    from twosome.language.loading import LanguageModel
    from twosome.language.scorer import Scorer


class DecoderOnly:
    """Builder of the engine of a decoder-only model."""

    def __init__(self, **options: Any) -> None:
        """options: as in EngineConfig. Raises UserError."""
        self.options: EngineConfig = typed(EngineConfig, OmegaConf.create(options), "engine")

    def __call__(self, lm: "LanguageModel", norm: Normalization) -> "Scorer":
        """Return the engine."""
        from twosome.language.scorer import Scorer

        return Scorer(lm, norm, **vars(self.options))
