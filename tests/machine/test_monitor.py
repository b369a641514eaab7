"""The human monitor and QMP on a machine that runs, the latter by QEMU's own client."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runtime.hw.characters import Mux, Recorder
from runtime.hw.host_characters import SocketServer
from runtime.machine.examine import Examiner
from runtime.machine.monitor import LineMonitor, Monitor
from runtime.machine.qmp import QmpServer
from runtime.machine.snapshots import Snapshots
from runtime.machine.virt import DRAM, UART
from tests.machine.boards import Board, board


def decode(data: bytes, address: int, modes: int) -> tuple[int, str, str]:
    """A disassembler for tests: every instruction has two bytes."""
    return 2, data[:2][::-1].hex(), f"half {int.from_bytes(data[:2], 'little'):#x}"


@contextmanager
def monitored(**options: Any) -> Iterator[tuple[Board, Monitor]]:
    with board(**options) as made:
        machine = made.machine
        monitor = Monitor(machine, Examiner(machine, lambda: decode), Snapshots(machine))
        machine.start(paused=True)
        machine.settle()
        yield made, monitor


def test_memory_and_registers() -> None:
    with monitored() as (made, monitor):
        made.machine.memory.write(DRAM, bytes(range(32)))
        assert monitor.execute(f"xp/4xw {DRAM:#x}") == "80000000: 0x03020100 0x07060504 0x0b0a0908 0x0f0e0d0c"
        assert monitor.execute(f"x /2xg {DRAM:#x} + 16").splitlines() == [
            "0000000080000010: 0x1716151413121110 0x1f1e1d1c1b1a1918"
        ]
        assert monitor.execute("xp/3db 0x80000001") == "80000001: 1 2 3"
        assert monitor.execute("xp/2i 0x80000000").splitlines() == [
            "80000000:      0100  half 0x100",
            "80000002:      0302  half 0x302",
        ]
        made.vcpus[0].pc, made.vcpus[0].counter = DRAM + 4, 0x99
        assert monitor.execute("x/1xw $pc") == "0000000080000004: 0x07060504"
        assert monitor.execute("p $counter + 1") == "0x9a"
        assert "counter 0000000000000099" in monitor.execute("info registers")
        assert monitor.execute("info cpus").startswith("* CPU #0: pc=0x80000004")


def test_what_a_user_gets_wrong() -> None:
    with monitored(count=2) as (_, monitor):
        for line, answer in {
            "frob": "unknown command: 'frob'",
            "s": "",
            "sy": "unknown command: 'sy' (could be system_reset, system_powerdown)",
            "info nothing": "there is no 'info nothing'",
            "x": "it needs an address: x/4xw 0x80000000",
            "xp/4xw zero": "'zero' is no number",
            "xp/4q 0": "/4q: 'q' is no format; there are x d u o c i, and sizes b h w g",
            "xp/1000000xw 0": "/1000000xw: 1 to 65536 items",
            "xp 0x10": "cannot read 0x10: nothing is there",
            f"xp {UART:#x}": f"cannot read {UART:#x}: the device serial0 is there",
            "x 0x100000000": "cannot read 0x100000000: it is not mapped",
            "p $nothing": "there is no register $nothing",
            "cpu 2": "there are processors 0 to 1",
            "cpu 1": "",
            "savevm": "a saved state needs a name",
            "loadvm none": "none.vmstate: No such file or directory",
            "delvm /dev/null": "/dev/null: no saved machine, or a damaged one",
            "savevm a\0b": "savevm: embedded null byte",
            "loadvm \ud800": "loadvm: 'utf-8' codec can't encode",
            f"x/{'9' * 5000}xw 0": "x: Exceeds the limit",
            "screendump x": "the machine has no screen",
            "log nothing": "log nothing: there is no such item; there are",
            "": "",
        }.items():
            assert monitor.execute(line).startswith(answer), line
            assert bool(monitor.execute(line)) == bool(answer), line


def test_listings() -> None:
    with monitored(count=2) as (_, monitor):
        tree = monitor.execute("info mtree")
        assert "0000000080000000-0000000080ffffff (prio 0, ram): riscv_virt_board.ram" in tree
        assert "0000000010000000-00000000100000ff device serial0" in tree
        assert "serial0 (ns16550a) at 0x10000000, irq 10" in monitor.execute("info qtree")
        assert "processors' inputs that are up: none" in monitor.execute("info irq")
        assert "info registers" in monitor.execute("info")
        assert "savevm NAME" in monitor.execute("help")
        assert monitor.execute("help x").startswith("x /FORMAT ADDRESS")


def test_states(tmp_path: Path) -> None:
    name = str(tmp_path / "state")
    with monitored() as (made, monitor):
        made.machine.memory.write(DRAM, b"before")
        assert monitor.execute(f"savevm {name}") == ""
        made.machine.memory.write(DRAM, b"after.")
        assert monitor.execute(f"loadvm {name}") == ""
        assert made.machine.memory.read(DRAM, 6) == b"before"
        assert name in monitor.execute("info snapshots")
    with monitored() as (made, monitor):
        assert monitor.execute(f"loadvm {name}") == ""
        assert made.machine.memory.read(DRAM, 6) == b"before"
        Path(name).write_bytes(b"garbage")
        assert "no saved machine" in monitor.execute(f"loadvm {name}")
        assert "no saved machine" in monitor.execute(f"delvm {name}"), "whatever file that is, it stays"
        assert monitor.execute(f"savevm {name}") == ""
        assert monitor.execute(f"delvm {name}") == ""
        assert not Path(name).exists()


def test_a_console_and_a_monitor_on_one_stream() -> None:
    stream, ended = Recorder(), list[bool]()
    with monitored() as (made, monitor):
        mux = Mux(stream, lambda: ended.append(True))
        typed: list[bytes] = []
        mux.channel("serial").connect(typed.append)
        LineMonitor(monitor, mux.channel("monitor"))
        stream.feed(b"to the guest\x01\x01\x01c")
        assert b"".join(typed) == b"to the guest\x01"
        assert stream.written.endswith(b"(isomorph) ")
        stream.feed(b"info statsu\x7f\x7fus\r")
        made.machine.settle()
        assert b"VM status: paused (prelaunch)" in stream.written
        stream.feed(b"\x01cback\x01h")
        assert b"".join(typed).endswith(b"back")
        assert b"C-a x" in stream.written
        stream.feed(b"\x01x")
        assert ended == [True]


# -------------------------------------------------------------------- QMP


@contextmanager
def served(place: str) -> Iterator[Board]:
    """A machine that runs in a thread, with a QMP server at a socket."""
    with board(count=2) as made:
        machine = made.machine
        monitor = Monitor(machine, Examiner(machine), Snapshots(machine))
        stream = SocketServer(machine.events, place)
        QmpServer(machine, monitor, stream, "test", "riscv32")
        machine.start(paused=True)
        thread = threading.Thread(target=machine.run)
        thread.start()
        try:
            yield made
        finally:
            machine.power_off(0, "host-signal")
            thread.join(60)
            stream.close()


def test_qmp_with_the_real_client(tmp_path: Path) -> None:
    client_of = pytest.importorskip("qemu.qmp", reason="no qemu.qmp (pip install qemu.qmp)")
    place = str(tmp_path / "qmp")

    async def talk() -> None:
        client = client_of.QMPClient("test")
        await client.connect(place)
        try:
            assert (await client.execute("query-status"))["status"] == "prelaunch"
            await client.execute("cont")
            while not (await client.execute("query-status"))["running"]:
                pass
            with client.listener(("STOP", "RESUME")) as listener:
                await client.execute("stop")
                assert (await listener.get())["event"] == "STOP"
                assert (await client.execute("query-status"))["status"] == "paused"
                await client.execute("cont")
                assert (await listener.get())["event"] == "RESUME"
            processors = await client.execute("query-cpus-fast")
            assert [one["target"] for one in processors] == ["riscv32"] * 2
            text = await client.execute("human-monitor-command", {"command-line": "info status"})
            assert text == "VM status: running\r\n"
            assert await client.execute("query-block") == []
            assert await client.execute("query-vnc") == {"enabled": False}
            with pytest.raises(client_of.ExecuteError, match="the machine has no keyboard"):
                await client.execute("send-key", {"keys": [{"type": "qcode", "data": "ret"}]})
            with pytest.raises(client_of.ExecuteError, match="Parameter 'keys' is a list"):
                await client.execute("send-key", {"keys": [3]})
            with pytest.raises(client_of.ExecuteError, match="nonsense has not been found"):
                await client.execute("nonsense")
            with pytest.raises(client_of.ExecuteError, match="'filename' is missing"):
                await client.execute("screendump")
            with pytest.raises(client_of.ExecuteError, match="no screen"):
                await client.execute("screendump", {"filename": "x"})
            with client.listener("RESET") as listener:
                await client.execute("system_reset")
                assert (await listener.get())["data"]["reason"] == "host-qmp-system-reset"
            with client.listener("SHUTDOWN") as listener:
                await client.execute("quit")
                assert (await listener.get())["event"] == "SHUTDOWN"
        finally:
            await client.disconnect()

    with served(place):
        asyncio.run(asyncio.wait_for(talk(), 120))


def test_qmp_input_that_is_wrong() -> None:
    stream = Recorder()
    with monitored() as (made, monitor):
        QmpServer(made.machine, monitor, stream, "test", "riscv32")
        stream.on_open()

        def ask(text: str) -> list[dict[str, Any]]:
            stream.written.clear()
            stream.feed(text.encode())
            for _ in range(3):
                made.machine.settle()
            return [json.loads(line) for line in stream.written.splitlines()]

        assert ask('{"execute": "query-status"}')[0]["error"]["class"] == "CommandNotFound"
        assert ask('{"execute": "qmp_capabilities", "id": 7}') == [{"id": 7, "return": {}}]
        assert "'execute'" in ask("{}")[0]["error"]["desc"]
        assert ask("this is no JSON\n")[0]["error"]["desc"] == "JSON parse error"
        assert "object" in ask("[1]")[0]["error"]["desc"]
        assert "object" in ask('{"execute": "query-status", "arguments": 3}')[0]["error"]["desc"]
        assert ask('{"execute": "query-name"}\n{"execute": "query-status"}\n')[1]["return"]["running"] is False
        assert ask('{"execute": ') == []
        assert ask('"query-name"}') == [{"return": {"name": "virt"}}]
        assert "desc" in ask("[" * 100000 + "\n")[0]["error"]
        tag = '{"execute": "snapshot-save", "arguments": {"tag": "a\\u0000b"}}'
        assert "null byte" in ask(tag)[0]["error"]["desc"]
