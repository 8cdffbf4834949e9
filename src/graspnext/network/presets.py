"""Named networks. Each is an ordinary `NetworkConfig`."""

from __future__ import annotations

from graspnext.errors import UnknownNameError
from graspnext.network.backbones.condenser import BackboneConfig
from graspnext.network.config import NetworkConfig
from graspnext.network.heads.box import BoxHeadConfig
from graspnext.network.heads.dense import DenseHeadConfig
from graspnext.network.heads.mask import MaskHeadConfig
from graspnext.network.neck import NeckConfig
from graspnext.network.rpn import RpnConfig
from graspnext.network.sampling import SamplingConfig

FAST = NetworkConfig()

TINY = NetworkConfig(
    backbone=BackboneConfig(stem_channels=8, widths=(16, 24, 32, 48), depths=(1, 1, 1, 1)),
    neck=NeckConfig(width=32),
    rpn=RpnConfig(depth=1, candidates_training=100, proposals_training=30, candidates=150, proposals=60),
    box_head=BoxHeadConfig(depth=0, hidden=64),
    mask_head=MaskHeadConfig(roi_size=8, width=16, depth=1),
    dense_head=DenseHeadConfig(width=16, depth=1),
    sampling=SamplingConfig(box_rois=24, box_positives=12, mask_rois=6),
)
"""Learns toy pictures in seconds; for tests and for trying out pipelines."""

PRESETS: dict[str, NetworkConfig] = {"fast": FAST, "tiny": TINY}


def find_preset(name: str) -> NetworkConfig:
    """The preset of a name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in PRESETS:
        raise UnknownNameError("preset", name, PRESETS)
    return PRESETS[name]
