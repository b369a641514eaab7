"""Random bare-metal RISC-V programs: page tables, faults, code that changes, all told over the serial line.

Machine mode sets a page table up and enters supervisor mode; every trap comes back to it, is printed (cause, value, and
where it was) and passed over.  An illegal instruction's value is left out: zero and the instruction's bits are both
right.  At the end a checksum of all that was loaded is printed, and the machine powers off.
"""

from __future__ import annotations

import random

RAM = 0x8000_0000
_TABLES, _DATA, _PAGE = RAM + 0x20000, RAM + 0x40000, 4096
#: a function that stands in each page of data: addi a0, a0, …; jalr zero, 0(a6)
FUNCTION, ADDI, RETURN = 16, 0x00050513, 0x00080067
_V, _R, _W, _X, _U, _A, _D = 1, 2, 4, 8, 16, 64, 128
_WINDOW = 0x10_0000_0000  # where the tables can be written
_PAGES = [0x4000_0000 + n * _PAGE for n in range(5)] + [0x4000_0000 + (n << 22) for n in range(1, 4)]
_FRAMES = 4

_START = """
start:
  la t0, trap
  csrrw zero, mtvec, t0
  li t0, -1
  csrrw zero, pmpaddr0, t0
  li t0, 0x1f
  csrrw zero, pmpcfg0, t0
  li t0, {satp}
  csrrw zero, satp, t0
  sfence.vma zero, zero
  li t0, 0x1800
  csrrc zero, mstatus, t0
  li t0, 0x800
  csrrs zero, mstatus, t0
  li t0, {entry}
  csrrw zero, mepc, t0
  li s0, 0
  mret

trap:
  csrrw s2, mcause, zero
  li t0, 9
  beq s2, t0, finish
  addi a0, s2, 0
  jal s1, print
  csrrs a0, mtval, zero
  li t1, 2
  bne s2, t1, value
  li a0, 0
value:
  jal s1, print
  csrrs a0, mepc, zero
  jal s1, print
  li t1, 0x10000000
  li t0, 10
  sb t0, 0(t1)
  csrrs t0, mepc, zero
  li t1, 12
  beq s2, t1, lost
  addi t0, t0, 4
back:
  csrrw zero, mepc, t0
  mret
lost:
  addi t0, a6, 0
  jal zero, back

print:
  li t2, 64
  li t1, 0x10000000
digit:
  addi t2, t2, -4
  srl t0, a0, t2
  andi t0, t0, 15
  slti t3, t0, 10
  bne t3, zero, small
  addi t0, t0, 39
small:
  addi t0, t0, 48
wait:
  lbu t3, 5(t1)
  andi t3, t3, 0x20
  beq t3, zero, wait
  sb t0, 0(t1)
  bne t2, zero, digit
  li t0, 32
  sb t0, 0(t1)
  jalr zero, 0(s1)

finish:
  addi a0, s0, 0
  jal s1, print
  li t1, 0x100000
  li t0, 0x5555
  sw t0, 0(t1)
stay:
  jal zero, stay
"""


class _Program:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.lines: list[str] = []
        self.tables: dict[int, int] = {}
        self._next = _TABLES + _PAGE

    # ------------------------------------------------------------ page tables

    def entry(self, va: int) -> int:
        """Physical address of the entry for a page."""
        table = _TABLES
        for level in (2, 1):
            place = table + (va >> 12 + 9 * level & 511) * 8
            if place not in self.tables:
                self.tables[place] = self._next >> 12 << 10 | _V
                self._next += _PAGE
            table = self.tables[place] >> 10 << 12
        return table + (va >> 12 & 511) * 8

    def some_entry(self) -> int:
        """What a page may be mapped to."""
        frame = _DATA + self.random.randrange(_FRAMES) * _PAGE
        bits = self.random.choice([_R, _R | _W, _R | _W, _R | _W | _X, _X, _R | _U, 0])
        return (frame >> 12 << 10 | bits | _A | _D | _V) if bits else 0

    # ------------------------------------------------------------ the program

    def say(self, text: str) -> None:
        self.lines.append("  " + text)

    def access(self) -> None:
        name, store = self.random.choice(
            [("ld", 0), ("lw", 0), ("lhu", 0), ("lb", 0), ("sd", 1), ("sw", 1), ("sh", 1), ("sb", 1), ("amoadd.d", 2)]
        )
        offset = self.random.choice([0, 8, 4088, self.random.randrange(32, 4096), self.random.randrange(4089, 4096)])
        if store == 2:
            offset &= ~7
        self.say(f"li a1, {self.random.choice(_PAGES) + offset:#x}")
        if store:
            self.say(f"li a2, {self.random.getrandbits(31):#x}")
        if store == 2:
            self.say("amoadd.d a3, a2, (a1)")
        elif store:
            self.say(f"{name} a2, 0(a1)")
        else:
            self.say(f"{name} a3, 0(a1)")
        self.say("add s0, s0, a3")
        self.say("slli t0, s0, 7")
        self.say("srli t1, s0, 57")
        self.say("xor s0, t0, t1")

    def change(self) -> None:
        page = self.random.choice(_PAGES)
        self.say(f"li a1, {_WINDOW + self.entry(page) - _TABLES:#x}")
        self.say(f"li a2, {self.some_entry():#x}")
        self.say("sd a2, 0(a1)")
        if self.random.random() < 0.5:
            self.say("sfence.vma zero, zero")
        else:
            self.say(f"li a1, {page:#x}")
            self.say("sfence.vma a1, zero")

    def call(self, number: int) -> None:
        """Write a little function into a page and jump there; if it cannot be fetched, come back all the same."""
        self.say(f"li a1, {self.random.choice(_PAGES):#x}")
        amount = self.random.randrange(1, 2000)
        self.say(f"li a2, {ADDI | amount << 20:#x}")
        self.say("sw a2, 16(a1)")  # each page has `jalr zero, 0(a6)` behind it from the start
        self.say("fence.i")
        self.say(f"la a6, back{number}")
        self.say("addi a0, s0, 0")
        self.say(f"li a1, {self.random.choice(_PAGES) + 16:#x}")
        self.say("jalr zero, 0(a1)")
        self.lines.append(f"back{number}:")
        self.say("xor s0, s0, a0")

    def text(self, steps: int) -> str:
        """The whole program."""
        leaf = _R | _W | _X | _A | _D | _V
        self.tables[_TABLES + 2 * 8] = RAM >> 12 << 10 | leaf  # the first gigabyte of RAM, as it is
        for page in _PAGES:
            self.tables[self.entry(page)] = self.some_entry()
        # The device that is printed to is machine mode's alone; the tables are seen through the window.
        for number in range(32):
            va = _WINDOW + number * _PAGE
            self.tables[self.entry(va)] = _TABLES + number * _PAGE >> 12 << 10 | _R | _W | _A | _D | _V
        self.lines.append("supervisor:")
        for number in range(steps):
            what = self.random.random()
            if what < 0.12:
                self.change()
            elif what < 0.18:
                self.call(number)
            else:
                self.access()
        self.say("ecall")
        satp = 8 << 60 | _TABLES >> 12
        return _START.format(satp=f"{satp:#x}", entry="supervisor") + "\n".join(self.lines) + "\n"


def program(seed: int, steps: int) -> tuple[str, dict[int, int]]:
    """Assembly text for RAM's start, and the words of the page tables by their addresses."""
    made = _Program(seed)
    return made.text(steps), made.tables
