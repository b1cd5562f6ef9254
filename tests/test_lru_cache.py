"""A memory forgets what was used longest ago, and gives all that is asked for whatever its size."""

from hypothesis import given
from hypothesis import strategies as st

from twosome.lru_cache import LRUCache


def squares(asked):
    """A function that gives squares and notes what it was asked."""

    def compute(keys):
        asked.extend(keys)
        return [key**2 for key in keys]

    return compute


@given(st.lists(st.lists(st.integers(0, 9), max_size=8), max_size=20), st.integers(1, 6))
def test_values_are_right_and_the_memory_bounded(calls, size):
    memory, recent = LRUCache(size), []
    for keys in calls:
        asked = []
        assert memory.of(keys, squares(asked)) == {key: key**2 for key in keys}
        distinct = list(dict.fromkeys(keys))
        assert asked == [key for key in distinct if key not in recent]
        recent = [key for key in recent if key not in distinct] + distinct
        recent = recent[-size:]
        assert list(memory.state()) == recent
        assert len(memory) == len(recent)


def test_a_state_goes_on_in_another_memory():
    memory, other = LRUCache(3), LRUCache(3)
    memory.of([1, 2, 3], squares([]))
    memory.of([1], squares([]))
    other.keep(memory.state())
    for each in (memory, other):
        each.of([4], squares([]))
        assert list(each.state()) == [3, 1, 4]
    memory.clear()
    assert 1 not in memory
    assert 1 in other
