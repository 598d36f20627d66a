"""What the numbers were measured on and with; no name and no path of it."""

from __future__ import annotations

import os
import platform
import re
import sys
from pathlib import Path

from bench.tools import Tools, output_of
from twisted import __version__ as twisted_version


def machine(tools: Tools) -> dict[str, str]:
    return {
        "CPU": _cpu_model(),
        "cores": str(len(os.sched_getaffinity(0))),
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "Twisted": twisted_version,
        "vipproxy": _version([sys.executable, "-m", "vipproxy", "--version"]),
        "HAProxy": _version([tools.haproxy, "-v"]),
        "nginx": _version([tools.nginx, "-v"]),
        "wrk": _version([tools.wrk, "-v"]),
    }


def _cpu_model() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _version(command: list[str]) -> str:
    """The first number in what it prints."""
    found = re.search(r"\d+\.\d[\w.+-]*", output_of(command))
    return found[0] if found else "unknown"
