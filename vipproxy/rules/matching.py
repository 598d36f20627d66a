"""How values are compared with patterns: HAProxy's matches."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from vipproxy.config.conditions import Pattern, Range, Test
from vipproxy.rules.parts import DELIMITERS, between
from vipproxy.rules.values import Value, as_addresses, as_numbers, text_of

Match = Callable[[Sequence[Value]], bool]
"""Whether any of the values matches."""


def compile_match(test: Test) -> Match:
    """What compares a test's values with its patterns."""
    match, patterns = test.match, test.patterns
    if match == "found":
        return bool
    if match == "bool" and not patterns:
        return lambda values: any(map(bool, as_numbers(values)))
    if match in ("int", "bool"):
        in_range = _ranges(patterns)
        return lambda values: any(map(in_range, as_numbers(values)))
    if match == "len":
        in_range = _ranges(patterns)
        return lambda values: any(in_range(len(text_of(value))) for value in values)
    if match == "ip":
        return _networks([p for p in patterns if isinstance(p, IPv4Network | IPv6Network)])
    return _texts(test)


def _ranges(patterns: Sequence[Pattern]) -> Callable[[Value], bool]:
    bounds = [(p.low, p.high) for p in patterns if isinstance(p, Range)]

    def within(value: Value) -> bool:
        assert isinstance(value, int)
        return any(
            (low is None or low <= value) and (high is None or value <= high)
            for low, high in bounds
        )

    return within


def _networks(networks: Sequence[IPv4Network | IPv6Network]) -> Match:
    def within(values: Sequence[Value]) -> bool:
        return any(_is_in(address, networks) for address in as_addresses(values))

    return within


def _is_in(address: Value, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    assert isinstance(address, IPv4Address | IPv6Address)
    return any(address in network for network in networks)


def _texts(test: Test) -> Match:
    texts = [p.encode("utf-8", "surrogateescape") for p in test.patterns if isinstance(p, str)]
    if test.match == "reg" or test.match in DELIMITERS:
        return _expressions(test, texts)
    fold = bytes.lower if test.ignore_case else bytes
    compares = _comparison(test.match, tuple(map(fold, texts)))
    return lambda values: any(compares(fold(text_of(value))) for value in values)


def _comparison(match: str, texts: tuple[bytes, ...]) -> Callable[[bytes], bool]:
    if match == "beg":
        return lambda value: value.startswith(texts)
    if match == "end":
        return lambda value: value.endswith(texts)
    if match == "sub":
        return lambda value: any(text in value for text in texts)
    return frozenset(texts).__contains__


def _expressions(test: Test, texts: Sequence[bytes]) -> Match:
    if test.match in DELIMITERS:
        delimiters = DELIMITERS[test.match]
        texts = [between(text, delimiters) for text in texts]
    flags = re.IGNORECASE if test.ignore_case else 0
    patterns = [re.compile(text, flags) for text in texts]
    return lambda values: any(p.search(text_of(value)) for value in values for p in patterns)
