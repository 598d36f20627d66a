"""Persistence and balancing by requests, with a real pool behind: who is served where."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.http_peers import Origin, talk
from vipproxy.testing import ProxyHarness
from vipproxy.values import AdminState

TEXT = """
[frontend web]
protocol = http
bind = 127.0.0.1:0
backend = pool

[backend pool]
{backend}
server s1 = 127.0.0.1:{ports[0]} cookie=c1 {server}
server s2 = 127.0.0.1:{ports[1]} cookie=c2 {server}
"""


class Case(TestCase):
    async def start(self, backend: str, server: str = "") -> None:
        self.origins = [Origin(), Origin()]
        for number, origin in enumerate(self.origins, 1):
            self.addCleanup(origin.close)
            origin.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nServer: s%d\r\n\r\n" % number
        ports = [origin.port for origin in self.origins]
        self.proxy = ProxyHarness(reactor, TEXT.format(backend=backend, ports=ports, server=server))
        self.addCleanup(self.proxy.stop)
        await self.proxy.start()

    async def ask(self, *fields: str, uri: str = "/") -> tuple[str, bool]:
        """Which server has answered, and whether the client got a cookie of it."""
        lines = [f"GET {uri} HTTP/1.1", "Host: a", *fields]
        request = "\r\n".join([*lines, "Connection: close", "", ""]).encode()
        answer: bytes = await deferToThread(talk, self.proxy.port("web"), request)
        server = answer.partition(b"\r\nServer: ")[2][:2].decode()
        return server, b"set-cookie: SERVERID=c%b" % server[1:].encode() in answer


class CookieTests(Case):
    COOKIE = "cookie = SERVERID insert indirect\nredispatch = off\nretries = 0"

    async def test_drained(self) -> None:
        """A drained server keeps its cookie holders, and gets no new clients."""
        await self.start(self.COOKIE)
        self.proxy.service.set_admin_state("pool", "s1", AdminState.DRAIN)
        self.assertEqual(await self.ask("Cookie: SERVERID=c1"), ("s1", False))
        for _ in range(3):
            self.assertEqual(await self.ask(), ("s2", True))

    async def test_maintenance(self) -> None:
        """A server in maintenance loses them to another, whose cookie they get."""
        await self.start(self.COOKIE)
        self.proxy.service.set_admin_state("pool", "s1", AdminState.MAINT)
        self.assertEqual(await self.ask("Cookie: SERVERID=c1"), ("s2", True))
        self.proxy.service.set_admin_state("pool", "s1", AdminState.READY)
        self.assertEqual(await self.ask("Cookie: SERVERID=c1"), ("s1", False))

    async def test_down(self) -> None:
        """So does a server that is down, even where nobody is redispatched."""
        await self.start(self.COOKIE + "\ncheck = tcp interval=20ms timeout=5s fall=1 rise=1")
        self.assertEqual(await self.ask("Cookie: SERVERID=c1"), ("s1", False))
        self.origins[0].close()
        await self.proxy.until_down("pool", "s1")
        self.assertEqual(await self.ask("Cookie: SERVERID=c1"), ("s2", True))

    async def test_before_the_balancer(self) -> None:
        """A cookie comes before what the balancer would hash."""
        await self.start("cookie = SERVERID insert indirect\nbalance = uri")
        for cookie in "c1", "c2":
            for uri in "/a", "/b", "/c":
                server, _ = await self.ask(f"Cookie: SERVERID={cookie}", uri=uri)
                self.assertEqual(server, cookie.replace("c", "s"))


class BalanceTests(Case):
    async def test_by_header(self) -> None:
        """Requests with one value go to one server, those without take turns."""
        await self.start("balance = hdr(X-User)")
        homes = {user: (await self.ask(f"X-User: {user}"))[0] for user in range(8)}
        self.assertEqual(set(homes.values()), {"s1", "s2"})
        for user, home in homes.items():
            self.assertEqual((await self.ask(f"x-user: {user}, proxy"))[0], home)
        self.assertEqual({(await self.ask())[0] for _ in range(2)}, {"s1", "s2"})

    async def test_server_gone(self) -> None:
        """Without its server a key has another, and with it its own again."""
        await self.start("balance = url_param(id)")
        homes = {f"/?id={i}": (await self.ask(uri=f"/?id={i}"))[0] for i in range(8)}
        self.proxy.service.set_admin_state("pool", "s1", AdminState.MAINT)
        self.assertEqual({(await self.ask(uri=uri))[0] for uri in homes}, {"s2"})
        self.proxy.service.set_admin_state("pool", "s1", AdminState.READY)
        for uri, home in homes.items():
            self.assertEqual((await self.ask(uri=uri))[0], home)

    async def test_refused(self) -> None:
        """A body of which nothing was sent is redispatched with its request."""
        await self.start("balance = uri\nretries = 1")
        self.origins[0].close()
        for number in range(6):
            body = f"POST /{number} HTTP/1.1\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"
            answer = await deferToThread(talk, self.proxy.port("web"), body.encode())
            self.assertIn(b"Server: s2", answer)
        self.assertEqual(len(self.origins[1].seen), 6)
        self.assertTrue(all(seen.endswith(b"\r\n\r\nabc") for seen in self.origins[1].seen))
        self.assertGreater(self.proxy.snapshot().backends[0].counters.redispatches, 0)

    async def test_sent(self) -> None:
        """A body of which something was sent is sent once: the client is told that it failed."""
        await self.start("balance = uri\nretries = 3")
        for origin in self.origins:
            origin.answer = b""
        for method in "POST", "PUT":
            request = f"{method} / HTTP/1.1\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"
            answer = await deferToThread(talk, self.proxy.port("web"), request.encode())
            self.assertTrue(answer.startswith(b"HTTP/1.1 502 "), answer)
        self.assertEqual(sum(len(origin.seen) for origin in self.origins), 2)
