"""`isomorph run`: run a static Linux program; options are spelled as QEMU's."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from functools import partial

from isomorph.builds import NotGenerated, find_build, generated
from isomorph.cli.main import complain
from runtime.core.cpu import load_isa
from runtime.core.log import LogError, help_text, open_log
from runtime.core.memory import GuestMemory
from runtime.linux.abi import MACHINES, load
from runtime.linux.elf import ElfError, Image, identify, open_executable, read_image
from runtime.linux.loader import StartError, start
from runtime.linux.loader import load as load_program
from runtime.linux.process import Process, Thread, host_environment
from runtime.linux.signals import GuestKilled
from runtime.linux.syscalls.process import GuestExit
from runtime.tcg.blobs import BlobError
from runtime.tcg.code_cache import DEFAULT_BYTES
from runtime.tcg.loop import Tcg, TcgVcpu, cpu_exec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.core.cpu import Isa
    from runtime.core.log import Log
    from runtime.linux.abi.model import Abi
    from runtime.linux.crash import Disassemble
    from runtime.linux.symbols import Symbols

_EPILOG = """\
examples:
  isomorph run ./prog arg ...
  isomorph run -strace -E LANG=C ./prog
  isomorph run -d in_asm,exec -dfilter 0x10000..0x10fff -D log ./prog
  isomorph run --stats ./prog

The exit status is the program's; 128 + n if signal n killed it; 1 if it cannot be started; 2 for wrong options."""


class RunOptions:
    """What the command line asks for."""

    def __init__(self) -> None:
        self.set: list[str] = []
        self.unset: list[str] = []
        self.argv0: str | None = None
        self.stack: int | None = None
        self.cpu: str | None = None
        self.strace = False
        self.log: str | None = None
        self.log_file: str | None = None
        self.dfilter: str | None = None
        self.cache: int | None = None
        self.stats = False
        self.help = False


#: option -> attribute of RunOptions, placeholder of its value ("" if it takes none), help.  Not argparse's, whose
#: import takes as long as all the rest of a short run.
OPTIONS: dict[str, tuple[str, str, str]] = {
    "-E": ("set", "VAR=VALUE", "set a variable of the program's environment"),
    "-U": ("unset", "VAR", "take a variable out of it"),
    "-0": ("argv0", "NAME", "what the program sees as argv[0]"),
    "-s": ("stack", "SIZE", "bytes of stack, e.g. 64M; default: the shell's limit (ulimit -s)"),
    "-cpu": ("cpu", "NAME", "instruction set, if not the one of the program's machine; help lists them"),
    "-strace": ("strace", "", "print system calls on stderr"),
    "-d": ("log", "ITEMS", "what to log, separated by commas; help lists the items"),
    "-D": ("log_file", "FILE", "where the log goes; default: stderr"),
    "-dfilter": ("dfilter", "RANGES", "log only blocks in start..end, start+size or start-size"),
    "-tb-size": ("cache", "SIZE", "bytes of translated code kept"),
    "--stats": ("stats", "", "print instructions, blocks and time at the end"),
    "--help": ("help", "", "print this"),
}


class UsageError(Exception):
    """A command line that makes no sense."""


def help_message() -> str:
    """What `isomorph run --help` prints."""
    lines = ["usage: isomorph run [options] program [argument ...]", ""]
    lines += ["Run a static Linux program made for another machine, which its ELF header names.", "", "options:"]
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
        return run(options, program)
    except UsageError as error:
        complain(f"run: {error}; `isomorph run --help` lists the options")
        return 2
    except (ElfError, StartError, NotGenerated, BlobError, LogError, FileNotFoundError) as error:
        complain(str(error))
    except MemoryError as error:
        complain(f"not enough memory: {error}" if str(error) else "not enough memory")
    return 1


class _Guest:
    """A program ready to run, and what is needed to talk about it afterwards."""

    def __init__(self, options: RunOptions, words: Sequence[str], log: Log | None) -> None:
        self.path = words[0]
        descriptor = open_executable(self.path)
        try:
            self.abi = _abi_of(identify(self.path, descriptor))
            self.image = read_image(self.path, descriptor, self.abi.address_top)
            self.isa = load_isa(find_build(options.cpu or self.abi.isa))
            _check_isa(self.isa, self.abi)
            memory = GuestMemory(self.abi.bits)
            self.tcg = Tcg(self.isa, memory, options.cache or DEFAULT_BYTES)
            self.vcpu = TcgVcpu(self.tcg)
            self.process = Process(self.abi, memory, own_signals=True)
            self.process.descriptors.inherit()
            self.thread: Thread = self.process.add_thread(self.vcpu)
            self.bias = load_program(self.process, self.image, descriptor)
        finally:
            os.close(descriptor)
        arguments = [os.fsencode(word) for word in words]
        if options.argv0 is not None:
            arguments[0] = os.fsencode(options.argv0)
        environment = host_environment(options.set, options.unset)
        start(self.process, self.thread, self.image, self.bias, arguments, environment, options.stack)
        if options.strace:
            from runtime.linux.strace import Strace

            self.process.strace = Strace(self.process, _write_error)
        if log is not None:
            from runtime.tcg.trace import BlockTracer

            self.vcpu.tracer = BlockTracer(
                log, self.tcg.code, self.disassembler(), self.symbols().describe, self.abi.big_endian
            )

    def symbols(self) -> Symbols:
        from runtime.linux.symbols import Symbols

        return Symbols(self.path, self.image.bits, self.image.big_endian, self.bias)

    def disassembler(self) -> Disassemble | None:
        from isomorph.disassembly import disassembler

        return disassembler(self.isa)


def run(options: RunOptions, words: Sequence[str]) -> int:
    """Start the program and run it to its end."""
    log = open_log(options.log, options.log_file, options.dfilter)
    # The guest is to die of these as it would on its own machine; Python makes KeyboardInterrupt and EPIPE of them.
    for number in (signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    guest = _Guest(options, words, log)
    process = guest.process
    began = time.perf_counter()
    try:
        process.run(guest.thread, partial(cpu_exec, guest.vcpu))
    except GuestExit as ended:
        status = ended.status
        if process.strace is not None:
            process.strace.ended(status)
    except GuestKilled as killed:
        status = 128 + killed.info.number
        if process.strace is not None:
            process.strace.killed(killed.info.number)
        if killed.core:
            _report(guest, killed)
    spent = time.perf_counter() - began
    process.space.finish()
    if log is not None:
        log.flush()
    if options.stats:
        _print_stats(guest, spent)
    return status


def _abi_of(image: Image) -> Abi:
    """The table for an ELF file's machine."""
    name = MACHINES.get((image.machine, image.bits, image.big_endian))
    if name is None:
        known = ", ".join(sorted(set(MACHINES.values())))
        built = ", ".join(generated()) or "none"
        raise ElfError(
            f"{image.path}: a program for {image.machine_name}; programs can be run for {known} (generated: {built})"
        )
    return load(name)


def _check_isa(isa: Isa, abi: Abi) -> None:
    """The instruction set must have the registers that the ABI's table names."""
    for name, index in (abi.number, abi.result, abi.stack, *abi.arguments):
        register = isa.layout.by_name.get(name)
        if register is None or register.width != abi.bits or index >= register.count:
            raise StartError(f"-cpu {isa.name} does not run programs for {abi.name}: it has no {abi.bits}-bit {name}")


def _report(guest: _Guest, killed: GuestKilled) -> None:
    from runtime.linux.crash import report

    try:
        disassemble = guest.disassembler()
    except (OSError, ImportError):
        disassemble = None
    _write_error(report(guest.thread, killed.info, guest.path, guest.symbols(), disassemble))


def _write_error(text: str) -> None:
    """Write to the host's stderr; the guest may have closed it."""
    data = os.fsencode(text)
    try:
        while data:
            data = data[os.write(2, data) :]
    except OSError:
        pass


def _print_stats(guest: _Guest, spent: float) -> None:
    executed = guest.vcpu.executed
    counters = guest.tcg.cache.statistics()
    rate = executed / spent / 1e6 if spent else 0.0
    _write_error(
        f"isomorph: {executed:,} instructions in {spent:.3f} s: {rate:,.1f} million a second\n"
        f"isomorph: blocks: {counters['generated']:,} translated, {counters['tb_count']:,} alive, "
        f"{counters['invalidated']:,} invalidated, {counters['flushes']:,} segments evicted\n"
        f"isomorph: {guest.process.system_calls:,} system calls\n"
    )
