"""The command `haproxy` at work: signals, processes, pid files, inherited sockets."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.functional.harness import LOOPBACK, backlog, eventually
from tests.haproxy_command import alive, end, install
from tests.ports import free_port
from tests.processes import environment

CONFIG = """\
global
    {head}
defaults
    log global
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen x
    bind {bind}
    server a {server}
"""


class CommandCase(SynchronousTestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name)
        self.program = install(self.path)
        self.server = socket.create_server((LOOPBACK, 0))
        self.server.settimeout(15)
        self.addCleanup(self.server.close)
        self.port = free_port()
        self.write()

    def write(self, head: str = "", bind: str = "") -> None:
        server = f"{LOOPBACK}:{self.server.getsockname()[1]}"
        text = CONFIG.format(head=head, bind=bind or f"{LOOPBACK}:{self.port}", server=server)
        (self.path / "haproxy.cfg").write_text(text)

    def start(self, *arguments: str, **options: object) -> subprocess.Popen[bytes]:
        with (self.path / "log").open("ab") as log:
            process = subprocess.Popen(
                [self.program, "-f", "haproxy.cfg", *arguments],
                env=environment(),
                cwd=self.path,
                stdout=log,
                stderr=log,
                **options,  # type: ignore[call-overload]
            )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def started(self, *arguments: str) -> subprocess.Popen[bytes]:
        process = self.start(*arguments)
        eventually(lambda: backlog(self.port) is not None)
        return process

    def session(self) -> tuple[socket.socket, socket.socket]:
        """A client, and its connection at the server, over which bytes have gone both ways."""
        client = socket.create_connection((LOOPBACK, self.port), 15)
        self.addCleanup(client.close)
        return client, self.served(client)

    def leave(self, client: socket.socket, server: socket.socket) -> None:
        """A session comes to its end."""
        client.close()
        server.close()

    def served(self, client: socket.socket) -> socket.socket:
        client.sendall(b"hello")
        server, _ = self.server.accept()
        self.addCleanup(server.close)
        server.settimeout(15)
        self.assertEqual(server.recv(100), b"hello")
        server.sendall(b"welcome")
        self.assertEqual(client.recv(100), b"welcome")
        return server

    @property
    def log(self) -> str:
        return (self.path / "log").read_text()


class Signals(CommandCase):
    def test_one_process(self) -> None:
        """The process that was started is the one that serves, whatever is said of workers."""
        for option in ("-db", "-W", "-Ws"):
            process = self.started(option)
            self.session()
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            self.assertEqual(children, "")
            process.terminate()
            process.wait(15)

    def test_soft_stop(self) -> None:
        """SIGUSR1: the port is free at once, sessions go on to their end, and the status is 0."""
        process = self.started("-db")
        client, server = self.session()
        process.send_signal(signal.SIGUSR1)
        eventually(lambda: backlog(self.port) is None)
        client.sendall(b"still here")
        self.assertEqual(server.recv(100), b"still here")
        self.assertIsNone(process.poll())
        self.leave(client, server)
        self.assertEqual(process.wait(15), 0)
        self.assertNotIn("Traceback", self.log)

    def test_hard_stop_after(self) -> None:
        """Sessions that do not end at a soft stop end after `hard-stop-after`."""
        self.write("hard-stop-after 200ms")
        process = self.started("-db")
        client, _ = self.session()
        process.send_signal(signal.SIGUSR1)
        self.assertEqual(client.recv(100), b"")
        self.assertEqual(process.wait(15), 0)

    def test_at_once(self) -> None:
        """SIGTERM and SIGINT end it with its sessions; the status tells the signal."""
        for number in (signal.SIGTERM, signal.SIGINT):
            process = self.started("-db")
            client, _ = self.session()
            process.send_signal(number)
            self.assertEqual(process.wait(15), 128 + number)
            self.assertEqual(client.recv(100), b"")

    def test_at_once_in_a_soft_stop(self) -> None:
        """SIGTERM ends a soft stop, too."""
        process = self.started("-db")
        client, _ = self.session()
        process.send_signal(signal.SIGUSR1)
        eventually(lambda: backlog(self.port) is None)
        process.terminate()
        self.assertEqual(process.wait(15), 128 + signal.SIGTERM)
        self.assertEqual(client.recv(100), b"")

    def test_last_lines(self) -> None:
        """What is ended at once is still in the log, with the pid of the one process."""
        self.write("log stdout format traditional local0")
        process = self.started("-db")
        client, _ = self.session()
        process.terminate()
        process.wait(15)
        self.assertEqual(client.recv(100), b"")
        self.assertRegex(self.log, rf"haproxy\[{process.pid}\]: 127\.0\.0\.1:\d+ \[.*\] x x/a ")

    def test_other_signals(self) -> None:
        """Signals for reports and reloads do not end it."""
        process = self.started("-db")
        for number in (
            signal.SIGHUP,
            signal.SIGUSR2,
            signal.SIGTTOU,
            signal.SIGTTIN,
            signal.SIGQUIT,
        ):
            process.send_signal(number)
        eventually(lambda: "SIGQUIT" in self.log)
        self.session()
        self.assertIn(f"({process.pid})", self.log)

    def test_takeover(self) -> None:
        """-sf: the new process listens before the old one stops; old sessions go on."""
        old = self.started("-db")
        client, server = self.session()
        new = self.start("-db", "-sf", str(old.pid))
        eventually(lambda: "Proxy x stopped" in self.log)
        self.session()
        server.sendall(b"old")
        self.assertEqual(client.recv(100), b"old")
        self.leave(client, server)
        self.assertEqual(old.wait(15), 0)
        self.assertIsNone(new.poll())

    def test_takeover_at_once(self) -> None:
        """-st: the old process ends at once."""
        old = self.started("-db")
        client, _ = self.session()
        self.start("-db", "-st", str(old.pid))
        self.assertEqual(client.recv(100), b"")
        self.assertEqual(old.wait(15), 128 + signal.SIGTERM)
        self.session()


class Processes(CommandCase):
    def test_background(self) -> None:
        """-D: it returns when the port is bound; the pid file names the process that serves."""
        process = self.start("-D", "-p", "pid")
        self.assertEqual(process.wait(15), 0, self.log)
        self.assertIsNotNone(backlog(self.port))
        pid = int((self.path / "pid").read_text())
        self.addCleanup(end, pid, signal.SIGKILL)
        self.assertNotEqual(pid, process.pid)
        client, server = self.session()
        os.kill(pid, signal.SIGUSR1)
        self.leave(client, server)
        eventually(lambda: not alive(pid))

    def test_said_in_the_file(self) -> None:
        """`daemon` and `pidfile` of the file do the same, but for -db and -W."""
        self.write(f"daemon\n    pidfile {self.path}/pid")
        process = self.start()
        self.assertEqual(process.wait(15), 0, self.log)
        pid = int((self.path / "pid").read_text())
        end(pid, signal.SIGTERM)
        eventually(lambda: not alive(pid))
        process = self.started("-W")
        eventually((self.path / "pid").exists)
        self.assertEqual((self.path / "pid").read_text(), f"{process.pid}\n")

    def test_port_taken(self) -> None:
        """A port that cannot be bound is told; the status is 1, in the background, too."""
        with socket.create_server((LOOPBACK, 0)) as taken:
            self.write(bind=f"{LOOPBACK}:{taken.getsockname()[1]}")
            for option in ("-db", "-D"):
                self.assertEqual(self.start(option).wait(15), 1)
        self.assertIn("Some protocols failed to start their listeners! Exiting.", self.log)
        self.assertIn("Address already in use", self.log)

    def test_service_manager(self) -> None:
        """-Ws: systemd is told when it serves."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(self.path / "notify"))
            manager.settimeout(15)
            os.environ["NOTIFY_SOCKET"] = str(self.path / "notify")
            self.addCleanup(os.environ.pop, "NOTIFY_SOCKET")
            process = self.start("-Ws")
            self.assertEqual(manager.recv(100).decode(), f"READY=1\nMAINPID={process.pid}")
            self.session()


class InheritedSockets(CommandCase):
    def test_queued(self) -> None:
        """fd@N: clients that were in the queue before it started are served."""
        with socket.create_server((LOOPBACK, 0)) as listening:
            self.port = listening.getsockname()[1]
            client = socket.create_connection((LOOPBACK, self.port), 15)
            self.addCleanup(client.close)
            self.write(bind=f"fd@{listening.fileno()}")
            self.start("-db", pass_fds=[listening.fileno()])
            self.served(client)
        self.session()

    def test_not_there(self) -> None:
        """A descriptor that is none is told."""
        self.write(bind="fd@99")
        self.assertEqual(self.start("-db").wait(15), 1)
        self.assertIn("cannot listen on fd@99: Bad file descriptor", self.log)


class UnixSockets(CommandCase):
    def test_served(self) -> None:
        """unix@: clients are served, over TCP and HTTP, with the permissions of the file."""
        path = self.path / "door"
        for mode in ("tcp", "http"):
            self.write(bind=f"unix@{path} mode 606\n    mode {mode}")
            process = self.start("-db")
            eventually(path.is_socket)
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(15)
                eventually(lambda client=client: client.connect_ex(str(path)) == 0)
                if mode == "tcp":
                    self.served(client)
                else:
                    client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                    server, _ = self.server.accept()
                    with server:
                        self.assertIn(b"GET / HTTP/1.", server.recv(1000))
                        server.sendall(b"HTTP/1.0 204 No\r\n\r\n")
                    self.assertIn(b" 204 ", client.recv(1000))
            self.assertEqual(path.stat().st_mode & 0o777, 0o606)
            process.kill()
            process.wait()

    def test_takeover(self) -> None:
        """The file of a proxy that is about to go is replaced."""
        path = self.path / "door"
        self.write(bind=str(path))
        old = self.start("-db")
        eventually(path.is_socket)
        inode = path.stat().st_ino
        self.start("-db", "-sf", str(old.pid))
        self.assertEqual(old.wait(15), 0)
        self.assertNotEqual(path.stat().st_ino, inode)
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(15)
            client.connect(str(path))
            self.served(client)


class Limits(CommandCase):
    def test_default_maxconn(self) -> None:
        """-N: a frontend without maxconn has this one; the next client waits."""
        self.started("-db", "-N", "1")
        client, server = self.session()
        second = socket.create_connection((LOOPBACK, self.port), 15)
        self.addCleanup(second.close)
        time.sleep(0.2)
        self.assertEqual(backlog(self.port), 1)
        self.leave(client, server)
        self.served(second)
