"""`balance` and `hash-type` -> `balance = NAME ...`."""

from __future__ import annotations

import re

from vipproxy.config.document import Setting
from vipproxy.config.haproxy.lexer import Word
from vipproxy.config.haproxy.model import BadLine, Files, Part, Proxy, Statement, setting
from vipproxy.config.haproxy.units import number
from vipproxy.config.kinds import suggest

PLAIN = ("roundrobin", "leastconn", "first", "source")
HASHES = ("source", "uri", "url_param", "hdr")
KNOWN = (*PLAIN, "static-rr", "uri", "url_param", "hdr(NAME)", "random")


def balance_setting(files: Files, proxy: Proxy) -> Setting | None:
    statement = proxy.last("balance")
    if statement is None:
        return None
    if not statement.arguments:
        raise BadLine("'balance' expects an algorithm", statement.place, suggest("", KNOWN))
    word, *others = statement.arguments
    name = word.text.partition("(")[0]
    parts = _parts(name, word, others)
    if name == "static-rr":
        files.note("'balance static-rr' is roundrobin here: weights may change", word.place)
    if name in HASHES:
        _note_hash(files, proxy, statement)
    return setting("balance", statement, parts)


def _parts(name: str, word: Word, others: list[Word]) -> list[Part]:
    if word.text in PLAIN and not others:
        return [Part(word.text, word.place)]
    if word.text == "static-rr" and not others:
        return [Part("roundrobin", word.place)]
    if word.text == "uri":
        return [Part("uri", word.place), *_uri(others)]
    if word.text == "url_param" and len(others) == 1:
        return [Part(f"url_param({others[0].text})", others[0].place)]
    if name == "random" and not others:
        return _random(word)
    if re.fullmatch(r"hdr\([^()]+\)", word.text) and not others:
        return [Part(word.text, word.place)]
    if others and (name in PLAIN or name in HASHES or name == "random"):
        raise BadLine(
            f"'{others[-1].text}' of 'balance {name}' is not supported yet", others[-1].place
        )
    raise BadLine(
        f"'balance {word.text}' is not supported yet", word.place, suggest(word.text, KNOWN)
    )


def _uri(words: list[Word]) -> list[Part]:
    parts, waiting = [], list(words)
    while waiting:
        word = waiting.pop(0)
        if word.text in ("whole", "path-only"):
            parts.append(Part(word.text, word.place))
        elif word.text in ("len", "depth") and waiting:
            value = waiting.pop(0)
            parts.append(Part(f"{word.text}={number(value).text}", value.place))
        else:
            hint = "known: whole, path-only, len, depth"
            raise BadLine(f"'{word.text}' of 'balance uri' is not supported yet", word.place, hint)
    return parts


def _random(word: Word) -> list[Part]:
    match = re.fullmatch(r"random(?:\((\d*)\))?", word.text)
    if match is None:
        raise BadLine(f"'{word.text}' is not a number of draws", word.place, "random(2)")
    draws = [Part(f"draws={match.group(1)}", word.place)] if match.group(1) else []
    return [Part("random", word.place), *draws]


def _note_hash(files: Files, proxy: Proxy, balance: Statement) -> None:
    """HAProxy's default moves most keys when a server leaves; ours never does."""
    kind = proxy.last("hash-type")
    if kind is None or not kind.arguments:
        files.note_hash(balance.place)
        return
    method = kind.arguments[0]
    if method.text not in ("map-based", "consistent"):
        raise BadLine(f"unknown 'hash-type {method.text}'", method.place, "map-based, consistent")
    if method.text == "map-based":
        files.note_hash(method.place)
    for word in kind.arguments[1:]:
        files.note_once(f"hash-type {word.text}", "the hash is another", word.place)
