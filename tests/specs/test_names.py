"""Modules: what `extends`, `include`, `override`, `with` and `param` make of several files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from gen import tree
from gen.errors import SpecError
from gen.names import Module, load

BASE = """isa base
param SIZE : {32, 64} = 32
param DEPTH = SIZE / 8
const TWICE = SIZE * 2
reg a, b : bit
fn f(x : bit) -> bit = x
insns (k) "000000 {k}" "{name}"
    one 01
    two 10
    do pass
"""


def spec(folder: Path, files: Mapping[str, str], parameters: Mapping[str, int] | None = None) -> Module:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return load(folder / next(iter(files)), [folder / "library"], parameters)


def errors(folder: Path, files: Mapping[str, str], parameters: Mapping[str, int] | None = None) -> list[str]:
    with pytest.raises(SpecError) as caught:
        spec(folder, files, parameters)
    return [diagnostic.message for diagnostic in caught.value.diagnostics]


def test_bases_come_first_and_once(tmp_path: Path) -> None:
    module = spec(
        tmp_path,
        {
            "top.isa": "isa top extends left, right\nreg t : bit\n",
            "left.isa": "isa left extends base\nreg l : bit\n",
            "library/base.isa": BASE,
            "library/right.isa": 'isa right extends base\ninclude "part.isa"\nreg r : bit\n',
            "library/part.isa": "reg p : bit\n",
        },
    )
    assert module.name == "top"
    assert module.isas == ("base", "left", "right", "top")
    assert list(module.regs) == ["a", "b", "l", "p", "r", "t"]
    assert [declared.isa for declared in module.regs.values()] == ["base", "base", "left", "right", "right", "top"]
    assert [Path(file).name for file in module.files] == ["top.isa", "left.isa", "base.isa", "right.isa", "part.isa"]
    assert set(module.sources) == set(module.files)


def test_one_file_by_two_paths(tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "base.isa").write_text(BASE, encoding="utf-8")
    (tmp_path / "base.isa").symlink_to(tmp_path / "library" / "base.isa")
    module = spec(tmp_path, {"top.isa": "isa top extends base, more\n", "library/more.isa": "isa more extends base\n"})
    assert module.isas == ("base", "more", "top")


def test_the_case_of_a_file_s_name_is_a_second_choice(tmp_path: Path) -> None:
    assert spec(tmp_path, {"top.isa": "isa Top extends BASE\n", "base.isa": "isa Base\n"}).isas == ("Base", "Top")


def test_an_include_by_two_isas_counts_once(tmp_path: Path) -> None:
    module = spec(
        tmp_path,
        {
            "top.isa": 'isa top extends base\ninclude "part.isa"\noverride fn g(x : bit) -> bit = not x\n',
            "base.isa": 'isa base\ninclude "part.isa"\n',
            "part.isa": "fn g(x : bit) -> bit = x\n",
        },
    )
    assert module.functions["g"].isa == "top"


def test_override_takes_out_single_rows_and_names(tmp_path: Path) -> None:
    module = spec(
        tmp_path,
        {
            "top.isa": 'isa top extends base\noverride insn one "11000000" "one" : pass\n'
            "override fn f(x : bit) -> bit = not x\noverride const SIZE = 48\n",
            "base.isa": BASE,
        },
    )
    tables = [declared.decl for declared in module.instructions]
    assert [[row.name.name for row in t.rows] if isinstance(t, tree.Insns) else t.name.name for t in tables] == [
        ["two"],
        "one",
    ]
    assert module.functions["f"].isa == "top"
    assert "SIZE" not in module.parameters
    assert module.constants == {"TWICE": 96, "SIZE": 48}
    assert [(o.kind, o.name, o.isa, o.of) for o in module.overrides] == [
        ("instruction", "one", "top", "base"),
        ("function", "f", "top", "base"),
        ("constant", "SIZE", "top", "base"),
    ]


def test_override_of_all_rows_removes_the_table(tmp_path: Path) -> None:
    module = spec(
        tmp_path,
        {
            "top.isa": 'isa top extends base\noverride insns (k) "110000 {k}" "{name}"\n    one 01\n    two 10\n'
            "    do pass\n",
            "base.isa": BASE,
        },
    )
    assert len(module.instructions) == 1


def test_override_twice_in_a_row(tmp_path: Path) -> None:
    module = spec(
        tmp_path,
        {
            "top.isa": "isa top extends mid\noverride fn f(x : bit) -> bit = 1\n",
            "mid.isa": "isa mid extends base\noverride fn f(x : bit) -> bit = 0\n",
            "base.isa": BASE,
        },
    )
    assert [(o.isa, o.of) for o in module.overrides] == [("mid", "base"), ("top", "mid")]
    assert len(module.functions) == 1


def test_bit_order_is_the_file_s(tmp_path: Path) -> None:
    module = spec(
        tmp_path,
        {
            "top.isa": 'isa top extends base\nbitorder msb0\ninclude "part.isa"\nreg t : bit\n',
            "base.isa": BASE,
            "part.isa": "reg p : bit\n",
        },
    )
    assert [(name, declared.msb0) for name, declared in module.regs.items()] == [
        ("a", False),
        ("b", False),
        ("p", False),
        ("t", True),
    ]


def test_system_registers_gather_in_their_table(tmp_path: Path) -> None:
    table = "sysregs CSR[12] : bits(32)  missing raise Bad\n"
    module = spec(
        tmp_path,
        {
            "top.isa": "isa top extends base\n" + table + "    0x1 one\n",
            "base.isa": "isa base\nexception Bad = 1\n" + table,
        },
    )
    assert [row.names[0].name.name for row in module.sysregs["CSR"].decl.rows] == ["one"]


@pytest.mark.parametrize(
    ("files", "parameters", "expected"),
    [
        ({"top.isa": "isa top extends base\n"}, {}, {"SIZE": 32, "DEPTH": 4}),
        ({"top.isa": "isa top extends base with SIZE = 64\n"}, {}, {"SIZE": 64, "DEPTH": 8}),
        ({"top.isa": "isa top extends base with SIZE = 64\n"}, {"SIZE": 32}, {"SIZE": 32, "DEPTH": 4}),
        ({"top.isa": "isa top extends base with DEPTH = SIZE - 2\n"}, {"SIZE": 64}, {"SIZE": 64, "DEPTH": 62}),
        (
            {"top.isa": "isa top extends mid with SIZE = 32\n", "mid.isa": "isa mid extends base with SIZE = 64\n"},
            {},
            {"SIZE": 32, "DEPTH": 4},
        ),
        (
            {"top.isa": "isa top extends mid, base\n", "mid.isa": "isa mid extends base with SIZE = 64\n"},
            {},
            {"SIZE": 64, "DEPTH": 8},
        ),
        (
            {
                "top.isa": "isa top extends one, two\n",
                "one.isa": "isa one extends base with SIZE = 64\n",
                "two.isa": "isa two extends base with SIZE = 2 * 32\n",
            },
            {},
            {"SIZE": 64, "DEPTH": 8},
        ),
        (
            {
                "top.isa": "isa top extends one, two with SIZE = 32\n",
                "one.isa": "isa one extends base with SIZE = 64\n",
                "two.isa": "isa two extends base with SIZE = 32\n",
            },
            {},
            {"SIZE": 32, "DEPTH": 4},
        ),
    ],
)
def test_parameters(
    tmp_path: Path, files: dict[str, str], parameters: dict[str, int], expected: dict[str, int]
) -> None:
    module = spec(tmp_path, files | {"base.isa": BASE}, parameters)
    assert module.parameters == expected
    assert module.constants["TWICE"] == expected["SIZE"] * 2


def test_parameters_from_outside_are_checked(tmp_path: Path) -> None:
    files = {"top.isa": "isa top extends base\n", "base.isa": BASE}
    assert errors(tmp_path, files, {"SIZE": 33}) == ["parameter 'SIZE' cannot be 33"]
    assert errors(tmp_path, files, {"SIDE": 32}) == ["no parameter 'SIDE'"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7 / 2", 3),
        ("-7 / 2", -3),
        ("-7 % 2", -1),
        ("7 %u 4", 3),
        ("1 << 4 | 3", 19),
        ("0xF0 & ~0x30", 0xC0),
        ("6 ^ 3", 5),
        ("256 >>u 4", 16),
        ("1 <s 2 and 2 >=u 2", 1),
        ("not 1 or 3 != 3", 0),
        ("0 and 1 / 0", 0),
        ("if 1 == 2 then 1 / 0 elif 2 == 2 then 5 else 6", 5),
        ("B - 1", 9),
    ],
)
def test_constants(tmp_path: Path, text: str, value: int) -> None:
    assert spec(tmp_path, {"top.isa": f"isa top\nconst A = {text}\nconst B = 10\n"}).constants["A"] == value


def test_deep_chains_of_files(tmp_path: Path) -> None:
    files = {f"a{i}.isa": f"isa a{i} extends a{i + 1}\n" for i in range(200)} | {"a200.isa": "isa a200\n"}
    assert errors(tmp_path, files) == ["more than 64 files are built on each other"]


def test_a_spec_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load(tmp_path / "none.isa")
    assert str(caught.value) == f"{tmp_path / 'none.isa'}: error: there is no such file\n"


def test_unreadable_base(tmp_path: Path) -> None:
    (tmp_path / "base.isa").mkdir()
    assert errors(tmp_path, {"top.isa": "isa top extends base\n"}) in (
        ["there is no isa 'base'"],
        [f"{tmp_path / 'base.isa'} is a directory, not a spec"],
    )
