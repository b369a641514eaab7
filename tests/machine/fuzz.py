"""Random page tables, flushes and accesses against a model of what a TLB may do.

A translation that was changed and not flushed since may be used in its old form or its new one; a flushed one must be
new.  What the model does not know, a fault in the middle of a page-crossing access for one, must not happen.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from runtime.core.cpu import Isa
from tests.machine.bench import (
    DEVICE,
    LOAD_FAULT,
    LOAD_PAGE,
    PAGE,
    RAM,
    STORE_FAULT,
    STORE_PAGE,
    A,
    Bench,
    D,
    R,
    U,
    V,
    W,
    X,
)

#: code that makes one access each, at pages of its own: {load, size}: address
_CODE = RAM + 0x2000
_OPERATIONS = [
    ("ld a0, 0(a1)", False, 8),
    ("lw a0, 0(a1)", False, 4),
    ("lh a0, 0(a1)", False, 2),
    ("lb a0, 0(a1)", False, 1),
    ("sd a2, 0(a1)", True, 8),
    ("sw a2, 0(a1)", True, 4),
    ("sh a2, 0(a1)", True, 2),
    ("sb a2, 0(a1)", True, 1),
]
_CODE_VA = 0x7000_0000
#: virtual pages: neighbours, some that share a TLB entry, some in a large page's range
_PAGES = [0x1_0000 + n * PAGE for n in range(6)]
_PAGES += [0x1_0000 + (n << 22) for n in range(1, 12)] + [0x1_1000 + (n << 22) for n in range(1, 5)]
_LARGE = 0x4000_0000  # 2 MB
_PHYSICAL = [RAM + 0x8000 + n * PAGE for n in range(4)] + [DEVICE, 0x2000_0000]
_ALL_ONES = (1 << 64) - 1


@dataclass
class _Page:
    """What a virtual page may be at the moment: physical page and permissions, or nothing."""

    now: tuple[int, int] | None = None
    before: list[tuple[int, int] | None] = field(default_factory=list)

    def forms(self) -> list[tuple[int, int] | None]:
        return [self.now, *self.before]

    def change(self, to: tuple[int, int] | None) -> None:
        self.before.append(self.now)
        self.now = to

    def flush(self) -> None:
        self.before.clear()


class _Model:
    def __init__(self, bench: Bench, random_: random.Random) -> None:
        self.bench = bench
        self.random = random_
        self.pages = {va: _Page() for va in _PAGES}
        for n in range(4):
            self.pages[_LARGE + n * PAGE] = _Page()
        bench.entry(_LARGE, 1)
        self.mapped_large = False

    # ------------------------------------------------------------ changes

    def change(self) -> None:
        va = self.random.choice(_PAGES)
        if self.random.random() < 0.25:
            self.bench.put(self.bench.entry(va), 0)
            self.pages[va].change(None)
            return
        bits = self.random.choice([R, R | W, R | W | X, X, R | W, R | W])
        bits |= self.random.choice([A | D, A, 0]) if self.random.random() < 0.5 else A | D
        pa = self.random.choice(_PHYSICAL)
        self.bench.map(va, pa, bits)
        self.pages[va].change((pa, bits))

    def change_large(self) -> None:
        self.mapped_large = not self.mapped_large
        entry = self.bench.entry(_LARGE, 1)
        base = RAM  # 2 MB aligned
        self.bench.put(entry, base >> 12 << 10 | R | W | A | D | V if self.mapped_large else 0)
        for n in range(4):
            page = self.pages[_LARGE + n * PAGE]
            page.change((base + 0x8000 + n * PAGE, R | W) if self.mapped_large else None)

    def flush(self) -> None:
        if self.random.random() < 0.3:
            self.execute("sfence.vma")
            for page in self.pages.values():
                page.flush()
            return
        va = self.random.choice([*_PAGES, _LARGE + 0x8000])
        self.bench.cpu.set("X", va + self.random.randrange(PAGE), 11)
        self.execute("sfence.va a1")
        if va >= _LARGE:  # any address of a large page does
            for n in range(4):
                self.pages[_LARGE + n * PAGE].flush()
        else:
            self.pages[va].flush()

    # ------------------------------------------------------------ accesses

    def execute(self, text: str) -> None:
        self.bench.cpu.pc = _CODE_VA + 16 * _TEXTS.index(text)
        self.bench.cpu.run(1)

    def access(self) -> None:
        text, store, size = self.random.choice(_OPERATIONS)
        page = self.random.choice(list(self.pages))
        offset = self.random.choice([0, 8, 2048, 4088, self.random.randrange(PAGE), self.random.randrange(4089, PAGE)])
        if page == _LARGE + 3 * PAGE:
            offset &= ~7  # what is behind it is mapped, too, and not the model's
        va = page + offset + (0x8000 if page >= _LARGE else 0)
        value = self.random.getrandbits(64)
        cpu = self.bench.cpu
        cpu.set("X", va, 11)
        cpu.set("X", value, 12)
        memory = bytes(self.bench.bus.memory.memory[0x8000 : 0x8000 + 4 * PAGE])
        registers = bytes(self.bench.bus.registers)
        a0 = self.bench.x(10)
        self.execute(text)
        trap = self.bench.trapped()
        seen = self.bench.x(10)
        after = bytes(self.bench.bus.memory.memory[0x8000 : 0x8000 + 4 * PAGE])
        device = bytes(self.bench.bus.registers)
        allowed = [
            self.outcome(va, size, store, value, one, other, memory, registers, a0)
            for one in self.forms(va)
            for other in self.forms(va + size - 1)
        ]
        got = (trap and trap[:2], seen, after, device)
        assert got in allowed, (hex(va), text, trap, hex(seen), [(a[0], hex(a[1])) for a in allowed])

    def forms(self, va: int) -> list[tuple[int, int] | None]:
        page = va & -PAGE
        if page >= _LARGE:
            page -= 0x8000
        found = self.pages.get(page)
        return found.forms() if found is not None else [None]

    def outcome(
        self,
        va: int,
        size: int,
        store: bool,
        value: int,
        one: tuple[int, int] | None,
        other: tuple[int, int] | None,
        memory: bytes,
        registers: bytes,
        a0: int,
    ) -> tuple[object, int, bytes, bytes]:
        """(trap, a0, memory, device) afterwards, if the two pages touched are these."""
        second = (va + size - 1) & -PAGE
        crosses = second != va & -PAGE
        parts = [(va, min(size, second - va) if crosses else size, one)]
        if crosses:
            parts.append((second, va + size - second, other))
        need = W if store else R
        for at, _, form in parts:
            if form is None or not form[1] & need:
                return (STORE_PAGE if store else LOAD_PAGE, at), a0, memory, registers
        found = b""
        ram, device = bytearray(memory), bytearray(registers)
        data = value.to_bytes(8, "little")[:size]
        order = parts
        second_form = parts[-1][2]
        assert second_form is not None  # it would have faulted
        if store and crosses and second_form[0] not in range(RAM, RAM + (1 << 20)):
            order = parts[::-1]  # what can fail first
        for at, count, form in order:
            assert form is not None
            pa = form[0] + at % PAGE
            inside = RAM + 0x8000 <= pa < RAM + 0x8000 + 4 * PAGE
            if not inside and not DEVICE <= pa < DEVICE + PAGE:
                return (STORE_FAULT if store else LOAD_FAULT, at), a0, bytes(ram), bytes(device)
            target, where = (ram, pa - RAM - 0x8000) if inside else (device, pa - DEVICE)
            if store:
                target[where : where + count] = data[at - va : at - va + count]
            found += bytes(target[where : where + count])
        if not store:
            a0 = int.from_bytes(found, "little", signed=True) & _ALL_ONES
        return None, a0, bytes(ram), bytes(device)


_TEXTS = [text for text, _, _ in _OPERATIONS] + ["sfence.vma", "sfence.va a1"]


def run(isa: Isa, seed: int, steps: int) -> None:
    """One random history."""
    random_ = random.Random(seed)
    bench = Bench(isa)
    try:
        for number, text in enumerate(_TEXTS):
            bench.load(text, _CODE + 16 * number)
        bench.write(RAM + 0x8000, random_.randbytes(4 * PAGE))
        bench.map(_CODE_VA, _CODE, X | A)
        bench.paging(_CODE_VA)
        model = _Model(bench, random_)
        for _ in range(steps):
            what = random_.random()
            if what < 0.15:
                model.change()
            elif what < 0.18:
                model.change_large()
            elif what < 0.25:
                model.flush()
            else:
                model.access()
    finally:
        bench.close()


__all__ = ["U", "run"]
