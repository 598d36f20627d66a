"""Every keyword of a haproxy.cfg as Markdown, from its declaration: docs/haproxy_keywords.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vipproxy.config.haproxy.binds import BIND
from vipproxy.config.haproxy.global_table import GLOBAL, PREFIXES
from vipproxy.config.haproxy.keywords import Keyword
from vipproxy.config.haproxy.params import Param
from vipproxy.config.haproxy.proxy_table import PROXY
from vipproxy.config.haproxy.servers import SERVER

SECTIONS = {"D": "defaults", "F": "frontend", "L": "listen", "B": "backend"}


def keyword_reference() -> str:
    """A table for `global`, for proxies, and for the words of `bind` and `server` lines."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield from _table(
        "global", ("keyword", "here"), _keywords([*GLOBAL.values(), *PREFIXES.values()])
    )
    yield ""
    proxies = ([*cells, _where(each)] for cells, each in _with_keywords(PROXY.values()))
    yield from _table("defaults, frontend, listen, backend", ("keyword", "here", "in"), proxies)
    yield ""
    yield from _table("bind", ("word", "here"), _params(BIND.values()))
    yield ""
    yield from _table("server and default-server", ("word", "here"), _params(SERVER.values()))


def _table(title: str, headings: tuple[str, ...], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    yield from (f"### {title}", "")
    for cells in (headings, ["---"] * len(headings), *rows):
        yield f"| {' | '.join(cells)} |"


def _keywords(keywords: Iterable[Keyword]) -> Iterator[list[str]]:
    return ([f"`{each.name}`", each.action.help] for each in keywords)


def _with_keywords(keywords: Iterable[Keyword]) -> Iterator[tuple[list[str], Keyword]]:
    return (([f"`{each.name}`", each.action.help], each) for each in keywords)


def _where(keyword: Keyword) -> str:
    if len(keyword.where) == len(SECTIONS):
        return "all"
    return ", ".join(SECTIONS[each] for each in keyword.where)


def _params(params: Iterable[Param]) -> Iterator[list[str]]:
    for each in params:
        why = each.refused or each.note
        yield [f"`{each.name}`", f"{each.help}{f': {why}' if why else ''}"]
