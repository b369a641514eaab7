"""Handlers as machine code: how short they are, how they leave, and what the linker refuses."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from runtime.core.env import JUMP_CACHE_ENTRIES, JUMP_CACHE_ENTRY_BYTES, Exit
from runtime.core.layout import RegisterLayout
from runtime.tcg import llvm
from runtime.tcg.blobs import HEADER, BlobError, map_blob
from runtime.tcg.builder import Builder
from runtime.tcg.ir import Deferred, Function, InternalError, Operand, Value, plain_function
from runtime.tcg.link import link, write_blob
from runtime.tcg.lower import lower_module
from runtime.tcg.optimize import optimize
from runtime.tcg.verify import verify
from tests.ir.native import LAYOUT, SUPPORT, G, Machine, Program

SIZE = 160
#: the record of these handlers: jump slots at 8 and 56, then operands
DESTINATION, ONE, OTHER, NUMBER, INDEX = 104, 108, 112, 116, 120
PC, TARGET, NEXT = 128, 136, 144


class Slot(Deferred):
    """An operand of the record."""

    __slots__ = ("bits", "offset")

    def __init__(self, width: int, offset: int, bits: int) -> None:
        super().__init__(width)
        self.offset, self.bits = offset, bits


class Handlers(Builder):
    """Operands in the record; register operands are byte offsets."""

    def materialise(self, value: Deferred, width: int) -> Operand:
        assert isinstance(value, Slot)
        return self.emit1("ld_slot", (), (), width, offset=value.offset, size=value.bits, flag=True)

    def regfile_offset(self, file: RegisterLayout, index: Value) -> Value:
        assert isinstance(index, Slot)
        return self.emit1("ld_slot", (), (), 64, offset=index.offset, size=32)

    regfile_write_offset = regfile_offset

    def finish_next(self) -> None:
        if self.ends_block:
            super().finish_next()
        else:
            self.emit("next", (self.budget(),), (64,), size=SIZE)


def _bad_address(b: Builder, access: Value, address: Value) -> None:
    b.raise_(5, access, address)


def handler(kind: str) -> Function:
    """A handler of one instruction."""
    b = Handlers(LAYOUT, Function(kind), _bad_address)
    destination, one, other = Slot(32, DESTINATION, 32), Slot(32, ONE, 32), Slot(32, OTHER, 32)
    number = Slot(64, NUMBER, 32)
    b.begin_instruction(Slot(64, PC, 64), Slot(64, NEXT, 64), Slot(32, INDEX, 32), kind)
    a = b.get_regfile("R", one)
    match kind:
        case "add_immediate":
            b.set_regfile("R", destination, b.add(64, a, number))
        case "load":
            loaded = b.load("M", b.add(64, a, number), 32, 0)
            b.set_regfile("R", destination, b.sext(loaded, 32, 64))
        case "store":
            b.store("M", b.add(64, a, number), 32, b.slice(b.get_regfile("R", other), 64, 0, 32), 0)
        case "branch":
            for arm in b.If(b.ne(64, a, b.get_regfile("R", other))):
                if arm:
                    b.goto(Slot(64, TARGET, 64))
        case "jump_register":
            b.goto(b.add(64, a, number))
        case "wait":
            b.wait()
    b.end_instruction()
    return verify(optimize(b.function))


KINDS = ("add_immediate", "load", "store", "branch", "jump_register", "wait")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    path: Path = tmp_path_factory.mktemp("lowering") / "handlers.blob"
    return Program([handler(kind) for kind in KINDS], path, 2)


def listing(kind: str) -> list[str]:
    """The handler's machine instructions."""
    text = llvm.assembly(lower_module([handler(kind)]))
    body = text[text.index(f"\n{kind}:") : text.index(f"\t.size\t{kind},")]
    return [line.strip() for line in body.splitlines() if re.match(r"\t[a-z]", line)]


def hot(kind: str) -> list[str]:
    """Up to the jump to the next handler."""
    lines = listing(kind)
    end = next(number for number, line in enumerate(lines) if line.startswith("jmpq\t*"))
    return lines[: end + 1]


# DESIGN §3: an ALU handler is its slots, the operation, the store, and the jump to the next record's handler.  Slots of
# one word are loaded together and taken apart in registers: an instruction more, but a load less.
@pytest.mark.parametrize(("kind", "most"), [("add_immediate", 9), ("load", 18), ("store", 18), ("branch", 13)])
def test_the_hot_path_is_short_and_has_no_frame(kind: str, most: int) -> None:
    lines = hot(kind)
    assert len(lines) <= most, "\n".join(lines)
    assert not [line for line in lines if line.startswith(("push", "pop", "call", "ret")) or "%rsp" in line]


def machine(program: Program, registers: dict[int, int]) -> Machine:
    """Register operands 1 (destination), 2 and 3; all records it could go to stop."""
    m = Machine(bytes(LAYOUT.size), bytes(range(256)) * 64)
    for offset, number in ((DESTINATION, 1), (ONE, 2), (OTHER, 3)):
        struct.pack_into("<I", m.records, offset, G + 8 * number)
    struct.pack_into("<i", m.records, NUMBER, -16)
    struct.pack_into("<I", m.records, INDEX, 7)
    struct.pack_into("<QQQ", m.records, PC, 0x1000, 0x2000, 0x1004)
    for number, value in registers.items():
        struct.pack_into("<Q", m.env, G + 8 * number, value)
    stop = program.blob.address("stop")
    for offset in (SIZE, 400, 500):
        m.set_record(offset // 8 * 8, stop)
    m.set_record(8, m.record_address + 400)
    m.set_record(56, m.record_address + 496)
    return m


def where(m: Machine) -> int:
    """The record at which control arrived, relative to the first."""
    return m.get_env("scratch") - m.record_address


def register(m: Machine, number: int) -> int:
    """A register's value."""
    return int(struct.unpack_from("<Q", m.env, G + 8 * number)[0])


def test_next(program: Program) -> None:
    m = machine(program, {2: 100})
    m.run(program, "add_immediate", 50)
    assert (where(m), register(m, 1), m.get_env("budget")) == (SIZE, 84, 50)


def test_goto_tb_and_budget(program: Program) -> None:
    m = machine(program, {2: 1, 3: 2})
    m.run(program, "branch", 50)
    assert (where(m), m.get_env("budget")) == (400, 42)
    m = machine(program, {2: 2, 3: 2})
    m.run(program, "branch", 8)
    assert (where(m), m.get_env("budget")) == (496, 0)
    m = machine(program, {2: 1, 3: 2})
    m.run(program, "branch", 7)
    assert m.get_env("exit_reason") == Exit.BUDGET
    assert m.get_env("pc") == 0x2000
    assert m.get_env("budget") == (1 << 64) - 1


def test_goto_ptr(program: Program) -> None:
    m = machine(program, {2: 0x3010})
    m.run(program, "jump_register", 50)
    assert m.get_env("scratch") == (1 << 64) - 1, "a miss looks the block up"
    assert (m.get_env("pc"), m.get_env("budget")) == (0x3000, 42)
    m = machine(program, {2: 0x3010})
    m.set_env("flags", 5)
    entry = (0x3000 >> 1 ^ 0x3000 >> 13) & (JUMP_CACHE_ENTRIES - 1)
    struct.pack_into("<QQQ", m.jump_cache, entry * JUMP_CACHE_ENTRY_BYTES, 0x3000, 5, m.record_address + 400)
    m.run(program, "jump_register", 50)
    assert where(m) == 400
    m.set_env("flags", 4)
    m.run(program, "jump_register", 50)
    assert m.get_env("scratch") == (1 << 64) - 1, "flags are part of the key"


def test_wait(program: Program) -> None:
    m = machine(program, {})
    m.run(program, "wait", 50)
    assert (m.get_env("exit_reason"), m.get_env("pc"), m.get_env("budget")) == (Exit.WAIT, 0x1004, 42)


@pytest.mark.parametrize(("address", "value"), [(0x14, 0x17161514), (0x15, 0x18171615), (0x0FFE, 0x0100FFFE)])
def test_load(program: Program, address: int, value: int) -> None:
    """Aligned, misaligned, and across two readable pages."""
    m = machine(program, {2: address + 16})
    m.run(program, "load", 50)
    assert (where(m), register(m, 1)) == (SIZE, value)


@pytest.mark.parametrize("address", [0x2000, 0x2FFE, 1 << 38, (1 << 64) - 4, 0x3FFD])
def test_a_bad_load_raises_and_writes_nothing(program: Program, address: int) -> None:
    m = machine(program, {1: 77, 2: address + 16 & (1 << 64) - 1})
    m.run(program, "load", 50)
    assert m.get_env("exit_reason") == Exit.EXCEPTION
    assert (m.get_env("exception"), m.get_env("arg0"), m.get_env("arg1")) == (5, 0, address)
    assert (m.get_env("pc"), m.get_env("budget"), register(m, 1)) == (0x1000, 43, 77)


def test_a_store_into_translated_code_leaves_first(program: Program) -> None:
    m = machine(program, {2: 0x1010, 3: 0xAABBCCDD})
    before = m.memory.raw
    m.run(program, "store", 50)
    assert (m.get_env("exit_reason"), m.get_env("pc"), m.get_env("budget")) == (Exit.CODE_WRITE, 0x1000, 43)
    assert m.memory.raw == before
    m = machine(program, {2: 0x2010, 3: 0xAABBCCDD})
    m.run(program, "store", 50)
    assert where(m) == SIZE
    assert m.memory.raw[0x2000:0x2004] == bytes.fromhex("ddccbbaa")


# ---------------------------------------------------------------- plain functions


def test_helpers_of_several_results(tmp_path: Path) -> None:
    helper = plain_function("helper", (64, 5), (64, 7, 128))
    b = Builder(LAYOUT, helper)
    x, y = helper.parameters
    b.ret((b.add(64, x, b.zext(y, 5, 64)), 100, b.mul(128, b.zext(x, 64, 128), b.zext(x, 64, 128))))
    caller = plain_function("caller", (64,), (64,))
    b = Builder(LAYOUT, caller)
    results = b.call("helper", ((caller.parameters[0], 64), (3, 5)), (64, 7, 128))
    assert isinstance(results, tuple)
    high = b.slice(results[2], 128, 64, 64)
    b.ret((b.add(64, b.add(64, results[0], b.zext(results[1], 7, 64)), high),))
    program = Program([verify(caller), verify(helper)], tmp_path / "helpers.blob", 2)
    assert program.call("caller", 1 << 63) == ((1 << 63) + 103 + (1 << 62)) & (1 << 64) - 1


def test_symbols_and_host_memory(tmp_path: Path) -> None:
    function = plain_function("poke", (64,), (64,))
    b = Builder(LAYOUT, function)
    (place,) = function.parameters
    b.emit("st_host", (place, b.emit1("symbol", (), (), 64, symbol="stop")), (64, 64))
    old = b.emit1("ld_host", (b.add(64, place, 3),), (64,), 8)
    b.ret((b.zext(old, 8, 64),))
    program = Program([verify(function)], tmp_path / "poke.blob")
    m = Machine(bytes(LAYOUT.size), b"")
    address = program.blob.address("stop")
    assert program.call("poke", m.record_address) == address >> 24 & 255
    assert struct.unpack_from("<Q", m.records) == (address,)


def test_several_objects_link_into_one_blob(tmp_path: Path) -> None:
    caller = plain_function("caller", (64,), (64,))
    b = Builder(LAYOUT, caller)
    b.ret((b.call("callee", ((caller.parameters[0], 64),), (64,)),))
    callee = plain_function("callee", (64,), (64,))
    b = Builder(LAYOUT, callee)
    b.ret((b.add(64, callee.parameters[0], 1),))
    objects = [llvm.compile_ir(lower_module([verify(one)])) for one in (caller, callee)]
    code, symbols = link([*objects, llvm.compile_ir(lower_module([], SUPPORT))])
    assert set(symbols) >= {"caller", "callee", "enter"}
    write_blob(tmp_path / "both.blob", code, symbols, {"isa": "toy"})
    blob = map_blob(tmp_path / "both.blob")
    assert blob.meta == {"isa": "toy"}
    program = Program.__new__(Program)
    program.blob = blob
    assert program.call("caller", 41) == 42


# ---------------------------------------------------------------- what must be refused


def test_a_call_outside_the_blob_is_an_error() -> None:
    text = """declare ptr @memcpy(ptr, ptr, i64)
    define hidden void @copier(ptr %a, ptr %b, i64 %n) {
      %r = call ptr @memcpy(ptr %a, ptr %b, i64 %n)
      ret void
    }"""
    with pytest.raises(InternalError, match="copier refers to memcpy, which is not in the blob"):
        link([llvm.compile_ir(text)])


def test_writable_data_is_an_error() -> None:
    text = "@counter = hidden global i64 5\ndefine hidden void @f() { store i64 1, ptr @counter ret void }"
    with pytest.raises(InternalError, match="writable data"):
        link([llvm.compile_ir(text)])


def test_an_absolute_address_is_an_error() -> None:
    text = """@table = hidden constant [1 x ptr] [ptr @f]
    define hidden ptr @f(i64 %i) {
      %p = getelementptr [1 x ptr], ptr @table, i64 0, i64 %i
      %r = load ptr, ptr %p
      ret ptr %r
    }"""
    with pytest.raises(InternalError, match="absolute address"):
        link([llvm.compile_ir(text)])


def test_jump_tables_are_position_independent(tmp_path: Path) -> None:
    cases = "\n".join(f"    i64 {n}, label %c{n}" for n in range(12))
    blocks = "\n".join(f"  c{n}:\n    %v{n} = call i64 @opaque(i64 {n * n})\n    ret i64 %v{n}" for n in range(12))
    text = f"""define hidden i64 @opaque(i64 %x) noinline optnone {{ ret i64 %x }}
    define hidden i64 @pick(i64 %i) {{
      switch i64 %i, label %none [
    {cases}
      ]
    {blocks}
    none:
      ret i64 99
    }}"""
    code, symbols = link([llvm.compile_ir(text)])
    write_blob(tmp_path / "pick.blob", code, symbols)
    program = Program.__new__(Program)
    program.blob = map_blob(tmp_path / "pick.blob")
    assert [program.call("pick", n) for n in (0, 5, 11, 12)] == [0, 25, 121, 99]


def test_two_functions_of_one_name_are_an_error() -> None:
    one = llvm.compile_ir("define hidden void @f() { ret void }")
    with pytest.raises(InternalError, match="two functions are called f"):
        link([one, one])


def test_llvm_errors_name_the_function() -> None:
    with pytest.raises(InternalError, match="function broken"):
        llvm.compile_ir("define void @fine() {\n  ret void\n}\ndefine i64 @broken() {\n  ret i32 0\n}\n")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"", "not a blob"),
        (lambda data: b"\x7fELF" + data[4:], "not a blob"),
        (lambda data: data[: HEADER.size], "truncated"),
        (lambda data: data[:-1], "truncated"),
        (lambda data: data + b"x", "truncated or damaged"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "checksum"),
        (lambda data: data[: HEADER.size + 3] + b"!" + data[HEADER.size + 4 :], "checksum"),
    ],
)
def test_damaged_blobs_are_refused(damage: object, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.blob"
    code, symbols = link([llvm.compile_ir("define hidden void @f() { ret void }")])
    write_blob(path, code, symbols)
    map_blob(path).close()
    assert callable(damage)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BlobError, match=message):
        map_blob(path)


def test_a_missing_blob_and_a_missing_function(tmp_path: Path) -> None:
    with pytest.raises(BlobError, match="No such file"):
        map_blob(tmp_path / "none.blob")
    code, symbols = link([llvm.compile_ir("define hidden void @f() { ret void }")])
    write_blob(tmp_path / "f.blob", code, symbols)
    with pytest.raises(BlobError, match="no function g"):
        map_blob(tmp_path / "f.blob").address("g")
