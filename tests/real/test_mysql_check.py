"""The MySQL check and our error packets against MariaDB itself."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.support import require
from vipproxy.checks import CheckFailed
from vipproxy.checks.mysql import MysqlCheck
from vipproxy.framing.mysql import build_error
from vipproxy.interfaces import CheckTarget
from vipproxy.values import Address, CheckResult, CheckStatus

# MariaDB keeps no account of errors from 127.0.0.1 itself.
ELSEWHERE = "127.0.0.2"
MAX_CONNECT_ERRORS = 3


class FromElsewhere:
    """The reactor, but its clients connect from another address of this machine."""

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)

    def connectTCP(self, *args: Any, **options: Any) -> Any:
        return reactor.connectTCP(*args, **{**options, "bindAddress": (ELSEWHERE, 0)})


class Server:
    """A MariaDB server of our own, in a temporary directory."""

    def __init__(self) -> None:
        self.client = require("mariadb")
        server, install = require("mariadbd"), require("mariadb-install-db")
        self.directory = Path(tempfile.mkdtemp(prefix="vipproxy-mariadb-"))
        user = "mysql" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        if os.getuid() == 0:
            shutil.chown(self.directory, user)
        self.socket = self.directory / "socket"
        self.port = free_port()
        common = ["--no-defaults", f"--user={user}", f"--datadir={self.directory}/data"]
        plain = ["--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run([install, *common, *plain], check=True, capture_output=True)
        options = [
            f"--socket={self.socket}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--max-connect-errors={MAX_CONNECT_ERRORS}",
            "--performance-schema=ON",
        ]
        log = (self.directory / "log").open("wb")
        self.process = subprocess.Popen([server, *common, *options], stdout=log, stderr=log)
        log.close()
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        while not self.socket.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError((self.directory / "log").read_text())
            time.sleep(0.05)

    def sql(self, text: str) -> list[str]:
        command = [self.client, "--no-defaults", "-uroot", f"-S{self.socket}", "-BN", "-e", text]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return done.stdout.split()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        shutil.rmtree(self.directory)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class MysqlCheckTests(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.server = Server()
        self.addCleanup(self.server.stop)
        # A host that no user may log in from is refused before anything is counted.
        self.server.sql("CREATE USER app@'%' IDENTIFIED BY 'secret'")

    async def probe(self, times: int) -> CheckResult:
        address = Address("127.0.0.1", self.server.port)
        target = CheckTarget("db", "node", address, 5.0, FromElsewhere())
        for _ in range(times):
            result = await MysqlCheck().probe(target, None)
        return result

    def connect_and_close(self) -> None:
        server = ("127.0.0.1", self.server.port)
        with socket.create_connection(server, 5, (ELSEWHERE, 0)) as client:
            client.recv(4096)

    def counted(self) -> list[str]:
        """Errors that count towards max_connect_errors, and refused logins that do not."""
        return self.server.sql(
            "SELECT SUM_CONNECT_ERRORS, COUNT_AUTHENTICATION_ERRORS + COUNT_AUTH_PLUGIN_ERRORS"
            f" FROM performance_schema.host_cache WHERE IP = '{ELSEWHERE}'"
        )

    async def test_not_counted(self) -> None:
        """500 checks with max_connect_errors=3 count as nothing worse than refused logins."""
        result = await self.probe(500)
        self.assertEqual(result.status, CheckStatus.L7_OK)
        self.assertRegex(result.info, r"^\d+\.\d+\.\d+-MariaDB")
        self.assertEqual(self.counted(), ["0", "500"])

    async def test_welcome(self) -> None:
        """Where the user vipproxy exists, checks leave no trace at all."""
        self.server.sql("CREATE USER vipproxy@'%'")
        result = await self.probe(20)
        self.assertEqual(result.status, CheckStatus.L7_OK)
        self.assertEqual(self.counted(), ["0", "0"])
        self.assertEqual(self.server.sql("SHOW STATUS LIKE 'Aborted_connects'")[1], "0")

    async def test_plain_connections_count(self) -> None:
        """The reason for all that: connecting and closing gets the proxy's address blocked."""
        for _ in range(MAX_CONNECT_ERRORS + 1):
            self.connect_and_close()
        probe = Deferred.fromCoroutine(self.probe(20))  # the last close may be counted late
        error = await self.assertFailure(probe, CheckFailed)
        self.assertEqual(error.code, 1129)
        self.assertIn("is blocked because of many connection errors", error.info)


class Refusing(Protocol):
    """Says the error packet in place of a greeting."""

    transport: Any

    def connectionMade(self) -> None:
        self.transport.write(build_error(1047, "08S01", "vipproxy: no server is up"))
        self.transport.loseConnection()


class ErrorPacketTests(TestCase):
    timeout = 30

    async def run_client(self, *options: str) -> str:
        """What the client prints when it connects to a server that refuses it."""
        client = require("mariadb")
        port: Any = reactor.listenTCP(0, Factory.forProtocol(Refusing), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        command = [client, "--no-defaults", "-h127.0.0.1", f"-P{port.getHost().port}", *options]
        done = await deferToThread(subprocess.run, command, capture_output=True, text=True)
        printed: str = done.stderr
        return printed

    async def test_number_state_and_text(self) -> None:
        """The mariadb client prints number, SQLSTATE and text of an error packet of ours."""
        printed = await self.run_client("--skip-ssl")
        self.assertEqual(printed, "ERROR 1047 (08S01): vipproxy: no server is up\n")

    async def test_before_tls(self) -> None:
        """It prints number and text also where it had rather spoken TLS first."""
        self.assertIn("1047", await self.run_client())
        self.assertIn("vipproxy: no server is up\n", await self.run_client())
