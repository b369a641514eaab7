"""Debian's busybox for riscv64 does under isomorph what it does under qemu-user: hundreds of its commands.

A line of busybox/*.txt is an applet and its arguments, separated by single spaces (two make an empty argument), with \t
for a tab and `< file` for its input.  They run one after the other in a folder with the files that `prepare` makes.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.debian import sysroot
from tests.tools import Outcome, isomorph, require_build, run, tool

SUITES = sorted((Path(__file__).parent / "busybox").glob("*.txt"))
SCRIPTS = sorted((Path(__file__).parent / "busybox").glob("*.sh"))
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "PYTHONPATH": str(ROOT), "HOME": "/nowhere"}
ENVIRONMENT["ISOMORPH_CACHE"] = str(ROOT / "build" / "tests" / "regions")
LONG_AGO = 1_000_000_000

WORDS = b"one\ntwo\nthree\nfour\nfive\nsix\nseven\nTwo\nOne\n"
POEM = (
    b"The fog comes\non little cat feet.\n\nIt sits looking\nover harbor and city\non silent haunches\n"
    b"and then moves on, the end of the poem.\n"
)
FILES = {
    "words": WORDS,
    "words2": WORDS.replace(b"three\n", b"3\n").replace(b"six\n", b"six\nsix and a half\n"),
    "numbers": b"".join(b"%d\n" % (number * number % 101) for number in range(20)),
    "poem": POEM,
    "tabs": b"a\tb\tc\n        eight\n\tx  y\n    \tz\n",
    "bytes": bytes(range(256)) + b"a string of text\0another one\0\x80\xff",
    "duplicates": b"a\na\nb\nB\nc c\nc c\nc c\nd\na\n",
    "table": b"pear 3 green\napple 10 red\nplum 3 blue\nfig 1 purple\napple 2 green\n",
    "passwd": b"root:x:0:0:root:/root:/bin/sh\nbin:x:2:2:bin:/bin:/none\nalice:x:1000:1000:A:/home/alice:/bin/ash\n",
    "encoded": b"aGVsbG8gd29ybGQhCg==\n",
    "coded": b'begin 644 words\n$;VYE"@``\n`\nend\n',
    "sums": b"5d41402abc4b2a76b9719d911017c592  hello\n7e08c9b42f2d4d2ba7a6c9bd2a4ee35f  words\n",
    "copy": WORDS,
    "copy2": WORDS,
    "script.sed": b"1d\n/four/{s/f/F/\nn\ns/$/!/\n}\n",
    "script.awk": b'BEGIN { FS = " " }\n$2 > 2 { total[$1] += $2 }\nEND { print total["apple"], total["pear"] }\n',
    "sums.bc": b"scale=10\n1/3\n2^100\nsqrt(2)\ndefine f(n) { if (n < 2) return 1; return n * f(n - 1); }\nf(20)\n"
    b"obase=16\n255\nibase=2\n1010\n",
    "sums.dc": b"2 3 + p 10 k 2 v p 16 o 255 p\n",
    "change.diff": b"--- words\n+++ words\n@@ -2,3 +2,3 @@\n two\n-three\n+3\n four\n",
    "stamp": b"",
    "no": b"n\n",
    "words.gz": gzip.compress(WORDS, mtime=0),
    "words.bz2": bz2.compress(WORDS),
    "words.xz": lzma.compress(WORDS),
    "broken.gz": gzip.compress(POEM, mtime=0)[:-12] + bytes(12),
    "words.a": b"!<arch>\n" + b"words/          1000000000  0     0     100644  %-10d`\n" % len(WORDS) + WORDS,
    "tree/leaf1.txt": b"leaf one\n",
    "tree/leaf2.txt": b"leaf two, a little longer\n",
    "tree/.hidden": b"",
    "tree/sub/leaf3": b"x" * 5000,
    "tree/sub/sub/leaf4.txt": b"deep\n",
    "tree/empty/.keep": b"",
}


def prepare(folder: Path) -> None:
    """Make the folder that commands run in, the same each time."""
    folder.mkdir()
    for name, data in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o644)
    (folder / "tree/empty/.keep").unlink()
    (folder / "tree/sub/leaf3").chmod(0o600)
    (folder / "link").symlink_to("words")
    (folder / "tree/up").symlink_to("../words")
    with tarfile.open(folder / "stamped.tar", "w") as archive:
        for name in ("words", "poem"):
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(FILES[name]), LONG_AGO
            archive.addfile(member, io.BytesIO(FILES[name]))
    with zipfile.ZipFile(folder / "words.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr(zipfile.ZipInfo("words", (2001, 9, 9, 1, 46, 40)), WORDS)
    (folder / "tree.cpio").write_bytes(
        _cpio("made.x", 0o100644, b"from cpio\n") + _cpio("made.y", 0o100600, WORDS) + _cpio("TRAILER!!!", 0, b"")
    )
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (LONG_AGO, LONG_AGO + len(path.name)), follow_symlinks=False)
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)


def _cpio(name: str, mode: int, data: bytes) -> bytes:
    """A member of an archive of cpio's "newc" kind."""
    fields = (1, mode, 0, 0, 1, LONG_AGO, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Modes and contents of all files; archives, which hold the time, by their names only."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        data = b""
        if stat.S_ISLNK(mode):
            data = os.fsencode(path.readlink())
        elif stat.S_ISREG(mode) and path.suffix not in (".tar", ".gz"):
            data = path.read_bytes()
        found[str(path.relative_to(folder))] = mode, data
    return found


@pytest.fixture(scope="module")
def busybox() -> str:
    require_build("riscv64")
    tool("qemu-riscv64", "qemu-user")
    return str(sysroot("riscv64", "trixie", ["busybox-static"]) / "usr/bin/busybox")


def parse(line: str) -> tuple[list[str], str | None]:
    """A command's words, and the file that is its input."""
    words = [word.replace("\\t", "\t") for word in line.split(" ")]
    if len(words) > 2 and words[-2] == "<":
        return words[:-2], words[-1]
    return words, None


def run_all(launch: list[str], lines: list[str], folder: Path) -> tuple[list[Outcome], dict[str, tuple[int, bytes]]]:
    """Run every command in the prepared folder."""
    prepare(folder)
    outcomes = []
    before = os.getcwd()
    os.chdir(folder)
    try:
        for line in lines:
            words, source = parse(line)
            stdin = Path(source).read_bytes() if source else b""
            outcomes.append(run([*launch, *words], stdin=stdin, environment=ENVIRONMENT))
        return outcomes, contents(folder)
    finally:
        os.chdir(before)
        shutil.rmtree(folder)


@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path.stem)
def test_applets(suite: Path, busybox: str, tmp_path: Path) -> None:
    lines = suite.read_text().splitlines()
    folder = tmp_path / "work"
    expected, files_expected = run_all(["qemu-riscv64", busybox], lines, folder)
    actual, files = run_all(isomorph("run", busybox), lines, folder)
    differing = [
        (line, wanted, got) for line, wanted, got in zip(lines, expected, actual, strict=True) if wanted != got
    ]
    assert differing == []
    assert files == files_expected
    # It is of no use to compare error messages: most commands must have worked.
    assert sum(outcome.status == 0 for outcome in expected) > 0.8 * len(lines)


def root_with_shell(folder: Path, busybox: str) -> Path:
    """A root in which /bin/sh is a guest's program: what popen and system start; all links in it are absolute."""
    root = folder / "root"
    (root / "usr/bin").mkdir(parents=True)
    (root / "bin").symlink_to("/usr/bin")
    shutil.copy(busybox, root / "usr/bin/busybox")
    (root / "usr/bin/sh").symlink_to("/bin/busybox")
    return root


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_scripts(script: Path, busybox: str, tmp_path: Path) -> None:
    """The oracle is the same version of busybox for this machine: under qemu-user a guest cannot exec its likes."""
    native = str(sysroot("amd64", "trixie", ["busybox-static"]) / "usr/bin/busybox")
    lines = [f"sh {script}"]
    folder = tmp_path / "work"
    expected, files_expected = run_all([native], lines, folder)
    actual, files = run_all(isomorph("run", "-L", str(root_with_shell(tmp_path, busybox)), busybox), lines, folder)
    assert actual[0].stdout.decode().splitlines() == expected[0].stdout.decode().splitlines()
    assert actual[0].stderr.decode().splitlines() == expected[0].stderr.decode().splitlines()
    assert actual[0].status == expected[0].status
    assert files == files_expected
    assert expected[0].status == 7, expected[0].stderr
