"""Damaged files give a part or a named refusal: never a traceback, never a hang."""

from __future__ import annotations

import functools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.world.parts.imported import meshes

from graspnext.errors import MeshFileError
from graspnext.world.parts.imported.baking import bake
from graspnext.world.parts.imported.isolation import isolated
from graspnext.world.parts.imported.loading import load
from graspnext.world.parts.imported.repair import repair
from graspnext.world.parts.imported.solids import solidify
from graspnext.world.parts.imported.sources import Source

KINDS = (*meshes.FORMATS, "gltf")
EDIT = st.tuples(st.sampled_from(["change", "cut", "drop", "insert", "repeat"]), st.floats(0, 1), st.binary(max_size=6))
FILES = st.tuples(st.sampled_from(KINDS), st.lists(EDIT, min_size=1, max_size=5))


@functools.cache
def whole(kind: str) -> bytes:
    if kind == "glb":
        return meshes.knob().export(file_type="glb")
    if kind == "gltf":
        files = meshes.knob().export(file_type="gltf")
        import base64
        import json

        tree = json.loads(files["model.gltf"])
        for buffer in tree["buffers"]:
            data = base64.b64encode(files[buffer["uri"]]).decode()
            buffer["uri"] = f"data:application/octet-stream;base64,{data}"
        return json.dumps(tree).encode()
    return meshes.encode(meshes.bracket(), kind)


def edited(content: bytes, edits: list[tuple[str, float, bytes]]) -> bytes:
    for edit, where, new in edits:
        at = int(where * len(content))
        if edit == "change":
            content = content[:at] + new + content[at + len(new) :]
        elif edit == "cut":
            content = content[:at]
        elif edit == "drop":
            content = content[:at] + content[at + len(new) :]
        elif edit == "insert":
            content = content[:at] + new + content[at:]
        else:
            content = content[:at] + content[at // 2 :]
    return content


def outcome(kind: str, content: bytes) -> str:
    def prepare() -> bytes:
        raw, _ = load(Source(f"x.{kind}", kind, content, {}, ()))
        solid, _ = solidify(repair(raw)[0])
        baked = bake(solid)
        assert solid.volume > 0 and len(baked.faces) == len(solid.faces)
        return b"part"

    try:
        return isolated(prepare, cpu_s=20, wall_s=60).decode()
    except MeshFileError as error:
        return str(error)


def test_vertices_of_two_coordinates_are_refused() -> None:
    assert "vertices without three coordinates" in outcome("obj", b"v 0 0\nv 1 0\nv 0 1\nf 1 2 3\n")


def check(kind: str, content: bytes) -> None:
    said = outcome(kind, content)
    assert said and "could not be prepared" not in said, said


@settings(max_examples=200, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(FILES)
def test_mutated_files_are_parts_or_refused(file: tuple[str, list[tuple[str, float, bytes]]]) -> None:
    check(file[0], edited(whole(file[0]), file[1]))


@pytest.mark.slow
@settings(max_examples=4000, deadline=None, suppress_health_check=list(HealthCheck))
@given(FILES)
def test_many_mutated_files(file: tuple[str, list[tuple[str, float, bytes]]]) -> None:
    check(file[0], edited(whole(file[0]), file[1]))


@pytest.mark.parametrize("kind", KINDS)
def test_every_whole_file_is_a_part(kind: str) -> None:
    assert outcome(kind, whole(kind)) == "part"
