"""Running a program whose instruction set has no table of system calls: until it raises its first exception."""

from __future__ import annotations

from runtime.core.env import Exit
from runtime.linux.crash import state_lines
from runtime.linux.loader import StartError, load_segment
from runtime.tcg.loop import cpu_exec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.core.disassembly import Disassemble
    from runtime.linux.elf import Image
    from runtime.linux.symbols import Symbols
    from runtime.tcg.loop import TcgVcpu


def load(vcpu: TcgVcpu, image: Image, descriptor: int) -> None:
    """Put the program into memory; it has no stack but what it makes itself."""
    if image.high > vcpu.memory.size:
        raise StartError(
            f"{image.path}: its segments end at {image.high:#x}, the address space of {vcpu.layout.isa} at"
            f" {vcpu.memory.size:#x}; link it lower (isomorph asm --base)"
        )
    for segment in image.segments:
        load_segment(vcpu.memory, segment, descriptor, 0, image.path)
    vcpu.pc = image.entry


def run(vcpu: TcgVcpu, image: Image, symbols: Symbols, disassemble: Disassemble | None) -> str:
    """Run to the first exception; what stopped the program, where, and its registers."""
    while (reason := cpu_exec(vcpu)) == Exit.BUDGET:
        vcpu.stop_requested = False
    layout = vcpu.layout
    what = f"exception {layout.exception_name(vcpu.exception)}" if reason == Exit.EXCEPTION else "waiting for ever"
    place = f" <{name}>" if (name := symbols.describe(vcpu.pc)) else ""
    lines = [f"isomorph: {image.path}: stopped by {what} at {vcpu.pc:#x}{place}"]
    if reason == Exit.EXCEPTION and any(vcpu.arguments):
        lines.append(f"  arguments {', '.join(f'{value:#x}' for value in vcpu.arguments)}")
    lines.append(f"  {layout.isa} has no table of system calls (docs/adding-an-isa.md): every exception ends a program")
    return "\n".join([*lines, *state_lines(vcpu, symbols, disassemble)]) + "\n"
