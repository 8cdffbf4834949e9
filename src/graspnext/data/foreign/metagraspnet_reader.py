"""MetaGraspNet V1 and V2, simulated and real, as our views (layout: metagraspnet_layout)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graspnext.data.faults import Fault
from graspnext.data.foreign import metagraspnet_layout as layout
from graspnext.data.foreign.centers import from_keypoints, mesh_center, project_center
from graspnext.data.foreign.instances import (
    BOX_TOLERANCE_PX,
    RATE_TOLERANCE,
    MaskPair,
    coverage,
    instance_ids,
    to_instances,
)
from graspnext.data.foreign.metagraspnet_masks import ViewFiles, ViewMaps, read_maps
from graspnext.data.foreign.metagraspnet_scene import (
    SceneArrays,
    is_rigid,
    read_object_poses,
    read_scene_arrays,
    rigid,
)
from graspnext.data.foreign.opening import picture_size, read_rgb
from graspnext.data.foreign.source import Account, ForeignScene
from graspnext.data.foreign.suction import Splat, Surface, splat
from graspnext.data.format import Cup
from graspnext.data.splits import split_of
from graspnext.errors import ConfigError, DatasetError
from graspnext.geometry import boxes
from graspnext.geometry.layering import layers
from graspnext.types import Camera, Float32Array, Float64Array, Labels, View

SAME_OBJECT_IOU = 0.5


@dataclass(frozen=True)
class MetaGraspNetOptions:
    """How the set is read."""

    real_crop: bool = False
    """Cut the square of columns 372 to 1571 out of real pictures, as others do."""
    suction_splat: Splat = "disc"
    """How scattered contact points become a dense map."""
    suction_radius_m: float = 0.007
    """Radius of the set's cup."""
    models: Path | None = None
    """Folder of the object models (<id>/textured.obj): true centres of mass instead of rough ones."""
    splits: Path | None = None
    """JSON file of scenes by split; 60/20/20 by scene without it. Scenes that it does not name are left out."""
    shift_px: int = 3
    """Views whose visible pixels lie farther than this outside the amodal masks are refused."""
    min_visible_px: int = 64
    """Instances with fewer visible pixels carry `ignore`."""

    def __post_init__(self) -> None:
        if self.suction_splat not in {"point", "disc", "gaussian"}:
            raise ConfigError("suction_splat", self.suction_splat, "point, disc or gaussian")
        if not 0 < self.suction_radius_m <= 0.1:
            raise ConfigError("suction_radius_m", self.suction_radius_m, "in (0, 0.1]")
        if not 0 <= self.shift_px <= 100:
            raise ConfigError("shift_px", self.shift_px, "in 0 ... 100")
        if self.min_visible_px < 1:
            raise ConfigError("min_visible_px", self.min_visible_px, "at least 1")
        for name in ("models", "splits"):
            path: Path | None = getattr(self, name)
            if path is not None and not path.exists():
                raise ConfigError(name, str(path), "a path that exists")


class MetaGraspNet:
    """A folder that holds scene<N> folders at any depth."""

    name = "metagraspnet"

    def __init__(self, root: Path, options: MetaGraspNetOptions) -> None:
        self.root = root
        self.options = options

    def settings(self) -> dict[str, Any]:
        """The options, as plain JSON values."""
        values = vars(self.options)
        return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}

    def cup(self) -> Cup:
        """The set's own cup: radius, what the lip follows, vacuum, friction (Gilles et al., 2022, and its code)."""
        radius = self.options.suction_radius_m
        return {"radius_m": radius, "compliance_m": 0.007, "vacuum_pa": 70e3, "friction": 1.0}

    def scenes(self) -> list[ForeignScene]:
        """All scenes that have views, by number.

        Raises:
            DatasetError: There is none, or the file of splits is damaged or names none of them.
        """
        found = [(n, folder) for n, folder in layout.find_scenes(self.root) if layout.find_views(self.root, folder)]
        if not found:
            raise DatasetError(self.root, "its scene<N> folders hold no <v>_rgb.png", "give the unpacked data set")
        path = self.options.splits
        if path is None:
            return [
                ForeignScene(f"scene{n}", split_of(n, novel=False), folder)
                for n, folder in found  # by number: the same split, whatever part of the set is at hand
            ]
        splits = layout.read_splits(path)
        scenes = [ForeignScene(f"scene{n}", splits[n], folder) for n, folder in found if n in splits]
        if not scenes:
            raise DatasetError(path, f"it names none of the {len(found)} scenes in {self.root}", "give another file")
        return scenes

    def image_size(self, scenes: list[ForeignScene]) -> tuple[int, int]:
        """(height, width) of the first picture that can be read, cut as the options say.

        Raises:
            DatasetError: None can be read.
        """
        problem: DatasetError | None = None
        for scene in scenes:
            for view in layout.find_views(self.root, scene.content):
                try:
                    files = self._files(scene.content, view)
                except DatasetError as error:
                    problem = problem or error
                    continue
                return files.size[0], len(range(files.size[1])[files.columns])
        raise problem or DatasetError(self.root, "it holds no view", "give the unpacked data set")

    def views(self, scene: ForeignScene, account: Account) -> Iterator[View]:
        """The labelled views of a scene; others go to the account."""
        for number in layout.find_views(self.root, scene.content):
            try:
                view = self.read(scene, number, account)
            except DatasetError as error:
                account.refuse(number, error)
                continue
            if view is None:
                account.unlabelled_views.append(number)
            else:
                yield view

    def read(self, scene: ForeignScene, number: int, account: Account) -> View | None:
        """One view; None when nobody labelled it.

        Raises:
            DatasetError: A file is missing or damaged, or masks and boxes contradict one another.
            MissingDependencyError: h5py, or for models trimesh, is not installed.
        """
        files = self._files(scene.content, number)
        notes: list[Fault] = []
        maps = read_maps(files, notes)
        if maps is None:
            return None
        image = np.ascontiguousarray(read_rgb(self.root, files.name("_rgb.png"))[:, files.columns])
        has_scene = files.has("_scene.hdf5")
        arrays = read_scene_arrays(self.root, files.name("_scene.hdf5")) if has_scene else SceneArrays()
        if not has_scene:
            files.note(notes, "_scene.hdf5", "", "the file is missing: no camera pose, suction or centres of mass")
        view = _View(files, maps, arrays, self.options, notes)
        made = view.build(scene.id, image)
        account.notes += notes
        if codes := {str(one): node.layer for one, node in view.order.items() if node.layer is not None}:
            account.info.setdefault("layout", {})[str(number)] = codes
        return made

    def _files(self, folder: str, view: int) -> ViewFiles:
        size = picture_size(self.root, f"{folder}/{view}_rgb.png")
        columns = slice(None)
        if self.options.real_crop and size == layout.REAL_SIZE:
            left, side = layout.REAL_CROP
            columns = slice(left, left + side)
        return ViewFiles(self.root, folder, view, size, columns, self.options.shift_px)


class _View:
    """One view while it is put together."""

    def __init__(
        self, files: ViewFiles, maps: ViewMaps, arrays: SceneArrays, options: MetaGraspNetOptions, notes: list[Fault]
    ) -> None:
        self.files, self.maps, self.arrays, self.options, self.notes = files, maps, arrays, options, notes
        self.order = layout.order(files.root, files.name("_order.json"))
        self.missing: set[str] = set()
        self.approximate: set[str] = set()

    def build(self, scene_id: str, image: Any) -> View:
        """The view, labels and all."""
        maps, pairs = self.maps, self.maps.pairs
        size = (image.shape[0], image.shape[1])
        surface = Surface(self._camera(size), instance_ids(pairs, size), maps.depth_m)
        seen = surface.instance_ids > 0
        if not (maps.depth_m > 0).any():
            self.missing.add("depth")
        elif maps.real or (maps.depth_m[seen] == 0).any():
            self.approximate.add("depth")
        rows = self._rows()
        poses = self._poses(surface.camera, rows)
        self._compare_order()
        instances = to_instances(
            pairs,
            centers=self._centers(surface, rows, poses),
            poses=poses,
            layer_of=self._layers(),
            min_visible_px=self.options.min_visible_px,
        )
        suction = self._suction(surface)
        labels = Labels(
            instances,
            surface.instance_ids,
            maps.depth_m,
            suction,
            missing=frozenset(self.missing),
            approximate=frozenset(self.approximate),
        )
        return View(scene_id, self.files.view, image, surface.camera, labels)

    def _camera(self, size: tuple[int, int]) -> Camera:
        files = self.files
        params = layout.camera_params(files.root, files.name("_camera_params.json"), files.size)
        T = self.arrays.T_world_camera
        if T is None or not is_rigid(T):
            self.missing.add("camera_pose")
            if T is not None:
                files.note(
                    self.notes, "_scene.hdf5", "camera/pose_relative_to_world", "not a rigid transform; left out"
                )
            T = np.eye(4)
        height, width = files.size
        cx = width / 2 if params.cx is None else params.cx
        cy = height / 2 if params.cy is None else params.cy
        return Camera(size[1], size[0], params.fx, params.fy, cx - (files.columns.start or 0), cy, rigid(T))

    def _rows(self) -> dict[int, int]:
        """Instance -> row of `objects/*` in the HDF5 file, matched by their boxes; by number without boxes."""
        loose, pairs = self.arrays.boxes_xywh, self.maps.pairs
        if loose is None:
            known = self.arrays.T_camera_objects
            same = known is not None and len(known) == len(pairs)
            return {pair.id: index for index, pair in enumerate(pairs)} if same and not self.maps.real else {}
        if not pairs or not len(loose):
            return {}
        size = self.maps.depth_m.shape
        tight = np.stack([boxes.from_mask(pair.amodal) for pair in pairs])
        given = boxes.from_xywh(loose.astype(np.float32))
        given[:, [0, 2]] -= self.files.columns.start or 0
        given = boxes.clip(given, size[0], size[1])
        overlap = boxes.iou(tight, given)  # (N, R)
        for index, pair in enumerate(pairs):  # rows stand in the order of the instances, as a rule
            if pair.id <= len(given) and overlap[index, pair.id - 1] >= SAME_OBJECT_IOU:
                overlap[index, pair.id - 1] += 1
        rows: dict[int, int] = {}
        while overlap.max() >= SAME_OBJECT_IOU:
            index, row = (int(one) for one in np.unravel_index(int(np.argmax(overlap)), overlap.shape))
            rows[pairs[index].id] = row
            overlap[index], overlap[:, row] = -1, -1
            off = float(np.abs(tight[index] - given[row]).max())
            if off > BOX_TOLERANCE_PX:
                problem = f"the box of instance {pairs[index].id} is {off:.0f} px off that of its mask; the mask counts"
                self.files.note(self.notes, "_scene.hdf5", f"objects/bbox_loose[{row}]", problem)
        for pair in pairs:
            if pair.id not in rows:
                self.files.note(self.notes, "_scene.hdf5", "objects", f"no object has the box of instance {pair.id}")
        return rows

    def _poses(self, camera: Camera, rows: dict[int, int]) -> dict[int, Float64Array]:
        """Instance -> T_camera_part."""
        objects = self.arrays.T_camera_objects
        if objects is not None:
            wrong = [one for one, row in rows.items() if not is_rigid(objects[row])]
            if wrong:
                where = "objects/poses_relative_to_camera"
                self.files.note(self.notes, "_scene.hdf5", where, f"not rigid for instances {wrong}; left out")
            return {one: rigid(objects[row]) for one, row in rows.items() if one not in wrong}
        poses: dict[int, Float64Array] = {}
        free = {pair.id: pair for pair in self.maps.pairs}
        listed = read_object_poses(self.files.root, f"{self.files.folder}/scene_gt.json", self.files.view)
        for category, T in listed:
            point = project_center(camera, T[:3, 3])
            if point is None:
                continue
            u, v = int(point[0]), int(point[1])
            height, width = self.maps.depth_m.shape
            if not (0 <= u < width and 0 <= v < height):
                continue
            own = [one for one, p in free.items() if p.amodal[v, u] and p.part == f"ifl_{category:03d}"]
            if len(own) == 1:
                poses[own[0]] = T
                del free[own[0]]
        return poses

    def _centers(
        self, surface: Surface, rows: dict[int, int], poses: dict[int, Float64Array]
    ) -> dict[int, Float32Array]:
        """Instance -> centre of mass, the best known one."""
        centers: dict[int, Float32Array] = {}
        for pair in self.maps.pairs:
            point = self._true_center(pair, rows, poses)
            center = None if point is None else project_center(surface.camera, point)
            if center is not None:
                centers[pair.id] = center
        keypoints = self.arrays.com_keypoints
        if keypoints is not None and len(centers) < len(self.maps.pairs):
            rough = from_keypoints(surface, keypoints)
            added = {one: center for one, center in rough.items() if one not in centers}
            if added:
                self.approximate.add("center_of_mass")
            centers |= added
        return centers

    def _true_center(self, pair: MaskPair, rows: dict[int, int], poses: dict[int, Float64Array]) -> Float64Array | None:
        given = self.arrays.centers_of_mass
        if given is not None and pair.id in rows and rows[pair.id] < len(given):
            return np.asarray(given[rows[pair.id]])
        if self.options.models is None or pair.id not in poses or pair.part == "unknown":
            return None
        center = mesh_center(self.options.models, int(pair.part.removeprefix("ifl_")))
        return None if center is None else (poses[pair.id] @ np.append(center, 1.0))[:3]

    def _layers(self) -> dict[int, int]:
        """Instance -> layer by the file of orders; empty without one."""
        pairs = self.maps.pairs
        if not self.order or not pairs:
            return {}
        ours = {one: node.graspnext_layer for one, node in self.order.items() if node.graspnext_layer is not None}
        if all(pair.id in ours for pair in pairs):
            return ours
        index_of = {pair.id: index for index, pair in enumerate(pairs)}
        shares = np.zeros((len(pairs), len(pairs)))
        by_masks = coverage(pairs)
        for pair in pairs:
            for parent in self.order[pair.id].parents if pair.id in self.order else []:
                if parent.id in index_of and parent.id != pair.id:
                    i, j = index_of[pair.id], index_of[parent.id]
                    shares[i, j] = max(by_masks[i, j], 1e-9)
        return {pair.id: layer for pair, layer in zip(pairs, layers(shares), strict=True)}

    def _compare_order(self) -> None:
        if self.files.columns != slice(None):
            return  # hidden shares are those of the cut picture
        for pair in self.maps.pairs:
            said = self.order[pair.id].occlusion if pair.id in self.order else None
            if said is not None and abs(said - pair.occluded_rate) > RATE_TOLERANCE:
                problem = f"the hidden share is {said:.3f}, by the masks {pair.occluded_rate:.3f}; the masks count"
                self.files.note(self.notes, "_order.json", str(pair.id), problem)

    def _suction(self, surface: Surface) -> Float32Array:
        arrays = self.arrays
        if self.maps.suction is not None:
            self.approximate.add("suction")
            return np.where(surface.instance_ids > 0, self.maps.suction, 0).astype(np.float32)
        if arrays.contacts is None or arrays.contact_scores is None:
            self.missing.add("suction")
            return np.zeros(surface.instance_ids.shape, dtype=np.float32)
        self.approximate.add("suction")
        how, radius = self.options.suction_splat, self.options.suction_radius_m
        scores = np.clip(arrays.contact_scores, 0, 1)
        return splat(surface, arrays.contacts, scores, how=how, radius_m=radius)
