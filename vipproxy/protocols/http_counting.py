"""What an exchange counts as, in HAProxy's columns."""

from __future__ import annotations

from vipproxy.counters import Counters
from vipproxy.errors import BadResponse, ClientTimeout, ServerTimeout, SessionError
from vipproxy.interfaces import IBackend, ILease


def counters_of(backend: IBackend, lease: ILease | None) -> tuple[Counters, ...]:
    """The backend's, and the server's once there is one."""
    return (backend.counters,) if lease is None else (backend.counters, lease.server.counters)


def count_client_abort(counters: tuple[Counters, ...]) -> None:
    for each in counters:
        each.client_aborts += 1


def count_failure(error: SessionError, begun: bool, counters: tuple[Counters, ...]) -> None:
    """An answer that breaks off, once it has `begun`, is the server's abort."""
    if isinstance(error, ClientTimeout):
        count_client_abort(counters)
    elif isinstance(error, BadResponse | ServerTimeout):
        for each in counters:
            if begun:
                each.server_aborts += 1
            else:
                each.response_errors += 1
