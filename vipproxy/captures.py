"""The last messages that were refused, one for each proxy: what ``show errors`` shows."""

from __future__ import annotations

import re

from attrs import Factory, define

from vipproxy.interfaces import CapturedMessage
from vipproxy.values import Address

LONGEST = 16384
"""Bytes kept of a message, as HAProxy's default `tune.bufsize`."""
_SECRETS = re.compile(rb"(?im)^((?:proxy-)?authorization|(?:set-)?cookie2?):[^\r\n]*")


@define
class Captures:
    """Bounded: one request for each frontend, one response for each backend."""

    total: int = 0
    _last: dict[tuple[str, str], CapturedMessage] = Factory(dict)

    def keep(
        self,
        now: float,
        frontend: str,
        backend: str,
        server: str,
        source: Address,
        data: bytes,
        reason: str,
    ) -> None:
        """A response has a `backend`; `now` is Unix time in seconds.

        Without `data` there is nothing to show: it was refused before a byte of it was looked at.
        """
        if not data:
            return
        place = ("backend", backend) if backend else ("frontend", frontend)
        data = _SECRETS.sub(_masked, data[:LONGEST])
        self._last[place] = CapturedMessage(
            self.total, now, frontend, backend, server, source, reason, data
        )
        self.total += 1

    def messages(self) -> list[CapturedMessage]:
        return list(self._last.values())


def _masked(match: re.Match[bytes]) -> bytes:
    """The name, and a star for each byte of the value: positions stay what they were."""
    return match[1] + b":" + b"*" * (len(match[0]) - len(match[1]) - 1)
