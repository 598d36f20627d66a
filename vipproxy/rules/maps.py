"""Maps: a value is looked up in a file's patterns (``map_beg(/etc/vipproxy/hosts,default)``)."""

from __future__ import annotations

import re
from collections.abc import Callable

from vipproxy.config.samples import Converter
from vipproxy.rules.parts import DELIMITERS, between

Lookup = Callable[[bytes], bytes | None]


def compile_map(converter: Converter) -> Lookup:
    """What looks a value up: of exact patterns and beginnings the longest, else the first."""
    find = _finder(converter)
    if len(converter.arguments) < 2:
        return find
    default = converter.arguments[1].encode()

    def find_or_default(value: bytes) -> bytes:
        found = find(value)
        return default if found is None else found

    return find_or_default


def _finder(converter: Converter) -> Lookup:
    match = converter.name.partition("_")[2] or "str"
    table = [(pattern.encode(), value.encode()) for pattern, value in converter.table]
    if match == "str":
        exact = dict(reversed(table))
        return exact.get
    if match == "beg":
        table.sort(key=lambda row: -len(row[0]))
    holds: dict[str, Callable[[bytes], Callable[[bytes], object]]] = {
        "beg": lambda pattern: lambda value: value.startswith(pattern),
        "end": lambda pattern: lambda value: value.endswith(pattern),
        "sub": lambda pattern: lambda value: pattern in value,
        "reg": lambda pattern: re.compile(pattern).search,
        "dir": lambda pattern: re.compile(between(pattern, DELIMITERS["dir"])).search,
        "dom": lambda pattern: re.compile(between(pattern, DELIMITERS["dom"])).search,
    }
    compiled = [(holds[match](pattern), found) for pattern, found in table]
    return lambda value: next((found for holds, found in compiled if holds(value)), None)
