"""Random schedules of what both ends may do: a native transport and Twisted's agree."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.streams import (
    MISSING,
    HalfCloseable,
    NativeStream,
    Producer,
    Recorder,
    Streams,
    hear,
    reactor,
    reset,
    tcp_pair,
    turn,
)
from vipproxy.sockets import AdoptedConnection
from vipproxy.values import Address

SOMEONE = Address("192.0.2.1", 1024)
QUIET = 24
"""Turns after which, on loopback, nothing moves any more."""
SIZES = st.sampled_from([1, 10, 500, 1 << 20])
"""All of them together is what the kernel surely takes at once, or surely not."""


class Story:
    """One connection, and what becomes of it."""

    def __init__(self, half_closeable: bool, make: Callable[[socket.socket, Recorder], Any]):
        near, self.far = tcp_pair()
        self.protocol: Any = HalfCloseable() if half_closeable else Recorder()
        self.transport = make(near, self.protocol)
        self.protocol.makeConnection(self.transport)
        self.said = self.written = 0
        self.half_closing = False
        self.heard = bytearray()
        self.end = "open"
        """What the far end has seen of the connection's end."""

    def play(self, schedule: list[tuple[Any, ...]]) -> None:
        for name, *arguments in schedule:
            with contextlib.suppress(OSError):  # the far end's business
                getattr(self, name)(*arguments)
            turn(QUIET)
        self.listen()

    def clean_up(self) -> None:
        self.transport.abortConnection()
        turn(2)
        self.far.close()

    @property
    def lost(self) -> str | None:
        """Why, if it is lost."""
        return type(self.protocol.reasons[0].value).__name__ if self.protocol.reasons else None

    @property
    def broken(self) -> bool:
        """One end has cut it off: what was on the way may be lost.

        A close with unread input is a reset, too, which may come before or after the end.
        """
        if self.lost == "ConnectionDone" and self.end != "reset":
            unread = self.said > len(self.protocol.received)
            return unread or self.written > len(self.heard)
        return self.lost is not None

    # -- the far end

    def say(self, size: int) -> None:
        self.said += self.far.send(b"?" * size)

    def listen(self) -> None:
        """Take all that comes, as long as it comes."""
        while (data := self._hear()) is not None:
            if data == b"":
                self.end = "end"
                return
            self.heard += data
            turn(QUIET)

    def _hear(self) -> bytes | None:
        try:
            return hear(self.far)
        except ConnectionResetError:
            self.end = "reset"
        except OSError:
            self.end = "closed here"
        return None

    def say_no_more(self) -> None:
        self.far.shutdown(socket.SHUT_WR)

    def leave(self) -> None:
        self.listen()  # unread input would make it a reset
        self.far.close()

    def reset(self) -> None:
        reset(self.far)

    # -- the transport

    def write(self, size: int) -> None:
        self.written += size
        self.transport.write(b"!" * size)

    def write_more(self, size: int) -> None:
        self.written += size + 2
        self.transport.writeSequence([b"<", b"!" * size, b">"])

    def pause(self) -> None:
        self.transport.pauseProducing()

    def resume(self) -> None:
        self.transport.resumeProducing()

    def lose(self) -> None:
        self.transport.loseConnection()

    def half_close(self) -> None:
        """Once, while it is connected, and without a producer: Twisted fails at the rest."""
        if self.transport.connected and not self.half_closing:
            self.half_closing = True
            self.transport.unregisterProducer()
            self.transport.loseWriteConnection()

    def abort(self) -> None:
        self.transport.abortConnection()

    def produce(self) -> None:
        if self.transport.producer is None and not self.half_closing:
            self.transport.registerProducer(Producer(), True)

    def pull(self, count: int) -> None:
        """A pull producer that writes so many times."""
        left = iter(range(count))

        def more() -> None:
            if next(left, None) is None:
                self.transport.unregisterProducer()
            else:
                self.transport.write(b"pulled")

        if self.transport.producer is None and not self.half_closing:
            self.transport.registerProducer(Producer(more), False)

    def unproduce(self) -> None:
        self.transport.unregisterProducer()

    # -- what it does when it receives

    def answer(self, size: int) -> None:
        self.answer_and("resumeProducing", size)

    def answer_and(self, method: str, size: int) -> None:
        """Once, since nobody knows in how many pieces data is received."""

        def answer(data: bytes) -> None:
            self.protocol.on_data = None
            self.written += size
            self.transport.write(b"," * size)
            getattr(self.transport, method)()

        self.protocol.on_data = answer

    def close_at_end(self) -> None:
        self.protocol.on_input_ended = self.transport.loseConnection


PLAIN = st.sampled_from(
    [
        ("listen",), ("listen",), ("say_no_more",), ("leave",), ("reset",), ("pause",), ("resume",),
        ("lose",), ("half_close",), ("abort",), ("produce",), ("unproduce",), ("close_at_end",),
    ]
)  # fmt: skip
SAY = st.tuples(st.just("say"), st.sampled_from([1, 5000, 70_000]))
SIZED = st.tuples(st.sampled_from(["write", "write_more", "answer"]), SIZES)
PULL = st.tuples(st.just("pull"), st.integers(0, 3))
ANSWER_AND = st.tuples(
    st.just("answer_and"),
    st.sampled_from(["loseConnection", "abortConnection", "pauseProducing"]),
    SIZES,
)
SCHEDULES = st.lists(SAY | SIZED | PLAIN | PULL | ANSWER_AND, max_size=14)


def common(one: bytearray, other: bytearray) -> bool:
    """Whether one is the beginning of the other."""
    return one.startswith(other) or other.startswith(one)


class Schedules(SynchronousTestCase):
    skip = MISSING

    def story(self, schedule: list[tuple[Any, ...]], half_closeable: bool, make: Any) -> Story:
        story = Story(half_closeable, make)
        try:
            story.play(schedule)
        finally:
            story.clean_up()
        return story

    @settings(max_examples=500, deadline=None)
    @given(SCHEDULES, st.booleans())
    def test_the_same(self, schedule: list[tuple[Any, ...]], half_closeable: bool) -> None:
        """The protocols are told the same, and the far ends hear the same."""
        streams = Streams(reactor)
        try:
            native = self.story(
                schedule, half_closeable, lambda sock, p: NativeStream(sock, p, SOMEONE, streams)
            )
        finally:
            streams.stop()
        twisted = self.story(
            schedule, half_closeable, lambda sock, p: AdoptedConnection(sock, p, SOMEONE, reactor)
        )
        self.assertEqual(native.protocol.told, twisted.protocol.told)
        if native.broken or twisted.broken or native.said != twisted.said:
            self.assertTrue(common(native.heard, twisted.heard))
            self.assertTrue(common(native.protocol.received, twisted.protocol.received))
        else:
            self.assertEqual(native.end, twisted.end)
            self.assertEqual(native.heard, twisted.heard)
            self.assertEqual(native.protocol.received, twisted.protocol.received)
