"""What the proxy changes in a response's head, on its way to the client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vipproxy.framing.http1 import ResponseHead, without

if TYPE_CHECKING:
    from vipproxy.protocols.http_exchange import Exchange

BODILESS = frozenset({204, 304})


def edit(exchange: Exchange, head: ResponseHead) -> bytes:
    """Change a final response's head as it is configured; the persistence fields to add to it."""
    factory, log, lease = exchange.client.factory, exchange.client.log, exchange.lease
    lines, added = head.lines, b""
    for changes in factory.response_changes:
        head.lines = changes.apply(head.lines)
    if factory.persistence is not None and lease is not None:
        added = factory.persistence.write(head, exchange.head.method, lease, exchange.dates)
    if log is not None:
        log.keep_response(lines, head.lines, added)
    return added


def drop_framing(head: ResponseHead) -> None:
    """The fields that would announce a body, or a form of it, that the client does not get."""
    head.lines = without(head.lines, b"transfer-encoding")
    if head.status == 204:
        head.lines = without(head.lines, b"content-length")
