"""`isomorph explain`: what it says is what the decoder, the engine and the spec say."""

from __future__ import annotations

import io
import re
import zlib
from pathlib import Path

import pytest

from gen import checked, stamp
from isomorph import Isa
from isomorph.cli.asm import main as assemble
from isomorph.cli.explain import main
from isomorph.errors import InstructionError
from isomorph.explain import explain, explanation
from isomorph.explain.terminal import show
from runtime.core.env import ENV, PAGE_EXEC, PAGE_READ, PAGE_WRITE, Exit
from runtime.core.memory import GuestMemory
from runtime.tcg.loop import Tcg, TcgVcpu, cpu_exec
from tests.conftest import ROOT
from tests.tools import require_build

CODE = 0x1000
#: one of each way through the decoder: operands, immediates, jumps, variants, clones, modes, atomics
SAMPLES = (
    "add a0,a1,a2",
    "add zero,a1,a2",
    "addi a0,a1,-3",
    "lui a0,0x80000",
    "auipc a0,0x12",
    "beq a0,a1,0x1010",
    "sd a0,8(sp)",
    "lbu a0,-1(sp)",
    "fadd.d fa0,fa1,fa2",
    "fadd.s fa0,fa1,fa2,rup",
    "csrrs a0,fcsr,zero",
    "amoadd.w.aqrl a0,a1,(sp)",
    "c.addi a0,-1",
    "c.li a0,5",
)


@pytest.fixture(scope="module")
def isa() -> Isa:
    require_build("riscv64")
    return Isa("riscv64")


@pytest.mark.parametrize("text", SAMPLES)
def test_fields_and_text_are_the_decoders(isa: Isa, text: str) -> None:
    code = isa.assemble(text, CODE)
    (report,) = isa.explain(text, CODE).instructions
    decoded = isa.decode(code, CODE)
    assert decoded is not None
    assert report.bytes == code
    assert dict(report.fields) == dict(decoded.fields)
    # The usual text of a short instruction is that of the long one which does the same.
    assert isa.assemble(report.plain, CODE) == code
    shown = int("".join(cell.value for row in report.rows for cell in row), 2)
    assert shown == int.from_bytes(code, "little") == int(report.word, 16)


@pytest.mark.parametrize("text", SAMPLES)
def test_operands_of_the_record_are_what_the_native_decoder_wrote(isa: Isa, text: str) -> None:
    (report,) = isa.explain(text, CODE).instructions
    record = native_record(isa, isa.assemble(text, CODE))
    assert report.handler.slots
    for slot in report.handler.slots:
        found = int.from_bytes(record[slot.offset : slot.offset + slot.bits // 8], "little")
        assert found == slot.value, slot


def native_record(isa: Isa, code: bytes) -> bytes:
    """The op record of one instruction, in a block of the engine's own making."""
    generated = isa.generated
    guest = GuestMemory(generated.layout.memories[0].address_width)
    guest.map(0, 0x4000, PAGE_READ | PAGE_WRITE | PAGE_EXEC)
    guest.write(CODE, code + isa.assemble("ebreak", CODE))
    tcg = Tcg(generated, guest)
    vcpu = TcgVcpu(tcg)
    try:
        vcpu.pc = CODE
        vcpu.set("X", 0x2000, 2)
        assert cpu_exec(vcpu, 1000) == Exit.EXCEPTION
        found = tcg.cache.find(CODE, vcpu.words[ENV["flags"] // 8])
        assert found
        return bytes(tcg.cache.records(tcg.cache.block(found)))
    finally:
        vcpu.close()
        tcg.close()
        guest.close()


def test_a_variant_is_chosen_and_the_reason_given(isa: Isa) -> None:
    jumping = isa.explain("fadd.s fa0,fa1,fa2").instructions[0]
    upward = isa.explain("fadd.s fa0,fa1,fa2,rup").instructions[0]
    assert jumping.name != upward.name
    assert jumping.entry is upward.entry
    chosen = [r.handler for text in ("csrrs a0,fcsr,a1", "csrrs a0,frm,a1") for r in isa.explain(text).instructions]
    assert chosen[0].name != chosen[1].name
    assert all(handler.variants > 1 and handler.decisions for handler in chosen)


@pytest.mark.parametrize(
    ("what", "texts"),
    [
        ("0x00c58533", ["add a0,a1,a2"]),
        ("00c58533", ["add a0,a1,a2"]),
        ("33 85 c5 00", ["add a0,a1,a2"]),
        (bytes.fromhex("3385c500"), ["add a0,a1,a2"]),
        ("00c58533 952e", ["add a0,a1,a2", "add a0,a0,a1"]),
        ("add a0,a1,a2; bnez a0,.-4", ["add a0,a1,a2", "bnez a0,0x1000"]),
        ("add a0,a1,a2\n ret", ["add a0,a1,a2", "ret"]),
        ("li a0,0x12345678", ["lui a0,0x12345", "addiw a0,a0,1656"]),
    ],
)
def test_ways_to_say_what(isa: Isa, what: str | bytes, texts: list[str]) -> None:
    found = explain(isa, what)
    assert [report.text for report in found.instructions] == texts
    assert found.instructions[0].address == CODE


def test_places_in_a_program(isa: Isa, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "hello"
    assert assemble([str(ROOT / "examples" / "hello.s"), "-o", str(program)]) == 0
    first, second = explain(isa, f"{program}:_start", count=2).instructions
    (offset,) = explain(isa, f"{program}:_start+{len(first.bytes)}").instructions
    (number,) = explain(isa, f"{program}:{second.address:#x}").instructions
    assert second.bytes == offset.bytes == number.bytes
    assert second.address == offset.address == number.address
    for place, message in {
        f"{program}:strt": "there is no symbol strt (did you mean _start?)",
        f"{program}:0x10": "has no code at 0x10",
        f"{program}:_start+x": "is no place in a program",
        f"{tmp_path}/none:main": "there is no such file",
    }.items():
        capsys.readouterr()
        assert main(["riscv64", place]) == 1
        assert message in one_line(capsys.readouterr().err)


def one_line(text: str) -> str:
    assert text.startswith("isomorph: ")
    assert text.count("\n") == 1
    return text.strip()


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("0x0004", r"0x0004 at 0x1000 is no instruction .* it would be c_addi4spn \(riscv_c.isa:\d+\), whose cond"),
        ("ffffffff", r"nearest encoding, \w+ \(riscv\w*.isa:\d+\), differs in bit 4$"),
        ("0x123", "have a multiple of 4 hexadecimal digits"),
        ("foo a0", "unknown instruction 'foo'"),
        ("add a0,a1", "it is written add {rd},{rs1},{rs2}"),
        ("", "there is nothing to explain"),
        ("# only a comment", "holds no instruction"),
    ],
)
def test_what_cannot_be_explained(isa: Isa, what: str, message: str) -> None:
    with pytest.raises(InstructionError, match=message):
        explain(isa, what)


def test_the_command_complains_in_a_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    require_build("riscv64")
    assert main(["pdp11", "nop"]) == 1
    assert "there is no instruction set 'pdp11'" in one_line(capsys.readouterr().err)
    assert main(["riscv64", "0xffffffff"]) == 1
    one_line(capsys.readouterr().err)
    assert main(["riscv64", "nop", "--html", str(tmp_path)]) == 1
    assert str(tmp_path) in one_line(capsys.readouterr().err)


# ---------------------------------------------------------------- the page


@pytest.mark.parametrize("width", [60, 80, 200])
def test_nothing_is_cut_off(isa: Isa, width: int) -> None:
    found = isa.explain("beq a0,a1,.-8")
    out = io.StringIO()
    show(found, out, width)
    text = out.getvalue()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text
    squeezed = re.sub(r"\s+", "", text)
    for stage in (*found.instructions[0].stages, *found.stages):
        assert stage.title.replace(" ", "") in squeezed
        if width < 150:  # beside each other, lines mix
            assert re.sub(r"\s+", "", stage.text) in squeezed
    for line in found.instructions[0].entry.source.lines:
        assert re.sub(r"\s+", "", line.text) in squeezed


def test_every_stage_is_there(isa: Isa) -> None:
    text = str(isa.explain("add a0,a1,a2"))
    for piece in ("0000000", "rd     11:7   10 = a0", "riscv_i.isa:", "do X[rd] = op(X[rs1], X[rs2])", "ld_slot",
                  "ld_env offset=", "define hidden preserve_nonecc void @h_add", "addq"):  # fmt: skip
        assert piece in text


def test_a_loop_is_compiled_as_one_region(isa: Isa) -> None:
    """Registers are loaded before the loop and stored behind it."""
    region = isa.explain("addi a0,a0,-1; bnez a0,.-4").translation.optimised
    before, after = re.split(r"^L\w+_1000\(.*\):$", region, maxsplit=1, flags=re.MULTILINE)
    assert re.search(r"ld_env .*, X$", before, re.MULTILINE)
    assert re.search(r"^  br .*_1000$", after, re.MULTILINE)
    assert "ld_env" not in after


def test_html_is_whole_and_harmless(isa: Isa) -> None:
    found = isa.explain("add a0,a1,a2; bnez a0,.-4")
    page = found.html()
    assert page.startswith("<!doctype html>")
    assert "src=" not in page
    assert not re.search(r"https?://|url\(|@import", page)
    assert page.count("<svg") == 2
    fragment = found._repr_html_()
    assert fragment.startswith('<div class="isomorph explain">')
    style = re.search(r"<style>(.*?)</style>", fragment, re.DOTALL)
    assert style is not None
    rules = re.sub(r"@media[^{]*\{(.*?\}\s*)\}", r"\1", style[1], flags=re.DOTALL)
    for selector in re.findall(r"(?:^|\})\s*([^{}@]+)\{", rules):
        assert ".isomorph" in selector, f"this style reaches into the page around: {selector}"


def test_the_spec_that_was_kept_says_what_checking_says(isa: Isa, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(isa.generated.path)
    assert stamp.up_to_date(folder, explanation._spec_of(isa.generated), {}), "older than the generator: run `make gen`"
    assert checked.read(folder / checked.CHECKED) is not None
    kept = [str(isa.explain(text, CODE)) for text in SAMPLES]
    explanation._book.cache_clear()
    monkeypatch.setattr(checked, "read", lambda path: None)
    try:
        assert [str(isa.explain(text, CODE)) for text in SAMPLES] == kept
    finally:
        explanation._book.cache_clear()


@pytest.mark.parametrize("damage", [b"", b"x", zlib.compress(b"cnothing.here\nmissing\n."), None])
def test_a_damaged_spec_that_was_kept_is_none(isa: Isa, tmp_path: Path, damage: bytes | None) -> None:
    path = tmp_path / checked.CHECKED
    if damage is not None:
        path.write_bytes(damage)
    assert checked.read(path) is None


def test_modes_say_how_instructions_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    """Thumb, given by --mode: text, a word, bytes; and what is no mode, or no instruction in it."""
    require_build("arm")
    arm = Isa("arm")
    thumb = {"T": 1}
    for what in ("push {r3, lr}", "0xb508", b"\x08\xb5"):
        (report,) = arm.explain(what, modes=thumb).instructions
        assert (report.text, report.word, report.bytes) == ("push {r3, lr}", "0xb508", b"\x08\xb5")
    assert arm.assemble("push {r3, lr}", modes=thumb) == b"\x08\xb5"
    assert len(arm.assemble("push {r3, lr}")) == 4
    assert main(["arm", "--mode", "T=1", "b508"]) == 0
    assert "of arm_t32" in capsys.readouterr().out
    for word in ("Q=1", "T=2", "T"):
        assert main(["arm", "--mode", word, "nop"]) == 2
    assert "arm has no such mode; it has T, E, IT" in capsys.readouterr().err
    with pytest.raises(InstructionError, match=r"0xe800e800 .* is no instruction of arm: it would be t_stm_w"):
        arm.explain("0xe800e800", modes=thumb)
    with pytest.raises(InstructionError, match="arm has no mode Q"):
        arm.explain("nop", modes={"Q": 1})


def test_a_program_s_functions_are_read_as_its_symbols_say(tmp_path: Path) -> None:
    """ARM's and Thumb's in one program."""
    require_build("arm")
    source = tmp_path / "both.s"
    source.write_text(
        ".global _start\n_start: .arm\nmov r0, r1\n.type odd, %function\n.thumb\n.thumb_func\nodd: movs r0, r1\n"
    )
    program = tmp_path / "both"
    assert assemble(["--isa", "arm", str(source), "-o", str(program)]) == 0
    arm = Isa("arm")
    assert [one.text for one in arm.explain(f"{program}:_start").instructions] == ["mov r0, r1"]
    assert [one.word for one in arm.explain(f"{program}:odd").instructions] == ["0x0008"]
