"""Rules: the same lines, requests, answers, servers and counters as with the real HAProxy."""

from __future__ import annotations

import base64
import contextlib
import csv
import io
import re
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.differential.test_http_haproxy import normal
from tests.http_peers import Origin, talk
from tests.ports import free_port
from tests.support import require
from vipproxy.admin.columns import rows
from vipproxy.testing import ProxyHarness

FRONTEND = r"""
acl is_api path_beg /api /v1/
acl is_api hdr(host) -i API.example
errorloc 404 http://e.example/404?a=b
acl never path /never -i /x
acl here src 127.0.0.0/8
acl elsewhere src 10.0.0.0/8 192.0.2.1
acl images path_end .png .jpg
acl number url_param(n) -m int gt 5
acl agent hdr_sub(user-agent) -i curl wget
acl listed hdr(x-name) -f {directory}/names
acl domain hdr_dom(host) -i example
acl directory path_dir static
monitor-uri /status
monitor fail if { nbsrv(empty) lt 1 } { hdr(x-fail) -m found }
http-request deny if { path /deny }
http-request deny deny_status 429 if { path /429 } || { path /four } !{ hdr(x-no) yes }
http-request deny deny_status 404 unless { path_reg ^/[a-z0-9._/-]*$ }
http-request reject if { path /reject }
http-request auth realm Ho\ me if { path /auth }
http-request return status 200 content-type text/plain string "two words" if { path /return }
http-request return content-type text/plain lf-string {format} hdr X-A "a %HM" if { path /format }
http-request return status 204 if { path /204 }
http-request return status 404 if { path /empty }
http-request return status 404 default-errorfiles if { path /page }
http-request return status 503 if { path /maintenance }
http-request auth realm people if { path /private } !{ http_auth(people) }
http-request deny deny_status 405 if { path /ops } !{ http_auth_group(people) ops dev }
http-request use-service prometheus-exporter if { path /metrics }
http-request allow if { path /allowed }
http-request add-header X-Map-Beg %[path,map_beg({directory}/paths,none)]
http-request add-header X-Map-Str %[path,map({directory}/paths-str,none)]
http-request add-header X-Map-Dom %[req.hdr(host),map_dom({directory}/hosts-dom,none)]
http-request add-header X-Map-Sub %[req.hdr(host),map_sub({directory}/hosts-sub,none)]
http-request add-header X-Map-End %[req.hdr(host),map_end({directory}/hosts-end,none)]
http-request add-header X-Map-Reg %[path,map_reg({directory}/expressions,none)]
http-request set-header X-Set %[src] if is_api
http-request set-header X-Host %[req.hdr(host),lower]
http-request add-header X-Add one if here
http-request add-header X-Add two if here !elsewhere
http-request add-header X-Number big if number
http-request add-header X-Agent tool if agent
http-request add-header X-Listed yes if listed
http-request add-header X-Domain yes if domain
http-request add-header X-Directory yes if directory
http-request add-header X-Method yes if METH_GET
http-request add-header X-Length yes if HTTP_CONTENT
http-request add-header X-Cookie %[req.cook(name)] if { req.cook(name) -m found }
http-request add-header X-Count %[req.hdr_cnt(x-two)]
http-request add-header X-Field %[req.hdr(x-two),field(2,-)] if { hdr_cnt(x-two) ge 1 }
http-request add-header X-Address yes if { hdr_ip(x-real) 10.0.0.0/8 }
http-request add-header X-Query %[query] if { query -m found }
http-request add-header X-Len long if { path_len gt 20 }
http-request add-header X-Params %[urlp(b)] if { urlp(b) -m found }
http-request del-header X-Del
http-request del-header X-Beg -m beg if { path /beg }
http-request replace-header X-Two ([a-z]+)-([a-z]+) \2-\1 if { path /swap }
http-request replace-value X-List a b if { path /list }
http-request set-path /new%[path] if { path /old }
http-request set-query a=b if { path /query }
http-request replace-path /strip/(.*) /\1
http-request set-uri /uri?x=1 if { path /seturi }
http-request set-header Host other.example if { path /host }
http-request redirect location http://l.example/%[path] code 307 if { path /location }
http-request redirect location /elsewhere code 303 if { path /r303 }
redirect scheme https code 301 if { path_beg /secure }
redirect prefix http://p.example drop-query append-slash if { path_beg /prefix }
redirect prefix http://p.example set-cookie A=1 if { path /cookie }
redirect location / clear-cookie B if { path /clear }
redirect prefix / if { path_beg //x }
http-response set-header X-Front %[res.hdr(x-origin)] if { status 200 }
http-response add-header X-Any 1
http-response del-header Server
http-response deny if { res.hdr(x-bad) -m found }
http-response set-status 418 reason Tea if { res.hdr(x-tea) yes }
http-response replace-header X-Origin (.*) "o \1"
use_backend second if is_api
use_backend second if images or { path /second }
use_backend %[req.hdr(x-backend)] if { req.hdr(x-backend) -m found }
use_backend %[req.hdr(x-site),map({directory}/sites,first)] if { req.hdr(x-site) -m found }
"""
FORMAT = '"%[src] %[path] %ci %[req.hdr(x-two)] %%"'
BACKEND = r"""
acl inner path_sub inner
http-request deny if inner
http-request return status 201 if { path /created }
http-request set-header X-Backend %b
redirect location /b if { path /redirected }
http-response add-header X-Back 2 if { status 200:299 }
"""


def ours(lines: str) -> str:
    """HAProxy's lines in our syntax."""
    found = []
    for line in lines.strip().splitlines():
        key, rest = line.split(" ", 1)
        if key == "acl":
            name, rest = rest.split(" ", 1)
            key = f"acl {name}"
        elif key == "errorloc":
            status, rest = rest.split(" ", 1)
            key = f"errorloc {status}"
        elif line.startswith("monitor fail"):
            key, rest = "monitor-fail", rest.removeprefix("fail ")
        found.append(f"{key.replace('_', '-') if key == 'use_backend' else key} = {rest}")
    return "\n".join(found)


HASH = (
    "$6$abc$MtSdWSZbhct2oe.SOqOUM2M/GA/uj5.vyVtJgRHgKi9uqXuWuJqOYE7H/YlsYGVg/YYzDV0xt3fEIwYt580.5."
)
"""Of ``pw``."""
HOSTS = "example dom\nwww.example.org www\n.org org\n"
PATHS = "/a one\n/api two\n# none\n/api/x  three four \n/ root\n"
FILES = {
    "names": "# who\nalice\n\nbob\n",
    **dict.fromkeys(("paths", "paths-str"), PATHS),
    **dict.fromkeys(("hosts-dom", "hosts-sub", "hosts-end"), HOSTS),
    "expressions": "^/a[0-9]+$ digits\n^/a a\n",
    "sites": "a second\nb first\n",
}
"""HAProxy takes two maps of one file for the same map, whatever their matches."""
THEIRS = """
global
    stats socket {directory}/stats
userlist people
    user alice password {hash} groups dev
    user bob insecure-password b:c
    group dev
    group ops users bob
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
    errorfile 503 {directory}/503.http
frontend web
    bind 127.0.0.1:{port}
    {frontend}
    default_backend first
frontend gate
    bind 127.0.0.1:{gate}
    tcp-request connection reject if {{ src 127.0.0.0/8 }}
    default_backend first
frontend inside
    bind 127.0.0.1:{inside}
    tcp-request content accept if {{ src 192.0.2.0/24 }}
    tcp-request content reject if {{ src 127.0.0.1 }} {{ dst_port {inside} }}
    default_backend first
frontend nowhere
    bind 127.0.0.1:{nowhere}
    use_backend first if FALSE
frontend plain
    mode tcp
    bind 127.0.0.1:{plain}
    use_backend tcp if {{ src 10.0.0.0/8 }}
    use_backend tcp if {{ src 127.0.0.1 }}
    default_backend empty
frontend shut
    mode tcp
    bind 127.0.0.1:{shut}
    tcp-request content reject unless {{ src 10.0.0.0/8 }}
    default_backend tcp
backend first
    {backend}
    server one 127.0.0.1:{one}
backend second
    server two 127.0.0.1:{two}
backend empty
    mode tcp
    server gone 127.0.0.1:{one} disabled
backend tcp
    mode tcp
    server two 127.0.0.1:{two}
"""
OURS = """
[userlist people]
user alice = password={hash} groups=dev
user bob = insecure-password=b:c
group ops = bob
[defaults]
timeout-connect = 5s
timeout-client = 5s
timeout-server = 5s
errorfile 503 = {directory}/503.http
[frontend web]
protocol = http
bind = 127.0.0.1:0
{frontend}
backend = first
[frontend gate]
protocol = http
bind = 127.0.0.1:0
tcp-request-connection = reject if {{ src 127.0.0.0/8 }}
backend = first
[frontend inside]
protocol = http
bind = 127.0.0.1:0
tcp-request-content = accept if {{ src 192.0.2.0/24 }}
tcp-request-content = reject if {{ src 127.0.0.1 }} {{ dst_port ge 1 }}
backend = first
[frontend nowhere]
protocol = http
bind = 127.0.0.1:0
use-backend = first if FALSE
[frontend plain]
protocol = tcp
bind = 127.0.0.1:0
use-backend = tcp if {{ src 10.0.0.0/8 }}
use-backend = tcp if {{ src 127.0.0.1 }}
backend = empty
[frontend shut]
protocol = tcp
bind = 127.0.0.1:0
tcp-request-content = reject unless {{ src 10.0.0.0/8 }}
backend = tcp
[backend first]
{backend}
server one = 127.0.0.1:{one}
[backend second]
server two = 127.0.0.1:{two}
[backend empty]
server gone = 127.0.0.1:{one} disabled
[backend tcp]
server two = 127.0.0.1:{two}
"""
PAGE = (
    "HTTP/1.0 503 Service Unavailable\r\nCache-Control: no-cache\r\nConnection: close\r\n"
    "Content-Type: text/html\r\n\r\n<h1>Later</h1>\n"
)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
COUNTERS = (
    "dreq", "dresp", "ereq", "dcon", "intercepted", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx",
)  # fmt: skip


def asking(uri: str = "/", *fields: str, method: str = "GET", host: str = "h.example") -> bytes:
    head = [f"{method} {uri} HTTP/1.1", f"Host: {host}", *fields, "Connection: close", "", ""]
    return "\r\n".join(head).encode()


class Case(TestCase):
    """Both proxies before the same two servers."""

    timeout = 120

    async def setUp(self) -> None:  # type: ignore[override]
        haproxy = require("haproxy")
        self.origins = {"one": Origin(), "two": Origin()}
        for origin in self.origins.values():
            self.addCleanup(origin.close)
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        for name, text in FILES.items():
            (self.directory / name).write_text(text)
        (self.directory / "503.http").write_text(PAGE)
        names = ("web", "gate", "inside", "nowhere", "plain", "shut")
        self.ports = {name: free_port() for name in names}
        await deferToThread(self.start_haproxy, haproxy)
        self.proxy = ProxyHarness(reactor, self.text(OURS, ours(FRONTEND), ours(BACKEND)))
        self.addCleanup(self.proxy.stop)
        await self.proxy.start()

    def text(self, template: str, frontend: str, backend: str) -> str:
        ports = {name: origin.port for name, origin in self.origins.items()}
        frontend = frontend.replace("{directory}", str(self.directory))
        frontend = frontend.replace("{format}", FORMAT)
        return template.format(
            hash=HASH, directory=self.directory, frontend=frontend, backend=backend,
            port=self.ports["web"], **self.ports, **ports,
        )  # fmt: skip

    def start_haproxy(self, haproxy: str) -> None:
        path = self.directory / "haproxy.cfg"
        path.write_text(self.text(THEIRS, FRONTEND.strip(), BACKEND.strip()))
        process = subprocess.Popen([haproxy, "-db", "-q", "-f", str(path)])
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        for _ in range(200):
            with contextlib.suppress(OSError):
                self.theirs()
                return
            time.sleep(0.05)
        self.fail("haproxy does not listen")

    async def through(self, port: int, request: bytes) -> tuple[bytes, list[list[bytes]]]:
        for origin in self.origins.values():
            origin.seen = []
        try:
            got = await deferToThread(talk, port, request, False)
        except ConnectionError:
            got = b""
        seen = [[normal(each) for each in o.seen] for o in self.origins.values()]
        return normal(got), seen

    async def assert_same(self, request: bytes, name: str = "web", answer: bytes = OK) -> bytes:
        """Ask both; what the client got."""
        for origin in self.origins.values():
            origin.answer = answer + b"\r\n"
        expected = await self.through(self.ports[name], request)
        found = await self.through(self.proxy.port(name), request)
        found = (found[0].replace(b"%d" % self.proxy.port(name), b"PORT"), found[1])
        self.assertEqual(found, expected, request)
        return found[0]

    def theirs(self) -> dict[str, dict[str, str]]:
        """HAProxy's counters, by proxy and FRONTEND, BACKEND or server."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.directory / "stats"))
            client.sendall(b"show stat\n")
            text = b""
            while piece := client.recv(65536):
                text += piece
        found = csv.DictReader(io.StringIO(text.decode().removeprefix("# ").rstrip("\n")))
        return {f"{row['pxname']}/{row['svname']}": row for row in found}

    async def assert_counters(self, *names: str) -> None:
        """The counters of both agree; sessions may end a little later."""
        for _ in range(100):
            theirs = await deferToThread(self.theirs)
            found = {f"{r['pxname']}/{r['svname']}": r for r in rows(self.proxy.snapshot())}
            expected = {n: [theirs[n].get(c) or "0" for c in COUNTERS] for n in names}
            mine = {n: [str(found[n].get(c, 0)) for c in COUNTERS] for n in names}
            if mine == expected:
                return
            await deferLater(reactor, 0.05)
        self.assertEqual(mine, expected, COUNTERS)


class RequestTests(Case):
    async def test_answers(self) -> None:
        """What the proxy answers itself: pages, returns, redirections, the monitor."""
        uris = (
            "/deny", "/429", "/four", "/reject", "/auth", "/return", "/format", "/204", "/page",
            "/empty", "/maintenance",
            "/Up", "/r303", "/secure/a?b=c", "/prefix/a?b=c", "/prefix/", "/cookie",
            "/location", "/clear", "//x/y", "/status", "/inner", "/created", "/redirected",
        )  # fmt: skip
        for uri in uris:
            await self.assert_same(asking(uri))
        await self.assert_same(asking("/four", "X-No: yes"))
        await self.assert_same(asking("/status", "X-Fail: 1"))
        await self.assert_same(asking("/deny", method="HEAD"))
        await self.assert_same(asking("/r303", method="HEAD"))
        await self.assert_same(asking("/format", "X-Two: a, b", "X-Two: c"))
        await self.assert_same(asking("/secure", host="h.example:8080"))
        await self.assert_counters("web/FRONTEND", "first/BACKEND")

    async def test_users(self) -> None:
        """Who may pass, and who is asked again."""
        for text in (b"alice:pw", b"alice:no", b"bob:b:c", b"bob:b", b"nobody:pw", b"alice", b""):
            field = f"Authorization: Basic {base64.b64encode(text).decode()}"
            for uri in ("/private", "/ops"):
                await self.assert_same(asking(uri, field))
        await self.assert_same(asking("/private", "Authorization: Basic !"))
        await self.assert_same(asking("/private", "Authorization: Bearer YTpi"))
        await self.assert_counters("web/FRONTEND")

    async def test_metrics(self) -> None:
        """The exporter answers in the place of a server: all of HAProxy's metrics, by name."""
        request = asking("/metrics?scope=backend")
        theirs, _ = await self.through(self.ports["web"], request)
        ours, seen = await self.through(self.proxy.port("web"), request)
        self.assertEqual(seen, [[], []])
        names = [set(re.findall(rb"(?m)^# TYPE (\S+)", each)) for each in (theirs, ours)]
        self.assertGreater(len(names[0]), 20)
        unchecked = {b"haproxy_backend_agg_check_status"}  # no server has a check here
        self.assertEqual(names[0] - names[1], unchecked)
        await self.through(self.ports["web"], asking("/metrics?scope=odd"))
        await self.through(self.proxy.port("web"), asking("/metrics?scope=odd"))
        await self.assert_counters("web/FRONTEND")

    async def test_maps(self) -> None:
        """What is found in files: the longest beginning, the first of all else."""
        for uri in ("/a", "/api", "/api/x/y", "/a12", "/b"):
            for host in ("www.example.org", "example", "a.example.com", "example.org", "x"):
                await self.assert_same(asking(uri, host=host))
        for site in ("a", "b", "c"):
            await self.assert_same(asking("/", f"X-Site: {site}"))

    async def test_headers(self) -> None:
        """What servers see, and which of them."""
        for uri in (
            "/", "/api/x", "/v1/", "/a.png", "/second", "/allowed", "/a/static/b", "/statics/",
            "/?n=6", "/?n=5", "/?a=1&b=2;c=3&b=4", "/beg", "/swap", "/list", "/old?q=1", "/query?c",
            "/strip/a/b?x", "/seturi", "/host", "/a-very-long-path-indeed/it-is",
        ):  # fmt: skip
            await self.assert_same(asking(uri, "X-Del: 1", "x-del: 2", "X-Beginning: 3"))
        for fields in (
            ["X-Two: ab-cd, ef-gh", "X-Two: i"], ["X-List: a, b, a"], ["User-Agent: Curl/7"],
            ["X-Name: bob"], ["X-Name: Bob"], ["Cookie: a=b; name=v", "Cookie: name=w"],
            ["X-Real: 10.1.2.3"], ["X-Real: none"], ["X-Backend: second"], ["X-Backend: nobody"],
        ):  # fmt: skip
            await self.assert_same(asking("/swap", *fields))
            await self.assert_same(asking("/list", *fields))
        for host in ("api.example", "www.example.org", "example", "notexample.org", "a:80"):
            await self.assert_same(asking("/", host=host))
        await self.assert_same(asking("/", "Content-Length: 3", method="POST") + b"abc")
        await self.assert_counters("web/FRONTEND", "second/BACKEND")

    async def test_responses(self) -> None:
        """What clients see of servers' responses."""
        for fields in (
            b"", b"X-Origin: here\r\nServer: s\r\n", b"X-Bad: 1\r\n", b"X-Tea: yes\r\n",
        ):  # fmt: skip
            await self.assert_same(asking("/"), answer=OK + fields)
            await self.assert_same(asking("/second"), answer=OK + fields)
        not_found = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nX-Origin: a\r\n"
        await self.assert_same(asking("/"), answer=not_found)
        await self.assert_counters("web/FRONTEND", "first/BACKEND", "second/BACKEND")


class ConnectionTests(Case):
    async def test_reject(self) -> None:
        """Who is refused as he connects, and who at his first request; both are counted."""
        await self.assert_same(asking("/"), "gate")
        await self.assert_same(asking("/"), "inside")
        await self.assert_same(asking("/"), "nowhere")
        await self.assert_counters("gate/FRONTEND", "inside/FRONTEND", "nowhere/FRONTEND")

    async def test_tcp(self) -> None:
        """TCP clients are sent to the backend of the first rule that fits, or away."""
        answer = await self.assert_same(asking("/"), "plain")
        self.assertTrue(re.match(rb"HTTP/1.1 200 OK\r\n", answer))
        self.assertEqual(await self.assert_same(asking("/"), "shut"), b"")
        await self.assert_counters("plain/FRONTEND", "shut/FRONTEND")
