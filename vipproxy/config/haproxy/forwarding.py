"""What HAProxy's frontends and backends both may say of requests, and our frontends have."""

from __future__ import annotations

from collections.abc import Iterator

from vipproxy.config.document import Setting
from vipproxy.config.haproxy.model import BadLine, Files, Part, Proxy, Statement, setting

CLOSING = ("option httpclose", "option forceclose")
REUSE = ("never", "safe", "always")


def forwarded_for(files: Files, proxy: Proxy) -> Setting | None:
    """``option forwardfor [except NETWORK] [header NAME] [if-none]``"""
    for each in sides(files, proxy):
        statement = each.last("option forwardfor")
        if statement is not None:
            return setting("forwarded-for", statement, _forwarded_parts(statement))
    return None


def _forwarded_parts(statement: Statement) -> Iterator[Part]:
    yield Part("on", statement.place)
    words = list(statement.arguments)
    while words:
        word = words.pop(0)
        if word.text == "if-none":
            yield Part("if-none", word.place)
        elif word.text in ("except", "header") and words:
            value = words.pop(0)
            yield Part(f"{word.text}={value.text}", value.place)
        else:
            hint = "known: except NETWORK, header NAME, if-none"
            raise BadLine(f"'option forwardfor' cannot handle '{word.text}'", word.place, hint)


def http_reuse(files: Files, proxy: Proxy) -> Setting | None:
    """``http-reuse``, and the options that close connections to servers after a response."""
    for each in sides(files, proxy):
        closing = each.last("option http-server-close")
        if closing is not None:
            return setting("http-reuse", closing, [Part("never", closing.place)])
        statement = each.last("http-reuse")
        if statement is not None:
            return setting("http-reuse", statement, [_reuse(statement)])
    return None


def httpclose(files: Files, proxy: Proxy) -> Setting | None:
    """``option httpclose``: no connection takes a second request."""
    for each in sides(files, proxy):
        statement = each.last(*CLOSING)
        if statement is not None:
            return setting("httpclose", statement, [Part("on", statement.place)])
    return None


def abortonclose(files: Files, proxy: Proxy) -> Setting | None:
    """``option abortonclose``: who has ended its output has left."""
    for each in sides(files, proxy):
        statement = each.last("option abortonclose")
        if statement is not None:
            return setting("abortonclose", statement, [Part("on", statement.place)])
    return None


def _reuse(statement: Statement) -> Part:
    word = statement.one("never, safe or always")
    if word.text not in (*REUSE, "aggressive"):
        raise BadLine(f"unknown 'http-reuse {word.text}'", word.place, ", ".join(REUSE))
    return Part("always" if word.text == "aggressive" else word.text, word.place)


def sides(files: Files, proxy: Proxy) -> list[Proxy]:
    """A frontend, and then its backends."""
    names = {word.text for each in proxy.all("default_backend") for word in each.arguments[:1]}
    names |= {word.text for each in proxy.own("use_backend") for word in each.arguments[:1]}
    return [proxy, *(each for each in files.of_kind("backend", "listen") if each.name in names)]
