"""Programs with threads under the eyes of Python: hooks are called for every thread, a run that ends pauses all."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from isomorph import Emulator
from isomorph.errors import IsomorphError
from isomorph.process import CAPTURE, Process
from isomorph.stop import StopKind
from tests.tools import compile_c, require_build

SOURCE = r"""
#include <pthread.h>
#include <stdio.h>
static pthread_barrier_t barrier;
volatile int shared[4];
volatile int stop;
void mark(long number, int round) { shared[number] = round; __asm__ volatile(""); }
void *body(void *number) {
    pthread_barrier_wait(&barrier);
    for (int i = 1; i <= 25; i++)
        mark((long)number, i);
    return 0;
}
void *spin(void *number) { while (!stop) shared[(long)number]++; return 0; }
int main(int count, char **arguments) {
    pthread_t threads[4];
    pthread_barrier_init(&barrier, 0, 4);
    for (long i = 0; i < 4; i++)
        pthread_create(&threads[i], 0, count > 1 ? spin : body, (void *)i);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], 0);
    printf("%d %d %d %d\n", shared[0], shared[1], shared[2], shared[3]);
    return 7;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_build("riscv64")
    source = tmp_path_factory.mktemp("source") / "threads.c"
    source.write_text(SOURCE)
    flags = ["-O1", "-static", "-pthread", "-fno-inline"]
    return compile_c("riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu", [source], flags)


def symbol(program: Path, name: str) -> int:
    with program.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        found = table.get_symbol_by_name(name)
        assert found is not None
        return int(found[0]["st_value"])


def test_code_hooks_see_every_thread(program: Path) -> None:
    mark = symbol(program, "mark")
    seen: Counter[int] = Counter()
    process = Process(program, stdout=CAPTURE)
    with process:

        @process.hook.code(begin=mark, end=mark + 1)
        def code(emulator: Emulator, address: int, size: int) -> None:
            assert emulator.regs.pc == address == mark
            seen[emulator.regs.a0] += 1

        assert process.run().kind is StopKind.EXITED
        assert (process.status, process.stdout) == (7, b"25 25 25 25\n")
    assert seen == dict.fromkeys(range(4), 25)


def test_memory_hooks_see_every_thread(program: Path) -> None:
    shared = symbol(program, "shared")
    seen: dict[int, list[int]] = {number: [] for number in range(4)}
    process = Process(program, stdout=CAPTURE)
    with process:

        @process.hook.mem_write(begin=shared, end=shared + 16)
        def write(emulator: Emulator, address: int, size: int, value: int) -> None:
            assert size == 4
            seen[(address - shared) // 4].append(value)

        process.run()
        assert process.stdout == b"25 25 25 25\n"
    assert seen == {number: list(range(1, 26)) for number in range(4)}


def test_a_hook_that_raises_ends_the_run_and_all_go_on_later(program: Path) -> None:
    mark = symbol(program, "mark")
    raised = 0
    process = Process(program, stdout=CAPTURE)
    with process:

        @process.hook.code(begin=mark, end=mark + 1)
        def code(emulator: Emulator, address: int, size: int) -> None:
            nonlocal raised
            if emulator.regs.a1 % 10 == 0 and raised < 4:
                raised += 1
                raise ValueError("a tenth round")

        times = 0
        while process.status is None:
            try:
                process.run()
            except ValueError:
                times += 1
        assert times >= 1
        assert (process.status, process.stdout) == (7, b"25 25 25 25\n")


def test_nothing_runs_between_runs(program: Path) -> None:
    shared = symbol(program, "shared")
    process = Process(program, ["spin"], stdout=CAPTURE)
    with process:
        before = bytes(16)
        for _ in range(400):  # until it has come so far, however busy the host is
            assert process.run(timeout=0.3).kind is StopKind.TIMEOUT
            before = process.mem.read(shared, 16)
            assert process.mem.read(shared, 16) == before
            if all(before[at : at + 4] != bytes(4) for at in range(0, 16, 4)):
                break
        assert bytes(4) not in (before[:4], before[4:8], before[8:12], before[12:])
        with pytest.raises(IsomorphError, match="has 5 threads"):
            process.snapshot()
        process.mem.write(symbol(program, "stop"), b"\1\0\0\0")
        process.run()
        assert process.status == 7


def test_until_stops_whichever_thread_comes_there(program: Path) -> None:
    body = symbol(program, "mark")
    process = Process(program, stdout=CAPTURE)
    with process:
        stop = process.run(until=body)
        assert (stop.kind, stop.pc) == (StopKind.UNTIL, body)
        process.run()
        assert process.stdout == b"25 25 25 25\n"


def test_closed_with_threads_running(program: Path) -> None:
    process = Process(program, ["spin"], stdout=CAPTURE)
    process.run(timeout=0.2)
    process.close()


def test_hooks_added_and_removed_while_threads_run(program: Path) -> None:
    mark, body = symbol(program, "mark"), symbol(program, "body")
    counts: Counter[str] = Counter()
    process = Process(program, stdout=CAPTURE)
    with process:

        @process.hook.code(begin=body, end=body + 1)
        def begins(emulator: Emulator, address: int, size: int) -> None:
            counts["begins"] += 1
            handle = process.hook.block(lambda *_: None)
            process.hook.code(lambda *_: counts.update(("mark",)), begin=mark, end=mark + 1)
            handle.remove()

        process.run()
        assert process.stdout == b"25 25 25 25\n"
    assert counts["begins"] == 4
    assert counts["mark"] >= 100
