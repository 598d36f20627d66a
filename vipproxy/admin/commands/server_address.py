"""Where a server is, and where it is checked."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from vipproxy.admin.commands.command import Console, Terse, find_server, number
from vipproxy.errors import Refused
from vipproxy.values import Address, ServerSnapshot

BY = "by 'stats socket command'"


def set_address(console: Console, backend: str, server: str, words: Sequence[str]) -> str:
    """``addr A [port P]``; the answer says what has changed."""
    if not words:
        raise Refused("set server <b>/<s> addr requires an address and optionally a port.")
    _, known = find_server(console, [f"{backend}/{server}"])
    before, host = known.address, _host(words[0])
    if host is None:
        raise Refused(f"Invalid addr '{words[0]}' {BY}")
    said, port = _told_host(before, host), before.port
    if words[1:2] == ["port"]:
        wanted = _port(words[2:])
        if wanted is None:
            word = "".join(words[2:3])
            return f"{said}, problem converting port '{word}' to an int {BY}\n"
        said, port = f"{said}, {_told_port(before, wanted)}", wanted
    console.control.set_address(backend, server, Address(host, port))
    return f"{said} {BY}\n"


def set_check_address(console: Console, backend: str, server: str, words: Sequence[str]) -> str:
    """``check-addr A [port P]``"""
    _require_check(console, backend, server)
    if not words:
        raise Refused("set server <b>/<s> check-addr requires an address and optionally a port.")
    host = _host(words[0])
    if host is None:
        raise Terse(f"invalid addr '{words[0]}'")
    port = _check_port(words[2:]) if words[1:2] == ["port"] else None
    console.control.set_check_address(backend, server, host, port)
    return ""


def set_check_port(console: Console, backend: str, server: str, words: Sequence[str]) -> str:
    _require_check(console, backend, server)
    if not words:
        raise Refused("set server <b>/<s> check-port requires a port.")
    console.control.set_check_address(backend, server, None, _check_port(words))
    return ""


def _require_check(console: Console, backend: str, server: str) -> ServerSnapshot:
    _, known = find_server(console, [f"{backend}/{server}"])
    if not known.checked:
        raise Terse("health checks are not enabled on this server")
    return known


def _check_port(words: Sequence[str]) -> int:
    """0 is the server's own."""
    port = number("".join(words[:1]))
    if port is None:
        raise Terse("provided port is not an integer")
    if not 0 <= port <= 65535:
        raise Terse("provided port is invalid")
    return port


def _host(word: str) -> str | None:
    try:
        return str(ipaddress.ip_address(word))
    except ValueError:
        return None


def _port(words: Sequence[str]) -> int | None:
    """HAProxy takes any number for a port."""
    port = number("".join(words[:1]))
    return port if port is not None and 0 < port <= 65535 else None


def _told_host(before: Address, host: str) -> str:
    if host == before.host:
        return "no need to change the addr"
    return f"IP changed from '{before.host}' to '{host}'"


def _told_port(before: Address, port: int) -> str:
    if port == before.port:
        return "no need to change the port"
    return f"port changed from '{before.port}' to '{port}'"
