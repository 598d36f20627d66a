"""`protocol = mysql` between the real mariadb client and real MariaDB servers."""

from __future__ import annotations

import atexit
import functools
import subprocess

import pymysql  # type: ignore[import-untyped]
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from tests.functional.harness import LOOPBACK, ProxyCase
from tests.real.test_mysql_check import Server
from tests.support import require
from vipproxy.values import AdminState


class FrontendCase(ProxyCase):
    protocol = "mysql"
    timeout = 60

    async def client(self, *options: str, sql: str = "SELECT @@port") -> tuple[str, str]:
        """What the mariadb client prints, and what it complains of."""
        host, port = self.way_in()
        login = ["-uapp", "-psecret", "--skip-ssl", f"-h{host}", f"-P{port}"]
        command = [require("mariadb"), "--no-defaults", *login, *options, "-BN", "-e", sql]
        done = await deferToThread(subprocess.run, command, capture_output=True, text=True)
        return done.stdout, done.stderr


class WithoutServers(FrontendCase):
    async def test_no_server_is_up(self) -> None:
        """The client prints number, SQLSTATE and our sentence, not 'Lost connection'."""
        await self.proxy("", f"{LOOPBACK}:1 disabled")
        text = "ERROR 1047 (08S01): vipproxy: no server is available in backend 'b'\n"
        self.assertEqual(await self.client(), ("", text))

    async def test_all_refuse(self) -> None:
        """It prints why, also where the servers are thought to be up, and refuse."""
        await self.proxy("retries = 0", f"{LOOPBACK}:1")
        text = "ERROR 1047 (08S01): vipproxy: Connection refused\n"
        self.assertEqual(await self.client(), ("", text))


@functools.cache
def servers() -> list[Server]:
    """Two servers for all tests: trial knows no set-up of a class."""
    started = []
    for _ in range(2):
        server = Server()
        atexit.register(server.stop)
        server.sql("CREATE USER app@'%' IDENTIFIED BY 'secret'")
        started.append(server)
    return started


def own_process(host: str, port: int, source: str) -> list[tuple[str, ...]]:
    """What the server's process list says of a client that calls from `source`."""
    login = {"user": "app", "password": "secret", "bind_address": source}
    with pymysql.connect(host=host, port=int(port), **login) as session, session.cursor() as cursor:
        cursor.execute("SHOW PROCESSLIST")
        return list(cursor.fetchall())


class WithServers(FrontendCase):
    def addresses(self) -> list[str]:
        return [f"{LOOPBACK}:{server.port}" for server in servers()]

    async def test_select(self) -> None:
        """A real client logs in through the proxy and gets its answer."""
        await self.proxy("check = mysql", *self.addresses())
        self.assertEqual(await self.client(sql="SELECT 1"), ("1\n", ""))

    async def test_large_result(self) -> None:
        """A result of megabytes arrives whole."""
        await self.proxy("", *self.addresses())
        printed, _ = await self.client(sql="SELECT REPEAT('x', 8000000)")
        self.assertEqual(len(printed), 8_000_001)

    async def test_one_node_for_all(self) -> None:
        """stick = dst: clients at the same time and one after another are on the first node."""
        await self.proxy("check = mysql\nstick = dst size=2", *self.addresses())
        together = [Deferred.fromCoroutine(self.client()) for _ in range(8)]
        printed = {(await each)[0] for each in together}
        self.assertEqual(printed, {f"{servers()[0].port}\n"})

    async def test_maintenance_moves_the_pin(self) -> None:
        """Maintenance cuts a running statement, and the next client is on the other node."""
        proxy = await self.proxy("check = mysql\nstick = dst", *self.addresses())
        running = Deferred.fromCoroutine(self.client(sql="SELECT SLEEP(30)"))
        await self.until(lambda: self.server("s1").counters.bytes_in > 100)
        proxy.service.set_admin_state("b", "s1", AdminState.MAINT)
        _, complaint = await running
        self.assertIn("Lost connection", complaint)
        self.assertEqual(await self.client(), (f"{servers()[1].port}\n", ""))

    async def test_too_many(self) -> None:
        """maxconn with a queue: who waits in vain prints 1040, and later ones are served."""
        address = f"{self.addresses()[0]} maxconn=1"
        await self.proxy("timeout-queue = 200ms", address)
        running = Deferred.fromCoroutine(self.client(sql="SELECT SLEEP(1)"))
        await self.until(lambda: self.server("s1").counters.bytes_in > 100)
        text = "ERROR 1040 (08004): vipproxy: all servers of backend 'b' are full\n"
        self.assertEqual(await self.client(), ("", text))
        await running
        self.assertEqual(await self.client(sql="SELECT 1"), ("1\n", ""))

    async def test_client_address(self) -> None:
        """send-proxy = v2: the process list shows the client, not the proxy."""
        servers()[0].sql("SET GLOBAL proxy_protocol_networks = '127.0.0.1'")
        await self.proxy("send-proxy = v2", self.addresses()[0])
        host, port = self.way_in()
        rows = await deferToThread(own_process, host, port, "127.0.0.77")
        self.assertEqual({row[2].rpartition(":")[0] for row in rows}, {"127.0.0.77"})

    async def test_without_stick(self) -> None:
        """Without a stick clients take turns."""
        await self.proxy("check = mysql", *self.addresses())
        printed = {(await self.client())[0] for _ in range(2)}
        self.assertEqual(printed, {f"{server.port}\n" for server in servers()})
