"""What the command says, in HAProxy's words where programs read them."""

from __future__ import annotations

import os
import platform
import sys

from attrs import frozen

from vipproxy import __version__, native
from vipproxy.config.haproxy.conditions import FEATURES, VERSION

USAGE = """\
Usage : haproxy [-f <cfgfile|cfgdir>]* [ -vdVD ] [ -n <maxconn> ] [ -N <maxpconn> ]
        [ -p <pidfile> ] [ -m <max megs> ] [ -C <dir> ] [-- <cfgfile>*]
        -v displays version ; -vv shows more of it.
        -c check mode : only check config files and exit
        -cc check condition : evaluate a condition and exit
        -q quiet mode : don't display messages ; -V displays them
        -D goes daemon ; -d, -db stay in the foreground
        -C changes to <dir> before loading files.
        -W, -Ws stay in the foreground, too: one process serves, and -Ws tells systemd
        -p writes the pid to this file
        -n sets the maximum total # of connections
        -N sets the default, per-proxy maximum # of connections
        -m limits the usable amount of memory (in MB)
        -L set local peer name (default to hostname)
        -dW fails if any warning is emitted
        -sf/-st [pid ]* finishes/terminates old pids.
        -S, -x, -dM, -dI, -de, -dp, -dS, -dG, -dR, -dr, -dV, -dD, -dL, -dK are accepted,
        and have nothing to do here.
"""


def version() -> str:
    """HAProxy's first line, for programs that look for its version; the second says who it is."""
    kernel = " ".join(os.uname()[each] for each in (0, 2, 3, 4))
    return (
        f"HAProxy version {VERSION}-vipproxy-{__version__}\n"
        f"Status: vipproxy {__version__}, which reads the files of HAProxy {VERSION}.\n"
        f"Running on: {kernel}"
    )


def versions() -> str:
    """The same, and what it is made of."""
    from twisted import __version__ as twisted_version

    relay = "native" if native.available else f"Twisted's reactor ({native.why_not})"
    features = " ".join(f"+{each}" for each in sorted(FEATURES))
    return (
        f"{version()}\n"
        f"Built with Python {platform.python_version()}, Twisted {twisted_version}\n"
        f"Relay: {relay}\n"
        f"Feature list : {features}"
    )


@frozen
class Console:
    """Standard error as HAProxy uses it; quiet where that was asked for."""

    quiet: bool = False

    def alert(self, text: str) -> None:
        self._write("ALERT", text)

    def warning(self, text: str) -> None:
        self._write("WARNING", text)

    def notice(self, text: str) -> None:
        self._write("NOTICE", text)

    def problems(self, report: str) -> None:
        """A report of what is wrong with the configuration."""
        if not self.quiet:
            print(report, file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """What was asked for."""
        if not self.quiet:
            print(text, flush=True)

    def _write(self, level: str, text: str) -> None:
        if not self.quiet:
            print(f"{f'[{level}]':10} ({os.getpid()}) : {text}", file=sys.stderr, flush=True)
