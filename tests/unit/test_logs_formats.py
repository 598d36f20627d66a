"""Log formats: what a configuration may say, and what lines say then."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.pools import ask, make_pool, servers
from vipproxy.config.kinds import BadValue
from vipproxy.config.log_options import (
    NAMED_FORMATS,
    VARIABLES,
    CaptureCookieOptions,
    Variable,
    parse_format,
)
from vipproxy.logs.fields import Facts, fields_of
from vipproxy.logs.formats import line_of
from vipproxy.logs.record import Record
from vipproxy.values import Address, Ending

AT = 1_700_000_000.25
CLIENT, VIP = Address("192.0.2.7", 40000), Address("192.0.2.80", 80)
FACTS = Facts("web", "ctl1")
REQUEST = (
    b"GET /a/b?c=d HTTP/1.1\r\nHost: first\r\nhost:  example.org \r\n"
    b"Authorization: Basic cm9vdDpzZWNyZXQ=\r\nCookie: a=1; session=s3cret; b=2\r\n"
)


def record(**given: Any) -> Record:
    """An exchange of 125 ms, 31 of them until the request was complete."""
    values = {
        "request": REQUEST, "status": 200, "ended_at": AT + 0.125, "waited": None, "bytes_out": 321,
        "bytes_in": 42, "number": 7, **given,
    }  # fmt: skip
    return Record(CLIENT, VIP, AT - 1.0, AT, AT + 0.03125, **values)


def text(format: str, facts: Facts = FACTS, **given: Any) -> str:
    return line_of(parse_format(format), facts)(record(**given))


def wrong(format: str) -> tuple[str, str]:
    """What is said about a format, and the part of it that is meant."""
    try:
        parse_format(format)
    except BadValue as error:
        return error.message, format[error.offset : error.offset + error.length]
    raise AssertionError(f"{format!r} was understood")


class ParseTests(SynchronousTestCase):
    def test_every_variable(self) -> None:
        """Whatever may be named becomes a field, and says something."""
        facts = Facts(
            "web", "ctl1", (("Host", 9),), (("Server", 9),), CaptureCookieOptions(name="session")
        )
        for name in VARIABLES:
            for flags in (), ("Q",), ("X",), ("E",):
                fields = fields_of(Variable(name, frozenset(flags)), facts)
                self.assertEqual([str(field(record())) != "" for field in fields], [True], name)

    def test_haproxys(self) -> None:
        """HAProxy's named formats are of its own language."""
        for name, format in NAMED_FORMATS.items():
            self.assertEqual(parse_format(name).parts, parse_format(format).parts)

    def test_needs_http(self) -> None:
        """A format knows whether TCP can fill it in."""
        found = {name: parse_format(name).needs_http for name in (*NAMED_FORMATS, "%ci", "%ci %r")}
        http = {"httplog": True, "clf": True, "tcplog": False, "%ci": False, "%ci %r": True}
        self.assertEqual(found, http)

    def test_problems(self) -> None:
        """What is wrong is said, and where."""
        self.assertEqual(wrong("htplog"), ("unknown format 'htplog'", "htplog"))
        self.assertEqual(wrong("%ci %nope"), ("unknown variable '%nope'", "%nope"))
        self.assertEqual(wrong("a %ID"), ("'%ID' is not supported yet", "%ID"))
        sample = "sample expressions '%[...]' are not supported yet"
        self.assertEqual(wrong("a %[src]"), (sample, "%[src]"))
        self.assertEqual(wrong("100% sure"), ("'%' begins no variable", "%"))
        flags = "'+Z' is none of the flags Q, X and E, with + or -"
        self.assertEqual(wrong("%{+Z}r"), (flags, "+Z"))

    @given(st.text(max_size=40))
    def test_any_text(self, text: str) -> None:
        """Any text is a format, or is refused with a place in it."""
        try:
            found = parse_format(text)
        except BadValue as error:
            self.assertLessEqual(error.offset + error.length, max(1, len(text)))
        else:
            self.assertIsInstance(line_of(found, FACTS)(record()), str)


class TextTests(SynchronousTestCase):
    def test_times(self) -> None:
        """Milliseconds; -1 for what it never came to."""
        self.assertEqual(text("%Ti/%TR/%Tq/%Tw/%Tc/%Tr/%Ta/%Tt"), "1000/31/1031/-1/-1/-1/125/1125")

    def test_times_of_a_server(self) -> None:
        """Those of the lease are its own."""
        client = ask(make_pool(servers("")), connect=False)
        lease = client.lease
        assert lease is not None
        lease.waited, lease.opened_at = 0.5, AT  # type: ignore[misc]
        lease.established, lease.connected_at = True, AT + 0.00390625  # type: ignore[misc]
        lease.answered_at = AT + 0.015625
        self.assertEqual(text("%Tw/%Tc/%Tr", lease=lease, waited=0.5), "500/3/11")
        self.assertEqual(text("%b/%s %si:%sp", lease=lease), "web/s1 127.0.0.1:1000")

    def test_early(self) -> None:
        """What is not final has a plus sign."""
        self.assertEqual(text("%Ta %Tt %B", early=True), "+125 +1125 +321")

    def test_endings(self) -> None:
        """The termination state, the retries, and the flags of the cookie where there is one."""
        given = {"ending": Ending.SERVER_TIMEOUT, "phase": "H", "retries": 2}
        self.assertEqual(text("%ts %tsc %rc", **given), "sH sH-- 2")
        given |= {"redispatched": True, "cookie_flags": lambda record: "NI"}
        self.assertEqual(text("%tsc %rc", **given), "sHNI +2")

    def test_request(self) -> None:
        """The request, whole and in parts."""
        self.assertEqual(text("%{+Q}r"), '"GET /a/b?c=d HTTP/1.1"')
        self.assertEqual(text("%HM %HP %HQ %HU %HV"), "GET /a/b ?c=d /a/b?c=d HTTP/1.1")
        absolute = b"GET http://h:1/x?y HTTP/1.1\r\n"
        self.assertEqual(text("%HPO %HP", request=absolute), "/x http://h:1/x")

    def test_no_request(self) -> None:
        """A request that was none is <BADREQ>, without captures, as HAProxy has it."""
        facts = Facts("web", "ctl1", (("Host", 9),), ())
        self.assertEqual(text("%sq/%bq %hr %hs %{+Q}r", facts, request=b""), '0/0 "<BADREQ>"')

    def test_escaped(self) -> None:
        """What is not printable, # and quotes are written as #XX; braces and bars in headers."""
        odd = b'GET /"#\x7f{}|\xff HTTP/1.1\r\nX-Odd: {a|b} "\t\xe9#\r\n'
        self.assertEqual(text("%HU", request=odd), "/#22#23#7F{}|#FF")
        facts = Facts("web", "ctl1", (("x-odd", 99),))
        self.assertEqual(text("%hr", facts, request=odd), "{#7Ba#7Cb#7D #22#09#E9#23}")

    def test_flags(self) -> None:
        """Q quotes, E escapes, X is hexadecimal; %o gives its flags to all that follow."""
        self.assertEqual(text("%{+Q}b %{+Q,+E}r", request=b"a ]\\ c\r\n"), '"web" "a \\]\\\\ c"')
        self.assertEqual(text("%{+X}ci:%{+X}cp"), "C0000207:9C40")
        self.assertEqual(text("%{+Q}o %b %{-Q}f %s"), '"web" web "<NOSRV>"')

    def test_percent(self) -> None:
        """%% is the sign itself, and blanks are merged."""
        self.assertEqual(text("100%%   %f"), "100% web")

    def test_clf(self) -> None:
        """HAProxy's CLF, in order."""
        line = text("clf", bytes_out=5)
        start, _, rest = line.partition(" [")
        self.assertEqual(start, "192.0.2.7 - -")
        self.assertIn('] "GET /a/b?c=d HTTP/1.1" 200 5 "" "" 40000 250 "web" "web" "<NOSRV>"', rest)

    def test_long(self) -> None:
        """A request line is cut."""
        self.assertEqual(len(text("%r", request=b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n")), 1024)


class CaptureTests(SynchronousTestCase):
    def captured(self, name: str, length: int = 99) -> str:
        return text("%hr", Facts("web", "ctl1", ((name, length),)))

    def test_header(self) -> None:
        """The last of its name counts; names have no case; the length is a limit."""
        self.assertEqual(self.captured("HOST"), "{example.org}")
        self.assertEqual(self.captured("Host", 4), "{exam}")
        self.assertEqual(self.captured("X-None"), "{}")

    def test_credentials(self) -> None:
        """Of Authorization the scheme alone is logged."""
        self.assertEqual(self.captured("authorization"), "{Basic}")

    def test_nothing_uncaptured(self) -> None:
        """Neither credentials nor cookies are in a line that captures neither."""
        facts = Facts("web", "ctl1", (("Host", 99),))
        for format in (*NAMED_FORMATS, "json"):
            line = text(format, facts)
            self.assertNotIn("cm9vd", line)
            self.assertNotIn("s3cret", line)

    def test_cookie(self) -> None:
        """A captured cookie is there as name=value, in requests and answers, up to its length."""
        facts = Facts("web", "ctl1", cookie=CaptureCookieOptions(name="session=", length=10))
        response = b"HTTP/1.1 200 OK\r\nSet-Cookie: session=new; path=/\r\n"
        self.assertEqual(text("%CC %CS", facts, response=response), "session=s3 session=ne")
        self.assertEqual(text("%CC %CS", facts, request=b"GET / HTTP/1.1\r\n"), "- -")

    def test_cookies_beginning(self) -> None:
        """A name without = is a beginning, as in HAProxy; in the middle of a name it is nothing."""
        facts = Facts("web", "ctl1", cookie=CaptureCookieOptions(name="sess"))
        self.assertEqual(text("%CC", facts), "session=s3cret")
        facts = Facts("web", "ctl1", cookie=CaptureCookieOptions(name="ession"))
        self.assertEqual(text("%CC", facts), "-")


class JsonTests(SynchronousTestCase):
    def test_http(self) -> None:
        """One object, with null for what it never came to."""
        facts = Facts("web", "ctl1", (("Host", 99),), (("Server", 9),))
        found = json.loads(text("json", facts, waited=0.25, response=b"x\r\nServer: y\r\n"))
        self.assertEqual(found["captured_request_headers"], {"Host": "example.org"})
        self.assertEqual(found["captured_response_headers"], {"Server": "y"})
        expected = {"method": "GET", "uri": "/a/b?c=d", "status": 200, "Tw": 250, "Tc": None}
        self.assertEqual({key: found[key] for key in expected}, expected)
        self.assertEqual(found["termination_state"], "----")
        self.assertTrue(found["time"].startswith("2023-11-14T"))

    def test_tcp(self) -> None:
        """A session has no HTTP in it."""
        found = json.loads(text("json", request=b"", status=-1))
        self.assertNotIn("method", found)
        self.assertEqual((found["termination_state"], found["bytes_read"]), ("--", 321))
