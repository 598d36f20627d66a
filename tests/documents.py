"""What stands in the documents as code."""

from __future__ import annotations

import importlib
import re
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
DOCS = CHECKOUT / "docs"
DOCUMENTS = [CHECKOUT / "README.md", *sorted(DOCS.glob("*.md"))]


def blocks(document: Path, kind: str) -> list[str]:
    """The fenced blocks that begin with ```kind."""
    return re.findall(rf"(?ms)^```{kind}\n(.*?)^```$", document.read_text())


class Modules:
    """The Python modules of the documents, in a directory, and importable until `remove`.

    The first line of each is the name of its file.
    """

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory()
        self._before = set(sys.modules)
        self.directory = Path(self._temporary.name)
        self.files = [self._write(text) for each in DOCUMENTS for text in blocks(each, "python")]
        sys.path.insert(0, str(self.directory))
        importlib.invalidate_caches()

    def remove(self) -> None:
        sys.path.remove(str(self.directory))
        self._temporary.cleanup()
        for name in {path.stem for path in self.files} - self._before:
            sys.modules.pop(name, None)

    def _write(self, text: str) -> Path:
        path = self.directory / text.partition("\n")[0].removeprefix("# ")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path
