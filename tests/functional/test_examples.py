"""Each example against the real thing on loopback, named as a user would name it."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionRefusedError as TwistedConnectionRefused
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.protocols.basic import LineOnlyReceiver
from twisted.trial.unittest import SynchronousTestCase

from tests.documents import DOCS, Modules, blocks
from tests.functional.harness import LOOPBACK, Peer, ProxyCase, reactor
from tests.ports import free_port
from tests.processes import environment, run_python
from vipproxy.config import load
from vipproxy.errors import ConfigError
from vipproxy.plugins import Catalog
from vipproxy.testing import FakeCluster, FakeServer, ProxyHarness
from vipproxy.values import Address, AdminState

EXAMPLES = Path(__file__).parents[2] / "examples"


class ExampleCase(ProxyCase):
    def cluster(self, services: dict[str, Any], hosts: dict[str, str]) -> FakeCluster:
        cluster = FakeCluster(reactor, services, hosts=hosts)
        self.addCleanup(cluster.stop)
        cluster.start()
        return cluster

    async def run_proxy(self, configuration: str) -> ProxyHarness:
        proxy = ProxyHarness(reactor, configuration)
        self.proxies.append(proxy)
        await proxy.start()
        return proxy

    async def connect_to(self, address: Address) -> Peer:
        endpoint = TCP4ClientEndpoint(reactor, address.host, address.port)
        client: Peer = await connectProtocol(endpoint, Peer())
        self.clients.append(client)
        return client

    async def answer(self, question: bytes) -> bytes:
        """One line of a new client's, and the line it hears."""
        client = await self.connect()
        client.send(question)
        return await client.hear(b"\n")


ROUTER = """
[frontend f]
protocol       = examples.line_router:LineRouter
bind           = 127.0.0.1:0
routes         = mail print
timeout-client = {patience}
{frontend}
[backend mail]
check = tcp interval=20ms timeout=5s fall=1
server mail1 = {mail}
[backend print]
server print1 = {print}
[backend other]
server other1 = {other}
"""


class LineRouterTests(ExampleCase):
    async def start(self, frontend: str = "backend = other", patience: str = "10s") -> None:
        hosts = dict.fromkeys(("mail", "print", "other"), LOOPBACK)
        self.nodes = self.cluster({"app": "tcp"}, hosts)
        places = {name: self.nodes.address(name, "app") for name in hosts}
        text = ROUTER.format(frontend=frontend, patience=patience, **places)
        self.harness = await self.run_proxy(text)

    async def refusal(self, question: bytes) -> bytes:
        """All that a client hears that is sent away."""
        client = await self.connect()
        client.send(question)
        return await client.end()

    async def test_routes(self) -> None:
        """The first word chooses the backend, whose server gets the whole line."""
        await self.start()
        self.assertEqual(await self.answer(b"mail to me\n"), b"mail mail to me\n")
        self.assertEqual(await self.answer(b"print\r\n"), b"print print\r\n")

    async def test_in_pieces(self) -> None:
        """A line that comes in pieces is waited for; what follows it is passed on."""
        await self.start()
        client = await self.connect()
        client.send(b"ma")
        await deferLater(reactor, 0.02)
        client.send(b"il one\ntwo\nthr")
        await client.hear(b"two\n")
        client.send(b"ee\n")
        self.assertEqual(await client.hear(b"three\n"), b"mail mail one\nmail two\nmail three\n")

    async def test_otherwise(self) -> None:
        """A line that names no route leads to the frontend's own backend."""
        await self.start()
        self.assertEqual(await self.answer(b"hello\n"), b"other hello\n")

    async def test_unknown_route(self) -> None:
        """Without a backend of its own, the frontend refuses such clients, and counts them."""
        await self.start(frontend="")
        self.assertEqual(await self.refusal(b"hello\n"), b"error: no route 'hello'\n")
        frontend = self.harness.snapshot().frontends[0]
        self.assertEqual(frontend.counters.request_errors, 1)

    async def test_too_long(self) -> None:
        """A first line has an end, soon, or the client is refused."""
        await self.start()
        words = b"error: the first line is too long\n"
        self.assertEqual(await self.refusal(b"mail " + b"x" * 600), words)
        self.assertEqual(await self.refusal(b"mail " + b"x" * 600 + b"\n"), words)

    async def test_silent(self) -> None:
        """A client that says nothing is refused after timeout-client."""
        await self.start(patience="50ms")
        self.assertEqual(await self.refusal(b""), b"error: the client did not go on in time\n")
        self.assertEqual(self.sessions(), 0)

    async def test_no_server(self) -> None:
        """Where the backend has no server, its clients are told."""
        await self.start()
        await self.nodes.kill("mail")
        await self.harness.until_down("mail", "mail1")
        words = b"error: no server is available in backend 'mail'\n"
        self.assertEqual(await self.refusal(b"mail to me\n"), words)
        self.assertEqual(await self.answer(b"print it\n"), b"print print it\n")


NEAR = """
[frontend f]
protocol = tcp
bind     = 127.0.0.1:0
backend  = b
[backend b]
balance = examples.near_first:NearFirst network=127.0.1.0/24
check   = tcp interval=20ms timeout=5s fall=1 rise=1
"""
HOSTS = {"far": "127.0.2.1", "near1": "127.0.1.1", "near2": "127.0.1.2"}


class NearFirstTests(ExampleCase):
    async def start(self) -> FakeCluster:
        cluster = self.cluster({"app": "tcp"}, HOSTS)
        servers = [f"server {name} = {cluster.address(name, 'app')}\n" for name in HOSTS]
        self.harness = await self.run_proxy(NEAR + "".join(servers))
        return cluster

    async def test_near(self) -> None:
        """Clients go to the near servers, and there to the one with the fewest sessions."""
        await self.start()
        heard = [await self.answer(b"\n") for _ in range(4)]
        self.assertEqual(heard, [b"near1 \n", b"near2 \n"] * 2)

    async def test_far(self) -> None:
        """Without near servers they go to a far one; until a near one is back."""
        cluster = await self.start()
        for name in ("near1", "near2"):
            await cluster.kill(name)
            await self.harness.until_down("b", name)
        self.assertEqual(await self.answer(b"\n"), b"far \n")
        cluster.heal("near2")
        await self.harness.until_up("b", "near2")
        self.assertEqual(await self.answer(b"\n"), b"near2 \n")

    def test_bad_network(self) -> None:
        """A network that is none is a problem of the configuration, with its place."""
        text = NEAR.replace("127.0.1.0/24", "127.0.1.0/33") + "server s = 127.0.0.1:1\n"
        error = self.assertRaises(ConfigError, ProxyHarness, reactor, text)
        self.assertIn("test.ini:7:49: error: '127.0.1.0/33' does not appear to be", error.report)


class RedisNode(LineOnlyReceiver):
    """Answers PING and ROLE as Redis does, or says one thing to everything."""

    def __init__(self, says: str) -> None:
        self.says = says

    def lineReceived(self, line: bytes) -> None:
        if self.says not in ("master", "slave"):
            self.sendLine(self.says.encode())
        elif line == b"PING":
            self.sendLine(b"+PONG")
        else:
            self.sendLine(f"*3\r\n${len(self.says)}\r\n{self.says}\r\n:0\r\n*0".encode())


REDIS = """
[frontend f]
protocol = tcp
bind     = 127.0.0.1:0
backend  = redis
[backend redis]
check = examples.redis_check:RedisCheck {role} interval=20ms timeout=1s fall=1 rise=1
server a = {a}
server b = {b}
"""


class RedisCheckTests(ExampleCase):
    async def start(self, a: str, b: str, role: str = "") -> None:
        self.says = {"a": a, "b": b}
        cluster = self.cluster({"redis": self.nodes}, dict.fromkeys("ab", LOOPBACK))
        places = {name: cluster.address(name, "redis") for name in "ab"}
        self.harness = await self.run_proxy(REDIS.format(role=role, **places))

    def nodes(self, server: FakeServer) -> Factory:
        return Factory.forProtocol(lambda: RedisNode(self.says[server.node]))

    def last_check(self, server: str) -> str:
        return str(self.harness.server("redis", server).last_check)

    async def test_master(self) -> None:
        """With role=master the master alone is up; after a failover, the new one."""
        await self.start("master", "slave", "role=master")
        self.assertEqual(self.last_check("a"), 'Layer7 check passed, info: "master"')
        self.assertEqual(self.last_check("b"), 'Layer7 wrong status, info: "its role is slave"')
        self.says = {"a": "slave", "b": "master"}
        await self.harness.until_down("redis", "a")
        await self.harness.until_up("redis", "b")

    async def test_any(self) -> None:
        """Without a role, both are up."""
        await self.start("master", "slave")
        self.assertTrue(self.harness.server("redis", "a").up)
        self.assertTrue(self.harness.server("redis", "b").up)

    async def test_not_fit(self) -> None:
        """An error of the server's fails the check with its words; nonsense fails it too."""
        await self.start("-LOADING Redis is loading the dataset in memory", "HTTP/1.1 400" * 1000)
        words = 'Layer7 wrong status, info: "LOADING Redis is loading the dataset in memory"'
        self.assertEqual(self.last_check("a"), words)
        invalid = 'Layer7 invalid response, info: "this is not Redis"'
        self.assertEqual(self.last_check("b"), invalid)


class Cave(LineOnlyReceiver):
    """Greets with its name, and echoes."""

    transport: Any
    delimiter = b"\n"

    def __init__(self, server: FakeServer) -> None:
        self.server = server

    def connectionMade(self) -> None:
        self.sendLine(self.server.node.encode())

    def lineReceived(self, line: bytes) -> None:
        self.sendLine(line)


class DocumentedTests(ExampleCase):
    """What docs/plugins.md and docs/testing.md show."""

    def setUp(self) -> None:
        super().setUp()
        self.modules = Modules()
        self.addCleanup(self.modules.remove)

    def configuration(self, **exchanged: Any) -> str:
        """The one of docs/plugins.md, at places of our own."""
        (text,) = blocks(DOCS / "plugins.md", "ini")
        places = {
            "/var/lib/vipproxy/state.db": self.modules.directory / "state.db",
            "127.0.0.1:7000": "127.0.0.1:0",
            "[frontend door]": "[frontend f]",
            **exchanged,
        }
        for old, new in places.items():
            self.assertIn(old, text)
            text = text.replace(old, str(new))
        return text

    async def test_plugins(self) -> None:
        """The four plugins work together: who knocks gets to a cave, and the store keeps."""
        hosts = dict.fromkeys(("cave1", "cave2"), LOOPBACK)
        caves = self.cluster({"app": lambda it: Factory.forProtocol(lambda: Cave(it))}, hosts)
        places = {
            "127.0.0.2:7000": caves.address("cave1", "app"),
            "127.0.0.3:7000": caves.address("cave2", "app"),
        }
        proxy = await self.run_proxy(self.configuration(**places))
        words = 'Layer7 check passed, info: "cave1"'
        self.assertEqual(str(proxy.server("caves", "cave1").last_check), words)
        client = await self.connect()
        client.send(b"sesamehello\n")
        await client.hear(b"\nhello\n")
        proxy.service.set_admin_state("caves", "cave1", AdminState.DRAIN)
        await proxy.stop()
        again = await self.run_proxy(self.configuration(**places))
        self.assertIs(again.server("caves", "cave1").admin, AdminState.DRAIN)
        uninvited = await self.connect()
        uninvited.send(b"open up\n")
        self.assertEqual(await uninvited.end(), b"")

    async def test_tests(self) -> None:
        """The tests pass as they stand."""
        command = [sys.executable, "-m", "twisted.trial", "test_orders", "test_knock"]
        done = await deferToThread(
            subprocess.run,
            command,
            cwd=self.modules.directory,
            env=environment(),
            capture_output=True,
            text=True,
        )
        self.assertIn("PASSED (successes=3)", done.stdout, done.stdout + done.stderr)


class EmbeddedTests(ExampleCase):
    timeout = 30

    def setUp(self) -> None:
        super().setUp()
        nodes = self.cluster({"db": "mysql"}, dict.fromkeys(("shop1", "shop2"), LOOPBACK))
        self.web, self.database = Address(LOOPBACK, free_port()), Address(LOOPBACK, free_port())
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.copy("embedded.py", {"tcp:8081": f"tcp:{self.web.port}"})
        places = {
            "127.0.0.1:3307": str(self.database),
            "127.0.0.2:3306": str(nodes.address("shop1", "db")),
            "127.0.0.3:3306": str(nodes.address("shop2", "db")),
        }
        self.copy("embedded.ini", places)

    def copy(self, name: str, exchanged: dict[str, str]) -> None:
        """The example, with other ports."""
        text = (EXAMPLES / name).read_text()
        for old, new in exchanged.items():
            self.assertIn(old, text)
            text = text.replace(old, new)
        (self.directory / name).write_text(text)

    def twistd(self, file: str) -> subprocess.Popen[str]:
        command = [str(Path(sys.executable).with_name("twistd")), "--pidfile=", "-ny", file]
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            command, cwd=self.directory, env=environment(), stdout=pipe, stderr=pipe, text=True
        )
        self.addCleanup(process.kill)
        return process

    async def client(self, address: Address) -> Peer:
        """A client of something that is only just starting."""
        deadline = reactor.seconds() + 20
        while True:
            try:
                return await self.connect_to(address)
            except TwistedConnectionRefused:
                if reactor.seconds() > deadline:
                    raise
                await deferLater(reactor, 0.05)

    async def page(self, wanted: bytes) -> None:
        """Ask for the page until it says what is wanted; the test's timeout is the limit."""
        said = b""
        while wanted not in said:
            client = await self.client(self.web)
            client.send(b"GET / HTTP/1.0\r\n\r\n")
            said = await client.end()

    async def test_embedded(self) -> None:
        """One process serves its own page and balances; SIGTERM ends it without a traceback."""
        process = self.twistd("embedded.py")
        database = await self.client(self.database)
        await database.hear(b"MariaDB-shop1")
        database.reset()
        await self.page(b"\r\n\r\nshop1 is UP\nshop2 is UP\n")
        process.send_signal(signal.SIGTERM)
        output, errors = await deferToThread(process.communicate)
        self.assertEqual((process.returncode, errors), (-signal.SIGTERM, ""))
        self.assertNotIn("Traceback", output)
        self.assertIn("Server Shut Down", output)


class ConfigurationTests(SynchronousTestCase):
    def test_embedded(self) -> None:
        """There is nothing to say about the embedded proxy's configuration."""
        self.assertEqual(load(EXAMPLES / "embedded.ini", Catalog()).problems.report(), "")


class ShopTests(SynchronousTestCase):
    def test_as_it_stands(self) -> None:
        """The trial test of an application passes as a user would run it."""
        with tempfile.TemporaryDirectory() as directory:
            temp = f"--temp-directory={directory}/trial"
            status, output, errors = run_python(
                "-m", "twisted.trial", temp, str(EXAMPLES / "test_shop.py")
            )
        self.assertEqual(status, 0, output + errors)
        self.assertIn("PASSED (successes=6)", output)
