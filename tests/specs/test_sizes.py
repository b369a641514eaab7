"""What `python -m bench.spec_sizes` counts: the rule of bench/spec_parts.py, on a spec made for it."""

from __future__ import annotations

from pathlib import Path

from bench import spec_parts
from gen.elaborate import check

_SPEC = """\
# A comment, and a blank line.

isa counted
include "{library}"
pc     PC : bits(32)
regs   X[4] : bits(32)
reg    levels : bits(32)
memory M : bits(32)  endian little
exception Illegal = 0
decode S : 16 little
on badaddr(acc : bits(2), va : bits(32))
    raise Illegal
sysregs T[4] : bits(32)  missing raise Illegal
    0x1 level  read top()  write v: levels = v
fn top() -> bits(32) = levels & 3
fn looped(a : bits(32)) -> bits(32)                            # the generator calls what has a loop
    var r : bits(32) = a
    for i in 0 .. 7: r = odd(r) + r
    return r
fn odd(a : bits(32)) -> bits(32) = a ^ 1
fn even(a : bits(32)) -> bits(32) = a & ~1
fn nobody(a : bits(32)) -> bits(32) = a
insns (f, op) "0000 00 {{f}} d:2 n:2 0001" "{{name}} {{d:X}}, {{n:X}}"
    loop 00 looped
    pair 01 even
    # not a row
    do X[d] = op(X[n])
insn get "0000 t:4 0000 d:2 10" "get {{d:X}}, {{t:T}}" : X[d] = T[t]
asm  "same {{d}}" = "pair {{d}}, {{d}}"
test "pair x1, x2" when X[2] = 3 \\
    then X[1] == 2
"""


def _write(folder: Path, library: str) -> Path:
    (folder / library).write_text("fn whole(a : bits(32)) -> bits(32) = a\nreg more : bits(8)\n", encoding="utf-8")
    path = folder / "counted.isa"
    path.write_text(_SPEC.format(library=library), encoding="utf-8")
    return path


def test_declarations_that_decode_and_translate_are_told_from_the_rest(tmp_path: Path) -> None:
    path = _write(tmp_path, "library.isa")
    elsewhere = spec_parts.functions_elsewhere(check(path))
    counted = spec_parts.lines_of_translation(path, elsewhere)
    text = "\n".join(counted)
    assert elsewhere >= {"looped", "odd", "top"}, "called out of line, from there, and for a system register"
    assert "even" not in elsewhere, "stands in an instruction's code"
    for kept in ("isa counted", "regs ", "fn even", "fn nobody", "insns ", "    loop 00", "    do X[d]", "insn get"):
        assert kept in text, kept
    for left_out in ("asm", "test", "then", "on badaddr", "raise", "sysregs", "level ", "looped(a", "fn odd", "#"):
        assert left_out not in text, left_out
    assert len(counted) == 15
    assert len(list(spec_parts.lines_of(path.read_text(encoding="utf-8")))) == 26


def test_of_a_file_that_stands_for_one_of_qemu_s_only_instructions_count(tmp_path: Path) -> None:
    path = _write(tmp_path, "softfloat.isa")
    elsewhere = spec_parts.functions_elsewhere(check(path))
    assert spec_parts.lines_of_translation(tmp_path / "softfloat.isa", elsewhere) == []
    (tmp_path / "softfloat.isa").write_text('fn f() -> bit = 1\ninsn nop "0" "nop" : pass\n', encoding="utf-8")
    assert len(spec_parts.lines_of_translation(tmp_path / "softfloat.isa", elsewhere)) == 1
