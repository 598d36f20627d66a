"""Options of one line."""

from __future__ import annotations

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.unit.config_fakes import FakeCatalog, HttpCheckOptions
from vipproxy.config.cookie_options import CookieOptions
from vipproxy.config.kinds import BadValue, Kind
from vipproxy.config.options import (
    CheckOptions,
    KeepaliveOptions,
    StatsSocketOptions,
    StickOptions,
)
from vipproxy.config.records import Chosen, PluginLine, plugin, record
from vipproxy.config.server_options import ServerOptions
from vipproxy.values import Address

SERVER = record(ServerOptions)
CHECK = PluginLine("check", CheckOptions, catalog=FakeCatalog())
PROTOCOL = PluginLine("protocol", inline=False, catalog=FakeCatalog())

ADDRESS = Address("10.0.0.1", 80)


class Records(SynchronousTestCase):
    def wrong(self, text: str, kind: Kind[object] = SERVER) -> list[tuple[str, int, int]]:
        """All parts that are wrong: message, offset, length."""
        error = self.assertRaises(BadValue, kind.parse, text)
        return [(each.message, each.offset, each.length) for each in error.parts]

    def test_server(self) -> None:
        """Positional, key=value and flag words come in any order after the address."""
        options = ServerOptions(address=ADDRESS, weight=2, backup=True, check=False)
        self.assertEqual(SERVER.parse("10.0.0.1:80 weight=2 backup check=off"), options)
        self.assertEqual(SERVER.parse("check=off weight=2 10.0.0.1:80 backup"), options)

    def test_cookie(self) -> None:
        """The first bare word is the cookie's name, also where it looks like a flag."""
        parsed = record(CookieOptions).parse("insert insert nocache")
        self.assertEqual(parsed, CookieOptions(name="insert", insert=True, nocache=True))

    def test_keepalive(self) -> None:
        """on and off stand alone; with numbers they may be left out."""
        keepalive = record(KeepaliveOptions)
        self.assertEqual(keepalive.parse("off"), KeepaliveOptions(enabled=False))
        numbers = KeepaliveOptions(enabled=True, idle=60.0, count=6)
        self.assertEqual(keepalive.parse("idle=60s count=6"), numbers)
        self.assertEqual(keepalive.parse("on count=6 idle=60s"), numbers)

    def test_bad_keepalive(self) -> None:
        """A word that is neither on nor off nor a key is wrong."""
        keepalive = record(KeepaliveOptions)
        self.assertEqual(self.wrong("maybe", keepalive), [("'maybe' is neither on nor off", 0, 5)])
        self.assertEqual(self.wrong("idel=6s", keepalive), [("unknown word 'idel'", 0, 4)])

    def test_permissions(self) -> None:
        """Permissions are octal digits."""
        message = "'rw' are not permissions in octal such as 0600"
        self.assertEqual(self.wrong("/s mode=rw", record(StatsSocketOptions)), [(message, 8, 2)])

    def test_every_part(self) -> None:
        """Everything wrong in a line is reported at its own place."""
        expected = [
            ("unknown word 'wieght'", 12, 6),
            ("'many' is not a whole number", 29, 4),
            ("unknown word 'bakcup'", 34, 6),
        ]
        self.assertEqual(self.wrong("10.0.0.1:80 wieght=2 maxconn=many bakcup"), expected)

    def test_suggestion(self) -> None:
        """An unknown word comes with the one that was meant."""
        error = self.assertRaises(BadValue, SERVER.parse, "10.0.0.1:80 wieght=2")
        self.assertTrue(error.hint.startswith("did you mean 'weight'? known: weight, backup"))

    def test_twice(self) -> None:
        """An option can be given once."""
        expected = [("'weight' is given twice", 21, 8)]
        self.assertEqual(self.wrong("10.0.0.1:80 weight=1 weight=2"), expected)

    def test_missing(self) -> None:
        """What must be given is asked for by its form."""
        self.assertEqual(self.wrong("weight=2"), [("ADDRESS:PORT is missing", 0, 8)])
        self.assertEqual(self.wrong("size=2", record(StickOptions)), [("dst|src is missing", 0, 6)])

    def test_no_value(self) -> None:
        """A key that needs a value says so, with or without the equals sign."""
        self.assertEqual(self.wrong("10.0.0.1:80 weight"), [("'weight' needs a value", 12, 6)])
        self.assertEqual(self.wrong("10.0.0.1:80 weight="), [("'weight' needs a value", 12, 7)])

    @settings(deadline=None)
    @given(st.text(alphabet="0123456789.: =abckeupwight\t", max_size=40))
    def test_any_text(self, text: str) -> None:
        """Any text is read, and survives a round trip, or raises BadValue pointing into it."""
        try:
            value = SERVER.parse(text)
        except BadValue as error:
            for part in error.parts:
                self.assertLessEqual(part.offset + part.length, len(text))
        else:
            self.assertEqual(SERVER.parse(SERVER.format(value)), value)

    @settings(deadline=None)
    @given(
        st.builds(
            ServerOptions,
            address=st.just(ADDRESS),
            weight=st.integers(0, 256),
            backup=st.booleans(),
            check=st.booleans(),
            check_port=st.none() | st.integers(1, 65535),
            cookie=st.none() | st.text("abc=", min_size=1),
        )
    )
    def test_round_trip(self, options: ServerOptions) -> None:
        """Options are written so that they are read as the same options."""
        self.assertEqual(SERVER.parse(SERVER.format(options)), options)


class Plugins(SynchronousTestCase):
    def test_options_of_both(self) -> None:
        """The words after a check's name belong to the check, or to all checks."""
        chosen = CHECK.parse("http path=/x interval=1s strict port=9200")
        self.assertEqual(chosen.name, "http")
        self.assertIs(chosen.plugin, FakeCatalog.plugins["check"]["http"])
        self.assertEqual(chosen.options, HttpCheckOptions(path="/x", strict=True))
        self.assertEqual(chosen.common, CheckOptions(interval=1.0, port=9200))

    def test_no_options(self) -> None:
        """A plugin without options has None, and the common ones all the same."""
        chosen = CHECK.parse("tcp rise=5")
        self.assertEqual((chosen.options, chosen.common), (None, CheckOptions(rise=5)))

    def test_unknown(self) -> None:
        """An unknown name comes with a suggestion."""
        error = self.assertRaises(BadValue, CHECK.parse, "galerra interval=1s")
        self.assertEqual(
            (str(error), error.offset, error.length), ("unknown check 'galerra'", 0, 7)
        )
        self.assertIn("did you mean 'galera'?", error.hint)

    def test_offsets(self) -> None:
        """A wrong option is reported where it stands on the line."""
        error = self.assertRaises(BadValue, CHECK.parse, "http  fall=x")
        self.assertEqual(error.offset, 11)

    def test_protocols(self) -> None:
        """A protocol's options are not on its line."""
        self.assertIsNone(PROTOCOL.parse("http").options)
        error = self.assertRaises(BadValue, PROTOCOL.parse, "http monitor-uri=/x")
        self.assertEqual(str(error), "unknown word 'monitor-uri'")

    def test_validators(self) -> None:
        """What a plugin's own options class says against them is a bad value."""
        error = self.assertRaises(BadValue, CHECK.parse, "picky low=5 high=1")
        self.assertEqual(str(error), "'low' is above 'high'")

    def test_shared_option(self) -> None:
        """A check cannot take a common option for itself."""
        error = self.assertRaises(BadValue, CHECK.parse, "greedy")
        self.assertEqual(str(error), "'greedy' declares 'timeout', which all such plugins have")

    def test_format(self) -> None:
        """A chosen plugin is written with all its options, and read back."""
        text = "http path=/ interval=1s rise=2 fall=3 hold-down=30s"
        self.assertEqual(CHECK.format(CHECK.parse("http interval=1s")), text)
        self.assertEqual(CHECK.parse(text), CHECK.parse("http interval=1s"))

    def test_defaults(self) -> None:
        """A default is a bare name."""
        self.assertEqual(attrs.astuple(Chosen(name="roundrobin")), ("roundrobin", None, None, None))

    def test_without_a_catalog(self) -> None:
        """Without a catalog no plugin is known."""
        self.assertRaises(BadValue, plugin("check").parse, "tcp")
