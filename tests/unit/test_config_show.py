"""Effective values with their origins."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from tests.unit.config_fakes import MINIMAL, read
from vipproxy.config.show import show

TEXT = """\
[defaults]
maxconn = 9
[frontend f]
protocol = tcp
bind = 127.0.0.1:8000
backend = b
[backend b]
check = http interval=1s
stick = dst
server n1 = 127.0.0.2:80 backup weight=2
[frontend s]
protocol = stats
bind = 127.0.0.1:1
password = hunter2
[backend c]
server n1 = 127.0.0.3:80
"""


def rows(text: str) -> dict[str, tuple[str, str]]:
    """``section key`` -> value, origin."""
    found, header = {}, ""
    for line in show(read(text).draft, "/etc/cluster.ini").splitlines():
        if line.startswith("["):
            header = line
        elif line:
            key, rest = line.split(" = ", 1)
            value, origin = rest.rsplit("  # ", 1)
            found[f"{header} {key.strip()}"] = (value.strip(), origin)
    return found


class Show(SynchronousTestCase):
    def test_origins(self) -> None:
        """Each value names the line that says it, the [defaults] that do, or the default."""
        found = rows(TEXT)
        self.assertEqual(found["[frontend f] bind"], ("127.0.0.1:8000", "cluster.ini:5"))
        self.assertEqual(found["[frontend f] maxconn"], ("9", "[defaults] cluster.ini:2"))
        self.assertEqual(found["[frontend f] timeout-client"], ("30s", "default"))
        self.assertEqual(found["[global] grace"], ("5s", "default"))

    def test_lines(self) -> None:
        """Options of one line are shown with all their effective parts."""
        found = rows(TEXT)
        check = "http path=/ interval=1s rise=2 fall=3 hold-down=30s"
        self.assertEqual(found["[backend b] check"], (check, "cluster.ini:8"))
        server = "127.0.0.2:80 weight=2 backup maxconn=0 check=on"
        self.assertEqual(found["[backend b] server n1"], (server, "cluster.ini:10"))

    def test_dependent_defaults(self) -> None:
        """Defaults that depend on other options are shown as what they come to."""
        found = rows(TEXT)
        self.assertEqual(found["[backend b] timeout-queue"], ("5s", "default"))
        self.assertEqual(found["[backend b] on-marked-down"], ("shutdown-sessions", "default"))
        self.assertEqual(found["[backend c] on-marked-down"], ("none", "default"))

    def test_secrets(self) -> None:
        """Secrets are masked."""
        self.assertEqual(rows(TEXT)["[frontend s] password"][0], "********")

    def test_aligned(self) -> None:
        """In a section the equals signs and the origins stand in columns."""
        section = show(read(TEXT).draft, "cluster.ini").split("\n\n")[1].splitlines()[1:]
        self.assertEqual(len({line.index(" = ") for line in section}), 1)
        self.assertEqual(len({line.index("  # ") for line in section}), 1)

    def test_again(self) -> None:
        """Without the origins it is a configuration that says the same."""
        first = read(MINIMAL)
        shown = re.sub(r"\s*# .*", "", show(first.draft, "cluster.ini"))
        second = read(shown)
        self.assertEqual(second.config.frontends, first.config.frontends)
        self.assertEqual(second.config.backends[0].servers, first.config.backends[0].servers)

    def test_several(self) -> None:
        """A key that stands several times is shown as often, each with its own line."""
        text = f"[global]\nstats-socket = /a level=admin\nstats-socket = 127.0.0.1:9\n{MINIMAL}"
        lines = show(read(text).draft, "/etc/cluster.ini").splitlines()
        found = [" ".join(line.split()) for line in lines if line.startswith("stats-socket ")]
        self.assertEqual(
            found,
            [
                "stats-socket = /a level=admin # cluster.ini:2",
                "stats-socket = 127.0.0.1:9 level=operator # cluster.ini:3",
            ],
        )
