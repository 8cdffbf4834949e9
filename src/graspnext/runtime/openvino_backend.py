"""OpenVINO on the CPU: the default runtime."""

from __future__ import annotations

import importlib
import sys
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from graspnext.errors import ConfigError, MissingDependencyError
from graspnext.geometry.predictions import OUTPUT_NAMES
from graspnext.runtime.backend import Backend
from graspnext.types import UInt8Array

_PRECISIONS = {"fp32": "f32", "bf16": "bf16"}
"""Our name -> OpenVINO's."""
_TELEMETRY = "openvino_telemetry"


def import_openvino() -> Any:
    """The module `openvino`, kept from reporting its use.

    Importing openvino sends an event to its maker and leaves an identifier in the user's home, unless the package
    `openvino_telemetry` is absent; it then falls back on a stub of its own. So it is made absent for that moment.
    A program that imported openvino before us has made its own choice.

    Raises:
        MissingDependencyError: It is not installed.
    """
    hide = _TELEMETRY not in sys.modules
    if hide:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # the documented way to make an import fail
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise MissingDependencyError("openvino", "--runtime openvino", "pip install openvino") from error
    finally:
        if hide:
            del sys.modules[_TELEMETRY]


@cache
def openvino_core() -> Any:
    """OpenVINO itself, one for the whole process and never given back.

    On processors with AMX each core gives the thread another stack for signals, and puts back the one before when it
    goes. Of two, the first to come and to go leaves the second to put back memory that is no longer there, and the next
    signal that Python listens to, Ctrl-C for one, ends the process with a segmentation fault (OpenVINO 2026.4).

    Raises:
        MissingDependencyError: It is not installed.
    """
    return import_openvino().Core()


def compile_options(precision: str, num_threads: int) -> dict[str, Any]:
    """What a model is compiled with.

    Raises:
        ConfigError: There is no such precision.
    """
    if precision not in _PRECISIONS:
        raise ConfigError("precision", precision, f"one of {', '.join(_PRECISIONS)}")
    options: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": _PRECISIONS[precision],
        "CACHE_DIR": "",
    }
    return options | ({"INFERENCE_NUM_THREADS": num_threads} if num_threads else {})


class OpenVinoBackend(Backend):
    """Reads the ONNX bytes itself: nothing is converted beforehand, cached on disk, or sent anywhere."""

    name = "openvino"

    def __init__(self, model: bytes, *, precision: str = "fp32", num_threads: int = 0) -> None:
        """Compile.

        Args:
            model: Content of `model.onnx`.
            precision: Of the arithmetic; bf16 is faster on CPUs with matrix units and moves boxes by a pixel or so.
            num_threads: 0 leaves it to OpenVINO.

        Raises:
            MissingDependencyError: openvino is not installed.
            ConfigError: There is no such precision.
            RuntimeError: OpenVINO cannot read the model, or it lacks an output.
        """
        options = compile_options(precision, num_threads)
        core = openvino_core()
        self._compiled = core.compile_model(core.read_model(model=model, weights=b""), "CPU", options)
        self._request = self._compiled.create_infer_request()
        # Asked for by name, since a tensor may go by several names and say another one first.
        self._outputs = {name: self._compiled.output(name) for name in OUTPUT_NAMES}

    def run(self, image: UInt8Array) -> dict[str, npt.NDArray[Any]]:
        """See `Backend.run`."""
        results = self._request.infer([np.ascontiguousarray(image)], share_inputs=True)
        return {name: np.array(results[output]) for name, output in self._outputs.items()}
