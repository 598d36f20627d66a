"""What servers are told of a client: X-Forwarded-For, and Forwarded (RFC 7239)."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from vipproxy.framing.http1 import RequestHead
from vipproxy.framing.http_fields import field_value
from vipproxy.protocols.http.options import ForwardedForOptions, ForwardedOptions, Networks
from vipproxy.values import Address

ForwardedFields = Callable[[RequestHead], bytes]
"""The fields that are added to a request."""

_host = field_value(b"host")


class Forwarding:
    """One frontend's."""

    def __init__(
        self, forwarded_for: ForwardedForOptions | None, forwarded: ForwardedOptions | None
    ) -> None:
        self._for = forwarded_for if forwarded_for and forwarded_for.enabled else None
        self._forwarded = forwarded if forwarded and forwarded.enabled else None

    def __bool__(self) -> bool:
        return bool(self._for or self._forwarded)

    def of_client(
        self, client: Address, destination: Address, secure: bool
    ) -> ForwardedFields | None:
        """What is added to a client's requests; None where it is excepted."""
        parts: list[ForwardedFields] = []
        if self._for and not _is_in(client, self._for.except_):
            parts.append(_x_forwarded_for(self._for, client))
        if self._forwarded and not _is_in(client, self._forwarded.except_):
            parts.append(_forwarded(self._forwarded, client, destination, secure))
        if len(parts) < 2:
            return parts[0] if parts else None
        one, other = parts
        return lambda head: one(head) + other(head)


def _is_in(client: Address, networks: Networks) -> bool:
    if not networks:
        return False
    address = ip_address(client.host)
    return any(address in network for network in networks)


def _x_forwarded_for(options: ForwardedForOptions, client: Address) -> ForwardedFields:
    name = options.header.encode()
    line = b"%b: %b\r\n" % (name, client.host.encode())
    if not options.if_none:
        return lambda head: line
    theirs = field_value(name)
    return lambda head: line if theirs(head.lines) is None else b""


def _forwarded(
    options: ForwardedOptions, client: Address, destination: Address, secure: bool
) -> ForwardedFields:
    """In HAProxy's order: proto, host, by, for."""
    start = b"forwarded: proto=" + (b"https" if secure else b"http")
    end = b";by=" + _node(destination) if options.by else b""
    end += b";for=%b\r\n" % _node(client)
    if not options.host:
        return lambda head: start + end
    return lambda head: start + _host_part(head) + end


def _host_part(head: RequestHead) -> bytes:
    """A Host is no token where it has a port, and a quote in it must not end the string."""
    host = _host(head.lines)
    return b';host="%b"' % host.replace(b'"', b'\\"') if host else b""


def _node(address: Address) -> bytes:
    """An address as RFC 7239 (6) has it: IPv6 in brackets, and so within quotes."""
    host = address.host.partition("%")[0]
    is_new = isinstance(ip_address(host), IPv6Address)
    return (f'"[{host}]"' if is_new else host).encode()
