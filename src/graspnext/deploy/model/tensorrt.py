"""The shell script that builds a TensorRT engine where NVIDIA's own tool is: nothing of TensorRT is needed here."""

from __future__ import annotations

SCRIPT_FILE = "build_tensorrt.sh"
SMALLEST_SIDE = 32
"""Of the pictures that the engine accepts, px."""


def build_script(model_file: str, *, input_size: int, quantised: bool = False, largest_side: int = 2048) -> str:
    """The script, to lie beside the model.

    Args:
        model_file: Name of the ONNX file.
        input_size: Side px of the square inside the model: the size of picture that the engine is tuned for.
        quantised: Whether the model holds 8-bit layers, which trtexec has to be told.
        largest_side: Of the pictures that the engine accepts, px.
    """
    largest = max(largest_side, input_size)

    def shape(side: int) -> str:
        return f"image:{side}x{side}x3"

    return f"""#!/bin/sh
# Build a TensorRT engine from {model_file} with NVIDIA's trtexec. Not tested by the project that wrote it: compare the
# engine's outputs with `graspnext predict` on a few pictures of yours before you rely on it.
# Needs TensorRT 8.5 or newer: older ones know neither RoIAlign nor pictures of 8 bits.
# Input: image, (height, width, 3) uint8 RGB, sides from {SMALLEST_SIDE} to {largest} px.
# Usage: sh {SCRIPT_FILE} [fp16|fp32] [workspace MiB]
set -eu
cd "$(dirname "$0")"
precision=${{1:-fp16}}
workspace=${{2:-2048}}
case "$precision" in
fp16) flags="--fp16" ;;
fp32) flags="" ;;
*) echo "precision is '$precision'; it must be fp16 or fp32" >&2; exit 2 ;;
esac
trtexec \\
    --onnx={model_file} \\
    --saveEngine="${{precision}}.engine" \\
    --minShapes={shape(SMALLEST_SIDE)} \\
    --optShapes={shape(input_size)} \\
    --maxShapes={shape(largest)} \\
    --memPoolSize=workspace:"$workspace" \\
    {"--int8 " if quantised else ""}$flags
"""
