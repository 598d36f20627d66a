"""Conditions of ``.if`` and ``-cc``."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.haproxy_cfg import said
from vipproxy.config.haproxy.conditions import BadCondition, evaluate

TRUE = (
    "1",
    "-3",
    "defined(HOME)",
    "!defined(NOBODY)",
    'streq("a",a)',
    "strneq(a,b)",
    "version_atleast(2.6)",
    "version_atleast(2.6.1)",
    "version_before(2.7-dev1)",
    "0 || 1",
    "1 && !0",
    "(0 || 1) && 1",
    "0 && 0 || 1",
    "feature(EPOLL)",
    "enabled(POLL)",
)
FALSE = ("0", "version_atleast(2.7)", "!1", "1 && 0", "0 || !1", "feature(QUIC)", "streq(a,b)")
BAD = ("", "foo", "streq(a)", "defined(", "1 &&", "(1", "1 1", "foo(", ")")


class ConditionTests(SynchronousTestCase):
    def test_true(self) -> None:
        """What holds for HAProxy 2.6 holds here."""
        self.assertEqual([each for each in TRUE if not evaluate(each, {"HOME": ""})], [])

    def test_false(self) -> None:
        """What does not hold there does not hold here."""
        self.assertEqual([each for each in FALSE if evaluate(each, {})], [])

    def test_bad(self) -> None:
        """What cannot be read is told."""
        for each in BAD:
            self.assertRaises(BadCondition, evaluate, each, {})

    @given(st.text(alphabet='01 !&|(),defined"') | st.text())
    def test_any_text(self, text: str) -> None:
        """Any text is true, false or a BadCondition."""
        with contextlib.suppress(BadCondition):
            self.assertIn(evaluate(text, {}), (True, False))


class DirectiveTests(SynchronousTestCase):
    def test_branches(self) -> None:
        """Of an .if the first branch that holds is read, also where they are nested."""
        text = (
            ".if 0\nwrong1\n.elif 1\nglobal\n.if 1\n right2\n.else\n wrong3\n.endif\n"
            ".elif 1\nwrong4\n.else\nwrong5\n.endif\n"
        )
        self.assertEqual(said(text)[0], "6:2: error: unknown keyword 'right2' in section 'global'")

    def test_inactive(self) -> None:
        """What is in a branch that is not read is not judged."""
        self.assertEqual(said(".if 0\n .if foo(\n '\n .endif\n.endif\nglobal\n"), said("global\n"))

    def test_wrong(self) -> None:
        """Conditions and branches that are wrong are told where they stand."""
        self.assertEqual(
            said(".if foo\n.endif\n.else\n.foo\n.if 1\nglobal\n")[:4],
            [
                "1:5: error: unparsable conditional expression 'foo'",
                "3:1: error: '.else' without '.if'",
                "4:1: error: unknown directive '.foo'",
                "5:1: error: this '.if' has no '.endif'",
            ],
        )

    def test_announcements(self) -> None:
        """.alert is an error, and .warning a warning."""
        self.assertEqual(
            said('.alert "no way"\n.warning hm\nglobal\n')[:2],
            ["1:1: error: no way", "2:1: warning: hm"],
        )
