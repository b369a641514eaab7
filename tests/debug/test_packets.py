"""The framing of packets, and the parsing of vCont: with any bytes at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.debug.packets import PACKET_BYTES, Again, Interrupt, Packet, PacketReader, frame
from runtime.debug.resume import parse_continue
from runtime.debug.stop import Plan


@given(st.lists(st.binary(max_size=64), max_size=6), st.integers(1, 9))
def test_what_is_framed_comes_out_again_however_it_is_cut(packets: list[bytes], size: int) -> None:
    stream = b"+".join(frame(data) for data in packets)
    reader = PacketReader()
    found = [item for at in range(0, len(stream), size) for item in reader.feed(stream[at : at + size])]
    assert [(item.data, item.good) for item in found if isinstance(item, Packet)] == [(data, True) for data in packets]
    assert len(found) == len(packets)


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_any_bytes_can_be_fed(pieces: list[bytes]) -> None:
    reader = PacketReader()
    for piece in pieces:
        for item in reader.feed(piece):
            assert isinstance(item, Packet | Interrupt | Again)


def test_sums_interrupts_and_packets_without_an_end() -> None:
    reader = PacketReader()
    items = list(reader.feed(b"$g#00\x03-$g#67"))
    assert isinstance(items[0], Packet)
    assert not items[0].good
    assert [type(item) for item in items[1:]] == [Interrupt, Again, Packet]
    endless = [item for _ in range(8) for item in reader.feed(b"$" + b"a" * PACKET_BYTES)]
    assert endless
    assert not any(item.good for item in endless if isinstance(item, Packet))
    last = list(reader.feed(b"#00$?#3f"))[-1]
    assert isinstance(last, Packet)
    assert last.data == b"?"


@pytest.mark.parametrize(
    ("words", "plans", "newcomers"),
    [
        (b"c", {1: Plan(), 2: Plan()}, True),
        (b"s:1;c", {1: Plan(step=True), 2: Plan()}, True),
        (b"s:2", {2: Plan(step=True)}, False),
        (b"C0b:p1.2;t", {2: Plan(signal=11)}, False),
        (b"r1000,1010:1;s:1", {1: Plan(step=True, low=0x1000, high=0x1010)}, False),
        (b"S05:-1", {1: Plan(step=True, signal=5), 2: Plan(step=True, signal=5)}, True),
        (b"c:7", {}, False),
    ],
)
def test_vcont_gives_each_thread_the_first_action_that_names_it(
    words: bytes, plans: dict[int, Plan], newcomers: bool
) -> None:
    assert parse_continue(words, [1, 2]) == (plans, newcomers)


@pytest.mark.parametrize("words", [b"", b"x", b"c5", b"C", b"r10", b"r1,2,3", b"s:z"])
def test_what_is_no_action_is_refused(words: bytes) -> None:
    with pytest.raises(ValueError, match=r"action|literal|unpack|b'"):
        parse_continue(words, [1])
