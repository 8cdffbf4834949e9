"""Depth files of every form that cameras and public sets use, and what is said of those that are none."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graspnext.errors import ConfigError, InputImageError
from graspnext.runtime.depth import depth_at, read_depth
from graspnext.runtime.pairs import DepthNames
from graspnext.runtime.sources import SourceConfig, find_sources, read_source

DEPTH_M = np.linspace(0.4, 1.2, 30 * 40, dtype=np.float32).reshape(30, 40)
DEPTH_M[3, 5] = 0


def png(path: Path, values: np.ndarray) -> Path:
    Image.fromarray(values.astype(np.uint16)).save(path)
    return path


def npy(path: Path, values: np.ndarray) -> Path:
    np.save(path, values)
    return path


def test_whole_numbers_are_millimetres_unless_said_otherwise(tmp_path: Path) -> None:
    for path in (
        png(tmp_path / "a.png", np.rint(DEPTH_M * 1000)),
        png(tmp_path / "a.tiff", np.rint(DEPTH_M * 1000)),
        npy(tmp_path / "a.npy", np.rint(DEPTH_M * 1000).astype(np.uint16)),
        npy(tmp_path / "b.npy", np.rint(DEPTH_M * 1000).astype(">i4")),
    ):
        found = read_depth(path)
        assert found.dtype == np.float32
        assert np.abs(found - DEPTH_M).max() <= 0.00051
    tenths = png(tmp_path / "b.png", np.rint(DEPTH_M * 10_000))
    assert np.abs(read_depth(tenths, unit_m=0.0001) - DEPTH_M).max() <= 0.000051


def test_floats_are_metres_unless_said_otherwise(tmp_path: Path) -> None:
    Image.fromarray(DEPTH_M).save(tmp_path / "a.tiff")
    for path in (
        tmp_path / "a.tiff",
        npy(tmp_path / "a.npy", DEPTH_M),
        npy(tmp_path / "b.npy", DEPTH_M.astype(np.float64)[..., None]),
        npy(tmp_path / "c.npy", np.asfortranarray(DEPTH_M)),
    ):
        assert np.array_equal(read_depth(path), DEPTH_M)
    half = npy(tmp_path / "d.npy", DEPTH_M.astype(np.float16))
    assert np.abs(read_depth(half) - DEPTH_M).max() < 1e-3
    millimetres = npy(tmp_path / "e.npy", DEPTH_M * 1000)
    assert np.abs(read_depth(millimetres, unit_m=0.001) - DEPTH_M).max() < 1e-6


def test_what_is_not_measured_is_zero(tmp_path: Path) -> None:
    values = DEPTH_M.copy()
    values[0, :4] = np.nan, np.inf, -np.inf, -1
    assert read_depth(npy(tmp_path / "a.npy", values))[0, :5].tolist() == [0, 0, 0, 0, pytest.approx(DEPTH_M[0, 4])]
    whole = np.full((4, 5), 700)
    whole[0, 0] = 65535
    found = read_depth(png(tmp_path / "a.png", whole))
    assert (found[0, 0], found[0, 1]) == (0, np.float32(0.7))
    assert not read_depth(png(tmp_path / "b.png", np.zeros((4, 5)))).any(), "a covered camera measures nothing"


@pytest.mark.parametrize(
    ("values", "unit_m", "said"),
    [
        (
            DEPTH_M * 1000,
            None,
            r"all depth is beyond 50 m \(the median is [78]\d\d(\.\d)? m with units of 1 m\); .*--depth-unit-m",
        ),
        (np.rint(DEPTH_M * 1000).astype(np.uint16), 1.0, "beyond 50 m"),
        (np.rint(DEPTH_M * 5).astype(np.uint16), None, r"nearer than 0\.01 m \(the median is 0\.00\d m"),
        (DEPTH_M[None], None, r"an array \(1, 30, 40\); save depth as \(H, W\)"),
        (DEPTH_M > 1, None, "an array of bool"),
        (DEPTH_M.astype(complex), None, "an array of complex128"),
        (np.array([[{"a": 1}]], dtype=object), None, "an array of object"),
        (np.zeros((0, 5)), None, r"an array \(0, 5\)"),
    ],
)
def test_arrays_that_are_no_depth(tmp_path: Path, values: np.ndarray, unit_m: float | None, said: str) -> None:
    np.save(tmp_path / "a.npy", values, allow_pickle=True)
    with pytest.raises(InputImageError, match=said):
        read_depth(tmp_path / "a.npy", unit_m=unit_m)


def test_pictures_that_are_no_depth(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 5), dtype=np.uint8)).save(tmp_path / "grey.png")
    Image.fromarray(np.zeros((4, 5, 3), dtype=np.uint8)).save(tmp_path / "rgb.png")
    for name, mode in (("grey.png", "L"), ("rgb.png", "RGB")):
        with pytest.raises(InputImageError, match=rf"{name}: the picture has mode {mode}, not depth: 8 bits"):
            read_depth(tmp_path / name)
    with pytest.raises(InputImageError, match="no such file"):
        read_depth(tmp_path / "none.npy")


def test_an_npy_file_that_claims_more_than_it_holds_takes_no_memory(tmp_path: Path) -> None:
    stream = io.BytesIO()
    head = {"descr": "<f4", "fortran_order": False, "shape": (10_000, 10_000)}
    np.lib.format.write_array_header_1_0(stream, head)
    (tmp_path / "a.npy").write_bytes(stream.getvalue() + bytes(100))
    with pytest.raises(InputImageError, match="the file is cut"):
        read_depth(tmp_path / "a.npy")
    (tmp_path / "b.npy").write_bytes(stream.getvalue().replace(b"(10000, 10000)", b"(9**999999, 1)"))
    with pytest.raises(InputImageError, match="not an NPY file"):
        read_depth(tmp_path / "b.npy")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of odd tags
def test_five_hundred_mutated_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(DEPTH_M).save(tmp_path / "a.tiff")
    files = [npy(tmp_path / "a.npy", DEPTH_M), png(tmp_path / "a.png", DEPTH_M * 1000), tmp_path / "a.tiff"]
    whole = [path.read_bytes() for path in files]
    for index in range(500):
        path, content = files[index % 3], bytearray(whole[index % 3])
        for place in rng.integers(0, min(len(content), 400), rng.integers(1, 6)):
            content[place] = rng.integers(256)
        path.write_bytes(content[: rng.integers(1, len(content))] if index % 5 == 0 else content)
        try:
            found = read_depth(path)
        except InputImageError:
            continue
        assert found.dtype == np.float32
        assert found.ndim == 2
        assert np.isfinite(found).all()
        assert found.min() >= 0


def test_depth_at_is_a_median_of_what_is_measured() -> None:
    depth = np.zeros((10, 12), dtype=np.float32)
    depth[4:7, 5:8] = 0.5
    depth[5, 6] = 3  # an outlier
    assert depth_at(depth, 6.5, 5.5) == 0.5
    assert depth_at(depth, 0.2, 0.2) is None
    assert depth_at(depth, 9.9, 5.0) == 0.5
    assert depth_at(depth, 11.9, 9.9) is None


# Pairs: layouts as public sets have them.


@pytest.mark.parametrize(
    ("picture", "depth", "names", "word"),
    [
        ("0001_rgb.png", "0001_depth.png", DepthNames("{stem}_depth.png", "{stem}_rgb.png"), ""),
        ("a.png", "a_depth.png", DepthNames("{stem}_depth.png"), ""),
        ("a.jpg", "a.png", DepthNames("{stem}.png", "{stem}.jpg"), ""),
        ("a.jpg", "a.npy", DepthNames("{stem}.npy"), ""),
        ("rgb/000001.png", "depth/000001.png", DepthNames("../depth/{stem}.png"), "rgb"),
        ("color/0.jpg", "depth/0.png", DepthNames("../depth/{stem}.png"), "*/*"),
        ("frame-0.color.png", "frame-0.depth.png", DepthNames("{stem}.depth.png", "{stem}.color.png"), ""),
        ("0_x_RGB.png", "0_x_perfect_depth.tiff", DepthNames("{stem}_perfect_depth.tiff", "{stem}_RGB.png"), ""),
        ("box_1.png", "depth/box_1.png", DepthNames("depth/{stem}.png"), "**/*"),
    ],
)
def test_a_picture_finds_its_depth(tmp_path: Path, picture: str, depth: str, names: DepthNames, word: str) -> None:
    for name in (picture, depth):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((30, 40, 3), dtype=np.uint8)).save(tmp_path / picture)
    values = np.rint(DEPTH_M * 1000).astype(np.uint16)
    if depth.endswith(".npy"):
        npy(tmp_path / depth, values)
    else:
        png(tmp_path / depth, values)
    frames = list(read_source(tmp_path / word, SourceConfig(depth=names)))
    assert [frame.file for frame in frames] == [str(tmp_path / picture)]
    assert Path(frames[0].depth_file).resolve() == tmp_path / depth
    assert frames[0].depth_m is not None
    assert np.abs(frames[0].depth_m - DEPTH_M).max() <= 0.00051


def test_problems_of_pairs_say_what_to_do(tmp_path: Path) -> None:
    for name in ("a_rgb.png", "b_rgb.png", "c_rgb.png", "other.png"):
        Image.fromarray(np.zeros((30, 40, 3), dtype=np.uint8)).save(tmp_path / name)
    png(tmp_path / "a_depth.png", DEPTH_M[:, ::2] * 1000)
    png(tmp_path / "b_depth.png", DEPTH_M * 1000)
    config = SourceConfig(depth=DepthNames("{stem}_depth.png", "{stem}_rgb.png"))
    sources = {source.stem: source for source in find_sources([tmp_path, tmp_path / "other.png"], config).found}
    assert list(sources) == ["a_rgb", "b_rgb", "c_rgb", "other"]
    for stem, said in (
        ("a_rgb", r"a_depth\.png: the depth is 20 x 30 px and its picture 40 x 30; align depth"),
        ("c_rgb", r"c_rgb\.png: its depth file .*/c_depth\.png is not there \(\{stem\} is 'c'\); record it, or check"),
        ("other", r"the name does not fit --rgb '\{stem\}_rgb\.png'"),
    ):
        with pytest.raises(InputImageError, match=said):
            list(sources[stem].frames())
    assert len(list(sources["b_rgb"].frames())) == 1
    wrong = find_sources([tmp_path], SourceConfig(depth=DepthNames("{stem}_depth.png", "{stem}_color.png")))
    assert "no picture is named as --rgb '{stem}_color.png'; check" in wrong.problems[0].problem


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"depth": "depth.png"}, "--depth is 'depth.png'; it must be a path with {stem} once in its name"),
        ({"depth": "{stem}/a.png"}, "--depth is '{stem}/a.png'"),
        ({"depth": "{stem}_{stem}.png"}, "once in its name"),
        ({"depth": "{stem}.npy", "rgb": "rgb.png"}, "--rgb is 'rgb.png'; it must be a name (no folder)"),
        ({"depth": "{stem}.npy", "rgb": "rgb/{stem}.png"}, "--rgb is"),
        ({"depth": "{stem}.png", "rgb": "{stem}.png"}, "another pattern than --rgb"),
        ({"depth": "{stem}.npy", "unit_m": 0.0}, "--depth-unit-m is 0.0; it must be above 0"),
        ({"depth": "{stem}.npy", "unit_m": float("nan")}, "--depth-unit-m is nan"),
    ],
)
def test_patterns_that_cannot_work(words: dict[str, str | float], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        DepthNames(**words)  # type: ignore[arg-type]
    assert said in str(caught.value)
