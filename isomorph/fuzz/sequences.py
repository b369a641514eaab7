"""Random cases from a spec's own encodings.

Each instruction is tried on the native engine before it is kept: so loads and stores hit memory that is there, branches
stay in the block, and what another emulator cannot be asked about is known from the values it would read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from itertools import product
from pathlib import PurePath
from random import Random

from isomorph.errors import IsomorphError
from isomorph.fuzz.case import Case
from isomorph.fuzz.description import Difference, Oracle, oracle_of
from isomorph.fuzz.engine import LIMIT
from isomorph.fuzz.native_engine import NativeEngine
from isomorph.fuzz.state import CODE, CODE_SIZE, WINDOW, State, random_state
from isomorph.spec_tests import OneInstruction, bad_address
from runtime.core.cpu import Isa
from runtime.core.env import Exit
from runtime.linux.abi import abi_of
from runtime.linux.abi.model import SystemCall
from runtime.syntax.decode import Decoded, Decoder
from runtime.syntax.tables import Field, Form, Hole, mode_key
from runtime.tcg.builder import Value
from runtime.tcg.ir import Function
from runtime.tcg.loop import cpu_exec

__all__ = ["Sequences"]

LENGTHS = (1, 2, 4, 8, 8, 16, 16, 32, 48)
_TRIES = 12
#: longest way over instructions that a forward branch leaves out, and longest way through a loop
_GAP = 48
_LOOP = 60
#: how often an instruction that raises is kept, and ends its case
_RAISING = 0.01
#: registers that most operands are, so that instructions have to do with each other
_POOL = 6
#: so many registers that the manual leaves open are tried with all they may hold
_MOST_UNKNOWN = 6
#: how often an instruction that needs no prefix has none, and how many are tried before one that needs them
_UNPREFIXED = 0.6
_PREFIXED_TRIES = 30


class _Watcher(OneInstruction):
    """Notices what an instruction may do: read the time or the count of instructions, raise certain exceptions."""

    looked = False

    def __init__(self, isa: Isa) -> None:
        super().__init__(isa.layout, Function("look"), bad_address(isa))
        self.modes.update({mode.name: mode.reset for mode in isa.layout.modes})
        self.raised: set[Value] = set()

    def emit_once(self, isa: Isa, word: bytes) -> None:
        """Emit the instruction that stands at CODE, if it is one."""
        decoded = isa.module("translate").decode(int.from_bytes(word, "little"), len(word), self)
        if decoded is not None:
            self.begin_instruction(CODE, CODE + decoded.length, 0)
            decoded.emit(self, decoded.fields)
            self.end_instruction()

    def raise_(self, code: Value, *args: Value) -> None:
        self.raised.add(code)
        super().raise_(code, *args)

    def instret(self) -> Value:
        self.looked = True
        return super().instret()

    def time(self) -> Value:
        self.looked = True
        return super().time()


def mnemonic(form: Form) -> str:
    """The instruction's declared name, which its encodings and clones share."""
    return form.name.partition("__")[0]


class Sequences:
    """Makes cases for one comparison: `against` names the other emulator whose limits count, if there is one."""

    def __init__(self, isa: Isa, against: str = "", only: tuple[str, ...] = ()) -> None:
        self.isa = isa
        self.oracle: Oracle = oracle_of(isa)
        other = self.oracle.unicorn if against == "unicorn" else self.oracle.qemu if against == "qemu" else None
        self.differs: tuple[Difference, ...] = other.differs if other is not None else ()
        self.raising = _RAISING if against != "qemu" else 0.0
        self.kept: tuple[str, int, int] | None = None
        if against == "qemu":
            from isomorph.fuzz.qemu_engine import KEPT, keep_register

            self.kept = (*keep_register(isa), KEPT)
        syntax = isa.module("syntax").SYNTAX
        self.decoder = Decoder(syntax)
        #: what may say which instruction set goes on
        self.modes = [mode.name for mode in isa.layout.modes if not mode.prefix] if len(syntax.spaces) > 1 else []
        unknown = other.unknown if other is not None else ()
        self.without = self.oracle.unicorn.without if other is not None and other is self.oracle.unicorn else ()
        #: encoding -> registers that the manual leaves open behind it, if that makes a difference here
        self.undefined: dict[str, tuple[str, ...]] = {}
        if other is not None:
            instructions = isa.module("translate").INSTRUCTIONS
            self.undefined = {name: entry.undefined for name, entry in instructions.items() if entry.undefined}
        self.forms = [
            form
            for form in syntax.forms
            if (form.space == self.decoder.space.name or syntax.prefixes)
            and not any(
                fnmatchcase(PurePath(form.source.rpartition(":")[0]).stem, pattern) or pattern == form.space
                for pattern in unknown
            )
            and not any(row.concerns(mnemonic(form)) and row.always and not row.result for row in self.differs)
            and not (against == "qemu" and _calls_the_kernel(isa, form))
        ]
        names = {mnemonic(form) for form in self.forms}
        for name in only:
            if name not in names:
                known = name in {mnemonic(form) for form in syntax.forms}
                why = f"{against} is not asked about" if known else "there is no"
                raise IsomorphError(f"{why} instruction {name!r} of {isa.name}")
        self.only = [form for form in self.forms if mnemonic(form) in only]
        self.guide = NativeEngine(isa, "steps")
        self._numbers = {form.name: dict(_named_numbers(form)) for form in self.forms}
        self._registers = {form.name: _register_fields(form, isa) for form in self.forms}
        self._prefixes = self.decoder.syntax.prefixes
        self._unstable: dict[tuple[str, tuple[int, ...]], bool] = {}

    def close(self) -> None:
        """Free everything."""
        self.guide.close()

    # ------------------------------------------------------------ words

    def word(self, random: Random, form: Form, pool: list[int]) -> bytes | None:
        """A random word of a form; None if it happens to be another's."""
        encoding = form.encoding
        fetch = encoding.value
        registers, numbers = self._registers[form.name], self._numbers[form.name]
        for field in encoding.fields:
            if field.name in registers:
                value = random.choice(pool) if random.random() < 0.6 else random.getrandbits(field.width)
                value &= (1 << field.width) - 1
            elif field.name in numbers and random.random() < 0.9:
                value = random.choice(numbers[field.name])
            else:
                value = _immediate(random, field)
            fetch |= field.insert(value)
        data = fetch.to_bytes(encoding.length // 8, "little")
        for _ in range(1 if form.space == self.decoder.space.name else _PREFIXED_TRIES):
            whole = self._prefix(random, form) + data
            decoded = self.decoder.decode(whole, CODE)
            if decoded is None and (rest := self.isa.layout.max_bytes - len(whole)) > 0:
                whole += random.randbytes(rest)  # what an operand has of its own behind it
                decoded = self.decoder.decode(whole, CODE)
            if decoded is not None and decoded.form is form:
                whole = whole[: decoded.length]
                return None if self._is_unstable(decoded, whole) else whole
        return None

    def _prefix(self, random: Random, form: Form) -> bytes:
        """Bytes before an instruction: seldom any, if it does not need them."""
        if not self._prefixes or (form.space == self.decoder.space.name and random.random() < _UNPREFIXED):
            return b""
        encoding = random.choice(self._prefixes).encoding
        fetch = encoding.value | random.getrandbits(encoding.length) & ~encoding.mask
        return fetch.to_bytes(encoding.length // 8, "little")

    def _is_unstable(self, decoded: Decoded, word: bytes) -> bool:
        """Whether it reads a clock: such values differ by nature."""
        named = self._numbers[decoded.form.name]
        # Whether it does may depend on a field being zero: a register that is not written, say.
        fields = ((field.name, decoded.values[field.name]) for field in decoded.form.encoding.fields)
        key = decoded.form.name, tuple(value if name in named else int(value != 0) for name, value in fields)
        if key not in self._unstable:
            watcher = _Watcher(self.isa)
            watcher.emit_once(self.isa, word)
            self._unstable[key] = watcher.looked
        return self._unstable[key]

    # ------------------------------------------------------------ cases

    def case(self, random: Random) -> Case:
        """A case that comes to its end, or to an exception."""
        state = self.with_reset(random_state(random, self.isa.layout, self.oracle))
        if self.kept is not None:
            name, number, value = self.kept
            values = state.registers[name]
            state = State(
                state.pc,
                {**state.registers, name: (*values[:number], value, *values[number + 1 :])},
                state.modes,
                state.memory,
            )
        return _Growing(self, random, state).grow(random.choice(LENGTHS))

    def with_reset(self, state: State) -> State:
        """The same with what the other emulator is without as after a reset."""
        if not self.without:
            return state
        layout = self.isa.layout
        registers = {
            register.name: (register.reset,) * register.count
            for register in layout.registers
            if register.name in self.without
        }
        modes = {mode.name: mode.reset for mode in layout.modes if mode.name in self.without}
        return replace(state, registers={**state.registers, **registers}, modes={**state.modes, **modes})

    def judged(self, case: Case) -> Case | None:
        """The case with the masks that its way through the code asks for; None if it cannot be compared.

        Those it was made with are for the way it went then: shrinking changes that."""
        if self.kept is not None and case.state.registers[self.kept[0]][self.kept[1]] != self.kept[2]:
            return None
        if self.with_reset(case.state) != case.state:
            return None
        growing = _Growing(self, Random(0), case.state)
        code = case.bytes
        self.guide.load(code + self.guide.end, case.state)
        vcpu = self.guide.vcpu
        for _ in range(LIMIT):
            growing.frontier = vcpu.pc
            word = code[growing.frontier - CODE :] if CODE <= growing.frontier < case.end else b""
            if not word:
                if self.kept is not None and growing.frontier != case.end:
                    return None  # nobody knows what another emulator finds there
                break
            decoded = self.decoder.decode(word, growing.frontier)
            if (
                decoded is not None
                and (
                    decoded.form.name not in self._numbers  # the other emulator is not asked about it
                    or self._is_unstable(decoded, word[: decoded.length])
                    or not growing.allowed(word)
                )
            ):
                return None
            if decoded is not None and not growing.certain(decoded):
                return None
            reason = cpu_exec(vcpu, 1)
            if reason == Exit.EXCEPTION and self.not_raised():
                return None
            if reason != Exit.BUDGET:
                break
            if growing.disturbed() or not growing.reads_on():
                return None
            if decoded is not None:
                growing.note(decoded)
        if growing.in_slot() or (self.kept is not None and self._sees_its_end(case)):
            return None
        return replace(case, masks=growing.compared)

    def not_raised(self) -> bool:
        """Whether the other emulator is without the exception that was raised now."""
        return self.isa.layout.exception_name(self.guide.vcpu.exception) in self.without

    def _sees_its_end(self, case: Case) -> bool:
        """Whether it loads what is behind its code, where another emulator has its own."""
        found = []
        for behind in (b"\0", b"\xa5"):
            self.guide.load(case.bytes.ljust(CODE_SIZE, behind), case.state)
            for _ in range(LIMIT):
                if self.guide.vcpu.pc == case.end or cpu_exec(self.guide.vcpu, 1) != Exit.BUDGET:
                    break
            found.append(self.guide.state())
        return found[0] != found[1]


def _calls_the_kernel(isa: Isa, form: Form) -> bool:
    """Whether an instruction asks for a system call, which qemu-user would hand to the host."""
    abi = abi_of(isa)
    calls = {name for name, meaning in abi.exceptions.items() if isinstance(meaning, SystemCall)} if abi else set()
    watcher = _Watcher(isa)
    watcher.emit_once(isa, form.encoding.value.to_bytes(isa.layout.max_bytes, "little"))
    return bool(watcher.raised & {code for name, code in isa.layout.exceptions if name in calls})


def _named_numbers(form: Form) -> Iterator[tuple[str, list[int]]]:
    """Fields whose values have names, such as system registers', and those values."""
    for hole in form.holes:
        if hole.numbers and hole.field:
            yield hole.field, list(hole.numbers)


def _register_fields(form: Form, isa: Isa) -> dict[str, Hole]:
    """Fields that name a register."""
    files = {register.name for register in isa.layout.registers if register.is_file}
    found = {}
    for hole in form.holes:
        if hole.names is not None and hole.names.name in files:
            found.update(dict.fromkeys(hole.depends, hole))
    return found


def _immediate(random: Random, field: Field) -> int:
    """A corner, a small number of either sign, or any."""
    ones = sum(1 << bit for bit in field.bits)
    match random.randrange(3):
        case 0:
            sign = 1 << ones.bit_length() - 1 if ones else 0
            return random.choice((0, ones & -ones, sign, ones ^ sign, ones))
        case 1:
            small = random.getrandbits(random.randrange(1, field.width + 1))
            return (-small if random.getrandbits(1) else small) & ones
        case _:
            return random.getrandbits(field.width) & ones


class _Growing:
    """A case in the making, and the guide that has run it so far."""

    def __init__(self, sequences: Sequences, random: Random, state: State) -> None:
        self.sequences = sequences
        self.random = random
        self.state = state
        self.guide = sequences.guide
        self.code: list[bytes] = []
        self.frontier = CODE
        self.starts = {CODE}
        self.masks: dict[tuple[str, int], int] = {}
        #: registers of which the manual does not say what they hold now
        self.unknown: set[str] = set()
        self.pool = [random.getrandbits(8) for _ in range(_POOL)]
        self.guide.load(b"", state)

    def grow(self, length: int) -> Case:
        """Add instructions until there are `length`, or one of them raises."""
        sequences = self.sequences
        wanted = list(sequences.only)
        while (len(self.code) < length and self.frontier < CODE + CODE_SIZE - 256) or self.in_slot():
            forms = (
                wanted if wanted and (self.random.random() < 0.5 or len(self.code) + 1 == length) else sequences.forms
            )
            for _ in range(_TRIES):
                kept = self._try(self.random.choice(forms))
                if kept:
                    break
            else:
                length -= 1
                continue
            if kept == "raises":
                break
        if not self.code:  # as good as nothing is possible in this state: any word will do
            return self._anything()
        return Case(tuple(self.code), self.state, self.compared)

    @property
    def compared(self) -> dict[tuple[str, int], int]:
        """Bits of registers that are compared, of those of which not all are."""
        return {**self.masks, **{(name, 0): 0 for name in self.unknown}}

    def in_slot(self) -> bool:
        """Whether a delay slot comes next: no case ends between a branch and that."""
        slot = self.guide.vcpu.layout.slot
        return slot is not None and bool(self.guide.vcpu.get_mode(slot))

    def _anything(self) -> Case:
        for form in self.sequences.forms:
            word = self.sequences.word(self.random, form, self.pool)
            if word is not None and self.allowed(word):
                return Case((word,), self.state, {})
        return Case((self.guide.end,), self.state, {})

    def _try(self, form: Form) -> str:
        """Add one instruction: "goes on", "raises", or "" if it was not kept."""
        word = self.sequences.word(self.random, form, self.pool)
        if word is None or not self.allowed(word):
            return ""
        decoded = self.sequences.decoder.decode(word, self.frontier)
        assert decoded is not None
        vcpu, memory = self.guide.vcpu, self.guide.memory
        before, window = bytes(vcpu.octets), memory.read(WINDOW, len(self.state.memory))
        unknown = set(self.unknown)
        memory.write(self.frontier, word, 0)
        following = self.frontier + len(word)
        if not self.certain(decoded):
            self.unknown = unknown
            return ""
        reason = cpu_exec(vcpu, 1)
        added = [word]
        if reason == Exit.BUDGET and not self.disturbed() and self.reads_on():
            reached = vcpu.pc
            self.note(decoded)
            if reached != following:
                gap = self._jump(reached, following)
                if gap is None:
                    reached = -1
                else:
                    added += gap
                    following += sum(map(len, gap))
            if reached != -1 and vcpu.pc == following:
                for part in added:
                    self.starts.add(self.frontier)
                    self.frontier += len(part)
                self.code += added
                return "goes on"
        elif (
            reason == Exit.EXCEPTION
            and self.random.random() < self.sequences.raising
            and not self.sequences.not_raised()
        ):
            self.code += added
            return "raises"
        vcpu.octets[:] = before
        memory.write(WINDOW, window)
        self.unknown = unknown
        return ""

    def certain(self, decoded: Decoded) -> bool:
        """Whether the instruction at the pc does the same whatever the unknown registers hold.

        It is tried with all they may hold; those it sets to one value are then known."""
        if not self.unknown:
            return True
        names = sorted(self.unknown)
        if len(names) > _MOST_UNKNOWN:
            return False
        vcpu, memory, size = self.guide.vcpu, self.guide.memory, len(self.state.memory)
        before, window = bytes(vcpu.octets), memory.read(WINDOW, size)
        kept = {name: vcpu.get(name) for name in names}
        widths = {register.name: register.width for register in vcpu.layout.registers}
        seen: list[tuple[dict[str, int], dict[str, int], object]] = []
        for flips in product((0, -1), repeat=len(names)):
            given = {
                name: (kept[name] ^ flip) & (1 << widths[name]) - 1 for name, flip in zip(names, flips, strict=True)
            }
            for name, value in given.items():
                vcpu.set(name, value)
            reason = cpu_exec(vcpu, 1)
            state = self.guide.state()
            left = {name: state.registers[name][0] for name in names}
            rest = {name: value for name, value in state.registers.items() if name not in given}
            seen.append((given, left, (reason, replace(state, registers=rest))))
            vcpu.octets[:] = before
            memory.write(WINDOW, window)
        if any(outcome != seen[0][2] for _, _, outcome in seen):
            return False
        for name in names:
            if len({left[name] for _, left, _ in seen}) == 1:
                self.unknown.discard(name)
            elif any(left[name] != given[name] for given, left, _ in seen):
                return False
        return True

    def _step(self) -> bool:
        """Run an instruction of the case once more; whether it went on, and does so on every machine."""
        vcpu = self.guide.vcpu
        decoded = None
        if self.sequences.undefined:
            word = self.guide.memory.read(vcpu.pc, vcpu.layout.max_bytes)
            decoded = self.sequences.decoder.decode(word, vcpu.pc)
            if decoded is None or not self.certain(decoded):
                return False
        if cpu_exec(vcpu, 1) != Exit.BUDGET:
            return False
        if decoded is not None:
            self.note(decoded)
        return True

    def _jump(self, target: int, following: int) -> list[bytes] | None:
        """What must stand behind a jump so that the case goes on; None if it cannot."""
        if target in self.starts:
            for _ in range(_LOOP):
                if self.guide.vcpu.pc == following:
                    return []
                if self.guide.vcpu.pc not in self.starts or not self._step():
                    return None
            return None
        if not following < target <= following + _GAP:
            return None
        gap: list[bytes] = []
        at = following
        for _ in range(200):
            if at == target:
                self.guide.memory.write(following, b"".join(gap), 0)
                return gap
            word = self.sequences.word(self.random, self.random.choice(self.sequences.forms), self.pool)
            if word is not None and at + len(word) <= target:
                gap.append(word)
                at += len(word)
        return None

    # ------------------------------------------------------------ what cannot be compared

    def disturbed(self) -> bool:
        """Whether the register that another emulator needs has changed."""
        kept = self.sequences.kept
        return kept is not None and self.guide.vcpu.get(kept[0], kept[1]) != kept[2]

    def reads_on(self) -> bool:
        """Whether what follows is of the instruction set that the case is made of."""
        decoder, vcpu = self.sequences.decoder, self.guide.vcpu
        modes = {mode_key(name): vcpu.get_mode(name) for name in self.sequences.modes}
        return decoder.active({**decoder.modes, **modes}) is decoder.space

    def allowed(self, word: bytes) -> bool:
        """Whether the other emulator is known to do the same on the values that are there now."""
        sequences = self.sequences
        if not sequences.differs:
            return True
        decoded = sequences.decoder.decode(word, self.frontier)
        assert decoded is not None
        name = mnemonic(decoded.form)
        rows = [row for row in sequences.differs if row.concerns(name)]
        places = {
            field: _place(hole, decoded) for field, hole in sequences._registers.get(decoded.form.name, {}).items()
        }
        for row in rows:
            if not row.result and (row.is_named(places) or row.holds_for(self._sources(decoded, row.fields))):
                return False
        results = {field for row in rows for field in row.result}
        for field, place in places.items():
            mask = self.masks.get(place)
            # What does not look at the other bits of such a register may read it.
            if mask and field not in results and not any(row.unequal and not row.unequal[0] & mask for row in rows):
                return False
        return True

    def _sources(self, decoded: Decoded, fields: tuple[str, ...]) -> Iterator[int]:
        registers = self.sequences._registers.get(decoded.form.name, {})
        for field in fields:
            if field in registers:
                yield self.guide.vcpu.get(*_place(registers[field], decoded))
            elif field in decoded.values:
                yield decoded.values[field]

    def note(self, decoded: Decoded) -> None:
        """Of some results only some bits can be compared from here on."""
        self.unknown.update(self.sequences.undefined.get(decoded.form.name, ()))
        registers = self.sequences._registers.get(decoded.form.name, {})
        for row in self.sequences.differs:
            if row.concerns(mnemonic(decoded.form)):
                for field, mask in row.result.items():
                    if field in registers:
                        self.masks[_place(registers[field], decoded)] = mask


def _place(hole: Hole, decoded: Decoded) -> tuple[str, int]:
    assert hole.names is not None
    return hole.names.name, hole.evaluate(decoded.values)
