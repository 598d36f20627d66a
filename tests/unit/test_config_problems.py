"""How problems are shown."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from vipproxy.config.problems import Problem, Problems, Severity


class Rendering(SynchronousTestCase):
    def test_design(self) -> None:
        """A problem has a position, its line, carets and a hint."""
        problem = Problem(
            Severity.ERROR, "unknown check 'galerra' in backend 'b'", 2, 9, 7, "did you mean 'x'?"
        )
        expected = (
            "cluster.ini:2:9: error: unknown check 'galerra' in backend 'b'\n"
            "    2 | check = galerra interval=1s\n"
            "      |         ^^^^^^^ did you mean 'x'?"
        )
        rendered = problem.render("cluster.ini", ["[backend b]", "check = galerra interval=1s"])
        self.assertEqual(rendered, expected)

    def test_tabs(self) -> None:
        """Tabs before the text are tabs before the carets."""
        rendered = Problem(Severity.WARNING, "m", 1, 7, 3).render("f", ["\tkey\t= abc"])
        self.assertEqual(rendered.splitlines()[2], "      | \t   \t ^^^")

    def test_no_text(self) -> None:
        """A missing value still gets a caret, and carets never go beyond the line."""
        rendered = Problem(Severity.ERROR, "m", 1, 7, 5).render("f", ["key = "])
        self.assertEqual(rendered.splitlines()[2], "      |       ^")

    def test_terminal(self) -> None:
        """What would command a terminal is not printed."""
        rendered = Problem(Severity.ERROR, "bad '\x1b[2J'").render("f", ["\x1b[2J\udc80"])
        self.assertNotIn("\x1b", rendered)
        rendered.encode()


class Collecting(SynchronousTestCase):
    def test_order(self) -> None:
        """Problems are sorted by their place in the file."""
        problems = Problems("f", ["a", "b"])
        problems.error("second", 2, 1)
        problems.error("first", 1, 1)
        self.assertEqual([each.message for each in problems.sorted], ["first", "second"])

    def test_twice(self) -> None:
        """The same problem is reported once."""
        problems = Problems("f", ["a"])
        problems.error("x", 1, 1)
        problems.error("x", 1, 1)
        self.assertEqual(len(problems.sorted), 1)

    def test_warnings(self) -> None:
        """Warnings are no errors."""
        problems = Problems("f", ["a"])
        problems.add(Problem(Severity.WARNING, "x"))
        self.assertFalse(problems.has_errors)
        problems.error("y", 1, 1)
        self.assertTrue(problems.has_errors)

    def test_secrets_are_hidden(self) -> None:
        """The source line of a problem does not show what was marked as secret."""
        problems = Problems("f", ["stats-auth = root hunter2"])
        problems.hide(1, 14)
        problems.error("bad", 1, 19, 7)
        self.assertNotIn("hunter2", problems.report())
        self.assertIn("stats-auth = ************", problems.report())
