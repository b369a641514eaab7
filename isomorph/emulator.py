"""`Emulator`: a bare machine of one instruction set, its memory, registers, hooks and snapshots, from Python."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from isomorph.builds import find_build
from isomorph.errors import IsomorphError, ProgramError, RunError
from isomorph.hooks import Hooks
from isomorph.isa import Isa
from isomorph.memory_view import Memory
from isomorph.programs import load_segments
from isomorph.registers import Registers
from isomorph.running import Runner
from isomorph.stop import StopReason
from runtime.core.cpu import load_isa
from runtime.core.env import ENV, GUEST_STATE
from runtime.core.layout import Layout
from runtime.core.memory import GuestMemory
from runtime.core.snapshot import MemorySnapshot, PageStore
from runtime.linux.abi import abi_of
from runtime.tcg.loop import Tcg, TcgVcpu
from runtime.tcg.tier_options import options_from_environment

_SAVED_FIELDS = ("pc", "flags", "cs_base", "exclusive_address", "exclusive_value", "npc")


class Snapshot:
    """Registers, modes and memory of an emulator at one moment; `emulator.restore` brings it back, again and again."""

    __slots__ = ("_executed", "_fields", "_layout", "_memory", "_owner", "_state", "pc")

    def __init__(
        self,
        owner: object,
        layout: Layout,
        state: bytes,
        fields: dict[str, int],
        executed: int,
        memory: MemorySnapshot,
    ) -> None:
        self._owner = owner
        self._layout = layout
        self._state = state
        self._fields = fields
        self._executed = executed
        self._memory = memory
        self.pc = fields["pc"]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, for `Emulator.load_snapshot` in this process or another."""
        from isomorph.snapshot_file import Saved, save

        save(path, self._layout, Saved(self._state, self._fields, self._executed, self._memory))

    def __repr__(self) -> str:
        return f"<snapshot: pc={self.pc:#x}, {len(self._memory.pages)} pages>"


class Emulator:
    """One virtual CPU and its memory.  Nothing is mapped at first, and all registers are as after reset.

    isa   name of a generated instruction set: "riscv64"
    cpu   another instruction set to use instead, as `isomorph run -cpu` takes it
    """

    def __init__(self, isa: str, cpu: str | None = None) -> None:
        generated = load_isa(find_build(cpu or isa))
        self.isa = Isa(generated.name, _generated=generated)
        self._abi = abi_of(generated)
        big_endian = self._abi is not None and self._abi.big_endian
        self._guest = GuestMemory(generated.layout.memories[0].address_width)
        self._tcg = Tcg(generated, self._guest, tier=options_from_environment())
        self._vcpu = TcgVcpu(self._tcg)
        self._runner = Runner(self, self._vcpu, self._abi, big_endian)
        self._store = PageStore(self._guest, self._runner.watch)
        self._closed = False
        self.mem = Memory(self._guest, big_endian)
        self.regs = Registers(self._vcpu)

    # ------------------------------------------------------------ running

    def run(
        self,
        start: int | None = None,
        until: int | Collection[int] | None = None,
        count: int | None = None,
        timeout: float | None = None,
    ) -> StopReason:
        """Run from `start` (or the pc) and say why it ended.

        until    stop before the instruction at this address (or any of these); at once, if the pc is there already
        count    stop after so many instructions, exactly
        timeout  stop after so many seconds

        An exception that no hook handles ends the run too; so does one raised in a hook, which passes through.
        """
        if self._closed:
            raise RunError("this emulator is closed")
        if count is not None and count < 0:
            raise RunError(f"count={count}: not a number of instructions")
        if start is not None:
            self.regs.pc = start
        addresses = () if until is None else (until,) if isinstance(until, int) else frozenset(until)
        return self._runner.run(addresses, count, timeout)

    def step(self, count: int = 1) -> StopReason:
        """Run `count` instructions."""
        return self.run(count=count)

    def stop(self) -> None:
        """End the run before its next instruction: from a hook at once, from another thread within milliseconds."""
        self._runner.stop()

    def stop_after_instruction(self) -> None:
        """For a hook: end the run when the instruction at pc is done."""
        self._runner.stop_after_instruction()

    def count_instruction(self) -> None:
        """For an exception hook that does the raising instruction's work and moves the pc on: let it count."""
        self._runner.count_instruction()

    @property
    def running(self) -> bool:
        """Whether a run is in progress (in a hook, or in another thread)."""
        return self._runner.running

    @property
    def instructions(self) -> int:
        """Instructions executed so far."""
        return self._vcpu.executed

    @property
    def hook(self) -> Hooks:
        """Hooks: `@emulator.hook.code(begin=..., end=...)` and others."""
        return self._runner.hooks

    def reset(self) -> None:
        """Registers as after reset; memory and hooks stay."""
        self._vcpu.reset()

    # ------------------------------------------------------------ snapshots

    def snapshot(self) -> Snapshot:
        """Registers, modes, memory contents, mappings and permissions as they are now.

        Pages that did not change since the last snapshot are shared with it.
        """
        vcpu = self._vcpu
        fields = {name: vcpu.words[ENV[name] // 8] for name in _SAVED_FIELDS}
        state = bytes(vcpu.octets[GUEST_STATE:])
        return Snapshot(self._guest, vcpu.layout, state, fields, vcpu.executed, self._store.take())

    def load_snapshot(self, path: str | os.PathLike[str]) -> Snapshot:
        """What `Snapshot.save` wrote, of any emulator of this instruction set; `restore` goes there."""
        from isomorph.snapshot_file import load

        layout = self._vcpu.layout
        saved = load(path, layout, self._guest.size, _SAVED_FIELDS)
        if len(saved.state) != len(self._vcpu.octets) - GUEST_STATE:
            raise IsomorphError(f"{os.fspath(path)}: the snapshot is damaged (its registers are cut short)")
        return Snapshot(self._guest, layout, saved.state, saved.fields, saved.executed, saved.memory)

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot of this emulator, all of it; hooks stay as they are."""
        if snapshot._owner is not self._guest:
            raise IsomorphError("a snapshot of another emulator: it can be restored only where it was taken")
        self._store.restore(snapshot._memory)
        self._runner.forget(snapshot._executed)
        self._vcpu.octets[GUEST_STATE:] = snapshot._state
        for name, value in snapshot._fields.items():
            self._vcpu.words[ENV[name] // 8] = value

    # ------------------------------------------------------------ programs

    def load_elf(self, path: str | os.PathLike[str], bias: int = 0) -> int:
        """Map the segments of an ELF executable, shifted by `bias`, and set the pc to its entry, which is returned.

        Only that: no stack, arguments or system calls; `Process` runs whole programs.
        """
        entry = load_segments(self._guest, os.fspath(path), bias)
        if entry >> self._vcpu.layout.pc_width:
            raise ProgramError(f"{os.fspath(path)}: entry {entry:#x} is no address of {self.isa.name}")
        self.regs.pc = entry
        return entry

    # ------------------------------------------------------------ the end

    def close(self) -> None:
        """Give the memory back to the host, as the end of a `with` block does; else the garbage collector does it."""
        if self._closed:
            return
        if self._runner.running:
            raise RunError("close() during a run: stop() it first")
        self._closed = True
        self._runner.close()
        with suppress(BufferError):  # a Linux thread's views of the registers keep them until they go themselves
            self._vcpu.close()
        self._tcg.close()
        self._guest.close()

    def __enter__(self) -> Emulator:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._closed:
            return f"<emulator of {self.isa.name}, closed>"
        return f"<emulator of {self.isa.name} at {self._vcpu.pc:#x}>"
