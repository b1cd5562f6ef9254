"""A cache of bounded size."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memory(Generic[K, V]):
    """An LRU cache of up to ``size`` values by key: the least recently used values are evicted first."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._values: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: K) -> bool:
        return key in self._values

    def of(self, keys: Iterable[K], compute: Callable[[Sequence[K]], Iterable[V]]) -> dict[K, V]:
        """Return the values of these keys. compute: returns the values of the keys that are not cached, in their order.

        All values are returned, even if they are more than size; size bounds what is cached afterwards.
        """
        found = dict.fromkeys(keys)
        missing = [key for key in found if key not in self._values]
        new = dict(zip(missing, compute(missing), strict=True)) if missing else {}
        values = {key: new[key] if key in new else self._values[key] for key in found}
        self.keep(values)
        return values

    def keep(self, values: Mapping[K, V]) -> None:
        """Add values to the cache as the most recently used ones."""
        for key, value in values.items():
            self._values[key] = value
            self._values.move_to_end(key)
        while len(self._values) > self.size:
            self._values.popitem(last=False)

    def clear(self) -> None:
        """Empty the cache."""
        self._values.clear()

    def state(self) -> dict[K, V]:
        """Return a copy of the cached values, the least recently used first; `keep` restores it."""
        return dict(self._values)
