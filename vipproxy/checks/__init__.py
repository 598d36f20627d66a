"""Health checks: each module holds one probe, and `conversation` what they share."""

from __future__ import annotations

from vipproxy.errors import VipproxyError
from vipproxy.values import CheckResult, CheckStatus

WORDS_LIMIT = 200


class CheckFailed(VipproxyError):
    """A probe's verdict that the server is not usable.

    `status` is the layer that failed, `info` the peer's own words (or a short sentence where it
    said nothing), `code` the number it answered, if any.
    """

    def __init__(self, status: CheckStatus, info: str = "", code: int | None = None) -> None:
        super().__init__(str(CheckResult(status, info, code)))
        self.status, self.info, self.code = status, info, code


def words_of_peer(text: str) -> str:
    """What a server said, fit for one line of a log or a table."""
    return "".join(each if each.isprintable() else " " for each in text[:WORDS_LIMIT]).strip()
