"""`Process`: a user-mode Linux process driven from Python."""

from __future__ import annotations

import copy
import os
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import IO, TYPE_CHECKING

from isomorph.emulator import Emulator, Snapshot
from isomorph.errors import IsomorphError, ProgramError, RunError
from isomorph.programs import abi_for, isa_of, read_program
from isomorph.registers import Registers
from isomorph.running import Runner
from isomorph.stop import StopKind, StopReason
from runtime.core.cpu import Vcpu
from runtime.core.env import Exit
from runtime.linux.crew import Crew
from runtime.linux.elf import ElfError, identify, open_executable
from runtime.linux.loader import StartError, start
from runtime.linux.loader import load as load_program
from runtime.linux.process import Process as LinuxProcess
from runtime.linux.process import host_environment
from runtime.linux.signals import GuestKilled
from runtime.linux.syscalls.process import GuestExit

if TYPE_CHECKING:
    from runtime.linux.process import Execute

#: for stdout and stderr of a Process: keep what is written, for `process.stdout` and `process.stderr`
CAPTURE = object()


def _isa_of(path: str, wanted: str | None) -> str:
    """The instruction set that runs a program."""
    try:
        descriptor = open_executable(path)
        try:
            return isa_of(identify(path, descriptor), wanted).name
        finally:
            os.close(descriptor)
    except ElfError as error:
        raise ProgramError(str(error)) from None


class _Ended(Exception):
    """Carries a stop through the Linux layer's loop."""

    of_one_run = True

    def __init__(self, reason: StopReason) -> None:
        super().__init__(reason)
        self.reason = reason


class Process(Emulator):
    """A Linux program with its own memory, descriptors and signal actions, run under the eyes of an Emulator.

    path    a static executable, or a dynamic one with `sysroot`, the root of its libraries
    args    the program's arguments, without its own name
    env     its environment; None: this process's
    stdin   None (this process's), bytes, a path or an open file
    stdout, stderr   None, a path, an open file, or CAPTURE: then `process.stdout` and `process.stderr` are the bytes

    `run` serves its system calls until it ends, `status` is then its exit status (128 + n: killed by signal n).

    A program's threads run side by side, each on a thread of this process, and only while `run` does.  A hook's first
    argument has the registers of the thread it was called for; `regs` of the Process itself are the first thread's.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        args: Sequence[str | bytes] = (),
        env: Mapping[str, str] | None = None,
        *,
        stdin: bytes | str | os.PathLike[str] | IO[bytes] | None = None,
        stdout: object = None,
        stderr: object = None,
        sysroot: str | os.PathLike[str] | None = None,
        cpu: str | None = None,
        stack_size: int | None = None,
    ) -> None:
        if isinstance(args, str | bytes):
            raise TypeError(f"args are several: [{args!r}]")
        self.path = os.fspath(path)
        super().__init__(_isa_of(self.path, cpu))
        self.status: int | None = None
        self._captured: dict[int, int] = {}
        try:
            self._start(args, env, (stdin, stdout, stderr), sysroot, stack_size)
        except (ElfError, StartError) as error:
            self.close()
            raise ProgramError(str(error)) from None
        except BaseException:
            self.close()
            raise

    def _start(
        self,
        args: Sequence[str | bytes],
        env: Mapping[str, str] | None,
        streams: Sequence[object],
        sysroot: str | os.PathLike[str] | None,
        stack_size: int | None,
    ) -> None:
        descriptor = open_executable(self.path)
        try:
            image = read_program(self.path, descriptor)
            abi = abi_for(image, self.isa.generated)
            if abi is None:
                raise ProgramError(f"{self.isa.name} has no table of system calls; Emulator.load_elf() runs it bare")
            self._runner.serve(abi)
            self._process = LinuxProcess(abi, self._guest)
            self._process.share(Crew(self._tcg.cache.world, self._recruit))
            self._runner.on_stop = self._process.wake
            bias = load_program(self._process, image, descriptor)
        finally:
            os.close(descriptor)
        if sysroot is not None:
            from runtime.linux.sysroot import Sysroot

            self._process.sysroot = Sysroot(os.fsencode(sysroot))
        for number, stream in enumerate(streams):
            self._process.descriptors.add(self._open(number, stream), lowest=number)
        self._thread = self._process.add_thread(self._vcpu)
        words = [os.fsencode(self.path), *(os.fsencode(word) for word in args)]
        if env is None:
            environment = host_environment()
        else:
            environment = [os.fsencode(f"{name}={value}") for name, value in env.items()]
        start(self._process, self._thread, image, bias, words, environment, stack_size)

    def _open(self, number: int, stream: object) -> int:
        """A host descriptor, the process's own, for one of its standard streams."""
        if stream is None:
            return os.dup(number)
        if stream is CAPTURE and number:
            self._captured[number] = os.memfd_create(f"isomorph-{number}")
            return os.dup(self._captured[number])
        if isinstance(stream, bytes | bytearray) and not number:
            descriptor = os.memfd_create("isomorph-stdin")
            with os.fdopen(os.dup(descriptor), "wb") as file:
                file.write(stream)
            os.lseek(descriptor, 0, os.SEEK_SET)
            return descriptor
        if isinstance(stream, str | os.PathLike):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC if number else os.O_RDONLY
            return os.open(stream, flags | os.O_CLOEXEC, 0o666)
        fileno = getattr(stream, "fileno", None)
        if fileno is None:
            what = "bytes, a path or an open file" if not number else "a path, an open file or CAPTURE"
            raise ProgramError(f"standard stream {number}: {stream!r} is not {what}")
        if number:
            getattr(stream, "flush", lambda: None)()
        return os.dup(fileno())

    # ------------------------------------------------------------ running

    def run(
        self,
        start: int | None = None,
        until: int | Collection[int] | None = None,
        count: int | None = None,
        timeout: float | None = None,
    ) -> StopReason:
        """As Emulator.run, and system calls and signals are served; EXITED or KILLED when the program ended."""
        if self._closed:
            raise RunError("this process is closed")
        if self.status is not None:
            raise RunError(f"{self.path} has ended with status {self.status}: make another Process")
        if start is not None:
            self.regs.pc = start
        addresses = () if until is None else (until,) if isinstance(until, int) else frozenset(until)
        began = self.instructions
        with self._runner.session(addresses, count, timeout):
            try:
                self._process.run(self._thread, partial(_execute, self._runner, self._vcpu))
            except _Ended as ended:
                return ended.reason
            except GuestExit as ended:
                self.status = ended.status
                return StopReason(StopKind.EXITED, self._vcpu.pc, self.instructions - began)
            except GuestKilled as killed:
                self.status = 128 + killed.info.number
                return StopReason(StopKind.KILLED, self._vcpu.pc, self.instructions - began)
        raise AssertionError("a process's loop ends by an exception only")

    def _recruit(self, parent: Vcpu) -> tuple[Vcpu, Execute]:
        """A vCPU for another thread of the program, and what runs it: with the same hooks."""
        vcpu = self._tcg.sibling(parent)
        thread = copy.copy(self)  # what its hooks are given: this process with other registers
        thread._vcpu = vcpu
        thread.regs = Registers(vcpu)
        thread._runner = Runner(thread, vcpu, self._process.abi, self._process.abi.big_endian, self._runner)
        return vcpu, partial(_execute, thread._runner, vcpu)

    def snapshot(self) -> Snapshot:
        """Registers, modes, memory contents, mappings and permissions as they are now."""
        self._check_alone("snapshot")
        return super().snapshot()

    def _check_alone(self, what: str) -> None:
        count = len(self._process.threads)
        if count > 1:
            raise IsomorphError(f"{what}() of {self.path}, which has {count} threads: it is for one thread")

    @property
    def stdout(self) -> bytes:
        """What the program wrote to its standard output so far, if that is CAPTURE."""
        return self._written(1)

    @property
    def stderr(self) -> bytes:
        """The same for its standard error."""
        return self._written(2)

    def _written(self, number: int) -> bytes:
        descriptor = self._captured.get(number)
        if descriptor is None:
            raise ProgramError(
                f"{self.path}: this stream is not captured; use {('stdout', 'stderr')[number - 1]}=CAPTURE"
            )
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)

    def restore(self, snapshot: Snapshot) -> None:
        """Registers and memory as they were; open files and signal actions stay as they are."""
        if self.status is not None:
            raise IsomorphError(f"{self.path} has ended: restore before it does")
        self._check_alone("restore")
        super().restore(snapshot)

    def close(self) -> None:
        """Close the process's files and free its memory."""
        if self._closed:
            return
        process = getattr(self, "_process", None)
        if process is not None and process.group is not None:
            process.group.close()
        super().close()
        if process is not None:
            for number in process.descriptors.numbers():
                process.descriptors.close(number)
        for descriptor in self._captured.values():
            os.close(descriptor)
        self._captured.clear()

    def __repr__(self) -> str:
        state = "" if self.status is None else f", status {self.status}"
        return f"<process {self.path} of {self.isa.name}{state}>"


def _execute(runner: Runner, vcpu: Vcpu) -> Exit:
    """What the Linux layer calls to have a thread's guest code run on."""
    reason = runner.resume()
    if reason.exception is not None:
        if runner.is_call():
            runner.count_instruction()
        return Exit.EXCEPTION
    if reason.kind is StopKind.WAIT:
        return Exit.WAIT
    if reason.kind is StopKind.STOPPED and vcpu.attention[0]:
        return Exit.BUDGET
    raise _Ended(reason)
