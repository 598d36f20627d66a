"""The options with which a probe logs in at a MySQL server."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from attrs import field, frozen

from vipproxy.checks import CheckFailed
from vipproxy.config.declare import option
from vipproxy.config.kinds import FLAG, BadValue
from vipproxy.framing.rsa import parse_public_key
from vipproxy.values import CheckStatus

LONGEST_PASSWORD = 1024
"""Bytes."""
LARGEST_FILE = 1 << 20
"""Bytes of certificates or keys."""

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def _contents(path: Path, limit: int) -> bytes:
    """The contents of a file; raises ValueError with a sentence."""
    try:
        if not path.is_file():
            raise ValueError(f"'{path}' is not a file")
        with path.open("rb") as file:
            contents = file.read(limit + 1)
    except OSError as error:
        raise ValueError(f"'{path}' cannot be read: {error.strerror}") from None
    if len(contents) > limit:
        raise ValueError(f"'{path}' has more than {limit} bytes")
    return contents


@frozen
class PasswordFile:
    """Where a password is: the first line of a file, read again for each check."""

    path: Path

    def read(self) -> bytes:
        """The password; raises ValueError with a sentence, in which it does not occur."""
        password = _contents(self.path, LONGEST_PASSWORD).partition(b"\n")[0].removesuffix(b"\r")
        if not password:
            raise ValueError(f"'{self.path}' has no password in its first line")
        if b"\0" in password:
            raise ValueError(f"the password in '{self.path}' has a NUL byte")
        return password


@frozen
class Authorities:
    """Certificates of which one must have signed the server's."""

    path: Path
    pem: bytes = field(repr=False)
    context: Any = field(repr=False, eq=False)
    """Twisted's CertificateOptions."""


@frozen
class ServerKey:
    """A server's public key: known beforehand, or, where `pem` is None, asked for each time."""

    text: str
    pem: bytes | None = field(repr=False)


@frozen
class _PasswordFileKind:
    syntax: str = "PATH"

    def parse(self, text: str) -> PasswordFile:
        file = PasswordFile(Path(text))
        file.read()  # a problem is better known now
        return file

    def format(self, value: Any) -> str:
        return str(value.path)


@frozen
class _AuthoritiesKind:
    syntax: str = "PATH"

    def parse(self, text: str) -> Authorities:
        path = Path(text)
        pem = _contents(path, LARGEST_FILE)
        certificates = _CERTIFICATE.findall(pem)
        if not certificates:
            raise ValueError(f"there is no certificate in '{text}'")
        return Authorities(path, pem, _tls_context(certificates))

    def format(self, value: Any) -> str:
        return str(value.path)


def _tls_context(certificates: list[bytes]) -> Any:
    """For clients that want the server's certificate signed by one of `certificates`."""
    try:
        from OpenSSL.SSL import Error  # type: ignore[import-not-found,unused-ignore]
        from twisted.internet.ssl import Certificate, CertificateOptions, trustRootFromCertificates
    except ImportError:
        message = "TLS needs packages that are not installed"
        raise BadValue(message, hint="pip install 'vipproxy[tls]'") from None
    try:
        roots = [Certificate.loadPEM(each) for each in certificates]
    except (Error, ValueError):
        raise ValueError("a broken certificate") from None
    return CertificateOptions(trustRoot=trustRootFromCertificates(roots))


@frozen
class _ServerKeyKind:
    syntax: str = "ask|PATH"

    def parse(self, text: str) -> ServerKey:
        if text == "ask":
            return ServerKey(text, None)
        pem = _contents(Path(text), LARGEST_FILE)
        try:
            parse_public_key(pem)
        except ValueError as error:
            raise ValueError(f"'{text}': {error}") from None
        return ServerKey(text, pem)

    def format(self, value: Any) -> str:
        return str(value.text)


@frozen
class LoginOptions:
    """How a probe proves who it is, and wants the server to."""

    password_file: PasswordFile | None = option(
        _PasswordFileKind(),
        default=None,
        help="its first line is the password, read for each check; without it there is none",
    )
    tls: bool = option(FLAG, default=False, help="log in over TLS; needs tls-ca")
    tls_ca: Authorities | None = option(
        _AuthoritiesKind(),
        default=None,
        help="certificates, in PEM, of which one must have signed the server's",
    )
    server_public_key: ServerKey | None = option(
        _ServerKeyKind(),
        default=None,
        help="encrypts the password for caching_sha2_password where there is no TLS",
    )

    def __attrs_post_init__(self) -> None:
        if self.tls and self.tls_ca is None:
            hint = "tls-ca=PATH; without it anybody could pose as the server"
            raise BadValue("'tls=on' needs 'tls-ca'", hint=hint)
        if self.tls_ca is not None and not self.tls:
            raise BadValue("'tls-ca' has no effect", hint="add tls=on")

    def read_password(self) -> bytes:
        """The password as it is now; CheckFailed where it cannot be read."""
        if self.password_file is None:
            return b""
        try:
            return self.password_file.read()
        except ValueError as error:
            raise CheckFailed(CheckStatus.PROCESS_ERROR, str(error)) from None
