"""A login at a MySQL server, and the few commands that a probe needs after it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from attrs import define, field

from vipproxy.checks import CheckFailed, words_of_peer
from vipproxy.checks.conversation import RECEIVE_LIMIT, Conversation, conversation
from vipproxy.checks.mysql_account import LoginOptions
from vipproxy.framing.mysql import (
    CLIENT_SSL,
    COM_PING,
    COM_QUERY,
    COM_QUIT,
    NATIVE_PASSWORD,
    Greeting,
    Packet,
    PacketError,
    PacketReader,
    build_login,
    build_tls_request,
    encode,
    is_auth_switch,
    is_error,
    is_more_auth_data,
    is_ok,
    parse_auth_switch,
    parse_error,
    parse_greeting,
)
from vipproxy.framing.mysql_auth import (
    ANSWERS,
    FAST_PATH_SUCCEEDED,
    FULL_AUTHENTICATION,
    REQUEST_PUBLIC_KEY,
    answer_without_password,
    clear_password,
    encrypted_password,
)
from vipproxy.framing.mysql_results import ResultReader, Row
from vipproxy.framing.rsa import parse_public_key
from vipproxy.interfaces import CheckTarget
from vipproxy.values import CheckStatus

MOST_REPLIES = 8
"""To one login; the longest that is known has five."""


class Packets:
    """The server's packets in one conversation."""

    def __init__(self, peer: Conversation) -> None:
        self.peer = peer
        self._reader = PacketReader(RECEIVE_LIMIT)

    async def read(self) -> Packet:
        """The next packet; PacketError where the server closes before it is complete."""
        while (packet := self._reader.next_packet()) is None:
            data = await self.peer.read()
            if not data:
                raise PacketError("the server closed the connection")
            self._reader.receive_data(data)
        return packet

    async def read_unless_error(self) -> Packet:
        """The next packet; an error packet fails the check with its number and words."""
        packet = await self.read()
        refuse_error(packet)
        return packet

    async def read_greeting(self) -> Greeting:
        """The server's first packet, which may be an error packet."""
        return parse_greeting((await self.read_unless_error()).payload)

    def start_tls(self, context: object) -> None:
        """Go on in TLS; PacketError where the server has said more than it should before it."""
        if not self._reader.empty:
            raise PacketError("the server spoke before the TLS handshake")
        self.peer.start_tls(context)


def refuse_error(packet: Packet, but: tuple[int, ...] = ()) -> None:
    """Raise CheckFailed (L7_STATUS) for an error packet, unless its number is in `but`."""
    if is_error(packet.payload):
        error = parse_error(packet.payload)
        if error.code not in but:
            raise CheckFailed(CheckStatus.L7_STATUS, words_of_peer(error.message), error.code)


class Session:
    """A user is logged in."""

    def __init__(self, packets: Packets, greeting: Greeting) -> None:
        self._packets = packets
        self.greeting = greeting

    async def ping(self) -> None:
        """COM_PING; raises CheckFailed with an error's words, PacketError for another answer."""
        self._packets.peer.write(encode(0, COM_PING))
        if not is_ok((await self._packets.read_unless_error()).payload):
            raise PacketError("no answer to a ping")

    async def query(self, text: str) -> list[Row]:
        """The rows that answer a query; raises as `ping` does."""
        self._packets.peer.write(encode(0, COM_QUERY + text.encode()))
        reader = ResultReader()
        while not reader.receive((await self._packets.read_unless_error()).payload):
            pass
        return reader.rows


@asynccontextmanager
async def session(target: CheckTarget, user: str, options: LoginOptions) -> AsyncIterator[Session]:
    """Log in at the probed server; ``async with session(...) as server``.

    Raises CheckFailed: as `conversation` does; L7_STATUS with the number and the words of an
    error packet; L7_RESPONSE for what is not MySQL, in the login or in the block; L6_RESPONSE
    where TLS fails; PROCESS_ERROR where the password cannot be read. However it ends, the server
    has been told so by COM_QUIT, except where it stays silent until the check times out.
    """
    password = options.read_password()
    failure: CheckFailed | None = None
    async with conversation(target) as peer:
        try:
            packets = Packets(peer)
            yield await Login(packets, user, password, options).run()
        except CheckFailed as failed:
            if failed.status is CheckStatus.L7_TIMEOUT:
                raise
            failure = failed
        except PacketError as error:
            failure = CheckFailed(CheckStatus.L7_RESPONSE, str(error))
        peer.write(encode(0, COM_QUIT))
    if failure is not None:
        raise failure


@define
class Login:
    """One login, from the greeting to the server's verdict."""

    _packets: Packets
    _user: str
    _password: bytes = field(repr=False)
    _options: LoginOptions
    _plugin: str = NATIVE_PASSWORD
    _scramble: bytes = b""

    async def run(self) -> Session:
        """The session; CheckFailed or PacketError where there will be none."""
        greeting = await self._packets.read_greeting()
        sequence = await self._secure(greeting)
        if greeting.auth_plugin in ANSWERS:  # else the server will ask for another
            self._plugin = greeting.auth_plugin
        self._scramble = greeting.scramble
        login = build_login(
            self._user,
            sequence,
            answer=ANSWERS[self._plugin](self._password, self._scramble),
            plugin=self._plugin,
            tls=self._options.tls,
        )
        self._packets.peer.write(login)
        for _ in range(MOST_REPLIES):
            reply = await self._packets.read_unless_error()
            if is_ok(reply.payload):
                return Session(self._packets, greeting)
            await self._reply(reply)
        raise PacketError("a login without an end")

    async def _secure(self, greeting: Greeting) -> int:
        """Start TLS where it is wanted; the sequence number of the login."""
        if self._options.tls_ca is None:
            return 1
        if not greeting.capabilities & CLIENT_SSL:
            await decline(self._packets, build_login(self._user))
            raise CheckFailed(CheckStatus.L6_RESPONSE, "the server does not offer TLS")
        self._packets.peer.write(build_tls_request())
        self._packets.start_tls(self._options.tls_ca.context)
        return 2

    async def _reply(self, reply: Packet) -> None:
        try:
            answer = self._answer(reply.payload)
        except _Refusal as refusal:
            await decline(self._packets, _without_password(reply))
            raise CheckFailed(CheckStatus.L7_RESPONSE, str(refusal)) from None
        if answer is not None:
            self._packets.peer.write(encode(reply.sequence + 1, answer))

    def _answer(self, payload: bytes) -> bytes | None:
        """What the server wants to hear; None for nothing, `_Refusal` where it may not."""
        if is_auth_switch(payload):
            return self._switch(payload)
        if not is_more_auth_data(payload) or self._plugin == NATIVE_PASSWORD:
            raise PacketError("an unknown answer to a login")
        data = payload[1:]
        if data == FAST_PATH_SUCCEEDED:
            return None
        return self._full_answer() if data == FULL_AUTHENTICATION else self._encrypted(data)

    def _switch(self, payload: bytes) -> bytes:
        switch = parse_auth_switch(payload)
        if switch.plugin not in ANSWERS:
            raise _Refusal(f"the user's authentication method '{switch.plugin}' is not supported")
        self._plugin, self._scramble = switch.plugin, switch.scramble
        return ANSWERS[self._plugin](self._password, self._scramble)

    def _full_answer(self) -> bytes:
        """The password itself: to a server that has proved in TLS who it is, or encrypted."""
        if self._options.tls:
            return clear_password(self._password)
        key = self._options.server_public_key
        if key is None:
            raise _Refusal("the server wants the password itself: use tls=on or server-public-key=")
        return self._encrypted(key.pem) if key.pem is not None else REQUEST_PUBLIC_KEY

    def _encrypted(self, pem: bytes) -> bytes:
        """The password for the owner of a key: one that was asked for, or the one configured."""
        if self._options.tls or self._options.server_public_key is None:
            raise PacketError("a public key that was not asked for")
        try:
            return encrypted_password(self._password, self._scramble, parse_public_key(pem))
        except ValueError as error:
            raise _Refusal(f"the server's public key: {error}") from None


class _Refusal(Exception):
    """What the server wants is not given to it; the text says why."""


async def decline(packets: Packets, login: bytes) -> Packet:
    """Send a login's first or next packet, and nothing secret after it, until the server ends it.

    A login that breaks off counts towards the server's `max_connect_errors`; a refused one does
    not. The answer is the server's last packet, OK or an error.
    """
    packets.peer.write(login)
    for _ in range(MOST_REPLIES):
        reply = await packets.read()
        if is_ok(reply.payload) or is_error(reply.payload):
            return reply
        packets.peer.write(_without_password(reply))
    raise PacketError("a login without an end")


def _without_password(reply: Packet) -> bytes:
    return encode(reply.sequence + 1, answer_without_password(reply.payload))
