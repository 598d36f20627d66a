"""The command `haproxy`, ours, as a program of that name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.processes import environment

SCRIPT = """\
#!{python}
import sys
from vipproxy.cli import main
sys.exit(main())
"""
"""As an entry point is installed; its name is what counts."""


def install(directory: Path) -> Path:
    """Make the command in a directory."""
    path = directory / "haproxy"
    path.write_text(SCRIPT.format(python=sys.executable))
    path.chmod(0o755)
    return path


def run(program: Path | str, *arguments: str, cwd: Path) -> tuple[int, str, str]:
    """Exit status, output and errors of a command that ends by itself."""
    done = subprocess.run(
        [str(program), *arguments],
        env={**environment(), "MARK": "1"},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, done.stdout, done.stderr


def alive(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def end(pid: int, number: int) -> None:
    """Send a signal to a process that may have gone."""
    if alive(pid):
        os.kill(pid, number)
