"""Lowers regions of machines' code: memory is behind the software TLB, and the code itself may be elsewhere by now.

A check_mem probes the TLB; the access that follows it takes the host's address from the entry probed.  An access that
the TLB does not have is asked for (@tlb_plain), which also fills the entry; what is no plain access to RAM, a device's
register for instance, is left to tier 0 before it has had any effect.
"""

from __future__ import annotations

from collections.abc import Mapping

from runtime.core.env import ENV
from runtime.core.layout import Layout
from runtime.tcg.helpers import InlineHelpers
from runtime.tcg.ir import Function, Op
from runtime.tcg.machine_lowering import TlbLowering
from runtime.tcg.region_lowering import RegionLowering
from runtime.tcg.soft_tlb import INDEX_MASK, INDEX_SHIFT
from runtime.tcg.tb import REGION_TABLE, TB


class MachineRegionLowering(RegionLowering, TlbLowering):
    """The text of a region's function."""

    handler_parameters = TlbLowering.handler_parameters

    def __init__(
        self, layout: Layout, function: Function, native: Mapping[str, int], helpers: InlineHelpers | None = None
    ) -> None:
        super().__init__(function, native, helpers=helpers)
        self.layout = layout

    # ------------------------------------------------------------ memory

    def check_mem(self, op: Op) -> None:
        branch = self._branches[id(op)]
        bad, fine = branch.labels
        address = self._address(op)
        hit, _ = self._probe(address, op.size, op.offset)
        slow = self._fresh_block()
        self.line(f"br i1 {hit}, label %{fine!r}, label %{slow}, !prof !1")
        self.start_block(slow)
        plain = self.native_function("tlb_plain_kept")
        arguments = f"ptr %env, ptr %mem, i64 {address}, i64 {op.size}, i64 {op.offset}"
        found = self.let(f"call preserve_mostcc i64 {plain}({arguments}) #3")
        refused = self.let(f"icmp eq i64 {found}, 0")
        self.line(f"br i1 {refused}, label %{bad!r}, label %{fine!r}")

    def _place(self, op: Op) -> str:
        """The host's address of what was checked just before."""
        address = self._address(op)
        shifted = self.let(f"lshr i64 {address}, {INDEX_SHIFT}")
        offset = self.let(f"and i64 {shifted}, {INDEX_MASK}")
        return self.let(f"inttoptr i64 {self._host(self.at('%mem', offset), address)} to ptr")

    # ------------------------------------------------------------ the engine

    def clock(self, op: Op) -> None:
        self.define(op, f"call i64 {self.native_function('clock_read')}(ptr %env, i64 {self.value(op.args[0])})")

    def region_stale(self, op: Op) -> None:
        place = self.at("%op", TB["region"] - TB["bytes"])
        table = self.let(f"load ptr, ptr {place}, align 8")
        number = self.let(f"load i64, ptr {self.at('%env', ENV['number'])}, align 8")
        generations = self.at(table, REGION_TABLE["generations"])
        mine = self.let(f"getelementptr i64, ptr {generations}, i64 {number}")
        then = self.let(f"load volatile i64, ptr {mine}, align 8")
        now = self.let(f"load i64, ptr {self.at('%env', ENV['jump_generation'])}, align 8")
        same = self.let(f"icmp eq i64 {then}, {now}")
        before, ask, done = self._block, self._fresh_block(), self._fresh_block()
        self.line(f"br i1 {same}, label %{done}, label %{ask}, !prof !1")
        self.start_block(ask)
        check = self.native_function("region_check_kept")
        answer = self.let(f"call preserve_mostcc i64 {check}(ptr %env, ptr {table}) #3")
        elsewhere = self.let(f"icmp eq i64 {answer}, 0")
        self.line(f"br label %{done}")
        self.start_block(done)
        self.define(op, f"phi i1 [ false, %{before} ], [ {elsewhere}, %{ask} ]")
