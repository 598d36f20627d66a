"""`protocol = stats`: what is answered to which request, in memory and on fake time."""

from __future__ import annotations

import base64
import json
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.unit.admin_fakes import FakeCluster
from vipproxy.interfaces import IProtocolPlugin
from vipproxy.protocols.stats import StatsOptions, StatsProtocol
from vipproxy.protocols.stats_auth import Credentials
from vipproxy.testing import MemoryTransport, memory_frontend

MONITOR = (
    b"HTTP/1.1 200 OK\r\ncontent-length: 58\r\ncache-control: no-cache\r\n"
    b"content-type: text/html\r\n\r\n"
    b"<html><body><h1>200 OK</h1>\nService ready.\n</body></html>\n"
)
ROOT = b"Authorization: Basic " + base64.b64encode(b"root:redhat") + b"\r\n"


class BrokenCluster:
    """A proxy with a fault."""

    def snapshot(self) -> Any:
        raise RuntimeError("no snapshot today")


class StatsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.frontend = memory_frontend(clock=self.clock)
        self.frontend.cluster = FakeCluster()
        self.options = StatsOptions(
            monitor_uri="/status",
            stats_uri="/admin",
            stats_realm="Haproxy Statistics",
            stats_auth=(Credentials("root", "redhat"),),
            stats_refresh=5.0,
        )

    def connect(self) -> MemoryTransport:
        factory = StatsProtocol().factory(self.frontend, self.options)
        transport = MemoryTransport()
        transport.connect(factory.buildProtocol(None))  # type: ignore[arg-type]
        return transport

    def ask(self, path: bytes, fields: bytes = ROOT, method: bytes = b"GET") -> bytes:
        """The answer to one request on a new connection."""
        transport = self.connect()
        transport.deliver(b"%b %b HTTP/1.1\r\nHost: vip\r\n%b\r\n" % (method, path, fields))
        answer: bytes = transport.value()
        return answer

    def get(self, path: bytes, fields: bytes = ROOT) -> tuple[bytes, dict[bytes, bytes], bytes]:
        """Status line, fields and body."""
        head, _, body = self.ask(path, fields).partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        return status, dict(line.split(b": ", 1) for line in lines), body


class AnswerTests(StatsCase):
    def test_plugin(self) -> None:
        """The plugin is one, and needs no backend."""
        verifyObject(IProtocolPlugin, StatsProtocol())
        self.assertFalse(StatsProtocol.needs_backend)

    def test_monitor(self) -> None:
        """The monitor URI is answered in HAProxy's bytes, without a password."""
        self.assertEqual(self.ask(b"/status", b""), MONITOR)
        self.assertEqual(self.ask(b"/status", b"", b"POST"), MONITOR)
        self.assertEqual(self.ask(b"http://vip/status", b""), MONITOR)

    def test_monitor_is_exact(self) -> None:
        """A URI that only begins like the monitor's is another."""
        for path in (b"/status?x=1", b"/status/", b"/Status"):
            self.assertTrue(self.ask(path).startswith(b"HTTP/1.1 503 "), path)

    def test_elsewhere(self) -> None:
        """Any other URI, and any method but GET and HEAD, is a 503 that keeps the connection."""
        for path, method in ((b"/", b"GET"), (b"/foo", b"GET"), (b"/admin", b"PUT")):
            answer = self.ask(path, ROOT, method)
            self.assertTrue(answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n"))
            self.assertTrue(answer.endswith(b"handle this request.\n</body></html>\n"))
            self.assertNotIn(b"connection:", answer)

    def test_page(self) -> None:
        """The statistics URI is the page, reloading, and not to be cached."""
        status, fields, body = self.get(b"/admin")
        self.assertEqual(status, b"HTTP/1.1 200 OK")
        self.assertEqual(fields[b"content-type"], b"text/html")
        self.assertEqual(fields[b"cache-control"], b"no-cache")
        self.assertEqual(fields[b"refresh"], b"5")
        self.assertEqual(fields[b"content-length"], b"%d" % len(body))
        self.assertIn(b"rhos6-node1", body)

    def test_csv(self) -> None:
        """`;csv` is the CSV, without the columns that HAProxy hides, nor an empty line."""
        for path in (b"/admin;csv", b"/admin/;csv", b"/admin;csv;norefresh", b"/admin;up;csv"):
            status, fields, body = self.get(path)
            self.assertEqual(status, b"HTTP/1.1 200 OK")
            self.assertEqual(fields[b"content-type"], b"text/plain")
            self.assertTrue(body.startswith(b"# pxname,svname,"))
            self.assertTrue(body.endswith(b",\n"))
            self.assertFalse(body.endswith(b"\n\n"))
            self.assertNotIn(b"192.168.1.221:3306", body)

    def test_json(self) -> None:
        """`;json` is HAProxy's JSON, `;snapshot` our own, and `;json-schema` the first one's."""
        found = {}
        for word in (b"json", b"snapshot", b"json-schema"):
            _, fields, body = self.get(b"/admin;" + word)
            self.assertEqual(fields[b"content-type"], b"application/json")
            found[word] = json.loads(body)
        self.assertEqual(found[b"json"][0][0]["value"], {"type": "str", "value": "monitor"})
        self.assertEqual(found[b"snapshot"]["process"]["pid"], 4711)
        self.assertEqual(found[b"json-schema"]["oneOf"][1]["title"], "Stat")

    def test_metrics(self) -> None:
        """The metrics need the password, too, unless the configuration says otherwise."""
        self.assertEqual(self.get(b"/metrics", b"")[0], b"HTTP/1.1 401 Unauthorized")
        _, fields, body = self.get(b"/metrics?scope=global")
        self.assertEqual(fields[b"content-type"], b"text/plain; version=0.0.4")
        self.assertTrue(body.startswith(b"# HELP haproxy_process_nbthread "))
        self.assertEqual(self.get(b"/metrics?scope=x")[0], b"HTTP/1.1 400 Bad request")
        self.options = evolve(self.options, metrics_auth=False)
        self.assertEqual(self.get(b"/metrics", b"")[0], b"HTTP/1.1 200 OK")

    def test_no_metrics(self) -> None:
        """`metrics-uri = off` has none."""
        self.options = evolve(self.options, metrics_uri="off")
        self.assertTrue(self.get(b"/metrics")[0].startswith(b"HTTP/1.1 503 "))

    def test_hide_version(self) -> None:
        """Version and node are shown, unless they are not to be."""
        self.assertIn(b"vipproxy 0.1.0", self.get(b"/admin")[2])
        self.assertIn(b"rhos6-lb1", self.get(b"/admin")[2])
        self.options = evolve(self.options, stats_hide_version=True, stats_show_node="off")
        self.assertNotIn(b"0.1.0", self.get(b"/admin")[2])
        self.assertNotIn(b"rhos6-lb1", self.get(b"/admin")[2])

    def test_show_desc(self) -> None:
        """A name and a text of the operator's own are shown."""
        self.options = evolve(self.options, stats_show_node="lb-one", stats_show_desc="of three")
        body = self.get(b"/admin")[2]
        self.assertIn(b"lb-one", body)
        self.assertIn(b"of three", body)

    def test_show_legends(self) -> None:
        """With legends the columns that HAProxy hides are there."""
        self.options = evolve(self.options, stats_show_legends=True)
        self.assertIn(b"192.168.1.221:3306", self.get(b"/admin;csv")[2])

    def test_norefresh(self) -> None:
        """`;norefresh` stops the reloading."""
        for path in (b"/admin;norefresh", b"/admin;csv;norefresh"):
            self.assertNotIn(b"refresh", self.get(path)[1])

    def test_head(self) -> None:
        """HEAD gets the head alone."""
        answer = self.ask(b"/admin", ROOT, b"HEAD")
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertTrue(answer.endswith(b"\r\n\r\n"))

    def test_unauthorized(self) -> None:
        """Without the password there is a 401 with HAProxy's body, and the connection ends."""
        for fields in (b"", b"Authorization: Basic " + base64.b64encode(b"root:x") + b"\r\n"):
            status, given_, body = self.get(b"/admin;csv", fields)
            self.assertEqual(status, b"HTTP/1.1 401 Unauthorized")
            self.assertEqual(given_[b"www-authenticate"], b'Basic realm="Haproxy Statistics"')
            self.assertEqual(given_[b"content-length"], b"112")
            self.assertEqual(len(body), 112)
            self.assertEqual(given_[b"connection"], b"close")

    def test_fault(self) -> None:
        """A fault of the proxy costs a 500 and a line in the log, no more."""
        self.frontend.cluster = BrokenCluster()  # type: ignore[assignment]
        self.assertTrue(self.ask(b"/admin").startswith(b"HTTP/1.1 500 "))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_counters(self) -> None:
        """Requests, answers by class and intercepted ones are counted as by HAProxy."""
        for path, fields in ((b"/status", b""), (b"/admin", b""), (b"/admin", ROOT), (b"/", b"")):
            self.ask(path, fields)
        counters = self.frontend.counters
        self.assertEqual(counters.requests, 4)
        self.assertEqual(counters.responses, [0, 2, 0, 1, 1, 0])
        self.assertEqual(counters.intercepted, 3)
        self.assertEqual(counters.sessions_total, 4)


class OptionTests(SynchronousTestCase):
    def test_uris(self) -> None:
        """A URI that no request can have is refused."""
        self.assertRaises(ValueError, StatsOptions, stats_uri="admin")
        self.assertRaises(ValueError, StatsOptions, monitor_uri="status")

    def test_two_sources_of_users(self) -> None:
        """Users come from the configuration or from a file."""
        users = (Credentials("a", "b"),)
        self.assertRaises(ValueError, StatsOptions, stats_auth=users, stats_auth_file="x")


class ConnectionTests(StatsCase):
    def test_pipelining(self) -> None:
        """Requests that came together are answered in turn, also byte by byte."""
        request = b"GET /status HTTP/1.1\r\nHost: vip\r\n\r\n"
        whole, bytewise = self.connect(), self.connect()
        whole.deliver(request * 3)
        for at in range(3 * len(request)):
            bytewise.deliver((request * 3)[at : at + 1])
        self.assertEqual(whole.value(), MONITOR * 3)
        self.assertEqual(bytewise.value(), MONITOR * 3)

    def test_bodies_are_skipped(self) -> None:
        """A request's body, chunked or not, is not taken for a request."""
        transport = self.connect()
        transport.deliver(
            b"POST /status HTTP/1.1\r\nHost: vip\r\nContent-Length: 5\r\n\r\nhello"
            b"POST /status HTTP/1.1\r\nHost: vip\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n0\r\n\r\n"
        )
        self.assertEqual(transport.value(), MONITOR * 2)

    def test_old_client(self) -> None:
        """An HTTP/1.0 client is answered in HTTP/1.1, and the connection closed (as HAProxy)."""
        transport = self.connect()
        transport.deliver(b"GET /status HTTP/1.0\r\n\r\n")
        self.assertIn(b"\r\nconnection: close\r\n\r\n", transport.value())
        self.assertTrue(transport.closed)

    def test_malformed(self) -> None:
        """What is not HTTP gets HAProxy's 400, and the connection ends."""
        transport = self.connect()
        transport.deliver(b"GARBAGE\r\n\r\n")
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 400 Bad request\r\n"))
        self.assertTrue(transport.closed)
        self.assertEqual(self.frontend.counters.request_errors, 1)

    def test_slow_head(self) -> None:
        """A request must be whole within timeout-client, however it drips in; else 408."""
        transport = self.connect()
        for _ in range(4):
            transport.deliver(b"G" if not transport.value() else b"")
            self.clock.advance(7)
        self.assertFalse(transport.closed)
        self.clock.advance(7)
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 408 "))
        self.assertTrue(transport.closed)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_idle(self) -> None:
        """A connection kept alive without a further request is closed silently."""
        transport = self.connect()
        transport.deliver(b"GET /status HTTP/1.1\r\nHost: vip\r\n\r\n")
        self.clock.advance(31)
        self.assertEqual(transport.value(), MONITOR)
        self.assertTrue(transport.closed)

    def test_reader_that_does_not_read(self) -> None:
        """No second answer is made before the first has been taken; at last he is sent away."""
        transport = self.connect()
        transport.protocol.pauseProducing()
        transport.deliver(b"GET /status HTTP/1.1\r\nHost: vip\r\n\r\n" * 2)
        self.assertEqual(transport.value(), b"")
        transport.protocol.resumeProducing()
        self.assertEqual(transport.value(), MONITOR * 2)
        transport.protocol.pauseProducing()
        self.clock.advance(31)
        self.assertTrue(transport.aborted)

    def test_half_close(self) -> None:
        """A client that ends its side has had its answer."""
        transport = self.connect()
        transport.deliver(b"GET /status HTTP/1.1\r\nHost: vip\r\n\r\n")
        transport.end_input()
        self.assertEqual(transport.value(), MONITOR)
        self.assertTrue(transport.closed)
        self.assertFalse(transport.aborted)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopping(self) -> None:
        """While the proxy stops, connections end after their answer."""
        transport = self.connect()
        self.frontend.stopping = True
        transport.deliver(b"GET /status HTTP/1.1\r\nHost: vip\r\n\r\n")
        self.assertIn(b"connection: close", transport.value())
        self.assertTrue(transport.closed)

    def test_session(self) -> None:
        """A connection is a session of the frontend, with its bytes."""
        transport = self.connect()
        transport.deliver(b"GET /status HTTP/1.1\r\nHost: vip\r\n\r\n")
        self.assertEqual(self.frontend.counters.sessions, 1)
        transport.abortConnection()
        counters = self.frontend.counters
        self.assertEqual((counters.sessions, counters.sessions_total), (0, 1))
        self.assertEqual((counters.bytes_in, counters.bytes_out), (35, len(MONITOR)))

    @given(st.lists(st.binary(max_size=60), max_size=6), st.booleans())
    def test_any_bytes(self, pieces: list[bytes], valid: bool) -> None:
        """Nothing that a client sends raises."""
        transport = self.connect()
        if valid:
            transport.deliver(b"GET /admin HTTP/1.1\r\nHost: vip\r\n")
        for piece in pieces:
            if not transport.closed:
                transport.deliver(piece)
        transport.abortConnection()
        self.assertEqual(self.clock.getDelayedCalls(), [])
