"""Ports that nobody listens on, for tests that run beside each other."""

from __future__ import annotations

import random
import socket

LOOPBACK = "127.0.0.1"
FIRST, LAST = 12000, 30000
"""Not from the system's own range: there a port that is free now could be taken by some client,
or a client that calls the closed port could even get connected to itself."""

_chance = random.SystemRandom()  # hypothesis seeds the other, alike in all processes
_given: set[int] = set()


def free_port() -> int:
    """Another one at each call."""
    return free_ports(1)


def free_ports(count: int) -> int:
    """The first of `count` free ports in a row, none of which was given before."""
    for _ in range(1000):
        first = _chance.randrange(FIRST, LAST)
        row = range(first, first + count)
        if _given.isdisjoint(row) and all(_is_free(port) for port in row):
            _given.update(row)
            return first
    raise RuntimeError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        try:
            sock.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
