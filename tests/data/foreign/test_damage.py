"""Files that were cut, changed or made to harm: named faults, never a traceback, never much memory."""

from __future__ import annotations

import io
import json
import os
import shutil
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from tests.data.foreign.coco_files import write_set
from tests.data.foreign.metagraspnet_files import Pile, small_pile, write_real_scene, write_sim_view

from graspnext.data.faults import DatasetFaultError
from graspnext.data.foreign.coco_amodal import CocoAmodal, CocoAmodalOptions
from graspnext.data.foreign.hdf5 import Hdf5
from graspnext.data.foreign.metagraspnet_reader import MetaGraspNet, MetaGraspNetOptions
from graspnext.data.foreign.npz import Npz, Stack, write_npz
from graspnext.data.foreign.opening import picture_size, read_json, read_rgb
from graspnext.data.foreign.source import Account
from graspnext.data.writer import encode_scene
from graspnext.errors import DatasetError

SMALL = Pile([(14.0, 14.0, 9.0), (22.0, 20.0, 8.0)], 40, 40)
SIM_FILES = ("0_rgb.png", "0.npz", "0_camera_params.json", "0_scene.hdf5", "0_order.json")
REAL_FILES = ("3_rgb.png", "3.npz", "3_amodal.npz", "3_grasps.npz", "scene_gt.json", "3_order.json", "3_scene.hdf5")


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """The content cut short, with bytes changed, cut out, doubled or zeroed."""
    kind, count = int(rng.integers(6)), len(content)
    data = bytearray(content)
    if kind == 0:
        return bytes(data[: int(rng.integers(count))])
    if kind in {1, 2}:
        for _ in range(int(rng.integers(1, 12))):
            data[int(rng.integers(count))] = int(rng.integers(256))
        return bytes(data)
    start = int(rng.integers(count))
    end = min(count, start + int(rng.integers(1, max(2, count // 4))))
    if kind == 3:
        del data[start:end]
    elif kind == 4:
        data[start:start] = data[start:end]
    else:
        data[start:end] = bytes(end - start)
    return bytes(data)


def changed_json(content: bytes, rng: np.random.Generator) -> bytes:
    """JSON in which one value, at any depth, is another kind of thing."""
    tree = json.loads(content)
    places: list[tuple[object, object]] = []

    def visit(node: object) -> None:
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, value in items:
            places.append((node, key))
            visit(value)

    visit(tree)
    node, key = places[int(rng.integers(len(places)))]
    wrong = [None, -1, 1e308, "x", [], {}, [[]], True, 2**70, "0", float("nan"), 0.5]
    node[key] = wrong[int(rng.integers(len(wrong)))]  # type: ignore[index]
    return json.dumps(tree).encode()


def read_all(root: Path) -> tuple[int, int]:
    """Views read and faults told; any other error is the test's."""
    source = MetaGraspNet(root, MetaGraspNetOptions())
    account = Account()
    try:
        views = [view for scene in source.scenes() for view in source.views(scene, account)]
    except DatasetError:
        return 0, 1
    encode_scene("scene1", scene_info=account.info, views=views)  # what was let through fits our format
    assert all(fault.file and fault.problem and fault.advice for fault in account.refused)
    return len(views), len(account.refused) + len(account.notes)


def mutate(template: Path, files: tuple[str, ...], work: Path, *, rounds: int, seed: int) -> int:
    """How many of the damaged folders were told of."""
    told = 0
    shutil.copytree(template, work / "scene1")
    for number in range(rounds):
        rng = np.random.default_rng([seed, number])
        name = files[number % len(files)]
        original = (template / name).read_bytes()
        change = changed_json if name.endswith(".json") and rng.random() < 0.6 else damaged
        (work / "scene1" / name).write_bytes(change(original, rng))
        views, faults = read_all(work)
        told += faults > 0
        assert views or faults or name != "0_rgb.png"
        (work / "scene1" / name).write_bytes(original)
    return told


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_damaged_simulated_views(tmp_path: Path) -> None:
    write_sim_view(tmp_path / "sim", 0, SMALL)
    assert mutate(tmp_path / "sim", SIM_FILES, tmp_path / "work", rounds=160, seed=1) > 90


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_damaged_real_views(tmp_path: Path) -> None:
    write_real_scene(tmp_path / "real", SMALL)
    assert mutate(tmp_path / "real", REAL_FILES, tmp_path / "work", rounds=140, seed=2) > 60


@pytest.mark.slow
def test_many_damaged_views(tmp_path: Path) -> None:
    write_sim_view(tmp_path / "sim", 0, SMALL)
    write_real_scene(tmp_path / "real", SMALL)
    assert mutate(tmp_path / "sim", SIM_FILES, tmp_path / "a", rounds=5000, seed=3) > 3000
    assert mutate(tmp_path / "real", REAL_FILES, tmp_path / "b", rounds=5000, seed=4) > 2500


def test_damaged_annotations(tmp_path: Path) -> None:
    path = write_set(tmp_path, {"1": SMALL, "2": small_pile()})
    original = path.read_bytes()
    told = 0
    for number in range(150):
        rng = np.random.default_rng([5, number])
        path.write_bytes((changed_json if number % 3 else damaged)(original, rng))
        account = Account()
        try:
            source = CocoAmodal(path, CocoAmodalOptions(depth_unit_m=1e-4))
            for scene in source.scenes():
                list(source.views(scene, account))
            told += bool(account.refused or account.notes)
        except DatasetError:
            told += 1
    assert told > 60


def archive(path: Path, name: str, header: dict[str, object], content: bytes) -> None:
    """An archive of one array whose header says what it likes."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, header)  # type: ignore[arg-type]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(f"{name}.npy", stream.getvalue() + content)


@pytest.mark.parametrize(
    ("header", "content", "problem"),
    [
        ({"descr": "<f8", "fortran_order": False, "shape": (60000, 60000)}, b"", "more than"),
        ({"descr": "<f8", "fortran_order": False, "shape": (4, 4)}, b"abc", "ends after 3 of 128 bytes"),
        ({"descr": "<f8", "fortran_order": False, "shape": (1, 2)}, bytes(17), "more bytes than its shape"),
        ({"descr": "|O", "fortran_order": False, "shape": (1, 1)}, b"\x80\x04.", "must hold numbers"),
        ({"descr": "<U9", "fortran_order": False, "shape": (1, 1)}, bytes(36), "must hold numbers"),
        ({"descr": [("a", "<f8")], "fortran_order": False, "shape": (1, 1)}, bytes(8), "must hold numbers"),
        ({"descr": "<f8", "fortran_order": False, "shape": (3,)}, bytes(24), "it must be any x any"),
    ],
)
def test_headers_that_lie(tmp_path: Path, header: dict[str, object], content: bytes, problem: str) -> None:
    archive(tmp_path / "a.npz", "depth", header, content)
    with Npz(tmp_path, "a.npz") as file, pytest.raises(DatasetFaultError, match=problem):
        file.array("depth", (None, None))


def test_a_picture_that_a_program_would_draw_is_none(tmp_path: Path) -> None:
    """PostScript under a picture's name: Pillow would hand it to an interpreter."""
    Image.fromarray(np.zeros((40, 40, 3), dtype=np.uint8)).save(tmp_path / "drawn.eps")
    (tmp_path / "drawn.eps").replace(tmp_path / "0_rgb.png")
    for look in (picture_size, read_rgb):
        with pytest.raises(DatasetFaultError, match="not a picture"):
            look(tmp_path, "0_rgb.png")


@pytest.mark.parametrize("read", [picture_size, read_rgb, read_json, Npz, Hdf5])
def test_a_pipe_is_not_waited_for(tmp_path: Path, read: Callable[[Path, str], object]) -> None:
    os.mkfifo(tmp_path / "file")
    with pytest.raises(DatasetFaultError, match="not a plain file"):
        read(tmp_path, "file")
    with pytest.raises(DatasetFaultError, match="the file is missing"):
        read(tmp_path, "none")


def test_a_bomb_of_masks_is_not_decoded(tmp_path: Path) -> None:
    header = {"descr": "<f8", "fortran_order": False, "shape": (3000, 400, 400)}
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, header)  # type: ignore[arg-type]
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as file, file.open("m.npy", "w") as out:
        out.write(stream.getvalue())
        for _ in range(300):  # 384 MB of zeros in 0.4 MB
            out.write(bytes(400 * 400 * 8))
    assert (tmp_path / "a.npz").stat().st_size < 1e6
    tracemalloc.start()
    with Npz(tmp_path, "a.npz") as archive_, pytest.raises(DatasetFaultError, match="ends after 0 of"):
        for plane in archive_.planes("m", (None, 400, 400)):
            assert plane.shape == (400, 400)
    with Npz(tmp_path, "a.npz") as archive_, pytest.raises(DatasetFaultError, match="more than 1024 MiB"):
        archive_.array("m", (None, 400, 400))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 400 * 400 * 8


def test_masks_are_read_one_at_a_time(tmp_path: Path) -> None:
    count, side = 40, 300
    masks = (np.full((side, side), float(i)) for i in range(count))
    write_npz(tmp_path / "a.npz", {"m": Stack((count, side, side), np.dtype(np.float64), masks)})
    tracemalloc.start()
    with Npz(tmp_path, "a.npz") as archive_:
        seen = [float(plane[7, 9]) for plane in archive_.planes("m", (None, side, side))]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen == list(range(count)) and peak < 4 * side * side * 8
    with np.load(tmp_path / "a.npz", allow_pickle=False) as data:
        np.testing.assert_array_equal(data["m"][:, 0, 0], np.arange(count))


def test_arrays_in_columns_are_read_too(tmp_path: Path) -> None:
    values = np.arange(24.0).reshape(2, 3, 4)
    np.savez(tmp_path / "a.npz", m=np.asfortranarray(values))
    with Npz(tmp_path, "a.npz") as archive_:
        np.testing.assert_array_equal(archive_.array("m", (2, 3, 4)), values)
        np.testing.assert_array_equal(np.stack(list(archive_.planes("m", (None, 3, 4)))), values)


def test_hdf5_links_and_outside_storage_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(64))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.zeros(3)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["external"] = h5py.ExternalLink("other.h5", "x")
        file["soft"] = h5py.SoftLink("/nowhere")
        file.create_dataset("stored", (8,), "f8", external=[(str(tmp_path / "secret.bin"), 0, 64)])
        layout = h5py.VirtualLayout((3,), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (3,))
        file.create_virtual_dataset("virtual", layout)
        file["text"] = "abc"
        file["group/x"] = np.zeros(3)
        file["nan"] = np.array([np.nan])
        file.create_dataset("huge", (10**9, 4, 4), "f4", chunks=(1000, 4, 4))
        file["ok"] = np.arange(3)
    with Hdf5(tmp_path, "a.h5") as file:
        for name in ("external", "soft", "stored", "virtual", "text", "group", "nan", "ok/x"):
            with pytest.raises(DatasetFaultError, match=name.split("/", maxsplit=1)[0]):
                file.array(name)
        with pytest.raises(DatasetFaultError, match="at most 1000000 rows"):
            file.array("huge", (4, 4))
        assert file.array("missing/x") is None
        np.testing.assert_array_equal(file.array("ok"), [0, 1, 2])  # type: ignore[arg-type]
