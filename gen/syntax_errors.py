"""Says what a syntax error is in words a person uses: what was found, what could stand there, what was meant."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lark import Token
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken
from lark.indenter import DedentError

from gen.errors import Diagnostics, Note
from gen.tree import Pos

# Sets of tokens that have one name; the first whose tokens are all possible is said instead of them.
_GROUPS: tuple[tuple[str, frozenset[str]], ...] = (
    ("a declaration", frozenset({"ISA", "INSN", "REG", "FN"})),
    ("a statement", frozenset({"LET", "VAR", "GOTO", "RAISE", "IF"})),
    ("a value", frozenset({"NAME", "NUM", "LPAR", "MINUS", "TILDE"})),
    ("a type", frozenset({"BITS", "BIT", "NAME", "LPAR"})),
    ("an option such as where or with", frozenset({"DELAYED", "RESTARTABLE", "WHERE", "WHEN", "WITH", "UNDEFINED"})),
    ("a cell", frozenset({"NUM", "NAME", "STRING", "LPAR"})),
    ("an operator", frozenset({"OPERATOR", "MINUS", "BAR"})),
)
_COVERED = {
    "a declaration": frozenset(
        {
            "ISA",
            "INCLUDE",
            "PARAM",
            "CONST",
            "TYPE",
            "BITORDER",
            "REG",
            "REGS",
            "PC",
            "MODE",
            "PREFIXES",
            "STICKY",
            "MEMORY",
            "INPUT",
            "DECODE",
            "FIELD",
            "ALIAS",
            "SYSREGS",
            "EXCEPTION",
            "FN",
            "ON",
            "SPLIT",
            "LAZY",
            "OPERAND",
            "PREFIX",
            "INSN",
            "INSNS",
            "FAMILY",
            "FORMS",
            "ASM",
            "RESERVED",
            "TEST",
            "OVERRIDE",
        }
    ),
    "a statement": frozenset(
        {
            "LET",
            "VAR",
            "GOTO",
            "RAISE",
            "IF",
            "FOR",
            "WHILE",
            "MATCH",
            "ATOMIC",
            "ANNUL",
            "RETURN",
            "PASS",
            "BREAK",
            "NAME",
            "NUM",
            "LPAR",
            "MINUS",
            "TILDE",
            "NOT",
        }
    ),
    "a value": frozenset({"NAME", "NUM", "LPAR", "MINUS", "TILDE", "NOT", "IF"}),
    "a type": frozenset({"BITS", "BIT", "NAME", "LPAR", "FN"}),
    "an option such as where or with": frozenset(
        {"DELAYED", "RESTARTABLE", "WHERE", "WHEN", "WITH", "OVERRIDES", "IN", "UNDEFINED"}
    ),
    "a cell": frozenset({"NUM", "NAME", "STRING", "LPAR"}),
    "an operator": frozenset(
        {"OPERATOR", "MINUS", "BAR", "AND", "OR", "PLUSPLUS", "LPAR", "LSQUARE", "DOT", "AUGMENT"}
    ),
}
_WORDS = {
    "NAME": "a name",
    "MNEMONIC": "a name",
    "NUM": "a number",
    "STRING": "a quoted string",
    "_NL": "the end of the line",
    "_INDENT": "an indented block",
    "_DEDENT": "the end of the block",
    "$END": "the end of the declaration",
    "AUGMENT": "'|='",
    "OPERATOR": "an operator",
    "RANGE": "'..'",
    "PLUSPLUS": "'++'",
    "PLUSCOLON": "'+:'",
    "ARROW": "'->'",
    "FATARROW": "'=>'",
    "MINUS": "'-'",
    "BAR": "'|'",
    "TILDE": "'~'",
    "EQUAL": "'='",
    "COLON": "':'",
    "SEMICOLON": "';'",
    "COMMA": "','",
    "DOT": "'.'",
    "LPAR": "'('",
    "RPAR": "')'",
    "LSQUARE": "'['",
    "RSQUARE": "']'",
    "LBRACE": "'{'",
    "RBRACE": "'}'",
}
_FOUND = {
    "_NL": "the end of the line",
    "_INDENT": "a deeper indentation",
    "_DEDENT": "the end of the block",
    "$END": "the end of the declaration",
}
_CLOSING = {"(": ")", "[": "]", "{": "}"}
# More choices than this help nobody.
_MOST = 5


def explain(
    error: UnexpectedInput | DedentError, text: str, file: str, first_line: int, diagnostics: Diagnostics
) -> None:
    """Reports why `text`, a declaration that starts on `first_line`, does not parse."""
    lines = text.split("\n")
    if isinstance(error, DedentError):
        _explain_dedent(lines, file, first_line, diagnostics)
        return
    line, column, width, kind, found = _place(error, lines)

    def pos(line: int, column: int, width: int) -> Pos:
        return Pos(file, first_line + line - 1, column, first_line + line - 1, column + max(1, width))

    unclosed = _unclosed(lines, line, column)
    if unclosed is not None and kind in _FOUND and _at_end(lines, line, column):
        at_line, at_column, bracket = unclosed
        diagnostics.error(pos(at_line, at_column, 1), f"'{bracket}' is never closed", help=f"add '{_CLOSING[bracket]}'")
        return
    expected = _expected(error)
    message, help_text = _special(kind, found, lines[line - 1], column, unclosed)
    if kind == "EQUAL" and not {"an operator", "':'"} & set(expected):
        help_text = None
    if message is None:
        message = f"found {found}"
        if expected:
            message += f", expected {_list(expected)}"
    notes: list[Note] = []
    if unclosed is not None and unclosed[0] != line:
        notes.append((pos(unclosed[0], unclosed[1], 1), f"inside this '{unclosed[2]}'"))
    diagnostics.error(pos(line, column, width), message, notes, help_text)


def _place(error: UnexpectedInput, lines: list[str]) -> tuple[int, int, int, str, str]:
    """Line, column and width of what was found, its kind of token and its name."""
    if isinstance(error, UnexpectedToken) and isinstance(error.token, Token):
        token = error.token
        kind = token.type
        if kind in _FOUND:
            # Layout tokens carry no place, or one that spans lines: what is meant is the end of a line, or its start.
            line, column = token.line or 0, token.column or 0
            if kind == "_NL":
                return line, column, 1, kind, _FOUND[kind]
            if kind == "_INDENT":
                line = min(token.end_line or 1, len(lines))
                return line, _indent(lines[line - 1]) + 1, len(lines[line - 1].strip()), kind, _FOUND[kind]
            if kind == "_DEDENT" and token.end_line and token.end_line <= len(lines) and lines[token.end_line - 1]:
                line = token.end_line
                return line, _indent(lines[line - 1]) + 1, len(lines[line - 1].strip()), kind, _FOUND[kind]
            last = max((i for i, text in enumerate(lines) if _code(text)), default=0)
            return last + 1, len(_code(lines[last])) + 1, 1, "$END", _FOUND["$END"]
        return token.line or 1, token.column or 1, len(token), kind, _quoted(str(token))
    line = max(1, min(error.line, len(lines)))
    column = max(1, error.column)
    rest = lines[line - 1][column - 1 :]
    word = re.match(r"[A-Za-z0-9_]+|[<>&|!=*/%+-]+|.?", rest)
    found = word.group() if word else ""
    return line, column, len(found), "", _quoted(found) if found else _FOUND["_NL"]


def _special(
    kind: str, found: str, line: str, column: int, unclosed: tuple[int, int, str] | None
) -> tuple[str | None, str | None]:
    """Message and help for mistakes that are easily made; None where the general ones do."""
    rest = line[column - 1 :]
    if re.search(r"\bfor\s+$", line[: column - 1]) and re.match(r"\w+\s+in\b", rest):
        return None, "a joined value is all that is returned, or stands behind the '=' of `let` or `var`: name it first"
    if kind == "":
        return _special_character(rest)
    word = found.strip("'")
    if kind in {"RPAR", "RSQUARE", "RBRACE"}:
        if unclosed is None:
            return f"{found} closes nothing", None
        wanted = _CLOSING[unclosed[2]]
        if wanted != word:
            return f"{found} cannot close '{unclosed[2]}'", f"write '{wanted}'"
    if kind == "EQUAL":
        if untyped := re.search(r"\b(var|alias|reg|mode|input)\s+\w+\s*$", line[: column - 1]):
            return None, f"say what type it has: {untyped[0].strip()} : bits(32) = …"
        return None, "equality is written '=='"
    if kind == "COLON" and rest.startswith(":="):
        return None, "assignment is written '='"
    if kind in {"OPERATOR", "MINUS", "BAR", "TILDE"} and _in_a_row(line):
        return None, f"in a cell an operator stands in brackets: ({word})"
    if kind in {"OPERATOR", "BAR"} and word in "&|" and line[: column - 1].endswith(word):
        return f"'{word}{word}' is no operator", f"write '{'and' if word == '&' else 'or'}'"
    if kind == "IF" and re.search(r"\belse\s+$", line[: column - 1]):
        return None, "write elif"
    if kind == "_INDENT":
        return "this line is indented more than the one before, which opens no block", None
    return None, None


def _in_a_row(line: str) -> bool:
    """Whether a line may be a row of a table: an indented name, and cells."""
    return re.match(r"\s+\w+(\s+(\w+|\([^()]*\)|\"[^\"]*\"))+\s+[^\w\s(]+(\s|$)", line) is not None


def _special_character(rest: str) -> tuple[str | None, str | None]:
    if rest.startswith('"'):
        return "this string is not closed on its line", "add '\"'"
    if match := re.match(r"[<>]=?", rest):
        op = match.group()
        if rest.startswith(">>"):
            return "this shift does not say what comes in from the left", "write '>>u' (zeros) or '>>s' (the sign)"
        return "this comparison does not say whether it is signed", f"write '{op}u' or '{op}s'"
    if rest.startswith("?"):
        return None, "a choice is written `if c then a else b`"
    if rest.startswith("'"):
        return None, "texts stand in double quotes"
    for wrong, right in (("&&", "and"), ("||", "or"), ("!=", "!="), ("!", "not")):
        if rest.startswith(wrong) and wrong != right:
            return f"'{wrong}' is no operator", f"write '{right}'"
    if match := re.match(r"[0-9][A-Za-z0-9_]*", rest):
        return f"'{match.group()}' is no number", "numbers are written 12, 0x1F or 0b101, with _ between digits"
    if rest and not rest[0].isascii():
        return f"'{rest[0]}' cannot stand here", "names are made of the letters A to Z and a to z, digits and _"
    return None, None


def _explain_dedent(lines: list[str], file: str, first_line: int, diagnostics: Diagnostics) -> None:
    """Lark does not say where: replay the indentation."""
    stack = [0]
    depth = 0
    for number, text in enumerate(lines):
        code = _code(text)
        if not code:
            continue
        indent = _indent(text)
        if depth == 0:
            while indent < stack[-1]:
                stack.pop()
            if number and indent > stack[-1]:
                if indent < _deepest_before(lines, number):
                    line = first_line + number
                    diagnostics.error(
                        Pos(file, line, indent + 1, line, len(code) + 1),
                        "this line's indentation matches no block around it",
                        help="align it with a line above",
                    )
                    return
                stack.append(indent)
        depth = max(0, depth + _brackets(code))
    diagnostics.error(
        Pos(file, first_line, 1, first_line, len(lines[0]) + 1), "the indentation in this declaration is not consistent"
    )


def _deepest_before(lines: list[str], number: int) -> int:
    return next((_indent(text) for text in reversed(lines[:number]) if _code(text)), 0)


def _brackets(code: str) -> int:
    plain = re.sub(r'"[^"]*"', "", code)
    return sum(plain.count(c) for c in "([{") - sum(plain.count(c) for c in ")]}")


def _unclosed(lines: list[str], line: int, column: int) -> tuple[int, int, str] | None:
    """Line, column and kind of the innermost bracket open at a place."""
    stack: list[tuple[int, int, str]] = []
    for number, text in enumerate(lines[:line], 1):
        part = text[: column - 1] if number == line else text
        for match in re.finditer(r'"[^"]*"|#.*|[][(){}]', part):
            character = match.group()
            if character in _CLOSING:
                stack.append((number, match.start() + 1, character))
            elif character in _CLOSING.values() and stack and _CLOSING[stack[-1][2]] == character:
                stack.pop()
    return stack[-1] if stack else None


def _at_end(lines: list[str], line: int, column: int) -> bool:
    """Whether nothing but comments follows a place."""
    return not lines[line - 1][column - 1 :].strip() and not any(_code(text) for text in lines[line:])


def _code(text: str) -> str:
    """A line without its comment and trailing blanks."""
    match = re.match(r'(?:[^"#]|"[^"]*"|"[^"]*$)*', text)
    return (match.group() if match else text).rstrip()


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip(" "))


def _expected(error: UnexpectedInput) -> list[str]:
    """Names of what could stand there."""
    parser = getattr(error, "interactive_parser", None)
    possible: set[str] = set(parser.accepts()) if parser is not None else set(getattr(error, "expected", None) or ())
    if isinstance(error, UnexpectedCharacters) and parser is None:
        possible = set(error.allowed or ())
    names: list[str] = []
    for name, sample in _GROUPS:
        if sample <= possible and name not in names:
            names.append(name)
            possible -= _COVERED[name]
    for token in sorted(possible, key=_rank):
        word = _WORDS.get(token, f"'{token.lower()}'")
        if word not in names:
            names.append(word)
    return names if len(names) <= _MOST else [*names[: _MOST - 1], "…"]


def _rank(token: str) -> tuple[bool, str]:
    """Names and numbers first, the end of the line last."""
    return token.startswith(("_", "$")), token


def _list(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def _quoted(text: str) -> str:
    return f"'{text}'"
