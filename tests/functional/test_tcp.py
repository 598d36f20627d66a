"""`protocol = tcp` on loopback, through each of the doors into a frontend."""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import socket
from collections.abc import Iterator
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.task import deferLater

from tests.functional.harness import (
    EndpointDoor,
    Origin,
    Peer,
    ProxyCase,
    echo,
    eventually,
    named,
    reactor,
)
from vipproxy.framing.proxy import SIGNATURE
from vipproxy.sockets import TCP_USER_TIMEOUT
from vipproxy.values import AdminState

MEGABYTES = 16
BLOCK = bytes(range(256)) * 4096  # one MiB


class Sender:
    """A push producer's opposite: writes a stream when asked, and knows its hash."""

    def __init__(self, peer: Peer, seed: int) -> None:
        self.digest = hashlib.sha256()
        self._peer, self._left, self._seed = peer, MEGABYTES, seed
        peer.transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        block = bytes([self._seed + self._left]) + BLOCK
        self._left -= 1
        self.digest.update(block)
        self._peer.send(block)
        if not self._left:
            self._peer.transport.unregisterProducer()
            self._peer.finish()

    def stopProducing(self) -> None:
        """The connection is lost; the test will see it."""


def hashed(peer: Peer) -> Any:
    digest = hashlib.sha256()
    peer.on_data = digest.update
    return digest


class Streams:
    """What must be so through every door."""

    async def test_both_directions_at_once(self: Any) -> None:
        """16 MiB each way at the same time arrive as they were sent."""
        origin = self.origin()
        await self.proxy("", origin)
        client, server = await self.pair(origin)
        heard_by = {peer: hashed(peer) for peer in (client, server)}
        sent = {server: Sender(client, 1), client: Sender(server, 100)}
        for peer in (client, server):
            await peer.end()
            self.assertEqual(heard_by[peer].hexdigest(), sent[peer].digest.hexdigest())
        await self.until(lambda: self.sessions() == 0)
        counters = self.pool().counters
        self.assertEqual(counters.bytes_in, MEGABYTES * (len(BLOCK) + 1))
        self.assertEqual(counters.bytes_out, MEGABYTES * (len(BLOCK) + 1))

    async def test_server_speaks_first(self: Any) -> None:
        """A server's greeting reaches a client that has said nothing."""
        origin = self.origin(named("s1"))
        await self.proxy("", origin)
        client = await self.connect()
        self.assertEqual(await client.hear(b"\n"), b"s1\n")

    async def test_client_speaks_before_there_is_a_server(self: Any) -> None:
        """What a client sends at once is not lost."""
        origin = self.origin(echo)
        await self.proxy("", origin)
        client = await self.connect()
        client.send(b"early\n")
        await client.hear(b"early\n")

    async def test_client_ends_first(self: Any) -> None:
        """A client that has said all still hears the answer."""
        origin = self.origin()
        await self.proxy("", origin)
        client, server = await self.pair(origin)
        client.send(b"question")
        client.finish()
        self.assertEqual(await server.end(), b"question")
        server.send(b"answer")
        await client.hear(b"answer")
        server.finish()
        self.assertIsInstance(await client.gone(), ConnectionDone)
        await self.until(lambda: self.sessions() == 0)

    async def test_server_ends_first(self: Any) -> None:
        """A server that has said all still hears the client."""
        origin = self.origin()
        await self.proxy("", origin)
        client, server = await self.pair(origin)
        server.send(b"greeting")
        server.finish()
        self.assertEqual(await client.end(), b"greeting")
        client.send(b"answer")
        await server.hear(b"answer")
        client.finish()
        self.assertIsInstance(await server.gone(), ConnectionDone)
        await self.until(lambda: self.sessions() == 0)

    async def test_client_resets(self: Any) -> None:
        """A client that resets ends the server's side too, and counts as its abort."""
        origin = self.origin()
        await self.proxy("", origin)
        client, server = await self.pair(origin)
        client.reset()
        await server.end()
        await self.until(lambda: self.sessions() == 0)
        counters = self.pool().counters
        self.assertEqual((counters.client_aborts, counters.server_aborts), (1, 0))

    async def test_server_resets(self: Any) -> None:
        """A server that resets ends the client's side too, and counts as its abort."""
        origin = self.origin()
        await self.proxy("", origin)
        client, server = await self.pair(origin)
        client.send(b"hello")
        await server.hear(b"hello")  # a reset at once would be a refusal, and tried again
        server.reset()
        await client.end()
        await self.until(lambda: self.sessions() == 0)
        counters = self.pool().counters
        self.assertEqual((counters.client_aborts, counters.server_aborts), (0, 1))

    async def test_no_server(self: Any) -> None:
        """Without a usable server the client sees the end in order, also when it has spoken."""
        await self.proxy("", "127.0.0.1:1 disabled")
        client = socket.create_connection(self.way_in())
        self.addCleanup(client.close)
        client.sendall(b"x" * 1000)
        client.setblocking(False)
        poll = select.poll()
        poll.register(client, select.POLLIN | select.POLLERR)
        await self.until(lambda: bool(poll.poll(0)))
        await deferLater(reactor, 0.05)
        self.assertEqual(client.recv(1), b"")  # a reset would raise
        self.assertEqual(self.sessions(), 0)

    async def test_back_pressure(self: Any) -> None:
        """A reader that stalls stops the writer at the other end."""
        origin = self.origin()
        await self.proxy("", origin)
        client, server = await self.pair(origin)
        client.stall()
        Sender(server, 0)
        self.assertEqual(await self.settled(lambda: self.pool().counters.bytes_out), 0)
        moved = self.pool().counters.bytes_out
        self.assertTrue(0 < moved < MEGABYTES * len(BLOCK))
        client.transport.resumeProducing()
        await client.end()
        self.assertEqual(len(client.received), MEGABYTES * (len(BLOCK) + 1))

    async def settled(self: Any, value: Any) -> int:
        """Wait until a number no longer changes; gives the last change, 0."""
        change = 1
        while change:
            before = value()
            await deferLater(reactor, 0.2)
            change = value() - before
        return int(change)

    async def test_idle_timeouts(self: Any) -> None:
        """The shorter of timeout-client and timeout-server ends an idle session."""
        origin = self.origin()
        times = (("100ms", "30s", (1, 0)), ("30s", "100ms", (0, 1)))
        for client_timeout, server_timeout, aborts in times:
            frontend = f"timeout-client = {client_timeout}"
            await self.proxy(f"timeout-server = {server_timeout}", origin, frontend=frontend)
            client, server = await self.pair(origin)
            await client.end()
            await server.end()
            await self.until(lambda: self.sessions() == 0)
            counters = self.pool().counters
            self.assertEqual((counters.client_aborts, counters.server_aborts), aborts)

    async def test_traffic_of_either_direction_keeps_alive(self: Any) -> None:
        """Bytes in one direction alone keep both sides of a session alive."""
        origin = self.origin()
        await self.proxy("timeout-server = 1s", origin, frontend="timeout-client = 1s")
        client, server = await self.pair(origin)
        for talker in (client, server):
            for _ in range(13):
                talker.send(b".")
                await deferLater(reactor, 0.1)
        self.assertFalse(client.ended or server.ended)
        await client.end()

    async def test_timeout_tunnel(self: Any) -> None:
        """timeout-tunnel replaces both, longer or shorter."""
        origin = self.origin()
        await self.proxy("", origin, frontend="timeout-tunnel = 100ms")
        client, server = await self.pair(origin)
        await client.end()
        await server.end()

    async def test_connect_timeout(self: Any) -> None:
        """A server that accepts nothing costs timeout-connect, then the next one is tried."""
        hole = socket.socket()
        self.addCleanup(hole.close)
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            self.addCleanup(filler.close)
            filler.setblocking(False)
            filler.connect_ex(hole.getsockname())
        origin = self.origin(named("s2"))
        full = f"127.0.0.1:{hole.getsockname()[1]}"
        await self.proxy("timeout-connect = 1s\nbalance = first", full, origin)
        client = await self.connect()
        await client.hear(b"s2\n")
        self.assertEqual(self.server("s1").counters.redispatches, 1)

    async def test_mark_down(self: Any) -> None:
        """A mark-down ends every session of the server, and no other's."""
        first, second = self.origin(named("s1")), self.origin(named("s2"))
        proxy = await self.proxy("on-marked-down = shutdown-sessions\ncheck = tcp", first, second)
        clients = [await self.connect() for _ in range(10)]
        names = [await client.hear(b"\n") for client in clients]
        proxy.service.set_admin_state("b", "s1", AdminState.MAINT)
        for client, name in zip(clients, names, strict=True):
            if name == b"s1\n":
                await client.end()
        lost = [client for client in clients if client.ended]
        self.assertEqual(len(lost), names.count(b"s1\n"))
        self.assertEqual(self.server("s1").counters.shutdowns, 5)
        self.assertEqual(self.server("s2").counters.sessions, 5)
        self.assertEqual(await (await self.connect()).hear(b"\n"), b"s2\n")


class ThroughSockets(Streams, ProxyCase):
    """The listener hands raw sockets to the factory."""


class ThroughTransports(Streams, ProxyCase):
    """The listener builds Twisted transports for a factory that wants them."""

    protocol = "tests.functional.harness:PlainTcp"


class ThroughEndpoint(Streams, EndpointDoor):
    """endpoint.listen(factory)."""


class Redispatch(ProxyCase):
    async def test_killed_server_costs_nobody_an_error(self) -> None:
        """A server that is killed refuses; every new client is served by the next at once."""
        first, second = self.origin(named("s1")), self.origin(named("s2"))
        # The checks of one hour do not help: the clients' own refusals are the news.
        await self.proxy("check = tcp interval=1h", first, second)
        await first.kill()
        clients = [await self.connect() for _ in range(20)]
        names = {await client.hear(b"\n") for client in clients}
        self.assertEqual(names, {b"s2\n"})
        await self.until(lambda: not self.server("s1").up, timeout=2)
        self.assertTrue(self.pool().counters.redispatches > 0)

    async def test_recovery(self) -> None:
        """A server that returns passes `rise` checks, and is used again."""
        first, second = self.origin(named("s1")), self.origin(named("s2"))
        proxy = await self.proxy("check = tcp interval=20ms timeout=5s rise=3", first, second)
        await first.kill()
        await proxy.until_down("b", "s1")
        first.start()
        await proxy.until_up("b", "s1")
        names = {await (await self.connect()).hear(b"\n") for _ in range(4)}
        self.assertEqual(names, {b"s1\n", b"s2\n"})

    async def test_without_redispatch(self) -> None:
        """redispatch = off: the client stays with the server that refuses, then sees the end."""
        first, second = self.origin(), self.origin(named("s2"))
        text = "redispatch = off\nretries = 1\ntimeout-connect = 100ms\nbalance = first"
        await self.proxy(text, first, second)
        await first.refuse()
        client = await self.connect()
        self.assertEqual(await client.end(), b"")
        self.assertEqual(self.pool().counters.retries, 1)
        self.assertEqual(second.peers, [])


class ThePin(ProxyCase):
    """Promise 3 over sockets."""

    def serving(self, *origins: Origin) -> str:
        """Which origins hold sessions now."""
        return "".join(
            str(number)
            for number, origin in enumerate(origins, 1)
            if any(not peer.ended for peer in origin.peers)
        )

    async def test_never_two(self) -> None:
        """Kill the pinned server under load: at no moment do two servers hold sessions."""
        origins = [self.origin(named(f"s{i}")) for i in (1, 2, 3)]
        proxy = await self.proxy(
            "check = tcp interval=100ms timeout=5s\nstick = dst size=2", *origins
        )
        for _ in range(20):
            await (await self.connect()).hear(b"s1\n")
        await origins[0].kill()
        late = [await self.connect() for _ in range(20)]
        moments = set()
        while not all(client.received or client.ended for client in late):
            moments.add(self.serving(*origins))
            await deferLater(reactor, 0.002)
        moments.add(self.serving(*origins))
        self.assertEqual({bytes(client.received) for client in late}, {b"s2\n"})
        self.assertTrue(moments <= {"", "1", "2"}, moments)
        self.assertEqual(set(self.pool().pins.values()), {"s2"})
        origins[0].start()
        await proxy.until_up("b", "s1")
        await (await self.connect()).hear(b"s2\n")

    async def test_sessions_end_before_the_pin_moves(self) -> None:
        """Sessions on a pinned server that only fails its check end at the mark-down."""
        first, second = self.origin(named("s1")), self.origin(named("s2"))
        check = self.origin()
        text = "check = tcp interval=20ms timeout=5s fall=2\nstick = dst"
        proxy = await self.proxy(text, f"{first.address} check-port={check.address.port}", second)
        client = await self.connect()
        await client.hear(b"s1\n")
        await check.refuse()
        await proxy.until_down("b", "s1")
        await client.end()
        await (await self.connect()).hear(b"s2\n")
        self.assertEqual(self.server("s1").counters.shutdowns, 1)


class MassMarkDown(ProxyCase):
    timeout = 60
    SESSIONS = 2000

    async def test_all_in_one_turn(self) -> None:
        """2,000 sessions: when the verdict returns, every client's socket has its end."""
        origin, other = self.origin(lambda peer: peer.send(b"!")), self.origin(named("s2"))
        text = "check = tcp interval=1h\nstick = dst\nbalance = first"
        proxy = await self.proxy(text, origin, other, frontend="maxconn = 3000")
        clients: list[socket.socket] = []
        while len(clients) < self.SESSIONS:
            clients.extend(self.raw_client(proxy.port("f")) for _ in range(500))
            await self.until(lambda: self.pool().counters.bytes_out == len(clients))
        self.assertEqual(self.server("s1").counters.sessions, self.SESSIONS)
        poll = select.poll()
        for client in clients:
            poll.register(client, select.POLLIN)
        await self.until(lambda: len(poll.poll(0)) == self.SESSIONS)
        self.assertEqual({client.recv(2) for client in clients}, {b"!"})
        proxy.service.set_admin_state("b", "s1", AdminState.MAINT)
        # Not one reactor turn passes from here on: the kernel alone tells the clients.
        eventually(lambda: len(poll.poll(0)) == self.SESSIONS)
        self.assertEqual({client.recv(1) for client in clients}, {b""})
        self.assertEqual(self.server("s1").counters.shutdowns, self.SESSIONS)
        self.assertEqual(self.server("s1").counters.sessions, 0)
        self.assertEqual(self.sessions(), 0)
        for peer in origin.peers:
            await peer.end()
        await (await self.connect()).hear(b"s2\n")

    def raw_client(self, port: int) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", port))
        client.setblocking(False)
        self.addCleanup(client.close)
        return client


class Limits(ProxyCase):
    async def test_frontend_maxconn(self) -> None:
        """The client beyond maxconn waits in the kernel's queue, and is served after a release."""
        origin = self.origin(named("s1"))
        await self.proxy("", origin, frontend="maxconn = 2")
        first, second, third = [await self.connect() for _ in range(3)]
        await first.hear(b"s1\n")
        await second.hear(b"s1\n")
        await deferLater(reactor, 0.1)
        self.assertEqual((third.received, len(origin.peers), self.sessions()), (b"", 2, 2))
        first.reset()
        await third.hear(b"s1\n")

    async def test_server_maxconn(self) -> None:
        """A client beyond a server's maxconn waits in the backend's queue."""
        origin = self.origin(named("s1"))
        await self.proxy("", f"{origin.address} maxconn=1")
        first, second = await self.connect(), await self.connect()
        await first.hear(b"s1\n")
        await self.until(lambda: self.pool().queued == 1)
        first.reset()
        await second.hear(b"s1\n")

    async def test_timeout_queue(self) -> None:
        """Whoever waits longer than timeout-queue sees the end."""
        origin = self.origin(named("s1"))
        await self.proxy("timeout-queue = 100ms", f"{origin.address} maxconn=1")
        first, second = await self.connect(), await self.connect()
        await first.hear(b"s1\n")
        self.assertEqual(await second.end(), b"")
        self.assertFalse(first.ended)


class BeforeTheFirstVerdict(ProxyCase):
    async def test_client_waits(self) -> None:
        """Clients that come before the first verdict wait, and are then served."""
        origin = self.origin(named("s1"))
        await origin.refuse()
        proxy = await self.proxy("check = tcp interval=20ms timeout=5s\ntimeout-queue = 1m", origin)
        self.assertEqual(await (await self.connect()).end(), b"")
        proxy.service.set_admin_state("b", "s1", AdminState.MAINT)
        proxy.service.set_admin_state("b", "s1", AdminState.READY)
        waiting = await self.connect()
        await self.until(lambda: self.sessions() == 1)
        origin.start()
        await waiting.hear(b"s1\n")


class ProxyProtocol(ProxyCase):
    async def test_v1(self) -> None:
        """send-proxy = v1: the server's first line says who the client is."""
        origin = self.origin()
        proxy = await self.proxy("send-proxy = v1", origin)
        client, server = await self.pair(origin)
        client.send(b"hello")
        host = client.transport.getHost()
        line = f"PROXY TCP4 127.0.0.1 127.0.0.1 {host.port} {proxy.port('f')}\r\n".encode()
        self.assertEqual(await server.hear(b"hello"), line + b"hello")

    async def test_v2(self) -> None:
        """send-proxy = v2: the same in binary."""
        origin = self.origin()
        proxy = await self.proxy("send-proxy = v2", origin)
        client, server = await self.pair(origin)
        client.send(b"hello")
        host = client.transport.getHost()
        loopback = socket.inet_aton("127.0.0.1")
        ports = host.port.to_bytes(2, "big") + proxy.port("f").to_bytes(2, "big")
        header = SIGNATURE + b"\x21\x11\x00\x0c" + loopback * 2 + ports
        self.assertEqual(await server.hear(b"hello"), header + b"hello")

    async def test_server_that_resets_at_once(self) -> None:
        """A server that accepts and resets ends the session, and leaves nothing behind."""
        origin = self.origin(Peer.reset)
        await self.proxy("send-proxy = v2", origin)
        for _ in range(20):
            client = await self.connect()
            await client.end()
        await self.until(lambda: self.sessions() == 0)
        self.assertEqual(self.server("s1").counters.sessions, 0)


class Keepalive(ProxyCase):
    NUMBERS = "keepalive = idle=60s interval=10s count=6 user-timeout=90s"

    def options(self, sock: socket.socket) -> tuple[int, ...]:
        tcp = (
            socket.TCP_NODELAY,
            socket.TCP_KEEPIDLE,
            socket.TCP_KEEPINTVL,
            socket.TCP_KEEPCNT,
            TCP_USER_TIMEOUT,
        )
        keepalive = sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        return (keepalive, *(sock.getsockopt(socket.IPPROTO_TCP, each) for each in tcp))

    async def both(self, frontend: str, backend: str) -> list[tuple[int, ...]]:
        """The options of the proxy's socket towards the client, and of the one to the server."""
        origin = self.origin(echo)
        proxy = await self.proxy(backend, origin, frontend=frontend)
        client = await self.connect()
        client.send(b"hello")
        await client.hear(b"hello")
        ends = [
            (proxy.port("f"), client.transport.getHost().port),
            (origin.peers[0].transport.getPeer().port, origin.address.port),
        ]
        found = [(end, self.options(sock)) for end, sock in self.open_sockets() if end in ends]
        return [options for end, options in sorted(found, key=lambda each: each[0] not in ends[:1])]

    def open_sockets(self) -> Iterator[tuple[tuple[int, int], socket.socket]]:
        """All connections of this process, with their ports: the relay's are known to nobody."""
        for descriptor in map(int, os.listdir("/proc/self/fd")):
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as sock:
                yield (sock.getsockname()[1], sock.getpeername()[1]), sock

    async def test_numbers(self) -> None:
        """Every number of `keepalive` is set on the sockets of both sides."""
        found = await self.both(self.NUMBERS, self.NUMBERS)
        self.assertEqual(found, [(1, 1, 60, 10, 6, 90000)] * 2)

    async def test_per_side(self) -> None:
        """Each side has its own; without one, keepalive is off."""
        client_side, server_side = await self.both("", "keepalive = on")
        self.assertEqual((client_side[0], server_side[0]), (0, 1))

    async def test_off(self) -> None:
        """`keepalive = off` is off."""
        found = await self.both("keepalive = off", "keepalive = off")
        self.assertEqual([each[0] for each in found], [0, 0])


class LostPeers(ProxyCase):
    async def test_client_gone_before_a_server_is_there(self) -> None:
        """A client that resets while it waits costs no session for longer than its wait."""
        origin = self.origin(named("s1"))
        await self.proxy("timeout-queue = 2s", f"{origin.address} maxconn=1")
        first, second = await self.connect(), await self.connect()
        await first.hear(b"s1\n")
        await self.until(lambda: self.pool().queued == 1)
        second.reset()
        await second.gone()
        await self.until(lambda: self.pool().queued == 0)
        await self.until(lambda: self.sessions() == 1)

    async def test_stalled_client_of_a_dead_server(self) -> None:
        """A client that does not take what it was sent is let go at its timeout."""
        origin = self.origin()
        await self.proxy("", origin, frontend="timeout-client = 300ms")
        client, server = await self.pair(origin)
        client.stall()
        server.send(b"x" * (1 << 24))
        server.transport.loseConnection()
        await self.until(lambda: self.sessions() == 0)
