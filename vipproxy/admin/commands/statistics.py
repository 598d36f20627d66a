"""``show info``, ``show stat``, ``clear counters`` and what else is about the whole."""

from __future__ import annotations

from collections.abc import Sequence

from vipproxy.admin.commands.command import Command, Console, Level
from vipproxy.admin.csv import as_csv
from vipproxy.admin.info import as_info


def _show_info(console: Console, words: Sequence[str]) -> str:
    return _takes_nothing("show info", words) or as_info(console.cluster.snapshot())


def _show_stat(console: Console, words: Sequence[str]) -> str:
    return _takes_nothing("show stat", words) or as_csv(console.cluster.snapshot())


def _takes_nothing(name: str, words: Sequence[str]) -> str:
    """A refusal: better than an answer in another format than the one asked for."""
    return f"'{name}' does not support '{words[0]}' yet.\n" if words else ""


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
        "show info",
        "report information about the running process",
        _show_info,
    ),
    Command(
        "show stat",
        Level.USER,
        "show stat",
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
