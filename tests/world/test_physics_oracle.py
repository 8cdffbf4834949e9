"""Settled scenes judged by their true meshes: exact intersections of solids, with nothing of the simulation in them."""

from __future__ import annotations

from collections.abc import Iterator

import manifold3d
import numpy as np
import pytest

from graspnext.errors import SceneError
from graspnext.types import Float64Array
from graspnext.world.parts.families import FAMILIES, sample_part
from graspnext.world.physics import settle
from graspnext.world.recipes import find_recipe
from graspnext.world.sampling import Contents, sample_contents
from graspnext.world.scene import Mesh, Placement

MM = 1000.0
DEEPEST_MM = 1.0
COVERED_MM = 0.5


def solid_of(mesh: Mesh) -> manifold3d.Manifold:
    """The mesh as a solid in millimetres, its doubled vertices made one."""
    points, inverse = np.unique(np.round(mesh.vertices.astype(np.float64), 7), axis=0, return_inverse=True)
    faces = inverse.ravel()[mesh.faces]
    faces = faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]
    made = manifold3d.Manifold(manifold3d.Mesh64(points * MM, faces.astype(np.uint64)))
    assert made.status() == manifold3d.Error.NoError
    return made


def thickness(shared: manifold3d.Manifold) -> float:
    """The least width, mm, of the thickest connected piece: how far apart the two would have to be pulled."""
    from scipy.spatial import ConvexHull, QhullError

    most = 0.0
    for piece in shared.decompose():
        points = np.asarray(piece.to_mesh64().vert_properties)[:, :3]
        try:
            hull = ConvexHull(points)
        except QhullError:  # flat: no thickness
            continue
        planes = hull.equations
        most = max(most, float((-(points @ planes[:, :3].T + planes[:, 3])).max(axis=0).min()))
    return most


def overlaps(contents: Contents, placements: tuple[Placement, ...]) -> Iterator[tuple[float, str]]:
    """Thickness, mm, of what any two parts, or a part and a box of the container, share."""
    shapes = [solid_of(part.mesh) for part in contents.parts]
    things: list[tuple[manifold3d.Manifold, str]] = []
    for placement in placements:
        T = placement.T_world_part[:3].copy()
        T[:, 3] *= MM
        things.append((shapes[placement.part].transform(T), contents.parts[placement.part].family))
    for half, center in contents.container.boxes:
        box = manifold3d.Manifold.cube(tuple(2 * MM * half), True).translate(tuple(MM * center))
        things.append((box, "wall"))
    bounds = np.array([solid.bounding_box() for solid, _ in things])
    for a in range(len(placements)):
        for b in range(a + 1, len(things)):
            if (bounds[a, :3] < bounds[b, 3:]).all() and (bounds[b, :3] < bounds[a, 3:]).all():
                shared = things[a][0] ^ things[b][0]
                if not shared.is_empty():
                    yield thickness(shared), f"{things[a][1]} and {things[b][1]}"


def judge(seeds: range) -> None:
    touching, settled = 0, 0
    for seed in seeds:
        rng = np.random.default_rng([41, seed])
        try:
            contents = sample_contents(find_recipe("default"), novel=seed % 10 == 9, rng=rng)
            placements = settle(contents, rng=rng)
        except SceneError:
            continue
        settled += 1
        for depth, pair in overlaps(contents, placements):
            assert depth <= DEEPEST_MM, f"scene {seed} ({contents.fill}): {pair} share {depth:.2f} mm"
            touching += 1
    assert settled > 0.8 * len(seeds)
    assert touching > 2 * settled  # things do touch: the oracle saw something


def test_no_part_inside_another_or_a_wall() -> None:
    judge(range(8))


@pytest.mark.slow
def test_no_part_inside_another_or_a_wall_in_many_scenes() -> None:
    judge(range(8, 120))


def test_the_oracle_sees_overlaps() -> None:
    cube = manifold3d.Manifold.cube((10, 10, 10), True)
    for depth in (0.3, 2.0):
        assert thickness(cube ^ cube.translate((10 - depth, 3, 2))) == pytest.approx(depth, abs=1e-6)
    assert (cube ^ cube.translate((10.1, 0, 0))).is_empty()


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_convex_pieces_cover_the_surface(family: str) -> None:
    """Points all over the true surface lie in, or half a millimetre off, one of the pieces that physics knows."""
    from scipy.spatial import ConvexHull

    for seed in range(3):
        part = sample_part(family, family, rng=np.random.default_rng(seed))
        corners = part.mesh.vertices[part.mesh.faces].astype(np.float64)
        weights = np.random.default_rng(seed).dirichlet(np.ones(3), size=len(corners))
        points: Float64Array = np.concatenate([corners.reshape(-1, 3), (corners * weights[..., None]).sum(axis=1)])
        outside = np.full(len(points), np.inf)
        for hull in part.hulls:
            planes = ConvexHull(hull.astype(np.float64)).equations
            outside = np.minimum(outside, (points @ planes[:, :3].T + planes[:, 3]).max(axis=1))
        assert outside.max() * MM <= COVERED_MM
