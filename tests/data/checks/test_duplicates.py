"""Copies of scenes, told by pixels and layouts where names and bytes differ."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image
from tests.data.damage import bless, edit_json

from graspnext.data.check import check_dataset
from graspnext.data.checks.duplicates import check_duplicates
from graspnext.data.checks.findings import Findings
from graspnext.data.checks.scene import CheckedScene
from graspnext.data.checks.view import Fingerprint
from graspnext.data.format import FileHashes, ManifestEntry


def copy_scene(root: Path) -> None:
    shutil.rmtree(root / "scenes/000002")
    shutil.copytree(root / "scenes/000000", root / "scenes/000002")
    edit_json(root / "scenes/000002/scene.json", lambda scene: scene.update(scene="000002"))


def save_anew(path: Path, noise: int = 0) -> None:
    """Other bytes for the same picture, or nearly the same."""
    pixels = np.array(Image.open(path)).astype(np.int16)
    pixels += np.random.default_rng(0).integers(-noise, noise + 1, pixels.shape, dtype=np.int16)
    stream = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(stream, format="PNG", compress_level=9)
    path.write_bytes(stream.getvalue())


def test_the_same_picture_in_other_bytes_is_found_with_both_splits(copy: Path) -> None:
    copy_scene(copy)
    for view in (0, 1):
        save_anew(copy / f"scenes/000002/{view}_rgb.png")
    bless(copy)
    faults = check_dataset(copy)
    assert [fault.file for fault in faults] == ["scenes/000002/0_rgb.png", "scenes/000002/1_rgb.png"]
    assert "the picture is that of scene 000000 view 0 (splits train, novel)" in faults[0].problem


def test_nearly_the_same_picture_is_found(copy: Path) -> None:
    copy_scene(copy)
    for view in (0, 1):
        save_anew(copy / f"scenes/000002/{view}_rgb.png", noise=4)
    bless(copy)
    faults = check_dataset(copy)
    assert len(faults) == 2
    assert all("the picture is nearly that of scene 000000" in fault.problem for fault in faults)


def entry(scene: str) -> ManifestEntry:
    hashes = FileHashes(rgb="", depth="", suction="", labels="")
    return ManifestEntry(scene=scene, view=0, split="train", rgb="0_rgb.png", sha256=hashes)


def test_near_copies_are_what_comparing_all_pairs_finds() -> None:
    rng = np.random.default_rng(3)
    base = rng.integers(20, 230, (30, 24 * 24 * 3))
    picks = rng.integers(0, 30, 120)
    thumbnails = np.clip(base[picks] + rng.integers(-2, 3, (120, 24 * 24 * 3)), 0, 255).astype(np.uint8)
    scenes = [
        CheckedScene(f"{n:06d}", 1, [], [Fingerprint(entry(f"{n:06d}"), str(n), one.tobytes())], "")
        for n, one in enumerate(thumbnails)
    ]
    findings = Findings(Path())
    check_duplicates(findings, scenes)
    wide = thumbnails.astype(int)
    expected = sum(int(np.abs(wide[a] - wide[b]).max() <= 3) for a in range(120) for b in range(a))
    assert len(findings.faults) == expected


def test_the_same_layout_in_two_scenes_is_found(copy: Path) -> None:
    for scene in ("000000", "000001"):
        T = np.eye(4)
        placements = [{"id": n, "part": f"sheet_{n}", "T_world_part": T.tolist()} for n in range(1, 6)]
        edit_json(copy / f"scenes/{scene}/scene.json", lambda one, p=placements: one["info"].update(placements=p))  # type: ignore[misc]
    faults = [fault for fault in check_dataset(copy) if fault.field == "info.placements"]
    assert [fault.file for fault in faults] == ["scenes/000001/scene.json"]
    assert "as in scene 000000" in faults[0].problem


def test_many_processes_find_the_same(copy: Path) -> None:
    copy_scene(copy)
    bless(copy)
    (copy / "scenes/000001/0_depth.png").unlink()
    one = check_dataset(copy)
    assert check_dataset(copy, workers=2) == one
    assert len(one) == 3
    assert json.dumps([vars(fault) for fault in one])
