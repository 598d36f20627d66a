"""What is done to an exchange's heads on their way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vipproxy.framing.http1 import ResponseHead

if TYPE_CHECKING:
    from vipproxy.protocols.http.exchange import Exchange


def added_to_request(exchange: Exchange) -> bytes:
    """Fields for the server, which keeps the connection in HTTP/1.1 if it is not told otherwise,
    and in HTTP/1.0 if it is asked."""
    head, forwarded = exchange.head, exchange.client.forwarded
    added = b"" if forwarded is None else forwarded(head)
    if head.upgrade:
        return b"%bconnection: Upgrade\r\nupgrade: %b\r\n" % (added, head.upgrade)
    keeps = exchange.route.keeps_servers
    if head.minor:
        return added if keeps else added + b"connection: close\r\n"
    return added + b"connection: keep-alive\r\n" if keeps else added


def edit_response(exchange: Exchange, head: ResponseHead) -> bytes:
    """Change a final response's head; the persistence fields to add to it."""
    route, lease, log = exchange.route, exchange.lease, exchange.client.log
    if log is not None:
        log.heard_response(head.lines)
    for changes in route.response_changes:
        head.lines = changes.apply(head.lines)
    added = b""
    if route.persistence is not None and lease is not None:
        added = route.persistence.write(head, exchange.head.method, lease, exchange.dates)
    if log is not None:
        log.keep_edited(head.lines, added)
    return added
