"""`isomorph machine`: run a whole machine; options are spelled as QEMU's."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Sequence

from isomorph.builds import NotGenerated
from isomorph.cli.main import complain
from isomorph.machines.boards import BOARDS, find_board
from isomorph.machines.build import Built, build, dump_device_tree, machine_settings
from isomorph.machines.options import MachineOptions, UsageError, help_message, parse
from runtime.core.failure import EngineError
from runtime.core.log import LogError, help_text
from runtime.hw.device import DeviceError
from runtime.hw.device_tree import DeviceTreeError
from runtime.hw.registry import DEVICES, device_kind
from runtime.machine.machine import MachineError
from runtime.tcg.blobs import BlobError

_HELP = ("help", "?")


def main(words: Sequence[str]) -> int:
    """Run the machine; its exit status."""
    try:
        options = parse(words)
        text = _listing(options)
        if text is not None:
            print(text, end="" if text.endswith("\n") else "\n")
            return 0
        return run(options)
    except UsageError as error:
        complain(f"machine: {error}; `isomorph machine --help` lists the options")
        return 2
    except (
        DeviceError,
        MachineError,
        DeviceTreeError,
        BlobError,
        NotGenerated,
        LogError,
        EngineError,
        FileNotFoundError,
    ) as error:
        complain(f"machine: {error}")
    except MemoryError as error:
        complain(f"machine: not enough memory: {error}")
    return 1


def _listing(options: MachineOptions) -> str | None:
    """What was asked to be listed, if anything."""
    if options.help:
        return help_message()
    if any(text in _HELP for text in options.machine):
        return "machines:\n" + "".join(f"  {board.name:10} {board.summary}\n" for board in BOARDS.values())
    for text in options.machine:
        if text.endswith(",help"):
            board = find_board(machine_settings(MachineOptions(machine=[text.removesuffix(",help")])))
            return "".join(f"  {name:10} {help}\n" for name, help in board.options.items())
    if options.cpu in _HELP:
        boards = [find_board(machine_settings(options))] if options.machine else list(BOARDS.values())
        return "".join(f"  {one.name:10} {one.summary}\n" for board in boards for one in board.processors)
    if options.log in _HELP:
        return help_text()
    for text in options.devices:
        if text in _HELP:
            return "devices:\n" + "".join(f"  {kind.name:22} {kind.summary}\n" for kind in DEVICES.values())
        if text.endswith(",help"):
            kind = device_kind(text.removesuffix(",help"))
            lines = [f"{kind.name}: {kind.summary}"]
            lines += [f"  {option.name}=<{option.kind}>  {option.help}".rstrip() for option in kind.options()]
            return "\n".join(lines)
    return None


def run(options: MachineOptions) -> int:
    """Build it, run it to its end."""
    built = build(options)
    try:
        if built.dump_tree:
            dump_device_tree(built)
            return 0
        return _run(built)
    finally:
        built.close()


def _run(built: Built) -> int:
    machine = built.machine

    def stop(number: int, frame: object) -> None:
        machine.power_off(128 + number, "host-signal")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    if built.debugging is not None:
        print(f"isomorph: waiting for gdb: target remote {built.debugging.where}", file=sys.stderr)
    machine.start(paused=built.options.stopped)
    if built.options.loadvm and built.monitor is not None:
        built.monitor.snapshots.load(built.options.loadvm)
    if not gc.isenabled():
        gc.freeze()  # what stands now stays to the end
        gc.enable()
    ending = machine.run()
    if ending.report:
        built.close()
        complain(f"machine: {ending.report}")
    sys.stdout.flush()
    return ending.status
