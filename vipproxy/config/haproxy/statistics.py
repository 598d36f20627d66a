"""`stats ...` of a section -> the options of `protocol = stats`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vipproxy.config.document import Setting
from vipproxy.config.haproxy.lexer import Word
from vipproxy.config.haproxy.model import BadLine, Files, Part, Proxy, Statement, made, setting
from vipproxy.config.haproxy.units import in_seconds, text

SINGLE: dict[str, tuple[str, Callable[[Word], Part]]] = {
    "stats uri": ("stats-uri", text),
    "stats realm": ("stats-realm", text),
    "stats refresh": ("stats-refresh", in_seconds),
}


def stats_settings(files: Files, proxy: Proxy, protocol: Setting) -> Iterator[Setting]:
    """What `protocol = stats` needs; the same elsewhere is told."""
    said = proxy.under("stats")
    if not said or protocol.value == "tcp":
        return
    if protocol.value != "stats":
        message = f"statistics in {proxy.label}, which also serves a backend, are not supported yet"
        raise BadLine(message, said[0].place, "a listen section of their own")
    for name, (key, read) in SINGLE.items():
        statement = next((each for each in reversed(said) if each.name == name), None)
        if statement is not None:
            yield setting(key, statement, [read(statement.one("a value"))])
    accounts = [each for each in said if each.name == "stats auth"]
    if accounts:
        parts = [_account(files, each) for each in accounts]
        yield made("stats-auth", parts, accounts[0].place)


def _account(files: Files, statement: Statement) -> Part:
    """A name and a password, which no report shows."""
    if not statement.arguments:
        raise BadLine("'stats auth' expects USER:PASSWORD", statement.place)
    first = statement.arguments[0]
    files.problems.hide(first.line, first.column)
    if len(statement.arguments) > 1:
        raise BadLine("'stats auth' takes one USER:PASSWORD", statement.place)
    return Part(first.text, first.place)
