"""Runs hooks as native code and in the reference executor, on the same state: whatever one does the other must do.

What they call in the engine is here in Python: a physical memory, a clock, and a log of what was asked.
"""

from __future__ import annotations

import ctypes
from ctypes import CFUNCTYPE, c_uint64, c_void_p
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from string import Template
from typing import Any

from gen import model
from gen.loading import load_source
from gen.native_hooks import hook_functions
from gen.python_emitter import module_source
from gen.state import layout_of
from runtime.core.env import ENV
from runtime.core.layout import Layout
from runtime.tcg import llvm
from runtime.tcg.blobs import map_blob
from runtime.tcg.helpers import helper_function
from runtime.tcg.ir import Function
from runtime.tcg.link import link, write_blob
from runtime.tcg.lower import lower_module
from runtime.tcg.machine_lowering import MachineLowering
from runtime.tcg.optimize import optimize
from runtime.tcg.reference import Machine

ALL_ONES = (1 << 64) - 1
RAM = 0x8000_0000
RAM_BYTES = 1 << 16


#: functions of the engine: name -> (place in the table that env.tcg points to, result, parameters after env)
CALLED = {
    "phys_load": (0, "i64", 2),
    "phys_store": (8, "void", 3),
    "phys_cmpxchg": (16, "i64", 4),
    "tlb_flush": (24, "void", 1),
    "clock_read": (32, "i64", 1),
}
_CALL = """define hidden $result @$name(ptr %env$parameters) nounwind {
  %at = getelementptr i8, ptr %env, i64 $tcg
  %table = load ptr, ptr %at
  %place = getelementptr i8, ptr %table, i64 $offset
  %function = load ptr, ptr %place
  $call(ptr %env$parameters)
  ret $answer
}
"""


def engine_ir() -> str:
    """The engine's functions, each calling what the table says."""
    parts = []
    for name, (offset, result, count) in CALLED.items():
        text = "".join(f", i64 %a{number}" for number in range(count))
        call, answer = (
            ("%value = call i64 %function", "i64 %value") if result == "i64" else ("call void %function", "void")
        )
        parts.append(
            Template(_CALL).substitute(
                name=name, result=result, offset=offset, parameters=text, call=call, answer=answer, tcg=ENV["tcg"]
            )
        )
    return "\n".join(parts)


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
            "phys_load": (CFUNCTYPE(c_uint64, c_void_p, c_uint64, c_uint64), self._load),
            "phys_store": (CFUNCTYPE(None, c_void_p, *[c_uint64] * 3), self._store),
            "phys_cmpxchg": (CFUNCTYPE(c_uint64, c_void_p, *[c_uint64] * 4), self._exchange),
            "tlb_flush": (CFUNCTYPE(None, c_void_p, c_uint64), lambda env, at: self.ram.flush(at) and None),
            "clock_read": (CFUNCTYPE(c_uint64, c_void_p, c_uint64), lambda env, instructions: self.ram.time),
        }
        self.table = ctypes.create_string_buffer(8 * len(CALLED))
        self.kept = []
        for name, (kind, function) in kinds.items():
            made = kind(function)
            self.kept.append(made)
            address = ctypes.cast(made, c_void_p).value or 0
            c_uint64.from_buffer(self.table, CALLED[name][0]).value = address

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
        c_uint64.from_buffer(self.memory, ENV["tcg"]).value = ctypes.addressof(self.table)
        function = CFUNCTYPE(c_uint64, c_void_p, *[c_uint64] * len(arguments))(self.blob.address(name))
        answer = int(function(ctypes.addressof(self.memory), *arguments))
        c_uint64.from_buffer(self.memory, ENV["tcg"]).value = 0
        return answer


@dataclass
class Both:
    """One state in two executors; every call must give and leave the same."""

    spec: model.Spec
    layout: Layout
    reference: Reference
    native: Native

    def set(self, name: str, value: int, index: int = 0) -> None:
        """A register, an entry of a file, a mode, an input or a field of env's own."""
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
                    at = register.offset + index * register.stride
                    memory[at : at + register.stride] = value.to_bytes(register.stride, "little")
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
        # The machine's own lowering keeps one true to the modes, and needs the other for the host's FP state.
        for name_of in ("tlb", "scratch"):
            self.native.env[ENV[name_of] : ENV[name_of] + 8] = bytes(8)
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
    code, symbols = link([llvm.compile_ir(engine_ir()), llvm.compile_ir(text)])
    write_blob(folder / "hooks.blob", code, symbols)
    return Both(spec, layout, Reference(layout, functions), Native(layout, folder / "hooks.blob"))
