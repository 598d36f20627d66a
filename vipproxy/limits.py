"""The process's limit on file descriptors."""

from __future__ import annotations

import resource

from twisted.logger import Logger

log = Logger()


def raise_descriptor_limit() -> int:
    """Raise the soft limit to the hard one, and return it: sessions need two sockets each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:
        log.warn("the limit of {soft} file descriptors stays: {why}", soft=soft, why=error)
        return soft
    return hard
