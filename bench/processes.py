"""Child processes: pinned to cores, ended by their process group, never left behind."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from bench.setting import LOOPBACK

PR_SET_PDEATHSIG = 1
PATIENCE = 5.0
"""Seconds between asking a process to end and ending it."""

_libc = ctypes.CDLL(None)


class Failure(Exception):
    """A measurement, or what it needs, went wrong; the text is a sentence."""


class Child:
    """A program in a process group of its own.

    One that `speaks` is heard over its standard output; what others say, and what all say on
    standard error, goes to a file.
    """

    def __init__(
        self,
        command: Sequence[str],
        cores: Iterable[int],
        directory: Path,
        *,
        speaks: bool = False,
        environment: dict[str, str] | None = None,
        niceness: int = 0,
    ) -> None:
        wanted = set(cores)
        self.name = Path(command[0]).name
        self._errors = (directory / f"{self.name}-{next(_numbers)}.log").open("w+b")

        def prepare() -> None:
            os.sched_setaffinity(0, wanted)
            os.nice(niceness)
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if speaks else self._errors,
            stderr=self._errors,
            cwd=directory,
            env=environment,
            start_new_session=True,
            preexec_fn=prepare,
        )
        _running.append(self)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()

    def hear(self) -> str:
        """The next line of its standard output; raises Failure where it ends without one."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode()
        if not line:
            self.stop()
            raise Failure(f"{self.name} ended early: {self.last_words()}")
        return line.strip()

    def last_words(self) -> str:
        """The end of its standard error."""
        self._errors.flush()
        self._errors.seek(0)
        return self._errors.read()[-500:].decode(errors="replace").strip() or "it said nothing"

    def stop(self) -> None:
        """End it, and all that it has started; harmless where it has ended."""
        if self in _running:
            _running.remove(self)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def _signal(self, number: int) -> None:
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


_running: list[Child] = []
_numbers = iter(range(1_000_000))


def stop_all() -> None:
    """End every process that was started here and still runs."""
    while _running:
        _running[-1].stop()


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
