"""The `-d` log: options, filters, and what is printed of blocks."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.core.env import Exit
from runtime.core.log import ITEMS, Log, LogError, help_text, open_log
from runtime.tcg.blobs import Blob
from runtime.tcg.loop import cpu_exec
from runtime.tcg.trace import BlockTracer, register_lines
from tests.tcg.conftest import CODE, Machine
from tests.tcg.test_engine import loop
from tests.tcg.toy import ADDI, TRAP_OP, insn

Make = Callable[..., Machine]


def run(m: Machine, items: str, code: Blob, ranges: tuple[tuple[int, int], ...] = (), count: int | None = None) -> str:
    """Run with a log of `items`; what was logged."""
    out = io.StringIO()

    def disassemble(data: bytes, address: int, modes: int) -> tuple[int, str, str]:
        size, text = (2, "nop") if data[0] >= 0x80 else (4, f"op{data[0]}\tr{data[1]}")
        return size, data[:size][::-1].hex(), text

    def symbol(address: int) -> str:
        return "start" if address == CODE else ""

    m.cpu.tracer = BlockTracer(Log(items.split(","), out, ranges), code, disassemble, symbol)
    assert cpu_exec(m.cpu, count) is (Exit.EXCEPTION if count is None else Exit.BUDGET)
    return out.getvalue()


def test_in_asm(machine: Make, toy_code: Blob) -> None:
    text = run(machine(loop(5)), "in_asm", toy_code)
    assert text.startswith(
        "----------------\n"
        "IN: start\n"
        "0x0000000000010000:  00050109  op9\tr1\n"
        "0x0000000000010004:  ffff0101  op1\tr1\n"
        "0x0000000000010008:  fffe0102  op2\tr1\n"
        "\n"
    )
    assert text.count("IN:") == 3


def test_exec_shows_every_block_in_order(machine: Make, toy_code: Blob) -> None:
    m = machine(loop(4))
    text = run(m, "exec", toy_code)
    assert m.register(1) == 0
    pcs = re.findall(r"^Trace 0: 0x[0-9a-f]+ \[00000000/([0-9a-f]{16})/00000000/00000000\]", text, re.MULTILINE)
    assert [int(pc, 16) - CODE for pc in pcs] == [0, 4, 4, 4, 12]
    assert text.splitlines()[0].endswith(" start")
    assert m.cpu.executed == 9


def test_cpu_shows_registers_before_each_block(machine: Make, toy_code: Blob) -> None:
    text = run(machine(loop(2)), "cpu", toy_code)
    assert re.findall(r" r1 +([0-9a-f]{16})", text) == ["0" * 16, f"{1:016x}", "0" * 16]
    assert text.startswith(f" pc       {CODE:016x}\n")


def test_out_asm_names_handlers_and_shows_host_code(machine: Make, toy_code: Blob) -> None:
    text = run(machine(loop(2)), "out_asm", toy_code)
    assert text.startswith("OUT: [size=")
    assert re.search(r"^0x[0-9a-f]+:  h_li +", text, re.MULTILINE)
    assert re.search(r"^0x[0-9a-f]+:  h_bnez +", text, re.MULTILINE)
    assert text.count("  -- h_addi\n") == 1
    assert "jmp" in text


def test_filter(machine: Make, toy_code: Blob) -> None:
    text = run(machine(loop(5)), "in_asm,exec", toy_code, ((CODE + 12, CODE + 13),))
    assert text.count("IN:") == 1
    assert text.count("Trace 0") == 1


def test_counted_run_with_a_trace(machine: Make, toy_code: Blob) -> None:
    m = machine(loop(1000))
    text = run(m, "exec", toy_code, count=501)
    assert m.cpu.executed == 501
    assert m.register(1) == 750
    assert text.count("Trace") > 200


def test_nochain(machine: Make, toy_code: Blob) -> None:
    m = machine(loop(1000))
    assert run(m, "nochain", toy_code) == ""
    assert m.cache.statistics()["linked"] == 0
    assert m.cache.statistics()["slow_lookups"] >= 999


def test_a_tracer_can_come_and_go(machine: Make, toy_code: Blob) -> None:
    m = machine(insn(ADDI, 0, 1) + insn(TRAP_OP))
    for traced in (False, True, False):
        m.cpu.pc = CODE
        if traced:
            assert "Trace" in run(m, "exec", toy_code)
        m.cpu.tracer = None
        m.cpu.pc = CODE
        assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.register(0) == 4


def test_register_lines(machine: Make) -> None:
    m = machine()
    m.cpu.set("R", 0xABC, 3)
    lines = register_lines(m.cpu)
    assert len(lines) == 3
    assert " r3       0000000000000abc" in lines[1]


# ------------------------------------------------------------ options


def test_options(tmp_path: Path) -> None:
    assert open_log(None) is None
    log = open_log("in_asm,cpu", str(tmp_path / "log.%d"), "0x1000+0x10,0x2000..0x2fff,0x4000-0x10")
    assert log is not None
    assert "in_asm" in log
    assert "exec" not in log
    covered = [0x1000, 0x100F, 0x2000, 0x2FFF, 0x3FF1, 0x4000]
    assert all(map(log.covers, covered))
    assert not any(map(log.covers, [0xFFF, 0x1010, 0x1FFF, 0x3000, 0x3FF0, 0x4001]))
    log.write("text")
    log.flush()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["text"]


@pytest.mark.parametrize(
    ("items", "path", "ranges", "message"),
    [
        ("in_asm,nosuch", None, None, "-d nosuch: there is no such item"),
        ("exec", "/nonexistent/folder/log", None, "No such file"),
        ("exec", None, "0x10", "-dfilter 0x10"),
        ("exec", None, "0x10..0x0", "empty range"),
        ("exec", None, "a+b", "-dfilter"),
        (None, None, "a+b", "-dfilter a+b: not start..end"),
        (None, None, "0..1", "-dfilter 0..1: it narrows what -d logs, and there is no -d"),
    ],
)
def test_bad_options(items: str | None, path: str | None, ranges: str | None, message: str) -> None:
    with pytest.raises(LogError, match=re.escape(message)):
        open_log(items, path, ranges)


def test_help_lists_every_item() -> None:
    assert [line.split()[0] for line in help_text().splitlines()] == list(ITEMS)
