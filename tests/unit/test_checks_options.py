"""Check plugins: their options and what they send."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from vipproxy.checks import WORDS_LIMIT, CheckFailed, words_of_peer
from vipproxy.checks.http import HttpCheck, HttpCheckOptions, StatusSet, request
from vipproxy.checks.mysql import MysqlCheck
from vipproxy.checks.tcp import TcpCheck
from vipproxy.config.declare import options_of
from vipproxy.config.kinds import BadValue
from vipproxy.interfaces import ICheckPlugin
from vipproxy.values import CheckStatus

KINDS = {key: option.kind for key, (_, option) in options_of(HttpCheckOptions).items()}


class PluginTests(SynchronousTestCase):
    def test_interface(self) -> None:
        """All checks provide ICheckPlugin."""
        for check in (TcpCheck(), HttpCheck(), MysqlCheck()):
            verifyObject(ICheckPlugin, check)

    def test_words_of_a_failure(self) -> None:
        """A CheckFailed reads like HAProxy's log line."""
        failed = CheckFailed(CheckStatus.L7_STATUS, "Service Unavailable", 503)
        text = 'Layer7 wrong status, code: 503, info: "Service Unavailable"'
        self.assertEqual(str(failed), text)

    def test_words_of_a_peer(self) -> None:
        """What a server says is cut, and kept on one line."""
        self.assertEqual(words_of_peer("Bad\x1b[2J\nthing\0"), "Bad [2J thing")
        self.assertEqual(len(words_of_peer("x" * 5000)), WORDS_LIMIT)


class RequestTests(SynchronousTestCase):
    def test_default(self) -> None:
        """Without options the request is byte for byte HAProxy's."""
        self.assertEqual(request(HttpCheckOptions()), b"OPTIONS / HTTP/1.0\r\n\r\n")

    def test_all_options(self) -> None:
        """Method, path and host go into the request."""
        options = HttpCheckOptions(method="GET", path="/healthcheck?full=1", host="api.example")
        self.assertEqual(
            request(options), b"GET /healthcheck?full=1 HTTP/1.0\r\nHost: api.example\r\n\r\n"
        )


class OptionTests(SynchronousTestCase):
    def test_expect(self) -> None:
        """Codes and classes may be mixed."""
        expected = KINDS["expect"].parse("2xx,304,401")
        self.assertEqual(expected, StatusSet(("2xx", "304", "401")))
        inside = [code for code in (200, 299, 301, 304, 400, 401, 503) if code in expected]
        self.assertEqual(inside, [200, 299, 304, 401])

    def test_expect_writes_back(self) -> None:
        """The value is shown as it was written."""
        kind = KINDS["expect"]
        self.assertEqual(kind.format(kind.parse("2xx,304")), "2xx,304")

    def test_bad_expect(self) -> None:
        """An error points at the word that is wrong."""
        for text, offset, length in (
            ("2xx,20", 4, 2),
            ("200,,204", 4, 0),
            ("0xx", 0, 3),
            ("2XX", 0, 3),
            ("2xx, 3xx", 4, 4),
        ):
            error = self.assertRaises(BadValue, KINDS["expect"].parse, text)
            self.assertEqual((error.offset, error.length), (offset, length), text)

    def test_nothing_can_break_the_request(self) -> None:
        """Text with blanks, controls or other characters that no request holds is refused."""
        for key, text in (
            ("method", "GET\r\n"),
            ("method", "GE T"),
            ("method", ""),
            ("path", "status"),
            ("path", "/a b"),
            ("path", "/a\x7f"),
            ("host", "a\nb"),
            ("host", "ä"),
        ):
            with self.subTest(key=key, text=text):
                self.assertRaises(BadValue, KINDS[key].parse, text)
