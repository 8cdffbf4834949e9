"""Parts, bins and cameras to label, and a slow ray caster that shares no code with the labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import trimesh

from graspnext.types import Camera
from graspnext.world.parts.solid import Physics, make_part
from graspnext.world.scene import Container, Floor, Look, Material, Mesh, Part, Placement, Scene

GREY = Material((0.5, 0.5, 0.5), 0.5, 0.0)


def to_mesh(solid: trimesh.Trimesh) -> Mesh:
    return Mesh(solid.vertices.astype(np.float32), solid.faces.astype(np.int32))


def pose(position: Sequence[float], axis: Sequence[float] = (0, 0, 1), angle: float = 0.0) -> np.ndarray:
    T = trimesh.transformations.rotation_matrix(angle, axis)
    T[:3, 3] = position
    return T


def slabs(boxes: Sequence[tuple[Sequence[float], Sequence[float]]]) -> trimesh.Trimesh:
    """Boxes (sides, centre) side by side in one mesh."""
    return trimesh.util.concatenate([trimesh.creation.box(extents=s, transform=pose(c)) for s, c in boxes])


def brute_force(triangles: np.ndarray, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Nearest ray parameter (N,) over triangles (T, 3, 3), by Cramer's rule in float64; inf where nothing is hit."""
    edge1, edge2 = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    best = np.full(len(origins), np.inf)
    for k, (o, d) in enumerate(zip(origins, directions, strict=True)):
        system = np.stack([edge1, edge2, np.broadcast_to(-d, edge1.shape)], axis=2)  # (T, 3, 3)
        good = np.abs(np.linalg.det(system)) > 1e-15
        u, v, t = np.linalg.solve(system[good], (o - triangles[good, 0])[..., None])[..., 0].T
        t = t[(u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)]
        best[k] = t.min(initial=np.inf)
    return best


def faces_at(part: Part, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """The face (N,) that each point (N, 3) lies on and that looks along its normal (N, 3): nearest of them all."""
    corners = part.mesh.vertices.astype(float)[part.mesh.faces]  # (F, 3, 3)
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    found = np.empty(len(points), dtype=np.int32)
    for k, (point, normal) in enumerate(zip(points, normals, strict=True)):
        off = np.abs(((point - corners[:, 0]) * across).sum(axis=1))
        edges = np.roll(corners, -1, axis=1) - corners
        inward = np.cross(across[:, None], edges)
        outside = -np.min(((point - corners) * inward).sum(axis=2) / np.linalg.norm(inward, axis=2), axis=1)
        distance = np.hypot(off, np.clip(outside, 0, None)) + np.where(across @ normal > 0, 0, 1.0)
        found[k] = distance.argmin()
    return found


class Workshop:
    """What tests build scenes from."""

    def pose(self, *where: object, **turn: object) -> np.ndarray:
        return pose(*where, **turn)

    def brute_force(self, triangles: np.ndarray, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        return brute_force(triangles, origins, directions)

    def faces_at(self, part: Part, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        return faces_at(part, np.atleast_2d(points), np.atleast_2d(normals))

    def part(self, solid: trimesh.Trimesh, *, mass: float = 0.2, porosity: float = 0.0, name: str = "part") -> Part:
        return make_part(name, "family", to_mesh(solid), physics=Physics(mass, porosity=porosity), material=GREY)

    def box(self, x: float, y: float, z: float, **kind: float) -> Part:
        return self.part(trimesh.creation.box(extents=(x, y, z)), **kind)

    def table(self) -> Container:
        mesh = to_mesh(slabs([((2, 2, 0.02), (0, 0, -0.01))]))
        return Container("table", mesh, (), (2, 2, 0), GREY)

    def tote(self, x: float, y: float, z: float, wall: float = 0.01) -> Container:
        sides = [((x + 2 * wall, y + 2 * wall, wall), (0, 0, -wall / 2))]
        for sign in (-1, 1):
            sides.append(((wall, y + 2 * wall, z), (sign * (x + wall) / 2, 0, z / 2)))
            sides.append(((x, wall, z), (0, sign * (y + wall) / 2, z / 2)))
        return Container("tote", to_mesh(slabs(sides)), (), (x, y, z), GREY)

    def above(self, height: float, size: tuple[int, int] = (200, 160), focal: float = 200.0) -> Camera:
        """Straight above the origin, looking down; image right is world x, image down is world -y."""
        T = np.array([[1.0, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, height], [0, 0, 0, 1]])
        return Camera(size[0], size[1], focal, focal, size[0] / 2, size[1] / 2, T)

    def scene(
        self,
        placed: Sequence[tuple[Part, np.ndarray]],
        cameras: Sequence[Camera] = (),
        container: Container | None = None,
    ) -> Scene:
        parts: list[Part] = []
        for part, _ in placed:
            if not any(part is other for other in parts):
                parts.append(part)
        index = {id(part): k for k, part in enumerate(parts)}
        return Scene(
            id="test",
            parts=tuple(parts),
            placements=tuple(Placement(index[id(part)], T) for part, T in placed),
            container=container or self.table(),
            floor=Floor(-0.5, 5.0, GREY),
            look=Look((), (0.1, 0.1, 0.1), 100.0, 1.0),
            cameras=tuple(cameras),
        )


@pytest.fixture(scope="session")
def shop() -> Workshop:
    return Workshop()
