"""Binds that are no TCP ports: ``unix@/path``, and ``abns@name`` in Linux's abstract namespace."""

from __future__ import annotations

import errno
import os
import socket
import stat

from vipproxy.values import Address

_NAME_LENGTH = 107
"""HAProxy fills abstract names up with zeros, and so do those who are to find each other."""


def listening_unix_socket(address: Address, backlog: int) -> socket.socket:
    """Bind and listen; a socket of which nobody takes clients any more is replaced.

    Raises OSError.
    """
    sock = _unix_socket()
    try:
        name = name_of(address)
        if isinstance(name, str):
            _make_room(name)
        sock.bind(name)
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    return sock


def name_of(address: Address) -> str | bytes:
    """What the kernel calls it."""
    kind, _, name = address.host.partition("@")
    return name if kind == "unix" else b"\0" + os.fsencode(name).ljust(_NAME_LENGTH, b"\0")


def remove(address: Address) -> None:
    """The path goes with its listener; harmless where it has gone already."""
    name = name_of(address)
    if isinstance(name, str):
        try:
            os.unlink(name)
        except OSError:
            return


def _unix_socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)


def _make_room(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise FileExistsError(errno.EEXIST, "there is a file that is no socket", path)
    except FileNotFoundError:
        return
    with _unix_socket() as probe:
        if probe.connect_ex(path) == errno.ECONNREFUSED:
            os.unlink(path)
