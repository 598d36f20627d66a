"""Persistence by cookie: HAProxy's table, row by row."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.unit.http_fakes import FakeLease, FakeServer, Proxy
from vipproxy.config.cookie_options import CookieOptions
from vipproxy.framing.http1 import parse_response
from vipproxy.protocols.http.cookie import Persistence, is_cacheable

COOKIE = CookieOptions(name="SERVERID", insert=True, indirect=True, nocache=True)
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def persistence(**words: Any) -> Persistence:
    return Persistence(CookieOptions(name="SERVERID", **words), Proxy().backend, Clock().seconds)


class TableTests(SynchronousTestCase):
    """Rows of the measured table: what the server receives, what the client gets."""

    def exchange(self, *cookies: bytes, response: bytes = EMPTY) -> tuple[bytes, bytes]:
        self.proxy = Proxy(COOKIE)
        lines = b"".join(b"Cookie: %b\r\n" % each for each in cookies)
        self.proxy.client.receive(b"GET / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n")
        sent = self.proxy.server.sent
        start, end = b"GET / HTTP/1.1\r\nHost: a\r\n", b"\r\n"
        self.assertTrue(sent.startswith(start) and sent.endswith(end), sent)
        reply = self.proxy.reply(response)
        return sent[len(start) : -len(end)], reply.partition(b"\r\nContent-Length: 0\r\n")[2]

    def asked_for(self) -> str | None:
        cookie: str | None = self.proxy.connector.attempts[-1].request.cookie
        return cookie

    NEW = b"set-cookie: SERVERID=c1; path=/\r\n\r\n"
    NOTHING = b"\r\n"

    def test_no_cookie(self) -> None:
        """Without a cookie the client gets one."""
        self.assertEqual(self.exchange(), (b"", self.NEW))
        self.assertIsNone(self.asked_for())

    def test_among_others(self) -> None:
        """A valid cookie is taken out from among others, and nothing is added."""
        seen = self.exchange(b"a=1; SERVERID=c1; b=2")
        self.assertEqual(seen, (b"Cookie: a=1; b=2\r\n", self.NOTHING))
        self.assertEqual(self.asked_for(), "c1")

    def test_alone(self) -> None:
        """A Cookie field with nothing else is removed entirely."""
        self.assertEqual(self.exchange(b"SERVERID=c2"), (b"", self.NOTHING))
        self.assertIs(self.proxy.lease.server, self.proxy.backend.servers[1])

    def test_two_fields(self) -> None:
        """Another Cookie field is kept."""
        seen = self.exchange(b"a=1", b"SERVERID=c1")
        self.assertEqual(seen, (b"Cookie: a=1\r\n", self.NOTHING))

    def test_invalid_values(self) -> None:
        """An unknown, empty or quoted value is stripped, and the client gets a new cookie."""
        for value in b"zzz", b"", b'"c1"':
            self.assertEqual(self.exchange(b"SERVERID=" + value), (b"", self.NEW), value)

    def test_duplicates(self) -> None:
        """Of two cookies both are stripped, and the first wins."""
        self.assertEqual(self.exchange(b"SERVERID=c2; SERVERID=c1"), (b"", self.NOTHING))
        self.assertEqual(self.asked_for(), "c2")

    def test_unknown_duplicate(self) -> None:
        """A cookie that names no server does not hinder one that does."""
        self.assertEqual(self.exchange(b"SERVERID=zz; SERVERID=c1"), (b"", self.NOTHING))
        self.assertEqual(self.asked_for(), "c1")

    def test_case(self) -> None:
        """A name in another case is another cookie."""
        seen = self.exchange(b"serverid=c2")
        self.assertEqual(seen, (b"Cookie: serverid=c2\r\n", self.NEW))

    def test_other_server(self) -> None:
        """A client whose server could not be used gets the cookie of the other one."""
        proxy = Proxy(COOKIE)
        proxy.connector.waits = True
        proxy.client.receive(b"GET / HTTP/1.1\r\nCookie: SERVERID=c2\r\n\r\n")
        proxy.connector.let_through(proxy.connector.attempts[0], cookie=False)
        self.assertNotIn(b"SERVERID", proxy.server.sent)
        self.assertIn(b"set-cookie: SERVERID=c1; path=/\r\n", proxy.reply(EMPTY))

    def test_server_sets_it(self) -> None:
        """A server's own cookie of that name is removed, others are kept."""
        response = (
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: SERVERID=x; path=/y\r\n"
            b"Set-Cookie: b=SERVERID\r\nset-cookie: serverid=z\r\n\r\n"
        )
        kept = b"Set-Cookie: b=SERVERID\r\nset-cookie: serverid=z\r\n"
        self.assertEqual(self.exchange(response=response)[1], kept + self.NEW)
        self.assertEqual(self.exchange(b"SERVERID=c1", response=response)[1], kept + b"\r\n")

    def test_every_status(self) -> None:
        """The cookie is inserted whatever the status is."""
        for status in b"304", b"500", b"404":
            response = b"HTTP/1.1 %b -\r\nContent-Length: 0\r\n\r\n" % status
            self.assertEqual(self.exchange(response=response)[1], self.NEW)

    def test_every_request(self) -> None:
        """Each request of a keep-alive connection is treated for itself."""
        self.exchange()
        self.proxy.ask()
        self.assertIn(self.NEW, self.proxy.reply(EMPTY))

    def test_delimiters(self) -> None:
        """Blanks, commas and quotes are taken as HAProxy takes them."""
        for value, left in {
            b"SERVERID = c1 ; x=y": b"Cookie: x=y\r\n",
            b"SERVERID=c1,z=1; x=y": b"Cookie: z=1; x=y\r\n",
            b"a=1;SERVERID=c1;b=2": b"Cookie: a=1; b=2\r\n",
            b"a=1; SERVERID=c1": b"Cookie: a=1\r\n",
            b"SERVERID=c1; a=1,2;b=3": b"Cookie: a=1,2;b=3\r\n",
        }.items():
            self.assertEqual(self.exchange(value), (left, self.NOTHING), value)
        quoted = b'a="x;SERVERID=c1;"; a=1'
        self.assertEqual(self.exchange(quoted), (b"Cookie: %b\r\n" % quoted, self.NEW))


pieces = st.lists(
    st.sampled_from(
        [
            b"SERVERID=c1", b"SERVERID=zz", b"a=1", b"XSERVERID=c2", b"SERVERID", b'b="x;y"', b"",
            b"; ", b";", b", ", b" ", b"\t", b"SERVERID=c2 ", b"serverid=c1", b"SERVERID=c1~x",
            b"SERVERID=c1|AAAAB|x", b"~",
        ]
    ),
    max_size=7,
).map(b"".join)  # fmt: skip


class UsualTests(SynchronousTestCase):
    @settings(max_examples=400, deadline=None)
    @given(st.lists(pieces, max_size=2), st.sampled_from([b"Cookie", b"cookie", b"COOKIE"]))
    def test_no_difference(self, values: list[bytes], name: bytes) -> None:
        """Cookies as browsers write them are read in a shorter way, with the same result."""
        cookies = b"".join(name + b": " + value + b"\r\n" for value in values)
        lines = b"GET /SERVER HTTP/1.1\r\nHost: a\r\n" + cookies + b"X: y\r\n"
        for words in {"insert": True, "indirect": True}, {"prefix": True}, {"insert": True}:
            reader = persistence(**words)
            usual = reader.read(lines)
            reader._usual = re.compile(b"(?!)")
            self.assertEqual(usual, reader.read(lines))


class ModeTests(SynchronousTestCase):
    """What the words after the name mean, each for itself."""

    RESPONSE = b"HTTP/1.1 200 OK\r\nSet-Cookie: SERVERID=foo\r\nETag: a\r\n\r\n"

    def fields(self, by_cookie: bool, server: FakeServer | None = None, **words: Any) -> bytes:
        head = parse_response(self.RESPONSE)
        lease: Any = FakeLease(server or FakeServer(), by_cookie)
        added = persistence(**words).write(head, b"GET", lease, None)
        return head.lines.partition(b"\r\n")[2] + added

    def test_passive(self) -> None:
        """Without insert the server's own cookie passes, and the request's is passed on."""
        own = b"Set-Cookie: SERVERID=foo\r\nETag: a\r\n"
        self.assertEqual(self.fields(by_cookie=True), own)
        self.assertEqual(self.fields(by_cookie=False), own)
        lines = b"GET / HTTP/1.1\r\nCookie: SERVERID=c1\r\n"
        self.assertEqual(persistence().read(lines), (lines, "c1", None))

    def test_indirect_alone(self) -> None:
        """With indirect alone, a client that has the cookie does not get the server's."""
        self.assertEqual(self.fields(by_cookie=True, indirect=True), b"ETag: a\r\n")

    def test_insert_without_nocache(self) -> None:
        """Without nocache nothing is said about caches."""
        expected = b"ETag: a\r\nset-cookie: SERVERID=c1; path=/\r\n"
        self.assertEqual(self.fields(by_cookie=False, insert=True), expected)

    def test_server_without_a_cookie(self) -> None:
        """A server without a cookie value takes the client's cookie away."""
        expected = (
            b"ETag: a\r\n"
            b"set-cookie: SERVERID=; Expires=Thu, 01-Jan-1970 00:00:01 GMT; path=/\r\n"
            b"cache-control: private\r\n"
        )
        server = FakeServer(cookie=None)
        seen = self.fields(by_cookie=False, server=server, insert=True, nocache=True)
        self.assertEqual(seen, expected)

    def test_prefix(self) -> None:
        """With prefix, the application's cookie bears the server's value, which it does not see."""
        own = b"Set-Cookie: SERVERID=c1~foo\r\nETag: a\r\n"
        for by_cookie in True, False:
            self.assertEqual(self.fields(by_cookie=by_cookie, prefix=True), own)
        lines = b"GET / HTTP/1.1\r\nCookie: a=1; SERVERID=%bfoo; b=2\r\n"
        seen = persistence(prefix=True).read(lines % b"c1~")
        self.assertEqual(seen, (lines % b"", "c1", None))
        unknown = persistence(prefix=True).read(lines % b"zz~")
        self.assertEqual(unknown, (lines % b"", None, None))

    def test_rewrite(self) -> None:
        """With rewrite, the server's value replaces the application's."""
        own = b"Set-Cookie: SERVERID=c1\r\nETag: a\r\n"
        self.assertEqual(self.fields(by_cookie=False, rewrite=True), own)
        without = self.fields(by_cookie=False, rewrite=True, server=FakeServer(cookie=None))
        self.assertEqual(without, b"Set-Cookie: SERVERID=foo\r\nETag: a\r\n")

    def test_digits(self) -> None:
        """A cookie's name may be a number."""
        options = CookieOptions(name="42", rewrite=True)
        head = parse_response(b"HTTP/1.1 200 OK\r\nSet-Cookie: 42=foo; path=/\r\n\r\n")
        lease: Any = FakeLease(FakeServer(), by_cookie=True)
        Persistence(options, Proxy().backend, Clock().seconds).write(head, b"GET", lease, None)
        self.assertIn(b"\r\nSet-Cookie: 42=c1; path=/\r\n", head.lines)

    def test_odd_values(self) -> None:
        """What is a value is clear also where it is long and strange."""
        for value, rest in (b"a" + b" " * 8000 + b"b", b" ; x"), (b'"\\' * 7000, b""):
            head = parse_response(
                b"HTTP/1.1 200 OK\r\nSet-Cookie: SERVERID=%b%b\r\n\r\n" % (value, rest)
            )
            lease: Any = FakeLease(FakeServer(), by_cookie=True)
            persistence(rewrite=True).write(head, b"GET", lease, None)
            self.assertIn(b"\r\nSet-Cookie: SERVERID=c1%b\r\n" % rest, head.lines)

    def test_preserve(self) -> None:
        """With preserve, a cookie of the server's own passes, and ours is not added."""
        own = b"Set-Cookie: SERVERID=foo\r\nETag: a\r\n"
        words: dict[str, Any] = {"insert": True, "indirect": True, "preserve": True}
        for by_cookie in True, False:
            self.assertEqual(self.fields(by_cookie=by_cookie, **words), own)

    def test_attributes(self) -> None:
        """What the browser is to do with it, in HAProxy's order."""
        words: dict[str, Any] = {
            "httponly": True, "secure": True, "domain": (".a.b", "c.d"),
            "attr": ("SameSite=Lax", "Partitioned"),
        }  # fmt: skip
        line = (
            b"set-cookie: SERVERID=c1; path=/; domain=.a.b; domain=c.d; HttpOnly; Secure; "
            b"SameSite=Lax; Partitioned\r\n"
        )
        self.assertEqual(self.fields(by_cookie=False, insert=True, **words), b"ETag: a\r\n" + line)


class DateTests(SynchronousTestCase):
    """`maxidle` and `maxlife`; HAProxy's bytes are in tests/differential."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_800_000_000)

    def exchange(self, cookie: bytes, **words: Any) -> tuple[str | None, bytes]:
        """The value that counts, and the new cookie's value, which is empty where there is none."""
        options = CookieOptions(name="SERVERID", insert=True, indirect=True, **words)
        reader = Persistence(options, Proxy().backend, self.clock.seconds)
        lines = b"GET / HTTP/1.1\r\nCookie: SERVERID=%b\r\n" % cookie
        lines, value, dates = reader.read(lines)
        self.assertEqual(lines, b"GET / HTTP/1.1\r\n")
        lease: Any = FakeLease(FakeServer(), by_cookie=value is not None)
        field = reader.write(parse_response(EMPTY), b"GET", lease, dates)
        return value, field.removeprefix(b"set-cookie: SERVERID=").removesuffix(b"; path=/\r\n")

    def test_idle(self) -> None:
        """A cookie is refreshed when it is used, and counts no more when it was not for long."""
        _, cookie = self.exchange(b"", maxidle=60.0)
        self.assertEqual(self.exchange(cookie, maxidle=60.0), ("c1", b""))
        self.clock.advance(40)
        value, fresh = self.exchange(cookie, maxidle=60.0)
        self.assertEqual((value, fresh == cookie), ("c1", False))
        self.clock.advance(40)
        self.assertIsNone(self.exchange(cookie, maxidle=60.0)[0])
        self.assertEqual(self.exchange(fresh, maxidle=60.0)[0], "c1")

    def test_life(self) -> None:
        """The first date is kept, however often the cookie is used, and ends it."""
        _, cookie = self.exchange(b"", maxlife=100.0)
        for _ in range(2):
            self.clock.advance(40)
            value, fresh = self.exchange(cookie, maxlife=100.0)
            self.assertEqual((value, fresh[-5:]), ("c1", cookie[-5:]))
            cookie = fresh
        self.clock.advance(40)
        value, fresh = self.exchange(cookie, maxlife=100.0)
        self.assertEqual((value, fresh[-5:] == cookie[-5:]), (None, False))

    def test_without_dates(self) -> None:
        """A cookie without a date is good, and gets one; one that has a date too many loses it."""
        value, cookie = self.exchange(b"c1", maxidle=60.0, maxlife=90.0)
        self.assertEqual((value, cookie.count(b"|")), ("c1", 2))
        self.clock.advance(5)
        self.assertEqual(self.exchange(cookie), ("c1", b"c1"))

    def test_future(self) -> None:
        """A date more than a day ahead is not believed."""
        self.clock.advance(90_000)
        _, cookie = self.exchange(b"", maxidle=60.0)
        self.clock.rightNow -= 90_000
        self.assertIsNone(self.exchange(cookie, maxidle=60.0)[0])
        self.clock.advance(10_000)
        self.assertEqual(self.exchange(cookie, maxidle=60.0)[0], "c1")

    @settings(deadline=None)
    @given(st.binary(max_size=14))
    def test_anything(self, text: bytes) -> None:
        """Whatever stands after the bar, the cookie is read."""
        text = bytes(each for each in text if each not in b'\r\n;," \t~')
        self.assertIn(self.exchange(b"c1|" + text, maxidle=60.0, maxlife=60.0)[0], ("c1", None))


class CacheTests(SynchronousTestCase):
    def cacheable(self, fields: bytes, status: int = 200, method: bytes = b"GET") -> bool:
        return is_cacheable(parse_response(b"HTTP/1.1 %d -\r\n%b\r\n" % (status, fields)), method)

    def test_validators_and_freshness(self) -> None:
        """A validator or an explicit lifetime makes a response cacheable."""
        for line in (
            b"ETag: a", b"Last-Modified: x", b"Expires: 0", b"Cache-Control: MAX-AGE=60",
            b"Cache-Control: public, s-maxage=60", b'Cache-Control: no-cache="x"\r\nETag: a',
            b"Cache-Control: no-store\r\nCache-Control: public\r\nETag: a",
        ):  # fmt: skip
            self.assertTrue(self.cacheable(line + b"\r\n"), line)

    def test_not_cacheable(self) -> None:
        """Nothing to go by, or a word against it, makes it not cacheable."""
        for line in (
            b"X: y", b"Cache-Control: public", b"Cache-Control: max-age=0\r\nETag: a",
            b"Cache-Control: max-age=5, private", b"Cache-Control: s-maxage=0",
            b"Pragma: no-cache\r\nCache-Control: public\r\nETag: a",
            b"Cache-Control: public, max-age=0\r\nETag: a",
        ):  # fmt: skip
            self.assertFalse(self.cacheable(line + b"\r\n"), line)

    def test_status_and_method(self) -> None:
        """Some statuses, and answers to POST, are not cacheable by default."""
        for status in 302, 304, 500:
            self.assertFalse(self.cacheable(b"ETag: a\r\n", status))
        self.assertTrue(self.cacheable(b"ETag: a\r\n", 404))
        self.assertFalse(self.cacheable(b"ETag: a\r\n", 200, b"POST"))
        self.assertTrue(self.cacheable(b"ETag: a\r\n", 200, b"OPTIONS"))
