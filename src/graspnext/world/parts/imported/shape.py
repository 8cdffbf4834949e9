"""What one mesh file gives: a closed mesh with its look and convex pieces, in the file's own unit.

Nothing here depends on the unit, on parts.yaml or on the file's name: it follows from the bytes alone, and is cached.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from graspnext.types import Float32Array, Float64Array, Int32Array, UInt8Array


@dataclass(frozen=True, eq=False)
class Shape:
    """A part before it has a unit, a mass and a name."""

    vertices: Float64Array
    """(V, 3)."""
    faces: Int32Array
    """(F, 3)."""
    uv: Float32Array | None
    """(V, 2), v up."""
    group: Int32Array
    """(F,) index into `groups`."""
    groups: tuple[tuple[str, ...], ...]
    """Names of each group of faces: nodes, meshes, materials of the file."""
    color: tuple[float, float, float] | None
    """Linear light in [0, 1]; None = the file does not say."""
    roughness: float | None
    metallic: float | None
    texture: UInt8Array | None
    """(H, W, 3) uint8 sRGB."""
    hulls: tuple[Float64Array, ...]
    """Convex pieces, each (K, 3)."""
    volume: float
    faces_read: int
    """Faces in the file."""
    notes: tuple[str, ...]
    """What was repaired or left out."""

    @property
    def extents(self) -> Float64Array:
        """(3,) sides of the bounding box."""
        return np.asarray(np.ptp(self.vertices, axis=0), dtype=np.float64)


def to_bytes(shape: Shape) -> bytes:
    """A shape as an npz archive without pickle: the same shape gives the same bytes."""
    about = {
        "groups": shape.groups,
        "color": shape.color,
        "roughness": shape.roughness,
        "metallic": shape.metallic,
        "volume": shape.volume,
        "faces_read": shape.faces_read,
        "notes": shape.notes,
        "pieces": [len(hull) for hull in shape.hulls],
    }
    arrays: dict[str, Any] = {
        "vertices": shape.vertices,
        "faces": shape.faces,
        "group": shape.group,
        "hulls": np.concatenate(shape.hulls),
        "about": np.frombuffer(json.dumps(about).encode(), dtype=np.uint8),
    }
    if shape.uv is not None:
        arrays["uv"] = shape.uv
    if shape.texture is not None:
        arrays["texture"] = shape.texture
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def from_bytes(content: bytes) -> Shape:
    """The shape in an archive of `to_bytes`.

    Raises:
        ValueError: It is no such archive, or damaged.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        about = json.loads(arrays["about"].tobytes())
        ends = np.cumsum(about["pieces"])
        color = about["color"]
        return Shape(
            vertices=arrays["vertices"],
            faces=arrays["faces"],
            uv=arrays.get("uv"),
            group=arrays["group"],
            groups=tuple(tuple(names) for names in about["groups"]),
            color=None if color is None else (color[0], color[1], color[2]),
            roughness=about["roughness"],
            metallic=about["metallic"],
            texture=arrays.get("texture"),
            hulls=tuple(np.split(arrays["hulls"], ends[:-1])),
            volume=about["volume"],
            faces_read=about["faces_read"],
            notes=tuple(about["notes"]),
        )
    except Exception as error:  # a damaged archive may raise anything
        raise ValueError(f"damaged: {error}") from error
