"""The monitors, QMP servers and gdb of a machine: where the options want them, and what they can show."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from isomorph import __version__
from isomorph.builds import NotGenerated, find_build
from isomorph.machines.backends import Backends
from isomorph.machines.options import MachineOptions, UsageError, settings
from isomorph.machines.recording import JournaledHands
from isomorph.machines.screens import no_screen, vnc_places, vnc_server
from isomorph.machines.tracing import mappings, trace
from runtime.core.cpu import load_isa
from runtime.hw.characters import Characters
from runtime.hw.keys import NAMES
from runtime.hw.seat import Seat
from runtime.machine.examine import Examiner
from runtime.machine.machine import Machine, MachineError
from runtime.machine.monitor import LineMonitor, Monitor
from runtime.machine.qmp import QmpServer
from runtime.machine.snapshots import Snapshots

if TYPE_CHECKING:
    from runtime.core.disassembly import Disassemble
    from runtime.debug.machine import MachineDebugging

_PACKAGE = f"isomorph {__version__}"


def add_monitors(
    machine: Machine, options: MachineOptions, backends: Backends, isa: str
) -> tuple[Monitor, MachineDebugging | None]:
    """All that was asked for; the monitor behind them."""
    examiner = Examiner(machine, _disassembler(isa))
    devices = {name: getattr(placed.device, "device", placed.device) for name, placed in machine.devices.items()}
    if (journal := machine.journal) is not None:
        hands = {name: device for name, device in devices.items() if hasattr(device, "key") or hasattr(device, "move")}
        devices |= {name: JournaledHands(f"hands.{name}", device, journal) for name, device in hands.items()}
    seat = Seat(devices.values())
    servers = []
    for text in vnc_places(options):
        server, watcher = vnc_server(text, machine, seat)
        servers.append(server)
        if watcher is not None:
            backends.closers.append(watcher.close)
        backends.closers.append(server.close)
    words = _info(machine, backends, examiner, isa)
    words["vnc"] = "who looks at the screen", lambda: "\n".join(server.describe() for server in servers) or "none"
    monitor = Monitor(
        machine,
        examiner,
        Snapshots(machine, lambda: backends.all("drive")),
        words,
        lambda path: _screendump(machine, seat, path),
        lambda keys: send_keys(seat, keys),
        lambda: trace(machine, isa),
    )
    trace(machine, isa)
    for text in options.monitors:
        if text != "none":
            LineMonitor(monitor, backends.characters(text, "monitor"))
    for channel in backends.mux_monitors():
        LineMonitor(monitor, channel)
    for text in options.qmps:
        if text != "none":
            _serve(machine, monitor, backends.characters(text, "qmp"), backends, isa)
    for text in options.mons:
        given = settings("-mon", text, "chardev")
        mode = given.take("mode", "readline")
        given.take("pretty")
        given.done("chardev", "mode", "pretty")
        stream = backends.characters(f"chardev:{given.kind}", "monitor")
        if mode == "control":
            _serve(machine, monitor, stream, backends, isa)
        else:
            LineMonitor(monitor, stream)
    return monitor, _debugging(machine, options, monitor, isa)


def _serve(machine: Machine, monitor: Monitor, stream: Characters, backends: Backends, isa: str) -> None:
    QmpServer(machine, monitor, stream, _PACKAGE, isa)
    backends.closers.append(stream.close)


def send_keys(seat: Seat, keys: list[str]) -> None:
    """Press keys, by QEMU's words for them."""
    if seat.keyboard is None:
        raise MachineError("the machine has no keyboard; -device virtio-keyboard-device adds one")
    for key in keys:
        if key not in NAMES:
            from difflib import get_close_matches

            close = get_close_matches(key, NAMES, 3)
            raise MachineError(f"there is no key {key!r}" + (f" (did you mean {', '.join(close)}?)" if close else ""))
    seat.press([NAMES[key] for key in keys])


def _screendump(machine: Machine, seat: Seat, path: str) -> None:
    """Write what the first screen shows."""
    if not seat.displays:
        raise MachineError(no_screen(machine))
    try:
        with open(path, "wb") as file:
            file.write(seat.displays[0].png())
    except OSError as error:
        raise MachineError(f"{path}: {error.strerror}") from error


def _debugging(machine: Machine, options: MachineOptions, monitor: Monitor, isa: str) -> MachineDebugging | None:
    """-gdb and -s."""
    place = options.gdb or ("tcp::1234" if options.gdb_default else "")
    if not place or place == "none":
        return None
    from runtime.debug.description import load_description
    from runtime.debug.machine import MachineDebugging
    from runtime.debug.stop import DebugError
    from runtime.debug.x86_64 import DESCRIPTION as X86_64

    kind, _, rest = place.partition(":")
    where = rest if kind in ("tcp", "unix") else place
    if not where or (kind == "unix" and "/" not in where):
        raise UsageError(f"-gdb {place}: it is tcp:HOST:PORT (HOST may be empty) or unix:PATH, with a / in it")
    try:
        description = X86_64 if machine.accelerator == "kvm" else load_description(load_isa(find_build(isa)))
        debugging = MachineDebugging(machine, where.removeprefix(":"), description, monitor.execute)
    except DebugError as error:
        raise MachineError(str(error).replace("-g ", "-gdb ", 1)) from error
    return debugging


def _disassembler(isa: str) -> Callable[[], Disassemble | None]:
    """Made when somebody wants to see instructions: it takes a while."""
    made: list[Disassemble] = []

    def make() -> Disassemble | None:
        if not made:
            from isomorph.disassembly import disassembler

            try:
                made.append(disassembler(load_isa(find_build(isa))))
            except NotGenerated:
                return None
        return made[0]

    return make


def _info(
    machine: Machine, backends: Backends, examiner: Examiner, isa: str
) -> dict[str, tuple[str, Callable[[], str]]]:
    def described(kind: str) -> Callable[[], str]:
        def text() -> str:
            lines = []
            for name, made in backends.all(kind).items():
                lines.append(f"{name}:")
                lines += [f"    {key}: {_shown(value)}" for key, value in made.describe().items()]
            return "\n".join(lines) or "none"

        return text

    def counted() -> str:
        lines = []
        for vcpu in machine.vcpus:
            statistics = getattr(vcpu, "statistics", None)
            if statistics is not None:
                cells = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in statistics().items())
                lines.append(f"CPU#{vcpu.index}: {cells}")
        statistics = getattr(machine.vm, "statistics", None)
        if statistics is not None:
            lines += [f"{name.replace('_', ' ')}: {value}" for name, value in statistics().items()]
        return "\n".join(lines) or f"the accelerator {machine.accelerator} counts nothing"

    def translations(name: str) -> Callable[[], str]:
        def text() -> str:
            show = getattr(examiner.vcpu, name, None)
            return f"the accelerator {machine.accelerator} shows none" if show is None else str(show())

        return text

    return {
        "block": ("disk images", described("drive")),
        "network": ("networks", described("netdev")),
        "chardev": ("character streams", lambda: _characters(machine)),
        "jit": ("what the translator did, or why processors left the accelerator", counted),
        "screen": ("what the screen says, if it shows text", lambda: _screen_text(machine)),
        "tlb": ("translations that the processor remembers", translations("show_tlb")),
        "mem": ("what is mapped, virtually", lambda: mappings(examiner, isa)),
    }


def _screen_text(machine: Machine) -> str:
    for placed in machine.devices.values():
        read = getattr(placed.device, "screen_text", None)
        if read is not None:
            return read() or "the screen shows no text"
    return "the machine has no screen that shows text"


def _characters(machine: Machine) -> str:
    lines = [f"{placed.device.name}: {placed.device.describe()}" for placed in machine.devices.values()]
    return "\n".join(line for line in lines if "chardev" in line) or "none"


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value)
