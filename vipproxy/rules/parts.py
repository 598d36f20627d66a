"""Whole parts of paths and names."""

from __future__ import annotations

import re

DELIMITERS = {"dir": b"/?", "dom": b"/?.:"}
"""What parts of a path, and of a name, lie between."""


def between(text: bytes, delimiters: bytes) -> bytes:
    """A regular expression for a part (``dir``, ``dom``) that is `text` from end to end."""
    edge = re.escape(delimiters)
    return rb"(?:\A|[%b])%b(?:\Z|[%b])" % (edge, re.escape(text.strip(delimiters)), edge)
