"""An x86-64 processor's registers as gdb knows them, for accelerators that nothing was generated for (KVM).

A machine's processor has them all by their own names (runtime/kvm/registers.py); a program's has what a program can see
(runtime/kvm/user_state.py).
"""

from __future__ import annotations

from runtime.core.register_part import Part
from runtime.debug.description import Description, WireRegister

_GENERAL = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", *(f"r{number}" for number in range(8, 16)))
_SEGMENTS = ("cs", "ss", "ds", "es", "fs", "gs")
#: the x87 unit's registers besides its stack, in gdb's order
_CONTROLS = ("fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop")
_CORE, _SSE, _BASES = "org.gnu.gdb.i386.core", "org.gnu.gdb.i386.sse", "org.gnu.gdb.i386.segments"
_LINUX = "org.gnu.gdb.i386.linux"

#: a program's registers: name -> the layout's name, and the entry of a file
_OF_PROGRAMS = {
    **{name: ("R", number) for number, name in zip((0, 3, 1, 2, 6, 7, 5, 4), _GENERAL[:8], strict=True)},
    **{name: ("R", number) for number, name in enumerate(_GENERAL[8:], 8)},
    "rflags": ("RFLAGS", 0), "fs_base": ("FSBASE", 0), "gs_base": ("GSBASE", 0), "mxcsr": ("MXCSR", 0),
    "fctrl": ("FCW", 0), "fstat": ("FSW", 0), "st": ("FPR", -1), "xmm": ("XMM", -1),
}  # fmt: skip
#: those of a program's that never change: selectors, and what tells gdb that no system call is to be begun again
_FIXED = {"cs": 0x33, "ss": 0x2B, "orig_rax": (1 << 64) - 1}
_WIDTHS = {"fctrl": 16, "fstat": 16}

_FLAGS = """<flags id="i386_eflags" size="4">
<field name="CF" start="0" end="0"/><field name="" start="1" end="1"/><field name="PF" start="2" end="2"/>
<field name="AF" start="4" end="4"/><field name="ZF" start="6" end="6"/><field name="SF" start="7" end="7"/>
<field name="TF" start="8" end="8"/><field name="IF" start="9" end="9"/><field name="DF" start="10" end="10"/>
<field name="OF" start="11" end="11"/></flags>"""
_VECTOR = """<vector id="v4f" type="ieee_single" count="4"/><vector id="v2d" type="ieee_double" count="2"/>
<vector id="v16i8" type="int8" count="16"/><vector id="v8i16" type="int16" count="8"/>
<vector id="v4i32" type="int32" count="4"/><vector id="v2i64" type="int64" count="2"/>
<union id="vec128"><field name="v4_float" type="v4f"/><field name="v2_double" type="v2d"/>
<field name="v16_int8" type="v16i8"/><field name="v8_int16" type="v8i16"/><field name="v4_int32" type="v4i32"/>
<field name="v2_int64" type="v2i64"/><field name="uint128" type="uint128"/></union>"""


def _register(name: str, bits: int, kind: str, group: str = "") -> str:
    extra = f' group="{group}"' if group else ""
    return f'<reg name="{name}" bitsize="{bits}" type="{kind}"{extra}/>\n'


def _part(name: str, index: int, bits: int, program: bool) -> tuple[Part, ...]:
    """What a register is made of."""
    if not program or name == "pc":
        return (Part(name, index, bits),)
    if name not in _OF_PROGRAMS:  # of the unit's history programs on KVM tell nothing: its tags are all in use
        return (Part("", _FIXED.get(name, 0), bits),)
    own, entry = _OF_PROGRAMS[name]
    width = _WIDTHS.get(name, bits)
    first = Part(own, index if entry < 0 else entry, width)
    return (first,) if width == bits else (first, Part("", 0, bits - width))


def _make(program: bool) -> Description:
    registers: list[WireRegister] = []

    def one(name: str, bits: int, part: str, index: int = 0) -> None:
        registers.append(WireRegister(name, bits, _part(part, index, bits, program)))

    core = _FLAGS
    for name in _GENERAL:
        core += _register(name, 64, {"rsp": "data_ptr", "rbp": "data_ptr"}.get(name, "int64"))
        one(name, 64, name)
    core += _register("rip", 64, "code_ptr") + _register("eflags", 32, "i386_eflags")
    one("rip", 64, "pc")
    one("eflags", 32, "rflags")
    for name in _SEGMENTS:
        core += _register(name, 32, "int32")
        one(name, 32, name)
    for number in range(8):
        core += _register(f"st{number}", 80, "i387_ext")
        one(f"st{number}", 80, "st", number)
    for name in _CONTROLS:
        core += _register(name, 32, "int", "float")
        one(name, 32, name)
    vectors = _VECTOR
    for number in range(16):
        vectors += _register(f"xmm{number}", 128, "vec128")
        one(f"xmm{number}", 128, "xmm", number)
    vectors += _register("mxcsr", 32, "int", "vector")
    one("mxcsr", 32, "mxcsr")
    described = [(_CORE, core), (_SSE, vectors)]
    if program:
        described.append((_LINUX, _register("orig_rax", 64, "int")))
        one("orig_rax", 64, "orig_rax")
    bases = ""
    for name in ("fs_base", "gs_base"):
        bases += _register(name, 64, "int64")
        one(name, 64, name)
    described.append((_BASES, bases))
    features = "".join(f'<feature name="{name}">{text}</feature>' for name, text in described)
    system = "<osabi>GNU/Linux</osabi>" if program else ""
    xml = (
        '<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd">'
        f"<target><architecture>i386:x86-64</architecture>{system}{features}</target>"
    )
    return Description("x86_64", False, xml, tuple(registers))


DESCRIPTION = _make(program=False)
USER_DESCRIPTION = _make(program=True)
