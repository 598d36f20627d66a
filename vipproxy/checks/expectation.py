"""What a check expects of a server's words: HAProxy's ``expect``."""

from __future__ import annotations

import re

from vipproxy.config.check_steps import Expect


def matches(expect: Expect, data: bytes) -> bool:
    """Whether the pattern, negated or not, is in `data`; of a status, whether it is that."""
    if expect.kind == "status":
        return in_statuses(expect.pattern, int(data))
    if expect.kind in ("rstring", "rstatus"):
        return re.search(expect.pattern, data) is not None
    return expect.pattern in data


def in_statuses(pattern: bytes, status: int) -> bool:
    """Whether a status is one of ``200,300-310``."""
    for part in pattern.split(b","):
        low, _, high = part.partition(b"-")
        if int(low) <= status <= int(high or low):
            return True
    return False


def wanted(expect: Expect) -> str:
    """What was expected, for a log."""
    text = expect.pattern.decode("latin-1")
    return f"{'not ' if expect.negated else ''}{expect.kind} '{text}'"
