"""Chromium, told what to do through its DevTools protocol."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from websockets.sync.client import connect

OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--remote-debugging-port=0", "--window-size=1600,1000",
)  # fmt: skip
PATIENCE = 60.0
"""Seconds for whatever a browser does on a busy machine."""


class Browser:
    """One page of a browser of its own. All methods block."""

    def __init__(self, program: str) -> None:
        self._stack = ExitStack()
        profile = TemporaryDirectory(ignore_cleanup_errors=True)
        self._profile = Path(self._stack.enter_context(profile))
        run = [program, *OPTIONS, f"--user-data-dir={self._profile}", "about:blank"]
        self._process = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._stack.callback(self._process.wait)
        self._stack.callback(self._process.terminate)
        connection = connect(self._page(), max_size=None, open_timeout=PATIENCE)
        self._socket = self._stack.enter_context(connection)
        self._number = 0

    def _page(self) -> str:
        """The address of the first page's protocol."""
        file = self._profile / "DevToolsActivePort"
        port = int(_until(lambda: file.exists() and file.read_text().split())[0])

        def pages() -> list[str]:
            client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            client.request("GET", "/json/list")
            found = json.loads(client.getresponse().read())
            client.close()
            return [each["webSocketDebuggerUrl"] for each in found if each["type"] == "page"]

        address: str = _until(pages)[0]
        return address

    def call(self, method: str, **arguments: Any) -> Any:
        """The result of a method of the protocol."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": arguments}))
        while True:
            answer = json.loads(self._socket.recv(timeout=PATIENCE))
            if answer.get("id") == self._number:
                return answer["result"]

    def read(self, expression: str) -> Any:
        """The value of an expression in the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return result["result"].get("value")

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        self.until("document.readyState == 'complete' && location.href != 'about:blank'")

    def until(self, expression: str) -> None:
        """Wait until an expression holds in the page; a page that is being left has no values."""
        _until(lambda: self.read(expression), f"{expression} at {self.read('location.href')}")

    def click(self, selector: str) -> None:
        """With the mouse, amid the first element that matches."""
        middle = f"""(() => {{
            const found = document.querySelector({json.dumps(selector)});
            found.scrollIntoView({{block: "center"}});
            const box = found.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})()"""
        x, y = self.read(middle)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def close(self) -> None:
        self._stack.close()


def _until(check: Any, what: str = "the browser") -> Any:
    end = time.monotonic() + PATIENCE
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.05)
