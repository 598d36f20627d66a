"""Cookies and stick tables -> `cookie` and `stick`."""

from __future__ import annotations

from collections.abc import Iterator

from vipproxy.config.document import Setting
from vipproxy.config.haproxy.lexer import Word
from vipproxy.config.haproxy.model import BadLine, Files, Part, Proxy, Statement, setting
from vipproxy.config.haproxy.units import size, timeout

COOKIE_FLAGS = (
    "rewrite",
    "prefix",
    "insert",
    "indirect",
    "nocache",
    "preserve",
    "httponly",
    "secure",
)
COOKIE_VALUES = ("domain", "maxidle", "maxlife", "attr")
KEYS = ("dst", "src")


def cookie_setting(files: Files, proxy: Proxy) -> Setting | None:
    """`cookie`; in tcp mode there are none."""
    statement = proxy.last("cookie")
    if statement is None:
        return None
    if proxy.mode != "http":
        if statement in proxy.statements:
            hint = "cookies need 'mode http', here and in the frontend"
            files.warn(f"'cookie' is ignored: {proxy.label} is in tcp mode", statement.place, hint)
        return None
    return setting("cookie", statement, _cookie(statement))


def _cookie(statement: Statement) -> Iterator[Part]:
    words = list(statement.arguments)
    if not words:
        raise BadLine("'cookie' expects a name", statement.place, "cookie NAME insert indirect")
    name = words.pop(0)
    yield Part(name.text, name.place)
    while words:
        word = words.pop(0)
        if word.text in COOKIE_FLAGS:
            yield Part(word.text, word.place)
        elif word.text in COOKIE_VALUES and words:
            yield _cookie_value(word, words.pop(0))
        else:
            known = ", ".join((*COOKIE_FLAGS, *COOKIE_VALUES))
            raise BadLine(
                f"'{word.text}' of 'cookie' is not supported yet", word.place, f"known: {known}"
            )


def _cookie_value(word: Word, value: Word) -> Part:
    if word.text.startswith("max"):
        return Part(f"{word.text}={_seconds(value)}", value.place)
    return Part(f"{word.text}={value.text}", value.place)


def _seconds(word: Word) -> str:
    """HAProxy's maxidle and maxlife are in seconds where they have no unit."""
    return f"{word.text}s" if word.text.isdigit() else timeout(word).text


def stick_setting(files: Files, proxy: Proxy) -> Setting | None:
    """`stick`, of the address that clients called or came from."""
    tables, rules = proxy.own("stick-table"), _rules(files, proxy)
    if not rules:
        for table in tables:
            files.note("nothing reads this stick table: it has no effect", table.place)
        return None
    if len(rules) > 1:
        raise BadLine("several 'stick on' are not supported yet", rules[1].place)
    rule = rules[0]
    if not tables:
        raise BadLine("'stick on' without a 'stick-table' in its backend", rule.place)
    return setting("stick", rule, [_key(rule), *_table(files, tables[-1], rule)])


def _rules(files: Files, proxy: Proxy) -> list[Statement]:
    """``stick on``, or ``stick match`` and ``stick store-request`` of the same."""
    matches, stores = proxy.own("stick match"), proxy.own("stick store-request")
    stored = [each.line.texts[2:] for each in stores]
    for each in matches:
        if each.line.texts[2:] not in stored:
            raise BadLine("'stick match' of what is not stored is not supported yet", each.place)
    if not matches:
        for each in stores:
            files.note("what is stored here nobody reads: it has no effect", each.place)
    return [*proxy.own("stick on"), *matches]


def _key(rule: Statement) -> Part:
    word, *others = rule.arguments or (rule.line.words[0],)
    if word.text not in KEYS:
        message = f"'stick on {word.text}' is not supported yet"
        raise BadLine(message, word.place, f"known: {', '.join(KEYS)}")
    if others:
        raise BadLine(f"'{others[0].text}' of 'stick on' is not supported yet", others[0].place)
    return Part(word.text, word.place)


def _table(files: Files, statement: Statement, rule: Statement) -> Iterator[Part]:
    """``type ip size 2 expire 30m nopurge peers NAME``"""
    words = list(statement.arguments)
    while words:
        word = words.pop(0)
        if word.text == "nopurge":
            continue
        if not words:
            raise BadLine(f"'{word.text}' of 'stick-table' expects a value", word.place)
        value = words.pop(0)
        if word.text == "type":
            if value.text not in ("ip", "ipv6"):
                raise BadLine(f"a table of type '{value.text}' is not supported yet", value.place)
            if words and words[0].text == "len":
                del words[:2]
        elif word.text == "size":
            yield Part(f"size={size(value).text}", value.place)
        elif word.text == "expire":
            yield Part(f"expire={timeout(value).text}", value.place)
        elif word.text == "peers":
            _peers(files, rule, word)
        else:
            raise BadLine(f"'{word.text}' of 'stick-table' is not supported yet", word.place)


def _peers(files: Files, rule: Statement, word: Word) -> None:
    """Proxies that hold pins by destination choose the same server without talking."""
    if rule.arguments[0].text != "dst":
        raise BadLine("'peers' of 'stick-table' is not supported yet", word.place)
    files.note(
        "'peers' is not needed: every proxy gives the pin to the first server that is up",
        word.place,
    )
