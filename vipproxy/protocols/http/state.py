"""What a client's connection is at."""

from __future__ import annotations

from enum import Enum, auto


class State(Enum):
    HEAD = auto()
    """Waiting for a request, or reading its head."""
    BODY = auto()
    """Reading a request's body, while its exchange runs."""
    BUSY = auto()
    """The request is read; its response is not complete."""
    CLOSING = auto()
    """What still comes is dropped."""


HEAD, BODY, BUSY, CLOSING = State
