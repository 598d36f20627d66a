"""A thread that writes to a descriptor: a full disk, or a terminal that is held, delays nobody."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Protocol

from twisted.logger import Logger

log = Logger()

ROOM = 4 * 1024 * 1024
"""Bytes that may wait to be written."""
FAREWELL = 2.0
"""Seconds that the last of them have at the end."""


class Opener(Protocol):
    """Knows the descriptor to write to; called before each batch, in the writer's thread."""

    def __call__(self) -> int:
        """The descriptor; raises OSError."""

    def close(self) -> None:
        """It is not needed any more."""


class Writer:
    """Takes lines without waiting; the thread starts with the first."""

    def __init__(self, opener: Opener, name: str, room: int = ROOM) -> None:
        self._opener, self._name, self._room = opener, name, room
        self._changed = threading.Condition()
        self._waiting: list[bytes] = []
        self._size = 0
        """Bytes that wait, or are being written."""
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._failing = False
        self.lost = 0
        """Lines that were taken, and could not be written."""

    def take(self, lines: Sequence[bytes]) -> int:
        """Have lines written; how many there was no room for."""
        with self._changed:
            if self._thread is None and not self._stopping:
                self._start()
            for at, line in enumerate(lines):
                if self._size + len(line) > self._room or self._stopping:
                    return len(lines) - at
                self._waiting.append(line)
                self._size += len(line)
                self._changed.notify()
        return 0

    def stop(self) -> None:
        """Write what waits, but not for ever: a thread that cannot is left behind."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(FAREWELL)

    def _start(self) -> None:
        name = f"log {self._name}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while lines := self._next():
            self._write(lines)
            with self._changed:
                self._size -= sum(map(len, lines))
        self._opener.close()

    def _next(self) -> list[bytes]:
        """All that waits, as soon as there is any; nothing at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping)
            lines, self._waiting = self._waiting, []
            return lines

    def _write(self, lines: list[bytes]) -> None:
        data, written = memoryview(b"".join(lines)), 0
        try:
            descriptor = self._opener()
            while written < len(data):
                written += os.write(descriptor, data[written:])
            self._failing = False
        except OSError as error:
            self.lost += _unwritten(lines, written)
            if not self._failing:  # say it once, until it works again
                self._failing = True
                log.error("cannot write the log to {name}: {why}", name=self._name, why=error)


def _unwritten(lines: list[bytes], written: int) -> int:
    """How many lines do not lie wholly in the bytes written."""
    for at, line in enumerate(lines):
        written -= len(line)
        if written < 0:
            return len(lines) - at
    return 0
