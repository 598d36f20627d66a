"""Probes against servers on loopback: well-behaved, wrong, silent and gone."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from vipproxy.checks import CheckFailed
from vipproxy.checks.http import HttpCheck, HttpCheckOptions, StatusSet
from vipproxy.checks.mysql import MysqlCheck, MysqlCheckOptions
from vipproxy.checks.tcp import TcpCheck
from vipproxy.framing.mysql import Greeting, build_error, build_greeting, encode
from vipproxy.interfaces import CheckTarget
from vipproxy.sockets import listening_socket, local_of, stream_socket
from vipproxy.testing import FakeCluster
from vipproxy.values import Address, CheckResult, CheckStatus

NOBODY = MysqlCheckOptions()


class Scripted(Protocol):
    """Says one thing at once, and another after the first request; may close or reset."""

    transport: Any

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server

    def connectionMade(self) -> None:
        self.server.open.add(self)
        self.transport.write(self.server.greeting)
        if self.server.end and not self.server.answers:
            self.finish()

    def dataReceived(self, data: bytes) -> None:
        self.server.received += data
        if self.server.answers:
            self.transport.write(self.server.answers.pop(0))
            if self.server.end and not self.server.answers:
                self.finish()

    def finish(self) -> None:
        if self.server.end == "close":
            self.transport.loseConnection()
        else:
            # What was written goes out first; a reset in the same turn would drop it.
            reactor.callLater(0.02, self.transport.abortConnection)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.server.open.discard(self)


class ScriptedServer(Factory):
    noisy = False

    def __init__(self, greeting: bytes, answers: list[bytes], end: str) -> None:
        self.greeting, self.answers, self.end = greeting, answers, end
        self.received = b""
        self.open: set[Scripted] = set()

    def buildProtocol(self, addr: object) -> IProtocol:
        return Scripted(self)


class CheckTestCase(TestCase):
    def serve(self, *answers: bytes, greeting: bytes = b"", end: str = "") -> Address:
        """A server that goes through a script; `end` is close, reset or nothing."""
        self.server = ScriptedServer(greeting, list(answers), end)
        port: Any = reactor.listenTCP(0, self.server, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return Address("127.0.0.1", port.getHost().port)

    def target(self, address: Address) -> CheckTarget:
        return CheckTarget("pool", "server", address, timeout=5.0, reactor=reactor)

    def probe(self, address: Address, check: Any, options: Any = None) -> Deferred[CheckResult]:
        return Deferred.fromCoroutine(check.probe(self.target(address), options))

    async def fails(
        self, address: Address, check: Any, options: Any = None
    ) -> tuple[CheckStatus, str, int | None]:
        """A failing probe's status, words and code; no connection of it stays open."""
        error = await self.assertFailure(self.probe(address, check, options), CheckFailed)
        await self.until_closed()
        return error.status, error.info, error.code

    async def until_closed(self) -> None:
        """The server has seen the end of every probe; the test's timeout is the limit."""
        while self.server.open:
            await deferLater(reactor, 0.005)

    def nobody(self) -> Address:
        """An address where nothing listens any more."""
        self.server = ScriptedServer(b"", [], "")
        sock = listening_socket(Address("127.0.0.1", 0), 1)
        address = local_of(sock)
        sock.close()
        return address

    def full(self) -> Address:
        """An address that does not accept: its queue is full."""
        self.server = ScriptedServer(b"", [], "")
        sock = listening_socket(Address("127.0.0.1", 0), 0)
        self.addCleanup(sock.close)
        for _ in range(2):
            client = stream_socket(local_of(sock))
            client.connect_ex((local_of(sock).host, local_of(sock).port))
            self.addCleanup(client.close)
        return local_of(sock)


class CommonTests(CheckTestCase):
    timeout = 10
    checks = ((TcpCheck(), None), (HttpCheck(), HttpCheckOptions()), (MysqlCheck(), NOBODY))

    async def test_refused(self) -> None:
        """A refused connection is L4CON, in HAProxy's words."""
        for check, options in self.checks:
            result = await self.fails(self.nobody(), check, options)
            self.assertEqual(result, (CheckStatus.L4_CONNECTION, "Connection refused", None))

    async def test_cancelled_while_connecting(self) -> None:
        """A probe that is cancelled before the server accepts is L4TOUT."""
        for check, options in self.checks:
            probe = self.probe(self.full(), check, options)
            reactor.callLater(0.02, probe.cancel)
            error = await self.assertFailure(probe, CheckFailed)
            self.assertEqual(error.status, CheckStatus.L4_TIMEOUT)

    async def test_cancelled_later(self) -> None:
        """A probe that is cancelled while the server is silent is L7TOUT, and hangs up."""
        for check, options in self.checks[1:]:
            probe = self.probe(self.serve(), check, options)
            while not self.server.open:
                await deferLater(reactor, 0.005)
            probe.cancel()
            error = await self.assertFailure(probe, CheckFailed)
            self.assertEqual(error.status, CheckStatus.L7_TIMEOUT)
            await self.until_closed()


class TcpTests(CheckTestCase):
    async def test_accepted(self) -> None:
        """A server that accepts passes, and the connection is closed again."""
        result = await self.probe(self.serve(), TcpCheck())
        self.assertEqual(result, CheckResult(CheckStatus.L4_OK))
        await self.until_closed()


class HttpTests(CheckTestCase):
    options = HttpCheckOptions()

    async def test_pass(self) -> None:
        """2xx and 3xx pass, with code and reason."""
        for line, code, reason in (
            (b"HTTP/1.1 200 OK\r\n\r\n", 200, "OK"),
            (b"HTTP/1.0 301 Moved Permanently\r\n\r\n", 301, "Moved Permanently"),
            (b"HTTP/1.1 204\r\n", 204, ""),
            (b"HTTP/1.1 200 OK\n", 200, "OK"),
        ):
            result = await self.probe(self.serve(line), HttpCheck(), self.options)
            self.assertEqual(result, CheckResult(CheckStatus.L7_OK, reason, code))
            await self.until_closed()

    async def test_request(self) -> None:
        """The server gets exactly one request."""
        await self.probe(self.serve(b"HTTP/1.1 200 OK\r\n"), HttpCheck(), self.options)
        await self.until_closed()
        self.assertEqual(self.server.received, b"OPTIONS / HTTP/1.0\r\n\r\n")

    async def test_wrong_status(self) -> None:
        """Any other status is L7STS, with code and reason."""
        for line, code, reason in (
            (b"HTTP/1.1 503 Service Unavailable\r\n", 503, "Service Unavailable"),
            (b"HTTP/1.1 100 Continue\r\n", 100, "Continue"),
        ):
            result = await self.fails(self.serve(line), HttpCheck(), self.options)
            self.assertEqual(result, (CheckStatus.L7_STATUS, reason, code))

    async def test_expect(self) -> None:
        """Another set of codes may be expected."""
        options = HttpCheckOptions(expect=StatusSet(("401",)))
        result = await self.probe(self.serve(b"HTTP/1.1 401 No\r\n"), HttpCheck(), options)
        self.assertEqual(result.code, 401)
        result = await self.fails(self.serve(b"HTTP/1.1 200 OK\r\n"), HttpCheck(), options)
        self.assertEqual(result, (CheckStatus.L7_STATUS, "OK", 200))

    async def test_no_http(self) -> None:
        """What is not an HTTP status line is L7RSP, also if it never ends."""
        for answer in (b"200 OK\r\n", b"HTTP/1.1 2000 OK\r\n", b"SSH-2.0-x\r\n", b"x" * 40000):
            result = await self.fails(self.serve(answer), HttpCheck(), self.options)
            words = "not an HTTP status line"
            self.assertEqual(result, (CheckStatus.L7_RESPONSE, words, None), answer[:20])

    async def test_closed_without_answer(self) -> None:
        """A server that just closes, or resets, is L7RSP."""
        for end in ("close", "reset"):
            result = await self.fails(self.serve(b"", end=end), HttpCheck(), self.options)
            words = "closed without an answer"
            self.assertEqual(result, (CheckStatus.L7_RESPONSE, words, None))

    async def test_reset_after_answer(self) -> None:
        """A status line counts, whether the connection is closed or reset after it."""
        for end in ("close", "reset"):
            for answer in (b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK"):
                address = self.serve(answer, end=end)
                result = await self.probe(address, HttpCheck(), self.options)
                self.assertEqual(result.code, 200)
                await self.until_closed()

    async def test_in_pieces(self) -> None:
        """The status line may come in pieces."""
        address = self.serve(greeting=b"HTTP/1.1 5")
        probe = self.probe(address, HttpCheck(), self.options)
        while not self.server.open:
            await deferLater(reactor, 0.005)
        (session,) = self.server.open
        await deferLater(reactor, 0.01)
        session.transport.write(b"03 Busy\r")
        await deferLater(reactor, 0.01)
        session.transport.write(b"\n")
        error = await self.assertFailure(probe, CheckFailed)
        self.assertEqual((error.code, error.info), (503, "Busy"))


DENIED = build_error(1045, "28000", "Access denied for user 'vipproxy'@'a'", 2)


class MysqlTests(CheckTestCase):
    greeting = build_greeting(Greeting("5.5.5-10.11.6-MariaDB", 7))

    async def test_welcome(self) -> None:
        """A server that greets and lets the probe in passes; the probe says goodbye."""
        cluster = FakeCluster(reactor, {"db": "mysql"}, nodes=1)
        cluster.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(cluster.stop()))
        result = await self.probe(cluster.address("node1", "db"), MysqlCheck(), NOBODY)
        self.assertEqual(result, CheckResult(CheckStatus.L7_OK, "10.11.0-MariaDB-node1"))
        node = cluster.nodes["node1"]
        while node.sessions:
            await deferLater(reactor, 0.005)
        self.assertEqual(node.requests, 1)

    async def test_login_refused(self) -> None:
        """A server that greets and refuses the login passes."""
        address = self.serve(DENIED, greeting=self.greeting, end="close")
        result = await self.probe(address, MysqlCheck(), NOBODY)
        self.assertEqual(result, CheckResult(CheckStatus.L7_OK, "10.11.6-MariaDB"))

    async def test_another_method(self) -> None:
        """A server may ask for another authentication method first."""
        switch = encode(2, b"\xfecaching_sha2_password\0" + b"x" * 20 + b"\0")
        denied = build_error(1045, "28000", "Access denied", 4)
        address = self.serve(switch, denied, greeting=self.greeting, end="close")
        result = await self.probe(address, MysqlCheck(), NOBODY)
        self.assertEqual(result.status, CheckStatus.L7_OK)
        self.assertTrue(self.server.received.endswith(b"\0\0\0\x03"))

    async def test_error_in_place_of_greeting(self) -> None:
        """An error packet is L7STS, with its number and the server's own words."""
        error = build_error(1040, "", "Too many connections")
        result = await self.fails(self.serve(greeting=error, end="close"), MysqlCheck(), NOBODY)
        self.assertEqual(result, (CheckStatus.L7_STATUS, "Too many connections", 1040))

    async def test_error_after_login(self) -> None:
        """So is an error packet in answer to the login, unless it refuses the user."""
        error = build_error(1047, "08S01", "WSREP has not yet prepared node", 2)
        address = self.serve(error, greeting=self.greeting, end="close")
        result = await self.fails(address, MysqlCheck(), NOBODY)
        words = "WSREP has not yet prepared node"
        self.assertEqual(result, (CheckStatus.L7_STATUS, words, 1047))

    async def test_garbage(self) -> None:
        """What is not MySQL is L7RSP."""
        for greeting in (b"SSH-2.0-OpenSSH_9.2\r\n", encode(0, b""), encode(0, b"\x09old")):
            status, _, code = await self.fails(self.serve(greeting=greeting), MysqlCheck(), NOBODY)
            self.assertEqual((status, code), (CheckStatus.L7_RESPONSE, None))

    async def test_closed(self) -> None:
        """A server that closes before its greeting is complete is L7RSP."""
        for greeting in (b"", self.greeting[:30]):
            result = await self.fails(
                self.serve(greeting=greeting, end="close"), MysqlCheck(), NOBODY
            )
            words = "the server closed the connection"
            self.assertEqual(result, (CheckStatus.L7_RESPONSE, words, None))
