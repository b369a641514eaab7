"""The Jinja environment of pages: everything that is put in is escaped, but for what is marked as HTML already."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from gen.pages.highlight import Token

__all__ = ["render_page", "render_text", "tokens_html"]

_FOLDER = Path(__file__).parent.parent / "templates" / "pages"


def tokens_html(tokens: Iterable[Token]) -> Markup:
    """Coloured text."""
    out = []
    for token in tokens:
        text = str(escape(token.text))
        if token.link:
            out.append(f'<a class="{token.kind}" href="{escape(token.link)}">{text}</a>')
        elif token.kind:
            out.append(f'<span class="{token.kind}">{text}</span>')
        else:
            out.append(text)
    return Markup("".join(out))  # every part was escaped above


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    environment.filters["tokens"] = tokens_html
    return environment


def render_text(template: str) -> Markup:
    """A style or a script of our own, to stand in a page as it is."""
    return Markup(render_page(template))


def render_page(template: str, **values: object) -> str:
    """The text of gen/templates/pages/TEMPLATE with these values."""
    return _environment().get_template(template).render(**values)
