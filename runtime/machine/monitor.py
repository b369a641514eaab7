"""The human monitor: QEMU's commands on a running machine, each one line in and some lines out."""

from __future__ import annotations

from runtime.machine.examine import Examiner, parse_format
from runtime.machine.machine import Machine, MachineError, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runtime.hw.characters import Characters
    from runtime.machine.snapshots import Snapshots

PROMPT = "(isomorph) "
_BANNER = "isomorph monitor - type 'help' for more information\r\n"
_LONGEST = 4096


class Monitor:
    """Executes commands.  `more` are those that parts of a machine add: info words and commands, by name."""

    def __init__(
        self,
        machine: Machine,
        examiner: Examiner,
        snapshots: Snapshots,
        info: Mapping[str, tuple[str, Callable[[], str]]] | None = None,
        screendump: Callable[[str], None] | None = None,
        press: Callable[[list[str]], None] | None = None,
        on_log: Callable[[], None] = lambda: None,
    ) -> None:
        self.machine = machine
        self.examiner = examiner
        self.snapshots = snapshots
        self._screendump = screendump
        self._press = press
        self._on_log = on_log
        self._commands: dict[str, tuple[str, str, Callable[[str], str]]] = {
            "help": ("[COMMAND]", "this", self._help),
            "info": ("WORD", "show something; `info` lists the words", self._info),
            "x": (
                "/FORMAT ADDRESS",
                "memory as the processor sees it: x/10i, x/4xg",
                lambda rest: self._x(rest, False),
            ),
            "xp": ("/FORMAT ADDRESS", "physical memory", lambda rest: self._x(rest, True)),
            "print": ("EXPRESSION", "a number, or a register: $pc + 4", self._print),
            "cpu": ("N", "look at another processor", self._cpu),
            "stop": ("", "have the processors stand still", self._stop),
            "cont": ("", "let them go on", self._continue),
            "system_reset": ("", "begin anew", self._reset),
            "system_powerdown": ("", "end the machine", self._quit),
            "quit": ("", "end the emulator", self._quit),
            "savevm": ("NAME", "save the machine's state", self._save),
            "loadvm": ("NAME", "go back to a saved one", self._load),
            "delvm": ("NAME", "delete one", self._delete),
            "screendump": ("FILE", "write the screen as PNG", self._screen),
            "sendkey": ("KEYS", "press keys together: ctrl-alt-f1, shift-a, ret", self._send_keys),
            "log": ("ITEMS|none", "what -d logs", self._log),
        }
        self._aliases = {"?": "help", "c": "cont", "s": "stop", "q": "quit", "p": "print"}
        self.words: dict[str, tuple[str, Callable[[], str]]] = {
            "status": ("whether it runs", self._status),
            "registers": ("the processor's registers", self.examiner.registers),
            "cpus": ("processors", self._cpus),
            "mtree": ("the address space", self.examiner.memory_map),
            "qtree": ("devices", self.examiner.devices),
            "irq": ("interrupts", self.examiner.interrupts),
            "snapshots": ("saved states", self.snapshots.list),
            "clock": ("virtual time, and timers", self._clock),
            **(info or {}),
        }

    def execute(self, line: str) -> str:
        """What a command prints; the processors stand still.  Never raises for what a user types."""
        word, _, rest = line.strip().partition(" ")
        command, slash, form = word.partition("/")
        command = self._aliases.get(command, command)
        if not command:
            return ""
        if command not in self._commands:
            close = [name for name in self._commands if name.startswith(command)]
            if len(close) != 1:
                return f"unknown command: '{command}'" + (f" (could be {', '.join(close)})" if close else "")
            command = close[0]
        try:
            return self._commands[command][2](f"/{form} {rest}" if slash else rest.strip())
        except MachineError as error:
            return str(error)
        except ValueError as error:  # a name that can be no file's, a number of thousands of digits
            return f"{command}: {error}"

    # ------------------------------------------------------------ commands

    def _help(self, rest: str) -> str:
        names = [rest] if rest in self._commands else list(self._commands)
        return "\n".join(f"{f'{name} {self._commands[name][0]}':26} {self._commands[name][1]}" for name in names)

    def _info(self, rest: str) -> str:
        if rest in self.words:
            return self.words[rest][1]()
        lines = [f"info {word:12} {text}" for word, (text, _) in self.words.items()]
        return "\n".join(([f"there is no 'info {rest}'"] if rest else []) + lines)

    def _x(self, rest: str, physical: bool) -> str:
        form, _, where = rest.partition(" ") if rest.startswith("/") else ("/", "", rest)
        if not where.strip():
            raise MachineError("it needs an address: x/4xw 0x80000000")
        return self.examiner.dump(parse_format(form[1:]), self._number(where), physical)

    def _print(self, rest: str) -> str:
        return f"{self._number(rest):#x}"

    def _number(self, text: str) -> int:
        """A sum of numbers and registers ($pc)."""
        total, sign = 0, 1
        for word in text.replace("+", " + ").replace("-", " - ").split():
            if word in "+-":
                sign = -1 if word == "-" else 1
                continue
            if word.startswith("$"):
                registers = self.examiner.vcpu.registers()
                names = {"pc": self.examiner.vcpu.pc} | {name.lower(): value for name, value in registers.items()}
                if word[1:].lower() not in names:
                    raise MachineError(f"there is no register {word}")
                total += sign * names[word[1:].lower()]
            else:
                try:
                    total += sign * int(word, 0)
                except ValueError:
                    raise MachineError(f"{word!r} is no number") from None
            sign = 1
        return total & (1 << 64) - 1

    def _cpu(self, rest: str) -> str:
        if not rest.isdecimal() or int(rest) >= len(self.machine.vcpus):
            raise MachineError(f"there are processors 0 to {len(self.machine.vcpus) - 1}")
        self.examiner.current = int(rest)
        return ""

    def _stop(self, rest: str) -> str:
        self.machine.pause()
        return ""

    def _continue(self, rest: str) -> str:
        self.machine.resume()
        return ""

    def _reset(self, rest: str) -> str:
        self.machine.reset("host-qmp-system-reset")
        return ""

    def _quit(self, rest: str) -> str:
        self.machine.power_off(0, "host-qmp-quit")
        return ""

    def _save(self, rest: str) -> str:
        self.snapshots.save(rest)
        return ""

    def _load(self, rest: str) -> str:
        self.snapshots.load(rest)
        return ""

    def _delete(self, rest: str) -> str:
        self.snapshots.delete(rest)
        return ""

    def _screen(self, rest: str) -> str:
        if self._screendump is None:
            raise MachineError("the machine has no screen")
        if not rest:
            raise MachineError("it needs a file: screendump screen.png")
        self._screendump(rest)
        return ""

    def _send_keys(self, rest: str) -> str:
        words = rest.split()  # a second word says how long, in QEMU; here they are let go at once
        if self._press is None or not words:
            raise MachineError("it needs keys: sendkey ctrl-alt-f1" if self._press else "the machine has no keyboard")
        self._press(words[0].split("-"))
        return ""

    def _log(self, rest: str) -> str:
        from runtime.core.log import ITEMS, Log

        names = [name for name in rest.replace(",", " ").split() if name != "none"]
        for name in names:
            if name not in ITEMS:
                raise MachineError(f"log {name}: there is no such item; there are {', '.join(ITEMS)}")
        if self.machine.log is None:
            self.machine.log = Log(names)
        else:
            self.machine.log.items = frozenset(names)
        wanted = "io" in names or "guest_errors" in names
        for placed in self.machine.devices.values():
            placed.device.log = self.machine.write_log if wanted else None
        self._on_log()
        return ""

    # ------------------------------------------------------------ info

    def _status(self) -> str:
        state = self.machine.state
        return "VM status: running" if state is State.RUNNING else f"VM status: paused ({state.value})"

    def _cpus(self) -> str:
        lines = []
        for vcpu in self.machine.vcpus:
            star = "*" if vcpu.index == self.examiner.current else " "
            lines.append(f"{star} CPU #{vcpu.index}: pc={vcpu.pc:#x} executed={vcpu.executed}")
        return "\n".join(lines)

    def _clock(self) -> str:
        clock = self.machine.clock
        timers = clock.save()["timers"]
        assert isinstance(timers, dict)
        lines = [f"{clock.now()} ns"]
        lines += [f"  {name} at {deadline} ns" for name, deadline in sorted(timers.items(), key=lambda item: item[1])]
        return "\n".join(lines)


class LineMonitor:
    """A monitor on a character stream: echo, a little editing, prompt."""

    def __init__(self, monitor: Monitor, stream: Characters, echo: bool = True) -> None:
        self._monitor = monitor
        self._stream = stream
        self._echo = echo
        self._line = bytearray()
        stream.on_open = self._greet
        stream.connect(self._take)

    def _greet(self) -> None:
        self._line.clear()
        self._stream.write((_BANNER + PROMPT).encode())

    def _take(self, data: bytes) -> None:
        for byte in data:
            if byte in b"\r\n":
                if self._echo:
                    self._stream.write(b"\r\n")
                line = self._line.decode("utf-8", "replace")
                self._line.clear()
                self._monitor.machine.at_rest(lambda line=line: self._run(line))  # type: ignore[misc]  # a default
            elif byte in b"\x7f\b":
                if self._line:
                    self._line.pop()
                    self._stream.write(b"\b \b")
            elif byte == 0x15:  # Ctrl-U
                self._stream.write(b"\b \b" * len(self._line))
                self._line.clear()
            elif byte >= 32 and len(self._line) < _LONGEST:
                self._line.append(byte)
                if self._echo:
                    self._stream.write(bytes((byte,)))

    def _run(self, line: str) -> None:
        text = self._monitor.execute(line)
        if text:
            self._stream.write(text.replace("\n", "\r\n").encode("utf-8", "backslashreplace") + b"\r\n")
        self._stream.write(PROMPT.encode())
