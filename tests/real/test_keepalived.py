"""socat as keepalived's check scripts use it (Kolla-Ansible's check_alive.sh among them)."""

from __future__ import annotations

import subprocess

from tests.real.operators import OperatedCase
from tests.support import require

CHECK_ALIVE = """#!/bin/bash
# This will return 0 when it successfully talks to the haproxy daemon via the socket
# Failures return 1
echo "show info" | socat unix-connect:{socket} stdio > /dev/null
"""


class Keepalived(OperatedCase):
    def check(self) -> int:
        require("socat")
        script = CHECK_ALIVE.format(socket=self.socket)
        return subprocess.run(["bash", "-c", script], timeout=30, check=False).returncode

    def test_alive(self) -> None:
        """The script is content as long as the proxy runs, and not any longer."""
        self.assertEqual(self.check(), 0)
        self.proxy.close()
        self.assertNotEqual(self.check(), 0)

    def test_answer(self) -> None:
        """socat gets the whole answer, and ends with it."""
        command = f"echo 'show info; show cli level' | {require('socat')} {self.socket} -"
        done = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, timeout=30, check=True
        )
        self.assertIn("\nMaxconn: ", done.stdout)
        self.assertTrue(done.stdout.endswith("\n\nadmin\n\n"))
