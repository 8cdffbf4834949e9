"""`card.json`: what a bundle says about its network. The single truth for the writer and the reader."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1
CARD_FILE = "card.json"
MODEL_FILE = "model.onnx"

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
    training: dict[str, Any] = {}
    """What the run recorded: data, recipe, steps, time, hardware."""
    metrics: dict[str, Any] = {}
    """Split -> metrics as `graspnext evaluate` writes them."""
    verified: dict[str, FiniteFloat] = {}
    """Largest differences between the runtimes and the trained network, measured when the bundle was written."""
    cost: Cost
    license: str = "Apache-2.0"
    files: dict[PlainName, FileRecord]
