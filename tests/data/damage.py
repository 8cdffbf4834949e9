"""Ways to change a dataset on disk, shared by the tests of checks, readers and mutations."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from graspnext.data.format import FileHashes, file_names
from graspnext.types import BoolArray


def bless(root: Path) -> None:
    """Hash the files anew into manifest and scene.json, so that only their content can be at fault."""
    entries = [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]
    for entry in entries:
        folder = root / "scenes" / entry["scene"]
        hashes = FileHashes.model_validate(entry["sha256"])
        names = file_names(entry["view"], entry["rgb"], hashes)
        digests = {key: hashlib.sha256((folder / name).read_bytes()).hexdigest() for key, name in names.items()}
        more = {cup: digests.pop(f"suction_{cup}") for cup in hashes.more_suction}
        entry["sha256"] = hashes.model_dump() | digests | {"more_suction": more}
        scene = json.loads((folder / "scene.json").read_text())
        for view in scene["views"]:
            if view["view"] == entry["view"]:
                view["sha256"] = entry["sha256"]
        (folder / "scene.json").write_text(json.dumps(scene))
    (root / "manifest.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def edit_json(path: Path, change: Callable[[Any], object]) -> None:
    """Change a JSON file in place."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def edit_manifest(root: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    lines = [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]
    change(lines)
    (root / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def repaint(path: Path, change: Callable[[Any], None]) -> None:
    pixels = np.array(Image.open(path))
    change(pixels)
    Image.fromarray(pixels).save(path)


def encoded(mask: BoolArray) -> dict[str, Any]:
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(mask.shape), "counts": rle["counts"].decode()}
