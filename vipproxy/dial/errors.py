"""What the errno of a connect says about the server, or about this host."""

from __future__ import annotations

import errno
import os

from vipproxy.errors import ConnectFailed, ConnectTimeout, InternalError, SessionError

OUT_OF_RESOURCES = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
)
"""Faults of this host, of which no server is guilty."""


def dial_error(code: int) -> SessionError:
    """What an errno of connect(2) means; ETIMEDOUT may be ours or the kernel's."""
    if code == errno.ETIMEDOUT:
        return ConnectTimeout(os.strerror(code))
    text = os.strerror(code)
    return InternalError(text) if code in OUT_OF_RESOURCES else ConnectFailed(text)
