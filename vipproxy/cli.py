"""The `vipproxy` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import frozen

from vipproxy import __version__
from vipproxy.config import SYNTAXES, load
from vipproxy.config.declare import options_of
from vipproxy.config.reference import reference
from vipproxy.config.show import show
from vipproxy.config.write import write_ini
from vipproxy.errors import ConfigError
from vipproxy.plugins import INTERFACES, Catalog


@frozen
class Command:
    """A subcommand: `prepare` adds its arguments, `run` gives the exit status."""

    name: str
    help: str
    run: Callable[[argparse.Namespace], int]
    prepare: Callable[[argparse.ArgumentParser], object]


def _takes_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the configuration, or a haproxy.cfg")
    parser.add_argument(
        "--format", choices=SYNTAXES, default="auto", help="its syntax; by default it is looked at"
    )


def _takes_nothing(parser: argparse.ArgumentParser) -> None:
    """A command without arguments."""


def _takes_haproxy(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--haproxy", action="store_true", help="every keyword of a haproxy.cfg instead"
    )


def check(arguments: argparse.Namespace) -> int:
    """Print every problem of a configuration, and nothing else; 1 where there is an error."""
    try:
        loaded = load(arguments.file, Catalog(), arguments.format)
    except ConfigError as error:
        print(error.report)
        return 1
    if loaded.problems.sorted:
        print(loaded.problems.report())
    return 0


def convert(arguments: argparse.Namespace) -> int:
    """Print the configuration as INI, and its problems elsewhere; 1 where there is an error."""
    try:
        loaded = load(arguments.file, Catalog(), arguments.format)
    except ConfigError as error:
        print(error.report, file=sys.stderr)
        return 1
    if loaded.problems.sorted:
        print(loaded.problems.report(), file=sys.stderr)
    print(write_ini(loaded.document), end="")
    return 0


def show_values(arguments: argparse.Namespace) -> int:
    """Print every effective value, and where it comes from."""
    try:
        loaded = load(arguments.file, Catalog(), arguments.format)
    except ConfigError as error:
        print(error.report, file=sys.stderr)
        return 1
    print(show(loaded.draft, arguments.file))
    return 0


def run(arguments: argparse.Namespace) -> int:
    """Serve in the foreground: `twistd -n vipproxy --config FILE` in one word."""
    from twisted.scripts import twistd  # brings the reactor with it

    options = twistd.ServerOptions()  # type: ignore[attr-defined]
    ours = ["vipproxy", "--config", arguments.file, "--format", arguments.format]
    options.parseOptions(["--nodaemon", "--pidfile=", *ours])
    twistd.runApp(options)
    return 0


def haproxy(arguments: argparse.Namespace) -> int:
    """Be HAProxy, as far as its command line goes; `main` has the arguments."""
    from vipproxy.haproxy import main as run_haproxy

    return run_haproxy(arguments.arguments)


def _takes_rest(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="as haproxy has them")


def _takes_demo_arguments(parser: argparse.ArgumentParser) -> None:
    from vipproxy.demo import add_arguments

    add_arguments(parser)


def demo(arguments: argparse.Namespace) -> int:
    """Run the demonstration; 0 only if everything held."""
    from vipproxy.demo import run as run_demo

    return run_demo(arguments)


def plugins(arguments: argparse.Namespace) -> int:
    """Print the plugins that have a name, with their options."""
    catalog = Catalog()
    for kind in INTERFACES:
        for name in catalog.names(kind):
            print(f"{kind} {name}")
            _print_options(catalog, kind, name)
    return 0


def _print_options(catalog: Catalog, kind: str, name: str) -> None:
    try:
        options = catalog.find(kind, name).options
    except LookupError as error:
        print(f"    {error.args[0]}")
        return
    for key, (_, option) in options_of(options).items() if options else ():
        print(f"    {key} = {option.kind.syntax}: {option.help}")


def options(arguments: argparse.Namespace) -> int:
    """Print every option that a configuration can have, as Markdown; or HAProxy's keywords."""
    if arguments.haproxy:
        from vipproxy.config.haproxy.reference import keyword_reference

        print(keyword_reference())
    else:
        print(reference(Catalog()))
    return 0


COMMANDS = (
    Command("check", "say what is wrong with a configuration", check, _takes_file),
    Command("show", "show effective values and where each comes from", show_values, _takes_file),
    Command("convert", "write a haproxy.cfg as INI", convert, _takes_file),
    Command("haproxy", "HAProxy's command line: -f, -c, -D...", haproxy, _takes_rest),
    Command("run", "serve in the foreground", run, _takes_file),
    Command(
        "demo", "a whole cluster on this machine, and a node that dies", demo, _takes_demo_arguments
    ),
    Command("options", "list every option of a configuration", options, _takes_haproxy),
    Command("plugins", "list the plugins that are installed", plugins, _takes_nothing),
)


def parser() -> argparse.ArgumentParser:
    """The command line, made of COMMANDS."""
    top = argparse.ArgumentParser(prog="vipproxy", description="A load-balancing proxy.")
    top.add_argument("--version", action="version", version=f"vipproxy {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        each = commands.add_parser(command.name, help=command.help, description=command.help)
        command.prepare(each)
        each.set_defaults(command=command.run)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is for `sys.exit`.

    A link with the name `haproxy` is the command of that name.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if argv is None and Path(sys.argv[0]).name == "haproxy":
        words.insert(0, "haproxy")
    if words[:1] == ["haproxy"]:  # its options are none that argparse would understand
        return haproxy(argparse.Namespace(arguments=words[1:]))
    arguments = parser().parse_args(words)
    status: int = arguments.command(arguments)
    return status
