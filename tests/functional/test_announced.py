"""`accept-proxy` on loopback: whoever has not told yet who he is takes up room, and no more."""

from __future__ import annotations

import socket

from tests.functional.harness import ProxyCase, named
from vipproxy.framing.proxy import build
from vipproxy.values import Address

HEADER = build("v1", Address("192.0.2.7", 1), Address("192.0.2.80", 2))
ACCEPT = "accept-proxy = on\n"


class Strangers(ProxyCase):
    def client(self) -> socket.socket:
        client = socket.create_connection(self.way_in())
        self.addCleanup(client.close)
        return client

    def waiting(self) -> int:
        return self.proxies[-1].service.frontends["f"].strangers

    async def test_room(self) -> None:
        """They count for maxconn; when one has gone, the next is let in."""
        origin = self.origin(named("s1"))
        await self.proxy("", origin, frontend=f"{ACCEPT}maxconn = 2")
        first, second, third = self.client(), self.client(), self.client()
        await self.until(lambda: self.waiting() == 2)
        third.sendall(HEADER)
        first.close()
        await self.until(lambda: self.sessions() == 1)
        self.assertEqual(self.waiting(), 1)
        second.sendall(HEADER)
        await self.until(lambda: self.sessions() == 2)
        self.assertEqual(self.waiting(), 0)

    async def test_stop(self) -> None:
        """When the proxy stops they are closed."""
        await self.proxy("", self.origin(), frontend=ACCEPT)
        client = self.client()
        await self.until(lambda: self.waiting() == 1)
        await self.proxies[-1].stop()
        self.assertEqual(client.recv(1), b"")

    async def test_mysql(self) -> None:
        """A server that speaks first is heard after the header, and not before."""
        await self.proxy("", self.origin(named("s1")), frontend=ACCEPT, protocol="mysql")
        client = await self.connect()
        client.send(HEADER)
        self.assertEqual(await client.hear(b"\n"), b"s1\n")

    async def test_early_bytes(self) -> None:
        """What follows the header at once is the server's, byte for byte."""
        await self.proxy("", self.origin(named("s1")), frontend=ACCEPT)
        client = await self.connect()
        client.send(HEADER + b"hello")
        self.assertEqual(await client.hear(b"hello"), b"s1\nhello")


class StrangersInPython(Strangers):
    """The same without compiled code."""

    async def proxy(self, backend, *servers, **sections):  # type: ignore[no-untyped-def]
        sections.setdefault("head", "[global]\nrelay = twisted\n")
        return await super().proxy(backend, *servers, **sections)
