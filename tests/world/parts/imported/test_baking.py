"""Looks of files against what is read off the baked texture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from tests.world.parts.imported import meshes

from graspnext.world.parts.imported.preparing import make_shape
from graspnext.world.parts.imported.shape import Shape
from graspnext.world.parts.imported.sources import Source, read_source


def face_colors(shape: Shape) -> np.ndarray:
    """(F, 3) sRGB read from the texture at the middle of each face."""
    assert shape.texture is not None and shape.uv is not None
    height, width = shape.texture.shape[:2]
    middle = shape.uv[shape.faces].mean(axis=1)
    column = np.clip((middle[:, 0] * width).astype(int), 0, width - 1)
    row = np.clip(((1 - middle[:, 1]) * height).astype(int), 0, height - 1)
    return shape.texture[row, column].astype(float)


def test_textures_come_with_their_file_and_are_scaled_down(tmp_path: Path) -> None:
    meshes.textured_box((200, 30, 30)).export(tmp_path / "carton.obj")
    source = read_source(tmp_path, "carton.obj")
    assert len(source.sidecars) == 2 and not source.missing
    shape = make_shape(source)
    assert shape.texture is not None and shape.texture.shape == (1024, 512, 3)
    assert "2048" in "; ".join(shape.notes)
    np.testing.assert_allclose(face_colors(shape), np.tile([200, 30, 30], (12, 1)), atol=4)
    for name in source.sidecars:
        (tmp_path / Path(name).name).unlink()
    bare = read_source(tmp_path, "carton.obj")
    assert bare.missing and bare.digest != source.digest
    assert "not found" in "; ".join(make_shape(bare).notes)


def test_materials_of_a_scene_become_one_texture() -> None:
    content = meshes.knob().export(file_type="glb")
    shape = make_shape(Source("knob.glb", "glb", content, {}, ()))
    steel = np.array([any("steel" in name for name in names) for names in shape.groups])[shape.group]
    assert 0 < steel.sum() < len(steel)
    colors = face_colors(shape)
    grey = 255 * (1.055 * 0.6 ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(colors[steel], grey, atol=3)
    assert (colors[~steel][:, 0] > 200).all() and (colors[~steel][:, 1:] < 10).all()
    corners = shape.vertices[shape.faces]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    assert shape.metallic == pytest.approx(areas[steel].sum() / areas.sum(), abs=1e-6)
    assert shape.roughness == pytest.approx(0.25)
    assert shape.vertices[shape.faces[~steel]][..., 2].max() == pytest.approx(0.045)  # moved by its node


@pytest.mark.parametrize("kind", ["ply", "obj"])
def test_vertex_colours_blend_over_faces(kind: str) -> None:
    mesh = trimesh.creation.icosphere(3, 25)
    colors = (127 + 127 * mesh.vertices / 25).astype(np.uint8)
    mesh.visual.vertex_colors = np.column_stack([colors, np.full(len(colors), 255)])
    shape = make_shape(meshes.source(mesh, kind))
    middle = shape.vertices[shape.faces].mean(axis=1)
    np.testing.assert_allclose(face_colors(shape), 127 + 127 * middle / 25, atol=6)


def test_mirrored_nodes_stay_outward() -> None:
    scene = trimesh.Scene()
    scene.add_geometry(meshes.bracket(), transform=np.diag([-1.0, 1.0, 1.0, 1.0]))
    shape = make_shape(Source("m.glb", "glb", scene.export(file_type="glb"), {}, ()))
    assert shape.volume == pytest.approx(40 * (60 * 4 + 4 * 46), rel=1e-5)
    assert shape.vertices[:, 0].min() == pytest.approx(-60)
