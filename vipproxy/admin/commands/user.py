"""What is about the user's own connection, and about the process around it."""

from __future__ import annotations

import os
from collections.abc import Sequence

from vipproxy.admin.commands.command import Command, Console, Level, number
from vipproxy.errors import Refused

LONGEST_TIMEOUT = 2**31 / 1000
"""Seconds: HAProxy counts milliseconds in 31 bits."""


def _lower_to(level: Level) -> Command:
    name = level.name.lower()

    def run(console: Console, words: Sequence[str]) -> str:
        console.level = level
        return ""

    help = f"lower the level of the current CLI session to {name}"
    return Command(name, level, name, help, run)


def _prompt(console: Console, words: Sequence[str]) -> str:
    console.interactive = not console.interactive
    return ""


def _quit(console: Console, words: Sequence[str]) -> str:
    console.finished = True
    return ""


def _set_timeout(console: Console, words: Sequence[str]) -> str:
    if words[:1] != ["cli"]:
        raise Refused("'set timeout' only supports 'cli'.")
    if len(words) < 2:
        raise Refused("Expects an integer value.")
    seconds = number(words[1].removesuffix("s"))
    if seconds is None or not 0 < seconds < LONGEST_TIMEOUT:
        raise Refused("Invalid timeout value.")
    console.timeout = float(seconds)
    return ""


def _show_level(console: Console, words: Sequence[str]) -> str:
    return f"{console.level.name.lower()}\n"


def _show_sockets(console: Console, words: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in ("# socket lvl processes", *console.sockets))


def _show_env(console: Console, words: Sequence[str]) -> str:
    if not words:
        return "".join(f"{name}={value}\n" for name, value in os.environ.items())
    if words[0] not in os.environ:
        raise Refused("Variable not found")
    return f"{words[0]}={os.environ[words[0]]}\n"


COMMANDS = (
    _lower_to(Level.OPERATOR),
    _lower_to(Level.USER),
    Command(
        "set timeout",
        Level.USER,
        "set timeout [cli] <delay>",
        "change a timeout setting",
        _set_timeout,
    ),
    Command(
        "show cli level",
        Level.USER,
        "show cli level",
        "display the level of the current CLI session",
        _show_level,
    ),
    Command(
        "show cli sockets",
        Level.USER,
        "show cli sockets",
        "dump list of cli sockets",
        _show_sockets,
    ),
    Command(
        "show env",
        Level.OPERATOR,
        "show env [var]",
        "dump environment variables known to the process",
        _show_env,
    ),
)
ENDING = (
    Command("prompt", Level.USER, "prompt", "toggle interactive mode with prompt", _prompt),
    Command("quit", Level.USER, "quit", "disconnect", _quit),
)
