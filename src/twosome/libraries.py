"""The import of large libraries without Python's garbage collector, in commands.

The collector would go through all objects again each time that some hundred new ones exist, which was a third of the time that a
run takes to start. The libraries' objects stay, so that it ignores them afterwards, too.
"""

import gc
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

LIBRARIES = ("torch", "transformers", "transformers.modeling_utils", "peft", "pytorch_lightning")
"""Modules of which most commands import all, before they have an agent."""


class Importer(MetaPathFinder):
    """Finds some modules as Python does, and has them loaded without the garbage collector. names: of the modules."""

    def __init__(self, names: Sequence[str] = LIBRARIES) -> None:
        self.names = names

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return how to import the module; None for other modules and for one that Python does not find."""
        spec = PathFinder.find_spec(name, path, target) if name in self.names else None
        if spec and spec.loader:
            load = spec.loader.exec_module

            def load_uncollected(module: ModuleType) -> None:
                if not gc.isenabled():  # while another of these modules is loaded
                    return load(module)
                gc.disable()
                try:
                    load(module)
                finally:
                    gc.freeze()
                    gc.enable()

            spec.loader.exec_module = load_uncollected  # type: ignore[method-assign]
        return spec


def install() -> None:
    """Have these libraries imported so from now on in this process."""
    if not any(isinstance(finder, Importer) for finder in sys.meta_path):
        sys.meta_path.insert(0, Importer())
