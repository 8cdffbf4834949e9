"""A small sound dataset, and a copy of it to break."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory, tiny_writer: Callable[..., Path]) -> Path:
    return tiny_writer(tmp_path_factory.mktemp("checks") / "sound", size=128, scenes=3, parts=8)


@pytest.fixture
def copy(tmp_path: Path, sound: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "copy"))
