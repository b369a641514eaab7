"""The hooks of a spec as native code and in the reference executor: the same traps, interrupts and page walks."""

from __future__ import annotations

import ctypes
import random
from ctypes import CFUNCTYPE, c_uint64, c_void_p
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gen import model
from gen.elaborate import check
from gen.loading import load_source
from gen.native import helper_function
from gen.native_hooks import hook_functions
from gen.python_emitter import module_source
from gen.state import layout_of
from runtime.core.env import ENV
from runtime.core.layout import Layout
from runtime.tcg import llvm, tb
from runtime.tcg.blobs import map_blob
from runtime.tcg.engine import machine_ir
from runtime.tcg.ir import Function
from runtime.tcg.link import link, write_blob
from runtime.tcg.lower import lower_module
from runtime.tcg.machine_lowering import MachineLowering
from runtime.tcg.optimize import optimize
from runtime.tcg.reference import Machine

SPECS = Path(__file__).parent.parent / "specs" / "pass"
ALL_ONES = (1 << 64) - 1
RAM = 0x8000_0000
RAM_BYTES = 1 << 16


@dataclass
class Ram:
    """Physical memory at RAM, and what the hooks asked of it."""

    data: bytearray = field(default_factory=lambda: bytearray(RAM_BYTES))
    log: list[tuple[object, ...]] = field(default_factory=list)
    time: int = 0

    def inside(self, address: int, size: int) -> bool:
        return RAM <= address <= RAM + RAM_BYTES - size

    def load(self, address: int, size: int) -> int | None:
        self.log.append(("load", address, size))
        if not self.inside(address, size):
            return None
        return int.from_bytes(self.data[address - RAM : address - RAM + size], "little")

    def store(self, address: int, size: int, value: int) -> bool:
        self.log.append(("store", address, size, value))
        if not self.inside(address, size):
            return False
        self.data[address - RAM : address - RAM + size] = value.to_bytes(size, "little")
        return True

    def flush(self, address: int) -> int:
        self.log.append(("flush", address))
        return 0

    def exchange(self, address: int, size: int, expected: int, new: int) -> int | None:
        seen = self.load(address, size)
        if seen == expected:
            self.store(address, size, new)
        return seen


class Reference:
    """Runs hooks in the reference executor."""

    def __init__(self, layout: Layout, functions: dict[str, Function]) -> None:
        self.ram = Ram()
        self.functions = functions
        self.machine = Machine(bytearray(layout.size), helpers=functions)
        self.machine.engine = {
            "phys_load": self._load,
            "phys_store": lambda m, *a: self._failed(m, not self.ram.store(*a)),
            "phys_cmpxchg": self._exchange,
            "tlb_flush": lambda m, address: self.ram.flush(address),
            "clock_read": lambda m, instructions: self.ram.time,
        }

    @staticmethod
    def _failed(machine: Machine, failed: bool) -> int:
        if failed:
            machine.env[ENV["phys_failed"]] = 1
        return 0

    def _load(self, machine: Machine, *arguments: int) -> int:
        value = self.ram.load(*arguments)
        self._failed(machine, value is None)
        return value or 0

    def _exchange(self, machine: Machine, *arguments: int) -> int:
        value = self.ram.exchange(*arguments)
        self._failed(machine, value is None)
        return value or 0

    @property
    def env(self) -> bytearray:
        return self.machine.env

    def call(self, name: str, *arguments: int) -> int:
        values = self.machine.run(self.functions[name], *arguments).values
        return values[0] if values else 0


class Native:
    """Runs compiled hooks on memory of their own."""

    def __init__(self, layout: Layout, path: Path) -> None:
        self.ram = Ram()
        self.blob = map_blob(path)
        self.memory = ctypes.create_string_buffer(layout.size)
        self.env = (ctypes.c_char * layout.size).from_buffer(self.memory)
        kinds: dict[str, tuple[Any, Any]] = {
            "load": (CFUNCTYPE(c_uint64, c_void_p, c_uint64, c_uint64), self._load),
            "store": (CFUNCTYPE(None, c_void_p, *[c_uint64] * 3), self._store),
            "compare_exchange": (CFUNCTYPE(c_uint64, c_void_p, *[c_uint64] * 4), self._exchange),
            "flush": (CFUNCTYPE(None, c_void_p, c_uint64), lambda env, at: self.ram.flush(at) and None),
            "clock": (CFUNCTYPE(c_uint64, c_void_p, c_uint64), lambda env, instructions: self.ram.time),
        }
        self.table = ctypes.create_string_buffer(tb.MACHINE["bytes"])
        self.kept = []
        for name, (kind, function) in kinds.items():
            made = kind(function)
            self.kept.append(made)
            address = ctypes.cast(made, c_void_p).value or 0
            c_uint64.from_buffer(self.table, tb.MACHINE[name]).value = address

    def _failed(self, failed: bool) -> None:
        if failed:
            c_uint64.from_buffer(self.memory, ENV["phys_failed"]).value = 1

    def _load(self, env: int, address: int, size: int) -> int:
        value = self.ram.load(address, size)
        self._failed(value is None)
        return value or 0

    def _store(self, env: int, address: int, size: int, value: int) -> None:
        self._failed(not self.ram.store(address, size, value))

    def _exchange(self, env: int, address: int, size: int, expected: int, new: int) -> int:
        value = self.ram.exchange(address, size, expected, new)
        self._failed(value is None)
        return value or 0

    def call(self, name: str, *arguments: int) -> int:
        c_uint64.from_buffer(self.memory, ENV["machine"]).value = ctypes.addressof(self.table)
        function = CFUNCTYPE(c_uint64, c_void_p, *[c_uint64] * len(arguments))(self.blob.address(name))
        answer = int(function(ctypes.addressof(self.memory), *arguments))
        c_uint64.from_buffer(self.memory, ENV["machine"]).value = 0
        return answer


@dataclass
class Both:
    """One state in two executors; every call must give and leave the same."""

    spec: model.Spec
    layout: Layout
    reference: Reference
    native: Native

    def set(self, name: str, value: int) -> None:
        for env in (self.reference.env, self.native.env):
            memory = memoryview(env).cast("B")
            if name in ENV:
                memory[ENV[name] : ENV[name] + 8] = value.to_bytes(8, "little")
                continue
            for wire, width, offset in self.layout.inputs:
                if wire == name:
                    memory[offset : offset + (width + 7) // 8] = value.to_bytes((width + 7) // 8, "little")
                    break
            else:
                if name in self.layout.by_name:
                    register = self.layout.by_name[name]
                    memory[register.offset : register.offset + register.stride] = value.to_bytes(
                        register.stride, "little"
                    )
                else:
                    mode = self.layout.mode(name)
                    at = ENV["flags"]
                    flags = int.from_bytes(memory[at : at + 8], "little")
                    flags = flags & ~((1 << mode.width) - 1 << mode.shift) | value << mode.shift
                    memory[at : at + 8] = flags.to_bytes(8, "little")

    def get(self, name: str) -> int:
        memory = memoryview(self.reference.env)
        if name in ENV:
            return int.from_bytes(memory[ENV[name] : ENV[name] + 8], "little")
        if name in self.layout.by_name:
            register = self.layout.by_name[name]
            return int.from_bytes(memory[register.offset : register.offset + register.stride], "little")
        mode = self.layout.mode(name)
        return self.get("flags") >> mode.shift & (1 << mode.width) - 1

    def store(self, address: int, value: int) -> None:
        for executor in (self.reference, self.native):
            executor.ram.store(address, 8, value)

    def load(self, address: int) -> int:
        return int.from_bytes(self.reference.ram.data[address - RAM : address - RAM + 8], "little")

    def call(self, name: str, *arguments: int) -> int:
        has_result = name not in {"hook_exception", "hook_reset"}
        for executor in (self.reference, self.native):
            executor.ram.log.clear()
        one = self.reference.call(name, *arguments)
        other = self.native.call(name, *arguments)
        self.native.env[ENV["tlb"] : ENV["tlb"] + 8] = bytes(8)  # the machine's own lowering keeps it true to the modes
        assert bytes(self.native.env) == bytes(self.reference.env), name
        assert self.native.ram == self.reference.ram
        assert one == other or not has_result
        return one


def build(spec: model.Spec, folder: Path) -> Both:
    layout = replace(layout_of(spec), machine=True)
    (folder / "translate.py").write_text(module_source(spec), encoding="utf-8")
    module = load_source(folder / "translate.py")
    helpers = {name: helper_function(layout, helper) for name, helper in module.HELPERS.items()}
    functions = {function.name: function for function in (*hook_functions(layout, module), *helpers.values())}
    text = lower_module(
        [optimize(function) for function in functions.values()], lowering=partial(MachineLowering, layout)
    )
    code, symbols = link([llvm.compile_ir(machine_ir(layout)), llvm.compile_ir(text)])
    write_blob(folder / "hooks.blob", code, symbols)
    return Both(spec, layout, Reference(layout, functions), Native(layout, folder / "hooks.blob"))


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return build(check(SPECS / "machine.isa"), tmp_path_factory.mktemp("hooks"))


@pytest.fixture(autouse=True)
def fresh(machine: Both) -> None:
    machine.call("hook_reset")


def test_what_hooks_read_is_derived(machine: Both) -> None:
    layout = machine.layout
    assert layout.translation == ("PRIV",)
    assert layout.translation_registers == ("mstatus", "satp")
    assert layout.interrupt == ("PRIV",)
    assert {"mie", "mstatus"} <= set(layout.interrupt_registers)
    assert "satp" not in layout.interrupt_registers


def test_reset(machine: Both) -> None:
    machine.set("mcause", 77)
    machine.set("PRIV", 0)
    machine.call("hook_reset")
    assert (machine.get("pc"), machine.get("mcause"), machine.get("PRIV")) == (0x8000_0000, 0, 3)
    assert ("flush", ALL_ONES) in machine.reference.ram.log


def test_exception(machine: Both) -> None:
    """The trap's registers are written, privilege is raised and control goes to the vector."""
    machine.set("mtvec", 0x8000_1000)
    machine.set("mstatus", 1 << 3)
    machine.set("PRIV", 1)
    machine.set("pc", 0x1234)
    machine.set("exception", 13)
    machine.set("arg0", 0xDEAD)
    machine.call("hook_exception")
    assert [machine.get(name) for name in ("mepc", "mcause", "mtval")] == [0x1234, 13, 0xDEAD]
    assert machine.get("mstatus") == 1 << 7 | 1 << 11
    assert (machine.get("pc"), machine.get("PRIV")) == (0x8000_1000, 3)
    assert ("flush", ALL_ONES) in machine.reference.ram.log  # mstatus is what `on translate` reads


@pytest.mark.parametrize(
    ("enabled", "wires", "priv", "taken"),
    [
        (0, {"MTIP": 1}, 0, 0),
        (1 << 7, {"MTIP": 1}, 0, 7),
        (1 << 7, {"MTIP": 0}, 0, 0),
        (0x888, {"MTIP": 1, "MEIP": 1}, 0, 11),
        (0x888, {"MTIP": 1, "MSIP": 1}, 0, 3),
        (1 << 7, {"MTIP": 1}, 3, 0),  # mstatus.MIE is clear
    ],
)
def test_interrupt(machine: Both, enabled: int, wires: dict[str, int], priv: int, taken: int) -> None:
    for name in ("MTIP", "MEIP", "MSIP"):
        machine.set(name, wires.get(name, 0))
    machine.set("mie", enabled)
    machine.set("mtvec", 0x9000_0001)
    machine.set("PRIV", priv)
    machine.set("pc", 0x4000)
    assert machine.call("hook_interrupt") == (1 if taken else 0)
    if taken:
        assert machine.get("mcause") == 1 << 63 | taken
        assert machine.get("pc") == 0x9000_0000 + 4 * taken
    else:
        assert machine.get("pc") == 0x4000


def test_sleep(machine: Both) -> None:
    """A wire wakes a vCPU that does not take the interrupt, and the deadline is what the spec says."""
    machine.set("mie", 1 << 7)
    machine.set("MTIP", 0)
    assert machine.call("hook_wake") == 0
    machine.set("MTIP", 1)
    assert (machine.call("hook_wake"), machine.call("hook_interrupt")) == (1, 0)
    machine.set("mtimecmp", 1234)
    assert machine.call("hook_deadline") == 1234
    machine.set("mie", 0)
    assert machine.call("hook_deadline") == ALL_ONES


def table(machine: Both, root: int, va: int, leaf: int, level: int) -> int:
    """Enter a leaf for va in a three-level table whose pages follow root; gives the leaf's address."""
    at = root
    for step in (2, 1, 0):
        place = at + (va >> 12 + 9 * step & 0x1FF) * 8
        if step == level:
            machine.store(place, leaf)
            return place
        at += 0x1000
        machine.store(place, at >> 12 << 10 | 1)
    raise AssertionError


def test_walk(machine: Both) -> None:
    """A page is found, accessed and dirty bits are set, and a clean page is not writable."""
    machine.set("PRIV", 0)
    machine.set("satp", 8 << 60 | RAM >> 12)
    va = 0x12_3456_7890
    place = table(machine, RAM, va, 0xABCD << 10 | 0x17, 0)
    assert machine.call("hook_translate", va, 0) == 0
    assert [machine.get(f"walk_{what}") for what in ("page", "bits", "permissions")] == [0xABCD000, 12, 1]
    assert machine.load(place) & 0xC0 == 0x40
    assert machine.call("hook_translate", va, 1) == 0
    assert machine.get("walk_permissions") == 3
    assert machine.load(place) & 0xC0 == 0xC0
    assert machine.call("hook_translate", va, 2) == 1
    assert (machine.get("exception"), machine.get("arg0")) == (12, va)


def test_large_page(machine: Both) -> None:
    machine.set("PRIV", 0)
    machine.set("satp", 8 << 60 | RAM >> 12)
    table(machine, RAM, 0x4123_4567, 0x4_0000 << 10 | 0x1F, 2)
    assert machine.call("hook_translate", 0x4123_4567, 0) == 0
    assert (machine.get("walk_page"), machine.get("walk_bits")) == (0x4000_0000, 30)


def test_table_outside_memory(machine: Both) -> None:
    """A walk that reaches nothing raises what `on badaddr` does for the access that was asked for."""
    machine.set("PRIV", 0)
    machine.set("satp", 8 << 60 | 0x10)
    for access, code in ((0, 5), (1, 7), (2, 1)):
        assert machine.call("hook_translate", 0x1000, access) == 1
        assert (machine.get("exception"), machine.get("arg0")) == (code, 0x1000)
    assert machine.get("phys_failed") == 0


def test_random_tables(machine: Both) -> None:
    """Native code and reference agree, faults and memory included, on tables made of noise."""
    choose = random.Random(7)
    for page in range(4):
        for entry in range(512):
            kind = choose.randrange(8)
            pointer = (RAM >> 12) + choose.randrange(4) << 10 | 1
            machine.store(RAM + page * 0x1000 + entry * 8, pointer if kind < 5 else choose.getrandbits(54 + kind % 2))
    machine.set("satp", 8 << 60 | RAM >> 12)
    faults = 0
    for _ in range(300):
        machine.set("PRIV", choose.choice((0, 1, 1)))
        machine.set("mstatus", choose.getrandbits(2) << 18)
        va = choose.getrandbits(39)
        va |= ((1 << 25) - 1 << 39) if va >> 38 else 0
        faults += machine.call("hook_translate", va, choose.randrange(3))
    assert 30 < faults < 300
