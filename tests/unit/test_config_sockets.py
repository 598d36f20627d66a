"""Stats sockets in the configuration: one or several, Unix or TCP."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.unit.config_fakes import MINIMAL, FakeCatalog, read
from vipproxy.config import loads
from vipproxy.config.socket_options import StatsSocketOptions
from vipproxy.errors import ConfigError
from vipproxy.values import Address


def sockets(*lines: str) -> tuple[StatsSocketOptions, ...]:
    text = "[global]\n" + "".join(f"stats-socket = {line}\n" for line in lines)
    return read(text + MINIMAL).config.options.stats_socket


def report(*lines: str) -> str:
    text = "[global]\n" + "".join(f"{line}\n" for line in lines)
    try:
        loads(text + MINIMAL, FakeCatalog(), "cluster.ini", 10**9)
    except ConfigError as error:
        return error.report
    return ""


class StatsSockets(SynchronousTestCase):
    def test_none(self) -> None:
        """Without the key there is none."""
        self.assertEqual(sockets(), ())

    def test_one(self) -> None:
        """A path, with level and mode."""
        (one,) = sockets("/run/stats level=admin mode=0660")
        self.assertEqual((one.address, one.level, one.mode), (Path("/run/stats"), "admin", "0660"))

    def test_several(self) -> None:
        """Any number of lines, in their order."""
        found = sockets("/run/stats", "stats", "127.0.0.1:9999 level=user", "[::1]:9999")
        self.assertEqual(
            [each.address for each in found],
            [Path("/run/stats"), Path("stats"), Address("127.0.0.1", 9999), Address("::1", 9999)],
        )

    def test_twice(self) -> None:
        """Two at one address cannot be made, nor one where a frontend listens."""
        wrong = report("stats-socket = /a", "stats-socket = /a level=user")
        self.assertIn("cluster.ini:3:16: error: /a is taken already", wrong)
        binds = read(MINIMAL).config.frontends[0].options.bind
        self.assertIn(f"{binds[0]} is taken already", report(f"stats-socket = {binds[0]}"))

    def test_mode_of_a_port(self) -> None:
        """A TCP port has no permissions."""
        wrong = report("stats-socket = /a", "stats-socket = 127.0.0.1:9 mode=0600")
        self.assertIn("cluster.ini:3:", wrong)
        self.assertIn("'mode' is for Unix sockets, and 127.0.0.1:9 is a TCP port", wrong)

    def test_wrong_place(self) -> None:
        """What looks like a port and is none is not taken for a path."""
        self.assertIn("host names such as", report("stats-socket = localhost:9999"))
        self.assertIn("is not a port number", report("stats-socket = 127.0.0.1:99999"))

    def test_each_is_checked(self) -> None:
        """Every line that is wrong is told at its own place."""
        wrong = report("stats-socket = /a level=root", "stats-socket = /b", "stats-socket = /c x=1")
        self.assertIn("cluster.ini:2:25: error: unknown value 'root'", wrong)
        self.assertIn("cluster.ini:4:19: error: unknown word 'x'", wrong)

    def test_open_to_all(self) -> None:
        """A port where anybody may change everything is warned of."""
        text = f"[global]\nstats-socket = 192.0.2.1:9 level=admin\n{MINIMAL}"
        problems = [each.message for each in read(text).warnings]
        self.assertIn("whoever can reach 192.0.2.1:9 may change everything", problems)
        for place in ("127.0.0.1:9 level=admin", "[::1]:9 level=admin", "192.0.2.1:9"):
            problems = read(f"[global]\nstats-socket = {place}\n{MINIMAL}").warnings
            self.assertEqual([each for each in problems if "reach" in each.message], [])

    def test_others_once(self) -> None:
        """Other keys may still be given once only."""
        wrong = report("stats-timeout = 1s", "stats-timeout = 2s")
        self.assertIn("'stats-timeout' is given twice in [global]", wrong)
