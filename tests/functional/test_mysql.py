"""`protocol = mysql` on loopback, with fake servers; real ones are in tests/real."""

from __future__ import annotations

from typing import Any

from tests.functional.harness import EndpointDoor, Origin, Peer, ProxyCase, echo, named
from vipproxy.framing.mysql import Greeting, build_greeting, build_ok, parse_greeting
from vipproxy.values import AdminState


def greets(name: str) -> Any:
    """Behaviour of a server whose version is its name, and which lets everybody in."""

    def greet(peer: Peer) -> None:
        peer.on_data = lambda data: peer.send(build_ok(2))
        peer.send(build_greeting(Greeting(name, 1)))

    return greet


def error_of(packet: bytes) -> tuple[int, int, str, str]:
    """Sequence number, error number, SQLSTATE and text of one ERR packet, and nothing after it."""
    length, sequence = int.from_bytes(packet[:3], "little"), packet[3]
    payload = packet[4:]
    assert len(payload) == length, packet
    assert payload[0] == 0xFF, packet
    number = int.from_bytes(payload[1:3], "little")
    assert payload[3:4] == b"#", packet
    return sequence, number, payload[4:9].decode(), payload[9:].decode()


class Words:
    """What a client hears instead of a greeting, through every door."""

    async def test_no_server(self: Any) -> None:
        """With no server up the client gets an error packet, then the end."""
        await self.proxy("", "127.0.0.1:1 disabled")
        packet = await (await self.connect()).end()
        text = "vipproxy: no server is available in backend 'b'"
        self.assertEqual(error_of(packet), (0, 1047, "08S01", text))
        counters = self.proxies[-1].snapshot().frontends[0].counters
        self.assertEqual((counters.bytes_out, self.sessions()), (len(packet), 0))

    async def test_refused(self: Any) -> None:
        """With servers that all refuse the client is told so."""
        origin = self.origin()
        await origin.refuse()
        await self.proxy("retries = 0", origin)
        packet = await (await self.connect()).end()
        self.assertEqual(error_of(packet)[1:], (1047, "08S01", "vipproxy: Connection refused"))

    async def test_full(self: Any) -> None:
        """A client that no server has room for in time is told 1040, as by a server's own limit."""
        origin = self.origin(greets("s1"))
        await self.proxy("timeout-queue = 100ms", f"{origin.address} maxconn=1")
        first = await self.connect()
        await first.hear(b"mysql_native_password\0")
        packet = await (await self.connect()).end()
        text = "vipproxy: all servers of backend 'b' are full"
        self.assertEqual(error_of(packet), (0, 1040, "08004", text))

    async def test_marked_down_before_the_greeting(self: Any) -> None:
        """A client whose server is marked down before it has greeted is told so."""
        origin = self.origin(Peer.stall)
        proxy = await self.proxy("stick = dst\ncheck = tcp", origin)
        client = await self.connect()
        client.send(b"impatient")
        await self.until(lambda: self.server("s1").counters.bytes_in > 0)
        proxy.service.set_admin_state("b", "s1", AdminState.MAINT)
        packet = await client.end()
        text = "vipproxy: the server was marked down"
        self.assertEqual(error_of(packet), (0, 1047, "08S01", text))

    async def test_greeting(self: Any) -> None:
        """The server's own greeting reaches a client that has said nothing."""
        await self.proxy("", self.origin(greets("10.6-s1")))
        client = await self.connect()
        heard = await client.hear(b"mysql_native_password\0")
        self.assertEqual(parse_greeting(heard[4:]).version, "10.6-s1")

    async def test_marked_down_in_mid_session(self: Any) -> None:
        """A session that has had its greeting sees the end, and no packet out of turn."""
        proxy = await self.proxy("stick = dst\ncheck = tcp", self.origin(greets("s1")))
        client = await self.connect()
        greeting = await client.hear(b"mysql_native_password\0")
        proxy.service.set_admin_state("b", "s1", AdminState.MAINT)
        self.assertEqual(await client.end(), greeting)


class ThroughSockets(Words, ProxyCase):
    """The fast path."""

    protocol = "mysql"


class ThroughEndpoint(Words, EndpointDoor):
    """endpoint.listen(factory)."""

    protocol = "mysql"


class OneWriter(ProxyCase):
    protocol = "mysql"

    def nodes(self) -> list[Origin]:
        return [self.origin(named(f"s{i}")) for i in (1, 2, 3)]

    async def test_one_node(self) -> None:
        """stick = dst keeps every client on one node: the first."""
        await self.proxy("stick = dst size=2\ncheck = tcp", *self.nodes())
        heard = {await (await self.connect()).hear(b"\n") for _ in range(30)}
        self.assertEqual(heard, {b"s1\n"})

    async def test_queue_is_told(self) -> None:
        """Whoever waits for a full server too long gets an error packet."""
        origin = self.origin(echo)
        await self.proxy("timeout-queue = 100ms", f"{origin.address} maxconn=1")
        await self.connect()
        await origin.accepted()
        packet = await (await self.connect()).end()
        self.assertEqual(error_of(packet)[0], 0)
