"""Weights and training state on disk: safetensors with JSON in the header, never pickle, whole at every instant."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from graspnext.errors import RunError
from graspnext.files import make_folder, output_errors, sync_folder, write_json
from graspnext.network.build import build_network
from graspnext.network.config import NetworkConfig
from graspnext.network.network import Network

CONFIG_FILE = "config.json"
CHECKPOINT_FILE = "checkpoint/last.safetensors"
CHECKPOINT_SUMMARY_FILE = "checkpoint/last.json"
WEIGHTS_FILE = "weights.safetensors"
_NO_CHECKSUM = "crc32???"
"""Holds the place of the checksum, which is known last."""
_TYPES: Mapping[torch.dtype, str] = {
    torch.float64: "F64",
    torch.int64: "I64",
    torch.float32: "F32",
    torch.int32: "I32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int16: "I16",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.bool: "BOOL",
}
"""Names of the format."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Everything a run needs to go on. Random numbers need no state: they follow from the seed and the step."""

    step: int
    """Steps done; also the index of the next batch."""
    elapsed_s: float
    """Wall time spent so far, over all starts of the run."""
    model: dict[str, Tensor]
    average: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    extra: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    """Whatever else is learnt, in named groups."""


def save_tensors(path: Path, tensors: Mapping[str, Tensor], header: dict[str, Any]) -> None:
    """Write tensors and a JSON header into one safetensors file that appears all at once.

    One tensor after the other goes to the disk, so the memory needed is that of the largest one. A checksum of the data
    stands beside the header, since the format itself has none.

    Args:
        path: The file; its folder is made.
        tensors: On any device, in any memory layout; two may share memory.
        header: Plain values.

    Raises:
        OutputError: The folder or the file cannot be written.
    """
    make_folder(path.parent)
    # Large elements first: every tensor then begins at a multiple of its own element.
    ordered = dict(sorted(tensors.items(), key=lambda item: -item[1].element_size()))
    table = _table(ordered, {"crc32": _NO_CHECKSUM, "header": json.dumps(header, allow_nan=False)})
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    with output_errors(path):
        try:
            with aside.open("wb") as stream:
                stream.write(len(table).to_bytes(8, "little") + table)
                checksum = 0
                for value in ordered.values():
                    checksum = _append(stream, value, checksum)
                stream.seek(8 + table.index(_NO_CHECKSUM.encode()))
                stream.write(f"{checksum:08x}".encode())
                stream.flush()
                os.fsync(stream.fileno())
            aside.replace(path)
            sync_folder(path.parent)
        finally:
            aside.unlink(missing_ok=True)


def _table(tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> bytes:
    """The JSON table at a file's beginning: type, shape and place of each tensor; a multiple of 8 bytes long."""
    content: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name, value in tensors.items():
        begin, end = end, end + value.numel() * value.element_size()
        content[name] = {"dtype": _TYPES[value.dtype], "shape": list(value.shape), "data_offsets": [begin, end]}
    text = json.dumps(content, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)


def _append(stream: BinaryIO, value: Tensor, checksum: int) -> int:
    """Write a tensor's elements in row order; the checksum of all that was written so far."""
    data = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
    stream.write(data)
    return zlib.crc32(data, checksum)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read back what `save_tensors` wrote: the tensors (on the CPU) and the header.

    A training may replace the file meanwhile; then the new one is read.

    Raises:
        RunError: The file is missing or damaged.
    """
    try:
        place = path.stat().st_ino
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            header = json.loads(metadata.get("header", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        if metadata.get("crc32", known := _checksum(path)) != known:
            if path.stat().st_ino != place:
                return load_tensors(path)
            raise ValueError("its checksum does not fit")
    except FileNotFoundError as error:
        raise RunError(path, "there is no such file", "train first, or check the path") from error
    except (SafetensorError, ValueError, OSError) as error:
        raise RunError(path, f"the file is damaged ({error})", "restore it from a copy, or train again") from error
    return tensors, header


def _checksum(path: Path) -> str:
    """Of all that follows the table."""
    checksum = 0
    with path.open("rb") as stream:
        stream.seek(8 + int.from_bytes(stream.read(8), "little"))
        while chunk := stream.read(1 << 22):
            checksum = zlib.crc32(chunk, checksum)
    return f"{checksum:08x}"


def save_checkpoint(run: Path, checkpoint: Checkpoint) -> None:
    """Replace the run's checkpoint. A kill at any instant leaves the old one or the new one.

    The step is in the header of the one file with the tensors, so the two cannot disagree; `last.json` repeats it
    for readers.
    """
    groups = {"model": checkpoint.model, "average": checkpoint.average, "optimizer": checkpoint.optimizer}
    groups |= checkpoint.extra
    tensors = {f"{group}/{name}": value for group, values in groups.items() for name, value in values.items()}
    header = {"step": checkpoint.step, "elapsed_s": checkpoint.elapsed_s}
    save_tensors(run / CHECKPOINT_FILE, tensors, header)
    write_json(run / CHECKPOINT_SUMMARY_FILE, header)


def load_checkpoint(run: Path) -> Checkpoint | None:
    """The run's last checkpoint, or None when it was stopped before its first.

    Raises:
        RunError: The checkpoint is damaged.
    """
    path = run / CHECKPOINT_FILE
    if not path.exists():
        return None
    tensors, header = load_tensors(path)
    groups: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
    for key, value in tensors.items():
        group, _, name = key.partition("/")
        groups.setdefault(group, {})[name] = value
    if not {"step", "elapsed_s"} <= header.keys():
        raise RunError(path, "the header lacks the step", "restore it from a copy, or train again")
    return Checkpoint(
        step=int(header["step"]),
        elapsed_s=float(header["elapsed_s"]),
        model=groups["model"],
        average=groups["average"],
        optimizer=groups["optimizer"],
        extra={name: group for name, group in groups.items() if name not in {"model", "average", "optimizer"}},
    )


def load_weights(network: nn.Module, weights: dict[str, Tensor], source: Path) -> None:
    """Put weights into a network that must have exactly these tensors.

    Raises:
        RunError: Tensors are missing, left over, or of another shape; the message names them.
    """
    own = network.state_dict()
    faults = [f"missing {name}" for name in sorted(own.keys() - weights.keys())]
    faults += [f"unexpected {name}" for name in sorted(weights.keys() - own.keys())]
    faults += [
        f"{name} is {tuple(weights[name].shape)}, not {tuple(own[name].shape)}"
        for name in sorted(own.keys() & weights.keys())
        if own[name].shape != weights[name].shape
    ]
    if faults:
        shown = ", ".join(faults[:5]) + (f", and {len(faults) - 5} more" if len(faults) > 5 else "")
        raise RunError(source, f"the weights do not fit the network: {shown}", "use the preset they were trained with")
    network.load_state_dict(weights)


def read_config(run: Path) -> dict[str, Any]:
    """The run's `config.json`: preset, recipe, dataset, versions and hardware.

    Raises:
        RunError: The folder is not a run, or the file is damaged.
    """
    path = run / CONFIG_FILE
    try:
        config = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise RunError(run, f"not a training run (no {CONFIG_FILE})", "give the folder of `graspnext train`") from error
    except (OSError, ValueError) as error:
        raise RunError(path, f"cannot be read ({error})", "restore it from a copy, or train again") from error
    if not isinstance(config, dict) or not isinstance(config.get("preset"), dict):
        raise RunError(path, "holds no network configuration", "restore it from a copy, or train again")
    return config


def load_run(run: Path) -> tuple[Network, NetworkConfig, dict[str, Any]]:
    """The network of a training run with its averaged weights, in evaluation mode on the CPU.

    A run that is not finished gives the averaged weights of its last checkpoint.

    Returns:
        The network, its configuration, and the content of `config.json` with `step` (steps trained) and `finished`.

    Raises:
        RunError: The folder is not a run, has no weights yet, is damaged, or its weights do not fit its configuration.
        ConfigError: Its preset has an unknown field or a value out of range.
    """
    record = read_config(run)
    config = NetworkConfig.from_dict(record["preset"])
    path = run / WEIGHTS_FILE
    finished = path.exists()
    if finished:
        weights, header = load_tensors(path)
        step = int(header.get("step", 0))
    else:
        checkpoint = load_checkpoint(run)
        path = run / CHECKPOINT_FILE
        if checkpoint is None:
            raise RunError(run, "no weights yet", "let it reach its first checkpoint, or go on with --resume")
        weights, step = checkpoint.average, checkpoint.step
    network = build_network(config)
    load_weights(network, weights, path)
    return network.eval(), config, {**record, "step": step, "finished": finished}
