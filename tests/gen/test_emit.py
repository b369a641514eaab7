"""The command line: which specs are machines, when there is nothing to do, what errors look like."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gen import emit, schedule, stamp
from gen.guests import guests, uses
from tests.gen import toy

ROOT = Path(__file__).resolve().parent.parent.parent

SPEC = """\
isa tiny
pc PC : bits(32)
regs X[4] : bits(32)
memory M : bits(32) endian little
decode T : 16 little
exception Illegal = 0
insn add "d:2 s:2 000000000001" "add {d}, {s}" : X[d] = X[d] + X[s]
"""


#: an operand that is told a value that only the running program knows
NOT_GENERATED = """
operand far(a : bits(32)) -> bits(32)
    "/ k:16" "{k}" = a + zext(k)
insn far "0000000000000010" "far {e}" with e = far(X[0]) : X[0] = e
"""


def gen(*arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """`python -m gen …`"""
    return subprocess.run(
        [sys.executable, "-m", "gen", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "specs" / "tiny.isa"
    path.parent.mkdir()
    path.write_text(SPEC)
    return path


def test_headers_say_what_a_spec_uses() -> None:
    text = 'isa a extends b, c with XLEN = 64  # d\ninclude "prelude.isa"\n# isa x extends y\n'
    assert uses(text) == {"b", "c", "prelude"}
    assert uses("isa a extends b # c\n") == {"b"}


def test_machines_are_what_nothing_extends_or_includes(tmp_path: Path) -> None:
    for name, text in {
        "base": "isa base\n",
        "more": "isa more extends base\n",
        "machine": 'isa machine extends more, base with P = 1\ninclude "floats.isa"\n',
        "floats": "isa floats\n",
        "lone": "isa lone\n",
    }.items():
        (tmp_path / f"{name}.isa").write_text(text)
    assert [path.stem for path in guests(tmp_path)] == ["lone", "machine"]


def test_from_nothing_then_nothing_to_do(spec: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    first = gen(spec, "--build", build, "--jobs", "1")
    assert first.returncode == 0, first.stderr
    assert "tiny: 1 instructions" in first.stdout
    folder = build / "tiny"
    assert {"state.py", "translate.py", "native.blob", "STAMP"} <= {path.name for path in folder.iterdir()}
    assert not (folder / emit.WORK).exists()
    before = (folder / "native.blob").stat().st_mtime_ns

    start = os.times()
    again = gen(spec, "--build", build, "--verbose")
    end = os.times()
    assert end.children_user + end.children_system - start.children_user - start.children_system < 0.5
    assert again.stdout == "gen: everything is up to date\n"
    assert (folder / "native.blob").stat().st_mtime_ns == before

    spec.write_text(SPEC + "# changed\n")
    assert "to be generated" in gen(spec, "--build", build, "--list").stdout


def test_the_check_imports_nothing_slow(spec: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from gen.__main__ import main; main(sys.argv[1:]); "
        "print([m for m in ('lark', 'jinja2', 'llvmlite', 'rich') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(spec), "--build", str(tmp_path), "--list"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


def test_a_spec_with_errors_leaves_what_was_there(spec: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    assert gen(spec, "--build", build).returncode == 0
    spec.write_text(SPEC.replace("X[s]", "X[t]"))
    failed = gen(spec, "--build", build)
    assert failed.returncode == 1
    assert "tiny.isa:7:" in failed.stderr
    assert "error: " in failed.stderr
    assert "Traceback" not in failed.stderr
    assert (build / "tiny" / "native.blob").exists()


def test_an_unknown_name_lists_the_known_ones() -> None:
    failed = gen("nosuch")
    assert failed.returncode == 1
    assert "there is no spec 'nosuch'" in failed.stderr


def test_what_is_not_generated_yet_says_so(spec: Path, tmp_path: Path) -> None:
    spec.write_text(SPEC + NOT_GENERATED)
    failed = gen(spec, "--build", tmp_path / "build")
    assert failed.returncode == 1
    assert "not generated yet: an argument of operand 'e'" in failed.stderr


def die(*arguments: object) -> None:
    """What a worker that runs out of memory does."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_dead_worker_is_one_clear_error(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(emit, "prepare", die)
    assert schedule.run([spec], tmp_path / "build", 1, verbose=False) == 1
    assert capsys.readouterr().err == "gen: tiny: a worker process died (killed, or out of memory?)\n"


def test_the_stamp_knows_its_sources(tmp_path: Path, spec: Path) -> None:
    folder = tmp_path / "tiny"
    folder.mkdir()
    other = tmp_path / "other.isa"
    other.write_text("isa other\n")
    (folder / stamp.STAMP).write_text(stamp.write([str(spec), str(other)], {}))
    assert stamp.up_to_date(folder, spec, {})
    assert not stamp.up_to_date(folder, spec, {"XLEN": 64})
    other.write_text("isa other # edited\n")
    assert not stamp.up_to_date(folder, spec, {})
    other.unlink()
    assert not stamp.up_to_date(folder, spec, {})
    (folder / stamp.STAMP).write_text("{")
    assert not stamp.up_to_date(folder, spec, {})


def test_generating_in_this_process(tmp_path: Path) -> None:
    report = emit.generate(toy.SPEC, tmp_path)
    assert report.counts["instructions"] == len(toy.INSTRUCTIONS)
    assert set(report.seconds) >= {"print", "handlers", "compile", "link"}
