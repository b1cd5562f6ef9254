"""Random integers of a numpy generator, one by one, in a tenth of numpy's time.

A level takes hundreds of single integers per attempt, and a dense one hundreds of attempts. The sequence is that of
``Generator.integers``: Lemire's method on the 32-bit halves of PCG64's numbers, the lower half first.
"""

from typing import Any, Final

import numpy as np

BLOCK: Final = 128
"""PCG64's numbers that are drawn at once."""
HALF: Final = 0xFFFFFFFF


class Draws:
    """A source of integers in place of a generator, until it is closed. The generator is not used in between."""

    def __init__(self, generator: np.random.Generator) -> None:
        """generator: of PCG64, as gymnasium's are."""
        self._bits: Any = generator.bit_generator
        self._start: Any = self._bits.state
        assert self._start["bit_generator"] == "PCG64"
        held = [self._start["uinteger"]] if self._start["has_uint32"] else []
        self._halves: list[int] = held  # the next one is the last
        self._held, self._fetched = len(held), len(held)

    def integer(self, low: int, high: int) -> int:
        """Return an integer from low to high - 1, at most 2**32 of them."""
        count = high - low
        if count == 1:
            return low
        if not self._halves:
            self._fetch()
        product = self._halves.pop() * count
        if product & HALF < count:
            threshold = (HALF + 1 - count) % count
            while product & HALF < threshold:
                if not self._halves:
                    self._fetch()
                product = self._halves.pop() * count
        return low + (product >> 32)

    def _fetch(self) -> None:
        for number in reversed(self._bits.random_raw(BLOCK).tolist()):
            self._halves += (number >> 32, number & HALF)
        self._fetched += 2 * BLOCK

    def close(self) -> None:
        """Set the generator to the state in which as many of its own draws would have left it."""
        self._bits.state = self._start
        taken = self._fetched - len(self._halves) - self._held
        if taken < 0:
            return
        self._bits.advance((taken + 1) // 2)
        held = {"has_uint32": 1, "uinteger": self._halves[-1]} if taken % 2 else {"has_uint32": 0, "uinteger": 0}
        self._bits.state = {**self._bits.state, **held}
