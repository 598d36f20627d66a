"""The statistics page of a frontend that also serves: ``stats-uri`` with ``protocol = http``."""

from __future__ import annotations

from attrs import fields

from vipproxy.framing.http1 import RequestHead
from vipproxy.interfaces import IFrontend
from vipproxy.protocols.http.options import HttpOptions
from vipproxy.protocols.stats import StatsOptions, StatsSite
from vipproxy.protocols.stats_page import PageOptions
from vipproxy.rules.answers import Answer


class StatsPage:
    """Answers requests for it; it can look, and change nothing."""

    def __init__(self, frontend: IFrontend, options: HttpOptions) -> None:
        assert options.stats_uri is not None
        shared = {each.name: getattr(options, each.name) for each in fields(PageOptions)}
        own = StatsOptions(stats_uri=options.stats_uri, metrics_uri="off", **shared)
        self._site = StatsSite(frontend, own)
        self._uri = options.stats_uri.encode()

    def answer(self, head: RequestHead) -> Answer | None:
        """None for requests of something else."""
        if not head.path.startswith(self._uri) or head.method not in (b"GET", b"HEAD"):
            return None
        said = self._site.answer(head, b"")
        start, _, body = said.render(b"GET", b"").partition(b"\r\n\r\n")
        return Answer(said.status, start=start + b"\r\n", body=body)
