"""Single packets against a running stub: what gdb does not show, or other clients do otherwise."""

from __future__ import annotations

import random
import re
import subprocess
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.debug.client import PATIENCE, Client, connected, debugged
from tests.debug.guests import program
from tests.tools import isomorph

PC = 32  # riscv's number of it
SP = 2

#: what random packets are made of
_STARTS = (
    "? g G p P m M x X Z z H T c s C S bc bs vCont; vCont? vFile:open: vFile:pread: vFile:fstat: vFile:readlink: "
    "qSupported: qXfer:features:read:target.xml: qXfer:auxv:read:: qXfer:siginfo:read:: qRcmd, qThreadExtraInfo, "
    "QPassSignals: q Q v ! F"
)
_WORDS = (
    "0 1 -1 ffffffffffffffff 10000 3fffffe000 8000000000000000 , ; : = c s r C05 2f70726f632f73656c662f6d656d "
    "7fffffffffffffff p1.1 } # $ * zz \x00 \xff 1f _1 0x10"
)


def run_to(client: Client, address: int) -> None:
    assert client.ask(f"Z0,{address:x},2") == b"OK"
    assert b"swbreak" in client.ask("vCont;c")
    assert client.ask(f"z0,{address:x},2") == b"OK"
    assert client.register(PC) == address


def symbol(guest: Path, name: str) -> int:
    done = subprocess.run(["riscv64-linux-gnu-nm", str(guest)], capture_output=True, text=True, check=True)
    return next(int(line.split()[0], 16) for line in done.stdout.splitlines() if line.split()[-1] == name)


def test_target_xml_names_every_register_of_g(tmp_path: Path) -> None:
    with connected(tmp_path, program("values")) as (client, _):
        text, piece = b"", b"m"
        while piece[:1] == b"m":
            piece = client.ask(f"qXfer:features:read:target.xml:{len(text):x},100")
            text += piece[1:]
        target = ElementTree.fromstring(text)
        registers = target.findall("feature/reg")
        assert target.findtext("architecture") == "riscv:rv64"
        assert [int(register.get("regnum", "-1")) for register in registers] == list(range(len(registers)))
        sizes = [int(register.get("bitsize", "0")) // 8 for register in registers]
        everything = bytes.fromhex(client.ask("g").decode())
        assert len(everything) == sum(sizes)
        at = sum(sizes[:PC])
        assert int.from_bytes(everything[at : at + 8], "little") == client.register(PC)
        assert client.ask("G" + everything.hex()) == b"OK"
        assert bytes.fromhex(client.ask("g").decode()) == everything
        assert client.ask(f"p{len(registers):x}") == b"E01"
        assert client.ask("qXfer:features:read:other.xml:0,100") == b"E00"


def test_registers_and_memory_are_written_or_refused(tmp_path: Path) -> None:
    with connected(tmp_path, program("values")) as (client, _):
        stack = client.register(SP)
        assert client.ask(f"P{SP:x}={'11' * 8}") == b"OK"
        assert client.register(SP) == 0x1111111111111111
        assert client.ask(f"P{SP:x}={'11' * 4}") == b"E01"
        assert client.ask("P0=" + "22" * 8) == b"OK"
        assert client.register(0) == 0
        assert client.ask(f"M{stack:x},4:01020304") == b"OK"
        assert client.ask(f"X{stack + 4:x},3:".encode() + b"}#$") == b"OK"  # the client escapes them
        assert client.read(stack, 7) == bytes((1, 2, 3, 4)) + b"}#$"
        assert client.ask("m0,4") == b"E14"
        assert client.ask("mffffffffffffffff,4") == b"E14"
        assert client.ask("M0,1:00").startswith(b"E.nothing is mapped at 0x0")
        assert client.ask("M3fffffffff,2:0000").startswith(b"E.")  # beyond the end of all
        end = client.read(0x3FFFFFFFFF, 64)
        assert len(end) <= 1
        code = symbol(program("values"), "work")
        assert client.ask(f"M{code:x},2:0000") == b"OK"  # into code, whatever its permissions


def test_stepping_ranges_and_old_packets(tmp_path: Path) -> None:
    guest = program("values")
    with connected(tmp_path, guest) as (client, _):
        assert client.ask("vCont?") == b"vCont;c;C;s;S;t;r"
        work = symbol(guest, "work")
        run_to(client, work)
        before = client.register(PC)
        assert client.ask("vCont;s:1;t") == b"E01"  # no such thread, and nobody else may run
        assert client.ask("s").startswith(b"T05thread:")
        assert 2 <= client.register(PC) - before <= 4
        low, high = work, work + 0x18
        assert client.ask(f"vCont;r{low:x},{high:x}").startswith(b"T05thread:")
        assert not low <= client.register(PC) < high
        assert client.ask(f"Z0,{work + 2:x},2") == b"OK"
        assert b"swbreak" in client.ask(f"c{work:x}")  # from another address
        assert client.register(PC) == work + 2


def test_breakpoints_are_nowhere_in_memory(tmp_path: Path) -> None:
    guest = program("values")
    with connected(tmp_path, guest) as (client, _):
        work = symbol(guest, "work")
        before = client.read(work, 16)
        assert client.ask(f"Z0,{work:x},4") == b"OK"
        assert client.ask(f"Z1,{work + 4:x},4") == b"OK"
        assert client.ask("Z5,10,1") == b""
        assert client.ask(f"Z2,{work:x},0").startswith(b"E.")
        assert client.ask("Z0,ffffffffffffffff,4").startswith(b"E.")
        assert client.ask("vCont;c").startswith(b"T05")
        assert client.read(work, 16) == before
        assert client.register(PC) == work


def test_watchpoints_name_the_address(tmp_path: Path) -> None:
    guest = program("values")
    with connected(tmp_path, guest) as (client, _):
        place = symbol(guest, "global")
        run_to(client, symbol(guest, "work"))
        assert client.ask(f"Z2,{place + 1:x},1") == b"OK"
        assert f"watch:{place + 1:x};" in client.ask("vCont;c").decode()
        assert client.ask(f"z2,{place + 1:x},1") == b"OK"
        assert client.ask(f"Z3,{place:x},4") == b"OK"
        assert f"rwatch:{place:x};" in client.ask("vCont;c").decode()
        assert client.ask(f"z3,{place:x},4") == b"OK"
        assert client.ask(f"Z4,{place:x},4") == b"OK"
        assert f"awatch:{place:x};" in client.ask("vCont;c").decode()


def test_what_the_kernel_writes_is_watched_too(tmp_path: Path) -> None:
    guest = program("events")
    with connected(tmp_path, guest, "read") as (client, process):
        run_to(client, symbol(guest, "read"))
        buffer = client.register(11)
        assert client.ask(f"Z2,{buffer + 2:x},1") == b"OK"
        assert process.stdin is not None
        process.stdin.write(b"abcd")
        process.stdin.flush()
        assert f"watch:{buffer:x};" in client.ask("vCont;c").decode() or client.read(buffer, 4) == b"abcd"
        assert client.read(buffer, 4) == b"abcd"


@pytest.mark.parametrize("options", [(), ("--record",)], ids=["plain", "recorded"])
@pytest.mark.parametrize("what", ["read", "spin"])
def test_an_interrupt_stops_a_guest_that_computes_or_waits(tmp_path: Path, what: str, options: tuple[str, ...]) -> None:
    with connected(tmp_path, program("events"), what, options=options) as (client, process):
        client.send("vCont;c")
        assert client.silent(1)
        client.socket.sendall(b"\x03")
        assert client.stop().startswith(b"T02thread:")
        pc = client.register(PC)
        assert len(client.read(pc, 4)) == 4
        if what == "read":
            client.send("vCont;c")
            assert client.silent(0.3)
            assert process.stdin is not None
            process.stdin.write(b"word")
            process.stdin.flush()
            assert client.stop() == b"W05"
            assert process.communicate()[0] == b"read 4\ncount 0\n"
        else:
            assert client.ask("s").startswith(b"T05")
            assert client.register(PC) != pc


def test_reverse_packets_and_the_state_they_lead_to(tmp_path: Path) -> None:
    guest = program("values")
    with connected(tmp_path, guest, options=["--record"]) as (client, _):
        run_to(client, symbol(guest, "work"))
        states = [client.ask("g")]
        for _ in range(40):
            assert client.ask("s").startswith(b"T05")
            states.append(client.ask("g"))
        for state in states[-2::-1]:
            assert client.ask("bs").startswith(b"T05")
            assert client.ask("g") == state
        assert client.ask(f"M{client.register(SP):x},1:00").startswith(b"E.the past cannot be changed")
        assert client.ask("P1=" + "00" * 8).startswith(b"E.the past cannot be changed")
        assert b"replaylog:begin;" in client.ask("bc")
        assert b"replaylog:begin;" in client.ask("bs")
        for state in states[:1]:
            run_to(client, symbol(guest, "work"))
            assert client.ask("g") == state
        assert b"replaylog:end;" in client.ask("vCont;c")
        assert client.ask("g") == states[-1]
        assert client.ask("vCont;c") == b"W1e"


def test_reverse_across_system_calls_repeats_none_of_them(tmp_path: Path) -> None:
    guest = program("values")
    with connected(tmp_path, guest, "again", options=["--record"]) as (client, process):
        end = symbol(guest, "_exit")
        run_to(client, end)
        memory = client.read(client.register(SP), 256)
        assert b"replaylog:begin;" in client.ask("bc")
        assert b"replaylog:end;" in client.ask("vCont;c")
        assert client.register(PC) == end
        assert client.read(client.register(SP), 256) == memory
        assert client.ask("vCont;c") == b"W1e"
        assert process.communicate()[0] == b"result 350 again\n"


def test_nothing_recorded_nothing_reversed(tmp_path: Path) -> None:
    with connected(tmp_path, program("values")) as (client, _):
        assert client.ask("bs").startswith(b"E.nothing is recorded")
        assert client.ask("bx") == b""
        assert client.ask("?").startswith(b"T05")


def test_files_are_those_of_the_guest_and_read_only(tmp_path: Path) -> None:
    guest = program("values")
    secret = tmp_path / "fifo"
    subprocess.run(["mkfifo", str(secret)], check=True)

    def path(name: str | Path) -> str:
        return str(name).encode().hex()

    with connected(tmp_path, guest) as (client, _):
        assert client.ask("qXfer:exec-file:read::0,400")[1:].decode() == str(guest)
        assert client.ask("vFile:setfs:0") == b"F0"
        assert client.ask(f"vFile:open:{path(guest)},0,0") == b"F0"
        assert client.ask("vFile:pread:0,10,0") == b"F10;" + guest.read_bytes()[:16]
        status = client.ask("vFile:fstat:0")
        assert status.startswith(b"F40;")
        assert int.from_bytes(status[4 + 28 : 4 + 36], "big") == guest.stat().st_size
        assert client.ask("vFile:close:0") == b"F0"
        assert client.ask("vFile:close:0") == b"F-1,9"
        assert client.ask(f"vFile:open:{path('/proc/self/mem')},0,0").startswith(b"F-1,")
        assert client.ask(f"vFile:open:{path('/proc/self/maps')},0,0").startswith(b"F-1,")
        assert client.ask(f"vFile:open:{path(secret)},0,0") == b"F-1,d"
        assert client.ask(f"vFile:open:{path(tmp_path / 'new')},601,1ff") == b"F-1,1e"
        assert client.ask(f"vFile:open:{path(tmp_path / 'none')},0,0") == b"F-1,2"
        assert client.ask(f"vFile:unlink:{path(guest)}") == b"F-1,1e"
        assert client.ask("vFile:pread:zz,1,0") == b"F-1,16"
        assert not (tmp_path / "new").exists()


def test_a_client_that_hangs_up_leaves_the_program_running(tmp_path: Path) -> None:
    guest = program("values")
    with connected(tmp_path, guest, "alone") as (client, process):
        assert client.ask(f"Z0,{symbol(guest, 'leaf'):x},2") == b"OK"
        assert client.ask("vCont;c").startswith(b"T05")
        client.close()
        assert process.communicate(timeout=PATIENCE)[0] == b"result 350 alone\n"
        assert process.returncode == 30


def test_acknowledgements_and_what_is_no_packet(tmp_path: Path) -> None:
    with debugged(tmp_path, program("values")) as (_, path):
        client = Client(path)
        client.socket.sendall(b"+++junk$qC#00")
        assert client.socket.recv(1) == b"-"
        client.socket.sendall(b"$qC#b4")
        assert client.socket.recv(1) == b"+"
        assert client.receive().startswith(b"QC")
        client.close()


def test_random_packets_do_no_harm(tmp_path: Path) -> None:
    """Every packet is answered, or answered after an interrupt; at the end the stub is as sound as at the start."""
    guest = program("events")
    source = random.Random(2)
    with connected(tmp_path, guest, "spin", options=["--record"]) as (client, process):
        for _ in range(600):
            text = source.choice(_STARTS.split())
            for _ in range(source.randrange(6)):
                text += source.choice(_WORDS.split(" ")) + source.choice(("", ",", ":", ";"))
            data = text.encode("latin-1")
            if source.random() < 0.1:
                data = b"!" + source.randbytes(source.randrange(40))
            client.send(data)
            if client.silent(0.4):
                client.socket.sendall(b"\x03")
            answer = client.receive()
            while answer[:1] == b"O" and answer != b"OK":
                answer = client.receive()
            if answer[:1] == b"X":  # one of the signals it was sent
                break
        client.close()
        process.kill()
        _, errors = process.communicate()
        assert b"Traceback" not in errors, errors.decode()


def test_a_port_is_chosen_and_only_this_machine_can_connect() -> None:
    guest = program("values")
    process = subprocess.Popen(isomorph("run", "-g", "0", str(guest)), stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        found = re.search(rb"127\.0\.0\.1:(\d+)", process.stderr.readline())
        assert found is not None
        process.terminate()  # it waits, and can be ended as any other program
        assert process.wait(PATIENCE) != 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-g", "70000"], "ports are numbers up to 65535"),
        (["-g", "nonsense"], "neither a port nor the path of a socket"),
        (["-g", "/nowhere/at/all"], "cannot wait for gdb there: No such file or directory"),
        (["--record"], "--record is for gdb: it needs -g"),
    ],
)
def test_mistakes_are_told_in_one_line(options: list[str], message: str) -> None:
    done = subprocess.run(
        isomorph("run", *options, str(program("values"))), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_socket_left_behind_is_taken_over(tmp_path: Path) -> None:
    guest = program("values")
    with debugged(tmp_path, guest) as (process, path):
        process.kill()
        process.wait()
        assert Path(path).exists()
    with connected(tmp_path, guest) as (client, _):
        assert client.ask("?").startswith(b"T05")
        deadline = time.monotonic() + PATIENCE
        while Path(path).exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not Path(path).exists()
