"""Checks that HAProxy has a name for, as steps of `tcp-check`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vipproxy.config.haproxy.model import BadLine, Statement

POSTGRES_VERSION = 196608
LDAP_BIND = "300c020101600702010304008000"
"""An anonymous bind of version 3 (RFC 4511)."""
CIPHERS = "c02bc02fc00ac009c013c014002f0035000a"


def _redis(option: Statement) -> Iterator[str]:
    yield r"send *1\r\n$4\r\nPING\r\n"
    yield "expect string +PONG"


def _smtp(option: Statement) -> Iterator[str]:
    """``option smtpchk [HELO|EHLO DOMAIN]``"""
    words = [word.text for word in option.arguments] or ["HELO", "localhost"]
    if len(words) != 2 or words[0] not in ("HELO", "EHLO"):
        raise BadLine("'option smtpchk' expects HELO or EHLO, and a name", option.place)
    yield 'expect rstring "^2[0-9]{2}[ -]"'
    yield f'send "{" ".join(words)}\\r\\n"'
    yield 'expect rstring "^2[0-9]{2}[ -]"'
    yield r"send QUIT\r\n"


def _postgres(option: Statement) -> Iterator[str]:
    """``option pgsql-check [user NAME]``: the server asks for a login, or lets the user in."""
    words = [word.text for word in option.arguments]
    if len(words) not in (0, 2) or words[:1] not in ([], ["user"]):
        raise BadLine("'option pgsql-check' expects 'user NAME'", option.place)
    user = words[1] if words else "postgres"
    content = POSTGRES_VERSION.to_bytes(4, "big") + b"user\0" + user.encode() + b"\0\0"
    yield f"send-binary {((len(content) + 4).to_bytes(4, 'big') + content).hex()}"
    yield r"expect rstring ^R"


def _ldap(option: Statement) -> Iterator[str]:
    yield f"send-binary {LDAP_BIND}"
    yield "expect binary 0a0100"


def _tls(option: Statement) -> Iterator[str]:
    """A client's hello of TLS 1.2; the server answers with its own, or with an alert."""
    body = f"0303{'5a' * 32}00{len(CIPHERS) // 2:04x}{CIPHERS}0100"
    handshake = f"01{len(body) // 2:06x}{body}"
    yield f"send-binary 160301{len(handshake) // 2:04x}{handshake}"
    yield r'expect rstring "^[\\x15\\x16]"'


RECIPES: dict[str, Callable[[Statement], Iterator[str]]] = {
    "option redis-check": _redis,
    "option smtpchk": _smtp,
    "option pgsql-check": _postgres,
    "option ldap-check": _ldap,
    "option ssl-hello-chk": _tls,
}
