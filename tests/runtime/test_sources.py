"""Files, folders and patterns to pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graspnext.errors import InputImageError
from graspnext.runtime.pairs import DepthNames
from graspnext.runtime.sources import SourceConfig, Sources, find_sources, read_source


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.png", "a.JPG", "c.txt", "deep/d.png"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "in"


def names(found: Sources) -> list[str]:
    return [Path(source.label).name for source in found.found]


def test_a_folder_gives_its_pictures_sorted(folder: Path) -> None:
    assert names(find_sources([folder])) == ["a.JPG", "b.png"]


def test_patterns_and_repeated_words(folder: Path) -> None:
    found = find_sources([folder / "b.png", f"{folder}/**/*.png", f"{folder}/../in/b.png"])
    assert names(found) == ["b.png", "d.png"]
    assert not found.problems


def test_a_file_is_taken_at_its_word(folder: Path) -> None:
    assert names(find_sources([folder / "c.txt"])) == ["c.txt"]


def test_a_name_with_brackets_is_a_file_first(tmp_path: Path) -> None:
    (tmp_path / "a[1].png").touch()
    assert names(find_sources([tmp_path / "a[1].png"])) == ["a[1].png"]


def test_problems_do_not_hide_the_good(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    words = [tmp_path / "none.png", tmp_path / "empty", f"{tmp_path}/*.webp", "nul\0", folder / "b.png"]
    found = find_sources(words)
    assert names(found) == ["b.png"]
    said = [problem.problem for problem in found.problems]
    assert said[0] == "no such file or folder; check the path"
    assert said[1].startswith("no images found; expected files ending in .avi, .bmp")
    assert said[2].startswith("no images found")
    assert len(said) == 4
    assert [problem.source for problem in found.problems] == [str(word) for word in words[:4]]


def test_a_picture_that_its_camera_wants_turned_takes_no_depth(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down: the sizes would still agree
    Image.fromarray(np.zeros((4, 6, 3), dtype=np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    np.save(tmp_path / "a_depth.npy", np.ones((4, 6), dtype=np.float32))
    with pytest.raises(InputImageError, match="EXIF data ask for it to be turned"):
        list(read_source(tmp_path / "a.jpg", SourceConfig(depth=DepthNames("{stem}_depth.npy"))))
    assert len(list(read_source(tmp_path / "a.jpg"))) == 1
