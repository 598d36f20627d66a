"""What an exchange counts as, in HAProxy's sense: who is to blame, and from when on."""

from __future__ import annotations

from collections.abc import Iterable

from vipproxy.counters import Counters
from vipproxy.errors import (
    BadResponse,
    ClientTimeout,
    ServerMarkedDown,
    ServerTimeout,
    SessionError,
)


def count_response(status: int, server: Counters, *others: Counters) -> None:
    """A server's final response; its requests are those that it has answered."""
    server.requests += 1
    server.responded(status)
    for counters in others:
        counters.responded(status)


def count_abort(concerned: Iterable[Counters]) -> None:
    """The client has left, or does not go on."""
    for counters in concerned:
        counters.client_aborts += 1


def count_failure(error: SessionError, begun: bool, concerned: Iterable[Counters]) -> None:
    """There is no response, or not all of it if it has `begun`.

    A response that breaks off is malformed as well as the server's abort; one that merely does not
    go on is that alone.
    """
    if isinstance(error, ClientTimeout):
        count_abort(concerned)
    elif isinstance(error, BadResponse | ServerMarkedDown | ServerTimeout):
        for counters in concerned:
            counters.server_aborts += begun
            counters.response_errors += not begun or isinstance(error, BadResponse)
