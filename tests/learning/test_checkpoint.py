"""Round trips, kills in the middle of writing, and damage."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from graspnext.errors import OutputError, RunError
from graspnext.files import write_json
from graspnext.learning import checkpoint
from graspnext.learning.checkpoint import (
    CHECKPOINT_FILE,
    Checkpoint,
    load_checkpoint,
    load_run,
    load_tensors,
    load_weights,
    save_checkpoint,
    save_tensors,
)
from graspnext.network.build import build_network
from graspnext.network.presets import find_preset


def make_checkpoint(step: int, size: int = 4) -> Checkpoint:
    model = {"a.weight": torch.full((size, size, 2, 2), float(step)).to(memory_format=torch.channels_last)}
    return Checkpoint(
        step=step,
        elapsed_s=1.5 * step,
        model=model,
        average={"a.weight": model["a.weight"] / 2},
        optimizer={"a.weight.step": torch.tensor(float(step))},
    )


def test_round_trip(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path) is None
    saved = make_checkpoint(7)
    save_checkpoint(tmp_path, saved)
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None
    assert (loaded.step, loaded.elapsed_s) == (7, 10.5)
    for group in ("model", "average", "optimizer"):
        before, after = getattr(saved, group), getattr(loaded, group)
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)
    assert json.loads((tmp_path / "checkpoint/last.json").read_text()) == {"step": 7, "elapsed_s": 10.5}


def test_a_file_that_is_replaced_while_it_is_read_gives_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "weights.safetensors"
    save_tensors(path, {"a": torch.zeros(4)}, {"step": 1})
    checksum = checkpoint._checksum

    def late(path: Path) -> str:
        monkeypatch.setattr(checkpoint, "_checksum", checksum)
        save_tensors(path, {"a": torch.ones(4)}, {"step": 2})
        return checksum(path)

    monkeypatch.setattr(checkpoint, "_checksum", late)
    tensors, header = load_tensors(path)
    assert tensors["a"].tolist() == [1.0] * 4 and header == {"step": 2}


def test_shared_memory_and_types_survive(tmp_path: Path) -> None:
    base = torch.arange(6)
    tensors = {"whole": base, "part": base[1:3], "half": torch.tensor([1.5], dtype=torch.bfloat16)}
    save_tensors(tmp_path / "x.safetensors", tensors, {"k": [1, "é"]})
    loaded, header = load_tensors(tmp_path / "x.safetensors")
    assert header == {"k": [1, "é"]}
    assert all(
        torch.equal(loaded[name], value) and loaded[name].dtype == value.dtype for name, value in tensors.items()
    )


KILLER = """
import os, signal, sys, time
from pathlib import Path
import torch
from graspnext.learning.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
torch.set_num_threads(1)
run, steps = Path(sys.argv[1]), set()
zeros = {f"w{i}": torch.zeros(50_000) for i in range(10)}
save_checkpoint(run, Checkpoint(0, 0.0, zeros, zeros, {}))
for trial in range(16):
    child = os.fork()
    if child == 0:
        step = 100 * trial
        while True:
            step += 1
            tensors = {f"w{i}": torch.full((50_000,), float(step)) for i in range(10)}
            save_checkpoint(run, Checkpoint(step, 0.0, tensors, tensors, {}))
    time.sleep(0.08 + 0.007 * trial)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    found = load_checkpoint(run)
    assert found is not None
    for tensor in (*found.model.values(), *found.average.values()):
        assert (tensor == found.step).all(), "a mixture of two checkpoints"
    steps.add(found.step)
    (partial,) = list(run.rglob(".*.part")) or [None]
    sys.stdout.write(f"{found.step} {partial is not None}\\n")
    if partial:
        partial.unlink()
assert len(steps) > 1
"""


def test_a_kill_at_any_instant_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(tmp_path)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "True" in done.stdout  # some kills struck in the middle of writing


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_a_cut_file_is_a_run_error(tmp_path: Path, keep: int) -> None:
    save_checkpoint(tmp_path, make_checkpoint(1))
    path = tmp_path / CHECKPOINT_FILE
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RunError, match="damaged"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_one_flipped_bit_among_the_weights_is_a_run_error(tmp_path: Path, share: float) -> None:
    """The format itself would not notice: any bits are numbers."""
    save_checkpoint(tmp_path, make_checkpoint(1, size=40))
    path = tmp_path / CHECKPOINT_FILE
    content = bytearray(path.read_bytes())
    begin = 8 + int.from_bytes(content[:8], "little")
    content[begin + int(share * (len(content) - begin))] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"the file is damaged \(its checksum does not fit\); restore it from a copy"):
        load_checkpoint(tmp_path)


def test_files_of_other_writers_need_no_checksum(tmp_path: Path) -> None:
    save_file({"a": torch.arange(3.0)}, tmp_path / "a.safetensors")
    tensors, header = load_tensors(tmp_path / "a.safetensors")
    assert header == {} and torch.equal(tensors["a"], torch.arange(3.0))


def test_the_formats_own_reader_agrees_on_every_type_and_layout(tmp_path: Path) -> None:
    torch.manual_seed(0)
    types = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16)
    tensors = {
        str(kind): (100 * torch.randn(3, 4, 5)).to(kind) for kind in (*types, torch.int8, torch.uint8, torch.bool)
    }
    tensors |= {
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "transposed": torch.randn(4, 6).T,
        "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 4),
        "gradient": torch.randn(3, requires_grad=True),
        "crc32???": torch.randn(7),
    }
    save_tensors(tmp_path / "x.safetensors", tensors, {"text": "crc32???"})
    found = load_file(tmp_path / "x.safetensors")
    assert found.keys() == tensors.keys()
    for name, value in tensors.items():
        assert found[name].dtype == value.dtype and torch.equal(found[name], value.detach()), name


def test_saving_needs_the_memory_of_one_tensor_not_of_all(tmp_path: Path) -> None:
    """Tensors of 40 MB, which the allocator gives back at once, in a layout that must be packed."""
    code = (
        "import resource, sys, torch; from pathlib import Path\n"
        "from graspnext.learning.checkpoint import save_tensors\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "tensors = {str(i): torch.ones(2, 5, 1024, 1024).to(memory_format=torch.channels_last) for i in range(4)}\n"
        "save_tensors(Path(sys.argv[1]) / 'a', {'0': tensors['0']}, {}); before = peak()\n"
        "save_tensors(Path(sys.argv[1]) / 'b', tensors, {}); print(peak() - before)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, env=environment, check=True
    )
    assert float(done.stdout) < 20  # one was packed before; none may be packed beside another


def test_a_limit_on_the_size_of_files_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    """As a quota does, it lets a part of the file through and refuses the rest."""
    save_checkpoint(tmp_path, make_checkpoint(1, size=100))
    size = (tmp_path / CHECKPOINT_FILE).stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, before[1]))
    try:
        with pytest.raises(OutputError, match=r"last.safetensors: File too large; check the path and the disk"):
            save_checkpoint(tmp_path, make_checkpoint(2, size=100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    found = load_checkpoint(tmp_path)
    assert found is not None and found.step == 1
    assert not list(tmp_path.rglob("*.part"))


def test_unwritable_folder_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="a file stands where a folder must be"):
        save_checkpoint(tmp_path / "file", make_checkpoint(1))


def test_weights_must_fit_and_the_message_names_them() -> None:
    network = torch.nn.Linear(2, 3)
    weights = {"weight": torch.zeros(2, 2), "extra": torch.zeros(1)}
    with pytest.raises(RunError, match=r"missing bias, unexpected extra, weight is \(2, 2\), not \(3, 2\)"):
        load_weights(network, weights, Path("w"))


def test_load_run_prefers_final_weights_and_falls_back_to_the_checkpoint(tmp_path: Path) -> None:
    preset = find_preset("tiny")
    with pytest.raises(RunError, match="not a training run"):
        load_run(tmp_path)
    write_json(tmp_path / "config.json", {"preset": preset.to_dict()})
    with pytest.raises(RunError, match="no weights yet"):
        load_run(tmp_path)
    torch.manual_seed(1)
    model, average = build_network(preset).state_dict(), build_network(preset).state_dict()
    save_checkpoint(tmp_path, replace(make_checkpoint(3), model=model, average=average, optimizer={}))
    network, config, record = load_run(tmp_path)
    assert config == preset
    assert not network.training
    assert (record["step"], record["finished"]) == (3, False)
    assert all(torch.equal(value, average[name]) for name, value in network.state_dict().items())
    save_tensors(tmp_path / "weights.safetensors", model, {"step": 9})
    network, _, record = load_run(tmp_path)
    assert (record["step"], record["finished"]) == (9, True)
    assert all(torch.equal(value, model[name]) for name, value in network.state_dict().items())


def test_load_run_names_damage_in_its_config(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"preset": ')
    with pytest.raises(RunError, match="cannot be read"):
        load_run(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(RunError, match="no network configuration"):
        load_run(tmp_path)
