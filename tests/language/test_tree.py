"""Token trees: what is shared is stored once, nothing is lost, and rows and batches keep to their budgets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twosome.language.tokens import TokenizedDecision
from twosome.language.tree import PackedRow, batches, pack

tokens = st.lists(st.integers(0, 3), min_size=1, max_size=6).map(tuple)  # few tokens, so that much is shared
decisions = st.builds(TokenizedDecision, tokens, st.lists(tokens, min_size=1, max_size=4).map(tuple))
many = st.lists(decisions, min_size=1, max_size=8)
budgets = st.integers(1, 40)
thorough = settings(max_examples=150)


def context(row: PackedRow, node: int) -> tuple[int, ...]:
    """The tokens from the root to a node, following parents one by one."""
    ids = []
    while node >= 0:
        ids.append(row.ids[node])
        node = row.parents[node]
    return tuple(reversed(ids))


def tree_of(items: list[TokenizedDecision]) -> PackedRow:
    row = PackedRow()
    for index, item in enumerate(items):
        row.add(index, item)
    return row


def proper_prefixes(items: list[TokenizedDecision]) -> set[tuple[int, ...]]:
    """What has to be computed: every beginning of a prompt + action, but the whole."""
    wholes = [item.prompt + action for item in items for action in item.actions]
    return {whole[:end] for whole in wholes for end in range(1, len(whole))}


@thorough
@given(many)
def test_nodes_are_the_distinct_proper_prefixes(items: list[TokenizedDecision]) -> None:
    row = tree_of(items)
    contexts = [context(row, node) for node in range(len(row))]
    assert len(contexts) == len(set(contexts))
    assert set(contexts) == proper_prefixes(items)
    assert row.depths == [len(one) - 1 for one in contexts]
    assert all(parent < node for node, parent in enumerate(row.parents))


@thorough
@given(many)
def test_paths_spell_the_actions(items: list[TokenizedDecision]) -> None:
    row = tree_of(items)
    assert len(row.edges) == len(set(row.edges))
    assert {number for paths in row.paths for path in paths for number in path} == set(range(len(row.edges)))
    for item, end, paths in zip(items, row.prompt_ends, row.paths, strict=True):
        assert context(row, end) == item.prompt
        for action, path in zip(item.actions, paths, strict=True):
            edges = [row.edges[number] for number in path]
            assert tuple(token for _, token in edges) == action
            for done, (node, _) in enumerate(edges):  # each token is predicted from all that precedes it
                assert context(row, node) == item.prompt + action[:done]


@thorough
@given(many)
def test_a_node_sees_itself_and_its_ancestors(items: list[TokenizedDecision]) -> None:
    row = tree_of(items)
    expected = np.zeros((len(row), len(row)), dtype=bool)
    for node in range(len(row)):
        other = node
        while other >= 0:
            expected[node, other] = True
            other = row.parents[other]
    assert np.array_equal(row.ancestors(), expected)


@thorough
@given(many, budgets)
def test_packing_keeps_every_decision_and_the_budget(items: list[TokenizedDecision], budget: int) -> None:
    rows = pack(items, budget)
    assert sorted(index for row in rows for index in row.decisions) == list(range(len(items)))
    for row in rows:
        assert len(row) <= budget or len(row.decisions) == 1
        assert len(row.decisions) == len(row.paths) == len(row.prompt_ends)
        again = tree_of([items[index] for index in row.decisions])
        assert (row.ids, row.parents, row.edges, row.paths) == (again.ids, again.parents, again.edges, again.paths)


def test_actions_that_begin_with_other_actions_share_nodes_and_edges() -> None:
    row = tree_of([TokenizedDecision((5, 6), ((7,), (7, 8), (7, 8, 9), (7,)))])
    assert row.ids == [5, 6, 7, 8]
    assert row.edges == [(1, 7), (2, 8), (3, 9)]
    assert row.paths == [[[0], [0, 1], [0, 1, 2], [0]]]


@thorough
@given(many, budgets, st.integers(1, 200))
def test_batches_hold_each_row_once_within_the_budget(items: list[TokenizedDecision], budget: int, batch_tokens: int) -> None:
    rows = pack(items, budget)
    grouped = batches(rows, batch_tokens)
    assert sorted(id(row) for batch in grouped for row in batch) == sorted(map(id, rows))
    for batch in grouped:
        assert len(batch) * max(map(len, batch)) <= batch_tokens or len(batch) == 1


@pytest.mark.parametrize(("batch_tokens", "sizes"), [(1, [1, 1, 1]), (6, [2, 1]), (9, [3])])
def test_batches_fill_up(batch_tokens: int, sizes: list[int]) -> None:
    rows = [tree_of([TokenizedDecision((first, 0, 0), ((1,),))]) for first in range(3)]
    assert [len(batch) for batch in batches(rows, batch_tokens)] == sizes
