"""HTML as text: ``tags.p("a < b", class_="note")`` is ``<p class="note">a &lt; b</p>``.

In the way of `twisted.web.template`, but made at once: the page is rendered while sessions wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, partial
from html import escape
from typing import Any

_EMPTY = frozenset({"col", "input", "link", "meta"})
"""Elements without content, and so without an end."""


class Html(str):
    """Markup; every other text is escaped where it is put into an element."""

    __slots__ = ()


Child = str | Iterable[Any]
"""Text, `Html`, or several such things."""


def _element(name: str, /, *children: Child, **attributes: str) -> Html:
    """An underscore at the end of an attribute's name is dropped: ``class_``."""
    said = "".join(f' {key.rstrip("_")}="{escape(value)}"' for key, value in attributes.items())
    if name in _EMPTY:
        return Html(f"<{name}{said}>")
    return Html(f"<{name}{said}>{_content(children)}</{name}>")


def _content(children: Iterable[Child]) -> str:
    return "".join(map(_markup, children))


def _markup(child: Child) -> str:
    if isinstance(child, Html):
        return child
    return escape(child, quote=False) if isinstance(child, str) else _content(child)


class _Tags:
    """Makes elements by their names."""

    def __getattr__(self, name: str) -> Callable[..., Html]:
        return _maker(name)


@cache
def _maker(name: str) -> Callable[..., Html]:
    return partial(_element, name)


tags = _Tags()


def raw(text: str) -> Html:
    """Text that needs no escape: a style sheet of our own."""
    return Html(text)
