"""Macros and repetitions: bodies kept as text, and that text with arguments put in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from runtime.syntax.items import Fault
from runtime.syntax.statements import Segment, Statement, quoted_end

__all__ = ["CLOSING", "Macro", "arguments_of", "body_end", "declared", "expand"]

#: what opens a body, and what closes it
CLOSING = {".macro": (".endm", ".endmacro"), ".rept": (".endr",), ".irp": (".endr",), ".irpc": (".endr",)}
_ENDS = {".endm": ".macro", ".endmacro": ".macro", ".endr": ".rept"}
_FIRST = re.compile(r"(?:[ \t]*(?:[A-Za-z_.$][\w.$]*|\d+)[ \t]*:)*[ \t]*([\w.$]+)")
_PARAMETER = re.compile(r"([A-Za-z_$][\w$.]*)(?::(req|vararg))?(?:=(.*))?")
_USE = re.compile(r"\\([A-Za-z_$][\w$]*|@|\(\))")


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    default: str | None = None
    rest: bool = False
    required: bool = False


@dataclass(frozen=True, slots=True)
class Macro:
    """A macro's parameters and body; `statement` is its `.macro` line."""

    name: str
    parameters: tuple[Parameter, ...]
    body: tuple[Segment, ...]
    statement: Statement


def first_word(segment: Segment) -> str:
    """The directive or instruction of a segment, lower case."""
    found = _FIRST.match(segment.text)
    return found[1].lower() if found else ""


def body_end(segments: Sequence[Segment], start: int, opening: str) -> int | None:
    """The index of what closes a body that begins at `start`; bodies may contain others."""
    depth = 0
    closing = CLOSING[opening]
    for index in range(start, len(segments)):
        word = first_word(segments[index])
        if word in closing and depth == 0:
            return index
        if word in CLOSING and CLOSING[word] == closing:
            depth += 1
        elif word in closing:
            depth -= 1
    return None


def declared(statement: Statement, body: Sequence[Segment]) -> Macro:
    """The macro a `.macro name parameters` line declares."""
    text = statement.text[len(".macro") :].strip()
    name, _, rest = text.partition(" ") if " " in text.partition(",")[0] else text.partition(",")
    if not re.fullmatch(r"[A-Za-z_.$][\w.$]*", name):
        raise Fault("the macro has no name", len(".macro"))
    found: list[Parameter] = []
    rest = re.sub(r"\s*=\s*", "=", rest.strip())
    for word in filter(None, (part.strip() for part in (_cut(rest, ",") if "," in rest else rest.split()))):
        parameter = _PARAMETER.fullmatch(word)
        if parameter is None:
            at = max(statement.text.find(word), 0)
            raise Fault(f"'{word}' is no parameter", at, at + len(word), ("note: it is written name or name=default",))
        found.append(Parameter(parameter[1], _unquoted(parameter[3]), parameter[2] == "vararg", parameter[2] == "req"))
    if len({parameter.name for parameter in found}) < len(found):
        raise Fault("two parameters have one name")
    return Macro(name, tuple(found), tuple(body), statement)


def arguments_of(macro: Macro, text: str, at: int) -> dict[str, str]:
    """What each parameter stands for in a use whose arguments begin at `at` of the text."""
    given = _cut(text[at:], ",")
    if len(given) == 1 and len(macro.parameters) > 1 and not macro.parameters[0].rest:
        given = _cut(text[at:].strip(), " ")
    values = [part.strip() for part in given]
    if values == [""]:
        values = []
    names = {parameter.name for parameter in macro.parameters}
    found: dict[str, str] = {}
    free = list(macro.parameters)
    while values:
        value = values.pop(0)
        named = re.match(r"([A-Za-z_$][\w$.]*)\s*=(?!=)\s*", value)
        if named and named[1] in names:
            found[named[1]] = _unquoted(value[named.end() :]) or ""
            free = [parameter for parameter in free if parameter.name != named[1]]
            continue
        if not free:
            raise Fault(
                f"'{macro.name}' takes {len(macro.parameters)} arguments", at, None, (f"note: {_declaration(macro)}",)
            )
        parameter = free.pop(0)
        if parameter.rest:
            found[parameter.name] = ", ".join([value, *values])
            values = []
        else:
            found[parameter.name] = _unquoted(value) or ""
    for parameter in macro.parameters:
        if not found.get(parameter.name):
            if parameter.required:
                raise Fault(f"'{macro.name}' needs '{parameter.name}'", 0, None, (f"note: {_declaration(macro)}",))
            found[parameter.name] = parameter.default or ""
    return found


def expand(body: Sequence[Segment], values: Mapping[str, str], count: int) -> list[Segment]:
    """The body with arguments for `\\name`, the number of this expansion for `\\@` and nothing for `\\()`."""

    def put(found: re.Match[str]) -> str:
        if found[1] == "@":
            return str(count)
        if found[1] == "()":
            return ""
        name = found[1]
        # `\\name.x` and the like: the longest parameter that begins the word.
        while name and name not in values:
            name = name[:-1]
        return values[name] + found[1][len(name) :] if name else found[0]

    made = []
    for segment in body:
        text = _USE.sub(put, segment.text)
        # A body that is expanded again keeps what is not its own; what is shown is the text as it now stands.
        made.append(replace(segment, text=text, column=0, shown=text) if text != segment.text else segment)
    return made


def _declaration(macro: Macro) -> str:
    return f"it is declared on line {macro.statement.line}: {macro.statement.text}"


def _unquoted(text: str | None) -> str | None:
    if text is not None and len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1]
    return text


def _cut(text: str, separator: str) -> list[str]:
    """Parts between separators outside quotes and parentheses; runs of blanks are one separator."""
    parts, start, depth, at = [], 0, 0, 0
    while at < len(text):
        end = quoted_end(text, at)
        if end > at:
            at = end
            continue
        if text[at] in "([":
            depth += 1
        elif text[at] in ")]":
            depth -= 1
        elif text[at] == separator and depth <= 0:
            parts.append(text[start:at])
            start = at + 1
        at += 1
    parts.append(text[start:])
    return [part for part in parts if part] if separator == " " else parts
