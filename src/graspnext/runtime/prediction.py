"""What the predictor gives: a prediction that knows its depth and writes itself in the forms others read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from graspnext import types
from graspnext.errors import InputImageError, MissingDependencyError
from graspnext.geometry import boxes, masks
from graspnext.geometry.cameras import unproject
from graspnext.geometry.predictions import suction_peaks
from graspnext.runtime.depth import depth_at
from graspnext.runtime.images import read_image
from graspnext.runtime.report import MASK_THRESHOLD, frame_record
from graspnext.types import BoolArray, Camera, Float32Array, Float64Array, Frame, UInt8Array

CATEGORY_ID, CATEGORY = 1, "part"
"""The network tells parts from what is none, not kinds of parts."""


@dataclass(frozen=True, eq=False)
class Prediction(types.Prediction):
    """What was found in one image: the arrays of `types.Prediction`, and depth where the frame carried it.

    Depths are those of the surface that is seen at a point, whichever part it belongs to: the median of what is
    measured within 2 px. A centre of mass lies inside its part, so behind the depth that is read there.
    """

    center_of_mass_depth_m: Float32Array | None = None
    """(N,) z m of the surface seen at each centre of mass; NaN = not measured. None: the frame had no depth."""
    suction_depth_m: Float32Array | None = None
    """(K,) z m at each of `suction_peaks`; NaN = not measured. None: the frame had no depth."""
    camera: Camera | None = None
    """Of the frame, where known: turns depths into points."""

    @classmethod
    def of(cls, found: types.Prediction, frame: Frame) -> Prediction:
        """What was found in a frame, with the frame's depth at its points.

        Args:
            found: In the frame's pixels.
            frame: Its depth, where it has some, must cover the image pixel for pixel.
        """
        if frame.depth_m is None:
            return cls(**vars(found), camera=frame.camera)
        return cls(
            **vars(found),
            center_of_mass_depth_m=_depths(frame.depth_m, found.center_of_mass),
            suction_depth_m=_depths(frame.depth_m, suction_peaks(found)),
            camera=frame.camera,
        )

    @cached_property
    def suction_peaks(self) -> Float32Array:
        """(K, 3) u px, v px, score: the ten best separate suction points at most, scores falling."""
        return suction_peaks(self)

    @property
    def center_of_mass_points_m(self) -> Float64Array | None:
        """(N, 3) m, camera frame: the surface points seen at the centres of mass; None without depth and camera."""
        return _points(self.camera, self.center_of_mass, self.center_of_mass_depth_m)

    @property
    def suction_points_m(self) -> Float64Array | None:
        """(K, 3) m, camera frame: the surface points at `suction_peaks`; None without depth and camera."""
        return _points(self.camera, self.suction_peaks, self.suction_depth_m)

    def masks(self, kind: str = "visible") -> BoolArray:
        """(N, H, W): the masks laid over the whole image, N times its size in memory.

        Args:
            kind: "visible" or "amodal".
        """
        cells = {"visible": self.visible_masks, "amodal": self.amodal_masks}[kind]
        laid = np.zeros((len(self.scores), self.height, self.width), dtype=np.bool_)
        for mask, cell, box in zip(laid, cells, self.amodal_boxes, strict=True):
            crop, top, left = masks.paste_crop(cell, box, self.height, self.width)
            mask[top : top + crop.shape[0], left : left + crop.shape[1]] = crop >= MASK_THRESHOLD
        return laid

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as one entry of `frames` in predictions.json (see `report.frame_record`)."""
        return frame_record(self)

    def to_json(self) -> str:
        """`to_dict` as one line of JSON."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def to_coco(self, image_id: int = 0) -> list[dict[str, Any]]:
        """One COCO result for each instance, with the further keys of amodal COCO sets.

        Args:
            image_id: Of the image in the set that the results are for.

        Returns:
            image_id, category_id (1), score, bbox (xywh px) and segmentation (run lengths) of the amodal mask, then
            visible_mask, occluded_rate (1 - visible / amodal pixels), occluded_probability, center_of_mass (u, v px).
            `pycocotools.coco.COCO.loadRes` reads the list.
        """
        return [
            {"image_id": image_id, "category_id": CATEGORY_ID, **self._coco(index)} for index in range(len(self.scores))
        ]

    def _coco(self, index: int) -> dict[str, Any]:
        box = self.amodal_boxes[index]
        visible, amodal = (
            masks.paste(cells[index], box, self.height, self.width) >= MASK_THRESHOLD
            for cells in (self.visible_masks, self.amodal_masks)
        )
        return {
            "score": float(self.scores[index]),
            "bbox": boxes.to_xywh(box).astype(float).tolist(),
            "segmentation": masks.encode(amodal),
            "visible_mask": masks.encode(visible),
            "occluded_rate": 1 - int((visible & amodal).sum()) / max(1, int(amodal.sum())),
            "occluded_probability": float(self.occluded_probability[index]),
            "center_of_mass": self.center_of_mass[index].astype(float).tolist(),
        }

    def to_supervision(self) -> Any:
        """The same as `supervision.Detections`: amodal boxes, visible masks, class 0.

        Its `data` holds class_name, occluded_probability (N,), center_of_mass (N, 2) and amodal_mask (N, H, W).

        Raises:
            MissingDependencyError: supervision is not installed.
        """
        try:
            import supervision
        except ImportError as error:
            raise MissingDependencyError("supervision", "to_supervision()", "pip install supervision") from error
        return supervision.Detections(
            xyxy=self.amodal_boxes.reshape(-1, 4),
            mask=self.masks("visible"),
            confidence=self.scores,
            class_id=np.zeros(len(self.scores), dtype=np.int64),
            data={
                "class_name": np.full(len(self.scores), CATEGORY),
                "occluded_probability": self.occluded_probability,
                "center_of_mass": self.center_of_mass,
                "amodal_mask": self.masks("amodal"),
            },
        )

    def overlay(self, image: UInt8Array | None = None) -> UInt8Array:
        """Outlines, centres of mass and suction scores drawn over the image, side by side (see `viz.overlay`).

        Args:
            image: (H, W, 3) uint8, RGB, that was predicted on; None: it is read again from `source`.

        Returns:
            (height, width, 3) uint8.

        Raises:
            InputImageError: `source` is no picture that can be read again, or the image has another size.
        """
        from graspnext.viz.overlay import overlay  # not needed where only numbers are wanted

        if image is None:
            if not self.source:
                raise InputImageError("image", "not given, and not read from a file", "hand it to overlay(image)")
            image = read_image(self.source)
        if image.shape != (self.height, self.width, 3):
            size = f"an array {image.shape}, but predicted on {self.width} x {self.height} px"
            raise InputImageError(self.source or "image", size, "give the image that was predicted on")
        return overlay(image, self, min_score=0.0)


def _depths(depth_m: Float32Array, points: Float32Array) -> Float32Array:
    """(P,) z m at points (P, 2 or more) u, v px; NaN where nothing is measured, or outside the image."""
    found = [depth_at(depth_m, float(u), float(v)) for u, v in points[:, :2]]
    return np.array([np.nan if depth is None else depth for depth in found], dtype=np.float32)


def _points(camera: Camera | None, places: Float32Array, depth_m: Float32Array | None) -> Float64Array | None:
    if camera is None or depth_m is None:
        return None
    return unproject(camera, np.column_stack([places[:, :2], depth_m]).astype(np.float64))
