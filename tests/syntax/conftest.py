"""Syntax tables of real and of toy instruction sets, made from their specs once per run."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from gen.elaborate import check
from gen.model import Spec
from gen.syntax_tables import module_source
from runtime.syntax.tables import Syntax

ROOT = Path(__file__).resolve().parent.parent.parent
TOYS = Path(__file__).resolve().parent / "specs"


@cache
def spec_of(name: str) -> Spec:
    folder = TOYS if (TOYS / f"{name}.isa").exists() else ROOT / "specs"
    return check(folder / f"{name}.isa", (folder,))


def syntax_of(spec: Spec) -> Syntax:
    module = ModuleType(f"syntax of {spec.name}")
    exec(compile(module_source(spec), module.__name__, "exec"), module.__dict__)
    tables: Syntax = module.SYNTAX
    return tables


@cache
def tables_of(name: str) -> Syntax:
    return syntax_of(spec_of(name))


@pytest.fixture(scope="session")
def spec() -> Callable[[str], Spec]:
    """The checked spec of a guest in specs/, or of a toy in tests/syntax/specs/."""
    return spec_of


@pytest.fixture(scope="session")
def tables() -> Callable[[str], Syntax]:
    """Its syntax tables."""
    return tables_of
