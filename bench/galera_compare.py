"""Breaks the writer of a real Galera cluster behind HAProxy and behind vipproxy, and compares.

    python -m bench.galera_compare [--runs 3] [--faults SIGKILL,SIGSTOP]

Run it from the checkout. It needs the Debian packages haproxy, mariadb-server, galera-4 and rsync,
and about a minute per fault and run. It prints the table of docs/galera.md.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from statistics import median

from attrs import frozen

from tests.real.faults import CHECK_PORT_REFUSED, FAULTS, Bench, Experiment, Fault, Findings
from tests.real.haproxy_peer import Haproxy, Peer, Vipproxy
from tests.real.watch import Moments

ALL_FAULTS = (*FAULTS, CHECK_PORT_REFUSED)


@frozen
class Contender:
    name: str
    peer: Callable[[Bench], Peer]
    has_check_port: bool = True


CONTENDERS = (
    Contender("HAProxy", lambda bench: Haproxy(bench.targets)),
    Contender("vipproxy, same check", lambda bench: Vipproxy(bench.targets, "http interval=1s")),
    Contender("vipproxy, galera.ini", lambda bench: Vipproxy(bench.targets), has_check_port=False),
)

HEADER = """\
| fault | proxy | first answer elsewhere | first commit elsewhere | no commit for | longest call \
| commits lost | two writers, by the nodes | two writers, by the proxy |
|---|---|---|---|---|---|---|---|---|"""


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="of each fault with each proxy")
    parser.add_argument("--faults", default="", help="some of them, separated by commas")
    options = parser.parse_args(arguments)
    wanted = options.faults.split(",") if options.faults else [each.name for each in ALL_FAULTS]
    faults = [fault for fault in ALL_FAULTS if fault.name in wanted]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no server is left behind
    bench = Bench()
    bench.start()
    try:
        found = measure(bench, faults, options.runs)
    finally:
        bench.stop()
    print(HEADER)
    for (fault, contender), findings in found.items():
        print(row(fault, contender, findings))


def measure(
    bench: Bench, faults: Sequence[Fault], runs: int
) -> dict[tuple[str, str], list[Findings]]:
    """All findings by fault and contender; the proxies take turns, so that noise hits all alike."""
    found: dict[tuple[str, str], list[Findings]] = {}
    for fault in faults:
        for run in range(runs):
            for each in CONTENDERS:
                if fault is CHECK_PORT_REFUSED and not each.has_check_port:
                    continue
                findings = Experiment(bench, each.peer(bench), fault).run()
                found.setdefault((fault.name, each.name), []).append(findings)
                print(run + 1, row(fault.name, each.name, [findings]), file=sys.stderr, flush=True)
    return found


def row(fault: str, contender: str, findings: Sequence[Findings]) -> str:
    cells = (
        fault,
        contender,
        seconds(each.served for each in findings),
        seconds(each.committed for each in findings),
        seconds(each.silence for each in findings),
        seconds(each.hang.seconds for each in findings),
        f"{sum(each.lost for each in findings)} of {sum(each.acknowledged for each in findings)}",
        share(each.listed for each in findings),
        share(each.accounted for each in findings),
    )
    return f"| {' | '.join(cells)} |"


def seconds(values: Iterable[float | None]) -> str:
    """Median and range."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return "never"
    return f"{median(known):.1f} s ({known[0]:.1f} to {known[-1]:.1f})"


def share(moments: Iterable[Moments]) -> str:
    """Of all runs together."""
    all_moments = list(moments)
    return f"{sum(each.two for each in all_moments)} of {sum(each.all for each in all_moments)}"


if __name__ == "__main__":
    main(sys.argv[1:])
