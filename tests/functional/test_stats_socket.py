"""The stats socket on a real Unix socket."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.ports import free_port
from tests.unit.admin_fakes import FakeCluster, FakeControl
from vipproxy.admin.conversation import MAX_CONNECTIONS
from vipproxy.admin.socket import StatsSockets
from vipproxy.config.options import GlobalOptions
from vipproxy.config.socket_options import StatsSocketOptions
from vipproxy.errors import ListenFailed
from vipproxy.values import Address


def connect(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(5)
    client.connect(str(path))
    return client


def ask(path: Path, text: bytes, half_close: bool = False) -> bytes:
    """Send, and read until the end."""
    with connect(path) as client:
        client.sendall(text)
        if half_close:
            client.shutdown(socket.SHUT_WR)
        return read_all(client)


def read_all(client: socket.socket) -> bytes:
    answer = b""
    while received := client.recv(65536):
        answer += received
    return answer


class StatsSocketTests(TestCase):
    def setUp(self) -> None:
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        self.path = Path(directory, "stats")
        self.control = FakeControl()

    def make(self, **options: str) -> StatsSockets:
        made = StatsSocketOptions(address=self.path, **options)
        return self.serve(GlobalOptions(stats_socket=(made,)))

    def serve(self, options: GlobalOptions) -> StatsSockets:
        service = StatsSockets(FakeCluster(), self.control, options, reactor)
        self.addCleanup(service.stopService)
        return service

    def start(self, **options: str) -> StatsSockets:
        service = self.make(**options)
        service.privilegedStartService()
        service.startService()
        return service

    async def test_answers(self) -> None:
        """Commands are answered whole, with and without a half-close by the user."""
        self.start()
        for half_close in (False, True):
            info = await deferToThread(ask, self.path, b"show info\n", half_close)
            self.assertTrue(info.startswith(b"Name: vipproxy\n"))
            self.assertTrue(info.endswith(b"\n\n"))
            rows = await deferToThread(ask, self.path, b"show stat;show info\r\n", half_close)
            self.assertTrue(rows.startswith(b"# pxname,"))
            self.assertIn(b"\n\nName: vipproxy\n", rows)

    async def test_level(self) -> None:
        """The level is the configured one, by default operator."""
        self.start()
        command = b"set server swift-vms/rhos6-node1 state drain\n"
        self.assertEqual(await deferToThread(ask, self.path, command), b"Permission denied\n\n")

    async def test_admin(self) -> None:
        """At level admin servers can be changed."""
        self.start(level="admin")
        command = b"set server swift-vms/rhos6-node1 state drain\n"
        self.assertEqual(await deferToThread(ask, self.path, command), b"\n")
        self.assertEqual(len(self.control.calls), 1)

    def test_mode(self) -> None:
        """The socket has the configured permissions, whatever the umask."""
        previous = os.umask(0o077)
        self.addCleanup(os.umask, previous)
        self.start(mode="0664")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o664)

    async def test_removed(self) -> None:
        """A stopped socket leaves no file."""
        service = self.start()
        await service.stopService()
        self.assertFalse(self.path.exists())

    async def test_removed_by_another(self) -> None:
        """A file that somebody else has removed does not disturb the end."""
        service = self.start()
        self.path.unlink()
        await service.stopService()

    async def test_started_again(self) -> None:
        """A stopped socket can be started again."""
        service = self.start()
        await service.stopService()
        service.startService()
        self.assertTrue((await deferToThread(ask, self.path, b"show info\n")).startswith(b"Name"))

    def test_stale(self) -> None:
        """The socket of a process that died is replaced."""
        dead = socket.socket(socket.AF_UNIX)
        dead.bind(str(self.path))
        dead.close()
        self.start()

    def test_live(self) -> None:
        """The socket of a process that lives is not taken away from it."""
        other = socket.socket(socket.AF_UNIX)
        self.addCleanup(other.close)
        other.bind(str(self.path))
        other.listen()
        error = self.assertRaises(ListenFailed, self.make().privilegedStartService)
        self.assertEqual(str(error), f"another process listens on the stats socket '{self.path}'")

    def test_not_a_socket(self) -> None:
        """A file that is no socket stays."""
        self.path.write_text("precious")
        self.assertRaises(ListenFailed, self.make().privilegedStartService)
        self.assertEqual(self.path.read_text(), "precious")

    async def test_new_directory(self) -> None:
        """The folder of the socket is made where there is none."""
        self.path = self.path / "deeper" / "stats"
        self.start()
        self.assertTrue(self.path.is_socket())

    def test_no_directory(self) -> None:
        """A path that cannot be made is an error that names it."""
        self.path.write_text("in the way")
        self.path = self.path / "stats"
        error = self.assertRaises(ListenFailed, self.make().privilegedStartService)
        self.assertIn(str(self.path), str(error))

    def test_path_too_long(self) -> None:
        """A path beyond the kernel's limit is an error."""
        self.path = self.path.with_name("x" * 200)
        self.assertRaises(ListenFailed, self.make().privilegedStartService)

    async def test_several(self) -> None:
        """Several sockets, of both kinds, each with its level; all of them are listed."""
        other, port = self.path.with_name("other"), free_port()
        options = GlobalOptions(
            stats_socket=(
                StatsSocketOptions(address=self.path, level="admin"),
                StatsSocketOptions(address=other, level="user"),
                StatsSocketOptions(address=Address("127.0.0.1", port)),
            )
        )
        service = self.serve(options)
        service.startService()
        for path, level in ((self.path, b"admin"), (other, b"user")):
            answer = await deferToThread(ask, path, b"show cli level\n")
            self.assertEqual(answer, level + b"\n\n")
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(b"show cli level;show cli sockets\n")
            answer = await deferToThread(read_all, client)
        self.assertEqual(
            answer.decode(),
            "operator\n\n# socket lvl processes\n"
            f"unix@{self.path} admin all\nunix@{other} user all\n"
            f"ipv4@127.0.0.1:{port} operator all\n\n",
        )
        await service.stopService()
        self.assertFalse(other.exists())

    async def test_all_or_none(self) -> None:
        """Where one cannot be made, those before it are removed again."""
        blocked = self.path.with_name("blocked")
        blocked.write_text("precious")
        options = GlobalOptions(
            stats_socket=(
                StatsSocketOptions(address=self.path),
                StatsSocketOptions(address=blocked),
            )
        )
        self.assertRaises(ListenFailed, self.serve(options).privilegedStartService)
        self.assertFalse(self.path.exists())
        self.assertEqual(blocked.read_text(), "precious")

    def test_port_in_use(self) -> None:
        """A TCP port that somebody else has is an error that names it."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            place = Address(*other.getsockname()[:2])
            options = GlobalOptions(stats_socket=(StatsSocketOptions(address=place),))
            error = self.assertRaises(ListenFailed, self.serve(options).privilegedStartService)
        self.assertIn(f"cannot make the stats socket '{place}': ", str(error))

    async def test_shared_limit(self) -> None:
        """`stats-maxconn` is for all sockets together."""
        other = self.path.with_name("other")
        options = GlobalOptions(
            stats_socket=(
                StatsSocketOptions(address=self.path),
                StatsSocketOptions(address=other),
            ),
            stats_maxconn=1,
        )
        self.serve(options).startService()
        first, late = connect(self.path), connect(other)
        self.addCleanup(late.close)
        await deferLater(reactor, 0.1)
        late.sendall(b"show cli level\n")
        late.setblocking(False)
        await deferLater(reactor, 0.1)
        self.assertRaises(BlockingIOError, late.recv, 1)
        first.close()
        late.setblocking(True)
        late.settimeout(5)
        self.assertEqual(await deferToThread(read_all, late), b"operator\n\n")

    async def test_timeout(self) -> None:
        """`stats-timeout` ends a silent connection."""
        options = GlobalOptions(
            stats_socket=(StatsSocketOptions(address=self.path),), stats_timeout=0.2
        )
        self.serve(options).startService()
        with connect(self.path) as client:
            client.sendall(b"prompt\n")
            self.assertEqual(await deferToThread(read_all, client), b"\n> ")

    async def test_many_users(self) -> None:
        """Beyond ten users the next one waits until another has left."""
        self.start()
        clients = [connect(self.path) for _ in range(MAX_CONNECTIONS)]
        late = connect(self.path)
        for each in [*clients, late]:
            self.addCleanup(each.close)
        late.sendall(b"show info\n")
        late.setblocking(False)
        await deferLater(reactor, 0.1)
        self.assertRaises(BlockingIOError, late.recv, 1)
        clients[0].close()
        late.setblocking(True)
        late.settimeout(60)
        answer: Any = await deferToThread(read_all, late)
        self.assertTrue(answer.startswith(b"Name: vipproxy\n"))
