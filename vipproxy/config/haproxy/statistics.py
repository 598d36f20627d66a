"""`stats ...` of a section -> the statistics page, alone (`protocol = stats`) or with a service."""

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
FLAGS = {"stats hide-version": "stats-hide-version", "stats show-legends": "stats-show-legends"}
TEXTS = {"stats show-node": "stats-show-node", "stats show-desc": "stats-show-desc"}
EXPORTER = "prometheus-exporter"
ALWAYS = ("TRUE", "always_true")
"""Conditions that are none."""


def exporter(proxy: Proxy) -> Statement | None:
    """``http-request use-service prometheus-exporter``"""
    for statement in proxy.own("http-request"):
        if [each.text for each in statement.arguments[:2]] == ["use-service", EXPORTER]:
            return statement
    return None


def stats_settings(files: Files, proxy: Proxy, protocol: Setting) -> Iterator[Setting]:
    """The page, on a frontend of its own or of a service."""
    said = proxy.under("stats")
    if protocol.value == "tcp" or not (said or protocol.value == "stats"):
        return
    if protocol.value == "http" and _last(said, "stats uri") is None:
        yield _implied(proxy, "stats-uri", "/haproxy?stats")
    for name, (key, read) in SINGLE.items():
        statement = _last(said, name)
        if statement is not None:
            yield setting(key, statement, [read(statement.one("a value"))])
    accounts = [each for each in said if each.name == "stats auth"]
    if accounts:
        parts = [_account(files, each) for each in accounts]
        yield made("stats-auth", parts, accounts[0].place)
    yield from _choices(proxy, said)
    if protocol.value == "stats":
        yield from _metrics(proxy)
        yield from _changes(said)
    elif (admin := _last(said, "stats admin")) is not None:
        message = (
            f"'stats admin' in {proxy.label}, which also serves a backend, is not supported yet"
        )
        raise BadLine(message, admin.place, "a listen section of its own")


def _choices(proxy: Proxy, said: list[Statement]) -> Iterator[Setting]:
    """What the page shows."""
    for name, key in FLAGS.items():
        statement = _last(said, name)
        if statement is not None:
            yield setting(key, statement, [Part("on", statement.place)])
    for name, key in TEXTS.items():
        statement = _last(said, name)
        if statement is not None:
            words = [Part(each.text, each.place) for each in statement.arguments]
            yield setting(key, statement, words or [Part("on", statement.place)])
    scopes = [each for each in said if each.name == "stats scope"]
    if scopes:
        yield made("stats-scope", [_scope(proxy, each) for each in scopes], scopes[0].place)
    if _last(said, "stats show-node") is None:
        yield _implied(proxy, "stats-show-node", "off")


def _changes(said: list[Statement]) -> Iterator[Setting]:
    admin = _last(said, "stats admin")
    if admin is not None:
        yield setting("stats-admin", admin, [_admin(admin)])


def _last(said: list[Statement], name: str) -> Statement | None:
    return next((each for each in reversed(said) if each.name == name), None)


def _implied(proxy: Proxy, key: str, value: str) -> Setting:
    return made(key, [Part(value, proxy.place)], proxy.place, "HAProxy's default")


def _account(files: Files, statement: Statement) -> Part:
    """A name and a password, which no report shows."""
    if not statement.arguments:
        raise BadLine("'stats auth' expects USER:PASSWORD", statement.place)
    first = statement.arguments[0]
    files.problems.hide(first.line, first.column)
    if len(statement.arguments) > 1:
        raise BadLine("'stats auth' takes one USER:PASSWORD", statement.place)
    return Part(first.text, first.place)


def _scope(proxy: Proxy, statement: Statement) -> Part:
    """``stats scope NAME``; a dot is the section itself."""
    word = statement.one("a name")
    return Part(proxy.name if word.text == "." else word.text, word.place)


def _admin(statement: Statement) -> Part:
    """``stats admin if CONDITION``"""
    words = [each.text for each in statement.arguments]
    if len(words) != 2 or words[0] != "if" or words[1] not in ALWAYS:
        message = "'stats admin' under another condition than TRUE is not supported yet"
        raise BadLine(message, statement.place, "stats admin if TRUE, and stats auth")
    return Part("on", statement.place)


def _metrics(proxy: Proxy) -> Iterator[Setting]:
    """The exporter's metrics: nobody is asked for a password, and without it there are none."""
    statement = exporter(proxy)
    if statement is None:
        yield _implied(proxy, "metrics-uri", "off")
        return
    words = [each.text for each in statement.arguments[2:]]
    if len(words) != 5 or words[:3] != ["if", "{", "path"] or words[4] != "}":
        message = f"'use-service {EXPORTER}' under another condition is not supported yet"
        raise BadLine(message, statement.place, "if { path /metrics }")
    path = statement.arguments[5]
    yield setting("metrics-uri", statement, [Part(path.text, path.place)])
    yield setting("metrics-auth", statement, [Part("off", statement.place)])
