"""LLVM: IR text in, object code or assembly out.  The only importer of llvmlite."""

from __future__ import annotations

import re
from functools import cache

import llvmlite.binding as llvm

from runtime.tcg.host_x86_64 import TRIPLE
from runtime.tcg.ir import InternalError
from runtime.tcg.lanes import MARK


@cache
def _target_machine(level: int) -> llvm.TargetMachine:
    """For this very host: its CPU and features, position-independent, small code model."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()
    _set_up()
    features = llvm.get_host_cpu_features().flatten()
    return llvm.Target.from_triple(TRIPLE).create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features, opt=level, reloc="pic", codemodel="small"
    )


def has_avx() -> bool:
    """Whether this host has AVX: then floating-point code is made of its instructions."""
    return bool(llvm.get_host_cpu_features().get("avx"))


def has_movbe() -> bool:
    """Whether this host can turn a number's bytes round as it loads or stores it."""
    return bool(llvm.get_host_cpu_features().get("movbe"))


def _function_at(text: str, message: str) -> str:
    """The name of the function an LLVM error speaks of, as far as can be told."""
    at = re.search(r"<string>:(\d+):\d+", message)
    lines = text.splitlines()[: int(at.group(1))] if at else []
    for line in reversed(lines):
        named = re.match(r"define .*?@([\w.$]+)\(", line)
        if named:
            return named.group(1)
    return "?"


#: Pass pipelines for regions, from which guest registers and repeated checks are gone before LLVM sees them, by name:
#: function passes of llvmlite's pass manager, or the level of one of LLVM's own pipelines.
PIPELINES: dict[str, tuple[str, ...] | int] = {
    "none": (),
    "short": ("simplify_cfg", "instruction_combine"),
    "middle": ("instruction_combine", "new_gvn", "simplify_cfg", "instruction_combine"),
    "O1": 1,
    "O2": 2,
}


def _run_pipeline(module: llvm.ModuleRef, text: str, pipeline: str, level: int) -> None:
    passes = PIPELINES[pipeline]
    options = llvm.create_pipeline_tuning_options(speed_level=passes if isinstance(passes, int) else level)
    options.loop_vectorization = False
    options.slp_vectorization = False
    options.loop_unrolling = False
    builder = llvm.create_pass_builder(_target_machine(level), options)
    if isinstance(passes, int):
        builder.getModulePassManager().run(module, builder)
        return
    if "alwaysinline" in text:
        inliner = llvm.create_new_module_pass_manager()
        inliner.add_always_inliner_pass()
        inliner.run(module, builder)
    manager = llvm.create_new_function_pass_manager()
    for name in passes:
        getattr(manager, f"add_{name}_pass")()
    for function in module.functions:
        if not function.is_declaration:
            manager.run(function, builder)


@cache
def _set_up() -> None:
    """What makes a byte's load into a register one of the whole register takes the upper bits for dead where the
    register was the load's address, too, and is stored behind it (X86FixupBWInsts of LLVM 22): `mov al, [eax]`."""
    llvm.set_option("", "-fixup-byte-word-insts=0")


@cache
def _set_up_for_regions() -> None:
    """Loop strength reduction gives each displacement of the budget and of an address a register of its own that steps
    along; regions have more of these than the host has registers."""
    llvm.set_option("", "-disable-lsr")


def _region_module(text: str, pipeline: str, level: int) -> llvm.ModuleRef:
    try:
        module = llvm.parse_assembly(text)
        module.verify()  # a hundredth of the time; the code generator would end the process
    except RuntimeError as error:
        raise InternalError(f"LLVM rejects the code of function {_function_at(text, str(error))}: {error}") from error
    module.triple = TRIPLE
    _set_up_for_regions()
    _run_pipeline(module, text, pipeline, level)
    return module


def compile_region(text: str, pipeline: str = "short", level: int = 2) -> bytes:
    """An ELF object file for a region's module."""
    return bytes(_target_machine(level).emit_object(_region_module(text, pipeline, level)))


def _optimized(text: str, level: int) -> llvm.ModuleRef:
    try:
        module = llvm.parse_assembly(text)
        module.verify()
    except RuntimeError as error:
        raise InternalError(f"LLVM rejects the code of function {_function_at(text, str(error))}: {error}") from error
    module.triple = TRIPLE
    if level:
        options = llvm.create_pipeline_tuning_options(speed_level=level)
        options.loop_vectorization = False
        options.slp_vectorization = MARK in text
        options.loop_unrolling = False
        builder = llvm.create_pass_builder(_target_machine(level), options)
        builder.getModulePassManager().run(module, builder)
    return module


def compile_ir(text: str, opt: int = 2) -> bytes:
    """An ELF object file for the module."""
    return bytes(_target_machine(opt).emit_object(_optimized(text, opt)))


def assembly(text: str, opt: int = 2, pipeline: str = "") -> str:
    """The module's assembly text, as `-d out_asm` prints; of a region's if a pipeline is named."""
    module = _region_module(text, pipeline, opt) if pipeline else _optimized(text, opt)
    return str(_target_machine(opt).emit_assembly(module))


def optimized_ir(text: str, opt: int = 2) -> str:
    """The module after LLVM's passes, as text."""
    return str(_optimized(text, opt))
