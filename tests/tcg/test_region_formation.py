"""Which blocks make a region: loops whole, hardly anything that others have, and nothing control cannot come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from runtime.tcg import region_formation
from runtime.tcg.region_formation import LARGE, Former, Node

SIZE = 16  # instructions in each block, of 4 bytes


def _node(address: int, heat: int = 1000, compiled: bool = False) -> Node:
    node = object.__new__(Node)
    node.address = node.pc = node.place = address
    node.size, node.icount = 4 * SIZE, SIZE
    node.end = address + node.size
    node.heat, node.compiled, node.flags, node.targets = heat, compiled, 0, []
    return node


def _chosen(
    edges: Mapping[int, Sequence[int]],
    compiled: Sequence[int] = (),
    large: Sequence[int] = (),
    most: int = 256,
) -> list[int]:
    """The region that begins with the first of `edges`, by the numbers its blocks have here."""
    former = object.__new__(Former)
    former._most = most
    starts = {number: 0x1000 * (number + 1) for number in edges}
    heads = {starts[number] for number in large}
    former._heads = lambda pc, end, flags, place: next((head for head in heads if pc <= head < end), 0)
    nodes = {at: _node(at, compiled=number in compiled) for number, at in starts.items()}
    successors = {starts[number]: [starts[other] for other in others] for number, others in edges.items()}
    first = next(iter(nodes.values()))
    return [node.pc // 0x1000 - 1 for node in former._choose(first, nodes, successors)]


def test_loops_come_before_what_is_as_hot_and_nearer() -> None:
    ways = {0: [1, 2], 1: [], 2: [3], 3: [0]}
    assert _chosen(ways, most=3 * SIZE) == [0, 2, 3]


def test_what_others_have_is_compiled_again_as_far_as_a_little_goes() -> None:
    ways = {0: [1], 1: [2], 2: [3], 3: [4], 4: []}
    little = region_formation._MOST_AGAIN // SIZE
    assert little < 4, "or nothing is left out here"
    assert _chosen(ways, compiled=(1, 2, 3, 4)) == list(range(little + 1))
    assert _chosen(ways) == [0, 1, 2, 3, 4]


def test_a_loop_is_compiled_whole_though_others_have_parts_of_it() -> None:
    ways = {number: [(number + 1) % 6] for number in range(6)}
    assert _chosen(ways, compiled=(1, 2, 3, 4, 5), large=(3,)) == [0, 1, 2, 3, 4, 5]


def test_a_way_into_a_long_loop_that_others_have_ends_where_one_of_them_begins() -> None:
    count = region_formation._MOST_LOOP_AGAIN // SIZE + 2
    ways = {number: [(number + 1) % count] for number in range(count)}
    others = range(count // 2 + 2, count)
    assert _chosen(ways, compiled=others, large=(2,)) == list(range(count)), "less than half of it is"
    assert _chosen(ways, compiled=range(2, count), large=(2,)) == [0, 1]


def test_a_region_inside_another_ends_where_a_large_one_begins() -> None:
    ways = {0: [1], 1: [2], 2: [3], 3: [0]}
    assert LARGE > SIZE
    assert _chosen(ways, compiled=(0, 1, 2, 3), large=(2,)) == [0, 1]


@pytest.mark.parametrize("known", [False, True], ids=["returns anywhere", "returns to a block"])
def test_what_is_behind_a_call_is_reached_by_way_of_what_is_called(known: bool) -> None:
    """0 calls 1, which calls 2, whose end is a jump that leads to nobody knows where; 3 and 4 are behind the calls."""
    nodes = {number: _node(number) for number in range(5)}
    nodes[0].targets, nodes[1].targets = [1], [2]
    successors = {0: [1], 1: [2], 2: [4] if known else [], 3: [], 4: []}
    nodes[3].targets = [99]  # which is cold
    region_formation._add_returns(nodes, successors, [([2], 4), ([1], 3)])
    assert successors[2] == ([4] if known else [4, 3])
    assert (0, 3) not in [(one, other) for one, others in successors.items() for other in others]
