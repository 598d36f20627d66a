"""The `vipproxy` command, run as a process."""

from __future__ import annotations

import tempfile
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.haproxy_cfg import AS_IT_STANDS, REFERENCE
from tests.processes import run_python
from vipproxy import __version__

GOOD = """\
[frontend f]
protocol = tcp
bind = 127.0.0.1:8000
backend = b
maxconn = 10
[backend b]
server n1 = 127.0.0.2:80
"""
BAD = GOOD.replace("= b\n", "= bb\n").replace("maxconn = 10", "maxcon = 10")
ODD = GOOD + "[backend c]\nserver n1 = 127.0.0.2:80\n"


class Commands(TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.file = Path(directory.name) / "cluster.ini"

    def run_on(self, command: str, text: str) -> tuple[int, str, str]:
        """Exit status, output and errors of a command on a configuration."""
        self.file.write_text(text)
        return self.run_command(command, str(self.file))

    def run_command(self, *arguments: str) -> tuple[int, str, str]:
        return run_python("-m", "vipproxy", *arguments)

    def test_check_good(self) -> None:
        """check says nothing of a good file."""
        self.assertEqual(self.run_on("check", GOOD), (0, "", ""))

    def test_check_bad(self) -> None:
        """check prints every problem, and nothing else; the status is 1."""
        expected = f"""\
{self.file}:4:11: error: unknown backend 'bb' in frontend 'f'
    4 | backend = bb
      |           ^^ did you mean 'b'? known: b
{self.file}:5:1: error: unknown key 'maxcon' in frontend 'f'
    5 | maxcon = 10
      | ^^^^^^ did you mean 'maxconn'? known: """
        status, output, errors = self.run_on("check", BAD)
        self.assertEqual((status, errors), (1, ""))
        self.assertEqual(output[: len(expected)], expected)

    def test_haproxy(self) -> None:
        """A haproxy.cfg is known by its content: an error is status 1, notes alone are 0; converted
        it is a file without errors."""
        status, output, errors = self.run_on("check", AS_IT_STANDS)
        self.assertEqual((status, errors), (1, ""))
        self.assertIn(f"{self.file}:18:11: error: unknown stats parameter", output)
        status, output, _ = self.run_on("check", REFERENCE)
        self.assertEqual(status, 0)
        self.assertIn(": note: ", output)
        status, output, _ = self.run_on("show", REFERENCE)
        self.assertEqual(status, 0)
        self.assertRegex(output, r"timeout-client += 30s +# \[defaults\] cluster.ini:8")
        status, output, errors = self.run_on("convert", REFERENCE)
        self.assertEqual(status, 0)
        self.assertIn(": note: ", errors)
        self.assertEqual(self.run_on("check", output)[0], 0)
        self.assertEqual(self.run_on("convert", AS_IT_STANDS)[:2], (1, ""))

    def test_format(self) -> None:
        """--format says what the file is."""
        self.file.write_text("# nothing\n")
        for name in ("auto", "ini", "haproxy"):
            status, _, errors = self.run_command("check", "--format", name, str(self.file))
            self.assertEqual((status, errors), (0, ""))
        self.file.write_text(REFERENCE)
        status, output, _ = self.run_command("check", "--format", "ini", str(self.file))
        self.assertEqual(status, 1)
        self.assertIn("text before the first section header", output)

    def test_check_odd(self) -> None:
        """Warnings alone are no failure."""
        expected = f"""\
{self.file}:8:1: warning: no frontend uses backend 'c'
    8 | [backend c]
      | ^^^^^^^^^^^
"""
        self.assertEqual(self.run_on("check", ODD), (0, expected, ""))

    def test_check_nothing(self) -> None:
        """A file that is not there is a problem, not a traceback."""
        expected = f"{self.file}: error: cannot be read: No such file or directory\n"
        self.assertEqual(self.run_command("check", str(self.file)), (1, expected, ""))

    def test_show(self) -> None:
        """show prints effective values and their origins."""
        status, output, errors = self.run_on("show", GOOD)
        self.assertEqual((status, errors), (0, ""))
        self.assertRegex(output, r"(?m)^maxconn +      = 10 .*# cluster\.ini:5$")
        self.assertRegex(output, r"(?m)^balance +      = roundrobin .*# default$")

    def test_show_bad(self) -> None:
        """show of a bad file prints its problems as errors."""
        status, output, errors = self.run_on("show", BAD)
        self.assertEqual((status, output), (1, ""))
        self.assertIn("unknown backend 'bb'", errors)

    def test_plugins(self) -> None:
        """plugins lists the names that a configuration can use."""
        status, output, _ = self.run_command("plugins")
        self.assertEqual(status, 0)
        self.assertIn("balancer roundrobin\n", output)
        self.assertIn("    draws = ", output)

    def test_version(self) -> None:
        """The version is the package's."""
        self.assertEqual(self.run_command("--version"), (0, f"vipproxy {__version__}\n", ""))

    def test_no_command(self) -> None:
        """Without a command there is a usage message, and status 2."""
        status, _, errors = self.run_command()
        self.assertEqual(status, 2)
        self.assertIn("usage: vipproxy", errors)
