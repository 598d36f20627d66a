"""`acl`, `use_backend`, `http-request` and so on: rules are HAProxy's in our syntax, too."""

from __future__ import annotations

from collections.abc import Iterator

from vipproxy.config.document import Setting
from vipproxy.config.haproxy.lexer import Word
from vipproxy.config.haproxy.model import BadLine, Files, Part, Proxy, Statement, setting
from vipproxy.config.haproxy.statistics import EXPORTER
from vipproxy.config.words import quote

LISTS = {
    "use_backend": "use-backend",
    "http-request": "http-request",
    "http-response": "http-response",
    "redirect": "redirect",
    "tcp-request connection": "tcp-request-connection",
    "tcp-request content": "tcp-request-content",
    "monitor fail": "monitor-fail",
}
"""HAProxy's keywords of rules, and our keys."""
ADDING = {"reqadd": "http-request", "rspadd": "http-response"}
"""How a header was added before HAProxy 2.1: ``reqadd X-A:\\ b``."""
PAGES = {"errorfile": "errorfile", "errorloc": "errorloc", "errorloc302": "errorloc"}
HTTP_ONLY = (*ADDING, *PAGES, "http-request", "http-response", "redirect", "monitor fail")
OF_CLIENTS = ("tcp-request connection", "tcp-request content", "use_backend", "monitor fail")
"""What frontends alone have."""


def rule_settings(files: Files, proxy: Proxy, mode: str, front: bool) -> Iterator[Setting]:
    """The rules of a section, as a frontend or as a backend; a listen section's are the former."""
    if proxy.kind == "listen" and not front:
        return
    for statement in proxy.both("acl", *PAGES, *LISTS, *ADDING):
        if mode == "stats":
            _only_exporter(files, statement)
            continue
        if statement.name in HTTP_ONLY and mode != "http":
            if statement in proxy.statements:
                message = f"'{statement.name}' is ignored: {proxy.label} is in tcp mode"
                files.warn(message, statement.place)
            continue
        try:
            yield _rule(files, statement, front)
        except BadLine as error:
            files.bad(error)


def _only_exporter(files: Files, statement: Statement) -> None:
    """Where the statistics are no rule stands but the one that says where the metrics are."""
    words = [each.text for each in statement.arguments[:2]]
    if statement.name in PAGES:
        return
    if statement.name != "http-request" or words != ["use-service", EXPORTER]:
        message = f"'{statement.name}' where the statistics are is not supported yet"
        files.bad(BadLine(message, statement.place))


def _rule(files: Files, statement: Statement, front: bool) -> Setting:
    name, words = statement.name, statement.arguments
    if not front and name in OF_CLIENTS:
        raise BadLine(f"'{name}' in a backend is not supported yet", statement.place)
    if not words:
        raise BadLine(f"'{name}' expects something to do", statement.place)
    if name in PAGES:
        status, target = statement.exactly(2, "a status, and a file or a URL")
        key = f"{PAGES[name]} {status.text}"
        return setting(key, statement, [Part(target.text, target.place)])
    if name == "acl":
        return setting(f"acl {words[0].text}", statement, _parts(words[1:]))
    if name in ADDING:
        files.note(f"'{name}' is the old form of '{ADDING[name]} add-header'", statement.place)
        return setting(ADDING[name], statement, _added(statement))
    return setting(LISTS[name], statement, _parts(words))


def _added(statement: Statement) -> Iterator[Part]:
    """The name and the value of a header in one word, and a condition."""
    word, *condition = statement.arguments
    name, colon, value = word.text.partition(":")
    if not colon or not value.strip():
        raise BadLine(f"'{statement.name}' expects a header and its value", word.place, "X-A:\\ b")
    yield Part("add-header", statement.place)
    yield Part(f"{quote(name)} {quote(value.strip().replace('%', '%%'))}", word.place)
    yield from _parts(tuple(condition))


def _parts(words: tuple[Word, ...]) -> Iterator[Part]:
    return (Part(quote(word.text), word.place) for word in words)
