"""Large bodies: their bytes go through the relay, past protocols and reactor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import implementer

from vipproxy.errors import ClientTimeout, InternalError, ServerTimeout
from vipproxy.interfaces import ICopyingRelay, ICopyTaker, ILendable, IRelaySession
from vipproxy.values import Ending

if TYPE_CHECKING:
    from vipproxy.protocols.http.exchange import Exchange

BULK = 262144
"""Bytes that are still to come, from which on a copy costs less than reading them here."""

_ERRORS = {
    Ending.CLIENT_TIMEOUT: ClientTimeout("the client did not go on in time"),
    Ending.SERVER_TIMEOUT: ServerTimeout("the server did not go on in time"),
    Ending.INTERNAL: InternalError("there is no memory for the body"),
}
"""Ends that the peers will not show."""


@implementer(ICopyTaker)
class Bulk:
    """What is left of one body, on its way."""

    def __init__(self, exchange: Exchange, client: ILendable, server: ILendable) -> None:
        self._exchange, self._client, self._server = exchange, client, server
        self._to_client = exchange.request_done
        self._session: IRelaySession | None = None

    def start(self, relay: ICopyingRelay, count: int) -> bool:
        """False where something is still to be sent before; then nothing has happened.

        A server may answer while the request is on its way, so that its transport is not lent.
        """
        self._exchange.client.block()
        ready = self._server.flush()
        if self._to_client:
            ready = ready and self._client.lend() and self._server.lend()
        if not (ready and self._copy(relay, count)):
            self._give_back()
        return self._session is not None

    def _copy(self, relay: ICopyingRelay, count: int) -> bool:
        exchange = self._exchange
        client = exchange.client
        try:
            self._session = relay.copy(
                self._client,
                self._server,
                self,
                exchange.traffic,
                client.traffic,
                self._to_client,
                count,
                client.factory.client_limit,
                exchange.route.server_limit,
            )
        except OSError:
            return False  # no descriptors: it is done without a relay then
        return True

    def copied(self, ending: Ending, left: int) -> None:
        exchange = self._exchange
        exchange.bulk = None
        self._give_back()
        if ending in _ERRORS:
            exchange.fail(_ERRORS[ending])
        elif ending is Ending.CLIENT_ABORT:
            exchange.client.transport.abortConnection()
        elif self._to_client and exchange.server is not None:
            exchange.server.body_moved(left)
        else:
            exchange.client.body_moved(left)

    def stop(self) -> None:
        """The exchange has ended otherwise."""
        assert self._session is not None
        self._session.shut_down()
        self._give_back()

    def _give_back(self) -> None:
        self._client.take_back()
        self._server.take_back()
        self._exchange.client.unblock()


def send_to_client(exchange: Exchange, size: int) -> Bulk | None:
    """Leave the rest of a response to the relay, where it is large and both sides allow it."""
    return None if exchange.client.full else _bulk(exchange, size)


def send_to_server(exchange: Exchange, size: int) -> Bulk | None:
    """The same for the rest of a request."""
    return None if exchange.client.blocked else _bulk(exchange, size)


def _bulk(exchange: Exchange, size: int) -> Bulk | None:
    client, server = exchange.client, exchange.server
    relay = client.factory.bulk_relay
    if size < BULK or relay is None or server is None:
        return None
    if not (ILendable.providedBy(client.transport) and ILendable.providedBy(server.transport)):
        return None  # TLS, for one
    bulk = Bulk(exchange, client.transport, server.transport)
    return bulk if bulk.start(relay, size) else None
