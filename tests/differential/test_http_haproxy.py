"""The same scripts through the real HAProxy and through vipproxy: the same bytes.

One difference is on purpose, and is taken out before comparing: vipproxy keeps the spelling of
field names. Another is asserted: a request that may not be repeated has a connection of its own.
"""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.http_peers import TIMEOUT, Client, Origin, talk
from tests.ports import free_port
from tests.support import require
from tests.unit.http_corpus import HOSTILE_REQUESTS
from vipproxy.testing import ProxyHarness

HAPROXY = """
defaults
    mode http
    timeout connect 1s
    timeout client 60s
    timeout server 60s
    retries 0
frontend web
    bind 127.0.0.1:{web}
    monitor-uri /status
    option forwardfor
    default_backend pool
frontend hasty
    bind 127.0.0.1:{hasty}
    timeout client 1s
    default_backend hasty
frontend nowhere
    bind 127.0.0.1:{nowhere}
    default_backend dead
backend pool
    cookie SERVERID insert indirect nocache
    server s1 127.0.0.1:{origin} cookie c1
backend hasty
    timeout server 1s
    server s1 127.0.0.1:{origin}
backend dead
    server s1 127.0.0.1:{origin} cookie c1 disabled
"""

VIPPROXY = """
[defaults]
timeout-connect = 1s
timeout-client = 60s
timeout-server = 60s
[frontend web]
protocol = http
bind = 127.0.0.1:0
monitor-uri = /status
forwarded-for = on
backend = pool
[frontend hasty]
protocol = http
bind = 127.0.0.1:0
timeout-client = 1s
backend = hasty
[frontend nowhere]
protocol = http
bind = 127.0.0.1:0
backend = dead
[backend pool]
retries = 0
cookie = SERVERID insert indirect nocache
server s1 = 127.0.0.1:{origin} cookie=c1
[backend hasty]
timeout-server = 1s
server s1 = 127.0.0.1:{origin}
[backend dead]
server s1 = 127.0.0.1:{origin} disabled
"""

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = OK + b"Content-Length: 0\r\n\r\n"


def normal(stream: bytes) -> bytes:
    """Field names in lower case, as HAProxy writes them."""
    return re.sub(rb"(?m)^[A-Za-z-]+:", lambda match: match[0].lower(), stream)


def start_haproxy(case: TestCase, haproxy: str, text: str, port: int) -> None:
    """Run it for a test, and wait until it listens on a port."""
    directory = tempfile.TemporaryDirectory()
    case.addCleanup(directory.cleanup)
    path = Path(directory.name) / "haproxy.cfg"
    path.write_text(text)
    process = subprocess.Popen([haproxy, "-db", "-q", "-f", str(path)])
    case.addCleanup(process.wait)
    case.addCleanup(process.terminate)
    deadline = time.monotonic() + TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.05)
    case.fail(f"haproxy does not listen: {process.poll()}")


class Case(TestCase):
    timeout = 120

    async def setUp(self) -> None:  # type: ignore[override]
        haproxy = require("haproxy")
        self.origin = Origin()
        self.addCleanup(self.origin.close)
        self.ports = {name: free_port() for name in ("web", "hasty", "nowhere")}
        text = HAPROXY.format(origin=self.origin.port, **self.ports)
        await deferToThread(start_haproxy, self, haproxy, text, self.ports["web"])
        self.proxy = ProxyHarness(reactor, VIPPROXY.format(origin=self.origin.port))
        self.addCleanup(self.proxy.stop)
        await self.proxy.start()

    async def both(
        self, request: bytes, end_input: bool = False, frontend: str = "web"
    ) -> list[tuple[bytes, list[bytes]]]:
        """What the client got and what the server saw: first HAProxy's, then ours."""
        results = []
        for port in self.ports[frontend], self.proxy.port(frontend):
            self.origin.seen = []
            got = await deferToThread(talk, port, request, end_input)
            seen = [normal(each) for each in self.origin.seen]
            results.append((normal(got), seen))
        return results

    async def assert_same(
        self, request: bytes, answer: bytes | None = EMPTY, frontend: str = "web"
    ) -> None:
        self.origin.answer = answer
        theirs, ours = await self.both(request, frontend=frontend)
        self.assertEqual(ours, theirs, (request, answer))


class DifferentialTests(Case):
    async def test_cookie_requests(self) -> None:
        """What a client's cookies become, on their way to the server and in the answer."""
        for cookie in (
            b"SERVERID=c1", b"a=1; SERVERID=c1; b=2", b"SERVERID=zzz", b"SERVERID=",
            b'SERVERID="c1"', b"SERVERID=c1; SERVERID=zz", b"SERVERID=zz; SERVERID=c1",
            b"serverid=c1", b"SERVERID", b"SERVERID = c1 ; x=y", b"SERVERID=c1,z=1; x=y",
            b"a=1;SERVERID=c1;b=2", b"a=1; SERVERID=c1", b"SERVERID=c1; a=1", b"a=1,b=2; c=3",
            b"SERVERID=c1;a=1;b=2", b"a=1;SERVERID=c1;b=2;c=3", b"a=1\r\nCookie: SERVERID=c1",
            b"SERVERID=c1\r\nCookie: b=2", b'a="x;SERVERID=c1;"; a=1',
        ):  # fmt: skip
            await self.assert_same(LAST[:-2] + b"Cookie: %b\r\n\r\n" % cookie)
        await self.assert_same(LAST)

    async def test_cookie_responses(self) -> None:
        """What becomes of a server's own cookies, and when caches are told."""
        for line in (
            b"Set-Cookie: SERVERID=foo; path=/x\r\nSet-Cookie: b=1", b"set-cookie: serverid=z",
            b"ETag: a", b"Last-Modified: x", b"Expires: 0", b"Cache-Control: max-age=60",
            b"Cache-Control: public", b"Cache-Control: public, max-age=60", b"Pragma: no-cache",
            b"Cache-Control: private\r\nETag: a", b"Cache-Control: no-store\r\nETag: a",
            b"Cache-Control: max-age=0, public\r\nETag: a",
            b'Cache-Control: no-cache="x"\r\nETag: a',
            b"Cache-Control: public, max-age=0\r\nETag: a", b"Pragma: no-cache\r\nETag: a",
        ):  # fmt: skip
            answer = EMPTY[:-2] + line + b"\r\n\r\n"
            await self.assert_same(LAST, answer)
            await self.assert_same(LAST[:-2] + b"Cookie: SERVERID=c1\r\n\r\n", answer)
        tagged = EMPTY[:-2] + b"ETag: a\r\n\r\n"
        for status in b"206", b"302", b"304", b"404", b"500", b"501":
            await self.assert_same(LAST, tagged.replace(b"200 OK", status + b" -"))
        await self.assert_same(POST + b"Content-Length: 0\r\n\r\n", tagged)

    async def test_framing(self) -> None:
        """Bodies of all kinds, both ways."""
        chunks = b"Transfer-Encoding: chunked\r\n\r\n3;x=1\r\nabc\r\n0\r\nTr: y\r\n\r\n"
        for request in (
            POST + b"Content-Length: 3\r\n\r\nabc",
            POST + chunks,
            POST + b"Content-Length: 3\r\n" + chunks,
            LAST.replace(b" / ", b" http://a/x "),
            LAST.replace(b"GET /", b"OPTIONS *"),
            b"\r\n\r\n" + LAST,
            LAST,
        ):
            await self.assert_same(request)
        await self.assert_same(GET + LAST, EMPTY[:-2] + b"Connection: close\r\n\r\n")
        answer = b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc"
        await self.assert_same(GET, answer, frontend="hasty")
        for answer in (
            OK + b"Content-Length: 3\r\n\r\nabc",
            OK + chunks.replace(b";x=1", b""),
            OK + b"Content-Length: 3\r\n" + chunks,
            OK + b"\r\nabc",
            b"HTTP/1.0 200 OK\r\n\r\nabc",
            b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc",
            b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
            OK + b"Content-Length: 3\r\n\r\nabcdef",
            b"HTTP/1.1 304 -\r\nContent-Length: 3\r\n\r\n",
            b"HTTP/1.1 204 -\r\nContent-Length: 3\r\n\r\n",
            b"HTTP/1.1 204 -\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 -\r\nLink: x\r\n\r\n" + EMPTY,
            OK + b"Content-Length: 5\r\n\r\nabc",
        ):
            await self.assert_same(LAST, answer)
        for answer in OK + b"Content-Length: 3\r\n\r\n", OK + chunks.partition(b"3;")[0]:
            await self.assert_same(LAST.replace(b"GET", b"HEAD"), answer)

    async def test_old_clients(self) -> None:
        """HTTP/1.0: what it is told about the connection."""
        self.origin.answer = OK + b"Content-Length: 3\r\n\r\nabc"
        for request in OLD, OLD[:-2] + b"Connection: keep-alive\r\n\r\n":
            theirs, ours = await self.both(request, frontend="hasty")
            self.assertEqual(ours[0], theirs[0])

    async def test_errors(self) -> None:
        """502, 503 and 504, and when the connection outlives them."""
        for answer in b"", b"garbage\r\n\r\n", EMPTY.replace(b"Length:", b"Length: x"):
            await self.assert_same(LAST, answer)
        await self.assert_same(LAST, None, frontend="hasty")
        body = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
        for request in LAST, GET + LAST, OLD, LAST.replace(b"GET", b"HEAD"), body + LAST:
            await self.assert_same(request, frontend="nowhere")

    async def test_refused(self) -> None:
        """A server that refuses the connection makes a 503."""
        self.origin.close()
        await self.assert_same(LAST)

    async def test_timeouts(self) -> None:
        """408: nothing, half a head, half a head after an answer; silence between requests."""
        for request in b"", b"GET / HT", GET + b"GET", GET:
            await self.assert_same(request, frontend="hasty")

    async def test_monitor(self) -> None:
        """The monitor's answer, byte for byte."""
        for request in LAST, LAST.replace(b"GET", b"HEAD"), OLD, GET + LAST:
            await self.assert_same(request.replace(b" / ", b" /status "))
        await self.assert_same(LAST.replace(b" / ", b" /status?x=1 "))

    async def test_refusals(self) -> None:
        """A client that is refused reads HAProxy's words."""
        for request in HOSTILE_REQUESTS["two Hosts"], HOSTILE_REQUESTS["chunk size 0x"]:
            await self.assert_same(request)


class ReuseTests(Case):
    """How many requests come on each connection to the server (`http-reuse safe`)."""

    async def counts(self, *turns: tuple[int, bytes], answer: bytes = EMPTY) -> list[list[int]]:
        """Clients, by number, ask one after the other: HAProxy's connections, then ours."""
        self.origin.keeps, self.origin.answer = True, answer
        results = []
        for port in self.ports["web"], self.proxy.port("web"):
            self.origin.connections.clear()
            await deferToThread(self.play, port, turns)
            results.append([len(requests) for requests in self.origin.connections])
            self.origin.hang_up()
        await deferLater(reactor, 0.1)
        return results

    def play(self, port: int, turns: tuple[tuple[int, bytes], ...]) -> None:
        clients: dict[int, Client] = {}
        for number, request in turns:
            if number not in clients:
                clients[number] = Client(port)
            clients[number].ask(request)
            time.sleep(0.02)  # what has been answered is idle now
        for client in clients.values():
            client.close()

    async def test_one_client(self) -> None:
        """All requests of one client share a connection."""
        theirs, ours = await self.counts(*[(1, GET)] * 5)
        self.assertEqual((theirs, ours), ([5], [5]))

    async def test_several_clients(self) -> None:
        """A client's first request has a connection of its own, the others need none.

        Which of several idle ones they use may differ, but not how many there are in all.
        """
        for turns in (1, 2, 3, 4, 5), (1, 2, 1, 2, 1, 2), (1, 1, 2, 2, 3, 1, 2, 3):
            theirs, ours = await self.counts(*[(client, GET) for client in turns])
            self.assertEqual(len(ours), len(theirs), turns)

    async def test_methods(self) -> None:
        """Requests that may be repeated share a connection, whatever their method."""
        requests = [GET.replace(b"GET", m) for m in (b"GET", b"DELETE", b"PUT", b"OPTIONS", b"GET")]
        theirs, ours = await self.counts(*[(1, request) for request in requests])
        self.assertEqual((theirs, ours), ([5], [5]))

    async def test_servers_that_close(self) -> None:
        """What the server says of the connection is heeded, HTTP/1.0 servers included."""
        old = b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n"
        for answer in (
            EMPTY[:-2] + b"Connection: close\r\n\r\n",
            old + b"\r\n",
            old + b"Connection: keep-alive\r\n\r\n",
            EMPTY[:-2] + b"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n",
        ):
            theirs, ours = await self.counts(*[(1, GET)] * 3, answer=answer)
            self.assertEqual(ours, theirs, answer)

    async def test_unrepeatable(self) -> None:
        """HAProxy sends bodies onto an idle connection, which may be closing; we do not."""
        for method in b"POST", b"PUT":
            body = method + b" / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
            theirs, ours = await self.counts((1, GET), (1, body), (1, GET))
            self.assertEqual((theirs, ours), ([3], [2, 1]))
