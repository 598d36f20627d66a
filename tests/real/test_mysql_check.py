"""The MySQL check and our error packets against MariaDB itself."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pymysql  # type: ignore[import-untyped]
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.mysql_server import (
    CACHING_SHA2,
    MysqlServer,
    make_certificate,
    make_key,
    require_tls,
)
from tests.ports import free_port
from tests.support import require
from vipproxy.checks import CheckFailed
from vipproxy.checks.galera import GaleraCheck, GaleraCheckOptions
from vipproxy.checks.mysql import MysqlCheck, MysqlCheckOptions
from vipproxy.checks.mysql_account import PasswordFile
from vipproxy.config.declare import options_of
from vipproxy.framing.mysql import build_error
from vipproxy.interfaces import CheckTarget
from vipproxy.values import Address, CheckResult, CheckStatus

# MariaDB keeps no account of errors from 127.0.0.1 itself.
ELSEWHERE = "127.0.0.2"
MAX_CONNECT_ERRORS = 3


CHECK, NOBODY = MysqlCheck(), MysqlCheckOptions()
TLS_CA = options_of(MysqlCheckOptions)["tls-ca"][1].kind


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
        self.certificate, key = make_certificate(self.directory, "db")
        if os.getuid() == 0:
            shutil.chown(key, user)
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
            f"--ssl-cert={self.certificate}",
            f"--ssl-key={key}",
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


class MysqlCheckTests(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.server = Server()
        self.addCleanup(self.server.stop)
        # A host that no user may log in from is refused before anything is counted.
        self.server.sql("CREATE USER app@'%' IDENTIFIED BY 'secret'")

    def app(self, password: str = "secret") -> MysqlCheckOptions:
        """To log in as app."""
        return MysqlCheckOptions(user="app", password_file=self.password(password))

    def password(self, text: str) -> PasswordFile:
        path = self.server.directory / "password"
        path.write_text(text)
        return PasswordFile(path)

    async def probe(
        self, times: int, options: Any = NOBODY, timeout: float = 5.0, check: Any = CHECK
    ) -> CheckResult:
        address = Address("127.0.0.1", self.server.port)
        target = CheckTarget("db", "node", address, timeout, FromElsewhere())
        for _ in range(times):
            probe = Deferred.fromCoroutine(check.probe(target, options))
            result: CheckResult = await probe.addTimeout(timeout, reactor)
        return result

    async def failing(self, options: MysqlCheckOptions, timeout: float = 5.0) -> CheckFailed:
        probe: Any = Deferred.fromCoroutine(self.probe(1, options, timeout))
        return await self.assertFailure(probe, CheckFailed)

    def enter(self) -> None:
        """A client logs in from the proxy's address."""
        pymysql.connect(
            host="127.0.0.1",
            port=self.server.port,
            user="app",
            password="secret",
            bind_address=ELSEWHERE,
        ).close()

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

    async def test_user(self) -> None:
        """500 logins with max_connect_errors=3 leave no trace; clients still get in."""
        result = await self.probe(500, self.app())
        self.assertRegex(result.info, r"^\d+\.\d+\.\d+-MariaDB")
        await self.no_trace()

    async def test_galera(self) -> None:
        """So do 500 checks by galera, which this server without Galera cannot pass."""
        options = GaleraCheckOptions(user="app", password_file=self.password("secret"))
        result = await self.probe(500, options, check=GaleraCheck())
        self.assertEqual((result.passed, result.conclusive), (False, True))
        self.assertIn("Disconnected", result.info)
        await self.no_trace()

    async def no_trace(self) -> None:
        """Nothing was counted, no client is missing, and clients get in."""
        self.assertEqual(self.counted(), ["0", "0"])
        self.assertEqual(self.server.sql("SHOW STATUS LIKE 'Aborted_c%'")[1::2], ["0"] * 3)
        await deferToThread(self.enter)

    async def test_refused_user(self) -> None:
        """500 refused logins fail with the server's words, and clients still get in."""
        options = self.app("wrong")
        for _ in range(500):
            error = await self.failing(options)
            self.assertEqual((error.status, error.code), (CheckStatus.L7_STATUS, 1045))
        self.assertIn("Access denied for user 'app'@'127.0.0.2'", error.info)
        self.assertEqual(self.counted(), ["0", "500"])
        await deferToThread(self.enter)

    async def test_frozen(self) -> None:
        """A server that froze while it was checked does not hold that against the proxy."""
        self.server.process.send_signal(signal.SIGSTOP)
        os.waitpid(self.server.process.pid, os.WUNTRACED)  # until all its threads have stopped
        try:
            for _ in range(2 * MAX_CONNECT_ERRORS):
                error = await self.failing(self.app(), timeout=0.05)
                self.assertEqual(error.status, CheckStatus.L7_TIMEOUT)
        finally:
            self.server.process.send_signal(signal.SIGCONT)
        result = await self.probe(1, self.app())
        self.assertTrue(result.passed)
        # One may have been caught in the middle of its handshake; that is far from being blocked.
        self.assertLess(int(self.counted()[0]), MAX_CONNECT_ERRORS)

    async def test_another_method(self) -> None:
        """A user with a method that is not supported fails with a clear word, uncounted."""
        self.server.sql("INSTALL SONAME 'auth_ed25519'")
        self.server.sql("CREATE USER ed@'%' IDENTIFIED VIA ed25519 USING PASSWORD('secret')")
        options = MysqlCheckOptions(user="ed", password_file=self.password("secret"))
        for _ in range(2 * MAX_CONNECT_ERRORS):
            error = await self.failing(options)
        words = "the user's authentication method 'client_ed25519' is not supported"
        self.assertEqual(error.info, words)
        self.assertEqual(self.counted()[0], "0")

    async def test_tls(self) -> None:
        """Over TLS a user gets in that may not without, where the server is the right one."""
        require_tls()
        self.server.sql("CREATE USER tls@'%' IDENTIFIED BY 'secret' REQUIRE SSL")
        login: dict[str, Any] = {"user": "tls", "password_file": self.password("secret")}
        ca = TLS_CA.parse(str(self.server.certificate))
        result = await self.probe(20, MysqlCheckOptions(**login, tls=True, tls_ca=ca))
        self.assertTrue(result.passed)
        self.assertEqual(self.counted(), ["0", "0"])
        error = await self.failing(MysqlCheckOptions(**login))
        self.assertEqual(error.code, 1045)

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


class ScriptedServerTests(TestCase):
    """No server of Debian has caching_sha2_password; the client of MariaDB has."""

    timeout = 30

    async def test_real_client(self) -> None:
        """The server of our tests takes the mariadb client's answers, by every way."""
        directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, directory)
        key = make_key(directory)
        ways: tuple[dict[str, Any], ...] = (
            {"method": "mysql_native_password"},
            {"method": CACHING_SHA2},
            {"method": CACHING_SHA2, "default_method": CACHING_SHA2},
            {"method": CACHING_SHA2, "remembers": False, "key": key},
        )
        for options in ways:
            server = MysqlServer(answers={"SELECT 'it": [("it works",)]}, **options)
            self.assertEqual(await self.ask(server), "it works\n")
            self.assertEqual(server.logins, ["welcome"])

    async def ask(self, server: Any) -> str:
        """What the client prints that logs in and asks."""
        client = require("mariadb")
        port: Any = reactor.listenTCP(0, server, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        login = ["-h127.0.0.1", f"-P{port.getHost().port}", "-uchecker", "-psecret"]
        query = ["--skip-ssl", "-BN", "-e", "SELECT 'it works'"]
        command = [client, "--no-defaults", *login, *query]
        done = await deferToThread(subprocess.run, command, capture_output=True, text=True)
        self.assertEqual(done.stderr, "")
        return str(done.stdout)


class ErrorPacketTests(TestCase):
    timeout = 30

    async def run_client(self, *options: str) -> str:
        """What the client prints when it connects to a server that refuses it."""
        client = require("mariadb")
        refusing: Any = Factory.forProtocol(Refusing)
        port: Any = reactor.listenTCP(0, refusing, interface="127.0.0.1")
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
