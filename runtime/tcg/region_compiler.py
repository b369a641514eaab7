"""Compiles regions: a request in, position-independent machine code out.

A pure function of the request, the generated ISA and the host's CPU; it runs in the compiler's own process.  What comes
in between (TCG as built, TCG after its passes, LLVM's input, assembly) can be asked for.
"""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

from runtime.core.cpu import Isa, load_isa
from runtime.core.env import ENV
from runtime.core.layout import Layout
from runtime.core.record import fresh, mutable_record, replace
from runtime.tcg.blobs import read_symbols
from runtime.tcg.builder import NOT_TAKEN
from runtime.tcg.helpers import InlineHelpers
from runtime.tcg.ir import Function
from runtime.tcg.lanes import gather_lanes
from runtime.tcg.link import link
from runtime.tcg.llvm import assembly, compile_region, has_avx, has_movbe
from runtime.tcg.lower import module_text
from runtime.tcg.optimize import propagate, remove_dead, straighten
from runtime.tcg.region import RegionRequest
from runtime.tcg.region_aligning import align_before_loops
from runtime.tcg.region_builder import RegionBuilder
from runtime.tcg.region_carrying import carry_less
from runtime.tcg.region_checks import merge_checks
from runtime.tcg.region_deciding import decide, join_numbers
from runtime.tcg.region_guard import can_be_guarded
from runtime.tcg.region_hoisting import compare_before_loops
from runtime.tcg.region_lowering import FAULT_TABLE, NAME, RegionLowering, widest_access
from runtime.tcg.region_machine import MachineRegionLowering
from runtime.tcg.region_narrowing import narrow_registers
from runtime.tcg.region_packing import pack_lanes
from runtime.tcg.region_rotating import rotate_loops
from runtime.tcg.region_rules import apply_rules
from runtime.tcg.region_sinking import sink_into_exits
from runtime.tcg.region_state import keep_owing, promote
from runtime.tcg.verify import verify


@mutable_record
class CompiledRegion:
    """What became of a request.

    code          to be mapped at a page boundary; control enters at `entry` bytes from there
    longest       the least budget it runs with
    instructions  guest instructions in it
    seconds       that compiling took; `phases` says what for
    table         where in `code` the table of accesses that may fault stands (runtime/core/host_faults.py)
    table_entries how many it has
    """

    code: bytes
    entry: int
    longest: int
    instructions: int
    seconds: float
    table: int = 0
    table_entries: int = 0
    phases: dict[str, float] = fresh(factory=dict)
    optimized: Function | None = None
    ir: str = ""
    pipeline: str = ""

    @property
    def assembly(self) -> str:
        """The code as text: it is compiled once more."""
        return assembly(self.ir, pipeline=self.pipeline)


class RegionCompiler:
    """Compiles regions of one ISA."""

    def __init__(
        self,
        isa: str | Isa,
        build: Path | None = None,
        pipeline: str = "middle",
        level: int = 2,
        checks: str = "guard",
        verified: bool = True,
        machine: bool = False,
    ) -> None:
        """isa: its folder under `build`, or loaded already.

        checks  "guard": the host refuses what the guest may not access (runtime/core/guard.py), in a memory of
                2**ADDRESS_BITS bytes or all that the guest can address.  "byte": the permission table is looked at
        verified  TCG is checked to be legal before it is lowered: a twentieth of the time
        machine   for code of machines, where the TLB is asked for accesses, and not for a user program
        """
        if isinstance(isa, str):
            isa = load_isa((build or Path("build")) / isa)
        self.isa = isa
        self.pipeline, self.level, self.checks, self.verified = pipeline, level, checks, verified
        self._avx, self._movbe = has_avx(), has_movbe()
        self._translate = isa.module("translate")
        self._layout = replace(isa.layout, machine=True) if machine else isa.layout
        self._helpers = InlineHelpers(self._translate.HELPERS, self._layout)
        self._native = read_symbols(isa.system_blob_path if machine else isa.blob_path)

    def compile(self, request: RegionRequest) -> CompiledRegion:
        """The region's code."""
        marks = [("", time.perf_counter())]

        def mark(phase: str) -> None:
            marks.append((phase, time.perf_counter()))

        layout = self._layout
        region = RegionBuilder(self._translate, layout, request.flags, request.blocks).build()
        mark("build")
        function = region.function
        straighten(function)
        if layout.machine:
            promote(function, region.start, layout.translation_registers, layout.owed)
        else:
            own = {ENV["flags"]: request.flags, ENV["npc"]: _npc(layout, request.flags)}
            promote(function, region.start, (), layout.owed, own)
        mark("promote")
        propagate(function)
        join_numbers(function)
        apply_rules(function)
        decide(function)
        guarded = self.checks == "guard" and not layout.machine and can_be_guarded(function)
        if not guarded and not layout.machine:
            merge_checks(function)
        straighten(function)
        remove_dead(function)
        if layout.owed and keep_owing(function, layout.owed):
            straighten(function)
        sink_into_exits(function)
        if narrow_registers(function):
            apply_rules(function)
            remove_dead(function)
            sink_into_exits(function)
        if carry_less(function):
            remove_dead(function)
            sink_into_exits(function)
        gather_lanes(function)
        pack_lanes(function)
        if not layout.machine:
            align_before_loops(function)
        if guarded:
            compare_before_loops(function, widest_access(self._avx))
        rotate_loops(function)
        mark("optimize")
        if self.verified:
            verify(function)
        if layout.machine:
            lowering: RegionLowering = MachineRegionLowering(layout, function, self._native, self._helpers)
        else:
            lowering = RegionLowering(function, self._native, guarded, self._avx, self._helpers, self._movbe)
        ir = module_text([lowering], "")
        mark("lower")
        data = compile_region(ir, self.pipeline, self.level)
        mark("llvm")
        code, symbols = link([data], FAULT_TABLE)
        mark("link")
        phases = {name: end - start for (_, start), (name, end) in pairwise(marks)}
        return CompiledRegion(
            code,
            symbols[NAME],
            region.longest,
            region.instructions,
            marks[-1][1] - marks[0][1],
            symbols.get(FAULT_TABLE, 0),
            symbols.get(f"bytes of {FAULT_TABLE}", 0) // 8,
            phases,
            function,
            ir,
            self.pipeline,
        )


def _npc(layout: Layout, flags: int) -> int | None:
    """What env.npc holds where a region with these modes is entered: outside a delay slot nobody looks at it, so it is
    as good as what it holds behind one."""
    in_slot = layout.slot is not None and flags >> layout.mode(layout.slot).shift & 1
    return None if in_slot else NOT_TAKEN
