"""A folder of ten files, three of them broken: outcomes, units, cache, drawing, and a dataset made of them."""

from __future__ import annotations

import dataclasses
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import trimesh
from tests.world.parts.imported import meshes

from graspnext.cli import main as cli
from graspnext.data.check import check_dataset
from graspnext.data.reader import Dataset, read_manifest
from graspnext.errors import ConfigError, OutputError, PartsError
from graspnext.world.generate import GenerateConfig, generate
from graspnext.world.parts.catalog import sample_parts
from graspnext.world.parts.imported.folder import FileOutcome, PartFolder, read_folder
from graspnext.world.parts.imported.records import load_part
from graspnext.world.parts.imported.sources import read_source
from graspnext.world.recipes import Recipe, find_recipe
from graspnext.world.scene import Part

YAML = """
defaults: {friction: 0.5}
parts:
  box: {mass_kg: 0.25, suction: {directions: [+z]}}
  sub/knob: {novel: true, suction: {groups: ["*plastic*"]}, opacity: 0.5}
  cylinder: {count: 9, color: "#ff0000", finish: rubber, suction: none}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Do not change it."""
    folder = tmp_path_factory.mktemp("cad") / "ten"
    meshes.write_ten(folder)
    (folder / "parts.yaml").write_text(YAML)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of this file's tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _use(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    load_part.cache_clear()


@pytest.fixture(scope="module")
def read(folder: Path, home: Path) -> PartFolder:
    return read_folder(folder, workers=2, cache=home / "graspnext" / "parts")


def by_name(read: PartFolder) -> dict[str, FileOutcome]:
    return {outcome.file: outcome for outcome in read.outcomes}


def part_of(read: PartFolder, file: str) -> Part:
    about = by_name(read)[file].part
    assert about is not None
    return load_part(about)


def test_every_file_has_its_outcome(read: PartFolder) -> None:
    status = {file: outcome.status for file, outcome in by_name(read).items()}
    assert status == {
        "box.stl": "ok",
        "cylinder.off": "ok",
        "hole.stl": "repaired",
        "inverted.ply": "repaired",
        "nan.ply": "repaired",
        "open.off": "refused",
        "renamed.stl": "refused",
        "sub/carton.obj": "repaired",  # its texture is made smaller
        "sub/knob.glb": "ok",
        "truncated.stl": "refused",
    }
    assert "rename it to end in .ply" in by_name(read)["renamed.stl"].advice
    assert "open" in by_name(read)["open.off"].problem
    assert (read.unit.unit, read.unit.sure, read.prepared) == ("mm", True, 9)


def test_parts_have_their_size_and_moments(read: PartFolder) -> None:
    box = part_of(read, "box.stl")
    x, y, z = np.array(meshes.BOX) * 1e-3
    np.testing.assert_allclose(np.ptp(box.mesh.vertices, axis=0), (x, y, z), rtol=1e-6)
    assert (box.mass_kg, box.friction) == (0.25, 0.5)
    np.testing.assert_allclose(
        np.diag(box.inertia), 0.25 / 12 * np.array([y * y + z * z, x * x + z * z, x * x + y * y])
    )
    knob = part_of(read, "sub/knob.glb")
    np.testing.assert_allclose(np.ptp(knob.mesh.vertices, axis=0), (0.06, 0.06, 0.05), atol=1e-3)  # metres by format
    ball, plate = 4 / 3 * np.pi * 0.015**3, 0.06 * 0.06 * 0.01
    assert knob.center_of_mass[2] == pytest.approx(0.03 * ball / (ball + plate), rel=0.02)


def test_settings_reach_the_parts(read: PartFolder) -> None:
    box, knob, can = (part_of(read, file) for file in ("box.stl", "sub/knob.glb", "cylinder.off"))
    assert box.suckable is not None and box.suckable.sum() == 2
    up = trimesh.Trimesh(box.mesh.vertices, box.mesh.faces, process=False).face_normals[:, 2] > 0.9
    np.testing.assert_array_equal(box.suckable, up)
    assert knob.suckable is not None and knob.suckable.sum() == 1280 and knob.material.opacity == 0.5
    middle = knob.mesh.vertices[knob.mesh.faces].mean(axis=1)
    np.testing.assert_array_equal(knob.suckable, middle[:, 2] > 0.0101)
    assert can.suckable is not None and not can.suckable.any()
    assert can.material.color == (1.0, 0.0, 0.0) and can.material.texture is None


def test_second_run_reads_the_cache_only(folder: Path, read: PartFolder) -> None:
    again = read_folder(folder, workers=2)
    assert again.prepared == 0  # what was refused is remembered, too
    assert again.outcomes == read.outcomes


def test_one_worker_makes_the_same_bytes(folder: Path, read: PartFolder, home: Path, tmp_path: Path) -> None:
    other = read_folder(folder, workers=1, cache=tmp_path)
    assert other.outcomes == read.outcomes and other.digest == read.digest
    made = sorted(path.name for path in tmp_path.glob("*.npz"))
    assert len(made) == 7
    for name in made:
        assert (tmp_path / name).read_bytes() == (home / "graspnext" / "parts" / name).read_bytes()


def test_damaged_entries_are_remade(folder: Path, read: PartFolder, home: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(home / "graspnext" / "parts", cache)
    about = by_name(read)["box.stl"].part
    assert about is not None
    entry = cache / f"{about.key}.npz"
    whole = entry.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", whole[:100] + b"\0" * 50 + whole[150:]):
        entry.write_bytes(damaged)
        assert read_folder(folder, workers=1, cache=cache).outcomes == read.outcomes
        assert entry.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_said(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        read_folder(folder, cache=tmp_path / "file" / "cache")


@pytest.mark.parametrize(("scale", "stated", "unit", "sure"), [(1, None, "mm", True), (1e-3, None, "m", True)])
def test_unit_is_found_from_sizes(tmp_path: Path, scale: float, stated: str | None, unit: str, sure: bool) -> None:
    for number, side in enumerate((20, 80, 300)):
        (tmp_path / f"{number}.stl").write_bytes(meshes.encode(meshes.box((side * scale,) * 3), "stl"))
    read = read_folder(tmp_path, units=stated, workers=1, cache=tmp_path / "cache")
    assert (read.unit.unit, read.unit.sure) == (unit, sure)
    assert [outcome.size_mm and round(outcome.size_mm[0]) for outcome in read.outcomes] == [20, 80, 300]


def test_odd_sizes_are_refused_with_what_to_do(tmp_path: Path) -> None:
    for name, side in (("a", 40.0), ("b", 60.0), ("metres", 0.05), ("huge", 5000.0)):
        (tmp_path / f"{name}.stl").write_bytes(meshes.encode(meshes.box((side,) * 3), "stl"))
    cache = tmp_path / "cache"
    found = by_name(read_folder(tmp_path, workers=1, cache=cache))
    assert found["a.stl"].status == "ok"
    assert "too small" in found["metres.stl"].problem and "units: m`" in found["metres.stl"].advice
    assert "too large" in found["huge.stl"].problem
    (tmp_path / "parts.yaml").write_text("parts: {metres: {units: m}}")
    assert by_name(read_folder(tmp_path, cache=cache))["metres.stl"].status == "ok"
    assert by_name(read_folder(tmp_path, units="m", cache=cache))["a.stl"].status == "refused"
    with pytest.raises(ConfigError, match="units"):
        read_folder(tmp_path, units="inch", cache=cache)


def test_an_ambiguous_folder_says_so(tmp_path: Path) -> None:
    (tmp_path / "unit.stl").write_bytes(meshes.encode(meshes.box((1, 1, 1)), "stl"))
    assert not read_folder(tmp_path, workers=1, cache=tmp_path / "cache").unit.sure


def test_lost_groups_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "knob.glb").write_bytes(meshes.knob().export(file_type="glb"))
    (tmp_path / "parts.yaml").write_text("parts: {knob: {suction: {groups: [lid]}}}")
    (outcome,) = read_folder(tmp_path, workers=1, cache=tmp_path / "cache").outcomes
    assert "'lid'" in outcome.problem and "red plastic" in outcome.advice


def test_folders_without_parts_are_named(tmp_path: Path) -> None:
    with pytest.raises(PartsError, match="no such folder"):
        read_folder(tmp_path / "none")
    with pytest.raises(PartsError, match="holds no mesh"):
        read_folder(tmp_path)
    (tmp_path / "x.step").write_text("ISO-10303-21;")
    with pytest.raises(PartsError, match="no file can be used"):
        read_folder(tmp_path).parts()


def draw(recipe: Recipe, distinct: int, *, novel: bool = False, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [part.name for part in sample_parts(recipe, distinct, novel=novel, suits=lambda _: True, rng=rng)]


def test_scenes_draw_from_the_parts(read: PartFolder) -> None:
    recipe = find_recipe("smoke").with_imported(read.parts())
    ordinary = {"box", "cylinder", "hole", "inverted", "nan", "sub/carton"}
    assert sorted(draw(recipe, 50)) == sorted(ordinary) and draw(recipe, 50, novel=True) == ["sub/knob"]
    first = [draw(recipe, 1, seed=seed)[0] for seed in range(100)]
    assert 50 <= first.count("cylinder") <= 78  # weight 9 of 14
    mixed = dataclasses.replace(recipe, imported_share=0.5)
    names = [name for seed in range(60) for name in draw(mixed, 2, seed=seed)]
    assert 40 <= sum(name in ordinary for name in names) <= 80
    none = find_recipe("smoke")
    assert none.with_imported(read.parts()).novel_every == none.novel_every
    some = dataclasses.replace(read.parts(), parts=read.parts().of(novel=False))
    assert none.with_imported(some).novel_every == 0


def test_a_lost_cache_is_named(read: PartFolder, tmp_path: Path) -> None:
    about = by_name(read)["box.stl"].part
    assert about is not None
    with pytest.raises(PartsError, match="does not hold part 'box'"):
        load_part(about, tmp_path)


def test_a_dataset_of_them_is_clean(read: PartFolder, tmp_path: Path) -> None:
    recipe = dataclasses.replace(
        find_recipe("smoke").with_imported(read.parts()), novel_every=2, scenes=4, views=1, image_size=(96, 128)
    )
    out = tmp_path / "bins"
    report = generate(out, recipe=recipe, config=GenerateConfig(seed=3, workers=1, renderer="classic"))
    assert report.scenes == 4 and check_dataset(out) == []
    dataset = Dataset(out)
    novel = {i.part for entry in dataset.split("novel") for i in dataset.read(entry).labels.instances}
    assert novel == {"sub/knob"}
    assert len(read_manifest(out)) == 4
    parts = read.parts()
    heavier = tuple(dataclasses.replace(one, mass_kg=2.5) if one.name == "box" else one for one in parts.parts)
    for changed, message in (
        (dataclasses.replace(parts, digest="0" * 64), r"recipe\.imported = meshes .*, not meshes 000000000000;"),
        (dataclasses.replace(parts, parts=heavier), r"recipe\.imported\.box\.mass_kg = .*, not 2\.5;"),
    ):
        with pytest.raises(OutputError, match=message):
            generate(
                out,
                recipe=dataclasses.replace(recipe, imported=changed),
                config=GenerateConfig(seed=3, workers=1, renderer="classic", resume=True),
            )


def test_command_lists_all_and_says_two(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["world", "parts", str(folder), "--json", str(tmp_path / "parts.json")]) == 2
    said = capsys.readouterr().out
    for file in ("box.stl", "sub/knob.glb", "truncated.stl"):
        assert file in said
    assert "3 refused" in said and "1 held out" in said and "unit mm" in said
    assert (tmp_path / "parts.json").is_file()
    assert cli.main(["world", "parts", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_a_header_nested_without_end_is_refused(tmp_path: Path) -> None:
    """JSON that no parser follows to its end."""
    deep = b"[" * 200_000
    size = (len(deep)).to_bytes(4, "little")
    (tmp_path / "deep.gltf").write_bytes(b'{"asset":' + deep)
    (tmp_path / "deep.glb").write_bytes(b"glTF" + bytes([2, 0, 0, 0]) + size + size + b"JSON" + deep)
    meshes.box().export(tmp_path / "good.stl")
    status = {one.file: one.status for one in read_folder(tmp_path, workers=1).outcomes}
    assert status == {"deep.glb": "refused", "deep.gltf": "refused", "good.stl": "ok"}


def test_a_name_of_many_blanks_takes_no_time(tmp_path: Path) -> None:
    blanks = b" " * 1_000_000
    (tmp_path / "a.obj").write_bytes(b"mtllib " + blanks + b"\nmtllib x" + blanks + b"y.mtl" + blanks + b"\nv 0 0 0\n")
    start = time.process_time()
    source = read_source(tmp_path, "a.obj")
    assert time.process_time() - start < 5
    assert len(source.missing) == 1 and source.missing[0].startswith("x ") and source.missing[0].endswith(" y.mtl")
