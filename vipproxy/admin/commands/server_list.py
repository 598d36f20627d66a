"""``add server`` and ``del server``: which servers a backend has."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from vipproxy.admin.commands.command import (
    Command,
    Console,
    Level,
    Terse,
    find_backend,
    number,
    split_server,
)
from vipproxy.config.ini import is_name
from vipproxy.config.kinds import BadValue, choice
from vipproxy.config.options import ServerConfig
from vipproxy.config.server_options import HOST, ServerOptions
from vipproxy.errors import Refused
from vipproxy.values import Address, AdminState

MAXCONN = 1_000_000
_MARK_DOWN = choice("none", "shutdown-sessions")
FLAGS = ("backup", "check", "disabled", "enabled")
NUMBERS = {
    "fall": (1, 255),
    "maxconn": (0, MAXCONN),
    "port": (1, 65535),
    "rise": (1, 255),
    "weight": (0, 256),
}
TIMES = ("downinter", "fastinter", "inter")
WORDS = ("addr", "on-marked-down")
FIELDS = {"addr": "check_addr", "inter": "interval", "port": "check_port"}
"""Keywords that are called differently here."""
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
OTHERS = (
    "agent-check", "alpn", "ca-file", "check-send-proxy", "check-ssl", "ciphers", "cookie",
    "crl-file", "crt", "error-limit", "id", "init-addr", "maxqueue", "minconn", "namespace",
    "no-check", "observe", "on-error", "on-marked-up", "pool-low-conn", "pool-max-conn",
    "pool-purge-delay", "proto", "redir", "resolvers", "send-proxy", "send-proxy-v2",
    "slowstart", "sni", "source", "ssl", "tcp-ut", "tfo", "track", "usesrc", "verify",
    "verifyhost", "ws",
)  # fmt: skip
"""Keywords of HAProxy's that a server cannot be added with here."""


def _add(console: Console, words: Sequence[str]) -> str:
    backend, name = _named(words)
    wrong = [each for each in name if not is_name(each)]
    if wrong:
        raise Refused(f"character '{wrong[0]}' is not permitted in server name '{name}'.")
    _check_names(console, backend, name)
    if len(words) < 2:
        raise Refused("'server' expects <name> and <addr>[:<port>] as arguments.")
    options = dict(_keywords(words[2:]))
    if options["check"] and not find_backend(console, backend).checked:
        raise Refused(f"'check' needs a check of backend '{backend}', which has none.")
    enabled = options.pop("enabled", False)
    options.pop("disabled", False)  # it is anyway
    config = ServerConfig(name, ServerOptions(address=_address(words[1]), **options))
    console.control.add_server(backend, config)
    if enabled:
        console.control.set_admin_state(backend, name, AdminState.READY)
    return "New server registered.\n"


def _check_names(console: Console, backend: str, name: str) -> None:
    for pool in console.cluster.snapshot().backends:
        if pool.name == backend:
            if any(server.name == name for server in pool.servers):
                raise Refused("Already exists a server with the same name in backend.")
            return
    raise Terse("No such backend.")


def _named(words: Sequence[str]) -> tuple[str, str]:
    try:
        return split_server(words)
    except Refused as refusal:
        raise Terse(str(refusal)) from None


def _keywords(words: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """What the words after the address say; `check` is off where it is not said."""
    yield "check", False
    left = list(words)
    while left:
        word = left.pop(0)
        if word in FLAGS:
            yield word, True
        elif word in NUMBERS:
            yield _field(word), _in_range(word, left.pop(0) if left else "")
        elif word in TIMES or word in WORDS:
            yield _field(word), _value(word, left.pop(0) if left else "")
        elif word in OTHERS:
            raise Refused(f"'{word}' option is not accepted for dynamic server")
        else:
            raise Refused(_unknown(word))


def _field(word: str) -> str:
    return FIELDS.get(word, word.replace("-", "_"))


def _value(word: str, text: str) -> float | str:
    """A time, in milliseconds if it has no unit; an address; or what to do at a mark-down."""
    if word in TIMES:
        match = re.fullmatch(r"([0-9]{1,9})(us|ms|s|m|h|d)?", text)
        if match is None or not int(match[1]):
            raise Refused(f"'{word}' expects a time, not '{text}'.")
        return int(match[1]) * _UNITS[match[2] or "ms"]
    try:
        return HOST.parse(text) if word == "addr" else _MARK_DOWN.parse(text)
    except BadValue as error:
        raise Refused(f"'{word}': {error}") from None


def _in_range(word: str, text: str) -> int:
    low, high = NUMBERS[word]
    value = number(text)
    if value is None:
        raise Refused(f"'{word}' expects an integer argument.")
    if not low <= value <= high:
        raise Refused(f"{word} is not within {low} and {high} ({value}).")
    return value


def _unknown(word: str) -> str:
    close = difflib.get_close_matches(
        word, (*FLAGS, *NUMBERS, *TIMES, *WORDS, *OTHERS), n=1, cutoff=0.5
    )
    return f"unknown keyword '{word}'" + (f"; did you mean '{close[0]}' maybe ?" if close else "")


def _address(text: str) -> Address:
    """HAProxy also takes names, and addresses without a port."""
    port = re.search(r":([0-9]+)$", text)
    if port is not None and int(port[1]) > 65535:
        raise Refused(f"invalid port '{port[1]}'")
    host, colon, _ = text.rpartition(":")
    if ":" in host and not host.startswith("["):
        text = f"[{host}]:{text[len(host) + 1 :]}"
    try:
        address = Address.parse(text)
    except ValueError:
        raise Refused(f"'{text}' is not an address and a port.") from None
    if not colon or not address.port:
        raise Refused(f"missing port number in '{text}'")
    return address


def _delete(console: Console, words: Sequence[str]) -> str:
    backend, name = _named(words)
    try:
        console.control.remove_server(backend, name)
    except Refused as refusal:
        raise Terse(str(refusal)) from None
    return "Server deleted."


COMMANDS = (
    Command("add server", Level.ADMIN, "add server <bk>/<srv>", "create a new server", _add),
    Command(
        "del server",
        Level.ADMIN,
        "del server <bk>/<srv>",
        "remove a dynamically added server",
        _delete,
    ),
)
