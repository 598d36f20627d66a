"""Run the engines' tests with the native module under a sanitizer of the C compiler.

    python tests/engines/sanitize.py address|thread [TEST...]

TEST is a name for trial; without one, the contract and a few hundred schedules run. The package
is copied into a temporary folder and the module is built there, so nothing of the checkout
changes. First the sanitizer must find the faults of `faults.c`. What it says of CPython itself is
counted and left alone; a report that names a source file of ours is a failure. Exit status: 0
where all is well, 1 with a report or a failed test, 2 where the sanitizer does not work here.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

from attrs import field, frozen

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
COPIED = ("vipproxy", "twisted", "tests")

RELAY = (
    "tests.engines.test_contract",
    "tests.engines.test_shut_down",
    "tests.engines.test_same.LegalTests.test_native",
    "tests.engines.test_same.LegalTests.test_native_of_two",
    "tests.engines.test_copy",
    "tests.functional.test_http_bulk",
)
TRANSPORT = (
    "tests.functional.test_dial",
    "tests.functional.test_native_poller",
    "tests.functional.test_native_streams",
    "tests.unit.test_http_plain",
)
"""All of it runs in one thread."""
SCHEDULES = "400"

WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Werror", "-pthread")
DEBUG = ("-g", "-O1", "-fno-omit-frame-pointer", "-shared", "-fPIC")
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")


class DoesNotWork(Exception):
    """This machine has not what the sanitizer needs; the text says what."""


@frozen
class Sanitizer:
    flags: tuple[str, ...]
    runtime: str
    """The library to be loaded first."""
    options: dict[str, str]
    """Its environment; {report} is where it writes."""
    faults: tuple[str, ...]
    """Expressions that it must find fault with."""
    tests: tuple[str, ...]


SANITIZERS = {
    "address": Sanitizer(
        flags=("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
        runtime="libasan.so",
        options={
            # What Python still holds at its exit is no leak of ours; test_leaks.py looks for them.
            "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=1:log_path={report}",
            "UBSAN_OPTIONS": "print_stacktrace=1",
        },
        faults=("overrun(10)", "overflow(1)"),
        tests=RELAY + TRANSPORT,
    ),
    "thread": Sanitizer(
        flags=("-fsanitize=thread",),
        runtime="libtsan.so",
        options={"TSAN_OPTIONS": "exitcode=0:history_size=4:log_path={report}"},
        faults=("race()",),
        tests=RELAY,
    ),
}


def run(
    command: Sequence[str | Path], env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=env, text=True, capture_output=True, check=False)


def compiler() -> str:
    found = shutil.which(os.environ.get("CC", "cc"))
    if found is None:
        raise DoesNotWork("there is no C compiler")
    return found


def build(sources: Sequence[Path], target: Path, sanitizer: Sanitizer) -> None:
    """Compile and link a Python module. Raises DoesNotWork with the compiler's words."""
    include = f"-I{sysconfig.get_paths()['include']}"
    flags = (*WARNINGS, *DEBUG, *sanitizer.flags, include)
    done = run([compiler(), *flags, *sources, "-o", target])
    if done.returncode:
        raise DoesNotWork(done.stderr)


@frozen
class Bench:
    """A folder with the sanitized modules, and how to run Python there."""

    sanitizer: Sanitizer
    folder: Path
    prefix: tuple[str, ...] = field(default=())

    @property
    def tree(self) -> Path:
        return self.folder / "tree"

    @property
    def sources(self) -> tuple[Path, ...]:
        return tuple(sorted((self.tree / "vipproxy" / "native").glob("*.c")))

    def command(self, *arguments: str) -> list[str]:
        return [*self.prefix, sys.executable, *arguments]

    def environment(self) -> dict[str, str]:
        report = str(self.folder / "report")
        options = {
            name: value.format(report=report) for name, value in self.sanitizer.options.items()
        }
        runtime = run([compiler(), f"-print-file-name={self.sanitizer.runtime}"]).stdout.strip()
        if not Path(runtime).is_absolute():
            raise DoesNotWork(f"{self.sanitizer.runtime} is not installed")
        return os.environ | options | {
            "LD_PRELOAD": runtime,
            "PYTHONMALLOC": "malloc",  # Python's own allocator would hide what is done to memory
            "PYTHONPATH": str(self.tree),
            "VIPPROXY_SCHEDULES": os.environ.get("VIPPROXY_SCHEDULES", SCHEDULES),
            "VIPPROXY_REQUIRE_REAL": "1",
        }  # fmt: skip

    def reports(self) -> list[str]:
        """All that the sanitizer wrote so far, one text a finding; and they are taken away."""
        texts = []
        for path in self.folder.glob("report.*"):
            texts += path.read_text(errors="replace").split("=" * 18)
            path.unlink()
        return [text for text in texts if text.strip()]


def able(bench: Bench) -> Bench:
    """A bench on which Python starts; the thread sanitizer may need addresses without chance."""
    tried = ""
    for prefix in ((), ("setarch", platform.machine(), "-R")):
        changed = Bench(bench.sanitizer, bench.folder, prefix)
        done = run(changed.command("-c", "print('up')"), env=changed.environment())
        if done.stdout.strip() == "up":
            return changed
        tried = done.stdout + done.stderr
    raise DoesNotWork(f"Python does not start under it: {tried}")


def finds(bench: Bench, expression: str) -> bool:
    """Whether it finds fault with a function of `faults.c`."""
    script = f"import _faults; _faults.{expression}"
    done = run(bench.command("-c", script), env=bench.environment())
    said = [*bench.reports(), done.stderr]  # undefined behaviour is told there, and ends Python
    found = any("faults.c:" in text for text in said)
    if done.returncode and not found:
        raise DoesNotWork(f"{expression}: {done.stdout}{done.stderr}")
    return found


def check_sight(bench: Bench) -> None:
    """Raises DoesNotWork where it does not see a fault, or sees one where there is none."""
    build([bench.tree / "tests/engines/faults.c"], bench.tree / f"_faults{SUFFIX}", bench.sanitizer)
    for expression in bench.sanitizer.faults:
        if not finds(bench, expression):
            raise DoesNotWork(f"it does not see the fault of {expression}")
    if finds(bench, "clean()"):
        raise DoesNotWork("it sees a fault where there is none")


def copy_tree(bench: Bench) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    for name in COPIED:
        shutil.copytree(CHECKOUT / name, bench.tree / name, ignore=ignored)


def run_tests(bench: Bench, tests: Sequence[str]) -> int:
    """The exit status of trial, which fails also where not the built module is used."""
    script = (
        "import sys; from vipproxy.native import _engine;"
        f"assert _engine.__file__.startswith({str(bench.tree)!r}), _engine.__file__;"
        "from twisted.scripts.trial import run; run()"
    )
    command = bench.command("-c", script, "--temp-directory", str(bench.folder / "trial"), *tests)
    return subprocess.run(command, env=bench.environment(), cwd=bench.tree, check=False).returncode


def judge(bench: Bench) -> int:
    """Print the reports that are ours; how many they are."""
    reports = bench.reports()
    ours = [text for text in reports if any(str(path) in text for path in bench.sources)]
    for text in ours:
        print(text)
    print(f"reports: {len(ours)} with our sources, {len(reports) - len(ours)} without")
    return len(ours)


def sanitize(kind: str, tests: Sequence[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="vipproxy-") as name:
        bench = Bench(SANITIZERS[kind], Path(name))
        copy_tree(bench)
        bench = able(bench)
        check_sight(bench)
        build(bench.sources, bench.tree / f"vipproxy/native/_engine{SUFFIX}", bench.sanitizer)
        status = run_tests(bench, tests or bench.sanitizer.tests)
        return 1 if judge(bench) or status else 0


def main(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] not in SANITIZERS:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        return sanitize(arguments[0], arguments[1:])
    except DoesNotWork as error:
        print(f"the {arguments[0]} sanitizer does not work here: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
