"""Where the statistics page is, and what it shows: its URI, with HAProxy's options after it."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_plus

from attrs import evolve, frozen

_SCOPE = re.compile(r"[?&;]scope=([^&;]*)")
_SCOPE_LIMIT = 64
"""Characters of a scope that are looked at."""


@frozen
class Place:
    """`uri` is the configured one; `scope` is a part of the names of the proxies shown."""

    uri: str
    up: bool = False
    no_maint: bool = False
    norefresh: bool = False
    scope: str = ""

    @classmethod
    def parse(cls, uri: str, rest: str) -> tuple[Place, frozenset[str], str]:
        """What is wanted, from what follows the URI: the place, all words, and the ``st`` value.

        ``;csv;norefresh?scope=web`` has the words csv and norefresh. As in HAProxy, other words are
        ignored, and so is what comes before the first semicolon: ``/admin/;csv`` is ``/admin;csv``.
        """
        found = _SCOPE.search(rest)
        scope = unquote_plus(found[1])[:_SCOPE_LIMIT] if found else ""
        options = rest if found is None else rest[: found.start()]
        words = frozenset(options.partition("?")[0].split(";")[1:])
        outcome = next((each[3:] for each in words if each.startswith("st=")), "")
        place = cls(uri, "up" in words, "no-maint" in words, "norefresh" in words, scope)
        return place, words, outcome

    def url(self, *words: str, **changes: bool | str) -> str:
        """The URL of this place, changed; `words` are formats and the like."""
        place = evolve(self, **changes)  # type: ignore[arg-type]
        options = [*words, *(["up"] if place.up else []), *(["no-maint"] if place.no_maint else [])]
        if place.norefresh:
            options.append("norefresh")
        mark = "&" if "?" in self.uri else "?"
        query = f"{mark}scope={quote(place.scope, safe='')}" if place.scope else ""
        return self.uri + "".join(f";{each}" for each in options) + query
