"""Videos and cameras through OpenCV: real files of known frames, a pipe that a process writes into."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from graspnext.errors import InputImageError, MissingDependencyError, OutputError
from graspnext.runtime.frames import SourceFrame
from graspnext.runtime.live import LiveQueue
from graspnext.runtime.opencv import import_opencv
from graspnext.runtime.sources import SourceConfig, find_sources, read_source
from graspnext.runtime.video import read_camera, read_video
from graspnext.runtime.video_writer import VideoWriter

cv2 = import_opencv("tests")  # first of all imports of it: it then says nothing of its own

HEIGHT, WIDTH, RATE_HZ = 48, 64, 25.0


def level(index: int) -> int:
    return 20 + 9 * index


def write_video(path: Path, count: int = 20, codec: str = "mp4v") -> Path:
    """Frame i is red of `level(i)`: codecs blur edges, but keep a plain colour."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*codec), RATE_HZ, (WIDTH, HEIGHT))
    assert writer.isOpened()
    for index in range(count):
        image = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
        image[..., 2] = level(index)  # BGR
        writer.write(image)
    writer.release()
    return path


def number_of(frame: SourceFrame) -> int:
    """Which frame of `write_video` a picture shows."""
    assert frame.image.shape == (HEIGHT, WIDTH, 3)
    assert frame.image.dtype == np.uint8
    assert frame.image[..., 1:].mean() < 12, "RGB, not BGR"
    return round((float(frame.image[..., 0].mean()) - 20) / 9)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "clip.mp4")


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "mp4v"), ("mov", "mp4v"), ("avi", "MJPG"), ("mkv", "FFV1")])
def test_a_file_gives_each_frame_once_in_order(tmp_path: Path, suffix: str, codec: str) -> None:
    path = write_video(tmp_path / f"a.{suffix}", codec=codec)
    frames = list(read_video(path))
    assert [number_of(frame) for frame in frames] == list(range(20))
    assert [frame.index for frame in frames] == list(range(20))
    assert [frame.time_s for frame in frames] == pytest.approx([index / RATE_HZ for index in range(20)], abs=1e-3)
    assert frames[3].source == f"{path}#3"
    assert frames[3].file == str(path)
    assert frames[3].rate_hz == pytest.approx(RATE_HZ)


def test_every_third(video: Path) -> None:
    frames = list(read_video(video, every=3))
    assert [number_of(frame) for frame in frames] == list(range(0, 20, 3))
    assert [frame.index for frame in frames] == list(range(0, 20, 3))


def test_a_paced_file_takes_as_long_as_it_lasts(video: Path) -> None:
    begin = time.monotonic()
    frames = list(read_video(video, paced=True))
    assert len(frames) == 20
    assert time.monotonic() - begin >= 19 / RATE_HZ


def test_a_name_that_looks_like_an_address_or_a_sequence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("file:a%02d.mp4", "concat:b|c.avi", "ä ö.mkv"):
        codec = {"mp4": "mp4v", "avi": "MJPG", "mkv": "FFV1"}[name[-3:]]
        write_video(Path("plain" + name[-4:]), 3, codec).rename(name)
        assert len(list(read_video(name))) == 3


def test_a_cut_file_gives_what_is_there_and_says_so(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", codec="FFV1")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames: list[SourceFrame] = []
    with pytest.raises(InputImageError, match=r"a\.mkv: the video is cut: it ends at 0\.\d s of 0\.8 s"):
        for frame in read_video(path):
            frames.append(frame)
    assert 0 < len(frames) < 18
    assert [number_of(frame) for frame in frames] == list(range(len(frames)))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.mp4", b"", "the file is empty"),
        ("a.mp4", b"hello, this is no video", "not a video; give MP4"),
        ("a.mp4", b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "not a video"),
        ("a.avi", b"ffconcat version 1.0\nfile clip.mp4\n", "not a video"),
        ("a.mp4", b"\0\0\0\x1cftypisom" + bytes(100), "the video cannot be decoded; record or copy it again"),
        ("a.mkv", b"\x1aE\xdf\xa3" + bytes(100), "the video cannot be decoded"),
    ],
)
def test_files_that_are_no_videos(
    tmp_path: Path, name: str, content: bytes, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputImageError, match=said):
        list(read_video(tmp_path / name))
    assert capfd.readouterr().err == ""  # FFmpeg's own words


def test_three_hundred_mutated_files(tmp_path: Path) -> None:
    """Frames or a named error, at once; 20 000 of six containers did no worse."""
    rng = np.random.default_rng(0)
    kinds = {"mp4": "mp4v", "avi": "MJPG", "mkv": "FFV1"}
    whole = {suffix: write_video(tmp_path / f"a.{suffix}", 8, codec).read_bytes() for suffix, codec in kinds.items()}
    read = 0
    for index in range(300):
        suffix = list(kinds)[index % 3]
        content, path = bytearray(whole[suffix]), tmp_path / f"b.{suffix}"
        for place in rng.integers(0, min(len(content), 1500), rng.integers(1, 12)):
            content[place] = rng.integers(256)
        path.write_bytes(content[: rng.integers(1, len(content))] if index % 5 == 0 else content)
        try:
            for frame in read_video(path):
                assert frame.image.ndim == 3
                assert frame.image.dtype == np.uint8
                read += 1
        except InputImageError as error:
            assert str(error).startswith(f"{path}: ")
    assert 0 < read < 300 * 8


def test_a_missing_file_and_a_missing_camera(tmp_path: Path) -> None:
    with pytest.raises(InputImageError, match="no such file"):
        list(read_video(tmp_path / "none.mp4"))
    with pytest.raises(InputImageError, match="camera 97: no such camera, or another program uses it"):
        list(read_camera(97))


def test_without_opencv_the_extra_is_named(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingDependencyError, match=r"opencv is needed for videos.*'graspnext\[video\]'"):
        list(read_video(video))


def test_a_camera_that_stops_is_an_error_after_its_frames(video: Path) -> None:
    """A video stands in for the device: OpenCV reads both through one class."""
    frames: list[SourceFrame] = []
    with pytest.raises(InputImageError, match="the camera gives no more frames; check its cable"):
        for frame in read_camera(video):
            frames.append(frame)
    assert len(frames) == 20
    assert frames[-1].time_s is not None
    assert frames[0].time_s == 0


def test_a_pipe_is_a_camera(tmp_path: Path) -> None:
    content = write_video(tmp_path / "a.mkv", codec="FFV1").read_bytes()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(content), daemon=True)
    writer.start()
    sources = find_sources([pipe], SourceConfig(queue=100)).found
    assert [source.kind for source in sources] == ["camera"]
    assert [number_of(frame) for frame in sources[0].frames()] == list(range(20))
    writer.join(5)
    assert not writer.is_alive()


def test_a_late_reader_loses_the_oldest(video: Path) -> None:
    source = find_sources([video], SourceConfig(live=True, queue=2)).found[0]
    numbers = []
    for frame in source.frames():
        numbers.append(number_of(frame))
        time.sleep(0.15)  # frames come every 0.04 s
    assert numbers == sorted(set(numbers))
    assert source.dropped > 5
    assert len(numbers) + source.dropped == 20
    assert numbers[-2:] == [18, 19], "the newest are kept"


def test_a_video_that_is_not_live_waits_for_a_late_reader(video: Path) -> None:
    source = find_sources([video]).found[0]
    numbers = []
    for frame in source.frames():
        numbers.append(number_of(frame))
        time.sleep(0.01)
    assert numbers == list(range(20))
    assert source.dropped == 0


def test_streams_stop_when_asked(video: Path) -> None:
    for live in (False, True):
        taken: list[int] = []
        for frame in find_sources([video], SourceConfig(live=live)).found[0].frames(lambda: len(taken) == 3):  # noqa: B023
            taken.append(number_of(frame))
        assert len(taken) == 3


def test_a_reader_that_waits_for_nothing_can_stop(tmp_path: Path) -> None:
    """A pipe that nobody opens hangs its thread, not who asked for it."""
    os.mkfifo(tmp_path / "pipe")
    begin = time.monotonic()
    source = find_sources([tmp_path / "pipe"]).found[0]
    assert list(source.frames(lambda: time.monotonic() - begin > 0.3)) == []
    assert time.monotonic() - begin < 5
    (tmp_path / "pipe").write_bytes(b"")  # lets the thread go


def test_an_error_reaches_the_reader_after_the_items_before_it() -> None:
    def items():  # type: ignore[no-untyped-def]
        yield 1
        yield 2
        raise InputImageError("camera 0", "gone", "look")

    taken: list[int] = []
    with LiveQueue(items(), size=5) as queue, pytest.raises(InputImageError, match="gone"):
        for item in queue:
            taken.append(item)
    assert taken == [1, 2]


def test_folders_and_patterns_give_videos_too(video: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("b.mp4", "c.bin"):
        (folder / name).write_bytes(video.read_bytes())
    cv2.imwrite(str(folder / "a.png"), np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8))
    found = find_sources([folder, folder / "c.bin", "0", 3])
    assert [(source.kind, source.stem) for source in found.found] == [
        ("picture", "a"),
        ("video", "b"),
        ("video", "c"),
        ("camera", "camera_0"),
        ("camera", "camera_3"),
    ]
    assert [source.label for source in found.found[-2:]] == ["camera 0", "camera 3"]
    assert len(list(read_source(folder))) == 21


@pytest.mark.parametrize("size", [(48, 64), (49, 65)])
def test_a_written_video_is_what_was_given(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "out.mp4"
    with VideoWriter(path, rate_hz=12.5) as writer:
        for index in range(10):
            picture = np.zeros((*size, 3), dtype=np.uint8)
            picture[..., 0] = level(index)
            writer.add(picture)
        assert not path.exists()
        writer.finish()
    frames = list(read_video(path))
    assert [number_of(frame) for frame in frames] == list(range(10))
    assert frames[0].rate_hz == pytest.approx(12.5)
    assert [file.name for file in tmp_path.iterdir()] == ["out.mp4"]


def test_pictures_stay_until_the_next_has_its_time(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", rate_hz=20) as writer:
        for index, time_s in enumerate((0.0, 0.05, 0.25, 0.3, 0.53)):
            picture = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
            picture[..., 0] = level(index)
            writer.add(picture, time_s=time_s)
        writer.finish()
    shown = [number_of(frame) for frame in read_video(tmp_path / "out.mp4")]
    assert shown == [0, 1, 1, 1, 1, 2, 3, 3, 3, 3, 3, 4]


def test_a_video_left_unfinished_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / "out.mp4") as writer:
        writer.add(np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with (
        VideoWriter(tmp_path / "none" / "out.mp4") as writer,
        pytest.raises(OutputError, match="No such file or directory"),
    ):
        writer.add(np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8))
