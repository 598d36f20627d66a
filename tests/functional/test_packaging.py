"""What a user gets with `pip install`: the wheel is built from a copy, and looked into."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

import vipproxy
from tests.support import require

CHECKOUT = Path(__file__).parents[2]
METADATA = ("setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE")
PACKAGES = ("vipproxy", "twisted")
MADE = shutil.ignore_patterns("__pycache__", "dropin.cache")
PIP_WHEEL = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-index")


def require_build_tools() -> None:
    """Building without isolation needs pip, and a setuptools that makes wheels by itself."""
    try:
        importlib.metadata.version("pip")
        version = importlib.metadata.version("setuptools")
    except importlib.metadata.PackageNotFoundError as error:
        raise SkipTest(f"{error.name} is not installed") from error
    if int(version.partition(".")[0]) < 77:
        raise SkipTest(f"setuptools {version} is too old; 77 or newer is needed")


def copy_sources(target: Path) -> None:
    for name in METADATA:
        shutil.copy(CHECKOUT / name, target)
    for name in PACKAGES:
        shutil.copytree(CHECKOUT / name, target / name, ignore=MADE)


def build(directory: Path) -> Path:
    """Build in `directory`, and give the path of the wheel."""
    command = [*PIP_WHEEL, "--no-build-isolation", "--wheel-dir", str(directory), str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise AssertionError(done.stdout + done.stderr)
    (path,) = directory.glob("*.whl")
    return path


@functools.cache
def wheel() -> dict[str, bytes]:
    """The files of the wheel by name; built once for all tests."""
    require_build_tools()
    with tempfile.TemporaryDirectory() as name:
        copy_sources(Path(name))
        with zipfile.ZipFile(build(Path(name))) as archive:
            return {each: archive.read(each) for each in archive.namelist()}


def metadata(file: str) -> str:
    return wheel()[f"vipproxy-{vipproxy.__version__}.dist-info/{file}"].decode()


def sources() -> set[str]:
    """What the packages of the checkout hold, but for what is compiled, before and after."""
    return {
        str(path.relative_to(CHECKOUT))
        for package in PACKAGES
        for path in (CHECKOUT / package).rglob("*")
        if path.is_file()
        and path.suffix not in (".pyc", ".c", ".h", ".so")
        and path.name != "dropin.cache"
    }


class WheelTests(SynchronousTestCase):
    def test_contents(self) -> None:
        """The wheel holds every file of the packages, the twistd plugin, and nothing else."""
        packed = {name for name in wheel() if ".dist-info/" not in name}
        compiled = {name for name in packed if name.endswith(".so")}
        self.assertEqual(packed - compiled, sources())
        self.assertIn("twisted/plugins/vipproxy_plugin.py", packed)

    def test_compiled(self) -> None:
        """Where there is a compiler, the native relay is built into it."""
        require("cc")
        compiled = [name for name in wheel() if name.endswith(".so")]
        self.assertEqual([name.partition(".")[0] for name in compiled], ["vipproxy/native/_engine"])

    def test_shares_twisted_namespace(self) -> None:
        """The wheel does not overwrite a file of Twisted's."""
        self.assertNotIn("twisted/__init__.py", wheel())
        self.assertNotIn("twisted/plugins/__init__.py", wheel())

    def test_command(self) -> None:
        """Installing it makes the `vipproxy` command."""
        self.assertIn("vipproxy = vipproxy.cli:main", metadata("entry_points.txt"))

    def test_licence(self) -> None:
        """The licence comes with it."""
        self.assertEqual(metadata("licenses/LICENSE"), (CHECKOUT / "LICENSE").read_text())


class InstalledTests(SynchronousTestCase):
    def test_not_the_checkout(self) -> None:
        """`make test` tests the installed package."""
        if os.environ.get("VIPPROXY_TEST_INSTALLED") != "1":
            raise SkipTest("only `make test` installs the package first")
        self.assertNotEqual(Path(vipproxy.__file__).parent, CHECKOUT / "vipproxy")
