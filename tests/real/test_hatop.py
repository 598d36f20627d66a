"""hatop, unchanged, on a terminal: it shows the cluster, and its keys take servers out and in."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

from tests.functional.harness import eventually
from tests.real.operators import OperatedCase
from tests.support import require

PATIENCE = 60.0
"""Seconds: hatop asks once a second, on a machine that may be busy."""


class Terminal:
    """A program under tmux: what it shows, and the keys that it is given."""

    def __init__(self, command: str) -> None:
        self._tmux = require("tmux")
        self._directory = tempfile.TemporaryDirectory()
        self._socket = Path(self._directory.name, "tmux")
        self._run("new-session", "-d", "-x", "160", "-y", "40", command)
        self._run("set-option", "-g", "remain-on-exit", "on")

    def screen(self) -> str:
        return self._run("capture-pane", "-p")

    def is_marked(self, word: str) -> bool:
        """Whether a line that begins with a word is shown in reverse."""
        text = self._run("capture-pane", "-p", "-e")
        return re.search(rf"\x1b\[(?:\d+;)*7m(?:\x1b\[[\d;]*m)*{word} ", text) is not None

    def press(self, *keys: str) -> None:
        self._run("send-keys", *keys)

    def close(self) -> None:
        self._run("kill-server")
        self._directory.cleanup()

    def _run(self, *arguments: str) -> str:
        command = [self._tmux, "-S", str(self._socket), "-f", "/dev/null", *arguments]
        environment = {**os.environ, "TERM": "screen", "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout


class Hatop(OperatedCase):
    def setUp(self) -> None:
        hatop = require("hatop")
        super().setUp()
        self.terminal = Terminal(f"{hatop} -s {self.socket}; echo hatop has ended; sleep 600")
        self.addCleanup(self.terminal.close)

    def shows(self, pattern: str) -> None:
        """Wait until the screen has a line like this."""
        try:
            eventually(
                lambda: re.search(pattern, self.terminal.screen(), re.M) is not None, PATIENCE
            )
        except TimeoutError:
            self.fail(f"no {pattern!r} on the screen:\n{self.terminal.screen()}")

    def test_screen(self) -> None:
        """The process, the frontend, both servers and their backend are on the screen."""
        self.shows(r"^ *vipproxy Version: \S+ +\(released: [\d/]+\) +PID: \d+")
        self.shows(r"^ *Connections: \[ +0/\d+\]")
        self.shows(r"^>>> vip *$")
        self.shows(r"^>>> pool *$")
        self.shows(r"^n1 +1 UP +L4OK +1 ")
        self.shows(r"^n2 +1 UP +L4OK +1 ")
        self.shows(r"^BACKEND +2 UP ")
        self.assertNotIn("hatop has ended", self.terminal.screen())

    def test_keys(self) -> None:
        """F10 puts the chosen server into maintenance, F9 brings it back, F8 changes its weight."""
        self.shows(r"^n1 +1 UP ")
        eventually(lambda: self._on("n1"), PATIENCE)
        self.terminal.press("F10")
        self.shows(r"^n1 +1 MAINT ")
        self.assertEqual(self.statuses()["n1"], "MAINT")
        self.terminal.press("F9")
        self.shows(r"^n1 +1 UP ")
        self.assertEqual(self.statuses()["n1"], "UP")
        self.terminal.press("F8")
        self.shows(r"^n1 +11 UP ")
        self.assertEqual(self.rows()["n1"]["weight"], "11")
        self.assertNotIn("hatop has ended", self.terminal.screen())

    def _on(self, name: str) -> bool:
        """Whether the cursor is on a server; moves it down, or back to the top, if not."""
        if self.terminal.is_marked(name):
            return True
        self.terminal.press("Home" if self.terminal.is_marked("BACKEND") else "Down")
        time.sleep(0.5)  # hatop looks at its keys a few times a second
        return self.terminal.is_marked(name)
