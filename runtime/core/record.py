"""`record`: small immutable classes in the manner of dataclasses, for modules that every run imports.

Importing dataclasses (and re, inspect, dis ... with it) and making a class with it cost a short run more than all else
that Python does before the guest's first instruction.  A record costs nothing to speak of.  Type checkers see a frozen
dataclass, and so do `dataclasses.fields` and `dataclasses.replace`; assignment is not prevented at run time.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal, TypeVar, dataclass_transform

    T = TypeVar("T")
else:

    def dataclass_transform(**_: object) -> Callable[[T], T]:
        """What typing has under this name, which is for type checkers only."""
        return lambda decorator: decorator


class _Computed:
    """Marks a field that the constructor does not take."""


def computed(*, init: Literal[False] = False) -> Any:
    """A field that `__post_init__` sets.  (`init` is how type checkers know that it is no parameter.)"""
    return _Computed()


class _Fresh:
    """A default that is made anew for each instance."""

    def __init__(self, factory: Callable[[], Any]) -> None:
        self.factory = factory


def fresh(*, factory: Callable[[], Any]) -> Any:
    """A field whose default is what a call of `factory` gives: an empty list, say."""
    return _Fresh(factory)


class _DataclassFields:
    """`__dataclass_fields__` of a record: made when dataclasses, imported by someone else, asks for it."""

    def __get__(self, instance: object, owner: type) -> object:
        import dataclasses

        annotations, defaults = owner.__annotations__, vars(owner)["_defaults"]
        taken = [name for name in annotations if not isinstance(defaults.get(name), _Computed)]
        like = dataclasses.make_dataclass(
            owner.__name__,
            [
                (name, annotations[name], dataclasses.field(default=defaults.get(name, dataclasses.MISSING)))
                for name in taken
            ],
        )
        return vars(like)["__dataclass_fields__"]


@dataclass_transform(frozen_default=True, field_specifiers=(computed, fresh))
def record(cls: type[T]) -> type[T]:
    """Class decorator: annotated names become slots, parameters of the constructor, and what equality compares."""
    return _made(cls, True)


def _made(cls: type[T], hashed: bool) -> type[T]:
    names = tuple(cls.__annotations__)
    body = dict(cls.__dict__)
    defaults = {name: body.pop(name) for name in names if name in body}
    parameters = tuple(name for name in names if not isinstance(defaults.get(name), _Computed))
    after = body.get("__post_init__")
    for name in ("__dict__", "__weakref__"):
        body.pop(name, None)

    def __init__(self: Any, *values: Any, **named: Any) -> None:
        if len(values) > len(parameters):
            raise TypeError(f"{cls.__name__} takes {len(parameters)} values, {len(values)} were given")
        for name, value in zip(parameters, values, strict=False):
            setattr(self, name, value)
        for name in parameters[len(values) :]:
            if name in named:
                setattr(self, name, named.pop(name))
            elif name in defaults:
                default = defaults[name]
                setattr(self, name, default.factory() if isinstance(default, _Fresh) else default)
            else:
                raise TypeError(f"{cls.__name__} needs a value for {name}")
        if named:
            raise TypeError(f"{cls.__name__} does not take {', '.join(named)}, or not twice")
        if after is not None:
            after(self)

    def values_of(self: Any) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in parameters])

    def __eq__(self: Any, other: object) -> bool:
        return type(other) is type(self) and values_of(self) == values_of(other)

    def __hash__(self: Any) -> int:
        return hash(values_of(self))

    def __repr__(self: Any) -> str:
        return f"{cls.__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in parameters)})"

    body |= {
        "__slots__": names,
        "__init__": __init__,
        "__eq__": __eq__,
        "__hash__": __hash__ if hashed else None,
        "__repr__": __repr__,
        "__match_args__": parameters,
        "_defaults": defaults,
        "__dataclass_fields__": _DataclassFields(),
    }
    made: type[T] = type(cls.__name__, cls.__bases__, body)
    return made


@dataclass_transform(field_specifiers=(computed, fresh))
def mutable_record(cls: type[T]) -> type[T]:
    """`record` for classes whose fields are assigned to: they are no keys."""
    return _made(cls, False)


def replace(instance: T, **changes: object) -> T:
    """A copy of a record with some fields changed."""
    cls = type(instance)
    return cls(**{name: getattr(instance, name) for name in vars(cls)["__match_args__"]} | changes)
