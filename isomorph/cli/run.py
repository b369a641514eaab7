"""`isomorph run`: run a Linux program; options are spelled as QEMU's."""

from __future__ import annotations

import errno
import gc
import os
import time

from isomorph.builds import NotGenerated, generated
from isomorph.cli.main import complain
from isomorph.programs import abi_for, isa_of, read_program
from runtime.core.failure import EngineError
from runtime.core.light import host_signals, suppress
from runtime.core.log import LogError, help_text, open_log
from runtime.core.memory import GuestMemory
from runtime.linux.abi import AbiError
from runtime.linux.attention import begin, begin_again, die
from runtime.linux.crew import Crew
from runtime.linux.elf import ElfError, open_executable
from runtime.linux.loader import StartError, start
from runtime.linux.loader import load as load_program
from runtime.linux.process import Process, Thread, host_environment
from runtime.linux.signals import GuestKilled
from runtime.linux.syscalls.process import GuestExit, GuestReplaced
from runtime.tcg.blobs import BlobError
from runtime.tcg.code_cache import DEFAULT_BYTES
from runtime.tcg.loop import Tcg, TcgVcpu, cpu_exec
from runtime.tcg.tier_options import OFF, OptionError, TierOptions, options_from_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from isomorph.cli.hardware import Hardware
    from runtime.core.cpu import Isa, Vcpu
    from runtime.core.disassembly import Disassemble
    from runtime.core.log import Log
    from runtime.debug.attach import Debugging
    from runtime.linux.elf import Image
    from runtime.linux.process import Execute
    from runtime.linux.symbols import Symbols
    from runtime.linux.sysroot import Sysroot

_EPILOG = """\
examples:
  isomorph run ./prog arg ...
  isomorph run -L /usr/riscv64-linux-gnu ./dynamic-prog
  isomorph run -strace -E LANG=C ./prog
  isomorph run -d in_asm,exec -dfilter 0x10000..0x10fff -D log ./prog
  isomorph run --stats ./prog

The exit status is the program's; 128 + n if signal n killed it; 1 if it cannot be started; 2 for wrong options."""


class RunOptions:
    """What the command line asks for."""

    def __init__(self) -> None:
        self.root: str | None = None
        self.set: list[str] = []
        self.unset: list[str] = []
        self.argv0: str | None = None
        self.stack: int | None = None
        self.cpu: str | None = None
        self.accel = "tcg"
        self.strace = False
        self.log: str | None = None
        self.log_file: str | None = None
        self.dfilter: str | None = None
        self.cache: int | None = None
        self.threshold: int | None = None
        self.workers: int | None = None
        self.no_cache = False
        self.perf_map = False
        self.stats = False
        self.gdb: str | None = None
        self.record = False
        self.help = False

    def tier(self) -> TierOptions:
        """How hot code is compiled; what the command line leaves open the environment says."""
        base = options_from_environment()
        if self.gdb is not None:
            return OFF  # gdb wants to see each instruction, and a recording to count them
        # What comes from the cache has no listing.
        listed = self.log is not None and not {"op", "op_opt", "out_asm"}.isdisjoint(self.log.split(","))
        return TierOptions(
            base.threshold if self.threshold is None else self.threshold,
            base.workers if self.workers is None else self.workers,
            None if self.no_cache or listed else base.cache,
            base.memory,
            self.perf_map,
            base.size,
        )


#: option -> attribute of RunOptions, placeholder of its value ("" if it takes none), help.  Not argparse's, whose
#: import takes as long as all the rest of a short run.
OPTIONS: dict[str, tuple[str, str, str]] = {
    "-L": ("root", "DIR", "root of the guest's file system, looked into first; default: $QEMU_LD_PREFIX"),
    "-E": ("set", "VAR=VALUE", "set a variable of the program's environment"),
    "-U": ("unset", "VAR", "take a variable out of it"),
    "-0": ("argv0", "NAME", "what the program sees as argv[0]"),
    "-s": ("stack", "SIZE", "bytes of stack, e.g. 64M; default: the shell's limit (ulimit -s)"),
    "-cpu": ("cpu", "NAME", "instruction set, if not the one of the program's machine; help lists them"),
    "--isa": ("cpu", "NAME", "the same"),
    "--accel": ("accel", "NAME", "tcg, kvm (x86_64 programs, on the processor itself) or kvm:tcg (kvm if it can be)"),
    "-accel": ("accel", "NAME", "the same"),
    "-strace": ("strace", "", "print system calls on stderr"),
    "-d": ("log", "ITEMS", "what to log, separated by commas; help lists the items"),
    "-D": ("log_file", "FILE", "where the log goes; default: stderr"),
    "-dfilter": ("dfilter", "RANGES", "log only blocks in start..end, start+size or start-size"),
    "-tb-size": ("cache", "SIZE", "bytes of translated code kept"),
    "--tier1-threshold": ("threshold", "N", "compile code that was entered N times; 0: never"),
    "--workers": ("workers", "N", "processes that compile; 0: none, the program waits for its compiler"),
    "--no-cache": ("no_cache", "", "keep no compiled code on disk, use none (see isomorph cache)"),
    "--perf-map": ("perf_map", "", "tell perf(1) where compiled code lies: /tmp/perf-PID.map"),
    "--stats": ("stats", "", "print instructions, blocks and time at the end"),
    "-g": ("gdb", "PORT", "wait for gdb on 127.0.0.1:PORT (0: any), on HOST:PORT, or on a socket's path"),
    "--record": ("record", "", "with -g: record, for gdb's reverse-step and reverse-continue"),
    "--help": ("help", "", "print this"),
}


_ACCELERATORS = ("tcg", "kvm", "kvm:tcg")


class UsageError(Exception):
    """A command line that makes no sense."""


def help_message() -> str:
    """What `isomorph run --help` prints."""
    lines = ["usage: isomorph run [options] program [argument ...]", ""]
    lines += ["Run a Linux program made for another machine, which its ELF header names.", "", "options:"]
    for name, (_, value, text) in OPTIONS.items():
        lines.append(f"  {f'{name} {value}':18} {text}")
    return "\n".join([*lines, "", _EPILOG, ""])


def parse(words: Sequence[str]) -> tuple[RunOptions, list[str]]:
    """Our options, and the program with its arguments: what follows the first word that is no option."""
    options = RunOptions()
    at = 0
    while at < len(words) and words[at].startswith("-"):
        name = words[at]
        at += 1
        if name == "--":
            break
        option = OPTIONS.get("--help" if name == "-h" else name)
        if option is None:
            raise UsageError(f"there is no option {name}")
        attribute, placeholder, _ = option
        if not placeholder:
            setattr(options, attribute, True)
            continue
        if at == len(words):
            raise UsageError(f"{name} needs a value: {name} {placeholder}")
        _put(options, attribute, name, words[at])
        at += 1
    return options, list(words[at:])


def _put(options: RunOptions, attribute: str, name: str, value: str) -> None:
    if attribute in ("stack", "cache"):
        setattr(options, attribute, _size(name, value))
    elif attribute == "accel":
        if value not in _ACCELERATORS:
            raise UsageError(f"{name} {value}: not one of {', '.join(_ACCELERATORS)}")
        options.accel = value
    elif attribute in ("threshold", "workers"):
        if not value.isdecimal():
            raise UsageError(f"{name} {value}: not a number")
        setattr(options, attribute, int(value))
    elif attribute in ("set", "unset"):
        if attribute == "set" and ("=" not in value or value.startswith("=")):
            raise UsageError(f"{name} {value}: not VAR=VALUE")
        getattr(options, attribute).append(value)
    else:
        setattr(options, attribute, value)


def _size(name: str, text: str) -> int:
    """A number of bytes: 4096, 0x1000, 64K, 8M, 1G."""
    factor = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(text[-1:].upper(), 1)
    try:
        value = int(text if factor == 1 else text[:-1], 0) * factor
    except ValueError:
        value = 0
    if value <= 0:
        raise UsageError(f"{name} {text}: not a number of bytes such as 4096, 64K or 8M")
    return value


def main(words: Sequence[str]) -> int:
    """Run the program; its exit status."""
    try:
        options, program = parse(words)
        if options.help:
            print(help_message(), end="")
            return 0
        if options.log == "help":
            print(help_text(), end="")
            return 0
        if options.cpu == "help":
            print("\n".join(generated()) or "none is generated: run `make gen`")
            return 0
        if not program:
            raise UsageError("no program given")
        if options.record and options.gdb is None:
            raise UsageError("--record is for gdb: it needs -g")
        if options.accel == "kvm" and options.log is not None:
            raise UsageError("-d looks at each instruction: it needs --accel tcg")
        if options.accel == "kvm" and options.record:
            raise UsageError("--record counts instructions, which KVM does not: it needs --accel tcg")
        return run(options, program)
    except UsageError as error:
        complain(f"run: {error}; `isomorph run --help` lists the options")
        return 2
    except (ElfError, StartError, AbiError, NotGenerated, BlobError, LogError, OptionError, FileNotFoundError) as error:
        complain(str(error))
    except EngineError as error:
        complain(str(error))
    except MemoryError as error:
        complain(f"not enough memory: {error}" if str(error) else "not enough memory")
    return 1


class _Guest:
    """A program ready to be started, and what is needed to talk about it afterwards.

    thread   Linux's view of it; None for a program that runs bare
    """

    def __init__(
        self, options: RunOptions, log: Log | None, path: str, descriptor: int, predecessor: _Guest | None = None
    ) -> None:
        self.options = options
        self.log = log
        self.path = path
        self.bias = 0
        self.thread: Thread | None = None
        self.image = read_program(path, descriptor)
        wanted = options.cpu
        if predecessor is not None and predecessor.image.machine_name != self.image.machine_name:
            wanted = None
        hardware = _hardware_isa(options, self.image, predecessor)
        self.isa = isa_of(self.image, wanted) if hardware is None else hardware
        abi = abi_for(self.image, self.isa)
        self.memory = GuestMemory(self.isa.layout.memories[0].address_width)
        self.tcg: Tcg | None = None
        self.hardware: Hardware | None = None
        self.vcpu: Vcpu
        self.execute: Execute
        if hardware is None:
            self.tcg = Tcg(self.isa, self.memory, options.cache or DEFAULT_BYTES, tier=options.tier())
            self.vcpu = vcpu = TcgVcpu(self.tcg)
            self.execute = lambda: cpu_exec(vcpu)
        else:
            from isomorph.cli.hardware import Hardware

            self.hardware = Hardware(self.memory)
            self.vcpu = self.hardware.vcpu
            self.execute = self.hardware.vcpu.execute
        self.debugging: Debugging | None = None
        if abi is None:
            if predecessor is not None:
                raise StartError(f"{path}: nothing says how its programs call Linux")
            from isomorph.cli import bare

            assert isinstance(self.vcpu, TcgVcpu)
            bare.load(self.vcpu, self.image, descriptor)
        else:
            before = predecessor.thread.process if predecessor is not None and predecessor.thread is not None else None
            self.thread = self._load(Process(abi, self.memory, True, before), descriptor, before is None)
        if log is not None and isinstance(self.vcpu, TcgVcpu):
            from runtime.tcg.trace import BlockTracer

            tcg = self.vcpu.tcg
            self.vcpu.tracer = BlockTracer(log, tcg.code, self.disassembler(), self.symbols().describe)
            tcg.on_region = self.vcpu.tracer.region_listener()

    def _load(self, process: Process, descriptor: int, first: bool) -> Thread:
        if first:
            process.descriptors.inherit()
            process.sysroot = _sysroot(self.options.root)
        if self.log is not None:
            process.flush = self.log.flush
        if self.options.strace:
            from runtime.linux.strace import Strace

            process.strace = Strace(process, _write_error)
        process.replace = self.successor
        if self.hardware is not None:
            self.hardware.machine.call = process.host.call
            process.share(Crew(self.hardware.machine.world, self._recruit, self._adopt))
        elif self.tcg is not None:
            process.share(Crew(self.tcg.cache.world, self._recruit, self._adopt))
        self.bias = load_program(process, self.image, descriptor)
        return process.add_thread(self.vcpu)

    def debug(self, debugging: Debugging) -> None:
        """Have gdb run the guest code."""
        self.debugging = debugging
        vcpu = self.vcpu
        self.execute = lambda: debugging.execute(vcpu)

    def _recruit(self, parent: Vcpu) -> tuple[Vcpu, Execute]:
        """A vCPU for another thread, which begins as a copy of its parent's."""
        debugging = self.debugging
        if self.hardware is not None:
            made, execute = self.hardware.recruit(parent)
            return made, execute if debugging is None else lambda: debugging.execute(made)
        assert isinstance(self.vcpu, TcgVcpu)
        vcpu = self.vcpu.tcg.sibling(parent)
        vcpu.tracer = self.vcpu.tracer
        if debugging is None:
            return vcpu, lambda: cpu_exec(vcpu)
        return vcpu, lambda: debugging.execute(vcpu)

    def _adopt(self, thread: Thread, execute: Execute, reason: BaseException) -> None:
        """A thread that was not the first has forked: in the child it is, and has come to `reason`."""
        self.thread = thread
        self.execute = execute
        _serve(self, thread, 0, reason)

    def start(self, arguments: Sequence[bytes], environment: Sequence[bytes]) -> None:
        """Put arguments and environment on the stack; a program that runs bare has neither."""
        if self.thread is not None:
            process = self.thread.process
            start(process, self.thread, self.image, self.bias, arguments, environment, self.options.stack)

    def successor(
        self, path: bytes, descriptor: int, arguments: list[bytes], environment: list[bytes], command: bytes
    ) -> object:
        """The program that this one executes, ready to run; OSError says why it cannot."""
        assert self.thread is not None
        try:
            guest = _Guest(self.options, self.log, os.fsdecode(path), descriptor, self)
        except (ElfError, AbiError, NotGenerated, BlobError, FileNotFoundError, StartError) as error:
            raise OSError(errno.ENOEXEC, str(error)) from error
        try:
            guest.start(arguments, environment)
        except StartError as error:
            raise OSError(errno.E2BIG, str(error)) from error
        assert guest.thread is not None
        guest.thread.process.comm = command
        guest.thread.succeed(self.thread.process.executing or self.thread)
        return guest

    def close(self) -> None:
        """Free memory and code; what somebody still looks into stays until they are done."""
        if self.thread is not None:
            self.thread.close()
        if self.hardware is not None:
            self.hardware.machine.close()
        for part in (self.vcpu, self.tcg, self.memory) if self.hardware is None else (self.memory,):
            with suppress(BufferError):
                if part is not None:
                    part.close()

    def symbols(self) -> Symbols:
        from runtime.linux.symbols import Symbols

        return Symbols(self.path, self.image.bits, self.image.big_endian, self.bias)

    def disassembler(self) -> Disassemble | None:
        from isomorph.disassembly import disassembler

        return disassembler(self.isa) if self.tcg is not None else None


def _hardware_isa(options: RunOptions, image: Image, predecessor: _Guest | None) -> Isa | None:
    """The instruction set on KVM, if that is asked for; None: TCG, as for other machines' programs."""
    if options.accel == "tcg":
        return None
    from isomorph.cli.hardware import hardware_isa

    return hardware_isa(options.accel if predecessor is None else "kvm:tcg", image)


def _sysroot(root: str | None) -> Sysroot | None:
    """What -L or $QEMU_LD_PREFIX asks for."""
    wanted = root if root is not None else os.environ.get("QEMU_LD_PREFIX", "")
    if not wanted or os.path.realpath(wanted) == "/":
        return None
    if not os.path.isdir(wanted):
        raise StartError(f"{wanted}: no such directory; {'-L' if root else '$QEMU_LD_PREFIX'} names the guest's root")
    from runtime.linux.sysroot import Sysroot

    return Sysroot(os.fsencode(wanted))


def run(options: RunOptions, words: Sequence[str]) -> int:
    """Start the program and run it to its end."""
    log = open_log(options.log, options.log_file, options.dfilter)
    # The guest is to die of these as it would on its own machine; Python makes KeyboardInterrupt and EPIPE of them.
    for number in (host_signals.SIGINT, host_signals.SIGPIPE):
        if number != host_signals.SIGINT or host_signals.getsignal(number) != host_signals.SIG_IGN:
            host_signals.signal(number, host_signals.SIG_DFL)
    descriptor = open_executable(words[0])
    try:
        guest = _Guest(options, log, words[0], descriptor)
    finally:
        os.close(descriptor)
    arguments = [os.fsencode(word) for word in words]
    if options.argv0 is not None:
        arguments[0] = os.fsencode(options.argv0)
    guest.start(arguments, host_environment(options.set, options.unset))
    if not gc.isenabled():
        gc.freeze()  # what stands now stays to the end
        gc.enable()
    began = time.perf_counter()
    if guest.thread is None:
        if options.gdb is not None:
            raise StartError(f"{words[0]} runs bare, without Linux: -g is for Linux programs")
        status = _run_bare(guest)
    else:
        if options.gdb is not None:
            guest.debug(_wait_for_gdb(options, guest, guest.thread))
        guest, status = _run_process(guest, guest.thread)
    spent = time.perf_counter() - began
    if log is not None:
        log.flush()
    if options.stats:
        _print_stats(guest, spent)
    if guest.thread is not None and guest.thread.process.group is not None and guest.thread.process.group.stuck:
        os._exit(status)  # Python would wait for that thread
    return status


def _wait_for_gdb(options: RunOptions, guest: _Guest, thread: Thread) -> Debugging:
    """Wait until gdb is there (-g)."""
    from runtime.debug.attach import Debugging
    from runtime.debug.stop import DebugError

    def announce(where: str) -> None:
        _write_error(f"isomorph: waiting for gdb: target remote {where}\n")

    try:
        return Debugging(options.gdb or "", options.record, thread, guest.vcpu, announce)
    except DebugError as error:
        raise StartError(str(error)) from None


def _run_process(guest: _Guest, thread: Thread) -> tuple[_Guest, int]:
    """Run under Linux's rules to the end; the last program and its exit status.  Children end here."""
    begin(thread.process, thread)
    return _serve(guest, thread, os.getpid())


def _serve(guest: _Guest, thread: Thread, first: int, reason: BaseException | None = None) -> tuple[_Guest, int]:
    """Run a program and those it executes to the end; `reason`: what the first of them has come to already."""
    number = 0
    while True:
        process = thread.process
        try:
            if reason is not None:
                came, reason = reason, None
                raise came
            process.run(thread, guest.execute)
        except GuestReplaced as replaced:
            before = guest
            guest, thread = _next(replaced)
            if before.debugging is not None:
                before.debugging.replaced(thread, guest.vcpu)
                guest.debug(before.debugging)
            before.close()
        except GuestExit as ended:
            status = ended.status
            if guest.debugging is not None:
                guest.debugging.ended(status)
            if process.strace is not None:
                process.strace.ended(status)
            break
        except GuestKilled as killed:
            number = killed.info.number
            status = 128 + (process.signals.host(number) or number)
            if guest.debugging is not None:
                guest.debugging.ended(None, number)
            if process.strace is not None:
                process.strace.killed(number)
            if killed.core:
                _report(guest, killed.thread or thread, killed)
            break
    if os.getpid() != first:
        process.release_parent()
        process.flush()
        if number:
            die(process, number)
        os._exit(status)
    return guest, status


def _next(replaced: GuestReplaced) -> tuple[_Guest, Thread]:
    """The guest that goes on after an execve."""
    guest = replaced.successor
    if not isinstance(guest, _Guest) or guest.thread is None:
        raise TypeError("Process.replace is somebody else's")
    begin_again(guest.thread.process)
    return guest, guest.thread


def _run_bare(guest: _Guest) -> int:
    from isomorph.cli import bare

    assert isinstance(guest.vcpu, TcgVcpu)
    _write_error(bare.run(guest.vcpu, guest.image, guest.symbols(), guest.disassembler()))
    return 1


def _report(guest: _Guest, thread: Thread, killed: GuestKilled) -> None:
    from runtime.linux.crash import report

    try:
        disassemble = guest.disassembler()
    except (OSError, ImportError):
        disassemble = None
    _write_error(report(thread, killed.info, guest.path, guest.symbols(), disassemble))


def _write_error(text: str) -> None:
    """Write to the host's stderr; the guest may have closed it."""
    data = os.fsencode(text)
    try:
        while data:
            data = data[os.write(2, data) :]
    except OSError:
        pass


def _print_stats(guest: _Guest, spent: float) -> None:
    executed, calls = guest.vcpu.executed, None
    if guest.thread is not None:
        executed += guest.thread.process.executed_elsewhere
        calls = guest.thread.process.system_calls
    if guest.hardware is not None:
        from isomorph.cli import hardware

        lines = hardware.report(guest.hardware, spent, calls)
    else:
        from isomorph.cli.statistics import report

        assert guest.tcg is not None
        lines = report(guest.tcg, executed, spent, calls)
    _write_error("".join(f"isomorph: {line}\n" for line in lines))
