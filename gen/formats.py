"""How values are shown in assembly: the formats that declarations give to fields and to names after `:`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from gen import expressions, model, tree
from gen.declarations import expand_names, is_signed, require_translation_time
from gen.evaluate import variables_of
from gen.names import Declared
from gen.scope import AliasEntity, Body, FileEntity, Local, PcEntity, Program, SysTableEntity
from gen.syntax import Format, enum_format
from gen.values import Failed, NeedsSplit, Number, Sized
from gen.walk import nodes

#: `{p:F}` in a pseudo-instruction; `{k:s32}` is a limit
_NAMED_HOLE = re.compile(r"\{\s*([A-Za-z_]\w*)\s*:\s*(?![su]?\d+\s*\})([A-Za-z_]\w*)\s*\}")


def named_formats(program: Program) -> dict[str, Format]:
    """What may stand after `:` in a hole: register files, aliases, sysregs tables, fields with names."""
    found: dict[str, Format] = {}
    for name, entity in program.entities.items():
        made = None
        if isinstance(entity, FileEntity):
            made = _file(entity.file)
        elif isinstance(entity, SysTableEntity):
            made = Format("sysreg", sysregs=tuple((row.address, row.name) for row in entity.rows))
        elif isinstance(entity, AliasEntity) and entity.index_params:
            made = _alias(program, entity)
        if made is not None:
            found[name] = made
    for name, declared in program.module.fields.items():
        if declared.decl.kind in ("enum", "set"):
            enum = _enum(program, declared.decl)
            if enum is not None:
                found.setdefault(name, enum)
    return found


def field_formats(program: Program, named: dict[str, Format]) -> dict[str, Format]:
    """How each declared field is shown by itself."""
    found: dict[str, Format] = {}
    for name, declared in program.module.fields.items():
        decl = declared.decl
        if decl.kind in ("enum", "set"):
            made = named.get(name)
        elif decl.kind == "file" and decl.target is not None:
            made = named.get(decl.target.name)
        elif decl.kind == "format" and decl.target is not None and decl.target.name == "x":
            made = Format("hex")
        else:
            made = Format("number", signed=is_signed(decl))
        if made is not None:
            found[name] = made
    return found


def spelled_aliases(
    program: Program, declared: Declared[tree.AsmAlias], named: Mapping[str, Format]
) -> Iterator[model.AsmAliasDef]:
    """A pseudo-instruction, or with `{h:F}` in its text one for each name of the field F.

    What it stands for has the name where it says `{h:F}`, and the value where it says `{h}`."""
    decl = declared.decl
    space = decl.space.name if decl.space else ""
    when = None
    if decl.when is not None:
        body = Body(program, declared.msb0, "guard")
        when = expressions.condition(body, decl.when)
        require_translation_time(body, when, decl.when, "when a pseudo-instruction is one")
        if variables_of(when, program.instances)[2]:
            program.error(decl.when.pos, "a pseudo-instruction is one by modes, not by its address")
            return
    pending = [(decl.syntax.value, decl.expansion.value)]
    if decl.operand:
        yield model.AsmAliasDef(*pending.pop(), decl.pos, space, when, True)
    while pending:
        syntax, expansion = pending.pop(0)
        found = _NAMED_HOLE.search(syntax)
        if found is None:
            yield model.AsmAliasDef(syntax, expansion, decl.pos, space, when)
            continue
        format = named.get(found[2])
        if format is None or format.kind != "enum":
            program.error(decl.syntax.pos, f"'{found[2]}' is no field with names")
            return
        plain = re.compile(rf"\{{\s*{found[1]}\s*\}}")
        for value, name in enumerate(format.table[0]):
            if name != "_":
                pending.append(
                    (syntax.replace(found[0], name), plain.sub(str(value), expansion.replace(found[0], name)))
                )


def _file(file: model.RegFile) -> Format:
    names = file.names or (tuple(f"{file.name}{number}" for number in range(file.count)),)
    # An index that has no entry (a file of 31 registers) still needs a spelling to be printed.
    size = 1 << max(1, (file.count - 1).bit_length())
    extra = tuple(f"{file.name}{number}" for number in range(file.count, size))
    return Format("file", table=tuple((*spelling, *extra) for spelling in names))


def _enum(program: Program, decl: tree.FieldDecl) -> Format | None:
    """`2 names "- a b _"`: a name for each value, perhaps `or` others; `7 registers names "…"` if no symbol may be
    called so; `16 set names "r0-15"`: a name for each bit."""
    if not decl.enum or decl.width is None:
        return None
    width, kind = decl.width.value, decl.target.name if decl.target is not None else ""
    if decl.target is not None and kind not in ("set", "registers"):
        program.error(
            decl.target.pos,
            f"'{kind}' is no kind of field with names",
            help="write `set` or `registers`, or leave it out",
        )
        return None
    if width > 12 and kind != "set":
        program.error(decl.width.pos, f"a field of {width} bits has too many values to name")
        return None
    count = width if kind == "set" else 1 << width
    spellings = [tuple(expand_names(program, text)) for text in decl.enum]
    for text, names in zip(decl.enum, spellings, strict=True):
        if len(names) != count and kind == "set":
            program.error(text.pos, f"a set of {width} bits has a name for each, these are {len(names)} names")
            return None
        if len(names) != count:
            program.error(
                text.pos,
                f"a field of {width} bits has {count} values, these are {len(names)} names",
                help="`_` stands for a value without a name, `-` for one that prints nothing",
            )
            return None
    if kind == "set":
        return Format("set", table=tuple(spellings))
    return enum_format(width, spellings, kind == "registers")


def _alias(program: Program, alias: AliasEntity) -> Format | None:
    """The names of the entries an alias leads to; where the modes decide which, its own name and the index."""
    decl = alias.declared.decl
    indexed = [param for param in decl.params if param.width is not None]
    value = decl.value if decl.value is not None else decl.get
    if len(indexed) != 1 or indexed[0].width is None or value is None:
        return None
    files = {entity.file.name: entity.file for entity in program.entities.values() if isinstance(entity, FileEntity)}
    names: list[str] = []
    with program.trial():
        try:
            width = expressions.number_of(Body(program, False, "fn"), indexed[0].width, "")
        except Failed:
            return None
        if width > 12:
            return None
        for index in range(1 << width):
            body = Body(program, alias.declared.msb0, "fn")
            for param in decl.params:
                own = Sized(model.Const(width, index)) if param is indexed[0] else Number(1)
                body.scopes[0][param.name.name] = Local("parameter", own, param.name.pos)
            names.append(_entry_name(program, body, value, files) or f"{decl.name.name}{index}")
    return Format("file", table=(tuple(names),))


def _entry_name(program: Program, body: Body, value: tree.Expr, files: dict[str, model.RegFile]) -> str | None:
    try:
        made = expressions.value_of(body, value)
    except (Failed, NeedsSplit):
        return None
    if not isinstance(made, Sized):
        return None
    found = [node for node in nodes(made.expr) if isinstance(node, model.RegFileRead | model.PcRead)]
    if len(found) != 1:
        return None
    (node,) = found
    if isinstance(node, model.PcRead):
        return next(e.pc.name for e in program.entities.values() if isinstance(e, PcEntity)).lower()
    file = files[node.file]
    if isinstance(node.index, model.Const) and file.names and node.index.value < file.count:
        return file.names[0][node.index.value]
    return None
