"""`option tcpka` and its kin -> `keepalive`."""

from __future__ import annotations

from collections.abc import Iterator

from vipproxy.config.document import Setting
from vipproxy.config.haproxy.model import Part, Proxy, Statement, setting
from vipproxy.config.haproxy.units import in_seconds, number

NUMBERS = (
    ("idle", "idle", in_seconds),
    ("intvl", "interval", in_seconds),
    ("cnt", "count", number),
)


def keepalive_setting(proxy: Proxy, side: str) -> Setting | None:
    """`keepalive` of the clients (`clitcpka`) or the servers (`srvtcpka`)."""
    statement = proxy.last(f"option {side}") or proxy.last("option tcpka")
    if statement is None:
        return None
    return setting("keepalive", statement, _parts(proxy, side, statement))


def _parts(proxy: Proxy, side: str, statement: Statement) -> Iterator[Part]:
    yield Part("on", statement.place)
    for suffix, key, read in NUMBERS:
        given = proxy.last(f"{side}-{suffix}")
        if given is not None:
            word = given.one("a number")
            yield Part(f"{key}={read(word).text}", word.place)
