"""The Ansible module community.general.haproxy, unchanged: drains a server, and takes it out."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import threading
from typing import Any

from tests.functional.harness import eventually
from tests.real.operators import OperatedCase
from tests.support import require


class Ansible(OperatedCase):
    def setUp(self) -> None:
        self.ansible = require("ansible")
        self.head = "identity = HAProxy"  # it asks whether the version is 1.5 at least
        super().setUp()

    def run_module(self, **arguments: str) -> dict[str, Any]:
        """The module's result; fails where it complains."""
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        words = {"socket": str(self.socket), "backend": "pool", "wait": "true", **arguments}
        text = " ".join(f"{key}={value}" for key, value in words.items())
        command = [self.ansible, "localhost", "-i", "localhost,", "-c", "local"]
        environment = {
            **os.environ,
            "HOME": home.name,
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_CALLBACKS_ENABLED": "",
            "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
            "ANSIBLE_STDOUT_CALLBACK": "json",
            "ANSIBLE_LOCALHOST_WARNING": "False",
            "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
        }
        done = subprocess.run(
            [*command, "-m", "community.general.haproxy", "-a", text],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        result: dict[str, Any] = json.loads(done.stdout)["plays"][0]["tasks"][0]["hosts"][
            "localhost"
        ]
        return result

    def test_drain(self) -> None:
        """A server is drained, and taken out when its last session has ended, not before."""
        client = socket.create_connection(("127.0.0.1", self.proxy.port), timeout=10)
        self.addCleanup(client.close)
        eventually(lambda: any(row["scur"] == "1" for row in self.rows().values()))
        (busy,) = (name for name, row in self.rows().items() if row["scur"] == "1")
        self.run_module(host=busy, state="drain", wait="false")
        self.assertEqual(self.statuses()[busy], "DRAIN")
        self.assertEqual(self.rows()[busy]["scur"], "1")
        leaving = threading.Timer(2.0, client.close)
        leaving.start()
        self.addCleanup(leaving.join)
        result = self.run_module(host=busy, state="disabled", drain="true", wait_interval="1")
        self.assertFalse(leaving.is_alive())
        self.assertEqual(result["state_after"][0], {"scur": "0", "status": "MAINT", "weight": "1"})
        self.run_module(host=busy, state="enabled")
        self.assertEqual(self.statuses(), {"n1": "UP", "n2": "UP"})

    def test_disable(self) -> None:
        """A server is taken out with its sessions, and comes back with another weight."""
        result = self.run_module(host="n1", state="disabled", shutdown_sessions="true")
        self.assertTrue(result["changed"])
        self.assertEqual(result["state_after"][0]["status"], "MAINT")
        result = self.run_module(host="n1", state="enabled", weight="20")
        self.assertEqual(result["state_after"][0], {"scur": "0", "status": "UP", "weight": "20"})
