"""What a process has used, read from /proc."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from attrs import frozen

_SWITCHES = re.compile(r"^voluntary_ctxt_switches:\s*(\d+)", re.MULTILINE)
_RESIDENT = re.compile(r"^VmRSS:\s*(\d+) kB", re.MULTILINE)


@frozen
class Usage:
    """The state of a process's account; differences are what counts."""

    cpu: float
    """Seconds on a core, user and system, of all its threads."""
    switches: int
    """Voluntary context switches of all its threads: how often it went to sleep, and so woke."""
    resident: int
    """Bytes of memory."""


def usage(pid: int) -> Usage:
    """Raises FileNotFoundError where the process is gone."""
    process = Path(f"/proc/{pid}")
    cpu, switches = 0.0, 0
    for task in (process / "task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended meanwhile
            cpu += _cpu(task)
            found = _SWITCHES.search((task / "status").read_text())
            switches += int(found[1]) if found else 0
    resident = _RESIDENT.search((process / "status").read_text())
    return Usage(cpu, switches, int(resident[1]) * 1024 if resident else 0)


def _cpu(task: Path) -> float:
    """Nanoseconds are exact in schedstat; kernels without it count ticks."""
    try:
        nanoseconds = int((task / "schedstat").read_text().split()[0])
    except FileNotFoundError:
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return nanoseconds / 1e9
