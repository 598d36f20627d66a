"""``show sess`` and ``shutdown session``: who is connected.

The fields that HAProxy has for its own insides (tasks, buffers, flags) are not there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from vipproxy.admin.commands.command import Command, Console, Level, timestamp
from vipproxy.admin.units import in_time
from vipproxy.errors import Refused
from vipproxy.interfaces import SessionView
from vipproxy.values import Address, ClusterSnapshot


def _show(console: Console, words: Sequence[str]) -> str:
    views = console.cluster.sessions()
    if not words:
        return "".join(map(_line, views))
    if words[0] != "all":
        views = [view for view in views if view.number == _number(words)]
        if not views:
            raise Refused("Session not found.")
    snapshot = console.cluster.snapshot()
    return "".join(_details(view, snapshot) for view in views)


def _shutdown(console: Console, words: Sequence[str]) -> str:
    number = _number(words)
    if number is None:
        raise Refused("Session pointer expected (use 'show sess').")
    if not console.control.shut_session(number):
        raise Refused("No such session (use 'show sess').")
    return ""


def _number(words: Sequence[str]) -> int | None:
    """``0x7f...``, with or without the beginning."""
    if not words or not re.fullmatch(r"(?:0x)?[0-9a-f]{1,16}", words[0]):
        return None
    return int(words[0], 16)


def _line(view: SessionView) -> str:
    return (
        f"{view.number:#x}: proto={_protocol(view.source)} src={view.source} fe={view.frontend} "
        f"be={view.backend or '<NONE>'} srv={view.server or '<none>'} age={_age(view.age)} "
        f"in={view.bytes_in} out={view.bytes_out}\n"
    )


def _details(view: SessionView, snapshot: ClusterSnapshot) -> str:
    frontends = {each.name: each for each in snapshot.frontends}
    backends = {each.name: each for each in snapshot.backends}
    frontend, backend = frontends[view.frontend], backends[view.backend]
    begun = timestamp(snapshot.now - view.age, "microseconds")
    server = next((each for each in backend.servers if each.name == view.server), None)
    lines = [
        f"{view.number:#x}: [{begun}] proto={_protocol(view.source)} source={view.source}",
        f"  frontend={frontend.name} (id={frontend.number} mode={frontend.mode})",
        f"  backend={backend.name} (id={backend.number} mode={backend.mode})",
        f"  server={view.server or '<NONE>'} (id={server.number if server else -1})"
        + (f" addr={view.server_address}" if view.server_address else ""),
        f"  age={_age(view.age)}",
        f"  req=total={view.bytes_in}",
        f"  res=total={view.bytes_out}",
    ]
    return "".join(f"{line}\n" for line in lines)


def _protocol(address: Address) -> str:
    return "tcpv6" if ":" in address.host else "tcpv4"


def _age(seconds: float) -> str:
    """``3d4h``, ``5m6s``, ``7s``: as HAProxy writes times."""
    return in_time(seconds).replace(" ", "")


COMMANDS = (
    Command(
        "show sess",
        Level.OPERATOR,
        "show sess [id]",
        "report the list of current sessions or dump this exact session",
        _show,
    ),
    Command(
        "shutdown session",
        Level.ADMIN,
        "shutdown session [id]",
        "kill a specific session",
        _shutdown,
    ),
)
