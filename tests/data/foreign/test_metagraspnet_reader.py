"""Reading MetaGraspNet's files against the pile they were written from."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.data.foreign.metagraspnet_files import (
    FLOOR_CM,
    Pile,
    com_keypoints,
    small_pile,
    suction_points,
    write_models,
    write_real_scene,
    write_sim_view,
)

from graspnext.data.foreign.metagraspnet_layout import find_scenes, find_views, read_splits
from graspnext.data.foreign.metagraspnet_reader import MetaGraspNet, MetaGraspNetOptions
from graspnext.data.foreign.source import Account
from graspnext.errors import ConfigError, DatasetError
from graspnext.types import View


def read(root: Path, view: int = 0, **options: object) -> tuple[View, Account]:
    """The only view of the only scene, which must be readable."""
    source = MetaGraspNet(root, MetaGraspNetOptions(**options))  # type: ignore[arg-type]
    account = Account()
    found = source.read(source.scenes()[0], view, account)
    assert found is not None
    return found, account


def refusal(root: Path, **options: object) -> tuple[int, str]:
    source = MetaGraspNet(root, MetaGraspNetOptions(**options))  # type: ignore[arg-type]
    account = Account()
    views = list(source.views(source.scenes()[0], account))
    return len(views), " | ".join(map(str, account.refused))


@pytest.mark.parametrize("stack_key", ["seg_masks_single", "occlusion_objects"])
@pytest.mark.parametrize("pose_key", ["pose_relative_to_world", "poses_relative_to_world"])
def test_a_simulated_view(tmp_path: Path, stack_key: str, pose_key: str) -> None:
    pile = small_pile()
    folder = tmp_path / "mnt/data1/data_ifl_3/scene1557"
    write_sim_view(folder, 21, pile, stack_key=stack_key, pose_key=pose_key, dtype="uint8")
    view, account = read(tmp_path, 21)
    assert account.notes == [] and (view.scene_id, view.view_id) == ("scene1557", 21)
    assert view.image.shape == (120, 120, 3) and view.image[..., 0].std() > 5  # alpha is 7 everywhere
    assert view.labels.missing == frozenset() and view.labels.approximate == {"center_of_mass", "suction"}
    np.testing.assert_allclose(view.labels.depth_m, pile.depth_cm / 100, rtol=1e-6)
    camera = view.camera
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (240, 240, 60, 60)  # the middle, where none is given
    assert camera.T_world_camera[2, 3] == pytest.approx(FLOOR_CM / 100) and camera.T_world_camera[1, 1] == -1
    assert [one.id for one in view.labels.instances] == [1, 2, 3, 4]
    for index, one in enumerate(view.labels.instances):
        np.testing.assert_array_equal(one.amodal_mask, pile.amodal[index])
        np.testing.assert_array_equal(one.visible_mask, pile.visible[index])
        assert one.occluded_rate == pytest.approx(pile.rates[index], abs=1e-4)
        assert one.occluded == (pile.rates[index] >= 0.05)
        assert one.part == one.family == f"ifl_{pile.categories[index]:03d}"
        np.testing.assert_allclose(one.T_camera_part[:3, 3] * 100, pile.point_cm(index + 1, *pile.discs[index][:2]))
    np.testing.assert_array_equal(view.labels.instance_ids, pile.ids)
    assert [one.layer for one in view.labels.instances] == [2, 1, 0, 0]  # a chain of three, and one alone
    assert account.info["layout"]["21"] == {"1": 1, "2": 1, "3": 0, "4": 0}


def test_nan_and_zero_depth_are_missing(tmp_path: Path) -> None:
    pile = small_pile()
    write_sim_view(tmp_path / "scene3", 0, pile, nan_depth=True)
    view, _ = read(tmp_path)
    assert (view.labels.depth_m[5:9, 5:9] == 0).all() and (view.labels.depth_m[50:52, 44:47] == 0).all()
    assert np.isfinite(view.labels.depth_m).all() and "depth" in view.labels.approximate


def nearest_value(pile: Pile, radius_px: float) -> np.ndarray:  # type: ignore[type-arg]
    """Brute force: for each pixel the best score among the contacts of its own disc within the cup, as seen."""
    points, scores, owners = suction_points(pile)
    u = points[:, 0] / points[:, 2] * pile.focal + pile.width / 2
    v = points[:, 1] / points[:, 2] * pile.focal + pile.height / 2
    seen = pile.ids[v.astype(int), u.astype(int)] == owners  # not under another disc
    out = np.zeros(pile.ids.shape)
    for row, column in np.argwhere(pile.ids > 0):
        near = np.hypot(u - column - 0.5, v - row - 0.5) <= radius_px
        hit = near & seen & (owners == pile.ids[row, column])
        out[row, column] = scores[hit].max(initial=0)
    return out


def test_suction_points_become_a_dense_map(tmp_path: Path) -> None:
    pile = small_pile()
    write_sim_view(tmp_path / "scene3", 0, pile)
    disc, _ = read(tmp_path, suction_radius_m=0.0109)  # about 3 px
    point, _ = read(tmp_path, suction_splat="point")
    gaussian, _ = read(tmp_path, suction_splat="gaussian", suction_radius_m=0.0109)
    low, high = nearest_value(pile, 2.9), nearest_value(pile, 3.3)  # discs at four depths
    assert (disc.labels.suction >= low - 1e-6).all() and (disc.labels.suction <= high + 1e-6).all()
    assert low.max() == pytest.approx(1) and (disc.labels.suction > 0).sum() > 5 * (point.labels.suction > 0).sum() > 0
    assert (gaussian.labels.suction <= disc.labels.suction + 1e-6).all()
    assert (point.labels.suction[pile.ids == 0] == 0).all() and (disc.labels.suction[pile.ids == 0] == 0).all()
    # colliding grasps all have score 1: had they been taken, the map would be 1 in places where it is not
    assert np.unique(np.round(point.labels.suction, 3)).size > 5


def test_hidden_contacts_do_not_count_for_what_hides_them(tmp_path: Path) -> None:
    pile = Pile([(60.0, 60.0, 30.0), (60.0, 60.0, 20.0), (10.0, 10.0, 5.0), (110.0, 110.0, 5.0)])
    write_sim_view(tmp_path / "scene3", 0, pile)
    with h5py.File(tmp_path / "scene3/0_scene.hdf5", "a") as file:
        group = file["non_colliding_grasps/suctioncup"]
        owners = group["object_id"][()] - 40
        group["score_analytical"][...] = np.where(owners == 1, 0.9, 0.2)  # the middle of disc 1 is under disc 2
    view, _ = read(tmp_path)
    assert view.labels.suction[pile.ids == 2].max() == pytest.approx(0.2)
    assert view.labels.suction[pile.ids == 1].max() == pytest.approx(0.9)


def test_rough_centres_come_from_the_best_visible_points(tmp_path: Path) -> None:
    pile = small_pile()
    write_sim_view(tmp_path / "scene3", 0, pile)
    view, _ = read(tmp_path)
    keypoints, owners = com_keypoints(pile)
    for number, one in enumerate(view.labels.instances, start=1):
        u, v, _ = pile.discs[number - 1]
        best = keypoints[owners == number][:, 0].max()
        radius = pile.discs[number - 1][2]
        assert np.hypot(one.center_of_mass[0] - u, one.center_of_mass[1] - v) <= (1 - best) * radius + 6
        assert one.center_of_mass[2] == pytest.approx(pile.z_cm(number) / 100, abs=1e-4)


def test_models_give_true_centres(tmp_path: Path) -> None:
    pytest.importorskip("trimesh")
    pile = small_pile()
    write_sim_view(tmp_path / "set/scene3", 0, pile)
    write_models(tmp_path / "models_ifl", pile.categories, (0.01, -0.02, 0.005))
    view, _ = read(tmp_path / "set", models=tmp_path / "models_ifl")
    assert view.labels.approximate == {"suction"}
    for number, one in enumerate(view.labels.instances, start=1):
        x, y, z = pile.point_cm(number, *pile.discs[number - 1][:2]) / 100 + (0.01, -0.02, 0.005)
        wanted = (x / z * pile.focal + 60, y / z * pile.focal + 60, z)
        np.testing.assert_allclose(one.center_of_mass, wanted, atol=1e-3)


def test_a_real_scene(tmp_path: Path) -> None:
    pile = small_pile()
    write_real_scene(tmp_path / "mnt/data1/data_ifl_real/scene418", pile)
    source = MetaGraspNet(tmp_path, MetaGraspNetOptions())
    account = Account()
    (view,) = source.views(source.scenes()[0], account)
    assert account.unlabelled_views == [0] and account.refused == account.notes == []
    assert view.labels.missing == frozenset() and view.labels.approximate == {"depth", "suction"}
    for index, one in enumerate(view.labels.instances):
        np.testing.assert_array_equal(one.amodal_mask, pile.amodal[index])
        np.testing.assert_array_equal(one.visible_mask, pile.visible[index])
        rows, columns = np.nonzero(pile.amodal[index])
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)  # no boxes in the files
        np.testing.assert_array_equal(one.amodal_box, box)
        assert np.isnan(one.center_of_mass).all()  # neither key points nor models
        np.testing.assert_allclose(
            one.T_camera_part[:3, 3] * 100, pile.point_cm(index + 1, *pile.discs[index][:2]), atol=1e-9
        )
    assert set(np.unique(view.labels.suction)) == {0, 1} and (view.labels.suction[pile.ids == 0] == 0).all()
    assert [one.layer for one in view.labels.instances] == [2, 1, 0, 0]


def test_a_real_scene_may_give_the_hidden_part_and_lack_suction(tmp_path: Path) -> None:
    pile = small_pile()
    write_real_scene(tmp_path / "scene46", pile, hidden_part=True, suction=False)
    view, account = read(tmp_path, 3)
    assert view.labels.missing == {"suction"} and account.notes == []
    for index, one in enumerate(view.labels.instances):
        np.testing.assert_array_equal(one.amodal_mask, pile.amodal[index])


def test_the_real_crop_moves_the_principal_point(tmp_path: Path) -> None:
    pile = Pile([(400.0, 300.0, 90.0), (900.0, 600.0, 200.0), (1000.0, 700.0, 120.0)], height=1200, width=1944)
    write_real_scene(tmp_path / "scene46", pile, suction=False)
    view, _ = read(tmp_path, 3, real_crop=True)
    assert view.image.shape == (1200, 1200, 3) and view.camera.width == 1200
    assert view.camera.cx == 1944 / 2 - 372
    np.testing.assert_array_equal(view.labels.instance_ids, pile.ids[:, 372:1572])
    first = view.labels.instances[0]
    cut = pile.amodal[0][:, 372:1572]
    np.testing.assert_array_equal(first.amodal_mask, cut)
    np.testing.assert_array_equal(first.amodal_box, (0, 210, np.nonzero(cut)[1].max() + 1, 390))
    np.testing.assert_allclose(first.T_camera_part[:3, 3] * 100, pile.point_cm(1, 400.0, 300.0), atol=1e-9)


def test_shifted_masks_are_refused_and_a_small_shift_is_noted(tmp_path: Path) -> None:
    write_sim_view(tmp_path / "far/scene3", 0, small_pile(), shift_px=9)
    count, refused = refusal(tmp_path / "far")
    assert count == 0 and "visible pixels lie more than 3 px outside the amodal mask" in refused
    assert "seg_masks_single[" in refused and "older releases" in refused
    assert refusal(tmp_path / "far", shift_px=12)[0] == 1
    write_sim_view(tmp_path / "near/scene3", 0, small_pile(), shift_px=2)
    view, account = read(tmp_path / "near")
    assert any("outside the amodal mask; added to it" in note.problem for note in account.notes)
    assert all((one.amodal_mask | ~one.visible_mask).all() for one in view.labels.instances)


def test_labels_that_disagree_are_noted(tmp_path: Path) -> None:
    pile = small_pile()
    folder = tmp_path / "scene3"
    write_sim_view(folder, 0, pile)
    with np.load(folder / "0.npz") as data:
        arrays = dict(data)
    arrays["occlusion"][pile.ids == 2] = 0.9
    np.savez_compressed(folder / "0.npz", **arrays)  # type: ignore[arg-type]
    order = json.loads((folder / "0_order.json").read_text())
    order["1"]["occlusion"] = 0.01
    (folder / "0_order.json").write_text(json.dumps(order))
    with h5py.File(folder / "0_scene.hdf5", "a") as file:
        file["objects/bbox_loose"][2, 2] += 6
    view, account = read(tmp_path)
    assert len(view.labels.instances) == 4
    text = " | ".join(map(str, account.notes))
    assert len(account.notes) == 3
    assert "[occlusion]: instance 2 is hidden by 0.900" in text and "0_order.json [1]: the hidden share" in text
    assert "objects/bbox_loose[2]]: the box of instance 3 is 6 px off" in text


def test_rows_of_objects_are_matched_by_their_boxes(tmp_path: Path) -> None:
    pile = small_pile()
    write_sim_view(tmp_path / "scene3", 0, pile)
    with h5py.File(tmp_path / "scene3/0_scene.hdf5", "a") as file:
        for name in ("poses_relative_to_camera", "categories", "bbox_loose"):
            values = file[f"objects/{name}"][()][::-1]
            file[f"objects/{name}"][...] = values
    view, account = read(tmp_path)
    assert account.notes == []
    for number, one in enumerate(view.labels.instances, start=1):
        np.testing.assert_allclose(one.T_camera_part[:3, 3] * 100, pile.point_cm(number, *pile.discs[number - 1][:2]))


def test_a_view_without_hdf5_lacks_what_it_holds(tmp_path: Path) -> None:
    write_sim_view(tmp_path / "scene3", 0, small_pile())
    (tmp_path / "scene3/0_scene.hdf5").unlink()
    view, account = read(tmp_path)
    assert view.labels.missing == {"camera_pose", "suction"} and len(account.notes) == 1
    assert all(np.isnan(one.center_of_mass).all() for one in view.labels.instances)


def test_a_simulated_view_without_a_mask_stack_is_refused(tmp_path: Path) -> None:
    write_sim_view(tmp_path / "scene3", 0, small_pile(), stack_key="something_else")
    count, refused = refusal(tmp_path)
    assert count == 0 and "neither seg_masks_single nor occlusion_objects" in refused


def test_a_stack_that_is_too_short_is_refused(tmp_path: Path) -> None:
    pile = small_pile()
    write_sim_view(tmp_path / "scene3", 0, pile)
    with np.load(tmp_path / "scene3/0.npz") as data:
        arrays = dict(data)
    arrays["seg_masks_single"] = arrays["seg_masks_single"][:3]
    np.savez_compressed(tmp_path / "scene3/0.npz", **arrays)  # type: ignore[arg-type]
    assert "instance 4 has visible pixels, but the stack has 3 masks" in refusal(tmp_path)[1]


def test_scenes_are_found_at_any_depth(tmp_path: Path) -> None:
    for place in ("a/b/scene12", "scene7", "a/scene100"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "a/b/scene12/4_rgb.png").touch()
    (tmp_path / "a/b/scene12/33_rgb.png").touch()
    (tmp_path / "a/b/scene12/4_depth.png").touch()
    assert find_scenes(tmp_path) == [(7, "scene7"), (12, "a/b/scene12"), (100, "a/scene100")]
    assert find_views(tmp_path, "a/b/scene12") == [4, 33]
    (tmp_path / "c/scene7").mkdir(parents=True)
    with pytest.raises(DatasetError, match="scene7 stands at"):
        find_scenes(tmp_path)


def test_the_root_may_be_a_scene(tmp_path: Path) -> None:
    write_sim_view(tmp_path / "scene3", 0, small_pile())
    view, _ = read(tmp_path / "scene3")
    assert view.scene_id == "scene3"


@pytest.mark.parametrize("scenes", [[3], ["scene3"], ["3"]])
def test_splits_of_others(tmp_path: Path, scenes: list[object]) -> None:
    for number in (3, 4, 5, 6):
        write_sim_view(tmp_path / f"scene{number}", 0, small_pile())
    path = tmp_path / "splits.json"
    path.write_text(json.dumps({"train": scenes, "val": [4], "test_easy": [5], "test_hard": [99]}))
    found = MetaGraspNet(tmp_path, MetaGraspNetOptions(splits=path)).scenes()
    assert [(one.id, one.split) for one in found] == [("scene3", "train"), ("scene4", "val"), ("scene5", "test")]


@pytest.mark.parametrize(
    ("content", "problem"),
    [("[]", "no table"), ('{"train": 3}', "no list"), ('{"train": ["x"]}', "no scene"), ('{"a": [1]}', "no list")],
)
def test_bad_splits_are_named(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "splits.json").write_text(content)
    with pytest.raises(DatasetError, match=problem):
        read_splits(tmp_path / "splits.json")


def test_bad_options_are_named() -> None:
    for name, value in (
        ("suction_splat", "x"),
        ("suction_radius_m", 0),
        ("shift_px", -1),
        ("models", Path("/nowhere")),
    ):
        with pytest.raises(ConfigError, match=name):
            MetaGraspNetOptions(**{name: value})  # type: ignore[arg-type]


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no folder named scene<N>"):
        MetaGraspNet(tmp_path, MetaGraspNetOptions()).scenes()
