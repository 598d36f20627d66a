"""What a command is, and what commands share."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import IntEnum

from attrs import define, frozen

from vipproxy.errors import Refused
from vipproxy.interfaces import ICluster, IControl
from vipproxy.values import BackendSnapshot, ServerSnapshot


class Level(IntEnum):
    """What a user of the socket may do; each includes the one before."""

    USER = 0
    OPERATOR = 1
    ADMIN = 2


IDLE_TIMEOUT = 10.0
"""Seconds: HAProxy's default `stats timeout`."""


@define
class Console:
    """One user's connection, as commands see it."""

    cluster: ICluster
    control: IControl
    level: Level
    sockets: Sequence[str] = ()
    """The lines of ``show cli sockets``."""
    timeout: float = IDLE_TIMEOUT
    """Seconds that the user may be silent."""
    interactive: bool = False
    """Each answer is followed by a prompt, and the connection stays."""
    finished: bool = False
    """The user wants to leave."""


Run = Callable[[Console, Sequence[str]], str]
"""Takes the words after the command's own; gives lines, each with its line feed.

May raise `vipproxy.errors.Refused`.
"""


class Terse(Refused):
    """A refusal that HAProxy does not end with a line feed."""


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


def split_server(words: Sequence[str]) -> tuple[str, str]:
    """The first word as backend and server."""
    backend, slash, server = (words[0] if words else "").partition("/")
    if not (backend and slash and server):
        raise Refused("Require 'backend/server'.")
    return backend, server


def find_backend(console: Console, name: str, missing: str = "No such backend.") -> BackendSnapshot:
    for pool in console.cluster.snapshot().backends:
        if pool.name == name:
            return pool
    raise Refused(missing)


def find_server(console: Console, words: Sequence[str]) -> tuple[str, ServerSnapshot]:
    """The backend's name, and the server that the first word names."""
    backend, name = split_server(words)
    for server in find_backend(console, backend).servers:
        if server.name == name:
            return backend, server
    raise Refused("No such server.")


def number(text: str) -> int | None:
    """A whole number, perhaps negative; None where it is something else.

    HAProxy reads a word as far as it is a number, and most words as 0.
    """
    return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else None


def timestamp(at: float, timespec: str = "milliseconds") -> str:
    """``25/Nov/2026:08:45:14.748``, local time, of Unix time in seconds."""
    moment = datetime.fromtimestamp(at)
    return f"{moment:%d/%b/%Y}:{moment.time().isoformat(timespec)}"
