"""Encryption for the owner of an RSA key: RSAES-OAEP with SHA-1 (RFC 8017, section 7.1).

Only the public half, which holds no secret, and only what a MySQL server understands; so the
standard library suffices.
"""

from __future__ import annotations

import binascii
import re
import secrets
from hashlib import sha1

from attrs import frozen

LONGEST_KEY = 16384
"""Bits; the arithmetic with a longer one would hold everybody up."""

_PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]{1,8192})-----END PUBLIC KEY-----")
_SEQUENCE, _INTEGER, _BIT_STRING = 0x30, 0x02, 0x03
_RSA_ENCRYPTION = bytes.fromhex("06092a864886f70d010101")
_HASH_LENGTH = sha1().digest_size


@frozen
class PublicKey:
    """The modulus and the exponent of an RSA key."""

    modulus: int
    exponent: int

    @property
    def size(self) -> int:
        """The length of what is encrypted with it, in bytes."""
        return (self.modulus.bit_length() + 7) // 8


def parse_public_key(pem: bytes) -> PublicKey:
    """Read a ``BEGIN PUBLIC KEY`` block (RFC 7468, section 13); ValueError where there is none."""
    found = _PEM.search(pem)
    if found is None:
        raise ValueError("not a public key in PEM")
    try:
        info = _Der(_Der(binascii.a2b_base64(found[1])).take(_SEQUENCE))
        algorithm = info.take(_SEQUENCE)
        numbers = _Der(_Der(info.take(_BIT_STRING)[1:]).take(_SEQUENCE))
        key = PublicKey(numbers.take_number(), numbers.take_number())
    except (ValueError, IndexError):
        raise ValueError("a broken public key") from None
    if not algorithm.startswith(_RSA_ENCRYPTION):
        raise ValueError("not a key for RSA")
    if not (512 <= key.modulus.bit_length() <= LONGEST_KEY and 2 < key.exponent < 1 << 32):
        raise ValueError("an RSA key of an unusual size")
    return key


class _Der:
    """Reads values one after the other (X.690, as far as keys need it)."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def take(self, tag: int) -> bytes:
        """The contents of the next value, which must be of that kind; ValueError, IndexError."""
        length, start = self._data[1], 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(self._data[2:start], "big")
        if self._data[0] != tag or len(self._data) < start + length:
            raise ValueError("unexpected DER")
        contents, self._data = self._data[start : start + length], self._data[start + length :]
        return contents

    def take_number(self) -> int:
        return int.from_bytes(self.take(_INTEGER), "big")


def encrypt(message: bytes, key: PublicKey) -> bytes:
    """`message` for the owner of `key`; ValueError where it is too long for it."""
    room = key.size - 2 * _HASH_LENGTH - 2
    if len(message) > room:
        raise ValueError(f"{len(message)} bytes are too long for a key of {key.size} bytes")
    block = sha1().digest() + bytes(room - len(message)) + b"\1" + message
    seed = secrets.token_bytes(_HASH_LENGTH)
    masked = _masked(block, seed)
    padded = _masked(seed, masked) + masked
    encrypted = pow(int.from_bytes(padded, "big"), key.exponent, key.modulus)
    return encrypted.to_bytes(key.size, "big")


def _masked(data: bytes, seed: bytes) -> bytes:
    """`data` xor the mask that MGF1 makes of `seed` (RFC 8017, B.2.1)."""
    blocks = range(len(data) // _HASH_LENGTH + 1)
    mask = b"".join(sha1(seed + i.to_bytes(4, "big")).digest() for i in blocks)
    return bytes(a ^ b for a, b in zip(data, mask, strict=False))
