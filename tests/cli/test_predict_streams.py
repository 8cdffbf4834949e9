"""`graspnext predict` on videos, pipes and pictures with depth, as a user meets it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.deploy import tiny_run

from graspnext.cli.main import main
from graspnext.runtime.opencv import import_opencv
from graspnext.runtime.video import read_video

HEIGHT, WIDTH, RATE_HZ = 96, 128, 25.0


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tiny_run.tiny_bundle(tmp_path_factory.getbasetemp()))


def blocks() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.kron(rng.integers(0, 256, (6, 8, 3)), np.ones((16, 16, 1))).astype(np.uint8)


def write_video(path: Path, count: int) -> Path:
    """Blocks that move to the right by a pixel a frame."""
    cv2 = import_opencv("tests")
    image, code = blocks(), cv2.VideoWriter_fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, RATE_HZ, (WIDTH, HEIGHT))
    for index in range(count):
        writer.write(np.roll(image, index, axis=1)[..., ::-1].copy())
    writer.release()
    return path


def run(*words: object) -> int:
    return main(["predict", *map(str, words)])


def read(out: Path) -> dict[str, object]:
    return dict(json.loads((out / "predictions.json").read_text()))


def test_a_video_and_a_picture(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video, out = write_video(tmp_path / "a.mp4", 12), tmp_path / "out"
    Image.fromarray(blocks()).save(tmp_path / "a.png")
    words = (tmp_path / "a.png", video, "--out", out, "--model", bundle, "--min-score", 0.1, "--every", 4)
    assert run(*words, "--overlay-video") == 0
    content = read(out)
    picture, *frames = content["frames"]
    assert sorted(path.name for path in out.iterdir()) == ["a_2_overlay.mp4", "a_overlay.png", "predictions.json"]
    assert (picture["file"], picture["overlay"], "frame" in picture) == (
        str(tmp_path / "a.png"),
        "a_overlay.png",
        False,
    )
    assert [(one["file"], one["frame"], one["time_s"]) for one in frames] == [
        (str(video), 0, 0),
        (str(video), 4, 0.16),
        (str(video), 8, 0.32),
    ]
    assert all(one["overlay"] == "a_2_overlay.mp4" and one["instances"] and one["predict_ms"] > 0 for one in frames)
    assert content["streams"] == [{"source": str(video), "frames": 3, "dropped": 0}]
    assert (content["interrupted"], content["errors"]) == (False, [])
    drawn = list(read_video(out / "a_2_overlay.mp4"))
    assert len(drawn) == 3
    assert drawn[0].rate_hz == pytest.approx(RATE_HZ / 4)
    assert drawn[0].image.shape[1] > 3 * 400
    said = capsys.readouterr().out.splitlines()
    assert said[0].split()[0] == "file"
    parts = sum(len(one["instances"]) for one in frames) / 3
    assert said[2].startswith(f"{video}: 3 frames, {parts:.1f} parts a frame, ")
    assert said[3] == f"1 overlay, 1 overlay video and predictions.json: see {out}"


def test_a_video_is_drawn_frame_by_frame_up_to_the_limit(bundle: Path, tmp_path: Path) -> None:
    video, out = write_video(tmp_path / "clip.mp4", 8), tmp_path / "out"
    assert run(video, "--out", out, "--model", bundle, "--max-frames", 2) == 0
    names = sorted(str(path.relative_to(out)) for path in out.rglob("*.png"))
    assert names == ["clip_overlay/000000.png", "clip_overlay/000001.png"]
    assert [one["overlay"] for one in read(out)["frames"]] == names
    assert read(out)["streams"] == [{"source": str(video), "frames": 2, "dropped": 0}]


def test_a_live_video_says_what_it_dropped(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video, out = write_video(tmp_path / "clip.mp4", 50), tmp_path / "out"
    assert run(video, "--out", out, "--model", bundle, "--live", "--queue", 1, "--overlay-video") == 0
    stream = read(out)["streams"][0]
    assert stream["frames"] + stream["dropped"] == 50
    assert stream["dropped"] > 0  # an overlay takes longer than the 40 ms between two frames
    assert f"a frame, {stream['dropped']} dropped\n" in capsys.readouterr().out
    numbers = [one["frame"] for one in read(out)["frames"]]
    assert numbers == sorted(set(numbers))
    shown = list(read_video(out / "clip_overlay.mp4"))
    assert len(shown) == pytest.approx(numbers[-1] - numbers[0] + 1, abs=2), "as long as the stream was"


def test_sources_that_fail_do_not_stop_others(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    video = write_video(tmp_path / "clip.mp4", 3)
    Image.fromarray(blocks()).save(tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "cv2", None)
    (tmp_path / "text.mp4").write_text("hello")
    words = (video, tmp_path / "text.mp4", 98, tmp_path / "a.png", "--out", tmp_path / "out", "--no-overlays")
    assert run(*words, "--model", bundle) == 2
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["predictions.json"]
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 3
    needed = "opencv is needed for videos; install it with: pip install 'graspnext[video]'"
    assert errors[0] == f"error: {video}: {needed}"
    assert "text.mp4: not a video" in errors[1]
    assert errors[2].startswith("error: camera 98: opencv is needed for cameras")
    assert len(read(tmp_path / "out")["frames"]) == 1


def test_pictures_with_depth(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("0_rgb.png", "1_rgb.png"):
        Image.fromarray(blocks()).save(tmp_path / name)
    Image.fromarray(np.full((HEIGHT, WIDTH), 7340, dtype=np.uint16)).save(tmp_path / "0_depth.png")
    out, names = tmp_path / "out", ("--rgb", "{stem}_rgb.png", "--depth", "{stem}_depth.png")
    words = (tmp_path, "--out", out, "--model", bundle, "--no-overlays", "--min-score", 0.1, *names)
    assert run(*words, "--depth-unit-m", 0.0001, "--camera", 200, 200, 63.5, 47.5) == 2
    (frame,) = read(out)["frames"]
    assert frame["depth_file"] == str(tmp_path / "0_depth.png")
    assert frame["suction_peaks"]
    for peak in frame["suction_peaks"]:
        assert peak["depth_m"] == 0.734
        x, y = ((peak["u"] - WIDTH / 2) / 200 * 0.734, (peak["v"] - HEIGHT / 2) / 200 * 0.734)
        assert peak["point_m"] == pytest.approx([x, y, 0.734], abs=1.1e-4)
    assert "1_rgb.png: its depth file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--every", "0"), "--every is 0; it must be at least 1"),
        (("--max-frames", "-1"), "--max-frames is -1; it must be at least 0"),
        (("--queue", "0"), "--queue is 0; it must be in 1 to 1000"),
        (("--rgb", "{stem}_rgb.png"), "it must be given together with --depth"),
        (("--depth-unit-m", "0.001"), "it must be given together with --depth"),
        (
            ("--camera", "0", "500", "320", "240"),
            "--camera is (0.0, 500.0, 320.0, 240.0); it must be four numbers FX FY",
        ),
        (("--depth", "depth.png"), "--depth is 'depth.png'; it must be a path with {stem} once in its name"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert run("a.png", "--out", tmp_path / "out", *words) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert said in errors[0]
    assert not (tmp_path / "out").exists()


def test_the_command_brings_neither_torch_nor_opencv() -> None:
    """OpenCV comes with the first video, torch never: interruptions are heeded by the code that trainings use."""
    script = """
import sys
import graspnext.cli.predict, graspnext.learning.interruption, graspnext.runtime.predictor
assert not {"torch", "cv2", "openvino"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_ctrl_c_keeps_what_was_found(bundle: Path, tmp_path: Path, number: signal.Signals) -> None:
    video, out = write_video(tmp_path / "clip.mp4", 3000), tmp_path / "out"
    words = [str(video), "--out", str(out), "--model", str(bundle), "--overlay-video"]
    command = [sys.executable, "-m", "graspnext", "predict", *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(out.glob(".clip_overlay*.mp4")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)  # until the first frame is drawn
    time.sleep(0.5)
    os.kill(process.pid, number)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.endswith(f"interrupted: what was found until then is in {out}\n")
    content = read(out)
    assert content["interrupted"] is True
    assert 0 < len(content["frames"]) < 3000
    assert f"{video}: {len(content['frames'])} frame" in said
    assert sorted(path.name for path in out.iterdir()) == ["clip_overlay.mp4", "predictions.json"]
    assert len(list(read_video(out / "clip_overlay.mp4"))) == len(content["frames"])
