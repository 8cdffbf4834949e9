"""Copy-paste with amodal truth: parts of another view laid on top of a crop, all labels kept true.

Where instances are pasted at random, the network sees each part on far more grounds and beside far more neighbours
than were rendered; what they cover becomes occluded in a known way, so that amodal masks, occlusion and centres of
what lies below are taught as well. Source: Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method for
Instance Segmentation", CVPR 2021; the amodal labels are ours.

What is approximate: a pasted part brings its own light and casts no shadow, and the suction map near it stays what it
was, though a cup on a neighbour could now touch it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from graspnext.data.crop import Crop, Placement, Turn, box_at
from graspnext.data.format import OCCLUDED_FROM_RATE
from graspnext.types import BoolArray, Float32Array, Instance, View

if TYPE_CHECKING:
    from graspnext.data.augmentation import AugmentationConfig

MAX_HIDDEN = 0.01
"""Parts of which more is hidden are not pasted: what is missing of their mask would be taught as the whole."""
MAX_SIDE = 0.5
"""Longest side of a pasted part, as a share of what the crop shows of its view: larger ones would hide too much."""
_SOFTEN = ImageFilter.Kernel((3, 3), (1, 2, 1, 2, 4, 2, 1, 2, 1), 16)


def can_be_pasted(instance: Instance, size: tuple[int, int]) -> bool:
    """Whether all of a part is seen in its view of (height, width): its mask is then whole. Looks at no mask."""
    height, width = size
    left, top, right, bottom = instance.amodal_box
    inside = left >= 1 and top >= 1 and right <= width - 1 and bottom <= height - 1
    return bool(inside and not instance.ignore and instance.occluded_rate <= MAX_HIDDEN)


@dataclass(frozen=True, eq=False)
class Patch:
    """A part cut out of its view, at the crop's scale and turned; lies in the crop's corner until put elsewhere."""

    picture: Image.Image
    alpha: Image.Image
    mask: BoolArray
    """(h, w)."""
    suction: Float32Array
    """(h, w); NaN = unknown."""
    center: Float32Array
    """(2,) u, v px."""
    area: float
    """Size of the whole mask, px."""
    rows: slice
    columns: slice
    """Where in the crop it lies."""

    def at(self, top: int, left: int, shown: tuple[slice, slice]) -> Patch:
        """The patch moved by (top, left), cut to the rows and columns that show the view."""
        height, width = self.mask.shape
        rows = slice(max(top, shown[0].start), min(top + height, shown[0].stop))
        columns = slice(max(left, shown[1].start), min(left + width, shown[1].stop))
        own = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
        box = (own[1].start, own[0].start, own[1].stop, own[0].stop)
        return replace(
            self,
            picture=self.picture.crop(box),
            alpha=self.alpha.crop(box),
            mask=self.mask[own],
            suction=self.suction[own],
            center=self.center + np.array([left, top], dtype=np.float32),
            rows=rows,
            columns=columns,
        )


def cut_out_parts(
    donor: View, place: Placement, config: AugmentationConfig, *, rng: np.random.Generator
) -> list[Patch]:
    """1 ... `config.paste_parts` parts of another view, ready to be laid on a crop one on top of the other.

    They take the crop's scale, are mirrored and turned at random as far as the crop itself may be, and lie with the
    middle of their box anywhere on the crop's view. Their edge is soft inwards: no pixel outside their masks changes.

    Args:
        donor: The other view. Parts that are hidden, cut off or large are not taken; it may have none to give.
        place: Where the crop lies in its own view.
        config: How many parts, which turns, and how small a part may be.
        rng: Source of all randomness.
    """
    rows, columns = place.on_view()
    scale = place.magnification**0.5
    longest = MAX_SIDE * min(rows.stop - rows.start, columns.stop - columns.start) / scale  # view px
    free = [
        one
        for one in donor.labels.instances
        if can_be_pasted(one, donor.image.shape[:2])
        and max(one.amodal_box[2] - one.amodal_box[0], one.amodal_box[3] - one.amodal_box[1]) <= longest
        and np.count_nonzero(one.visible_mask) * place.magnification >= config.min_visible_px
    ]
    count = min(int(rng.integers(1, config.paste_parts + 1)), len(free))
    patches = []
    for index in rng.choice(len(free), count, replace=False) if count else ():
        turn = Turn.draw(flip=config.flip, rotate90=config.rotate90, rng=rng)
        patch = _lift(donor, free[index], scale, turn)
        height, width = patch.mask.shape
        top = int(rng.integers(rows.start, rows.stop)) - height // 2
        left = int(rng.integers(columns.start, columns.stop)) - width // 2
        patches.append(patch.at(top, left, (rows, columns)))
    return patches


def lay_on_top(patches: Sequence[Patch], picture: Image.Image, crop: Crop) -> None:
    """Make patches the last instances of a crop, the topmost last.

    The last is unoccluded, the others as far as they do not cover each other. Instances below lose visible pixels, and
    are `occluded` where the share that is hidden of their whole view reaches the labels' own threshold; amodal masks
    and centres stay.

    Args:
        patches: Parts that were cut out for this crop.
        picture: The crop's picture; painted over.
        crop: Its labels, with empty room for as many instances at the end; changed.
    """
    for own, patch in enumerate(patches, start=len(crop.boxes) - len(patches)):
        where = (patch.rows, patch.columns)
        picture.paste(patch.picture, (patch.columns.start, patch.rows.start), patch.alpha)
        crop.suction[where][patch.mask] = patch.suction[patch.mask]
        for index, visible in enumerate(crop.visible[:own]):
            lost = visible[where] & patch.mask
            if lost.any():
                visible[where] ^= lost
                crop.occluded_rate[index] += np.count_nonzero(lost) / crop.areas[index]
                crop.occluded[index] |= crop.occluded_rate[index] >= OCCLUDED_FROM_RATE
        crop.visible[own][where] = crop.amodal[own][where] = patch.mask
        crop.boxes[own] = box_at(patch.mask, where)
        crop.centers[own] = patch.center
        crop.areas[own] = patch.area


def _lift(donor: View, part: Instance, scale: float, turn: Turn) -> Patch:
    """Cut a part out, with a margin that a soft edge needs."""
    margin = int(np.ceil(2 / scale))
    height, width = donor.image.shape[:2]
    left, top = (int(max(0, value - margin)) for value in np.floor(part.amodal_box[:2]))
    right, bottom = (
        int(min(end, value + margin)) for end, value in zip((width, height), np.ceil(part.amodal_box[2:]), strict=True)
    )
    window = (slice(top, bottom), slice(left, right))
    size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))

    def sampled(values: np.ndarray, how: Image.Resampling) -> Image.Image:
        return turn.picture(Image.fromarray(np.ascontiguousarray(values[window])).resize(size, how))

    coverage = sampled(part.visible_mask.view(np.uint8) * np.uint8(255), Image.Resampling.BILINEAR)
    hard = coverage.point([0] * 128 + [255] * 128)
    mask = np.asarray(hard) > 0
    suction = np.array(sampled(donor.labels.suction, Image.Resampling.NEAREST))
    if "suction" in donor.labels.missing:
        suction[...] = np.nan
    stretch = np.array([size[0] / (right - left), size[1] / (bottom - top)], dtype=np.float32)
    center = (part.center_of_mass[:2] - np.array([left, top], dtype=np.float32)) * stretch
    return Patch(
        picture=sampled(donor.image, Image.Resampling.BILINEAR),
        alpha=ImageChops.darker(hard, hard.filter(_SOFTEN)),
        mask=mask,
        suction=suction,
        center=turn.points(center, *size),
        area=float(np.count_nonzero(mask)),
        rows=slice(0, mask.shape[0]),
        columns=slice(0, mask.shape[1]),
    )
