"""A memory of bounded size for what is computed once and used again."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memory(Generic[K, V]):
    """Up to ``size`` values by key. What was used longest ago is forgotten first (LRU)."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._values: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: K) -> bool:
        return key in self._values

    def of(self, keys: Iterable[K], compute: Callable[[Sequence[K]], Iterable[V]]) -> dict[K, V]:
        """The values of these keys. compute: gives the values of those that are not remembered, in their order.

        All are returned, however many: size bounds only what is remembered afterwards.
        """
        found = dict.fromkeys(keys)
        missing = [key for key in found if key not in self._values]
        new = dict(zip(missing, compute(missing), strict=True)) if missing else {}
        values = {key: new[key] if key in new else self._values[key] for key in found}
        self.keep(values)
        return values

    def keep(self, values: Mapping[K, V]) -> None:
        """Remember values, as used just now."""
        for key, value in values.items():
            self._values[key] = value
            self._values.move_to_end(key)
        while len(self._values) > self.size:
            self._values.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()

    def state(self) -> dict[K, V]:
        """A copy of what is remembered, the least recently used first; `keep` takes it up again."""
        return dict(self._values)
