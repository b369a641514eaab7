"""`python -m bench.spec_sizes [QEMU'S SOURCES]`: lines of each spec, beside those of QEMU's decoder and translator.

Lines that are blank or comments are not counted, nor `test` lines of the specs; a file that several specs share counts
for each. QEMU's files are those that decode an instruction and emit TCG for it, and then, too, the helpers that compute
what TCG does not (floating point, saturation, strings). Specs hold all of that and more, so there are two ratios: the
lines of a spec that say what QEMU's decoder and translator do (bench/spec_parts.py has the rule) beside those of these,
and all lines beside those of these and the helpers. All lines beside decoder and translator alone are shown as well.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.spec_parts import STAND_FOR, functions_elsewhere, lines_of, lines_of_translation
from gen.elaborate import check
from gen.guests import uses
from runtime.core.cpu import load_isa

ROOT = Path(__file__).resolve().parent.parent
SPECS = ROOT / "specs"
_C_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)


@dataclass(frozen=True, slots=True)
class Counterpart:
    """What QEMU has for an ISA: patterns below target/."""

    translate: tuple[str, ...]
    helpers: tuple[str, ...]


_MIPS = Counterpart(
    ("mips/tcg/translate.[ch]", "mips/tcg/translate_addr_const.c"),
    ("mips/tcg/op_helper.c", "mips/tcg/ldst_helper.c", "mips/tcg/fpu_helper.c", "mips/fpu.c", "mips/fpu_helper.h"),
)
_RISCV = Counterpart(
    (
        "riscv/insn[13]?.decode",
        "riscv/translate.c",
        "riscv/insn_trans/trans_rv[abdfim].c.inc",
        "riscv/insn_trans/trans_privileged.c.inc",
        "riscv/instmap.h",
    ),
    ("riscv/op_helper.c", "riscv/fpu_helper.c", "riscv/bitmanip_helper.c", "riscv/csr.c", "riscv/pmp.c"),
)
_X86 = Counterpart(
    ("i386/tcg/translate.c", "i386/tcg/decode-new.*", "i386/tcg/emit.c.inc"),
    (
        "i386/ops_sse*.h",
        "i386/shift_helper_template.h",
        "i386/tcg/cc_helper*",
        "i386/tcg/[fim]*_helper.c",
    ),
)
QEMU = {
    "arm": Counterpart(
        (
            "arm/[at]*.decode",
            "arm/vfp*.decode",
            "arm/neon-*.decode",
            "arm/translate.[ch]",
            "arm/translate-a32.h",
            "arm/translate-vfp.c",
            "arm/translate-neon.c",
        ),
        ("arm/op_helper.c", "arm/op_addsub.h", "arm/vfp_helper.c", "arm/neon_helper.c"),
    ),
    "mips": _MIPS,
    "mipsel": _MIPS,
    "riscv32": _RISCV,
    "riscv64": _RISCV,
    "i386": _X86,
    "x86_64": _X86,
}


def files_of(spec: Path) -> list[Path]:
    """A spec's own file and all that it extends or includes."""
    found: list[Path] = []
    waiting = [spec]
    while waiting:
        path = waiting.pop()
        if path not in found and path.exists():
            found.append(path)
            waiting += [path.with_name(f"{name}.isa") for name in uses(path.read_text(encoding="utf-8"))]
    return found


def lines_of_qemu(root: Path, patterns: Iterable[str]) -> int:
    """Of all files that fit; each pattern has to find one."""
    count = 0
    for pattern in patterns:
        paths = sorted((root / "target").glob(pattern))
        if not paths:
            sys.exit(f"bench: {root} has no target/{pattern}: are these the sources of QEMU 7.2?")
        for path in paths:
            text = path.read_text(encoding="utf-8", errors="replace")
            comment = re.compile("#[^\n]*") if path.suffix == ".decode" else _C_COMMENT
            count += sum(bool(line.strip()) for line in comment.sub("", text).splitlines())
    return count


def require_stand_for(root: Path, theirs: Counterpart) -> None:
    """What specs leave out as another file's counterpart exists, and is not counted among QEMU's."""
    counted = {path for pattern in theirs.translate for path in (root / "target").glob(pattern)}
    for name, source in STAND_FOR.items():
        if not (root / source).is_file() or root / source in counted:
            sys.exit(f"bench: {name} is said to stand for {root / source}, which is not there or counted already")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.spec_sizes", description=__doc__)
    parser.add_argument("qemu", type=Path, nargs="?", help="QEMU's unpacked sources, of 7.2")
    options = parser.parse_args()
    columns = ["ISA", "lines", "encodings", "lines each", "of them decode and translate"]
    if options.qemu:
        columns += ["QEMU: decode and translate", "and helpers", "like for like", "all ÷ all", "÷ all lines"]
    print(f"| {' | '.join(columns)} |\n|---|{'--:|' * (len(columns) - 1)}")
    for isa, theirs in QEMU.items():
        spec = SPECS / f"{isa}.isa"
        files = files_of(spec)
        lines = sum(len(list(lines_of(path.read_text(encoding="utf-8")))) for path in files)
        elsewhere = functions_elsewhere(check(spec, (SPECS,)))
        counted = sum(len(lines_of_translation(path, elsewhere)) for path in files)
        cells = [isa, str(lines), "not generated", "", str(counted)]
        if (ROOT / "build" / isa / "syntax.py").exists():
            forms = len(load_isa(ROOT / "build" / isa).module("syntax").SYNTAX.forms)
            cells[2:4] = [str(forms), f"{lines / forms:.2f}"]
        if options.qemu:
            require_stand_for(options.qemu, theirs)
            emitting = lines_of_qemu(options.qemu, theirs.translate)
            everything = emitting + lines_of_qemu(options.qemu, theirs.helpers)
            cells += [str(emitting), str(everything)]
            cells += [f"{emitting / counted:.1f}", f"{everything / lines:.1f}", f"{emitting / lines:.1f}"]
        print(f"| {' | '.join(cells)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
