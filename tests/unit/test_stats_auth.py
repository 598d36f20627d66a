"""Basic authentication of the statistics."""

from __future__ import annotations

import base64
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vipproxy.config import BadValue
from vipproxy.errors import ConfigError
from vipproxy.protocols.stats_auth import CREDENTIALS, Credentials, Guard, read_credentials


def basic(pair: bytes) -> bytes:
    return b"Authorization: Basic %b\r\n" % base64.b64encode(pair)


class GuardTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.guard = Guard([Credentials("root", "red:hat"), Credentials("ops", "p\u00e4ss")])

    def test_every_pair(self) -> None:
        """Every configured pair is admitted; passwords may hold colons and umlauts."""
        self.assertTrue(self.guard.admits(basic(b"root:red:hat")))
        self.assertTrue(self.guard.admits(basic("ops:p\u00e4ss".encode())))

    def test_case_of_the_scheme(self) -> None:
        """Neither the field's name nor the scheme minds its case (RFC 9110, 11.1)."""
        self.assertTrue(self.guard.admits(basic(b"root:red:hat").lower().replace(
            base64.b64encode(b"root:red:hat").lower(), base64.b64encode(b"root:red:hat")
        )))  # fmt: skip

    def test_refusals(self) -> None:
        """Anything else is refused."""
        good = basic(b"root:red:hat")
        for fields in (
            b"",
            basic(b"root:redhat"),
            basic(b"root:"),
            basic(b""),
            basic(b"root:p\xc3\xa4ss"),
            good + good,
            b"Authorization: Bearer abc\r\n",
            b"Authorization: Basic !!!!\r\n",
            b"X-Authorization: Basic %b\r\n" % base64.b64encode(b"root:red:hat"),
        ):
            self.assertFalse(self.guard.admits(fields), fields)

    def test_nobody_configured(self) -> None:
        """Without users everybody may look."""
        self.assertTrue(Guard([]).admits(b""))

    @given(st.binary())
    def test_any_bytes(self, token: bytes) -> None:
        """No token raises, and none but the right ones is admitted."""
        token = token.replace(b"\r", b"").replace(b"\n", b"")
        self.assertFalse(self.guard.admits(b"Authorization: Basic %b\r\n" % token))


class CredentialsTests(SynchronousTestCase):
    def test_secret(self) -> None:
        """A password shows neither in a representation nor when the configuration is shown."""
        made = CREDENTIALS.parse("root:redhat")
        self.assertNotIn("redhat", repr(made))
        self.assertEqual(CREDENTIALS.format(made), "root:********")

    def test_malformed(self) -> None:
        """A pair without a colon, a user or a password is refused, and not repeated."""
        for text in ("redhat", ":redhat", "root:"):
            error = self.assertRaises(BadValue, CREDENTIALS.parse, text)
            self.assertNotIn("redhat", str(error))


class FileTests(SynchronousTestCase):
    def file(self, text: bytes) -> Path:
        path = Path(self.mktemp())
        path.write_bytes(text)
        return path

    def test_read(self) -> None:
        """One pair a line; blank lines and comments do not count."""
        path = self.file(b"# who may look\n\nroot:redhat\n  ops:secret  \n")
        found = read_credentials(path)
        self.assertEqual(found, [Credentials("root", "redhat"), Credentials("ops", "secret")])

    def test_missing(self) -> None:
        """A file that is not there is an error that names it."""
        error = self.assertRaises(ConfigError, read_credentials, Path("/nowhere/users"))
        self.assertEqual(
            str(error),
            "cannot read the stats-auth-file '/nowhere/users': No such file or directory",
        )

    def test_empty(self) -> None:
        """A file without users would open the page to all, and is an error."""
        self.assertRaises(ConfigError, read_credentials, self.file(b"# nobody\n"))

    def test_bad_line(self) -> None:
        """A bad line is an error that says where it is, and not what it is."""
        path = self.file(b"root:redhat\nhunter2\n")
        error = self.assertRaises(ConfigError, read_credentials, path)
        self.assertEqual(str(error), f"{path}:2: expected USER:PASSWORD")

    def test_not_text(self) -> None:
        """A file that is not UTF-8 is an error."""
        self.assertRaises(ConfigError, read_credentials, self.file(b"\xff\xfe:x\n"))
