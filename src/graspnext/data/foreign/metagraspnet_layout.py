"""Where MetaGraspNet keeps what: folders, file names, keys, units. No arrays are read here.

    .../scene<N>/<v>_rgb.png               picture, may carry alpha
    .../scene<N>/<v>.npz                   depth in cm, visible instances, categories; simulated: isolated masks
    .../scene<N>/<v>_camera_params.json    intrinsics; simulated ones without a principal point
    .../scene<N>/<v>_scene.hdf5            poses, loose boxes, grasps, key points, in cm; real: camera pose, categories
    .../scene<N>/<v>_order.json            which object covers which
    .../scene<N>/<v>_amodal.npz            real only, as a rule of view 3: visible and amodal masks
    .../scene<N>/<v>_grasps.npz            real only, of some scenes: where a cup may hold
    .../scene<N>/scene_gt.json             real only: object poses

Source: Gilles et al., MetaGraspNet: A Large-Scale Benchmark Dataset for Scene-Aware Ambidextrous Bin Picking via
Physics-based Metaverse Synthesis, CASE 2022, and its repository's description of the files.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from graspnext.data.foreign.opening import attempt, fault, parse, read_json
from graspnext.data.format import Coordinate, FiniteFloat, Split
from graspnext.errors import DatasetError

CM = 0.01
"""Metres in a centimetre, the unit of all lengths in the set."""
MASK_STACKS = ("seg_masks_single", "occlusion_objects")
"""Under one of these keys stand the isolated (amodal) masks; entry i is that of instance i + 1."""
REAL_CROP = (372, 1200)
"""Left edge and side of the square that others cut out of real pictures, px."""
REAL_SIZE = (1200, 1944)
"""(height, width) of real pictures."""

_SCENE = re.compile(r"scene(\d{1,9})")
_VIEW = re.compile(r"(\d{1,9})_rgb\.png")


class _Foreign(BaseModel):
    """Unknown keys are left alone."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _Resolution(_Foreign):
    height: int
    width: int


class CameraParams(_Foreign):
    """`<v>_camera_params.json`."""

    fx: Coordinate = Field(gt=1e-3)
    fy: Coordinate = Field(gt=1e-3)
    cx: Coordinate | None = None
    cy: Coordinate | None = None
    width: int | None = None
    height: int | None = None
    resolution: _Resolution | None = None


class Cover(_Foreign):
    """An object over another one."""

    id: int
    """0 = none."""


class OrderNode(_Foreign):
    """What `<v>_order.json` says of one object."""

    occlusion: FiniteFloat | None = None
    parents: list[Cover] = []
    layer: int | None = None
    """0 top, 1 secondary, 2 interlocked, 3 other."""
    graspnext_layer: int | None = Field(default=None, ge=0, le=10000)
    """Our own count of layers, in files that we exported."""


class ObjectPose(_Foreign):
    """One entry of `scene_gt.json`: model to camera, centimetres."""

    cam_R_m2c: list[Any]
    """3 x 3, nested or flat."""
    cam_t_m2c: Annotated[list[Coordinate], Field(min_length=3, max_length=3)]
    obj_id: int


def find_scenes(root: Path) -> list[tuple[int, str]]:
    """(N, folder relative to `root`) of every `scene<N>` folder at any depth, rising.

    Raises:
        DatasetError: There is none, a number stands twice, or a folder cannot be listed.
    """
    if not root.is_dir():
        raise DatasetError(root, "no such folder", "give the folder that holds the scene<N> folders")
    found: dict[int, str] = {}
    stack = [root]
    while stack:
        folder = stack.pop()
        match = _SCENE.fullmatch(folder.name)
        if match:
            place = folder.relative_to(root).as_posix()
            number = int(match[1])
            if number in found:
                problem = f"scene{number} stands at {found[number]} and at {place}"
                raise DatasetError(root, problem, "convert one of the two places at a time")
            found[number] = place
            continue
        stack += [path for path in attempt(lambda f=folder: sorted(f.iterdir()), root, ".") if path.is_dir()]  # type: ignore[misc]
    if not found:
        raise DatasetError(root, "no folder named scene<N> in it", "give the unpacked data set, or a folder above it")
    return sorted(found.items())


def find_views(root: Path, folder: str) -> list[int]:
    """Numbers of the views of a scene, by their pictures, rising.

    Raises:
        DatasetError: The folder cannot be listed.
    """
    names = attempt(lambda: [path.name for path in (root / folder).iterdir()], root, folder)
    return sorted({int(match[1]) for name in names if (match := _VIEW.fullmatch(name))})


def camera_params(root: Path, file: str, size: tuple[int, int]) -> CameraParams:
    """The intrinsics of a view of that size (height, width).

    Raises:
        DatasetError: The file is missing, damaged, or of another size.
    """
    params = parse(CameraParams, read_json(root, file), root, file)
    assert isinstance(params, CameraParams)
    said = params.resolution or params
    if (said.height or size[0], said.width or size[1]) != size:
        raise fault(root, file, "", f"the camera is {said.width} x {said.height} px, the picture {size[1]} x {size[0]}")
    return params


def order(root: Path, file: str) -> dict[int, OrderNode]:
    """`<v>_order.json` by instance; empty when there is no such file.

    Raises:
        DatasetError: It is damaged.
    """
    if not (root / file).is_file():
        return {}
    content = read_json(root, file)
    if not isinstance(content, dict) or not all(key.isdecimal() and len(key) < 10 for key in content):
        raise fault(root, file, "", "it is no table by object number")
    return {int(key): parse(OrderNode, value, root, file, key) for key, value in content.items()}


def read_splits(path: Path) -> dict[int, Split]:
    """Scene number -> split from a JSON file of lists of scenes, such as D3G's `splits.json`.

    Keys are "train", "val" and "test", or begin with them ("test_easy"); scenes are numbers or "scene<N>".

    Raises:
        DatasetError: The file is missing or of another form, or puts a scene into two splits.
    """
    root, file = path.parent, path.name
    content = read_json(root, file)
    if not isinstance(content, dict):
        raise fault(root, file, "", "it is no table of splits", "give lists of scenes under train, val and test")
    splits: dict[int, Split] = {}
    names: dict[str, Split] = {"train": "train", "val": "val", "test": "test", "novel": "novel"}
    for key, scenes in content.items():
        split = next((names[name] for name in names if key.startswith(name)), None)
        if split is None or not isinstance(scenes, list):
            raise fault(root, file, key, "no list of a split", "give lists of scenes under train, val, test or novel")
        for entry in scenes:
            match = re.fullmatch(r"(?:scene)?(\d{1,9})", str(entry))
            if match is None:
                raise fault(root, file, key, f"{str(entry)[:40]!r} is no scene", "give numbers, or names as scene12")
            if splits.setdefault(int(match[1]), split) != split:
                raise fault(root, file, key, f"scene{match[1]} is in two splits", "give each scene one split")
    return splits
