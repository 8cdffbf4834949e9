"""Amodal COCO annotations by hand, masks by pycocotools; shares no code with reader or exporter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco
from tests.data.foreign.metagraspnet_files import Array, Pile


def compressed(mask: Array) -> dict[str, Any]:
    rle = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(mask.shape), "counts": rle["counts"].decode()}


def plain(mask: Array) -> dict[str, Any]:
    """Run lengths as a list, zeros first, counted one pixel after the other."""
    counts, value = [0], False
    for pixel in mask.ravel(order="F"):
        if bool(pixel) != value:
            counts.append(0)
            value = bool(pixel)
        counts[-1] += 1
    return {"size": list(mask.shape), "counts": counts}


def xywh(mask: Array) -> list[float]:
    rows, columns = np.nonzero(mask)
    if len(rows) == 0:
        return [0, 0, 0, 0]
    return [float(v) for v in (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)]


def annotations_of(pile: Pile, image_id: int, first: int, *, form: str = "compressed") -> list[dict[str, Any]]:
    encode = plain if form == "plain" else compressed
    rows = []
    for index, (amodal, visible) in enumerate(zip(pile.amodal, pile.visible, strict=True)):
        u, v, r = pile.discs[index]
        circle = [
            [c for t in np.linspace(0, 2 * np.pi, 60, endpoint=False) for c in (u + r * np.cos(t), v + r * np.sin(t))]
        ]
        rows.append(
            {
                "id": first + index,
                "image_id": image_id,
                "category_id": 1,
                "iscrowd": 0,
                "bbox": xywh(amodal),
                "visible_bbox": xywh(visible),
                "segmentation": circle if form == "polygon" else encode(amodal),
                "visible_mask": encode(visible & coco.decode(compressed(amodal)).astype(bool)),
                "occluded_mask": encode(amodal & ~visible),
                ("occlude_rate" if form == "plain" else "occluded_rate"): float(pile.rates[index]),
                "area": int(amodal.sum()),
            }
        )
    return rows


def write_pictures(folder: Path, name: str, pile: Pile) -> dict[str, Any]:
    rng = np.random.default_rng([*name.encode()])
    (folder / "color").mkdir(parents=True, exist_ok=True)
    (folder / "depth").mkdir(parents=True, exist_ok=True)
    image = (pile.ids[..., None] * (40, 30, 50) + rng.integers(20, 60, (*pile.ids.shape, 3))).astype(np.uint8)
    Image.fromarray(image).save(folder / "color" / f"{name}.png")
    Image.fromarray((pile.depth_cm * 100).astype(np.uint16)).save(folder / "depth" / f"{name}.png")  # 0.1 mm
    return {
        "file_name": f"color/{name}.png",
        "depth_file_name": f"depth/{name}.png",
        "width": pile.width,
        "height": pile.height,
        "rel_mat": [[0] * len(pile.discs)] * len(pile.discs),
    }


def write_set(folder: Path, piles: dict[str, Pile], *, form: str = "compressed", repeat: bool = False) -> Path:
    """`annotations/train.json` and pictures; with `repeat` each image stands once for each of its annotations."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for name, pile in piles.items():
        image = write_pictures(folder, name, pile)
        own = annotations_of(pile, 0, len(annotations) + 1, form=form)
        for index, one in enumerate(own):
            if repeat or index == 0:
                images.append({**image, "id": len(images) + 1})
            one["image_id"] = len(images)
        annotations += own
    path = folder / "annotations" / "train.json"
    path.parent.mkdir(exist_ok=True)
    categories = [{"id": 1, "name": "object"}]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path
