"""Values of parameters and constants: what the user chose, what isas say `with`, and the defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gen import tree
from gen.constants import Constants
from gen.errors import Diagnostics, Note, about_file
from gen.modules import Isa
from gen.tree import Pos

__all__ = ["resolve"]


@dataclass(frozen=True, slots=True)
class _Given:
    """A `with P = v`, and the isa that says so."""

    isa: Isa
    binding: tree.Binding


def resolve(
    top: Isa,
    isas: Sequence[Isa],
    definitions: Sequence[tree.ParamDecl | tree.Const],
    fixed: Mapping[str, Pos],
    chosen: Mapping[str, int],
    diagnostics: Diagnostics,
) -> Mapping[str, int]:
    """The value of every parameter and constant that has one.

    What the user chose counts most, then what the most derived isa says `with`, then the default.  `fixed` has the
    names that were overridden by constants.
    """
    constants = Constants(diagnostics)
    params: dict[str, tree.ParamDecl] = {}
    for decl in definitions:
        constants.define(decl.name.name, decl.value, decl.name.pos)
        if isinstance(decl, tree.ParamDecl):
            params[decl.name.name] = decl
    givens = _most_derived(_givens(isas, params, fixed, diagnostics))
    for name, given in givens.items():
        constants.define(name, given[0].binding.value, given[0].binding.name.pos)
    for name, value in chosen.items():
        if name not in params:
            known = f"its parameters are {', '.join(params)}" if params else "it has no parameters"
            diagnostics.error(about_file(top.path), f"no parameter '{name}'", help=known)
        constants.fix(name, value)
    for name, given in givens.items():
        if name not in chosen:
            _check_agree(name, given, constants, diagnostics)
    for name, param in params.items():
        value_now = constants.value_of(name)
        choices = [constants.evaluate(choice) for choice in param.choices]
        if choices and value_now is not None and None not in choices and value_now not in choices:
            _not_a_choice(top, param, value_now, choices, givens.get(name, ()), name in chosen, diagnostics)
    for decl in definitions:
        constants.value_of(decl.name.name)
    return constants.values


def _givens(
    isas: Sequence[Isa], params: Mapping[str, tree.ParamDecl], fixed: Mapping[str, Pos], diagnostics: Diagnostics
) -> dict[str, list[_Given]]:
    """All `with` of all isas, by parameter; complains about those that set none."""
    givens: dict[str, list[_Given]] = {}
    for isa in isas:
        seen: dict[str, Pos] = {}
        for binding in isa.header.bindings:
            name = binding.name
            if name.name in seen:
                diagnostics.error(name.pos, f"'{name.name}' is given twice", ((seen[name.name], "here, too"),))
            elif name.name in params:
                givens.setdefault(name.name, []).append(_Given(isa, binding))
            elif name.name in fixed:
                diagnostics.error(
                    name.pos,
                    f"'{name.name}' is no parameter any more",
                    ((fixed[name.name], "it is overridden by a constant here"),),
                )
            else:
                diagnostics.error(
                    name.pos,
                    f"no base of '{isa.name}' has a parameter '{name.name}'",
                    help=f"parameters are {', '.join(params)}" if params else None,
                )
            seen[name.name] = name.pos
    return givens


def _most_derived(givens: Mapping[str, list[_Given]]) -> dict[str, list[_Given]]:
    """Of each parameter's `with`s, those of isas that no other such isa extends."""
    result: dict[str, list[_Given]] = {}
    for name, given in givens.items():
        extended = {real for one in given for real in one.isa.ancestors() - {one.isa.real}}
        result[name] = [one for one in given if one.isa.real not in extended]
    return result


def _check_agree(name: str, given: Sequence[_Given], constants: Constants, diagnostics: Diagnostics) -> None:
    first = constants.value_of(name)
    for other in given[1:]:
        value = constants.evaluate(other.binding.value)
        if first is not None and value is not None and value != first:
            diagnostics.error(
                other.binding.name.pos,
                f"parameter '{name}' is {value} here and {first} elsewhere",
                ((given[0].binding.name.pos, f"'{given[0].isa.name}' says {first}"),),
                f"let the isa that extends both say `with {name} = …`",
            )


def _not_a_choice(
    top: Isa,
    param: tree.ParamDecl,
    value: int,
    choices: Sequence[int | None],
    given: Sequence[_Given],
    chosen: bool,
    diagnostics: Diagnostics,
) -> None:
    name = param.name.name
    listed = ", ".join(map(str, choices))
    notes: tuple[Note, ...] = ((param.name.pos, f"'{name}' is one of {listed}"),)
    if chosen:
        diagnostics.error(about_file(top.path), f"parameter '{name}' cannot be {value}", notes)
    elif given:
        diagnostics.error(given[0].binding.value.pos, f"parameter '{name}' cannot be {value}", notes)
    else:
        diagnostics.error(
            param.value.pos, f"the default of '{name}', {value}, is none of its choices", help=f"choices are {listed}"
        )
