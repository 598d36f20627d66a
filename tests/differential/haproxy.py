"""The real HAProxy, asked what it thinks of a file."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support import require


def check(text: str, directory: Path) -> tuple[int, str]:
    """Exit status and messages of `haproxy -c`."""
    path = directory / "haproxy.cfg"
    path.write_text(text)
    done = subprocess.run(
        [require("haproxy"), "-c", "-f", str(path)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr
