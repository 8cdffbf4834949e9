"""The predictor: a bundle, a runtime, images in, predictions out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

import numpy as np

from graspnext.errors import ConfigError, InputImageError
from graspnext.geometry.predictions import wrap
from graspnext.runtime.backend import open_backend
from graspnext.runtime.bundle import default_bundle, is_shipped, open_bundle
from graspnext.runtime.card import Card
from graspnext.runtime.depth import checked_depth
from graspnext.runtime.images import MAX_PIXELS, read_image
from graspnext.runtime.prediction import Prediction
from graspnext.runtime.safety.checked_run import checked_run
from graspnext.runtime.safety.quarantine import try_bundle
from graspnext.types import Frame, UInt8Array

Source = Frame | UInt8Array | str | Path
"""One image: a frame, an array (H, W, 3) uint8 RGB, or the path of a picture."""


class Predictor:
    """Finds parts and suction points in images. May be shared between threads (see `runtime.backend.Backend`).

    Example:
        >>> predictor = Predictor()
        >>> prediction = predictor.predict("bin.png", min_score=0.5)
        >>> prediction.amodal_boxes, prediction.center_of_mass, prediction.suction_peaks
        >>> prediction.to_json(), prediction.to_coco(), prediction.overlay()
    """

    card: Card
    """What the bundle says about its network."""
    precision: str
    """The arithmetic that really runs: "fp32", "bf16" or "int8"."""

    def __init__(
        self, bundle: str | Path | None = None, *, runtime: str = "openvino", trusted: bool = False, **options: Any
    ) -> None:
        """Open a bundle.

        Args:
            bundle: Its folder; None is the one that ships with the package.
            runtime: "openvino" or "onnxruntime".
            trusted: The bundle is your own: skip its trial in a process with limits, which takes a second or two (see
                `runtime.safety.quarantine`). The one that ships with the package is never tried.
            **options: Of the runtime: num_threads; of openvino alone precision ("fp32", "bf16", "int8"; the bundle's
                own when left out) and num_streams.

        Raises:
            BundleError: The bundle is missing or damaged, or fails on trial.
            UnknownNameError: There is no such runtime.
            ConfigError: It has no such option, or the value is out of range or nothing that the bundle has.
            MissingDependencyError: The runtime is not installed.
        """
        opened = open_bundle(default_bundle() if bundle is None else bundle)
        if not trusted and not is_shipped(opened.path):
            try_bundle(opened, runtime, options)
        self.card = opened.card
        self._path = opened.path
        self._backend = open_backend(runtime, opened, **options)
        self.precision = self._backend.precision

    @overload
    def predict(self, source: Source, *, min_score: float = 0.5) -> Prediction: ...

    @overload
    def predict(self, source: list[Any] | tuple[Any, ...], *, min_score: float = 0.5) -> list[Prediction]: ...

    def predict(
        self, source: Source | list[Any] | tuple[Any, ...], *, min_score: float = 0.5
    ) -> Prediction | list[Prediction]:
        """Detect on one image, or on each of a list.

        Args:
            source: A frame, an image (H, W, 3) uint8 RGB, the path of a picture; or a list or tuple of these, of any
                sizes. Where a frame has depth, the prediction tells it at its points.
            min_score: In [0, 1]; detections below it are left out.

        Returns:
            Detections in the image's own pixels, best first; for a list, one prediction for each of its images.

        Raises:
            InputImageError: The image cannot be read, the array is not one, or the depth does not cover it.
            BundleError: The model fails on this image.
            ConfigError: The score is out of range.
        """
        _check_score(min_score)
        if isinstance(source, list | tuple):
            return [self._predict(one, min_score) for one in source]
        return self._predict(source, min_score)

    def stream(self, frames: Iterable[Source], *, min_score: float = 0.5) -> Iterator[Prediction]:
        """Detect on one image after the other, each taken from `frames` when the prediction before it is done with.

        Args:
            frames: Frames, images or paths, without end if need be.
            min_score: As in `predict`.

        Raises:
            ConfigError: The score is out of range. What `predict` raises comes with the image concerned.
        """
        _check_score(min_score)
        return (self._predict(frame, min_score) for frame in frames)

    def _predict(self, source: Source, min_score: float) -> Prediction:
        frame = _frame(source)
        outputs = checked_run(self._backend, self._path, frame.image)
        height, width = frame.image.shape[:2]
        found = wrap(outputs, width=width, height=height, source=frame.source, min_score=min_score)
        return Prediction.of(found, frame)


def _check_score(min_score: float) -> None:
    if not 0 <= min_score <= 1:
        raise ConfigError("min_score", min_score, "in [0, 1]")


def _frame(source: Source) -> Frame:
    """The frame that a source means.

    Raises:
        InputImageError: As `Predictor.predict`.
    """
    if isinstance(source, str | Path):
        return Frame(read_image(source), source=str(source))
    frame = source if isinstance(source, Frame) else Frame(source)
    _check_image(frame.image, frame.source)
    if frame.depth_m is None:
        return frame
    depth_m = checked_depth(frame.source or "image", frame.depth_m)
    if depth_m.shape != frame.image.shape[:2]:
        problem = f"depth {depth_m.shape} for an image {frame.image.shape[:2]}"
        raise InputImageError(frame.source or "image", problem, "align depth to the image, pixel for pixel")
    return replace(frame, depth_m=depth_m)


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
