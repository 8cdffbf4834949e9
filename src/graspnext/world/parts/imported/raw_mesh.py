"""A mesh as files hold it: corners with their own texture coordinates and colours, groups with their own surfaces."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from graspnext.types import BoolArray, Float32Array, Float64Array, Int64Array, UInt8Array


@dataclass(frozen=True, eq=False)
class Surface:
    """How the faces of one group look. None = the file does not say."""

    names: tuple[str, ...]
    """What the file calls the group and its material."""
    color: tuple[float, float, float] | None = None
    """Linear light in [0, 1]; multiplies the texture."""
    roughness: float | None = None
    metallic: float | None = None
    texture: UInt8Array | None = None
    """(H, W, 3) uint8 sRGB."""


@dataclass(frozen=True, eq=False)
class RawMesh:
    """Triangles over shared points, in the file's units. What belongs to a corner of a face is kept by corner."""

    points: Float64Array
    """(P, 3)."""
    faces: Int64Array
    """(F, 3) indices of points."""
    group: Int64Array
    """(F,) index into `surfaces`."""
    surfaces: tuple[Surface, ...]
    uv: Float32Array | None = None
    """(F, 3, 2) texture coordinates, v up."""
    shade: Float32Array | None = None
    """(F, 3, 3) sRGB colour of each corner in [0, 1]."""

    @property
    def corners(self) -> Float64Array:
        """(F, 3, 3) positions."""
        return np.asarray(self.points[self.faces], dtype=np.float64)

    @property
    def size(self) -> float:
        """Diagonal of the bounding box of the faces."""
        if len(self.faces) == 0:
            return 0.0
        used = self.points[np.unique(self.faces)]
        return float(np.linalg.norm(np.ptp(used, axis=0)))

    @property
    def volume(self) -> float:
        """Signed volume that the faces enclose (divergence theorem)."""
        return float(signed_volumes(self.corners).sum())

    @property
    def area(self) -> float:
        """Sum of the faces' areas."""
        return float(face_areas(self.corners).sum())

    def select(self, keep: BoolArray | Int64Array) -> RawMesh:
        """Only some faces: (F,) bool or indices."""
        return replace(
            self,
            faces=self.faces[keep],
            group=self.group[keep],
            uv=None if self.uv is None else self.uv[keep],
            shade=None if self.shade is None else self.shade[keep],
        )

    def flip(self, which: BoolArray) -> RawMesh:
        """The same with some faces, (F,) bool, turned over."""

        def turned(values: np.ndarray) -> np.ndarray:
            out = values.copy()
            out[which] = values[which][:, ::-1]
            return out

        return replace(
            self,
            faces=turned(self.faces),
            uv=None if self.uv is None else turned(self.uv),
            shade=None if self.shade is None else turned(self.shade),
        )

    def with_faces(self, faces: Int64Array, like: Int64Array) -> RawMesh:
        """More faces (N, 3), each of the group and of the mean texture coordinate and colour of face `like` (N,)."""

        def more(values: Float32Array | None) -> Float32Array | None:
            if values is None:
                return None
            added = values[like].mean(axis=1, keepdims=True).repeat(3, axis=1)  # (N, 3, C)
            return np.concatenate([values, added])

        return replace(
            self,
            faces=np.concatenate([self.faces, faces]),
            group=np.concatenate([self.group, self.group[like]]),
            uv=more(self.uv),
            shade=more(self.shade),
        )


def signed_volumes(corners: Float64Array) -> Float64Array:
    """(F,) volumes of the tetrahedra that the faces (F, 3, 3) span with the origin."""
    return np.asarray(np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6)


def face_areas(corners: Float64Array) -> Float64Array:
    """(F,) areas of faces (F, 3, 3)."""
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return np.asarray(np.linalg.norm(cross, axis=1) / 2)


def to_srgb(linear: Float32Array) -> Float32Array:
    """Linear light in [0, 1] as sRGB in [0, 1] (IEC 61966-2-1)."""
    value = np.clip(linear, 0, 1)
    return np.asarray(np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055), np.float32)
