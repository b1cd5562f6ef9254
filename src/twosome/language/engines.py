"""Builders of engines for the files of conf/engine. An engine's code takes seconds to import; its options are checked first."""

from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from twosome.config import typed
from twosome.language.config import EncoderDecoderConfig, EngineConfig
from twosome.language.norms import Normalization

if TYPE_CHECKING:
    from twosome.language.encoder_decoder import EncoderDecoderScorer
    from twosome.language.loading import LanguageModel
    from twosome.language.scorer import Scorer


class DecoderOnly:
    """Builder of the engine of a decoder-only model. kind: of its models, one of engine.KINDS."""

    kind = "decoder_only"

    def __init__(self, **options: Any) -> None:
        """options: as in EngineConfig. Raises UserError."""
        self.options: EngineConfig = typed(EngineConfig, OmegaConf.create(options), "engine")

    def __call__(self, lm: "LanguageModel", norm: Normalization) -> "Scorer":
        """Return the engine."""
        from twosome.language.scorer import Scorer

        return Scorer(lm, norm, **vars(self.options))


class EncoderDecoder:
    """Builder of the engine of an encoder-decoder model. kind: as in DecoderOnly."""

    kind = "encoder_decoder"

    def __init__(self, **options: Any) -> None:
        """options: as in EncoderDecoderConfig. Raises UserError."""
        self.options: EncoderDecoderConfig = typed(EncoderDecoderConfig, OmegaConf.create(options), "engine")

    def __call__(self, lm: "LanguageModel", norm: Normalization) -> "EncoderDecoderScorer":
        """Return the engine."""
        from twosome.language.encoder_decoder import EncoderDecoderScorer

        return EncoderDecoderScorer(lm, norm, **vars(self.options))


def engine_of(lm: "LanguageModel", norm: Normalization) -> "Scorer | EncoderDecoderScorer":
    """Return the engine, with default options, that computes models of this kind."""
    from twosome.language.encoder_decoder import EncoderDecoderScorer
    from twosome.language.scorer import Scorer

    return (EncoderDecoderScorer if lm.base.config.is_encoder_decoder else Scorer)(lm, norm)
