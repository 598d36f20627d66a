"""What tests of all kinds share."""

from __future__ import annotations

import os
import shutil
from unittest import SkipTest

_SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin:" + os.environ.get("PATH", "")


def require(program: str) -> str:
    """The path of an executable; without it the test is skipped, and in CI it fails.

    CI sets VIPPROXY_REQUIRE_REAL=1: there a missing server is a fault, not an excuse.
    """
    path = shutil.which(program, path=_SYSTEM_PATH)
    if path is None:
        if os.environ.get("VIPPROXY_REQUIRE_REAL") == "1":
            raise AssertionError(f"{program} is not installed, and VIPPROXY_REQUIRE_REAL=1")
        raise SkipTest(f"{program} is not installed")
    return path
