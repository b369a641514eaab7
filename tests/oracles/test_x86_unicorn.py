"""i386's and x86-64's instructions against Unicorn: one at a time, with random prefixes, operands, flags and memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest

from isomorph.coverage import ran
from runtime.core.cpu import load_isa
from runtime.core.env import ENV, Exit
from runtime.core.memory import GuestMemory
from runtime.syntax.decode import Decoder
from runtime.syntax.tables import Form
from runtime.tcg.loop import Tcg, TcgVcpu, cpu_exec
from tests.conftest import ROOT
from tests.oracles.x86_cases import (
    CODE,
    DATA,
    DIRECTION,
    FLAGS,
    MIDDLE,
    NEAR,
    REGISTERS,
    SIZE,
    VEX_MAPS,
    instruction,
    may_lock,
    name_of,
    random_lane,
    random_value,
)
from tests.tools import require_build

unicorn = pytest.importorskip("unicorn", reason="no unicorn (pip install unicorn)")
x86_const = pytest.importorskip("unicorn.x86_const")

_REALS = ("add", "sub", "mul", "div", "hadd", "hsub", "addsub", "dp")
#: what Unicorn is not asked about, by the name before "__"
LEFT_OUT = {
    "cpuid": "another processor",
    "rdtsc": "another clock",
    "pushf": "shows system flags",
    "popf": "sets system flags",
    "syscall": "raises", "int": "raises", "int3": "raises", "hlt": "raises", "ud2": "raises",
    "enter": "Unicorn does not look at where the stack ends then",
    "ldmxcsr": "Unicorn takes reserved bits",
    "mov_S_E": "Unicorn has its own segments", "mov_E_S": "Unicorn has its own segments",
    "mov_m_S": "Unicorn has its own segments", "prefetchw": "another processor",
    "clflush": "Unicorn refuses prefixes before it",
    **dict.fromkeys((f"{way}_{name}s" for way in ("push", "pop") for name in "cdefgs"), "Unicorn has its own segments"),
    **dict.fromkeys(
        (f"{name}{kind}{w}" for name in _REALS for kind in "ps" for w in "sd"),
        "of two NaNs Unicorn takes the x87 unit's choice",
    ),
    **dict.fromkeys(
        ("phaddw", "phaddd", "phaddsw", "phsubw", "phsubd", "phsubsw"),
        "Unicorn overwrites the source where it is the destination, too",
    ),
    **dict.fromkeys(("pcmpestri", "pcmpestrm", "pcmpistri", "pcmpistrm"), "Unicorn crashes at some"),
    **dict.fromkeys(("rcpps", "rcpss", "rsqrtps", "rsqrtss"), "approximations"),
    "fxsave": "shows what the x87 unit holds", "fxrstor": "sets it",
    **dict.fromkeys(("cmpps", "cmppd", "cmpss", "cmpsd"), "Unicorn refuses predicates above 7"),
}  # fmt: skip
#: near branches and the stack behind 66: Intel's processors ignore it, Unicorn does as AMD's
AMD = frozenset(
    ("call_E", "call32", "ret", "ret_k", "jmp8", "jmp32", "jmp_E", "jcc8", "jcc32", "jcxz", "loop", "loope", "loopne")
) | {"leave", "enter"}
#: with 66 and REX.W Unicorn takes 66; results of shifts further than the operand are undefined
SIXTEEN = frozenset(["popcnt", "shld", "shrd", "bswap"])


class Pair:
    """Both machines."""

    def __init__(self, name: str) -> None:
        self.long = name == "x86_64"
        self.bits = 64 if self.long else 32
        self.isa = load_isa(ROOT / "build" / name)
        self.translate = self.isa.module("translate").INSTRUCTIONS
        self.syntax = self.isa.module("syntax").SYNTAX
        self.decoder = Decoder(self.syntax)
        self.memory = GuestMemory(self.bits)
        self.tcg = Tcg(self.isa, self.memory)
        self.cpu = TcgVcpu(self.tcg)
        self.memory.map(CODE, 0x1000, 7)
        self.memory.map(DATA, SIZE, 3)
        self.theirs = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64 if self.long else unicorn.UC_MODE_32)
        self.theirs.mem_map(CODE, 0x1000)
        self.theirs.mem_map(DATA, SIZE)
        self.theirs.hook_add(unicorn.UC_HOOK_INTR, self._interrupt)
        self.raised = False
        self.names = REGISTERS if self.long else [f"E{register[1:]}" for register in REGISTERS[:8]]
        self.ids = [getattr(x86_const, f"UC_X86_REG_{register}") for register in self.names]
        self.pc = x86_const.UC_X86_REG_RIP if self.long else x86_const.UC_X86_REG_EIP

    def close(self) -> None:
        self.cpu.close()
        self.tcg.close()
        self.memory.close()

    def _interrupt(self, machine: object, number: int, _: object) -> None:
        self.raised = True
        self.theirs.emu_stop()

    def run(self, code: bytes, values: list[int], vectors: list[int], flags: dict[str, int], data: bytes) -> str | None:
        """What differs; "" if nothing does, None if the two cannot be compared."""
        self.memory.write(CODE, code + b"\x0f\x0b")
        self.memory.write(DATA, data)
        self.cpu.words[ENV["flags"] // 8] = 0
        for number, value in enumerate(values):
            self.cpu.set("R", value, number)
        for number, value in enumerate(vectors):
            self.cpu.set("XMM", value, number)
        self.cpu.set("SFLAGS", 0)
        self.cpu.set("MXCTL", 0x1F80)
        for name, value in flags.items():
            if name == "DF":
                self.cpu.set_mode("DF", value)
            else:
                self.cpu.set(name, value)
        self.cpu.pc = CODE
        fault = Exit(cpu_exec(self.cpu, 1)) == Exit.EXCEPTION
        error = self._theirs(code, values, vectors, flags, data)
        pc = self.theirs.reg_read(self.pc)
        if error == unicorn.UC_ERR_FETCH_UNMAPPED or (error is None and not self.raised and pc == CODE):
            return None  # it went where no code is, or Unicorn did not run it
        if fault and self.cpu.exception == 13 and error is None and not self.raised:
            return None  # Unicorn takes operands of 16 bytes wherever they stand
        if fault != (error is not None or self.raised):
            high = (
                self.long
                and self.cpu.exception == 14
                and fault
                and not -(1 << 47) <= _signed(self.cpu.arguments[0]) < 1 << 47
            )
            return None if high else f"fault: ours {fault}, theirs {error}"
        if fault:
            return ""
        return ", ".join(self._differences(pc, code))

    def _theirs(
        self, code: bytes, values: list[int], vectors: list[int], flags: dict[str, int], data: bytes
    ) -> int | None:
        machine = self.theirs
        machine.mem_write(CODE, (code + b"\x0f\x0b").ljust(0x100, b"\0"))
        machine.mem_write(DATA, data)
        machine.ctl_remove_cache(CODE, CODE + 0x100)
        for register, value in zip(self.ids, values, strict=True):
            machine.reg_write(register, value)
        for number, value in enumerate(vectors):
            machine.reg_write(x86_const.UC_X86_REG_XMM0 + number, value)
        word = 0x202 | flags["DF"] << DIRECTION
        for name, bit in FLAGS.items():
            word |= flags[name] << bit
        machine.reg_write(x86_const.UC_X86_REG_EFLAGS, word)
        machine.reg_write(x86_const.UC_X86_REG_MXCSR, 0x1F80)
        self.raised = False
        try:
            machine.emu_start(CODE, 0, count=1)
        except unicorn.UcError as failure:
            return int(failure.errno)
        return None

    def _differences(self, pc: int, code: bytes) -> Iterator[str]:
        decoded = self.decoder.decode(code, CODE)
        assert decoded is not None
        undefined = self.translate[decoded.form.name].undefined
        if self.cpu.pc != pc:
            yield f"pc {self.cpu.pc:#x} {pc:#x}"
        for number, name in enumerate(self.names):
            ours, theirs = self.cpu.get("R", number), self.theirs.reg_read(self.ids[number])
            if ours != theirs:
                yield f"{name} {ours:#x} {theirs:#x}"
            ours, theirs = self.cpu.get("XMM", number), self.theirs.reg_read(x86_const.UC_X86_REG_XMM0 + number)
            if ours != theirs:
                yield f"xmm{number} {ours:#x} {theirs:#x}"
        word = self.theirs.reg_read(x86_const.UC_X86_REG_EFLAGS)
        for name, bit in FLAGS.items():
            if name not in undefined and self.cpu.get(name) != word >> bit & 1:
                yield f"{name} {self.cpu.get(name)}"
        if self.memory.read(DATA, SIZE) != bytes(self.theirs.mem_read(DATA, SIZE)):
            yield "memory"


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _of_floats(form: Form) -> bool:
    """Whether it reads the x87 unit's registers, which are not set here (test_x86_host.py sets them)."""
    return "x87" in form.source or "mmx" in form.source


def _is_new(form: Form) -> bool:
    """Whether Unicorn does not know it, or knows it wrongly: blsi's carry, bzhi of many bits."""
    return form.space in VEX_MAPS or "x86_bmi" in form.source or "x86_crypto" in form.source


def _compare(pair: Pair, random: Random, rounds: int) -> tuple[Counter[str], list[str]]:
    forms = [form for form in pair.syntax.forms if not _of_floats(form) and not _is_new(form)]
    counted: Counter[str] = Counter()
    wrong: list[str] = []
    for _ in range(rounds):
        code = instruction(random, random.choice(forms), pair.long)
        decoded = pair.decoder.decode(code, CODE)
        if decoded is None or name_of(decoded.form) in LEFT_OUT or _of_floats(decoded.form) or _is_new(decoded.form):
            continue
        name = name_of(decoded.form)
        sixteen = b"\x66" in code[:3]
        if (b"\x0f\x38" in code[:6] or b"\x0f\x3a" in code[:6]) and not sixteen and name[0] == "p":
            continue  # Unicorn's SSSE3 of MMX registers writes vector registers
        if sixteen and name in AMD | SIXTEEN:
            continue
        if b"\xf0" in code[:3] and not may_lock(decoded.form):
            continue  # Unicorn aborts at some
        if pair.long and name in {"lahf", "sahf"} and any(byte & 0xF0 == 0x40 for byte in code[: decoded.length]):
            continue  # Unicorn's AH becomes SPL behind REX
        if name == "test" and decoded.values.get("u"):
            continue  # the second encoding of test: Unicorn does not have it
        if name in {"not", "neg"} and b"\xf0" in code[:3]:
            continue  # Unicorn works the flags of a locked neg out from the value before
        if name == "mov_I" and decoded.values["mode.rex"] & 4:
            continue  # Unicorn wants a zero in the field that REX.R extends; the host does not (test_x86_host.py)
        values = [random_value(random) & (1 << pair.bits) - 1 for _ in pair.names]
        values[4] = MIDDLE
        if name in {"movs", "stos", "lods", "scas", "cmps"}:
            values[1] = random.randrange(3)
        vectors = [random_lane(random) | random_lane(random) << 64 for _ in pair.names]
        flags = {flag: random.getrandbits(1) for flag in (*FLAGS, "DF")}
        data = bytearray(SIZE)
        data[SIZE // 2 - NEAR : SIZE // 2 + NEAR] = random.randbytes(2 * NEAR)
        found = pair.run(code[: decoded.length], values, vectors, flags, bytes(data))
        if found is None:
            continue
        counted[name] += 1
        ran(pair.isa.layout.isa, name)
        if found:
            wrong.append(f"{name} {code[: decoded.length].hex()}: {found}")
    return counted, wrong


@pytest.fixture(scope="module", params=["x86_64", "i386"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    require_build(request.param)
    made = Pair(request.param)
    yield made
    made.close()


def test_instructions_do_what_unicorn_says(pair: Pair) -> None:
    counted, wrong = _compare(pair, Random(11), 15_000)
    assert wrong == []
    assert len(counted) > 200


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_many_instructions(pair: Pair, seed: int) -> None:
    counted, wrong = _compare(pair, Random(seed), 100_000)
    assert wrong == []
    assert len(counted) > 200


def test_the_comparison_can_fail(pair: Pair) -> None:
    data = bytes(SIZE)
    flags = dict.fromkeys((*FLAGS, "DF"), 0)
    count = len(pair.names)
    assert pair.run(bytes.fromhex("01d8"), [MIDDLE] * count, [0] * count, flags, data) == ""
    pair.cpu.set("R", 7, 6)
    assert list(pair._differences(CODE + 2, bytes.fromhex("01d8"))) == [f"{pair.names[6]} 0x7 {MIDDLE:#x}"]
