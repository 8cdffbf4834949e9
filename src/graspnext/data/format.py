"""The dataset on disk: file names and schemas. The single truth for readers, writers and checks.

    DIR/dataset.json                     DatasetInfo
    DIR/manifest.jsonl                   one ManifestEntry a view, sorted by scene and view
    DIR/scenes/<scene>/scene.json        SceneFile: what was in the scene, and its files' hashes
    DIR/scenes/<scene>/<v>_rgb.png       8-bit RGB (or .webp)
    DIR/scenes/<scene>/<v>_depth.png     16-bit, 0.1 mm, 0 = missing
    DIR/scenes/<scene>/<v>_suction.png   8-bit, score * 255, for the dataset's own cup
    DIR/scenes/<scene>/<v>_labels.json   ViewLabels
    and, where the dataset has them,
    DIR/scenes/<scene>/<v>_sensor_depth.png     as depth, with the sensor's noise and holes
    DIR/scenes/<scene>/<v>_suction_<cup>.png    as suction, for a further cup
    DIR/log.jsonl                        LogEntry a scene: attempts and times; differs from run to run, nothing needs it
                                         (locked by the run that writes into DIR; empty in what was converted)

A scene appears in the manifest only when all its files are whole.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 2
"""Version 1 had neither sensors, further cups, difficulty nor failed scenes; it is still read."""
DATASET_FILE = "dataset.json"
MANIFEST_FILE = "manifest.jsonl"
SCENES_DIR = "scenes"
LOG_FILE = "log.jsonl"
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
CupName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=64)]
"""Part of a file name."""
Cup = dict[str, float | list[tuple[float, float]]]
"""Fields of `world.cup.CupConfig`; a stepped body is a list of (radius, length)."""
Difficulty = Annotated[int, Field(ge=1, le=5)]
"""`data.difficulty`: 1 nothing hidden ... 5 most of the parts buried."""
Matrix4 = Annotated[
    list[Annotated[list[FiniteFloat], Field(min_length=4, max_length=4)]], Field(min_length=4, max_length=4)
]


MissingLabel = Literal["camera", "camera_pose", "depth", "suction"]
"""What a view may lack; the values that stand in its place mean nothing (ViewLabels.missing)."""
ApproximateLabel = Literal["center_of_mass", "depth", "suction"]
"""What may be known roughly only (ViewLabels.approximate)."""


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
    center_of_mass: tuple[Coordinate, Coordinate, Coordinate] | None
    """u px, v px, z m; null = unknown, as in data sets of others."""
    layer: int = Field(ge=0)
    T_camera_part: Matrix4 | None
    """null = unknown."""
    ignore: bool = False


class ViewLabels(_Record):
    """`<v>_labels.json`."""

    schema_version: Literal[1, 2] = 2
    camera: CameraRecord
    instances: list[InstanceRecord]
    sensor: str = ""
    """The camera model that the picture and the sensor's depth imitate; empty = none."""
    missing: list[MissingLabel] = []
    """What this view has no label of: maps are 0, the pose is the identity, fx and fy are the longer side and
    the principal point the middle. Neither learnt from nor measured against."""
    approximate: list[ApproximateLabel] = []
    """What is known roughly only: a centre of mass from visible points, a depth that a sensor measured (noise, holes),
    a suction map from scattered points."""


class FileHashes(_Record):
    """SHA-256 of the files of one view, hex."""

    rgb: str
    depth: str
    suction: str
    labels: str
    sensor_depth: str | None = None
    more_suction: dict[CupName, str] = Field(default_factory=dict)
    """Further cup -> hash of its suction map."""


class ViewFiles(_Record):
    """The files of one view, as `scene.json` lists them."""

    view: int = Field(ge=0, lt=2**31)
    rgb: PictureName
    sha256: FileHashes
    difficulty: Difficulty | None = None


class SceneFile(_Record):
    """`scene.json`: what the scene holds, and the hashes from which the manifest can be rebuilt."""

    schema_version: Literal[1, 2] = 2
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
    difficulty: Difficulty | None = None
    """How much of the view's parts is hidden; None in datasets that do not say."""


class FailedScene(_Record):
    """A scene that none of its attempts could make; it has no folder and no line in the manifest."""

    scene: SceneId
    problems: list[str]


class LogEntry(_Record):
    """One line of `log.jsonl`: how one scene came about."""

    scene: SceneId
    attempts: int = Field(ge=1)
    problems: list[str]
    """Why the attempts before the last were refused; of all attempts if the scene failed."""
    seconds: dict[str, FiniteFloat]
    """Stage -> wall time."""
    memory_mb: FiniteFloat = 0.0
    """Resident memory of the process that made it, afterwards."""


class DatasetInfo(_Record):
    """`dataset.json`."""

    schema_version: Literal[1, 2] = 2
    generator: str
    """Program and version that made it."""
    recipe_name: str
    recipe: dict[str, Any]
    """The full recipe: every parameter of the generator."""
    seed: int
    renderer: str | None = None
    """What made the pictures; None in datasets that do not say."""
    cup: Cup
    """Parameters of the suction cup the labels are for (world.cup.CupConfig)."""
    more_cups: dict[CupName, Cup] = Field(default_factory=dict)
    """Further cups by name, each with suction maps of its own."""
    num_scenes: int = Field(ge=0)
    """Scenes asked for: those in the manifest and the failed ones."""
    failed_scenes: list[FailedScene] = Field(default_factory=list)
    views_per_scene: int | None = Field(default=None, ge=1)
    """None: it differs from scene to scene."""
    image_size: tuple[Side, Side]
    """(height, width) of every view."""


def file_names(view: int, rgb: str, hashes: FileHashes) -> dict[str, str]:
    """Name of each file of a view inside its scene's folder: rgb, depth, suction, labels and what else it has."""
    names = {
        "rgb": rgb,
        "depth": f"{view}_depth.png",
        "suction": f"{view}_suction.png",
        "labels": f"{view}_labels.json",
    }
    if hashes.sensor_depth is not None:
        names["sensor_depth"] = f"{view}_sensor_depth.png"
    return names | {f"suction_{cup}": f"{view}_suction_{cup}.png" for cup in hashes.more_suction}


def hash_of(hashes: FileHashes, key: str) -> str:
    """SHA-256 of the file with that key of `file_names`, hex."""
    known = {
        **hashes.model_dump(exclude={"more_suction"}),
        **{f"suction_{k}": v for k, v in hashes.more_suction.items()},
    }
    return str(known[key])
