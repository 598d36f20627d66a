"""What rules look at, and what some of them change."""

from __future__ import annotations

from vipproxy.framing.http1 import RequestHead, ResponseHead
from vipproxy.values import Address


class Subject:
    """One client's connection, and one of its requests, or the response to it."""

    __slots__ = (
        "backend",
        "client",
        "content",
        "destination",
        "final",
        "frontend",
        "request",
        "response",
        "secure",
        "server",
    )  # fmt: skip

    def __init__(
        self,
        client: Address,
        destination: Address,
        frontend: str,
        secure: bool = False,
        request: RequestHead | None = None,
    ) -> None:
        self.client, self.destination, self.frontend = client, destination, frontend
        self.secure, self.request = secure, request
        self.response: ResponseHead | None = None
        self.content, self.final = b"", True
        """What a TCP client has said so far, and whether that is all that is waited for."""
        self.backend, self.server = "", ""
        """Names, once they are known."""
