"""Files in the shapes that deployments have: accepted by HAProxy, and by us, in both syntaxes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.differential.haproxy import check
from tests.haproxy_cfg import REFERENCE, UNLIMITED, load_cfg, said, shown
from vipproxy.config import loads
from vipproxy.config.write import write_ini
from vipproxy.plugins import Catalog

FILES = sorted((Path(__file__).parents[1] / "haproxy_files").glob("*.cfg"))


class Files(SynchronousTestCase):
    def texts(self) -> dict[str, str]:
        return {"openstack": REFERENCE} | {path.stem: path.read_text() for path in FILES}

    def test_accepted(self) -> None:
        """Neither HAProxy nor vipproxy finds an error."""
        self.assertGreaterEqual(len(FILES), 5)
        with tempfile.TemporaryDirectory() as directory:
            for name, text in self.texts().items():
                self.assertEqual([each for each in said(text) if ": error: " in each], [], name)
                status, errors = check(text, Path(directory))
                self.assertEqual(status, 0, f"{name}: {errors}")

    def test_converted(self) -> None:
        """As INI each comes to the same, with all of its comments."""
        for name, text in self.texts().items():
            loaded = load_cfg(text)
            ini = write_ini(loaded.document)
            again = loads(ini, Catalog(), "x", UNLIMITED, "ini")
            self.assertEqual(shown(again), shown(loaded), name)
            comments = [line.strip() for line in text.splitlines() if line.strip()[:2] == "# "]
            self.assertEqual([each for each in comments if each not in ini], [], name)
