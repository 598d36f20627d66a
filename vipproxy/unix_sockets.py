"""Binds that are no TCP ports: ``unix@/path``, and ``abns@name`` in Linux's abstract namespace."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import stat

from vipproxy.config.options import UnixOptions
from vipproxy.values import Address

_NAME_LENGTH = 107
"""HAProxy fills abstract names up with zeros, and so do those who are to find each other."""


def listening_unix_socket(address: Address, backlog: int, replace: bool = False) -> socket.socket:
    """Bind and listen; a socket of which nobody takes clients any more is replaced, with `replace`
    any.

    Raises OSError.
    """
    sock = _unix_socket()
    try:
        name = name_of(address)
        if isinstance(name, str):
            _make_room(name, replace)
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


def made_file(address: Address, options: UnixOptions | None) -> int | None:
    """Set permissions and owner of a socket's file; the number by which it is known again.

    None in the abstract namespace. Raises OSError.
    """
    path = name_of(address)
    if isinstance(path, bytes):
        return None
    if options is not None:
        _give_away(path, options)
    return os.stat(path).st_ino


def _give_away(path: str, options: UnixOptions) -> None:
    if options.mode is not None:
        os.chmod(path, int(options.mode, 8))
    user, group = (_number(each) for each in (options.user, options.group))
    try:
        if user is not None or group is not None:
            shutil.chown(path, user, group)  # type: ignore[arg-type]
    except LookupError as error:
        raise OSError(errno.EINVAL, str(error)) from None


def _number(name: str | None) -> str | int | None:
    return int(name) if name is not None and name.isdigit() else name


def remove(address: Address, made: int | None) -> None:
    """The file goes with its listener, unless it is another's now; harmless where it has gone."""
    name = name_of(address)
    if isinstance(name, str):
        try:
            if os.stat(name).st_ino == made:
                os.unlink(name)
        except OSError:
            return


def _unix_socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)


def _make_room(path: str, replace: bool) -> None:
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise FileExistsError(errno.EEXIST, "there is a file that is no socket", path)
    except FileNotFoundError:
        return
    with _unix_socket() as probe:
        if replace or probe.connect_ex(path) == errno.ECONNREFUSED:
            os.unlink(path)
