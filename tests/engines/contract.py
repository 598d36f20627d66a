"""What the tests of a relay's contract (`vipproxy.interfaces.IRelay`) stand on."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.engines.engines import Taker, twisted_relay
from tests.engines.loop import Wire, open_descriptors, the_loop
from tests.engines.stage import FOREVER
from vipproxy.counters import Traffic
from vipproxy.values import Ending

SMALL = 32 * 1024
"""Kernel buffers where it matters who holds how much; the kernel doubles it."""


class Session:
    """One session, and the far ends of its sides, which are the test's."""

    def __init__(self, wire: Wire, buffers: int = 0) -> None:
        self.client, self.near_client = wire.pair(buffers)
        self.server, self.near_server = wire.pair(buffers)
        self.taker, self.traffic = Taker(), Traffic()
        self.relayed: Any = None

    def start(
        self,
        relay: Any,
        client_timeout: float = FOREVER,
        server_timeout: float = FOREVER,
        to_server: bytes = b"",
        to_client: bytes = b"",
    ) -> Session:
        self.relayed = relay.relay(
            self.near_client,
            self.near_server,
            self.taker,
            self.traffic,
            client_timeout,
            server_timeout,
            to_server,
            to_client,
        )
        return self

    def counted(self) -> tuple[int, int]:
        return self.traffic.bytes_in, self.traffic.bytes_out

    def close(self) -> None:
        self.client.close()
        self.server.close()
        if self.relayed is not None:
            self.relayed.shut_down()


class ContractCase(SynchronousTestCase):
    """A subclass changes `make_relay`, and nothing else, to have another engine tested.

    Every test leaves as many open descriptors as it found, and nothing with the reactor.
    """

    make_relay: Callable[[Any], Any] = staticmethod(twisted_relay)

    def setUp(self) -> None:
        self.loop = the_loop()
        gc.collect()  # what a failed test has left is not ours
        before = open_descriptors()
        self.relay = self.make_relay(self.loop.reactor)
        self.wire = Wire()
        self.addCleanup(lambda: self.assertEqual(open_descriptors(), before))
        self.addCleanup(lambda: self.assertEqual(self.loop.reactor.getDelayedCalls(), []))
        self.addCleanup(self.stop)
        self.addCleanup(self.loop.turn)
        self.addCleanup(self.wire.close)

    def stop(self) -> None:
        self.relay.stop()
        # An engine may close what is its own only when it goes; a logged failure holds the relay.
        vars(self.relay).clear()
        gc.collect()

    def prepared(self, buffers: int = 0) -> Session:
        """Connected on both sides, and not yet the relay's."""
        session = Session(self.wire, buffers)
        self.addCleanup(session.close)
        return session

    def session(self, buffers: int = 0, **arguments: Any) -> Session:
        return self.prepared(buffers).start(self.relay, **arguments)

    def told(self, session: Session) -> list[Ending]:
        """All that the taker is told, a while after it was told something."""
        self.loop.until(lambda: session.taker.endings, "the end of the session")
        self.loop.turn()
        return session.taker.endings

    def ends(self, session: Session) -> tuple[str, str]:
        """How the streams end that the client and the server read."""
        return self.loop.end_of(session.client), self.loop.end_of(session.server)
