"""The contract of a relay when the proxy ends the session: by shut_down, or as it is idle."""

from __future__ import annotations

import resource
import select
import socket

from tests.engines.contract import SMALL, ContractCase, Session
from tests.engines.engines import native_relay, native_relay_of_two
from tests.engines.stage import FOREVER
from vipproxy.values import Ending

MANY = 2000
"""Sessions of a server that is marked down, each with four descriptors here."""


def comes(sock: socket.socket) -> bool:
    """Whether the kernel has something to read, or gets it soon."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(2000))


def end_now(sock: socket.socket) -> str:
    """How the stream ends by what the kernel alone has, without a turn of the reactor.

    "open" where it does not end.
    """
    try:
        while comes(sock):
            if not sock.recv(1 << 20):
                return "fin"
    except ConnectionError:
        return "reset"
    return "open"


class ShutDownTests(ContractCase):
    def test_in_this_turn(self) -> None:
        """Both peers are at the end when shut_down returns; the taker is not told."""
        session = self.session()
        session.relayed.shut_down()
        self.assertEqual((end_now(session.client), end_now(session.server)), ("fin", "fin"))
        self.loop.turn()
        self.assertEqual(session.taker.endings, [])

    def test_after_bytes(self) -> None:
        """The same when bytes have gone both ways: what had arrived is still there."""
        session = self.session()
        session.client.send(b"question")
        session.server.send(b"answer")
        self.loop.until(lambda: session.counted() == (8, 6), "the counters")
        self.assertEqual(self.loop.receive(session.client, 6), b"answer")
        session.relayed.shut_down()
        self.assertEqual((end_now(session.client), end_now(session.server)), ("fin", "fin"))

    def test_last_words(self) -> None:
        """They reach the client before its end, and nobody else."""
        session = self.session()
        session.relayed.shut_down(b"503 gone")
        self.assertTrue(comes(session.client))
        self.assertEqual(session.client.recv(100), b"503 gone")
        self.assertEqual((end_now(session.client), session.server.recv(100)), ("fin", b""))

    def test_again(self) -> None:
        """A second call, and one after the end, are harmless."""
        session = self.session()
        session.relayed.shut_down()
        session.relayed.shut_down()
        ended = self.session()
        ended.client.close()
        ended.server.close()
        self.assertEqual(self.told(ended), [Ending.NORMAL])
        ended.relayed.shut_down()
        ended.relayed.shut_down(b"too late")
        self.loop.turn()
        self.assertEqual(ended.taker.endings, [Ending.NORMAL])

    def test_at_once(self) -> None:
        """In the turn in which it was started, with preludes on their way."""
        session = self.session(to_server=b"x" * 1000, to_client=b"y" * 1000)
        session.relayed.shut_down()
        self.assertEqual((end_now(session.client), end_now(session.server)), ("fin", "fin"))
        self.loop.turn()
        self.assertEqual(session.taker.endings, [])

    def test_stalled_peers(self) -> None:
        """In mid-transfer, all buffers full and nobody reading."""
        session = self.session(SMALL)
        self.loop.fill(session.client)
        self.loop.fill(session.server)
        session.relayed.shut_down()
        self.assertNotIn("open", (end_now(session.client), end_now(session.server)))
        self.loop.turn()
        self.assertEqual(session.taker.endings, [])

    def test_half_closed(self) -> None:
        """A session with one direction ended already ends in the other."""
        session = self.session()
        session.client.shutdown(socket.SHUT_WR)
        self.assertEqual(self.loop.end_of(session.server), "fin")
        session.relayed.shut_down()
        self.assertEqual(end_now(session.client), "fin")

    def test_as_a_peer_resets(self) -> None:
        """With news of an end on its way, the taker is not told after shut_down."""
        sessions = [self.session() for _ in range(50)]
        for session in sessions:
            session.client.send(b"x")
            session.client.close()
            session.server.close()
        for session in sessions:
            session.relayed.shut_down()
        told = [list(session.taker.endings) for session in sessions]
        self.loop.turn(0.1)
        self.assertEqual([session.taker.endings for session in sessions], told)

    def test_many(self) -> None:
        """2,000 sessions, shut down without a turn between, are all at their ends."""
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        sessions = [self.session() for _ in range(MANY)]
        for session in sessions:
            session.client.send(b"x")
        for session in sessions:
            self.assertEqual(self.loop.receive(session.server, 1), b"x")
        for session in sessions:
            session.relayed.shut_down()
        ends = {end_now(each) for session in sessions for each in (session.client, session.server)}
        self.assertEqual(ends, {"fin"})
        self.loop.turn()
        self.assertEqual([s for s in sessions if s.taker.endings], [])


class IdleTests(ContractCase):
    def ended_by(self, session: Session) -> tuple[float, list[Ending]]:
        """After how many seconds, and by what."""
        began = self.loop.reactor.seconds()
        told = self.told(session)
        return self.loop.reactor.seconds() - began, told

    def test_each_timeout(self) -> None:
        """The shorter timeout ends it, not before its time, and is named; both see a FIN."""
        for client_timeout, server_timeout, ending in (
            (0.2, FOREVER, Ending.CLIENT_TIMEOUT),
            (FOREVER, 0.2, Ending.SERVER_TIMEOUT),
        ):
            session = self.session(client_timeout=client_timeout, server_timeout=server_timeout)
            after, told = self.ended_by(session)
            self.assertEqual(told, [ending])
            self.assertGreaterEqual(after, 0.19)
            self.assertEqual(self.ends(session), ("fin", "fin"))

    def test_traffic_of_either_direction(self) -> None:
        """Bytes in either direction keep both sides; the timeout counts from the last."""
        session = self.session(client_timeout=2.0, server_timeout=2.0)
        began = self.loop.reactor.seconds()
        for _ in range(11):
            session.server.send(b".")
            self.assertEqual(self.loop.receive(session.client, 1), b".")
            self.loop.turn(0.2)
        self.assertEqual(session.taker.endings, [], self.loop.reactor.seconds() - began)
        self.assertEqual(len(self.told(session)), 1)

    def test_stalled_peer(self) -> None:
        """A peer that never reads what waits for it is idle."""
        session = self.session(SMALL, client_timeout=0.3, server_timeout=FOREVER)
        self.loop.fill(session.server, turns=2)
        self.assertEqual(self.told(session), [Ending.CLIENT_TIMEOUT])
        self.assertNotIn("open", (end_now(session.client), end_now(session.server)))

    def test_half_closed_peer(self) -> None:
        """So is one that waits after its half-close for an answer that does not come."""
        session = self.session(client_timeout=FOREVER, server_timeout=0.2)
        session.client.shutdown(socket.SHUT_WR)
        self.assertEqual(self.told(session), [Ending.SERVER_TIMEOUT])
        self.assertEqual(self.ends(session), ("fin", "fin"))

    def test_many_limits(self) -> None:
        """Sessions with different limits end in the order of these."""
        limits = (0.6, 0.1, 0.3)
        sessions = [self.session(client_timeout=limit) for limit in limits]
        order: list[float] = []

        def all_over() -> bool:
            for limit, session in zip(limits, sessions, strict=True):
                if session.taker.endings and limit not in order:
                    order.append(limit)
            return len(order) == len(limits)

        self.loop.until(all_over, "the ends of all")
        self.assertEqual(order, sorted(limits))


class NativeShutDownTests(ShutDownTests):
    make_relay = staticmethod(native_relay)


class NativeOfTwoShutDownTests(ShutDownTests):
    make_relay = staticmethod(native_relay_of_two)


class NativeIdleTests(IdleTests):
    make_relay = staticmethod(native_relay)
