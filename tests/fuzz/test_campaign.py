"""Campaigns: short ones on every engine find nothing, and one on a spec that is wrong finds out, and shrinks it."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from gen import emit
from gen.elaborate import check
from isomorph.cli.fuzz import main
from isomorph.errors import IsomorphError
from isomorph.fuzz.campaign import Campaign, Order, Tally, Worker, run_batch
from isomorph.fuzz.case import Case, read_case
from isomorph.fuzz.engine import MissingEngine
from isomorph.fuzz.native_engine import CompiledEngine
from isomorph.fuzz.sequences import mnemonic
from isomorph.fuzz.shrink import shrink
from isomorph.fuzz.state import WINDOW_SIZE, State, empty_state
from tests.conftest import ROOT
from tests.tools import isomorph, require_build

#: cases of a short campaign: a second or two
SHORT = {"tiers": 250, "unicorn": 400, "qemu": 60}
#: where they begin.  A case of qemu's seed 0 loads the bytes behind it, where the two engines have different endings
SEEDS = {"tiers": 0, "unicorn": 0, "qemu": 1}
WIDTHS = ("riscv64", "riscv32")


def made(folder: Path, against: str, seed: int = 0, only: tuple[str, ...] = ()) -> Worker:
    """A worker; a missing oracle skips the test."""
    try:
        return Worker(Order(str(folder), against, seed, only))
    except MissingEngine as error:
        pytest.skip(str(error))


@pytest.fixture(params=WIDTHS)
def folder(request: pytest.FixtureRequest) -> Path:
    return require_build(request.param)


# ---------------------------------------------------------------- nothing to find


@pytest.mark.parametrize("against", SHORT)
def test_short_campaigns_find_nothing(folder: Path, against: str) -> None:
    worker = made(folder, against, SEEDS[against])
    tally = Tally()
    for number in range(SHORT[against]):
        worker.examine(number, tally)
        assert not tally.findings, tally.findings[0].text
    worker.close()
    possible = {mnemonic(form) for form in worker.sequences.forms}
    assert len(tally.ran) > 0.85 * len(possible), possible - set(tally.ran)


@pytest.mark.parametrize("name", ["x86_64", "i386"])
def test_instructions_with_prefixes_and_operands_of_their_own(name: str) -> None:
    """They are made as well, those that only a prefix leads to among them; both tiers do the same."""
    worker = made(require_build(name), "tiers", 2, ("andn",))
    sequences, spaces, longest, tally = worker.sequences, set(), 0, Tally()
    for number in range(20):
        worker.examine(number, tally)
        assert not tally.findings, tally.findings[0].text
        for word in worker.case(number).code:
            decoded = sequences.decoder.decode(word, 0)
            if decoded is not None:
                spaces.add(decoded.form.space)
                longest = max(longest, len(word) - decoded.form.encoding.length // 8)
    worker.close()
    assert len(spaces) > 1
    assert longest > 3


@pytest.mark.parametrize("name", ["x86_64", "i386"])
def test_flags_that_the_manual_leaves_open_are_not_compared(name: str) -> None:
    """Sequences against Unicorn, whose multiplications and shifts leave other flags behind."""
    worker = made(require_build(name), "unicorn", 5)
    tally, open_ones = Tally(), 0
    for number in range(200):
        worker.examine(number, tally)
        assert not tally.findings, tally.findings[0].text
        open_ones += bool(worker.case(number).masks)
    worker.close()
    assert open_ones > 20


@pytest.mark.slow
@pytest.mark.parametrize("name", ["x86_64", "i386"])
def test_long_campaigns_of_x86_find_nothing(name: str) -> None:
    worker = made(require_build(name), "unicorn", 6)
    tally = Tally()
    for number in range(8000):
        worker.examine(number, tally)
        assert not tally.findings, tally.findings[0].text
    worker.close()


def test_instructions_of_arm_against_unicorn() -> None:
    """Its tables say where the two differ by nature: an unpredictable r15, addresses that are not aligned."""
    worker = made(require_build("arm"), "unicorn", 2)
    tally = Tally()
    for number in range(150):
        worker.examine(number, tally)
        assert not tally.findings, tally.findings[0].text
    # What shrinking may come to: what Unicorn is not asked about, and a way into the other instruction set.
    state = worker.case(0).state
    for word in ("000000ef", "000000fa"):  # svc #0; blx to what follows behind it
        assert worker.sequences.judged(Case((bytes.fromhex(word),), state, {})) is None
    worker.close()
    assert len(tally.ran) > 300


@pytest.mark.slow
@pytest.mark.parametrize("against", SHORT)
def test_long_campaigns_find_nothing(folder: Path, against: str) -> None:
    worker = made(folder, against, 1)
    tally = Tally()
    for number in range(SHORT[against] * 20):
        worker.examine(number, tally)
        assert not tally.findings, tally.findings[0].text
    worker.close()


def test_an_instruction_asked_for_is_in_every_case(folder: Path) -> None:
    worker = made(folder, "tiers", 3, ("mulh",))
    for number in range(30):
        names = [worker.sequences.decoder.decode(word, 0) for word in worker.case(number).code]
        assert "mulh" in {decoded.form.name for decoded in names if decoded is not None}
    worker.close()


def test_most_cases_reach_their_end_through_loads_stores_and_branches(folder: Path) -> None:
    worker = made(folder, "tiers")
    ends, tally = 0, Tally()
    for number in range(150):
        worker.examine(number, tally)
        ends += not worker.bench.engines[0].run(worker.case(number)).raised
    worker.close()
    assert ends > 120
    assert {"lw", "sw", "beq", "c_j", "amoadd_w", "fmadd_d"} <= set(tally.ran)


def test_the_compiled_engine_compiles(folder: Path) -> None:
    """Every case is run by regions, not by tier 0 for want of heat or of budget."""
    worker = made(folder, "tiers")
    engine = next(engine for engine in worker.bench.engines if engine.name == "compiled")
    assert isinstance(engine, CompiledEngine)
    for number in range(10):
        before = engine.compiled
        engine.run(worker.case(number))
        assert engine.compiled > before
        assert engine.tcg.cache.tier is not None
        assert engine.tcg.cache.tier.regions.ready
    worker.close()


def test_seed_and_number_make_the_case(folder: Path) -> None:
    first, second = made(folder, "tiers", 5), made(folder, "tiers", 5)
    for number in range(5):
        second.case(number)
    assert first.case(7) == second.case(7)
    assert first.case(7) != first.case(8)
    first.close()
    second.close()


def test_qemu_is_given_no_system_calls() -> None:
    worker = made(require_build("riscv64"), "qemu")
    assert "ecall" not in {form.name for form in worker.sequences.forms}
    worker.close()
    plain = made(require_build("riscv64"), "tiers")
    assert "ecall" in {form.name for form in plain.sequences.forms}
    plain.close()


# ---------------------------------------------------------------- something to find


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base integer set, with immediates of arithmetic that are not sign-extended."""
    folder = tmp_path_factory.mktemp("broken")
    for pattern in ("*.isa", "*.toml"):
        for path in (ROOT / "specs").glob(pattern):
            shutil.copy(path, folder)
    base = folder / "riscv_i.isa"
    text = base.read_text()
    assert text.count("do X[rd] = op(X[rs1], sext(imm))") == 1
    base.write_text(text.replace("do X[rd] = op(X[rs1], sext(imm))", "do X[rd] = op(X[rs1], zext(imm))"))
    (folder / "riscv64.isa").write_text("isa riscv64 extends riscv64_i\n")
    emit.generate(check(folder / "riscv64.isa", (folder,)), folder / "build" / "riscv64")
    return folder / "build" / "riscv64"


@pytest.mark.parametrize("against", ["unicorn", "qemu"])
def test_a_wrong_sign_extension_is_found_and_shrunk(broken: Path, against: str) -> None:
    worker = made(broken, against)
    start, tally, number = time.monotonic(), Tally(), 0
    while not tally.findings:
        assert number < 200, "not found"
        worker.examine(number, tally)
        number += 1
    worker.close()
    finding = tally.findings[0]
    print(f"found and shrunk in {time.monotonic() - start:.1f} s, {number} cases:\n{finding.text}")
    assert finding.instructions <= 2
    # What was written down is the difference, and on the spec as it should be there is none.
    case = read_case(finding.text, worker.isa.layout)
    again, right = made(broken, against), made(require_build("riscv64"), against)
    assert again.differences(case) == list(finding.differences)
    assert not right.differences(Case(case.code, right_state(right, case), {}))
    again.close()
    right.close()


def right_state(worker: Worker, case: Case) -> State:
    """The case's state with the registers that the base set does not have."""
    empty = empty_state(worker.isa.layout)
    return replace(empty, registers={**empty.registers, **case.state.registers}, memory=case.state.memory)


def test_the_command_ends_with_the_file(
    broken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made(broken, "unicorn").close()
    monkeypatch.setenv("ISOMORPH_BUILD", str(broken.parent))
    status = main(["riscv64", "--against", "unicorn", "--cases", "400", "--jobs", "2", "--output", str(tmp_path)])
    (path,) = tmp_path.glob("fuzz-riscv64-unicorn-0-*.txt")
    shown = capsys.readouterr().out
    assert status == 1
    assert f"a difference, in 1 instruction: {path}" in shown
    assert main(["--replay", str(path)]) == 1


def test_shrinking_leaves_what_matters(folder: Path) -> None:
    """With a made-up difference: an `add` in the code, and one bit in one register."""
    worker = made(folder, "tiers")

    def still(case: Case) -> bool:
        decoded = [worker.sequences.decoder.decode(word, 0) for word in case.code]
        adds = any(found is not None and found.form.name == "add" for found in decoded)
        return adds and bool(case.state.registers["X"][9] & 0x100) and case.state.memory[77] != 0

    number = next(number for number in range(3000) if still(worker.case(number)))
    small = shrink(worker.case(number), worker.isa.layout, worker.sequences.decoder, still)
    worker.close()
    assert [word.hex() for word in small.code] == ["33000000"]
    assert small.state.registers["X"] == tuple(0x100 if number == 9 else 0 for number in range(32))
    assert not any(small.state.registers["F"])
    assert small.state.memory.count(0) == WINDOW_SIZE - 1


# ---------------------------------------------------------------- workers and the command


def test_a_worker_that_dies_is_reported(folder: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        campaign = Campaign(Order(str(folder), "tiers", 4), executor, 1, cases=5)
        executor.submit(os.abort)
        with pytest.raises(IsomorphError, match=r"a worker process died .* --seed 4 --first 0 --cases 5"):
            campaign.run(lambda tally: None)


def test_batches_do_not_depend_on_the_jobs(folder: Path) -> None:
    order = Order(str(folder), "tiers", 2)
    whole = run_batch(order, 0, 12)
    parts = Tally()
    for first in (0, 5, 9):
        parts.add(run_batch(order, first, {0: 5, 5: 4, 9: 3}[first]))
    assert parts == whole


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["z80"], 1, "isomorph: fuzz: there is no instruction set 'z80'"),
        (["riscv64", "--insn", "adc"], 1, "isomorph: fuzz: there is no instruction 'adc' of riscv64"),
        (["riscv64", "--insn", "ecall", "--against", "qemu"], 1, "isomorph: fuzz: qemu is not asked about instruction"),
        (["riscv64", "--seconds", "soon"], 2, "argument --seconds: 'soon' is not a number of seconds"),
        (["riscv64", "--seconds", "inf"], 2, "argument --seconds: 'inf' is not a number of seconds"),
        (["riscv64", "--jobs", "0"], 2, "argument --jobs: '0' is not a whole number above 0"),
        (["riscv64", "--seed", "-1"], 2, "argument --seed: '-1' is not a whole number"),
        (["riscv64", "--against", "bochs"], 2, "argument --against: invalid choice: 'bochs'"),
        (["riscv64", "--output", "/nowhere"], 2, "--output: /nowhere is not a folder"),
        (["--replay", "/nowhere"], 1, "isomorph: fuzz: /nowhere: No such file or directory"),
        ([], 2, "which instruction set?"),
    ],
)
def test_wrong_command_lines_are_one_line(words: list[str], status: int, message: str) -> None:
    require_build("riscv64")
    if "qemu" in words and shutil.which("qemu-riscv64") is None:
        pytest.skip("no qemu-riscv64 (Debian package qemu-user)")
    done = subprocess.run(isomorph("fuzz", *words), capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert done.returncode == status
    assert message in done.stderr
    assert len([line for line in done.stderr.splitlines() if not line.startswith("usage:")]) == 1


def test_ctrl_c_leaves_a_report() -> None:
    require_build("riscv64")
    command = [*isomorph("fuzz", "riscv64", "--seconds", "600", "--jobs", "1")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == "riscv64 against tiers, seed 0\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert " cases, " in out, err
    assert ", stopped" in out
    assert "coverage: " in out
    assert process.returncode == 130
    assert not err


def test_a_cluster_without_dask_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    require_build("riscv64")
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["riscv64", "--cluster", "local"]) == 1
    assert capsys.readouterr().err == "isomorph: fuzz: --cluster needs Dask: pip install 'isomorph[cluster]'\n"


def test_a_local_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    """The same worker, run by Dask's processes."""
    require_build("riscv64")
    pytest.importorskip("distributed", reason="Dask is not installed (pip install 'isomorph[cluster]')")
    assert main(["riscv64", "--cluster", "local", "--cases", "60", "--jobs", "2"]) == 0
    assert "\n60 cases, " in capsys.readouterr().out


def test_random_states_differ() -> None:
    """The control of everything above: cases are not all alike."""
    worker = made(require_build("riscv64"), "tiers")
    lengths = {len(worker.sequences.case(Random(number)).code) for number in range(40)}
    assert len(lengths) > 5
    worker.close()
