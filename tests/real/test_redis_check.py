"""The check plugin of the examples against Redis itself."""

from __future__ import annotations

import shutil
import subprocess
import tempfile

from twisted.internet import reactor
from twisted.internet.utils import getProcessOutput
from twisted.trial.unittest import TestCase

from tests.ports import free_port
from tests.support import require
from vipproxy.testing import ProxyHarness

LOOPBACK = "127.0.0.1"
CONFIG = """
[frontend f]
protocol = tcp
bind     = 127.0.0.1:0
backend  = redis

[backend redis]
check    = examples.redis_check:RedisCheck role=master interval=50ms timeout=2s
server a = 127.0.0.1:{a}
server b = 127.0.0.1:{b}
"""


class RedisCheckTests(TestCase):
    timeout = 60

    async def setUp(self) -> None:  # type: ignore[override]
        self.program, self.client = require("redis-server"), require("redis-cli")
        directory = tempfile.TemporaryDirectory(prefix="vipproxy-redis-")
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.ports = {"a": self.serve(), "b": self.serve()}
        self.proxy = ProxyHarness(reactor, CONFIG.format(**self.ports))
        self.addCleanup(self.proxy.stop)
        await self.proxy.start()
        for server in self.ports:
            await self.proxy.until_up("redis", server)
        await self.follow("b", "a")

    def serve(self) -> int:
        """A server on a port of its own."""
        port = free_port()
        options = {"bind": LOOPBACK, "port": str(port), "dir": self.directory, "save": "3600 1"}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        server = subprocess.Popen([self.program, *words], stdout=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        return port

    async def say(self, server: str, *words: str) -> str:
        """The answer to a command."""
        arguments = ["-h", LOOPBACK, "-p", str(self.ports[server]), *words]
        output: bytes = await getProcessOutput(self.client, arguments)
        return output.decode().strip()

    async def follow(self, server: str, master: str) -> None:
        answer = await self.say(server, "REPLICAOF", LOOPBACK, str(self.ports[master]))
        self.assertEqual(answer, "OK")
        await self.proxy.until_down("redis", server)

    def last_check(self, server: str) -> str:
        return str(self.proxy.server("redis", server).last_check)

    async def test_failover(self) -> None:
        """The proxy's clients reach the master, before and after a failover."""
        self.assertEqual(self.last_check("a"), 'Layer7 check passed, info: "master"')
        self.assertEqual(self.last_check("b"), 'Layer7 wrong status, info: "its role is slave"')
        self.assertEqual(await self.say("b", "REPLICAOF", "NO", "ONE"), "OK")
        await self.follow("a", "b")
        await self.proxy.until_up("redis", "b")
        self.ports["proxy"] = self.proxy.port("f")
        self.assertEqual(await self.say("proxy", "SET", "tea", "5"), "OK")
        self.assertEqual(await self.say("b", "GET", "tea"), "5")

    async def test_password(self) -> None:
        """A server that wants a password first says so, and is down."""
        self.assertEqual(await self.say("a", "CONFIG", "SET", "requirepass", "secret"), "OK")
        await self.proxy.until_down("redis", "a")
        words = 'Layer7 wrong status, info: "NOAUTH Authentication required."'
        self.assertEqual(self.last_check("a"), words)

    async def test_broken_disk(self) -> None:
        """A master that takes no writes, because it could not save them, is down."""
        shutil.rmtree(self.directory)
        await self.say("a", "BGSAVE")
        await self.proxy.until_down("redis", "a")
        self.assertIn('info: "MISCONF Redis is configured to save', self.last_check("a"))
