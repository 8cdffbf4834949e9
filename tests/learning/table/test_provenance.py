"""Commands, commits and machines as they are noted."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from graspnext.learning.table.provenance import command_line, commit, provenance


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_commit_of_a_checkout_says_when_files_differ(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    assert commit(package) is None  # no checkout
    git(tmp_path, "init", "-q")
    assert commit(package) is None  # in a checkout that does not hold it: an installed package
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    head = git(tmp_path, "rev-parse", "HEAD")[:12]
    assert commit(package) == head
    (tmp_path / "notes.txt").write_text("not of the package")
    (package / "new.txt").write_text("not tracked")
    assert commit(package) == head
    (package / "__init__.py").write_text("changed = True\n")
    assert commit(package) == head + "+"


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit(tmp_path) is None


def test_command_can_be_typed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GLIBC_TUNABLES", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    assert command_line("table", ["--out", "my table"]) == "graspnext table --out 'my table'"
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
    assert command_line("table", ["--out", "t"]) == "GLIBC_TUNABLES=glibc.malloc.hugetlb=1 graspnext table --out t"


def test_provenance_is_plain(tmp_path: Path) -> None:
    noted = provenance("graspnext table")
    assert noted["command"] == "graspnext table" and noted["hardware"]["cores"] >= 1
    assert noted["date"].endswith("+00:00")
