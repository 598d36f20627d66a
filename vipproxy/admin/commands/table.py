"""All commands, and how one is found, permitted and run."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from vipproxy.admin.commands import errors, frontends, servers, sessions, statistics, tables, user
from vipproxy.admin.commands.command import Command, Console, Level, Terse
from vipproxy.errors import Refused

_WORD = re.compile(r"(?:\\.|[^\s\\])+")


def execute(console: Console, text: str) -> str:
    """The answer to one command, with the empty line that ends it.

    A silent success is that empty line alone.
    """
    words = [re.sub(r"\\(.)", r"\1", word) for word in _WORD.findall(text)]
    try:
        answer = _answer(console, words)
    except Terse as refusal:
        answer = str(refusal)
    except Refused as refusal:
        answer = f"{refusal}\n"
    return "" if console.finished else answer + "\n"


def _answer(console: Console, words: Sequence[str]) -> str:
    command = _find(words)
    if command is None:
        return _unknown(words)
    if console.level < command.level:
        return "Permission denied\n"
    return command.run(console, words[len(command.words) :])


def _find(words: Sequence[str]) -> Command | None:
    for command in COMMANDS:
        if command.words == list(words[: len(command.words)]):
            return command
    return None


def _unknown(words: Sequence[str]) -> str:
    similar = _similar(words)
    if not similar:
        heading = "Unknown command. Please enter one of the following commands only:\n"
        return heading + _lines(COMMANDS)
    heading = "Unknown command, but maybe one of the following ones is a better match:\n"
    return heading + _lines([*similar, *_ALWAYS])


def _similar(words: Sequence[str]) -> list[Command]:
    """Commands that begin with the same words, or that are nearly spelt so."""
    known = {each.name: each for each in COMMANDS if each not in _ALWAYS}
    for count in range(len(words), 0, -1):
        same = [each for each in known.values() if each.words[:count] == list(words[:count])]
        if same:
            return _nearest(words, count, same)
    return [known[name] for name in difflib.get_close_matches(" ".join(words), known)]


def _nearest(words: Sequence[str], count: int, same: list[Command]) -> list[Command]:
    """Of the commands that begin alike, those whose next word begins or is spelt alike, if any."""
    if count == len(words):
        return same
    following = {each.words[count] for each in same if len(each.words) > count}
    close = [word for word in following if word.startswith(words[count])]
    close = close or difflib.get_close_matches(words[count], following)
    return [each for each in same if each.words[count : count + 1] in [[w] for w in close]] or same


def _lines(commands: Sequence[Command]) -> str:
    return "".join(each.line for each in commands)


def _help(console: Console, words: Sequence[str]) -> str:
    similar = _similar(words)
    listed = [*similar, *_ALWAYS] if similar else COMMANDS
    return "The following commands are valid at this level:\n" + _lines(listed)


_ALWAYS = (
    Command("help", Level.USER, "help [<command>]", "list matching or all commands", _help),
    *user.ENDING,
)
COMMANDS: tuple[Command, ...] = (
    *sorted(
        (
            *errors.COMMANDS,
            *frontends.COMMANDS,
            *servers.COMMANDS,
            *sessions.COMMANDS,
            *statistics.COMMANDS,
            *tables.COMMANDS,
            *user.COMMANDS,
        ),
        key=lambda command: command.name,
    ),
    *_ALWAYS,
)
"""In the order in which `help` lists them."""
