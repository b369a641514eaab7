"""One gdb's conversation with a target: what each packet of the remote protocol does.

Whatever the other side sends, the answer is data, an empty packet for what is not known, or an error: `E01` for what
makes no sense, `E.text` where gdb shows a text.  It never reaches anything but the guest.
"""

from __future__ import annotations

from runtime.core.memory import GuestFault, GuestRangeError
from runtime.debug import monitor
from runtime.debug.description import read_register, write_register
from runtime.debug.packets import PACKET_BYTES, Packet
from runtime.debug.resume import parse_continue, parse_old
from runtime.debug.stop import DebugError, Stop, StopKind
from runtime.debug.transfer import read_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.debug.target import Files, Target

_BAD = b"E01"
_FEATURES = (
    "PacketSize={size:x};QStartNoAckMode+;qXfer:features:read+;qXfer:threads:read+;vContSupported+;swbreak+;hwbreak+"
)
#: what only programs of an operating system have
_MORE_FEATURES = ";qXfer:auxv:read+;qXfer:exec-file:read+;qXfer:siginfo:read+;QPassSignals+;exec-events+"
_BACKWARD = ";ReverseStep+;ReverseContinue+"


class Session:
    """The state of one conversation.

    running      the guest runs: the answer is to come when it stops
    acknowledge  packets are acknowledged with + and -
    over         nothing more is to be said
    """

    def __init__(self, target: Target, files: Files | None, send: Callable[[bytes], None]) -> None:
        self.target = target
        self.files = files
        self.running = False
        self.acknowledge = True
        self.over = False
        self._send = send
        self._last = Stop(StopKind.START, target.threads()[0])
        self._thread = self._last.thread  # what Hg chose
        self._features: set[str] = set()
        self._commands: dict[bytes, Callable[[bytes], bytes | None]] = {
            b"!": lambda rest: b"OK",
            b"?": lambda rest: self.describe(self._last),
            b"g": self._read_registers,
            b"G": self._write_registers,
            b"p": self._read_register,
            b"P": self._write_register,
            b"m": self._read_memory,
            b"M": self._write_memory,
            b"x": self._read_binary,
            b"X": self._write_binary,
            b"Z": self._insert,
            b"z": self._remove,
            b"H": self._choose,
            b"T": self._alive,
            b"c": lambda rest: self._run_old(b"c", rest),
            b"C": lambda rest: self._run_old(b"C", rest),
            b"s": lambda rest: self._run_old(b"s", rest),
            b"S": lambda rest: self._run_old(b"S", rest),
            b"b": self._backward,
            b"v": self._long,
            b"q": self._query,
            b"Q": self._set,
            b"D": self._detach,
            b"k": self._kill,
        }

    # ------------------------------------------------------------ in and out

    def packet(self, packet: Packet) -> None:
        """Answer a packet, or begin what will be answered by `stopped`."""
        if self.running or self.over:
            return
        run = self._commands.get(packet.data[:1])
        try:
            answer = b"" if run is None else run(packet.data[1:])
        except DebugError as error:
            answer = b"E." + str(error).encode("utf-8", "replace")
        except (ValueError, IndexError, KeyError, OverflowError, GuestFault, GuestRangeError):
            answer = _BAD
        if answer is not None:
            self._send(answer)

    def stopped(self, stop: Stop) -> None:
        """The guest has stopped: tell."""
        self.running = False
        self._last = stop
        self._thread = stop.thread
        if stop.kind in (StopKind.EXITED, StopKind.KILLED):
            self.over = True
        self._send(self.describe(stop))

    def say(self, text: str) -> None:
        """Text for gdb's console; only while the guest runs, or gdb waits for the answer to qRcmd."""
        data = text.encode("utf-8", "replace")
        for start in range(0, len(data), PACKET_BYTES // 4):
            self._send(b"O" + data[start : start + PACKET_BYTES // 4].hex().encode("ascii"))

    def describe(self, stop: Stop) -> bytes:
        """A stop reply."""
        if stop.kind is StopKind.EXITED:
            return b"W%02x" % (stop.status & 0xFF)
        if stop.kind is StopKind.KILLED:
            return b"X%02x" % stop.signal
        text = f"T{stop.signal:02x}thread:{stop.thread:x};"
        if stop.kind is StopKind.WATCH:
            text += f"{stop.word}:{stop.address:x};"
        elif stop.kind is StopKind.BREAKPOINT and "swbreak" in self._features:
            text += "swbreak:;"
        elif stop.kind is StopKind.HISTORY:
            text += f"replaylog:{stop.word};"
        elif stop.kind is StopKind.EXEC:
            text += f"exec:{stop.word.encode('utf-8', 'surrogateescape').hex()};"
        return text.encode("ascii")

    # ------------------------------------------------------------ registers

    @property
    def _order(self) -> str:
        return "big" if self.target.description.big_endian else "little"

    def _read_registers(self, rest: bytes) -> bytes:
        vcpu = self.target.vcpu(self._thread)
        registers = self.target.description.registers
        return b"".join(self._hex(read_register(vcpu, register), register.size) for register in registers)

    def _write_registers(self, rest: bytes) -> bytes:
        data = bytes.fromhex(rest.decode("ascii"))
        self.target.changing(self._thread)
        vcpu = self.target.vcpu(self._thread)
        at = 0
        for register in self.target.description.registers:
            piece = data[at : at + register.size]
            if len(piece) < register.size:
                return _BAD
            write_register(vcpu, register, self._integer(piece))
            at += register.size
        return b"OK"

    def _read_register(self, rest: bytes) -> bytes:
        registers = self.target.description.registers
        number = _number(rest)
        if number >= len(registers):
            return _BAD
        register = registers[number]
        return self._hex(read_register(self.target.vcpu(self._thread), register), register.size)

    def _write_register(self, rest: bytes) -> bytes:
        word, _, value = rest.partition(b"=")
        number, registers = _number(word), self.target.description.registers
        data = bytes.fromhex(value.decode("ascii"))
        if number >= len(registers) or len(data) != registers[number].size:
            return _BAD
        self.target.changing(self._thread)
        write_register(self.target.vcpu(self._thread), registers[number], self._integer(data))
        return b"OK"

    def _hex(self, value: int, size: int) -> bytes:
        return value.to_bytes(size, "big" if self._order == "big" else "little").hex().encode("ascii")

    def _integer(self, data: bytes) -> int:
        return int.from_bytes(data, "big" if self._order == "big" else "little")

    # ------------------------------------------------------------ memory

    def _read_memory(self, rest: bytes) -> bytes:
        address, size = _numbers(rest)
        data = self.target.read_memory(address, min(size, PACKET_BYTES // 2))
        return data.hex().encode("ascii") if data or not size else b"E14"

    def _read_binary(self, rest: bytes) -> bytes:
        address, size = _numbers(rest)
        data = self.target.read_memory(address, min(size, PACKET_BYTES // 2 - 1))
        return b"b" + data if data or not size else b"E14"

    def _write_memory(self, rest: bytes) -> bytes:
        place, _, text = rest.partition(b":")
        return self._write(place, bytes.fromhex(text.decode("ascii")))

    def _write_binary(self, rest: bytes) -> bytes:
        place, _, data = rest.partition(b":")
        return self._write(place, data)

    def _write(self, place: bytes, data: bytes) -> bytes:
        address, size = _numbers(place)
        if size != len(data):
            return _BAD
        self.target.write_memory(address, data)
        return b"OK"

    # ------------------------------------------------------------ breakpoints

    def _breakpoint(self, rest: bytes) -> tuple[int, int, int] | None:
        place, _, _ = rest.partition(b";")  # conditions and commands are gdb's business
        kind, address, length = _numbers(place)
        if kind > 4:
            return None
        if address >= self.target.address_space:
            raise DebugError(f"{address:#x} is no address of the guest")
        return kind, address, length

    def _insert(self, rest: bytes) -> bytes:
        place = self._breakpoint(rest)
        if place is None:
            return b""
        self.target.breakpoints.insert(*place)
        return b"OK"

    def _remove(self, rest: bytes) -> bytes:
        place = self._breakpoint(rest)
        if place is None:
            return b""
        self.target.breakpoints.remove(*place)
        return b"OK"

    # ------------------------------------------------------------ threads

    def _choose(self, rest: bytes) -> bytes:
        thread = _thread(rest[1:])
        if thread in (0, -1):
            thread = self._last.thread if self._last.thread in self.target.threads() else self.target.threads()[0]
        if thread not in self.target.threads():
            return _BAD
        if rest[:1] == b"g":
            self._thread = thread
        return b"OK"

    def _alive(self, rest: bytes) -> bytes:
        return b"OK" if _thread(rest) in self.target.threads() else _BAD

    # ------------------------------------------------------------ running

    def _run_old(self, action: bytes, rest: bytes) -> bytes | None:
        plan, address = parse_old(action, rest)
        if address is not None:
            self.target.changing(self._thread)
            self.target.vcpu(self._thread).pc = address
        self.running = True
        plans = dict.fromkeys(self.target.threads(), parse_old(b"c", b"")[0])
        plans[self._thread] = plan
        self.target.resume(plans)
        return None

    def _long(self, rest: bytes) -> bytes | None:
        name, _, words = rest.partition(b":") if rest.startswith(b"File") else rest.partition(b";")
        if name == b"Cont?":
            return b"vCont;c;C;s;S;t;r"
        if name == b"Cont":
            plans, newcomers = parse_continue(words, self.target.threads())
            if not plans:
                return _BAD
            self.running = True
            self.target.resume(plans, newcomers)
            return None
        if name == b"File" and self.files is not None:
            return self.files.answer(words)
        if name == b"Kill":
            self.over = True
            self._send(b"OK")
            self.target.kill()
            return None
        return b""

    def _backward(self, rest: bytes) -> bytes | None:
        if rest not in (b"c", b"s"):
            return b""
        self.target.backward(rest == b"s")
        self.running = True
        return None

    def _detach(self, rest: bytes) -> None:
        self.over = True
        self._send(b"OK")
        self.target.detach()

    def _kill(self, rest: bytes) -> None:
        self.over = True
        self.target.kill()

    # ------------------------------------------------------------ questions and settings

    def _query(self, rest: bytes) -> bytes | None:
        name, _, words = rest.partition(b":") if b":" in rest else rest.partition(b",")
        target = self.target
        if name == b"Supported":
            self._features = {
                feature[:-1] for feature in words.decode("ascii", "replace").split(";") if feature[-1:] == "+"
            }
            target.reports_exec = "exec-events" in self._features
            more = (_MORE_FEATURES if target.is_program else "") + (_BACKWARD if target.reversible else "")
            return (_FEATURES.format(size=PACKET_BYTES) + more).encode("ascii")
        if name == b"Xfer":
            return read_object(target, words)
        if name == b"C":
            return b"QC%x" % self._thread
        if name == b"fThreadInfo":
            return b"m" + b",".join(b"%x" % tid for tid in target.threads())
        if name == b"sThreadInfo":
            return b"l"
        if name == b"ThreadExtraInfo":
            return target.thread_name(_thread(words)).encode("utf-8", "replace").hex().encode("ascii")
        if name == b"Attached":
            return b"0"
        if name == b"Symbol":
            return b"OK"
        if name == b"Rcmd":
            text = bytes.fromhex(words.decode("ascii")).decode("utf-8", "replace")
            try:
                own = target.monitor(self._thread, text)
                self.say(monitor.command(target, self._thread, text) if own is None else own)
            except DebugError as error:
                self.say(f"{error}\n")
            return b"OK"
        return b""

    def _set(self, rest: bytes) -> bytes:
        name, _, words = rest.partition(b":")
        if rest == b"StartNoAckMode":
            self.acknowledge = False
            return b"OK"
        if name == b"PassSignals":
            self.target.passed_signals = frozenset(_number(word) for word in words.split(b";") if word)
            return b"OK"
        if rest == b"NonStop:0":
            return b"OK"
        return b""


def _number(word: bytes) -> int:
    """A number in hexadecimal, and nothing else that Python would take."""
    if not word or not all(byte in b"0123456789abcdefABCDEF" for byte in word):
        raise ValueError(word)
    return int(word, 16)


def _numbers(words: bytes) -> list[int]:
    return [_number(word) for word in words.split(b",")]


def _thread(word: bytes) -> int:
    """A thread's number; -1 for all, 0 for any.  `p1.2` is thread 2 of process 1."""
    if word[:1] == b"p":
        word = word.partition(b".")[2] or b"-1"
    return -1 if word == b"-1" else _number(word)
