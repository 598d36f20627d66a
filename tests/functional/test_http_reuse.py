"""Connections to servers that outlive a request, on loopback, with a real pool behind."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.http_peers import Client, Origin
from vipproxy.testing import ProxyHarness
from vipproxy.values import AdminState

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

TEXT = """
[frontend web]
protocol = http
bind = 127.0.0.1:0
{frontend}
backend = pool

[backend pool]
{backend}
server s1 = 127.0.0.1:{port} {server}
"""


class ReuseTests(TestCase):
    async def start(self, frontend: str = "", backend: str = "", server: str = "") -> None:
        self.origin = Origin()
        self.addCleanup(self.origin.close)
        self.origin.keeps, self.origin.answer = True, EMPTY
        text = TEXT.format(frontend=frontend, backend=backend, port=self.origin.port, server=server)
        self.proxy = ProxyHarness(reactor, text)
        self.addCleanup(self.proxy.stop)
        await self.proxy.start()
        self.client = self.connect()

    def connect(self) -> Client:
        client = Client(self.proxy.port("web"))
        self.addCleanup(client.close)
        return client

    async def ask(self, request: bytes = GET, client: Client | None = None) -> bytes:
        answer: bytes = await deferToThread((client or self.client).ask, request)
        return answer

    def by_connection(self) -> list[int]:
        return [len(requests) for requests in self.origin.connections]

    async def until_closed(self) -> None:
        """Wait until the origin has noticed the end of all its connections."""
        while any(client.fileno() >= 0 for client in self.origin.open):
            await deferLater(reactor, 0.01)

    async def test_one_connection(self) -> None:
        """A client's requests share a connection; each is a session, one is a connect."""
        await self.start()
        for _ in range(5):
            self.assertEqual(await self.ask(), EMPTY)
        self.assertEqual(self.by_connection(), [5])
        counters = self.proxy.snapshot().backends[0].servers[0].counters
        self.assertEqual((counters.sessions_total, counters.chosen), (5, 5))
        self.assertEqual((counters.connects, counters.sessions), (1, 0))

    async def test_closed_by_the_server(self) -> None:
        """When the server closes idle connections, the next request does not notice."""
        await self.start()
        await self.ask()
        self.origin.hang_up()
        await deferLater(reactor, 0.05)
        self.assertEqual(await self.ask(), EMPTY)
        self.assertEqual(self.by_connection(), [1, 1])

    async def test_closing_race(self) -> None:
        """A server that closes after every answer, without a word, costs no client an answer."""
        await self.start()
        self.origin.keeps = False
        for _ in range(50):
            self.assertEqual(await self.ask(), EMPTY)
            self.assertEqual(await self.ask(POST), EMPTY)
        self.assertEqual(len(self.origin.seen), 100)

    async def test_post(self) -> None:
        """A POST has a connection that cannot be closing: a fresh one."""
        await self.start()
        for request in GET, POST, GET, POST:
            self.assertEqual(await self.ask(request), EMPTY)
        self.assertEqual(sum(self.by_connection()), 4)
        self.assertEqual(len(self.by_connection()), 3)

    async def test_idle_timeout(self) -> None:
        """An idle connection ends after pool-purge-delay."""
        await self.start("pool-purge-delay = 100ms")
        await self.ask()
        await self.until_closed()
        await self.ask()
        self.assertEqual(self.by_connection(), [1, 1])

    async def test_maintenance(self) -> None:
        """A server put into maintenance loses its idle connections in the same turn."""
        await self.start()
        await self.ask()
        self.proxy.service.set_admin_state("pool", "s1", AdminState.MAINT)
        await self.until_closed()
        self.proxy.service.set_admin_state("pool", "s1", AdminState.READY)
        await self.ask()
        self.assertEqual(self.by_connection(), [1, 1])

    async def test_mark_down(self) -> None:
        """At a mark-down idle connections end, and with them those that are in use."""
        await self.start(backend="on-marked-down = shutdown-sessions")
        await self.ask()
        other = self.connect()
        await self.ask(client=other)
        self.origin.answer = None
        asking: Any = deferToThread(other.ask, GET)
        await self.proxy.until(lambda now: now.backends[0].counters.sessions == 1)
        self.proxy.service.set_admin_state("pool", "s1", AdminState.MAINT)
        self.assertEqual(self.proxy.snapshot().backends[0].counters.sessions, 0)
        self.assertEqual(await asking, b"")
        await self.until_closed()

    async def test_client_leaves(self) -> None:
        """A client that resets its connection ends its exchange with the server."""
        await self.start()
        await self.ask()
        self.origin.answer = None
        self.client.send(GET)
        await self.proxy.until(lambda now: now.backends[0].counters.sessions == 1)
        self.client.reset()
        await self.until_closed()
        now = await self.proxy.until(lambda now: now.backends[0].counters.sessions == 0)
        self.assertEqual(now.backends[0].counters.client_aborts, 1)

    async def test_client_closes(self) -> None:
        """With `abortonclose` so does one that closes, also while it waits for a server."""
        await self.start("abortonclose = on", server="maxconn=1")
        self.origin.answer = None
        self.client.send(GET)
        await self.proxy.until(lambda now: bool(self.origin.seen))
        waiting = self.connect()
        waiting.send(GET)
        await self.proxy.until(lambda now: now.backends[0].queued == 1)
        waiting.close()
        await self.proxy.until(lambda now: now.backends[0].queued == 0)
        self.client.close()
        await self.until_closed()
        now = await self.proxy.until(lambda now: now.frontends[0].counters.sessions == 0)
        self.assertEqual(now.backends[0].counters.client_aborts, 2)

    async def test_queue(self) -> None:
        """With maxconn=1 who waits gets the connection that has just become idle."""
        await self.start(server="maxconn=1")
        clients = [self.connect() for _ in range(4)]
        for _ in range(2):
            asking = [deferToThread(each.ask, GET) for each in clients]
            for each in asking:
                self.assertEqual(await each, EMPTY)
        self.assertLessEqual(len(self.origin.connections), 5)
        self.assertEqual(len(self.origin.seen), 8)

    async def test_stop(self) -> None:
        """When the proxy stops, idle connections end."""
        await self.start()
        await self.ask()
        await self.proxy.stop()
        await self.until_closed()
