"""What samples find."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

Value = bytes | int | IPv4Address | IPv6Address
"""A bool is an int."""

_NUMBER = re.compile(rb"-?[0-9]{1,18}")


def text_of(value: Value) -> bytes:
    if isinstance(value, bytes):
        return value
    return str(int(value) if isinstance(value, int) else value).encode()


def as_numbers(values: Iterable[Value]) -> Sequence[Value]:
    """Those that are whole numbers."""
    return [int(v) for v in values if isinstance(v, int) or _NUMBER.fullmatch(text_of(v))]


def as_addresses(values: Iterable[Value]) -> Sequence[Value]:
    """Those that are IP addresses."""
    found: list[Value] = []
    for value in values:
        if isinstance(value, IPv4Address | IPv6Address):
            found.append(value)
            continue
        try:
            found.append(ip_address(text_of(value).decode("latin-1")))
        except ValueError:
            continue
    return found
