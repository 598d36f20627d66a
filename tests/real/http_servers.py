"""Servers for real HTTP clients: nginx, a WSGI application, and a site with a WebSocket."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IListeningPort
from twisted.python.threadpool import ThreadPool
from twisted.web.server import Site
from twisted.web.wsgi import WSGIResource

from tests.ports import free_ports
from tests.real.galera import LOOPBACK, wait_until
from tests.support import require

PATIENCE = 60.0

# -- nginx

NGINX = """
error_log stderr;
pid {directory}/pid;
worker_processes 1;
events {{ worker_connections 400; }}
http {{
    access_log off;
    server_tokens off;
    absolute_redirect off;
    keepalive_requests 100000;
    client_max_body_size 0;
    client_body_temp_path {directory}; proxy_temp_path {directory};
    fastcgi_temp_path {directory}; uwsgi_temp_path {directory}; scgi_temp_path {directory};
    server {{
        listen 127.0.0.1:{port};
        root {directory}/site;
        location /hello {{ return 200 "hello\\n"; }}
        location /moved {{ return 302 /hello; }}
        location /nothing {{ return 204; }}
        location /small {{ client_max_body_size 1k; root {directory}; }}
    }}
}}
"""

HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
listen web
    bind 127.0.0.1:{port}
    cookie SERVERID insert indirect nocache
    server s0 127.0.0.1:{server} cookie c0
"""


class Program:
    """A server as a process of its own, on a free port, with a configuration."""

    def __init__(self, configuration: str, *command: str, **values: object) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="vipproxy-http-"))
        self.directory.chmod(0o755)  # nginx changes its user
        self.port = free_ports(1)
        config = self.directory / "config"
        config.write_text(configuration.format(directory=self.directory, port=self.port, **values))
        self._process = subprocess.Popen([*command, str(config)], stderr=subprocess.DEVNULL)
        wait_until(self._listens, PATIENCE, command[0])

    def _listens(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection((LOOPBACK, self.port)).close()
            return True
        return False

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


class Nginx(Program):
    """Serves the files of `site`."""

    def __init__(self) -> None:
        settings = "daemon off; master_process off;"
        super().__init__(NGINX, require("nginx"), "-g", settings, "-c")
        self.site = self.directory / "site"
        self.site.mkdir()


class Haproxy(Program):
    """Before one server, which it names in its cookie as our tests do."""

    def __init__(self, server: int) -> None:
        super().__init__(HAPROXY, require("haproxy"), "-db", "-q", "-f", server=server)


# -- a WSGI application

BLOCK = b"0123456789abcdef" * 4096
"""64 KiB."""


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """`/digest` tells what was uploaded; `/stream` sends as many blocks as the query says."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/stream":
        return (BLOCK for _ in range(int(environ["QUERY_STRING"])))
    digest, length = hashlib.sha256(), 0
    while piece := environ["wsgi.input"].read(65536):
        digest.update(piece)
        length += len(piece)
    return [f"{environ['REQUEST_METHOD']} {length} {digest.hexdigest()}".encode()]


class WsgiSite:
    """The application under twisted.web, in the test's reactor."""

    def __init__(self, reactor: Any) -> None:
        self._pool = ThreadPool(1, 4)
        self._pool.start()
        site = Site(WSGIResource(reactor, self._pool, application))
        self._port: IListeningPort = reactor.listenTCP(0, site, interface=LOOPBACK)
        self.port: int = self._port.getHost().port

    async def stop(self) -> None:
        await self._port.stopListening()  # type: ignore[misc]
        self._pool.stop()


# -- a site for a browser

PAGE = b"""<!DOCTYPE html>
<title>site</title>
<script>
const say = text => document.body.append(text + "; ")
const get = async path => (await fetch(path)).text()
addEventListener("DOMContentLoaded", async () => {
  for (let visit = 0; visit < 3; visit++) say(await get("/visit"))
  const socket = new WebSocket(`ws://${location.host}/socket`)
  socket.onerror = () => say("the WebSocket failed")
  socket.onopen = () => socket.send("ping")
  socket.onmessage = async message => {
    say(message.data)
    if (message.data.includes("ping")) socket.send("x".repeat(70000))
    else socket.close(1000)
  }
  socket.onclose = async close => { say("closed " + close.code); await get("/done") }
})
</script>
<body><img src="/held" alt=""></body>
"""
"""The image is there when all is done: the page is loaded when all is said."""
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, 1.3."""
TEXT, CLOSE = 1, 8


class BrowserSite(ThreadingHTTPServer):
    """Counts the visits of a session, and answers on a WebSocket; all in its own memory."""

    daemon_threads = True

    def __init__(self, name: str) -> None:
        super().__init__((LOOPBACK, 0), SiteHandler)
        self.name = name
        self.port: int = self.server_address[1]
        self.visits: Counter[str] = Counter()
        self.done = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.done.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that leaves is no error."""


class SiteHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: BrowserSite

    def do_GET(self) -> None:
        if self.path == "/socket":
            self.close_connection = True
            WebSocket(self).talk()
        elif self.path == "/held":
            self.server.done.wait(PATIENCE)
            self.say(b"")
        else:
            answer = {"/": lambda: PAGE, "/visit": self.visit, "/done": self.end}
            self.say(answer.get(self.path, bytes)())

    def visit(self) -> bytes:
        found = re.search("session=([0-9]+)", self.headers.get("Cookie", ""))
        session = found[1] if found else str(len(self.server.visits) + 1)
        self.server.visits[session] += 1
        return b"visit %d to %b" % (self.server.visits[session], self.server.name.encode())

    def end(self) -> bytes:
        self.server.done.set()
        return b""

    def say(self, body: bytes) -> None:
        self.send_response(200)
        if self.path == "/":
            self.send_header("Set-Cookie", f"session={len(self.server.visits) + 1}")
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quietly."""


class WebSocket:
    """As little of RFC 6455 as an echo needs."""

    def __init__(self, handler: SiteHandler) -> None:
        self._handler = handler
        self._in, self._out = handler.rfile, handler.wfile

    def talk(self) -> None:
        handler = self._handler
        key = handler.headers["Sec-WebSocket-Key"].encode()
        handler.send_response(101)
        handler.send_header("Upgrade", "websocket")
        handler.send_header("Connection", "Upgrade")
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
        handler.send_header("Sec-WebSocket-Accept", accept)
        handler.end_headers()
        opcode = TEXT
        while opcode != CLOSE:
            opcode, payload = self._read()
            self._write(opcode, payload if opcode == CLOSE else self._answer(payload))

    def _answer(self, payload: bytes) -> bytes:
        said = payload if len(payload) < 100 else b"%d characters" % len(payload)
        return b"%b said %b" % (self._handler.server.name.encode(), said)

    def _read(self) -> tuple[int, bytes]:
        first, second = self._in.read(2)
        length = second & 0x7F
        if length > 125:
            length = int.from_bytes(self._in.read(2 if length == 126 else 8), "big")
        mask = self._in.read(4)
        payload = self._in.read(length)
        return first & 15, bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))

    def _write(self, opcode: int, payload: bytes) -> None:
        assert len(payload) < 126
        self._out.write(bytes([0x80 | opcode, len(payload)]) + payload)
