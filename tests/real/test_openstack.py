"""The reference cluster's own file, on a machine that has none of its addresses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.processes import environment
from tests.support import require

ROOT = Path(__file__).parents[2]
INSIDE = """
mount -t tmpfs none /var/lib
{python} -m vipproxy run {config} >/var/lib/log 2>&1 &
proxy=$!
for _ in $(seq 100); do [ -S {socket} ] && break; sleep 0.1; done
echo "show stat" | {socat} unix-connect:{socket} stdio
kill $proxy
wait $proxy
echo "status $?"
grep -c Traceback /var/lib/log
"""
"""In a network of its own without any address, which nothing can leave, with its own /var/lib."""


class OpenStackTests(SynchronousTestCase):
    def test_ini(self) -> None:
        """examples/openstack.ini starts as it stands, serves 18 frontends, and stops with 0."""
        self.starts("openstack.ini", "/var/lib/vipproxy/stats")

    def test_cfg(self) -> None:
        """So does examples/openstack.cfg, which is HAProxy's own configuration."""
        self.starts("openstack.cfg", "/var/lib/haproxy/stats")

    def starts(self, config: str, socket: str) -> None:
        if os.getuid() != 0:
            raise SkipTest("a network namespace needs root")
        script = INSIDE.format(
            python=sys.executable,
            config=ROOT / "examples" / config,
            socket=socket,
            socat=require("socat"),
        )
        done = subprocess.run(
            [require("unshare"), "--net", "--mount", "sh", "-c", script],
            capture_output=True,
            text=True,
            timeout=60,
            env=environment(),
            cwd=Path("/"),
            check=False,
        )
        rows = [line.split(",") for line in done.stdout.splitlines() if "," in line]
        frontends = [row for row in rows if row[1] == "FRONTEND"]
        self.assertEqual(len(frontends), 18, done.stdout + done.stderr)
        self.assertEqual({row[17] for row in frontends}, {"OPEN"})
        self.assertEqual(done.stdout.splitlines()[-2:], ["status 0", "0"], done.stdout)
