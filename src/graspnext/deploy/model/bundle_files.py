"""The files of a bundle: the model, its other forms, and the card that vouches for them."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

import onnx

from graspnext.deploy.model.opset13 import to_opset13
from graspnext.deploy.model.tensorrt import SCRIPT_FILE, build_script
from graspnext.files import write_bytes, write_json
from graspnext.runtime.card import CARD_FILE, IR_FILES, MODEL_FILE, Card, FileRecord
from graspnext.runtime.openvino_backend import import_openvino, openvino_core

OPSET13_FILE = "model_opset13.onnx"


@dataclass(frozen=True)
class Extras:
    """Forms of the model beside `model.onnx`."""

    ir: bool = False
    """OpenVINO's own form, which its runtime then reads: it opens a little faster."""
    opset13: bool = False
    """ONNX of opset 13, for TensorRT 8.0 to 8.5 and other old readers."""
    tensorrt: bool = False
    """A script that builds a TensorRT engine where NVIDIA's tool is."""


def write_files(folder: Path, card: Card, model: bytes, extras: Extras) -> Card:
    """Write the model in all forms, and the card with their hashes, which is returned.

    Raises:
        ConfigError: The model uses what opset 13 cannot say.
        OutputError: A file cannot be written.
    """
    contents = {MODEL_FILE: model}
    if extras.ir:
        contents |= dict(zip(IR_FILES, to_ir(model), strict=True))
    if extras.opset13:
        contents[OPSET13_FILE] = to_opset13(onnx.load_model_from_string(model)).SerializeToString(deterministic=True)
    if extras.tensorrt:
        source = OPSET13_FILE if extras.opset13 else MODEL_FILE
        contents[SCRIPT_FILE] = build_script(
            source, input_size=card.input_size, quantised=card.precision == "int8"
        ).encode()
    records = {}
    for name, content in contents.items():
        write_bytes(folder / name, content)
        records[name] = FileRecord(sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))
    card = card.model_copy(update={"files": records})
    write_card(folder, card)
    return card


def write_card(folder: Path, card: Card) -> None:
    """Write `card.json`.

    Raises:
        OutputError: It cannot be written.
    """
    write_json(folder / CARD_FILE, card.model_dump(mode="json"))


def to_ir(model: bytes) -> tuple[bytes, bytes]:
    """OpenVINO's form of an ONNX model, its numbers as they are stored there: content of the XML and the binary file.

    OpenVINO's own compression to half precision would round constants that must not be, such as the colour statistics.
    """
    with tempfile.TemporaryDirectory() as folder:
        xml = Path(folder) / IR_FILES[0]
        read = openvino_core().read_model(model=model, weights=b"")
        import_openvino().save_model(read, xml, compress_to_fp16=False)
        return xml.read_bytes(), xml.with_suffix(".bin").read_bytes()
