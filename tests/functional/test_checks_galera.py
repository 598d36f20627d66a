"""The galera check, and logins of the mysql check, against a scripted server on loopback."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.mysql_server import (
    CACHING_SHA2,
    MysqlServer,
    Rows,
    make_certificate,
    make_key,
    public_key,
    require_tls,
    server_tls,
)
from vipproxy.checks import CheckFailed
from vipproxy.checks.galera import GaleraCheck, GaleraCheckOptions
from vipproxy.checks.mysql import MysqlCheck, MysqlCheckOptions
from vipproxy.config.declare import options_of
from vipproxy.framing.mysql import COM_PING, COM_QUIT, build_error, build_greeting, encode
from vipproxy.framing.mysql import Greeting as MysqlGreeting
from vipproxy.interfaces import CheckTarget
from vipproxy.values import Address, CheckResult, CheckStatus

NOT_READY = "WSREP has not yet prepared node for application use"
KINDS = {key: option.kind for key, (_, option) in options_of(GaleraCheckOptions).items()}


def status(**changes: str) -> Rows:
    """SHOW STATUS of a synced node, but for `changes`."""
    synced = {
        "wsrep_local_state": "4",
        "wsrep_local_state_comment": "Synced",
        "wsrep_cluster_size": "3",
        "wsrep_cluster_status": "Primary",
        "wsrep_ready": "ON",
    }
    return list({**synced, **changes}.items())


class ServerTestCase(TestCase):
    timeout = 20

    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.password_file = self.directory / "password"
        self.password_file.write_bytes(b"secret\n")

    def listen(self, factory: Any) -> Address:
        port: Any = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return Address("127.0.0.1", port.getHost().port)

    def login(self, **options: Any) -> dict[str, Any]:
        """Options of a login as checker with the password of the file."""
        password = KINDS["password-file"].parse(str(self.password_file))
        return {"user": "checker", "password_file": password, **options}

    async def probe(self, check: Any, factory: Any, options: Any) -> CheckResult:
        """A probe's result; no connection of it is left."""
        target = CheckTarget("db", "node", self.listen(factory), 5.0, reactor)
        try:
            return await check.probe(target, options)  # type: ignore[no-any-return]
        finally:
            while getattr(factory, "open", None):
                await deferLater(reactor, 0.005)

    async def galera(self, server: MysqlServer, **options: Any) -> CheckResult:
        return await self.probe(GaleraCheck(), server, GaleraCheckOptions(**self.login(**options)))

    async def mysql(self, server: Any, **options: Any) -> CheckResult:
        return await self.probe(MysqlCheck(), server, MysqlCheckOptions(**self.login(**options)))

    async def failing(self, probe: Any) -> CheckFailed:
        error = await self.assertFailure(Deferred.fromCoroutine(probe), CheckFailed)
        self.assertNotIn("secret", f"{error} {error!r}")
        return error  # type: ignore[no-any-return]


class GaleraTests(ServerTestCase):
    def node(self, read_only: str = "OFF", **changes: str) -> MysqlServer:
        variables: Rows = [("read_only", read_only)]
        answers = {"SHOW GLOBAL STATUS": status(**changes), "SHOW GLOBAL VARIABLES": variables}
        return MysqlServer(answers=dict(answers))

    async def test_synced(self) -> None:
        """A synced node passes, with its own words and its state."""
        result = await self.galera(self.node())
        self.assertEqual(result, CheckResult(CheckStatus.L7_OK, "Synced, Primary, size 3", 4))

    async def test_donor(self) -> None:
        """A donor fails as the last resort; with donor=use it passes."""
        donor = {"wsrep_local_state": "2", "wsrep_local_state_comment": "Donor/Desynced"}
        words = "Donor/Desynced, Primary, size 3"
        result = await self.galera(self.node(**donor))
        expected = CheckResult(CheckStatus.L7_STATUS, words, 2, last_resort=True)
        self.assertEqual(result, expected)
        result = await self.galera(self.node(**donor), donor="use")
        self.assertEqual(result, CheckResult(CheckStatus.L7_OK, words, 2))

    async def test_joining(self) -> None:
        """Joining and joined nodes fail."""
        for state, comment in (("1", "Joining: receiving State Transfer"), ("3", "Joined")):
            node = self.node(wsrep_local_state=state, wsrep_local_state_comment=comment)
            result = await self.galera(node)
            expected = CheckResult(CheckStatus.L7_STATUS, f"{comment}, Primary, size 3", int(state))
            self.assertEqual(result, expected)

    async def test_non_primary(self) -> None:
        """A node outside the primary component fails conclusively."""
        node = self.node(
            wsrep_local_state="0",
            wsrep_local_state_comment="Initialized",
            wsrep_cluster_status="non-Primary",
            wsrep_cluster_size="1",
            wsrep_ready="OFF",
        )
        words = "Initialized, non-Primary, size 1, wsrep_ready=OFF"
        expected = CheckResult(CheckStatus.L7_STATUS, words, 0, conclusive=True)
        self.assertEqual(await self.galera(node), expected)

    async def test_not_prepared(self) -> None:
        """Error 1047, in answer to the query or to the login, fails conclusively."""
        error = build_error(1047, "08S01", NOT_READY, 1)
        in_query = MysqlServer(answers={"SHOW": error})
        in_login = MysqlServer(greeting=build_error(1047, "08S01", NOT_READY))
        expected = CheckResult(CheckStatus.L7_STATUS, NOT_READY, 1047, conclusive=True)
        self.assertEqual(await self.galera(in_query), expected)
        self.assertEqual(in_query.commands[-1], COM_QUIT)
        self.assertEqual(await self.galera(in_login), expected)

    async def test_read_only(self) -> None:
        """A read-only node fails, not even as the last resort; with read-only=use it passes."""
        words = "Synced, Primary, size 3, read_only=ON"
        result = await self.galera(self.node(read_only="ON"))
        self.assertEqual(result, CheckResult(CheckStatus.L7_STATUS, words, 4))
        result = await self.galera(self.node(read_only="ON"), read_only="use")
        self.assertEqual(result, CheckResult(CheckStatus.L7_OK, words, 4))

    async def test_refused(self) -> None:
        """A refused login, a blocked host and a full server fail, with number and words."""
        self.password_file.write_bytes(b"another")
        error = await self.failing(self.galera(self.node()))
        who = "Access denied for user 'checker'@'localhost' (using password: YES)"
        self.assertEqual((error.status, error.info), (CheckStatus.L7_STATUS, who))
        self.assertEqual(error.code, 1045)
        for code, words in (
            (1129, "Host 'a' is blocked because of many connection errors"),
            (1040, "Too many connections"),
        ):
            server = MysqlServer(greeting=build_error(code, "", words))
            error = await self.failing(self.galera(server))
            self.assertEqual((error.info, error.code), (words, code))

    async def test_no_galera(self) -> None:
        """A server without Galera fails with a clear word, or with the server's own."""
        result = await self.galera(MysqlServer())
        self.assertEqual(result.info, "not a Galera node: it knows no wsrep_ready")
        self.assertFalse(result.passed or result.conclusive)
        unknown = build_error(1193, "HY000", "Unknown system variable 'wsrep_sync_wait'", 1)
        error = await self.failing(self.galera(MysqlServer(answers={"SET": unknown})))
        self.assertEqual(error.code, 1193)

    async def test_takes_leave(self) -> None:
        """The last word is COM_QUIT, also after an answer that makes no sense."""
        for server in (
            self.node(),
            MysqlServer(answers={"SHOW": [("one",)]}),
            MysqlServer(answers={"SHOW": [("one", "two", "three")]}),
            MysqlServer(answers={"SHOW": encode(1, b"\xfb/etc/passwd")}),
        ):
            probe = Deferred.fromCoroutine(self.galera(server))
            await probe.addErrback(lambda failure: failure.trap(CheckFailed))
            self.assertEqual(server.logins, ["welcome"])
            self.assertEqual(server.commands[-1], COM_QUIT)
            self.assertEqual(server.commands.count(COM_QUIT), 1)

    async def test_nonsense(self) -> None:
        """An answer that is no table of names and values is L7RSP."""
        answers: list[Rows | bytes] = [[("one",)], encode(1, b"\xfb/etc/passwd"), encode(1, b"")]
        for answer in answers:
            error = await self.failing(self.galera(MysqlServer(answers={"SHOW": answer})))
            self.assertEqual(error.status, CheckStatus.L7_RESPONSE)


class LoginTests(ServerTestCase):
    async def welcome(self, server: MysqlServer, **options: Any) -> None:
        result = await self.mysql(server, **options)
        self.assertEqual(result, CheckResult(CheckStatus.L7_OK, "10.11.6-MariaDB"))
        self.assertEqual(server.logins, ["welcome"])
        self.assertEqual(server.commands, [COM_PING, COM_QUIT])

    async def test_native(self) -> None:
        """mysql_native_password, as the greeting's method."""
        await self.welcome(MysqlServer())

    async def test_native_by_switch(self) -> None:
        """mysql_native_password, asked for where the greeting named another method."""
        await self.welcome(MysqlServer(default_method=CACHING_SHA2))
        await self.welcome(MysqlServer(default_method="dialog"))

    async def test_caching_sha2(self) -> None:
        """caching_sha2_password where the server remembers the hash."""
        await self.welcome(MysqlServer(method=CACHING_SHA2, default_method=CACHING_SHA2))
        await self.welcome(MysqlServer(method=CACHING_SHA2))

    async def test_no_password(self) -> None:
        """A user without a password gets in by either method."""
        for method in ("mysql_native_password", CACHING_SHA2):
            server = MysqlServer(password=b"", method=method, default_method=method)
            await self.welcome(server, password_file=None)

    async def test_wrong_password(self) -> None:
        """A wrong password is refused by either method; nothing follows."""
        self.password_file.write_bytes(b"another")
        for method in ("mysql_native_password", CACHING_SHA2):
            server = MysqlServer(method=method)
            error = await self.failing(self.mysql(server))
            self.assertEqual((error.status, error.code), (CheckStatus.L7_STATUS, 1045))
            self.assertEqual(server.logins, ["refused"])
            self.assertEqual(server.commands, [])

    async def test_rotation(self) -> None:
        """A password that is changed in its file is used by the next check."""
        options = MysqlCheckOptions(**self.login())
        self.password_file.write_bytes(b"new\r\nnot this")
        await self.probe(MysqlCheck(), MysqlServer(password=b"new"), options)
        self.password_file.unlink()
        error = await self.failing(self.probe(MysqlCheck(), MysqlServer(), options))
        self.assertEqual(error.status, CheckStatus.PROCESS_ERROR)
        self.assertIn("is not a file", error.info)

    async def test_key_asked_for(self) -> None:
        """Full authentication in the clear: the password encrypted with the server's key."""
        for default in (CACHING_SHA2, "mysql_native_password"):
            server = MysqlServer(
                method=CACHING_SHA2,
                default_method=default,
                remembers=False,
                key=make_key(self.directory),
            )
            key = KINDS["server-public-key"].parse("ask")
            await self.welcome(server, server_public_key=key)

    async def test_key_known(self) -> None:
        """The key may be known beforehand."""
        key = make_key(self.directory)
        known = self.directory / "public"
        known.write_bytes(public_key(key))
        server = MysqlServer(method=CACHING_SHA2, remembers=False, key=key)
        parsed = KINDS["server-public-key"].parse(str(known))
        await self.welcome(server, server_public_key=parsed)

    async def test_no_key(self) -> None:
        """Without TLS or a key the password is not given; the server ends the login itself."""
        server = MysqlServer(method=CACHING_SHA2, remembers=False)
        error = await self.failing(self.mysql(server))
        self.assertEqual(error.status, CheckStatus.L7_RESPONSE)
        self.assertIn("use tls=on or server-public-key=", error.info)
        self.assertEqual(server.logins, ["refused"])

    async def test_unsupported_method(self) -> None:
        """Methods that want the password in the clear, or are unknown, are not followed."""
        for method in ("mysql_clear_password", "client_ed25519"):
            server = MysqlServer(method=method)
            error = await self.failing(self.mysql(server))
            words = f"the user's authentication method '{method}' is not supported"
            self.assertEqual(error.info, words)
            self.assertEqual(server.logins, ["refused"])


class TlsTests(ServerTestCase):
    def setUp(self) -> None:
        require_tls()
        super().setUp()
        self.certificate, key = make_certificate(self.directory, "db")
        self.tls = server_tls(self.certificate, key)

    def ca(self, path: Path) -> dict[str, Any]:
        return {"tls": True, "tls_ca": KINDS["tls-ca"].parse(str(path))}

    async def test_methods(self) -> None:
        """Both methods work over TLS; full authentication gives the password itself."""
        variants: tuple[dict[str, Any], ...] = (
            {},
            {"method": CACHING_SHA2},
            {"method": CACHING_SHA2, "default_method": CACHING_SHA2, "remembers": False},
        )
        for changes in variants:
            server = MysqlServer(tls=self.tls, **changes)
            await self.mysql(server, **self.ca(self.certificate))
            self.assertEqual(server.logins, ["welcome"])
            self.assertEqual(server.commands, [COM_PING, COM_QUIT])

    async def test_stranger(self) -> None:
        """A server whose certificate nobody trusted has signed is L6RSP, and hears no name."""
        other, _ = make_certificate(self.directory, "other")
        server = MysqlServer(tls=self.tls)
        error = await self.failing(self.mysql(server, **self.ca(other)))
        expected = (CheckStatus.L6_RESPONSE, "certificate verify failed")
        self.assertEqual((error.status, error.info), expected)
        self.assertEqual(server.logins, ["asked for TLS"])

    async def test_not_offered(self) -> None:
        """A server that offers no TLS is L6RSP; it hears the name, but nothing of the password."""
        server = MysqlServer()
        error = await self.failing(self.mysql(server, **self.ca(self.certificate)))
        expected = (CheckStatus.L6_RESPONSE, "the server does not offer TLS")
        self.assertEqual((error.status, error.info), expected)
        self.assertEqual(server.logins, ["refused"])

    async def test_words_before_tls(self) -> None:
        """What comes in the clear together with the greeting is not taken for protected."""

        class Early(Protocol):
            transport: Any

            def connectionMade(self) -> None:
                greeting = build_greeting(MysqlGreeting("10", 7, 0x81FFFFFE))
                self.transport.write(greeting + encode(2, b"\0\0\0\2\0\0\0"))

        early = Factory.forProtocol(Early)
        error = await self.failing(self.mysql(early, **self.ca(self.certificate)))
        self.assertIn("spoke before the TLS handshake", error.info)
