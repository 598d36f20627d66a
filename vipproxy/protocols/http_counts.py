"""What an exchange counts, and where: as HAProxy does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vipproxy.counters import Counters
from vipproxy.errors import BadResponse, ClientTimeout, ServerTimeout, SessionError

if TYPE_CHECKING:
    from vipproxy.protocols.http_exchange import Exchange


def counters_of(exchange: Exchange) -> list[Counters]:
    """The backend's, and the server's once there is one."""
    lease = exchange.lease
    if lease is None:
        return [exchange.route.backend.counters]
    return [exchange.route.backend.counters, lease.server.counters]


def count_response(exchange: Exchange, status: int) -> None:
    """A server has answered."""
    assert exchange.lease is not None
    exchange.lease.answered_at = exchange.client.patience.seconds()
    exchange.client.frontend.counters.responded(status)
    exchange.route.backend.counters.responded(status)
    exchange.lease.server.counters.responded(status)


def count_aborts(exchange: Exchange) -> None:
    """The client has left, or does not go on."""
    for counters in counters_of(exchange):
        counters.client_aborts += 1


def count_failure(exchange: Exchange, error: SessionError) -> None:
    """An answer that breaks off is the server's abort."""
    if isinstance(error, ClientTimeout):
        count_aborts(exchange)
    elif isinstance(error, BadResponse | ServerTimeout):
        for counters in counters_of(exchange):
            if exchange.begun:
                counters.server_aborts += 1
            else:
                counters.response_errors += 1
