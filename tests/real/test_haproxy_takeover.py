"""From HAProxy to vipproxy and back, on one port, while sessions go on."""

from __future__ import annotations

import subprocess

from tests.functional.harness import eventually
from tests.functional.test_haproxy_command import CommandCase
from tests.support import require


class Takeover(CommandCase):
    def through(self, old_program: str, new_program: str) -> None:
        """The new program takes the port over; the old one's session ends by itself."""
        old = self.launch(old_program)
        eventually(lambda: self.can_connect(old))
        client, server = self.session()
        new = self.launch(new_program, "-sf", str(old.pid))
        eventually(lambda: self.listens_alone(new))
        client.sendall(b"still here")
        self.assertEqual(server.recv(100), b"still here")
        again, _ = self.session()
        self.leave(client, server)
        self.assertEqual(old.wait(30), 0)
        again.sendall(b"and I")
        self.assertIsNone(new.poll())

    def launch(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        ours, self.program = self.program, program  # type: ignore[assignment]
        process = self.start("-db", *arguments)
        self.program = ours
        return process

    def can_connect(self, process: subprocess.Popen[bytes]) -> bool:
        return self.port in self.ports(process)

    def listens_alone(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether this process has the port's only listening socket."""
        return self.can_connect(process) and len(self.listening()) == 1

    def listening(self) -> list[str]:
        """The inodes of the sockets that listen on the port (proc(5))."""
        with open("/proc/net/tcp") as table:
            rows = [line.split() for line in table][1:]
        place = f"0100007F:{self.port:04X}"
        return [row[9] for row in rows if row[1] == place and row[3] == "0A"]

    def ports(self, process: subprocess.Popen[bytes]) -> set[int]:
        """The port, if the process has a socket that listens on it."""
        done = subprocess.run(
            ["ls", "-l", f"/proc/{process.pid}/fd"], capture_output=True, text=True, check=False
        )
        mine = any(f"socket:[{inode}]" in done.stdout for inode in self.listening())
        return {self.port} if mine else set()

    def test_to_vipproxy(self) -> None:
        """HAProxy is followed by vipproxy."""
        self.through(require("haproxy"), str(self.program))

    def test_to_haproxy(self) -> None:
        """vipproxy is followed by HAProxy."""
        self.through(str(self.program), require("haproxy"))
