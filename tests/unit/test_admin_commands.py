"""The commands of the stats socket, and the way they are asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.unit.admin_fakes import FakeCluster, FakeControl
from vipproxy.admin.commands import COMMANDS, Console, Level, execute
from vipproxy.admin.csv import HEADER
from vipproxy.admin.socket import MAX_LINE, CommandFactory, CommandProtocol
from vipproxy.testing import MemoryTransport
from vipproxy.values import AdminState

HEADING = "Unknown command, but maybe one of the following ones is a better match:\n"


class CommandTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.control = FakeControl()

    def run_(self, text: str, level: Level = Level.ADMIN) -> str:
        return execute(Console(FakeCluster(), self.control, level), text)

    def test_show_stat(self) -> None:
        """`show stat` is the CSV, with an empty line after it."""
        answer = self.run_("show stat")
        self.assertTrue(answer.startswith(HEADER))
        self.assertTrue(answer.endswith(",\n\n"))
        self.assertIn("\ndb-vms-galera,rhos6-node3,", answer)

    def test_show_info(self) -> None:
        """`show info` is the list, with an empty line after it; blanks do not matter."""
        for text in ("show info", "  show   info\r"):
            answer = self.run_(text)
            self.assertTrue(answer.startswith("Name: vipproxy\n"))
            self.assertTrue(answer.endswith("\n\n"))

    def test_unknown_formats(self) -> None:
        """A format that is not known is refused, not answered with another."""
        for command in ("show stat", "show info"):
            answer = self.run_(f"{command} yaml")
            self.assertTrue(answer.startswith(f"'{command}' does not know 'yaml', only desc, "))

    def test_help(self) -> None:
        """`help` lists what the level may do, in HAProxy's form."""
        answer = self.run_("help", Level.USER)
        self.assertTrue(answer.startswith("The following commands are valid at this level:\n"))
        self.assertIn("\n  show info [desc|json|typed|float]*      : report info", answer)
        self.assertNotIn("set server", answer)
        self.assertIn("set server", self.run_("help"))

    def test_help_on_a_command(self) -> None:
        """`help show` lists the commands that begin so."""
        answer = self.run_("help show")
        self.assertIn("show stat", answer)
        self.assertNotIn("set server", answer)

    def test_unknown_word(self) -> None:
        """An unknown command that begins like others gets those others."""
        answer = self.run_("show foo")
        self.assertTrue(answer.startswith(HEADING))
        self.assertIn("  show info ", answer)

    def test_misspelt(self) -> None:
        """A misspelt command gets what it resembles."""
        answer = self.run_("shwo info")
        self.assertTrue(answer.startswith(HEADING))
        self.assertIn("  show info ", answer)

    def test_unknown_altogether(self) -> None:
        """A command like no other gets the whole list, and so does an empty one."""
        heading = "Unknown command. Please enter one of the following commands only:\n"
        self.assertTrue(self.run_("xyzzy").startswith(heading))
        self.assertTrue(self.run_("").startswith(heading))

    def test_set_server(self) -> None:
        """`set server` does what it says, and is silent about it."""
        self.assertEqual(self.run_("set server db-vms-galera/rhos6-node2 state maint"), "\n")
        self.assertEqual(self.control.calls, [("db-vms-galera", "rhos6-node2", AdminState.MAINT)])

    def test_set_server_errors(self) -> None:
        """Its errors are HAProxy's, and none of them changes anything."""
        expected = "'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n\n"
        pool = "db-vms-galera"
        for text, answer in {
            "set server": "Require 'backend/server'.\n\n",
            f"set server {pool} state ready": "Require 'backend/server'.\n\n",
            "set server x/rhos6-node1 state ready": "No such backend.\n\n",
            f"set server {pool}/x state ready": "No such server.\n\n",
            f"set server {pool}/rhos6-node1 state": expected,
            f"set server {pool}/rhos6-node1 state foo": expected,
        }.items():
            self.assertEqual(self.run_(text), answer, text)
        self.assertTrue(self.run_(f"set server {pool}/rhos6-node1").startswith("usage: set server"))
        self.assertEqual(self.control.calls, [])

    def test_permission(self) -> None:
        """Below level admin servers are not changed."""
        text = "set server db-vms-galera/rhos6-node2 state maint"
        self.assertEqual(self.run_(text, Level.OPERATOR), "Permission denied\n\n")
        self.assertEqual(self.control.calls, [])

    def test_table(self) -> None:
        """No command hides behind another that comes before it."""
        names = [each.name for each in COMMANDS]
        for index, name in enumerate(names):
            self.assertFalse([each for each in names[:index] if f"{name} ".startswith(f"{each} ")])

    @given(st.text())
    def test_any_text_has_an_answer(self, text: str) -> None:
        """Whatever is asked, the answer ends with a line feed."""
        self.assertTrue(self.run_(text).endswith("\n"))


class ConversationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        console = Console(FakeCluster(), FakeControl(), Level.ADMIN)
        self.factory = CommandFactory(console, self.clock)
        self.transport = MemoryTransport()
        protocol = self.factory.buildProtocol(None)
        assert isinstance(protocol, CommandProtocol)
        self.transport.connect(protocol)

    def assert_closed(self) -> None:
        """The connection has ended, and nothing is left with the clock."""
        self.assertTrue(self.transport.closed)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_answer_and_close(self) -> None:
        """One line is answered, and the connection closed."""
        self.transport.deliver(b"show in")
        self.assertEqual(self.transport.value(), b"")
        self.transport.deliver(b"fo\r\n")
        self.assertTrue(self.transport.value().startswith(b"Name: vipproxy\n"))
        self.assert_closed()
        self.assertFalse(self.transport.aborted)

    def test_several_commands(self) -> None:
        """Commands separated by semicolons are answered in turn."""
        self.transport.deliver(b"set server db-vms-galera/rhos6-node1 state drain; show info\n")
        self.assertTrue(self.transport.value().startswith(b"\nName: vipproxy\n"))

    def test_half_close(self) -> None:
        """A user who ends his side without a line gets nothing."""
        self.transport.deliver(b"show info")
        self.transport.end_input()
        self.assertEqual(self.transport.value(), b"")
        self.assert_closed()

    def test_idle(self) -> None:
        """A silent user is sent away."""
        self.clock.advance(9)
        self.transport.deliver(b"show")
        self.clock.advance(9)
        self.assertFalse(self.transport.closed)
        self.clock.advance(2)
        self.assertTrue(self.transport.aborted)
        self.assert_closed()

    def test_long_line(self) -> None:
        """A line without end is not kept."""
        self.transport.deliver(b"x" * (MAX_LINE + 1))
        self.assertTrue(self.transport.aborted)
        self.assert_closed()

    def test_bytes_that_are_no_text(self) -> None:
        """Bytes that are not UTF-8 are an unknown command."""
        self.transport.deliver(b"\xff\xfe\n")
        self.assertTrue(self.transport.value().startswith(b"Unknown command"))
