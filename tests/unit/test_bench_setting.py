"""The benchmark's configurations are accepted, and say the same to both proxies."""

from __future__ import annotations

import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bench.heads import heads
from bench.setting import (
    Server,
    Service,
    Setting,
    haproxy_text,
    portforward_arguments,
    vipproxy_text,
)
from tests.support import require
from vipproxy.config import loads
from vipproxy.plugins import Catalog

SETTING = Setting(
    [
        Service("reply", "tcp", 1001, [Server(2001, 3001), Server(2002)], "http", "500ms"),
        Service("mysql", "mysql", 1002, [Server(2003)]),
        Service("http", "http", 1003, [Server(2004), Server(2005)]),
    ],
    1000,
    Path("/tmp"),
)


class SettingTests(SynchronousTestCase):
    def test_vipproxy(self) -> None:
        """vipproxy reads its configuration without a word."""
        loaded = loads(vipproxy_text(SETTING), Catalog(), "bench.ini", 10**9)
        self.assertEqual(loaded.problems.report(), "")
        reply = loaded.config.backends[0]
        self.assertEqual(len(reply.servers), 2)
        self.assertEqual(reply.servers[0].options.check_port, 3001)

    def test_haproxy(self) -> None:
        """HAProxy reads its own without a word."""
        path = Path(self.mktemp())
        path.write_text(haproxy_text(SETTING))
        command = [require("haproxy"), "-c", "-q", "-f", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_portforward(self) -> None:
        """portforward has the first server of what is not HTTP."""
        self.assertEqual(portforward_arguments(SETTING), ["1001:2001", "1002:2003"])

    def test_heads(self) -> None:
        """Half of the requests have a cookie, and each is a request of its own."""
        each = heads(64).split("\r\n\r\n")[:-1]
        self.assertEqual(len(set(each)), 64)
        self.assertEqual(sum("Cookie: " in head for head in each), 32)
