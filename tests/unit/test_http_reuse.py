"""Connections to servers that outlive a request: who may use them, and what if they die."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.unit.http_corpus import OK
from tests.unit.http_fakes import Proxy, Wire
from vipproxy.config.cookie_options import CookieOptions
from vipproxy.values import Ending

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
PUT = POST.replace(b"POST", b"PUT")
CHUNKED_PUT = (
    b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
)
SHORT = OK + b"Content-Length: 2\r\n\r\nok"
EMPTY = OK + b"Content-Length: 0\r\n\r\n"


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.start()

    def start(self, **options: Any) -> None:
        self.proxy = Proxy(**options)
        self.wires = self.proxy.connector.wires

    def exchange(self, request: bytes = GET, response: bytes = SHORT) -> Wire:
        """One whole exchange of the client; the server's connection."""
        self.proxy.ask(request)
        server = self.proxy.server
        self.proxy.reply(response)
        return server

    def crowd(self, size: int) -> list[Wire]:
        """So many sessions at once as would be needed for as many idle connections."""
        clients = [self.proxy.connect() for _ in range(size)]
        for client in clients:
            client.receive(GET)
        for wire in self.wires[-size:]:
            wire.receive(SHORT)
        return clients


class ReuseTests(Case):
    def test_same_client(self) -> None:
        """The later requests of a client go onto its first connection, one after the other."""
        for _ in range(3):
            self.exchange()
        self.assertEqual([wire.sent for wire in self.wires], [GET * 3])
        self.assertEqual(self.proxy.client.sent, SHORT * 3)
        again = self.proxy.connector.leases[1:]
        self.assertEqual([lease.established for lease in again], [True, True])

    def test_pipelined(self) -> None:
        """Also where they came together."""
        self.proxy.client.receive(GET * 3)
        for _ in range(3):
            self.proxy.reply(SHORT)
        self.assertEqual([wire.sent for wire in self.wires], [GET * 3])

    def test_first_request(self) -> None:
        """The first request of a client has a connection of its own, the second need not."""
        self.exchange()
        other = self.proxy.connect()
        other.receive(GET)
        self.wires[1].receive(SHORT)
        self.assertEqual(len(self.wires), 2)
        other.receive(GET)
        self.assertEqual(len(self.wires), 2)

    def test_always(self) -> None:
        """With `http-reuse = always`, the first one may use what is idle, too."""
        self.start(http_reuse="always")
        self.exchange()
        self.proxy.connect().receive(GET)
        self.assertEqual([wire.sent for wire in self.wires], [GET * 2])

    def test_never(self) -> None:
        """With `http-reuse = never`, each request has its connection, and servers are told so."""
        self.start(http_reuse="never")
        asked = GET[:-2] + b"connection: close\r\n\r\n"
        for _ in range(2):
            self.assertTrue(self.exchange().lost)
        self.assertEqual([wire.sent for wire in self.wires], [asked] * 2)

    def test_proxy_protocol(self) -> None:
        """A connection that began with a PROXY header is one client's, and is not kept."""
        self.start(send_proxy="v1")
        self.assertTrue(self.exchange().lost)
        self.start()
        for server in self.proxy.backend.servers:
            server.send_proxy = "v2"
        self.assertTrue(self.exchange().lost)

    def test_latest_first(self) -> None:
        """Of several idle connections the one that was used last is used."""
        clients = self.crowd(3)
        clients[0].receive(GET)
        self.assertEqual([wire.sent for wire in self.wires], [GET, GET, GET * 2])

    def test_server_of_its_own(self) -> None:
        """An idle connection is used for its own server alone."""
        self.start(cookie=CookieOptions(name="SERVERID", insert=True, indirect=True))
        first = self.exchange()
        second = self.exchange(GET[:-2] + b"Cookie: SERVERID=c2\r\n\r\n")
        self.assertIsNot(first, second)
        self.assertIs(self.exchange(GET[:-2] + b"Cookie: SERVERID=c1\r\n\r\n"), first)


class UnrepeatableTests(Case):
    """Requests that must not be sent twice, and connections that may be closing."""

    def test_post(self) -> None:
        """A POST never goes onto an idle connection; what comes after it may use its own."""
        self.exchange()
        post = self.exchange(POST)
        self.assertEqual([wire.sent for wire in self.wires], [GET, POST])
        self.assertFalse(post.lost and self.wires[0].lost)

    def test_body_on_its_way(self) -> None:
        """Nor does a request whose body has not come to its end."""
        self.exchange()
        self.proxy.client.receive(PUT[:-1])
        self.assertEqual(len(self.wires), 2)

    def test_repeated(self) -> None:
        """A server that had closed the idle connection is asked again, on a fresh one."""
        first = self.exchange()
        self.proxy.client.receive(GET)
        self.assertEqual(first.sent, GET * 2)
        first.finish()
        self.assertEqual(self.wires[1].sent, GET)
        self.proxy.reply(SHORT)
        self.assertEqual(self.proxy.client.sent, SHORT * 2)
        wish = self.proxy.connector.attempts[-1].request
        self.assertEqual(wish.failed, self.proxy.lease.server.name)
        self.assertEqual(self.proxy.lease.server.sessions, 0)

    def test_with_a_body(self) -> None:
        """A request with a body is sent once, to one server: never onto an idle connection."""
        for request in PUT, CHUNKED_PUT:
            self.start()
            first = self.exchange()
            self.proxy.client.receive(request)
            self.assertEqual((first.sent, self.wires[1].sent), (GET, request))
            self.wires[1].reset()
            self.assertEqual(len(self.wires), 2)
            self.assertIn(b"HTTP/1.1 502 ", self.proxy.client.sent)

    def test_repeated_once(self) -> None:
        """What dies on the fresh connection is not tried a third time."""
        first = self.exchange()
        self.proxy.client.receive(GET)
        first.finish()
        self.wires[1].finish()
        self.assertEqual(len(self.wires), 2)
        self.assertIn(b"HTTP/1.1 502 ", self.proxy.client.sent)

    def test_fresh_connection(self) -> None:
        """On a fresh connection nothing is repeated."""
        self.proxy.ask(GET)
        self.proxy.server.finish()
        self.assertEqual(len(self.wires), 1)
        self.assertIn(b"HTTP/1.1 502 ", self.proxy.client.sent)

    def test_after_the_first_byte(self) -> None:
        """Nor where the response had begun, be it with a single byte."""
        for begun in b"H", b"HTTP/1.1 100 Continue\r\n\r\n":
            self.start()
            first = self.exchange()
            self.proxy.client.receive(GET)
            first.receive(begun)
            first.finish()
            self.assertEqual(len(self.wires), 1)
            self.assertIn(b"HTTP/1.1 502 ", self.proxy.client.sent)

    def test_request_time_out(self) -> None:
        """A 408 on an idle connection was not meant for the request that has crossed it."""
        late = b"HTTP/1.1 408 Late\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno"
        first = self.exchange()
        self.proxy.client.receive(GET)
        first.receive(late)
        self.assertTrue(first.ending)
        self.wires[1].receive(late)
        self.assertEqual(self.proxy.client.sent.count(b" 408 "), 1)
        self.assertEqual(self.proxy.lease.server.counters.responses, [0, 1, 0, 1, 0, 0])

    def test_client_gone_meanwhile(self) -> None:
        """A client that left while its request waits on an idle connection ends it."""
        first = self.exchange()
        self.proxy.client.receive(GET)
        self.proxy.client.reset()
        self.assertTrue(first.lost)
        self.assertEqual(self.proxy.lease.endings, [Ending.CLIENT_ABORT])
        self.assertEqual(len(self.wires), 1)


class KeepTests(Case):
    """Which connections are kept."""

    def assert_not_kept(self, request: bytes, response: bytes) -> None:
        self.start(http_reuse="always")
        server = self.exchange(request, response)
        if not server.lost:
            server.finish()
        self.proxy.client = self.proxy.connect()
        self.assertIsNot(self.exchange(), server, (request, response))

    def test_responses(self) -> None:
        """None whose server says close, is old, has no length, or has said too much."""
        for response in (
            SHORT[:-6] + b"\r\nConnection: close\r\n\r\nok",
            SHORT.replace(b"/1.1", b"/1.0"),
            OK + b"\r\nok",
            SHORT + b"x",
            OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 204 -\r\nContent-Length: 2\r\n\r\n",
        ):
            self.assert_not_kept(GET, response)

    def test_old_but_willing(self) -> None:
        """An HTTP/1.0 server that says keep-alive is taken at its word."""
        willing = b"\r\nConnection: keep-alive\r\n\r\n"
        old = SHORT.replace(b"/1.1", b"/1.0").replace(b"\r\n\r\n", willing)
        self.assertIs(self.exchange(GET, old), self.exchange())

    def test_authenticated_connections(self) -> None:
        """None that NTLM or Negotiate has logged in, by request or by response."""
        for scheme in b"NTLM", b"Negotiate":
            self.assert_not_kept(GET[:-2] + b"Authorization: %b TlRM\r\n\r\n" % scheme, SHORT)
            refused = SHORT.replace(b"200 OK", b"401 -")
            asked = b"\r\nWWW-Authenticate: %b\r\n\r\n" % scheme
            self.assert_not_kept(GET, refused.replace(b"\r\n\r\n", asked))
        self.start()
        first = self.exchange(GET[:-2] + b"Authorization: Basic TlRMTQ==\r\n\r\n")
        self.assertIs(self.exchange(), first)

    def test_early_answer(self) -> None:
        """None on which a part of the request is missing, as soon as nobody will send it."""
        self.proxy.ask(POST[:-1])
        self.proxy.reply(SHORT)
        self.assertFalse(self.wires[0].lost)
        self.proxy.client.reset()
        self.assertTrue(self.wires[0].lost)

    def test_server_that_does_not_read(self) -> None:
        """None whose server has answered all, but not read what was sent."""
        self.proxy.connector.stalled = True
        self.proxy.client.receive(POST[:-5].replace(b": 3", b": 200000") + b"\r\n\r\n")
        self.proxy.client.receive(b"x" * 200000)
        self.wires[0].receive(SHORT)
        self.assertTrue(self.wires[0].ending)

    def test_upload(self) -> None:
        """After an upload the connection is kept, and no longer the exchange's producer."""
        self.proxy.client.receive(POST[:-1])
        self.proxy.client.receive(b"c")
        self.proxy.reply(SHORT)
        self.assertIsNone(self.wires[0].producer)
        self.assertIs(self.exchange(), self.wires[0])

    def test_slow_reader(self) -> None:
        """A connection that waited for its client is read again, so that its end is noticed."""
        client = self.proxy.connect(stalled=True)
        client.receive(GET)
        server = self.wires[0]
        server.receive(OK + b"Content-Length: 100000\r\n\r\n" + b"x" * 99999)
        self.assertTrue(server.paused)
        server.protocol.dataReceived(b"x")  # was on its way already
        self.assertFalse(server.paused)
        self.assertFalse(server.ending)

    def test_unasked_bytes(self) -> None:
        """An idle connection on which the server speaks is closed."""
        server = self.exchange()
        server.receive(SHORT)
        self.assertTrue(server.ending)
        self.assertEqual(self.proxy.client.sent, SHORT)
        self.assertIsNot(self.exchange(), server)

    def test_closed_by_the_server(self) -> None:
        """A server that closes an idle connection hinders nobody."""
        server = self.exchange()
        server.finish()
        self.assertIsNot(self.exchange(), server)
        self.assertEqual(self.proxy.client.sent, SHORT * 2)
        self.assertEqual(self.proxy.connector.attempts[-1].request.failed, "")


class LimitTests(Case):
    def idle(self) -> int:
        return sum(not wire.ending for wire in self.wires)

    def test_no_more_than_at_once(self) -> None:
        """Single requests one after the other keep one connection, not one each."""
        for _ in range(5):
            self.proxy.connect().receive(GET)
            self.proxy.reply(SHORT)
        self.assertEqual((len(self.wires), self.idle()), (5, 1))

    def test_as_many_as_at_once(self) -> None:
        """What a crowd has used at once is kept for it."""
        self.crowd(5)
        self.assertEqual(self.idle(), 5)

    def test_limit(self) -> None:
        """`pool-max-conn` bounds the idle connections to each server."""
        self.start(pool_max_conn=2)
        self.crowd(5)
        self.assertEqual(self.idle(), 2)

    def test_descriptors(self) -> None:
        """Beyond a few, there are no more idle connections than clients."""
        clients = self.crowd(40)
        self.assertEqual(self.idle(), 40)
        for client in clients:
            client.reset()
        self.assertEqual(self.idle(), 32)

    def test_idle_timeout(self) -> None:
        """A connection is closed when it has been idle for `pool-purge-delay`."""
        self.start(pool_purge_delay=4.0, timeout_http_keep_alive=100.0)
        clients = self.crowd(2)
        self.proxy.clock.advance(3)
        clients[0].receive(GET)
        self.wires[1].receive(SHORT)
        self.proxy.clock.advance(1.1)
        self.assertEqual([bool(wire.ending) for wire in self.wires], [True, False])
        self.proxy.clock.advance(3)
        self.assertEqual(self.idle(), 0)

    def test_busy_connections_stay(self) -> None:
        """A connection in use is not idle, however long its response takes."""
        self.start(pool_purge_delay=1.0)
        self.exchange()
        self.proxy.ask(GET)
        self.proxy.clock.advance(10)
        self.assertEqual(self.proxy.reply(SHORT), SHORT)

    def test_maxconn(self) -> None:
        """Idle connections count towards a server's maxconn: one makes room for a fresh one."""
        self.proxy.backend.servers[0].maxconn = 2
        self.crowd(2)
        self.proxy.connect().receive(GET)
        self.assertEqual((len(self.wires), self.idle()), (3, 2))


class FallTests(Case):
    def test_mark_down(self) -> None:
        """A mark-down ends idle connections and those in use in one turn of the reactor."""
        clients = self.crowd(3)
        clients[0].receive(GET)
        self.proxy.lease.revoke(Ending.MARKED_DOWN)
        self.proxy.backend.mark_down(self.proxy.backend.servers[0])
        self.assertEqual([wire.lost for wire in self.wires], [True] * 3)
        self.assertTrue(clients[0].lost)
        self.assertFalse(clients[1].lost)

    def test_other_server(self) -> None:
        """Another server's fall changes nothing."""
        server = self.exchange()
        self.proxy.backend.mark_down(self.proxy.backend.servers[1])
        self.assertIs(self.exchange(), server)

    def test_session_that_outlives_it(self) -> None:
        """A response that may still come to its end is the connection's last."""
        self.proxy.ask(GET)
        self.proxy.backend.mark_down(self.proxy.backend.servers[0])
        self.assertEqual(self.proxy.reply(SHORT), SHORT)
        self.assertTrue(self.wires[0].lost)

    def test_stop(self) -> None:
        """When the proxy stops, idle connections are closed, and no others are kept."""
        clients = self.crowd(2)
        clients[0].receive(GET)
        self.proxy.factory.stopFactory()
        self.assertEqual([bool(wire.ending) for wire in self.wires], [True, False])
        self.wires[1].receive(SHORT)
        self.assertTrue(self.wires[1].ending)
        for client in clients:
            client.reset()
        self.proxy.clock.advance(0)
        self.proxy.factory.startFactory()
        self.proxy.client = self.proxy.connect()
        self.assertFalse(self.exchange().ending)
