"""What the statistics page is like, on a frontend of its own or beside a service."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from vipproxy.config import TEXT, ListOf, option
from vipproxy.config.kinds import FLAG, PATH, WHOLE_SECONDS
from vipproxy.protocols.stats_auth import CREDENTIALS, Credentials


@frozen
class PageOptions:
    """Who may see the page, and what it shows."""

    stats_realm: str = option(
        TEXT, default="HAProxy Statistics", help="what a browser asks for", haproxy="stats realm"
    )
    stats_auth: tuple[Credentials, ...] = option(
        ListOf(CREDENTIALS),
        default=(),
        help="who may look; all may where nobody is named",
        haproxy="stats auth",
    )
    stats_auth_file: Path | None = option(
        PATH, default=None, help="a file with one user:password a line, instead of stats-auth"
    )
    stats_refresh: float | None = option(
        WHOLE_SECONDS, default=None, help="the page reloads itself", haproxy="stats refresh"
    )
    stats_scope: tuple[str, ...] = option(
        ListOf(TEXT), default=(), help="shows these proxies alone", haproxy="stats scope"
    )
    stats_hide_version: bool = option(
        FLAG, default=False, help="the version is not shown", haproxy="stats hide-version"
    )
    stats_show_legends: bool = option(
        FLAG,
        default=False,
        help="addresses, cookies and algorithms are shown in CSV and JSON, too",
        haproxy="stats show-legends",
    )
    stats_show_node: str = option(
        TEXT, default="on", help="on, off, or the name to show", haproxy="stats show-node"
    )
    stats_show_desc: str | None = option(
        TEXT,
        default=None,
        help="a text to show; by default the description in [global]",
        haproxy="stats show-desc",
    )

    def __attrs_post_init__(self) -> None:
        if not (self.stats_realm.isascii() and self.stats_realm.isprintable()):
            raise ValueError("'stats-realm' must be plain ASCII")
        if self.stats_auth and self.stats_auth_file is not None:
            raise ValueError("'stats-auth' and 'stats-auth-file' exclude each other")
