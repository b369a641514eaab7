"""`-d` for a machine's processors, and what `info mem` shows: as much as the accelerator and the board can tell."""

from __future__ import annotations

from typing import Any

from isomorph.builds import NotGenerated, find_build
from runtime.core.cpu import load_isa
from runtime.machine import riscv
from runtime.machine.examine import Examiner
from runtime.machine.machine import Machine, MachineError

#: items that processors are asked for
_ITEMS = ("in_asm", "op", "op_opt", "exec", "cpu", "int", "mmu", "commit")


def trace(machine: Machine, isa: str) -> None:
    """Have the processors show what the machine's log wants; MachineError if they cannot."""
    log = machine.log
    vm: Any = machine.vm  # TCG's, unless it is refused below
    wanted = [item for item in _ITEMS if log is not None and item in log]
    if not wanted:
        if any(getattr(vcpu, "tracer", None) is not None for vcpu in machine.vcpus):
            vm.trace(None)
        return
    if machine.accelerator != "tcg":
        raise MachineError(f"-d {wanted[0]}: the accelerator {machine.accelerator} shows nothing of its processors")
    from isomorph.disassembly import disassembler
    from runtime.tcg.machine_trace import MachineTracer

    assert log is not None
    examiner = Examiner(machine)
    known = isa.startswith("riscv")
    bits = 32 if isa.endswith("32") else 64
    if "commit" in log and not known:
        raise MachineError("-d commit: there is a commit log of RISC-V processors only")

    def committing(vcpu: Any) -> Any:
        return riscv.commit_line(vcpu, bits, examiner.physical)

    try:
        disassemble = disassembler(load_isa(find_build(isa)))
    except NotGenerated:
        disassemble = None
    tracer = MachineTracer(log, disassemble, riscv.describe_trap if known else None, committing if known else None)
    vm.trace(tracer)


def mappings(examiner: Examiner, isa: str) -> str:
    """`info mem`."""
    if not isa.startswith("riscv"):
        return "there is no such list for these processors"
    return riscv.mappings(examiner.vcpu, 32 if isa.endswith("32") else 64, examiner.physical)
