"""What must hold between options."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.unit.config_fakes import MINIMAL, FakeCatalog, heads, report
from vipproxy import native
from vipproxy.config import loads


def frontend(name: str, port: int, backend: str = "b", protocol: str = "tcp") -> str:
    bind = f"127.0.0.1:{port}"
    return f"[frontend {name}]\nprotocol = {protocol}\nbind = {bind}\nbackend = {backend}\n"


class Frontends(SynchronousTestCase):
    def test_no_backend(self) -> None:
        """A frontend whose protocol needs a backend must have one."""
        expected = [
            "1:1: error: frontend 'f' has no backend",
            "4:1: warning: no frontend uses backend 'b'",
        ]
        self.assertEqual(heads(MINIMAL.replace("backend = b\n", "")), expected)

    def test_no_backend_needed(self) -> None:
        """A protocol that answers by itself needs none."""
        self.assertEqual(report("[frontend s]\nprotocol = stats\nbind = 127.0.0.1:1\n"), "")

    def test_unknown_backend(self) -> None:
        """A backend that is not there is an error, with a suggestion."""
        shown = report(MINIMAL.replace("backend = b\n", "backend = bb\n"))
        self.assertIn("cluster.ini:4:11: error: unknown backend 'bb' in frontend 'f'", shown)
        self.assertIn("^^ did you mean 'b'? known: b", shown)

    def test_unknown_routes(self) -> None:
        """So is one that a protocol's option names, at its own word."""
        routes = MINIMAL.replace("= tcp\n", "= line\nroutes = b nowhere\n")
        expected = ["3:12: error: unknown backend 'nowhere' in frontend 'f'"]
        self.assertEqual(heads(routes), expected)

    def test_routes_are_uses(self) -> None:
        """A backend that only a protocol's option names is used."""
        routes = MINIMAL.replace("= tcp\n", "= line\nroutes = b\n").replace("backend = b\n", "")
        self.assertEqual(heads(routes), [])

    def test_no_frontend(self) -> None:
        """A file that serves nothing is worth a warning."""
        expected = ["1:1: warning: there is no frontend: nothing is served"]
        self.assertEqual(heads("[global]\ngrace = 1s\n"), expected)

    def test_same_bind(self) -> None:
        """One address cannot be bound twice, not by one frontend either."""
        expected = ["9:8: error: 127.0.0.1:8000 in frontend 'g' is taken by frontend 'f'"]
        self.assertEqual(heads(MINIMAL + frontend("g", 8000)), expected)
        twice = MINIMAL.replace("127.0.0.1:8000", "127.0.0.1:1 127.0.0.1:1")
        self.assertEqual(len(heads(twice)), 1)
        unix = MINIMAL.replace("127.0.0.1:8000", "unix@/a unix@/b unix@/a abns@a")
        self.assertEqual(len(heads(unix)), 1)

    def test_wildcard_bind(self) -> None:
        """0.0.0.0 collides with every IPv4 address of its port, and with no IPv6 one."""
        wild = MINIMAL.replace("127.0.0.1:8000", "0.0.0.0:8000 [::1]:8000")
        self.assertEqual(len(heads(wild + frontend("g", 8000))), 1)
        self.assertEqual(heads(wild + frontend("g", 8001)), [])

    def test_any_port(self) -> None:
        """Port 0 never collides."""
        self.assertEqual(heads(MINIMAL.replace("8000", "0") + frontend("g", 0)), [])


class Servers(SynchronousTestCase):
    def test_none(self) -> None:
        """A backend must have a server."""
        expected = ["5:1: error: backend 'b' has no servers"]
        self.assertEqual(heads(MINIMAL.replace("server n1 = 127.0.0.2:80\n", "")), expected)

    def test_same_address(self) -> None:
        """One server address cannot be twice in a backend; in two backends it can."""
        expected = ["7:13: error: 127.0.0.2:80 is in backend 'b' twice"]
        self.assertEqual(heads(MINIMAL + "server n2 = 127.0.0.2:80\n"), expected)
        two = MINIMAL + "[backend c]\nserver n1 = 127.0.0.2:80\n" + frontend("g", 1, "c")
        self.assertEqual(heads(two), [])

    def test_same_name(self) -> None:
        """Servers of a backend have different names."""
        expected = ["7:1: error: 'server n1' is given twice in backend 'b'"]
        self.assertEqual(heads(MINIMAL + "server n1 = 127.0.0.3:80\n"), expected)

    def test_all_backup(self) -> None:
        """A backend of backup servers alone is worth a warning."""
        expected = ["6:26: warning: all servers of backend 'b' are backup servers"]
        self.assertEqual(heads(MINIMAL.replace(":80\n", ":80 backup\n")), expected)


class Cookies(SynchronousTestCase):
    http = MINIMAL.replace("= tcp", "= http")
    good = http.replace(":80\n", ":80 cookie=x\n") + "cookie = ID insert\n"

    def test_good(self) -> None:
        """A cookie in an http backend whose servers have values is fine."""
        self.assertEqual(heads(self.good), [])

    def test_tcp_only(self) -> None:
        """A cookie that only tcp frontends could use has no effect."""
        expected = [
            "7:10: warning: 'cookie' has no effect in backend 'b': only tcp frontends use it"
        ]
        tcp = self.good.replace("= http", "= tcp")
        self.assertEqual(heads(tcp), expected)
        self.assertEqual(heads(tcp + frontend("g", 1, protocol="http")), [])

    def test_inherited(self) -> None:
        """A cookie from [defaults] is no mistake of a tcp backend."""
        self.assertEqual(heads("[defaults]\ncookie = ID insert\n" + MINIMAL), [])

    def test_server_alone(self) -> None:
        """A server's cookie needs the backend's."""
        expected = ["6:26: warning: 'cookie' of server 'n1' has no effect"]
        self.assertEqual(heads(self.http.replace(":80\n", ":80 cookie=x\n")), expected)

    def test_no_value(self) -> None:
        """A server without a value is worth a warning."""
        expected = ["6:13: warning: server 'n1' has no cookie value: nobody stays on it"]
        self.assertEqual(heads(self.good.replace(" cookie=x", "")), expected)

    def test_same_value(self) -> None:
        """Two servers cannot have one value."""
        expected = ["8:26: error: cookie value 'x' is in backend 'b' twice"]
        self.assertEqual(heads(self.good + "server n2 = 127.0.0.3:80 cookie=x\n"), expected)


class MarkingDown(SynchronousTestCase):
    def test_no_check(self) -> None:
        """Without a check nothing is marked down."""
        expected = ["7:18: warning: backend 'b' has no 'check', so nothing is ever marked down"]
        self.assertEqual(heads(MINIMAL + "on-marked-down = shutdown-sessions\n"), expected)
        for harmless in ("= none\n", "= shutdown-sessions\ncheck = tcp\n"):
            self.assertEqual(heads(MINIMAL + f"on-marked-down {harmless}"), [])

    def test_pin(self) -> None:
        """A pinned backend must shut sessions down; the hint says why."""
        pinned = MINIMAL + "check = tcp\nstick = dst\non-marked-down = none\n"
        shown = report(pinned)
        self.assertIn(
            "9:18: error: 'on-marked-down = none' contradicts 'stick = dst' in backend 'b'", shown
        )
        self.assertIn("two would serve", shown)
        self.assertEqual(heads(pinned.replace("dst", "src")), [])


class Global(SynchronousTestCase):
    def test_two_places(self) -> None:
        """State is kept in one place."""
        text = "[global]\nstate-file = /x\nstore = memory\n" + MINIMAL
        expected = ["3:9: error: give 'store' or 'state-file', not both"]
        self.assertEqual(heads(text), expected)

    def test_descriptors(self) -> None:
        """More sessions than descriptors give one warning, with the numbers."""
        text = "[defaults]\nmaxconn = 1000\n" + MINIMAL + frontend("g", 1)
        loaded = loads(text, FakeCatalog(), "cluster.ini", 4099)
        message = (
            "'maxconn' of all frontends is 2000, which needs 4100 file descriptors; "
            "the limit is 4099"
        )
        (warning,) = loaded.warnings
        self.assertEqual((warning.line, warning.column, warning.message), (2, 11, message))
        self.assertEqual(loads(text, FakeCatalog(), "cluster.ini", 4100).warnings, [])


class Relay(SynchronousTestCase):
    def test_threads_of_nobody(self) -> None:
        """The Twisted engine has no threads: to ask for some is an error."""
        shown = report("[global]\nrelay = twisted\nrelay-threads = 2\n" + MINIMAL)
        self.assertIn("error: 'relay-threads' are the native relay's", shown)

    def test_not_installed(self) -> None:
        """The native relay cannot be had where it was not built; `auto` does without it."""
        self.patch(native, "available", False)
        self.patch(native, "why_not", "no module named _engine")
        shown = report("[global]\nrelay = native\n" + MINIMAL)
        self.assertIn("the native relay is not installed here: no module named _engine", shown)
        self.assertEqual(heads("[global]\nrelay = auto\n" + MINIMAL), [])
