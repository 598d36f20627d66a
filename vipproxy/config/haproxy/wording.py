"""Problems that were found in terms of our own syntax, told in HAProxy's."""

from __future__ import annotations

import re

from attrs import evolve

from vipproxy.config.problems import Problem

WORDS = (
    (r"\bprotocol = ", "mode "),
    (r"\bbackend = ", "default_backend "),
    (r"\bcheck = tcp\b", "'check' on its server lines"),
    (r"\bcookie=VALUE\b", "'cookie VALUE'"),
    (r"\bstick = ", "stick on "),
    (r"\bkeepalive = on\b", "option tcpka"),
    (r"\btimeout-(\w+)", r"timeout \1"),
    (r" = ", " "),
)
"""What is called differently, as regular expressions."""


def reword(problem: Problem) -> Problem:
    """The same problem in the words of a haproxy.cfg."""
    return evolve(problem, message=_reworded(problem.message), hint=_reworded(problem.hint))


def _reworded(text: str) -> str:
    if "# vipproxy:" in text:  # a line of ours
        return text
    for ours, theirs in WORDS:
        text = re.sub(ours, theirs, text)
    return text
