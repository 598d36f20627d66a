"""Balancers by a hash of something, and the plugins that make one for each backend.

Consistent hashing: a server that leaves moves its own keys alone, one that comes takes its share
of everybody's, and every proxy with the same configuration computes the same.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, field, frozen
from zope.interface import implementer

from vipproxy.backends.balance import RoundRobin
from vipproxy.config.declare import option
from vipproxy.config.http_kinds import PARAMETER, TOKEN
from vipproxy.config.kinds import FLAG_WORD, integer
from vipproxy.framing.http1 import HEAD_LIMIT, RequestHead
from vipproxy.framing.http_fields import list_member
from vipproxy.interfaces import (
    IBalancer,
    IBalancerPlugin,
    IRequestBalancerPlugin,
    IServer,
    LeaseRequest,
)

KeyReader = Callable[[RequestHead], bytes | None]

_WORD = 2**64 - 1


@implementer(IBalancer)
@define
class Hashed:
    """Weighted rendezvous hashing of a key; in turn where there is none, as HAProxy does.

    Each server draws a number for a key, the lowest wins: no table has to be built, the shares
    are those of the weights, and a key whose server is away or full always has the same next one.
    """

    key_of: Callable[[LeaseRequest], bytes | None]
    _seeds: dict[str, int] = field(factory=dict)
    _otherwise: RoundRobin = field(factory=RoundRobin)

    def pick(self, servers: Sequence[IServer], request: LeaseRequest) -> IServer:
        key = self.key_of(request)
        if key is None:
            return self._otherwise.pick(servers, request)
        return self._lowest(servers, _digest(key))

    def _lowest(self, servers: Sequence[IServer], point: int) -> IServer:
        """Exponential draws: the lowest is a server's as often as its weight says."""
        seeds, best, lowest = self._seeds, servers[0], math.inf
        for server in servers:
            seed = seeds.get(server.name) or self._seed(server.name)
            word = (point ^ seed) * 0xFF51AFD7ED558CCD & _WORD  # as MurmurHash3 mixes 64 bits
            word = (word ^ word >> 33) * 0xC4CEB9FE1A85EC53 & _WORD
            draw = -math.log((word + 1) / 2.0**64) / server.weight
            if draw < lowest:
                best, lowest = server, draw
        return best

    def _seed(self, name: str) -> int:
        seed = self._seeds[name] = _digest(name.encode())
        return seed


def _digest(text: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


@implementer(IBalancerPlugin)
class SourceBalancing:
    """By the client's address."""

    options = None

    def balancer(self, options: Any) -> IBalancer:
        return Hashed(lambda request: request.client.host.encode())


class _RequestBalancing:
    """By a key of the request, which the http protocol has found."""

    def balancer(self, options: Any) -> IBalancer:
        return Hashed(lambda request: request.key)


@frozen
class UriOptions:
    """``balance = uri whole len=20 depth=2 path-only``"""

    whole: bool = option(FLAG_WORD, default=False, help="also what follows the question mark")
    len: int | None = option(
        integer(1, HEAD_LIMIT), default=None, help="so many characters at its beginning alone"
    )
    depth: int | None = option(
        integer(1, HEAD_LIMIT), default=None, help="so many directories at its beginning alone"
    )
    path_only: bool = option(
        FLAG_WORD, default=False, help="not the scheme and host of an absolute URI"
    )


@implementer(IRequestBalancerPlugin)
class UriBalancing(_RequestBalancing):
    """By the request's URI, up to the question mark."""

    options = UriOptions

    def key_reader(self, options: UriOptions) -> KeyReader:
        stop = rb"" if options.whole else rb"?"
        pattern = rb"[^%b]*+" % stop if stop else rb".*+"
        if options.depth is not None:
            pattern = rb"[^/%b]*+(?:/[^/%b]*+){0,%d}" % (stop, stop, options.depth)
        part, length = re.compile(pattern), options.len

        def key(head: RequestHead) -> bytes | None:
            uri = head.path if options.path_only else head.target
            match = part.match(uri[:length])
            return match[0] if match else None

        return key


@frozen
class HeaderOptions:
    """``balance = hdr(NAME)``"""

    name: str = option(TOKEN, positional=True, help="the header's name")


@implementer(IRequestBalancerPlugin)
class HeaderBalancing(_RequestBalancing):
    """By the first value of a header."""

    options = HeaderOptions

    def key_reader(self, options: HeaderOptions) -> KeyReader:
        value = list_member(options.name.encode())
        return lambda head: value(head.lines) or None


@frozen
class ParameterOptions:
    """``balance = url_param(NAME)``"""

    name: str = option(PARAMETER, positional=True, help="the parameter's name")


@implementer(IRequestBalancerPlugin)
class ParameterBalancing(_RequestBalancing):
    """By a parameter of the URI's query."""

    options = ParameterOptions

    def key_reader(self, options: ParameterOptions) -> KeyReader:
        name = re.escape(options.name.encode())
        pattern = re.compile(rb"[^?]*+\?(?:[^&]*+&)*?%b=([^&]*+)" % name)

        def key(head: RequestHead) -> bytes | None:
            match = pattern.match(head.target)
            return match[1] if match else None

        return key
