"""Steps of checks: how their lines are read, and what is wrong with those that are not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vipproxy.checks.expectation import in_statuses
from vipproxy.checks.http import HttpCheckOptions, request
from vipproxy.config import BadValue, loads
from vipproxy.config.check_steps import HTTP_STEP, TCP_STEP, Connect, Expect, Request, Send
from vipproxy.errors import ConfigError
from vipproxy.plugins import Catalog


class ReadingTests(SynchronousTestCase):
    def test_good(self) -> None:
        """Quotes and escapes are HAProxy's."""
        for text, action in (
            ("connect", Connect()),
            ("connect port 26379", Connect(26379)),
            (r"send PING\r\n", Send(b"PING\r\n")),
            (r'send "two words\x41"', Send(b"two wordsA")),
            ("send-binary 00ff", Send(b"\0\xff")),
            ("expect string a", Expect("string", b"a")),
            ("expect ! rstring ^a", Expect("rstring", b"^a", negated=True)),
            ("expect min-recv 3 binary 61", Expect("string", b"a", min_recv=3)),
        ):
            self.assertEqual(TCP_STEP.parse(text).action, action)

    def test_comment(self) -> None:
        """A comment stands before or after what it is about."""
        for text in (r"expect comment 'is it up' string a", r"expect string a comment 'is it up'"):
            step = TCP_STEP.parse(text)
            self.assertEqual((step.action, step.comment), (Expect("string", b"a"), "is it up"))
        self.assertEqual(TCP_STEP.parse("send 'comment'").action, Send(b"comment"))

    def test_bad(self) -> None:
        """What is wrong is told at its place."""
        for kind, text, offset, message in (
            (TCP_STEP, "sned x", 0, "unknown step 'sned'"),
            (TCP_STEP, "send", 0, "the text is missing"),
            (TCP_STEP, "send a b", 7, "'b' is too much here"),
            (TCP_STEP, "send-binary 0", 12, "is not hexadecimal"),
            (TCP_STEP, "connect port 70000", 13, "is no port"),
            (TCP_STEP, "connect ssl", 8, "'ssl' is too much here"),
            (TCP_STEP, "expect status 200", 7, "'status' cannot be expected"),
            (TCP_STEP, "expect rstring (", 15, "is no regular expression"),
            (HTTP_STEP, "expect status 2xx", 14, "are no status codes"),
            (HTTP_STEP, "send hdr A:b c", 9, "not a name in HTTP's sense"),
            (HTTP_STEP, "send hdr Content-Length 3", 9, "is the check's own"),
            (HTTP_STEP, r'send hdr A "b\r\nc"', 11, "cannot be in a header"),
            (HTTP_STEP, r'send uri "/a b"', 9, "cannot be sent here"),
            (HTTP_STEP, "connect", 0, "unknown step 'connect'"),
        ):
            error = self.assertRaises(BadValue, kind.parse, text)
            self.assertIn(message, str(error))
            self.assertEqual(error.offset, offset, text)

    @given(st.text())
    def test_anything(self, text: str) -> None:
        """Any line is a step, or has something wrong with it."""
        for kind in (TCP_STEP, HTTP_STEP):
            try:
                kind.parse(text)
            except BadValue:
                continue

    def test_kinds(self) -> None:
        """Steps need the check that they are for."""
        text = "[frontend f]\nprotocol = tcp\nbind = 127.0.0.1:0\nbackend = b\n"
        text += "[backend b]\ncheck = {}\n{}-check = expect string a\nserver s = 127.0.0.1:1\n"
        for kind in ("tcp", "http"):
            loads(text.format(kind, kind), Catalog())
        with self.assertRaises(ConfigError) as caught:
            loads(text.format("http", "tcp"), Catalog())
        self.assertIn("'tcp-check' in backend 'b' without 'check = tcp'", caught.exception.report)


class MeaningTests(SynchronousTestCase):
    def test_statuses(self) -> None:
        """Lists and ranges."""
        for status, expected in ((200, True), (201, False), (300, True), (310, True), (311, False)):
            self.assertEqual(in_statuses(b"200,300-310", status), expected)

    def test_request(self) -> None:
        """What is sent replaces what `check = http` says, as far as it goes."""
        options = HttpCheckOptions(path="/a", host="h")
        self.assertEqual(request(options, Request()), b"OPTIONS /a HTTP/1.0\r\nHost: h\r\n\r\n")
        send = Request("POST", "/b", "HTTP/1.1", (("host", "i"),), b"abc")
        expected = (
            b"POST /b HTTP/1.1\r\nhost: i\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"
        )
        self.assertEqual(request(options, send), expected)
