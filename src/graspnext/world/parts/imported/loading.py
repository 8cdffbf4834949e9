"""From the bytes of a mesh file to a `RawMesh`, through trimesh. Runs where a crash or a hang harms nobody."""

from __future__ import annotations

import io
import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from graspnext.errors import MeshFileError
from graspnext.types import Float32Array, UInt8Array
from graspnext.world.looks.appearance import to_linear
from graspnext.world.parts.imported.raw_mesh import RawMesh, Surface, to_srgb
from graspnext.world.parts.imported.sources import Source

MAX_FACES = 1_000_000
"""More faces than this are refused: simplifying them here would take minutes."""
MAX_GROUPS = 4096
MAX_TEXTURE_PX = 1024
"""Longer sides of a texture are scaled down to this."""
_MAX_PICTURE_PX = 64_000_000
_MAX_COORDINATE = 1e12
_AGAIN = "export it again"


class _Sidecars:
    """What trimesh asks for the files that a mesh refers to: only those that were read beforehand."""

    def __init__(self, source: Source) -> None:
        self._content = source.sidecars

    def get(self, name: str) -> bytes:
        return self._content[name]

    __getitem__ = get

    def namespaced(self, _namespace: str) -> _Sidecars:
        return self


def load(source: Source) -> tuple[RawMesh, list[str]]:
    """Read a mesh file: all its meshes in one, each placed by the file's scene graph.

    Args:
        source: The file and what it refers to.

    Returns:
        The mesh in the file's units, and remarks on what could not be read.

    Raises:
        MeshFileError: The file is damaged, holds no faces, or too many.
    """
    import trimesh

    options = {"split_objects": True, "split_groups": True} if source.kind == "obj" else {}
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            scene = trimesh.load_scene(
                io.BytesIO(source.content), file_type=source.kind, resolver=_Sidecars(source), process=False, **options
            )
            placed = _placed(scene)
    except MeshFileError:
        raise
    except Exception as error:  # a parser given damaged bytes may raise anything
        lost = [name for name in source.missing if source.kind in {"glb", "gltf"}]
        if lost:
            raise MeshFileError(f"it refers to {', '.join(lost)}, not found", "put it beside the file") from error
        reason = " ".join(str(error).split())[:120]
        raise MeshFileError(f"damaged {source.kind.upper()} ({type(error).__name__}: {reason})", _AGAIN) from error
    if not placed:
        raise MeshFileError("the file holds no faces", "export the part as triangles")
    remarks = [f"{name} not found" for name in source.missing]
    mesh = _merge(placed, remarks)
    if mesh.shade is not None and source.kind in {"glb", "gltf"}:
        mesh = replace(mesh, shade=to_srgb(mesh.shade))  # the format's vertex colours are linear light
    return mesh, remarks


def _placed(scene: Any) -> list[tuple[Any, np.ndarray, tuple[str, ...]]]:
    """Every mesh of a scene with its pose (4, 4) and names, in a fixed order."""
    import trimesh

    found: list[tuple[Any, np.ndarray, tuple[str, ...]]] = []
    faces = 0
    for node in sorted(scene.graph.nodes_geometry):
        T, name = scene.graph[node]
        mesh = scene.geometry[name]
        if not isinstance(mesh, trimesh.Trimesh) or len(mesh.faces) == 0:
            continue
        T = np.asarray(T, dtype=np.float64)
        if not np.isfinite(T).all() or abs(np.linalg.det(T[:3, :3])) < 1e-30:
            raise MeshFileError(f"the pose of '{node}' in its scene is no movement", _AGAIN)
        faces += len(mesh.faces)
        if faces > MAX_FACES:
            raise MeshFileError(f"more than {MAX_FACES} faces", "reduce them in your CAD program; 20000 are plenty")
        found.append((mesh, T, (str(node), str(name))))
    if len(found) > MAX_GROUPS:
        raise MeshFileError(f"{len(found)} meshes in one file", f"join them: at most {MAX_GROUPS} are read")
    return found


def _merge(placed: list[tuple[Any, np.ndarray, tuple[str, ...]]], remarks: list[str]) -> RawMesh:
    points, faces, group, uv, shade = [], [], [], [], []
    surfaces: list[Surface] = []
    pictures: dict[int, UInt8Array | None] = {}
    offset = 0
    for mesh, T, names in placed:
        vertices = np.asarray(mesh.vertices, dtype=np.float64)
        if vertices.ndim != 2 or vertices.shape[1] != 3:  # OBJ: every line may hold another number of them
            raise MeshFileError("vertices without three coordinates", _AGAIN)
        index = np.asarray(mesh.faces, dtype=np.int64)
        if index.min() < 0 or index.max() >= len(vertices):
            raise MeshFileError("faces name vertices that are not there", _AGAIN)
        with np.errstate(all="ignore"):
            vertices = vertices @ T[:3, :3].T + T[:3, 3]
        vertices[~(np.abs(vertices) < _MAX_COORDINATE)] = np.nan  # infinite or absurd: treated as missing
        if np.linalg.det(T[:3, :3]) < 0:
            index = index[:, ::-1]
        surface, coordinates, colors = _surface(mesh, index, names, pictures, remarks)
        points.append(vertices)
        faces.append(index + offset)
        group.append(np.full(len(index), len(surfaces)))
        surfaces.append(surface)
        uv.append(coordinates)
        shade.append(colors)
        offset += len(vertices)
    return RawMesh(
        np.concatenate(points),
        np.concatenate(faces),
        np.concatenate(group),
        tuple(surfaces),
        _stacked(uv, faces, 2, 0.5),
        _stacked(shade, faces, 3, 1.0),
    )


def _stacked(
    blocks: list[Float32Array | None], faces: list[np.ndarray], channels: int, default: float
) -> Float32Array | None:
    """(F, 3, channels) of all groups, `default` where a group has none; None where no group has any."""
    if all(block is None for block in blocks):
        return None
    return np.concatenate(
        [
            np.full((len(index), 3, channels), default, np.float32) if block is None else block
            for block, index in zip(blocks, faces, strict=True)
        ]
    )


def _surface(
    mesh: Any, index: np.ndarray, names: tuple[str, ...], pictures: dict[int, UInt8Array | None], remarks: list[str]
) -> tuple[Surface, Float32Array | None, Float32Array | None]:
    """Look, texture coordinates (F, 3, 2) and colours (F, 3, 3) of one mesh."""
    visual = mesh.visual
    material = getattr(visual, "material", None)
    uv = getattr(visual, "uv", None)
    coordinates = None
    if uv is not None and len(uv) == len(mesh.vertices) and np.isfinite(uv).all():
        coordinates = np.asarray(uv, dtype=np.float32)[:, :2][index]  # (F, 3, 2)
    colors = None
    if getattr(visual, "kind", None) == "vertex":
        colors = visual.vertex_colors[index]
    elif getattr(visual, "kind", None) == "face":
        colors = np.asarray(visual.face_colors)[:, None].repeat(3, axis=1)
    elif (extra := getattr(visual, "vertex_attributes", {}).get("color")) is not None and len(extra):
        colors = np.asarray(extra)[index]
        if colors.dtype.kind == "f":
            colors = 255 * np.clip(np.nan_to_num(colors), 0, 1)
    shade = None if colors is None else (colors[..., :3].astype(np.float32) / 255)
    surface = Surface(tuple(dict.fromkeys(names)))
    if material is not None:
        surface = _from_material(material, names, pictures, remarks)
    if coordinates is None and surface.texture is not None:
        surface = Surface(surface.names, surface.color, surface.roughness, surface.metallic)
    return surface, coordinates, shade


def _from_material(
    material: Any, names: tuple[str, ...], pictures: dict[int, UInt8Array | None], remarks: list[str]
) -> Surface:
    called = tuple(dict.fromkeys([*names, *([str(material.name)] if material.name else [])]))
    if hasattr(material, "baseColorFactor"):
        factor = material.baseColorFactor
        color = (1.0, 1.0, 1.0) if factor is None else tuple(float(c) / 255 for c in factor[:3])
        rough, metal = _roughness_metallic(material)
        picture = _picture(material.baseColorTexture, pictures, remarks)
        return Surface(called, (color[0], color[1], color[2]), rough, metal, picture)
    stated = material.kwargs
    picture = _picture(material.image, pictures, remarks)
    plain = None
    if picture is not None:
        plain = (1.0, 1.0, 1.0)  # writers leave a grey beside a texture that no viewer multiplies
    elif "kd" in stated:
        plain = to_linear(tuple(int(c) for c in material.diffuse[:3]))  # type: ignore[arg-type]
    gloss, shine = _number(stated.get("pr")), _number(stated.get("ns"), 1000.0)
    if gloss is None and shine is not None:
        gloss = float(np.sqrt(2 / (shine + 2)))  # Blinn-Phong exponent to roughness
    return Surface(called, plain, gloss, _number(stated.get("pm")), picture)


def _roughness_metallic(material: Any) -> tuple[float, float]:
    """Factors times the mean of their texture; 1 where the file is silent, as glTF says."""
    rough = 1.0 if material.roughnessFactor is None else float(material.roughnessFactor)
    metal = 1.0 if material.metallicFactor is None else float(material.metallicFactor)
    if material.metallicRoughnessTexture is not None:
        try:
            small = material.metallicRoughnessTexture.convert("RGB").resize((32, 32))
        except (OSError, ValueError, SyntaxError):
            return rough, metal
        mean = np.asarray(small, dtype=np.float64).mean(axis=(0, 1)) / 255
        rough, metal = rough * float(mean[1]), metal * float(mean[2])
    return float(np.clip(rough, 0, 1)), float(np.clip(metal, 0, 1))


def _number(value: Any, most: float = 1.0) -> float | None:
    """The first number of an MTL value within [0, most], or None."""
    try:
        number = float(np.ravel(value)[0])
    except (TypeError, ValueError, IndexError):
        return None
    return float(np.clip(number, 0, most)) if np.isfinite(number) else None


def _picture(image: Any, known: dict[int, UInt8Array | None], remarks: list[str]) -> UInt8Array | None:
    """A texture as (H, W, 3) uint8, scaled down where it is large; None where it cannot be read."""
    if image is None:
        return None
    if id(image) not in known:
        known[id(image)] = _decoded(image, remarks)
    return known[id(image)]


def _decoded(image: Any, remarks: list[str]) -> UInt8Array | None:
    from PIL import Image

    if image.width * image.height > _MAX_PICTURE_PX:
        remarks.append(f"a texture of {image.width}x{image.height} px is too large and was left out")
        return None
    try:
        plain = image.convert("RGB")
    except (OSError, ValueError, SyntaxError):
        remarks.append("a texture is damaged and was left out")
        return None
    if max(plain.size) > MAX_TEXTURE_PX:
        scale = MAX_TEXTURE_PX / max(plain.size)
        size = (max(1, round(plain.width * scale)), max(1, round(plain.height * scale)))
        remarks.append(f"texture scaled from {plain.width}x{plain.height} to {size[0]}x{size[1]} px")
        plain = plain.resize(size, Image.Resampling.LANCZOS)
    return np.asarray(plain, dtype=np.uint8)
