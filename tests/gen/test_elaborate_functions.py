"""Functions, aliases, system registers, flag groups: one instance for each distinct set of widths and arguments."""

from __future__ import annotations

from gen import model
from tests.gen.checking import FRAME, errors, instruction, probe, spec
from tests.gen.model_text import body, expression


def function(checked: model.Spec, name: str) -> str:
    return body(checked.functions[name].body)


def test_widths_are_inferred_and_each_set_is_one_instance() -> None:
    checked = spec(f"""
        fn top(a : bits(n), k : bits(m)) -> bits(n+m) = a ++ k[m-1:0]
        {FRAME}
            X[rd] = top(X[rs1][15:0], X[1][15:0]) + top(imm, X[2][19:0])
            X[1] = top(X[rs1][15:0], 0x1234 ++ 0b0)[31:0]
            X[2] = top(X[rs1][15:0], X[3][31:16])
    """)
    assert sorted(checked.functions) == ["top_12_20", "top_16_16", "top_16_17"]
    top = checked.functions["top_16_16"]
    assert (top.source, top.params, top.results, top.helper) == ("top", (("a", 16), ("k", 16)), (32,), False)
    assert function(checked, "top_16_16") == "return (a ++ k)"


def test_generation_time_arguments() -> None:
    checked = spec(f"""
        fn apply(f : fn, a : word, w) -> word = zext(f(a, a + 1)[w-1:0])
        fn low(a : word, b : word) -> word = if a <u b then a else b
        {FRAME}
            X[rd] = apply((+), X[rs1], 8) + apply(low, X[rs1], SIZE / 2) + apply((+), X[1], 8)
    """)
    assert sorted(checked.functions) == ["apply_add_8", "apply_low_16", "low"]
    assert function(checked, "apply_add_8") == "return zext((a add (a add 1'32))[0+8], 32)"
    assert function(checked, "apply_low_16") == "return zext(low(a, (a add 1'32))[0+16], 32)"


def test_columns_pass_functions_exceptions_and_numbers() -> None:
    checked = spec("""
        fn twice(f : fn, a : word) -> word = f(f(a, a), a)
        insns (f3, op, exc, n) "imm[11:0] rs1 {f3} rd 0010011" "{name:.} {rd}, {n}"
            add_n  000  (+)  Illegal  8
            and_n  001  (&)  Fault    0x10
            do
                if imm == 0: raise exc
                X[rd] = twice(op, X[rs1]) + n
    """)
    assert body(instruction(checked, "and_n").body) == (
        "if (<imm> eq 0'12):\n  raise Fault()\nX[<rd>] = (twice_and(X[<rs1>]) add 16'32)"
    )
    assert [part.text for part in instruction(checked, "add_n").syntax if isinstance(part, model.Literal)] == [
        "add.n ",
        ", 8",
    ]


def test_bit_strings_in_patterns_are_numbers_in_bodies() -> None:
    checked = spec("""
        insns (f3, k) "imm[11:0] rs1 {f3} rd 0010011" "{name} {rd}"
            a 010 010
            b 011 11
            do X[rd] = zext(f3 ++ 0b0) + k
    """)
    assert body(instruction(checked, "a").body) == f"X[<rd>] = {0b0100 + 10}'32"
    assert body(instruction(checked, "b").body) == f"X[<rd>] = {0b0110 + 11}'32"


def test_early_returns_and_locals_with_one_name() -> None:
    checked = spec(f"""
        fn f(a : word) -> word
            if a == 0:
                let t = a + 1
                return t
            let t = a + 2
            match a[0]:
                0: return t
                1: return 0
        {FRAME}
            X[rd] = f(X[rs1])
    """)
    assert function(checked, "f") == (
        "if (a eq 0'32):\n  let t = (a add 1'32)\n  return t\n"
        "let t_2 = (a add 2'32)\n"
        "if (a[0+1] eq 0'1):\n  return t_2\nelse:\n  return 0'32"
    )


def test_helpers_are_pure_and_loop_or_are_large() -> None:
    checked = spec(f"""
        fn loop(a : word) -> word
            var s : word = 0
            for i in 0 .. 31: s = s + zext(a[i])
            return s
        fn state(a : word) -> word
            var s : word = 0
            for i in 0 .. 31: s = s + X[i]
            return s + a
        fn flags(a : word) -> (word, bits(5))
            var s : word = a
            for i in 0 .. 3: s = host_add(s, s)
            return (s, host_flags())
        fn callsloop(a : word) -> word = loop(a) + 1
        {FRAME}
            let (a, b) = flags(X[rs1])
            X[rd] = callsloop(X[rs1]) + state(a) + zext(b)
    """)
    assert {name: found.helper for name, found in checked.functions.items()} == {
        "loop": True,
        "state": False,
        "flags": False,
        "callsloop": False,
    }


def test_a_large_function_of_modes_is_a_helper_that_is_given_them() -> None:
    steps = "\n".join("            s = (s ^ (if NAN then a else b)) + (s << 3)" for _ in range(20))
    checked = spec(f"""
        mode NAN : bit
        mode ROUND : bits(3)
        fn inner(a : word) -> word = if ROUND == 1 then a else a + 1
        fn large(a : word, b : word) -> word
            var s : word = inner(a)
{steps}
            return s
        fn small(a : word) -> word = if NAN then inner(a) else a
        {FRAME}
            X[rd] = large(X[rs1], X[rs1]) + small(X[rs1])
    """)
    found = {name: (function.helper, function.modes) for name, function in checked.functions.items()}
    assert found["large"] == (True, (("NAN", 1), ("ROUND", 3)))
    assert found["small"] == found["inner"] == (False, ())


def test_only_what_is_called_is_kept() -> None:
    checked = spec(f"""
        fn unused(a : bits(n), f : fn) -> bits(n) = f(a, a) + 1
        fn g(a : word) -> word = h(a)
        fn h(a : word) -> word = a + 1
        {FRAME}
            X[rd] = g(X[rs1])
    """)
    assert sorted(checked.functions) == ["g", "h"]


def test_generic_functions_nobody_calls_need_one_width_at_which_they_make_sense() -> None:
    assert errors(f"""
        fn low_half(a : bits(n)) -> bits(16) = a[15:0]
        fn is_byte(a : bits(n)) -> bit = a == 255 and n == 8 and a[n-1] == a[7]
        fn never(a : bits(n)) -> bits(n) = a ++ a
        {FRAME}
            X[rd] = 0
    """) == ["the result is bits(64), the value is bits(128)"]


def test_aliases() -> None:
    checked = spec(f"""
        mode   BANK : bit
        regs   other[8] : word
        alias  R[i : 4] : word = if i[3] and BANK then other[i[2:0]] else X[0b1 ++ i]
        alias  G[i : 5, w] : bits(w)
            get = X[i][w-1:0]
            set v: if w == 32: X[i] = v else: X[i][w-1:0] = v
        alias  PAIR : bits(64) = X[2] ++ X[3]
        {FRAME}
            R[rd[3:0]] = R[5] + 1
            G[rd, 8] = G[rs1, 8] + G[rs1, 32][7:0]
            G[rd, 32] = PAIR[47:16]
            PAIR[31:0] = X[rs1]
    """)
    assert sorted(checked.functions) == ["get_G_32", "get_G_8", "get_R", "set_G_32", "set_G_8", "set_R"]
    assert function(checked, "get_R") == "return ((i[3+1] ? @BANK : 0'1) ? other[i[0+3]] : X[(1'1 ++ i)])"
    assert function(checked, "set_R") == (
        "let choice = (i[3+1] ? @BANK : 0'1)\nif choice:\n  other[i[0+3]] = value\nelse:\n  X[(1'1 ++ i)] = value"
    )
    assert function(checked, "set_G_8") == "X[i] = (X[i][8+24] ++ v)"
    assert function(checked, "set_G_32") == "X[i] = v"
    assert body(instruction(checked, "probe").body) == (
        "do set_R(<rd>[0+4], (get_R(5'4) add 1'32))\n"
        "do set_G_8(<rd>, (get_G_8(<rs1>) add get_G_32(<rs1>)[0+8]))\n"
        "do set_G_32(<rd>, (X[2'5] ++ X[3'5])[16+32])\n"
        "let joined = ((X[2'5] ++ X[3'5])[32+32] ++ X[<rs1>])\n"
        "X[2'5] = joined[32+32]\n"
        "X[3'5] = joined[0+32]"
    )


SYSTEM = f"""
    reg    base : word {{ LOW 3:0 }}
    regs   cells[4] : word
    input  WIRE : bit
    field  csr : CSR
    sysregs CSR[12] : word  missing raise Illegal
        0x300 status  {{ ON 0, MODE 2:1 in 0|3 }}
        0x301 fixed   ro = 0x40
        0x302 plain = 7
        0x303 masked  mask ~3
        0x304 mirror  view base mask 0xF
        0x305 wired   read zext(WIRE)
        0x306 counter, 0x307 counterh  read INSTRET[31:0]
        0x308 ours    read base + 1  write v: base = v - 1
        0x309 kept    ro
        0x310 file0-3 at i  read cells[i] write v: cells[i] = v
        0x320 none3-6 ro = 0
    insn read  "csr 00000 000 rd 1110011" "read {{rd}}, {{csr}}" : X[rd] = CSR[csr]
    insn write "csr rs1 001 00000 1110011" "write {{csr}}, {{rs1}}" : CSR[csr] = X[rs1]
    {FRAME}
        status.MODE = 1
        X[rd] = status + zext(base.LOW) + wired + fixed + plain + ours
        ours = 5
        mirror = 6
"""


def test_system_registers() -> None:
    checked = spec(SYSTEM)
    assert function(checked, "get_CSR") == "\n".join(
        [
            "if (address eq 768'12):",
            "  return $status",
            "if (address eq 769'12):",
            "  return 64'32",
            "if (address eq 770'12):",
            "  return $plain",
            "if (address eq 771'12):",
            "  return $masked",
            "if (address eq 772'12):",
            "  return ($base and 15'32)",
            "if (address eq 773'12):",
            "  return zext(?WIRE, 32)",
            "if ((address sub 774'12) ult 2'12):",
            "  return INSTRET()[0+32]",
            "if (address eq 776'12):",
            "  return ($base add 1'32)",
            "if (address eq 777'12):",
            "  return $kept",
            "if ((address sub 784'12) ult 4'12):",
            "  return cells[(address sub 784'12)[0+2]]",
            "if ((address sub 800'12) ult 4'12):",
            "  return 0'32",
            "raise Illegal()",
        ]
    )
    assert function(checked, "set_CSR") == "\n".join(
        [
            "if (address eq 768'12):",
            "  let old = $status",
            "  let new = ((value and 7'32) or ($status and 4294967288'32))",
            "  let new_2 = (new[3+29] ++ (((new[1+2] eq 0'2) or (new[1+2] eq 3'2)) ? new[1+2] : old[1+2]) ++ new[0+1])",
            "  $status = new_2",
            "  return",
            "if (address eq 769'12):",
            "  return",
            "if (address eq 770'12):",
            "  $plain = value",
            "  return",
            "if (address eq 771'12):",
            "  $masked = ((value and 4294967292'32) or ($masked and 3'32))",
            "  return",
            "if (address eq 772'12):",
            "  $base = (($base and 4294967280'32) or (value and 15'32))",
            "  return",
            "if (address eq 773'12):",
            "  return",
            "if ((address sub 774'12) ult 2'12):",
            "  return",
            "if (address eq 776'12):",
            "  $base = (value sub 1'32)",
            "  return",
            "if (address eq 777'12):",
            "  return",
            "if ((address sub 784'12) ult 4'12):",
            "  cells[(address sub 784'12)[0+2]] = value",
            "  return",
            "if ((address sub 800'12) ult 4'12):",
            "  return",
            "raise Illegal()",
        ]
    )
    assert body(instruction(checked, "probe").body) == (
        "$status = ($status[3+29] ++ 1'2 ++ $status[0+1])\n"
        "X[<rd>] = ((((($status add zext($base[0+4], 32)) add read_wired()) add 64'32) add $plain) add read_ours())\n"
        "do write_ours(5'32)\n"
        "do write_mirror(6'32)"
    )


def test_what_is_known_of_system_registers() -> None:
    checked = spec(SYSTEM)
    assert [(found.name, found.reset) for found in checked.registers if found.system] == [
        ("status", 0),
        ("plain", 7),
        ("masked", 0),
        ("kept", 0),
    ]
    assert [(found.address, found.name, found.register) for found in checked.sysregs][:3] == [
        (0x300, "status", "status"),
        (0x301, "fixed", None),
        (0x302, "plain", "plain"),
    ]
    assert checked.sysregs[0].fields == (model.RegField("ON", 0, 1), model.RegField("MODE", 1, 2, (0, 3)))
    slot = next(
        part for part in instruction(checked, "read").syntax if isinstance(part, model.Slot) and part.kind == "sysreg"
    )
    assert expression(slot.expr) == "<csr>"
    assert slot.sysregs[0] == (0x300, "status")


def test_a_row_with_storage_behind_its_own_rules() -> None:
    checked = spec(f"""
        sysregs CSR[4] : word  missing raise Illegal
            0x1 latched  read latched ^ 1  write v: latched = v & 0xF
        {FRAME}
            X[rd] = CSR[1] + latched
    """)
    assert [found.name for found in checked.registers] == ["latched"]
    assert "return ($latched xor 1'32)" in function(checked, "get_CSR")
    assert "$latched = (value and 15'32)" in function(checked, "set_CSR")
    assert body(instruction(checked, "probe").body) == "X[<rd>] = (get_CSR(1'4) add $latched)"


def test_flag_groups() -> None:
    checked = spec(f"""
        reg    CF, ZF : bit
        lazy FLAGS (CF, ZF)
            rule add(a : bits(n), b : bits(n))
                let r = a + b
                CF = r <u a; ZF = r == 0
            rule keep(r : bits(n)) keeps CF
                ZF = r == 0
        {FRAME}
            FLAGS = add(X[rs1], 1)
            FLAGS = add(X[rs1][7:0], imm[7:0])
    """)
    assert checked.lazy == (model.LazyGroup("FLAGS", ("CF", "ZF"), ("FLAGS_add_32", "FLAGS_add_8", "FLAGS_keep_64")),)
    assert function(checked, "FLAGS_add_8") == "let r = (a add b)\n$CF = (r ult a)\n$ZF = (r eq 0'8)"
    assert body(instruction(checked, "probe").body).startswith("do FLAGS_add_32(X[<rs1>], 1'32)")


def test_dotted_names_are_functions() -> None:
    assert probe("X[rd] = f32.add(X[rs1], X[1])", "fn f32_add(a : word, b : word) -> word = a + b") == (
        "X[<rd>] = f32_add(X[<rs1>], X[1'5])"
    )


def test_hooks_and_tests() -> None:
    checked = spec(f"""
        mode   P : bits(2) = 3
        reg    cause : word
        on reset
            PC = 0x1000; P = 3
        on exception(code : bits(5), value : word)
            cause = zext(if code == Fault then code + zext(P) else code)
            goto 0x2000
        on badaddr(acc : bits(2), va : word)
            if acc == 0: raise Fault(va)
            raise Illegal
        on translate(va : word, acc : bits(2))
            if acc == 2: raise Fault(va)
            return page(va, 12, 7)
        test "probe x1, x2, 3" = 0x00310093
        test "probe x1, x2, 3" when X[2] = 5; PC = 0x100 then X[1] == 5 and PC == 0x104
        asm "nop" = "probe zero, zero, 0"
        {FRAME}
            X[rd] = X[rs1]
    """)
    assert body(checked.hooks["reset"].body) == "goto 4096'32\n@P = 3'2"
    assert body(checked.hooks["exception"].body) == (
        "$cause = zext(((code eq 5'5) ? (code add zext(@P, 5)) : code), 32)\ngoto 8192'32"
    )
    assert body(checked.hooks["translate"].body) == (
        "if (acc eq 2'2):\n  raise Fault(va)\nreturn zext(va, 64), 12'8, 7'3"
    )
    assert [(found.asm, found.word) for found in checked.tests] == [
        ("probe x1, x2, 3", 0x00310093),
        ("probe x1, x2, 3", None),
    ]
    assert body(checked.tests[1].given) == "X[2'5] = 5'32\ngoto 256'32"
    then = checked.tests[1].then
    assert then is not None
    assert expression(then) == "((X[1'5] eq 5'32) ? (PC eq 260'32) : 0'1)"
    assert [(found.syntax, found.expansion) for found in checked.asm_aliases] == [("nop", "probe zero, zero, 0")]
