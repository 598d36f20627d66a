"""HAProxy's command line (management guide, 3), read into a frozen value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import frozen


class Misused(Exception):
    """A command line that cannot be read."""


@frozen
class Arguments:
    files: tuple[str, ...] = ()
    version: int = 0
    """How often ``v`` was said."""
    condition: str | None = None
    check: bool = False
    quiet: bool = False
    zero_warning: bool = False
    daemon: bool = False
    foreground: bool = False
    """``-db``, ``-d``, ``-W`` and ``-Ws``: never into the background."""
    master: bool = False
    notify: bool = False
    """Tell the service manager."""
    pid_file: str | None = None
    directory: str | None = None
    maxconn: int | None = None
    proxy_maxconn: int | None = None
    memory: int | None = None
    """Megabytes."""
    local_peer: str | None = None
    finish: tuple[int, ...] = ()
    """Processes that are asked to let their sessions finish, once this one listens."""
    terminate: tuple[int, ...] = ()
    """Processes that are asked to end at once."""
    idle: tuple[str, ...] = ()
    """Options for work that is not done here."""


FLAGS: dict[str, dict[str, Any]] = {
    "-c": {"check": True},
    "-q": {"quiet": True},
    "-V": {"quiet": False},
    "-D": {"daemon": True},
    "-db": {"foreground": True},
    "-d": {"foreground": True},
    "-dW": {"zero_warning": True},
    "-W": {"foreground": True, "master": True},
    "-Ws": {"foreground": True, "master": True, "notify": True},
    "-v": {"version": 1},
    "-vv": {"version": 2},
}
"""Options without a value, and what they say."""

TEXTS = {"-p": "pid_file", "-C": "directory", "-L": "local_peer", "-cc": "condition"}
NUMBERS = {"-n": "maxconn", "-N": "proxy_maxconn", "-m": "memory"}
PIDS = {"-sf": "finish", "-st": "terminate"}
IDLE_VALUES = ("-S", "-x")
IDLE = ("-de", "-dp", "-dS", "-dG", "-dR", "-dr", "-dV", "-dD", "-dL")
IDLE_PREFIXES = ("-dM", "-dI", "-dK")
"""Tuning of an engine that is not here; they may have a value at their end."""


def parse(argv: Sequence[str]) -> Arguments:
    """Read the arguments; raises Misused."""
    waiting = list(argv)
    values: dict[str, Any] = {}
    files: list[str] = []
    idle: list[str] = []
    while waiting:
        word = waiting.pop(0)
        if word == "--":
            files += waiting
            break
        if word in FLAGS:
            values.update(FLAGS[word])
        elif word == "-f":
            files.append(_value(word, waiting))
        elif word in TEXTS:
            values[TEXTS[word]] = _value(word, waiting)
        elif word in NUMBERS:
            values[NUMBERS[word]] = _number(word, _value(word, waiting))
        elif word in PIDS:
            values[PIDS[word]] = (*values.get(PIDS[word], ()), *_pids(waiting))
        elif word in IDLE_VALUES:
            _value(word, waiting)
            idle.append(word)
        elif word not in IDLE and not word.startswith(IDLE_PREFIXES):
            raise Misused(f"unknown argument '{word}'")
    if not files and not values.get("version") and values.get("condition") is None:
        raise Misused("no configuration file was given")
    return Arguments(files=tuple(files), idle=tuple(idle), **values)


def _value(word: str, waiting: list[str]) -> str:
    if not waiting:
        raise Misused(f"'{word}' needs a value")
    return waiting.pop(0)


def _number(word: str, text: str) -> int:
    if not text.isdigit():
        raise Misused(f"'{word}' needs a number, not '{text}'")
    return int(text) or 1


def _pids(waiting: list[str]) -> list[int]:
    """All numbers that follow; there may be none."""
    found = []
    while waiting and waiting[0].isdigit():
        found.append(int(waiting.pop(0)))
    return found
