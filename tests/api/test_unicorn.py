"""Unicorn scripts run under Unicorn and, with one import changed, under isomorph.compat.unicorn: with equal output."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from isomorph.compat import unicorn as ours
from isomorph.compat.unicorn import riscv_const

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
    registers = pytest.importorskip("unicorn.riscv_const")
    for module, other in ((ours, theirs), (riscv_const, registers)):
        names = [name for name in vars(module) if name.startswith("UC_")]
        assert len(names) > 50
        assert {name: getattr(module, name) for name in names} == {name: getattr(other, name) for name in names}


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
    with pytest.raises(ours.UcError, match=r"UC_ERR_ARCH.*only RISC-V is here; isomorph\.Emulator has") as caught:
        ours.Uc(ours.UC_ARCH_X86, ours.UC_MODE_64)
    assert caught.value.errno == ours.UC_ERR_ARCH
    machine = ours.Uc(ours.UC_ARCH_RISCV, ours.UC_MODE_RISCV64)
    assert machine.reg_read(riscv_const.UC_RISCV_REG_MSTATUS) == 0
    for action in (lambda: machine.reg_read(999), lambda: machine.reg_write(999, 1)):
        with pytest.raises(ours.UcError, match=r"UC_ERR_ARG.*no RISC-V register with number 999"):
            action()
