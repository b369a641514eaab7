"""From options to a machine: clock, board, devices, monitors and accelerator, in the order they need each other."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isomorph.machines.accelerators import ACCELERATORS, Execution, check_accelerator, is_here
from isomorph.machines.backends import Backends, chardev_settings
from isomorph.machines.boards import BoardKind, find_board, find_processor, left_out
from isomorph.machines.monitors import add_monitors
from isomorph.machines.options import MachineOptions, Settings, UsageError, processor_count, settings
from isomorph.machines.recording import REPLAY, attach_journal, check_mode
from runtime.core.accelerator import Accelerator
from runtime.core.log import open_log
from runtime.hw.clock import Clock, HostClock, InstructionClock
from runtime.hw.device import DeviceError
from runtime.hw.device_tree import flatten
from runtime.hw.registry import device_kind, parse_values
from runtime.machine.journal import Journal
from runtime.machine.machine import WATCHDOG_ACTIONS, Machine
from runtime.machine.processors import MOST, RoundRobin, Threads

if TYPE_CHECKING:
    from runtime.debug.machine import MachineDebugging
    from runtime.machine.monitor import Monitor

#: what -icount shift=auto takes for an instruction: 8 ns, a processor of 125 MHz
_AUTO_SHIFT = 3
_MOST_SHIFT = 10


@dataclass
class Built:
    """A machine ready to be started."""

    machine: Machine
    board: Any
    backends: Backends
    options: MachineOptions
    dump_tree: str = ""
    isa: str = ""
    monitor: Monitor | None = None
    debugging: MachineDebugging | None = None

    def close(self) -> None:
        """Give everything back."""
        self.backends.close()
        self.machine.close()


def build(options: MachineOptions) -> Built:
    """The machine; UsageError, DeviceError, MachineError and what else speaks to the user."""
    given = machine_settings(options)
    board = find_board(given)
    processor = find_processor(board, options.cpu)
    count = processor_count(options.smp, min(MOST, board.most_processors))
    accelerator, threaded = _accelerator(options, given)
    shift, sleep = _icount(options, threaded, count)
    # One processor runs as well on the main thread, if its slices end by themselves.
    threaded = (threaded and count > 1) or accelerator.kind == "kvm"
    clock: Clock = HostClock() if shift is None else InstructionClock(shift)
    log = open_log(options.log, options.log_file or None, options.dfilter or None)
    machine = Machine(board.name, clock, log)
    machine.no_reboot, machine.no_shutdown = options.no_reboot, options.no_shutdown
    if options.watchdog_action not in WATCHDOG_ACTIONS:
        raise UsageError(f"-watchdog-action {options.watchdog_action}: it is one of {', '.join(WATCHDOG_ACTIONS)}")
    machine.watchdog_action = options.watchdog_action
    machine.seed = _seed(options.seed)
    _journal(machine, options, shift)
    backends = Backends(machine, options.snapshot, not options.nographic)
    try:
        for text in options.chardevs:
            backends.character_device(chardev_settings(text))
        dump = given.take("dumpdtb")
        made = board.make(machine, options, given, processor, count, backends)
        _fw_cfg(options, made)
        _devices(options, made, backends)
        built = Built(machine, made, backends, options, dump, processor.isa)
        if dump:
            return built
        made.boot()
        if getattr(getattr(made, "options", None), "kernel_devices", False):
            accelerator.values["kernel-irqchip"] = "on"
        without = left_out(options.cpu) if board.takes_features else ()
        _attach(machine, board, processor.isa, count, accelerator, shift, threaded, sleep, without)
        built.monitor, debugging = add_monitors(machine, options, backends, processor.isa)
        if debugging is not None:
            built.debugging = debugging
            backends.closers.append(debugging.close)
    except BaseException:
        backends.close()
        machine.close()
        raise
    return built


def machine_settings(options: MachineOptions) -> Settings:
    """What the first word and -M say together."""
    name, rest = "", list[str]()
    for text in options.machine:
        given = settings("-M", text, "type")
        if given.kind and name and given.kind != name:
            raise UsageError(f"two machines, {name} and {given.kind}: one of them is too many")
        name = given.kind or name
        rest += [f"{key}={value.replace(',', ',,')}" for key, value in given.values.items()]
    if not name:
        raise UsageError("no machine is named; `isomorph machine help` lists them")
    return settings("-M", ",".join([name, *rest]), "type")


def _accelerator(options: MachineOptions, given: Settings) -> tuple[Settings, bool]:
    """The first accelerator of those named that can be had here, and whether vCPUs get threads of their own."""
    wanted = []
    for text in options.accel:
        names, comma, rest = text.partition(",")
        wanted += [settings("-accel", name + comma + rest, "accel") for name in names.split(":")]
    wanted += [settings("-accel", name) for name in given.take("accel").split(":") if name]
    wanted = wanted or [settings("-accel", "tcg")]
    for one in wanted:
        check_accelerator(one)
    chosen = next((one for one in wanted[:-1] if is_here(one)), wanted[-1])
    thread = chosen.take("thread", "single")
    if thread not in ("single", "multi"):
        raise UsageError(f"-accel {chosen.text}: thread={thread}: it is single or multi")
    return chosen, thread == "multi"


def _icount(options: MachineOptions, threaded: bool, count: int) -> tuple[int | None, bool]:
    """-icount: the shift, and whether to wait while all processors do."""
    if not options.icount:
        return None, True
    given = settings("-icount", options.icount, "shift")
    shift, sleep = given.kind or "auto", given.take_switch("sleep", True)
    given.take_switch("align")
    mode, path = given.take("rr"), given.take("rrfile")
    check_mode(options.icount, mode, path)
    given.done("shift", "sleep", "rr", "rrfile")
    if threaded:
        raise UsageError("-icount counts one processor's instructions after the other's: not with thread=multi")
    if mode and (count > 1 or options.loadvm):
        raise UsageError(f"-icount rr={mode}: a machine with one processor (-smp 1), from its start (no -loadvm)")
    if shift == "auto":
        return _AUTO_SHIFT, sleep
    if not shift.isdecimal() or int(shift) > _MOST_SHIFT:
        raise UsageError(f"-icount {options.icount}: shift is auto, or 0 to {_MOST_SHIFT}")
    return int(shift), sleep


def _seed(text: str) -> int | None:
    """-seed; UsageError."""
    if text and not text.isdecimal():
        raise UsageError(f"-seed {text}: not a number")
    return int(text) if text else None


def _journal(machine: Machine, options: MachineOptions, shift: int | None) -> None:
    """-icount rr="""
    given = settings("-icount", options.icount or "auto", "shift")
    if mode := given.take("rr"):
        assert isinstance(machine.clock, InstructionClock)
        about: dict[str, object] = {"machine": machine.name, "shift": shift, "memory": options.memory or "128M"}
        journal = Journal(given.take("rrfile"), mode == REPLAY, about)
        journal.clock = machine.clock
        attach_journal(machine, journal)


def _fw_cfg(options: MachineOptions, board: Any) -> None:
    for text in options.fw_cfg:
        given = settings("-fw_cfg", text, "name")
        path, string = given.take("file"), given.take("string")
        given.done("name", "file", "string")
        if not given.kind or bool(path) == bool(string):
            raise UsageError(f"-fw_cfg {text}: it needs name=NAME, and file=PATH or string=TEXT")
        try:
            with open(path, "rb") if path else open(os.devnull, "rb") as file:
                board.fw_cfg.add_file(given.kind, file.read() or string.encode("utf-8", "surrogateescape"))
        except OSError as error:
            raise UsageError(f"-fw_cfg {text}: {path}: {error.strerror}") from None


# -------------------------------------------------------------------- devices


def _devices(options: MachineOptions, board: Any, backends: Backends) -> None:
    """Back-ends first, then the devices that name them, then those that other options imply."""
    implied: list[str] = []
    bus = "device" if hasattr(board, "plug_virtio") else "pci"
    for text in options.drives:
        interface, name = backends.drive(text)
        if interface == "virtio":
            implied.append(f"virtio-blk-{bus},drive={name}")
        elif interface == "ide":
            if not hasattr(board, "plug_ide"):
                raise DeviceError(f"-drive {text}: the {board.machine.name} machine has no IDE controller")
            board.plug_ide(backends.find("drive", name))
    for text in options.netdevs:
        backends.network(text, "-netdev")
    for text in options.nics:
        kind, _, rest = text.partition(",")
        if kind == "none":
            continue
        card = {"model": f"virtio-net-{bus}", "mac": ""}
        words = []
        for word in filter(None, rest.split(",")):
            key, _, value = word.partition("=")
            if key in card:
                card[key] = value
            else:
                words.append(word)
        name = backends.network(",".join([kind, *words]), "-nic")
        implied.append(f"{card['model']},netdev={name}" + (f",mac={card['mac']}" if card["mac"] else ""))
    for index, text in enumerate([*options.devices, *implied]):
        add_device(text, index, board, backends)


def add_device(text: str, index: int, board: Any, backends: Backends) -> None:
    """-device."""
    given = settings("-device", text, "driver")
    kind = device_kind(given.kind)
    name = given.take("id") or f"{kind.name.removesuffix('-device')}{index}"
    given.take("bus")
    if kind.name.startswith("virtio-rng"):
        if board.machine.seed is not None:
            given.values.setdefault("seed", str(board.machine.seed))
        elif board.machine.journal is not None:
            given.values.setdefault("seed", "0")  # a replay has the same
    values = parse_values(f"-device {text}", kind.options(), given.values, backends.find)
    device = kind.factory().make(board.machine.platform, name, values)
    plug = getattr(board, f"plug_{kind.bus}", None)
    if plug is None:
        raise DeviceError(f"-device {text}: the {board.machine.name} machine has no {kind.bus} bus")
    plug(name, device)


# -------------------------------------------------------------------- processors


def _attach(
    machine: Machine,
    board: BoardKind,
    isa: str,
    count: int,
    chosen: Settings,
    shift: int | None,
    threaded: bool,
    sleep: bool,
    without: tuple[str, ...],
) -> None:
    if machine.journal is not None:
        # Regions leave other entries in the TLB than blocks, which a guest that relies on stale ones may notice.
        chosen.values.setdefault("tier1-threshold", "0")
    execution = Execution(isa, shift, threaded, board.frequency, chosen.values, without)
    accelerator: Accelerator = ACCELERATORS[chosen.kind][1](execution)
    machine.attach(accelerator, count)
    machine.processors = Threads(machine) if threaded else RoundRobin(machine, sleep)


def dump_device_tree(built: Built) -> None:
    """-M dumpdtb=FILE."""
    data = flatten(built.board.tree())
    try:
        with open(built.dump_tree, "wb") as file:
            file.write(data)
    except OSError as error:
        raise UsageError(f"-M dumpdtb={built.dump_tree}: {error.strerror}") from None
    print(f"isomorph: the device tree is in {built.dump_tree}", file=sys.stderr)
