"""The few records that cross the borders between rooms. Plain data: no file access, no torch at run time.

Conventions (docs/conventions.md): metres, kilograms, radians; camera frame as in OpenCV (x right, y down,
z forward); world z up; `T_a_b` maps points given in frame b to frame a; boxes are xyxy in pixels, where a
pixel (column u, row v) covers [u, u + 1) x [v, v + 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

BoolArray = npt.NDArray[np.bool_]
UInt8Array = npt.NDArray[np.uint8]
Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]
Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera without distortion. Pixel centres lie at half-integers: u = fx * x / z + cx."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    T_world_camera: Float64Array = field(default_factory=lambda: np.eye(4))
    """(4, 4) rigid transform: points in the camera frame to the world frame, metres."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One image, with depth and camera where they are known."""

    image: UInt8Array
    """(H, W, 3) uint8, RGB."""
    depth_m: Float32Array | None = None
    """(H, W) float32, z in metres, 0 = missing."""
    camera: Camera | None = None
    source: str = ""
    """Where it came from: a path, or a name for messages."""


@dataclass(frozen=True, eq=False)
class Instance:
    """The labels of one part in one view. Masks span the whole view, boxes are tight around their masks."""

    id: int
    """1, 2, ...: the value of its pixels in `Labels.instance_ids`; 0 is background."""
    part: str
    """Name of the part: unique in its scene; of imported parts and those of other sets the same in all scenes."""
    family: str
    amodal_box: Float32Array
    """(4,) xyxy px, clipped to the image."""
    visible_box: Float32Array
    """(4,) xyxy px; zeros when nothing is visible."""
    amodal_mask: BoolArray
    """(H, W): where the part would be seen if it stood alone."""
    visible_mask: BoolArray
    """(H, W): where it is seen; a subset of the amodal mask."""
    occluded_rate: float
    """1 - |visible| / |amodal|, both inside the image, in [0, 1]."""
    occluded: bool
    """occluded_rate >= 0.05."""
    center_of_mass: Float32Array
    """(3,): u px, v px, z m: projection of the true 3-D centre of mass; may lie outside the image. NaN = unknown."""
    layer: int
    """0: no part covers it; 1: covered by layer-0 parts only; ... (container walls do not count)."""
    T_camera_part: Float64Array
    """(4, 4) part frame to camera frame, metres; NaN = unknown."""
    ignore: bool = False
    """Too few visible pixels to be asked for: neither a target nor a mistake."""


@dataclass(frozen=True, eq=False)
class Labels:
    """All labels of one view."""

    instances: tuple[Instance, ...]
    instance_ids: Int32Array
    """(H, W): 0 background, otherwise `Instance.id` of the part seen."""
    depth_m: Float32Array
    """(H, W): z in metres, 0 = missing."""
    suction: Float32Array
    """(H, W) in [0, 1]: suction-grasp score of the surface point seen, for the dataset's own cup; 0 on background."""
    more_suction: Mapping[str, Float32Array] = field(default_factory=dict)
    """The same for each further cup of the dataset, by its name."""
    missing: frozenset[str] = frozenset()
    """Of "camera", "camera_pose", "depth", "suction": what the view has no label of; its values mean nothing."""
    approximate: frozenset[str] = frozenset()
    """Of "center_of_mass", "depth", "suction": what is known roughly only."""


@dataclass(frozen=True, eq=False)
class View:
    """One labelled view of a dataset."""

    scene_id: str
    view_id: int
    image: UInt8Array
    """(H, W, 3) uint8, RGB."""
    camera: Camera
    labels: Labels
    sensor: str = ""
    """The camera model that `image` and `sensor_depth_m` imitate (docs/sensors.md); empty = unknown."""
    sensor_depth_m: Float32Array | None = None
    """(H, W) depth as that sensor measures it: noise, holes (0 = missing); `labels.depth_m` stays clean."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the network says about one image, in that image's own pixels; N instances, best first."""

    width: int
    height: int
    scores: Float32Array
    """(N,) in [0, 1], falling."""
    amodal_boxes: Float32Array
    """(N, 4) xyxy px."""
    visible_masks: Float32Array
    """(N, M, M) probabilities in [0, 1] over the amodal box of each instance (see geometry.masks.paste)."""
    amodal_masks: Float32Array
    """(N, M, M) probabilities in [0, 1] over the amodal box of each instance."""
    occluded_probability: Float32Array
    """(N,) in [0, 1]."""
    center_of_mass: Float32Array
    """(N, 2) u, v px."""
    suction: Float32Array
    """(h, w) float32 in [0, 1]: suction heatmap over the whole image, at a quarter of the network's resolution."""
    source: str = ""


@dataclass(eq=False)
class Targets:
    """What the network is trained towards, for one image of a batch: torch tensors on one device."""

    boxes: torch.Tensor
    """(N, 4) float32 amodal xyxy px in the network's input."""
    visible_masks: torch.Tensor
    """(N, H, W) bool."""
    amodal_masks: torch.Tensor
    """(N, H, W) bool."""
    occluded: torch.Tensor
    """(N,) bool."""
    centers: torch.Tensor
    """(N, 2) float32 u, v px of the projected centre of mass; may lie outside the image. NaN = unknown."""
    ignore: torch.Tensor
    """(N,) bool: instances that are neither positives nor negatives."""
    suction: torch.Tensor
    """(H / 4, W / 4) float32 in [0, 1]: the label map, mean-pooled to stride 4. NaN = unknown."""

    def to(self, device: torch.device | str) -> Targets:
        """The same targets on another device."""
        return Targets(**{name: value.to(device) for name, value in vars(self).items()})
