"""What an exchange counts, and where: as HAProxy does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vipproxy.counters import Counters
from vipproxy.errors import (
    BadResponse,
    ClientTimeout,
    ServerMarkedDown,
    ServerTimeout,
    SessionError,
)

if TYPE_CHECKING:
    from vipproxy.protocols.http.client import HttpClient
    from vipproxy.protocols.http.exchange import Exchange


def counters_of(exchange: Exchange) -> list[Counters]:
    """The backend's, and the server's once there is one.

    None while there is an attempt to connect: once cancelled, it counts by itself.
    """
    if exchange.attempt is not None:
        return []
    lease = exchange.lease
    if lease is None:
        return [exchange.route.backend.counters]
    return [exchange.route.backend.counters, lease.server.counters]


def count_response(exchange: Exchange, status: int) -> None:
    """A server has answered; its requests are those that it has answered."""
    assert exchange.lease is not None
    exchange.lease.answered_at = exchange.client.patience.seconds()
    server = exchange.lease.server.counters
    server.requests += 1
    server.responded(status)
    exchange.client.frontend.counters.responded(status)
    exchange.route.backend.counters.responded(status)


def count_aborts(exchange: Exchange) -> None:
    """The client has left, or does not go on."""
    for counters in counters_of(exchange):
        counters.client_aborts += 1


def count_failure(exchange: Exchange, error: SessionError) -> None:
    """There is no answer, or not all of it.

    An answer that breaks off is malformed as well as the server's abort; one that merely does not
    go on is that alone.
    """
    if isinstance(error, BadResponse) and error.data:
        _keep(exchange, error)
    if isinstance(error, ClientTimeout):
        count_aborts(exchange)
    elif isinstance(error, BadResponse | ServerMarkedDown | ServerTimeout):
        for counters in counters_of(exchange):
            counters.server_aborts += exchange.begun
            counters.response_errors += not exchange.begun or isinstance(error, BadResponse)


def count_misunderstood(client: HttpClient) -> None:
    """What came in a request's place was none, or not all of one."""
    counters = client.frontend.counters
    counters.request_received(client.patience.seconds())
    counters.request_errors += 1


def _keep(exchange: Exchange, error: BadResponse) -> None:
    assert exchange.lease is not None
    client, server = exchange.client, exchange.lease.server.name
    client.frontend.refused_response(
        exchange.route.name, server, client.address, error.data, str(error)
    )
