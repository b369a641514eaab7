"""Lowers a region's function: what tier 0's lowering does, but for the ways out and the checks of memory accesses.

A region's code refers to nothing outside itself: functions of the ISA's native code are found at env.native plus an
offset that is known when the region is compiled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runtime.core.env import ADDRESS_BITS, ENV, PAGE_BITS, PAGE_READ, PAGE_WRITE
from runtime.core.segment_x86_64 import SEGMENT
from runtime.tcg.helpers import InlineHelpers
from runtime.tcg.ir import Function, InternalError, Label, Op, Operand, Temp
from runtime.tcg.lower import HANDLER_PARAMETERS, SELDOM_TAKEN
from runtime.tcg.lower_values import STRICT_MODES, real_type
from runtime.tcg.region_builder import DEOPT
from runtime.tcg.region_guard import WIDEST, GuardPlan, plan_guards
from runtime.tcg.region_packing import find_packs
from runtime.tcg.region_reals import find_reals
from runtime.tcg.region_vectors import VectorLowering, vector_type
from runtime.tcg.region_weights import branch_weights

#: the region's function in its module
NAME = "region"
#: asks whether an access that the permission table does not allow as it stands may be made all the same
_SLOW = """define internal preserve_mostcc i1 @{name}(ptr %env, i64 %a) noinline cold nounwind {{
  %at = getelementptr inbounds i8, ptr %env, i64 {native}
  %base = load ptr, ptr %at, align 8
  %slow = getelementptr inbounds i8, ptr %base, i64 {slow}
  %status = call preserve_mostcc i64 %slow(ptr %env, i64 %a, i64 {size}, i64 {access})
  %refused = icmp ne i64 %status, 0
{code}}}"""
_LOADED = "  ret i1 %refused\n"
#: a store to a page that holds code is left to tier 0, where the engine knows until when it may still be to come
_STORED = """  %store_page.at = getelementptr inbounds i8, ptr %env, i64 {store_page}
  %store_page = load i64, ptr %store_page.at, align 8
  %last = add i64 %a, {more}
  %page.first = lshr i64 %a, {page_bits}
  %page.last = lshr i64 %last, {page_bits}
  %code.first = icmp eq i64 %page.first, %store_page
  %code.last = icmp eq i64 %page.last, %store_page
  %code = or i1 %code.first, %code.last
  %left = or i1 %refused, %code
  ret i1 %left
"""


#: how much more often a branch is taken that is for all results but NaNs
_USUAL = 4000
#: the section of a region's object that says where its accesses go on when they are refused: pairs of 32-bit distances
FAULT_TABLE = ".faults"
_FAULT_ENTRY = f"\\0A.pushsection {FAULT_TABLE},\\22a\\22,@progbits\\0A.long 771b - .\\0A.long $L - .\\0A.popsection"
_CLOBBERED = "~{dirflag},~{fpsr},~{flags}"
_SUFFIX = {8: "b", 16: "w", 32: "l", 64: "q"}
#: widths that `movbe` is used for, and what the registers are called
_TURNED = {32: "k", 64: "q"}


def widest_access(avx: bool) -> int:
    """Bytes that one instruction loads or stores."""
    return 32 if avx else WIDEST


def _extensions(function: Function) -> dict[Operand, bool]:
    """Narrow values and whether they are extended by the sign, where they are extended one way only."""
    found: dict[Operand, bool] = {}
    mixed: set[Operand] = set()
    for op in function.ops:
        if op.name in ("sext", "zext"):
            sign = op.name == "sext"
            if found.setdefault(op.args[0], sign) != sign:
                mixed.add(op.args[0])
    return {value: sign for value, sign in found.items() if value not in mixed}


class RegionLowering(VectorLowering):
    """The text of a region's function."""

    #: guest memory is found by a segment register, too, of which LLVM knows nothing
    handler_parameters = HANDLER_PARAMETERS.replace("noalias %mem", "%mem")

    def __init__(
        self,
        function: Function,
        native: Mapping[str, int],
        guarded: bool = False,
        avx: bool = False,
        helpers: InlineHelpers | None = None,
        movbe: bool = False,
    ) -> None:
        """native: where in the ISA's native code its functions stand.  guarded: the host refuses accesses that the
        guest may not make.  avx, movbe: it has these instructions.  helpers: those that need not be called."""
        self._helpers = helpers
        super().__init__(function, NAME, self._inlines)
        self._native = native
        #: the branch that a check_mem decides; it and the comparison before it are lowered with the check
        self._branches: dict[int, Op] = {}
        self._lowered: set[int] = set()
        self._find_checks()
        self._plan = plan_guards(function, widest_access(avx)) if guarded else GuardPlan()
        self._move = "vmov" if avx else "mov"
        self._movbe = movbe
        #: narrow values loaded, extended to 64 bits: the whole, and whether by the sign
        self._wide: dict[Operand, tuple[str, bool]] = {}
        self._signs = _extensions(function) if guarded else {}
        self._reals = find_reals(function)
        #: operations on lanes that are done at once, by the first and by what tells whether their results are numbers
        self._packs: dict[int, list[Op]] = {}
        self._packed: dict[Operand, str] = {}  # the lowest lane's result -> all results
        for operations, together in find_packs(function):
            self._packs |= {id(operations[0]): operations, id(together): operations}
            self._lowered |= {id(op) for op in operations[1:]}
        self._weights = branch_weights(function)
        #: floating-point numbers by their temps
        self._numbers: dict[Operand, str] = {}
        self._arguments: dict[int, list[str]] = {}
        self._parameters = {op.labels[0]: op.results for op in function.ops if op.name == "label"}

    def _find_checks(self) -> None:
        ops = self.function.ops
        for at, op in enumerate(ops):
            if op.name != "check_mem":
                continue
            compare, branch = ops[at + 1 : at + 3]
            if compare.args != (op.result, 0) or branch.args != (compare.result,):
                raise InternalError("a check that no branch follows")
            self._branches[id(op)] = branch
            self._lowered |= {id(compare), id(branch)}

    def native_function(self, name: str) -> str:
        """The address of a function of the ISA's native code."""
        offset = self._native.get(name)
        if offset is None:
            raise InternalError(f"a region needs {name}, which the native code does not have")
        base = self.let(f"load ptr, ptr {self.at('%env', ENV['native'])}, align 8, !invariant.load !2")
        return self.at(base, offset)

    # ------------------------------------------------------------ control

    def lower(self, op: Op) -> None:
        if id(op) in self._packs:
            self._pack(op, self._packs[id(op)])
        elif id(op) in self._reals.nan_choices:
            self.select(op)
        elif id(op) in self._reals.apart:
            self._compare_magnitude(op)
        elif op.name in ("sext", "zext") and self.extend(op):
            pass
        elif id(op) in self._reals.ordered and id(op) not in self._reals.needless:
            number, kind = self.real(op.args[0], op.widths[0]), real_type(op.widths[0])
            self.define(op, f"fcmp ord {kind} {number}, {number}")
        elif op.name == "slice" and op.result in self._reals.temps:
            self._real_lane(op)
        elif id(op) not in self._lowered and id(op) not in self._reals.needless:
            super().lower(op)

    def _inlines(self, call: Op) -> bool:
        return self._helpers is not None and self._helpers.find(call) is not None

    def call(self, op: Op) -> None:
        found = self._helpers.find(op) if self._helpers else None
        if found is None:
            self._call(op, self.native_function(op.symbol))
            return
        self.declarations |= {found.name: found.text, **found.declarations}
        given = [(value, width) for value, width in zip(op.args, op.widths, strict=True) if found.takes(value)]
        op.args, op.widths = tuple([value for value, _ in given]), tuple([width for _, width in given])
        self._call(op, f"@{found.name}")

    def call_env(self, op: Op) -> None:
        self._call(op, self.native_function(op.symbol), "ptr %env")

    def brcond(self, op: Op) -> None:
        weights = (_USUAL, 1) if id(op) in self._reals.usual else self._weights.get(id(op))
        if weights is None or op.offset:
            super().brcond(op)
            return
        then, otherwise = op.labels
        metadata = f'!prof !{{!"branch_weights", i32 {weights[0]}, i32 {weights[1]}}}'
        self.line(f"br i1 {self.value(op.args[0])}, label %{then!r}, label %{otherwise!r}, {metadata}")

    def goto_ptr(self, op: Op) -> None:
        self._goto_ptr(op, lambda: self.native_function("tb_lookup"))

    def exit(self, op: Op) -> None:
        if op.offset != DEOPT:
            super().exit(op)
            return
        pc = self.resized(self.value(op.args[0]), op.widths[0], 64)
        self.line(f"store i64 {pc}, ptr {self.at('%env', ENV['pc'])}, align 8")
        self._tail_call(self.native_function("tb_deopt"), "%op", self.value(op.args[1]))

    # ------------------------------------------------------------ floating-point numbers

    def value(self, operand: Operand) -> str:
        number = self._numbers.get(operand)
        if number is None:
            return super().value(operand)
        assert isinstance(operand, Temp)
        return self.let(f"bitcast {real_type(operand.width)} {number} to i{operand.width}")

    def real(self, operand: Operand, width: int) -> str:
        return self._numbers.get(operand) or super().real(operand, width)

    def define_real(self, op: Op, value: str) -> None:
        if op.result in self._reals.temps:
            self._numbers[op.result] = value
        else:
            super().define_real(op, value)

    def _compare_magnitude(self, op: Op) -> None:
        """One comparison, which is false for NaNs, too."""
        number, magnitude = self._reals.apart[id(op)]
        kind, name = real_type(number.width), f"llvm.fabs.f{number.width}"
        self.intrinsic(name, kind, kind)
        positive = self.let(f"call {kind} @{name}({kind} {self.real(number, number.width)})")
        self.define(op, f"fcmp one {kind} {positive}, {self.real(magnitude, number.width)}")

    def _pack(self, op: Op, operations: list[Op]) -> None:
        """An operation on lanes that stand side by side, or whether all results are numbers."""
        first, count = operations[0], len(operations)
        width = first.result.width
        kind = f"<{count} x {real_type(width)}>"
        if op is not first:
            ordered = self.let(f"fcmp ord {kind} {self._packed[first.result]}, {self._packed[first.result]}")
            bits = self.let(f"bitcast <{count} x i1> {ordered} to i{count}")
            self.define(op, f"icmp eq i{count} {bits}, -1")
            return
        given = []
        for values in zip(*(each.args for each in operations), strict=True):
            total = "poison"
            for number, value in enumerate(values):
                lane = f"{real_type(width)} {self.real(value, width)}"
                total = self.let(f"insertelement {kind} {total}, {lane}, i64 {number}")
            given.append(f"{kind} {total}")
        what = first.name.removeprefix("host_")
        name = f"llvm.experimental.constrained.{'sqrt' if what == 'sqrt' else 'f' + what}.v{count}f{width}"
        self.intrinsic(name, kind, ", ".join([kind] * len(given)) + ", metadata, metadata", "#1")
        whole = self.let(f"call {kind} @{name}({', '.join(given)}{STRICT_MODES}) #1")
        self._packed[first.result] = whole
        for number, each in enumerate(operations):
            self.define_real(each, self.let(f"extractelement {kind} {whole}, i64 {number}"))

    def _real_lane(self, op: Op) -> None:
        """A lane of a vector as a floating-point number."""
        width = op.result.width
        lanes = f"<{op.widths[0] // width} x {real_type(width)}>"
        whole = f"{vector_type(op.widths[0])} {self.vector(op.args[0], op.widths[0])}"
        vector = self.let(f"bitcast {whole} to {lanes}")
        self._numbers[op.result] = self.let(f"extractelement {lanes} {vector}, i64 {op.offset // width}")

    def lanes(self, values: Sequence[Operand], width: int) -> tuple[str, list[str]]:
        if self._numbers.keys().isdisjoint(values):
            return super().lanes(values, width)
        return real_type(width), [self.real(value, width) for value in values]

    def select(self, op: Op) -> None:
        """A branch that is as good as never taken, where the operation's result is a NaN: so it waits for nothing."""
        width = op.result.width
        kind = real_type(width)
        number = self.real(op.args[1], width)
        test, other, join = self.let(f"fcmp uno {kind} {number}, {number}"), self._fresh_block(), self._fresh_block()
        before = self._block
        self.line(f"br i1 {test}, label %{other}, label %{join}, {SELDOM_TAKEN}")
        self.start_block(other)
        nan = self.let(f"bitcast i{width} {op.args[2]} to {kind}")
        self.line(f"br label %{join}")
        self.start_block(join)
        self.define_real(op, self.let(f"phi {kind} [ {number}, %{before} ], [ {nan}, %{other} ]"))

    def _fresh_block(self) -> str:
        return f"b{self.fresh()[1:]}"

    def label(self, op: Op) -> None:
        super().label(op)
        for temp in op.results:
            if temp in self._reals.temps:
                self._numbers[temp] = f"%t{temp.id}"

    def br(self, op: Op) -> None:
        """What is passed is made here, in the form the parameter has."""
        given: list[str] = []
        for value, parameter in zip(op.args, self._parameters[op.labels[0]], strict=True):
            if parameter in self._reals.temps:
                given.append(self.real(value, parameter.width))
            elif parameter in self.vector_temps:
                given.append(self.vector(value, parameter.width))
            else:
                given.append(self.value(value))
        self._arguments[id(op)] = given
        super().br(op)

    def _phi_lines(self, label: Op) -> list[str]:
        edges = self._edges.get(label.labels[0], [])
        lines = []
        for number, parameter in enumerate(label.results):
            kind = f"i{parameter.width}"
            if parameter in self._reals.temps:
                kind = real_type(parameter.width)
            elif parameter in self.vector_temps:
                kind = vector_type(parameter.width)
            sources = ", ".join(f"[ {self._arguments[id(op)][number]}, %{block} ]" for block, op in edges)
            lines.append(f"  %t{parameter.id} = phi {kind} {sources}")
        return lines

    def _load(self, op: Op, pointer: str, align: int) -> bool:
        """Load a floating-point number or a vector, if the op's result is one."""
        if op.result not in self._reals.temps:
            return self.load_vector(op, pointer, align)
        self._numbers[op.result] = self.let(f"load {real_type(op.result.width)}, ptr {pointer}, align {align}")
        return True

    def _store(self, operand: Operand, width: int, pointer: str, align: int) -> bool:
        if operand not in self._numbers:
            return self.store_vector(operand, width, pointer, align)
        self.line(f"store {real_type(width)} {self._numbers[operand]}, ptr {pointer}, align {align}")
        return True

    def ld_mem(self, op: Op) -> None:
        if id(op) in self._plan.accesses:
            self._load_guarded(op)
        elif op.flag or not self._load(op, self._place(op), 1):
            super().ld_mem(op)

    def st_mem(self, op: Op) -> None:
        if id(op) in self._plan.accesses:
            self._store_guarded(op)
        elif op.flag or not self._store(op.args[1], op.widths[1], self._place(op), 1):
            super().st_mem(op)

    def _load_state(self, op: Op, pointer: str, align: int) -> None:
        if not self._load(op, pointer, align):
            super()._load_state(op, pointer, align)

    def _store_state(self, op: Op, argument: int, pointer: str, align: int) -> None:
        if not self._store(op.args[argument], op.widths[argument], pointer, align):
            super()._store_state(op, argument, pointer, align)

    # ------------------------------------------------------------ memory

    def check_mem(self, op: Op) -> None:
        """Go on when the access may be made; what the permission table does not say is for the engine to find out."""
        branch = self._branches[id(op)]
        bad, fine = branch.labels
        size = op.size
        if id(op) in self._plan.checks:
            self._check_root(self._plan.checks[id(op)], bad, fine)
            return
        address = self.resized(self.value(op.args[0]), op.widths[0], 64)
        number = self.fresh()[2:]
        slow, permitted = f"slow{number}", f"page{number}"
        bit = PAGE_WRITE if op.offset else PAGE_READ
        pages = self._pages(op, address, slow, permitted)
        granted = self.let(f"load i8, ptr {self.at('%perm', pages[0])}, align 1")
        for page in pages[1:]:
            other = self.let(f"load i8, ptr {self.at('%perm', page)}, align 1")
            granted = self.let(f"and i8 {granted}, {other}")
        masked = self.let(f"and i8 {granted}, {bit}")
        denied = self.let(f"icmp eq i8 {masked}, 0")
        self.line(f"br i1 {denied}, label %{slow}, label %{fine!r}, {SELDOM_TAKEN}")
        self.start_block(slow)
        refused = self.let(f"call preserve_mostcc i1 @{self._slow(size, op.offset)}(ptr %env, i64 {address}) #3")
        self.line(f"br i1 {refused}, label %{bad!r}, label %{fine!r}")

    def _check_root(self, root: Temp | None, bad: Label, fine: Label) -> None:
        if root is None:
            self.line(f"br label %{fine!r}")
            return
        value = self.resized(self.value(root), root.width, 64)
        high = self.let(f"lshr i64 {value}, {ADDRESS_BITS}")
        outside = self.let(f"icmp ne i64 {high}, 0")
        self.line(f"br i1 {outside}, label %{bad!r}, label %{fine!r}, {SELDOM_TAKEN}")

    def _access(self, op: Op, move: str, kind: str = "", operand: str = "", made: str = "") -> str:
        """One instruction of the host's, which it may refuse: then control goes where a table says.

        In its text MEMORY is the place accessed, and VALUE what is stored, if that is a register: `operand`, with its
        constraint and type.  made: constraint and type of what is loaded.  kind: the type of what stands in memory."""
        done, result = self._fresh_block(), self.fresh()
        outputs, inputs, arguments = [], [], []
        if made:
            constraint, kind = made.split(" ", 1)
            outputs.append(f"={constraint}")
        if operand:
            constraint, given = operand.split(" ", 1)
            inputs.append(constraint)
            arguments.append(given)
        number = len(outputs) + len(inputs)
        place = self._plan.places.get(id(op))
        if place is None:
            memory = f"${number}"
            inputs.append("*m")
            address = self.let(f"inttoptr i64 {self.resized(self.value(op.args[0]), op.widths[0], 64)} to ptr")
            arguments.append(f"ptr elementtype({kind}) {address}")
        else:
            # As a register and a displacement, which LLVM would add up early, and keep for the next access there.
            # The host adds with the address's bits, so that whatever else the register holds need not be cleared.
            root, distance = place
            memory = f"{distance or ''}(${{{number}:k}})"
            inputs.append("r")
            arguments.append(f"i32 {self.value(root)}")
        memory = f"{SEGMENT}:{memory}"
        label = len(outputs) + len(inputs)
        text = move.replace("MEMORY", memory).replace("VALUE", "0")
        entry = _FAULT_ENTRY.replace("$L", f"${{{label}:l}}")
        constraints = ",".join([*outputs, *inputs, "!i", _CLOBBERED])
        what = f'asm sideeffect "771: {text}{entry}", "{constraints}"({", ".join(arguments)})'
        landing = self._plan.accesses[id(op)]
        call = f"{result} = callbr {kind}" if made else "callbr void"
        self.line(f"{call} {what} to label %{done} [label %{landing!r}]")
        self.start_block(done)
        return result

    def _load_guarded(self, op: Op) -> None:
        temp, width = op.result, op.result.width
        if temp in self._reals.temps and not op.flag:
            move = f"{self._move}s{'s' if width == 32 else 'd'} MEMORY, $VALUE"
            self._numbers[temp] = self._access(op, move, made=f"x {real_type(width)}")
            return
        if temp in self.vector_temps:
            self.vectors[temp] = self._access(op, f"{self._move}dqu MEMORY, $VALUE", made=f"x {vector_type(width)}")
            return
        turned = op.flag and width > 8
        sign = self._signs.get(temp, False) and not turned
        # A narrow value comes extended, so that extending it costs no instruction.
        move = "movq MEMORY, $VALUE" if width == 64 else f"mov{'s' if sign else 'z'}{_SUFFIX[width]}q MEMORY, $VALUE"
        if turned and width in _TURNED and self._movbe:
            move, turned = f"movbe{_SUFFIX[width]} MEMORY, ${{VALUE:{_TURNED[width]}}}", False
        elif width == 32 and not sign:
            move = "movl MEMORY, ${VALUE:k}"
        elif width < 32 and not sign:
            move = f"movz{_SUFFIX[width]}l MEMORY, ${{VALUE:k}}"
        whole = self._access(op, move, f"i{width}", made="r i64")
        value = self.resized(whole, 64, width)
        if turned:
            value = self.swapped(value, width)
        elif width < 64:
            self._wide[temp] = (whole, sign)
        self.alias(op, value)

    def _store_guarded(self, op: Op) -> None:
        width, operand = op.widths[1], op.args[1]
        if operand in self._numbers and not op.flag:
            kind = real_type(width)
            move = f"{self._move}s{'s' if width == 32 else 'd'} $VALUE, MEMORY"
            self._access(op, move, kind, f"x {kind} {self._numbers[operand]}")
            return
        if width > 64:
            kind = vector_type(width)
            self._access(op, f"{self._move}dqu $VALUE, MEMORY", kind, f"x {kind} {self.vector(operand, width)}")
            return
        suffix, kind = _SUFFIX.get(width, "q"), f"i{width}"
        if isinstance(operand, int):
            if op.flag:
                operand = int.from_bytes(operand.to_bytes(width // 8, "little"), "big")
            number = operand - (1 << width) if operand >> (width - 1) else operand
            if -(1 << 31) <= number < 1 << 31:
                self._access(op, f"mov{suffix} $${number}, MEMORY", kind)
                return
        value = self.value(operand)
        register = {8: "${VALUE:b}", 16: "${VALUE:w}", 32: "${VALUE:k}"}.get(width, "$VALUE")
        move = f"mov{suffix}"
        if op.flag and width in _TURNED and self._movbe:
            move = f"movbe{suffix}"
        elif op.flag:
            value = self.swapped(value, width)
        self._access(op, f"{move} {register}, MEMORY", kind, f"r {kind} {value}")

    def extend(self, op: Op) -> bool:
        """Whether the extension of a narrow value loaded is there already."""
        wide = self._wide.get(op.args[0])
        if wide is None or wide[1] != (op.name == "sext"):
            return False
        self.alias(op, self.resized(wide[0], 64, op.result.width, wide[1]))
        return True

    def _slow(self, size: int, access: int) -> str:
        """A function that asks the engine about such an access: few instructions where it is called."""
        name = f"slow_{'store' if access else 'load'}_{size}"
        if name not in self.declarations:
            stored = _STORED.format(store_page=ENV["store_page"], more=size - 1, page_bits=PAGE_BITS)
            self.declarations[name] = _SLOW.format(
                name=name,
                native=ENV["native"],
                slow=self._native["mem_slow_kept"],
                size=size,
                access=access,
                code=stored if access else _LOADED,
            )
        return name

    def _pages(self, op: Op, address: str, slow: str, permitted: str) -> list[str]:
        """The pages accessed, when they exist; an aligned access has one.

        If op.flag, it is known that they do, though not that the access is aligned."""
        width, size = op.widths[0], op.size
        log = size.bit_length() - 1
        last_page = 1 << ADDRESS_BITS - PAGE_BITS
        if size == 1 << log and size <= 8:
            # The bits that alignment wants to be 0 go to the top, where they make the page's number too large.
            if log:
                self.intrinsic("llvm.fshr.i64", "i64", "i64, i64, i64")
                turned = self.let(f"call i64 @llvm.fshr.i64(i64 {address}, i64 {address}, i64 {log})")
                page = self.let(f"lshr i64 {turned}, {PAGE_BITS - log}")
            else:
                page = self.let(f"lshr i64 {address}, {PAGE_BITS}")
            if not log and width <= ADDRESS_BITS:
                return [page]
            outside = self.let(f"icmp uge i64 {page}, {last_page}")
            pages = [page]
        else:
            last = self.let(f"add i64 {address}, {size - 1}")
            if width < 64:
                last = self.let(f"and i64 {last}, {(1 << width) - 1}")
            pages = [self.let(f"lshr i64 {place}, {PAGE_BITS}") for place in (address, last)]
            if op.flag or width <= ADDRESS_BITS:
                return pages
            either = self.let(f"or i64 {pages[0]}, {pages[1]}")
            outside = self.let(f"icmp uge i64 {either}, {last_page}")
        self.line(f"br i1 {outside}, label %{slow}, label %{permitted}, {SELDOM_TAKEN}")
        self.start_block(permitted)
        return pages
