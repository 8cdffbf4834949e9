"""Hostile .pth files: nothing in them runs, and what they cost is bounded."""

from __future__ import annotations

import os
import pickle
import re
import zipfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from graspnext.errors import WeightsError
from graspnext.network.backbones import pth
from graspnext.network.backbones.pth import read_pth


class Exploit:
    """A pickle that calls something when it is read."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call, self.arguments


def test_tensors_come_back_as_they_were(tmp_path: Path) -> None:
    shared = torch.rand(4, 3)
    state = {
        "a": shared,
        "b": shared.t(),
        "count": torch.tensor(7),
        "half": torch.rand(2).half(),
        "c": nn.Parameter(shared),
    }
    for name, modern in (("zip.pth", True), ("old.pth", False)):  # torchvision has files of both kinds
        torch.save(state, tmp_path / name, _use_new_zipfile_serialization=modern)
        found = read_pth(tmp_path / name)
        assert found.keys() == state.keys()
        assert all(torch.equal(found[key], value) and found[key].dtype == value.dtype for key, value in state.items())


@pytest.mark.parametrize("form", ["bare", "zip", "old", "inside"])
def test_programs_in_a_pickle_do_not_run(form: str, tmp_path: Path) -> None:
    victim, path = tmp_path / "touched", tmp_path / "evil.pth"
    evil = Exploit(os.system, f"touch {victim}")
    if form == "bare":
        path.write_bytes(pickle.dumps(evil, protocol=2))
    elif form == "inside":
        torch.save({"conv1.weight": torch.zeros(2), "conv1.bias": evil}, path)
    else:
        torch.save(evil, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(WeightsError, match=r"holds more than tensors \((posix|os).system\)"):
        read_pth(path)
    assert not victim.exists()
    # The test would see it: the same file runs in a reader that takes everything.
    if form != "bare":
        torch.load(path, weights_only=False)
    else:
        pickle.loads(path.read_bytes())
    assert victim.exists()


def test_the_environment_does_not_open_the_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    torch.save(Exploit(os.system, f"touch {tmp_path / 'touched'}"), tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match="holds more than tensors"):
        read_pth(tmp_path / "evil.pth")
    assert not (tmp_path / "touched").exists()


@pytest.mark.filterwarnings("ignore:Validating sparse")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": {"a": torch.zeros(2)}, "epoch": 3}, r"holds more than tensors \(model: dict\)"),
        ({"a": torch.zeros(2), "epoch": 3}, r"holds more than tensors \(epoch: int\)"),
        ({3: torch.zeros(2)}, r"holds more than tensors \(3: Tensor\)"),
        ({"args": Namespace(lr=1)}, r"holds more than tensors \(argparse.Namespace\)"),
        (nn.Linear(2, 2), r"holds more than tensors \(torch.nn.modules.linear.Linear\)"),
        (torch.zeros(2), "holds a Tensor where named tensors are expected"),
        ({"a": torch.zeros(2, 2).to_sparse()}, "a is not a plain tensor"),
        ({"a": torch.zeros(2, device="meta")}, "a is not a plain tensor"),
        ({"a": torch.zeros(1).expand(10**12)}, "holds tensors of 3814697 MiB, more than 512"),
    ],
)
def test_anything_but_named_tensors_is_refused(content: object, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pth")
    problem = pth._transfer_safely(tmp_path / "other.pth", tmp_path / "out.safetensors")
    assert re.match(message, problem)
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save({"a": torch.zeros(1000)}, path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"text", bytes(200), pickle.dumps({"a": 1}, protocol=4)):
        path.write_bytes(content)
        assert "not a file of torch.save (" in pth._transfer_safely(path, tmp_path / "out.safetensors")
    with pytest.raises(WeightsError, match=r"not a file of torch\.save") as caught:
        read_pth(path)
    assert "\n" not in str(caught.value)


def test_names_in_a_file_cannot_reach_the_terminal(tmp_path: Path) -> None:
    torch.save({"\x1b[2Ja": 1}, tmp_path / "rude.pth")
    problem = pth._transfer_safely(tmp_path / "rude.pth", tmp_path / "out.safetensors")
    assert problem == r"holds more than tensors (\x1b[2Ja: int)"


def test_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.pth"
    with path.open("wb") as stream:
        stream.truncate(pth.MAX_FILE_BYTES + 1)
    with pytest.raises(WeightsError, match="has 512 MiB; give a file of at most"):
        read_pth(path)
    with pytest.raises(WeightsError, match="there is no such file"):
        read_pth(tmp_path)
    os.mkfifo(tmp_path / "pipe.pth")
    with pytest.raises(WeightsError, match="there is no such file"):  # and nobody waits for it
        read_pth(tmp_path / "pipe.pth")


@pytest.mark.slow
def test_what_swells_when_read_is_stopped(tmp_path: Path) -> None:
    """A few MB of zeros, deflated, that would take 4 GiB."""
    torch.save({"a": torch.zeros(8)}, tmp_path / "small.pth")
    with (
        zipfile.ZipFile(tmp_path / "small.pth") as source,
        zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for entry in source.infolist():
            data = source.read(entry)
            if entry.filename.endswith("data.pkl"):
                # the storage's length, 8 elements, as the pickle writes it
                assert data.count(b"K\x08") >= 1
                data = data.replace(b"K\x08", b"J" + (2**30).to_bytes(4, "little"))
            if entry.filename.endswith("data/0"):
                with target.open(entry.filename, "w", force_zip64=True) as stream:
                    for _ in range(4096):
                        stream.write(bytes(2**20))
            else:
                target.writestr(entry.filename, data)
    assert (tmp_path / "bomb.pth").stat().st_size < 2**23
    with pytest.raises(WeightsError, match="it needs more than 2 GiB of memory"):
        read_pth(tmp_path / "bomb.pth")
