"""`vipproxy haproxy`: HAProxy's command line, for those who start, check and reload it.

A link to `vipproxy` with the name `haproxy` is this command.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Sequence

from attrs import evolve

from vipproxy.config import Loaded, read, read_text
from vipproxy.config.haproxy import is_haproxy
from vipproxy.config.haproxy.conditions import BadCondition, evaluate
from vipproxy.config.ini import split_lines
from vipproxy.config.problems import Problems
from vipproxy.errors import ConfigError
from vipproxy.haproxy.arguments import Arguments, Misused, parse
from vipproxy.haproxy.messages import USAGE, Console, version, versions
from vipproxy.plugins import Catalog

MEGABYTE = 1 << 20
UNKNOWN_CONDITION = 2
"""Exit status of ``-cc`` for a condition that cannot be read."""


def main(argv: Sequence[str]) -> int:
    """Do what the arguments say; the exit status."""
    try:
        arguments = parse(argv)
    except Misused as error:
        print(version())
        print(f"{error}\n{USAGE}", file=sys.stderr)
        return 1
    if arguments.version:
        print(version() if arguments.version == 1 else versions())
        return 0
    console = Console(arguments.quiet)
    if arguments.condition is not None:
        return _evaluate(arguments.condition, console)
    return _with_files(arguments, console)


def _evaluate(condition: str, console: Console) -> int:
    try:
        return 0 if evaluate(condition, os.environ) else 1
    except BadCondition as error:
        console.alert(f"config : Failed to evaluate condition: {error.message}")
        return UNKNOWN_CONDITION


def _with_files(arguments: Arguments, console: Console) -> int:
    if arguments.directory:
        os.chdir(arguments.directory)
    try:
        files = _files(arguments.files)
        loaded = _load(files, arguments)
    except ConfigError as error:
        console.problems(error.report)
        for each in arguments.files:
            console.alert(f"config : Error(s) found in configuration file : {each}")
        console.alert("config : Fatal errors found in configuration.")
        return 1
    if loaded.warnings:
        console.problems(loaded.problems.report(notes=False))
        if arguments.zero_warning:
            console.alert("config : Some warnings were found and 'zero-warning' is set. Aborting.")
            return 1
    if arguments.check:
        if loaded.warnings:
            console.say("Warnings were found.")
        console.say("Configuration file is valid")
        return 0
    return _serve(loaded, arguments, console)


def _serve(loaded: Loaded, arguments: Arguments, console: Console) -> int:
    from vipproxy.haproxy.run import run  # brings the reactor with it

    if arguments.memory is not None:
        limit = arguments.memory * MEGABYTE
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for each in arguments.idle:
        console.notice(f"'{each}' has nothing to do here: one process serves")
    return run(loaded, arguments, console)


def _files(paths: Sequence[str]) -> list[str]:
    """The files that the paths name: of a directory all that end in .cfg, in order."""
    found = []
    for path in paths:
        if os.path.isdir(path):
            names = sorted(os.listdir(path))
            found += [
                os.path.join(path, name)
                for name in names
                if name.endswith(".cfg") and not name.startswith(".")
            ]
        else:
            found.append(path)
    return found


def _load(paths: Sequence[str], arguments: Arguments) -> Loaded:
    """The files one after the other, as one; raises ConfigError."""
    lines: list[str] = []
    parts = []
    for path in paths:
        parts.append((path, len(lines) + 1))
        lines += split_lines(read_text(path))
    problems = Problems(paths[0] if paths else "haproxy.cfg", lines, tuple(parts))
    os.environ["HAPROXY_CFGFILES"] = ";".join(paths)
    if arguments.local_peer:
        os.environ["HAPROXY_LOCALPEER"] = arguments.local_peer
    implied = {} if arguments.proxy_maxconn is None else {"maxconn": str(arguments.proxy_maxconn)}
    syntax = "haproxy" if not lines or is_haproxy(lines) else "auto"
    loaded = read(problems, Catalog(), syntax=syntax, implied=implied)
    if arguments.maxconn is None:
        return loaded
    options = evolve(loaded.config.options, maxconn=arguments.maxconn)
    return evolve(loaded, config=evolve(loaded.config, options=options))
