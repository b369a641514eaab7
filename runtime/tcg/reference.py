"""Executes TCG in Python, op by op: the oracle the LLVM lowering is tested against, and a way to see what code does.

Guest memory is a bytearray with a permission byte per page; translated-code pages answer a store with 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from runtime.core.env import PAGE_BITS, PAGE_CODE, PAGE_READ, PAGE_WRITE, Exit
from runtime.core.layout import storage_bytes
from runtime.tcg import extended, floats
from runtime.tcg.ir import Function, InternalError, Label, Local, Op, Operand, Temp
from runtime.tcg.ops import OPS, mask, signed

_FUEL = 1_000_000


@dataclass(slots=True)
class Outcome:
    """How a function ended.  way: the name of its last op; values: that op's arguments; offset: its slot or reason."""

    way: str
    values: tuple[int, ...]
    offset: int = 0

    @property
    def reason(self) -> Exit:
        """Why an `exit` left."""
        return Exit(self.offset)


@dataclass(slots=True)
class Machine:
    """Everything a function can see."""

    env: bytearray
    memory: bytearray = field(default_factory=bytearray)
    permissions: bytearray = field(default_factory=bytearray)
    record: bytes = b""
    budget: int = 0
    fpflags: int = 0
    helpers: Mapping[str, Function] = field(default_factory=dict)
    #: what `call_env` calls: (machine, arguments) -> result
    engine: Mapping[str, Callable[..., int]] = field(default_factory=dict)
    #: addresses `symbol` gives
    symbols: Mapping[str, int] = field(default_factory=dict)
    #: host memory, address -> byte
    host: dict[int, int] = field(default_factory=dict)
    time: int = 0

    def check(self, address: int, size: int, access: int) -> int:
        """What check_mem answers."""
        last = address + size - 1
        if last >> PAGE_BITS >= len(self.permissions):
            return 1
        pages = {self.permissions[address >> PAGE_BITS], self.permissions[last >> PAGE_BITS]}
        need = PAGE_WRITE if access else PAGE_READ
        if all(page & need for page in pages):
            return 0
        return 2 if access and any(page & PAGE_CODE for page in pages) else 1

    def run(self, function: Function, *arguments: int) -> Outcome:
        """Execute the function."""
        return _Run(self, function, arguments).run()


class _Run:
    def __init__(self, machine: Machine, function: Function, arguments: tuple[int, ...]) -> None:
        self._machine = machine
        self._function = function
        self._temps: dict[Temp, int] = dict(zip(function.parameters, arguments, strict=True))
        self._locals: dict[Local, list[int]] = {}
        self._places: dict[Label, int] = {
            op.labels[0]: number for number, op in enumerate(function.ops) if op.name == "label"
        }
        self._at = 0

    def _value(self, operand: Operand) -> int:
        return self._temps[operand] if isinstance(operand, Temp) else operand

    def run(self) -> Outcome:
        ops = self._function.ops
        for _ in range(_FUEL):
            if self._at >= len(ops):
                return Outcome("end", ())
            op = ops[self._at]
            self._at += 1
            values = tuple([self._value(operand) for operand in op.args])
            outcome = self._step(op, values)
            if outcome is not None:
                return outcome
        raise InternalError(f"{self._function.name} does not end")

    def _step(self, op: Op, values: tuple[int, ...]) -> Outcome | None:
        match op.name:
            case "insn_start" | "label" | "fence":
                pass
            case "br":
                self._jump(op.labels[0], values)
            case "brcond":
                self._jump(op.labels[0 if values[0] else 1], ())
            case "next" | "skip" | "goto_tb" | "goto_ptr" | "exit" | "ret":
                return Outcome(op.name, values, op.size if op.name in ("next", "skip") else op.offset)
            case "call":
                outcome = self._machine.run(self._machine.helpers[op.symbol], *values)
                self._temps.update(zip(op.results, outcome.values, strict=True))
            case "call_env":
                answer = self._machine.engine[op.symbol](self._machine, *values)
                if op.results:
                    self._temps[op.result] = answer & mask(op.result.width)
            case _:
                results = self._evaluate(op, values)
                if op.results:
                    self._temps[op.result] = results
        return None

    def _jump(self, label: Label, values: tuple[int, ...]) -> None:
        self._at = self._places[label]
        self._temps.update(zip(self._function.ops[self._at].results, values, strict=True))

    def _evaluate(self, op: Op, values: tuple[int, ...]) -> int:
        width = op.result.width if op.results else op.widths[-1] if op.widths else 0
        evaluate = OPS[op.name].evaluate
        if evaluate is not None:
            return evaluate(width, values, op.widths, op.offset)
        if op.name in _HOST:
            result, flags = _HOST[op.name](width, op.widths, values)
            self._machine.fpflags |= flags
            return result
        step = _STATE.get(op.name)
        if step is None:
            raise InternalError(f"the reference executor does not know {op.name}")
        return step(self, op, values, width)

    # ------------------------------------------------------------ state

    def cell(self, op: Op) -> list[int]:
        """The storage of the op's local."""
        if op.local is None:
            raise InternalError(f"{op.name} without a local")
        return self._locals.setdefault(op.local, [0] * op.local.count)

    def local(self, op: Op, values: tuple[int, ...], width: int) -> int:
        cells = self.cell(op)
        index = values[0] if op.name.endswith("x") else 0
        if op.results:
            return cells[index]
        cells[index] = values[-1]
        return 0

    def state(self, op: Op, values: tuple[int, ...], width: int) -> int:
        offset = values[0] if op.name.endswith("x") else op.offset
        place = slice(offset, offset + storage_bytes(width))
        if op.results:
            return int.from_bytes(self._machine.env[place], "little") & mask(width)
        self._machine.env[place] = values[-1].to_bytes(storage_bytes(width), "little")
        return 0

    def slot(self, op: Op, values: tuple[int, ...], width: int) -> int:
        value = int.from_bytes(self._machine.record[op.offset : op.offset + op.size // 8], "little")
        return (signed(value, op.size) if op.flag else value) & mask(width)

    def other(self, op: Op, values: tuple[int, ...], width: int) -> int:
        machine = self._machine
        match op.name:
            case "ld_budget":
                return machine.budget
            case "fpflags_get":
                return machine.fpflags
            case "fpflags_clear":
                machine.fpflags = 0
            case "host_time":
                machine.time += 1
                return machine.time
            case "clock":
                return machine.engine["clock_read"](machine, values[0])
            case "symbol":
                return machine.symbols[op.symbol]
            case "ld_host":
                at = values[0]
                return int.from_bytes(bytes(machine.host[at + byte] for byte in range(width // 8)), "little")
            case "st_host":
                for byte, value in enumerate(values[1].to_bytes(width // 8, "little")):
                    machine.host[values[0] + byte] = value
        return 0

    # ------------------------------------------------------------ memory

    def check(self, op: Op, values: tuple[int, ...], width: int) -> int:
        return self._machine.check(values[0], op.size, op.offset)

    def _read(self, op: Op, address: int, width: int) -> int:
        data = self._machine.memory[address : address + width // 8]
        return int.from_bytes(data, "big" if op.flag else "little")

    def _write(self, op: Op, address: int, width: int, value: int) -> None:
        size = width // 8
        self._machine.memory[address : address + size] = value.to_bytes(size, "big" if op.flag else "little")

    def memory(self, op: Op, values: tuple[int, ...], width: int) -> int:
        address = values[0]
        if op.name == "st_mem":
            self._write(op, address, width, values[1])
            return 0
        old = self._read(op, address, width)
        if op.name == "cas_mem":
            if old == values[1]:
                self._write(op, address, width, values[2])
        elif op.name == "xchg_mem":
            self._write(op, address, width, values[1])
        elif op.name != "ld_mem":
            evaluate = OPS[op.name.removesuffix("_mem")].evaluate
            if evaluate is None:
                raise InternalError(op.name)
            self._write(op, address, width, evaluate(width, (old, values[1]), (width, width), 0))
        return old


_Step = Callable[[_Run, Op, tuple[int, ...], int], int]
_STATE: dict[str, _Step] = {
    **dict.fromkeys(("ld_local", "st_local", "ld_localx", "st_localx"), _Run.local),
    **dict.fromkeys(("ld_env", "st_env", "ld_envx", "st_envx"), _Run.state),
    "ld_slot": _Run.slot,
    "check_mem": _Run.check,
    **dict.fromkeys(("ld_mem", "st_mem", "cas_mem"), _Run.memory),
    **dict.fromkeys([f"{how}_mem" for how in ("xchg", "add", "and", "or", "xor")], _Run.memory),
    **dict.fromkeys(
        ("ld_budget", "fpflags_get", "fpflags_clear", "host_time", "clock", "symbol", "ld_host", "st_host"), _Run.other
    ),
}

_Float = Callable[[int, tuple[int, ...], tuple[int, ...]], tuple[int, int]]


def _real(operation: Callable[..., tuple[int, int]]) -> _Float:
    return lambda width, widths, values: operation(floats.FORMATS[width], *values)


def _to_s(width: int, widths: tuple[int, ...], values: tuple[int, ...]) -> tuple[int, int]:
    number, flags = floats.to_integer(floats.FORMATS[widths[0]], values[0])
    return number & mask(width), flags


_HOST: dict[str, _Float] = {
    "host_add": _real(floats.add),
    "host_sub": _real(floats.sub),
    "host_mul": _real(floats.mul),
    "host_div": _real(floats.div),
    "host_sqrt": _real(floats.sqrt),
    "host_fma": _real(floats.fma),
    "host_f32_to_f64": lambda w, n, v: floats.convert(floats.FORMATS[32], floats.FORMATS[64], v[0]),
    "host_f64_to_f32": lambda w, n, v: floats.convert(floats.FORMATS[64], floats.FORMATS[32], v[0]),
    "host_from_s": lambda w, n, v: floats.from_integer(floats.FORMATS[w], signed(v[0], n[0])),
    "host_from_u": lambda w, n, v: floats.from_integer(floats.FORMATS[w], v[0]),
    "host_to_s": _to_s,
    "host_eq": lambda w, n, v: floats.equal(floats.FORMATS[n[0]], v[0], v[1]),
    "host_lt": lambda w, n, v: floats.less(floats.FORMATS[n[0]], v[0], v[1]),
    "host_le": lambda w, n, v: floats.less_or_equal(floats.FORMATS[n[0]], v[0], v[1]),
}


def _extended(meaning: Callable[..., int]) -> _Float:
    return lambda width, widths, values: (meaning(*values), 0)


_HOST |= {name: _extended(meaning) for name, meaning in extended.MEANINGS.items()}

#: ops with an entry here; the rest of the table is control, handled where the function runs
KNOWN = frozenset(_STATE) | frozenset(_HOST) | {name for name, op in OPS.items() if op.evaluate is not None}
CONTROL = frozenset(
    (
        *("insn_start", "label", "fence", "br", "brcond", "next", "skip", "goto_tb", "goto_ptr", "exit", "ret", "call"),
        *(
            "call_env",
            "load_mem",
            "store_mem",
            "kick",
            "region_stale",
        ),  # the last are machines', which have no reference
    )
)
