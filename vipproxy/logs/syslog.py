"""What stands before the text of a line: syslog's headers, and those of files."""

from __future__ import annotations

from collections.abc import Callable

from vipproxy.config.log_options import FACILITIES, LEVELS
from vipproxy.logs import dates

Header = Callable[[int, float], str]
"""From a level, 0 to 7, and a time to what stands before the text."""


def header_of(format: str, facility: str, tag: str, hostname: str, pid: int) -> Header:
    """HAProxy's header formats by their names (configuration manual, `log`), and `traditional`."""
    base = FACILITIES.index(facility) * 8
    headers: dict[str, Header] = {
        "local": lambda level, at: f"<{base + level}>{dates.syslog_date(at)} {tag}[{pid}]: ",
        "rfc3164": lambda level, at: (
            f"<{base + level}>{dates.syslog_date(at)} {hostname} {tag}[{pid}]: "
        ),
        "rfc5424": lambda level, at: (
            f"<{base + level}>1 {dates.iso_date(at)} {hostname} {tag} {pid} - - "
        ),
        "priority": lambda level, at: f"<{base + level}>",
        "short": lambda level, at: f"<{level}>",
        "timed": lambda level, at: f"<{base + level}>{dates.exact_iso_date(at)} ",
        "iso": lambda level, at: f"{dates.exact_iso_date(at)} ",
        "raw": lambda level, at: "",
        "traditional": lambda level, at: f"{dates.syslog_date(at)} {hostname} {tag}[{pid}]: ",
    }
    return headers[format]


def level_of(name: str) -> int:
    """0 for emerg to 7 for debug."""
    return LEVELS.index(name)
