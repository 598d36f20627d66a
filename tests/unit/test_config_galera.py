"""The example configurations of a Galera cluster."""

from __future__ import annotations

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from vipproxy.config import Loaded, loads
from vipproxy.plugins import Catalog

EXAMPLES = Path(__file__).parents[2] / "examples"


class GaleraExamples(SynchronousTestCase):
    def load(self, name: str) -> Loaded:
        """An example, with a password file that exists."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        password = Path(directory.name) / "password"
        password.write_text("secret\n")
        text = (EXAMPLES / name).read_text()
        text = text.replace("/etc/vipproxy/check.password", str(password))
        return loads(text, Catalog(), name, descriptor_limit=10**9)

    def test_no_problems(self) -> None:
        """Both load without a word."""
        for name in ("galera.ini", "galera-read-split.ini"):
            self.assertEqual(self.load(name).problems.report(), "")

    def test_one_writer(self) -> None:
        """Writers share one pin, which never returns by itself; it outlives the process."""
        config = self.load("galera.ini").config
        (backend,) = config.backends
        assert backend.options.stick is not None
        self.assertEqual(backend.options.stick.key, "dst")
        self.assertTrue(backend.options.shuts_sessions_down)
        self.assertIsNone(backend.options.fail_back)
        self.assertIsNotNone(config.options.state_file)

    def test_reads_elsewhere(self) -> None:
        """Reads have a port and a pool of their own, without a pin, over the same servers."""
        config = self.load("galera-read-split.ini").config
        writer, readers = config.backends
        self.assertEqual(writer.options.stick, self.writer_stick())
        self.assertIsNone(readers.options.stick)
        self.assertEqual(readers.options.balance.name, "leastconn")
        self.assertEqual(readers.servers, writer.servers)
        ports = [[bind.port for bind in each.options.bind] for each in config.frontends]
        self.assertEqual(ports, [[3306], [3307]])

    def writer_stick(self) -> object:
        return self.load("galera.ini").config.backends[0].options.stick
