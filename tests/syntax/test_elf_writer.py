"""Executables: what an independent reader finds in them."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

from runtime.syntax.assemble import assemble_text
from runtime.syntax.elf_writer import executable_bytes, write_executable
from runtime.syntax.tables import Syntax

TEXT = """
        .equ    answer, 42
        .globl  _start
_start: li      a0, answer
inner:  ecall
        .rodata
words:  .ascii  "hello"
        .data
cell:   .word   7
        .bss
room:   .space  5000
"""


@pytest.mark.parametrize(("bits", "big"), [(64, False), (32, False), (64, True), (32, True)])
def test_sections_segments_and_symbols(tables: Callable[[str], Syntax], bits: int, big: bool) -> None:
    image = assemble_text(tables("riscv32"), TEXT, "t.s")
    file = ELFFile(io.BytesIO(executable_bytes(image, 243, bits, big, flags=5)))
    assert (file.elfclass, file.little_endian) == (bits, not big)
    assert (file["e_type"], file["e_machine"]) == ("ET_EXEC", "EM_RISCV")
    assert (file["e_flags"], file["e_entry"]) == (5, image.entry)
    for section in image.sections:
        written: Any = file.get_section_by_name(section.name)
        assert (written["sh_addr"], written["sh_size"]) == (section.address, section.size)
        assert written["sh_type"] == ("SHT_PROGBITS" if section.data else "SHT_NOBITS")
        if section.data:
            assert written.data() == section.data
    loads = [segment for segment in file.iter_segments() if segment["p_type"] == "PT_LOAD"]
    assert [segment["p_flags"] for segment in loads] == [5, 4, 6]
    assert all(segment["p_vaddr"] % 4096 == segment["p_offset"] % 4096 for segment in loads)
    assert loads[2]["p_memsz"] - loads[2]["p_filesz"] >= 5000
    table: Any = file.get_section_by_name(".symtab")
    symbols = {symbol.name: symbol for symbol in table.iter_symbols()}
    assert symbols["inner"]["st_value"] == image.symbol("inner")
    assert symbols["inner"]["st_info"]["type"] == "STT_FUNC"
    assert symbols["cell"]["st_info"]["type"] == "STT_OBJECT"
    assert (symbols["answer"]["st_shndx"], symbols["answer"]["st_value"]) == ("SHN_ABS", 42)
    assert symbols["_start"]["st_info"]["bind"] == "STB_GLOBAL"
    assert symbols["_start"]["st_size"] == 4
    assert table["sh_info"] == len(symbols) - 1  # the first that is not local


def test_a_file_is_executable_and_replaces_the_old_one(tables: Callable[[str], Syntax], tmp_path: Path) -> None:
    image = assemble_text(tables("riscv32"), TEXT, "t.s")
    target = tmp_path / "program"
    target.write_text("old")
    write_executable(image, target, 243, 32)
    assert target.read_bytes()[:4] == b"\x7fELF"
    assert target.stat().st_mode & stat.S_IXUSR
    assert os.listdir(tmp_path) == ["program"]


def test_an_empty_program(tables: Callable[[str], Syntax]) -> None:
    file = ELFFile(io.BytesIO(executable_bytes(assemble_text(tables("riscv32"), "", "t.s"))))
    assert [segment["p_type"] for segment in file.iter_segments()] == ["PT_GNU_STACK"]


@pytest.mark.parametrize(("bits", "big"), [(64, False), (32, False), (64, True), (32, True)])
def test_the_instruction_set_stands_in_a_note(tables: Callable[[str], Syntax], bits: int, big: bool) -> None:
    image = assemble_text(tables("riscv32"), TEXT, "t.s")
    with_note, without = (executable_bytes(image, 0, bits, big, isa=name) for name in ("words", ""))
    (segment,) = (one for one in ELFFile(io.BytesIO(with_note)).iter_segments() if one["p_type"] == "PT_NOTE")
    data = segment.data()
    order: Any = "big" if big else "little"
    assert [int.from_bytes(data[at : at + 4], order) for at in (0, 4, 8)] == [9, 5, 1]
    assert data[12:] == b"Isomorph\0\0\0\0words\0\0\0"
    assert not [one for one in ELFFile(io.BytesIO(without)).iter_segments() if one["p_type"] == "PT_NOTE"]
