"""Lowers TCG for machines: guest memory is reached through the software TLB, whose hit is inline.

`%mem` is the TLB for the modes as they are (soft_tlb.py).  A handler's access compares one tag, adds the entry's addend
and is made; whatever else there is to do the engine does (soft_mmu.ll), which answers with a host address or a status.
Regions: see region_machine.py.
"""

from __future__ import annotations

from runtime.core.env import ENV, PAGE_BITS
from runtime.core.layout import Layout
from runtime.tcg.ir import Function, InternalError, Op, Operand
from runtime.tcg.lower import SELDOM_TAKEN, FunctionLowering, alignment
from runtime.tcg.soft_tlb import INDEX_MASK, INDEX_SHIFT, TLB, TLB_ENTRY, index_parts

#: addresses at and above this are the host's, numbers below it a status
FIRST_ADDRESS = 16
_PAGE = 1 << PAGE_BITS
#: slow paths of the engine, by a convention that keeps all registers (lower.py says why); extra parameters
_SLOW = {"tlb_load": "", "tlb_store": "", "tlb_update": "", "tlb_check": ", i64 %access"}
_LARGEST = 64  # bytes of env.slow


def _kept(name: str) -> str:
    """The declaration of a slow path and of what calls it."""
    more = _SLOW[name]
    types = "ptr, ptr, i64, i64" + (", i64" if more else "")
    parameters = f"ptr %env, ptr %tlb, i64 %a, i64 %n{more}"
    return f"""declare hidden i64 @{name}({types})
define linkonce_odr hidden preserve_mostcc i64 @{name}_kept({parameters}) noinline nounwind {{
  %answer = call i64 @{name}(ptr %env, ptr %tlb, i64 %a, i64 %n{more})
  ret i64 %answer
}}"""


class TlbLowering(FunctionLowering):
    """What handlers and regions of machines have in common."""

    # Entries age, too: flushing the TLB makes all of them old at once.
    jump_key = ((8, "flags"), (24, "jump_generation"))
    # The engine reaches the TLB in its own ways, too.
    handler_parameters = "ptr noalias %op, ptr noalias %env, ptr %mem, ptr %perm, i64 %budget"
    layout: Layout

    # ------------------------------------------------------------ the TLB

    def _address(self, op: Op) -> str:
        return self.resized(self.value(op.args[0]), op.widths[0], 64)

    def _probe(self, address: str, size: int, access: int) -> tuple[str, str]:
        """Whether the TLB has the access, and the entry."""
        if size > _LARGEST:
            raise InternalError(f"an access of {size} bytes")
        shifted = self.let(f"lshr i64 {address}, {INDEX_SHIFT}")
        offset = self.let(f"and i64 {shifted}, {INDEX_MASK}")
        entry = self.at("%mem", offset)
        tag = self.let(f"load i64, ptr {self.at(entry, 8 * access)}, align 8")
        power = size & (size - 1) == 0
        key = self.let(f"and i64 {address}, {-_PAGE | (size - 1 if power else 0)}")
        hit = self.let(f"icmp eq i64 {tag}, {key}")
        if not power:
            inside = self.let(f"and i64 {address}, {_PAGE - 1}")
            fits = self.let(f"icmp ule i64 {inside}, {_PAGE - size}")
            hit = self.let(f"and i1 {hit}, {fits}")
        return hit, entry

    def _host(self, entry: str, address: str) -> str:
        addend = self.let(f"load i64, ptr {self.at(entry, TLB_ENTRY['addend'])}, align 8")
        return self.let(f"add i64 {addend}, {address}")

    # ------------------------------------------------------------ modes and clocks

    def st_env(self, op: Op) -> None:
        super().st_env(op)
        if op.offset == ENV["flags"]:
            self._select_tlb(self.value(op.args[0]))

    def _select_tlb(self, flags: str) -> None:
        """The modes change: another TLB may be the one to look into."""
        number = "0"
        for shift, width, at in index_parts(self.layout):
            moved = self.let(f"lshr i64 {flags}, {shift}")
            part = self.let(f"and i64 {moved}, {(1 << width) - 1}")
            number = self.let(f"or i64 {number}, {self.let(f'shl i64 {part}, {at}')}")
        distance = self.let(f"mul i64 {number}, {TLB['bytes']}")
        first = self.let(f"load ptr, ptr {self.at('%env', ENV['tlbs'])}, align 8")
        self.line(f"store ptr {self.at(first, distance)}, ptr {self.at('%env', ENV['tlb'])}, align 8")

    def kick(self, op: Op) -> None:
        # Other threads write it.
        self.define(op, f"load volatile i64, ptr {self.at('%env', ENV['kick'])}, align {alignment(ENV['kick'], 64)}")

    # ------------------------------------------------------------ control

    def memory_of_block(self) -> str:
        """The TLB may be another by now."""
        return self.let(f"load ptr, ptr {self.at('%env', ENV['tlb'])}, align 8")


class MachineLowering(TlbLowering):
    """The text of one function of a machine's: a handler, a decoder, a hook."""

    def __init__(
        self, layout: Layout, function: Function, name: str = "", successor: str = "", inlined: bool = False
    ) -> None:
        super().__init__(function, name, successor, inlined)
        self.layout = layout
        #: host addresses of what was checked for an atomic access, by the operand that is its address
        self._hosts: dict[Operand, str] = {}

    def _slow_call(self, name: str, address: str, size: int, more: str = "") -> str:
        self.declarations[name] = _kept(name)
        arguments = f"ptr %env, ptr %mem, i64 {address}, i64 {size}{more}"
        return self.let(f"call preserve_mostcc i64 @{name}_kept({arguments}) #3")

    def _fork(self, hit: str) -> tuple[str, str, str]:
        """Branch on a hit; names of the blocks for it, for the slow path and for where they meet."""
        number = self.fresh()[2:]
        fast, slow, done = f"hit{number}", f"slow{number}", f"done{number}"
        self.line(f"br i1 {hit}, label %{fast}, label %{slow}, !prof !1")
        self.start_block(fast)
        return fast, slow, done

    def _note_budget(self, op: Op) -> None:
        """A device may want to know what time it is, which may be made of instructions executed."""
        self.line(f"store i64 {self.value(op.args[-1])}, ptr {self.at('%env', ENV['budget'])}, align 8")

    def load_mem(self, op: Op) -> None:
        status, result = op.results
        width = result.width
        address = self._address(op)
        hit, entry = self._probe(address, width // 8, 0)
        fast, slow, done = self._fork(hit)
        go = f"go{done[4:]}"
        direct = self._host(entry, address)
        self.line(f"br label %{go}")
        self.start_block(slow)
        self._note_budget(op)
        found = self._slow_call("tlb_load", address, width // 8)
        bad = self.let(f"icmp ult i64 {found}, {FIRST_ADDRESS}")
        refused = self.let(f"trunc i64 {found} to i2")
        self.line(f"br i1 {bad}, label %{done}, label %{go}, {SELDOM_TAKEN}")
        self.start_block(go)
        host = self.let(f"phi i64 [ {direct}, %{fast} ], [ {found}, %{slow} ]")
        pointer = self.let(f"inttoptr i64 {host} to ptr")
        value = self.let(f"load i{width}, ptr {pointer}, align 1")
        if op.flag:
            value = self.swapped(value, width)
        self.line(f"br label %{done}")
        self.start_block(done)
        self.line(f"%t{status.id} = phi i2 [ 0, %{go} ], [ {refused}, %{slow} ]")
        self.line(f"%t{result.id} = phi i{width} [ {value}, %{go} ], [ poison, %{slow} ]")

    def store_mem(self, op: Op) -> None:
        width, value = op.widths[1], self.value(op.args[1])
        address = self._address(op)
        if op.flag:
            value = self.swapped(value, width)
        hit, entry = self._probe(address, width // 8, 1)
        fast, slow, done = self._fork(hit)
        pointer = self.let(f"inttoptr i64 {self._host(entry, address)} to ptr")
        self.line(f"store i{width} {value}, ptr {pointer}, align 1")
        self.line(f"br label %{done}")
        self.start_block(slow)
        self._note_budget(op)
        place = self.at("%env", ENV["slow"])
        self.line(f"store i{width} {value}, ptr {place}, align 8")
        answer = self.let(f"trunc i64 {self._slow_call('tlb_store', address, width // 8)} to i2")
        self.line(f"br label %{done}")
        self.start_block(done)
        self.define(op, f"phi i2 [ 0, %{fast} ], [ {answer}, %{slow} ]")

    def check_mem(self, op: Op) -> None:
        """Before an atomic access, which goes to the host address found; or before stores that shall not fail."""
        address, size = self._address(op), op.size
        hit, entry = self._probe(address, size, op.offset)
        fast, slow, done = self._fork(hit)
        direct = self._host(entry, address) if op.flag else "0"
        self.line(f"br label %{done}")
        self.start_block(slow)
        if op.flag:
            found = self._slow_call("tlb_update", address, size)
            bad = self.let(f"icmp ult i64 {found}, {FIRST_ADDRESS}")
            number = self.let(f"trunc i64 {found} to i2")
            answer = self.let(f"select i1 {bad}, i2 {number}, i2 0")
        else:
            found = self._slow_call("tlb_check", address, size, f", i64 {op.offset}")
            answer = self.let(f"trunc i64 {found} to i2")
        self.line(f"br label %{done}")
        self.start_block(done)
        self.define(op, f"phi i2 [ 0, %{fast} ], [ {answer}, %{slow} ]")
        if op.flag:
            self._hosts[op.args[0]] = self.let(f"phi i64 [ {direct}, %{fast} ], [ {found}, %{slow} ]")

    def _place(self, op: Op) -> str:
        host = self._hosts.get(op.args[0])
        if host is None:
            raise InternalError(f"{op.name} of an address that was not checked")
        return self.let(f"inttoptr i64 {host} to ptr")

    def clock(self, op: Op) -> None:
        self.declarations["clock_read"] = "declare hidden i64 @clock_read(ptr, i64)"
        self.define(op, f"call i64 @clock_read(ptr %env, i64 {self.value(op.args[0])})")
