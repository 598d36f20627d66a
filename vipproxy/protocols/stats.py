"""``protocol = stats``: the statistics over HTTP, as HAProxy's ``stats enable`` gives them.

The URI is a prefix; after it ``;csv``, ``;json`` and others may follow (configuration manual,
`stats uri`).
"""

from __future__ import annotations

from pathlib import Path

from attrs import frozen
from twisted.internet.interfaces import IProtocolFactory
from zope.interface import implementer

from vipproxy.admin.columns import rows
from vipproxy.admin.csv import DETAILS, as_csv
from vipproxy.admin.filters import Filter
from vipproxy.admin.json import as_json
from vipproxy.admin.page import PageOptions, as_page
from vipproxy.admin.place import Place
from vipproxy.admin.prometheus import CONTENT_TYPE, Scrape, as_metrics
from vipproxy.admin.schema import SCHEMA
from vipproxy.admin.typed import stat_as_json
from vipproxy.config import TEXT, ListOf, option
from vipproxy.config.kinds import FLAG, PATH, WHOLE_SECONDS
from vipproxy.framing.http1 import RequestHead
from vipproxy.interfaces import IFrontend, IProtocolPlugin
from vipproxy.protocols.stats_actions import DENIED, Actions
from vipproxy.protocols.stats_auth import CREDENTIALS, Credentials, Guard, read_credentials
from vipproxy.protocols.stats_server import Answer, StatsFactory

_UNAUTHORIZED = (
    b"<html><body><h1>401 Unauthorized</h1>\n"
    b"You need a valid user and password to access this content.\n</body></html>\n"
)
_SECURITY = (
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; "
        b"frame-ancestors 'none'; base-uri 'none'",
    ),
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
"""The page needs nothing but its own style; other sites' content could not run in it, and no other
site can show it as its own, and so have it clicked at."""
_NOWHERE = "off"
_JSON = b"application/json"


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
    stats_admin: bool = option(
        FLAG,
        default=False,
        help="servers can be taken out, put back and the like on the page",
        haproxy="stats admin",
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
    metrics_uri: str = option(
        TEXT,
        default="/metrics",
        help="where Prometheus finds the metrics, or off",
        haproxy="use-service prometheus-exporter",
    )
    metrics_auth: bool = option(
        FLAG, default=True, help="whether the metrics need the password, too"
    )

    def __attrs_post_init__(self) -> None:
        uris = [self.monitor_uri, self.stats_uri]
        uris += [self.metrics_uri] if self.metrics_uri != _NOWHERE else []
        for uri in uris:
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
        self._cluster, self._options = frontend.cluster, options
        file = options.stats_auth_file
        self._guard = Guard(options.stats_auth if file is None else read_credentials(file))
        self._monitor = options.monitor_uri.encode() if options.monitor_uri else None
        self._metrics = b"" if options.metrics_uri == _NOWHERE else options.metrics_uri.encode()
        self._uri = options.stats_uri.encode()
        self._actions: Actions | None = None
        if options.stats_admin and frontend.control is not None:
            self._actions = Actions(frontend.cluster, frontend.control, options.stats_scope)

    def answer(self, head: RequestHead, body: bytes) -> Answer:
        """The answer to a request."""
        path, method = head.path, head.method
        if path == self._monitor:
            return Answer(200, intercepted=True)
        reads = method in (b"GET", b"HEAD")
        if reads and self._metrics and path.partition(b"?")[0] == self._metrics:
            return self._scraped(head)
        if not path.startswith(self._uri) or not (reads or method == b"POST"):
            return Answer(503)
        if not self._guard.admits(head.fields):
            return self._unauthorized()
        rest = path[len(self._uri) :].decode("latin-1")
        return self._statistics(rest) if reads else self._acted(head, body, rest)

    def _unauthorized(self) -> Answer:
        realm = self._options.stats_realm.replace("\\", "\\\\").replace('"', '\\"')
        challenge = (b"www-authenticate", f'Basic realm="{realm}"'.encode())
        return Answer(401, b"text/html", _UNAUTHORIZED, (challenge,), closes=True, intercepted=True)

    def _scraped(self, head: RequestHead) -> Answer:
        if self._options.metrics_auth and not self._guard.admits(head.fields):
            return self._unauthorized()
        try:
            scrape = Scrape.parse(head.path.partition(b"?")[2].decode("latin-1"))
        except ValueError:
            return Answer(400, closes=True)
        text = as_metrics(self._cluster.snapshot(), scrape)
        return Answer(200, CONTENT_TYPE.encode(), text.encode(), intercepted=True)

    def _acted(self, head: RequestHead, body: bytes, rest: str) -> Answer:
        """Back to the page, with the outcome."""
        place, _, _ = Place.parse(self._options.stats_uri, rest)
        outcome = DENIED if self._actions is None else self._actions.perform(head, body)
        location = (b"location", place.url(f"st={outcome}").encode())
        return Answer(303, b"text/plain", b"", (location,), intercepted=True)

    def _statistics(self, rest: str) -> Answer:
        place, words, outcome = Place.parse(self._options.stats_uri, rest)
        kind, body, extra = self._render(place, words, outcome)
        refresh = self._options.stats_refresh
        if refresh is not None and not place.norefresh:
            seen = f"; url={place.url()}" if outcome else ""
            extra = ((b"refresh", f"{refresh:.0f}{seen}".encode()), *extra)
        return Answer(200, kind, body, extra, intercepted=True)

    def _render(
        self, place: Place, words: frozenset[str], outcome: str
    ) -> tuple[bytes, bytes, tuple[tuple[bytes, bytes], ...]]:
        """The content type, the body and further header fields."""
        if "json-schema" in words:
            return _JSON, SCHEMA.encode(), ()
        snapshot = self._cluster.snapshot()
        if "snapshot" in words:
            return _JSON, as_json(snapshot).encode(), ()
        wanted = self._filter(place)
        if "csv" in words:
            text = as_csv(rows(snapshot, wanted), self._options.stats_show_legends)
            return b"text/plain", text.encode(), ()
        if "json" in words:
            hidden = () if self._options.stats_show_legends else DETAILS
            return _JSON, stat_as_json(rows(snapshot, wanted), hidden).encode(), ()
        page = as_page(snapshot, self._page_options(place, outcome), wanted)
        return b"text/html", page, _SECURITY

    def _filter(self, place: Place) -> Filter:
        return Filter(
            up=place.up,
            no_maint=place.no_maint,
            part=place.scope,
            names=self._options.stats_scope,
        )

    def _page_options(self, place: Place, outcome: str) -> PageOptions:
        options, actions = self._options, self._actions
        return PageOptions(
            place,
            options.stats_refresh,
            outcome=outcome,
            token="" if actions is None else actions.token,
            hide_version=options.stats_hide_version,
            node=options.stats_show_node,
            description=options.stats_show_desc,
        )
