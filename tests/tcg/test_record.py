"""runtime.core.record: what a record does like a dataclass."""

from __future__ import annotations

import dataclasses

import pytest

from runtime.core.record import computed, fresh, mutable_record, record, replace


@record
class Point:
    """A record with a default, a computed field and a method."""

    x: int
    y: int = 7
    total: int = computed()

    def __post_init__(self) -> None:
        object.__setattr__(self, "total", self.x + self.y)

    def shifted(self, by: int) -> Point:
        return replace(self, x=self.x + by)


def test_values_and_defaults() -> None:
    assert (Point(1).x, Point(1).y, Point(1, 2).total) == (1, 7, 3)
    assert Point(y=3, x=2) == Point(2, 3)
    assert Point(1) != Point(2)
    assert len({Point(1), Point(1), Point(2)}) == 2
    assert repr(Point(1)) == "Point(x=1, y=7)"
    assert Point(1).shifted(4) == Point(5)
    assert not hasattr(Point(1), "__dict__")


@pytest.mark.parametrize(
    ("values", "named", "message"),
    [((), {}, "needs a value for x"), ((1, 2, 3), {}, "takes 2 values"), ((1,), {"z": 2}, "z"), ((1,), {"x": 2}, "x")],
)
def test_wrong_constructions(values: tuple[int, ...], named: dict[str, int], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Point(*values, **named)


def test_dataclasses_take_it_for_theirs() -> None:
    assert dataclasses.is_dataclass(Point)
    assert [(field.name, field.default) for field in dataclasses.fields(Point)] == [
        ("x", dataclasses.MISSING),
        ("y", 7),
    ]
    assert dataclasses.replace(Point(1), y=2) == Point(1, 2)


def test_patterns() -> None:
    match Point(1, 2):
        case Point(x, y):
            assert (x, y) == (1, 2)


def test_a_mutable_record_can_be_assigned_to_and_is_no_key() -> None:
    @mutable_record
    class Point:
        x: int
        y: int = 0

    point = Point(1)
    point.y = 2
    assert point == Point(1, 2)
    with pytest.raises(TypeError, match="unhashable"):
        hash(point)


def test_a_fresh_default_is_nobody_elses() -> None:
    @mutable_record
    class Found:
        items: list[int] = fresh(factory=list)

    one, other = Found(), Found()
    one.items.append(1)
    assert (one.items, other.items, Found([2]).items) == ([1], [], [2])
