"""Plugins that do nothing, for tests of the configuration."""

from __future__ import annotations

from typing import Any

from attrs import define, frozen
from zope.interface import implementer

from vipproxy.config import (
    DURATION,
    FLAG,
    FLAG_WORD,
    SECRET,
    TEXT,
    BackendNames,
    Loaded,
    integer,
    loads,
    option,
)
from vipproxy.errors import ConfigError
from vipproxy.interfaces import IPluginCatalog


@frozen
class HttpOptions:
    timeout_tunnel: float = option(DURATION, default=3600.0, help="of upgraded connections")
    monitor_uri: str | None = option(TEXT, default=None, help="answered by the proxy itself")
    push: bool = option(FLAG, default=False, help="waits", unsupported="'push' does not work yet")


@frozen
class StatsOptions:
    password: str = option(SECRET, default="secret", help="who may look")


@frozen
class LineOptions:
    routes: tuple[str, ...] = option(BackendNames(), help="where lines may go")


@frozen
class HttpCheckOptions:
    path: str = option(TEXT, default="/", help="what is asked for")
    strict: bool = option(FLAG_WORD, default=False, help="only 200 passes")


@frozen
class RandomOptions:
    draws: int = option(integer(1, 9), default=2, help="how many are drawn")


@frozen
class PickyOptions:
    low: int = option(integer(0, 9), help="the lower end")
    high: int = option(integer(0, 9), help="the upper end")

    def __attrs_post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("'low' is above 'high'")


@frozen
class GreedyOptions:
    timeout: float = option(DURATION, default=1.0, help="all checks have it")


@define
class FakePlugin:
    options: type | None = None
    mode: str = "tcp"
    needs_backend: bool = True


@implementer(IPluginCatalog)
class FakeCatalog:
    plugins: dict[str, dict[str, FakePlugin]] = {
        "protocol": {
            "tcp": FakePlugin(),
            "http": FakePlugin(HttpOptions, "http"),
            "mysql": FakePlugin(),
            "stats": FakePlugin(StatsOptions, "http", False),
            "line": FakePlugin(LineOptions, "tcp", False),
        },
        "check": {
            "tcp": FakePlugin(),
            "http": FakePlugin(HttpCheckOptions),
            "mysql": FakePlugin(),
            "galera": FakePlugin(),
            "picky": FakePlugin(PickyOptions),
            "greedy": FakePlugin(GreedyOptions),
        },
        "balancer": {
            "roundrobin": FakePlugin(),
            "leastconn": FakePlugin(),
            "random": FakePlugin(RandomOptions),
        },
        "store": {"memory": FakePlugin()},
    }

    def find(self, kind: str, name: str) -> Any:
        try:
            return self.plugins[kind][name]
        except KeyError:
            raise LookupError(f"unknown {kind} '{name}'") from None

    def names(self, kind: str) -> list[str]:
        return list(self.plugins[kind])


MINIMAL = """\
[frontend f]
protocol = tcp
bind = 127.0.0.1:8000
backend = b
[backend b]
server n1 = 127.0.0.2:80
"""

UNLIMITED = 10**9


def read(text: str) -> Loaded:
    """Load text with the fake plugins and no limit of descriptors."""
    return loads(text, FakeCatalog(), "cluster.ini", UNLIMITED)


def report(text: str) -> str:
    """What `vipproxy check` would print."""
    try:
        return read(text).problems.report()
    except ConfigError as error:
        return error.report


def heads(text: str) -> list[str]:
    """The first lines of all problems, without the file's name."""
    lines = report(text).splitlines()[::3]
    return [line.removeprefix("cluster.ini:") for line in lines]
