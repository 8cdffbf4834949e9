"""ONNX Runtime on the CPU: the portable runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from graspnext.errors import MissingDependencyError
from graspnext.geometry.predictions import OUTPUT_NAMES
from graspnext.runtime.backend import Backend
from graspnext.types import UInt8Array

_ERRORS_ONLY = 3


class OnnxRuntimeBackend(Backend):
    """Runs the ONNX bytes as they are."""

    name = "onnxruntime"

    def __init__(self, model: bytes, *, num_threads: int = 0) -> None:
        """Compile.

        Args:
            model: Content of `model.onnx`.
            num_threads: 0 leaves it to ONNX Runtime.

        Raises:
            MissingDependencyError: onnxruntime is not installed.
            RuntimeError: ONNX Runtime cannot read the model, or it lacks an output.
        """
        try:
            import onnxruntime as ort
        except ImportError as error:
            install = "pip install 'graspnext[onnxruntime]'"
            raise MissingDependencyError("onnxruntime", "--runtime onnxruntime", install) from error
        options = ort.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        options.intra_op_num_threads = num_threads
        # Image sizes vary: arenas and patterns of earlier sizes would only be kept, never used again.
        options.enable_mem_pattern = False
        try:
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions derive from Exception alone
            raise RuntimeError(str(error)) from error
        self._input = self._session.get_inputs()[0].name
        missing = set(OUTPUT_NAMES) - {output.name for output in self._session.get_outputs()}
        if missing:
            raise RuntimeError(f"the model has no output {', '.join(sorted(missing))}")

    def run(self, image: UInt8Array) -> dict[str, npt.NDArray[Any]]:
        """See `Backend.run`."""
        arrays = self._session.run(list(OUTPUT_NAMES), {self._input: np.ascontiguousarray(image)})
        return dict(zip(OUTPUT_NAMES, arrays, strict=True))
