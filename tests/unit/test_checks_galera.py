"""The galera check's verdicts, and the options of its login, without a server."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from vipproxy.checks import CheckFailed
from vipproxy.checks.galera import GaleraCheck, GaleraCheckOptions, judge
from vipproxy.checks.mysql import MysqlCheckOptions
from vipproxy.config.kinds import BadValue
from vipproxy.config.records import read_line, write_line
from vipproxy.interfaces import ICheckPlugin
from vipproxy.values import CheckResult, CheckStatus

OPTIONS = GaleraCheckOptions(user="checker")
SYNCED = {
    "wsrep_local_state": "4",
    "wsrep_local_state_comment": "Synced",
    "wsrep_cluster_size": "3",
    "wsrep_cluster_status": "Primary",
    "wsrep_ready": "ON",
    "read_only": "OFF",
    "wsrep_reject_queries": "NONE",
}
DONOR = {"wsrep_local_state": "2", "wsrep_local_state_comment": "Donor/Desynced"}
L7OK, L7STS = CheckStatus.L7_OK, CheckStatus.L7_STATUS


def verdict(options: GaleraCheckOptions = OPTIONS, /, **changes: str) -> CheckResult:
    """On a synced node, but for `changes`."""
    return judge({**SYNCED, **changes}, options)


class VerdictTests(SynchronousTestCase):
    """The rows of the table of states, one by one."""

    def test_synced(self) -> None:
        """Synced, ready and primary: yes."""
        self.assertEqual(verdict(), CheckResult(L7OK, "Synced, Primary, size 3", 4))

    def test_donor(self) -> None:
        """Donor or desynced: the last resort, unless donor=use."""
        words = "Donor/Desynced, Primary, size 3"
        expected = CheckResult(L7STS, words, 2, last_resort=True)
        self.assertEqual(verdict(**DONOR), expected)
        use = GaleraCheckOptions(user="checker", donor="use")
        self.assertEqual(verdict(use, **DONOR), CheckResult(L7OK, words, 2))

    def test_joining(self) -> None:
        """Joining and joined: no, and `fall` decides when."""
        for state, comment in (("1", "Joining"), ("3", "Joined")):
            result = verdict(wsrep_local_state=state, wsrep_local_state_comment=comment)
            words = f"{comment}, Primary, size 3"
            self.assertEqual(result, CheckResult(L7STS, words, int(state)))

    def test_non_primary(self) -> None:
        """Outside the primary component: no, at once."""
        for status in ("non-Primary", "Disconnected"):
            result = verdict(wsrep_cluster_status=status)
            words = f"Synced, {status}, size 3"
            self.assertEqual(result, CheckResult(L7STS, words, 4, conclusive=True))

    def test_not_ready(self) -> None:
        """Not ready: no, at once, whatever it says otherwise."""
        words = "Synced, Primary, size 3, wsrep_ready=OFF"
        expected = CheckResult(L7STS, words, 4, conclusive=True)
        self.assertEqual(verdict(wsrep_ready="OFF"), expected)
        use = GaleraCheckOptions(user="checker", donor="use", read_only="use")
        self.assertTrue(verdict(use, wsrep_ready="OFF", **DONOR).conclusive)

    def test_rejecting(self) -> None:
        """Told to reject all queries: no, at once."""
        words = "Synced, Primary, size 3, wsrep_reject_queries=ALL"
        expected = CheckResult(L7STS, words, 4, conclusive=True)
        self.assertEqual(verdict(wsrep_reject_queries="ALL"), expected)

    def test_read_only(self) -> None:
        """Read-only: no, not as the last resort either, unless read-only=use."""
        for word in ("ON", "1", "NO_LOCK"):
            words = f"Synced, Primary, size 3, read_only={word}"
            self.assertEqual(verdict(read_only=word), CheckResult(L7STS, words, 4))
            use = GaleraCheckOptions(user="checker", read_only="use")
            result = verdict(use, read_only=word)
            self.assertEqual(result, CheckResult(L7OK, words, 4))
        self.assertFalse(verdict(read_only="ON", **DONOR).last_resort)

    def test_unknown_states(self) -> None:
        """Any other state: no."""
        for state, code in (("0", 0), ("5", 5), ("", None), ("four", None), ("4" * 500, None)):
            result = verdict(wsrep_local_state=state)
            self.assertEqual((result.passed, result.code), (False, code))
            self.assertFalse(result.last_resort or result.conclusive)

    def test_no_galera(self) -> None:
        """A server that knows nothing of Galera: no, with a word that says so."""
        result = judge({"read_only": "OFF"}, OPTIONS)
        words = "not a Galera node: it knows no wsrep_ready"
        self.assertEqual(result, CheckResult(L7STS, words))

    @given(st.dictionaries(st.sampled_from([*SYNCED, "other"]), st.text(max_size=300)))
    def test_any_answer(self, facts: dict[str, str]) -> None:
        """Whatever a node says, there is a verdict, and its words fit into one short line."""
        result = judge(facts, OPTIONS)
        self.assertTrue(result.info.isprintable())
        self.assertLessEqual(len(result.info), 200)
        self.assertFalse(result.passed and facts.get("wsrep_local_state") != "4")


class OptionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.file = self.directory / "password"
        self.file.write_text("se cret\n")

    def read(self, text: str, cls: type = GaleraCheckOptions) -> Any:
        return read_line(text, [cls])[0]

    def refused(self, text: str, cls: type = GaleraCheckOptions) -> str:
        """What is said of a line that is not accepted; the password is never in it."""
        error = self.assertRaises(BadValue, self.read, text, cls)
        self.assertNotIn("cret", error.message)
        return f"{error.message}; {error.hint}"

    def test_interface(self) -> None:
        """The check is a plugin."""
        verifyObject(ICheckPlugin, GaleraCheck())

    def test_all(self) -> None:
        """The line of the configuration is read, and written back."""
        line = f"user=checker password-file={self.file} donor=use read-only=use"
        options = self.read(line)
        self.assertEqual((options.user, options.donor), ("checker", "use"))
        self.assertEqual(options.read_password(), b"se cret")
        self.assertEqual(set(write_line(options).split()), {*line.split(), "tls=off"})

    def test_defaults(self) -> None:
        """A user is all that must be given; donors and read-only nodes are avoided."""
        self.assertEqual(self.read("user=a"), GaleraCheckOptions(user="a"))
        self.assertIn("user=TEXT is missing", self.refused(""))
        self.assertEqual((OPTIONS.donor, OPTIONS.read_only), ("avoid", "avoid"))
        self.assertEqual(OPTIONS.read_password(), b"")

    def test_password_files(self) -> None:
        """What is wrong with a password file is said at start, without what is in it."""
        for contents, words in (
            (b"", "has no password in its first line"),
            (b"\nse cret", "has no password in its first line"),
            (b"se\0cret", "has a NUL byte"),
            (b"se cret" * 1000, "has more than 1024 bytes"),
        ):
            self.file.write_bytes(contents)
            self.assertIn(words, self.refused(f"user=a password-file={self.file}"))
        self.assertIn("is not a file", self.refused(f"user=a password-file={self.directory}"))
        self.assertIn("is not a file", self.refused("user=a password-file=/nonexistent"))

    def test_unreadable(self) -> None:
        """So is the system's reason, where a file may not be read."""
        self.file.chmod(0)
        if os.access(self.file, os.R_OK):
            return  # root may
        self.assertIn("Permission denied", self.refused(f"user=a password-file={self.file}"))

    def test_nothing_secret(self) -> None:
        """Neither the options nor an error of theirs shows the password."""
        options = self.read(f"user=a password-file={self.file}")
        self.assertNotIn("cret", f"{options!r} {options} {write_line(options)}")
        self.file.write_bytes(b"se\0cret")
        error = self.assertRaises(CheckFailed, options.read_password)
        self.assertNotIn("cret", f"{error!r} {error}")

    def test_tls_needs_authorities(self) -> None:
        """TLS to whoever answers is refused, and so are authorities without TLS."""
        self.assertIn("'tls=on' needs 'tls-ca'", self.refused("user=a tls=on"))
        self.file.write_text("no certificate")
        self.assertIn("no certificate in", self.refused(f"user=a tls=on tls-ca={self.file}"))

    def test_server_key(self) -> None:
        """A server's key is asked for, or in a file that must hold one."""
        options = self.read("user=a server-public-key=ask")
        self.assertIsNone(options.server_public_key.pem)
        words = self.refused(f"user=a server-public-key={self.file}")
        self.assertIn("not a public key in PEM", words)

    def test_mysql_needs_user(self) -> None:
        """The mysql check can have a password only together with a user."""
        self.assertEqual(self.read("", MysqlCheckOptions).user, None)
        words = self.refused(f"password-file={self.file}", MysqlCheckOptions)
        self.assertIn("no 'user' to log in; add user=NAME", words)
