"""Files, folders and patterns to pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from graspnext.runtime.sources import expand_sources


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.png", "a.JPG", "c.txt", "deep/d.png"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "in"


def names(paths: tuple[Path, ...]) -> list[str]:
    return [path.name for path in paths]


def test_a_folder_gives_its_pictures_sorted(folder: Path) -> None:
    assert names(expand_sources([folder]).paths) == ["a.JPG", "b.png"]


def test_patterns_and_repeated_words(folder: Path) -> None:
    found = expand_sources([folder / "b.png", f"{folder}/**/*.png", f"{folder}/../in/b.png"])
    assert names(found.paths) == ["b.png", "d.png"]
    assert not found.problems


def test_a_file_is_taken_at_its_word(folder: Path) -> None:
    assert names(expand_sources([folder / "c.txt"]).paths) == ["c.txt"]


def test_a_name_with_brackets_is_a_file_first(tmp_path: Path) -> None:
    (tmp_path / "a[1].png").touch()
    assert names(expand_sources([tmp_path / "a[1].png"]).paths) == ["a[1].png"]


def test_problems_do_not_hide_the_good(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    words = [tmp_path / "none.png", tmp_path / "empty", f"{tmp_path}/*.webp", "nul\0", folder / "b.png"]
    found = expand_sources(words)
    assert names(found.paths) == ["b.png"]
    said = [problem.problem for problem in found.problems]
    assert said[0] == "no such file or folder; check the path"
    assert said[1].startswith("no images found; expected files ending in .bmp, .jpeg")
    assert said[2].startswith("no images found")
    assert len(said) == 4
    assert [problem.source for problem in found.problems] == [str(word) for word in words[:4]]
