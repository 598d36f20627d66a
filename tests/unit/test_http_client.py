"""The HTTP frontend in memory: exchanges, errors, timeouts, tunnels, mark-down."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.unit.http_corpus import HOSTILE_REQUESTS, HOSTILE_RESPONSES, OK
from tests.unit.http_fakes import Proxy
from vipproxy.errors import ConnectFailed, ConnectTimeout, InternalError, NoServer, QueueTimeout
from vipproxy.interfaces import IProtocolPlugin
from vipproxy.protocols.http.factory import HttpProtocol
from vipproxy.protocols.http.options import ForwardedForOptions
from vipproxy.values import Ending

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
SHORT = OK + b"Content-Length: 2\r\n\r\nok"
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCH = (
    b"HTTP/1.1 101 Ok\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


class ExchangeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.proxy = Proxy()

    def test_plugin(self) -> None:
        """The plugin keeps its interface."""
        verifyObject(IProtocolPlugin, HttpProtocol())

    def test_request_and_response(self) -> None:
        """A request goes to a server, the response comes back, and both connections stay."""
        proxy = self.proxy
        self.assertEqual(proxy.ask(GET), GET)
        self.assertEqual(proxy.reply(SHORT), SHORT)
        self.assertEqual(proxy.lease.endings, [Ending.NORMAL])
        self.assertFalse(proxy.server.lost)
        self.assertFalse(proxy.client.ending)

    def test_one_by_one(self) -> None:
        """Every request of a connection is leased for itself, and answered in order."""
        proxy = self.proxy
        proxy.client.receive(GET.replace(b"/ ", b"/1 ") + GET.replace(b"/ ", b"/2 "))
        self.assertEqual(len(proxy.connector.attempts), 1)
        proxy.reply(SHORT)
        self.assertEqual(len(proxy.connector.attempts), 2)
        self.assertIn(b"GET /2 ", proxy.server.sent)
        proxy.reply(OK + b"Content-Length: 0\r\n\r\n")
        self.assertEqual(proxy.client.sent, SHORT + OK + b"Content-Length: 0\r\n\r\n")

    def test_byte_by_byte(self) -> None:
        """The same bytes go on when everything comes byte by byte."""
        proxy = self.proxy
        proxy.client.receive_each(CHUNKED + b"3\r\nabc\r\n0\r\n\r\n")
        self.assertTrue(proxy.server.sent.endswith(b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"))
        proxy.server.receive_each(SHORT)
        self.assertEqual(proxy.client.sent, SHORT)

    def test_body_before_the_server(self) -> None:
        """What comes of a body before there is a server is kept, bounded, and then sent."""
        proxy = self.proxy
        proxy.connector.waits = True
        proxy.client.receive(POST.replace(b"3", b"200000") + b"x" * 60000)
        self.assertFalse(proxy.client.paused)
        proxy.client.receive(b"x" * 60000)
        self.assertTrue(proxy.client.paused)
        proxy.connector.let_through(proxy.connector.attempts[0])
        self.assertFalse(proxy.client.paused)
        proxy.client.receive(b"x" * 80000)
        self.assertEqual(proxy.server.sent.count(b"x"), 200000)
        self.assertEqual(proxy.reply(SHORT), SHORT)

    def test_pipelining_is_bounded(self) -> None:
        """A client that sends ahead is paused, and gets all its answers."""
        proxy = self.proxy
        for _ in range(100):
            proxy.client.receive(GET * 40)
        self.assertTrue(proxy.client.paused)
        for _ in range(4000):
            proxy.reply(SHORT)
        self.assertEqual(proxy.client.sent, SHORT * 4000)
        self.assertFalse(proxy.client.paused)

    def test_client_asks_to_close(self) -> None:
        """After `Connection: close` the client's connection ends with the response."""
        proxy = self.proxy
        proxy.ask(GET[:-2] + b"Connection: close\r\n\r\n")
        expected = SHORT.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
        self.assertEqual(proxy.reply(SHORT), expected)
        self.assertEqual(proxy.client.ending, "closed")

    def test_old_client(self) -> None:
        """An HTTP/1.0 client is told `keep-alive` where it asked for it, else `close`; the server
        is asked for it."""
        proxy = self.proxy
        proxy.ask(OLD[:-2] + b"Connection: keep-alive\r\n\r\n")
        self.assertIn(b"\r\nconnection: keep-alive\r\n", proxy.reply(SHORT))
        self.assertEqual(proxy.ask(OLD), b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
        self.assertIn(b"\r\nconnection: close\r\n", proxy.reply(SHORT))
        self.assertEqual(proxy.client.ending, "closed")

    def test_old_client_gets_no_chunks(self) -> None:
        """An HTTP/1.0 client gets a chunked body plain, and the end of the connection."""
        proxy = self.proxy
        proxy.ask(OLD)
        chunks = b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n"
        self.assertEqual(proxy.reply(OK + chunks), OK + b"connection: close\r\n\r\nabcde")
        self.assertEqual(proxy.client.ending, "closed")

    def test_until_close(self) -> None:
        """A response without a length ends with both connections."""
        proxy = self.proxy
        proxy.ask(GET)
        self.assertEqual(proxy.reply(OK + b"\r\nab"), OK + b"connection: close\r\n\r\nab")
        proxy.server.receive(b"cd")
        proxy.server.finish()
        self.assertTrue(proxy.client.sent.endswith(b"\r\n\r\nabcd"))
        self.assertEqual(proxy.client.ending, "closed")
        self.assertEqual(proxy.lease.endings, [Ending.NORMAL])

    def test_bodiless_responses(self) -> None:
        """HEAD, 204 and 304 end with their heads; a 204 announces no body."""
        proxy = self.proxy
        for request, response, expected in (
            (GET.replace(b"GET", b"HEAD"), OK + b"Content-Length: 9\r\n\r\n", None),
            (GET, b"HTTP/1.1 304 Same\r\nContent-Length: 9\r\n\r\n", None),
            (GET, b"HTTP/1.1 204 -\r\nContent-Length: 9\r\n\r\n", b"HTTP/1.1 204 -\r\n\r\n"),
        ):
            proxy.ask(request)
            self.assertEqual(proxy.reply(response), expected or response)
            self.assertFalse(proxy.client.ending)

    def test_interim_responses(self) -> None:
        """1xx responses pass through to HTTP/1.1 clients, and not to HTTP/1.0 ones."""
        proxy = self.proxy
        interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
        proxy.ask(GET)
        self.assertEqual(proxy.reply(interim + SHORT), interim + SHORT)
        proxy.ask(OLD)
        self.assertTrue(proxy.reply(interim + SHORT).startswith(b"HTTP/1.1 200 OK\r\n"))

    def test_expect_continue(self) -> None:
        """Expect goes to the server; what it says comes back before the body is sent."""
        proxy = self.proxy
        expecting = POST[:-2] + b"Expect: 100-continue\r\n\r\n"
        self.assertIn(b"Expect: 100-continue\r\n", proxy.ask(expecting))
        self.assertEqual(proxy.reply(b"HTTP/1.1 100 Go\r\n\r\n"), b"HTTP/1.1 100 Go\r\n\r\n")
        proxy.client.receive(b"abc")
        self.assertTrue(proxy.server.sent.endswith(b"\r\n\r\nabc"))
        self.assertEqual(proxy.reply(SHORT), SHORT)

    def test_answer_while_the_body_is_sent(self) -> None:
        """Request and response bodies may be on their way at the same time."""
        proxy = self.proxy
        proxy.ask(POST + b"a")
        proxy.reply(OK + b"Content-Length: 2\r\n\r\no")
        proxy.client.receive(b"bc")
        self.assertTrue(proxy.server.sent.endswith(b"abc"))
        self.assertEqual(proxy.reply(b"k"), b"k")
        self.assertFalse(proxy.client.ending)

    def test_bytes_beyond_the_response(self) -> None:
        """What a server sends beyond its response reaches nobody."""
        self.proxy.ask(GET)
        self.assertEqual(self.proxy.reply(SHORT + SHORT), SHORT)

    def test_half_closed_client(self) -> None:
        """A client that has ended its input still gets its answers."""
        proxy = self.proxy
        proxy.client.receive(GET + GET)
        proxy.client.finish()
        proxy.reply(SHORT)
        proxy.reply(SHORT)
        self.assertEqual(proxy.client.sent, SHORT * 2)
        self.assertEqual(proxy.client.ending, "closed")

    def test_forwarded_for(self) -> None:
        """With `forwarded-for` servers learn the client's address, after what it claims itself."""
        proxy = Proxy(forwarded_for=ForwardedForOptions())
        sent = proxy.ask(GET[:-2] + b"X-Forwarded-For: 1.2.3.4\r\n\r\n")
        self.assertIn(b"X-Forwarded-For: 1.2.3.4\r\nx-forwarded-for: 192.0.2.7\r\n", sent)

    def test_traffic(self) -> None:
        """Bytes are counted for the client's session and for the lease."""
        proxy = self.proxy
        proxy.ask(POST + b"abc")
        proxy.reply(SHORT)
        session = proxy.frontend.clients[proxy.client]
        self.assertEqual((session.bytes_in, session.bytes_out), (len(POST) + 3, len(SHORT)))
        lease = proxy.lease.traffic
        self.assertEqual((lease.bytes_in, lease.bytes_out), (len(proxy.server.sent), len(SHORT)))

    def test_counters(self) -> None:
        """Requests and responses are counted for frontend, backend and server."""
        proxy = self.proxy
        proxy.ask(GET)
        proxy.reply(SHORT)
        for counters in (
            proxy.frontend.counters, proxy.backend.counters, proxy.lease.server.counters,
        ):  # fmt: skip
            self.assertEqual(counters.responses, [0, 1, 0, 0, 0, 0])
        self.assertEqual(proxy.frontend.counters.requests, 1)

    def test_stopping(self) -> None:
        """While the proxy stops, answers say `close`, and idle clients are let go."""
        proxy = self.proxy
        idle = proxy.connect()
        proxy.ask(GET)
        proxy.frontend.stopping = True
        proxy.factory.stopFactory()
        self.assertTrue(idle.lost)
        self.assertIn(b"\r\nconnection: close\r\n", proxy.reply(SHORT))
        self.assertTrue(proxy.client.lost)
        proxy.clock.advance(0)
        self.assertEqual(proxy.clock.getDelayedCalls(), [])
        self.assertEqual(proxy.frontend.clients, {})


class MonitorTests(SynchronousTestCase):
    PAGE = (
        b"HTTP/1.1 200 OK\r\ncontent-length: 58\r\ncache-control: no-cache\r\n"
        b"content-type: text/html\r\n\r\n"
        b"<html><body><h1>200 OK</h1>\nService ready.\n</body></html>\n"
    )

    def test_answer(self) -> None:
        """The monitor's path is answered with HAProxy's page, without a server."""
        proxy = Proxy(monitor_uri="/status")
        for target in b"/status", b"http://a/status":
            proxy.client.receive(GET.replace(b"/ ", target + b" ", 1))
        self.assertEqual(proxy.client.sent, self.PAGE * 2)
        self.assertEqual(proxy.connector.attempts, [])
        self.assertEqual(proxy.frontend.counters.intercepted, 2)

    def test_with_a_body(self) -> None:
        """A body does not hinder it."""
        proxy = Proxy(monitor_uri="/status")
        request = POST.replace(b"/ ", b"/status ", 1) + b"abc"
        proxy.client.receive(request * 2)
        self.assertEqual(proxy.client.sent, self.PAGE * 2)

    def test_exact(self) -> None:
        """A query, or another case, makes it another path."""
        proxy = Proxy(monitor_uri="/status")
        for target in b"/status?x", b"/Status":
            proxy.client.receive(GET.replace(b"/ ", target + b" ", 1))
            proxy.reply(SHORT)
        self.assertEqual(proxy.client.sent, SHORT * 2)

    def test_flood(self) -> None:
        """A client that asks and asks without reading is paused."""
        proxy = Proxy(monitor_uri="/status")
        client = proxy.connect(stalled=True)
        while not client.paused:
            client.receive(GET.replace(b"/ ", b"/status ") * 100)
        self.assertLess(client.most_unsent, 2 * client.LIMIT)
        client.stalled = False
        client.drain()
        self.assertFalse(client.paused)


class ErrorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.proxy = Proxy()

    def status(self) -> bytes:
        return self.proxy.client.sent.partition(b"\r\n")[0]

    def test_hostile_requests(self) -> None:
        """Every hostile request gets a 400, whole or byte by byte, and the end."""
        for name, request in HOSTILE_REQUESTS.items():
            for receive in "receive", "receive_each":
                self.proxy = Proxy()
                getattr(self.proxy.client, receive)(request)
                self.assertEqual(self.status(), b"HTTP/1.1 400 Bad request", (name, receive))
                self.assertTrue(self.proxy.client.ending, name)
                for wire in self.proxy.connector.wires:
                    self.assertTrue(wire.lost, name)

    def test_hostile_requests_whole(self) -> None:
        """A hostile request that comes whole reaches no server at all."""
        for name, request in HOSTILE_REQUESTS.items():
            self.proxy = Proxy()
            self.proxy.client.receive(request)
            self.assertEqual(self.proxy.connector.attempts, [], name)
            self.assertEqual(self.proxy.frontend.counters.request_errors, 1, name)

    def test_hostile_responses(self) -> None:
        """Every hostile response becomes a 502, whole or byte by byte; the client may stay."""
        for name, response in HOSTILE_RESPONSES.items():
            for receive in "receive", "receive_each":
                proxy = self.proxy = Proxy()
                proxy.ask(GET)
                getattr(proxy.server, receive)(response)
                sent = proxy.client.sent.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
                self.assertTrue(sent.startswith(b"HTTP/1.1 502 Bad Gateway\r\n"), (name, receive))
                self.assertTrue(proxy.server.lost, name)
                self.assertFalse(proxy.client.ending, name)
                self.assertEqual(proxy.lease.endings, [Ending.PROXY])

    def test_no_server(self) -> None:
        """Without a server the answer is a 503, and the connection is kept."""
        proxy = self.proxy
        for error in NoServer(), QueueTimeout(), ConnectFailed(), ConnectTimeout():
            proxy.connector.error = error
            proxy.client.receive(POST + b"abc")
        self.assertEqual(proxy.client.sent.count(b"HTTP/1.1 503 Service Unavailable\r\n"), 4)
        self.assertFalse(proxy.client.ending)
        self.assertEqual(proxy.backend.counters.responses[4], 4)

    def test_many_refusals(self) -> None:
        """Thousands of pipelined requests that fail at once do not exhaust the stack."""
        self.proxy.connector.error = NoServer()
        self.proxy.client.receive(GET * 3000)
        self.assertEqual(self.proxy.client.sent.count(b"HTTP/1.1 503 "), 3000)

    def test_plugin_fault(self) -> None:
        """A fault of our own is a 500."""
        self.proxy.connector.error = InternalError()
        self.proxy.client.receive(GET)
        self.assertEqual(self.status(), b"HTTP/1.1 500 Internal Server Error")

    def test_silent_server(self) -> None:
        """A server that closes without an answer makes a 502."""
        self.proxy.ask(GET)
        self.proxy.server.finish()
        self.assertEqual(self.status(), b"HTTP/1.1 502 Bad Gateway")
        self.assertEqual(self.proxy.lease.server.counters.response_errors, 1)

    def test_truncated_response(self) -> None:
        """A response that breaks off ends the client's connection; what came is delivered."""
        self.proxy.ask(GET)
        self.proxy.reply(OK + b"Content-Length: 9\r\n\r\nabc")
        self.proxy.server.finish()
        self.assertTrue(self.proxy.client.sent.endswith(b"abc"))
        self.assertEqual(self.proxy.client.ending, "closed")
        self.assertEqual(self.proxy.backend.counters.server_aborts, 1)

    def test_truncation_is_visible(self) -> None:
        """Where only the connection's end would frame it, a truncated response is a reset."""
        self.proxy.ask(GET)
        self.proxy.reply(OK + b"\r\nabc")
        self.proxy.server.reset()
        self.assertEqual(self.proxy.client.ending, "aborted")
        self.assertEqual(self.proxy.lease.endings, [Ending.SERVER_ABORT])

    def test_malformed_chunk_of_a_response(self) -> None:
        """A chunk that comes malformed later cuts the response off."""
        self.proxy.ask(GET)
        self.proxy.reply(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        self.proxy.server.receive(b"zz\r\n")
        self.assertEqual(self.proxy.client.ending, "closed")
        self.assertTrue(self.proxy.server.lost)

    def test_client_leaves(self) -> None:
        """A client that leaves ends its exchange with the server."""
        self.proxy.ask(GET)
        self.proxy.client.reset()
        self.assertTrue(self.proxy.server.lost)
        self.assertEqual(self.proxy.lease.endings, [Ending.CLIENT_ABORT])
        self.assertEqual(self.proxy.frontend.clients, {})
        self.assertEqual(self.proxy.backend.counters.client_aborts, 1)

    def test_client_leaves_before_the_server(self) -> None:
        """A client that leaves while it waits gives its attempt up."""
        self.proxy.connector.waits = True
        self.proxy.client.receive(GET)
        self.proxy.client.reset()
        self.assertTrue(self.proxy.connector.attempts[0].cancelled)

    def test_client_closes_while_it_waits(self) -> None:
        """Whoever ends its output is answered, unless `abortonclose` takes it for gone."""
        for options, ending in ({}, Ending.NORMAL), ({"abortonclose": True}, Ending.CLIENT_ABORT):
            proxy = Proxy(**options)
            proxy.ask(GET)
            proxy.client.finish()
            proxy.server.receive(SHORT)
            self.assertEqual(proxy.lease.endings, [ending])
            self.assertEqual(proxy.client.ending, "closed")
            self.assertEqual(bool(proxy.client.sent), ending is Ending.NORMAL)

    def test_client_closes_while_it_is_answered(self) -> None:
        """What an answer has begun for goes on, also with `abortonclose`."""
        proxy = Proxy(abortonclose=True)
        proxy.ask(GET)
        proxy.reply(SHORT[:-1])
        proxy.client.finish()
        self.assertEqual(proxy.reply(SHORT[-1:]), SHORT[-1:])
        self.assertEqual(proxy.lease.endings, [Ending.NORMAL])

    def test_client_breaks_off_its_request(self) -> None:
        """Half a head and an end is a 400; half a body and an end ends the exchange."""
        self.proxy.client.receive(GET[:9])
        self.proxy.client.finish()
        self.assertEqual(self.status(), b"HTTP/1.1 400 Bad request")
        self.proxy = Proxy()
        self.proxy.ask(POST + b"a")
        self.proxy.client.finish()
        self.assertEqual(self.proxy.lease.endings, [Ending.CLIENT_ABORT])

    def test_mark_down(self) -> None:
        """A mark-down ends both connections at once, without an answer."""
        self.proxy.ask(GET)
        self.proxy.lease.revoke(Ending.MARKED_DOWN)
        self.assertTrue(self.proxy.client.lost)
        self.assertTrue(self.proxy.server.lost)
        self.assertEqual(self.proxy.client.sent, b"")
        self.assertEqual(self.proxy.lease.endings, [])


class TimeoutTests(SynchronousTestCase):
    def proxy_with(self, **limits: Any) -> Proxy:
        self.proxy = Proxy(**limits)
        return self.proxy

    def after(self, seconds: float) -> bytes:
        before = len(self.proxy.client.sent)
        self.proxy.clock.pump([0.25] * int(seconds * 4))
        return self.proxy.client.sent[before:].partition(b"\r\n")[0]

    def test_silent_client(self) -> None:
        """A new client that says nothing gets a 408 after timeout-client."""
        self.proxy_with()
        self.assertEqual(self.after(29), b"")
        self.assertEqual(self.after(2), b"HTTP/1.1 408 Request Time-out")
        self.assertTrue(self.proxy.client.lost)

    def test_slow_head(self) -> None:
        """A head must be complete after timeout-http-request, however busily it comes."""
        proxy = self.proxy_with(timeout_http_request=5.0)
        for byte in GET[:4]:
            proxy.client.receive(bytes([byte]))
            self.assertEqual(self.after(1), b"")
        self.assertEqual(self.after(1.5), b"HTTP/1.1 408 Request Time-out")

    def test_keep_alive(self) -> None:
        """Between requests a client is closed silently after timeout-http-keep-alive."""
        proxy = self.proxy_with(timeout_http_keep_alive=3.0)
        proxy.ask(GET)
        proxy.reply(SHORT)
        self.assertEqual(self.after(2), b"")
        self.assertFalse(proxy.client.lost)
        self.assertEqual(self.after(2), b"")
        self.assertTrue(proxy.client.lost)

    def test_next_request(self) -> None:
        """From the first byte of a later request on, timeout-http-request counts."""
        proxy = self.proxy_with(timeout_http_keep_alive=20.0, timeout_http_request=5.0)
        proxy.ask(GET)
        proxy.reply(SHORT)
        self.after(15)
        proxy.client.receive(b"GET")
        self.assertEqual(self.after(4), b"")
        self.assertEqual(self.after(2), b"HTTP/1.1 408 Request Time-out")

    def test_server(self) -> None:
        """A server that does not answer within timeout-server makes a 504."""
        proxy = self.proxy_with(timeout_server=40.0)
        proxy.ask(GET)
        self.assertEqual(self.after(39), b"")
        self.assertEqual(self.after(2), b"HTTP/1.1 504 Gateway Time-out")
        self.assertEqual(proxy.lease.endings, [Ending.SERVER_TIMEOUT])
        self.assertFalse(proxy.client.lost)

    def test_server_that_goes_on(self) -> None:
        """Every piece of a response gives it new time; then the response is cut."""
        proxy = self.proxy_with(timeout_server=4.0)
        proxy.ask(GET)
        proxy.reply(OK + b"Content-Length: 99\r\n\r\n")
        for _ in range(5):
            self.after(3)
            proxy.server.receive(b"x")
        self.assertFalse(proxy.client.lost)
        self.after(5)
        self.assertTrue(proxy.client.lost)
        self.assertEqual(proxy.lease.endings, [Ending.SERVER_TIMEOUT])

    def test_slow_body(self) -> None:
        """A client that stops in its body gets a 408 after timeout-client."""
        proxy = self.proxy_with(timeout_server=5.0)
        proxy.ask(POST + b"a")
        self.assertEqual(self.after(29), b"")
        self.assertEqual(self.after(2), b"HTTP/1.1 408 Request Time-out")
        self.assertEqual(proxy.lease.endings, [Ending.CLIENT_TIMEOUT])

    def test_waiting_for_a_server(self) -> None:
        """While there is no server, the connector's limits count, and none of ours."""
        proxy = self.proxy_with(timeout_server=1.0)
        proxy.connector.waits = True
        proxy.client.receive(GET)
        self.assertEqual(self.after(100), b"")
        proxy.connector.attempts[0].taker.connect_failed(QueueTimeout())
        self.assertIn(b" 503 ", proxy.client.sent)

    def test_client_that_does_not_read(self) -> None:
        """A client that stops reading is ended after timeout-client, answer and all."""
        proxy = self.proxy_with()
        client = proxy.connect(stalled=True)
        client.receive(GET)
        proxy.server.receive(OK + b"Content-Length: 99999999\r\n\r\n" + b"x" * 100000)
        self.assertTrue(proxy.server.paused)
        self.after(31)
        self.assertEqual(proxy.lease.endings, [Ending.CLIENT_TIMEOUT])
        self.after(31)
        self.assertEqual(client.ending, "aborted")

    def test_client_that_does_not_close(self) -> None:
        """A client that is told to close, and does not, is closed."""
        proxy = self.proxy_with()
        proxy.client.receive(b"nonsense\r\n\r\n")
        self.assertEqual(proxy.client.ending, "half")
        self.after(31)
        self.assertEqual(proxy.client.ending, "aborted")


class TunnelTests(SynchronousTestCase):
    def test_upgrade(self) -> None:
        """After a 101 the relay has both sides, and the bytes that were read ahead."""
        proxy = Proxy(timeout_tunnel=77.0)
        sent = proxy.ask(UPGRADE + b"ping")
        self.assertIn(b"\r\nconnection: Upgrade\r\nupgrade: websocket\r\n", sent)
        proxy.server.receive(SWITCH + b"hello")
        tunnel = proxy.frontend.relay.tunnels[0]
        self.assertIs(tunnel.client, proxy.client)
        self.assertIs(tunnel.server, proxy.server)
        self.assertEqual((tunnel.client_timeout, tunnel.server_timeout), (77.0, 77.0))
        self.assertTrue(tunnel.to_client.startswith(b"HTTP/1.1 101 Ok\r\n"))
        self.assertTrue(tunnel.to_client.endswith(b"\r\n\r\nhello"))
        self.assertEqual(tunnel.to_server, b"ping")

    def tunnel(self) -> Proxy:
        proxy = Proxy()
        proxy.ask(UPGRADE)
        proxy.server.receive(SWITCH)
        return proxy

    def test_traffic(self) -> None:
        """What a tunnel moves is counted for the session and for the lease."""
        proxy = self.tunnel()
        session, lease = proxy.frontend.clients[proxy.client], proxy.lease.traffic
        before = session.bytes_in, lease.bytes_in, session.bytes_out, lease.bytes_out
        tunnel = proxy.frontend.relay.tunnels[0]
        tunnel.traffic.bytes_in += 5
        tunnel.traffic.bytes_out += 7
        after = session.bytes_in, lease.bytes_in, session.bytes_out, lease.bytes_out
        self.assertEqual([b - a for a, b in zip(before, after, strict=True)], [5, 5, 7, 7])

    def test_end(self) -> None:
        """The end of a tunnel ends its lease and the client's session."""
        proxy = self.tunnel()
        proxy.frontend.relay.tunnels[0].taker.relay_ended(Ending.SERVER_TIMEOUT)
        self.assertEqual(proxy.lease.endings, [Ending.SERVER_TIMEOUT])
        self.assertEqual(proxy.frontend.clients, {})

    def test_mark_down(self) -> None:
        """A mark-down shuts a tunnel down."""
        proxy = self.tunnel()
        proxy.lease.revoke(Ending.MARKED_DOWN)
        self.assertTrue(proxy.frontend.relay.tunnels[0].is_shut)
        self.assertEqual(proxy.frontend.clients, {})

    def test_refused(self) -> None:
        """A server that answers an upgrade with anything else has answered a request."""
        proxy = Proxy()
        proxy.ask(UPGRADE)
        self.assertEqual(proxy.reply(SHORT), SHORT)
        self.assertFalse(proxy.client.ending)

    def test_unproven(self) -> None:
        """A 101 to a WebSocket without the digest that proves it is a 502."""
        for digest in b"x", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo", b"":
            proxy = Proxy()
            proxy.ask(UPGRADE)
            answer = proxy.reply(SWITCH.replace(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", digest))
            self.assertTrue(answer.startswith(b"HTTP/1.1 502 "), answer)
            self.assertTrue(proxy.server.lost)

    def test_required(self) -> None:
        """A 426 says to what the client must change."""
        proxy = Proxy()
        proxy.ask(GET)
        answer = proxy.reply(
            b"HTTP/1.1 426 No\r\nConnection: upgrade\r\nUpgrade: foo/2\r\nContent-Length: 0\r\n\r\n"
        )
        fields = b"Content-Length: 0\r\nconnection: Upgrade\r\nupgrade: foo/2\r\n\r\n"
        self.assertEqual(answer, b"HTTP/1.1 426 No\r\n" + fields)


class BackPressureTests(SynchronousTestCase):
    PIECE = b"x" * 65536
    PIECES = 1024
    """64 MiB."""

    def test_download(self) -> None:
        """64 MiB to a client that stalls again and again: bounded memory, every byte there."""
        proxy = Proxy()
        client = proxy.connect(stalled=True)
        client.receive(GET)
        size = len(self.PIECE) * self.PIECES
        proxy.server.receive(OK + b"Content-Length: %d\r\n\r\n" % size)
        received, sent = 0, 0
        while sent < self.PIECES or client.unsent:
            while sent < self.PIECES and not proxy.server.paused:
                proxy.server.receive(self.PIECE)
                sent += 1
            client.drain()
            received += len(client.sent)
            client.sent = b""
        self.assertGreater(received, size)
        self.assertLess(client.most_unsent, 4 * client.LIMIT)
        self.assertEqual(proxy.lease.endings, [Ending.NORMAL])

    def test_upload(self) -> None:
        """64 MiB to a server that stalls again and again, chunked: bounded memory."""
        proxy = Proxy()
        proxy.connector.stalled = True
        proxy.client.receive(CHUNKED)
        server, sent, received = proxy.server, 0, 0
        while sent < self.PIECES or server.unsent:
            while sent < self.PIECES and not proxy.client.paused:
                proxy.client.receive(b"10000\r\n" + self.PIECE + b"\r\n")
                sent += 1
                if sent == self.PIECES:
                    proxy.client.receive(b"0\r\n\r\n")
            server.drain()
            received += server.sent.count(b"x")
            server.sent = b""
        self.assertEqual(received, len(self.PIECE) * self.PIECES)
        self.assertLess(server.most_unsent, 4 * server.LIMIT)
        proxy.server.receive(SHORT)
        self.assertEqual(proxy.client.sent, SHORT)
