"""Large HTTP bodies: the relay moves them, and everything is as without it."""

from __future__ import annotations

from tests.functional.harness import Peer, ProxyCase
from vipproxy import native
from vipproxy.protocols.http.bulk import BULK, Bulk
from vipproxy.values import AdminState

SIZE = 8 << 20
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % SIZE
OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
EMPTY = OK % 0


def pattern(size: int = SIZE) -> bytes:
    """Bytes in which a displacement would show."""
    return b"".join(n.to_bytes(4, "big") for n in range(size // 4))


class BulkCase(ProxyCase):
    protocol = "http"
    relay = "native"
    skip = None if native.available else native.why_not

    def setUp(self) -> None:
        super().setUp()
        self.bulks: list[Bulk] = []
        copy, bulks = Bulk._copy, self.bulks

        def noted(bulk: Bulk, *arguments: object) -> bool:
            bulks.append(bulk)
            return copy(bulk, *arguments)  # type: ignore[arg-type]

        self.patch(Bulk, "_copy", noted)

    async def start(self, backend: str = "", frontend: str = "") -> tuple[Peer, Peer]:
        """A client that has asked, and the server that has heard it."""
        self.web = self.origin()
        head = f"[global]\nrelay = {self.relay}\n"
        await self.proxy(backend, self.web, frontend=frontend, head=head)
        return await self.ask(GET)

    async def ask(self, request: bytes, body: bytes = b"") -> tuple[Peer, Peer]:
        number = len(self.web.peers) + 1
        client = await self.connect()
        client.send(request + body)
        server = await self.web.accepted(number)
        await server.hear(b"\r\n\r\n")
        return client, server

    def check_relayed(self) -> None:
        """The relay had a part in it; another test would prove nothing."""
        self.assertTrue(self.bulks)


class DownloadTests(BulkCase):
    async def test_whole(self) -> None:
        """A large response comes whole, is counted, and both connections go on."""
        client, server = await self.start()
        server.send(OK % SIZE + pattern())
        await client.until(lambda: len(client.received) >= len(OK % SIZE) + SIZE)
        self.assertEqual(client.received, OK % SIZE + pattern())
        for _ in range(2):
            client.received.clear()
            server.received.clear()
            client.send(GET)
            await server.hear(b"\r\n\r\n")
            server.send(OK % SIZE + pattern())
            await client.until(lambda: len(client.received) >= len(OK % SIZE) + SIZE)
            self.assertEqual(client.received, OK % SIZE + pattern())
        self.check_relayed()
        expected = 3 * len(OK % SIZE + pattern())
        await self.until(lambda: self.server().counters.sessions == 0)
        for counters in (self.server().counters, self.pool().counters):
            self.assertEqual(counters.bytes_out, expected)
        self.assertEqual(len(self.web.peers), 1)

    async def test_slow_reader(self) -> None:
        """A client that reads with pauses gets all of it."""
        client, server = await self.start()
        client.stall()
        server.send(OK % SIZE + pattern())
        for _ in range(3):
            await self.until(lambda: self.server().counters.bytes_out > BULK)
            client.transport.resumeProducing()
            client.transport.pauseProducing()
        client.transport.resumeProducing()
        await client.until(lambda: len(client.received) >= len(OK % SIZE) + SIZE)
        self.assertEqual(client.received, OK % SIZE + pattern())

    async def test_pipelined(self) -> None:
        """What the client asks meanwhile is answered afterwards."""
        client, server = await self.start()
        server.send(OK % SIZE + pattern(SIZE // 2))
        await client.until(lambda: len(client.received) >= SIZE // 2)
        client.send(GET)
        server.send(pattern()[SIZE // 2 :])
        await server.until(
            lambda: server.received.count(b"\r\n\r\n") == 2 or len(self.web.peers) > 1
        )
        self.web.peers[-1].send(EMPTY)
        await client.until(lambda: client.received.endswith(EMPTY))
        self.assertEqual(client.received, OK % SIZE + pattern() + EMPTY)

    async def test_server_breaks_off(self) -> None:
        """A server that dies in the middle: the client does not take what it got for a whole."""
        client, server = await self.start()
        server.send(OK % SIZE + pattern(SIZE // 2))
        await client.until(lambda: len(client.received) >= SIZE // 2)
        server.transport.loseConnection()
        await client.end()
        self.assertEqual(len(client.received), len(OK % SIZE) + SIZE // 2)
        self.assertEqual(self.server().counters.server_aborts, 1)
        self.check_relayed()

    async def test_client_leaves(self) -> None:
        """A client that leaves in the middle ends its exchange with the server."""
        client, server = await self.start()
        server.send(OK % SIZE + pattern(SIZE // 2))
        await client.until(lambda: len(client.received) >= SIZE // 2)
        client.reset()
        server.send(pattern(SIZE // 4))
        await server.gone()
        await self.until(lambda: self.server().counters.sessions == 0)
        self.assertEqual(self.server().counters.client_aborts, 1)
        self.check_relayed()

    async def test_marked_down(self) -> None:
        """A mark-down ends it at once, on both sides."""
        client, server = await self.start("on-marked-down = shutdown-sessions")
        server.send(OK % SIZE + pattern(SIZE // 2))
        await client.until(lambda: len(client.received) >= SIZE // 2)
        self.proxies[-1].service.set_admin_state("b", "s1", AdminState.MAINT)
        await client.end()
        await server.end()
        self.assertEqual(self.server().counters.sessions, 0)
        self.check_relayed()

    async def test_server_times_out(self) -> None:
        """A server that stops in the middle is given up."""
        client, server = await self.start("timeout-server = 400ms")
        server.send(OK % SIZE + pattern(SIZE // 2))
        await client.end()
        await server.end()
        self.assertLessEqual(len(client.received), len(OK % SIZE) + SIZE // 2)

    async def test_client_times_out(self) -> None:
        """A client that reads no more is given up."""
        client, server = await self.start(frontend="timeout-client = 400ms")
        client.stall()
        server.send(OK % SIZE + pattern())
        await server.gone()
        await self.until(lambda: self.sessions() == 0)

    async def test_proxy_stops(self) -> None:
        """When the proxy stops and the grace is over, nothing is left of it."""
        client, server = await self.start()
        server.send(OK % SIZE + pattern(SIZE // 2))
        await client.until(lambda: len(client.received) >= SIZE // 2)
        await self.proxies[-1].stop()
        await client.gone()
        await server.gone()


class UploadTests(BulkCase):
    async def test_whole(self) -> None:
        """A large request comes whole, and both connections go on."""
        await self.start()
        client, server = await self.ask(POST, pattern())
        await server.until(lambda: len(server.received) >= SIZE + len(POST))
        self.assertTrue(server.received.endswith(pattern()))
        server.send(EMPTY)
        await client.hear(EMPTY)
        self.check_relayed()
        server.received.clear()
        client.received.clear()
        client.send(GET)
        await server.hear(GET)
        server.send(EMPTY)
        await client.hear(EMPTY)

    async def test_early_answer(self) -> None:
        """A server that answers before it has read all is heard at once."""
        await self.start()
        client, server = await self.ask(POST, pattern(SIZE // 2))
        await server.until(lambda: len(server.received) >= SIZE // 2)
        server.send(EMPTY)
        await client.hear(EMPTY)
        client.send(pattern()[SIZE // 2 :])
        await server.until(lambda: len(server.received) >= SIZE + len(POST))
        self.assertTrue(server.received.endswith(pattern()))
        self.check_relayed()

    async def test_early_refusal(self) -> None:
        """A server that answers and closes: the client gets the answer."""
        await self.start()
        client, server = await self.ask(POST, pattern(SIZE // 2))
        await server.until(lambda: len(server.received) >= SIZE // 2)
        refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        server.send(refusal)
        server.transport.loseConnection()
        await client.hear(b"413 Too Large")
        await client.end()
        self.check_relayed()

    async def test_server_dies(self) -> None:
        """A server that dies without an answer: the client gets a 502."""
        await self.start()
        client, server = await self.ask(POST, pattern(SIZE // 2))
        await server.until(lambda: len(server.received) >= SIZE // 2)
        server.reset()
        await client.hear(b"502 Bad Gateway")
        self.check_relayed()

    async def test_client_leaves(self) -> None:
        """A client that leaves in the middle ends its exchange with the server."""
        await self.start()
        client, server = await self.ask(POST, pattern(SIZE // 2))
        await server.until(lambda: len(server.received) >= SIZE // 2)
        client.reset()
        await server.gone()
        await self.until(lambda: self.server().counters.client_aborts == 1)
        self.check_relayed()

    async def test_client_times_out(self) -> None:
        """A client that stops in the middle is told so, and the server is let go."""
        await self.start(frontend="timeout-client = 400ms")
        client, server = await self.ask(POST, pattern(SIZE // 2))
        await client.hear(b"408 Request Time-out")
        await server.gone()


class WithoutRelay:
    """The same where the relay cannot: what `relay = twisted` does is the measure."""

    relay = "twisted"
    skip = None

    def check_relayed(self) -> None:
        raise NotImplementedError


class PlainDownloadTests(WithoutRelay, DownloadTests):
    def check_relayed(self) -> None:
        self.assertEqual(self.bulks, [])


class PlainUploadTests(WithoutRelay, UploadTests):
    def check_relayed(self) -> None:
        self.assertEqual(self.bulks, [])
