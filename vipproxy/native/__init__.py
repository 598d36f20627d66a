"""The compiled module, where it was built: the relay without the GIL, and what else is hot.

`available` is False on a machine that had no compiler at the time of the installation; then the
Twisted engine does the same work, and `why_not` says what is missing.
"""

from __future__ import annotations

why_not: str = ""
try:
    from vipproxy.native import _engine as _engine
except ImportError as error:
    why_not = str(error)

available: bool = not why_not
