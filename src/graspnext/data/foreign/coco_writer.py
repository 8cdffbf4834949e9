"""Our datasets as amodal COCO annotations (keys: coco_amodal), one file a split.

`center_of_mass` (u px, v px, z m), `layer` and `ignore` are additions; the depth pictures count 0.1 mm.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from graspnext.data.foreign.instances import lasting_name
from graspnext.data.format import SCENES_DIR, ManifestEntry
from graspnext.data.reader import Dataset, files_of
from graspnext.data.record_files import read_bytes
from graspnext.errors import OutputError
from graspnext.files import make_folder, output_errors, write_bytes, write_json
from graspnext.geometry import boxes, masks
from graspnext.types import Instance

Watch = Callable[[Iterable[ManifestEntry], int], Iterable[ManifestEntry]]


def export_coco_amodal(dataset: Dataset, out: Path, *, watch: Watch = lambda entries, _total: entries) -> int:
    """Write `annotations/<split>.json`, `images/` and `depth/`; the number of views.

    Args:
        dataset: Ours.
        out: Must not exist, or be empty.
        watch: Passes the views on, given them and their number: the place for a progress bar.

    Raises:
        OutputError: The folder is in use or cannot be written.
        DatasetError: A view cannot be read.
    """
    with output_errors(out):
        if out.exists() and any(out.iterdir()):
            raise OutputError(out, "the folder is not empty", "choose another one")
    make_folder(out)
    categories: dict[str, int] = {}
    files: dict[str, dict[str, list[Any]]] = {}
    for number, entry in enumerate(watch(dataset.entries, len(dataset.entries)), start=1):
        view = dataset.read(entry, depth=False)
        name = re.sub(r"^(?=\d)", "scene", entry.scene) + f"/{entry.view}"
        image: dict[str, Any] = {
            "id": number,
            "file_name": f"images/{name}{Path(entry.rgb).suffix}",
            "height": view.camera.height,
            "width": view.camera.width,
            "intrinsics": None
            if "camera" in view.labels.missing
            else [view.camera.fx, view.camera.fy, view.camera.cx, view.camera.cy],
        }
        places = files_of(entry)
        write_bytes(out / image["file_name"], read_bytes(dataset.root, places["rgb"], _MEND))
        if "depth" not in view.labels.missing:
            image["depth_file_name"] = f"depth/{name}.png"
            write_bytes(out / image["depth_file_name"], read_bytes(dataset.root, places["depth"], _MEND))
        content = files.setdefault(entry.split, {"images": [], "annotations": []})
        content["images"].append(image)
        for one in view.labels.instances:
            category = categories.setdefault(lasting_name(one), len(categories) + 1)
            heading = {"id": len(content["annotations"]) + 1, "image_id": number, "category_id": category}
            exact = "center_of_mass" not in view.labels.approximate
            content["annotations"].append(heading | annotation_of(one, with_center=exact))
    listed = [{"id": number, "name": name} for name, number in categories.items()]
    info = {"description": f"exported from {dataset.info.generator}", "depth_unit_m": 1e-4, "source": SCENES_DIR}
    for split, content in files.items():
        write_json(out / "annotations" / f"{split}.json", {"info": info, **content, "categories": listed}, indent=None)
    return len(dataset.entries)


_MEND = "make the scene again"


def annotation_of(one: Instance, *, with_center: bool = True) -> dict[str, Any]:
    """One instance by the keys of amodal COCO sets; boxes are xywh px. Its centre of mass is left out if asked to."""
    known = with_center and bool(np.isfinite(one.center_of_mass).all())
    return {
        "bbox": boxes.to_xywh(one.amodal_box).astype(float).tolist(),
        "visible_bbox": boxes.to_xywh(one.visible_box).astype(float).tolist(),
        "segmentation": masks.encode(one.amodal_mask),
        "visible_mask": masks.encode(one.visible_mask),
        "occluded_mask": masks.encode(one.amodal_mask & ~one.visible_mask),
        "occluded_rate": round(float(one.occluded_rate), 6),
        "area": int(np.count_nonzero(one.amodal_mask)),
        "iscrowd": int(one.ignore),
        "ignore": one.ignore,
        "layer": one.layer,
        "center_of_mass": [round(float(value), 4) for value in one.center_of_mass] if known else None,
    }
