"""The predictor: a bundle, a runtime, images in, predictions out."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from graspnext.errors import ConfigError, InputImageError
from graspnext.geometry.predictions import wrap
from graspnext.runtime.backend import open_backend
from graspnext.runtime.bundle import default_bundle, open_bundle
from graspnext.runtime.card import Card
from graspnext.runtime.images import MAX_PIXELS, read_image
from graspnext.types import Frame, Prediction, UInt8Array


class Predictor:
    """Finds parts and suction points in images. May be shared between threads; calls then wait for one another.

    Example:
        >>> predictor = Predictor()
        >>> prediction = predictor.predict("bin.png", min_score=0.5)
        >>> prediction.amodal_boxes, prediction.center_of_mass
    """

    card: Card
    """What the bundle says about its network."""

    def __init__(self, bundle: str | Path | None = None, *, runtime: str = "openvino", **options: Any) -> None:
        """Open a bundle.

        Args:
            bundle: Its folder; None is the one that ships with the package.
            runtime: "openvino" or "onnxruntime".
            **options: Of the runtime: precision="bf16" (openvino), num_threads.

        Raises:
            BundleError: The bundle is missing or damaged.
            UnknownNameError: There is no such runtime.
            MissingDependencyError: The runtime is not installed.
        """
        opened = open_bundle(default_bundle() if bundle is None else bundle)
        self.card = opened.card
        self._backend = open_backend(runtime, opened, **options)
        self._lock = threading.Lock()

    def predict(self, frame: Frame | UInt8Array | str | Path, *, min_score: float = 0.5) -> Prediction:
        """Detect on one image.

        Args:
            frame: A frame, an image (H, W, 3) uint8 RGB, or the path of a picture.
            min_score: In [0, 1]; detections below it are left out.

        Returns:
            Detections in the image's own pixels, best first.

        Raises:
            InputImageError: The image cannot be read, or the array is not one.
            ConfigError: The score is out of range.
        """
        if not 0 <= min_score <= 1:
            raise ConfigError("min_score", min_score, "in [0, 1]")
        if isinstance(frame, Frame):
            image, source = frame.image, frame.source
        elif isinstance(frame, str | Path):
            image, source = read_image(frame), str(frame)
        else:
            image, source = frame, ""
        _check_image(image, source)
        with self._lock:
            outputs = self._backend.run(image)
        height, width = image.shape[:2]
        return wrap(outputs, width=width, height=height, source=source, min_score=min_score)


def _check_image(image: UInt8Array, source: str) -> None:
    advice = "give an array (H, W, 3) of uint8, RGB"
    name = source or "image"
    if not isinstance(image, np.ndarray):
        raise InputImageError(name, f"a {type(image).__name__}", advice)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputImageError(name, f"an array {image.shape} of {image.dtype}", advice)
    if image.size == 0:
        raise InputImageError(name, f"an empty array {image.shape}", advice)
    if image.shape[0] * image.shape[1] > MAX_PIXELS:
        raise InputImageError(name, f"{image.shape[1]} x {image.shape[0]} pixels", "give at most 100 megapixels")
