"""HAProxy's addresses (configuration manual, `bind` and `server`), written as ours."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterator

from vipproxy.config.document import Place
from vipproxy.config.haproxy.lexer import Word, parts_of
from vipproxy.config.haproxy.model import BadLine, Part

FAMILIES = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6, "": socket.AF_UNSPEC}
_PREFIX = re.compile(r"([a-z0-9+]+)@")


def binds(word: Word) -> Iterator[Part]:
    """The addresses of a ``bind``; raises BadLine."""
    for each in parts_of(word, ","):
        yield from _bind(each)


def server(word: Word, port: int | None) -> tuple[str, str]:
    """Host and port of a ``server``, both as text; raises BadLine.

    `port` is the client's, for servers that are written without one.
    """
    family, text = _family(word)
    host, written = _host_and_port(text)
    if not written and port is None:
        message = f"'{word.text}' has no port, and the client's is not known"
        raise BadLine(message, word.place, "ADDRESS:PORT")
    if written[:1] in ("+", "-"):
        raise BadLine("ports relative to the client's are not supported yet", word.place)
    return resolve(host, family, word.place), written or str(port)


def resolve(host: str, family: str, place: Place) -> str:
    """The IP address of a host; names are looked up once, as HAProxy does when it starts."""
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        pass
    if not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?", bare):
        raise BadLine(f"'{host}' is neither an address nor a name", place)
    try:
        found = socket.getaddrinfo(bare, None, FAMILIES[family], socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NotResolved(f"could not resolve '{host}'", place, "write the IP address") from None
    first = sorted(found, key=lambda each: each[0] != socket.AF_INET)[0]
    return str(first[4][0])


class NotResolved(BadLine):
    """A name that nobody knows."""


def _bind(word: Word) -> Iterator[Part]:
    if word.text.startswith("fd@"):
        if not word.text[3:].isdigit():
            raise BadLine(f"'{word.text}' names no descriptor", word.place, "such as fd@3")
        yield Part(word.text, word.place)
        return
    if word.text.startswith("abns@"):
        yield Part(word.text, word.place)
        return
    if word.text.startswith(("/", "unix@")):
        yield Part(f"unix@{word.text.removeprefix('unix@')}", word.place)
        return
    family, text = _family(word)
    host, port = _host_and_port(text)
    if not port:
        raise BadLine(f"missing port in '{word.text}'", word.place, "ADDRESS:PORT")
    for each in _ports(port, word):
        for found in _hosts(host, family, word):
            yield Part(f"[{found}]:{each}" if ":" in found else f"{found}:{each}", word.place)


def _family(word: Word) -> tuple[str, str]:
    """The family that an address names, and the address without it."""
    match = _PREFIX.match(word.text)
    if word.text.startswith("/") or (match and match.group(1) in ("unix", "abns", "sockpair")):
        raise BadLine("Unix sockets of servers are not supported yet", word.place)
    if match is None:
        return "", word.text
    if match.group(1) not in FAMILIES:
        raise BadLine(f"addresses of the kind '{match.group()}' are not supported yet", word.place)
    return match.group(1), word.text[match.end() :]


def _host_and_port(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, _, port = text.partition("]")
        return f"{host}]", port.removeprefix(":")
    host, colon, port = text.rpartition(":")
    return (host, port) if colon else (text, "")


def _ports(text: str, word: Word) -> range:
    match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", text)
    if match is None:
        raise BadLine(f"'{text}' is not a port", word.place)
    first = int(match.group(1))
    last = int(match.group(2) or first)
    if not 0 < first <= last <= 65535:
        raise BadLine(f"invalid port '{text}'", word.place, "1 to 65535")
    return range(first, last + 1)


def _hosts(host: str, family: str, word: Word) -> tuple[str, ...]:
    if host in ("", "*"):
        return ("::",) if family == "ipv6" else ("0.0.0.0",)
    if host in ("::", "[::]"):
        return ("::", "0.0.0.0")
    return (resolve(host, family, word.place),)
