"""A reactor that straight-line tests drive themselves, and connected sockets for them."""

from __future__ import annotations

import functools
import os
import socket
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.epollreactor import EPollReactor

TURN = 0.001
"""Seconds that one turn waits for an event, at most."""


class Loop:
    """Turns a reactor of its own until something is so; the global one is never touched."""

    def __init__(self) -> None:
        self.reactor: Any = EPollReactor()

    def until(self, condition: Callable[[], object], what: str, seconds: float = 30.0) -> None:
        """Turn until `condition` holds; AssertionError names `what` when it does not in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: not in {seconds:g} s")
            self.reactor.iterate(TURN)

    def turn(self, seconds: float = 0.02) -> None:
        """Let happen what happens by itself, for a short while."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.reactor.iterate(TURN)

    def receive(self, sock: socket.socket, size: int) -> bytes:
        """Exactly `size` bytes, or fewer where the stream ends before."""
        got = bytearray()
        while len(got) < size:
            data = self._received(sock, size - len(got))
            if not data:
                break
            got += data
        return bytes(got)

    def _received(self, sock: socket.socket, size: int) -> bytes:
        answer: list[bytes] = []

        def try_it() -> bool:
            try:
                answer.append(sock.recv(size))
            except BlockingIOError:
                return False
            return True

        self.until(try_it, f"bytes for {sock}")
        return answer[0]

    def end_of(self, sock: socket.socket) -> str:
        """Read to the end of the stream: "fin" or "reset"."""
        try:
            while self._received(sock, 1 << 20):
                pass
        except ConnectionError:
            return "reset"
        return "fin"

    def fill(self, sock: socket.socket, turns: int = 5) -> int:
        """Send until nothing more is taken for some turns; how many bytes were."""
        total = quiet = 0
        while quiet < turns:
            try:
                total += sock.send(bytes(65536))
                quiet = 0
            except BlockingIOError:
                self.turn()
                quiet += 1
        return total


@functools.cache
def the_loop() -> Loop:
    """One for the process: a reactor cannot be thrown away without leaving descriptors."""
    return Loop()


SEGMENT = 500
"""Bytes of a TCP segment where buffers are small; loopback's own are larger than the buffers."""


class Wire:
    """Makes connected pairs of non-blocking sockets on loopback."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listening = socket.create_server((host, 0), family=family, backlog=1000)

    def pair(self, buffers: int = 0) -> tuple[socket.socket, socket.socket]:
        """The far end, which is the test's, and the near end, which is the relay's.

        `buffers` is what the kernel shall hold at each end, in bytes (it doubles the number, and
        has its own minimum: socket(7)); 0 leaves that to the kernel.
        """
        far = socket.socket(self._listening.family)
        if buffers:
            far.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
        far.connect(self._listening.getsockname())
        near, _ = self._listening.accept()
        for each in (far, near):
            each.setblocking(False)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if buffers:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffers)
                each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers)
        return far, near

    def close(self) -> None:
        self._listening.close()


def reset(sock: socket.socket) -> None:
    """Close with a reset: SO_LINGER with no time to linger (socket(7))."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def running_threads() -> int:
    return len(os.listdir("/proc/self/task"))
