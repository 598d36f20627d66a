"""The whole proxy as a service: start, restart, state, and what observers see."""

from __future__ import annotations

import errno
import json
import socket
import tempfile
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import maybeDeferred
from zope.interface.verify import verifyObject

from tests.functional.harness import LOOPBACK, ProxyCase, configuration, named, reactor
from vipproxy.config import loads
from vipproxy.errors import ListenFailed
from vipproxy.interfaces import ICluster, IControl, IObserver
from vipproxy.plugins import Catalog
from vipproxy.service import ProxyService
from vipproxy.values import AdminState

TWO = """
[frontend a]
protocol = tcp
bind = 127.0.0.1:0
backend = one
[backend one]
server s1 = 127.0.0.1:1
[frontend b]
protocol = tcp
bind = 127.0.0.1:{port} 127.0.0.1:0
backend = two
[backend two]
server s1 = 127.0.0.1:1
"""


def service(text: str) -> ProxyService:
    return ProxyService(loads(text, Catalog()).config, reactor)


class Starting(ProxyCase):
    def taken(self) -> int:
        """A port that somebody listens on."""
        sock = socket.create_server((LOOPBACK, 0))
        self.addCleanup(sock.close)
        return int(sock.getsockname()[1])

    def free(self) -> int:
        with socket.create_server((LOOPBACK, 0)) as sock:
            return int(sock.getsockname()[1])

    def refuses(self, port: int) -> bool:
        with socket.socket() as client:
            return client.connect_ex((LOOPBACK, port)) == errno.ECONNREFUSED

    async def test_bound_once(self) -> None:
        """What twistd has bound as root is not bound again when it starts."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        proxy = service(f"[global]\nstats-socket = {folder.name}/stats\n")
        proxy.privilegedStartService()
        proxy.startService()
        await maybeDeferred(proxy.stopService)

    def test_taken_bind(self) -> None:
        """A bind that is taken is ListenFailed with a sentence; what was opened is closed."""
        port, first = self.taken(), self.free()
        text = TWO.format(port=port).replace("127.0.0.1:0", f"127.0.0.1:{first}", 1)
        proxy = service(text)
        error = self.assertRaises(ListenFailed, proxy.privilegedStartService)
        expected = f"frontend 'b' cannot listen on 127.0.0.1:{port}: Address already in use"
        self.assertEqual(str(error), expected)
        self.assertTrue(self.refuses(first))

    def test_plugin_that_raises_in_factory(self) -> None:
        """A protocol plugin that makes no factory is ListenFailed, too, with a sentence."""
        from tests.functional.test_doors import Stranger

        self.patch(Stranger, "raises_in", "factory")
        first = self.free()
        text = TWO.format(port=0).replace("127.0.0.1:0", f"127.0.0.1:{first}", 1)
        before, _, after = text.rpartition("protocol = tcp")
        text = f"{before}protocol = tests.functional.test_doors:Stranger{after}"
        error = self.assertRaises(ListenFailed, service(text).privilegedStartService)
        self.assertIn("frontend 'b'", str(error))
        self.assertIn("ZeroDivisionError: in factory", str(error))
        self.assertTrue(self.refuses(first))

    async def test_every_bind(self) -> None:
        """A frontend listens on all its binds, and tells the ports that it got."""
        proxy = service(TWO.format(port=0))
        proxy.startService()
        self.addCleanup(proxy.stopService)
        bound = proxy.bound("b")
        self.assertEqual(len({address.port for address in bound}), 2)
        self.assertFalse(any(self.refuses(address.port) for address in bound))

    async def test_embedded(self) -> None:
        """It is a service like any other: a parent starts and stops it."""
        origin = self.origin(named("s1"))
        config = loads(configuration("", origin.address), Catalog()).config
        parent = MultiService()
        proxy = ProxyService(config, reactor)
        proxy.setServiceParent(parent)
        parent.startService()
        (address,) = proxy.bound("f")
        self.assertFalse(self.refuses(address.port))
        await maybeDeferred(parent.stopService)
        self.assertTrue(self.refuses(address.port))

    async def test_again(self) -> None:
        """A stopped proxy can be started again, and is then open as before."""
        origin = self.origin(named("s1"))
        proxy = await self.proxy("check = tcp interval=50ms timeout=5s", origin)
        await proxy.stop()
        self.assertEqual(proxy.snapshot().frontends[0].status, "STOP")
        await proxy.start()
        await (await self.connect()).hear(b"s1\n")
        self.assertEqual(proxy.snapshot().frontends[0].status, "OPEN")
        self.assertFalse(proxy.snapshot().process.stopping)

    async def test_again_with_sessions(self) -> None:
        """So it can where sessions were open, whether sockets or transports were relayed."""
        origin = self.origin(named("s1"))
        for protocol in ("tcp", "tests.functional.harness:PlainTcp"):
            head = "[global]\ngrace = 0s\n"
            proxy = await self.proxy("", origin, head=head, protocol=protocol)
            for _ in range(3):
                clients = [await self.connect() for _ in range(20)]
                for client in clients:
                    await client.hear(b"s1\n")
                await proxy.stop()
                await proxy.start()


class State(ProxyCase):
    def setUp(self) -> None:
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name) / "state.json"
        self.head = f"[global]\nstate-file = {self.path}\n"

    async def test_pin_and_maintenance_survive(self) -> None:
        """After a restart the pin is where it was, and so is what the operator wanted."""
        origins = [self.origin(named(f"s{i}")) for i in (1, 2, 3)]
        text = "check = tcp interval=50ms timeout=5s\nstick = dst"
        proxy = await self.proxy(text, *origins, head=self.head)
        proxy.service.set_admin_state("b", "s1", AdminState.MAINT)
        await (await self.connect()).hear(b"s2\n")
        proxy.service.set_admin_state("b", "s1", AdminState.READY)
        proxy.service.set_admin_state("b", "s3", AdminState.DRAIN)
        await proxy.stop()
        await self.proxy(text, *origins, head=self.head)
        await (await self.connect()).hear(b"s2\n")
        self.assertIs(self.server("s3").admin, AdminState.DRAIN)

    async def test_saved_soon(self) -> None:
        """A new pin is in the file soon, also where the proxy never stops in order."""
        origin = self.origin(named("s1"))
        await self.proxy("stick = dst", origin, head=self.head)
        await (await self.connect()).hear(b"s1\n")
        await self.until(self.path.exists)
        self.assertEqual(json.loads(self.path.read_text()), {"b": {"pins": {"127.0.0.1": "s1"}}})

    async def test_nonsense(self) -> None:
        """Whatever stands in the file, the proxy starts and serves."""
        origin = self.origin(named("s1"))
        states: list[Any] = [
            "}",
            [],
            {"b": []},
            {"b": {"admin": {"s1": "asleep"}}},
            {"b": {"admin": ["s1"]}},
            {"b": {"pins": 3}},
            {"b": {"pins": {"127.0.0.1": ["s1"]}}},
            {"b": {"pins": {"127.0.0.1": "gone"}}},
        ]
        for state in states:
            self.path.write_text(state if isinstance(state, str) else json.dumps(state))
            proxy = await self.proxy("stick = dst\ncheck = tcp", origin, head=self.head)
            await (await self.connect()).hear(b"s1\n")
            await proxy.stop()
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_not_writable(self) -> None:
        """A state file that cannot be written is logged, and costs nothing else."""
        origin = self.origin(named("s1"))
        head = self.head.replace("state.json", "missing/state.json")
        proxy = await self.proxy("stick = dst", origin, head=head)
        await (await self.connect()).hear(b"s1\n")
        await proxy.stop()
        self.assertEqual(self.flushLoggedErrors(), [])


class Observing(ProxyCase):
    async def test_interfaces(self) -> None:
        """The service is the cluster, the controls and the observer."""
        proxy = await self.proxy("", "127.0.0.1:1")
        for interface in (ICluster, IControl, IObserver):
            verifyObject(interface, proxy.service)

    async def test_numbers(self) -> None:
        """Proxies are numbered from 2 as they are declared, each backend after its frontend."""
        snapshot = service(TWO.format(port=0)).snapshot()
        self.assertEqual([each.number for each in snapshot.frontends], [2, 4])
        self.assertEqual([each.number for each in snapshot.backends], [3, 5])

    async def test_events(self) -> None:
        """What happened to servers can be read in order, in HAProxy's words."""
        proxy = await self.proxy("", "127.0.0.1:1", "127.0.0.1:2")
        proxy.service.set_admin_state("b", "s1", AdminState.MAINT)
        proxy.service.set_admin_state("b", "s2", AdminState.DRAIN)
        events = proxy.snapshot().events
        self.assertIn("Server b/s1 is going DOWN for maintenance.", events[0].text)
        self.assertIn("Server b/s2 enters drain state.", events[1].text)

    async def test_unknown_names(self) -> None:
        """An unknown backend or server is a LookupError."""
        control = (await self.proxy("", "127.0.0.1:1")).service
        for backend, server in (("x", "s1"), ("b", "x")):
            with self.assertRaises(LookupError):
                control.set_admin_state(backend, server, AdminState.MAINT)

    async def test_frozen(self) -> None:
        """A snapshot does not change with the proxy."""
        origin = self.origin(named("s1"))
        proxy = await self.proxy("", origin)
        before = proxy.snapshot()
        await (await self.connect()).hear(b"s1\n")
        self.assertEqual(before.frontends[0].counters.sessions, 0)
        self.assertEqual(proxy.snapshot().frontends[0].counters.sessions, 1)
