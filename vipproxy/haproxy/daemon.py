"""Into the background, and word to the service manager."""

from __future__ import annotations

import contextlib
import os
import socket

READY = b"+"


class Daemon:
    """A process in the background; the one before it waits until it serves, as HAProxy does."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        self.in_parent = os.fork() != 0
        os.close(self._writer if self.in_parent else self._reader)
        if not self.in_parent:
            os.setsid()

    def wait(self) -> int:
        """In the parent: the exit status, when the child serves or has failed."""
        told = os.read(self._reader, 1)
        return 0 if told == READY else 1

    def serving(self) -> None:
        """In the child: it listens; from now on nobody hears it."""
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.close(null)
        os.write(self._writer, READY)
        os.close(self._writer)


def notify(text: str) -> None:
    """Tell systemd (sd_notify(3)); nothing happens where nobody asked for it."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = f"\0{path[1:]}" if path.startswith("@") else path
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect(address)
        sock.sendall(text.encode())
