"""HAProxy's own configuration files, read as if they were ours.

A file becomes lines of words (`lexer`), sections of statements (`reader`, with the tables of
keywords) and then a Document (`translate`), whose settings know where in the haproxy.cfg each of
their words stands.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_BLANK = re.compile(r"\s*(#.*)?")


def is_haproxy(lines: Sequence[str]) -> bool:
    """Whether a file is HAProxy's: its first line that says something is no ``[section]``.

    A line with ``=`` is taken for one of ours that lacks its section, or its bracket.
    """
    first = next((line.strip() for line in lines if not _BLANK.fullmatch(line)), "")
    return not first.startswith(("[", ";")) and "=" not in first and first != ""
