"""The programs that the benchmark needs."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from bench.processes import Failure

SOURCES = Path(__file__).parent
PACKAGES = {"haproxy": "haproxy", "nginx": "nginx-light", "wrk": "wrk", "cc": "gcc libc6-dev"}
"""Program to the Debian package that has it."""

_PATH = "/usr/local/sbin:/usr/sbin:/sbin:" + os.environ.get("PATH", "")


@frozen
class Tools:
    haproxy: str
    nginx: str
    wrk: str
    origin: str
    load: str
    environment: dict[str, str]
    """In which `python -m vipproxy` finds the vipproxy that is measured."""


def find_tools(directory: Path) -> Tools:
    """Raises Failure where one is missing; compiles the load generator into the directory."""
    found = {name: shutil.which(name, path=_PATH) for name in PACKAGES}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        packages = " ".join(PACKAGES[name] for name in missing)
        raise Failure(f"{', '.join(missing)} is missing here. On Debian: apt install {packages}")
    paths = {name: path for name, path in found.items() if path is not None}
    return Tools(
        haproxy=paths["haproxy"],
        nginx=paths["nginx"],
        wrk=paths["wrk"],
        origin=_compiled(paths["cc"], "origin", directory),
        load=_compiled(paths["cc"], "load", directory),
        environment=_environment(directory),
    )


def raise_descriptor_limit() -> int:
    """Children inherit it; the number of descriptors that a process may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def output_of(command: Sequence[str]) -> str:
    """Standard output and error together."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()


def _compiled(compiler: str, name: str, directory: Path) -> str:
    program = directory / name
    command = [compiler, "-O2", "-o", str(program), str(SOURCES / f"{name}.c"), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"{name}.c does not compile: {done.stderr.strip()}")
    return str(program)


def _environment(directory: Path) -> dict[str, str]:
    """An installed vipproxy is measured, native engine and all; else the checkout's."""
    command = [sys.executable, "-c", "import vipproxy"]
    if subprocess.run(command, cwd=directory, capture_output=True, check=False).returncode == 0:
        return dict(os.environ)
    print("vipproxy is not installed here: the checkout's is measured.", file=sys.stderr)
    path = os.pathsep.join(filter(None, [str(SOURCES.parent), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}
