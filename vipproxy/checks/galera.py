"""``check = galera user=NAME password-file=PATH``: a node of a Galera cluster, in its own words."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, frozen
from zope.interface import implementer

from vipproxy.checks import CheckFailed, words_of_peer
from vipproxy.checks.mysql_account import LoginOptions
from vipproxy.checks.mysql_login import Session, session
from vipproxy.config.declare import option
from vipproxy.config.kinds import TEXT, choice
from vipproxy.framing.mysql import ER_UNKNOWN_COM, PacketError
from vipproxy.interfaces import CheckTarget, ICheckPlugin
from vipproxy.values import CheckResult, CheckStatus

DONOR, SYNCED = 2, 4
"""wsrep_local_state; 1 is Joining, 3 Joined (Galera's documentation, "Node State Changes")."""

_STATUS = (
    "wsrep_ready",
    "wsrep_local_state",
    "wsrep_local_state_comment",
    "wsrep_cluster_status",
    "wsrep_cluster_size",
)
_NAMES = ",".join(f"'{name}'" for name in _STATUS)
_QUERIES = (
    # Else SHOW might wait until a node that lags behind has caught up.
    "SET SESSION wsrep_sync_wait = 0",
    # SHOW and SET alone are answered by a node that is not ready, too.
    f"SHOW GLOBAL STATUS WHERE Variable_name IN ({_NAMES})",
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only','wsrep_reject_queries')",
)


@frozen
class GaleraCheckOptions(LoginOptions):
    """``check = galera ...``"""

    user: str = option(TEXT, help="logs in; needs no privileges")
    donor: str = option(
        choice("avoid", "use"),
        default="avoid",
        help="a node that is a donor, or desynced: only where no other can serve, or always",
    )
    read_only: str = option(
        choice("avoid", "use"),
        default="avoid",
        help="a node with read_only=ON: never, or, in backends for reads, as any other",
    )


@implementer(ICheckPlugin)
class GaleraCheck:
    """Logs in, asks the node for its state, and takes leave in an orderly way."""

    options = GaleraCheckOptions

    async def probe(self, target: CheckTarget, options: GaleraCheckOptions) -> CheckResult:
        """L7_OK or L7_STATUS with the node's words, and its wsrep_local_state as the code.

        Raises CheckFailed: L7_STATUS with an error packet's number and words; more in `session`.
        """
        try:
            async with session(target, options.user, options) as node:
                facts = await _facts(node)
        except CheckFailed as failed:
            if failed.code != ER_UNKNOWN_COM:
                raise
            return CheckResult(failed.status, failed.info, failed.code, conclusive=True)
        return judge(facts, options)


async def _facts(node: Session) -> dict[str, str]:
    """Variables, in lower case, and their values."""
    facts = {}
    for query in _QUERIES:
        for row in await node.query(query):
            if len(row) != 2:
                raise PacketError("an answer of another form than name and value")
            facts[(row[0] or "").lower()] = row[1] or ""
    return facts


def judge(facts: Mapping[str, str], options: GaleraCheckOptions) -> CheckResult:
    """Whether a node may serve; `facts` are its wsrep_... variables, and read_only.

    Outside the primary component, not ready, or told to reject all queries is `conclusive`: what
    clients ask for ends in error 1047. A donor is the `last_resort`. A read-only node is neither:
    where writes are wanted, it could not even help out.
    """
    if "wsrep_ready" not in facts:
        return CheckResult(CheckStatus.L7_STATUS, "not a Galera node: it knows no wsrep_ready")
    state = _number(facts.get("wsrep_local_state", ""))
    failed = CheckResult(CheckStatus.L7_STATUS, _words(facts), state)
    primary = facts.get("wsrep_cluster_status") == "Primary"
    if not (primary and _ready(facts)) or _rejecting(facts):
        return evolve(failed, conclusive=True)
    if state not in (DONOR, SYNCED) or (_read_only(facts) and options.read_only == "avoid"):
        return failed
    if state == DONOR and options.donor == "avoid":
        return evolve(failed, last_resort=True)
    return evolve(failed, status=CheckStatus.L7_OK)


def _ready(facts: Mapping[str, str]) -> bool:
    return facts["wsrep_ready"] == "ON"


def _rejecting(facts: Mapping[str, str]) -> bool:
    """By order of the operator; a node that does so calls itself ready all the same."""
    return facts.get("wsrep_reject_queries", "NONE") != "NONE"


def _read_only(facts: Mapping[str, str]) -> bool:
    """Newer servers know more words for it than ON."""
    return facts.get("read_only", "OFF") not in ("OFF", "0")


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else None


def _words(facts: Mapping[str, str]) -> str:
    """The node's own: ``Donor/Desynced, Primary, size 3``, and what else stands in the way."""
    words = [
        facts.get("wsrep_local_state_comment") or "unknown state",
        facts.get("wsrep_cluster_status") or "unknown status",
        f"size {facts.get('wsrep_cluster_size') or 'unknown'}",
    ]
    if not _ready(facts):
        words.append(f"wsrep_ready={facts['wsrep_ready']}")
    if _rejecting(facts):
        words.append(f"wsrep_reject_queries={facts['wsrep_reject_queries']}")
    if _read_only(facts):
        words.append(f"read_only={facts['read_only']}")
    return words_of_peer(", ".join(words))
