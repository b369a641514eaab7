"""An explanation as HTML: a page of its own, or a fragment for a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gen.pages.diagram import FIELD_KINDS
from gen.pages.rendering import render_page, render_text

if TYPE_CHECKING:
    from isomorph.explain.explanation import Explanation


def page(explanation: Explanation) -> str:
    """A page with nothing outside it."""
    return _render("explain.html.j2", explanation)


def fragment(explanation: Explanation) -> str:
    """The same for the middle of another page; its style reaches nothing else."""
    return _render("explain_fragment.html.j2", explanation)


def _render(template: str, explanation: Explanation) -> str:
    return render_page(template, explanation=explanation, style=render_text("style.css.j2"), legend=FIELD_KINDS)
