"""Passwords as crypt(3) keeps them: ``$6$...``, ``$5$...``, ``$y$...`` and the older ones."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any


@cache
def _library() -> Any:
    """libcrypt; Python's own module for it is gone since 3.13. Raises ValueError."""
    try:
        library = ctypes.CDLL("libcrypt.so.1")
    except OSError:
        raise ValueError("libcrypt.so.1, which encrypts passwords, is not installed") from None
    library.crypt.restype = ctypes.c_char_p
    library.crypt.argtypes = (ctypes.c_char_p, ctypes.c_char_p)
    return library


def encrypted(password: bytes, setting: bytes) -> bytes | None:
    """What crypt(3) makes of a password with the method and salt of `setting`, perhaps a hash.

    None where the password has a null byte, or the system does not know the method. Raises
    ValueError where there is no libcrypt.
    """
    if b"\0" in password or b"\0" in setting:
        return None
    found: bytes | None = _library().crypt(password, setting)
    return None if found is None or found.startswith(b"*") else found
