"""The proxy inside another Twisted service: `twistd -ny examples/embedded.py`.

One process balances the connections to a shop's databases, and serves a page of the shop's own
that says how they are: http://127.0.0.1:8081/
"""

from pathlib import Path

from twisted.application.service import Application
from twisted.application.strports import service
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from vipproxy.config import load
from vipproxy.plugins import Catalog
from vipproxy.service import ProxyService


class HowAreThey(Resource):
    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        request.setHeader(b"content-type", b"text/plain")
        servers = [each for backend in proxy.snapshot().backends for each in backend.servers]
        return "".join(f"{each.name} is {each.status}\n" for each in servers).encode()


application = Application("shop")
proxy = ProxyService(load(Path(__file__).with_name("embedded.ini"), Catalog()).config)
proxy.setServiceParent(application)
service("tcp:8081:interface=127.0.0.1", Site(HowAreThey())).setServiceParent(application)
