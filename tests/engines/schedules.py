"""What two peers of one session do, step by step, and how such schedules are drawn.

A peer does its steps one after the other, and reads all the time unless it has stalled. A step
that cannot be done yet keeps the peer waiting.
"""

from __future__ import annotations

import os
import random
from enum import Enum

from attrs import frozen
from hypothesis import strategies

SEED = int(os.environ.get("VIPPROXY_SEED", "1"))
COUNT = int(os.environ.get("VIPPROXY_SCHEDULES", "2500"))
"""How many schedules each engine plays. VIPPROXY_SEED=2 draws others."""

LARGEST = 300_000
"""Bytes of one `SEND`."""


class Verb(Enum):
    """`n` is the step's amount."""

    SEND = "send"
    """Send n bytes."""
    STALL = "stall"
    """Read no more."""
    READ = "read"
    """Read n bytes and no more, although stalled."""
    RESUME = "resume"
    """Read all again."""
    PAUSE = "pause"
    """Let n turns of the reactor go by."""
    ARRIVED = "arrived"
    """Wait until the other peer has got all that was sent to it."""
    MEET = "meet"
    """Wait until the other peer is here too, and both have got all that was sent to them."""
    HALF_CLOSE = "half-close"
    """Send no more: a FIN."""
    TO_THE_END = "to the end"
    """Read until the end of the stream."""
    LEAVE = "leave"
    """Close the socket, everything being over."""
    CLOSE = "close"
    """Close the socket, whatever is on its way."""
    RESET = "reset"
    """Close it with a reset (SO_LINGER)."""
    SHUT_DOWN = "shut down"
    """Have the relay's session shut down."""


BREAKS = (Verb.CLOSE, Verb.RESET, Verb.SHUT_DOWN)


@frozen
class Step:
    verb: Verb
    amount: int = 0

    def __str__(self) -> str:
        return f"{self.verb.value} {self.amount}" if self.amount else self.verb.value


Steps = tuple[Step, ...]


@frozen
class Schedule:
    """One session. Sizes are bytes."""

    client: Steps
    server: Steps
    to_server: int = 0
    """What the relay is given as already read from the client."""
    to_client: int = 0
    client_buffers: int = 0
    """Kernel buffers of both ends of the client's connection; 0 leaves them to the kernel."""
    server_buffers: int = 0
    head_start: bool = False
    """The peers begin before the relay does."""
    determined: bool = False
    """No race decides how it ends: any two engines must agree in everything."""

    def __str__(self) -> str:
        options = [
            f"{name}={value}"
            for name in ("to_server", "to_client", "client_buffers", "server_buffers", "head_start")
            if (value := getattr(self, name))
        ]
        client, server = (", ".join(map(str, steps)) for steps in (self.client, self.server))
        return " | ".join([f"client: {client}", f"server: {server}", *options])


def planned(steps: Steps) -> int:
    """Bytes that a peer sends whom nothing stops."""
    total = 0
    for step in steps:
        if step.verb in (Verb.CLOSE, Verb.RESET):
            break
        total += step.amount if step.verb is Verb.SEND else 0
    return total


def random_schedule(rng: random.Random) -> Schedule:
    """A third each: orderly to the end; broken off when all is quiet; broken off anywhere."""
    draw = rng.choice((_orderly, _settled, _broken))
    client, server, determined = draw(rng)
    return Schedule(
        client,
        server,
        to_server=rng.choice((0, 0, 1, 700)),
        to_client=rng.choice((0, 0, 1, 700)),
        client_buffers=rng.choice((0, 0, 0, 4096, 16384)),
        server_buffers=rng.choice((0, 0, 0, 4096, 16384)),
        head_start=rng.random() < 0.2,
        determined=determined,
    )


schedules = strategies.randoms(use_true_random=False).map(random_schedule)
"""The same for hypothesis, which then finds the simplest one that fails."""


def schedule_number(number: int) -> Schedule:
    """The schedule of that number under today's seed."""
    return random_schedule(random.Random(f"{SEED}/{number}"))


def _orderly(rng: random.Random) -> tuple[Steps, Steps, bool]:
    """Half-closes in every order; everything is read."""
    waits = rng.choice(("client", "server", None))
    client = _half_closing(rng, _talk(rng)) + _finish(half_close=waits != "client")
    server = _half_closing(rng, _talk(rng)) + _finish(half_close=waits != "server")
    return tuple(client), tuple(server), True


def _settled(rng: random.Random) -> tuple[Steps, Steps, bool]:
    """One breaks off, or the relay is shut down, when all that was sent has arrived."""
    breaker = [*_talk(rng), Step(Verb.MEET), Step(rng.choice(BREAKS)), *_finish()]
    other = [*_half_closing(rng, _talk(rng)), Step(Verb.MEET), *_finish()]
    client, server = (breaker, other) if rng.random() < 0.5 else (other, breaker)
    return tuple(client), tuple(server), True


def _broken(rng: random.Random) -> tuple[Steps, Steps, bool]:
    """One or both break off at any point."""
    sides = [_half_closing(rng, _talk(rng)) for _ in range(2)]
    for side in rng.choice(((0,), (1,), (0, 1))):
        sides[side].insert(rng.randint(0, len(sides[side])), Step(rng.choice(BREAKS)))
    client, server = (tuple(side + _finish()) for side in sides)
    return client, server, False


def _talk(rng: random.Random) -> list[Step]:
    return [_word(rng) for _ in range(rng.randint(0, 6))]


def _word(rng: random.Random) -> Step:
    verb = rng.choice(
        (Verb.SEND, Verb.SEND, Verb.SEND, Verb.STALL, Verb.READ, Verb.RESUME, Verb.PAUSE,
         Verb.ARRIVED)
    )  # fmt: skip
    if verb is Verb.PAUSE:
        return Step(verb, rng.randint(1, 3))
    return Step(verb, _size(rng) if verb in (Verb.SEND, Verb.READ) else 0)


def _size(rng: random.Random) -> int:
    return rng.randint(1, rng.choice((1, 100, 3000, 3000, 70_000, LARGEST)))


def _half_closing(rng: random.Random, steps: list[Step]) -> list[Step]:
    """Now and then end the output early, and go on without sending."""
    if rng.random() < 0.5:
        return steps
    place = rng.randint(0, len(steps))
    after = [step for step in steps[place:] if step.verb is not Verb.SEND]
    return [*steps[:place], Step(Verb.HALF_CLOSE), *after]


def _finish(half_close: bool = True) -> list[Step]:
    begin = [Step(Verb.HALF_CLOSE)] if half_close else []
    return [*begin, Step(Verb.TO_THE_END), Step(Verb.LEAVE)]
