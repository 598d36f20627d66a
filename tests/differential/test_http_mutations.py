"""The corpus with small changes, by the hundred: whatever HAProxy refuses vipproxy refuses, too."""

from __future__ import annotations

import random

from twisted.internet.threads import deferToThread

from tests.differential.test_http_haproxy import EMPTY, LAST, Case
from tests.http_peers import talk
from tests.unit.http_corpus import (
    ACCEPTED_REQUESTS,
    ACCEPTED_RESPONSES,
    BROKEN_RESPONSES,
    HOSTILE_REQUESTS,
    HOSTILE_RESPONSES,
)

NUMBER = 1500
SMALL = 600
"""Bytes of a message that is changed; the others are about sizes."""
REFUSALS = b"400", b"413", b"422"

PIECES = (
    b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b",", b";", b"0", b"1", b"9", b"x", b"\0", b"\x7f",
    b"\x80", b"/", b"?", b"#", b"@", b"%", b'"', b"\\", b"[", b"]", b"-", b"+", b"(", b"*", b"GET",
    b"HTTP/1.0", b"http://a", b"chunked", b"Content-Length: 3\r\n", b"Host: b\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"TE: chunked\r\n",
    b"Connection: upgrade\r\nUpgrade: x\r\n", b"Upgrade: websocket\r\n", b"Keep-Alive: x\r\n",
    b"Expect: 100-continue\r\n", b"Connection: content-length\r\n",
)  # fmt: skip


def mutated(rng: random.Random, message: bytes) -> bytes:
    """Something is put in, left out, or put in the place of a byte; once, or a few times."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(message) + 1)
        piece, out = rng.choice(((True, 0), (False, 1), (False, 3), (True, 1)))
        message = message[:at] + rng.choice(PIECES) * piece + message[at + out :]
    return message


def status_of(answer: bytes) -> bytes:
    """Of the first answer; nothing where there is none."""
    return answer[9:12] if answer.startswith(b"HTTP/1.1 ") else b""


class MutationTests(Case):
    """Always the same changes, so that the test has always the same result."""

    def ask(self, port: int, request: bytes) -> bytes:
        try:
            return status_of(talk(port, request))
        except ConnectionError:
            return b""  # refused while it was sent

    async def statuses(self, request: bytes) -> tuple[bytes, bytes]:
        """HAProxy's, and ours."""
        theirs = await deferToThread(self.ask, self.ports["hasty"], request)
        return theirs, await deferToThread(self.ask, self.proxy.port("hasty"), request)

    async def test_requests(self) -> None:
        """A request that we pass on is one that HAProxy passes on."""
        self.origin.answer = EMPTY
        rng = random.Random(1)
        seeds = [sent for sent, _ in ACCEPTED_REQUESTS.values()] + [*HOSTILE_REQUESTS.values()]
        seeds = [seed for seed in seeds if len(seed) < SMALL]
        passed = 0
        for _ in range(NUMBER):
            request = mutated(rng, rng.choice(seeds))
            theirs, ours = await self.statuses(request)
            if ours == b"200":
                passed += 1
                self.assertNotIn(theirs, REFUSALS, request)
        self.assertGreater(passed, NUMBER / 20)

    async def test_responses(self) -> None:
        """A response that we pass on whole is one that HAProxy passes on."""
        rng = random.Random(1)
        seeds = [case.sent for case in ACCEPTED_RESPONSES.values()]
        seeds += [*HOSTILE_RESPONSES.values(), *BROKEN_RESPONSES.values()]
        seeds = [seed for seed in seeds if len(seed) < SMALL]
        passed = 0
        for _ in range(NUMBER):
            self.origin.answer = answer = mutated(rng, rng.choice(seeds))
            theirs, ours = await self.statuses(LAST)
            whole = b"chunked" not in answer.lower() and not ours.startswith(b"1")
            if ours != b"502" and whole:
                passed += 1
                self.assertNotEqual(theirs, b"502", answer)
        self.assertGreater(passed, NUMBER / 20)
