"""The process's log: what is to be written is kept for a moment, and goes out many at once."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Sequence

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from vipproxy.config.log_options import LogOptions
from vipproxy.logs.formats import Line
from vipproxy.logs.record import Record
from vipproxy.logs.targets import Entry, Target

log = Logger()

DELAY = 0.01
"""Seconds that a line may wait for others."""
BATCH = 64
"""So many wait no longer than for the reactor's next turn."""
LIMIT = 4096
"""So many do not wait at all."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Outlet:
    """All targets. Lines of sessions are made when they go out, beside the traffic."""

    def __init__(
        self, options: Sequence[LogOptions], tag: str, clock: IReactorTime, hostname: str = ""
    ) -> None:
        self.hostname = hostname or socket.gethostname()
        self._options, self._tag, self._clock = options, tag, clock
        self._targets: list[Target] = []
        self._dropped = 0
        self._pending: list[tuple[int, float, str | tuple[Line, Record]]] = []
        self._call: IDelayedCall | None = None

    def start(self) -> None:
        """Open the targets, with the rights that the process has from now on."""
        make = [Target(each, self._tag, self.hostname, os.getpid()) for each in self._options]
        self._targets = make

    def stop(self) -> None:
        """Write what is left, and close them."""
        if self._call is not None:
            self._call.cancel()
            self._flush()
        targets, self._targets = self._targets, []
        for target in targets:
            target.stop()
            self._dropped += target.dropped

    @property
    def dropped(self) -> int:
        """Lines that some target did not get, since the start."""
        return self._dropped + sum(target.dropped for target in self._targets)

    def say(self, level: int, text: str) -> None:
        """A sentence about the proxy or its servers."""
        self._add(level, self._clock.seconds(), _CONTROL.sub(" ", text))

    def write(self, level: int, line: Line, record: Record) -> None:
        """A session or exchange that has ended; `line` is asked for its text a little later."""
        self._add(level, record.ended_at, (line, record))

    def _add(self, level: int, at: float, what: str | tuple[Line, Record]) -> None:
        if not self._targets:
            return  # the proxy does not run
        self._pending.append((level, at, what))
        if self._call is None:
            self._call = self._clock.callLater(DELAY, self._flush)
        elif len(self._pending) == BATCH:
            self._call.reset(0)
        elif len(self._pending) >= LIMIT:
            self._call.cancel()
            self._flush()

    def _flush(self) -> None:
        pending, self._pending, self._call = self._pending, [], None
        entries: list[Entry] = []
        for level, at, what in pending:
            try:
                text = what if isinstance(what, str) else what[0](what[1])
            except Exception:
                self._dropped += 1
                log.failure("a log line could not be made")
            else:
                entries.append((level, at, text))
        for target in self._targets:
            target.send(entries)
