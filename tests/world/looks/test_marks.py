"""Codes that can be read back, prints and wear that repeat, relief that turns into normals."""

from __future__ import annotations

import numpy as np
import pytest

from graspnext.types import BoolArray
from graspnext.world.looks.marks import barcode_picture, code128, ean13, pictogram, shipping_label, square_code
from graspnext.world.looks.prints import printed, sample_scheme
from graspnext.world.looks.skins import (
    brushed_skin,
    cast_skin,
    crumpled_skin,
    galvanised_skin,
    make_skin_atlas,
    normal_map,
    skin_of,
)
from graspnext.world.looks.wear import dusty, fingerprinted, sample_metal, sample_paint, scratched, worn


def runs(modules: BoolArray) -> list[int]:
    edges = np.flatnonzero(np.diff(modules.astype(int))) + 1
    return [int(width) for width in np.diff([0, *edges, len(modules)])]


def test_ean13_of_a_known_number() -> None:
    """The worked example of the EAN-13 literature: 400638133393 has check digit 1."""
    modules = "".join("1" if bar else "0" for bar in ean13("400638133393"))
    assert len(modules) == 95
    assert modules[:3] == modules[-3:] == "101" and modules[45:50] == "01010"
    # First left digit 0 is coded odd, the second 0 even (first digit 4 means LGLLGG); the last is check digit 1.
    assert modules[3:10] == "0001101" and modules[10:17] == "0100111" and modules[-10:-3] == "1100110"


def test_code128_checks() -> None:
    modules = code128("PJJ123C")
    widths = runs(modules)
    assert len(modules) == 11 * 9 + 13 and modules[0] and modules[-1]
    symbols = [widths[i : i + 6] for i in range(0, len(widths) - 7, 6)]
    assert all(sum(symbol) == 11 and sum(symbol[::2]) % 2 == 0 for symbol in symbols)  # bars of a symbol are even
    assert symbols[0] == [2, 1, 1, 2, 1, 4]  # start B
    assert widths[-7:] == [2, 3, 3, 1, 1, 1, 2]
    # P J J 1 2 3 C under start B: (104 + 48 + 2 * 42 + 3 * 42 + 4 * 17 + 5 * 18 + 6 * 19 + 7 * 35) mod 103 = 55
    assert symbols[-1] == [3, 1, 1, 3, 2, 1]


def test_code128_symbols_are_all_different() -> None:
    symbols = {tuple(runs(code128(chr(code)))[6:12]) for code in range(32, 127)}
    assert len(symbols) == 95


def test_square_code_has_its_finders() -> None:
    code = square_code(25, rng=np.random.default_rng(0))
    for corner in (code[:7, :7], code[:7, -7:], code[-7:, :7]):
        assert corner[0].all() and corner[:, 0].all() and not corner[1, 1:6].any() and corner[2:5, 2:5].all()
    assert not code[7, :8].any() and not code[:8, 7].any()
    assert 0.3 < code.mean() < 0.7


@pytest.mark.parametrize(("width", "height"), [(24, 12), (60, 30), (130, 60), (240, 80)])
def test_barcodes_have_quiet_zones(width: int, height: int) -> None:
    for seed in range(4):
        picture = barcode_picture(width, height, rng=np.random.default_rng(seed))
        assert picture.shape == (height, width, 3)
        quiet = max(1, int(width * 7 / 115))
        bars = picture[height // 3, :, 0]
        assert bars[:quiet].min() > 200 and bars[-quiet:].min() > 200
        assert bars.min() < 150


@pytest.mark.parametrize("make", [lambda rng: pictogram(48, rng=rng), lambda rng: shipping_label((120, 90), rng=rng)])
def test_labels_repeat_and_differ(make) -> None:  # type: ignore[no-untyped-def]
    pictures = [make(np.random.default_rng(seed)) for seed in (3, 3, 4)]
    assert pictures[0].tobytes() == pictures[1].tobytes() != pictures[2].tobytes()
    assert pictures[0].min() < 60 and pictures[0].max() > 240


def test_wear_grows_with_its_amount_and_rubs_edges_first() -> None:
    faces = [
        printed(sample_scheme(rng=np.random.default_rng(7)), (96, 96), rng=np.random.default_rng(i)) for i in range(6)
    ]
    changes = []
    for amount in (0.0, 0.4, 0.9):
        after = worn(faces, amount, rng=np.random.default_rng(1))
        assert all(a.shape == b.shape and a.dtype == np.uint8 for a, b in zip(after, faces, strict=True))
        changes.append(np.mean([np.abs(a.astype(int) - b).mean() for a, b in zip(after, faces, strict=True)]))
    assert changes[0] == 0 and changes[0] < changes[1] < changes[2]
    plain = [np.full((96, 96, 3), 40, dtype=np.uint8)]
    rubbed = np.abs(worn(plain, 0.9, rng=np.random.default_rng(2))[0].astype(int) - 40).mean(axis=-1)
    assert rubbed[:3].mean() > rubbed[40:56, 40:56].mean() + 8  # the middle only fades


def test_wear_touches_the_maps_it_should() -> None:
    plain = skin_of((90, 90, 92), (64, 64), rough=0.4)
    scratch = scratched(plain, 8, rng=np.random.default_rng(0))
    marked = scratch.height < 0
    assert 0 < marked.mean() < 0.5
    assert (scratch.rough[marked] > 0.4).all() and (scratch.rough[~marked] == 0.4).all()
    assert scratch.color[marked].mean() > plain.color.mean() + 5
    print_ = fingerprinted(plain, 2, rng=np.random.default_rng(0))
    assert print_.color.tobytes() == plain.color.tobytes() and 0.01 < (print_.rough > 0.4).mean() < 0.6
    dust = dusty(plain, 0.8, rng=np.random.default_rng(0))
    assert (dust.rough >= plain.rough).all() and dust.color.mean() > plain.color.mean()


def test_relief_leans_away_from_a_slope() -> None:
    y, x = np.mgrid[:16, :16].astype(np.float64)
    flat, right, up = (normal_map(h)[8, 8].astype(int) for h in (0 * x, 0.5 * x, -0.5 * y))
    assert flat.tolist() == [128, 128, 255]
    assert right[0] < 80 and right[1] == 128  # rises along u: leans to -u
    assert up[1] < 80 and up[0] == 128  # rises toward the picture's top, which is +v: leans to -v


def test_skin_atlas_keeps_maps_in_step() -> None:
    rng = np.random.default_rng(0)
    film = np.full((24, 64, 4), 90, dtype=np.uint8)
    atlas = make_skin_atlas(
        [brushed_skin((180, 180, 180), rng=rng), (200, 20, 20), crumpled_skin(film, 0.5, rng=rng)], 64
    )
    assert atlas.texture.shape[2] == 4
    assert atlas.orm is not None and atlas.normals is not None
    assert atlas.orm.shape == atlas.normals.shape == (*atlas.texture.shape[:2], 3)
    u0, v0, u1, v1 = atlas.cells[1]
    row, column = int((1 - (v0 + v1) / 2) * len(atlas.texture)), int((u0 + u1) / 2 * 64)
    assert atlas.texture[row, column].tolist() == [200, 20, 20, 255]
    assert atlas.normals[row, column].tolist() == [128, 128, 255]
    plain = make_skin_atlas([(1, 2, 3), np.zeros((8, 64, 3), dtype=np.uint8)], 64)
    assert plain.orm is None and plain.normals is None and plain.texture.shape[2] == 3


@pytest.mark.parametrize("make", [galvanised_skin, lambda rng: cast_skin((90, 90, 90), rng=rng)])
def test_finishes_stay_in_range(make) -> None:  # type: ignore[no-untyped-def]
    for seed in range(3):
        skin = make(rng=np.random.default_rng(seed))
        assert skin.rough.min() >= 0 and skin.rough.max() <= 1 and skin.metal.min() >= 0 and skin.metal.max() <= 1
        assert skin.color.shape[:2] == skin.rough.shape == skin.metal.shape == skin.height.shape


def test_metals_and_paints_differ_from_draw_to_draw() -> None:
    metals = [sample_metal(rng=np.random.default_rng(seed)) for seed in range(12)]
    assert all(metal.metallic >= 0.7 for metal in metals)
    assert len({metal.texture.tobytes() for metal in metals if metal.texture is not None}) == 12
    paints = [sample_paint((30, 80, 160), rng=np.random.default_rng(seed)) for seed in range(6)]
    assert all(paint.metallic == 0 for paint in paints)
