"""The Jinja environment of the templates beside this file; a template is layout, what it prints comes ready."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )


def render(template: str, **values: object) -> str:
    """The text a template makes of the values."""
    return _environment().get_template(template).render(**values)
