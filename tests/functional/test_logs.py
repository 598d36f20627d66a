"""Logs that leave the process: datagrams, files that are rotated, and readers that are stuck."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.functional.harness import (
    LOOPBACK,
    Origin,
    Peer,
    ProxyCase,
    ProxyProcess,
    echo,
    eventually,
)
from tests.ports import free_port
from vipproxy.admin.info import as_info, info
from vipproxy.config.log_options import PLACE, LogOptions
from vipproxy.errors import BadRequest, SessionError
from vipproxy.interfaces import IFrontend, IProtocolPlugin
from vipproxy.logs.targets import LogFile, Target
from vipproxy.logs.writer import Writer
from vipproxy.protocols.base import ProxyFactory, ProxyProtocol
from vipproxy.testing import ProxyHarness

INFO = 6


def target(place: str, **options: Any) -> Target:
    chosen = LogOptions(place=PLACE.parse(place), format="short", **options)
    return Target(chosen, "vipproxy", "ctl1", 42)


class TargetCase(SynchronousTestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.path = self.directory / "log"

    def send(self, target: Target, *texts: str) -> None:
        target.send([(INFO, 0.0, text) for text in texts])

    def made(self, place: str, **options: Any) -> Target:
        made = target(place, **options)
        self.addCleanup(made.stop)
        return made


class DatagramTests(TargetCase):
    def listening(self, family: int, address: Any) -> socket.socket:
        sock = socket.socket(family, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.bind(address)
        sock.settimeout(10)
        return sock

    def test_udp(self) -> None:
        """A datagram for each line, without its end."""
        sock = self.listening(socket.AF_INET, (LOOPBACK, 0))
        self.send(self.made(f"{LOOPBACK}:{sock.getsockname()[1]}"), "one", "two")
        self.assertEqual([sock.recv(100), sock.recv(100)], [b"<6>one", b"<6>two"])

    def test_unix(self) -> None:
        """The socket of a syslog server, also one that was started again meanwhile."""
        made = self.made(str(self.path))
        self.send(made, "nobody listens")
        self.assertEqual(made.dropped, 1)
        for _ in range(2):
            sock = self.listening(socket.AF_UNIX, str(self.path))
            self.send(made, "hello")
            self.assertEqual(sock.recv(100), b"<6>hello")
            sock.close()
            self.path.unlink()

    def test_slow_server(self) -> None:
        """A server that does not read costs lines, which are counted, and no time."""
        self.listening(socket.AF_UNIX, str(self.path))
        made = self.made(str(self.path))
        for _ in range(2000):
            self.send(made, "x" * 500)
        self.assertGreater(made.dropped, 0)

    def test_nobody(self) -> None:
        """Over UDP nobody need listen."""
        made = self.made(f"{LOOPBACK}:{free_port()}")
        for _ in range(3):
            self.send(made, "hello?")
        self.assertEqual(made.dropped, 0)


class FileTests(TargetCase):
    def lines(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []

    def test_written(self) -> None:
        """Lines are appended, and all are there at the end; the file's mode is the configured."""
        self.path.write_text("before\n")
        made = target(f"file@{self.path}")
        self.send(made, "one", "two")
        made.stop()
        self.assertEqual(self.lines(), ["before", "<6>one", "<6>two"])

    def test_mode(self) -> None:
        """A new file has the configured permissions."""
        made = target(f"file@{self.path}", mode="0600")
        self.send(made, "x")
        made.stop()
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_rotated(self) -> None:
        """A file that is renamed, or removed, is followed by a new one; one that is emptied is
        filled again."""
        made = self.made(f"file@{self.path}")
        self.send(made, "first")
        eventually(lambda: self.lines() == ["<6>first"])
        self.path.rename(self.directory / "log.1")
        self.send(made, "second")
        eventually(lambda: self.lines() == ["<6>second"])
        self.path.unlink()
        self.send(made, "third")
        eventually(lambda: self.lines() == ["<6>third"])
        os.truncate(self.path, 0)
        self.send(made, "fourth")
        eventually(lambda: self.lines() == ["<6>fourth"])
        self.assertEqual((self.directory / "log.1").read_text(), "<6>first\n")

    def test_no_directory(self) -> None:
        """A file that cannot be opened costs its lines, until it can."""
        path = self.directory / "later" / "log"
        made = self.made(f"file@{path}")
        self.send(made, "lost", "lost")
        eventually(lambda: made.dropped == 2)
        path.parent.mkdir()
        self.send(made, "found")
        eventually(lambda: path.exists() and path.read_text() == "<6>found\n")

    def test_full(self) -> None:
        """So does a full disk."""
        made = self.made("file@/dev/full")
        self.send(made, "x")
        eventually(lambda: made.dropped == 1)


class StuckReader:
    """A pipe that nobody reads, as an opener."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        fcntl.fcntl(self.writing, fcntl.F_SETPIPE_SZ, 4096)

    def __call__(self) -> int:
        return self.writing

    def close(self) -> None:
        os.close(self.writing)


class WriterTests(SynchronousTestCase):
    def test_stuck(self) -> None:
        """Whoever logs does not wait for a reader that is stuck: what there is no room for is
        dropped; once it reads again, what was kept arrives in order."""
        pipe = StuckReader()
        writer = Writer(pipe, "pipe", room=64 * 1024)
        line = b"x" * 999 + b"\n"
        kept = 200 - sum(writer.take([line]) for _ in range(200))
        self.assertGreaterEqual(kept, 65)
        self.assertLessEqual(kept, 65 + 5)  # what the pipe itself can hold
        received = b""
        while len(received) < kept * 1000:
            received += os.read(pipe.reading, 65536)
        writer.stop()
        self.assertEqual((received, writer.lost), (line * kept, 0))
        self.assertEqual(os.read(pipe.reading, 1), b"")
        os.close(pipe.reading)

    def test_after_the_end(self) -> None:
        """A writer that has been stopped takes nothing."""
        writer = Writer(LogFile(Path("/dev/null"), 0o600), "null")
        writer.stop()
        self.assertEqual(writer.take([b"x\n"]), 1)


class RefusingProtocol(ProxyProtocol):
    def dataReceived(self, data: bytes) -> None:
        self.refuse(BadRequest("nothing is right"))

    def refusal(self, error: SessionError) -> bytes:
        return b"no!\n"


@implementer(IProtocolPlugin)
class Refusing:
    """Refuses whoever says something."""

    options = None
    mode = "tcp"
    needs_backend = True

    def factory(self, frontend: IFrontend, options: Any) -> ProxyFactory:
        return ProxyFactory(RefusingProtocol, frontend, options)


class ProcessTests(SynchronousTestCase):
    TEXT = """
[global]
log = stdout format=short
grace = 0s
[frontend f]
protocol = tcp
bind = 127.0.0.1:{port}
backend = b
log-format = %s %ts
[backend b]
server s1 = 127.0.0.1:%d
"""

    def test_stdout(self) -> None:
        """twistd writes sessions to its standard output, to the last one that its end cut off."""
        with socket.create_server((LOOPBACK, 0)) as server:
            proxy = ProxyProcess(self.TEXT.replace("%d", str(server.getsockname()[1])))
            self.addCleanup(proxy.close)
            for ended in (True, False):
                client = proxy.connect()
                self.addCleanup(client.close)
                accepted, _ = server.accept()
                self.addCleanup(accepted.close)
                if ended:
                    client.close()
                    accepted.close()
            eventually(lambda: "<6>s1 --\n" in proxy.output())
            proxy.signal(signal.SIGTERM)
            self.assertEqual(proxy.status(), 0)
        self.assertIn("<6>s1 K-\n", proxy.output())


class SessionTests(ProxyCase):
    relay = "auto"

    async def logged(self, number: int) -> list[str]:
        await self.until(lambda: len(self.lines()) >= number)
        return self.lines()

    def lines(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []

    def end(self, *peers: Peer) -> None:
        for peer in peers:
            peer.finish()

    async def logging(self, format: str, frontend: str = "") -> tuple[Origin, ProxyHarness]:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name) / "log"
        head = f"[global]\nrelay = {self.relay}\nlog = file@{self.path} format=raw"
        origin = self.origin(echo)
        options = f"log-format = {format}\n{frontend}"
        return origin, await self.proxy("", origin, head=head, frontend=options)

    async def test_session(self) -> None:
        """A session has its line when it is over, with its bytes in both directions."""
        origin, _ = await self.logging("%f %b %s %U %B %ts %fc %bc %sc")
        client, server = await self.pair(origin)
        client.send(b"hello")
        await client.hear(b"hello")
        self.end(client, server)
        self.assertEqual(await self.logged(1), ["f b s1 5 5 -- 1 0 0"])

    async def test_early(self) -> None:
        """With logasap it has its line as soon as the server is connected, and no other."""
        origin, _ = await self.logging("%s %B", "logasap = on")
        client, server = await self.pair(origin)
        self.assertEqual(await self.logged(1), ["s1 +0"])
        self.end(client, server)
        await client.gone()
        await self.pair(origin)
        self.assertEqual(await self.logged(2), ["s1 +0"] * 2)

    async def test_shut_down(self) -> None:
        """Sessions that the end of the proxy cuts off are logged, too, before it has ended."""
        _, proxy = await self.logging("%ts")
        client = await self.connect()
        client.send(b"x")
        await client.hear(b"x")
        await proxy.stop()
        self.assertEqual(self.lines(), ["K-"])

    async def test_dropped(self) -> None:
        """What could not be written is shown as DroppedLogs."""
        head = "[global]\nlog = file@/dev/full"
        origin = self.origin(echo)
        proxy = await self.proxy("", origin, head=head)
        self.end(*await self.pair(origin))
        await proxy.until(lambda now: now.process.dropped_logs > 0, what="a dropped line")
        self.assertIn("DroppedLogs: 1\n", as_info(info(proxy.snapshot())))

    async def test_refused_by_its_protocol(self) -> None:
        """A client that its protocol refuses has a line, too; so has one that leaves before."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name) / "log"
        head = f"[global]\nlog = file@{self.path} format=raw"
        await self.proxy(
            "", self.origin(echo), head=head, frontend="log-format = %b %s %B %ts",
            protocol="tests.functional.test_logs:Refusing",
        )  # fmt: skip
        client = await self.connect()
        client.send(b"x")
        await client.end()
        self.assertEqual(await self.logged(1), ["f <NOSRV> 4 PR"])
        (await self.connect()).reset()
        self.assertEqual((await self.logged(2))[1], "f <NOSRV> 0 CR")

    async def test_off(self) -> None:
        """Without a log there is no record; with a format of none neither."""
        proxy = await self.proxy("", self.origin(echo))
        self.assertIsNone(proxy.service.frontends["f"].log)
        _, proxy = await self.logging("none")
        self.assertIsNone(proxy.service.frontends["f"].log)


class TwistedSessionTests(SessionTests):
    """The same with Twisted's engine."""

    relay = "twisted"
