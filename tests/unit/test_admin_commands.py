"""The commands of the stats socket, and the way they are asked for."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.unit.admin_fakes import FakeCluster, FakeControl, backend
from vipproxy.admin.commands import COMMANDS, Console, Level, execute
from vipproxy.admin.conversation import MAX_LINE, CommandFactory, CommandProtocol, Users
from vipproxy.admin.csv import HEADER
from vipproxy.config.options import ServerConfig, ServerOptions
from vipproxy.errors import Refused
from vipproxy.interfaces import Health, PinView, SessionView, TableView
from vipproxy.testing import MemoryTransport
from vipproxy.values import Address, AdminState

HEADING = "Unknown command, but maybe one of the following ones is a better match:\n"


class CommandTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.control = FakeControl()
        self.cluster = FakeCluster()

    def run_(self, text: str, level: Level = Level.ADMIN) -> str:
        return execute(Console(self.cluster, self.control, level), text)

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
        """`help` lists all commands at every level, in HAProxy's form, as HAProxy does."""
        answer = self.run_("help", Level.USER)
        self.assertTrue(answer.startswith("The following commands are valid at this level:\n"))
        self.assertIn("\n  show info [desc|json|typed|float]*      : report info", answer)
        self.assertIn("set server", answer)
        self.assertTrue(
            answer.endswith("  quit                                    : disconnect\n\n")
        )

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
        self.assertEqual(
            self.control.calls,
            [("set_admin_state", "db-vms-galera", "rhos6-node2", AdminState.MAINT)],
        )

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

    def test_changes(self) -> None:
        """What operators may change is asked of the control, once it is understood."""
        address = Address("192.168.1.9", 80)
        for text, call in {
            "set server P/S weight 5": ("set_weight", "P", "S", 5),
            "set weight P/S 50%": ("set_weight", "P", "S", 0),
            "set server P/S health stopping": ("set_health", "P", "S", Health.STOPPING),
            "set server P/S addr 192.168.1.9 port 80": ("set_address", "P", "S", address),
            "set server P/S check-port 90": ("set_check_address", "P", "S", None, 90),
            "set server P/S check-addr ::1": ("set_check_address", "P", "S", "::1", None),
            "set maxconn server P/S 7": ("set_server_maxconn", "P", "S", 7),
            "enable server P/S": ("set_admin_state", "P", "S", AdminState.READY),
            "disable server P/S": ("set_admin_state", "P", "S", AdminState.MAINT),
            "disable health P/S": ("set_checking", "P", "S", False),
            "shutdown sessions server P/S": ("shut_server_sessions", "P", "S"),
            "del server P/S": ("remove_server", "P", "S"),
            "disable frontend F": ("disable_frontend", "F"),
            "enable frontend F": ("enable_frontend", "F"),
            "shutdown frontend F": ("shut_frontend", "F"),
            "set maxconn frontend F 9": ("set_frontend_maxconn", "F", 9),
            "set maxconn global 9": ("set_session_limit", 9),
            "set rate-limit sessions global 9": ("set_session_rate", 9),
            "shutdown session 0x1f": ("shut_session", 31),
            "clear counters all": ("clear_counters", True),
        }.items():
            self.control.calls.clear()
            self.run_(" ".join(_named(word) for word in text.split(" ")))
            wanted = tuple(_named(each) if isinstance(each, str) else each for each in call)
            self.assertEqual(self.control.calls, [wanted], text)

    def test_add_server(self) -> None:
        """A server is added with the options that its keywords say."""
        text = (
            "add server db-vms-galera/n9 192.168.1.9:80 check port 90 weight 3 backup enabled "
            "inter 200 fall 5 addr ::1 on-marked-down shutdown-sessions"
        )
        self.assertEqual(self.run_(text), "New server registered.\n\n")
        options = ServerOptions(
            address=Address("192.168.1.9", 80),
            check=True,
            check_port=90,
            weight=3,
            backup=True,
            interval=0.2,
            fall=5,
            check_addr="::1",
            on_marked_down="shutdown-sessions",
        )
        self.assertEqual(
            self.control.calls,
            [
                ("add_server", "db-vms-galera", ServerConfig("n9", options)),
                ("set_admin_state", "db-vms-galera", "n9", AdminState.READY),
            ],
        )

    def test_nonsense(self) -> None:
        """Where HAProxy takes nonsense for a number, it is refused, and nothing is changed."""
        server = "db-vms-galera/rhos6-node2"
        pools = [*self.cluster.value.backends, backend("unchecked", 99, (), checked=False)]
        self.cluster.value = evolve(self.cluster.value, backends=tuple(pools))
        for text in (
            "set maxconn frontend vip-db x",
            "set maxconn global 9x",
            "set rate-limit sessions global x",
            f"set maxconn server {server} -1",
            f"set server {server} addr 192.168.1.9 port 70000",
            "add server db-vms-galera/n9 example.org:80",
            "add server db-vms-galera/n9 192.168.1.9",
            "add server db-vms-galera/n9 192.168.1.9:80 weight",
            "add server db-vms-galera/n9 192.168.1.9:80 inter 1x",
            "add server db-vms-galera/n9 192.168.1.9:80 slowstart 1s",
            "add server db-vms-galera/n9 192.168.1.9:80 addr example.org",
            "add server db-vms-galera/n9 192.168.1.9:80 on-marked-down fall-over",
            "add server unchecked/n9 192.168.1.9:80 check",
        ):
            self.assertNotEqual(self.run_(text).strip(), "", text)
        self.assertEqual(self.control.calls, [])

    def test_refused(self) -> None:
        """What the control refuses is said, in its words."""
        self.control.refusal = Refused("All sockets are already disabled.")
        answer = self.run_("disable frontend vip-db")
        self.assertEqual(answer, "All sockets are already disabled.\n\n")

    def test_sessions(self) -> None:
        """`show sess` has a line for each session, and more for one that is asked for."""
        view = SessionView(
            0x7F00, "vip-db", "db-vms-galera", "rhos6-node2", Address("::1", 5), None, 3725.5, 1, 2
        )
        waiting = evolve(view, number=0x7F01, server="", source=Address("192.0.2.1", 5), age=0.1)
        self.cluster.views = [view, waiting]
        self.assertEqual(
            self.run_("show sess"),
            "0x7f00: proto=tcpv6 src=[::1]:5 fe=vip-db be=db-vms-galera srv=rhos6-node2 age=1h2m "
            "in=1 out=2\n"
            "0x7f01: proto=tcpv4 src=192.0.2.1:5 fe=vip-db be=db-vms-galera srv=<none> age=0s "
            "in=1 out=2\n\n",
        )
        self.assertIn("\n  server=rhos6-node2 (id=2)\n", self.run_("show sess 0x7f00"))
        self.assertIn("\n  server=<NONE> (id=-1)\n", self.run_("show sess 7f01"))
        self.assertEqual(self.run_("show sess all").count("source="), 2)
        self.assertEqual(self.run_("show sess 0x7f02"), "Session not found.\n\n")

    def test_tables(self) -> None:
        """Entries are found by their key and by their server, and dropped so."""
        pins = [
            PinView(0x70 + n, f"192.0.2.{n}", f"n{n}", n, users=n - 1, expires_in=1.5)
            for n in (1, 2, 3)
        ]
        self.cluster.stick_tables = [TableView("db-vms-galera", 10, tuple(pins))]
        header = "# table: db-vms-galera, type: ip, size:10, used:3\n"
        entries = [
            f"0x7{n}: key=192.0.2.{n} use={n - 1} exp=1500 server_id={n} server_key=n{n}\n"
            for n in (1, 2, 3)
        ]
        self.assertEqual(self.run_("show table"), header + "\n")
        for filter_, shown in (
            ("", [0, 1, 2]),
            ("key 192.0.2.2", [1]),
            ("data.server_id ge 2", [1, 2]),
            ("data.server_id ge 2 data.server_id ne 3", [1]),
        ):
            answer = self.run_(f"show table db-vms-galera {filter_}")
            self.assertEqual(answer, header + "".join(entries[n] for n in shown) + "\n")
        self.run_("clear table db-vms-galera data.server_id lt 3")
        self.run_("set table db-vms-galera key 192.0.2.9 data.server_id 2")
        self.assertEqual(
            self.control.calls,
            [
                ("drop_pins", "db-vms-galera", ["192.0.2.1", "192.0.2.2"]),
                ("set_pin", "db-vms-galera", "192.0.2.9", 2),
            ],
        )

    def test_every_level(self) -> None:
        """A user of a lower level may not do what needs a higher one, whatever follows."""
        for command in COMMANDS:
            for level in Level:
                answer = self.run_(command.name, level)
                denied = answer == "Permission denied\n\n"
                self.assertEqual(denied, level < command.level, f"{command.name} {level}")

    def test_table(self) -> None:
        """No command hides behind another that comes before it."""
        names = [each.name for each in COMMANDS]
        for index, name in enumerate(names):
            self.assertFalse([each for each in names[:index] if f"{name} ".startswith(f"{each} ")])

    @given(st.text())
    def test_any_text_has_an_answer(self, text: str) -> None:
        """Whatever is asked, the answer ends with a line feed."""
        answer = self.run_(text)
        self.assertTrue(answer.endswith("\n") or text.split()[:1] == ["quit"])


def _named(text: str) -> str:
    """With the names that the letters stand for."""
    names = {"P": "db-vms-galera", "S": "rhos6-node2", "F": "vip-db"}
    return "/".join(names.get(part, part) for part in text.split("/"))


class ConversationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        console = Console(FakeCluster(), FakeControl(), Level.ADMIN)
        self.users = Users(self.clock)
        self.factory = CommandFactory(console, self.users)
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

    def test_prompt(self) -> None:
        """In interactive mode each answer is followed by a prompt, and the connection stays."""
        self.transport.deliver(b"prompt\n")
        self.assertEqual(self.heard(), b"\n> ")
        self.transport.deliver(b"show cli level\r\nshow version;show cli level\n")
        self.assertEqual(self.heard(), b"admin\n\n> 0.1.0\n\n> admin\n\n> ")
        self.transport.deliver(b"show cli lev")
        self.assertEqual(self.heard(), b"")
        self.transport.deliver(b"el\n")
        self.assertEqual(self.heard(), b"admin\n\n> ")
        self.transport.deliver(b"quit\nshow version\n")
        self.assertEqual(self.heard(), b"")
        self.assert_closed()

    def test_prompt_off(self) -> None:
        """A second `prompt` ends the interactive mode, and so the connection."""
        self.transport.deliver(b"prompt\n")
        self.transport.deliver(b"prompt\n")
        self.assertEqual(self.heard(), b"\n> \n")
        self.assert_closed()

    def test_level_lowered(self) -> None:
        """A lowered level holds for this connection, and never rises again."""
        self.transport.deliver(b"prompt;operator;set server a/b;user;operator;show cli level\n")
        self.assertEqual(
            self.heard(),
            b"\n> \n> Permission denied\n\n> \n> Permission denied\n\n> user\n\n> ",
        )
        self.assertEqual(self.factory.console.level, Level.ADMIN)

    def test_own_timeout(self) -> None:
        """`set timeout cli` holds at once, for this connection."""
        self.transport.deliver(b"prompt;set timeout cli 60\n")
        self.clock.advance(59)
        self.assertFalse(self.transport.closed)
        self.clock.advance(2)
        self.assertTrue(self.transport.aborted)
        self.assert_closed()

    def test_slow_reader(self) -> None:
        """While a user does not read his answers, no further command is answered."""
        self.transport.deliver(b"prompt\n")
        self.heard()
        assert self.transport.producer is not None
        self.transport.producer.pauseProducing()
        self.transport.deliver(b"show cli level\n")
        self.assertEqual(self.heard(), b"")
        self.transport.producer.resumeProducing()
        self.assertEqual(self.heard(), b"admin\n\n> ")

    def test_slow_reader_leaves(self) -> None:
        """Nor are those of one line; all of them are in the end, also after a half-close."""
        assert self.transport.producer is not None
        self.transport.producer.pauseProducing()
        self.transport.deliver(b"show cli level;show cli level\n")
        self.transport.end_input()
        self.assertEqual(self.heard(), b"")
        self.transport.producer.resumeProducing()
        self.assertEqual(self.heard(), b"admin\n\nadmin\n\n")
        self.assert_closed()

    def test_fault(self) -> None:
        """A command that fails costs its answer; it is logged."""
        self.factory.console.control.refusal = ZeroDivisionError()  # type: ignore[attr-defined]
        self.transport.deliver(b"prompt;enable server a/b;show cli level\n")
        self.assertEqual(self.heard(), b"\n> Internal error.\n\n> admin\n\n> ")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def heard(self) -> bytes:
        """What was written since the last time."""
        data = self.transport.value()
        self.transport.clear()
        return data
