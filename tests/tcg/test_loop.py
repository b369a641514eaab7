"""cpu_exec from outside: interruptions, several vCPUs, fork, programs of a generated ISA."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.core.cpu import Isa, load_isa
from runtime.core.env import Exit
from runtime.tcg.blobs import Blob
from runtime.tcg.loop import TcgVcpu, cpu_exec
from tests.tcg.conftest import CODE, Machine
from tests.tcg.test_cache import check_consistency
from tests.tcg.test_engine import loop
from tests.tcg.toy import ADDI, BNEZ, JMP, LI, TRAP, TRAP_OP, insn
from tests.tools import compile_c, isomorph, require_build, run, tool

Make = Callable[..., Machine]
FOREVER = insn(ADDI, 0, 1) + insn(JMP, 0, -2)


def test_control_c_leaves_a_state_to_go_on_from(machine: Make) -> None:
    m = machine(FOREVER)
    interrupted = False

    def interrupt(number: int, frame: object) -> None:
        nonlocal interrupted
        if m.cpu.executed > 1_000_000 and not interrupted:
            interrupted = True
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        with pytest.raises(KeyboardInterrupt):
            cpu_exec(m.cpu)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    executed = m.cpu.executed
    assert executed > 1_000_000
    assert m.register(0) == (executed + (m.cpu.pc != CODE)) // 2
    assert cpu_exec(m.cpu, 1000) is Exit.BUDGET
    assert m.cpu.executed == executed + 1000


def test_another_thread_asks_for_a_stop(machine: Make) -> None:
    m = machine(FOREVER)
    timer = threading.Timer(0.02, setattr, (m.cpu, "stop_requested", True))
    timer.start()
    assert cpu_exec(m.cpu) is Exit.BUDGET
    timer.join()
    m.cpu.stop_requested = False
    assert cpu_exec(m.cpu, 10) is Exit.BUDGET


def test_python_threads_run_beside_a_vcpu(machine: Make) -> None:
    m = machine(FOREVER)
    turns = 0

    def count() -> None:
        nonlocal turns
        for _ in range(100_000):
            turns += 1
        m.cpu.stop_requested = True

    thread = threading.Thread(target=count)
    thread.start()
    assert cpu_exec(m.cpu) is Exit.BUDGET
    thread.join()
    assert turns == 100_000


def test_two_vcpus_share_blocks_and_lose_them_together(machine: Make) -> None:
    m = machine(loop(10, insn(ADDI, 0, 1)))
    other = TcgVcpu(m.tcg, 1)
    other.pc = CODE
    assert (cpu_exec(m.cpu), cpu_exec(other)) == (Exit.EXCEPTION, Exit.EXCEPTION)
    assert m.cache.statistics()["generated"] == 3
    m.memory.write(CODE, loop(10, insn(ADDI, 0, 2)))
    m.cpu.pc = other.pc = CODE
    assert (cpu_exec(other), cpu_exec(m.cpu)) == (Exit.EXCEPTION, Exit.EXCEPTION)
    assert (m.register(0), other.get("R", 0)) == (30, 30)
    check_consistency(m.cache)
    other.close()
    m.memory.write(CODE, loop(10, insn(ADDI, 0, 3)))
    m.cpu.pc = CODE
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.register(0) == 60


def test_fork(machine: Make) -> None:
    m = machine(loop(10, insn(ADDI, 0, 1)) + insn(LI, 0, 7) + insn(TRAP_OP))
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    child = os.fork()
    if child == 0:
        # Nothing that happens here may reach the parent.
        status = 1
        try:
            m.memory.write(CODE, insn(LI, 0, 42) + insn(TRAP_OP))
            m.cpu.pc = CODE
            if cpu_exec(m.cpu) is Exit.EXCEPTION:
                status = m.register(0)
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
    m.cpu.pc = CODE
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.register(0) == 20


def test_registers_by_name(machine: Make) -> None:
    m = machine()
    cpu = m.cpu
    cpu.set("R", (1 << 64) + 5, 3)
    assert cpu.get("R", 3) == 5
    assert cpu.find("r3") == (m.tcg.isa.layout.by_name["R"], 3)
    assert cpu.find("nosuch") is None
    with cpu.file("R") as registers:
        assert registers[3] == 5
        registers[4] = 6
    assert cpu.get("R", 4) == 6
    with pytest.raises(IndexError):
        cpu.get("R", 8)
    cpu.set_mode("double", 1)
    assert cpu.get_mode("double") == 1
    cpu.reset()
    assert (cpu.get("R", 3), cpu.get_mode("double"), cpu.pc) == (0, 0, 0)


def test_a_folder_without_an_isa(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="make gen ISA=nosuch"):
        load_isa(tmp_path / "nosuch")


def test_isas_are_told_apart_by_their_folder(tmp_path: Path) -> None:
    made: list[Isa] = []
    for name in ("one", "two"):
        folder = tmp_path / name / "same"
        folder.mkdir(parents=True)
        (folder / "state.py").write_text(f"LAYOUT = {name!r}\n")
        made.append(load_isa(folder))
    assert [(isa.name, str(isa.layout)) for isa in made] == [("same", "one"), ("same", "two")]
    assert load_isa(tmp_path / "one" / "same").state is made[0].state


# ------------------------------------------------------------ a generated ISA


def self_modifying_program() -> Path:
    require_build("riscv64")
    source = Path(__file__).parent / "programs" / "self_modifying.c"
    return compile_c("riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu", [source], ["-O1", "-static"])


@pytest.mark.parametrize("cache", ["4K", "32K", "64M"])
def test_self_modifying_program(cache: str) -> None:
    program = self_modifying_program()
    expected = run([tool("qemu-riscv64", "qemu-user"), str(program)])
    actual = run(isomorph("run", "-tb-size", cache, str(program)))
    assert (actual.status, actual.stdout, actual.stderr) == (expected.status, expected.stdout, expected.stderr)


def test_every_log_item_of_a_whole_program(tmp_path: Path) -> None:
    program = self_modifying_program()
    log = tmp_path / "log"
    done = run(isomorph("run", "-d", "in_asm,op,op_opt,out_asm,exec,cpu", "-D", str(log), str(program), "20"))
    plain = run(isomorph("run", str(program), "20"))
    assert (done.status, done.stdout, done.stderr) == (plain.status, plain.stdout, plain.stderr)
    text = log.read_text()
    for start in (
        "----------------\nIN: _start\n",
        "\nOP:\n",
        "\nOP after optimization:\n",
        "\nOUT: [size=",
        "\nTrace 0: 0x",
    ):
        assert start in text
    # Every block that ran is one that was shown.
    shown = set(re.findall(r"^IN:.*\n0x([0-9a-f]{16}):", text, re.MULTILINE))
    ran = set(re.findall(r"^Trace 0: 0x[0-9a-f]+ \[00000000/([0-9a-f]{16})/", text, re.MULTILINE))
    assert ran == shown
    assert len(ran) > 400


def test_no_machine_state_is_shared_with_a_raise(machine: Make, toy_code: Blob) -> None:
    """A trap in one machine is not seen by another made from the same blob."""
    m, n = Machine(toy_code, insn(TRAP_OP)), Machine(toy_code, insn(LI, 1, 3) + insn(BNEZ, 1, 0))
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert cpu_exec(n.cpu, 100) is Exit.BUDGET
    assert (m.cpu.exception, n.cpu.exception) == (TRAP, 0)
    m.close()
    n.close()
