"""Who may see the statistics: HTTP Basic authentication (RFC 7617)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from attrs import field, frozen

from vipproxy.config import BadValue
from vipproxy.errors import ConfigError

_AUTHORIZATION = re.compile(rb"(?im)^authorization:[ \t]*basic[ \t]+([^ \t\r]+)[ \t]*\r\n")


@frozen
class Credentials:
    """A user and his password, which no representation shows."""

    user: str
    password: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Credentials:
        """Read ``user:password``; raises ValueError, whose text does not repeat it."""
        user, colon, password = text.partition(":")
        if not (user and colon and password):
            raise ValueError("expected USER:PASSWORD")
        return cls(user, password)

    @property
    def digest(self) -> bytes:
        return _digest(f"{self.user}:{self.password}".encode())


class CredentialsKind:
    """``user:password``; written back without the password."""

    syntax = "USER:PASSWORD"
    secret = True

    def parse(self, text: str) -> Credentials:
        try:
            return Credentials.parse(text)
        except ValueError as error:
            raise BadValue(str(error), 0, len(text)) from None

    def format(self, value: Any) -> str:
        return f"{value.user}:********"


CREDENTIALS = CredentialsKind()


def read_credentials(path: Path) -> list[Credentials]:
    """The users in a file: one ``user:password`` a line; ``#`` begins a comment line.

    Raises ConfigError for a file that cannot be read, that names nobody, or that has another
    line; the text gives the number of the line and never what stands in it.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"cannot read the stats-auth-file '{path}': {reason}") from None
    found = [
        _credentials_of_line(path, number, line.strip())
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not found:
        raise ConfigError(f"the stats-auth-file '{path}' names no user")
    return found


def _credentials_of_line(path: Path, number: int, line: str) -> Credentials:
    try:
        return Credentials.parse(line)
    except ValueError as error:
        raise ConfigError(f"{path}:{number}: {error}") from None


class Guard:
    """Lets in whoever gives one of the pairs, in a time that does not tell how nearly."""

    def __init__(self, allowed: Iterable[Credentials]) -> None:
        self._digests = [each.digest for each in allowed]

    def admits(self, fields: bytes) -> bool:
        """Whether the fields of a request may pass; all may where nobody is configured."""
        if not self._digests:
            return True
        given = _digest(_given(fields))
        matches = [hmac.compare_digest(given, each) for each in self._digests]
        return any(matches)


def _given(fields: bytes) -> bytes:
    """The ``user:password`` of the one Authorization field; empty where there is none."""
    found = _AUTHORIZATION.findall(fields)
    if len(found) != 1:
        return b""
    try:
        return base64.b64decode(found[0], validate=True)
    except binascii.Error:
        return b""


def _digest(pair: bytes) -> bytes:
    """Of one length for all pairs."""
    return hashlib.sha256(pair).digest()
