"""Logins at servers that answer anything at all, without a network."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from vipproxy.checks import CheckFailed
from vipproxy.checks.conversation import RECEIVE_LIMIT, Conversation
from vipproxy.checks.mysql import MysqlCheckOptions
from vipproxy.checks.mysql_account import ServerKey
from vipproxy.checks.mysql_login import Login, Packets
from vipproxy.framing.mysql import Greeting, PacketError, build_greeting, encode

PASSWORD = b"a very secret password"
ASKING = MysqlCheckOptions(user="checker", server_public_key=ServerKey("ask", None))
STARTS = (
    b"",
    b"\0",
    b"\1\3",
    b"\1\4",
    b"\1-----BEGIN PUBLIC KEY-----",
    b"\xfe",
    b"\xfemysql_native_password\0",
    b"\xfecaching_sha2_password\0",
    b"\xfeclient_ed25519\0",
    b"\xff",
)
replies = st.lists(st.builds(bytes.__add__, st.sampled_from(STARTS), st.binary(max_size=40)))


def talk(data: bytes) -> tuple[object, bytes]:
    """How a login ends at a server that says `data` and closes, and what it was told."""
    peer, transport = Conversation(), StringTransport()
    peer.makeConnection(transport)
    ends: list[object] = []
    login = Login(Packets(peer), "checker", PASSWORD, ASKING)
    Deferred.fromCoroutine(login.run()).addBoth(ends.append)
    peer.dataReceived(data)
    peer.connectionLost()
    (end,) = ends
    return getattr(end, "value", end), transport.value()


class AnyServerTests(SynchronousTestCase):
    def test_repr(self) -> None:
        """A login does not show its password."""
        login = Login(Packets(Conversation()), "checker", PASSWORD, ASKING)
        self.assertNotIn("secret", repr(login))

    @settings(max_examples=300, deadline=None)
    @given(replies, st.sampled_from(("mysql_native_password", "caching_sha2_password", "")))
    def test_any_replies(self, payloads: list[bytes], plugin: str) -> None:
        """Whatever a server answers: a session, or a clear failure; never the password."""
        packets = [encode(2 + i, payload) for i, payload in enumerate(payloads)]
        greeting = build_greeting(Greeting("10", 7, auth_plugin=plugin))
        end, told = talk(greeting + b"".join(packets))
        if isinstance(end, Exception):
            self.assertIsInstance(end, (CheckFailed, PacketError))
            self.assertNotIn("secret", str(end))
        self.assertNotIn(b"secret", told)

    @settings(deadline=None)
    @given(st.binary(max_size=300))
    def test_any_bytes(self, data: bytes) -> None:
        """Whatever a server says first, the login fails clearly."""
        end, _ = talk(data)
        self.assertIsInstance(end, (CheckFailed, PacketError))

    def test_endless(self) -> None:
        """A login that never ends is given up, and so is a packet that is too long."""
        greeting = build_greeting(Greeting("10", 7, auth_plugin="caching_sha2_password"))
        end, _ = talk(greeting + encode(2, b"\1\3") * 100)
        self.assertEqual(str(end), "a login without an end")
        end, _ = talk(greeting + encode(2, bytes(RECEIVE_LIMIT + 1)))
        self.assertIn("longer than expected", str(end))
