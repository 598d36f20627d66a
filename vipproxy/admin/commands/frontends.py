"""Frontends, and what the process as a whole may accept."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vipproxy.admin.commands.command import Command, Console, Level, number
from vipproxy.errors import Refused
from vipproxy.interfaces import IControl

RATE_LIMITS = (
    "'set rate-limit' only supports :\n"
    "   - 'connections global' to set the per-process maximum connection rate\n"
    "   - 'sessions global' to set the per-process maximum session rate"
)
"""HAProxy knows two more where it was built with TLS and compression."""


def _on_frontend(verb: str, help: str, change: Callable[[IControl, str], None]) -> Command:
    def run(console: Console, words: Sequence[str]) -> str:
        change(console.control, _name(words))
        return ""

    return Command(f"{verb} frontend", Level.ADMIN, f"{verb} frontend <frontend>", help, run)


def _name(words: Sequence[str]) -> str:
    if not words:
        raise Refused("A frontend name is expected.")
    return words[0]


def _set_frontend_maxconn(console: Console, words: Sequence[str]) -> str:
    name = _name(words)
    if all(each.name != name for each in console.cluster.snapshot().frontends):
        raise Refused("No such frontend.")
    console.control.set_frontend_maxconn(name, _count(words[1:], "Integer value expected."))
    return ""


def _set_global_maxconn(console: Console, words: Sequence[str]) -> str:
    console.control.set_session_limit(_count(words))
    return ""


def _set_rate_limit(console: Console, words: Sequence[str]) -> str:
    """Here a connection is a session: both limits are one."""
    if words[:2] not in (["connections", "global"], ["sessions", "global"]):
        raise Refused(RATE_LIMITS)
    console.control.set_session_rate(_count(words[2:]))
    return ""


def _count(words: Sequence[str], expected: str = "Expects an integer value.") -> int:
    """A number that is not negative. HAProxy takes a word for 0."""
    value = number(words[0]) if words else None
    if value is None:
        raise Refused(expected)
    if value < 0:
        raise Refused("Value out of range.")
    return value


COMMANDS = (
    _on_frontend(
        "disable", "temporarily disable specific frontend", lambda c, n: c.disable_frontend(n)
    ),
    _on_frontend("enable", "re-enable specific frontend", lambda c, n: c.enable_frontend(n)),
    _on_frontend("shutdown", "stop a specific frontend", lambda c, n: c.shut_frontend(n)),
    Command(
        "set maxconn frontend",
        Level.ADMIN,
        "set maxconn frontend <frontend> <value>",
        "change a frontend's maxconn setting",
        _set_frontend_maxconn,
    ),
    Command(
        "set maxconn global",
        Level.ADMIN,
        "set maxconn global <value>",
        "change the per-process maxconn setting",
        _set_global_maxconn,
    ),
    Command(
        "set rate-limit",
        Level.ADMIN,
        "set rate-limit <setting> <value>",
        "change a rate limiting value",
        _set_rate_limit,
    ),
)
