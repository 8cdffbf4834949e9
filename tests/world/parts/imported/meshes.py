"""Meshes of known shape, written by the tests themselves."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from graspnext.world.parts.imported.sources import KINDS, Source

FORMATS = tuple(kind for kind in KINDS if kind != "gltf")
BOX = (40.0, 60.0, 80.0)


def encode(mesh: trimesh.Trimesh, kind: str) -> bytes:
    content = trimesh.exchange.export.export_mesh(mesh, None, file_type=kind)
    return content if isinstance(content, bytes) else content.encode()


def source(mesh: trimesh.Trimesh, kind: str = "ply") -> Source:
    return Source(f"part.{kind}", kind, encode(mesh, kind), {}, ())


def box(sides: tuple[float, float, float] = BOX) -> trimesh.Trimesh:
    return trimesh.creation.box(sides)


def bracket() -> trimesh.Trimesh:
    """An L of two plates, 60 x 40 x 4 and 4 x 40 x 46 above it, extruded along y."""
    outline = np.array([(0, 0), (60, 0), (60, 4), (4, 4), (4, 50), (0, 50)], dtype=float)
    triangles = np.array([(0, 1, 2), (0, 2, 3), (0, 3, 4), (0, 4, 5)])
    bottom = np.column_stack([outline[:, 0], np.zeros(6), outline[:, 1]])
    vertices = np.concatenate([bottom, bottom + np.array([0, 40, 0])])
    sides = [f for i in range(6) for j in [(i + 1) % 6] for f in ((i, i + 6, j), (j, i + 6, j + 6))]
    faces = np.concatenate([triangles, triangles[:, ::-1] + 6, np.array(sides)])
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    if mesh.volume < 0:
        mesh.invert()
    return mesh


def textured_box(color: tuple[int, int, int] = (200, 30, 30)) -> trimesh.Trimesh:
    mesh = box((50, 50, 50))
    mesh.unmerge_vertices()
    normals = np.repeat(mesh.face_normals, 3, axis=0)
    others = np.array([[1, 2], [0, 2], [0, 1]])[np.abs(normals).argmax(axis=1)]
    uv = np.take_along_axis(mesh.vertices, others, axis=1) / 50 + 0.5
    picture = np.full((2048, 1024, 3), color, dtype=np.uint8)
    material = trimesh.visual.material.SimpleMaterial(image=Image.fromarray(picture), name="card")
    mesh.visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    return mesh


def knob() -> trimesh.Scene:
    """Two bodies of two materials, one moved by the scene graph; metres."""

    def material(name: str, color: list[float], metallic: float) -> trimesh.visual.TextureVisuals:
        pbr = trimesh.visual.material.PBRMaterial(
            name=name, baseColorFactor=color, metallicFactor=metallic, roughnessFactor=0.25
        )
        return trimesh.visual.TextureVisuals(material=pbr)

    base, ball = box((0.06, 0.06, 0.01)), trimesh.creation.icosphere(3, 0.015)
    base.visual = material("steel", [0.6, 0.6, 0.6, 1.0], 1.0)
    ball.visual = material("red plastic", [0.8, 0.0, 0.0, 1.0], 0.0)
    scene = trimesh.Scene()
    scene.add_geometry(base, node_name="base")
    scene.add_geometry(ball, node_name="ball", transform=trimesh.transformations.translation_matrix((0, 0, 0.03)))
    return scene


def with_nan() -> trimesh.Trimesh:
    ring = trimesh.creation.torus(20, 6)
    vertices = ring.vertices.copy()
    vertices[3] = np.nan
    return trimesh.Trimesh(vertices, ring.faces, process=False, validate=False)


def inverted() -> trimesh.Trimesh:
    mesh = box()
    mesh.invert()
    return mesh


def without(mesh: trimesh.Trimesh, faces: int) -> trimesh.Trimesh:
    mesh.update_faces(np.arange(len(mesh.faces)) >= faces)
    return mesh


def write_ten(folder: Path) -> None:
    """Ten files in the five formats: four whole, three damaged and repairable, three that are no parts."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "box.stl").write_bytes(encode(box(), "stl"))
    (folder / "cylinder.off").write_bytes(encode(trimesh.creation.cylinder(20, 50, sections=64), "off"))
    (folder / "sub").mkdir(exist_ok=True)
    (folder / "sub" / "knob.glb").write_bytes(knob().export(file_type="glb"))
    textured_box().export(folder / "sub" / "carton.obj")
    (folder / "inverted.ply").write_bytes(encode(inverted(), "ply"))
    (folder / "nan.ply").write_bytes(encode(with_nan(), "ply"))
    (folder / "hole.stl").write_bytes(encode(without(trimesh.creation.icosphere(4, 25), 40), "stl"))
    (folder / "open.off").write_bytes(encode(without(box((30, 30, 30)), 2), "off"))
    whole = encode(trimesh.creation.icosphere(3, 20), "stl")
    (folder / "truncated.stl").write_bytes(whole[: len(whole) // 2])
    (folder / "renamed.stl").write_bytes(encode(box(), "ply"))


def png(color: tuple[int, int, int]) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), color).save(stream, format="PNG")
    return stream.getvalue()
