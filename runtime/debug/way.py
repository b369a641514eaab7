"""How guest code is run under a debugger: what the accelerator of a Linux program has to offer for it.

TCG marks memory and runs translated code (TranslatedWay); KVM has the processor itself do it (hardware.py).
"""

from __future__ import annotations

from typing import Protocol

from runtime.core.watch import Watch
from runtime.debug.breakpoints import Breakpoints
from runtime.debug.description import load_description
from runtime.debug.execution import Executor
from runtime.tcg.loop import TcgVcpu, cpu_exec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.core.cpu import Vcpu
    from runtime.core.env import Exit
    from runtime.debug.breakpoints import Marks
    from runtime.debug.description import Description
    from runtime.debug.execution import Execution
    from runtime.debug.history import History


class Way(Protocol):
    """What differs between accelerators.

    description   the registers
    native        whether the processor itself runs guest code: it must be kicked out of it, breakpoints are in memory
    """

    description: Description
    native: bool

    def breakpoints(self) -> Breakpoints:
        """An empty set of what can be inserted."""

    @property
    def marks(self) -> Marks:
        """Where breakpoints are made known."""

    def execution(self, vcpu: Vcpu, breakpoints: Breakpoints) -> Execution:
        """Runs one thread's vCPU."""

    def plain(self, vcpu: Vcpu) -> Exit:
        """Run it without anybody watching."""

    def stands(self) -> None:
        """The process stands still: the debugger sees its memory as it is."""

    def goes_on(self) -> None:
        """It is about to run."""

    def history(self, execution: Execution) -> History:
        """A recording from here on; DebugError where nothing can be recorded."""

    def close(self) -> None:
        """Take all marks off the memory."""


class TranslatedWay:
    """TCG's."""

    native = False

    def __init__(self, vcpu: TcgVcpu) -> None:
        cache = vcpu.tcg.cache
        self.description = load_description(vcpu.isa)
        self._watch = Watch(vcpu.memory, cache.invalidate_range, cache.set_hooked)

    @property
    def marks(self) -> Watch:
        return self._watch

    def breakpoints(self) -> Breakpoints:
        return Breakpoints()

    def execution(self, vcpu: Vcpu, breakpoints: Breakpoints) -> Executor:
        assert isinstance(vcpu, TcgVcpu)
        return Executor(vcpu, breakpoints, self._watch)

    def plain(self, vcpu: Vcpu) -> Exit:
        assert isinstance(vcpu, TcgVcpu)
        return cpu_exec(vcpu)

    def stands(self) -> None:
        pass

    def goes_on(self) -> None:
        pass

    def history(self, execution: Execution) -> History:
        from runtime.debug.history import History

        assert isinstance(execution, Executor)
        return History(execution)

    def close(self) -> None:
        watch = self._watch
        watch.tracking = False
        watch.set_ranges([], [], [])
        watch.close()


def way_of(vcpu: Vcpu) -> Way:
    """That of the accelerator a vCPU belongs to."""
    if isinstance(vcpu, TcgVcpu):
        return TranslatedWay(vcpu)
    from runtime.debug.hardware import HardwareWay

    return HardwareWay(vcpu)
