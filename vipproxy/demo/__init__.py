"""`vipproxy demo`: the reference cluster, a node that dies, and what its clients notice.

Nodes, proxy and clients share one process and one reactor: the demo needs nothing but Python,
leaves nothing behind, and reads one clock for what happened on either side of the proxy.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.task import react

from vipproxy.config import load
from vipproxy.config.options import ClusterConfig
from vipproxy.demo.report import Screen, where_to_look
from vipproxy.demo.scenario import Scenario
from vipproxy.demo.setting import PortTaken, settle
from vipproxy.errors import ConfigError, ListenFailed
from vipproxy.plugins import Catalog

DEFAULT_CONFIG = "examples/demo.ini"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `vipproxy demo`."""
    parser.add_argument(
        "--config", metavar="FILE", default=DEFAULT_CONFIG, help="by default %(default)s"
    )
    parser.add_argument(
        "--serve",
        action="store_true",
        help="keep running with the statistics page open, until Ctrl-C",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments and run; the exit status is that of `run`."""
    parser = argparse.ArgumentParser(prog="vipproxy demo", description="Shows the main job.")
    add_arguments(parser)
    return run(parser.parse_args(argv))


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; the exit status is 0 only if everything held, 2 where it cannot start."""
    try:
        config = load(arguments.config, Catalog()).config
    except ConfigError as error:
        print(error.report, file=sys.stderr)
        return 2
    with TemporaryDirectory(prefix="vipproxy-demo-") as directory:
        config, taken = settle(config, directory)
        return _react(config, taken, arguments.serve)


def _react(config: ClusterConfig, taken: list[PortTaken], serve: bool) -> int:
    """Run the reactor until the demo is over; the status is 130 where it was interrupted."""
    status = [130]

    def start(reactor: Any) -> Deferred[None]:
        scenario = Scenario(reactor, config, Screen(sys.stdout).say)
        demo = Deferred.fromCoroutine(_demo(scenario, config, taken, serve, status))

        def interrupted() -> Deferred[None]:
            scenario.interrupt()
            demo.cancel()
            return demo

        reactor.addSystemEventTrigger("before", "shutdown", interrupted)
        return demo

    try:
        react(start)
    except SystemExit as ended:
        if ended.code:
            return 1
    return status[0]


async def _demo(
    scenario: Scenario,
    config: ClusterConfig,
    taken: list[PortTaken],
    serve: bool,
    status: list[int],
) -> None:
    screen = Screen(sys.stdout)
    screen.introduce(config, scenario.services, taken)
    try:
        await scenario.run()
        status[0] = 0 if screen.conclude(scenario) else 1
        if serve:
            screen.say(f"\nServing until Ctrl-C. {where_to_look(config)}")
            await scenario.serve()
    except (CannotListenError, ListenFailed) as error:
        print(f"vipproxy demo: {error}", file=sys.stderr)
        status[0] = 2
    except TimeoutError as error:
        screen.say(f"Did not hold: {error}.")
        status[0] = 1
    except CancelledError:
        screen.say("Stopping.")
    finally:
        await scenario.stop()
