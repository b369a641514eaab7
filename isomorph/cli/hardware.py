"""`--accel`: which accelerator a run asks for, and a program's machine on KVM."""

from __future__ import annotations

from runtime.core.memory import GuestMemory
from runtime.kvm.system import KvmError, unavailable
from runtime.kvm.user import UserMachine, UserVcpu
from runtime.kvm.user_state import LAYOUT, user_isa
from runtime.linux.loader import StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runtime.core.cpu import Isa, Vcpu
    from runtime.core.env import Exit
    from runtime.linux.elf import Image

__all__ = ["Hardware", "KvmError", "hardware_isa", "report"]


def hardware_isa(wanted: str, image: Image) -> Isa | None:
    """The instruction set of a program that is to run on KVM; None to run it on TCG.  `wanted`: kvm or kvm:tcg."""
    reason = None
    if (image.machine, image.bits) != (62, 64):
        reason = f"{image.path} is a program for {image.machine_name}: --accel kvm runs {LAYOUT.isa} programs"
    else:
        reason = unavailable()
    if reason is None:
        return user_isa()
    if wanted == "kvm:tcg":
        return None
    raise StartError(reason)


class Hardware:
    """A program's machine: what _Guest needs of it."""

    def __init__(self, memory: GuestMemory) -> None:
        try:
            self.machine = UserMachine(memory)
        except KvmError as error:
            raise StartError(str(error)) from None
        self.vcpu = self.machine.make_vcpu()

    def recruit(self, parent: Vcpu) -> tuple[Vcpu, Callable[[], Exit]]:
        """A vCPU for another thread, which begins as a copy of its parent's."""
        assert isinstance(parent, UserVcpu)
        made = self.machine.sibling(parent)
        return made, made.execute


def report(hardware: Hardware, seconds: float, system_calls: int | None) -> Iterator[str]:
    """What --stats says of a run of `seconds`."""
    machine = hardware.machine
    rate = machine.exits / seconds if seconds else 0.0
    yield f"{seconds:.3f} s on KVM"
    yield f"{machine.exits:,} exits ({rate:,.0f} a second), {machine.faults:,} of them for pages touched first"
    if system_calls is not None:
        yield f"{system_calls:,} system calls"
