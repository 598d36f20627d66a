"""Dates as logs write them; each second is worked out once."""

from __future__ import annotations

import time
from collections.abc import Callable

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""strftime's would be the locale's."""


class Cached:
    """A date of whole seconds, kept as long as that second is asked for."""

    __slots__ = ("_make", "_second", "_text")

    def __init__(self, make: Callable[[int], str]) -> None:
        self._make, self._second, self._text = make, -1, ""

    def __call__(self, at: float) -> str:
        second = int(at)
        if second != self._second:
            self._second, self._text = second, self._make(second)
        return self._text


def _common(moment: time.struct_time) -> str:
    day = f"{moment.tm_mday:02}/{_MONTHS[moment.tm_mon - 1]}/{moment.tm_year:04}"
    return f"{day}:{moment.tm_hour:02}:{moment.tm_min:02}:{moment.tm_sec:02}"


def _zone(moment: time.struct_time, colon: str) -> str:
    hours, minutes = divmod(abs(moment.tm_gmtoff) // 60, 60)
    return f"{'-' if moment.tm_gmtoff < 0 else '+'}{hours:02}{colon}{minutes:02}"


def _syslog(second: int) -> str:
    """``Nov  5 08:42:34`` (RFC 3164, 4.1.2)"""
    at = time.localtime(second)
    clock = f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02}"
    return f"{_MONTHS[at.tm_mon - 1]} {at.tm_mday:2} {clock}"


def _local(second: int) -> str:
    at = time.localtime(second)
    return f"{_common(at)} {_zone(at, '')}"


def _iso(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(second))


common_seconds = Cached(lambda second: _common(time.localtime(second)))
local_date = Cached(_local)
"""``06/Feb/2009:12:12:51 +0100``"""
gmt_date = Cached(lambda second: f"{_common(time.gmtime(second))} +0000")
syslog_date = Cached(_syslog)
_iso_seconds = Cached(_iso)
_iso_zone = Cached(lambda second: _zone(time.localtime(second), ":"))


def milliseconds(at: float) -> int:
    return int(at * 1000) % 1000


def exact_date(at: float) -> str:
    """``06/Feb/2009:12:12:51.443``"""
    return f"{common_seconds(at)}.{milliseconds(at):03}"


def iso_date(at: float) -> str:
    """RFC 3339's, in whole seconds."""
    return _iso_seconds(at) + _iso_zone(at)


def exact_iso_date(at: float) -> str:
    """RFC 3339's, with microseconds."""
    return f"{_iso_seconds(at)}.{int(at * 1e6) % 1_000_000:06}{_iso_zone(at)}"
