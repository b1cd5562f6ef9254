"""A cache of bounded size."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LRUCache(Generic[K, V]):
    """A cache of values by key: the least recently used values are evicted first.

    size: what the values may weigh together. used: what they weigh.
    """

    def __init__(self, size: int, weigh: Callable[[V], int] = lambda _: 1) -> None:
        """weigh: gives what a value counts against size; by default size is the number of values."""
        self.size, self.used, self._weigh = size, 0, weigh
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
            if key in self._values:
                self.used -= self._weigh(self._values.pop(key))
            self._values[key] = value
            self.used += self._weigh(value)
        while self.used > self.size:
            self.used -= self._weigh(self._values.popitem(last=False)[1])

    def clear(self) -> None:
        """Empty the cache."""
        self._values.clear()
        self.used = 0

    def state(self) -> dict[K, V]:
        """Return a copy of the cached values, the least recently used first; `keep` restores it."""
        return dict(self._values)
