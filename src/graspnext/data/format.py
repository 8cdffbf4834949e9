"""The dataset on disk: file names and schemas. The single truth for readers, writers and checks.

    DIR/dataset.json                     DatasetInfo
    DIR/manifest.jsonl                   one ManifestEntry a view, sorted by scene and view
    DIR/scenes/<scene>/scene.json        SceneFile: what was in the scene, and its files' hashes
    DIR/scenes/<scene>/<v>_rgb.png       8-bit RGB (or .webp)
    DIR/scenes/<scene>/<v>_depth.png     16-bit, 0.1 mm, 0 = missing
    DIR/scenes/<scene>/<v>_suction.png   8-bit, score * 255
    DIR/scenes/<scene>/<v>_labels.json   ViewLabels

A scene appears in the manifest only when all its files are whole.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1
DATASET_FILE = "dataset.json"
MANIFEST_FILE = "manifest.jsonl"
SCENES_DIR = "scenes"
DEPTH_UNIT_M = 1e-4
"""Metres per count of the depth PNG."""
OCCLUDED_FROM_RATE = 0.05
"""Occlusion rate from which an instance counts as occluded."""

Split = Literal["train", "val", "test", "novel"]
SPLITS: tuple[Split, ...] = ("train", "val", "test", "novel")
FiniteFloat = Annotated[float, Field(allow_inf_nan=False)]
Coordinate = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]
"""Pixels or metres; the bounds keep every value finite in float32."""
Side = Annotated[int, Field(gt=0, le=16384)]
"""Pixels along one side of a picture."""
SceneId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=128)]
"""A folder name; the pattern leaves no way out of the dataset's folder."""
PictureName = Annotated[str, Field(pattern=r"^[0-9]+_rgb\.(png|webp)$", max_length=64)]
Matrix4 = Annotated[
    list[Annotated[list[FiniteFloat], Field(min_length=4, max_length=4)]], Field(min_length=4, max_length=4)
]


class _Record(BaseModel):
    """Strict: unknown keys are faults."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Rle(_Record):
    """A COCO run-length mask: column-major runs in COCO's compressed string form."""

    size: tuple[int, int]
    """(height, width)."""
    counts: str


class CameraRecord(_Record):
    """Pinhole camera of one view."""

    width: int = Field(gt=0)
    height: int = Field(gt=0)
    fx: FiniteFloat = Field(gt=0)
    fy: FiniteFloat = Field(gt=0)
    cx: FiniteFloat
    cy: FiniteFloat
    T_world_camera: Matrix4


class InstanceRecord(_Record):
    """Labels of one part in one view; keys as in UOAIS-Sim and its kin. Boxes are xywh px."""

    id: int = Field(gt=0, lt=2**31)
    part: str
    family: str
    bbox: tuple[Coordinate, Coordinate, Coordinate, Coordinate]
    """Amodal box."""
    segmentation: Rle
    """Amodal mask."""
    visible_bbox: tuple[Coordinate, Coordinate, Coordinate, Coordinate]
    visible_mask: Rle
    occluded_rate: FiniteFloat = Field(ge=0, le=1)
    occluded: bool
    center_of_mass: tuple[Coordinate, Coordinate, Coordinate]
    """u px, v px, z m."""
    layer: int = Field(ge=0)
    T_camera_part: Matrix4
    ignore: bool = False


class ViewLabels(_Record):
    """`<v>_labels.json`."""

    schema_version: Literal[1] = 1
    camera: CameraRecord
    instances: list[InstanceRecord]


class FileHashes(_Record):
    """SHA-256 of the files of one view, hex."""

    rgb: str
    depth: str
    suction: str
    labels: str


class ViewFiles(_Record):
    """The files of one view, as `scene.json` lists them."""

    view: int = Field(ge=0, lt=2**31)
    rgb: PictureName
    sha256: FileHashes


class SceneFile(_Record):
    """`scene.json`: what the scene holds, and the hashes from which the manifest can be rebuilt."""

    schema_version: Literal[1] = 1
    scene: SceneId
    info: dict[str, Any]
    """The generator's own account of the scene."""
    views: list[ViewFiles]


class ManifestEntry(_Record):
    """One line of `manifest.jsonl`."""

    scene: SceneId
    view: int = Field(ge=0, lt=2**31)
    split: Split
    rgb: PictureName
    """File name of the picture inside the scene's folder (its suffix may vary)."""
    sha256: FileHashes


class DatasetInfo(_Record):
    """`dataset.json`."""

    schema_version: Literal[1] = 1
    generator: str
    """Program and version that made it."""
    recipe_name: str
    recipe: dict[str, Any]
    """The full recipe: every parameter of the generator."""
    seed: int
    cup: dict[str, float]
    """Parameters of the suction cup the labels are for (world.cup.CupConfig)."""
    num_scenes: int = Field(ge=0)
    views_per_scene: int = Field(ge=1)
    image_size: tuple[Side, Side]
    """(height, width) of every view."""
