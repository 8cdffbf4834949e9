"""What a runtime must do, and which there are."""

from __future__ import annotations

import importlib
import inspect
from abc import ABC, abstractmethod
from typing import Any

import numpy.typing as npt

from graspnext.errors import BundleError, ConfigError, GraspNextError, UnknownNameError
from graspnext.runtime.bundle import Bundle
from graspnext.types import UInt8Array

BACKENDS = {
    "openvino": "graspnext.runtime.openvino_backend:OpenVinoBackend",
    "onnxruntime": "graspnext.runtime.onnxruntime_backend:OnnxRuntimeBackend",
}
"""Runtime -> module and class; each takes the content of a model, and options."""


class Backend(ABC):
    """A compiled model. `run` may be called from several threads at once.

    Calls that come together wait for one another: one alone already uses all cores, and several at a time would each
    need the memory of the whole network (OpenVINO can be told to, by `num_streams`).
    """

    name: str
    precision: str
    """The arithmetic that really runs: "fp32", "bf16", or "int8" for a quantised model."""

    @classmethod
    def of_bundle(cls, bundle: Bundle, **options: Any) -> Backend:
        """Compile a bundle's model with options of the constructor.

        Raises:
            TypeError: There is no such option.
        """
        return cls(bundle.model, **options)  # type: ignore[call-arg]

    @abstractmethod
    def run(self, image: UInt8Array) -> dict[str, npt.NDArray[Any]]:
        """The model's outputs by name (`geometry.predictions.OUTPUT_NAMES`) on one image (H, W, 3) uint8, RGB."""


def find_backend(name: str) -> type[Backend]:
    """The class of a runtime.

    Raises:
        UnknownNameError: There is no such runtime.
    """
    if name not in BACKENDS:
        raise UnknownNameError("runtime", name, BACKENDS)
    module, _, attribute = BACKENDS[name].partition(":")
    backend: type[Backend] = getattr(importlib.import_module(module), attribute)
    return backend


def open_backend(name: str, bundle: Bundle, **options: Any) -> Backend:
    """Compile a bundle's model for a runtime.

    Args:
        name: One of `BACKENDS`.
        bundle: Checked by `open_bundle`.
        **options: Of that backend's constructor.

    Raises:
        UnknownNameError: There is no such runtime.
        MissingDependencyError: Its library is not installed.
        BundleError: It cannot read the model.
        ConfigError: It has no such option, or the option cannot have that value.
    """
    backend_class = find_backend(name)
    try:
        inspect.signature(backend_class).bind(bundle.model, **options)
    except TypeError as error:
        raise ConfigError(f"options of {name}", ", ".join(options), f"options it has ({error})") from error
    try:
        return backend_class.of_bundle(bundle, **options)
    except GraspNextError:
        raise
    except Exception as error:  # native modules raise classes of their own
        said = " ".join(str(error).split())[:200]
        raise BundleError(bundle.path, f"{name} cannot load the model ({said})", "export the run again") from error
