"""Builders of engines for the files of conf/engine. An engine's code takes seconds to import; its options are checked first."""

from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from twosome.config import typed
from twosome.language.config import EngineConfig, RowsConfig
from twosome.language.norms import Normalization

if TYPE_CHECKING:
    from twosome.language.engine import Engine
    from twosome.language.loading import LanguageModel


class Auto:
    """Builder of the fastest engine that computes a model right (gate.py)."""

    def __init__(self, **options: Any) -> None:
        """options: as in EngineConfig. Raises UserError."""
        self.options: EngineConfig = typed(EngineConfig, OmegaConf.create(options), "engine")

    def __call__(self, lm: "LanguageModel", norm: Normalization) -> "Engine":
        """Return the engine."""
        from twosome.language.gate import engine_of

        return engine_of(lm, norm, self.options)


class PlainRows:
    """Builder of `rows.Rows`."""

    def __init__(self, **options: Any) -> None:
        """options: as in RowsConfig. Raises UserError."""
        self.options: RowsConfig = typed(RowsConfig, OmegaConf.create(options), "engine")

    def __call__(self, lm: "LanguageModel", norm: Normalization) -> "Engine":
        """Return the engine."""
        from twosome.language.rows import Rows

        return Rows(lm, norm, self.options.batch_tokens, self.options.scores)
