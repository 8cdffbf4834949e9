"""`card.json`: what a bundle says about its network. The single truth for the writer and the reader."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1
CARD_FILE = "card.json"
MODEL_FILE = "model.onnx"
IR_FILES = ("model.xml", "model.bin")
"""OpenVINO's own form of the model: both or none."""
OTHER_FILES = ("model_opset13.onnx", "build_tensorrt.sh")
"""For programs that are not ours; no runtime here reads them."""
BUNDLE_FILES = (MODEL_FILE, *IR_FILES, *OTHER_FILES)
"""All that a card may list."""
PRECISIONS = ("fp32", "bf16", "int8")
"""Of the arithmetic; int8 means that the model itself is quantised."""

PlainName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
"""A file name without folders."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FiniteFloat = Annotated[float, Field(allow_inf_nan=False)]


class _Record(BaseModel):
    """Strict: unknown keys are faults."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FileRecord(_Record):
    """One file of the bundle."""

    sha256: Sha256
    size_bytes: int = Field(gt=0)


class OutputRecord(_Record):
    """One output of the model."""

    shape: list[int]
    dtype: Literal["float32", "int64"]


class Cost(_Record):
    """What one image costs."""

    params_m: FiniteFloat = Field(gt=0)
    """Millions of parameters."""
    gmacs: FiniteFloat | None = Field(default=None, gt=0)
    """Billions of multiply-accumulates of the network at the bundle's input size."""


class Card(_Record):
    """`card.json`."""

    schema_version: Literal[1] = 1
    name: PlainName
    created_by: str
    """Program and version that wrote the bundle."""
    architecture: dict[str, Any]
    """The full configuration of the network."""
    input_size: int = Field(gt=0, le=8192, multiple_of=32)
    """Side px of the square that images are resized into, inside the model."""
    max_detections: int = Field(gt=0, le=10_000)
    mask_size: int = Field(gt=0, le=1024)
    """Side of the mask of each detection."""
    outputs: dict[str, OutputRecord]
    weights: Literal["fp16", "fp32"]
    """How the weights are stored; the arithmetic is the runtime's choice."""
    precision: Literal["fp32", "bf16", "int8"] = "fp32"
    """Arithmetic that the bundle was made and verified for, and that runtimes use unless told otherwise."""
    opset: int = Field(default=18, gt=0)
    """Of ONNX that `model.onnx` is written in."""
    quantisation: dict[str, Any] = {}
    """int8: what ranges were taken from, layers that stay in floating point, how often layers were chosen."""
    training: dict[str, Any] = {}
    """What the run recorded: data, recipe, steps, time, hardware."""
    metrics: dict[str, Any] = {}
    """Split -> metrics as `graspnext evaluate` writes them."""
    verification: dict[str, Any] = {}
    """What `graspnext verify` measured when the bundle was written, of every runtime and precision, and what of it is
    beyond the limits."""
    cost: Cost
    license: str = "Apache-2.0"
    files: dict[PlainName, FileRecord]
