"""What was seen of one session, and by which rules an engine is judged."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import define, frozen

from tests.engines.schedules import Schedule, planned
from vipproxy.values import Ending


@define
class PeerRecord:
    """What one peer did and saw."""

    first: int
    """Bytes that the relay had already read from it."""
    sent: int = 0
    """Bytes that the kernel took from it."""
    received: int = 0
    wrong_at: int | None = None
    """The first received byte that was not the right one."""
    end: str | None = None
    """How the stream that it read ended: "fin", "reset", or None where it did not read so far."""
    half_closed: bool = False
    refused: bool = False
    """The kernel refused what it wanted to send: the connection was reset."""
    broke_off: str | None = None
    """It closed its socket at will: "close" or "reset"."""

    @property
    def total(self) -> int:
        """The bytes that the other peer shall get."""
        return self.first + self.sent

    def outcome(self) -> tuple[object, ...]:
        """Whether one that broke off saw an end before that is a race between the peers."""
        end = None if self.broke_off else self.end
        return (self.sent, self.received, self.wrong_at, end, self.refused)


@frozen
class Record:
    """One session, from outside of the engine."""

    in_time: bool
    client: PeerRecord
    server: PeerRecord
    endings: list[Ending]
    """What the taker was told."""
    endings_at_shut_down: list[Ending] | None
    """What it had been told when `shut_down` was called first; None where that never was."""
    bytes_in: int
    bytes_out: int

    def outcome(self) -> tuple[object, ...]:
        """What two engines can be compared by."""
        return (
            self.client.outcome(),
            self.server.outcome(),
            self.endings,
            self.bytes_in,
            self.bytes_out,
        )


@frozen
class View:
    """A session as one of its peers sees it."""

    name: str
    me: PeerRecord
    other: PeerRecord
    counted: int
    """What the engine says that it had from me."""
    counted_for_me: int
    """What it says that it had from the other."""
    planned: int
    """What I wanted to send."""
    abort: Ending
    """How a session ends that I broke off."""

    @property
    def broke(self) -> bool:
        """I broke off with a reset: one that I asked for, or because bytes came to nobody."""
        if self.me.broke_off == "close":
            return self.me.received < self.other.total
        return self.me.broke_off == "reset"

    @property
    def ended_first(self) -> bool:
        """The engine may have seen the regular end of my stream before I broke off."""
        return self.me.half_closed or self.me.broke_off == "close"


def violations(schedule: Schedule, record: Record) -> list[str]:
    """Every rule that an engine broke; none where all is well.

    A session that nobody breaks off is judged by what the schedule says. Otherwise races decide
    how far it came, and the rules say what may not be under any of their outcomes.
    """
    client = View(
        "client",
        record.client,
        record.server,
        record.bytes_in,
        record.bytes_out,
        planned(schedule.client),
        Ending.CLIENT_ABORT,
    )
    server = View(
        "server",
        record.server,
        record.client,
        record.bytes_out,
        record.bytes_in,
        planned(schedule.server),
        Ending.SERVER_ABORT,
    )
    if not record.in_time:
        return ["the session did not end"]
    shut_down = record.endings_at_shut_down is not None
    orderly = not (client.broke or server.broke or shut_down)
    found = [*_endings(record, client, server)]
    for view in (client, server):
        found += _content(view)
        found += _all_arrived(view) if orderly else _cut_short(view, shut_down)
    return found


def _content(view: View) -> Iterator[str]:
    """The right bytes in the right order, and no more; counted as they are relayed."""
    me, other = view.me, view.other
    if me.wrong_at is not None:
        yield f"{view.name} received a wrong byte at {me.wrong_at}"
    if me.received > other.total:
        yield f"{view.name} received {me.received} bytes of {other.total}"
    arrived = max(0, other.received - me.first)
    if not arrived <= view.counted <= me.sent:
        yield f"{view.name} sent {me.sent}, {arrived} arrived, {view.counted} were counted"


def _all_arrived(view: View) -> Iterator[str]:
    """Nobody broke off: everything arrives, is counted, and ends with a FIN."""
    me, other = view.me, view.other
    if me.received != other.total:
        yield f"{view.name} received {me.received} bytes of {other.total}"
    if not me.sent == view.counted == view.planned:
        yield f"{view.name} wanted {view.planned}, sent {me.sent}, {view.counted} were counted"
    if me.refused:
        yield f"{view.name} could not send"
    if me.end != "fin" and not (me.broke_off and me.end is None):
        yield f"{view.name} saw the end '{me.end}' where nobody broke off"


def _cut_short(view: View, shut_down: bool) -> Iterator[str]:
    """Somebody broke off. The others see a FIN after all that the engine had for them.

    A reset is legal only where the kernel sends one by itself: for bytes that the engine never
    read. `shut_down` may drop what the engine still had.
    """
    me, other = view.me, view.other
    if me.broke_off is None and me.end is None:
        yield f"{view.name} saw no end"
    if me.end == "reset" and not (me.sent > view.counted or me.refused):
        yield f"{view.name} saw a reset, although all {me.sent} bytes were read"
    due = other.first + view.counted_for_me
    if me.end == "fin" and not shut_down and me.received != due:
        yield f"{view.name} received {me.received} of {due} bytes before a FIN"


def _endings(record: Record, client: View, server: View) -> Iterator[str]:
    """The taker is told once, and nothing after a shut_down; only a peer that broke is named."""
    told = record.endings
    if record.endings_at_shut_down is not None:
        if told != record.endings_at_shut_down:
            yield f"told {told} after a shut_down"
    elif len(told) != 1:
        yield f"told {told}"
    breakers = [view for view in (client, server) if view.broke]
    legal = [view.abort for view in breakers]
    if all(view.ended_first for view in breakers):
        legal.append(Ending.NORMAL)
    if not set(told) <= set(legal):
        yield f"told {told}, where only {legal} are true"
