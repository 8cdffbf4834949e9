"""ONNX Runtime on the CPU: the portable runtime."""

from __future__ import annotations

import importlib
import os
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from graspnext.errors import MissingDependencyError
from graspnext.geometry.predictions import OUTPUT_NAMES
from graspnext.runtime.backend import Backend
from graspnext.types import UInt8Array

_ERRORS_ONLY = 3
_QUANTISED = b"QuantizeLinear"
"""The operator that turns values into integers, as it is written in the bytes of a model that computes in them."""


def import_onnxruntime() -> Any:
    """The module `onnxruntime`, kept from reporting its use.

    Its official builds send events to their maker and leave an identifier in the user's home, unless
    ORT_DISABLE_TELEMETRY is set before they start; the call that turns events off comes too late for the first one.
    Whoever sets the variable to something else has made their own choice.

    Raises:
        MissingDependencyError: It is not installed.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        module = importlib.import_module("onnxruntime")
    except ImportError as error:
        install = "pip install 'graspnext[onnxruntime]'"
        raise MissingDependencyError("onnxruntime", "--runtime onnxruntime", install) from error
    if os.environ["ORT_DISABLE_TELEMETRY"] == "1":
        module.disable_telemetry_events()
    return module


def session_options(num_threads: int) -> Any:
    """What a model is compiled with."""
    options = import_onnxruntime().SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = num_threads
    # Image sizes vary: arenas and patterns of earlier sizes would only be kept, never used again.
    options.enable_mem_pattern = False
    return options


class OnnxRuntimeBackend(Backend):
    """Runs the ONNX bytes as they are: in fp32, and in int8 what is quantised."""

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
        ort = import_onnxruntime()
        options = session_options(num_threads)
        try:
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions derive from Exception alone
            raise RuntimeError(str(error)) from error
        self.precision = "int8" if _QUANTISED in model else "fp32"
        self._input = self._session.get_inputs()[0].name
        missing = set(OUTPUT_NAMES) - {output.name for output in self._session.get_outputs()}
        if missing:
            raise RuntimeError(f"the model has no output {', '.join(sorted(missing))}")
        self._lock = threading.Lock()

    def run(self, image: UInt8Array) -> dict[str, npt.NDArray[Any]]:
        """See `Backend.run`."""
        with self._lock:
            arrays = self._session.run(list(OUTPUT_NAMES), {self._input: np.ascontiguousarray(image)})
        return dict(zip(OUTPUT_NAMES, arrays, strict=True))
