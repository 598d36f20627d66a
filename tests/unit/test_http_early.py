"""A server that has answered before it has got all of the request: who hears what of the rest."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.unit.http_corpus import OK
from tests.unit.http_fakes import Proxy
from vipproxy.values import Ending

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
SHORT = OK + b"Content-Length: 2\r\n\r\nok"
LAST = OK + b"Content-Length: 2\r\nConnection: close\r\n\r\nok"


class ServerThatStays(SynchronousTestCase):
    """It may want the rest, and gets it."""

    def setUp(self) -> None:
        self.proxy = Proxy()

    def test_rest(self) -> None:
        """The answer goes to the client at once, the rest to the server, and both stay."""
        proxy = self.proxy
        proxy.ask(POST + b"a")
        self.assertEqual(proxy.reply(SHORT), SHORT)
        server = proxy.server
        proxy.client.receive(b"bc" + GET)
        self.assertEqual(server.sent, POST + b"abc" + GET)
        self.assertEqual(proxy.reply(SHORT), SHORT)
        self.assertEqual([each.endings for each in proxy.connector.leases], [[Ending.NORMAL]] * 2)

    def test_chunks(self) -> None:
        """The same of chunks."""
        proxy = self.proxy
        proxy.ask(CHUNKED + b"1\r\na\r\n")
        self.assertEqual(proxy.reply(SHORT), SHORT)
        self.assertEqual(proxy.ask(b"1\r\nb\r\n0\r\n\r\n"), b"1\r\nb\r\n0\r\n\r\n")
        self.assertEqual(proxy.lease.endings, [Ending.NORMAL])

    def test_last_request(self) -> None:
        """A client that asked for the end has it after its request."""
        proxy = self.proxy
        proxy.ask(POST[:-2] + b"Connection: close\r\n\r\na")
        self.assertIn(b"\r\nconnection: close\r\n", proxy.reply(SHORT))
        self.assertFalse(proxy.client.ending)
        self.assertEqual(proxy.ask(b"bc"), b"bc")
        self.assertEqual(proxy.client.ending, "closed")

    def test_second_answer(self) -> None:
        """What the server says after its answer reaches nobody, and its connection is not kept."""
        proxy = self.proxy
        proxy.ask(POST + b"a")
        proxy.reply(SHORT)
        self.assertEqual(proxy.reply(SHORT), b"")
        server = proxy.server
        self.assertEqual(proxy.ask(b"bc"), b"bc")
        self.assertTrue(server.lost)
        self.assertFalse(proxy.client.ending)

    def test_back_pressure(self) -> None:
        """A server that does not read stops the client; one that never reads costs its timeout."""
        proxy = self.proxy
        proxy.connector.stalled = True
        proxy.client.receive(POST.replace(b": 3", b": 900000"))
        proxy.server.receive(SHORT)
        for _ in range(2):
            proxy.client.receive(b"x" * 50000)
        self.assertTrue(proxy.client.paused)
        proxy.server.drain()
        self.assertFalse(proxy.client.paused)
        for _ in range(2):
            proxy.client.receive(b"x" * 50000)
        proxy.clock.pump([0.25] * 90)
        self.assertEqual(proxy.lease.endings, [Ending.SERVER_TIMEOUT])
        self.assertTrue(proxy.client.ending)
        self.assertEqual(proxy.client.sent, SHORT)

    def test_silent_client(self) -> None:
        """A client that does not go on is closed after timeout-client; it had its answer."""
        proxy = self.proxy
        proxy.ask(POST + b"a")
        proxy.reply(SHORT)
        proxy.clock.pump([0.25] * 4 * 29)
        self.assertFalse(proxy.client.ending)
        proxy.clock.pump([0.25] * 8)
        self.assertEqual(proxy.lease.endings, [Ending.CLIENT_TIMEOUT])
        self.assertEqual((proxy.client.sent, proxy.client.lost), (SHORT, True))

    def test_malformed_rest(self) -> None:
        """A rest that is malformed ends both connections."""
        proxy = self.proxy
        proxy.ask(CHUNKED + b"1\r\na\r\n")
        proxy.reply(SHORT)
        proxy.client.receive(b"nonsense")
        self.assertTrue(proxy.server.lost)
        self.assertEqual((proxy.client.sent, proxy.client.lost), (SHORT, True))

    def test_client_leaves(self) -> None:
        """A client that has heard enough ends its exchange."""
        proxy = self.proxy
        proxy.ask(POST + b"a")
        proxy.reply(SHORT)
        proxy.client.reset()
        self.assertEqual(proxy.lease.endings, [Ending.CLIENT_ABORT])
        self.assertTrue(proxy.server.lost)

    def test_mark_down(self) -> None:
        """A mark-down ends it, too."""
        proxy = self.proxy
        proxy.ask(POST + b"a")
        proxy.reply(SHORT)
        proxy.lease.revoke(Ending.MARKED_DOWN)
        self.assertTrue(proxy.server.lost)
        self.assertTrue(proxy.client.lost)


class ServerThatCloses(SynchronousTestCase):
    """Nobody wants the rest: the client is told, and closes first, lest a reset overtake that."""

    def assert_told(self, proxy: Proxy) -> None:
        self.assertEqual(proxy.client.ending, "half")
        self.assertEqual(proxy.lease.endings, [Ending.NORMAL])
        proxy.client.receive(b"bc")
        proxy.client.finish()
        self.assertTrue(proxy.client.lost)

    def test_announced(self) -> None:
        """A server that says so."""
        proxy = Proxy()
        proxy.ask(POST + b"a")
        self.assertIn(b"\r\nconnection: close\r\n", proxy.reply(LAST))
        self.assert_told(proxy)

    def test_unannounced(self) -> None:
        """A server that does it."""
        proxy = Proxy()
        proxy.ask(POST + b"a")
        self.assertEqual(proxy.reply(SHORT), SHORT)
        proxy.server.finish()
        self.assert_told(proxy)

    def test_old_client(self) -> None:
        """Where the answer's end is the connection's, it does not wait for the request's."""
        proxy = Proxy()
        proxy.ask(POST.replace(b"1.1", b"1.0") + b"a")
        proxy.reply(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
        self.assertEqual(proxy.client.ending, "half")
        self.assertTrue(proxy.client.sent.endswith(b"\r\n\r\nok"))
