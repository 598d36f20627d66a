"""Python in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys


def environment() -> dict[str, str]:
    """Another process with it finds the same packages as this one."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def run_python(*arguments: str) -> tuple[int, str, str]:
    """Exit status, output and errors."""
    run = [sys.executable, *arguments]
    done = subprocess.run(run, env=environment(), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr
