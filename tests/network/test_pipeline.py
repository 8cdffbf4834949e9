"""The one inference path: resampling against Pillow, coordinates against a network that finds a rectangle by rule."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from graspnext.errors import ConfigError
from graspnext.network.build import build_network
from graspnext.network.network import Detections
from graspnext.network.pipeline import PADDING_GREY, Pipeline, inner_size, letterbox, resampling_weights
from graspnext.network.presets import find_preset

RNG = np.random.default_rng(0)


def sizes(height: int, width: int, input_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    size = torch.tensor([height, width])
    return size, inner_size(size, input_size)


@pytest.mark.parametrize(("length", "inner"), [(200, 64), (64, 64), (20, 64), (101, 60), (3, 64), (1, 4), (1300, 128)])
def test_weights_equal_pillows_bilinear_filter(length: int, inner: int) -> None:
    signal = RNG.uniform(0, 255, (length, 5)).astype(np.float32)
    resized = Image.fromarray(signal, mode="F").resize((5, inner), Image.Resampling.BILINEAR)
    weights = resampling_weights(length, torch.tensor(length), torch.tensor(inner), 128).numpy()
    assert np.abs(weights[:inner] @ signal - np.asarray(resized)).max() < 2e-3
    assert np.abs(weights[:inner].sum(axis=1) - 1).max() < 1e-5


@pytest.mark.parametrize(
    ("height", "width"), [(90, 128), (128, 90), (700, 300), (40, 30), (1, 1), (1, 500), (333, 333)]
)
def test_letterbox_equals_pillow_inside_and_is_grey_outside(height: int, width: int) -> None:
    image = RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)
    size, inner = sizes(height, width, 128)
    found = letterbox(torch.from_numpy(image), size, inner, 128).numpy()
    rows, columns = inner.tolist()
    for channel in range(3):
        source = Image.fromarray(image[..., channel].astype(np.float32), mode="F")
        expected = np.asarray(source.resize((columns, rows), Image.Resampling.BILINEAR)) / 255
        assert np.abs(found[channel, :rows, :columns] - expected).max() < 1e-4
    outside = np.ones((128, 128), dtype=bool)
    outside[:rows, :columns] = False
    assert np.all(found[:, outside] == PADDING_GREY)


def test_an_image_of_the_input_size_passes_unchanged() -> None:
    image = RNG.integers(0, 256, (96, 96, 3), dtype=np.uint8)
    size, inner = sizes(96, 96, 96)
    found = letterbox(torch.from_numpy(image), size, inner, 96).numpy()
    assert np.array_equal(np.rint(found * 255), image.transpose(2, 0, 1))


def test_fine_stripes_do_not_alias() -> None:
    image = np.zeros((512, 512, 3), dtype=np.uint8)
    image[:, ::2] = 255
    size, inner = sizes(512, 512, 64)
    found = letterbox(torch.from_numpy(image), size, inner, 64)
    assert (found - 0.5).abs().max() < 0.04


def test_inner_size_is_the_nearest_multiple_of_four() -> None:
    for height, width in RNG.integers(1, 5000, (500, 2)).tolist():
        _, inner = sizes(height, width, 640)
        for found, length in zip(inner.tolist(), (height, width), strict=True):
            exact = Fraction(length * 640, max(height, width))
            assert found % 4 == 0
            assert 4 <= found <= 640
            assert abs(found - exact) <= 2 or (found == 4 and exact < 4)
        assert max(inner.tolist()) == 640


class Finder(nn.Module):
    """Stands where a network stands: finds the bright rectangle in its input by thresholding."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, image: torch.Tensor, limit: torch.Tensor) -> Detections:
        columns, rows = (int(length) for length in limit)
        assert (image[0, :, rows:] == PADDING_GREY).all()
        assert (image[0, :, :, columns:] == PADDING_GREY).all()
        bright = image[0].amin(dim=0) > 0.75
        rows, columns = bright.any(dim=1).nonzero()[:, 0], bright.any(dim=0).nonzero()[:, 0]
        x1, x2, y1, y2 = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
        side = image.shape[-1]
        padding = [float(side) - 8, float(side) - 8, float(side), float(side)]
        boxes = torch.tensor([[x1, y1, x2, y2], padding, [-9.0, -9.0, 3.0 * side, 3.0 * side], [0, 0, 0, 0]])
        heat = nn.functional.avg_pool2d(bright[None].float(), 4)[0]
        return Detections(
            scores=torch.tensor([0.9, 0.8, 0.7, 0.0]),
            boxes=boxes,
            visible_masks=torch.zeros(4, 8, 8),
            amodal_masks=torch.ones(4, 8, 8),
            occluded=torch.tensor([0.1, 0.2, 0.3, 0.4]),
            centers=(boxes[:, :2] + boxes[:, 2:]) / 2,
            suction=heat,
        )


@pytest.mark.parametrize(("height", "width"), [(600, 800), (800, 300), (128, 128), (60, 100), (1080, 1920)])
def test_results_are_in_the_images_own_pixels(height: int, width: int) -> None:
    box = np.array([0.25 * width, 0.125 * height, 0.75 * width, 0.5 * height])
    image = np.full((height, width, 3), 20, dtype=np.uint8)
    x1, y1, x2, y2 = box.astype(int)
    image[y1:y2, x1:x2] = 250
    found = Pipeline(Finder(), 256).predict(image, source="here", min_score=0.5)  # type: ignore[arg-type]
    input_px = max(height, width) / 256
    assert found.amodal_boxes[0] == pytest.approx([x1, y1, x2, y2], abs=2 * input_px)
    assert found.center_of_mass[0] == pytest.approx([(x1 + x2) / 2, (y1 + y2) / 2], abs=2 * input_px)
    assert found.amodal_boxes[-1].tolist() == [0, 0, width, height]  # clipped
    # What lies in the padding is gone, unless there is none.
    assert found.scores.tolist() == pytest.approx([0.9, 0.7] if height != width else [0.9, 0.8, 0.7])
    rows, columns = found.suction.shape
    heat_box = [x1 / width * columns, y1 / height * rows, x2 / width * columns, y2 / height * rows]
    hot_rows, hot_columns = np.nonzero(found.suction > 0.5)
    measured = [hot_columns.min(), hot_rows.min(), hot_columns.max() + 1, hot_rows.max() + 1]
    assert measured == pytest.approx(heat_box, abs=1)
    assert found.source == "here"


def test_the_real_network_gives_the_contracts_shapes() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    pipeline = Pipeline(build_network(find_preset("tiny")), 128)
    image = RNG.integers(0, 256, (90, 160, 3), dtype=np.uint8)
    with torch.inference_mode():
        found = pipeline(torch.from_numpy(image))
    count, side = found.scores.shape[0], found.visible_masks.shape[1]
    assert count == 100
    shapes = {name: tuple(value.shape) for name, value in found._asdict().items()}
    assert shapes == {
        "scores": (count,),
        "amodal_boxes": (count, 4),
        "visible_masks": (count, side, side),
        "amodal_masks": (count, side, side),
        "occluded_probability": (count,),
        "center_of_mass": (count, 2),
        "suction": (32, 32),
        "valid": (2,),
        "count": (),
    }
    assert int(found.count) == int((found.scores > 0).sum())
    prediction = pipeline.predict(image, min_score=0.0)
    assert prediction.suction.shape == (18, 32)
    assert len(prediction.scores) == int(found.count)
    assert np.all(np.diff(prediction.scores) <= 0)
    assert not pipeline.network.training


@pytest.mark.parametrize("size", [0, -32, 100])
def test_an_input_size_off_the_grid_is_refused(size: int) -> None:
    with pytest.raises(ConfigError, match=f"input_size is {size}; it must be a positive multiple of 32"):
        Pipeline(Finder(), size)  # type: ignore[arg-type]
