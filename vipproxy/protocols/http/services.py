"""Services that rules may put before a backend: ``use-service prometheus-exporter``."""

from __future__ import annotations

from vipproxy.admin.prometheus import CONTENT_TYPE, Scrape, as_metrics
from vipproxy.interfaces import IFrontend
from vipproxy.rules.answers import Answer, Service
from vipproxy.rules.samples import query_of
from vipproxy.rules.subject import Subject

_TOLD = "HTTP/1.1 200 OK\r\ncontent-length: {}\r\ncontent-type: {}\r\ncache-control: no-cache\r\n"


def answer_of(service: Service, frontend: IFrontend, subject: Subject) -> Answer:
    """What a service answers; a query that it does not understand is a 400."""
    assert service.name == "prometheus-exporter"  # the configuration knows no other
    try:
        scrape = Scrape.parse(query_of(subject).decode("latin-1"))
    except ValueError:
        return Answer(400)
    body = as_metrics(frontend.cluster.snapshot(), scrape).encode()
    return Answer(200, start=_TOLD.format(len(body), CONTENT_TYPE).encode(), body=body)
