"""The UART as a driver uses it: characters both ways, FIFO levels, interrupts by priority, loop-back, breaks."""

from __future__ import annotations

import pytest

from runtime.hw.characters import Recorder
from runtime.hw.irq import Line
from runtime.hw.ns16550 import Ns16550
from tests.hw.machine import Bench, fuzz

RBR = THR = DLL = 0
IER = DLM = 1
IIR = FCR = 2
LCR, MCR, LSR, MSR, SCR = 3, 4, 5, 6, 7


class Uart(Bench):
    """A UART on a bench."""

    def __init__(self) -> None:
        super().__init__()
        self.host, self.line = Recorder(), Line("irq")
        self.uart = Ns16550("serial0", self.host, self.line, self.clock)
        self.put(self.uart)

    def get(self, register: int) -> int:
        return self.load(register, 1)

    def set(self, register: int, value: int) -> None:
        self.store(register, value, 1)


@pytest.fixture(name="uart")
def _uart() -> Uart:
    return Uart()


def test_polled_output_and_input(uart: Uart) -> None:
    for byte in b"hello":
        assert uart.get(LSR) & 0x60 == 0x60
        uart.set(THR, byte)
    assert uart.host.written == b"hello"
    assert uart.get(LSR) & 1 == 0
    uart.host.feed(b"ab")
    assert uart.get(LSR) & 1
    assert uart.get(RBR) == ord("a"), "without a FIFO, one at a time"
    assert uart.get(RBR) == ord("b")
    assert uart.get(LSR) & 1 == 0
    assert uart.get(RBR) == 0


def test_divisor_latch_and_scratch(uart: Uart) -> None:
    uart.set(LCR, 0x83)
    uart.set(DLL, 0x34)
    uart.set(DLM, 0x12)
    assert (uart.get(DLL), uart.get(DLM)) == (0x34, 0x12)
    uart.set(LCR, 0x03)
    assert (uart.get(IER), uart.host.written) == (0, b"")
    uart.set(SCR, 0x5A)
    assert uart.get(SCR) == 0x5A
    uart.set(IER, 0xFF)
    assert uart.get(IER) == 0x0F, "how drivers tell a UART from noise"


def test_fifo_levels_and_time_out(uart: Uart) -> None:
    uart.set(FCR, 0x81)  # enable, 8 characters
    assert uart.get(IIR) == 0xC1
    uart.set(IER, 1)
    uart.host.feed(b"1234567")
    assert not uart.line.level
    uart.clock.advance(10**9)
    assert uart.line.level
    assert uart.get(IIR) == 0xCC, "time-out"
    uart.host.feed(b"8")
    assert uart.get(IIR) == 0xC4
    assert bytes(uart.get(RBR) for _ in range(8)) == b"12345678"
    assert (uart.line.level, uart.get(IIR)) == (0, 0xC1)
    uart.host.feed(b"x" * 40)
    assert len(uart.uart.received) == 16, "the rest waits on the host's side"
    assert bytes(uart.get(RBR) for _ in range(40)) == b"x" * 40
    uart.host.feed(b"y" * 40)
    uart.set(FCR, 0x83)
    assert uart.get(RBR) == ord("y"), "clearing the FIFO makes room"


def test_transmitter_interrupts(uart: Uart) -> None:
    uart.set(IER, 2)
    assert uart.line.level, "enabling it tells that the transmitter is empty"
    assert uart.get(IIR) == 2
    assert not uart.line.level, "reading the identification clears it"
    uart.set(THR, ord("x"))
    assert uart.line.level
    uart.set(IER, 0)
    assert not uart.line.level


def test_priorities(uart: Uart) -> None:
    uart.set(IER, 0xF)
    uart.host.on_break()
    uart.host.feed(b"")
    uart.set(MCR, 0x10)
    order = []
    order.append(uart.get(IIR) & 0xF)
    assert uart.get(LSR) & 0x11 == 0x11
    order.append(uart.get(IIR) & 0xF)
    uart.get(RBR)
    order.append(uart.get(IIR) & 0xF)
    order.append(uart.get(IIR) & 0xF)
    uart.get(MSR)
    order.append(uart.get(IIR) & 0xF)
    assert order == [6, 4, 2, 0, 1]


def test_loop_back(uart: Uart) -> None:
    uart.set(MCR, 0x1A)
    assert uart.get(MSR) & 0xF0 == 0x90, "request to send and output 2, as clear to send and carrier"
    uart.set(THR, 0x41)
    assert (uart.get(RBR), uart.host.written) == (0x41, b"")
    uart.set(THR, 1)
    uart.set(THR, 2)
    assert uart.get(LSR) & 2, "overrun"
    uart.set(MCR, 0)
    assert uart.get(MSR) & 0xF0 == 0xB0


def test_wide_accesses_touch_one_register(uart: Uart) -> None:
    uart.host.feed(b"a")
    assert uart.load(LSR, 4) == 0x61
    assert uart.load(RBR, 4) == ord("a")


def test_saved_state(uart: Uart) -> None:
    uart.set(FCR, 1)
    uart.set(IER, 1)
    uart.host.feed(b"abc")
    other = Uart()
    other.uart.load(uart.uart.save())
    assert other.line.level
    assert bytes(other.get(RBR) for _ in range(3)) == b"abc"
    other.uart.reset()
    assert (other.line.level, other.get(IER)) == (0, 0)


@pytest.mark.parametrize("seed", range(3))
def test_random_accesses(uart: Uart, seed: int) -> None:
    uart.host.feed(bytes(range(256)) * 4)
    fuzz(uart, uart.uart, seed)
