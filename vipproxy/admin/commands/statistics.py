"""``show info``, ``show stat``, ``clear counters`` and what else is about the whole."""

from __future__ import annotations

from collections.abc import Sequence

from vipproxy.admin.commands.command import Command, Console, Level
from vipproxy.admin.schema import SCHEMA
from vipproxy.admin.show import show_info, show_stat


def _show_info(console: Console, words: Sequence[str]) -> str:
    return show_info(console.cluster.snapshot(), words)


def _show_stat(console: Console, words: Sequence[str]) -> str:
    return show_stat(console.cluster.snapshot(), words)


def _show_schema(console: Console, words: Sequence[str]) -> str:
    return SCHEMA


def _show_version(console: Console, words: Sequence[str]) -> str:
    return f"{console.cluster.snapshot().process.version}\n"


def _show_backend(console: Console, words: Sequence[str]) -> str:
    names = [pool.name for pool in console.cluster.snapshot().backends]
    return "".join(f"{line}\n" for line in ("# name", *names))


def _clear_counters(console: Console, words: Sequence[str]) -> str:
    everything = words[:1] == ["all"]
    if console.level < (Level.ADMIN if everything else Level.OPERATOR):
        return "Permission denied\n"
    console.control.clear_counters(everything)
    return ""


COMMANDS = (
    Command(
        "clear counters",
        Level.OPERATOR,
        "clear counters [all]",
        "clear max statistics counters (or all counters)",
        _clear_counters,
    ),
    Command(
        "show backend",
        Level.USER,
        "show backend",
        "list backends in the current running config",
        _show_backend,
    ),
    Command(
        "show info",
        Level.USER,
        "show info [desc|json|typed|float]*",
        "report information about the running process",
        _show_info,
    ),
    Command(
        "show schema json",
        Level.USER,
        "show schema json",
        "report schema used for stats",
        _show_schema,
    ),
    Command(
        "show stat",
        Level.USER,
        "show stat [desc|json|no-maint|typed|up]*",
        "report counters for each proxy and server",
        _show_stat,
    ),
    Command(
        "show version",
        Level.USER,
        "show version",
        "show version of the current process",
        _show_version,
    ),
)
