"""A QMP server: QEMU's machine protocol, JSON objects line by line, as much of it as machines here can do."""

from __future__ import annotations

import json
import time

from runtime.machine.machine import Machine, MachineError, State
from runtime.machine.monitor import Monitor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from runtime.hw.characters import Characters

_MOST = 1 << 20
#: the version of QEMU whose words these are
_VERSION = {"major": 7, "minor": 2, "micro": 0}


class _Refused(Exception):
    """An answer of the kind `error`."""

    def __init__(self, message: str, kind: str = "GenericError") -> None:
        super().__init__(message)
        self.kind = kind


class QmpServer:
    """One client at a time on a stream.

    package   what the version's package is said to be
    target    what the processors are, in QEMU's word for it
    """

    def __init__(self, machine: Machine, monitor: Monitor, stream: Characters, package: str, target: str) -> None:
        self._machine = machine
        self._monitor = monitor
        self._stream = stream
        self._package = package
        self._target = target
        self._buffer = bytearray()
        self._ready = False
        self._commands: dict[str, Callable[[dict[str, Any]], object]] = {
            "query-status": self._status,
            "query-version": lambda given: {"qemu": _VERSION, "package": self._package},
            "query-name": lambda given: {"name": machine.name},
            "query-commands": lambda given: [{"name": name} for name in sorted(["qmp_capabilities", *self._commands])],
            "query-cpus-fast": self._cpus,
            "query-kvm": lambda given: {"enabled": machine.accelerator == "kvm", "present": True},
            "query-machines": lambda given: [{"name": machine.name, "cpu-max": 256, "hotpluggable-cpus": False}],
            "query-chardev": lambda given: [],
            "query-block": self._blocks,
            "query-vnc": self._vnc,
            "send-key": self._send_key,
            "stop": lambda given: machine.pause(),
            "cont": lambda given: machine.resume(),
            "system_reset": lambda given: machine.reset("host-qmp-system-reset"),
            "system_powerdown": lambda given: machine.power_off(0, "host-qmp-quit"),
            "quit": lambda given: machine.power_off(0, "host-qmp-quit"),
            "human-monitor-command": self._human,
            "screendump": lambda given: self._command(f"screendump {self._text(given, 'filename')}"),
            "snapshot-save": lambda given: self._command(f"savevm {self._text(given, 'tag')}"),
            "snapshot-load": lambda given: self._command(f"loadvm {self._text(given, 'tag')}"),
            "snapshot-delete": lambda given: self._command(f"delvm {self._text(given, 'tag')}"),
        }
        stream.on_open = self._greet
        stream.on_hang_up = self._gone
        stream.connect(self._take)
        machine.on_change.append(self._event)

    # ------------------------------------------------------------ the wire

    def _send(self, message: dict[str, object]) -> None:
        self._stream.write(json.dumps(message).encode("utf-8") + b"\r\n")

    def _greet(self) -> None:
        self._ready = False
        self._buffer.clear()
        version = {"qemu": _VERSION, "package": self._package}
        self._send({"QMP": {"version": version, "capabilities": []}})

    def _gone(self) -> None:
        self._ready = False
        self._buffer.clear()

    def _event(self, name: str, data: dict[str, object]) -> None:
        if self._ready:
            now = time.time_ns()
            stamp = {"seconds": now // 10**9, "microseconds": now // 1000 % 10**6}
            self._send({"event": name, "timestamp": stamp, **({"data": data} if data else {})})

    def _take(self, data: bytes) -> None:
        self._buffer += data
        while self._buffer:
            text = self._buffer.decode("utf-8", "replace")
            stripped = text.lstrip()
            try:
                message, end = json.JSONDecoder().raw_decode(stripped)
            except (json.JSONDecodeError, RecursionError):
                if b"\n" in self._buffer or len(self._buffer) > _MOST:  # a line is whole, and wrong
                    line, _, rest = bytes(self._buffer).partition(b"\n")
                    self._buffer[:] = rest
                    if line.strip():
                        self._send({"error": {"class": "GenericError", "desc": "JSON parse error"}})
                    continue
                return
            self._buffer[:] = stripped[end:].lstrip().encode("utf-8")
            self._machine.at_rest(lambda message=message: self._answer(message))  # type: ignore[misc]  # a default

    def _answer(self, message: object) -> None:
        reply: dict[str, object] = {}
        if isinstance(message, dict) and "id" in message:
            reply["id"] = message["id"]
        try:
            reply["return"] = self._execute(message)
        except _Refused as error:
            reply["error"] = {"class": error.kind, "desc": str(error)}
        except MachineError as error:
            reply["error"] = {"class": "GenericError", "desc": str(error)}
        self._send(reply)

    def _execute(self, message: object) -> object:
        if not isinstance(message, dict):
            raise _Refused("QMP input must be a JSON object")
        name, arguments = message.get("execute", message.get("exec-oob")), message.get("arguments", {})
        if not isinstance(name, str):
            raise _Refused("QMP input lacks member 'execute'")
        if not isinstance(arguments, dict):
            raise _Refused("QMP input member 'arguments' must be an object")
        if name == "qmp_capabilities":
            self._ready = True
            return {}
        if not self._ready:
            raise _Refused("Expecting capabilities negotiation with 'qmp_capabilities'", "CommandNotFound")
        if name not in self._commands:
            raise _Refused(f"The command {name} has not been found", "CommandNotFound")
        answer = self._commands[name](arguments)
        return {} if answer is None else answer

    # ------------------------------------------------------------ commands

    @staticmethod
    def _text(given: dict[str, Any], name: str) -> str:
        value = given.get(name)
        if not isinstance(value, str):
            raise _Refused(f"Parameter '{name}' is missing")
        return value

    def _status(self, given: dict[str, Any]) -> object:
        state = self._machine.state
        return {"status": state.value, "singlestep": False, "running": state is State.RUNNING}

    def _cpus(self, given: dict[str, Any]) -> object:
        return [
            {"cpu-index": vcpu.index, "qom-path": f"/machine/cpu[{vcpu.index}]", "thread-id": 0, "target": self._target}
            for vcpu in self._machine.vcpus
        ]

    def _blocks(self, given: dict[str, Any]) -> object:
        found = []
        for name, disk in self._monitor.snapshots.disks().items():
            told = disk.describe()
            image = {"filename": str(told.get("file", "")), "format": disk.format, "virtual-size": disk.size}
            inserted = {"file": image["filename"], "drv": disk.format, "ro": disk.read_only, "image": image}
            found.append({"device": name, "locked": False, "removable": False, "type": "hd", "inserted": inserted})
        return found

    def _vnc(self, given: dict[str, Any]) -> object:
        text = self._monitor.execute("info vnc") if "vnc" in self._monitor.words else "none"
        return {"enabled": text != "none", **({"service": text} if text != "none" else {})}

    def _send_key(self, given: dict[str, Any]) -> None:
        keys = given.get("keys")
        words = [key.get("data") if isinstance(key, dict) else None for key in keys] if isinstance(keys, list) else []
        if not words or not all(isinstance(word, str) and word and "-" not in word for word in words):
            raise _Refused("Parameter 'keys' is a list of {'type': 'qcode', 'data': NAME}")
        self._command(f"sendkey {'-'.join(map(str, words))}")

    def _human(self, given: dict[str, Any]) -> object:
        text = self._monitor.execute(self._text(given, "command-line"))
        return text.replace("\n", "\r\n") + ("\r\n" if text else "")

    def _command(self, line: str) -> None:
        """A monitor's command that prints nothing unless it fails."""
        if text := self._monitor.execute(line):
            raise _Refused(text)
