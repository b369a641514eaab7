"""Writing build/<isa>/: Python modules first, then handlers and decoder compiled shard by shard, then STAMP.

The three stages are functions of paths, so that worker processes can run them: `prepare` (spec to Python modules and
LLVM IR), `compile_shard` (one IR file to one object), `finish` (objects to blobs, and everything into place).  Objects
stay in build/<isa>/objects under the digest of what they were made from: the next time, only what changed is compiled.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from gen import model, stamp
from gen.checked import CHECKED

#: where an ISA's files are made before they are moved into place
WORK = ".work"
MODULES = ("state.py", "translate.py", "syntax.py", "abi.py", "gdb.py", "oracle.py")
#: the code for user programs, and that for a machine, which not every spec describes
BLOB, SYSTEM_BLOB = "native.blob", "system.blob"
IR_FOLDER = "ir"
SYSTEM_FOLDER = "system"  # in the former
OBJECTS_FOLDER = "objects"
TESTS_FOLDER = "tests"


@dataclass(slots=True)
class Report:
    """What a stage made and how long its parts took."""

    shards: list[Path] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class _Clock:
    """Adds the time since the last call to a phase."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds = seconds
        self._last = time.monotonic()

    def phase(self, name: str) -> None:
        now = time.monotonic()
        self._seconds[name] = self._seconds.get(name, 0.0) + now - self._last
        self._last = now


def prepare(path: Path, search: tuple[Path, ...], parameters: Mapping[str, int], out: Path) -> Report:
    """Check a spec and print everything of it but machine code into the work folder of `out`."""
    stamp.generator_digest()  # now: a generator edited from here on is not the one that ran
    from gen import checked, names
    from gen.elaborate import check_module

    report = Report()
    clock = _Clock(report.seconds)
    module = names.load(path, search, parameters)
    spec = check_module(module)
    clock.phase("check")
    prepare_spec(spec, parameters, out, report, clock)
    checked.write(out / WORK / CHECKED, module, spec)
    clock.phase("keep")
    return report


def prepare_spec(
    spec: model.Spec,
    parameters: Mapping[str, int],
    out: Path,
    report: Report | None = None,
    clock: _Clock | None = None,
) -> Report:
    """`prepare` for a spec already checked."""
    from gen import abi, gdb, oracles, python_emitter, state, suites, syntax_tables
    from gen.loading import load_source
    from gen.native import generate_ir, is_machine

    report = report or Report()
    clock = clock or _Clock(report.seconds)
    work = out / WORK
    shutil.rmtree(work, ignore_errors=True)
    (work / IR_FOLDER / SYSTEM_FOLDER).mkdir(parents=True)
    layout = state.layout_of(spec)
    texts = {
        "state.py": state.source(layout),
        "translate.py": python_emitter.module_source(spec),
        "syntax.py": syntax_tables.module_source(spec),
        "gdb.py": gdb.module_source(spec, layout),
    }
    abi_text = abi.module_source(spec, layout)
    if abi_text is not None:
        texts["abi.py"] = abi_text
    oracle_text = oracles.module_source(spec, layout)
    if oracle_text is not None:
        texts["oracle.py"] = oracle_text
    for name, text in texts.items():
        (work / name).write_text(text, encoding="utf-8")
    (work / stamp.STAMP).write_text(stamp.write(spec.sources, parameters), encoding="utf-8")
    clock.phase("print")
    words = suites.write(spec, work / TESTS_FOLDER)
    clock.phase("tests")
    module = load_source(work / "translate.py")
    clock.phase("load")
    _write_ir(generate_ir(spec, layout, module, report.counts), work / IR_FOLDER, report)
    if is_machine(spec):
        modules = generate_ir(spec, replace(layout, machine=True), module, {})
        _write_ir(modules, work / IR_FOLDER / SYSTEM_FOLDER, report)
    report.counts["test words"] = words
    clock.phase("handlers")
    report.warnings = spec.warnings
    return report


def _write_ir(modules: Iterable[tuple[str, str]], folder: Path, report: Report) -> None:
    for name, text in modules:
        path = folder / f"{name}.ll"
        path.write_text(text, encoding="utf-8")
        report.shards.append(path)


def _object(path: Path) -> Path:
    """Where the object of an IR file is kept."""
    work = next(folder for folder in path.parents if folder.name == WORK)
    return work.parent / OBJECTS_FOLDER / f"{stamp.shard_digest(path.read_bytes())}.o"


def compile_shard(path: Path) -> float:
    """One IR file to the object beside it; gives the seconds it took."""
    start = time.monotonic()
    kept, made = _object(path), path.with_suffix(".o")
    if kept.is_file():
        shutil.copyfile(kept, made)
    else:
        from runtime.tcg.llvm import compile_ir

        made.write_bytes(compile_ir(path.read_text(encoding="utf-8")))
    return time.monotonic() - start


def finish(out: Path, shards: list[Path]) -> float:
    """Link the objects and move everything into place, STAMP last; gives the seconds it took."""
    from runtime.tcg import link
    from runtime.tcg.native import LAYOUTS, layouts

    start = time.monotonic()
    work = out / WORK
    (work / OBJECTS_FOLDER).mkdir()
    for blob, folder in ((BLOB, IR_FOLDER), (SYSTEM_BLOB, SYSTEM_FOLDER)):
        objects = [path.with_suffix(".o") for path in shards if path.parent.name == folder]
        if objects:
            code, symbols = link.link([path.read_bytes() for path in objects])
            link.write_blob(work / blob, code, symbols, {"isa": out.name, LAYOUTS: layouts()})
    for path in shards:
        os.replace(path.with_suffix(".o"), work / OBJECTS_FOLDER / _object(path).name)
    (out / stamp.STAMP).unlink(missing_ok=True)
    for name in (*MODULES, CHECKED, BLOB, SYSTEM_BLOB):
        if (work / name).exists():
            os.replace(work / name, out / name)
        else:
            (out / name).unlink(missing_ok=True)
    for name in (IR_FOLDER, TESTS_FOLDER, OBJECTS_FOLDER):
        shutil.rmtree(out / name, ignore_errors=True)
        os.replace(work / name, out / name)
    os.replace(work / stamp.STAMP, out / stamp.STAMP)
    shutil.rmtree(work)
    return time.monotonic() - start


def generate(spec: model.Spec, out: Path, parameters: Mapping[str, int] | None = None) -> Report:
    """Everything of a checked spec into `out`, in this process."""
    report = prepare_spec(spec, parameters or {}, out)
    report.seconds["compile"] = sum(compile_shard(path) for path in report.shards)
    report.seconds["link"] = finish(out, report.shards)
    return report
