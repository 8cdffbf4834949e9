"""Any ONNX model in a runtime, compiled as the backends compile whole bundles: to time it, or to look into it."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from graspnext.errors import UnknownNameError
from graspnext.runtime.onnxruntime_backend import import_onnxruntime, session_options
from graspnext.runtime.openvino_backend import compile_options, openvino_core

Arrays = Mapping[str, npt.NDArray[Any]]


class CompiledModel:
    """A model with the inputs and outputs that its own file names."""

    def __init__(self, model: bytes, *, runtime: str, precision: str, threads: int, profile: bool = False) -> None:
        """Compile.

        Args:
            model: Content of an ONNX file.
            runtime: openvino or onnxruntime.
            precision: Of the arithmetic, as for the backends.
            threads: 0 leaves their number to the runtime.
            profile: Note how long each layer takes, which costs a little time itself.

        Raises:
            UnknownNameError: There is no such runtime.
            MissingDependencyError: It is not installed.
        """
        graph = onnx.load_model_from_string(model).graph
        fixed = {tensor.name for tensor in graph.initializer}
        self.inputs = tuple(value.name for value in graph.input if value.name not in fixed)
        self.outputs = tuple(value.name for value in graph.output)
        if runtime == "openvino":
            self._engine: _OpenVino | _OnnxRuntime = _OpenVino(model, self.outputs, precision, threads, profile)
        elif runtime == "onnxruntime":
            self._engine = _OnnxRuntime(model, self.outputs, threads, profile)
        else:
            raise UnknownNameError("runtime", runtime, ("openvino", "onnxruntime"))

    def run(self, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        """Outputs by name; the arrays are the caller's own."""
        return {name: np.array(value) for name, value in self._engine.run(inputs).items()}

    def time(self, inputs: Arrays) -> float:
        """Seconds that one call takes, until its outputs are there but without copying them."""
        feeds = self._engine.feeds(inputs)
        begin = time.perf_counter()
        self._engine.call(feeds)
        return time.perf_counter() - begin

    def openvino_layers(self) -> tuple[Any, list[Any]]:
        """What OpenVINO made of the model, with the shapes of the last call, and the times of that call by layer."""
        assert isinstance(self._engine, _OpenVino)
        return self._engine.compiled.get_runtime_model(), list(self._engine.request.get_profiling_info())

    def onnxruntime_events(self) -> list[dict[str, Any]]:
        """All events that ONNX Runtime noted since it was opened; it notes no more then."""
        assert isinstance(self._engine, _OnnxRuntime)
        return self._engine.end_profile()


class _OpenVino:
    def __init__(self, model: bytes, outputs: tuple[str, ...], precision: str, threads: int, profile: bool) -> None:
        options = compile_options(precision, threads) | ({"PERF_COUNT": True} if profile else {})
        core = openvino_core()
        self.compiled = core.compile_model(core.read_model(model=model, weights=b""), "CPU", options)
        self.request = self.compiled.create_infer_request()
        self._ports = {name: self.compiled.output(name) for name in outputs}

    def feeds(self, inputs: Arrays) -> dict[Any, npt.NDArray[Any]]:
        return {self.compiled.input(name): np.ascontiguousarray(value) for name, value in inputs.items()}

    def call(self, feeds: Any) -> Any:
        return self.request.infer(feeds, share_inputs=True, share_outputs=True)

    def run(self, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        found = self.call(self.feeds(inputs))
        return {name: found[port] for name, port in self._ports.items()}


class _OnnxRuntime:
    def __init__(self, model: bytes, outputs: tuple[str, ...], threads: int, profile: bool) -> None:
        options = session_options(threads)
        self._folder = tempfile.TemporaryDirectory() if profile else None
        if self._folder is not None:
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(self._folder.name) / "profile")
        self._session = import_onnxruntime().InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._outputs = list(outputs)

    def feeds(self, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        return {name: np.ascontiguousarray(value) for name, value in inputs.items()}

    def call(self, feeds: Any) -> Any:
        return self._session.run(self._outputs, feeds)

    def run(self, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        return dict(zip(self._outputs, self.call(self.feeds(inputs)), strict=True))

    def end_profile(self) -> list[dict[str, Any]]:
        assert self._folder is not None
        events: list[dict[str, Any]] = json.loads(Path(self._session.end_profiling()).read_text())
        self._folder.cleanup()
        return events
