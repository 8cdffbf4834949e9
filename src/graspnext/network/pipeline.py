"""The one inference path: an image of any size in, detections in that image's own pixels out.

`evaluate` runs this module, `export` freezes it, and the runtimes execute what was frozen: pre-processing and
post-processing have no second implementation that could differ. The resampling is therefore written as two matrix
products, whose weights are computed from the image's size: every runtime does the same arithmetic on them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from graspnext.errors import ConfigError
from graspnext.geometry.predictions import EVALUATION_MIN_SCORE, wrap
from graspnext.network.folding import fold
from graspnext.network.network import Detections, Network
from graspnext.types import Prediction, UInt8Array

STRIDE = 4
"""Of the suction map; the resized image ends on a multiple of it, so that the map can be cropped exactly."""
PADDING_GREY = 0.5
"""What fills the input beside and below the image."""
MIN_SIDE_PX = 1.0
"""Boxes that are thinner inside the image are dropped."""
INPUT_SIZE_STEP = 32
"""The coarsest stride of the pyramid."""
PRECISIONS = ("fp32", "bf16")
"""Of the network's convolutions and products; resampling, decoding of boxes and scores stay in float32."""


def fitting_input_size(size: int) -> int:
    """Side of the smallest input, px, that holds views of `size` px as they are."""
    return -(-size // INPUT_SIZE_STEP) * INPUT_SIZE_STEP


class PipelineOutput(NamedTuple):
    """D detections in pixels of the image, best first, but for rows of score 0, which mean nothing.

    M is the side of a mask, S the input size.
    """

    scores: Tensor
    """(D,) in [0, 1]."""
    amodal_boxes: Tensor
    """(D, 4) xyxy px, inside the image."""
    visible_masks: Tensor
    """(D, M, M) probabilities over the amodal box."""
    amodal_masks: Tensor
    """(D, M, M) probabilities over the amodal box."""
    occluded_probability: Tensor
    """(D,) in [0, 1]."""
    center_of_mass: Tensor
    """(D, 2) u, v px."""
    suction: Tensor
    """(S / 4, S / 4) in [0, 1], with the padding."""
    valid: Tensor
    """(2,) float32: share of the rows and of the columns of `suction` that is image."""
    count: Tensor  # type: ignore[assignment]  # hides a method of tuple that nobody needs here
    """() int64: rows whose score is above 0."""


class Pipeline(nn.Module):
    """Letterbox, network, and back to the image's pixels."""

    def __init__(self, network: Network, input_size: int, precision: str = "fp32") -> None:
        """Wrap a network.

        Args:
            network: Left as it is; the pipeline holds a folded copy (`folding.fold`) in evaluation mode.
            input_size: Side S px of the square that every image is resized into.
            precision: One of `PRECISIONS`; bf16 is several times faster where the processor has matrix units for it.

        Raises:
            ConfigError: The size is not a positive multiple of 32, or there is no such precision.
        """
        super().__init__()
        if input_size <= 0 or input_size % INPUT_SIZE_STEP:
            raise ConfigError("input_size", input_size, f"a positive multiple of {INPUT_SIZE_STEP}")
        if precision not in PRECISIONS:
            raise ConfigError("precision", precision, f"one of {', '.join(PRECISIONS)}")
        self.network = fold(network).eval()
        self.input_size = input_size
        self.precision = precision

    def forward(self, image: Tensor) -> PipelineOutput:
        """Detect on one image (H, W, 3) uint8, RGB, of any size."""
        size = torch.stack([torch.arange(length, device=image.device)[-1] + 1 for length in image.shape[:2]])
        inner = inner_size(size, self.input_size)  # (2,) rows, columns
        found = self._detect(letterbox(image, size, inner, self.input_size)[None], inner.flip(0).float())
        scale = (size / inner).flip(0)  # (2,) image px per input px, x then y
        limit = size.flip(0).float().repeat(2)  # (4,) W, H, W, H
        boxes = torch.minimum((found.boxes * scale.repeat(2)).clamp(min=0), limit)  # (D, 4) xyxy px of the image
        sides = boxes[:, 2:] - boxes[:, :2]
        scores = found.scores * (sides >= MIN_SIDE_PX).all(dim=1)  # nothing that lies in the padding
        return PipelineOutput(
            scores=scores,
            amodal_boxes=boxes,
            visible_masks=found.visible_masks,
            amodal_masks=found.amodal_masks,
            occluded_probability=found.occluded,
            center_of_mass=found.centers * scale,
            suction=found.suction.reshape(self.input_size // STRIDE, self.input_size // STRIDE),
            valid=inner / self.input_size,
            count=(scores > 0).sum(),
        )

    def _detect(self, square: Tensor, limit: Tensor) -> Detections:
        if self.precision == "fp32":  # without a context, which an exported graph has no place for
            return self.network(square, limit)  # type: ignore[no-any-return]
        with torch.autocast(square.device.type, torch.bfloat16):
            found: Detections = self.network(square, limit)
        return Detections(*(value.float() for value in found))

    @torch.inference_mode()
    def predict(self, image: UInt8Array, *, source: str = "", min_score: float = EVALUATION_MIN_SCORE) -> Prediction:
        """Detect on one image (H, W, 3) uint8, RGB, and keep what scores at least `min_score`."""
        device = next(self.network.parameters()).device
        found = self(torch.from_numpy(image.copy()).to(device))
        arrays = {name: value.float().cpu().numpy() for name, value in found._asdict().items()}
        return wrap(arrays, width=image.shape[1], height=image.shape[0], source=source, min_score=min_score)


def inner_size(size: Tensor, input_size: int) -> Tensor:
    """Rows and columns (2,) int64 that an image of `size` (2,) int64 takes up in the square input.

    The longer side fills the input; the other keeps the aspect to the nearest multiple of 4, so that the suction map
    is cropped on whole cells. Integers throughout: no runtime can round differently.
    """
    cells, longest = input_size // STRIDE, size.max()
    return STRIDE * torch.div(2 * cells * size + longest, 2 * longest, rounding_mode="floor").clamp(min=1)


def letterbox(image: Tensor, size: Tensor, inner: Tensor, input_size: int) -> Tensor:
    """An image (H, W, 3) uint8 as (3, S, S) float32 in [0, 1]: resized into the upper left corner, grey around it."""
    pixels = image.permute(2, 0, 1).float() / 255  # (3, H, W)
    rows = resampling_weights(image.shape[0], size[0], inner[0], input_size)  # (S, H)
    columns = resampling_weights(image.shape[1], size[1], inner[1], input_size)  # (S, W)
    # Columns first: most pictures are wider than high, and this order then takes fewer multiplications.
    resized = torch.matmul(rows, torch.matmul(pixels, columns.T))  # (3, S, S)
    place = torch.arange(input_size, device=image.device)
    inside = (place < inner[0])[:, None] & (place < inner[1])[None, :]  # (S, S)
    return torch.where(inside, resized, PADDING_GREY)


def resampling_weights(length: int, size: Tensor, inner: Tensor, input_size: int) -> Tensor:
    """Weights (input_size, length) that resize one axis from `length` to `inner` samples; rows past `inner` are idle.

    A triangle filter around each output sample's centre, as wide as the output's spacing when shrinking (which is
    what keeps it from aliasing) and as the input's when enlarging; the weights of each row sum to 1, also at the
    borders (the "bilinear" reduction of image libraries).

    Args:
        length: Samples of the axis; a plain (or symbolic) number, for the shape.
        size: () int64, the same number as a tensor, for the arithmetic.
        inner: () int64, samples after resizing.
        input_size: Rows of the matrix, at least `inner`.
    """
    out = 2 * torch.arange(input_size, device=size.device) + 1  # twice the centres, so that all stay integers
    here = 2 * torch.arange(length, device=size.device) + 1
    distance = (out[:, None] * size - here[None, :] * inner).abs() / (2 * inner)  # (S, L) in input samples
    support = (size / inner).clamp(min=1)
    weights = (1 - distance / support).clamp(min=0)
    return weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-6)
