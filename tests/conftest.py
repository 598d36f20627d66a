"""pytest only: what needs pytest-twisted is left out where that is not loaded (pyproject.toml)."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if collection_path.name == "fixtures" and not config.pluginmanager.hasplugin("twisted"):
        return True
    return None
