"""Lowers TCG to LLVM IR text: a function each, then a module with the declarations they need.

Handlers take (op record, env, memory, permissions, budget) in the registers `preserve_nonecc` gives them and end in a
`musttail` call of the next record's handler, so state never leaves registers between guest instructions (DESIGN §3).
The pointers never alias one another, which `noalias` tells LLVM.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from runtime.core.env import (
    ADDRESS_BITS,
    ENV,
    JUMP_CACHE_ENTRIES,
    JUMP_CACHE_ENTRY_BYTES,
    PAGE_BITS,
    PAGE_READ,
    PAGE_WRITE,
)
from runtime.core.layout import storage_bytes
from runtime.tcg import host_x86_64 as host
from runtime.tcg.ir import Function, InternalError, Label, Op, Operand, Temp
from runtime.tcg.lanes import MARK
from runtime.tcg.lower_values import EXTENDED, lower_value, real_type, upper_bound
from runtime.tcg.ops import mask
from runtime.tcg.optimize import remove_unreachable
from runtime.tcg.tb import SEEN_BITS, SEEN_FACTOR
from runtime.tcg.verify import verify

#: where handlers begin: a jump reaches a whole fetch block of the host
HANDLER_ALIGNMENT = 32
HANDLER_PARAMETERS = "ptr noalias %op, ptr noalias %env, ptr noalias %mem, ptr noalias %perm, i64 %budget"
_HANDLER_TYPES = "ptr, ptr, ptr, ptr, i64"
SELDOM_TAKEN, _MOSTLY, _INVARIANT = "!prof !0", "!prof !1", "!invariant.load !2"
_METADATA = """!0 = !{!"branch_weights", i32 1, i32 4000}
!1 = !{!"branch_weights", i32 4000, i32 1}
!2 = !{}
"""
#: no-builtins: there is no C library to call; LLVM would make `memset` of a loop that clears registers
_ATTRIBUTES = """attributes #0 = { nounwind "no-builtins" }
attributes #1 = { nounwind strictfp "no-builtins" }
attributes #2 = { nounwind willreturn memory(none) }
attributes #3 = { nounwind cold "no-builtins" }
"""
#: functions of the engine that lowered code may call
_ENGINE = {
    "tb_lookup": f"declare hidden preserve_nonecc void @tb_lookup({_HANDLER_TYPES})",
    "note_target": "declare hidden preserve_mostcc void @note_target(ptr, i64, i64)",
}
#: The engine's mem_slow by a convention that keeps all registers: a handler that may call it needs no stack frame and
#: holds nothing in registers it would have to save.  Every module has a copy; the linker keeps one.
_MEM_SLOW = """declare hidden i64 @mem_slow(ptr, i64, i64, i64)
define linkonce_odr hidden preserve_mostcc i64 @mem_slow_kept(ptr %env, i64 %a, i64 %n, i64 %access) noinline nounwind {
  %status = call i64 @mem_slow(ptr %env, i64 %a, i64 %n, i64 %access)
  ret i64 %status
}"""
#: The same for @lazy_sync, which pays what registers are owed.
_LAZY_SYNC = """declare hidden void @lazy_sync(ptr)
define linkonce_odr hidden preserve_mostcc void @lazy_sync_kept(ptr %env) noinline nounwind {
  call void @lazy_sync(ptr %env)
  ret void
}"""
#: ops whose functions must be compiled with care for the FP environment
_FLOATING = ("host_", "fpflags_", "extended_from_f", "extended_to_f")


class FunctionLowering:
    """The text of one function, built op by op."""

    handler_parameters = HANDLER_PARAMETERS
    #: where in an entry of tb_jmp_cache, beside the pc, a field of env stands that must be what it is now
    jump_key: tuple[tuple[int, str], ...] = ((8, "flags"),)

    def __init__(self, function: Function, name: str = "", successor: str = "", inlined: bool = False) -> None:
        """name: of the LLVM function, if not the TCG function's.  successor: the handler that comes next, if it is
        known now; else it is what the next record says.  inlined: only ever called as somebody's successor."""
        self.function = function
        self._name = name or function.name
        self._successor = successor
        self._inlined = inlined
        self.lines: list[str] = []
        #: intrinsics and outside functions, name -> declaration
        self.declarations: dict[str, str] = {}
        #: greatest value a temp can have, where it is less than its width allows
        self.bounds: dict[Temp, int] = {}
        #: results of select
        self.chosen: set[Operand] = set()
        #: in this block, operations of the host's extended precision and their results with its status
        self.told: dict[tuple[object, ...], str] = {}
        self.strict = any(op.name.startswith(_FLOATING) and op.name != "host_time" for op in function.ops)
        self._values: dict[Temp, str] = {}
        #: offsets of the op record's words that are loaded as a whole
        self._words: set[int] = set()
        self._names = 0
        self._block = "entry"
        self._edges: dict[Label, list[tuple[str, Op]]] = {}
        self._phis: list[tuple[int, Op]] = []

    # ------------------------------------------------------------ pieces

    def fresh(self) -> str:
        """A new value name."""
        self._names += 1
        return f"%v{self._names}"

    def line(self, text: str) -> None:
        """Append an instruction."""
        self.lines.append("  " + text)

    def let(self, text: str) -> str:
        """Append an instruction with a result."""
        name = self.fresh()
        self.line(f"{name} = {text}")
        return name

    def define(self, op: Op, text: str) -> None:
        """Append the instruction that computes the op's result."""
        self.line(f"%t{op.result.id} = {text}")

    def alias(self, op: Op, value: str) -> None:
        """The op's result is a value that exists already."""
        self._values[op.result] = value

    def value(self, operand: Operand) -> str:
        """An operand without its type."""
        if isinstance(operand, int):
            return str(operand)
        return self._values.get(operand) or f"%t{operand.id}"

    def real(self, operand: Operand, width: int) -> str:
        """A pattern of this width as a floating-point number."""
        pattern = self.value(operand)
        if operand in self.chosen and width <= 64:  # 80 bits fit into no general register
            # Or LLVM chooses between FP registers, which takes several instructions where a conditional move does.
            pattern = self.let(f'call i{width} asm "", "=r,0"(i{width} {pattern}) #0')
        return self.let(f"bitcast i{width} {pattern} to {real_type(width)}")

    def define_real(self, op: Op, value: str) -> None:
        """The op's result is the pattern of this floating-point number."""
        width = op.result.width
        self.define(op, f"bitcast {real_type(width)} {value} to i{width}")

    def resized(self, value: str, width: int, to: int, signed: bool = False) -> str:
        """`value` truncated or extended."""
        if width == to:
            return value
        how = "trunc" if width > to else "sext" if signed else "zext"
        return self.let(f"{how} i{width} {value} to i{to}")

    def start_block(self, name: str) -> None:
        """Begin a block."""
        self.told.clear()
        self.lines.append(f"{name}:")
        self._block = name

    def intrinsic(self, name: str, result: str, types: str, attributes: str = "#0") -> None:
        """Declare an LLVM intrinsic."""
        self.declarations[name] = f"declare {result} @{name}({types}) {attributes}"

    def at(self, base: str, offset: int | str) -> str:
        """base + offset, a pointer."""
        return base if offset == 0 else self.let(f"getelementptr inbounds i8, ptr {base}, i64 {offset}")

    # ------------------------------------------------------------ the function

    def text(self) -> str:
        """The whole definition."""
        remove_unreachable(self.function)
        self._block = "entry"
        self._load_words()
        if self.function.settles:
            self._settle(self.function.settles)
        for op in self.function.ops:
            self.lower(op)
        for position, label in reversed(self._phis):
            self.lines[position : position + 1] = self._phi_lines(label)
        locals_ = {op.local.id: op.local for op in self.function.ops if op.local is not None}
        allocas = [f"  %l{cell.id} = alloca [{cell.count} x i{cell.width}]" for cell in locals_.values()]
        attributes = "#1" if self.strict else "#0"
        if self.function.lanes:
            allocas.insert(0, f"  {MARK}")
        if self.function.kind == "handler" and not self._inlined:
            attributes += f" align {HANDLER_ALIGNMENT}"
        return "\n".join([f"{self._header()} {attributes} {{", "entry:", *allocas, *self.lines, "}", ""])

    def lower(self, op: Op) -> None:
        """Append what the op does."""
        bound = upper_bound(op, self.bounds)
        if bound is not None:
            self.bounds[op.result] = bound
        method = _CONTROL.get(op.name)
        if method is not None:
            getattr(self, method)(op)
        elif not lower_value(self, op):
            raise InternalError(f"no lowering for {op.name}")

    def _load_words(self) -> None:
        """Load words of the op record with several operands once: load ports are what handlers are short of."""
        offsets: dict[int, set[int]] = {}
        for op in self.function.ops:
            if op.name == "ld_slot" and op.size < 64:
                offsets.setdefault(op.offset & -8, set()).add(op.offset)
        self._words = {start for start, inside in offsets.items() if len(inside) > 1}
        for start in sorted(self._words):
            pointer = self.at("%op", start)
            self.line(f"%word{start} = load i64, ptr {pointer}, align 8, {_INVARIANT}")

    def _settle(self, owed: int) -> None:
        """Registers that the function reads get their values, if these were put off."""
        self.declarations["lazy_sync"] = _LAZY_SYNC
        rule = self.let(f"load i64, ptr {self.at('%env', owed)}, align 8")
        pending = self.let(f"icmp ne i64 {rule}, 0")
        self.line(f"br i1 {pending}, label %settle, label %settled")
        self.start_block("settle")
        self.line("call preserve_mostcc void @lazy_sync_kept(ptr %env) #0")
        self.line("br label %settled")
        self.start_block("settled")

    def _header(self) -> str:
        function = self.function
        if function.kind == "handler":
            linkage, inline = ("internal", " alwaysinline") if self._inlined else ("hidden", "")
            return f"define {linkage} preserve_nonecc void @{self._name}({self.handler_parameters}){inline}"
        parameters = [f"ptr noalias %{name}" for name in function.context]
        parameters += [f"i{temp.width} %t{temp.id}" for temp in function.parameters]
        return f"define hidden {result_type(function.results)} @{function.name}({', '.join(parameters)})"

    def _phi_lines(self, label: Op) -> list[str]:
        edges = self._edges.get(label.labels[0], [])
        lines = []
        for number, parameter in enumerate(label.results):
            sources = ", ".join(f"[ {self.value(op.args[number])}, %{block} ]" for block, op in edges)
            lines.append(f"  %t{parameter.id} = phi i{parameter.width} {sources}")
        return lines

    # ------------------------------------------------------------ control

    def label(self, op: Op) -> None:
        """A block begins; its parameters become phis once all branches to it are known."""
        self.start_block(repr(op.labels[0]))
        if op.results:
            self._phis.append((len(self.lines), op))
            self.lines.append("")

    def br(self, op: Op) -> None:
        self._edges.setdefault(op.labels[0], []).append((self._block, op))
        self.line(f"br label %{op.labels[0]!r}")

    def brcond(self, op: Op) -> None:
        then, otherwise = op.labels
        weight = {0: "", 1: ", " + SELDOM_TAKEN, 2: ", " + _MOSTLY}[op.offset]
        self.line(f"br i1 {self.value(op.args[0])}, label %{then!r}, label %{otherwise!r}{weight}")

    def call(self, op: Op) -> None:
        types = ", ".join(f"i{w}" for w in op.widths)
        returned = result_type(tuple(temp.width for temp in op.results))
        self.declarations[op.symbol] = f"declare hidden {returned} @{op.symbol}({types}) #0"
        self._call(op, f"@{op.symbol}")

    def call_env(self, op: Op) -> None:
        types = ", ".join(["ptr", *(f"i{w}" for w in op.widths)])
        returned = result_type(tuple(temp.width for temp in op.results))
        self.declarations[op.symbol] = f"declare hidden {returned} @{op.symbol}({types}) #0"
        self._call(op, f"@{op.symbol}", "ptr %env")

    def _call(self, op: Op, function: str, *context: str) -> None:
        given = [f"i{w} {self.value(value)}" for value, w in zip(op.args, op.widths, strict=True)]
        arguments = ", ".join([*context, *given])
        widths = tuple(temp.width for temp in op.results)
        returned = result_type(widths)
        attributes = "#2" if op.flag else "#1" if self.strict else "#0"
        text = f"call {returned} {function}({arguments}) {attributes}"
        if not widths:
            self.line(text)
        elif len(widths) == 1:
            self.define(op, text)
        else:
            whole = self.let(text)
            for number, temp in enumerate(op.results):
                self.line(f"%t{temp.id} = extractvalue {returned} {whole}, {number}")

    def ret(self, op: Op) -> None:
        if not op.args:
            self.line("ret void")
        elif len(op.args) == 1:
            self.line(f"ret i{op.widths[0]} {self.value(op.args[0])}")
        else:
            whole, returned = "poison", result_type(op.widths)
            for number, (value, width) in enumerate(zip(op.args, op.widths, strict=True)):
                whole = self.let(f"insertvalue {returned} {whole}, i{width} {self.value(value)}, {number}")
            self.line(f"ret {returned} {whole}")

    def _tail_call(self, handler: str, record: str, budget: str, memory: str = "%mem") -> None:
        arguments = f"ptr {record}, ptr %env, ptr {memory}, ptr %perm, i64 {budget}"
        self.line(f"musttail call preserve_nonecc void {handler}({arguments})")
        self.line("ret void")

    def next(self, op: Op) -> None:
        record = self.at("%op", op.size)
        handler = self._successor or self.let(f"load ptr, ptr {record}, align 8")
        self._tail_call(handler, record, self.value(op.args[0]))

    def skip(self, op: Op) -> None:
        distance = self.let(f"add i64 {self.value(op.args[1])}, {op.size}")
        record = self.at("%op", distance)
        self._tail_call(self.let(f"load ptr, ptr {record}, align 8"), record, self.value(op.args[0]))

    def goto_tb(self, op: Op) -> None:
        record = self.let(f"load ptr, ptr {self.at('%op', op.offset)}, align 8")
        handler = self.let(f"load ptr, ptr {record}, align 8")
        self._tail_call(handler, record, self.value(op.args[0]))

    def goto_ptr(self, op: Op) -> None:
        self.declarations["tb_lookup"] = _ENGINE["tb_lookup"]
        if op.size:  # behind the block's last record stand some of the places that its jump went to: for regions
            self._note_target(self.resized(self.value(op.args[0]), op.widths[0], 64), self.at("%op", op.size))
        self._goto_ptr(op, lambda: "@tb_lookup")

    def _note_target(self, pc: str, seen: str) -> None:
        self.declarations["note_target"] = _ENGINE["note_target"]
        mixed = self.let(f"mul i64 {pc}, {SEEN_FACTOR}")
        number = self.let(f"lshr i64 {mixed}, {64 - SEEN_BITS}")
        known = self.let(f"load i64, ptr {self.at(seen, self.let(f'shl i64 {number}, 3'))}, align 8")
        other = self.let(f"icmp ne i64 {known}, {pc}")
        note, noted = f"note{self.fresh()[1:]}", f"noted{self.fresh()[1:]}"
        self.line(f"br i1 {other}, label %{note}, label %{noted}, {SELDOM_TAKEN}")
        self.start_block(note)
        self.line(f"call preserve_mostcc void @note_target(ptr {seen}, i64 {pc}, i64 {number}) #3")
        self.line(f"br label %{noted}")
        self.start_block(noted)

    def _goto_ptr(self, op: Op, lookup: Callable[[], str]) -> None:
        """One probe of tb_jmp_cache; the slow path, `lookup`, finds the block by env.pc."""
        pc = self.resized(self.value(op.args[0]), op.widths[0], 64)
        budget = self.value(op.args[1])
        hit, miss = f"hit{self.fresh()[1:]}", f"miss{self.fresh()[1:]}"
        low = self.let(f"lshr i64 {pc}, 1")
        high = self.let(f"lshr i64 {pc}, 13")
        mixed = self.let(f"xor i64 {low}, {high}")
        index = self.let(f"and i64 {mixed}, {JUMP_CACHE_ENTRIES - 1}")
        scaled = self.let(f"mul i64 {index}, {JUMP_CACHE_ENTRY_BYTES}")
        cache = self.let(f"load ptr, ptr {self.at('%env', ENV['jump_cache'])}, align 8")
        entry = self.at(cache, scaled)
        differs = self._differs(entry, 0, pc)
        for offset, field in self.jump_key:
            now = self.let(f"load i64, ptr {self.at('%env', ENV[field])}, align 8")
            differs = self.let(f"or i64 {differs}, {self._differs(entry, offset, now)}")
        stale = self.let(f"icmp ne i64 {differs}, 0")
        self.line(f"br i1 {stale}, label %{miss}, label %{hit}, {SELDOM_TAKEN}")
        self.start_block(hit)
        record = self.let(f"load ptr, ptr {self.at(entry, 16)}, align 8")
        handler = self.let(f"load ptr, ptr {record}, align 8")
        self._tail_call(handler, record, budget, self.memory_of_block())
        self.start_block(miss)
        self.line(f"store i64 {pc}, ptr {self.at('%env', ENV['pc'])}, align 8")
        self._tail_call(lookup(), "%op", budget)

    def _differs(self, entry: str, offset: int, value: str) -> str:
        return self.let(f"xor i64 {self.let(f'load i64, ptr {self.at(entry, offset)}, align 8')}, {value}")

    def memory_of_block(self) -> str:
        """The memory argument for the block that an indirect jump leads to."""
        return "%mem"

    def exit(self, op: Op) -> None:
        pc = self.resized(self.value(op.args[0]), op.widths[0], 64)
        for field, value in (("pc", pc), ("budget", self.value(op.args[1])), ("exit_reason", str(op.offset))):
            self.line(f"store i64 {value}, ptr {self.at('%env', ENV[field])}, align 8")
        self.line("ret void")

    def insn_start(self, op: Op) -> None:
        self.line(f"; {op.symbol}".replace("\n", " "))

    # ------------------------------------------------------------ state

    def ld_env(self, op: Op) -> None:
        self._load_state(op, self.at("%env", op.offset), alignment(op.offset, op.result.width))

    def st_env(self, op: Op) -> None:
        self._store_state(op, 0, self.at("%env", op.offset), alignment(op.offset, op.widths[0]))

    def ld_envx(self, op: Op) -> None:
        offset = self.resized(self.value(op.args[0]), op.widths[0], 64)
        self._load_state(op, self.at("%env", offset), alignment(8, op.result.width))

    def st_envx(self, op: Op) -> None:
        offset = self.resized(self.value(op.args[0]), op.widths[0], 64)
        self._store_state(op, 1, self.at("%env", offset), alignment(8, op.widths[1]))

    def _load_state(self, op: Op, pointer: str, align: int) -> None:
        width, stored = op.result.width, _stored(op.result.width)
        if stored == width:
            self.define(op, f"load i{width}, ptr {pointer}, align {align}")
        else:
            whole = self.let(f"load i{stored}, ptr {pointer}, align {align}")
            self.define(op, f"trunc i{stored} {whole} to i{width}")

    def _store_state(self, op: Op, argument: int, pointer: str, align: int) -> None:
        width = op.widths[argument]
        stored = _stored(width)
        operand = op.args[argument]
        value = str(operand) if isinstance(operand, int) else self.resized(self.value(operand), width, stored)
        self.line(f"store i{stored} {value}, ptr {pointer}, align {align}")

    def _cell(self, op: Op) -> str:
        cell = op.local
        if cell is None:
            raise InternalError(f"{op.name} without a local")
        if not op.name.endswith("x"):
            return f"%l{cell.id}"
        index = self.resized(self.value(op.args[0]), op.widths[0], 64)
        return self.let(f"getelementptr inbounds [{cell.count} x i{cell.width}], ptr %l{cell.id}, i64 0, i64 {index}")

    def ld_local(self, op: Op) -> None:
        self.define(op, f"load i{op.result.width}, ptr {self._cell(op)}")

    def st_local(self, op: Op) -> None:
        self.line(f"store i{op.widths[-1]} {self.value(op.args[-1])}, ptr {self._cell(op)}")

    def ld_slot(self, op: Op) -> None:
        start = op.offset & -8
        if start in self._words and op.size < 64:
            low = 8 * (op.offset - start)
            word = self.let(f"lshr i64 %word{start}, {low}") if low else f"%word{start}"
            whole = self.resized(word, 64, op.size)
        else:
            pointer = self.at("%op", op.offset)
            whole = self.let(f"load i{op.size}, ptr {pointer}, align {min(8, op.size // 8)}, {_INVARIANT}")
        self.alias(op, self.resized(whole, op.size, op.result.width, op.flag))

    def ld_budget(self, op: Op) -> None:
        self.alias(op, "%budget")

    def symbol(self, op: Op) -> None:
        self.declarations.setdefault(op.symbol, f"declare hidden void @{op.symbol}()")
        self.define(op, f"ptrtoint ptr @{op.symbol} to i64")

    # ------------------------------------------------------------ memory

    def check_mem(self, op: Op) -> None:
        """Aligned, in range and permitted inline; everything else asks the engine."""
        width, size = op.widths[0], op.size
        address = self.resized(self.value(op.args[0]), width, 64)
        number = self.fresh()[2:]
        slow, done, permitted = f"slow{number}", f"checked{number}", f"page{number}"
        bad = self._badly_placed(address, width, size)
        if bad is not None:
            self.line(f"br i1 {bad}, label %{slow}, label %{permitted}, {SELDOM_TAKEN}")
            self.start_block(permitted)
        page = self.let(f"lshr i64 {address}, {PAGE_BITS}")
        byte = self.let(f"load i8, ptr {self.at('%perm', page)}, align 1")
        bit = self.let(f"and i8 {byte}, {PAGE_WRITE if op.offset else PAGE_READ}")
        denied = self.let(f"icmp eq i8 {bit}, 0")
        fast = self._block
        self.line(f"br i1 {denied}, label %{slow}, label %{done}, {SELDOM_TAKEN}")
        self.start_block(slow)
        self.declarations["mem_slow"] = _MEM_SLOW
        arguments = f"ptr %env, i64 {address}, i64 {size}, i64 {op.offset}"
        status = self.resized(self.let(f"call preserve_mostcc i64 @mem_slow_kept({arguments}) #3"), 64, 2)
        self.line(f"br label %{done}")
        self.start_block(done)
        self.define(op, f"phi i2 [ 0, %{fast} ], [ {status}, %{slow} ]")

    def _badly_placed(self, address: str, width: int, size: int) -> str | None:
        """Whether the access is misaligned, so that it may straddle pages, or out of range (one compare for both)."""
        log = size.bit_length() - 1
        if size == 1 << log and size <= 8:
            if width <= ADDRESS_BITS:
                if size == 1:
                    return None
                low = self.let(f"and i64 {address}, {size - 1}")
                return self.let(f"icmp ne i64 {low}, 0")
            misplaced = mask(64) ^ mask(ADDRESS_BITS) | size - 1
            wrong = self.let(f"and i64 {address}, {misplaced - (1 << 64)}")
            return self.let(f"icmp ne i64 {wrong}, 0")
        last = self.let(f"add i64 {address}, {size - 1}")
        across = self.let(f"xor i64 {address}, {last}")
        pages = self.let(f"lshr i64 {across}, {PAGE_BITS}")
        if width > ADDRESS_BITS:
            high = self.let(f"lshr i64 {address}, {ADDRESS_BITS}")
            pages = self.let(f"or i64 {pages}, {high}")
        return self.let(f"icmp ne i64 {pages}, 0")

    def _place(self, op: Op) -> str:
        return self.at("%mem", self.resized(self.value(op.args[0]), op.widths[0], 64))

    def swapped(self, value: str, width: int) -> str:
        """Bytes in the other order."""
        if width == 8:
            return value
        even = width if width % 16 == 0 else width + 8
        self.intrinsic(f"llvm.bswap.i{even}", f"i{even}", f"i{even}")
        turned = self.let(f"call i{even} @llvm.bswap.i{even}(i{even} {self.resized(value, width, even)})")
        if even == width:
            return turned
        return self.resized(self.let(f"lshr i{even} {turned}, 8"), even, width)

    def ld_mem(self, op: Op) -> None:
        width = op.result.width
        loaded = f"load i{width}, ptr {self._place(op)}, align 1"
        if op.flag and width > 8:
            self.alias(op, self.swapped(self.let(loaded), width))
        else:
            self.define(op, loaded)

    def st_mem(self, op: Op) -> None:
        width, value = op.widths[1], self.value(op.args[1])
        if op.flag:
            value = self.swapped(value, width)
        self.line(f"store i{width} {value}, ptr {self._place(op)}, align 1")

    def cas_mem(self, op: Op) -> None:
        width = self._atomic_width(op)
        expected, new = self.value(op.args[1]), self.value(op.args[2])
        if op.flag:
            expected, new = self.swapped(expected, width), self.swapped(new, width)
        pair = self.let(
            f"cmpxchg ptr {self._place(op)}, i{width} {expected}, i{width} {new} seq_cst seq_cst, align {width // 8}"
        )
        seen = self.let(f"extractvalue {{ i{width}, i1 }} {pair}, 0")
        self.alias(op, self.swapped(seen, width) if op.flag else seen)

    def atomic(self, op: Op) -> None:
        width = self._atomic_width(op)
        how = op.name.removesuffix("_mem")
        self.define(
            op, f"atomicrmw {how} ptr {self._place(op)}, i{width} {self.value(op.args[1])} seq_cst, align {width // 8}"
        )

    def _atomic_width(self, op: Op) -> int:
        width = op.result.width
        if width not in (8, 16, 32, 64, 128):
            raise InternalError(f"an atomic access of {width} bits")
        return width

    def machine_only(self, op: Op) -> None:
        raise InternalError(f"{op.name} outside a machine")

    load_mem = store_mem = clock = kick = region_stale = machine_only

    def fence(self, op: Op) -> None:
        self.line("fence seq_cst")

    def ld_host(self, op: Op) -> None:
        pointer = self.let(f"inttoptr i64 {self.value(op.args[0])} to ptr")
        self.define(op, f"load i{op.result.width}, ptr {pointer}, align 1")

    def st_host(self, op: Op) -> None:
        pointer = self.let(f"inttoptr i64 {self.value(op.args[0])} to ptr")
        self.line(f"store i{op.widths[1]} {self.value(op.args[1])}, ptr {pointer}, align 1")

    def host_time(self, op: Op) -> None:
        self.intrinsic("llvm.readcyclecounter", "i64", "")
        self.define(op, "call i64 @llvm.readcyclecounter()")

    # ------------------------------------------------------------ the host's FP flags

    def _read_fp_state(self) -> tuple[str, str]:
        """Where the host's FP state was stored, and its value."""
        place = self.at("%env", ENV["scratch"])
        self.line(host.STORE_FP_STATE.replace("%s", place))
        return place, self.let(f"load i32, ptr {place}, align 8")

    def fpflags_get(self, op: Op) -> None:
        _, whole = self._read_fp_state()
        total = "0"
        for source, target in host.FP_FLAGS:
            moved = self.let(f"lshr i32 {whole}, {source}")
            bit = self.let(f"and i32 {moved}, 1")
            placed = self.let(f"shl i32 {bit}, {target}")
            total = self.let(f"or i32 {total}, {placed}")
        self.define(op, f"trunc i32 {total} to i5")

    def fpflags_clear(self, op: Op) -> None:
        place, whole = self._read_fp_state()
        cleared = self.let(f"and i32 {whole}, {mask(32) ^ host.FP_FLAGS_MASK}")
        self.line(f"store i32 {cleared}, ptr {place}, align 8")
        self.line(host.LOAD_FP_STATE.replace("%s", place))


#: the method that lowers each op which is not a value
_CONTROL: dict[str, str] = (
    {
        name: name
        for name in (
            "label",
            "br",
            "brcond",
            "call",
            "call_env",
            "ret",
            "next",
            "skip",
            "goto_tb",
            "goto_ptr",
            "exit",
            "insn_start",
            "ld_env",
            "st_env",
            "ld_envx",
            "st_envx",
            "ld_local",
            "st_local",
            "ld_slot",
            "ld_budget",
            "symbol",
            "check_mem",
            "ld_mem",
            "st_mem",
            "cas_mem",
            "load_mem",
            "store_mem",
            "clock",
            "kick",
            "region_stale",
            "fence",
            "ld_host",
            "st_host",
            "host_time",
            "fpflags_get",
            "fpflags_clear",
        )
    }
    | {f"{how}_mem": "atomic" for how in ("xchg", "add", "and", "or", "xor")}
    | {"ld_localx": "ld_local", "st_localx": "st_local"}
)


def alignment(offset: int, width: int) -> int:
    """Of a register at this offset of env, whose start is a multiple of 64."""
    align = min(16, storage_bytes(width))
    while offset % align:
        align //= 2
    return align


def _stored(width: int) -> int:
    """Bits that are loaded and stored for a register of env: of extended precision those that the host's unit does, the
    rest stays 0."""
    return width if width == EXTENDED else 8 * storage_bytes(width)


def result_type(widths: tuple[int, ...]) -> str:
    """The LLVM type of a function's results."""
    if not widths:
        return "void"
    if len(widths) == 1:
        return f"i{widths[0]}"
    return "{ " + ", ".join(f"i{width}" for width in widths) + " }"


#: makes the lowering of (function, its name, its successor, whether it is inlined): FunctionLowering, or a machine's
Lowering = Callable[[Function, str, str, bool], FunctionLowering]


def lower_module(functions: Iterable[Function], text: str = "", lowering: Lowering = FunctionLowering) -> str:
    """An LLVM module of these functions, once verified, and before them IR text that defines or declares other ones."""
    return module_text([lowering(verify(function), "", "", False) for function in functions], text)


def fused_name(first: Function, second: Function) -> str:
    """The symbol of the handler that is these two."""
    return f"{first.name}__{second.name}"


def lower_fused(pairs: Iterable[tuple[Function, Function, Function]], lowering: Lowering = FunctionLowering) -> str:
    """An LLVM module of handlers that do the work of two records, the first one's and the next one's; the third of each
    is what the second does behind the first."""
    seconds: dict[str, FunctionLowering] = {}
    fused = []
    for first, second, behind in pairs:
        inlined = f"second_{behind.name}"
        if inlined not in seconds:
            seconds[inlined] = lowering(verify(behind), inlined, "", True)
        fused.append(lowering(verify(first), fused_name(first, second), f"@{inlined}", False))
    return module_text([*seconds.values(), *fused], "")


def module_text(lowerings: Iterable[FunctionLowering], text: str) -> str:
    bodies: list[str] = []
    declarations: dict[str, str] = {}
    defined: set[str] = set()
    for lowering in lowerings:
        bodies.append(lowering.text())
        defined.add(lowering.function.name)
        for name, declaration in lowering.declarations.items():
            # `symbol` declares a name without its type; a call knows better.
            if name not in declarations or declarations[name].endswith("()"):
                declarations[name] = declaration
    outside: list[str] = []
    for name, declaration in declarations.items():
        if name in defined:
            continue
        if f"@{name}(" in text:  # declared or defined there
            declaration = declaration.partition("\n")[2]
        outside.append(declaration)
    return "\n".join([text, *bodies, *outside, "", _ATTRIBUTES, _METADATA])
