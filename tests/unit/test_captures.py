"""The last refused messages: bounded, without secrets, shown as HAProxy shows them."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.unit.admin_fakes import FakeCluster, FakeControl
from vipproxy.admin.commands import Console, Level, execute
from vipproxy.admin.commands.errors import hexdump, position
from vipproxy.captures import LONGEST, Captures
from vipproxy.interfaces import CapturedMessage
from vipproxy.values import Address

CLIENT = Address("192.0.2.7", 40000)
REQUEST = CapturedMessage(3, 1.5, "vip-db", "", "", CLIENT, "it is malformed", b"GET x\r\n\r\n")
RESPONSE = evolve(
    REQUEST,
    number=4,
    backend="db-vms-galera",
    server="rhos6-node2",
    data=b"HTTP/1.1 200\r\nx y\r\n",
)


class Keeping(SynchronousTestCase):
    def setUp(self) -> None:
        self.captures = Captures()

    def keep(self, data: bytes, frontend: str = "f", backend: str = "") -> None:
        self.captures.keep(0.0, frontend, backend, "s" if backend else "", CLIENT, data, "why")

    def test_last_one(self) -> None:
        """A proxy has one message, the last; all are counted."""
        for data in (b"first", b"second"):
            self.keep(data)
        self.keep(b"answer", backend="b")
        self.assertEqual([each.data for each in self.captures.messages()], [b"second", b"answer"])
        self.assertEqual(self.captures.total, 3)

    def test_nothing(self) -> None:
        """Where nothing is known of what came, nothing is kept."""
        self.keep(b"")
        self.assertEqual((self.captures.total, self.captures.messages()), (0, []))

    def test_bounded(self) -> None:
        """Of a long message the beginning is kept."""
        self.keep(b"x" * (LONGEST + 1))
        self.assertEqual(len(self.captures.messages()[0].data), LONGEST)

    def test_secrets(self) -> None:
        """Passwords and cookies are not kept; every byte after them keeps its place."""
        data = (
            b"GET / HTTP/1.1\r\nAuthorization: Basic c2VjcmV0\r\nCOOKIE:id=1\r\n"
            b"proxy-authorization: x\r\nbad header\r\n\r\n"
        )
        self.keep(data)
        kept = self.captures.messages()[0].data
        self.assertEqual(len(kept), len(data))
        self.assertEqual(kept.index(b"bad header"), data.index(b"bad header"))
        for secret in (b"c2VjcmV0", b"id=1", b" x"):
            self.assertNotIn(secret, kept)
        self.assertIn(b"\r\nAuthorization:***", kept)


class Showing(SynchronousTestCase):
    def show(self, arguments: str = "") -> str:
        cluster = FakeCluster(refused=[RESPONSE, REQUEST])
        console = Console(cluster, FakeControl(), Level.OPERATOR)
        return execute(console, f"show errors {arguments}")

    def test_all(self) -> None:
        """All messages, in the order of the proxies."""
        answer = self.show()
        self.assertRegex(answer, r"^Total events captured on \[.*\] : 2\n \n\[")
        self.assertLess(answer.index("event #3"), answer.index("event #4"))
        self.assertIn("frontend vip-db (#3): invalid request\n", answer)
        self.assertIn("  backend <NONE> (#-1), server <NONE> (#-1), event #3, src 192.", answer)
        self.assertIn("backend db-vms-galera (#4): invalid response\n", answer)
        self.assertIn("  frontend vip-db (#3), server rhos6-node2 (#2), event #4,", answer)

    def test_chosen(self) -> None:
        """Those of one proxy, by name or number, and of one kind."""
        for arguments, requests, responses in (
            ("vip-db", 1, 1),
            ("db-vms-galera", 0, 1),
            ("4", 0, 1),
            ("-1 request", 1, 0),
            ("vip-db response", 0, 1),
            ("swift-vms", 0, 0),
        ):
            answer = self.show(arguments)
            found = answer.count("invalid request"), answer.count("invalid response")
            self.assertEqual(found, (requests, responses), arguments)

    def test_unknown(self) -> None:
        """A proxy that is not there."""
        self.assertEqual(self.show("nope"), "No such proxy.\n\n")

    @given(st.binary(max_size=400), st.booleans())
    def test_any_bytes(self, data: bytes, response: bool) -> None:
        """Whatever it was: it has a position within it, and a dump that loses no byte."""
        message = evolve(RESPONSE if response else REQUEST, data=data)
        self.assertTrue(0 <= position(message) <= len(data))
        lines = list(hexdump(data))
        shown = "".join(line[9:] for line in lines)
        self.assertEqual(_unescaped(shown), data)
        self.assertTrue(all(len(line) <= 9 + 70 for line in lines))


def _unescaped(text: str) -> bytes:
    escapes = {"t": b"\t", "n": b"\n", "r": b"\r", "e": b"\x1b", "\\": b"\\"}
    data, index = b"", 0
    while index < len(text):
        if text[index] != "\\":
            data, index = data + text[index].encode(), index + 1
        elif text[index + 1] == "x":
            data, index = data + bytes.fromhex(text[index + 2 : index + 4]), index + 4
        else:
            data, index = data + escapes[text[index + 1]], index + 2
    return data
