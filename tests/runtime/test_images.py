"""Whatever the bytes are: a picture or an InputImageError, on one line that says what to do."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graspnext.errors import InputImageError
from graspnext.runtime.images import read_image

RNG = np.random.default_rng(0)
PICTURE = np.kron(RNG.integers(0, 256, (6, 9, 3)), np.ones((8, 8, 1))).astype(np.uint8)  # (48, 72, 3), blocks
LOSSLESS = ("png", "tiff", "bmp")


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_lossless_formats_come_back_exactly(tmp_path: Path, suffix: str) -> None:
    found = read_image(saved(tmp_path / f"a.{suffix}", Image.fromarray(PICTURE)))
    assert found.dtype == np.uint8
    assert np.array_equal(found, PICTURE)


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_lossy_formats_come_back_nearly(tmp_path: Path, suffix: str) -> None:
    found = read_image(saved(tmp_path / f"a.{suffix}", Image.fromarray(PICTURE), quality=95))
    assert np.abs(found.astype(int) - PICTURE).mean() < 12


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(tmp_path: Path, orientation: int) -> None:
    stored = {
        1: PICTURE,
        2: PICTURE[:, ::-1],
        3: PICTURE[::-1, ::-1],
        4: PICTURE[::-1],
        5: PICTURE.transpose(1, 0, 2),
        6: np.rot90(PICTURE, 1),  # shown turned clockwise by 90 degrees
        7: PICTURE[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(PICTURE, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.png", Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    assert np.array_equal(read_image(path), PICTURE)


def test_grey_alpha_palette_and_bits(tmp_path: Path) -> None:
    grey = PICTURE[..., 0]
    assert np.array_equal(read_image(saved(tmp_path / "l.png", Image.fromarray(grey)))[..., 1], grey)
    bits = Image.fromarray(grey > 99)
    assert np.array_equal(read_image(saved(tmp_path / "1.png", bits))[..., 2], np.where(grey > 99, 255, 0))
    palette = Image.fromarray(PICTURE).quantize(16)
    expected = np.asarray(palette.convert("RGB"))
    assert np.array_equal(read_image(saved(tmp_path / "p.png", palette)), expected)
    alpha = np.dstack([PICTURE, np.zeros_like(grey)])
    alpha[:, :36, 3] = 255
    found = read_image(saved(tmp_path / "rgba.png", Image.fromarray(alpha)))
    assert np.array_equal(found[:, :36], PICTURE[:, :36])
    assert not found[:, 36:].any()


def test_sixteen_bits_and_floats_are_scaled(tmp_path: Path) -> None:
    wide = np.linspace(0, 65535, 48 * 72).reshape(48, 72)
    for suffix in ("png", "tiff"):
        path = saved(tmp_path / f"w.{suffix}", Image.fromarray(wide.astype(np.uint16)))
        assert np.abs(read_image(path)[..., 0] - wide / 257).max() <= 0.51
    unit = (wide / 65535).astype(np.float32)
    found = read_image(saved(tmp_path / "f.tiff", Image.fromarray(unit)))
    assert np.abs(found[..., 2] - unit * 255).max() <= 0.51


def test_cmyk(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.tiff", Image.new("CMYK", (20, 10), (255, 0, 0, 0)))
    assert read_image(path)[0, 0].tolist() == [0, 255, 255]


def png_claiming(width: int, height: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("width", "height"), [(40_000, 40_000), (10_001, 10_000), (2**31 - 1, 2**31 - 1)])
def test_bombs_are_refused_before_decoding(
    tmp_path: Path, width: int, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    path = tmp_path / "bomb.png"
    path.write_bytes(png_claiming(width, height))
    with pytest.raises(InputImageError, match=r"claims .* at most 100 megapixels"):
        read_image(path)


def test_mistakes_of_the_user_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not a picture at all")
    (tmp_path / "a.gif").write_bytes(b"GIF89a" + bytes(50))
    whole = saved(tmp_path / "whole.png", Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)))
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:4000])
    for name, match in {
        "none.png": "no such file; check the path",
        ".": "a folder, not an image",
        "empty.png": "the file is empty",
        "text.png": "not an image; give a file of one of: PNG",
        "a.gif": "not an image",
        "cut.png": "the image is damaged or truncated",
        "nul\0.png": "cannot be read",
    }.items():
        with pytest.raises(InputImageError, match=f": {match}"):
            read_image(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(PICTURE))
    path.chmod(0)
    with pytest.raises(InputImageError, match="permission denied"):
        read_image(path)


def test_device_and_pipe_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", Path("/dev/zero")):
        with pytest.raises(InputImageError, match="not a regular file"):
            read_image(path)
