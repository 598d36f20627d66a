"""Where lines go. None of it blocks: what cannot go at once is dropped, and counted."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from twisted.logger import Logger
from zope.interface import Interface, implementer

from vipproxy.config.log_options import FileName, LogOptions
from vipproxy.logs.syslog import Header, header_of, level_of
from vipproxy.logs.writer import Writer
from vipproxy.values import Address

log = Logger()

DATAGRAM_LENGTH, STREAM_LENGTH = 1024, 16384
"""Bytes of a line at most, by default: HAProxy's for syslog."""

Entry = tuple[int, float, str]
"""A line's level (0 to 7), its time, and its text."""


class ISink(Interface):
    """Takes lines."""

    def send(lines: Sequence[bytes]) -> int:
        """Send or store them at once; how many could not be."""

    def lost() -> int:
        """How many were taken, and could not be written after all."""

    def stop() -> None:
        """Write what was taken, within a moment."""


@implementer(ISink)
class DatagramSink:
    """A syslog server: a datagram for each line, sent as long as the kernel takes them."""

    def __init__(self, family: socket.AddressFamily, destination: str | tuple[str, int]) -> None:
        self._destination = destination
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def send(self, lines: Sequence[bytes]) -> int:
        lost = 0
        for line in lines:
            try:
                self._socket.sendto(line, self._destination)
            except OSError:  # nobody listens there, or not fast enough
                lost += 1
        return lost

    def lost(self) -> int:
        return 0

    def stop(self) -> None:
        self._socket.close()


@implementer(ISink)
class StreamSink:
    """A file, or a standard stream, written to by a thread."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def send(self, lines: Sequence[bytes]) -> int:
        return self._writer.take([line + b"\n" for line in lines])

    def lost(self) -> int:
        return self._writer.lost

    def stop(self) -> None:
        self._writer.stop()


class LogFile:
    """Opens a file by its name again when that has become another file, or none: rotation."""

    def __init__(self, path: Path, mode: int) -> None:
        self._path, self._mode = path, mode
        self._descriptor: int | None = None

    def __call__(self) -> int:
        """The descriptor to write to; raises OSError."""
        if self._descriptor is not None and self._moved(self._descriptor):
            self.close()
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, self._mode)
        return self._descriptor

    def _moved(self, descriptor: int) -> bool:
        try:
            return not os.path.samestat(os.stat(self._path), os.fstat(descriptor))
        except OSError:
            return True

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class StandardStream:
    """Standard output or error, which stays open."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self) -> int:
        try:
            descriptor: int = getattr(sys, f"__{self._name}__").fileno()
        except (AttributeError, ValueError):
            raise OSError(errno.EBADF, f"there is no {self._name}") from None
        return descriptor

    def close(self) -> None:
        """Others use it, too."""


class Target:
    """One `log` of the configuration."""

    def __init__(self, options: LogOptions, tag: str, hostname: str, pid: int) -> None:
        streams = isinstance(options.place, FileName | str)
        self._sink = _sink(options)
        self._level, self._minlevel = level_of(options.level), level_of(options.minlevel)
        self._length = options.length or (STREAM_LENGTH if streams else DATAGRAM_LENGTH)
        format = options.format or ("traditional" if streams else "local")
        self._header: Header = header_of(format, options.facility, tag, hostname, pid)
        self._lost = 0

    def takes(self, level: int) -> bool:
        """Whether anything of such a level is sent there."""
        return level <= self._level

    def send(self, entries: Sequence[Entry]) -> None:
        lines = [
            self._framed(level, at, text) for level, at, text in entries if level <= self._level
        ]
        if lines:
            self._lost += self._sink.send(lines)

    @property
    def dropped(self) -> int:
        """Lines that it did not get."""
        return self._lost + self._sink.lost()

    def stop(self) -> None:
        self._sink.stop()

    def _framed(self, level: int, at: float, text: str) -> bytes:
        header = self._header(max(level, self._minlevel), at)
        return (header + text).encode("utf-8", "replace")[: self._length]


def _sink(options: LogOptions) -> ISink:
    place = options.place
    if isinstance(place, Address):
        family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
        return DatagramSink(family, (place.host, place.port))
    if isinstance(place, Path):
        return DatagramSink(socket.AF_UNIX, str(place))
    if isinstance(place, FileName):
        return StreamSink(Writer(LogFile(place.path, int(options.mode, 8)), str(place.path)))
    return StreamSink(Writer(StandardStream(place), place))
