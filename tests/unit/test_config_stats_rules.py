"""Rules about the statistics: who may change servers, and what is shown."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from vipproxy.config import loads
from vipproxy.errors import ConfigError
from vipproxy.plugins import Catalog

STATS = """[frontend monitor]
protocol = stats
bind = 127.0.0.1:9300
"""


def problems(lines: str) -> list[str]:
    """What is said of a stats frontend with these lines, without places."""
    try:
        loaded = loads(STATS + lines, Catalog(), descriptor_limit=10_000_000)
    except ConfigError as error:
        heads = [each for each in error.report.splitlines() if each.startswith("<string>:")]
        return [each.split(": ", 1)[1] for each in heads]
    return [f"{each.severity.value}: {each.message}" for each in loaded.warnings]


class AdminTests(SynchronousTestCase):
    def test_no_password(self) -> None:
        """Actions without a password are worth a warning."""
        expected = "warning: anybody may change servers on the page of frontend 'monitor'"
        self.assertEqual(problems("stats-admin = on\n"), [expected])

    def test_password(self) -> None:
        """With one they are fine, and so is a page without actions."""
        for lines in ("stats-admin = on\nstats-auth = a:b\n", "stats-admin = off\n", ""):
            self.assertEqual(problems(lines), [])


class ScopeTests(SynchronousTestCase):
    def test_unknown(self) -> None:
        """A scope is a name that there is."""
        self.assertEqual(
            problems("stats-scope = monitor monitr\n"),
            ["error: unknown frontend or backend 'monitr' in 'stats-scope'"],
        )
