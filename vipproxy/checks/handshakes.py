"""Checks that know how a protocol begins: ``ssl-hello``, ``smtp``, ``pgsql``, ``redis``, ``ldap``.

They say what HAProxy 2.6 says (`option ssl-hello-chk`, `smtpchk`, `pgsql-check`, `redis-check`,
`ldap-check`), byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from attrs import frozen
from zope.interface import implementer

from vipproxy.checks import CheckFailed, words_of_peer
from vipproxy.checks.conversation import RECEIVE_LIMIT, Conversation, conversation
from vipproxy.config.declare import option
from vipproxy.config.kinds import Kind, choice, simple
from vipproxy.interfaces import CheckTarget, ICheckPlugin
from vipproxy.values import CheckResult, CheckStatus

_CIPHERS = (*range(1, 28), *range(47, 59))
_SSL_ALERT, _SSL_HANDSHAKE = b"\x15", b"\x16"
_SMTP_REPLY = re.compile(rb"(?:[0-9]{3}-[^\n]*\n)*([0-9]{3})[ \r]([^\n]*)\n")
_LDAP_BIND = bytes.fromhex("300c020101600702010304008000")


def _matched(text: str, pattern: str, what: str) -> str:
    if not re.fullmatch(pattern, text):
        raise ValueError(f"'{text}' is not {what}")
    return text


DOMAIN: Kind[str] = simple("NAME", lambda text: _matched(text, "[!-~]+", "a domain"))
USER: Kind[str] = simple("NAME", lambda text: _matched(text, r"[^\0]+", "a user"))


async def _hear(peer: Conversation, enough: Callable[[bytes], object]) -> bytes:
    """What the server says until it is enough, or ends."""
    heard = b""
    while not enough(heard) and len(heard) < RECEIVE_LIMIT:
        data = await peer.read()
        if not data:
            break
        heard += data
    return heard


def _words(heard: bytes) -> str:
    return words_of_peer(heard.decode("latin-1"))


@implementer(ICheckPlugin)
class SslHelloCheck:
    """Says an SSLv3 hello; any server that speaks SSL or TLS answers, if only with an alert."""

    options = None

    async def probe(self, target: CheckTarget, options: None) -> CheckResult:
        """L6_OK, or CheckFailed with L6_RESPONSE."""
        async with conversation(target) as peer:
            peer.write(ssl_hello(int(target.reactor.seconds())))
            heard = await _hear(peer, lambda heard: len(heard) >= 5)
        if len(heard) < 5 or heard[:1] not in (_SSL_ALERT, _SSL_HANDSHAKE):
            raise CheckFailed(CheckStatus.L6_RESPONSE, _words(heard) or "closed without an answer")
        return CheckResult(CheckStatus.L6_OK)


def ssl_hello(now: int) -> bytes:
    """The ClientHello; `now` is in seconds since 1970."""
    random = (now & 0xFFFFFFFF).to_bytes(4, "big") + b"HAPROXYSSLCHK\nHAPROXYSSLCHK\n"
    ciphers = b"".join(each.to_bytes(2, "big") for each in _CIPHERS)
    body = b"\3\0" + random + b"\0" + len(ciphers).to_bytes(2, "big") + ciphers + b"\1\0"
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return b"\x16\3\0" + len(message).to_bytes(2, "big") + message


@frozen
class SmtpCheckOptions:
    """``check = smtp hello=EHLO domain=mail.example.org``"""

    hello: str = option(
        choice("HELO", "EHLO"), default="HELO", help="how it greets", haproxy="option smtpchk"
    )
    domain: str = option(
        DOMAIN, default="localhost", help="the name that it gives", haproxy="option smtpchk"
    )


@implementer(ICheckPlugin)
class SmtpCheck:
    """Waits for the greeting, greets, and says goodbye; each time a 2xx must come."""

    options = SmtpCheckOptions

    async def probe(self, target: CheckTarget, options: SmtpCheckOptions) -> CheckResult:
        """L7_OK, or CheckFailed: L7_STATUS for another reply, L7_RESPONSE for what is none."""
        async with conversation(target) as peer:
            code, text = await _smtp_reply(peer)
            for command in (f"{options.hello} {options.domain}", "QUIT"):
                peer.write(command.encode() + b"\r\n")
                code, text = await _smtp_reply(peer)
        return CheckResult(CheckStatus.L7_OK, text, code)


async def _smtp_reply(peer: Conversation) -> tuple[int, str]:
    heard = await _hear(peer, lambda heard: _SMTP_REPLY.match(heard) or not _may_be_reply(heard))
    match = _SMTP_REPLY.match(heard)
    if match is None:
        raise CheckFailed(CheckStatus.L7_RESPONSE, _words(heard) or "closed without an answer")
    code, text = int(match[1]), _words(match[2])
    if code // 100 != 2:
        raise CheckFailed(CheckStatus.L7_STATUS, text, code)
    return code, text


def _may_be_reply(heard: bytes) -> bool:
    """Whether what has come begins as a reply does."""
    return re.fullmatch(rb"[0-9]{0,3}|[0-9]{3}[- \r].*", heard, re.DOTALL) is not None


@frozen
class PgsqlCheckOptions:
    """``check = pgsql user=haproxy``"""

    user: str = option(
        USER, help="logs in, as far as the password", haproxy="option pgsql-check user"
    )


@implementer(ICheckPlugin)
class PgsqlCheck:
    """Begins a login with PostgreSQL, and waits for the way in which it wants a password."""

    options = PgsqlCheckOptions

    async def probe(self, target: CheckTarget, options: PgsqlCheckOptions) -> CheckResult:
        """L7_OK, or CheckFailed with L7_RESPONSE."""
        async with conversation(target) as peer:
            peer.write(pgsql_startup(options.user))
            heard = await _hear(peer, lambda heard: len(heard) >= 9)
        if len(heard) < 9 or heard[:1] != b"R":
            words = " ".join(_words(part[1:]) for part in heard[5:].split(b"\0") if part)
            raise CheckFailed(CheckStatus.L7_RESPONSE, words or "closed without an answer")
        return CheckResult(CheckStatus.L7_OK, "PostgreSQL server is ok")


def pgsql_startup(user: str) -> bytes:
    """The message that begins a session (PostgreSQL's protocol, 3.0)."""
    body = b"\0\3\0\0user\0" + user.encode() + b"\0\0"
    return (len(body) + 4).to_bytes(4, "big") + body


@implementer(ICheckPlugin)
class RedisCheck:
    """``PING``, and ``+PONG``."""

    options = None

    async def probe(self, target: CheckTarget, options: None) -> CheckResult:
        """L7_OK, or CheckFailed with L7_STATUS and what was said."""
        async with conversation(target) as peer:
            peer.write(b"*1\r\n$4\r\nPING\r\n")
            heard = await _hear(peer, lambda heard: b"\r\n" in heard)
        if not heard.startswith(b"+PONG\r\n"):
            raise CheckFailed(CheckStatus.L7_STATUS, _words(heard) or "closed without an answer")
        return CheckResult(CheckStatus.L7_OK, "Redis server is ok")


@implementer(ICheckPlugin)
class LdapCheck:
    """An anonymous bind (RFC 4511, 4.2)."""

    options = None

    async def probe(self, target: CheckTarget, options: None) -> CheckResult:
        """L7_OK, or CheckFailed: L7_STATUS for a refusal, L7_RESPONSE for what is no answer."""
        async with conversation(target) as peer:
            peer.write(_LDAP_BIND)
            heard = await _hear(peer, lambda heard: len(heard) >= 14)
        code = ldap_result(heard)
        if code is None:
            raise CheckFailed(CheckStatus.L7_RESPONSE, _words(heard) or "closed without an answer")
        if code:
            raise CheckFailed(CheckStatus.L7_STATUS, "see RFC 4511, 4.1.9", code)
        return CheckResult(CheckStatus.L7_OK)


def ldap_result(heard: bytes) -> int | None:
    """The result of the bind; None where it is none."""
    message = _inside(heard, 0x30)
    response = _inside(message[3:], 0x61) if message[:3] == b"\2\1\1" else b""
    return response[2] if response[:2] == b"\x0a\1" and len(response) > 2 else None


def _inside(data: bytes, tag: int) -> bytes:
    """What an element of BER holds, as far as it has come; nothing where it has another tag."""
    if len(data) < 2 or data[0] != tag:
        return b""
    return data[2:] if data[1] < 0x80 else data[2 + (data[1] & 0x7F) :]
