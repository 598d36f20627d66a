"""The commands of the stats socket: one table, in HAProxy's words (management guide, 9.3).

A further command is a function and a line in `COMMANDS`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from enum import IntEnum

from attrs import frozen

from vipproxy.admin.schema import SCHEMA
from vipproxy.admin.show import show_info, show_stat
from vipproxy.interfaces import ICluster, IControl
from vipproxy.values import AdminState


class Level(IntEnum):
    """What a user of the socket may do; each includes the one before."""

    USER = 0
    OPERATOR = 1
    ADMIN = 2


@frozen
class Console:
    """What commands work on."""

    cluster: ICluster
    control: IControl
    level: Level


Run = Callable[[Console, Sequence[str]], str]
"""Takes the words after the command's own; gives lines, each with its line feed."""


@frozen
class Command:
    """A line of the table."""

    name: str
    level: Level
    usage: str
    help: str
    run: Run

    @property
    def words(self) -> list[str]:
        return self.name.split()

    @property
    def line(self) -> str:
        """How ``help`` shows it."""
        return f"  {self.usage:<40}: {self.help}\n"


def execute(console: Console, text: str) -> str:
    """The answer to one command, with the empty line that ends it.

    A silent success is that empty line alone.
    """
    return _answer(console, text.split()) + "\n"


def _answer(console: Console, words: Sequence[str]) -> str:
    command = _find(words)
    if command is None:
        return _unknown(console, words)
    if console.level < command.level:
        return "Permission denied\n"
    return command.run(console, words[len(command.words) :])


def _find(words: Sequence[str]) -> Command | None:
    for command in COMMANDS:
        if command.words == list(words[: len(command.words)]):
            return command
    return None


def _unknown(console: Console, words: Sequence[str]) -> str:
    similar = _similar(console, words)
    if not similar:
        heading = "Unknown command. Please enter one of the following commands only:\n"
        return heading + _lines(_permitted(console))
    heading = "Unknown command, but maybe one of the following ones is a better match:\n"
    return heading + _lines([*similar, HELP])


def _permitted(console: Console) -> list[Command]:
    return [each for each in COMMANDS if each.level <= console.level]


def _similar(console: Console, words: Sequence[str]) -> list[Command]:
    """Commands, but for ``help``, that begin with the same words, or that are nearly spelt so."""
    known = {each.name: each for each in _permitted(console) if each is not HELP}
    for count in range(len(words), 0, -1):
        same = [each for each in known.values() if each.words[:count] == list(words[:count])]
        if same:
            return same
    return [known[name] for name in difflib.get_close_matches(" ".join(words), known)]


def _lines(commands: Sequence[Command]) -> str:
    return "".join(each.line for each in commands)


def _help(console: Console, words: Sequence[str]) -> str:
    similar = _similar(console, words)
    listed = [*similar, HELP] if similar else _permitted(console)
    return "The following commands are valid at this level:\n" + _lines(listed)


def _show_info(console: Console, words: Sequence[str]) -> str:
    return show_info(console.cluster.snapshot(), words)


def _show_stat(console: Console, words: Sequence[str]) -> str:
    return show_stat(console.cluster.snapshot(), words)


def _show_schema(console: Console, words: Sequence[str]) -> str:
    return SCHEMA


SET_SERVER_USAGE = "usage: set server <backend>/<server> state\n"
STATES = "'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n"


def _set_server(console: Console, words: Sequence[str]) -> str:
    backend, slash, server = (words[0] if words else "").partition("/")
    if not (backend and slash and server):
        return "Require 'backend/server'.\n"
    missing = _missing(console, backend, server)
    if missing:
        return missing
    if words[1:2] != ["state"]:
        return SET_SERVER_USAGE
    if words[2:] not in [[state.value] for state in AdminState]:
        return STATES
    console.control.set_admin_state(backend, server, AdminState(words[2]))
    return ""


def _missing(console: Console, backend: str, server: str) -> str:
    """The refusal where there is no such server; empty where there is."""
    for pool in console.cluster.snapshot().backends:
        if pool.name == backend:
            known = any(each.name == server for each in pool.servers)
            return "" if known else "No such server.\n"
    return "No such backend.\n"


HELP = Command("help", Level.USER, "help [<command>]", "list matching or all commands", _help)

COMMANDS = (
    Command(
        "set server",
        Level.ADMIN,
        "set server <bk>/<srv> state <state>",
        "change a server's state (ready, drain or maint)",
        _set_server,
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
        "report the schema of the JSON of 'show info' and 'show stat'",
        _show_schema,
    ),
    Command(
        "show stat",
        Level.USER,
        "show stat [desc|json|no-maint|typed|up]*",
        "report counters for each proxy and server",
        _show_stat,
    ),
    HELP,
)
