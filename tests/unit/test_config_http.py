"""What the configuration says of HTTP: cookies, header changes, balancing by requests."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.unit.config_fakes import UNLIMITED
from vipproxy.config import loads
from vipproxy.config.cookie_options import CookieOptions
from vipproxy.config.http_kinds import (
    ATTRIBUTE,
    COOKIE_VALUE,
    DOMAIN,
    FIELD_CHANGE,
    FIELD_NAME,
    FRAMING,
    NETWORK,
    PARAMETER,
    TOKEN,
    FieldChange,
)
from vipproxy.config.kinds import BadValue, Kind
from vipproxy.config.records import record
from vipproxy.config.show import show
from vipproxy.errors import ConfigError
from vipproxy.plugins import Catalog

COOKIE = record(CookieOptions)

FRONTEND = "[frontend f]\nprotocol = http\nbind = 127.0.0.1:8000\nbackend = b\n"
BACKEND = "[backend b]\n{}server n1 = 127.0.0.2:80 {}\n"


def text(frontend: str = "", backend: str = "", server: str = "") -> str:
    return FRONTEND + frontend + BACKEND.format(backend, server)


def load(source: str) -> Any:
    return loads(source, Catalog(), "cluster.ini", UNLIMITED)


def heads(source: str) -> list[str]:
    """The first lines of all problems, without the file's name."""
    try:
        report = load(source).problems.report()
    except ConfigError as error:
        report = error.report
    return [line.removeprefix("cluster.ini:") for line in report.splitlines()[::3]]


class KindTests(SynchronousTestCase):
    def test_good(self) -> None:
        """What HTTP allows is taken as it is."""
        good: dict[Kind[str], tuple[str, ...]] = {
            TOKEN: ("SERVERID", "X_y-z.1", "!#$%&'*+-.^_`|~"),
            FIELD_NAME: ("X-User", "Cookie", "Server"),
            COOKIE_VALUE: ("c1", "rhos6-horizon1", "a~b", "a=b/(c)"),
            DOMAIN: (".example.org", "a.b-c.example", "localhost"),
            ATTRIBUTE: ("SameSite=Lax", "Priority=High", "Partitioned"),
            PARAMETER: ("user", "a[b]", "x.y", "%20"),
        }
        for kind, values in good.items():
            for value in values:
                self.assertEqual(kind.parse(value), value)

    def test_bad(self) -> None:
        """What would break a message's framing, or mean something else, is refused."""
        bad: dict[Kind[str], tuple[str, ...]] = {
            TOKEN: ("", "a b", "a:b", "a\tb", "é", "a\nb", 'a"', "a\n"),
            COOKIE_VALUE: ("", "a;b", "a,b", "a b", 'a"b', "a|b", "a\\b", "é", "a\n"),
            DOMAIN: ("", ".", "a..b", "a;b", "a b", "a\n"),
            ATTRIBUTE: ("", "a;b", "a\r\nb", "é", "a\n"),
            PARAMETER: ("", "a=b", "a&b", "a?b", "a#b", "a b", "a\n"),
        }
        for kind, values in bad.items():
            for value in values:
                self.assertRaises(BadValue, kind.parse, value)

    def test_framing(self) -> None:
        """Fields on which framing or routing depend cannot be changed, whatever their case."""
        for name in FRAMING:
            for spelling in name, name.upper(), name.title():
                self.assertRaises(BadValue, FIELD_NAME.parse, spelling)

    def test_networks(self) -> None:
        """A network of either family, or one address; bits of a host are dropped."""
        for value, network in {
            "127.0.0.1/8": "127.0.0.0/8", "10.1.2.3": "10.1.2.3/32", "fd00::1/8": "fd00::/8",
        }.items():  # fmt: skip
            self.assertEqual(NETWORK.parse(value), ip_network(network))
        for value in "10.0.0.0/33", "example.org", "10.0.0":
            self.assertRaises(BadValue, NETWORK.parse, value)

    def test_changes(self) -> None:
        """An action, and a value that goes to the end of the line."""
        for line, change in {
            "set https": FieldChange("set", "https"),
            "add  a = b; c  d": FieldChange("add", "a = b; c  d"),
            "delete": FieldChange("delete"),
        }.items():
            self.assertEqual(FIELD_CHANGE.parse(line), change)
            self.assertEqual(FIELD_CHANGE.parse(FIELD_CHANGE.format(change)), change)
        for line in "set", "add", "delete x", "remove", "Set x", "", "set a\rb", "set a\0":
            self.assertRaises(BadValue, FIELD_CHANGE.parse, line)


class CookieTests(SynchronousTestCase):
    def test_all(self) -> None:
        """Every word; domains and attributes may be repeated."""
        line = (
            "SERVERID insert indirect nocache preserve httponly secure domain=.a.b domain=c.d "
            "maxidle=30m maxlife=8h attr=SameSite=Lax attr=Priority=High"
        )
        parsed = COOKIE.parse(line)
        self.assertEqual(parsed.domain, (".a.b", "c.d"))
        self.assertEqual(parsed.attr, ("SameSite=Lax", "Priority=High"))
        self.assertEqual((parsed.maxidle, parsed.maxlife), (1800, 28800))
        self.assertEqual(COOKIE.format(parsed), line)

    def test_contradictions(self) -> None:
        """Modes exclude each other, and no word is without effect."""
        for words in (
            "insert prefix", "insert rewrite", "prefix rewrite", "rewrite indirect", "preserve",
            "prefix preserve", "nocache", "rewrite httponly", "prefix secure", "maxidle=1m",
            "indirect maxlife=1m", "prefix domain=a.b", "rewrite attr=SameSite=Lax",
        ):  # fmt: skip
            self.assertRaises(BadValue, COOKIE.parse, f"SERVERID {words}")

    def test_passive(self) -> None:
        """Without a mode the server's own cookie is looked at, and left alone."""
        self.assertEqual(COOKIE.parse("SERVERID"), CookieOptions(name="SERVERID"))

    @given(st.text(max_size=12))
    @settings(deadline=None)
    def test_anything(self, word: str) -> None:
        """Any word is read, or refused with a sentence."""
        try:
            parsed = COOKIE.parse(f"SERVERID insert {word}")
        except BadValue as error:
            self.assertTrue(error.message)
        else:
            self.assertEqual(COOKIE.parse(COOKIE.format(parsed)), parsed)

    def test_prefix(self) -> None:
        """With prefix, '~' ends a server's value; indirect with it is worth a warning."""
        source = text(backend="cookie = S prefix indirect\n", server="cookie=a~b")
        expected = [
            "6:19: warning: 'indirect' with 'prefix' in backend 'b'",
            "7:26: error: '~' in the cookie value of server 'n1'",
        ]
        self.assertEqual(heads(source), expected)
        self.assertEqual(heads(text(backend="cookie = S insert\n", server="cookie=a~b")), [])


class HeaderTests(SynchronousTestCase):
    def test_read(self) -> None:
        """Any number of them, in frontends and backends, in the order of the file."""
        source = text(
            "request-header X-B = set b\nrequest-header  X-A = add a = a\n",
            "response-header Server = delete\n",
        )
        config = load(source).config
        options = config.frontends[0].protocol_options
        changes = (("X-B", FieldChange("set", "b")), ("X-A", FieldChange("add", "a = a")))
        self.assertEqual((options.request_header, options.response_header), (changes, ()))
        backend = config.backends[0].options
        self.assertEqual(backend.response_header, (("Server", FieldChange("delete")),))

    def test_problems(self) -> None:
        """Names and values that cannot be are told at their places."""
        source = text(
            "request-header X-A = set 1\nrequest-header x-a = add 2\n"
            "response-header Content-Length = delete\nrequest-header a b = set c\n"
            "request-header Y = sit a\nrequest-header = set b\n"
        )
        expected = [
            "6:1: error: 'request-header x-a' is given twice in frontend 'f'",
            "7:1: error: the header 'Content-Length' cannot be changed in frontend 'f'",
            "8:1: error: 'a b' is not a header's name in frontend 'f'",
            "9:20: error: unknown action 'sit' in frontend 'f'",
            "10:1: error: unknown key 'request-header' in frontend 'f'",
        ]
        self.assertEqual(heads(source), expected)

    def test_not_in_defaults(self) -> None:
        """Frontend and backend would both do it, so it is no default."""
        source = "[defaults]\nrequest-header X = set a\n" + text()
        self.assertEqual(
            heads(source), ["2:1: error: unknown key 'request-header X' in [defaults]"]
        )

    def test_other_protocols(self) -> None:
        """A tcp frontend has no headers; nor has a backend that only such frontends use."""
        source = text("request-header X = set a\n").replace("= http", "= tcp")
        expected = ["5:1: error: unknown key 'request-header X' in frontend 'f'"]
        self.assertEqual(heads(source), expected)
        source = text(backend="request-header X = set a\n").replace("= http", "= tcp")
        expected = ["6:20: warning: 'request-header X' has no effect in backend 'b'"]
        self.assertEqual(heads(source), expected)

    def test_show(self) -> None:
        """`vipproxy show` has a line for each, with its origin."""
        shown = show(load(text("request-header X-A = set a  b\n")).draft, "cluster.ini")
        self.assertRegex(shown, r"request-header X-A += set a  b +# cluster.ini:5\n")

    def test_forwarded(self) -> None:
        """Networks, a name and words; `on` alone will do."""
        source = text(
            "forwarded-for = except=10.0.0.1/8 except=fd00::/8 header=X-Client if-none\n"
            "forwarded = on host by\n"
        )
        options = load(source).config.frontends[0].protocol_options
        networks = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
        self.assertEqual(options.forwarded_for.except_, networks)
        self.assertEqual(options.forwarded_for.header, "X-Client")
        self.assertTrue(options.forwarded_for.if_none and options.forwarded.by)
        source = text("forwarded-for = on header=Host\n")
        expected = ["5:27: error: the header 'Host' cannot be changed in frontend 'f'"]
        self.assertEqual(heads(source), expected)


class BalanceTests(SynchronousTestCase):
    def test_ways_to_write_it(self) -> None:
        """HAProxy's parentheses, or a word of its own."""
        for line in "hdr(X-User)", "hdr X-User", "  hdr   X-User":
            balance = load(text(backend=f"balance = {line}\n")).config.backends[0].options.balance
            self.assertEqual((balance.name, balance.options.name), ("hdr", "X-User"))
        balance = load(text(backend="balance = uri depth=2 whole\n")).config.backends[0].options
        self.assertEqual(balance.balance.options.depth, 2)

    def test_problems(self) -> None:
        """A missing or malformed name is told, and so are words that mean nothing."""
        for line, expected in {
            "hdr": "6:11: error: NAME is missing in backend 'b'",
            "hdr()": "6:11: error: NAME is missing in backend 'b'",
            "hdr(X:Y)": "6:15: error: 'X:Y' is not a name in HTTP's sense in backend 'b'",
            "url_param(a) b": "6:24: error: unknown word 'b' in backend 'b'",
            "uri(whole": "6:11: error: unknown balancer 'uri(whole' in backend 'b'",
        }.items():
            self.assertEqual(heads(text(backend=f"balance = {line}\n")), [expected])

    def test_tcp(self) -> None:
        """A tcp frontend has no requests to balance by, alone or beside an http one."""
        source = text(backend="balance = uri\n")
        self.assertEqual(heads(source), [])
        message = "error: 'balance = uri' in backend 'b' needs HTTP requests, and a tcp frontend"
        for tcp in (
            source.replace("= http", "= tcp"),
            FRONTEND.replace("f]", "g]").replace("http", "mysql").replace("8000", "8001") + source,
        ):
            (problem,) = heads(tcp)
            self.assertIn(message, problem)
