"""What operators change while clients are connected, on real sockets and through both relays."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.error import ConnectionRefusedError

from tests.functional.harness import ProxyCase, echo, named, reactor
from tests.ports import free_port
from vipproxy.config.options import ServerConfig, ServerOptions
from vipproxy.errors import Refused
from vipproxy.interfaces import SessionView
from vipproxy.sockets import address_of
from vipproxy.testing import ProxyHarness
from vipproxy.values import AdminState


class Sessions(ProxyCase):
    """With the relay that is installed; `TwistedSessions` has the other."""

    head = ""

    def views(self) -> list[SessionView]:
        return self.proxies[-1].service.sessions()

    async def test_listed(self) -> None:
        """A session is listed with its client, its server, its age and its bytes."""
        origin = self.origin(echo)
        proxy = await self.proxy("", origin, head=self.head)
        client, _ = await self.pair(origin)
        client.send(b"hello")
        await client.hear(b"hello")
        (view,) = self.views()
        self.assertEqual((view.frontend, view.backend, view.server), ("f", "b", "s1"))
        self.assertEqual(view.source, address_of(client.transport.getHost()))
        self.assertEqual(view.server_address, origin.address)
        await self.until(lambda: self.views()[0].bytes_out == 5)
        self.assertEqual(self.views()[0].bytes_in, 5)
        self.assertTrue(0 <= self.views()[0].age < 60)
        await proxy.stop()

    async def test_shut_down(self) -> None:
        """A session that is shut down ends on both sides, with a FIN; others go on."""
        origin = self.origin(echo)
        proxy = await self.proxy("", origin, head=self.head)
        client, server = await self.pair(origin)
        (view,) = self.views()
        other, _ = await self.pair(origin)
        self.assertTrue(proxy.service.shut_session(view.number))
        await client.end()
        await server.end()
        other.send(b"hello")
        await other.hear(b"hello")
        self.assertFalse(proxy.service.shut_session(view.number))

    async def test_waiting(self) -> None:
        """A client that waits for a server is listed without one, and can be sent away."""
        origin = self.origin(echo)
        proxy = await self.proxy(
            "timeout-queue = 60s", f"{origin.address} maxconn=1", head=self.head
        )
        await self.pair(origin)
        waiting = await self.connect()
        await self.until(lambda: len(self.views()) == 2)
        (view,) = (each for each in self.views() if not each.server)
        self.assertEqual((view.backend, view.server_address), ("b", None))
        proxy.service.shut_session(view.number)
        await waiting.end()
        self.assertEqual(self.pool().queued, 0)

    async def test_server_sessions(self) -> None:
        """All sessions of one server end; the next client may have it again."""
        first, second = self.origin(named("s1")), self.origin(named("s2"))
        proxy = await self.proxy("", first, second, head=self.head)
        clients = [await self.connect() for _ in range(4)]
        heard = [await each.hear(b"\n") for each in clients]
        proxy.service.shut_server_sessions("b", "s1")
        for client, name in zip(clients, heard, strict=True):
            if name == b"s1\n":
                await client.end()
            else:
                self.assertIsNone(client.lost)
        self.assertEqual((heard.count(b"s1\n"), self.server("s1").counters.sessions), (2, 0))

    async def test_maxconn_grows(self) -> None:
        """A client in the queue is served as soon as maxconn grows."""
        origin = self.origin(named("s1"))
        proxy = await self.proxy("", f"{origin.address} maxconn=1", head=self.head)
        await (await self.connect()).hear(b"s1\n")
        waiting = await self.connect()
        await self.until(lambda: self.pool().queued == 1 or self.server().queued == 1)
        proxy.service.set_server_maxconn("b", "s1", 2)
        await waiting.hear(b"s1\n")

    async def test_moved(self) -> None:
        """New clients go to a server's new address."""
        old, new = self.origin(named("old")), self.origin(named("new"))
        proxy = await self.proxy("check = tcp interval=100ms", old, head=self.head)
        await (await self.connect()).hear(b"old\n")
        proxy.service.set_address("b", "s1", new.address)
        await (await self.connect()).hear(b"new\n")

    async def test_added(self) -> None:
        """An added server gets clients when it is ready, after its first check."""
        old, new = self.origin(named("old")), self.origin(named("new"))
        proxy = await self.proxy("check = tcp interval=100ms", old, head=self.head)
        options = ServerOptions(address=new.address)
        proxy.service.add_server("b", ServerConfig("s2", options))
        proxy.service.set_admin_state("b", "s2", AdminState.READY)
        await proxy.until_up("b", "s2")
        heard = {await (await self.connect()).hear(b"\n") for _ in range(4)}
        self.assertEqual(heard, {b"old\n", b"new\n"})


class TwistedSessions(Sessions):
    head = "[global]\nrelay = twisted"


class HttpSessions(ProxyCase):
    protocol = "http"

    async def test_request(self) -> None:
        """A request that waits for its answer is a session; between two of them there is none."""
        origin = self.origin()
        proxy = await self.proxy("", origin)
        client = await self.connect()
        self.assertEqual(proxy.service.sessions(), [])
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        server = await origin.accepted()
        await server.hear(b"\r\n\r\n")
        (view,) = proxy.service.sessions()
        self.assertEqual((view.frontend, view.backend, view.server), ("f", "b", "s1"))
        server.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        await client.hear(b"ok")
        self.assertEqual(proxy.service.sessions(), [])

    async def test_shut_down(self) -> None:
        """A request that is shut down ends with its connections."""
        origin = self.origin()
        proxy = await self.proxy("", origin)
        client = await self.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        server = await origin.accepted()
        await server.hear(b"\r\n\r\n")
        (view,) = proxy.service.sessions()
        self.assertTrue(proxy.service.shut_session(view.number))
        await client.end()
        await server.end()

    async def test_tunnel(self) -> None:
        """An upgraded connection is a session until it ends."""
        origin = self.origin()
        proxy = await self.proxy("", origin)
        client = await self.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
        server = await origin.accepted()
        await server.hear(b"\r\n\r\n")
        server.send(
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: chat\r\n\r\n"
        )
        await client.hear(b"101")
        (view,) = proxy.service.sessions()
        self.assertEqual((view.backend, view.server), ("b", "s1"))
        self.assertTrue(proxy.service.shut_session(view.number))
        await client.end()
        await server.end()

    async def test_refused_request(self) -> None:
        """What was refused is kept, both of clients and of servers."""
        origin = self.origin()
        proxy = await self.proxy("", origin)
        client = await self.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n")
        await client.hear(b"400")
        client = await self.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        server = await origin.accepted()
        await server.hear(b"\r\n\r\n")
        server.send(b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n")
        await client.hear(b"502")
        total, messages = proxy.service.captures()
        self.assertEqual((total, [each.is_response for each in messages]), (2, [False, True]))
        self.assertEqual([b"bad header" in each.data for each in messages], [True, True])
        self.assertEqual((messages[1].backend, messages[1].server), ("b", "s1"))


class Frontends(ProxyCase):
    async def test_disabled(self) -> None:
        """A disabled frontend refuses clients and keeps its sessions; enabled, it takes both."""
        origin = self.origin(echo)
        proxy = await self.proxy("", origin)
        port = proxy.port("f")
        client, _ = await self.pair(origin)
        proxy.service.disable_frontend("f")
        self.assertEqual(proxy.snapshot().frontends[0].status, "PAUSED")
        with self.assertRaises(ConnectionRefusedError):
            await self.connect()
        client.send(b"hello")
        await client.hear(b"hello")
        proxy.service.enable_frontend("f")
        self.assertEqual(proxy.port("f"), port)
        await self.pair(origin)
        self.assertEqual(proxy.snapshot().frontends[0].status, "OPEN")

    async def test_fixed_port(self) -> None:
        """So does one whose port the configuration says; nobody else gets the port meanwhile."""
        origin, port = self.origin(echo), free_port()
        text = (
            f"[frontend f]\nprotocol = tcp\nbind = 127.0.0.1:{port}\nbackend = b\n"
            f"[backend b]\nserver s1 = {origin.address}\n"
        )
        proxy = ProxyHarness(reactor, text)
        self.proxies.append(proxy)
        await proxy.start()
        proxy.service.disable_frontend("f")
        with self.assertRaises(ConnectionRefusedError):
            await self.connect()
        proxy.service.enable_frontend("f")
        await self.pair(origin)

    async def test_disabled_twice(self) -> None:
        """What is so already is refused, and said."""
        proxy = await self.proxy("", self.origin())
        self.assertRaises(Refused, proxy.service.enable_frontend, "f")
        proxy.service.disable_frontend("f")
        self.assertRaises(Refused, proxy.service.disable_frontend, "f")

    async def test_shut_down(self) -> None:
        """A frontend that is shut down never comes back; its sessions go on."""
        origin = self.origin(echo)
        proxy = await self.proxy("", origin)
        client, _ = await self.pair(origin)
        proxy.service.shut_frontend("f")
        with self.assertRaises(ConnectionRefusedError):
            await self.connect()
        client.send(b"hello")
        await client.hear(b"hello")
        for change in (proxy.service.enable_frontend, proxy.service.shut_frontend):
            self.assertRaises(Refused, change, "f")
        self.assertEqual(proxy.snapshot().frontends[0].status, "STOP")

    async def test_maxconn(self) -> None:
        """Clients beyond maxconn wait, until it is raised."""
        origin = self.origin(named("s1"))
        proxy = await self.proxy("", origin)
        proxy.service.set_frontend_maxconn("f", 1)
        await (await self.connect()).hear(b"s1\n")
        waiting = await self.connect()
        self.assertEqual(self.sessions(), 1)
        proxy.service.set_frontend_maxconn("f", 2)
        await waiting.hear(b"s1\n")
        self.assertEqual(proxy.snapshot().frontends[0].session_limit, 2)

    async def test_process_limit(self) -> None:
        """So do clients beyond the limit of the process, which has a ceiling."""
        origin = self.origin(named("s1"))
        proxy = await self.proxy("", origin)
        proxy.service.set_session_limit(1)
        await (await self.connect()).hear(b"s1\n")
        waiting = await self.connect()
        self.assertEqual(self.sessions(), 1)
        proxy.service.set_session_limit(0)
        await waiting.hear(b"s1\n")
        ceiling = proxy.snapshot().process.session_ceiling
        self.assertRaises(Refused, proxy.service.set_session_limit, ceiling + 1)

    async def test_rate(self) -> None:
        """Clients beyond the rate wait for their second; none is lost."""
        origin = self.origin(named("s1"))
        proxy = await self.proxy("", origin)
        proxy.service.set_session_rate(2)
        clients = [await self.connect() for _ in range(5)]
        for each in clients:
            await each.hear(b"s1\n")
        self.assertLessEqual(
            self.proxies[-1].snapshot().frontends[0].counters.session_rate.highest, 3
        )

    async def test_started_again(self) -> None:
        """After a restart of the service a frontend that was shut down is open."""
        origin = self.origin(named("s1"))
        proxy = await self.proxy("", origin)
        proxy.service.shut_frontend("f")
        await proxy.stop()
        await proxy.start()
        await (await self.connect()).hear(b"s1\n")


class Restart(ProxyCase):
    async def test_state_file(self) -> None:
        """Weights, addresses, states and added servers are there again after a restart."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        head = f"[global]\nstate-file = {Path(folder.name)}/state.json"
        first, second, third = (self.origin(named(f"o{n}")) for n in (1, 2, 3))
        places: tuple[Any, ...] = (first, second)
        proxy = await self.proxy("", *places, head=head)
        proxy.service.set_weight("b", "s1", 0)
        proxy.service.set_address("b", "s2", third.address)
        added = ServerConfig("s9", ServerOptions(address=first.address, check=False))
        proxy.service.add_server("b", added)
        await proxy.stop()
        again = await self.proxy("", *places, head=head)
        await (await self.connect()).hear(b"o3\n")
        self.assertEqual(again.server("b", "s1").weight, 0)
        self.assertEqual(again.server("b", "s9").status, "MAINT")
        again.service.set_admin_state("b", "s9", AdminState.READY)
        heard = {await (await self.connect()).hear(b"\n") for _ in range(4)}
        self.assertEqual(heard, {b"o1\n", b"o3\n"})
