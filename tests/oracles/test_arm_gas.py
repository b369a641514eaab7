"""A program of ARM and Thumb code against GNU as: bytes, addresses of functions, marks; and it runs."""

from __future__ import annotations

from pathlib import Path

from elftools.elf.elffile import ELFFile

from tests.tools import isomorph, require_build, run, tool

_PACKAGE = "binutils-arm-linux-gnueabihf"
_SOURCE = """
        .syntax unified
        .arch   armv7-a
        .fpu    neon
        .text
        .globl  _start
        .type   _start, %function
        .thumb
_start: movs    r0, #5
        blx     triple
        cmp     r0, #15
        ite     eq
        moveq   r4, #1
        movne   r4, #2
        ldr     r3, pool
        blx     r3
        cmp     r4, #1
        itt     eq
        moveq   r5, #2
        addeq   r0, r0, r5
        cmp     r0, #20
        bhi     far
        svc     #0
far:    movs    r7, #1
        b       away
        .align  2
pool:   .word   twice
        .code   32
        .type   triple, %function
triple: add     r0, r0, r0, lsl #1
        ldr     r1, again
        bx      lr
again:  .word   triple, twice + 4, inner, pool
        .thumb_func
twice:  adds    r0, r0, r0
        bx      lr
inner:  movs    r0, r0
        .arm
        svc     #0
        .code   16
away:   adds    r0, #10
        svc     #0
        .data
        .word   twice, inner, twice - _start, triple, away
"""
_STATUS = 42
_BASE = 0x10000


def test_a_program_of_both_is_what_gnu_as_makes_and_runs(tmp_path: Path) -> None:
    require_build("arm")
    source, own, object_file, theirs = (tmp_path / name for name in ("mixed.s", "own", "mixed.o", "theirs"))
    source.write_text(_SOURCE)
    done = run(isomorph("asm", "--isa", "arm", "--base", hex(_BASE), str(source), "-o", str(own)))
    assert (done.status, done.stderr) == (0, b"")
    assert run(isomorph("run", str(own))).status == _STATUS

    assert run([tool("arm-linux-gnueabihf-as", _PACKAGE), str(source), "-o", str(object_file)]).status == 0
    data = next(section["sh_addr"] for section in _sections(own) if section.name == ".data")
    places = [f"-Ttext={_BASE:#x}", f"-Tdata={data:#x}"]
    link = [tool("arm-linux-gnueabihf-ld", _PACKAGE), "--no-warn-mismatch", *places]
    assert run([*link, str(object_file), "-o", str(theirs)]).status == 0
    assert _what_it_is(own) == _what_it_is(theirs)

    texts = [
        run([tool("arm-linux-gnueabihf-objdump", _PACKAGE), "-d", str(program)]).stdout for program in (own, theirs)
    ]
    assert texts[0].splitlines()[3:] == texts[1].splitlines()[3:]


def _sections(program: Path) -> list[object]:
    with program.open("rb") as file:
        return list(ELFFile(file).iter_sections())


def _what_it_is(program: Path) -> object:
    with program.open("rb") as file:
        elf = ELFFile(file)
        contents = {name: elf.get_section_by_name(name).data() for name in (".text", ".data")}
        symbols = {
            (symbol.name, symbol["st_value"], symbol["st_info"]["bind"])
            for symbol in elf.get_section_by_name(".symtab").iter_symbols()
            # Those of the linker's own, and of what begins in sections of data.
            if not symbol.name.startswith(("_", "$d")) or symbol.name == "_start"
        }
        return elf["e_entry"], contents, {symbol for symbol in symbols if symbol[0] and not symbol[0].endswith(".o")}
