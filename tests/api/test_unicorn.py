"""Unicorn scripts run under Unicorn and, with one import changed, under isomorph.compat.unicorn: with equal output."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType

import pytest

from isomorph.compat import unicorn as ours
from isomorph.compat.unicorn import arm_const, mips_const, riscv_const, x86_const

CONSTANTS = {
    "x86_const": x86_const,
    "arm_const": arm_const,
    "mips_const": mips_const,
    "riscv_const": riscv_const,
}
ARCHITECTURES = [
    (ours.UC_ARCH_X86, ours.UC_MODE_16, "UC_X86_REG_", x86_const),
    (ours.UC_ARCH_X86, ours.UC_MODE_32, "UC_X86_REG_", x86_const),
    (ours.UC_ARCH_X86, ours.UC_MODE_64, "UC_X86_REG_", x86_const),
    (ours.UC_ARCH_ARM, ours.UC_MODE_ARM, "UC_ARM_REG_", arm_const),
    (ours.UC_ARCH_MIPS, ours.UC_MODE_MIPS32, "UC_MIPS_REG_", mips_const),
    (ours.UC_ARCH_RISCV, ours.UC_MODE_RISCV64, "UC_RISCV_REG_", riscv_const),
]
SCRIPTS = sorted(Path(__file__).with_name("unicorn_scripts").glob("*.py"))


def run(text: str, name: str) -> str:
    """What a script prints."""
    output = io.StringIO()
    with redirect_stdout(output):
        exec(compile(text, name, "exec"), {"__name__": "__main__"})
    return output.getvalue()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_same_output(script: Path) -> None:
    pytest.importorskip("unicorn", reason="Unicorn is the oracle of these tests")
    text = script.read_text(encoding="utf-8")
    theirs = run(text, script.name)
    assert theirs
    assert run(text.replace("from unicorn", "from isomorph.compat.unicorn"), script.name) == theirs


def test_constants_have_unicorns_values() -> None:
    theirs = pytest.importorskip("unicorn.unicorn_const", reason="Unicorn is the oracle of these tests")
    modules = [(ours, theirs)]
    modules += [(module, pytest.importorskip(f"unicorn.{name}")) for name, module in CONSTANTS.items()]
    for module, other in modules:
        names = [name for name in vars(module) if name.startswith("UC_")]
        assert len(names) > 50
        assert {name: getattr(module, name) for name in names} == {name: getattr(other, name) for name in names}


@pytest.mark.parametrize("name", CONSTANTS)
def test_no_constant_of_unicorns_is_missing(name: str) -> None:
    """But for x86's instructions, of which there are those that UC_HOOK_INSN takes, and RISC-V's machine counters."""
    theirs = pytest.importorskip(f"unicorn.{name}", reason="Unicorn is the oracle of these tests")
    mine = vars(CONSTANTS[name])
    missing = {constant for constant in vars(theirs) if constant.startswith("UC_")} - mine.keys()
    if name == "riscv_const":
        assert all("HPM" in constant or constant.startswith("UC_CPU") for constant in missing), missing
    else:
        assert all("_INS_" in constant for constant in missing), missing


def test_general_constants_are_all_there() -> None:
    theirs = pytest.importorskip("unicorn.unicorn_const", reason="Unicorn is the oracle of these tests")
    missing = {name for name in vars(theirs) if name.startswith("UC_")} - vars(ours).keys()
    assert {name for name in missing if "TCG_OP" not in name} == set()


@pytest.mark.parametrize(("arch", "mode", "prefix", "constants"), ARCHITECTURES)
def test_every_number_is_a_register_or_says_why_not(arch: int, mode: int, prefix: str, constants: ModuleType) -> None:
    machine = ours.Uc(arch, mode)
    refused = {}
    for name, number in vars(constants).items():
        if not name.startswith(prefix) or name.endswith(("_INVALID", "_ENDING")):
            continue
        aux = (15, 0, 0, 13, 0, 0, 3) if name.endswith("CP_REG") else None
        try:
            machine.reg_read(number, aux)
        except ours.UcError as error:
            refused[name] = str(error)
    assert {name: why for name, why in refused.items() if not re.search("UC_ERR_ARG.* here", why)} == {}
    assert len(refused) < len(machine.architecture.registers) - 50


def test_there_are_enough_scripts() -> None:
    assert len(SCRIPTS) >= 15


def test_a_hook_added_after_the_code_ran_fires_and_one_deleted_in_a_hook_does_not() -> None:
    """Unicorn's fires once in the first case, and goes on to the block's end in the second."""
    machine = ours.Uc(ours.UC_ARCH_RISCV, ours.UC_MODE_RISCV64)
    machine.mem_map(0x1000, 0x1000)
    machine.mem_write(0x1000, machine.emulator.isa.assemble("nop\n nop\n nop\n nop", 0x1000))
    machine.emu_start(0x1000, 0x1010)
    seen: list[int] = []

    def look(uc: ours.Uc, address: int, size: int, user_data: object) -> None:
        seen.append(address)
        if len(seen) == 3:
            uc.hook_del(handle)

    handle = machine.hook_add(ours.UC_HOOK_CODE, look)
    machine.emu_start(0x1000, 0x1010)
    assert seen == [0x1000, 0x1004, 0x1008]


def test_stop_in_a_memory_hook_finishes_the_instruction_and_has_the_pc_behind_it() -> None:
    """Unicorn makes the store, too, but reports the pc of the store itself."""
    machine = ours.Uc(ours.UC_ARCH_RISCV, ours.UC_MODE_RISCV64)
    machine.mem_map(0x1000, 0x1000)
    machine.mem_write(0x1000, machine.emulator.isa.assemble("sd ra, 0(sp)\n nop", 0x1000))
    machine.reg_write_batch([(riscv_const.UC_RISCV_REG_SP, 0x1800), (riscv_const.UC_RISCV_REG_RA, 7)])
    machine.hook_add(ours.UC_HOOK_MEM_WRITE, lambda uc, *_: uc.emu_stop())
    machine.emu_start(0x1000, 0x1100)
    assert machine.mem_read(0x1800, 1) == b"\7"
    assert machine.reg_read(riscv_const.UC_RISCV_REG_PC) == 0x1004


def test_what_is_not_there_is_refused_by_name() -> None:
    for arch, mode, errno, message in (
        (ours.UC_ARCH_ARM64, ours.UC_MODE_ARM, ours.UC_ERR_ARCH, "ARM64 is not here; x86, ARM"),
        (ours.UC_ARCH_TRICORE, 0, ours.UC_ERR_ARCH, "TriCore is not here"),
        (77, 0, ours.UC_ERR_ARCH, "architecture 77 is not here"),
        (ours.UC_ARCH_ARM, ours.UC_MODE_BIG_ENDIAN, ours.UC_ERR_MODE, "ARM is little-endian here"),
        (ours.UC_ARCH_ARM, ours.UC_MODE_MCLASS, ours.UC_ERR_MODE, "not UC_MODE_MCLASS"),
        (ours.UC_ARCH_ARM, ours.UC_MODE_V8, ours.UC_ERR_MODE, "UC_MODE_ARM and UC_MODE_THUMB"),
        (ours.UC_ARCH_MIPS, ours.UC_MODE_MIPS64, ours.UC_ERR_MODE, "MIPS has UC_MODE_MIPS32"),
        (ours.UC_ARCH_X86, 1, ours.UC_ERR_MODE, "x86 has UC_MODE_16"),
    ):
        with pytest.raises(ours.UcError, match=message) as caught:
            ours.Uc(arch, mode)
        assert caught.value.errno == errno
    machine = ours.Uc(ours.UC_ARCH_RISCV, ours.UC_MODE_RISCV64)
    assert machine.reg_read(riscv_const.UC_RISCV_REG_MSTATUS) == 0
    for action in (lambda: machine.reg_read(999), lambda: machine.reg_write(999, 1)):
        with pytest.raises(ours.UcError, match=r"UC_ERR_ARG.*no RISC-V register with number 999"):
            action()
