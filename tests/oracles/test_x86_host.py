"""i386's and x86-64's instructions against this machine's own processor: one at a time, with random operands, flags."""

from __future__ import annotations

import struct
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from random import Random

import pytest

from isomorph.coverage import ran
from runtime.core.cpu import load_isa
from runtime.core.env import ENV, Exit
from runtime.core.memory import PAGE_SIZE, GuestMemory
from runtime.syntax.decode import Decoder
from runtime.tcg.loop import Tcg, TcgVcpu, cpu_exec
from tests.conftest import ROOT
from tests.oracles.x86_cases import (
    BEFORE,
    CODE,
    DATA,
    DIRECTION,
    FLAGS,
    MIDDLE,
    NEAR,
    REGISTERS,
    SIZE,
    instruction,
    name_of,
    random_lane,
    random_value,
)
from tests.tools import compile_c, require_build

RUNNER = Path(__file__).parent / "x86_host.c"
#: what the specification has beyond SSE2: what it says of the others is compared where they are
NEEDED = frozenset(
    (
        "pni",
        "ssse3",
        "sse4_1",
        "sse4_2",
        "popcnt",
        "movbe",
        "abm",
        "bmi1",
        "bmi2",
        "adx",
        "pclmulqdq",
        "aes",
        "sha_ni",
        "cx16",
        "avx2",
        "fma",
        "f16c",
    )
)
#: struct state of x86_host.c, and what goes before it in a result
_STATE = struct.Struct(f"<16QIHHH6x{16 * 16}s{16 * 16}s{8 * 16}s{2 * NEAR}s")
_HEAD = struct.Struct("<6Q")
_TRAP, _STACK = 5, 7
_REPEAT = 0xF3
#: sums that processors make in an order of their own: bits of a lane, and of its fraction
_SUMS = {name: lanes for kind, lanes in (("ps", (32, 23)), ("pd", (64, 52))) for name in (f"dp{kind}", f"vdp{kind}")}
#: of the x87 unit's status all but what the last place decides: C1 and underflow
_LOOSELY = ~(1 << 9 | 1 << 4)
#: exceptions of the specification -> the signals Linux makes of them
_PROTECTION, _PAGE_FAULT = 13, 14
_SIGNALS = {0: 8, 4: 11, 5: 11, 6: 4, _PROTECTION: 11, _PAGE_FAULT: 11, 16: 8}
#: the one with which 32-bit code asks for an entry of the program's own table of segments
_DESCRIPTOR = 259
#: Linux' selectors of 32-bit code, as x86_host.c has them
_SELECTORS = {"ES": 0x2B, "SS": 0x2B, "DS": 0x2B, "FS": 0, "GS": 0}
#: where the runner itself lies
_RUNNER_AT = range(0x400000, 0x600000)

#: what is not compared, by the name before "__"
LEFT_OUT = {
    "cpuid": "another processor", "rdtsc": "another clock", "pushf": "shows the trap flag",
    "popf": "clears the trap flag", "syscall": "a system call", "int": "raises", "int3": "raises", "int1": "raises",
    "fxsave": "shows more than is set here", "fxrstor": "sets it",
    "xsave": "shows more than is set here", "xrstor": "sets it", "xgetbv": "another processor",
    "clflush": "does not touch memory here",
    **dict.fromkeys(("rcpps", "rcpss", "rsqrtps", "rsqrtss"), "approximations"),
    "prefetchw": "processors differ on forms of it",
    **dict.fromkeys(("sldt", "str", "smsw", "sldt_m", "str_m", "smsw_m", "sgdt", "sidt"), "Linux answers them"),
    **dict.fromkeys(("mov_S_E", "les", "lds", "lss", "lfs", "lgs", "pop_S"), "the runner needs its segments"),
    "push_S": "processors differ on what is above the selector",
}  # fmt: skip
#: 66 before near branches in 64-bit mode: AMD's processors obey it, Intel's and the specification do not
AMD = frozenset(
    ("call_E", "call32", "ret", "ret_k", "jmp8", "jmp32", "jmp_E", "jcc8", "jcc32", "jcxz", "loop", "leave")
)
#: while such a one repeats, the trap behind each step finds the flags of before the first on some processors
_SCANS = frozenset(("scas", "cmps"))
#: tries to make an instruction of a form, which may depend on prefixes and registers
_RARE = 60
#: operands of SHA's need not stand at multiples of 16 bytes on AMD's processors
_LOOSE = "sha"
#: results of shifts by more than the operand's width are undefined, so is a swapped half register
SIXTEEN = frozenset(("shld", "shrd", "bswap"))


@dataclass(frozen=True)
class Case:
    """An instruction and what it finds."""

    code: bytes
    name: str
    undefined: Sequence[str]
    registers: list[int]
    vectors: list[int]
    highs: list[int]
    floats: list[int]
    flags: dict[str, int]
    data: bytes
    control: int = 0x37F
    tags: int = 0xFF
    status: int = 0
    loose: bool = False  # what processors promise to one unit in the last place

    @property
    def top(self) -> int:
        """The top of the x87 unit's stack."""
        return self.status >> 11 & 7

    def packed(self) -> bytes:
        """As x86_host.c reads it."""
        word = sum(self.flags[name] << bit for name, bit in FLAGS.items()) | self.flags["DF"] << DIRECTION
        vectors = b"".join(vector.to_bytes(16, "little") for vector in self.vectors)
        highs = b"".join(vector.to_bytes(16, "little") for vector in self.highs)
        floats = b"".join(number.to_bytes(16, "little") for number in self.floats)
        registers = [*self.registers, *(0,) * (16 - len(self.registers))]  # those that 32-bit code has not
        return _STATE.pack(
            *registers, word, self.control, self.tags, self.status, vectors, highs, floats, self.data
        ) + self.code.ljust(16, b"\xcc")


class Ours:
    """One processor under TCG."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.long = name == "x86_64"
        self.bits = 64 if self.long else 32
        self.count = 16 if self.long else 8  # of registers, of either kind
        self.isa = load_isa(ROOT / "build" / name)
        self.translate = self.isa.module("translate").INSTRUCTIONS
        self.syntax = self.isa.module("syntax").SYNTAX
        self.decoder = Decoder(self.syntax)
        self.memory = GuestMemory(self.bits)
        self.tcg = Tcg(self.isa, self.memory)
        self.cpu = TcgVcpu(self.tcg)
        self.memory.map(CODE, 0x1000, 7)
        self.memory.map(DATA, SIZE, 3)

    def close(self) -> None:
        self.cpu.close()
        self.tcg.close()
        self.memory.close()

    def cases(self, random: Random, count: int) -> Iterator[Case]:
        """Instructions that the decoder knows and the oracle is asked about."""
        forms = [form for form in self.syntax.forms if "x87" not in form.source and name_of(form) not in LEFT_OUT]
        random.shuffle(forms)
        for form in cycle(forms):
            if not count:
                return
            for _ in range(_RARE):
                code = instruction(random, form, self.long)
                decoded = self.decoder.decode(code, CODE)
                if decoded is not None and decoded.form is form:
                    break
            if decoded is None or name_of(decoded.form) in LEFT_OUT or "x87" in decoded.form.source:
                continue
            name, prefixes = name_of(decoded.form), code[:3]
            if b"\x66" in prefixes and name in (AMD | SIXTEEN if self.long else SIXTEEN):
                continue
            if name.startswith("loop") and (b"\xf2" in prefixes or b"\xf3" in prefixes):
                continue  # reserved, and not without effect on every processor
            if name == "cmpxchg" and decoded.values.get("mod") == 3:
                continue  # what does not compare is written back on Intel's processors, and not on AMD's
            registers = [random_value(random) & (1 << self.bits) - 1 for _ in range(self.count)]
            registers[4] = MIDDLE
            if name in {"movs", "stos", "lods", "scas", "cmps"}:
                registers[1] = random.randrange(3)
            if name.startswith("maskmov"):
                registers[7] = MIDDLE + random.randrange(-64, 64)
            count -= 1
            yield Case(
                code[: decoded.length],
                name,
                self.translate[decoded.form.name].undefined,
                registers,
                [random_lane(random) | random_lane(random) << 64 for _ in range(self.count)],
                [random_lane(random) | random_lane(random) << 64 for _ in range(self.count)],
                [0xFFFF << 64 | random_lane(random) for _ in range(8)],
                {flag: random.getrandbits(1) for flag in (*FLAGS, "DF")},
                random.randbytes(2 * NEAR),
            )

    def differences(self, case: Case, theirs: bytes) -> list[str]:
        """What is other than the host's processor left it."""
        cpu = self.cpu
        self.memory.write(CODE, case.code.ljust(16, b"\xcc").ljust(PAGE_SIZE, b"\0"))
        self.memory.write(DATA, bytes(SIZE))
        self.memory.write(MIDDLE - NEAR, case.data)
        cpu.words[ENV["flags"] // 8] = 0
        for name, values in (("R", case.registers), ("XMM", case.vectors), ("YH", case.highs)):
            for number, word in enumerate(values):
                cpu.set(name, word, number)
        for name, word in {"SFLAGS": 0, "MXCTL": 0x1F80, "FSBASE": 0, "GSBASE": 0, "FIP": BEFORE}.items():
            cpu.set(name, word)
        for number, word in enumerate(case.floats):
            cpu.set("FPR", word, (number + case.top) % 8)
        for name, word in {"FCW": case.control | 0x40, "FSW": case.status, "C1": case.status >> 9 & 1}.items():
            cpu.set(name, word)
        for name, word in {"FTW": case.tags, "TOP": case.top, "MASKS": case.control & 0x3F}.items():
            cpu.set_mode(name, word)
        for name, word in case.flags.items():
            cpu.set_mode(name, word) if name == "DF" else cpu.set(name, word)
        for name, word in _SELECTORS.items() if not self.long else ():
            cpu.set(name, word)
        cpu.pc = CODE
        fault = Exit(cpu_exec(cpu, 1)) == Exit.EXCEPTION
        if fault and cpu.exception == _DESCRIPTOR:
            selector = cpu.arguments[0]
            cpu.set("LDT", 0, selector >> 3 & 7)  # there is none
            cpu.set("LDTS", selector | 7, selector >> 3 & 7)
            fault = Exit(cpu_exec(cpu, 1)) == Exit.EXCEPTION
        signal, pc, far, tags, mxcsr, last = _HEAD.unpack_from(theirs)
        if case.name == "xchg_A" and _REPEAT in case.code:
            return []  # behind F3, 90 with REX.B is an exchange with r8 to some processors, and PAUSE to others
        if fault and cpu.exception == _PAGE_FAULT and cpu.arguments[0] in _RUNNER_AT:
            return []  # memory that the runner has, and this one has not
        ours = _SIGNALS[cpu.exception] if fault else _TRAP
        if signal == _STACK:
            signal = _SIGNALS[_PAGE_FAULT]  # addresses that are none are all one kind of fault here
        if not fault and signal == _SIGNALS[_PAGE_FAULT] and self.long and not _canonical(cpu.pc):
            return []  # a jump there has happened here, and not on the host: the fault is the next step
        if fault and cpu.exception == _PROTECTION and signal == _TRAP and case.name.startswith(_LOOSE):
            return []
        if fault and signal == _TRAP and pc == CODE and "gather" in case.name:
            return []  # the trap after the elements before the one that faults, which comes when it goes on
        if ours != signal:
            return [f"signal {ours}, not {signal}"]
        if not fault and cpu.get("FIP") != last:
            return [f"the x87 unit's last instruction {cpu.get('FIP'):#x}, not {last:#x}"]
        return [] if fault else list(self._state(case, theirs[_HEAD.size :], pc, far, tags, mxcsr))

    def _state(self, case: Case, theirs: bytes, pc: int, far: int, tags: int, mxcsr: int) -> Iterator[str]:
        *registers, flags, control, _, _, vectors, highs, floats, data = _STATE.unpack(theirs)
        cpu = self.cpu
        if case.name in ("bsf", "bsr") and flags >> FLAGS["ZF"] & 1:
            return  # of nothing: the destination is undefined
        if cpu.pc != pc:
            yield f"pc {cpu.pc:#x}, not {pc:#x}"
        top = cpu.get_mode("TOP")
        for number, name in enumerate(REGISTERS[: self.count]):
            if cpu.get("R", number) != registers[number]:
                yield f"{name} {cpu.get('R', number):#x}, not {registers[number]:#x}"
            vector = int.from_bytes(vectors[16 * number : 16 * number + 16], "little")
            if _in_lanes(cpu.get("XMM", number), case) != _in_lanes(vector, case):
                yield f"xmm{number} {cpu.get('XMM', number):#x}, not {vector:#x}"
            high = int.from_bytes(highs[16 * number : 16 * number + 16], "little")
            if _in_lanes(cpu.get("YH", number), case) != _in_lanes(high, case):
                yield f"ymm{number}'s upper half {cpu.get('YH', number):#x}, not {high:#x}"
        for number in range(8):
            stored = int.from_bytes(floats[16 * number : 16 * number + 10], "little")
            if abs(_ordinal(cpu.get("FPR", (number + top) % 8)) - _ordinal(stored)) > case.loose:
                yield f"st{number} {cpu.get('FPR', (number + top) % 8):#x}, not {stored:#x}"
        if cpu.get_mode("FTW") != tags & 0xFF:
            yield f"tags {cpu.get_mode('FTW'):#x}, not {tags & 0xFF:#x}"
        goes_on = pc == CODE and case.name in _SCANS
        for name, bit in FLAGS.items():
            if not goes_on and name not in case.undefined and cpu.get(name) != flags >> bit & 1:
                yield f"{name} {cpu.get(name)}"
        if cpu.get("FCW") != control | 0x40:
            yield f"control {cpu.get('FCW'):#x}, not {control:#x}"
        status = cpu.get("FSW") & 0x457F | cpu.get("C1") << 9 | top << 11
        if status & ~cpu.get("FCW") & 0x3F:
            status |= 0x8080
        if (status ^ tags >> 16) & (_LOOSELY if case.loose else -1):
            yield f"status {status:#x}, not {tags >> 16:#x}"
        if cpu.get_mode("DF") != flags >> DIRECTION & 1:
            yield "DF"
        raised = cpu.get("SFLAGS")
        ours = sum((raised >> 4 - index & 1) << bit for index, bit in enumerate((0, 2, 3, 4, 5)))
        if "MXCSR" not in case.undefined and ours != mxcsr & 0x3D:
            yield f"mxcsr {ours:#x}, not {mxcsr & 0x3D:#x}"
        page = bytearray(self.memory.read(DATA, SIZE))
        near = slice(MIDDLE - NEAR - DATA, MIDDLE + NEAR - DATA)
        if page[near] != data:
            yield "memory"
        page[near] = bytes(2 * NEAR)
        words = enumerate(memoryview(page).cast("Q"))
        if sum((index + 1) * word for index, word in words if word) % (1 << 64) != far:
            yield "memory far away"


def _in_lanes(vector: int, case: Case) -> list[int]:
    """128 bits as what can be compared: of sums in an order that is each processor's own any NaN is as good."""
    bits, fraction = _SUMS.get(case.name, (128, 128))
    lanes = [vector >> at & (1 << bits) - 1 for at in range(0, 128, bits)]
    infinity = (1 << bits - 1) - (1 << fraction)
    return [-1 if bits < 128 and lane & (1 << bits - 1) - 1 > infinity else lane for lane in lanes]


def _ordinal(number: int) -> int:
    """80 bits as what grows by one from a number to the next: without the integer bit, if that says nothing."""
    return number if number >> 63 & 1 != bool(number >> 64 & 0x7FFF) else number >> 64 << 63 | number & (1 << 63) - 1


def _canonical(address: int) -> bool:
    return not 1 << 47 <= address < (1 << 64) - (1 << 47)


@pytest.fixture(scope="module", params=["x86_64", "i386"])
def ours(request: pytest.FixtureRequest) -> Iterator[Ours]:
    require_build(request.param)
    flags = Path("/proc/cpuinfo").read_text().partition("flags")[2].partition("\n")[0].split()
    missing = NEEDED - set(flags)
    if missing:
        pytest.skip(f"the host's processor has no {', '.join(sorted(missing))}")
    made = Ours(request.param)
    yield made
    made.close()


def _host(ours: Ours, cases: Sequence[Case]) -> bytes:
    """What the host's processor leaves behind, case by case."""
    runner = compile_c("gcc", "gcc", [RUNNER], ["-O1", "-static", "-no-pie"])
    command = [runner] if ours.long else [runner, "32"]
    given = b"".join(case.packed() for case in cases)
    return subprocess.run(command, input=given, capture_output=True, check=True, timeout=300).stdout


def compared(ours: Ours, cases: Sequence[Case]) -> list[str]:
    """What differs, a line a case."""
    results = _host(ours, cases)
    size = _HEAD.size + _STATE.size
    assert len(results) == size * len(cases)
    wrong = []
    for number, case in enumerate(cases):
        found = ours.differences(case, results[number * size : (number + 1) * size])
        if found:
            wrong.append(f"{case.name} {case.code.hex()}: {', '.join(found)}")
    return wrong


def _compare(ours: Ours, random: Random, count: int) -> tuple[Counter[str], list[str]]:
    cases = list(ours.cases(random, count))
    for case in cases:
        ran(ours.name, case.name)
    return Counter(case.name for case in cases), compared(ours, cases)


def test_instructions_do_what_the_host_does(ours: Ours) -> None:
    counted, wrong = _compare(ours, Random(7), 10_000)
    assert wrong == []
    assert len(counted) > 300


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_many_instructions(ours: Ours, seed: int) -> None:
    counted, wrong = _compare(ours, Random(seed), 100_000)
    assert wrong == []
    assert len(counted) > 300


def test_the_comparison_can_fail(ours: Ours) -> None:
    case = replace(next(ours.cases(Random(1), 1)), code=bytes.fromhex("01d8"), name="add", undefined=())
    result = _host(ours, [case])
    assert ours.differences(case, result) == []
    changed = bytearray(result)
    changed[_HEAD.size] ^= 1
    assert ours.differences(case, bytes(changed)) != []
