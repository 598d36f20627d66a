"""Persistence, header changes and keys of balancing: the same bytes as from the real HAProxy."""

from __future__ import annotations

import base64
import time
from typing import Any

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.differential.test_http_haproxy import EMPTY, LAST, normal, start_haproxy
from tests.http_peers import Origin, talk
from tests.ports import free_port
from tests.support import require
from vipproxy.backends.balance_hash import (
    HeaderBalancing,
    HeaderOptions,
    ParameterBalancing,
    ParameterOptions,
    UriBalancing,
    UriOptions,
)
from vipproxy.framing.http1 import parse_request
from vipproxy.interfaces import IRequestBalancerPlugin
from vipproxy.testing import ProxyHarness

Answer = tuple[bytes, list[bytes]]
"""What the client got, and what the servers saw."""


def theirs(name: str, port: int, frontend: str, backend: str) -> str:
    return f"""
frontend {name}
    mode http
    timeout client 5s
    bind 127.0.0.1:{port}
    {frontend}
    default_backend {name}
backend {name}
    mode http
    timeout connect 5s
    timeout server 5s
    {backend}
"""


def ours(name: str, frontend: str, backend: str) -> str:
    return f"""
[frontend {name}]
protocol = http
bind = 127.0.0.1:0
backend = {name}
{frontend}
[backend {name}]
{backend}
"""


class Case(TestCase):
    """Both proxies, with a frontend and a backend for each of several settings."""

    timeout = 120

    def settings(self, port: int) -> dict[str, tuple[str, str, str, str]]:
        """Name -> lines of HAProxy's frontend and backend, then of ours."""
        raise NotImplementedError

    async def setUp(self) -> None:  # type: ignore[override]
        haproxy = require("haproxy")
        self.origin = Origin()
        self.addCleanup(self.origin.close)
        settings = self.settings(self.origin.port)
        self.ports = {name: free_port() for name in settings}
        text = "".join(theirs(n, self.ports[n], s[0], s[1]) for n, s in settings.items())
        await deferToThread(start_haproxy, self, haproxy, text, max(self.ports.values()))
        text = "".join(ours(n, s[2], s[3]) for n, s in settings.items())
        self.proxy = ProxyHarness(reactor, text)
        self.addCleanup(self.proxy.stop)
        await self.proxy.start()

    async def through(self, port: int, request: bytes) -> Answer:
        self.origin.seen = []
        got = await deferToThread(talk, port, request, False)
        return normal(got), [normal(each) for each in self.origin.seen]

    async def assert_same(self, name: str, request: bytes, answer: bytes = EMPTY) -> Answer:
        """Ask both; once more where a date has changed between the two."""
        self.origin.answer = answer
        for _ in range(2):
            expected = await self.through(self.ports[name], request)
            found = await self.through(self.proxy.port(name), request)
            if found == expected:
                return found
        self.assertEqual(found, expected, (name, request, answer))
        return found


def asking(*fields: bytes, uri: bytes = b"/", method: bytes = b"GET") -> bytes:
    head = LAST.replace(b"GET / ", method + b" " + uri + b" ")
    return head[:-2] + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


def answering(*fields: bytes) -> bytes:
    return EMPTY[:-2] + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


def date(seconds: float) -> bytes:
    """A date as HAProxy writes it into cookies."""
    steps = int(seconds) // 4 << 2
    return base64.b64encode(steps.to_bytes(4, "big") + b"\0\0")[:6][:5]


COOKIES = {
    "passive": "",
    "rewrite": "rewrite",
    "prefix": "prefix",
    "prefix-indirect": "prefix indirect",
    "insert": "insert",
    "indirect-alone": "indirect",
    "indirect": "insert indirect",
    "preserve": "insert indirect nocache preserve",
    "preserve-seen": "insert preserve",
    "attributes": "insert indirect nocache httponly secure domain .a.example domain b.example "
    "attr SameSite=Lax attr Priority=High",
    "maxidle": "insert indirect maxidle 30m",
    "maxlife": "insert indirect maxlife 8h",
    "both-limits": "insert maxidle 30m maxlife 8h",
}
"""HAProxy's words after ``cookie SERVERID``."""

KEYED = ("domain", "attr", "maxidle", "maxlife")


def our_words(words: str) -> str:
    for key in KEYED:
        words = words.replace(f"{key} ", f"{key}=")
    return words


class CookieTests(Case):
    def settings(self, port: int) -> dict[str, tuple[str, str, str, str]]:
        return {
            name: (
                "",
                f"cookie SERVERID {words}\n server s1 127.0.0.1:{port} cookie c1\n"
                f" server s2 127.0.0.1:{port} cookie c2 backup",
                "",
                f"cookie = SERVERID {our_words(words)}\nserver s1 = 127.0.0.1:{port} cookie=c1\n"
                f"server s2 = 127.0.0.2:{port} cookie=c2 backup",
            )
            for name, words in COOKIES.items()
        }

    async def test_requests(self) -> None:
        """In every mode, what becomes of the client's cookies."""
        for name in COOKIES:
            await self.assert_same(name, LAST)
            for value in (
                b"SERVERID=c1", b"SERVERID=zz", b"a=1; SERVERID=c1; b=2", b"SERVERID=c1~own; b=2",
                b"a=1; SERVERID=zz~own", b"SERVERID=~own", b"SERVERID=c1~",
                b"SERVERID=c1~x,b=2", b'SERVERID="c1~x"', b"SERVERID=c1~x~y", b"serverid=c1~x",
                b"SERVERID=zz~x; SERVERID=c1~y", b"SERVERID=c1~x; SERVERID=zz~y",
                b"a=1\r\nCookie: SERVERID=c1~own", b"SERVERID=c1|", b"SERVERID=c1|AAAAA|AAAAA",
                b"SERVERID=c1|x|y", b"SERVERID=|AAAAA",
            ):  # fmt: skip
                await self.assert_same(name, asking(b"Cookie: " + value))

    async def test_responses(self) -> None:
        """In every mode, what becomes of the server's own cookies."""
        for name in COOKIES:
            for lines in (
                [b"Set-Cookie: SERVERID=foo; path=/x"],
                [b"set-cookie: SERVERID=foo", b"Set-Cookie: b=1"],
                [b"Set-Cookie: SERVERID=foo", b"Set-Cookie: SERVERID=bar; Secure"],
                [b"Set-Cookie: SERVERID="],
                [b"Set-Cookie: SERVERID=; Expires=Thu, 01-Jan-1970 00:00:01 GMT; path=/"],
                [b"Set-Cookie: SERVERID=a,b; path=/"],
                [b'Set-Cookie: SERVERID="a;b"; path=/'],
                [b"Set-Cookie: SERVERID; path=/"],
                [b"Set-Cookie: serverid=foo", b"Set-Cookie: XSERVERID=1", b"X: SERVERID=1"],
                [b"ETag: a"],
            ):
                answer = answering(*lines)
                await self.assert_same(name, LAST, answer)
                await self.assert_same(name, asking(b"Cookie: SERVERID=c1"), answer)
                await self.assert_same(name, asking(b"Cookie: SERVERID=c1~own"), answer)

    async def test_blanks(self) -> None:
        """Blanks around the equals sign: HAProxy drops all, we only where we write the cookie."""
        for name in "prefix", "prefix-indirect", "indirect":
            await self.assert_same(name, asking(b"Cookie: SERVERID = c1~x ;b=2"))
            spaced = answering(b"Set-Cookie: SERVERID = foo ; path=/")
            await self.assert_same(name, LAST, spaced)
        await self.assert_same("rewrite", LAST, spaced)

    async def test_dates(self) -> None:
        """Cookies that are fresh, refreshed, too old, in the future, or without a date."""
        now, minute, hour = time.time(), 60, 3600
        ages = {
            "now": 0, "old": 10, "older": 20 * minute, "idle": 40 * minute, "dead": 9 * hour,
            "tomorrow": -20 * hour, "never": -30 * hour,
        }  # fmt: skip
        stamps = [date(now - age) for age in ages.values()] + [b"!!!!!", b"abc"]
        values = [b"c1", *(b"c1|" + last for last in stamps)]
        values += [b"c1|%b|%b" % (last, first) for last in stamps for first in stamps]
        values += [b"zz|%b|%b" % (date(now - 10), date(now - hour)), b"|" + date(now)]
        for name in "maxidle", "maxlife", "both-limits", "indirect":
            for value in values:
                await self.assert_same(name, asking(b"Cookie: SERVERID=" + value))


class HeaderTests(Case):
    def settings(self, port: int) -> dict[str, tuple[str, str, str, str]]:
        server = f"server s1 127.0.0.1:{port}"
        our_server = f"server s1 = 127.0.0.1:{port}"
        return {
            "changes": (
                """
    http-request set-header X-Set frontend
    http-request add-header X-Added one
    http-request del-header X-Gone
    http-response set-header X-Answer frontend
    http-response del-header Server
    http-response add-header X-Both frontend
""",
                f"""
    http-request set-header X-Set-Too "backend; with, marks = %%"
    http-request add-header X-Added two
    http-request del-header User-Agent
    http-response set-header X-Answer backend
    http-response add-header X-Both backend
    cookie SERVERID insert nocache
    {server} cookie c1
""",
                """
request-header X-Set = set frontend
request-header X-Added = add one
request-header X-Gone = delete
response-header X-Answer = set frontend
response-header Server = delete
response-header X-Both = add frontend
""",
                f"""
request-header X-Set-Too = set backend; with, marks = %
request-header X-Added = add two
request-header User-Agent = delete
response-header X-Answer = set backend
response-header X-Both = add backend
cookie = SERVERID insert nocache
{our_server} cookie=c1
""",
            ),
            "forwarded-for": ("option forwardfor", server, "forwarded-for = on", our_server),
            "excepted": (
                "option forwardfor except 127.0.0.0/8", server,
                "forwarded-for = on except=10.0.0.0/8 except=127.0.0.0/8", our_server,
            ),
            "not-excepted": (
                "option forwardfor except 10.0.0.0/8", server,
                "forwarded-for = on except=10.0.0.0/8 except=fd00::/8", our_server,
            ),
            "other-name": (
                "option forwardfor header X-Client if-none", server,
                "forwarded-for = on header=X-Client if-none", our_server,
            ),
        }  # fmt: skip

    async def test_requests(self) -> None:
        """Fields are set, added and deleted, whatever their case and number."""
        for fields in (
            [],
            [b"X-Set: 1", b"x-set: 2", b"X-Settle: 3", b"Y-X-Set: 4"],
            [b"X-Gone: 1", b"X-GONE: 2", b"A: b", b"X-Gone:"],
            [b"X-Added: zero", b"User-Agent: me"],
        ):
            await self.assert_same("changes", asking(*fields))

    async def test_responses(self) -> None:
        """The same of responses, before the persistence cookie is set; of interim ones, too."""
        for fields in (
            [],
            [b"Server: nginx", b"X-Answer: server", b"Server: again"],
            [b"X-Both: server", b"ETag: a"],
        ):
            await self.assert_same("changes", LAST, answering(*fields))
        early = b"HTTP/1.1 103 Early Hints\r\nServer: x\r\nLink: y\r\n\r\n"
        await self.assert_same("changes", LAST, early + EMPTY)

    async def test_forwarded_for(self) -> None:
        """The client's address is added last, unless it is excepted, or there is one already."""
        for name in "forwarded-for", "excepted", "not-excepted", "other-name":
            for fields in [], [b"X-Forwarded-For: 1.2.3.4"], [b"x-client: 1.2.3.4"]:
                await self.assert_same(name, asking(*fields))


KEYS: dict[str, tuple[IRequestBalancerPlugin, Any]] = {
    "uri": (UriBalancing(), UriOptions()),
    "uri whole": (UriBalancing(), UriOptions(whole=True)),
    "uri len 4": (UriBalancing(), UriOptions(len=4)),
    "uri depth 2": (UriBalancing(), UriOptions(depth=2)),
    "uri whole depth 2": (UriBalancing(), UriOptions(whole=True, depth=2)),
    "uri depth 2 len 5": (UriBalancing(), UriOptions(depth=2, len=5)),
    "uri path-only depth 1": (UriBalancing(), UriOptions(path_only=True, depth=1)),
    "hdr(X-User)": (HeaderBalancing(), HeaderOptions(name="X-User")),
    "url_param user": (ParameterBalancing(), ParameterOptions(name="user")),
}
"""HAProxy's words after ``balance``, and what finds the key here."""

HASHES = ("wt6", "sdbm", "crc32")
SERVERS = 40
"""So many, and several hashes, that hardly two keys lead to the same servers."""

URIS = (
    b"/", b"/a", b"/ab/cd", b"/ab/ce", b"/ab/cd/e", b"/ab/cd/f", b"/ab/cd?x=1", b"/ab/cd?x=2",
    b"/ab?c/d", b"//ab/cd", b"/ab/", b"/abc", b"/abcdef", b"http://a/ab/cd", b"http://a/ab/ce",
    b"/?user=1", b"/?user=2", b"/?x=1&user=1", b"/?user=1&user=2", b"/x?user=", b"/?user",
    b"/?xuser=1", b"/?User=1", b"/?a&user=1&b", b"/?user=1?2", b"/?user=1;2", b"/?&user=1",
    b"/user=1", b"/?x=user=1", b"/?user=1/a/b", b"/ab/cd?x=/1", b"/ab/cd?x=/2",
)  # fmt: skip

USERS = (
    b"1", b"2", b"1, 2", b"1 ,3", b"2,1", b'"1,2"', b'"1,2",3', b'"1,3"', b"", b" ", b", 1", b"A",
    b"a", b"1 2", b'a"b,c"d', b"1\r\nx-user: 2", b"2\r\nX-USER: 1",
)  # fmt: skip


class ClosingTests(Case):
    """Connections that end after one request."""

    def settings(self, port: int) -> dict[str, tuple[str, str, str, str]]:
        theirs, ours = f"server s 127.0.0.1:{port}", f"server s = 127.0.0.1:{port}"
        return {
            "both": ("option httpclose", theirs, "httpclose = on", ours),
            "servers": ("option http-server-close", theirs, "http-reuse = never", ours),
        }

    async def test_closed(self) -> None:
        """The client, whatever it asks for, is told so, and so is the server."""
        kept = LAST.replace(b"Connection: close\r\n", b"")
        old = b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"
        await self.assert_same("both", old)
        for request in (kept, LAST, kept + kept):
            got, seen = await self.assert_same("both", request)
            self.assertEqual(got.count(b"connection: close\r\n"), 1)
            self.assertIn(b"connection: close\r\n", seen[0])
        _, seen = await self.assert_same("servers", LAST)
        self.assertIn(b"connection: close\r\n", seen[0])


class KeyTests(Case):
    """The hashes differ, and so do the servers; but what has one key there has one here."""

    def settings(self, port: int) -> dict[str, tuple[str, str, str, str]]:
        servers = "".join(f"\n    server s{i} 127.0.0.1:{port}" for i in range(SERVERS))
        server = f"server s = 127.0.0.1:{port}"
        return {
            f"{hashing}-{number}": (
                "http-response set-header X-Server %s",
                f"balance {words}\n    hash-type consistent {hashing} avalanche{servers}",
                "",
                server,
            )
            for number, words in enumerate(KEYS)
            for hashing in HASHES
        }

    async def haproxys_servers(self, number: int, request: bytes) -> tuple[bytes, ...] | None:
        """Where it sends a request, by each hash; None if it does so by turns."""
        found = []
        for hashing in HASHES:
            port = self.ports[f"{hashing}-{number}"]
            two = [(await self.through(port, request))[0] for _ in range(2)]
            if two[0] != two[1]:
                return None
            found.append(two[0].partition(b"x-server: ")[2])
        return tuple(found)

    async def test_keys(self) -> None:
        """What is hashed, and where nothing can be."""
        self.origin.answer = EMPTY
        for number, (words, (plugin, options)) in enumerate(KEYS.items()):
            reader = plugin.key_reader(options)
            requests = [asking(b"X-User: " + user) for user in USERS]
            if not words.startswith("hdr"):
                requests = [asking(uri=uri) for uri in URIS]
            by_key: dict[Any, Any] = {}
            for request in requests:
                key = reader(parse_request(request))
                servers = await self.haproxys_servers(number, request)
                self.assertEqual(by_key.setdefault(key, servers), servers, (words, request))
            self.assertIsNone(by_key.get(None), words)
            self.assertEqual(len(set(by_key.values())), len(by_key), (words, by_key))
