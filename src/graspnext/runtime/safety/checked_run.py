"""One run of a model whose file nobody vouches for: arrays that a prediction can be made of, or a named error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from graspnext.errors import BundleError
from graspnext.runtime.backend import Backend
from graspnext.types import UInt8Array

_ADVICE = "try the other runtime, or export the run again"


def checked_run(backend: Backend, path: Path, image: UInt8Array) -> dict[str, npt.NDArray[Any]]:
    """The model's outputs on one image.

    Args:
        backend: A compiled model.
        path: Of its bundle.
        image: (H, W, 3) uint8, RGB.

    Raises:
        BundleError: The runtime failed, or an output holds values that are no numbers.
    """
    try:
        outputs = backend.run(image)
    except Exception as error:  # native runtimes raise classes of their own
        said = " ".join(str(error).split())[:200] or type(error).__name__
        size = f"{image.shape[1]} x {image.shape[0]} px"
        raise BundleError(path, f"{backend.name} fails on an image of {size} ({said})", _ADVICE) from error
    for name, values in outputs.items():
        if not np.isfinite(values).all():
            raise BundleError(path, f"output {name} holds values that are no numbers", _ADVICE)
    return outputs
