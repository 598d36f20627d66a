"""Document + plugins -> ClusterConfig."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.unit.config_fakes import (
    MINIMAL,
    FakeCatalog,
    HttpOptions,
    LineOptions,
    RandomOptions,
    StatsOptions,
    heads,
    read,
    report,
)
from vipproxy.config import Loaded, load, loads
from vipproxy.config.options import BackendOptions, FrontendOptions, GlobalOptions
from vipproxy.config.server_options import CheckOptions
from vipproxy.errors import ConfigError
from vipproxy.values import Address

SKELETON = """\
[global]
{global_}
[defaults]
{defaults}
[frontend f]
protocol = {protocol}
bind = 127.0.0.1:8000
backend = b
{frontend}
[backend b]
server n1 = 127.0.0.2:80
{backend}
"""


def temporary(case: SynchronousTestCase, data: bytes) -> Path:
    """A file that lasts as long as the test."""
    handle, path = tempfile.mkstemp()
    case.addCleanup(os.unlink, path)
    with open(handle, "wb") as file:
        file.write(data)
    return Path(path)


def text(
    *,
    global_: str = "",
    defaults: str = "",
    frontend: str = "",
    backend: str = "",
    protocol: str = "tcp",
) -> str:
    return SKELETON.format(
        global_=global_, defaults=defaults, frontend=frontend, backend=backend, protocol=protocol
    )


def frontend_of(loaded: Loaded) -> FrontendOptions:
    return loaded.config.frontends[0].options


def backend_of(loaded: Loaded) -> BackendOptions:
    return loaded.config.backends[0].options


class Building(SynchronousTestCase):
    def test_minimal(self) -> None:
        """What is not said has its default, and default plugins are looked up."""
        loaded = read(MINIMAL)
        (frontend,), (backend,) = loaded.config.frontends, loaded.config.backends
        self.assertEqual(loaded.config.options, GlobalOptions())
        self.assertEqual(frontend.options.bind, (Address("127.0.0.1", 8000),))
        self.assertEqual((frontend.options.backend, frontend.backends), ("b", ("b",)))
        self.assertIs(frontend.options.protocol.plugin, FakeCatalog.plugins["protocol"]["tcp"])
        roundrobin = FakeCatalog.plugins["balancer"]["roundrobin"]
        self.assertIs(backend.options.balance.plugin, roundrobin)
        self.assertEqual(backend.servers[0].options.address, Address("127.0.0.2", 80))
        self.assertEqual(loaded.warnings, [])

    def test_frozen(self) -> None:
        """A configuration cannot be changed."""
        frontend = read(MINIMAL).config.frontends[0]
        with self.assertRaises(attrs.exceptions.FrozenInstanceError):
            frontend.name = "other"  # type: ignore[misc]

    def test_path(self) -> None:
        """A configuration knows where it came from."""
        self.assertEqual(read(MINIMAL).config.path, "cluster.ini")

    def test_plugins(self) -> None:
        """Plugins get their options: on the line, or in the frontend's section."""
        loaded = read(
            text(
                protocol="http",
                frontend="monitor-uri = /x",
                backend="check = tcp fall=9\nbalance = random draws=3",
            )
        )
        protocol_options = loaded.config.frontends[0].protocol_options
        self.assertEqual(protocol_options, HttpOptions(monitor_uri="/x"))
        check = backend_of(loaded).check
        assert check is not None
        self.assertEqual(check.common, CheckOptions(fall=9))
        self.assertEqual(backend_of(loaded).balance.options, RandomOptions(draws=3))

    def test_named_backends(self) -> None:
        """Backends that a protocol's options name are the frontend's, each once."""
        loaded = read(
            MINIMAL.replace("= tcp\n", "= line\nroutes = c b\n")
            + "[backend c]\nserver n = 127.0.0.3:80\n"
        )
        self.assertEqual(loaded.config.frontends[0].backends, ("b", "c"))
        protocol_options = loaded.config.frontends[0].protocol_options
        self.assertEqual(protocol_options, LineOptions(routes=("c", "b")))


class Defaults(SynchronousTestCase):
    def test_inherited(self) -> None:
        """[defaults] reach frontends, backends and protocols; a section's own value wins."""
        defaults = "maxconn = 7\ntimeout-server = 1m\nretries = 1\ntimeout-tunnel = 9s"
        loaded = read(text(defaults=defaults, protocol="http", backend="retries = 2"))
        self.assertEqual(frontend_of(loaded).maxconn, 7)
        self.assertEqual(backend_of(loaded).timeout_server, 60.0)
        self.assertEqual(backend_of(loaded).retries, 2)
        protocol_options = loaded.config.frontends[0].protocol_options
        self.assertEqual(protocol_options, HttpOptions(timeout_tunnel=9.0))

    def test_later_sections(self) -> None:
        """[defaults] reach later sections only."""
        self.assertEqual(frontend_of(read(MINIMAL + "[defaults]\nmaxconn = 7\n")).maxconn, 2000)

    def test_afresh(self) -> None:
        """A second [defaults] forgets the first."""
        loaded = read("[defaults]\nmaxconn = 7\n[defaults]\nretries = 1\n" + MINIMAL)
        self.assertEqual((frontend_of(loaded).maxconn, backend_of(loaded).retries), (2000, 1))

    def test_foreign_protocols(self) -> None:
        """A key of a protocol that a frontend does not have passes it by."""
        self.assertEqual(report("[defaults]\ntimeout-tunnel = 9s\n" + MINIMAL), "")

    def test_unknown(self) -> None:
        """A key that nobody knows is an error, and so is one that cannot be shared."""
        expected = [
            "2:1: error: unknown key 'maxcon' in [defaults]",
            "3:1: error: unknown key 'bind' in [defaults]",
        ]
        defaults = "[defaults]\nmaxcon = 7\nbind = 127.0.0.1:80\n"
        self.assertEqual(heads(defaults + MINIMAL), expected)

    def test_bad_value(self) -> None:
        """A bad value is reported once, however many sections it reaches, and even if none."""
        expected = ["2:11: error: 'x' is not a whole number in [defaults]"]
        self.assertEqual(heads("[defaults]\nmaxconn = x\n" + MINIMAL), expected)
        self.assertEqual(
            heads(MINIMAL + "[defaults]\nmaxconn = x\n"), [expected[0].replace("2:", "8:", 1)]
        )


class Problems(SynchronousTestCase):
    def test_design(self) -> None:
        """An unknown check is reported exactly as the design shows it."""
        shown = report(
            "\n" * 19
            + "[frontend f]\nprotocol = tcp\nbind = 127.0.0.1:1\nbackend = db-vms-galera\n"
            + "[backend db-vms-galera]\ncheck = galerra interval=1s\nserver n = 127.0.0.1:2\n"
        )
        expected = (
            "cluster.ini:25:9: error: unknown check 'galerra' in backend 'db-vms-galera'\n"
            "   25 | check = galerra interval=1s\n"
            "      |         ^^^^^^^ did you mean 'galera'? "
            "known: tcp, http, mysql, galera, picky, greedy"
        )
        self.assertEqual(shown, expected)

    def test_all_at_once(self) -> None:
        """Everything wrong is reported in one run, in the order of the file."""
        broken = """\
[global]
grace = 5
[frontend f]
protocol = tpc
bind = 127.0.0.1:80 nonsense
[backend b]
balanse = roundrobin
check = http fall=x rise=y
server n1 =
server n2 = 127.0.0.1:80 weight=300
"""
        expected = [
            "2:9: error: the duration '5' needs a unit in [global]",
            "4:12: error: unknown protocol 'tpc' in frontend 'f'",
            "5:21: error: expected ADDRESS:PORT, not 'nonsense' in frontend 'f'",
            "6:1: warning: no frontend uses backend 'b'",
            "7:1: error: unknown key 'balanse' in backend 'b'",
            "8:19: error: 'x' is not a whole number in backend 'b'",
            "8:26: error: 'y' is not a whole number in backend 'b'",
            "9:12: error: ADDRESS:PORT is missing in backend 'b'",
            "10:33: error: 300 is not between 0 and 256 in backend 'b'",
        ]
        self.assertEqual(heads(broken), expected)

    def test_missing(self) -> None:
        """What must be given is missed at the header, with the form of it."""
        shown = report("[frontend f]\nprotocol = stats\n")
        self.assertIn("cluster.ini:1:1: error: frontend 'f' has no 'bind'", shown)
        self.assertIn("^^^^^^^^^^^^ bind = ADDRESS:PORT ...", shown)

    def test_no_value(self) -> None:
        """A key without a value is an error."""
        expected = ["9:1: error: 'maxconn' has no value in frontend 'f'"]
        self.assertEqual(heads(text(frontend="maxconn =")), expected)

    def test_unsupported(self) -> None:
        """What is known but does not work yet is refused in so many words."""
        expected = ["9:1: error: 'push' does not work yet"]
        self.assertEqual(heads(text(frontend="push = on", protocol="http")), expected)

    def test_other_sections(self) -> None:
        """A key that is right elsewhere is sent there."""
        shown = report(text(frontend="retries = 1\nmonitor-uri = /x\nserver n = 127.0.0.1:1"))
        self.assertIn("it belongs in a [backend] section", shown)
        self.assertIn("^^^^^^^^ it belongs in a [backend] section", shown)
        self.assertIn("other protocols have it, this one has not", shown)

    def test_haproxy(self) -> None:
        """HAProxy's keywords are translated."""
        shown = report(text(frontend="default_backend = x", backend="timeout server = 1s"))
        self.assertIn("HAProxy's 'default_backend' is 'backend' here", shown)
        self.assertIn("HAProxy's 'timeout server' is 'timeout-server' here", shown)

    def test_broken_protocol(self) -> None:
        """Keys of a protocol that cannot be found are not blamed."""
        expected = ["6:12: error: unknown protocol 'htpt' in frontend 'f'"]
        self.assertEqual(heads(text(protocol="htpt", frontend="monitor-uri = /x")), expected)

    def test_missing_default_plugin(self) -> None:
        """A default plugin that is not installed is an error at the header."""

        class Bare(FakeCatalog):
            plugins = {**FakeCatalog.plugins, "balancer": {}}

        error = self.assertRaises(ConfigError, loads, MINIMAL, Bare())
        self.assertIn(":5:1: error: unknown balancer 'roundrobin' in backend 'b'", error.report)

    def test_server_names(self) -> None:
        """A server needs a name, of HAProxy's characters."""
        backend = "server = 127.0.0.3:80\nserver a/b = 127.0.0.4:80"
        expected = [
            "12:1: error: this server has no name",
            "13:1: error: 'a/b' cannot be a name",
        ]
        self.assertEqual(heads(text(backend=backend)), expected)

    def test_unreadable(self) -> None:
        """A file that cannot be read is a configuration error."""
        path = str(temporary(self, b"") / "none.ini")
        error = self.assertRaises(ConfigError, load, path, FakeCatalog())
        self.assertEqual(error.report, f"{path}: error: cannot be read: Not a directory")

    def test_bytes(self) -> None:
        """Bytes that are no UTF-8 are reported where they stand."""
        path = temporary(self, MINIMAL.encode() + b"# caf\xe9\n")
        error = self.assertRaises(ConfigError, load, path, FakeCatalog())
        self.assertIn(f"{path}:7:6: error: not a character of UTF-8 text", error.report)


SOME_KEYS = (
    "protocol bind backend maxconn keepalive stick check cookie retries on-marked-down "
    "stats-socket store grace routes monitor-uri server"
)
SOME_WORDS = (
    "tcp http line 127.0.0.1:80 [::1]:81 b c dst size=2 on idle=5s 5s 7 weight=3 backup insert "
    "cookie=x picky low=5 high=1 memory none /x level=admin ="
)
KEYS = st.sampled_from([*SOME_KEYS.split(), "server a", "server b", ""])
VALUES = st.lists(st.sampled_from(SOME_WORDS.split()), max_size=4).map(" ".join)
HEADERS = st.sampled_from(
    ["[global]", "[defaults]", "[frontend f]", "[frontend g]", "[backend b]", "[backend c]"]
)
LINES = HEADERS | st.tuples(KEYS, VALUES).map(" = ".join) | st.text(max_size=20)


class AnyText(SynchronousTestCase):
    @settings(deadline=None)
    @given(st.lists(LINES, max_size=30).map("\n".join) | st.text())
    def test_config_or_problems(self, text: str) -> None:
        """Any text gives a configuration or a report, never another exception."""
        try:
            loaded = read(text)
        except ConfigError as error:
            self.assertIn(": error: ", error.report)
        else:
            self.assertFalse(loaded.problems.has_errors)

    @settings(deadline=None)
    @given(st.binary())
    def test_bytes(self, data: bytes) -> None:
        """So does any file."""
        try:
            load(temporary(self, data), FakeCatalog())
        except ConfigError as error:
            self.assertIn(": error: ", error.report)


class ProtocolOptions(SynchronousTestCase):
    def test_defaults(self) -> None:
        """A protocol's options have their defaults where nothing is said."""
        loaded = read("[frontend s]\nprotocol = stats\nbind = 127.0.0.1:1\n")
        self.assertEqual(loaded.config.frontends[0].protocol_options, StatsOptions())
