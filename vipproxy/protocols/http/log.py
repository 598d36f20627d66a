"""What is written down of one client's exchanges; only where its frontend has a log."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vipproxy.counters import Traffic
from vipproxy.errors import ClientGone, QueueTimeout, SessionError
from vipproxy.framing.http1 import RequestHead
from vipproxy.interfaces import IBackend, ITrafficLog
from vipproxy.logs.record import Record
from vipproxy.protocols.http.cookie import Persistence
from vipproxy.values import Address, Ending

if TYPE_CHECKING:
    from vipproxy.protocols.http.client import HttpClient
    from vipproxy.protocols.http.exchange import Exchange


class ClientLog:
    """One exchange at a time has a record, from its request's head to its end."""

    def __init__(
        self,
        log: ITrafficLog,
        client: Address,
        destination: Address,
        traffic: Traffic,
        seconds: Callable[[], float],
        backend: IBackend | None,
    ) -> None:
        """`backend` serves all requests; None where that is decided for each."""
        self._log, self._traffic, self._seconds = log, traffic, seconds
        self._client, self._destination = client, destination
        self._ready_at = seconds()
        """When the next request could come."""
        self._began_at: float | None = None
        """When its first byte did."""
        self._sent_before = 0
        self._usual = backend
        self._backend: IBackend | None = None
        self._end = Ending.NORMAL, "-"
        self.record: Record | None = None

    # -- requests

    def heard(self) -> None:
        """The client has sent something."""
        if self._began_at is None:
            self._began_at = self._seconds()

    def skip(self) -> None:
        """The request is not logged."""
        self.record = self._began_at = None

    def begin(self, head: RequestHead, now: float) -> None:
        """A request's head is complete."""
        record = self._new_record(now)
        record.requested_at, record.request = now, head.lines
        self._backend = self._usual

    def routed(self, backend: IBackend) -> None:
        """This backend is to serve it."""
        self._backend = backend

    def ruled(self, denied: bool, backend: IBackend | None) -> None:
        """A rule ends it."""
        self._backend = backend
        self.end(Ending.PROXY if denied else Ending.LOCAL, "R")

    def misunderstood(self, ending: Ending, status: int) -> None:
        """There is no request, or not all of it: a line all the same."""
        record = self._new_record(self._seconds())
        record.status = status
        record.bytes_in = self._began_at is not None
        self._backend = None
        self.end(ending, "R")

    def ready(self, now: float) -> None:
        """The next request may come."""
        self._ready_at, self._began_at = now, None

    def _new_record(self, now: float) -> Record:
        began = now if self._began_at is None else self._began_at
        self._end = Ending.NORMAL, "-"
        self._sent_before = self._traffic.bytes_out
        record = self.record = Record(
            self._client, self._destination, self._ready_at, max(began, self._ready_at), None
        )
        return record

    def keep_cookie(self, value: str | None, persistence: Persistence) -> None:
        """What was understood of the request's persistence cookie."""
        if self.record is not None:
            self.record.cookie, self.record.cookie_flags = value, persistence.flags

    # -- answers

    def heard_response(self, lines: bytes) -> None:
        """A response's lines as they came; what was done to them later does not count."""
        if self.record is not None and not self.record.response:
            self.record.response = lines

    def keep_edited(self, lines: bytes, added: bytes) -> None:
        """The lines after the cookie was edited, and what that has added."""
        if self.record is not None:
            self.record.edited, self.record.added = lines, added

    def answered(self, status: int) -> None:
        """The head of the response has been written to the client."""
        if self.record is not None:
            self.record.status = status
            if self._log.early:
                self.record.early = True
                self.over()

    def end(self, ending: Ending, phase: str) -> None:
        """How the exchange ends, once its last answer is written."""
        self._end = ending, phase

    def broken_off(self, ending: Ending, exchange: Exchange, error: SessionError | None) -> None:
        """It ends without all of its response; where that has not begun, an error is answered."""
        self.end(ending, self._phase(exchange, error))
        if exchange.begun or error is None:
            self.over()

    def _phase(self, exchange: Exchange, error: SessionError | None) -> str:
        """HAProxy's letter for how far it was (manual, 8.5)."""
        if exchange.begun:
            return "D"
        if exchange.server is not None:
            return "H" if exchange.request_done or error is not None else "D"
        waits = self.record is not None and self.record.lease is None
        queued = waits if error is None else isinstance(error, QueueTimeout)
        return "Q" if queued else "C"

    def over(self) -> None:
        """It has ended. Harmless where nothing has begun."""
        record, self.record = self.record, None
        if record is None:
            return
        if record.request:
            lease = record.lease
            sent = 0 if lease is None else lease.traffic.bytes_in
            record.bytes_in = sent or len(record.request)
            record.bytes_out = self._traffic.bytes_out - self._sent_before
        self._log.finish(record, self._backend, *self._end)


def note_end(exchange: Exchange, ending: Ending, error: SessionError | None = None) -> None:
    """Write down how an exchange was broken off, where that is written down."""
    if exchange.client.log is not None:
        exchange.client.log.broken_off(ending, exchange, error)


def note_retry(exchange: Exchange) -> None:
    """The request goes to its server once more."""
    log = exchange.client.log
    if log is not None and log.record is not None:
        log.record.retried()


def write_nothing(client: HttpClient) -> None:
    """The request is not logged."""
    if client.log is not None:
        client.log.skip()


def write_down(client: HttpClient, status: int) -> None:
    """The proxy has answered by itself; that ends the exchange, if there was one."""
    if client.log is not None:
        client.log.answered(status)
        client.log.over()


def write_misunderstood(client: HttpClient, ending: Ending, status: int) -> None:
    """What the client has sent is no request; the answer follows."""
    if client.log is not None:
        client.log.misunderstood(ending, status)


def write_absence(client: HttpClient) -> None:
    """A client leaves that owed a request."""
    if client.log is not None:
        client.log.misunderstood(ClientGone.ending, 400)
        client.log.over()


def write_ruling(client: HttpClient, denied: bool, backend: IBackend | None = None) -> None:
    """A rule of the frontend, or of this backend, answers the request, or refuses it."""
    if client.log is not None:
        client.log.ruled(denied, backend)


def client_log(client: HttpClient) -> ClientLog | None:
    """The log of a client, where its frontend has one."""
    frontend, factory = client.frontend, client.factory
    if frontend.log is None:
        return None
    backend = factory.route.backend if factory.rules is None and factory.route else None
    return ClientLog(
        frontend.log,
        client.address,
        client.destination,
        client.traffic,
        frontend.clock.seconds,
        backend,
    )
