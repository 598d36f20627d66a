"""What the authentication methods of MySQL make of a password.

Sources: the MariaDB knowledge base ("Authentication Plugin - mysql_native_password") and MySQL's
"Caching_sha2_password information" in the documentation of its source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha1, sha256
from itertools import cycle

from vipproxy.framing.mysql import NATIVE_PASSWORD
from vipproxy.framing.rsa import PublicKey, encrypt

CACHING_SHA2_PASSWORD = "caching_sha2_password"

REQUEST_PUBLIC_KEY = b"\x02"
"""Asks a server for the key that it wants passwords encrypted with."""
FAST_PATH_SUCCEEDED = b"\x03"
"""The server remembered the password's hash; an OK packet follows."""
FULL_AUTHENTICATION = b"\x04"
"""It did not, and asks for the password itself."""


def native_answer(password: bytes, scramble: bytes) -> bytes:
    """mysql_native_password: SHA1(p) xor SHA1(scramble + SHA1(SHA1(p))); empty for none."""
    if not password:
        return b""
    once = sha1(password).digest()
    return _xor(once, sha1(scramble + sha1(once).digest()).digest())


def caching_sha2_answer(password: bytes, scramble: bytes) -> bytes:
    """caching_sha2_password: SHA256(p) xor SHA256(SHA256(SHA256(p)) + scramble)."""
    if not password:
        return b""
    once = sha256(password).digest()
    return _xor(once, sha256(sha256(once).digest() + scramble).digest())


ANSWERS: Mapping[str, Callable[[bytes, bytes], bytes]] = {
    NATIVE_PASSWORD: native_answer,
    CACHING_SHA2_PASSWORD: caching_sha2_answer,
}
"""Method -> function of password and scramble."""


def answer_without_password(request: bytes) -> bytes:
    """What a server takes for a wrong password, whatever its last packet asks for.

    MariaDB's ed25519 takes all but 64 bytes for a broken handshake, which would count towards
    the server's `max_connect_errors`; other methods understand an empty packet.
    """
    return bytes(64) if request.startswith(b"\xfeclient_ed25519\0") else b""


def clear_password(password: bytes) -> bytes:
    """The answer to a request for full authentication; for encrypted connections alone."""
    return password + b"\0"


def encrypted_password(password: bytes, scramble: bytes, key: PublicKey) -> bytes:
    """The answer to a request for full authentication on a connection that others may read.

    Raises ValueError where there is no scramble, or the password is too long for the key.
    """
    if not scramble:
        raise ValueError("there is no scramble")
    return encrypt(_xor(clear_password(password), scramble), key)


def _xor(text: bytes, key: bytes) -> bytes:
    """`text`, each byte changed by one of `key`, again and again from its start."""
    return bytes(a ^ b for a, b in zip(text, cycle(key), strict=False))
