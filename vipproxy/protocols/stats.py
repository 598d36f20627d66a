"""``protocol = stats``: the statistics over HTTP, as HAProxy's ``stats enable`` gives them.

The URI is a prefix; after it ``;csv``, ``;json`` and ``;norefresh`` may follow (configuration
manual, `stats uri`).
"""

from __future__ import annotations

from pathlib import Path

from attrs import frozen
from twisted.internet.interfaces import IProtocolFactory
from zope.interface import implementer

from vipproxy.admin.csv import as_csv
from vipproxy.admin.json import as_json
from vipproxy.admin.page import PageOptions, as_page
from vipproxy.config import TEXT, ListOf, option
from vipproxy.config.kinds import PATH, WHOLE_SECONDS
from vipproxy.framing.http1 import RequestHead
from vipproxy.interfaces import IFrontend, IProtocolPlugin
from vipproxy.protocols.stats_auth import CREDENTIALS, Credentials, Guard, read_credentials
from vipproxy.protocols.stats_server import Answer, StatsFactory
from vipproxy.values import ClusterSnapshot

_UNAUTHORIZED = (
    b"<html><body><h1>401 Unauthorized</h1>\n"
    b"You need a valid user and password to access this content.\n</body></html>\n"
)
_SECURITY = (
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; img-src data:"),
    (b"x-content-type-options", b"nosniff"),
)
"""The page needs nothing but its own style; other sites' content could not run in it."""


@frozen
class StatsOptions:
    """The keys that a frontend with ``protocol = stats`` adds."""

    monitor_uri: str | None = option(
        TEXT, default=None, help="answered with 200 without a password", haproxy="monitor-uri"
    )
    stats_uri: str = option(
        TEXT, default="/haproxy?stats", help="where the page is", haproxy="stats uri"
    )
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

    def __attrs_post_init__(self) -> None:
        for uri in (self.monitor_uri, self.stats_uri):
            if uri is not None and not (uri.startswith("/") and uri.isascii()):
                raise ValueError(f"the URI '{uri}' must begin with '/' and be plain ASCII")
        if not (self.stats_realm.isascii() and self.stats_realm.isprintable()):
            raise ValueError("'stats-realm' must be plain ASCII")
        if self.stats_auth and self.stats_auth_file is not None:
            raise ValueError("'stats-auth' and 'stats-auth-file' exclude each other")


@implementer(IProtocolPlugin)
class StatsProtocol:
    """The statistics page, its data, and the monitor URI."""

    options = StatsOptions
    mode = "http"
    needs_backend = False

    def factory(self, frontend: IFrontend, options: StatsOptions) -> IProtocolFactory:
        """Raises ConfigError where the file with the users cannot be used."""
        return StatsFactory(frontend, StatsSite(frontend, options).answer)


class StatsSite:
    """What is answered to which request."""

    def __init__(self, frontend: IFrontend, options: StatsOptions) -> None:
        self._frontend, self._options = frontend, options
        file = options.stats_auth_file
        self._guard = Guard(options.stats_auth if file is None else read_credentials(file))
        self._monitor = options.monitor_uri.encode() if options.monitor_uri else None
        self._uri = options.stats_uri.encode()

    def answer(self, head: RequestHead) -> Answer:
        """The answer to a request; its body is of no interest."""
        if head.path == self._monitor:
            return Answer(200, intercepted=True)
        if not head.path.startswith(self._uri) or head.method not in (b"GET", b"HEAD"):
            return Answer(503)
        if not self._guard.admits(head.fields):
            return self._unauthorized()
        return self._statistics(head.path[len(self._uri) :])

    def _unauthorized(self) -> Answer:
        realm = self._options.stats_realm.replace("\\", "\\\\").replace('"', '\\"')
        challenge = (b"www-authenticate", f'Basic realm="{realm}"'.encode())
        return Answer(401, b"text/html", _UNAUTHORIZED, (challenge,), closes=True, intercepted=True)

    def _statistics(self, rest: bytes) -> Answer:
        wanted = set(rest.split(b";")[1:])
        refresh = None if b"norefresh" in wanted else self._options.stats_refresh
        kind, body, extra = self._render(wanted, self._frontend.cluster.snapshot(), refresh)
        if refresh is not None:
            extra = ((b"refresh", b"%d" % refresh), *extra)
        return Answer(200, kind, body, extra, intercepted=True)

    def _render(
        self, wanted: set[bytes], snapshot: ClusterSnapshot, refresh: float | None
    ) -> tuple[bytes, bytes, tuple[tuple[bytes, bytes], ...]]:
        """The content type, the body and further header fields."""
        if b"csv" in wanted:
            return b"text/plain", as_csv(snapshot, details=False).encode(), ()
        if b"json" in wanted:
            return b"application/json", as_json(snapshot).encode(), ()
        page = as_page(snapshot, PageOptions(self._options.stats_uri, refresh))
        return b"text/html", page, _SECURITY
