"""OpenVINO on the CPU: the default runtime."""

from __future__ import annotations

import importlib
import os
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from graspnext.errors import BundleError, ConfigError, MissingDependencyError
from graspnext.geometry.predictions import OUTPUT_NAMES
from graspnext.runtime.backend import Backend
from graspnext.runtime.bundle import Bundle
from graspnext.runtime.processor import computes_bf16, read_processor
from graspnext.types import UInt8Array

_PRECISIONS = {"fp32": "f32", "bf16": "bf16", "int8": "bf16"}
"""Our name -> OpenVINO's, of what is not quantised; f32 where the processor cannot do bf16."""
_TELEMETRY = "openvino_telemetry"
_MAX_PRIMITIVES = 64
"""Kernels made for shapes seen lately that are kept, in each of two caches. Image sizes that come in turns need about
four each; one size alone needs none, since layers hold on to the kernels of their last shape."""
_PRIMITIVES_VARIABLE = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
_FIRST_USE = threading.Lock()


def import_openvino() -> Any:
    """The module `openvino`, kept from reporting its use (see `without_telemetry`).

    A program that imported openvino before us has made its own choice.

    Raises:
        MissingDependencyError: It is not installed.
    """
    with without_telemetry():
        try:
            return importlib.import_module("openvino")
        except ImportError as error:
            raise MissingDependencyError("openvino", "--runtime openvino", "pip install openvino") from error


@contextmanager
def without_telemetry() -> Iterator[None]:
    """For the import of a module of OpenVINO's family.

    Importing one sends an event to its maker and leaves an identifier in the user's home, unless the package
    `openvino_telemetry` is absent; it then falls back on a stub of its own. So it is made absent for that moment.
    """
    hide = _TELEMETRY not in sys.modules
    if hide:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # the documented way to make an import fail
    try:
        yield
    finally:
        if hide:
            del sys.modules[_TELEMETRY]


def openvino_core() -> Any:
    """OpenVINO itself, one for the whole process and never given back.

    Two traps are kept clear of. On processors with AMX each core gives the thread another stack for signals, and puts
    back the one before when it goes. Of two, the first to come and to go leaves the second to put back memory that is
    no longer there, and the next signal that Python listens to, Ctrl-C for one, ends the process with a segmentation
    fault (OpenVINO 2026.4).

    And for each new size of image it makes new kernels, and keeps those of 5,000 layers in a cache of its own and of
    1,024 in a cache of oneDNN, the library below it: about 1.5 MB for each size, up to a gigabyte. The first cache is
    bounded by `compile_options`. The second reads its bound from the environment when the first kernel is made, so one
    is made here while the variable is set; where it is set already, it stays.

    Raises:
        MissingDependencyError: It is not installed.
    """
    with _FIRST_USE:
        return _core()


@cache
def _core() -> Any:
    openvino = import_openvino()
    core = openvino.Core()
    with _default_variable(_PRIMITIVES_VARIABLE, str(_MAX_PRIMITIVES)):
        operators = openvino.opset13
        rows = operators.parameter([1, 16, 8, 8], np.float32)
        weights = operators.constant(np.ones((16, 16, 3, 3), dtype=np.float32))
        product = operators.convolution(rows, weights, [1, 1], [1, 1], [1, 1], [1, 1])  # products bypass oneDNN in f32
        options = {"CACHE_DIR": "", "INFERENCE_PRECISION_HINT": "f32"}  # which every processor can
        core.compile_model(openvino.Model([product], [rows], "first"), "CPU", options)
    return core


@contextmanager
def _default_variable(name: str, value: str) -> Iterator[None]:
    """Set a variable of the environment for a while, unless it is set already."""
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)


def compile_options(precision: str, num_threads: int, num_streams: int = 1) -> dict[str, Any]:
    """What a model is compiled with.

    Raises:
        ConfigError: There is no such precision, or a number is out of range.
    """
    if precision not in _PRECISIONS:
        raise ConfigError("precision", precision, f"one of {', '.join(_PRECISIONS)}")
    if num_threads < 0:
        raise ConfigError("num_threads", num_threads, "at least 0 (as many as there are cores)")
    if num_streams < 1:
        raise ConfigError("num_streams", num_streams, "at least 1")
    options: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": _PRECISIONS[precision] if computes_bf16(read_processor()) else "f32",
        "CACHE_DIR": "",
        "CPU_RUNTIME_CACHE_CAPACITY": _MAX_PRIMITIVES,
    }
    if num_streams > 1:
        options["NUM_STREAMS"] = num_streams
    return options | ({"INFERENCE_NUM_THREADS": num_threads} if num_threads else {})


class OpenVinoBackend(Backend):
    """Reads the bytes of an ONNX file, or of OpenVINO's own form of it; nothing is cached on disk, or sent anywhere."""

    name = "openvino"

    def __init__(
        self,
        model: bytes,
        *,
        weights: bytes = b"",
        precision: str = "fp32",
        num_threads: int = 0,
        num_streams: int = 1,
    ) -> None:
        """Compile.

        Args:
            model: Content of `model.onnx`, or of `model.xml`.
            weights: Content of `model.bin`, with `model.xml`.
            precision: Of the arithmetic. bf16 is faster on CPUs with matrix units and moves boxes by a pixel or so;
                where the CPU cannot, fp32 runs. int8 is for quantised models: what is quantised runs in int8 in any
                precision, what is not in bf16, or fp32 where the CPU cannot.
            num_threads: Of all calls together; 0 leaves it to OpenVINO.
            num_streams: Calls that may run at a time, each on its share of the threads and in memory of its own: more
                images a second where several threads call, each one later.

        Raises:
            MissingDependencyError: openvino is not installed.
            ConfigError: There is no such precision, the model is not quantised, or a number is out of range.
            RuntimeError: OpenVINO cannot read the model, or it lacks an output.
        """
        options = compile_options(precision, num_threads, num_streams)
        core = openvino_core()
        network = core.read_model(model=model, weights=weights)
        quantised = any(operator.get_type_name() == "FakeQuantize" for operator in network.get_ops())
        if precision == "int8" and not quantised:
            raise ConfigError("precision", precision, "fp32 or bf16 for this model, which is not quantised")
        compiled = core.compile_model(network, "CPU", options)
        runs_in = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        self.precision = "int8" if quantised else "bf16" if runs_in == "bf16" else "fp32"
        # Asked for by name, since a tensor may go by several names and say another one first.
        self._outputs = {name: compiled.output(name) for name in OUTPUT_NAMES}
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(num_streams):  # more would only wait inside OpenVINO rather than here
            self._requests.put(compiled.create_infer_request())

    @classmethod
    def of_bundle(cls, bundle: Bundle, **options: Any) -> OpenVinoBackend:
        """See `Backend.of_bundle`; in the form and the precision that the bundle was made for."""
        model, weights = bundle.ir or (bundle.model, b"")
        try:
            return cls(model, weights=weights, **{"precision": bundle.card.precision, **options})
        except ConfigError as error:
            if "precision" in options or bundle.card.precision != "int8":
                raise
            raise BundleError(bundle.path, f"its card says int8, but {error}", "export the run again") from error

    def run(self, image: UInt8Array) -> dict[str, npt.NDArray[Any]]:
        """See `Backend.run`."""
        request = self._requests.get()
        try:
            results = request.infer([np.ascontiguousarray(image)], share_inputs=True, share_outputs=True)
            return {name: np.array(results[output]) for name, output in self._outputs.items()}
        finally:
            self._requests.put(request)
