"""``show stat`` and ``show info``: the statistics in the format that is asked for."""

from __future__ import annotations

from collections.abc import Sequence, Set

from attrs import evolve

from vipproxy.admin.columns import proxies, rows
from vipproxy.admin.csv import as_csv
from vipproxy.admin.filters import ALL, Filter
from vipproxy.admin.info import as_info, info
from vipproxy.admin.typed import info_as_json, info_as_typed, stat_as_json, stat_as_typed
from vipproxy.values import ClusterSnapshot

_STAT_WORDS = frozenset({"typed", "json", "desc", "up", "no-maint"})
_INFO_WORDS = frozenset({"typed", "json", "desc", "float"})


def show_stat(snapshot: ClusterSnapshot, words: Sequence[str]) -> str:
    """``show stat [{<iid>|<proxy>} <type> <sid>] [typed|json] [desc] [up|no-maint]``

    A proxy's name stands for all proxies of that name. HAProxy ignores words that it does not
    know; here they are refused.
    """
    wanted, options = Filter(), set(words)
    if len(words) >= 3 and words[0] not in _STAT_WORDS:
        try:
            wanted = Filter(words[0], int(words[1]), int(words[2]))
        except ValueError:
            return "'show stat' expects numbers as <type> and <sid>.\n"
        options = set(words[3:])
        if not _is_known(snapshot, wanted):
            return "No such proxy.\n"
    refusal = _refusal("show stat", options, _STAT_WORDS)
    if refusal:
        return refusal
    wanted = evolve(wanted, up="up" in options, no_maint="no-maint" in options)
    found = rows(snapshot, wanted)
    if "json" in options:
        return stat_as_json(found)
    return stat_as_typed(found, "desc" in options) if "typed" in options else as_csv(found)


def _is_known(snapshot: ClusterSnapshot, wanted: Filter) -> bool:
    """As in HAProxy, any number but 0 is: one that no proxy has gives no rows."""
    if wanted.proxy.lstrip("-").isdecimal():
        return int(wanted.proxy) != 0
    return wanted.proxy == str(ALL) or bool(proxies(snapshot, wanted))


def show_info(snapshot: ClusterSnapshot, words: Sequence[str]) -> str:
    """``show info [typed|json] [desc] [float]``"""
    options = set(words)
    refusal = _refusal("show info", options, _INFO_WORDS)
    if refusal:
        return refusal
    data = info(snapshot, floats="float" in options)
    if "json" in options:
        return info_as_json(data)
    render = info_as_typed if "typed" in options else as_info
    return render(data, "desc" in options)


def _refusal(command: str, options: Set[str], known: Set[str]) -> str:
    unknown = sorted(options - known)
    if not unknown:
        return ""
    return f"'{command}' does not know '{unknown[0]}', only {', '.join(sorted(known))}.\n"
