"""The sidecar on port 9200: HTTP 200 where a Galera node may serve, 503 where not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.ports import free_ports
from tests.real.galera import LOOPBACK


class ClusterCheck:
    """Asks `is_synced` anew for each request, as the script under xinetd asks its node."""

    def __init__(self, is_synced: Callable[[], bool]) -> None:
        self._is_synced = is_synced
        self.port = free_ports(1)
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Listen; harmless where it does."""
        if self._server is None:
            self._server = ThreadingHTTPServer((LOOPBACK, self.port), _handler(self._is_synced))
            threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Whoever asks is refused from now on, whatever the node's state; harmless if stopped."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def _handler(is_synced: Callable[[], bool]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_OPTIONS(self) -> None:
            synced = is_synced()
            text = b"node is synced.\r\n" if synced else b"node is not synced.\r\n"
            self.send_response(200 if synced else 503)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_OPTIONS

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def handle(self) -> None:
            with suppress(OSError):  # the proxy did not wait for the answer
                super().handle()

    return Handler
