"""HAProxy's command line and ours, given the same arguments."""

from __future__ import annotations

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.haproxy_command import install, run
from tests.support import require

GOOD = """\
global
    log 127.0.0.1 local0
defaults
    timeout connect 1s
    timeout client 1s
    timeout server 1s
listen x
    bind 127.0.0.1:19981
    server a 127.0.0.1:19982
"""
ODD = GOOD.replace("    timeout client 1s\n", "")
BAD = GOOD.replace("listen x", "listen x\n    blance roundrobin")

SAME = (
    ("-c", "-f", "good.cfg"),
    ("-c", "-q", "-f", "good.cfg"),
    ("-c", "-V", "-f", "good.cfg"),
    ("-c", "-f", "odd.cfg"),
    ("-c", "-dW", "-f", "odd.cfg"),
    ("-c", "-dW", "-f", "good.cfg"),
    ("-c", "-f", "bad.cfg"),
    ("-c", "-q", "-f", "bad.cfg"),
    ("-c", "-f", "missing.cfg"),
    ("-f", "bad.cfg"),
    ("-c", "--", "good.cfg"),
    ("-c", "-f", "good.cfg", "-f", "more.cfg"),
    ("-c", "-f", "directory"),
    ("-c", "-C", "directory", "-f", "one.cfg"),
    ("-c", "-n", "100", "-N", "10", "-m", "4000", "-L", "me", "-f", "good.cfg"),
    ("-c", "-W", "-f", "good.cfg"),
    ("-c", "-Ws", "-f", "good.cfg"),
    ("-c", "-db", "-dM", "-de", "-f", "good.cfg"),
    ("-c", "-p", "pid", "-f", "good.cfg"),
    ("-c", "-D", "-f", "good.cfg", "-sf", "1", "2"),
    ("-c", "-W", "-S", "127.0.0.1:19983", "-f", "good.cfg"),
    ("-cc", "version_atleast(2.6)"),
    ("-cc", "version_atleast(2.7)"),
    ("-cc", "foo("),
    ("-cc", "defined(MARK) && !defined(NOMARK)"),
)


class SameAnswers(SynchronousTestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name)
        more = (
            GOOD[GOOD.index("listen") :].replace("listen x", "listen y").replace("19981", "19984")
        )
        files = {"good": GOOD, "odd": ODD, "bad": BAD, "more": more}
        for name, text in files.items():
            (self.path / f"{name}.cfg").write_text(text)
        (self.path / "directory").mkdir()
        (self.path / "directory" / "one.cfg").write_text(GOOD)
        (self.path / "directory" / "two.cfg").write_text(more)
        (self.path / "directory" / "README").write_text("no configuration")
        (self.path / "directory" / ".hidden.cfg").write_text("no configuration")
        self.ours, self.theirs = install(self.path), require("haproxy")

    def test_same(self) -> None:
        """The exit status is the same, and so is standard output."""
        for arguments in SAME:
            expected = run(self.theirs, *arguments, cwd=self.path)
            found = run(self.ours, *arguments, cwd=self.path)
            self.assertEqual(found[:2], expected[:2], (arguments, found[2], expected[2]))
            if "-q" in arguments:
                self.assertEqual(found[2], "")

    def test_fatal(self) -> None:
        """What programs look for in the messages of a bad file is there."""
        for program in (self.ours, self.theirs):
            errors = run(program, "-c", "-f", "bad.cfg", cwd=self.path)[2]
            self.assertRegex(
                errors,
                r"\[ALERT\] +\(\d+\) : config : Error\(s\) found in configuration file : bad.cfg\n",
            )
            self.assertIn("config : Fatal errors found in configuration.\n", errors)

    def test_places(self) -> None:
        """Of several files, problems name the one they are in, with its own lines."""
        (self.path / "more.cfg").write_text("\n  blance roundrobin\n")
        errors = run(self.ours, "-c", "-f", "good.cfg", "-f", "more.cfg", cwd=self.path)[2]
        self.assertIn("more.cfg:2:3: error: unknown keyword 'blance' in listen 'x'\n", errors)

    def test_version(self) -> None:
        """The version can be read off the first line by those who read HAProxy's."""
        for program in (self.ours, self.theirs):
            for option in ("-v", "-vv"):
                status, output, _ = run(program, option, cwd=self.path)
                self.assertEqual(status, 0)
                self.assertRegex(output, r"\AHAProxy version 2\.6\.12")

    def test_misused(self) -> None:
        """Without a file, or with an unknown option, there is help and status 1."""
        for arguments in (("-c",), ("-c", "good.cfg"), ("--foo",)):
            for program in (self.ours, self.theirs):
                status, _, errors = run(program, *arguments, cwd=self.path)
                self.assertEqual(status, 1, arguments)
                self.assertIn("Usage : haproxy", errors)
