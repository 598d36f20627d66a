"""Rules of frontends that pass bytes through, by both doors and both relays."""

from __future__ import annotations

from tests.functional.harness import EndpointDoor, Origin, PlainTcp, ProxyCase, named
from vipproxy.testing import ProxyHarness

CHOOSE = (
    "acl local = src 127.0.0.0/8\n"
    "use-backend = other if { src 10.0.0.0/8 }\n"
    "use-backend = other if local { dst_port ge 1 }\n"
)
REFUSE = "tcp-request-content = reject if { src 127.0.0.1 }\n"


class Sockets(ProxyCase):
    async def with_other(self, rules: str) -> tuple[Origin, Origin]:
        """Two backends, of which the rules choose one."""
        first, other = self.origin(named("first")), self.origin(named("other"))
        text = f"server own = {first.address}\n[backend other]"
        await self.proxy(text, other, frontend=rules)
        return first, other

    async def test_choice(self) -> None:
        """The backend of the first rule that fits serves."""
        await self.with_other(CHOOSE)
        client = await self.connect()
        self.assertEqual(await client.hear(b"\n"), b"other\n")

    async def test_default(self) -> None:
        """Where none fits, the frontend's own does."""
        await self.with_other("use-backend = other if FALSE\n")
        client = await self.connect()
        self.assertEqual(await client.hear(b"\n"), b"first\n")

    async def test_refused(self) -> None:
        """Who is refused is closed, counted, and leaves nothing behind."""
        _, other = await self.with_other(REFUSE)
        client = await self.connect()
        self.assertEqual(await client.end(), b"")
        await self.until(lambda: self.sessions() == 0)
        frontend = self.proxies[-1].snapshot().frontends[0]
        self.assertEqual(frontend.counters.denied_requests, 1)
        self.assertEqual(other.peers, [])

    async def test_inspected(self) -> None:
        """What was looked at is the server's, and the session goes on as any other."""
        rules = (
            "tcp-request-inspect-delay = 5s\n"
            "tcp-request-content = accept if { req.len ge 3 }\n"
            "tcp-request-content = reject if { req.len gt 0 } WAIT_END\n"
        )
        await self.with_other(rules)
        client = await self.connect()
        client.send(b"abc")
        self.assertEqual(await client.hear(b"abc"), b"first\nabc")
        client.send(b"def")
        self.assertEqual(await client.hear(b"def"), b"first\nabcdef")

    async def test_leaves(self) -> None:
        """A client that leaves while it is waited for leaves nothing behind."""
        rules = "tcp-request-inspect-delay = 30s\ntcp-request-content = accept if REQ_CONTENT\n"
        await self.with_other(rules)
        client = await self.connect()
        await self.until(lambda: self.sessions() == 1)
        client.reset()
        await self.until(lambda: self.sessions() == 0)


class PythonRelay(Sockets):
    async def proxy(self, backend: str, *servers: Origin | str, **sections: str) -> ProxyHarness:
        sections.setdefault("head", "[global]\nrelay = twisted\n")
        return await super().proxy(backend, *servers, **sections)


class Transports(Sockets):
    protocol = f"{PlainTcp.__module__}:{PlainTcp.__name__}"


class Endpoints(EndpointDoor, Sockets):
    """`endpoint.listen(factory)`."""
